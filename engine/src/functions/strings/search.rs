//! Search in text: substrings and regular expressions.
//!
//! Regular expressions are RE2's: no look-around, no back-references, a dot matches line ends.

use arrow::array::{Array, ArrayRef, AsArray, Int64Builder, ListBuilder, StringViewArray};
use arrow::datatypes::Int64Type;
use hedgerow_parser::Span;
use regex::{Regex, RegexBuilder};

use super::split::texts_per_row;
use crate::error::{Error, ErrorKind, Result};
use crate::functions::adapter::Adapter;
use crate::functions::arguments::{Arguments, Column};
use crate::functions::function::{Arg, Function, Returns};
use crate::functions::{PlanContext, Typed};
use crate::types::Type;

/// Search.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    Function::scalar("position", &[Arg::Text, Arg::Text, Arg::Int], Returns::Int, |args| {
        positions(args, Unit::Bytes, Case::Exact)
    })
    .any_case()
    .aliases(&["locate", "strpos"])
    .optional(1)
    .doc(
        "The 1-based byte position of the second argument in the first, from a start; 0 if absent.",
    )
    .examples(&[
        ("position('abcabc', 'b')", "2"),
        ("position('abcabc', 'b', 3)", "5"),
        ("position('abc', 'x')", "0"),
    ]),
    Function::scalar(
        "positionCaseInsensitive",
        &[Arg::Text, Arg::Text, Arg::Int],
        Returns::Int,
        |args| positions(args, Unit::Bytes, Case::Any),
    )
    .optional(1)
    .doc("As position, in any letter case.")
    .examples(&[("positionCaseInsensitive('aBc', 'b')", "2")]),
    Function::scalar("positionUTF8", &[Arg::Text, Arg::Text, Arg::Int], Returns::Int, |args| {
        positions(args, Unit::Characters, Case::Exact)
    })
    .optional(1)
    .doc("As position, in characters.")
    .examples(&[("positionUTF8('née', 'e')", "3")]),
    Function::scalar(
        "positionCaseInsensitiveUTF8",
        &[Arg::Text, Arg::Text, Arg::Int],
        Returns::Int,
        |args| positions(args, Unit::Characters, Case::Any),
    )
    .optional(1)
    .doc("As positionUTF8, in any letter case.")
    .examples(&[("positionCaseInsensitiveUTF8('NÉE', 'e')", "3")]),
    Function::scalar("countSubstrings", &[Arg::Text, Arg::Text], Returns::Int, |args| {
        let (texts, needles) = (args.text(0), args.text(1));
        Ok(args.ints(|row| Some(count(texts.get(row)?, needles.get(row)?))))
    })
    .doc("How often the second argument occurs in the first, without overlaps.")
    .examples(&[("countSubstrings('aaa', 'aa')", "1")]),
    Function::scalar(
        "countSubstringsCaseInsensitive",
        &[Arg::Text, Arg::Text],
        Returns::Int,
        |args| {
            let (texts, needles) = (args.text(0), args.text(1));
            Ok(args.ints(|row| {
                let (text, needle) = (texts.get(row)?, needles.get(row)?);
                Some(count(&text.to_lowercase(), &needle.to_lowercase()))
            }))
        },
    )
    .aliases(&["countSubstringsCaseInsensitiveUTF8"])
    .doc("As countSubstrings, in any letter case.")
    .examples(&[("countSubstringsCaseInsensitive('aAbB', 'a')", "2")]),
    MATCH,
    MATCH_ANY_CASE,
    Function::scalar("countMatches", &[Arg::Text, Arg::Text], Returns::Int, |args| {
        let (texts, mut patterns) = (args.text(0), Patterns::new(args, 1));
        args.try_primitives::<Int64Type>(|row| {
            let (Some(text), Some(regex)) = (texts.get(row), patterns.get(row)?) else {
                return Ok(None);
            };
            Ok(Some(regex.find_iter(text).filter(|found| !found.is_empty()).count() as i64))
        })
    })
    .prepare(check_pattern)
    .doc("How often the regular expression matches, without overlaps.")
    .examples(&[("countMatches('foobarfoo', 'fo+')", "2")]),
    Function::scalar("extract", &[Arg::Text, Arg::Text], Returns::Text, |args| {
        let (texts, mut patterns) = (args.text(0), Patterns::new(args, 1));
        args.texts(|row, out| {
            let (Some(text), Some(regex)) = (texts.get(row), patterns.get(row)?) else {
                return Ok(None);
            };
            out.push_str(first_match(regex, text));
            Ok(Some(()))
        })
    })
    .any_case()
    .prepare(check_pattern)
    .doc("The first group of the first match, or the whole match without groups; '' if none.")
    .examples(&[("extract('hello world', 'w(or)ld')", "or"), ("extract('abc', 'x')", "")]),
    Function::scalar("extractAll", &[Arg::Text, Arg::Text], Returns::Texts, |args| {
        let (texts, mut patterns) = (args.text(0), Patterns::new(args, 1));
        texts_per_row(args, |row, out| {
            let (Some(text), Some(regex)) = (texts.get(row), patterns.get(row)?) else {
                return Ok(None);
            };
            for captures in regex.captures_iter(text) {
                let group = captures.get(usize::from(captures.len() > 1));
                out.append_value(group.map_or("", |group| group.as_str()));
            }
            Ok(Some(()))
        })
    })
    .prepare(check_pattern)
    .doc("What extract gives, for every match.")
    .examples(&[("extractAll('a1b22', '[0-9]+')", "['1','22']")]),
    Function::scalar("extractGroups", &[Arg::Text, Arg::Text], Returns::Texts, |args| {
        let (texts, mut patterns) = (args.text(0), Patterns::new(args, 1));
        texts_per_row(args, |row, out| {
            let (Some(text), Some(regex)) = (texts.get(row), patterns.get(row)?) else {
                return Ok(None);
            };
            if let Some(captures) = regex.captures(text) {
                for group in captures.iter().skip(1) {
                    out.append_value(group.map_or("", |group| group.as_str()));
                }
            }
            Ok(Some(()))
        })
    })
    .prepare(check_pattern)
    .doc("All groups of the first match.")
    .examples(&[("extractGroups('k=v', '(.)=(.)')", "['k','v']")]),
    Function::scalar(
        "regexpExtract",
        &[Arg::Text, Arg::Text, Arg::Int],
        Returns::Text,
        regexp_extract,
    )
    .optional(1)
    .prepare(check_pattern)
    .doc("A group of the first match, by default the first; 0 is the whole match.")
    .examples(&[("regexpExtract('100-200', '([0-9]+)-([0-9]+)', 2)", "200")]),
    Function::scalar("multiSearchAny", &[Arg::Text, Arg::Texts], Returns::Bool, |args| {
        search_any(args, Case::Exact)
    })
    .aliases(&["multiSearchAnyUTF8"])
    .doc("True if any of the texts occurs in the first argument.")
    .examples(&[("multiSearchAny('abc', ['x', 'b'])", "true")]),
    Function::scalar(
        "multiSearchAnyCaseInsensitive",
        &[Arg::Text, Arg::Texts],
        Returns::Bool,
        |args| search_any(args, Case::Any),
    )
    .aliases(&["multiSearchAnyCaseInsensitiveUTF8"])
    .doc("As multiSearchAny, in any letter case.")
    .examples(&[("multiSearchAnyCaseInsensitive('ABC', ['x', 'b'])", "true")]),
    Function::scalar("multiSearchFirstIndex", &[Arg::Text, Arg::Texts], Returns::Int, |args| {
        let texts = args.text(0);
        let needles = Needles::new(args, 1, Case::Exact);
        Ok(args.ints(|row| {
            let text = texts.get(row)?;
            let found = needles.get(row)?.iter().position(|needle| text.contains(needle.as_str()));
            Some(found.map_or(0, |index| index as i64 + 1))
        }))
    })
    .doc("The 1-based number of the first of the texts that occurs; 0 if none does.")
    .examples(&[("multiSearchFirstIndex('abc', ['x', 'b'])", "2")]),
    Function::scalar("multiSearchFirstPosition", &[Arg::Text, Arg::Texts], Returns::Int, |args| {
        let texts = args.text(0);
        let needles = Needles::new(args, 1, Case::Exact);
        Ok(args.ints(|row| {
            let text = texts.get(row)?;
            let needles = needles.get(row)?;
            let first = needles.iter().filter_map(|needle| text.find(needle.as_str())).min();
            Some(first.map_or(0, |at| at as i64 + 1))
        }))
    })
    .doc("The 1-based position at which the earliest of the texts occurs; 0 if none does.")
    .examples(&[("multiSearchFirstPosition('abc', ['c', 'b'])", "2")]),
    Function::scalar(
        "multiSearchAllPositions",
        &[Arg::Text, Arg::Texts],
        Returns::Derived(|_| Ok(Type::Int64.array())),
        all_positions,
    )
    .doc("The 1-based position of each of the texts; 0 where it does not occur.")
    .examples(&[("multiSearchAllPositions('abc', ['c', 'x'])", "[3,0]")]),
    Function::scalar("multiMatchAny", &[Arg::Text, Arg::Texts], Returns::Bool, |args| {
        let indexes = first_matching(args)?;
        let indexes = indexes.as_primitive::<Int64Type>();
        Ok(args.bools(|row| indexes.is_valid(row).then(|| indexes.value(row) > 0)))
    })
    .doc("True if any of the regular expressions matches.")
    .examples(&[("multiMatchAny('abc', ['x', '^a'])", "true")]),
    Function::scalar("multiMatchAnyIndex", &[Arg::Text, Arg::Texts], Returns::Int, first_matching)
        .doc("The 1-based number of a regular expression that matches; 0 if none does.")
        .examples(&[("multiMatchAnyIndex('abc', ['x', '^a'])", "2")]),
    Function::scalar("hasToken", &[Arg::Text, Arg::Text], Returns::Bool, |args| {
        let (texts, tokens) = (args.text(0), args.text(1));
        Ok(args.bools(|row| Some(has_token(texts.get(row)?, tokens.get(row)?))))
    })
    .doc("True if the second argument occurs between characters that are no letters or digits.")
    .examples(&[
        ("hasToken('hello world', 'world')", "true"),
        ("hasToken('hello', 'hell')", "false"),
    ]),
    Function::scalar("hasTokenCaseInsensitive", &[Arg::Text, Arg::Text], Returns::Bool, |args| {
        let (texts, tokens) = (args.text(0), args.text(1));
        Ok(args.bools(|row| {
            let (text, token) = (texts.get(row)?, tokens.get(row)?);
            Some(has_token(&text.to_lowercase(), &token.to_lowercase()))
        }))
    })
    .doc("As hasToken, in any letter case.")
    .examples(&[("hasTokenCaseInsensitive('Hello World', 'world')", "true")]),
];

