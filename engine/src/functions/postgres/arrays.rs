//! PostgreSQL's functions of arrays, which here have one dimension after another.

use hedgerow_parser::Span;

use crate::error::Result;
use crate::functions::arithmetic::{one, two};
use crate::functions::function::{Arg, Function};
use crate::functions::{PlanContext, Typed, call};
use crate::types::Type;

/// Arrays under PostgreSQL's names.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    Function::rewrite("cardinality", &[Arg::Array], |cx, span, args| {
        call(cx, span, "length", args)
    })
    .doc("How many elements an array has.")
    .examples(&[("cardinality([1, 2])", "2")]),
    Function::rewrite("array_length", &[Arg::Array, Arg::Int], |cx, span, args| {
        length_of(cx, span, args)
    })
    .aliases(&["array_upper"])
    .doc("How many elements a dimension has, counted from 1; NULL for none.")
    .examples(&[("array_length([1, 2], 1)", "2"), ("array_length([1, 2], 2)", "NULL")]),
    Function::rewrite("array_lower", &[Arg::Array, Arg::Int], |cx, span, args| {
        let length = length_of(cx, span, args)?;
        let one = Typed::int(1, span);
        call(cx, span, "least", vec![one.clone(), length.clone()]).and_then(|least| {
            let absent = call(cx, span, "isNull", vec![length])?;
            call(cx, span, "if", vec![absent, Typed::null(Type::Int64, span)?, least])
        })
    })
    .doc("The place of the first element of a dimension: 1, or NULL if there is none.")
    .examples(&[("array_lower([1, 2], 1)", "1")]),
    Function::rewrite("array_ndims", &[Arg::Array], |cx, span, args| {
        let array = one(args)?;
        let mut dimensions = 0;
        let mut ty = &array.ty;
        while let Type::Array(element) = ty {
            dimensions += 1;
            ty = element;
        }
        let length = call(cx, span, "length", vec![array.clone()])?;
        let empty = call(cx, span, "equals", vec![length, Typed::int(0, span)])?;
        let none = Typed::null(Type::Int64, span)?;
        call(cx, span, "if", vec![empty, none, Typed::int(dimensions, span)])
    })
    .doc("How many dimensions an array has; NULL for an empty one.")
    .examples(&[("array_ndims([[1], [2]])", "2")]),
    Function::rewrite("array_position", &[Arg::Array, Arg::Any], |cx, span, args| {
        let place = call(cx, span, "indexOf", args)?;
        call(cx, span, "nullIf", vec![place, Typed::int(0, span)])
    })
    .doc("The place of the first such element, from 1; NULL if there is none.")
    .examples(&[("array_position(['a', 'b'], 'b')", "2"), ("array_position([1], 5)", "NULL")]),
    Function::rewrite("array_append", &[Arg::Array, Arg::Any], |cx, span, args| {
        call(cx, span, "arrayPushBack", args)
    })
    .doc("The array with one more element at its end.")
    .examples(&[("array_append([1], 2)", "[1,2]")]),
    Function::rewrite("array_prepend", &[Arg::Any, Arg::Array], |cx, span, args| {
        let [element, array] = two(args)?;
        call(cx, span, "arrayPushFront", vec![array, element])
    })
    .doc("The array with one more element before its first.")
    .examples(&[("array_prepend(0, [1])", "[0,1]")]),
    Function::rewrite("array_cat", &[Arg::Array, Arg::Array], |cx, span, args| {
        call(cx, span, "arrayConcat", args)
    })
    .doc("The elements of both arrays.")
    .examples(&[("array_cat([1], [2])", "[1,2]")]),
    Function::rewrite("generate_series", &[Arg::Any, Arg::Any, Arg::Any], series)
        .optional(1)
        .doc("The array of numbers or times from a start to a stop, which is included, by steps.")
        .examples(&[
            ("generate_series(1, 3)", "[1,2,3]"),
            ("generate_series(3, 1, -1)", "[3,2,1]"),
        ]),
];

fn length_of(cx: &dyn PlanContext, span: Span, args: Vec<Typed>) -> Result<Typed> {
    let [mut array, dimension] = two(args)?;
    let Some(datafusion::common::ScalarValue::Int64(Some(wanted))) = dimension.as_constant() else {
        let message = "the dimension must be a constant";
        let kind = crate::error::ErrorKind::InvalidArgument;
        return Err(crate::error::Error::new(kind, message).at(dimension.span));
    };
    for _ in 1..(*wanted).clamp(1, 8) {
        if !matches!(&array.ty, Type::Array(element) if matches!(**element, Type::Array(_))) {
            return Typed::null(Type::Int64, span);
        }
        array = call(cx, span, "arrayElement", vec![array, Typed::int(1, span)])?;
    }
    if *wanted < 1 {
        return Typed::null(Type::Int64, span);
    }
    let length = call(cx, span, "length", vec![array])?;
    call(cx, span, "nullIf", vec![length, Typed::int(0, span)])
}

fn series(cx: &dyn PlanContext, span: Span, mut args: Vec<Typed>) -> Result<Typed> {
    if args.iter().any(|arg| arg.ty.is_temporal() || arg.ty == Type::Interval) {
        if args.len() == 2 {
            let message = "a series of times needs an interval as its third argument";
            let kind = crate::error::ErrorKind::UnknownFunction;
            return Err(crate::error::Error::new(kind, message));
        }
        args.push(Typed::bool(true, span));
        return call(cx, span, "__times", args);
    }
    let step = if args.len() == 3 { args.pop() } else { None };
    let step = step.unwrap_or_else(|| Typed::int(1, span));
    let [start, stop] = two(args)?;
    // The end of a range is not part of it.
    let direction = call(cx, span, "sign", vec![step.clone()])?;
    let direction = call(cx, span, "toInt", vec![direction])?;
    let end = call(cx, span, "plus", vec![stop, direction])?;
    call(cx, span, "range", vec![start, end, step])
}
