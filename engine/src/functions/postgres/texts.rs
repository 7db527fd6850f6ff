//! PostgreSQL's functions of texts and regular expressions.

use std::fmt::Write as _;

use arrow::array::ArrayRef;
use md5::{Digest, Md5};
use regex::{Regex, RegexBuilder};

use crate::error::{Error, ErrorKind, Result};
use crate::functions::arguments::Arguments;
use crate::functions::arithmetic::one;
use crate::functions::conversions::display::Display;
use crate::functions::function::{Arg, Function, Nulls, Returns};
use crate::functions::strings::search::invalid_regex;
use crate::functions::strings::split::texts_per_row;
use crate::functions::{Typed, call};
use crate::types::Type;

/// Texts, patterns and arrays of texts.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    Function::rewrite("postgresLength", &[Arg::Any], |cx, span, args| {
        let value = one(args)?;
        let counts_items = matches!(value.ty, Type::Array(_) | Type::Map(..));
        call(cx, span, if counts_items { "length" } else { "lengthUTF8" }, vec![value])
    })
    .doc("PostgreSQL's length: how many characters a text has.")
    .examples(&[("postgresLength('héllo')", "5")]),
    Function::scalar("octet_length", &[Arg::Text], Returns::Int, |args| {
        let texts = args.text(0);
        Ok(args.ints(|row| Some(texts.get(row)?.len() as i64)))
    })
    .doc("How many bytes a text has.")
    .examples(&[("octet_length('é')", "2")]),
    Function::scalar("bit_length", &[Arg::Text], Returns::Int, |args| {
        let texts = args.text(0);
        Ok(args.ints(|row| Some(texts.get(row)?.len() as i64 * 8)))
    })
    .doc("How many bits a text has.")
    .examples(&[("bit_length('é')", "16")]),
    Function::rewrite("postgresReverse", &[Arg::Text], |cx, span, args| {
        call(cx, span, "reverseUTF8", args)
    })
    .doc("PostgreSQL's reverse: the characters from the last to the first.")
    .examples(&[("postgresReverse('hé')", "éh")]),
    Function::scalar("postgresAscii", &[Arg::Text], Returns::Int, |args| {
        let texts = args.text(0);
        Ok(args.ints(|row| Some(texts.get(row)?.chars().next().map_or(0, |c| c as i64))))
    })
    .doc("PostgreSQL's ascii: the code point of the first character, 0 for none.")
    .examples(&[("postgresAscii('é')", "233")]),
    Function::scalar("chr", &[Arg::Int], Returns::Text, |args| {
        let codes = args.int(0);
        args.texts(|row, out| {
            let Some(code) = codes.get(row) else { return Ok(None) };
            let character = u32::try_from(code).ok().filter(|code| *code > 0);
            out.push(character.and_then(char::from_u32).ok_or_else(|| {
                let message = format!("there is no character with the code {code}");
                Error::new(ErrorKind::InvalidArgument, message)
            })?);
            Ok(Some(()))
        })
    })
    .doc("The character of a code point.")
    .examples(&[("chr(233)", "é")]),
    Function::scalar("to_hex", &[Arg::Int], Returns::Text, |args| {
        let numbers = args.int(0);
        args.texts(|row, out| {
            let Some(number) = numbers.get(row) else { return Ok(None) };
            let _ = write!(out, "{number:x}");
            Ok(Some(()))
        })
    })
    .doc("An integer in hexadecimal digits, in lower case.")
    .examples(&[("to_hex(255)", "ff")]),
    Function::scalar("postgresMd5", &[Arg::Text], Returns::Text, |args| {
        let texts = args.text(0);
        args.texts(|row, out| {
            let Some(text) = texts.get(row) else { return Ok(None) };
            for byte in Md5::digest(text.as_bytes()) {
                let _ = write!(out, "{byte:02x}");
            }
            Ok(Some(()))
        })
    })
    .doc("PostgreSQL's md5: the hash in lower-case hexadecimal digits.")
    .examples(&[("postgresMd5('abc')", "900150983cd24fb0d6963f7d28e17f72")]),
    Function::scalar(
        "postgresSplitPart",
        &[Arg::Text, Arg::Text, Arg::Int],
        Returns::Text,
        split_part,
    )
    .doc("PostgreSQL's split_part: the piece of a number, negative ones counted from the end.")
    .examples(&[
        ("postgresSplitPart('a-b-c', '-', 2)", "b"),
        ("postgresSplitPart('a-b-c', '-', -1)", "c"),
    ]),
    Function::scalar(
        "string_to_array",
        &[Arg::Text, Arg::Text, Arg::Text],
        Returns::Texts,
        string_to_array,
    )
    .aliases(&["string_to_table"])
    .optional(1)
    .nulls(Nulls::Custom)
    .doc("The pieces between separators, or the characters for NULL; a third text means NULL.")
    .examples(&[
        ("string_to_array('a,b', ',')", "['a','b']"),
        ("string_to_array('ab', NULL)", "['a','b']"),
    ]),
    Function::scalar(
        "array_to_string",
        &[Arg::Array, Arg::Text, Arg::Text],
        Returns::Text,
        array_to_string,
    )
    .optional(1)
    .nulls(Nulls::Custom)
    .doc("The elements with a separator between them; NULL is left out or replaced.")
    .examples(&[
        ("array_to_string([1, 2], '-')", "1-2"),
        ("array_to_string(['a', NULL], ',', '*')", "a,*"),
    ]),
    Function::scalar(
        "postgresRegexpReplace",
        &[Arg::Text, Arg::Text, Arg::Text, Arg::Text],
        Returns::Text,
        regexp_replace,
    )
    .optional(1)
    .doc("PostgreSQL's regexp_replace: the first match replaced, with the flag g all of them.")
    .examples(&[
        ("postgresRegexpReplace('banana', 'a', 'o')", "bonana"),
        ("postgresRegexpReplace('banana', '(a)', '<\\\\1>', 'g')", "b<a>n<a>n<a>"),
    ]),
    Function::scalar(
        "regexp_match",
        &[Arg::Text, Arg::Text, Arg::Text],
        Returns::Texts,
        |args| groups_per_row(args, false),
    )
    .optional(1)
    .nulls(Nulls::Introduce)
    .doc("The groups of the first match, or the match if there are none; NULL without a match.")
    .examples(&[("regexp_match('k=v', '(.)=(.)')", "['k','v']")]),
    Function::scalar(
        "regexp_matches",
        &[Arg::Text, Arg::Text, Arg::Text],
        Returns::Derived(|_| Ok(Type::String.array().array())),
        regexp_matches,
    )
    .optional(1)
    .doc("The groups of the first match, with the flag g of all of them.")
    .examples(&[("regexp_matches('a1b2', '[0-9]', 'g')", "[['1'],['2']]")]),
    Function::scalar(
        "regexp_split_to_array",
        &[Arg::Text, Arg::Text, Arg::Text],
        Returns::Texts,
        |args| {
            let (texts, mut patterns) = (args.text(0), Flagged::new(args, 2));
            texts_per_row(args, |row, out| {
                let (Some(text), Some(pattern)) = (texts.get(row), patterns.get(row)?) else {
                    return Ok(None);
                };
                split(&pattern.regex, text).for_each(|piece| out.append_value(piece));
                Ok(Some(()))
            })
        },
    )
    .aliases(&["regexp_split_to_table"])
    .optional(1)
    .doc("The pieces between matches.")
    .examples(&[("regexp_split_to_array('a  b', ' +')", "['a','b']")]),
    Function::scalar(
        "regexp_count",
        &[Arg::Text, Arg::Text],
        Returns::Int,
        |args| {
            let (texts, mut patterns) = (args.text(0), Flagged::new(args, 2));
            args.try_primitives::<arrow::datatypes::Int64Type>(|row| {
                let (Some(text), Some(pattern)) = (texts.get(row), patterns.get(row)?) else {
                    return Ok(None);
                };
                Ok(Some(pattern.regex.find_iter(text).count() as i64))
            })
        },
    )
    .doc("How many matches there are.")
    .examples(&[("regexp_count('banana', 'an')", "2")]),
    Function::scalar(
        "regexp_like",
        &[Arg::Text, Arg::Text, Arg::Text],
        Returns::Bool,
        |args| {
            let (texts, mut patterns) = (args.text(0), Flagged::new(args, 2));
            args.try_bools(|row| {
                let (Some(text), Some(pattern)) = (texts.get(row), patterns.get(row)?) else {
                    return Ok(None);
                };
                Ok(Some(pattern.regex.is_match(text)))
            })
        },
    )
    .optional(1)
    .doc("Whether there is a match; the flag i ignores letter case.")
    .examples(&[("regexp_like('banana', 'N', 'i')", "true")]),
    Function::scalar("regexp_substr", &[Arg::Text, Arg::Text], Returns::Text, |args| {
        let (texts, mut patterns) = (args.text(0), Flagged::new(args, 2));
        args.texts(|row, out| {
            let (Some(text), Some(pattern)) = (texts.get(row), patterns.get(row)?) else {
                return Ok(None);
            };
            Ok(pattern.regex.find(text).map(|found| out.push_str(found.as_str())))
        })
    })
    .nulls(Nulls::Introduce)
    .doc("The first match; NULL if there is none.")
    .examples(&[("regexp_substr('banana', 'n.')", "na")]),
    Function::scalar("regexp_instr", &[Arg::Text, Arg::Text], Returns::Int, |args| {
        let (texts, mut patterns) = (args.text(0), Flagged::new(args, 2));
        args.try_primitives::<arrow::datatypes::Int64Type>(|row| {
            let (Some(text), Some(pattern)) = (texts.get(row), patterns.get(row)?) else {
                return Ok(None);
            };
            let found = pattern.regex.find(text);
            Ok(Some(found.map_or(0, |found| text[..found.start()].chars().count() as i64 + 1)))
        })
    })
    .doc("The place of the first match, in characters from 1; 0 if there is none.")
    .examples(&[("regexp_instr('banana', 'n')", "3")]),
    Function::scalar("postgresFormat", &[Arg::Text, Arg::Any], Returns::Text, format)
        .optional(1)
        .variadic()
        .nulls(Nulls::Custom)
        .doc("PostgreSQL's format: `%s` a value, `%I` an identifier, `%L` a literal, `%2$s` the second.")
        .examples(&[
            ("postgresFormat('%s-%s', 'a', 1)", "a-1"),
            ("postgresFormat('%I %L', 'A b', 'it''s')", "\"A b\" 'it''s'"),
        ]),
    Function::scalar("quote_literal", &[Arg::Text], Returns::Text, |args| {
        let texts = args.text(0);
        args.texts(|row, out| Ok(texts.get(row).map(|text| quote_literal(text, out))))
    })
    .doc("The text as a literal of SQL.")
    .examples(&[("quote_literal('it''s')", "'it''s'")]),
    Function::scalar("quote_nullable", &[Arg::Text], Returns::Text, |args| {
        let texts = args.text(0);
        args.texts(|row, out| {
            match texts.get(row) {
                Some(text) => quote_literal(text, out),
                None => out.push_str("NULL"),
            }
            Ok(Some(()))
        })
    })
    .nulls(Nulls::Absorb)
    .doc("The text as a literal of SQL; NULL for none.")
    .examples(&[("quote_nullable(NULL)", "NULL")]),
    Function::rewrite("postgresLog", &[Arg::Number, Arg::Number], |cx, span, mut args| {
        if args.len() == 1 {
            return call(cx, span, "log10", args);
        }
        let value = args.pop().ok_or_else(|| Error::internal("arguments were not counted"))?;
        let logarithms = [value].into_iter().chain(args).map(|arg| call(cx, span, "ln", vec![arg]));
        let logarithms = logarithms.collect::<Result<Vec<Typed>>>()?;
        call(cx, span, "divide", logarithms)
    })
    .optional(1)
    .doc("PostgreSQL's log: the logarithm to base 10, or (base, number).")
    .examples(&[("postgresLog(100)", "2"), ("postgresLog(2, 8)", "3")]),
];

