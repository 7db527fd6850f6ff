//! Text. Positions and lengths count bytes as in ClickHouse, or characters in the functions
//! whose name says UTF8.

pub mod replace;
pub mod search;
pub mod split;

use arrow::array::ArrayRef;
use hedgerow_parser::Span;

use super::arguments::Arguments;
use super::function::{Arg, Function, Returns};
use super::{PlanContext, Typed, call};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Type;

/// A text of a text.
macro_rules! text_of_text {
    ($name:literal, $compute:expr, $doc:literal, $($example:tt),+) => {
        Function::scalar($name, &[Arg::Text], Returns::Text, |args| {
            let compute: fn(&str, &mut String) = $compute;
            let texts = args.text(0);
            args.texts(|row, out| Ok(texts.get(row).map(|text| compute(text, out))))
        })
        .doc($doc)
        .examples(&[$($example),+])
    };
}
pub(in crate::functions) use text_of_text;

/// The longest text a function makes out of a shorter one, in bytes.
const TEXT_BYTES_MAX: usize = 64 << 20;

/// Text as a whole, and parts of it.
pub(super) const FUNCTIONS: &[Function] = &[
    Function::rewrite("length", &[Arg::Any], |cx, span, args| {
        let name = match args.first().map(|arg| &arg.ty) {
            Some(Type::Array(_) | Type::Map(..)) => "__arrayLength",
            _ => "__byteLength",
        };
        let found = args.first().map(|arg| (arg.ty.clone(), arg.span));
        call(cx, span, name, args).map_err(|error| match (error.kind, found) {
            (ErrorKind::TypeMismatch, Some((ty, place))) => {
                let message = format!("length works on text, arrays and maps, found {ty}");
                Error::new(ErrorKind::TypeMismatch, message).at(place)
            }
            _ => error,
        })
    })
    .any_case()
    .aliases(&["OCTET_LENGTH"])
    .doc("The number of bytes of a text, or of elements of an array.")
    .examples(&[("length('abc')", "3"), ("length([1, 2])", "2")]),
    Function::scalar("__byteLength", &[Arg::Text], Returns::Int, |args| {
        let texts = args.text(0);
        Ok(args.ints(|row| Some(texts.get(row)?.len() as i64)))
    })
    .doc("The number of bytes."),
    Function::scalar("lengthUTF8", &[Arg::Text], Returns::Int, |args| {
        let texts = args.text(0);
        Ok(args.ints(|row| Some(texts.get(row)?.chars().count() as i64)))
    })
    .aliases(&["CHAR_LENGTH", "CHARACTER_LENGTH"])
    .doc("The number of characters.")
    .examples(&[("lengthUTF8('né')", "2")]),
    Function::rewrite("empty", &[Arg::Any], |cx, span, args| is_empty(cx, span, args, true))
        .aliases(&["isEmpty"])
        .doc("True for a text or array without content.")
        .examples(&[("empty('')", "true"), ("empty([1])", "false")]),
    Function::rewrite("notEmpty", &[Arg::Any], |cx, span, args| is_empty(cx, span, args, false))
        .aliases(&["isNotEmpty"])
        .doc("True for a text or array with content.")
        .examples(&[("notEmpty('x')", "true")]),
    text_of_text!(
        "lower",
        |text, out| out.push_str(&text.to_ascii_lowercase()),
        "ASCII letters in lower case.",
        ("lower('ABC')", "abc")
    )
    .any_case()
    .aliases(&["lcase"]),
    text_of_text!(
        "upper",
        |text, out| out.push_str(&text.to_ascii_uppercase()),
        "ASCII letters in upper case.",
        ("upper('abc')", "ABC")
    )
    .any_case()
    .aliases(&["ucase"]),
    text_of_text!(
        "lowerUTF8",
        |text, out| out.extend(text.chars().flat_map(char::to_lowercase)),
        "All letters in lower case.",
        ("lowerUTF8('ÀB')", "àb")
    ),
    text_of_text!(
        "upperUTF8",
        |text, out| out.extend(text.chars().flat_map(char::to_uppercase)),
        "All letters in upper case.",
        ("upperUTF8('àb')", "ÀB")
    ),
    text_of_text!(
        "initcap",
        initcap,
        "The first letter of each word in upper case, the others in lower.",
        ("initcap('hello wORLD x1')", "Hello World X1")
    ),
    Function::rewrite("reverse", &[Arg::Any], |cx, span, args| {
        let name = match args.first().map(|arg| &arg.ty) {
            Some(Type::Array(_)) => "arrayReverse",
            _ => "reverseUTF8",
        };
        call(cx, span, name, args)
    })
    .any_case()
    .doc("The characters of a text, or the elements of an array, from last to first.")
    .examples(&[("reverse('abc')", "cba"), ("reverse([1, 2])", "[2,1]")]),
    text_of_text!(
        "reverseUTF8",
        |text, out| out.extend(text.chars().rev()),
        "The characters from last to first.",
        ("reverseUTF8('né')", "én")
    ),
    Function::scalar("substring", &[Arg::Text, Arg::Int, Arg::Int], Returns::Text, |args| {
        slices(args, |text, from, length| byte_slice(text, from, length))
    })
    .any_case()
    .aliases(&["substr", "mid", "byteSlice"])
    .optional(1)
    .doc(
        "The bytes from a 1-based position, so many of them; a negative position counts from the \
         end, a negative length leaves so many off. A slice that would cut a character is widened \
         to hold it whole.",
    )
    .examples(&[
        ("substring('hello', 2, 3)", "ell"),
        ("substring('hello', -3, 2)", "ll"),
        ("substring('hello', 2, -1)", "ell"),
    ]),
    Function::scalar("substringUTF8", &[Arg::Text, Arg::Int, Arg::Int], Returns::Text, |args| {
        slices(args, |text, from, length| char_slice(text, from, length))
    })
    .aliases(&["substrUTF8"])
    .optional(1)
    .doc("As substring, in characters.")
    .examples(&[("substringUTF8('née', 2, 2)", "ée")]),
    Function::scalar("left", &[Arg::Text, Arg::Int], Returns::Text, |args| {
        ends(args, |text, count| char_slice(text, 1, Some(count)))
    })
    .aliases(&["leftUTF8"])
    .doc("The first characters; a negative number leaves so many off at the end.")
    .examples(&[("left('hello', 2)", "he"), ("left('hello', -2)", "hel")]),
    Function::scalar("right", &[Arg::Text, Arg::Int], Returns::Text, |args| {
        ends(args, |text, count| match count {
            0 => "",
            1.. => {
                let characters = text.chars().count() as i64;
                char_slice(text, (characters - count).max(0) + 1, None)
            }
            _ => char_slice(text, 1_i64.saturating_sub(count), None),
        })
    })
    .aliases(&["rightUTF8"])
    .doc("The last characters; a negative number leaves so many off at the beginning.")
    .examples(&[("right('hello', 2)", "lo"), ("right('hello', -2)", "llo")]),
    Function::rewrite("concat", &[Arg::Any], concat)
        .any_case()
        .variadic()
        .doc("All arguments as one text; NULL counts as empty. Same as `||`.")
        .examples(&[("concat('a', NULL, 1)", "a1")]),
    Function::rewrite("concatWithSeparator", &[Arg::Text, Arg::Any], |cx, span, args| {
        let texts = stringified(cx, span, args)?.into_iter().map(|text| text.expr).collect();
        let udf = datafusion::functions::string::concat_ws();
        Ok(Typed::new(udf.call(texts), Type::String, span))
    })
    .aliases(&["concat_ws"])
    .variadic()
    .doc(
        "The arguments after the first as one text, with the first between them; NULL is left out.",
    )
    .examples(&[("concatWithSeparator(', ', 'a', 'b')", "a, b")]),
    Function::scalar("repeat", &[Arg::Text, Arg::Int], Returns::Text, |args| {
        let (texts, counts) = (args.text(0), args.int(1));
        args.texts(|row, out| {
            let (Some(text), Some(count)) = (texts.get(row), counts.get(row)) else {
                return Ok(None);
            };
            let count = usize::try_from(count).unwrap_or(0);
            check_length(text.len().saturating_mul(count))?;
            out.extend(std::iter::repeat_n(text, count));
            Ok(Some(()))
        })
    })
    .any_case()
    .doc("The text so many times.")
    .examples(&[("repeat('ab', 3)", "ababab")]),
    Function::scalar("leftPad", &[Arg::Text, Arg::Int, Arg::Text], Returns::Text, |args| {
        pad(args, Side::Left)
    })
    .aliases(&["lpad", "leftPadUTF8"])
    .optional(1)
    .doc("Filled up at the beginning to so many characters, or cut to them.")
    .examples(&[("leftPad('7', 3, '0')", "007"), ("leftPad('abc', 2)", "ab")]),
    Function::scalar("rightPad", &[Arg::Text, Arg::Int, Arg::Text], Returns::Text, |args| {
        pad(args, Side::Right)
    })
    .aliases(&["rpad", "rightPadUTF8"])
    .optional(1)
    .doc("Filled up at the end to so many characters, or cut to them.")
    .examples(&[("rightPad('7', 3, '0')", "700")]),
    Function::scalar("trim", &[Arg::Text, Arg::Text], Returns::Text, |args| {
        trim(args, |text, cut| text.trim_matches(|c| cut.contains(c)))
    })
    .any_case()
    .aliases(&["trimBoth", "btrim"])
    .optional(1)
    .doc("Without blanks, or the given characters, at both ends.")
    .examples(&[("trim('  a ')", "a"), ("trim('xxaxx', 'x')", "a")]),
    Function::scalar("trimLeft", &[Arg::Text, Arg::Text], Returns::Text, |args| {
        trim(args, |text, cut| text.trim_start_matches(|c| cut.contains(c)))
    })
    .aliases(&["ltrim"])
    .optional(1)
    .doc("Without blanks, or the given characters, at the beginning.")
    .examples(&[("trimLeft('  a')", "a")]),
    Function::scalar("trimRight", &[Arg::Text, Arg::Text], Returns::Text, |args| {
        trim(args, |text, cut| text.trim_end_matches(|c| cut.contains(c)))
    })
    .aliases(&["rtrim"])
    .optional(1)
    .doc("Without blanks, or the given characters, at the end.")
    .examples(&[("trimRight('a  ')", "a")]),
    Function::scalar("startsWith", &[Arg::Text, Arg::Text], Returns::Bool, |args| {
        let (texts, prefixes) = (args.text(0), args.text(1));
        Ok(args.bools(|row| Some(texts.get(row)?.starts_with(prefixes.get(row)?))))
    })
    .doc("True if the first argument begins with the second.")
    .examples(&[("startsWith('events', 'ev')", "true")]),
    Function::scalar("endsWith", &[Arg::Text, Arg::Text], Returns::Bool, |args| {
        let (texts, suffixes) = (args.text(0), args.text(1));
        Ok(args.bools(|row| Some(texts.get(row)?.ends_with(suffixes.get(row)?))))
    })
    .doc("True if the first argument ends with the second.")
    .examples(&[("endsWith('events', 'ts')", "true")]),
    Function::scalar(
        "appendTrailingCharIfAbsent",
        &[Arg::Text, Arg::Text],
        Returns::Text,
        |args| {
            let (texts, ends) = (args.text(0), args.text(1));
            args.texts(|row, out| {
                let (Some(text), Some(end)) = (texts.get(row), ends.get(row)) else {
                    return Ok(None);
                };
                out.push_str(text);
                if !text.is_empty() && !text.ends_with(end) {
                    out.push_str(end);
                }
                Ok(Some(()))
            })
        },
    )
    .doc("The text, with the second argument at its end unless it is there or the text is empty.")
    .examples(&[("appendTrailingCharIfAbsent('a', '/')", "a/")]),
    Function::scalar("ascii", &[Arg::Text], Returns::Int, |args| {
        let texts = args.text(0);
        Ok(args.ints(|row| Some(texts.get(row)?.bytes().next().unwrap_or(0).into())))
    })
    .any_case()
    .doc("The number of the first byte; 0 for an empty text.")
    .examples(&[("ascii('a')", "97")]),
    Function::scalar("format", &[Arg::Text, Arg::Text], Returns::Text, format)
        .variadic()
        .doc("The first argument with `{}` or `{0}` replaced by the others; `{{` is a brace.")
        .examples(&[("format('{} {}', 'a', 'b')", "a b"), ("format('{1}{0}', 'a', 'b')", "ba")]),
];

