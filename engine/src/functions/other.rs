//! Encodings, random values, readable forms, and what fits nowhere else.

use std::fmt::Write as _;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryBuilder};
use arrow::datatypes::{Float64Type, Int64Type, UInt64Type};
use hedgerow_parser::Span;

use super::arguments::Arguments;
use super::arithmetic::{exactly, one, two};
use super::coerce::common;
use super::comparison::compare;
use super::conditions::case;
use super::function::{Arg, Function, Nulls, Returns};
use super::strings::text_of_text;
use super::{PlanContext, Typed};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Type;

/// A number in a readable form.
macro_rules! readable {
    ($name:literal, $write:expr, $doc:literal, $example:literal, $result:literal) => {
        Function::scalar($name, &[Arg::Float], Returns::Text, |args| {
            let write: fn(f64, &mut String) = $write;
            let values = args.float(0);
            args.texts(|row, out| Ok(values.get(row).map(|value| write(value, out))))
        })
        .doc($doc)
        .examples(&[($example, $result)])
    };
}

/// Encodings and the rest.
pub(super) const FUNCTIONS: &[Function] = &[
    Function::scalar("__only", &[Arg::Any, Arg::Int], Returns::First, only)
        .nulls(Nulls::Custom)
        .doc("The first argument; an error where the second, a number of rows, is above 1.")
        .examples(&[("__only('a', 1)", "a")]),
    Function::scalar("hex", &[Arg::Any], Returns::Text, hex)
        .doc("Bytes or a number in hexadecimal digits.")
        .examples(&[
            ("hex('abc')", "616263"),
            ("hex(255)", "FF"),
            ("hex(1.5)", "000000000000F83F"),
        ]),
    Function::scalar("unhex", &[Arg::Text], Returns::Text, unhex)
        .doc("The text of hexadecimal digits.")
        .examples(&[("unhex('616263')", "abc")]),
    text_of_text!(
        "base64Encode",
        |text, out| encode_base64(text.as_bytes(), out),
        "The text in Base64.",
        ("base64Encode('abc')", "YWJj"),
        ("base64Encode('a')", "YQ==")
    ),
    Function::scalar("base64Decode", &[Arg::Text], Returns::Text, |args| {
        decode_rows(args, "Base64", decode_base64, OnFailure::Error)
    })
    .doc("The text that Base64 stands for; an error if it is none.")
    .examples(&[("base64Decode('YWJj')", "abc")]),
    Function::scalar("tryBase64Decode", &[Arg::Text], Returns::Text, |args| {
        decode_rows(args, "Base64", decode_base64, OnFailure::Empty)
    })
    .doc("The text that Base64 stands for; '' if it is none.")
    .examples(&[("tryBase64Decode('YWJj')", "abc"), ("tryBase64Decode('!')", "")]),
    Function::scalar("generateUUIDv4", &[], Returns::Uuid, |args| {
        let mut builder = FixedSizeBinaryBuilder::with_capacity(args.rows, 16);
        for _ in 0..args.rows {
            builder.append_value(uuid::Uuid::new_v4().as_bytes())?;
        }
        Ok(std::sync::Arc::new(builder.finish()))
    })
    .volatile()
    .doc("A random UUID, another one for each row.")
    .examples(&[("generateUUIDv4() != generateUUIDv4()", "true")]),
    Function::scalar("rand", &[], Returns::Int, |args| {
        Ok(args.ints(|_| Some(rand::random::<u32>().into())))
    })
    .aliases(&["rand32"])
    .volatile()
    .doc("A random integer from 0 to 4294967295, another one for each row.")
    .examples(&[("rand() >= 0", "true")]),
    Function::scalar("randCanonical", &[], Returns::Float, |args| {
        Ok(args.floats(|_| Some(rand::random())))
    })
    .aliases(&["random"])
    .volatile()
    .doc("A random float from 0 up to 1, another one for each row.")
    .examples(&[("randCanonical() < 1", "true")]),
    Function::rewrite("identity", &[Arg::Any], same)
        .doc("The argument.")
        .examples(&[("identity(1)", "1")]),
    Function::rewrite("materialize", &[Arg::Any], same)
        .doc("The argument. ClickHouse needs it to make constants columns.")
        .examples(&[("materialize(1)", "1")]),
    Function::rewrite("indexHint", &[Arg::Any], |_, span, _| Ok(Typed::bool(true, span)))
        .variadic()
        .doc("True. ClickHouse uses the argument to choose what to read.")
        .examples(&[("indexHint(1 = 2)", "true")]),
    Function::rewrite("transform", &[Arg::Any, Arg::Array, Arg::Array, Arg::Any], transform)
        .optional(1)
        .doc(
            "The element of the third argument at the place where the second has the value; \
             otherwise the fourth argument, by default the value.",
        )
        .examples(&[
            ("transform(1, [1, 2], ['a', 'b'], 'c')", "a"),
            ("transform(3, [1, 2], [10, 20])", "3"),
        ]),
    Function::scalar("throwIf", &[Arg::Bool, Arg::Text], Returns::Bool, throw_if)
        .optional(1)
        .doc("An error with the text of the second argument where the first is true.")
        .examples(&[("throwIf(false, 'no')", "false"), ("throwIf(true, 'no')", "error: no")]),
    Function::rewrite("version", &[], |_, span, _| {
        Ok(Typed::text(env!("CARGO_PKG_VERSION"), span))
    })
    .doc("The version of Hedgerow.")
    .examples(&[("length(version()) > 0", "true")]),
    readable!(
        "formatReadableSize",
        |value, out| scaled(value, 1024.0, &BINARY, out),
        "Bytes in units of 1024.",
        "formatReadableSize(1500)",
        "1.46 KiB"
    ),
    readable!(
        "formatReadableDecimalSize",
        |value, out| scaled(value, 1000.0, &DECIMAL, out),
        "Bytes in units of 1000.",
        "formatReadableDecimalSize(1500)",
        "1.50 KB"
    ),
    readable!(
        "formatReadableQuantity",
        |value, out| scaled(value, 1000.0, &QUANTITIES, out),
        "A number with thousand, million, and so on.",
        "formatReadableQuantity(1500000)",
        "1.50 million"
    ),
    readable!(
        "formatReadableTimeDelta",
        time_delta,
        "Seconds as hours, minutes, and so on.",
        "formatReadableTimeDelta(3661)",
        "1 hour, 1 minute and 1 second"
    ),
    Function::scalar("xxHash64", &[Arg::Text], Returns::Derived(|_| Ok(Type::UInt64)), |args| {
        let texts = args.text(0);
        Ok(args.primitives::<UInt64Type>(|row| {
            Some(twox_hash::XxHash64::oneshot(0, texts.get(row)?.as_bytes()))
        }))
    })
    .doc("The 64-bit xxHash of a text.")
    .examples(&[("xxHash64('a')", "15154266338359012955")]),
];

