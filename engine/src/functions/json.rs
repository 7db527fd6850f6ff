//! JSON text.

pub mod property;
pub mod scan;
pub mod write;

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, ListBuilder, Scalar, StringViewBuilder, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::{Float64Type, Int64Type};
use hedgerow_parser::Span;

use self::scan::Step;
use super::aggregates::default_value;
use super::arguments::Arguments;
use super::conversions::{self, convert};
use super::function::{Arg, Argument, Function, Nulls, Returns};
use super::{PlanContext, Typed, call};
use crate::error::{Error, Result};
use crate::types::Type;

/// A function of the value at a path; the closure gets none where there is no value.
macro_rules! at_path {
    ($name:literal, $returns:expr, $build:ident, $value:expr, $doc:literal, $($example:tt),+) => {
        Function::scalar($name, &[Arg::Text, Arg::Any], $returns, |args| {
            let paths = Paths::new(args, args.count());
            Ok(args.$build(|row| {
                let found: Option<&str> = paths.find(row)?;
                ($value)(found)
            }))
        })
        .optional(1)
        .variadic()
        .towards_leaves()
        .doc($doc)
        .examples(&[$($example),+])
    };
}

/// Reading and writing JSON.
pub(super) const FUNCTIONS: &[Function] = &[
    Function::scalar("JSONExtractString", &[Arg::Text, Arg::Any], Returns::Text, |args| {
        let paths = Paths::new(args, args.count());
        args.texts(|row, out| {
            let Some(found) = paths.find(row) else { return Ok(None) };
            if let Some(value) = found {
                write_string(value, out);
            }
            Ok(Some(()))
        })
    })
    .optional(1)
    .variadic()
    .towards_leaves()
    .doc("The value at a path as text, other values as they are written; '' if none or null.")
    .examples(&[
        ("JSONExtractString('{\"a\":\"x\"}', 'a')", "x"),
        ("JSONExtractString('{\"a\":{\"b\":5}}', 'a', 'b')", "5"),
        ("JSONExtractString('{}', 'a')", ""),
    ]),
    at_path!(
        "JSONExtractInt",
        Returns::Int,
        ints,
        |found: Option<&str>| Some(integer(found)),
        "The integer at a path, without its fraction; 0 if there is none.",
        ("JSONExtractInt('{\"a\":5}', 'a')", "5"),
        ("JSONExtractInt('{\"a\":\"x\"}', 'a')", "0")
    )
    .aliases(&["JSONExtractUInt"]),
    at_path!(
        "JSONExtractFloat",
        Returns::Float,
        floats,
        |found: Option<&str>| Some(float(found)),
        "The number at a path; 0 if there is none.",
        ("JSONExtractFloat('{\"a\":5.5}', 'a')", "5.5")
    ),
    at_path!(
        "JSONExtractBool",
        Returns::Bool,
        bools,
        |found: Option<&str>| {
            Some(
                found == Some("true")
                    || found
                        .is_some_and(|value| float(Some(value)) != 0.0 && !value.starts_with('"')),
            )
        },
        "The boolean at a path; false if there is none.",
        ("JSONExtractBool('{\"a\":true}', 'a')", "true")
    ),
    at_path!(
        "JSONExtractRaw",
        Returns::Text,
        strs,
        |found: Option<&str>| Some(found.unwrap_or("").to_owned()),
        "The JSON text at a path, as it is written; '' if there is none.",
        ("JSONExtractRaw('{\"a\":[1,2]}', 'a')", "[1,2]")
    ),
    at_path!(
        "JSONHas",
        Returns::Bool,
        bools,
        |found: Option<&str>| Some(found.is_some()),
        "True if there is a value at a path, be it null.",
        ("JSONHas('{\"a\":null}', 'a')", "true"),
        ("JSONHas('{}', 'a')", "false")
    ),
    at_path!(
        "JSONLength",
        Returns::Int,
        ints,
        |found: Option<&str>| { Some(found.map_or(0, |value| scan::entries(value).len() as i64)) },
        "The number of elements or members at a path; 0 for other values.",
        ("JSONLength('{\"a\":[1,2]}', 'a')", "2"),
        ("JSONLength('{\"a\":1}')", "1")
    )
    .aliases(&["JSONArrayLength"]),
    at_path!(
        "JSONType",
        Returns::Text,
        strs,
        |found: Option<&str>| Some(type_name(found)),
        "The kind of the value at a path: Object, Array, String, Int64, UInt64, Double, Bool, Null.",
        ("JSONType('{\"a\":1.5}', 'a')", "Double"),
        ("JSONType('[1]')", "Array")
    ),
    Function::scalar("JSONExtractArrayRaw", &[Arg::Text, Arg::Any], Returns::Texts, |args| {
        lists(args, |entry, out| out.append_value(entry.1), '[')
    })
    .optional(1)
    .variadic()
    .towards_leaves()
    .doc("The elements of the array at a path as JSON texts.")
    .examples(&[("JSONExtractArrayRaw('[1,\"x\"]')", "['1','\"x\"']")]),
    Function::scalar("JSONExtractKeys", &[Arg::Text, Arg::Any], Returns::Texts, |args| {
        lists(args, |entry, out| out.append_value(entry.0.as_deref().unwrap_or("")), '{')
    })
    .optional(1)
    .variadic()
    .towards_leaves()
    .doc("The keys of the object at a path.")
    .examples(&[("JSONExtractKeys('{\"a\":1,\"b\":2}')", "['a','b']")]),
    Function::scalar(
        "JSONExtractKeysAndValuesRaw",
        &[Arg::Text, Arg::Any],
        Returns::Derived(|_| Ok(Type::tuple([Type::String, Type::String]).array())),
        keys_and_values,
    )
    .optional(1)
    .variadic()
    .towards_leaves()
    .doc("The keys and values, as JSON texts, of the object at a path.")
    .examples(&[("JSONExtractKeysAndValuesRaw('{\"a\":1}')", "[('a','1')]")]),
    Function::rewrite("JSONExtract", &[Arg::Text, Arg::Any, Arg::Any], extract)
        .optional(1)
        .variadic()
        .doc(
            "The value at a path as the type of the constant name given last. What does not fit \
             gives the default of the type (0, '', ...), or NULL if the type is Nullable.",
        )
        .examples(&[
            ("JSONExtract('{\"a\":[1,2]}', 'a', 'Array(Int64)')", "[1,2]"),
            ("JSONExtract('{\"a\":\"x\"}', 'a', 'String')", "x"),
            ("JSONExtract('{\"a\":\"x\"}', 'a', 'Int64')", "0"),
            ("JSONExtract('{\"a\":\"x\"}', 'a', 'Nullable(Int64)')", "NULL"),
        ]),
    Function::scalar(
        "__jsonExtract",
        &[Arg::Text, Arg::Any],
        Returns::Derived(last_type),
        extracted,
    )
    .variadic()
    .nulls(Nulls::Custom)
    .doc(
        "The value at a path as the type of the last argument, which stands for what does not fit.",
    ),
    Function::scalar("isValidJSON", &[Arg::Text], Returns::Bool, |args| {
        let texts = args.text(0);
        Ok(args.bools(|row| Some(scan::is_valid(texts.get(row)?))))
    })
    .doc("True if the text is well-formed JSON.")
    .examples(&[("isValidJSON('{\"a\":1}')", "true"), ("isValidJSON('{a:1}')", "false")]),
    Function::scalar("toJSONString", &[Arg::Any], Returns::Json, write::to_json)
        .doc("Any value as JSON text.")
        .examples(&[
            ("toJSONString(['a', 'b\"'])", "[\"a\",\"b\\\"\"]"),
            ("toJSONString(1.5)", "1.5"),
        ]),
];