const MATCH: Function = Function::scalar("match", &[Arg::Text, Arg::Text], Returns::Bool, |args| {
    matching(args, Patterns::new(args, 1))
})
.prepare(check_pattern)
.doc("True if the regular expression matches anywhere in the text. Same as `~`.")
.examples(&[("match('events', '^ev')", "true"), ("match('events', 'EV')", "false")]);

const MATCH_ANY_CASE: Function =
    Function::scalar("__matchAnyCase", &[Arg::Text, Arg::Text], Returns::Bool, |args| {
        matching(args, Patterns { any_case: true, ..Patterns::new(args, 1) })
    })
    .doc("True if the regular expression matches anywhere, in any letter case. Same as `~*`.")
    .examples(&[("__matchAnyCase('events', '^EV')", "true")]);

fn matching(args: &Arguments<'_>, mut patterns: Patterns<'_>) -> Result<ArrayRef> {
    let texts = args.text(0);
    args.try_bools(|row| {
        let (Some(text), Some(regex)) = (texts.get(row), patterns.get(row)?) else {
            return Ok(None);
        };
        Ok(Some(regex.is_match(text)))
    })
}

/// `text ~ pattern`, in any letter case if so wanted.
///
/// # Errors
/// `InvalidArgument` for a constant that is no regular expression.
pub fn matches(text: Typed, pattern: Typed, any_case: bool) -> Result<Typed> {
    if let Some(constant) = pattern.as_text() {
        regex(constant, any_case).map_err(|error| error.at(pattern.span))?;
    }
    let function = if any_case { &MATCH_ANY_CASE } else { &MATCH };
    let span = text.span.to(pattern.span);
    let expr = Adapter::udf(function, span).call(vec![text.expr, pattern.expr]);
    Ok(Typed::new(expr, Type::Bool, span))
}

