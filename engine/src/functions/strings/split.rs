//! Text to arrays of text, and back.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, ListBuilder, StringViewBuilder};
use hedgerow_parser::Span;

use super::search::Patterns;
use crate::error::{Error, ErrorKind, Result};
use crate::functions::arguments::Arguments;
use crate::functions::arithmetic::exactly;
use crate::functions::conversions::display::Display;
use crate::functions::function::{Arg, Function, Returns};
use crate::functions::{PlanContext, Typed, call};
use crate::types::Type;

/// Splitting and joining.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    Function::scalar("splitByChar", &[Arg::Text, Arg::Text, Arg::Int], Returns::Texts, |args| {
        if let Some(separator) = args.text(0).constant()
            && separator.chars().count() != 1
        {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("splitByChar splits by one character, not '{separator}'"),
            )
            .hint("splitByString splits by any text."));
        }
        split_by(args, split_text)
    })
    .optional(1)
    .doc("The pieces between the character given first; at most so many of them.")
    .examples(&[("splitByChar(',', 'a,b,,c')", "['a','b','','c']")]),
    Function::scalar("splitByString", &[Arg::Text, Arg::Text, Arg::Int], Returns::Texts, |args| {
        split_by(args, split_text)
    })
    .optional(1)
    .doc("The pieces between the text given first; characters if it is empty.")
    .examples(&[
        ("splitByString(', ', 'a, b')", "['a','b']"),
        ("splitByString('', 'ab')", "['a','b']"),
    ]),
    Function::scalar(
        "splitByRegexp",
        &[Arg::Text, Arg::Text, Arg::Int],
        Returns::Texts,
        split_by_regexp,
    )
    .optional(1)
    .doc("The pieces between matches of the regular expression given first.")
    .examples(&[("splitByRegexp('[0-9]', 'a1b2c')", "['a','b','c']")]),
    Function::scalar("splitByWhitespace", &[Arg::Text], Returns::Texts, |args| {
        words(args, |text, out| text.split_ascii_whitespace().for_each(out))
    })
    .doc("The pieces between white space.")
    .examples(&[("splitByWhitespace(' a  b ')", "['a','b']")]),
    Function::scalar("splitByNonAlpha", &[Arg::Text], Returns::Texts, |args| {
        words(args, |text, out| {
            let separator = |c: char| c.is_ascii_whitespace() || c.is_ascii_punctuation();
            text.split(separator).filter(|word| !word.is_empty()).for_each(out);
        })
    })
    .doc("The pieces between white space and punctuation.")
    .examples(&[("splitByNonAlpha('a,b c!')", "['a','b','c']")]),
    Function::scalar("alphaTokens", &[Arg::Text], Returns::Texts, |args| {
        words(args, |text, out| {
            let letters = text.split(|c: char| !c.is_ascii_alphabetic());
            letters.filter(|word| !word.is_empty()).for_each(out);
        })
    })
    .aliases(&["splitByAlpha"])
    .doc("The runs of ASCII letters.")
    .examples(&[("alphaTokens('abca1abc')", "['abca','abc']")]),
    Function::scalar("tokens", &[Arg::Text], Returns::Texts, |args| {
        words(args, |text, out| {
            let words = text.split(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric());
            words.filter(|word| !word.is_empty()).for_each(out);
        })
    })
    .doc("The runs of letters and digits.")
    .examples(&[("tokens('a b,c1')", "['a','b','c1']")]),
    Function::scalar("ngrams", &[Arg::Text, Arg::Int], Returns::Texts, ngrams)
        .doc("All runs of so many characters.")
        .examples(&[("ngrams('hello', 3)", "['hel','ell','llo']")]),
    Function::scalar("arrayStringConcat", &[Arg::Array, Arg::Text], Returns::Text, join)
        .optional(1)
        .doc("The elements as one text, with the second argument between them; NULL is left out.")
        .examples(&[
            ("arrayStringConcat(['a', 'b'], ',')", "a,b"),
            ("arrayStringConcat([1, 2])", "12"),
        ]),
    Function::rewrite("split_part", &[Arg::Text, Arg::Text, Arg::Int], |cx, span, args| {
        split_part(cx, span, args)
    })
    .doc("The piece of a 1-based number between separators; '' if there are not so many.")
    .examples(&[("split_part('a-b-c', '-', 2)", "b"), ("split_part('a-b', '-', 5)", "")]),
];