/// A regular expression with its flags.
struct FlaggedRegex {
    regex: Regex,
    global: bool,
}

/// The regular expressions of the second argument with flags from another, compiled only when
/// they change.
struct Flagged<'a> {
    args: &'a Arguments<'a>,
    flags: usize,
    compiled: Option<(String, String, FlaggedRegex)>,
}

impl<'a> Flagged<'a> {
    fn new(args: &'a Arguments<'_>, flags: usize) -> Self {
        Self { args, flags, compiled: None }
    }

    fn get(&mut self, row: usize) -> Result<Option<&FlaggedRegex>> {
        let Some(pattern) = self.args.text(1).get(row) else { return Ok(None) };
        let flags = match self.args.count() > self.flags {
            true => match self.args.text(self.flags).get(row) {
                Some(flags) => flags,
                None => return Ok(None),
            },
            false => "",
        };
        let known = |(p, f, _): &(String, String, FlaggedRegex)| p == pattern && f == flags;
        if !self.compiled.as_ref().is_some_and(known) {
            let regex = compile(pattern, flags)?;
            self.compiled = Some((pattern.to_owned(), flags.to_owned(), regex));
        }
        Ok(self.compiled.as_ref().map(|(_, _, regex)| regex))
    }
}

fn compile(pattern: &str, flags: &str) -> Result<FlaggedRegex> {
    let mut global = false;
    let pattern = if flags.contains('q') { regex::escape(pattern) } else { pattern.to_owned() };
    let mut builder = RegexBuilder::new(&pattern);
    builder.dot_matches_new_line(true);
    for flag in flags.chars() {
        match flag {
            'g' => global = true,
            'i' => drop(builder.case_insensitive(true)),
            'c' => drop(builder.case_insensitive(false)),
            'n' | 'm' => drop(builder.dot_matches_new_line(false).multi_line(true)),
            'p' => drop(builder.dot_matches_new_line(false)),
            'w' => drop(builder.multi_line(true)),
            'x' => drop(builder.ignore_whitespace(true)),
            's' | 't' | 'q' => {}
            other => {
                let message = format!("no flag '{other}' of regular expressions");
                return Err(Error::new(ErrorKind::InvalidArgument, message)
                    .hint("There are g, i, n, p, w, x, q and s."));
            }
        }
    }
    Ok(FlaggedRegex { regex: builder.build().map_err(|error| invalid_regex(&error))?, global })
}