/// Refuses a malformed constant as second argument while planning, at its place.
#[expect(clippy::ptr_arg, reason = "the signature of all hooks")]
pub(super) fn check_pattern(_: &dyn PlanContext, _: Span, args: &mut Vec<Typed>) -> Result<()> {
    match args.get(1).and_then(|pattern| Some((pattern.as_text()?, pattern.span))) {
        Some((pattern, span)) => regex(pattern, false).map(|_| ()).map_err(|error| error.at(span)),
        None => Ok(()),
    }
}

/// A regular expression as ClickHouse reads it.
///
/// # Errors
/// `InvalidArgument`, saying what is wrong with it.
pub fn regex(pattern: &str, any_case: bool) -> Result<Regex> {
    let mut builder = RegexBuilder::new(pattern);
    let builder = builder.dot_matches_new_line(true).case_insensitive(any_case);
    builder.build().map_err(|error| invalid_regex(&error))
}

/// The last line of the message is the reason; those before it draw the pattern.
pub(in crate::functions) fn invalid_regex(error: &regex::Error) -> Error {
    let text = error.to_string();
    let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
    Error::new(ErrorKind::InvalidArgument, format!("invalid regular expression: {reason}"))
}

/// The regular expressions of an argument, compiled only when they change.
pub(in crate::functions) struct Patterns<'a> {
    column: Column<&'a StringViewArray>,
    any_case: bool,
    compiled: Option<(&'a str, Regex)>,
}

