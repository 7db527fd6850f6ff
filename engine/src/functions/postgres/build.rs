//! JSON documents made of values, and taken apart into rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListBuilder, StringViewBuilder};

use crate::error::{Error, ErrorKind, Result};
use crate::functions::arguments::Arguments;
use crate::functions::arithmetic::one;
use crate::functions::function::{Arg, Function, Nulls, Returns};
use crate::functions::json::scan::{self, Entry};
use crate::functions::json::write::{Writer, write_list};
use crate::functions::{Typed, call};
use crate::types::Type;

/// Building documents and taking them apart.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    Function::rewrite("to_jsonb", &[Arg::Any], |cx, span, args| {
        let value = one(args)?;
        if value.ty == Type::Json {
            return Ok(value);
        }
        let text = call(cx, span, "toJSONString", vec![value])?;
        Ok(Typed { ty: Type::Json, ..text })
    })
    .aliases(&["to_json", "array_to_json"])
    .doc("A value as JSON: a text in quotes, an array as an array.")
    .examples(&[("to_jsonb('a')", "\"a\""), ("to_jsonb([1, 2])", "[1,2]")]),
    Function::scalar("jsonb_build_array", &[Arg::Any], Returns::Json, |args| {
        let arrays = expanded(args)?;
        let writers = writers(args, &arrays)?;
        args.texts(|row, out| {
            write_list('[', ']', 0..writers.len() as i32, out, |index, out| {
                writers[index as usize].write(row, out);
            });
            Ok(Some(()))
        })
    })
    .aliases(&["json_build_array"])
    .optional(1)
    .variadic()
    .nulls(Nulls::Absorb)
    .doc("A JSON array of the arguments.")
    .examples(&[("jsonb_build_array(1, 'a', NULL)", "[1,\"a\",null]")]),
    Function::scalar("jsonb_build_object", &[Arg::Any], Returns::Json, |args| {
        if args.count() % 2 == 1 {
            let message =
                "an object is built of keys and values, so of an even number of arguments";
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let arrays = expanded(args)?;
        let writers = writers(args, &arrays)?;
        args.texts(|row, out| {
            out.push('{');
            for (index, pair) in writers.chunks(2).enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                if arrays[index * 2].is_null(row) {
                    return Err(null_key());
                }
                pair[0].write_key(row, out);
                out.push(':');
                pair[1].write(row, out);
            }
            out.push('}');
            Ok(Some(()))
        })
    })
    .aliases(&["json_build_object"])
    .optional(1)
    .variadic()
    .nulls(Nulls::Absorb)
    .doc("A JSON object of keys and values in turn.")
    .examples(&[("jsonb_build_object('a', 1, 'b', NULL)", "{\"a\":1,\"b\":null}")]),
    Function::scalar("__jsonObject", &[Arg::Array], Returns::Json, object_of_pairs)
        .doc("A JSON object of an array of keys and values."),
    Function::scalar("jsonb_typeof", &[Arg::Text], Returns::Text, |args| {
        let documents = args.text(0);
        args.try_strs(|row| {
            let Some(json) = documents.get(row) else { return Ok(None) };
            kind(json).map(Some)
        })
    })
    .aliases(&["json_typeof"])
    .doc("What a document is: object, array, string, number, boolean or null.")
    .examples(&[("jsonb_typeof('[1]')", "array"), ("jsonb_typeof('1.5')", "number")]),
    Function::scalar("jsonb_array_length", &[Arg::Text], Returns::Int, |args| {
        let documents = args.text(0);
        args.try_primitives::<arrow::datatypes::Int64Type>(|row| {
            let Some(json) = documents.get(row) else { return Ok(None) };
            Ok(Some(members(json, "array")?.len() as i64))
        })
    })
    .aliases(&["json_array_length"])
    .doc("How many elements a JSON array has.")
    .examples(&[("jsonb_array_length('[1,2]')", "2")]),
    Function::scalar(
        "jsonb_array_elements",
        &[Arg::Text],
        Returns::Derived(|_| Ok(Type::Json.array())),
        |args| lists(args, "array", &Type::Json, |(_, value), out| out.append_value(value)),
    )
    .aliases(&["json_array_elements"])
    .doc("The elements of a JSON array.")
    .examples(&[("length(jsonb_array_elements('[1,\"a\"]'))", "2")]),
    Function::scalar("jsonb_array_elements_text", &[Arg::Text], Returns::Texts, |args| {
        lists(args, "array", &Type::String, |(_, value), out| append_text(value, out))
    })
    .aliases(&["json_array_elements_text"])
    .doc("The elements of a JSON array as texts; NULL for null.")
    .examples(&[("jsonb_array_elements_text('[1,\"a\",null]')", "['1','a',NULL]")]),
    Function::scalar("jsonb_object_keys", &[Arg::Text], Returns::Texts, |args| {
        lists(args, "object", &Type::String, |(key, _), out| out.append_option(key.as_deref()))
    })
    .aliases(&["json_object_keys"])
    .doc("The keys of a JSON object, in their order.")
    .examples(&[("jsonb_object_keys('{\"a\":1,\"b\":2}')", "['a','b']")]),
    Function::scalar(
        "__jsonValues",
        &[Arg::Text],
        Returns::Derived(|_| Ok(Type::Json.array())),
        |args| lists(args, "object", &Type::Json, |(_, value), out| out.append_value(value)),
    )
    .doc("The values of a JSON object, in their order."),
    Function::scalar("__jsonValueTexts", &[Arg::Text], Returns::Texts, |args| {
        lists(args, "object", &Type::String, |(_, value), out| append_text(value, out))
    })
    .doc("The values of a JSON object as texts, in their order."),
];