const BINARY: [&str; 7] = [" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"];
const DECIMAL: [&str; 7] = [" B", " KB", " MB", " GB", " TB", " PB", " EB"];
const QUANTITIES: [&str; 6] =
    ["", " thousand", " million", " billion", " trillion", " quadrillion"];

fn same(_: &dyn PlanContext, _: Span, args: Vec<Typed>) -> Result<Typed> {
    one(args)
}

fn scaled(value: f64, base: f64, units: &[&str], out: &mut String) {
    let mut scaled = value;
    let mut unit = 0;
    while scaled.abs() >= base && unit + 1 < units.len() {
        scaled /= base;
        unit += 1;
    }
    let _ = write!(out, "{scaled:.2}{}", units[unit]);
}

fn time_delta(seconds: f64, out: &mut String) {
    const UNITS: [(u64, &str); 6] = [
        (31_556_952, "year"),
        (2_629_746, "month"),
        (86_400, "day"),
        (3600, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let mut rest = seconds.abs() as u64;
    let mut parts = Vec::new();
    for (length, unit) in UNITS {
        let count = rest / length;
        rest %= length;
        if count > 0 {
            parts.push(format!("{count} {unit}{}", if count == 1 { "" } else { "s" }));
        }
    }
    out.push_str(if seconds < 0.0 { "-" } else { "" });
    match parts.split_last() {
        None => out.push_str("0 seconds"),
        Some((last, [])) => out.push_str(last),
        Some((last, others)) => {
            let _ = write!(out, "{} and {last}", others.join(", "));
        }
    }
}

fn hex(args: &Arguments<'_>) -> Result<ArrayRef> {
    let array = args.expanded(0)?;
    match &args.types[0] {
        Type::String | Type::Json => {
            let texts = args.text(0);
            args.texts(|row, out| Ok(texts.get(row).map(|text| write_hex(text.as_bytes(), out))))
        }
        Type::Uuid => {
            let uuids = args.uuid(0);
            args.texts(|row, out| Ok(uuids.get(row).map(|uuid| write_hex(uuid, out))))
        }
        ty if ty.is_float() => {
            let args = args.cast(&Type::Float64)?;
            let values = args.raw(0).as_primitive::<Float64Type>();
            let place = |row: usize| if args.is_constant(0) { 0 } else { row };
            args.texts(|row, out| {
                let row = place(row);
                let value = values.is_valid(row).then(|| values.value(row));
                Ok(value.map(|value| write_hex(&value.to_le_bytes(), out)))
            })
        }
        ty if ty.is_integer() => {
            let wide = arrow::compute::cast(&array, &Type::Int64.to_arrow())?;
            let values = wide.as_primitive::<Int64Type>();
            args.texts(|row, out| {
                let value = values.is_valid(row).then(|| values.value(row));
                Ok(value.map(|value| {
                    // Whole bytes, without those that are zero in front.
                    let bytes = value.to_be_bytes();
                    let skipped = bytes.iter().take(7).take_while(|byte| **byte == 0).count();
                    write_hex(&bytes[skipped..], out);
                }))
            })
        }
        ty => Err(Error::new(ErrorKind::TypeMismatch, format!("hex does not take {ty}"))),
    }
}

fn write_hex(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        let _ = write!(out, "{byte:02X}");
    }
}

fn unhex(args: &Arguments<'_>) -> Result<ArrayRef> {
    decode_rows(args, "hexadecimal", decode_hex, OnFailure::Error)
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let padded = if text.len() % 2 == 1 { format!("0{text}") } else { text.to_owned() };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pair = |pair: &[u8]| Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8);
    padded.as_bytes().chunks_exact(2).map(pair).collect()
}