impl<'a> Patterns<'a> {
    pub(in crate::functions) fn new(args: &'a Arguments<'_>, index: usize) -> Self {
        Self { column: args.text(index), any_case: false, compiled: None }
    }

    /// The expression of a row; none for NULL.
    pub(in crate::functions) fn get(&mut self, row: usize) -> Result<Option<&Regex>> {
        let Some(pattern) = self.column.get(row) else { return Ok(None) };
        let known = self.compiled.as_ref().is_some_and(|(known, _)| *known == pattern);
        if !known {
            self.compiled = Some((pattern, regex(pattern, self.any_case)?));
        }
        Ok(self.compiled.as_ref().map(|(_, regex)| regex))
    }
}

fn first_match<'t>(regex: &Regex, text: &'t str) -> &'t str {
    if regex.captures_len() == 1 {
        return regex.find(text).map_or("", |found| found.as_str());
    }
    regex.captures(text).and_then(|captures| captures.get(1)).map_or("", |group| group.as_str())
}

fn regexp_extract(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (texts, mut patterns) = (args.text(0), Patterns::new(args, 1));
    let groups = (args.count() > 2).then(|| args.int(2));
    args.texts(|row, out| {
        let group = groups.map_or(Some(1), |groups| groups.get(row));
        let (Some(text), Some(regex), Some(group)) = (texts.get(row), patterns.get(row)?, group)
        else {
            return Ok(None);
        };
        let count = regex.captures_len();
        let group =
            usize::try_from(group).ok().filter(|group| *group < count).ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidArgument,
                    format!("the regular expression has {} groups, not {group}", count - 1),
                )
            })?;
        let found = regex.captures(text).and_then(|captures| captures.get(group));
        out.push_str(found.map_or("", |found| found.as_str()));
        Ok(Some(()))
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Bytes,
    Characters,
}

#[derive(Clone, Copy, PartialEq)]
enum Case {
    Exact,
    Any,
}

fn positions(args: &Arguments<'_>, unit: Unit, case: Case) -> Result<ArrayRef> {
    let (texts, needles) = (args.text(0), args.text(1));
    let starts = (args.count() > 2).then(|| args.int(2));
    Ok(args.ints(|row| {
        let (text, needle) = (texts.get(row)?, needles.get(row)?);
        let start = starts.map_or(Some(1), |starts| starts.get(row))?.max(1) as usize - 1;
        Some(match case {
            Case::Exact => position(text, needle, start, unit),
            Case::Any => position(&text.to_lowercase(), &needle.to_lowercase(), start, unit),
        })
    }))
}