/// The paths of a call: the same for all rows, or spelled by each.
struct Paths<'a> {
    args: &'a Arguments<'a>,
    end: usize,
    constant: Option<Vec<Step<'a>>>,
}

impl<'a> Paths<'a> {
    /// The path in the arguments from the second one up to `end`.
    fn new(args: &'a Arguments<'a>, end: usize) -> Self {
        Self { args, end, constant: property::constant_path(args, 1..end) }
    }

    /// Outer none for a NULL document; inner none where it has no such value.
    #[expect(clippy::option_option, reason = "NULL and absent are two different answers")]
    fn find(&self, row: usize) -> Option<Option<&'a str>> {
        let json = self.args.text(0).get(row)?;
        if let Some(path) = &self.constant {
            return Some(scan::find(json, path));
        }
        let path: Option<Vec<_>> =
            (1..self.end).map(|index| property::step(self.args, index, row)).collect();
        Some(scan::find(json, &path?))
    }
}

fn write_string(value: &str, out: &mut String) {
    match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(raw) => scan::unescape_into(raw, out),
        None if value == "null" => {}
        None => out.push_str(value),
    }
}

/// A JSON number, or a string that holds one.
fn number_text(value: Option<&str>) -> Option<Cow<'_, str>> {
    let value = value?;
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    Some(scan::unescape(inner.unwrap_or(value)))
}