fn regexp_replace(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (texts, with) = (args.text(0), args.text(2));
    let mut patterns = Flagged::new(args, 3);
    args.texts(|row, out| {
        let (Some(text), Some(pattern), Some(with)) =
            (texts.get(row), patterns.get(row)?, with.get(row))
        else {
            return Ok(None);
        };
        let count = if pattern.global { usize::MAX } else { 1 };
        let mut end = 0;
        for captures in pattern.regex.captures_iter(text).take(count) {
            let Some(whole) = captures.get(0) else { continue };
            out.push_str(&text[end..whole.start()]);
            let mut characters = with.chars();
            while let Some(character) = characters.next() {
                if character != '\\' {
                    out.push(character);
                    continue;
                }
                let group = |number: usize| captures.get(number).map_or("", |found| found.as_str());
                match characters.next() {
                    Some('&') => out.push_str(whole.as_str()),
                    Some(digit @ '1'..='9') => out.push_str(group(digit as usize - '0' as usize)),
                    Some('\\') | None => out.push('\\'),
                    Some(other) => out.extend(['\\', other]),
                }
            }
            end = whole.end();
        }
        out.push_str(&text[end..]);
        Ok(Some(()))
    })
}

/// The groups of a match, or the match where the pattern has none.
fn groups<'t>(captures: &regex::Captures<'t>) -> Vec<Option<&'t str>> {
    let first = usize::from(captures.len() > 1);
    captures.iter().skip(first).map(|group| group.map(|found| found.as_str())).collect()
}