/// The 1-based position of `needle` at or after `start` units; 0 if there is none.
fn position(text: &str, needle: &str, start: usize, unit: Unit) -> i64 {
    let begin = match unit {
        Unit::Bytes => text.ceil_char_boundary(start.min(text.len())),
        Unit::Characters => text.char_indices().nth(start).map_or(text.len(), |(at, _)| at),
    };
    let beyond = match unit {
        Unit::Bytes => start > text.len(),
        Unit::Characters => start > text.chars().count(),
    };
    match text[begin..].find(needle) {
        Some(at) if !beyond => {
            let before = &text[..begin + at];
            let units = if unit == Unit::Bytes { before.len() } else { before.chars().count() };
            units as i64 + 1
        }
        _ => 0,
    }
}

fn count(text: &str, needle: &str) -> i64 {
    if needle.is_empty() { 0 } else { text.matches(needle).count() as i64 }
}

/// The texts of an array argument.
struct Needles {
    rows: Vec<Option<Vec<String>>>,
    constant: bool,
}

impl Needles {
    fn new(args: &Arguments<'_>, index: usize, case: Case) -> Self {
        let lists = args.raw(index).as_list::<i32>();
        let needles = |list: ArrayRef| {
            let texts = list.as_string_view().iter().flatten();
            texts
                .map(|text| if case == Case::Any { text.to_lowercase() } else { text.to_owned() })
                .collect()
        };
        let rows = lists.iter().map(|list| list.map(needles)).collect();
        Self { rows, constant: args.is_constant(index) }
    }

    fn get(&self, row: usize) -> Option<&[String]> {
        self.rows[if self.constant { 0 } else { row }].as_deref()
    }
}

fn search_any(args: &Arguments<'_>, case: Case) -> Result<ArrayRef> {
    let texts = args.text(0);
    let needles = Needles::new(args, 1, case);
    Ok(args.bools(|row| {
        let (text, needles) = (texts.get(row)?, needles.get(row)?);
        let found = |text: &str| needles.iter().any(|needle| text.contains(needle.as_str()));
        Some(if case == Case::Any { found(&text.to_lowercase()) } else { found(text) })
    }))
}

fn all_positions(args: &Arguments<'_>) -> Result<ArrayRef> {
    let texts = args.text(0);
    let needles = Needles::new(args, 1, Case::Exact);
    let mut builder = ListBuilder::new(Int64Builder::new()).with_field(Type::Int64.item_field());
    for row in 0..args.rows {
        let (Some(text), Some(needles)) = (texts.get(row), needles.get(row)) else {
            builder.append_null();
            continue;
        };
        for needle in needles {
            builder.values().append_value(position(text, needle, 0, Unit::Bytes));
        }
        builder.append(true);
    }
    Ok(std::sync::Arc::new(builder.finish()))
}

fn first_matching(args: &Arguments<'_>) -> Result<ArrayRef> {
    let texts = args.text(0);
    let needles = Needles::new(args, 1, Case::Exact);
    let compile = |patterns: &[String]| {
        patterns.iter().map(|pattern| regex(pattern, false)).collect::<Result<Vec<_>>>()
    };
    let constant = if needles.constant { needles.get(0).map(compile).transpose()? } else { None };
    args.try_primitives::<Int64Type>(|row| {
        let (Some(text), Some(patterns)) = (texts.get(row), needles.get(row)) else {
            return Ok(None);
        };
        let compiled;
        let regexes = match &constant {
            Some(regexes) => regexes,
            None => {
                compiled = compile(patterns)?;
                &compiled
            }
        };
        let found = regexes.iter().position(|regex| regex.is_match(text));
        Ok(Some(found.map_or(0, |index| index as i64 + 1)))
    })
}

fn has_token(text: &str, token: &str) -> bool {
    text.split(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric()).any(|word| word == token)
}