/// Builds an array of texts for each row.
pub(in crate::functions) fn texts_per_row(
    args: &Arguments<'_>,
    mut write: impl FnMut(usize, &mut StringViewBuilder) -> Result<Option<()>>,
) -> Result<ArrayRef> {
    let mut builder =
        ListBuilder::new(StringViewBuilder::new()).with_field(Type::String.item_field());
    for row in 0..args.rows {
        let present = write(row, builder.values())?.is_some();
        builder.append(present);
    }
    Ok(Arc::new(builder.finish()))
}

/// The pieces of `text` between separators.
fn split_text<'t>(separator: &str, text: &'t str, out: &mut dyn FnMut(&'t str)) {
    if separator.is_empty() {
        text.char_indices().for_each(|(at, c)| out(&text[at..at + c.len_utf8()]));
    } else {
        text.split(separator).for_each(out);
    }
}

fn split_by(
    args: &Arguments<'_>,
    split: for<'t> fn(&str, &'t str, &mut dyn FnMut(&'t str)),
) -> Result<ArrayRef> {
    let (separators, texts) = (args.text(0), args.text(1));
    let limits = (args.count() > 2).then(|| args.int(2));
    texts_per_row(args, |row, out| {
        let limit = limits.map_or(Some(0), |limits| limits.get(row));
        let (Some(separator), Some(text), Some(limit)) =
            (separators.get(row), texts.get(row), limit)
        else {
            return Ok(None);
        };
        let mut left = pieces_max(limit);
        split(separator, text, &mut |piece| {
            if left > 0 {
                out.append_value(piece);
                left -= 1;
            }
        });
        Ok(Some(()))
    })
}

/// 0 means no limit.
fn pieces_max(limit: i64) -> usize {
    usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX)
}

fn split_by_regexp(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (mut patterns, texts) = (Patterns::new(args, 0), args.text(1));
    let limits = (args.count() > 2).then(|| args.int(2));
    texts_per_row(args, |row, out| {
        let limit = limits.map_or(Some(0), |limits| limits.get(row));
        let (Some(regex), Some(text), Some(limit)) = (patterns.get(row)?, texts.get(row), limit)
        else {
            return Ok(None);
        };
        let limit = pieces_max(limit);
        if regex.as_str().is_empty() {
            text.chars().take(limit).for_each(|c| out.append_value(c.encode_utf8(&mut [0; 4])));
        } else {
            regex.split(text).take(limit).for_each(|piece| out.append_value(piece));
        }
        Ok(Some(()))
    })
}

fn words(
    args: &Arguments<'_>,
    split: for<'t> fn(&'t str, &mut dyn FnMut(&'t str)),
) -> Result<ArrayRef> {
    let texts = args.text(0);
    texts_per_row(args, |row, out| {
        Ok(texts.get(row).map(|text| split(text, &mut |word| out.append_value(word))))
    })
}

fn ngrams(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (texts, sizes) = (args.text(0), args.int(1));
    texts_per_row(args, |row, out| {
        let (Some(text), Some(size)) = (texts.get(row), sizes.get(row)) else { return Ok(None) };
        let size = usize::try_from(size).ok().filter(|size| *size > 0).ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "the length of an n-gram must be positive")
        })?;
        let mut bounds: Vec<_> = text.char_indices().map(|(at, _)| at).collect();
        bounds.push(text.len());
        let ends = bounds.iter().skip(size);
        bounds.iter().zip(ends).for_each(|(from, to)| out.append_value(&text[*from..*to]));
        Ok(Some(()))
    })
}

fn join(args: &Arguments<'_>) -> Result<ArrayRef> {
    let lists = args.list(0);
    let separators = (args.count() > 1).then(|| args.text(1));
    let Type::Array(element) = &args.types[0] else {
        return Err(Error::internal("arguments were not converted"));
    };
    let values = args.raw(0).as_list::<i32>().values();
    let display = Display::new(values, element)?;
    let offsets = lists.array().value_offsets();
    args.texts(|row, out| {
        let separator = separators.map_or(Some(""), |separators| separators.get(row));
        let (Some(_), Some(separator)) = (lists.get(row), separator) else { return Ok(None) };
        let row = if args.is_constant(0) { 0 } else { row };
        let mut first = true;
        for index in offsets[row]..offsets[row + 1] {
            let before = out.len();
            if !first {
                out.push_str(separator);
            }
            if display.write(index as usize, out) {
                first = false;
            } else {
                out.truncate(before);
            }
        }
        Ok(Some(()))
    })
}

fn split_part(cx: &dyn PlanContext, span: Span, args: Vec<Typed>) -> Result<Typed> {
    let [text, separator, number] = exactly(args)?;
    let pieces = call(cx, span, "splitByString", vec![separator, text])?;
    call(cx, span, "arrayElement", vec![pieces, number])
}