/// All arguments as one text; NULL counts as empty.
///
/// # Errors
/// `Internal`, from the conversion.
pub fn concat(cx: &dyn PlanContext, span: Span, args: Vec<Typed>) -> Result<Typed> {
    if !args.is_empty() && args.iter().all(|arg| matches!(arg.ty, Type::Array(_))) {
        return call(cx, span, "arrayConcat", args);
    }
    let texts = stringified(cx, span, args)?.into_iter().map(|text| text.expr).collect();
    Ok(Typed::new(datafusion::functions::string::concat().call(texts), Type::String, span))
}

fn stringified(cx: &dyn PlanContext, span: Span, args: Vec<Typed>) -> Result<Vec<Typed>> {
    args.into_iter().map(|arg| call(cx, span, "toString", vec![arg])).collect()
}

fn is_empty(cx: &dyn PlanContext, span: Span, args: Vec<Typed>, wanted: bool) -> Result<Typed> {
    let ty = args.first().map(|arg| arg.ty.clone());
    if matches!(ty, Some(Type::Uuid)) {
        return Err(Error::new(ErrorKind::TypeMismatch, "a UUID is never empty")
            .hint("Compare it with IS NULL."));
    }
    let length = call(cx, span, "length", args)?;
    let zero = datafusion::logical_expr::lit(0_i64);
    let expr = if wanted { length.expr.eq(zero) } else { length.expr.not_eq(zero) };
    Ok(Typed::new(expr, Type::Bool, span))
}

