//! The tree back to text, in one canonical form: one line, keywords in upper case, no parentheses
//! but those the tree needs. The text reads the same under [`Dialect::Hogql`](crate::Dialect):
//! parsing it gives an equal tree.

mod expr;
mod query;
mod statement;
mod types;

use std::fmt::{self, Display, Formatter, Write};

use crate::ast::{Expr, Ident, Query, Statement};
use crate::grammar::power;
use crate::token::{Keyword, as_bool};

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        statement::statement(f, &self.kind)
    }
}

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        query::query(f, self)
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        expr::expr(f, self, power::ALIAS)
    }
}

impl Display for Ident {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        name(f, &self.name)
    }
}

/// Whether this operand of NOT is printed with a parenthesis first that holds no query: NOT before
/// it reads as a function.
pub(crate) fn begins_with_paren(operand: &Expr) -> bool {
    expr::not_before_paren(operand)
}

/// Items with commas between them.
fn comma_separated<T>(
    f: &mut Formatter<'_>,
    items: &[T],
    mut item: impl FnMut(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (at, each) in items.iter().enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        item(f, each)?;
    }
    Ok(())
}

/// `a, b AS c`.
fn exprs(f: &mut Formatter<'_>, items: &[Expr]) -> fmt::Result {
    comma_separated(f, items, |f, item| expr::expr(f, item, power::ALIAS))
}

/// `(a, b AS c)`.
fn parenthesised(f: &mut Formatter<'_>, items: &[Expr]) -> fmt::Result {
    f.write_char('(')?;
    exprs(f, items)?;
    f.write_char(')')
}

/// `a.b.c`.
fn dotted(f: &mut Formatter<'_>, parts: &[Ident]) -> fmt::Result {
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            f.write_char('.')?;
        }
        name(f, &part.name)?;
    }
    Ok(())
}

/// A name, quoted where it would not read as one.
fn name(f: &mut Formatter<'_>, name: &str) -> fmt::Result {
    if reads_as_name(name) { f.write_str(name) } else { quoted_name(f, name) }
}

/// The name of a function: some keywords are names before a parenthesis only.
fn function_name(f: &mut Formatter<'_>, name: &str) -> fmt::Result {
    let is_function = matches!(
        Keyword::from_text(name),
        Some(
            Keyword::If
                | Keyword::Not
                | Keyword::Any
                | Keyword::Array
                | Keyword::Left
                | Keyword::Right
                | Keyword::Replace
                | Keyword::Range
                | Keyword::Extract
                | Keyword::Substring
                | Keyword::Trim
        )
    );
    if is_function || reads_as_name(name) { f.write_str(name) } else { quoted_name(f, name) }
}

/// A name after AS, where some are reserved unless quoted.
fn alias(f: &mut Formatter<'_>, alias: &Ident) -> fmt::Result {
    let text = &alias.name;
    let reserved = as_bool(text).is_some() || text.eq_ignore_ascii_case("team_id");
    if reserved { quoted_name(f, text) } else { name(f, text) }
}

/// Whether a bare word reads as this name wherever a name is printed. Most keywords would, in
/// most places; only those are left bare that have no other meaning near an operand.
fn reads_as_name(name: &str) -> bool {
    is_word(name)
        && match Keyword::from_text(name) {
            None => true,
            Some(keyword) => {
                keyword.is_interval_unit()
                    || matches!(
                        keyword,
                        Keyword::Date
                            | Keyword::Timestamp
                            | Keyword::Time
                            | Keyword::Id
                            | Keyword::Key
                            | Keyword::Name
                            | Keyword::First
                            | Keyword::Last
                            | Keyword::Truncate
                    )
            }
        }
}

fn is_word(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' || b == b'$')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$')
}

fn quoted_name(f: &mut Formatter<'_>, name: &str) -> fmt::Result {
    f.write_char('`')?;
    for character in name.chars() {
        match character {
            '`' => f.write_str("``")?,
            _ => escaped(f, character)?,
        }
    }
    f.write_char('`')
}

fn string(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('\'')?;
    for character in text.chars() {
        match character {
            '\'' => f.write_str("\\'")?,
            _ => escaped(f, character)?,
        }
    }
    f.write_char('\'')
}

/// A character of a quoted text, quotes aside.
fn escaped(f: &mut Formatter<'_>, character: char) -> fmt::Result {
    let letter = match character {
        '\\' => '\\',
        '\n' => 'n',
        '\t' => 't',
        '\r' => 'r',
        '\u{8}' => 'b',
        '\u{C}' => 'f',
        '\u{7}' => 'a',
        '\u{B}' => 'v',
        _ => return f.write_char(character),
    };
    f.write_char('\\')?;
    f.write_char(letter)
}
