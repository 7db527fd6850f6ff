//! Printing the names of types. How many words of one are read depends on where it stands.

use std::fmt::{self, Formatter, Write};

use super::{comma_separated, is_word, name, quoted_name, string};
use crate::ast::{TypeArg, TypeName};
use crate::token::Keyword;

/// A type that a bracket or AS ends: every word belongs to it.
pub(super) fn type_name(f: &mut Formatter<'_>, target: &TypeName) -> fmt::Result {
    for (at, word) in target.name.split(' ').enumerate() {
        f.write_str(if at > 0 { " " } else { "" })?;
        let is_name = !Keyword::from_text(word).is_some_and(Keyword::is_never_a_name);
        if is_word(word) && is_name { f.write_str(word)? } else { quoted_name(f, word)? }
    }
    suffix(f, target)
}

/// A type whose words are quoted as one.
fn quoted_type(f: &mut Formatter<'_>, target: &TypeName) -> fmt::Result {
    quoted_name(f, &target.name)?;
    suffix(f, target)
}

/// The type of a column, which other words may follow.
pub(super) fn column_type(f: &mut Formatter<'_>, target: &TypeName) -> fmt::Result {
    let (first, zone) = without_zone(&target.name);
    // Before an argument a word can be nothing else.
    let is_followed = zone.is_empty() && !target.args.is_empty();
    let follows = Keyword::from_text(first).is_some_and(Keyword::follows_operand);
    let is_bare = is_two_words(first) || (is_word(first) && (is_followed || !follows));
    if is_bare {
        return type_name(f, target);
    }
    quoted_name(f, first)?;
    f.write_str(zone)?;
    suffix(f, target)
}

/// What follows the words: arguments and `[]`.
fn suffix(f: &mut Formatter<'_>, target: &TypeName) -> fmt::Result {
    if !target.args.is_empty() {
        f.write_char('(')?;
        comma_separated(f, &target.args, argument)?;
        f.write_char(')')?;
    }
    for _ in 0..target.array_depth {
        f.write_str("[]")?;
    }
    Ok(())
}

fn argument(f: &mut Formatter<'_>, arg: &TypeArg) -> fmt::Result {
    match arg {
        TypeArg::Type(Some(field), inner) => {
            name(f, &field.name)?;
            f.write_char(' ')?;
            // Bare, these would make the name the first word of the type.
            let first = inner.name.split(' ').next().unwrap_or_default();
            let joins = matches!(first, "with" | "precision" | "varying");
            if joins { quoted_type(f, inner) } else { type_name(f, inner) }
        }
        // Bare, the first of several words would be a name.
        TypeArg::Type(None, inner) if inner.name.contains(' ') && !is_standard(&inner.name) => {
            quoted_type(f, inner)
        }
        TypeArg::Type(None, inner) => type_name(f, inner),
        TypeArg::Number(value) => write!(f, "{value}"),
        TypeArg::String(text) | TypeArg::Enum(text, None) => string(f, text),
        TypeArg::Enum(text, Some(value)) => {
            string(f, text)?;
            write!(f, " = {value}")
        }
    }
}

/// Whether the words of a type name belong together wherever they stand.
fn is_standard(words: &str) -> bool {
    let (first, zone) = without_zone(words);
    is_two_words(first) || (is_word(first) && zone.starts_with(" with "))
}

fn is_two_words(words: &str) -> bool {
    matches!(words, "double precision" | "character varying")
}

/// The words before `with time zone` and its like, and those.
fn without_zone(words: &str) -> (&str, &str) {
    let zones = [" with time zone", " with local time zone", " without time zone"];
    let zone = zones.iter().find_map(|zone| words.strip_suffix(zone));
    words.split_at(zone.map_or(words.len(), str::len))
}
