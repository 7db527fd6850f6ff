//! Templates of PostgreSQL's `to_char`, `to_timestamp` and `to_date`: `YYYY-MM-DD HH24:MI`.

use crate::error::{Error, Result};

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// A character that stands for itself.
    Character(char),
    /// Text in double quotes.
    Quoted(String),
    Field(FieldPiece),
}

/// A field with what is written around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FieldPiece {
    pub field: Field,
    pub case: Case,
    /// `FM`: no blanks and no leading zeros.
    pub fill: bool,
    /// `th` or `TH` after it: an ordinal number.
    pub ordinal: Option<Case>,
}

/// How names are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    Capital,
    Lower,
}

/// What a template can show of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// `AD`, and `A.D.` with dots.
    Era {
        dots: bool,
    },
    /// `AM`, and `A.M.` with dots.
    Half {
        dots: bool,
    },
    Century,
    DayName,
    DayAbbreviated,
    DayOfYear,
    DayOfMonth,
    /// From Sunday as 1.
    DayOfWeek,
    /// So many digits of the second's fraction.
    Fraction(u8),
    Hour24,
    Hour12,
    IsoDayOfYear,
    IsoDay,
    IsoWeek,
    /// The last so many digits.
    IsoYear(u8),
    Julian,
    Minute,
    Month,
    MonthName,
    MonthAbbreviated,
    MonthRoman,
    Offset,
    OffsetHour,
    OffsetMinute,
    Quarter,
    /// Seconds past midnight.
    SecondOfDay,
    Second,
    ZoneName,
    WeekOfYear,
    WeekOfMonth,
    /// `Y,YYY`.
    YearComma,
    /// The last so many digits.
    Year(u8),
}

impl Field {
    /// True when it is read and written as a number.
    pub(super) fn is_number(self) -> bool {
        !matches!(
            self,
            Self::Era { .. }
                | Self::Half { .. }
                | Self::DayName
                | Self::DayAbbreviated
                | Self::MonthName
                | Self::MonthAbbreviated
                | Self::MonthRoman
                | Self::Offset
                | Self::OffsetHour
                | Self::OffsetMinute
                | Self::ZoneName
        )
    }
}

/// The words of a template, each before its own beginnings.
const WORDS: &[(&str, Field)] = &[
    ("A.D.", Field::Era { dots: true }),
    ("A.M.", Field::Half { dots: true }),
    ("AD", Field::Era { dots: false }),
    ("AM", Field::Half { dots: false }),
    ("B.C.", Field::Era { dots: true }),
    ("BC", Field::Era { dots: false }),
    ("CC", Field::Century),
    ("DAY", Field::DayName),
    ("DDD", Field::DayOfYear),
    ("DD", Field::DayOfMonth),
    ("DY", Field::DayAbbreviated),
    ("D", Field::DayOfWeek),
    ("FF1", Field::Fraction(1)),
    ("FF2", Field::Fraction(2)),
    ("FF3", Field::Fraction(3)),
    ("FF4", Field::Fraction(4)),
    ("FF5", Field::Fraction(5)),
    ("FF6", Field::Fraction(6)),
    ("HH24", Field::Hour24),
    ("HH12", Field::Hour12),
    ("HH", Field::Hour12),
    ("IDDD", Field::IsoDayOfYear),
    ("ID", Field::IsoDay),
    ("IW", Field::IsoWeek),
    ("IYYY", Field::IsoYear(4)),
    ("IYY", Field::IsoYear(3)),
    ("IY", Field::IsoYear(2)),
    ("I", Field::IsoYear(1)),
    ("J", Field::Julian),
    ("MI", Field::Minute),
    ("MM", Field::Month),
    ("MONTH", Field::MonthName),
    ("MON", Field::MonthAbbreviated),
    ("MS", Field::Fraction(3)),
    ("OF", Field::Offset),
    ("P.M.", Field::Half { dots: true }),
    ("PM", Field::Half { dots: false }),
    ("Q", Field::Quarter),
    ("RM", Field::MonthRoman),
    ("SSSSS", Field::SecondOfDay),
    ("SSSS", Field::SecondOfDay),
    ("SS", Field::Second),
    ("TZH", Field::OffsetHour),
    ("TZM", Field::OffsetMinute),
    ("TZ", Field::ZoneName),
    ("US", Field::Fraction(6)),
    ("WW", Field::WeekOfYear),
    ("W", Field::WeekOfMonth),
    ("Y,YYY", Field::YearComma),
    ("YYYY", Field::Year(4)),
    ("YYY", Field::Year(3)),
    ("YY", Field::Year(2)),
    ("Y", Field::Year(1)),
];

/// Reads a template. Every text is one: what is no word stands for itself.
///
/// # Errors
/// `Unsupported` for words that change how texts are read or written as a whole.
pub(super) fn parse(template: &str) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(character) = rest.chars().next() {
        if character == '"' {
            let (text, after) = quoted(&rest[1..]);
            pieces.push(Piece::Quoted(text));
            rest = after;
            continue;
        }
        if let Some(after) = rest.strip_prefix("\\\"") {
            pieces.push(Piece::Character('"'));
            rest = after;
            continue;
        }
        for word in ["FX", "TM", "SP"] {
            if rest.starts_with(word) {
                let message = format!("{word} in a template of times is not supported");
                return Err(Error::unsupported(message));
            }
        }
        let filled = rest.strip_prefix("FM").or_else(|| rest.strip_prefix("fm"));
        let Some((field, case, after)) = word(filled.unwrap_or(rest)) else {
            if filled.is_none() {
                pieces.push(Piece::Character(character));
            }
            rest = filled.unwrap_or(&rest[character.len_utf8()..]);
            continue;
        };
        let (ordinal, after) = match after.get(..2) {
            Some("TH") => (Some(Case::Upper), &after[2..]),
            Some("th") => (Some(Case::Lower), &after[2..]),
            _ => (None, after),
        };
        pieces.push(Piece::Field(FieldPiece { field, case, fill: filled.is_some(), ordinal }));
        rest = after;
    }
    Ok(pieces)
}

/// The text up to a double quote, and what follows.
fn quoted(text: &str) -> (String, &str) {
    let mut content = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (content, &text[at + 1..]),
            '\\' => content.extend(characters.next().map(|(_, escaped)| escaped)),
            other => content.push(other),
        }
    }
    (content, "")
}

/// The word that a text begins with, and what follows. A word is written in one letter case, or
/// as a name: `Month`.
fn word(text: &str) -> Option<(Field, Case, &str)> {
    WORDS.iter().find_map(|(word, field)| {
        let (head, rest) = text.split_at_checked(word.len())?;
        let capital = matches!(
            field,
            Field::DayName | Field::DayAbbreviated | Field::MonthName | Field::MonthAbbreviated
        );
        let case = if head == *word {
            Case::Upper
        } else if head == word.to_ascii_lowercase() {
            Case::Lower
        } else if capital && head[..1] == word[..1] && head[1..] == word[1..].to_ascii_lowercase() {
            Case::Capital
        } else {
            return None;
        };
        Some((*field, case, rest))
    })
}