fn groups_per_row(args: &Arguments<'_>, global: bool) -> Result<ArrayRef> {
    let (texts, mut patterns) = (args.text(0), Flagged::new(args, 2));
    texts_per_row(args, |row, out| {
        let (Some(text), Some(pattern)) = (texts.get(row), patterns.get(row)?) else {
            return Ok(None);
        };
        if pattern.global && !global {
            let message = "regexp_match gives one match: it has no flag g";
            return Err(Error::new(ErrorKind::InvalidArgument, message)
                .hint("Use regexp_matches for all of them."));
        }
        let Some(captures) = pattern.regex.captures(text) else { return Ok(None) };
        groups(&captures).into_iter().for_each(|group| out.append_option(group));
        Ok(Some(()))
    })
}

fn regexp_matches(args: &Arguments<'_>) -> Result<ArrayRef> {
    use arrow::array::{ListBuilder, StringViewBuilder};
    let (texts, mut patterns) = (args.text(0), Flagged::new(args, 2));
    let inner = ListBuilder::new(StringViewBuilder::new()).with_field(Type::String.item_field());
    let field = Type::String.array().item_field();
    let mut builder = ListBuilder::new(inner).with_field(field);
    for row in 0..args.rows {
        let (Some(text), Some(pattern)) = (texts.get(row), patterns.get(row)?) else {
            builder.append_null();
            continue;
        };
        let count = if pattern.global { usize::MAX } else { 1 };
        for captures in pattern.regex.captures_iter(text).take(count) {
            let list = builder.values();
            groups(&captures).into_iter().for_each(|group| list.values().append_option(group));
            list.append(true);
        }
        builder.append(true);
    }
    Ok(std::sync::Arc::new(builder.finish()))
}

