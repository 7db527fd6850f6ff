//! Arrays out of several arrays.

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat;
use hedgerow_parser::Span;

use super::{Lists, Picker, element_of, same_arrays, same_element, with_element};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::aggregates::default_value;
use crate::functions::arguments::Arguments;
use crate::functions::function::{Arg, Function, Nulls, Returns};
use crate::functions::{PlanContext, Typed};

/// The longest array that arrayResize makes.
const RESIZE_ELEMENTS_MAX: i64 = 10_000_000;

/// Joining and extending.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    Function::scalar("arrayConcat", &[Arg::Array], Returns::First, joined)
        .variadic()
        .prepare(same_arrays)
        .doc("The elements of all arrays, one after the other.")
        .examples(&[("arrayConcat([1], [2, 3])", "[1,2,3]")]),
    Function::scalar("arrayPushBack", &[Arg::Array, Arg::Any], Returns::First, |args| {
        pushed(args, Side::Back)
    })
    .prepare(same_element)
    .nulls(Nulls::Custom)
    .doc("With one more element at the end.")
    .examples(&[("arrayPushBack([1], 2)", "[1,2]")]),
    Function::scalar("arrayPushFront", &[Arg::Array, Arg::Any], Returns::First, |args| {
        pushed(args, Side::Front)
    })
    .prepare(same_element)
    .nulls(Nulls::Custom)
    .doc("With one more element at the beginning.")
    .examples(&[("arrayPushFront([1], 2)", "[2,1]")]),
    Function::scalar("arrayResize", &[Arg::Array, Arg::Int, Arg::Any], Returns::First, resized)
        .prepare(with_default)
        .nulls(Nulls::Custom)
        .optional(1)
        .doc(
            "Cut or filled up to a length with the third argument, by default the type's own; \
             a negative length works from the end.",
        )
        .examples(&[("arrayResize([1], 3)", "[1,0,0]"), ("arrayResize([1, 2, 3], -2)", "[2,3]")]),
];

fn joined(args: &Arguments<'_>) -> Result<ArrayRef> {
    let lists: Vec<_> = (0..args.count()).map(|index| Lists::new(args, index)).collect();
    let sources: Vec<&dyn Array> = lists.iter().map(|list| list.values().as_ref()).collect();
    let source = concat(&sources)?;
    let mut picker = Picker::new(args.rows);
    for row in 0..args.rows {
        picker.row(|out| {
            let mut base = 0;
            for list in &lists {
                let range = list.range(row)?;
                out.extend(base + range.start..base + range.end);
                base += list.values().len();
            }
            Some(())
        });
    }
    picker.finish(&source, element_of(args)?)
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Front,
    Back,
}

fn pushed(args: &Arguments<'_>, side: Side) -> Result<ArrayRef> {
    let lists = Lists::new(args, 0);
    let source = concat(&[lists.values(), args.raw(1)])?;
    let base = lists.values().len();
    let mut picker = Picker::new(args.rows);
    for row in 0..args.rows {
        picker.row(|out| {
            let (range, new) =
                (lists.range(row)?, base + if args.is_constant(1) { 0 } else { row });
            if side == Side::Front {
                out.push(new);
            }
            out.extend(range);
            if side == Side::Back {
                out.push(new);
            }
            Some(())
        });
    }
    picker.finish(&source, element_of(args)?)
}

fn with_default(cx: &dyn PlanContext, span: Span, args: &mut Vec<Typed>) -> Result<()> {
    let filling = (args.len() == 3).then(|| args.pop()).flatten();
    let length = args.pop();
    let (Some(array), Some(length)) = (args.pop(), length) else {
        return Err(Error::internal("arguments were not counted"));
    };
    let filling = match (filling, &array.ty) {
        (Some(filling), _) => filling,
        (None, crate::types::Type::Array(element)) => {
            Typed::constant(default_value(element)?, element.as_ref().clone(), span)
        }
        (None, ty) => Typed::null(ty.clone(), span)?,
    };
    let (array, filling) = with_element(cx, array, filling)?;
    args.extend([array, length, filling]);
    Ok(())
}

fn resized(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (lists, lengths) = (Lists::new(args, 0), args.int(1));
    let source = concat(&[lists.values(), args.raw(2)])?;
    let base = lists.values().len();
    let mut picker = Picker::new(args.rows);
    for row in 0..args.rows {
        let length = lengths.get(row);
        if length.is_some_and(|length| length.unsigned_abs() > RESIZE_ELEMENTS_MAX.unsigned_abs()) {
            return Err(Error::new(
                ErrorKind::OutOfRange,
                format!("arrayResize makes at most {RESIZE_ELEMENTS_MAX} elements"),
            ));
        }
        picker.row(|out| {
            let (range, length) = (lists.range(row)?, length?);
            let filling = base + if args.is_constant(2) { 0 } else { row };
            let wanted = length.unsigned_abs() as usize;
            let kept = wanted.min(range.len());
            let filler = std::iter::repeat_n(filling, wanted - kept);
            if length >= 0 {
                out.extend(range.start..range.start + kept);
                out.extend(filler);
            } else {
                out.extend(filler);
                out.extend(range.end - kept..range.end);
            }
            Some(())
        });
    }
    picker.finish(&source, element_of(args)?)
}