fn integer(value: Option<&str>) -> i64 {
    number_text(value).and_then(|text| property::integer(&text)).unwrap_or(0)
}

fn float(value: Option<&str>) -> f64 {
    number_text(value).and_then(|text| text.parse().ok()).unwrap_or(0.0)
}

fn type_name(value: Option<&str>) -> &'static str {
    let Some(value) = value else { return "Null" };
    match value.as_bytes().first() {
        Some(b'{') => "Object",
        Some(b'[') => "Array",
        Some(b'"') => "String",
        Some(b't' | b'f') => "Bool",
        Some(b'-' | b'0'..=b'9') if value.parse::<i64>().is_ok() => "Int64",
        Some(b'0'..=b'9') if value.parse::<u64>().is_ok() => "UInt64",
        Some(b'-' | b'0'..=b'9') => "Double",
        _ => "Null",
    }
}

fn lists(
    args: &Arguments<'_>,
    append: fn(&scan::Entry<'_>, &mut StringViewBuilder),
    opening: char,
) -> Result<ArrayRef> {
    let paths = Paths::new(args, args.count());
    let mut builder =
        ListBuilder::new(StringViewBuilder::new()).with_field(Type::String.item_field());
    for row in 0..args.rows {
        let found = paths.find(row);
        if let Some(Some(value)) = found
            && value.starts_with(opening)
        {
            scan::entries(value).iter().for_each(|entry| append(entry, builder.values()));
        }
        builder.append(found.is_some());
    }
    Ok(Arc::new(builder.finish()))
}

fn keys_and_values(args: &Arguments<'_>) -> Result<ArrayRef> {
    let paths = Paths::new(args, args.count());
    let (mut keys, mut values) = (StringViewBuilder::new(), StringViewBuilder::new());
    let (mut lengths, mut present) = (Vec::with_capacity(args.rows), Vec::with_capacity(args.rows));
    for row in 0..args.rows {
        let found = paths.find(row);
        let object = found.flatten().filter(|value| value.starts_with('{'));
        let entries = object.map(scan::entries).unwrap_or_default();
        for (key, value) in &entries {
            keys.append_value(key.as_deref().unwrap_or(""));
            values.append_value(value);
        }
        lengths.push(entries.len());
        present.push(found.is_some());
    }
    let Type::Array(pair) = args.returns else {
        return Err(Error::internal("the result is an array"));
    };
    let field = pair.item_field();
    let arrow::datatypes::DataType::Struct(fields) = field.data_type() else {
        return Err(Error::internal("the elements are pairs"));
    };
    let columns: Vec<ArrayRef> = vec![Arc::new(keys.finish()), Arc::new(values.finish())];
    let pairs = StructArray::try_new(fields.clone(), columns, None)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    let list = arrow::array::ListArray::try_new(
        Arc::clone(&field),
        offsets,
        Arc::new(pairs),
        Some(present.into()),
    )?;
    Ok(Arc::new(list))
}

fn extract(cx: &dyn PlanContext, span: Span, mut args: Vec<Typed>) -> Result<Typed> {
    let name = args.pop().ok_or_else(|| Error::internal("arguments were not counted"))?;
    let target = conversions::named_type(cx, &name)?;
    if !is_extracted(&target) {
        return Err(Error::unsupported(format!("JSONExtract cannot make {target}"))
            .at(name.span)
            .hint("Extract Array(...) of numbers, text, dates or UUIDs, or the raw text."));
    }
    let nullable = name.as_text().is_some_and(|name| name.trim().starts_with("Nullable"));
    args.push(if nullable {
        Typed::null(target, span)?
    } else {
        Typed::constant(default_value(&target)?, target, span)
    });
    call(cx, span, "__jsonExtract", args)
}

/// True for the types that a JSON value is read as.
fn is_extracted(ty: &Type) -> bool {
    match ty {
        Type::Array(element) => is_extracted(element),
        Type::Json => true,
        ty => convert::possible(&Type::String, ty),
    }
}

fn last_type(args: &[Argument<'_>]) -> Result<Type> {
    args.last().map(|arg| arg.ty.clone()).ok_or_else(|| Error::internal("no target type"))
}

fn extracted(args: &Arguments<'_>) -> Result<ArrayRef> {
    let last = args.count() - 1;
    let paths = Paths::new(args, last);
    let found: Vec<_> = (0..args.rows).map(|row| paths.find(row)).collect();
    let texts: Vec<_> = found.iter().map(|found| found.flatten()).collect();
    let values = build(&texts, args.returns)?;
    // NULL where the document is, the default where it has no such value.
    let fits = |row: usize| values.is_valid(row) || found[row].is_none();
    let fits: BooleanArray = (0..args.rows).map(|row| Some(fits(row))).collect();
    Ok(zip(&fits, &values, &Scalar::new(Arc::clone(args.raw(last))))?)
}

fn build(values: &[Option<&str>], ty: &Type) -> Result<ArrayRef> {
    let plain = |value: &Option<&str>| -> Option<String> {
        let value = value.filter(|value| *value != "null")?;
        let mut text = String::new();
        write_string(value, &mut text);
        Some(text)
    };
    match ty {
        Type::Array(element) => {
            let arrays: Vec<_> = values
                .iter()
                .map(|value| value.filter(|value| value.starts_with('[')).map(scan::entries))
                .collect();
            let lengths = arrays.iter().map(|array| array.as_ref().map_or(0, Vec::len));
            let offsets = OffsetBuffer::from_lengths(lengths);
            let nulls = arrays.iter().map(Option::is_some).collect::<Vec<_>>().into();
            let elements: Vec<_> =
                arrays.iter().flatten().flatten().map(|(_, value)| Some(*value)).collect();
            let list = arrow::array::ListArray::try_new(
                element.item_field(),
                offsets,
                build(&elements, element)?,
                Some(nulls),
            )?;
            Ok(Arc::new(list))
        }
        Type::Json => {
            Ok(Arc::new(arrow::array::StringViewArray::from_iter(values.iter().copied())))
        }
        // A fraction is cut off, as by JSONExtractInt.
        Type::Int64 => {
            let numbers = values.iter().map(|value| {
                let float = plain(value)?.parse::<f64>().ok()?;
                plain(value)?.parse().ok().or(float.is_finite().then_some(float as i64))
            });
            Ok(Arc::new(numbers.collect::<arrow::array::PrimitiveArray<Int64Type>>()))
        }
        Type::Float64 => {
            let numbers = values.iter().map(|value| plain(value)?.parse().ok());
            Ok(Arc::new(numbers.collect::<arrow::array::PrimitiveArray<Float64Type>>()))
        }
        ty => {
            let texts: ArrayRef =
                Arc::new(values.iter().map(plain).collect::<arrow::array::StringViewArray>());
            convert::convert(&texts, &Type::String, ty, convert::Strictness::NullOnFailure)
        }
    }
}
