//! PostgreSQL's operators on JSON documents: `->`, `->>`, `#>`, `@>`, `?`.

use std::borrow::Cow;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use hedgerow_parser::Span;

use super::super::arguments::Arguments;
use super::super::arithmetic::two;
use super::super::function::{Arg, Function, Nulls, Returns};
use super::super::json::scan::{self, Step};
use super::super::{PlanContext, Typed, call};
use crate::error::{Error, Result};
use crate::types::Type;

/// Reading and comparing documents.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    Function::scalar("jsonb_extract_path", &[Arg::Text, Arg::Any], Returns::Json, |args| {
        let paths = Paths::new(args);
        Ok(args.strs(|row| paths.find(row).map(str::to_owned)))
    })
    .nulls(Nulls::Introduce)
    .variadic()
    .towards_leaves()
    .doc("The value at a path of keys and 0-based places, as JSON; NULL if there is none.")
    .examples(&[
        ("jsonb_extract_path('{\"a\":[1,{\"b\":2}]}', 'a', 1)", "{\"b\":2}"),
        ("jsonb_extract_path('{\"a\":1}', 'b')", "NULL"),
    ]),
    Function::scalar("jsonb_extract_path_text", &[Arg::Text, Arg::Any], Returns::Text, |args| {
        let paths = Paths::new(args);
        args.texts(|row, out| {
            let Some(value) = paths.find(row) else { return Ok(None) };
            match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                Some(raw) => scan::unescape_into(raw, out),
                None if value == "null" => return Ok(None),
                None => out.push_str(value),
            }
            Ok(Some(()))
        })
    })
    .nulls(Nulls::Introduce)
    .variadic()
    .towards_leaves()
    .aliases(&["json_extract_path_text"])
    .doc("The value at a path as text; NULL if there is none, or for JSON's null.")
    .examples(&[
        ("jsonb_extract_path_text('{\"a\":{\"b\":\"x\"}}', 'a', 'b')", "x"),
        ("jsonb_extract_path_text('{\"a\":[1,2]}', 'a', -1)", "2"),
    ]),
    Function::rewrite("jsonb_contains", &[Arg::Any, Arg::Any], contains)
        .doc("Whether the first document holds the second (a @> b); for arrays hasAll.")
        .examples(&[
            ("jsonb_contains('{\"a\":1,\"b\":2}', '{\"a\":1}')", "true"),
            ("jsonb_contains([1, 2], [3])", "false"),
        ]),
    Function::scalar("__jsonContains", &[Arg::Text, Arg::Text], Returns::Bool, |args| {
        let (outer, inner) = (args.text(0), args.text(1));
        Ok(args.bools(|row| Some(holds(outer.get(row)?, inner.get(row)?, true))))
    })
    .doc("Whether the first document holds the second."),
    Function::scalar("jsonb_exists", &[Arg::Text, Arg::Text], Returns::Bool, |args| {
        let (documents, keys) = (args.text(0), args.text(1));
        Ok(args.bools(|row| Some(has_key(documents.get(row)?, keys.get(row)?))))
    })
    .doc("Whether the document has the key, or the array the text (a ? b).")
    .examples(&[
        ("jsonb_exists('{\"a\":null}', 'a')", "true"),
        ("jsonb_exists('[\"a\"]', 'b')", "false"),
    ]),
    Function::scalar("jsonb_exists_any", &[Arg::Text, Arg::Texts], Returns::Bool, |args| {
        Ok(keys(args, false))
    })
    .doc("Whether the document has any of the keys (a ?| b).")
    .examples(&[("jsonb_exists_any('{\"a\":1}', ['a', 'b'])", "true")]),
    Function::scalar("jsonb_exists_all", &[Arg::Text, Arg::Texts], Returns::Bool, |args| {
        Ok(keys(args, true))
    })
    .doc("Whether the document has all of the keys (a ?& b).")
    .examples(&[("jsonb_exists_all('{\"a\":1}', ['a', 'b'])", "false")]),
];

/// The documents and paths of a call; an argument that is an array holds several steps.
struct Paths<'a> {
    args: &'a Arguments<'a>,
}

impl<'a> Paths<'a> {
    fn new(args: &'a Arguments<'a>) -> Self {
        Self { args }
    }