#[derive(Clone, Copy)]
enum OnFailure {
    Error,
    Empty,
}

/// Decodes texts into bytes that have to be text again.
fn decode_rows(
    args: &Arguments<'_>,
    what: &str,
    decode: fn(&str) -> Option<Vec<u8>>,
    on_failure: OnFailure,
) -> Result<ArrayRef> {
    let texts = args.text(0);
    args.texts(|row, out| {
        let Some(text) = texts.get(row) else { return Ok(None) };
        let decoded = decode(text).and_then(|bytes| String::from_utf8(bytes).ok());
        match (decoded, on_failure) {
            (Some(decoded), _) => out.push_str(&decoded),
            (None, OnFailure::Empty) => {}
            (None, OnFailure::Error) => {
                let message = format!("the argument is no text in {what} form");
                return Err(Error::new(ErrorKind::InvalidText, message));
            }
        }
        Ok(Some(()))
    })
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode_base64(bytes: &[u8], out: &mut String) {
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = (word >> (18 - 6 * digit)) & 63;
            let used = digit <= chunk.len();
            out.push(if used { char::from(BASE64[value as usize]) } else { '=' });
        }
    }
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let body = text.trim_end_matches('=');
    if text.len() - body.len() > 2 {
        return None;
    }
    let value = |byte: u8| BASE64.iter().position(|known| *known == byte);
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in body.as_bytes().chunks(4) {
        let mut word = 0_u32;
        for index in 0..4 {
            let digit = chunk.get(index).map_or(Some(0), |byte| value(*byte))?;
            word = word << 6 | digit as u32;
        }
        let [_, a, b, c] = word.to_be_bytes();
        bytes.extend(&[a, b, c][..chunk.len().checked_sub(1)?]);
    }
    Some(bytes)
}

/// `CASE value WHEN from[1] THEN to[1] … ELSE otherwise END`, for constant arrays.
fn transform(cx: &dyn PlanContext, span: Span, mut args: Vec<Typed>) -> Result<Typed> {
    let otherwise = (args.len() == 4).then(|| args.pop()).flatten();
    let [value, from, to] = exactly(args)?;
    let from = super::call(cx, span, "indexOf", vec![from, value.clone()])?;
    let found = super::call(cx, span, "arrayElement", vec![to, from.clone()])?;
    let otherwise = otherwise.unwrap_or(value);
    let zero = Typed::int(0, span);
    let hit = compare(cx, hedgerow_parser::ast::BinaryOp::Gt, from, zero, true, span)?;
    let (values, _) = common(vec![found, otherwise], cx.timezone())?;
    let [found, otherwise] = two(values)?;
    case(cx, span, vec![(hit, found)], Some(otherwise))
}

fn throw_if(args: &Arguments<'_>) -> Result<ArrayRef> {
    let conditions = args.bool(0);
    let messages = (args.count() > 1).then(|| args.text(1));
    args.try_bools(|row| {
        let default = Some("the condition of throwIf holds");
        let message = messages.map_or(default, |messages| messages.get(row));
        match (conditions.get(row), message) {
            (Some(true), Some(message)) => Err(Error::new(ErrorKind::InvalidArgument, message)),
            (Some(false), Some(_)) => Ok(Some(false)),
            _ => Ok(None),
        }
    })
}

/// What a scalar subquery that is computed for many rows at once may give each of them.
fn only(args: &Arguments<'_>) -> Result<ArrayRef> {
    let rows = args.int(1);
    if (0..args.rows).any(|row| rows.get(row).is_some_and(|rows| rows > 1)) {
        let message = "a scalar subquery gave more than one row";
        return Err(Error::new(ErrorKind::Cardinality, message).hint("Add LIMIT 1, or aggregate."));
    }
    args.expanded(0)
}