/// The pieces between matches; an empty match separates characters, and is none at the ends.
fn split<'t>(regex: &'t Regex, text: &'t str) -> impl Iterator<Item = &'t str> {
    let mut pieces = Vec::new();
    let mut end = 0;
    for found in regex.find_iter(text) {
        if found.is_empty() && (found.start() == 0 || found.end() == text.len()) {
            continue;
        }
        pieces.push(&text[end..found.start()]);
        end = found.end();
    }
    pieces.push(&text[end..]);
    pieces.into_iter()
}

fn split_part(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (texts, separators, numbers) = (args.text(0), args.text(1), args.int(2));
    args.texts(|row, out| {
        let (Some(text), Some(separator), Some(number)) =
            (texts.get(row), separators.get(row), numbers.get(row))
        else {
            return Ok(None);
        };
        if number == 0 {
            let message = "pieces are counted from 1, or from -1 at the end";
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let place = usize::try_from(number.unsigned_abs() - 1).unwrap_or(usize::MAX);
        let piece = match (separator.is_empty(), number > 0) {
            // Without a separator the text is one piece.
            (true, _) => (place == 0).then_some(text),
            (false, true) => text.split(separator).nth(place),
            (false, false) => text.rsplit(separator).nth(place),
        };
        out.push_str(piece.unwrap_or_default());
        Ok(Some(()))
    })
}

fn string_to_array(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (texts, separators) = (args.text(0), args.text(1));
    let nulls = (args.count() > 2).then(|| args.text(2));
    texts_per_row(args, |row, out| {
        let Some(text) = texts.get(row) else { return Ok(None) };
        let null = nulls.and_then(|nulls| nulls.get(row));
        let mut add = |piece: &str| out.append_option((Some(piece) != null).then_some(piece));
        match separators.get(row) {
            _ if text.is_empty() => {}
            None => text.chars().for_each(|c| add(c.encode_utf8(&mut [0; 4]))),
            Some("") => add(text),
            Some(separator) => text.split(separator).for_each(add),
        }
        Ok(Some(()))
    })
}

fn array_to_string(args: &Arguments<'_>) -> Result<ArrayRef> {
    use arrow::array::AsArray;
    let (lists, separators) = (args.list(0), args.text(1));
    let nulls = (args.count() > 2).then(|| args.text(2));
    let Type::Array(element) = &args.types[0] else {
        return Err(Error::internal("arguments were not converted"));
    };
    let display = Display::new(args.raw(0).as_list::<i32>().values(), element)?;
    let offsets = lists.array().value_offsets();
    args.texts(|row, out| {
        let (Some(_), Some(separator)) = (lists.get(row), separators.get(row)) else {
            return Ok(None);
        };
        let null = nulls.and_then(|nulls| nulls.get(row));
        let row = if args.is_constant(0) { 0 } else { row };
        let mut first = true;
        for index in offsets[row]..offsets[row + 1] {
            let before = out.len();
            if !first {
                out.push_str(separator);
            }
            match (display.write(index as usize, out), null) {
                (true, _) => first = false,
                (false, Some(null)) => {
                    out.push_str(null);
                    first = false;
                }
                (false, None) => out.truncate(before),
            }
        }
        Ok(Some(()))
    })
}

fn quote_literal(text: &str, out: &mut String) {
    let escaped = text.contains('\\');
    out.push_str(if escaped { "E'" } else { "'" });
    for character in text.chars() {
        match character {
            '\'' => out.push_str("''"),
            '\\' => out.push_str("\\\\"),
            other => out.push(other),
        }
    }
    out.push('\'');
}

fn quote_ident(text: &str, out: &mut String) {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if text.chars().all(plain)
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
    {
        out.push_str(text);
    } else {
        let _ = write!(out, "\"{}\"", text.replace('"', "\"\""));
    }
}

fn format(args: &Arguments<'_>) -> Result<ArrayRef> {
    let templates = args.text(0);
    let arrays: Vec<ArrayRef> =
        (1..args.count()).map(|index| args.expanded(index)).collect::<Result<_>>()?;
    let displays = arrays.iter().zip(args.types.iter().skip(1));
    let displays: Vec<Display<'_>> =
        displays.map(|(array, ty)| Display::new(array, ty)).collect::<Result<_>>()?;
    let invalid = |message: String| Error::new(ErrorKind::InvalidArgument, message);
    args.texts(|row, out| {
        let Some(template) = templates.get(row) else { return Ok(None) };
        let (mut rest, mut next) = (template, 0);
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('%') {
                out.push('%');
                rest = after;
                continue;
            }
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if rest[digits..].starts_with('$') {
                let place: usize = rest[..digits].parse().unwrap_or(0);
                next = place
                    .checked_sub(1)
                    .ok_or_else(|| invalid("arguments of format are counted from 1".to_owned()))?;
                rest = &rest[digits + 1..];
            }
            let Some(form) = rest.chars().next().filter(|c| matches!(c, 's' | 'I' | 'L')) else {
                return Err(invalid("after % stands s, I or L, or another %".to_owned()));
            };
            rest = &rest[1..];
            let Some(display) = displays.get(next) else {
                return Err(invalid(format!("format has no argument number {}", next + 1)));
            };
            next += 1;
            let mut value = String::new();
            let present = display.write(row, &mut value);
            match (form, present) {
                ('s', _) => out.push_str(&value),
                ('L', false) => out.push_str("NULL"),
                ('L', true) => quote_literal(&value, out),
                (_, false) => return Err(invalid("NULL cannot be an identifier".to_owned())),
                (_, true) => quote_ident(&value, out),
            }
        }
        out.push_str(rest);
        Ok(Some(()))
    })
}