/// Refuses texts that would use up the memory.
fn check_length(bytes: usize) -> Result<()> {
    if bytes <= TEXT_BYTES_MAX {
        return Ok(());
    }
    Err(Error::new(ErrorKind::OutOfRange, format!("the text would have {bytes} bytes"))
        .hint(format!("At most {TEXT_BYTES_MAX} bytes can be made.")))
}

fn initcap(text: &str, out: &mut String) {
    let mut in_word = false;
    for character in text.chars() {
        if in_word {
            out.extend(character.to_lowercase());
        } else {
            out.extend(character.to_uppercase());
        }
        in_word = character.is_alphanumeric();
    }
}

/// Where a slice begins and ends among `count` units; `from` is 1-based, negative from the end.
pub(super) fn slice_range(count: usize, from: i64, length: Option<i64>) -> (usize, usize) {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let begin = match from {
        0 => return (0, 0),
        1.. => from - 1,
        _ => count.saturating_add(from),
    };
    let end = match length {
        None => count,
        Some(length) if length < 0 => count.saturating_add(length),
        Some(length) => begin.saturating_add(length),
    };
    let clamp = |at: i64| at.clamp(0, count) as usize;
    (clamp(begin), clamp(end).max(clamp(begin)))
}

fn byte_slice(text: &str, from: i64, length: Option<i64>) -> &str {
    let (begin, end) = slice_range(text.len(), from, length);
    if begin == end {
        return "";
    }
    &text[text.floor_char_boundary(begin)..text.ceil_char_boundary(end)]
}

