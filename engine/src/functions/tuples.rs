//! Tuples.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StructArray, make_array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use hedgerow_parser::Span;

use super::arguments::Arguments;
use super::function::{Arg, Argument, Function, Nulls, Returns};
use super::{PlanContext, Typed};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Type;

/// Making tuples and taking them apart.
pub(super) const FUNCTIONS: &[Function] = &[
    Function::scalar("tuple", &[Arg::Any], Returns::Derived(tuple_type), tuple)
        .variadic()
        .nulls(Nulls::Absorb)
        .doc("A tuple of the arguments. Same as `(a, b)`.")
        .examples(&[("tuple(1, 'a', NULL)", "(1,'a',NULL)")]),
    ELEMENT,
    Function::rewrite("sparkline", &[Arg::Array], |cx, span, args| {
        tag(cx, span, "Sparkline", &["data"], args)
    })
    .doc("A render tag: the numbers as a small chart.")
    .examples(&[("sparkline([1, 2])", "('__hx_tag','Sparkline','data',[1,2])")]),
    Function::rewrite("recordingButton", &[Arg::Any, Arg::Any], |cx, span, args| {
        tag(cx, span, "RecordingButton", &["sessionId", "recordingStatus"], args)
    })
    .optional(1)
    .doc("A render tag: a button that plays the recording of a session.")
    .examples(&[("recordingButton('s')", "('__hx_tag','RecordingButton','sessionId','s')")]),
    Function::rewrite("explainCSPReport", &[Arg::Any], |cx, span, args| {
        tag(cx, span, "ExplainCSPReport", &["properties"], args)
    })
    .doc("A render tag: an explanation of a report of a content security policy.")
    .examples(&[("explainCSPReport('p')", "('__hx_tag','ExplainCSPReport','properties','p')")]),
];

/// A tuple that a user interface draws: the tag's name, then names and values of attributes.
fn tag(
    cx: &dyn PlanContext,
    span: Span,
    name: &str,
    attributes: &[&str],
    values: Vec<Typed>,
) -> Result<Typed> {
    let mut elements = vec![Typed::text("__hx_tag", span), Typed::text(name, span)];
    for (attribute, value) in attributes.iter().zip(values) {
        elements.push(Typed::text(*attribute, span));
        elements.push(value);
    }
    super::call(cx, span, "tuple", elements)
}

/// `tupleElement(tuple, 1-based place or name)`.
pub(super) const ELEMENT: Function = Function::scalar(
    "tupleElement",
    &[Arg::Tuple, Arg::Any],
    Returns::Derived(|args| Ok(wanted(args)?.1)),
    element,
)
.nulls(Nulls::Introduce)
.doc("The element of a constant 1-based place or name. Same as `t.1`.")
.examples(&[("tupleElement((1, 'a'), 2)", "a")]);

fn tuple_type(args: &[Argument<'_>]) -> Result<Type> {
    Ok(Type::tuple(args.iter().map(|arg| arg.ty.clone())))
}

fn tuple(args: &Arguments<'_>) -> Result<ArrayRef> {
    let columns = (0..args.count()).map(|index| args.expanded(index));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let DataType::Struct(fields) = args.returns.to_arrow() else {
        return Err(Error::internal("the result is a tuple"));
    };
    Ok(Arc::new(StructArray::try_new(fields, columns, None)?))
}

/// The place, from 0, and the type of the wanted element.
fn wanted(args: &[Argument<'_>]) -> Result<(usize, Type)> {
    let [Argument { ty: Type::Tuple(elements), .. }, Argument { constant: Some(index), .. }, ..] =
        args
    else {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            "the element of a tuple must be a constant",
        ));
    };
    let place = match index {
        ScalarValue::Int64(Some(index)) => {
            usize::try_from(*index).ok().and_then(|index| index.checked_sub(1))
        }
        name => {
            let name = name.try_as_str().flatten();
            elements.iter().position(|(known, _)| Some(known.as_str()) == name)
        }
    };
    let element = place.and_then(|place| Some((place, elements.get(place)?.1.clone())));
    element.ok_or_else(|| {
        Error::new(ErrorKind::InvalidArgument, format!("the tuple has no element {index}"))
            .hint(format!("It has {} elements; the first one is 1.", elements.len()))
    })
}

fn element(args: &Arguments<'_>) -> Result<ArrayRef> {
    let index = ScalarValue::try_from_array(args.raw(1), 0)?;
    let facts = [
        Argument { ty: args.types[0].clone(), constant: None },
        Argument { ty: args.types[1].clone(), constant: Some(&index) },
    ];
    let (place, _) = wanted(&facts)?;
    let tuples = args.expanded(0)?;
    let tuples = tuples.as_struct();
    let column = tuples.column(place);
    if tuples.null_count() == 0 || column.data_type() == &DataType::Null {
        return Ok(Arc::clone(column));
    }
    let nulls = NullBuffer::union(tuples.nulls(), column.nulls());
    Ok(make_array(column.to_data().into_builder().nulls(nulls).build()?))
}
