//! Replacement in text.

use arrow::array::ArrayRef;
use regex::Regex;

use super::search::{Patterns, check_pattern};
use super::text_of_text;
use crate::error::Result;
use crate::functions::arguments::Arguments;
use crate::functions::function::{Arg, Function, Returns};

/// Replacement.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    Function::scalar("replaceAll", &[Arg::Text, Arg::Text, Arg::Text], Returns::Text, |args| {
        replace(args, usize::MAX)
    })
    .aliases(&["replace"])
    .any_case()
    .doc("The text with every occurrence of the second argument replaced by the third.")
    .examples(&[("replaceAll('hello', 'l', 'L')", "heLLo")]),
    Function::scalar("replaceOne", &[Arg::Text, Arg::Text, Arg::Text], Returns::Text, |args| {
        replace(args, 1)
    })
    .doc("The text with the first occurrence of the second argument replaced by the third.")
    .examples(&[("replaceOne('hello', 'l', 'L')", "heLlo")]),
    Function::scalar(
        "replaceRegexpAll",
        &[Arg::Text, Arg::Text, Arg::Text],
        Returns::Text,
        |args| replace_regex(args, usize::MAX),
    )
    .aliases(&["REGEXP_REPLACE"])
    .prepare(check_pattern)
    .doc("The text with every match replaced; `\\1` stands for the first group, `\\0` for all.")
    .examples(&[("replaceRegexpAll('hello', '(l+)', '<\\\\1>')", "he<ll>o")]),
    Function::scalar(
        "replaceRegexpOne",
        &[Arg::Text, Arg::Text, Arg::Text],
        Returns::Text,
        |args| replace_regex(args, 1),
    )
    .prepare(check_pattern)
    .doc("The text with the first match replaced.")
    .examples(&[("replaceRegexpOne('hello', 'l', 'L')", "heLlo")]),
    text_of_text!(
        "regexpQuoteMeta",
        quote_meta,
        "The text as a regular expression that matches just it.",
        ("regexpQuoteMeta('a.b')", "a\\.b")
    ),
    Function::scalar("translate", &[Arg::Text, Arg::Text, Arg::Text], Returns::Text, translate)
        .aliases(&["translateUTF8"])
        .doc(
            "Each character of the second argument replaced by the one at its place in the third, \
             or removed.",
        )
        .examples(&[("translate('hello', 'el', 'ip')", "hippo")]),
];

fn replace(args: &Arguments<'_>, count: usize) -> Result<ArrayRef> {
    let (texts, needles, with) = (args.text(0), args.text(1), args.text(2));
    args.texts(|row, out| {
        let (Some(text), Some(needle), Some(with)) =
            (texts.get(row), needles.get(row), with.get(row))
        else {
            return Ok(None);
        };
        let mut end = 0;
        if !needle.is_empty() {
            for (at, _) in text.match_indices(needle).take(count) {
                out.push_str(&text[end..at]);
                out.push_str(with);
                end = at + needle.len();
            }
        }
        out.push_str(&text[end..]);
        Ok(Some(()))
    })
}

fn replace_regex(args: &Arguments<'_>, count: usize) -> Result<ArrayRef> {
    let (texts, mut patterns, with) = (args.text(0), Patterns::new(args, 1), args.text(2));
    args.texts(|row, out| {
        let (Some(text), Some(regex), Some(with)) =
            (texts.get(row), patterns.get(row)?, with.get(row))
        else {
            return Ok(None);
        };
        // An empty expression replaces nothing.
        if regex.as_str().is_empty() {
            out.push_str(text);
        } else {
            write_replaced(regex, text, with, count, out);
        }
        Ok(Some(()))
    })
}

fn write_replaced(regex: &Regex, text: &str, with: &str, count: usize, out: &mut String) {
    let mut end = 0;
    for captures in regex.captures_iter(text).take(count) {
        let Some(whole) = captures.get(0) else { continue };
        out.push_str(&text[end..whole.start()]);
        write_template(with, |group| captures.get(group).map_or("", |found| found.as_str()), out);
        end = whole.end();
    }
    out.push_str(&text[end..]);
}

/// Replaces `\0` to `\9` by groups and `\\` by a backslash.
fn write_template<'t>(template: &str, group: impl Fn(usize) -> &'t str, out: &mut String) {
    let mut characters = template.chars().peekable();
    while let Some(character) = characters.next() {
        let next = characters.peek().copied();
        match (character, next.and_then(|next| next.to_digit(10))) {
            ('\\', Some(digit)) => {
                out.push_str(group(digit as usize));
                characters.next();
            }
            ('\\', None) if next == Some('\\') => {
                out.push('\\');
                characters.next();
            }
            _ => out.push(character),
        }
    }
}

fn quote_meta(text: &str, out: &mut String) {
    for character in text.chars() {
        if "\\()[]{}|^$.*+?:-".contains(character) {
            out.push('\\');
        }
        out.push(character);
    }
}

fn translate(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (texts, from, to) = (args.text(0), args.text(1), args.text(2));
    args.texts(|row, out| {
        let (Some(text), Some(from), Some(to)) = (texts.get(row), from.get(row), to.get(row))
        else {
            return Ok(None);
        };
        for character in text.chars() {
            match from.chars().position(|wanted| wanted == character) {
                Some(place) => out.extend(to.chars().nth(place)),
                None => out.push(character),
            }
        }
        Ok(Some(()))
    })
}