fn char_slice(text: &str, from: i64, length: Option<i64>) -> &str {
    if text.is_ascii() {
        return byte_slice(text, from, length);
    }
    let (begin, end) = slice_range(text.chars().count(), from, length);
    let at = |index: usize| text.char_indices().nth(index).map_or(text.len(), |(at, _)| at);
    &text[at(begin)..at(end)]
}

fn slices(
    args: &Arguments<'_>,
    slice: for<'t> fn(&'t str, i64, Option<i64>) -> &'t str,
) -> Result<ArrayRef> {
    let (texts, offsets) = (args.text(0), args.int(1));
    let lengths = (args.count() > 2).then(|| args.int(2));
    Ok(args.strs(|row| {
        let length = match lengths {
            Some(lengths) => Some(lengths.get(row)?),
            None => None,
        };
        Some(slice(texts.get(row)?, offsets.get(row)?, length))
    }))
}

fn ends(args: &Arguments<'_>, end: for<'t> fn(&'t str, i64) -> &'t str) -> Result<ArrayRef> {
    let (texts, counts) = (args.text(0), args.int(1));
    Ok(args.strs(|row| Some(end(texts.get(row)?, counts.get(row)?))))
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Left,
    Right,
}

fn pad(args: &Arguments<'_>, side: Side) -> Result<ArrayRef> {
    let (texts, lengths) = (args.text(0), args.int(1));
    let fillings = (args.count() > 2).then(|| args.text(2));
    args.texts(|row, out| {
        let filling = fillings.map_or(Some(" "), |fillings| fillings.get(row));
        let (Some(text), Some(length), Some(filling)) = (texts.get(row), lengths.get(row), filling)
        else {
            return Ok(None);
        };
        let filling = if filling.is_empty() { " " } else { filling };
        let length = usize::try_from(length).unwrap_or(0);
        let missing = length.saturating_sub(text.chars().count());
        check_length(missing.saturating_mul(filling.len()))?;
        if missing == 0 {
            out.push_str(char_slice(text, 1, Some(length as i64)));
            return Ok(Some(()));
        }
        let filler = filling.chars().cycle().take(missing);
        match side {
            Side::Left => {
                out.extend(filler);
                out.push_str(text);
            }
            Side::Right => {
                out.push_str(text);
                out.extend(filler);
            }
        }
        Ok(Some(()))
    })
}

fn trim(args: &Arguments<'_>, trim: for<'t> fn(&'t str, &str) -> &'t str) -> Result<ArrayRef> {
    let texts = args.text(0);
    let cuts = (args.count() > 1).then(|| args.text(1));
    Ok(args.strs(|row| {
        let cut = cuts.map_or(Some(" "), |cuts| cuts.get(row))?;
        Some(trim(texts.get(row)?, cut))
    }))
}

fn format(args: &Arguments<'_>) -> Result<ArrayRef> {
    let columns: Vec<_> = (0..args.count()).map(|index| args.text(index)).collect();
    args.texts(|row, out| {
        let values: Option<Vec<&str>> = columns.iter().map(|column| column.get(row)).collect();
        let Some(values) = values else { return Ok(None) };
        fill(values[0], &values[1..], out).map(Some)
    })
}

/// Replaces the placeholders of a pattern.
fn fill(pattern: &str, values: &[&str], out: &mut String) -> Result<()> {
    let malformed = || {
        Error::new(ErrorKind::InvalidArgument, format!("malformed format '{pattern}'"))
            .hint("Placeholders are {} or {0}; braces are written {{ and }}.")
    };
    let mut next = 0;
    let mut rest = pattern;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            out.push_str(brace);
            rest = after;
            continue;
        }
        let (name, after) = rest.split_once('}').filter(|_| brace == "{").ok_or_else(malformed)?;
        let index = if name.is_empty() {
            next += 1;
            next - 1
        } else {
            name.parse::<usize>().map_err(|_| malformed())?
        };
        out.push_str(values.get(index).ok_or_else(malformed)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(())
}