fn expanded(args: &Arguments<'_>) -> Result<Vec<ArrayRef>> {
    (0..args.count()).map(|index| args.expanded(index)).collect()
}

fn writers<'a>(args: &Arguments<'_>, arrays: &'a [ArrayRef]) -> Result<Vec<Writer<'a>>> {
    arrays.iter().zip(args.types).map(|(array, ty)| Writer::new(array, ty)).collect()
}

fn null_key() -> Error {
    Error::new(ErrorKind::InvalidArgument, "a key of an object cannot be NULL")
}

fn object_of_pairs(args: &Arguments<'_>) -> Result<ArrayRef> {
    let Type::Array(pair) = &args.types[0] else {
        return Err(Error::internal("arguments were not converted"));
    };
    let Type::Tuple(elements) = pair.as_ref() else {
        return Err(Error::internal("the array has no pairs"));
    };
    let lists = args.list(0);
    let offsets = lists.array().value_offsets();
    let pairs = lists.array().values().as_struct();
    let (keys, values) = (pairs.column(0), pairs.column(1));
    let (key, value) = (Writer::new(keys, &elements[0].1)?, Writer::new(values, &elements[1].1)?);
    args.texts(|row, out| {
        if lists.get(row).is_none() {
            return Ok(None);
        }
        let row = if args.is_constant(0) { 0 } else { row };
        let range = offsets[row]..offsets[row + 1];
        if range.clone().any(|index| keys.is_null(index as usize)) {
            return Err(null_key());
        }
        write_list('{', '}', range, out, |index, out| {
            key.write_key(index as usize, out);
            out.push(':');
            value.write(index as usize, out);
        });
        Ok(Some(()))
    })
}

fn kind(json: &str) -> Result<&'static str> {
    let malformed = || {
        let start: String = json.chars().take(20).collect();
        Error::new(ErrorKind::InvalidText, format!("'{start}' is no JSON document"))
    };
    if !scan::is_valid(json) {
        return Err(malformed());
    }
    Ok(match json.trim_start().as_bytes().first().ok_or_else(malformed)? {
        b'{' => "object",
        b'[' => "array",
        b'"' => "string",
        b't' | b'f' => "boolean",
        b'n' => "null",
        _ => "number",
    })
}

/// The members of an array or object.
fn members<'j>(json: &'j str, wanted: &str) -> Result<Vec<Entry<'j>>> {
    let found = kind(json)?;
    if found != wanted {
        let message = format!("expected a JSON {wanted}, found {found}");
        return Err(Error::new(ErrorKind::InvalidArgument, message));
    }
    Ok(scan::entries(json))
}

fn lists(
    args: &Arguments<'_>,
    wanted: &str,
    item: &Type,
    append: fn(Entry<'_>, &mut StringViewBuilder),
) -> Result<ArrayRef> {
    let documents = args.text(0);
    let mut builder = ListBuilder::new(StringViewBuilder::new()).with_field(item.item_field());
    for row in 0..args.rows {
        let Some(json) = documents.get(row) else {
            builder.append_null();
            continue;
        };
        members(json, wanted)?.into_iter().for_each(|entry| append(entry, builder.values()));
        builder.append(true);
    }
    Ok(Arc::new(builder.finish()))
}

/// A value as text: a string without its quotes, NULL for null.
fn append_text(value: &str, out: &mut StringViewBuilder) {
    match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(raw) => out.append_value(scan::unescape(raw)),
        None if value == "null" => out.append_null(),
        None => out.append_value(value),
    }
}