    fn find(&self, row: usize) -> Option<&'a str> {
        let documents = self.args.text(0);
        let mut value = documents.get(row)?;
        for index in 1..self.args.count() {
            let array = self.args.raw(index);
            let row = if self.args.is_constant(index) { 0 } else { row };
            if array.is_null(row) {
                return None;
            }
            value = match array.data_type() {
                DataType::Utf8View => at_text(value, array.as_string_view().value(row))?,
                DataType::List(_) => {
                    let steps = array.as_list::<i32>().value(row);
                    let steps = steps.as_string_view_opt()?;
                    steps.iter().try_fold(value, |value, step| at_text(value, step?))?
                }
                DataType::Int64 => at_index(value, array.as_primitive::<Int64Type>().value(row))?,
                _ => return None,
            };
        }
        Some(value)
    }
}

fn is_array(json: &str) -> bool {
    json.trim_start().starts_with('[')
}

/// The value of a key, or of a 0-based place that is written as text.
fn at_text<'j>(json: &'j str, step: &str) -> Option<&'j str> {
    if is_array(json) {
        return at_index(json, step.parse().ok()?);
    }
    scan::find(json, &[Step::Key(Cow::Borrowed(step))])
        .filter(|_| json.trim_start().starts_with('{'))
}

fn at_index(json: &str, index: i64) -> Option<&str> {
    let place = if index >= 0 { index.checked_add(1)? } else { index };
    if is_array(json) { scan::find(json, &[Step::Index(place)]) } else { None }
}

fn contains(cx: &dyn PlanContext, span: Span, args: Vec<Typed>) -> Result<Typed> {
    let [outer, inner] = two(args)?;
    if matches!(outer.ty, Type::Array(_)) || matches!(inner.ty, Type::Array(_)) {
        return call(cx, span, "hasAll", vec![outer, inner]);
    }
    let is_document = |value: &Typed| value.ty.is_text() || value.ty == Type::Null;
    if !is_document(&outer) || !is_document(&inner) {
        let message = format!("{} cannot contain {}", outer.ty, inner.ty);
        return Err(Error::new(crate::error::ErrorKind::TypeMismatch, message).at(span));
    }
    call(cx, span, "__jsonContains", vec![outer, inner])
}

/// PostgreSQL's containment: objects by their keys, arrays as sets; an array at the top also
/// holds a scalar that is among its elements.
fn holds(outer: &str, inner: &str, top: bool) -> bool {
    let (outer, inner) = (outer.trim(), inner.trim());
    if inner.starts_with('{') {
        return outer.starts_with('{')
            && scan::entries(inner).iter().all(|(key, value)| {
                let key = key.as_deref().unwrap_or_default();
                at_text(outer, key).is_some_and(|found| holds(found, value, false))
            });
    }
    if inner.starts_with('[') {
        let elements = scan::entries(outer);
        return outer.starts_with('[')
            && scan::entries(inner).iter().all(|(_, wanted)| {
                elements.iter().any(|(_, element)| holds(element, wanted, false))
            });
    }
    if outer.starts_with('[') {
        return top && scan::entries(outer).iter().any(|(_, element)| same(element, inner));
    }
    same(outer, inner)
}

/// Whether two scalars are the same value, however they are written.
fn same(a: &str, b: &str) -> bool {
    let text = |json: &str| -> Option<String> {
        let raw = json.trim().strip_prefix('"')?.strip_suffix('"')?;
        Some(scan::unescape(raw).into_owned())
    };
    match (text(a), text(b)) {
        (Some(a), Some(b)) => a == b,
        (None, None) => {
            let (a, b) = (a.trim(), b.trim());
            let number = |text: &str| text.parse::<f64>().ok();
            a == b || (number(a).is_some() && number(a) == number(b))
        }
        _ => false,
    }
}

fn has_key(json: &str, key: &str) -> bool {
    let entries = scan::entries(json);
    if is_array(json) {
        let quoted = |element: &str| -> Option<bool> {
            let raw = element.trim().strip_prefix('"')?.strip_suffix('"')?;
            Some(scan::unescape(raw) == key)
        };
        return entries.iter().any(|(_, element)| quoted(element) == Some(true));
    }
    entries.iter().any(|(name, _)| name.as_deref() == Some(key))
}

fn keys(args: &Arguments<'_>, all: bool) -> ArrayRef {
    let (documents, lists) = (args.text(0), args.list(1));
    args.bools(|row| {
        let (json, list) = (documents.get(row)?, lists.get(row)?);
        let wanted = list.as_string_view_opt()?;
        let mut found = wanted.iter().flatten().map(|key| has_key(json, key));
        Some(if all { found.all(|has| has) } else { found.any(|has| has) })
    })
}
