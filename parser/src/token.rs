//! Tokens: the words of the language, before grammar.

use crate::span::Span;

/// A token and its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Span,
    /// Index of the token that decides how this one reads, or 0: the closing bracket of an
    /// opening one, the arrow of a name that begins a bare lambda, the first WHEN of a CASE.
    pub(crate) link: u32,
}

/// The kinds of tokens. The text of names, strings and numbers is read from the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A bare identifier that is no keyword.
    Name,
    /// A word of the grammar; nearly all of them are names too.
    Keyword(Keyword),
    /// `` `name` `` or `"name"`.
    Quoted,
    /// `'text'`, `E'text'`, `U&'text'`, `$tag$text$tag$`.
    String,
    /// Decimal digits.
    Integer,
    /// `0x1F`.
    Hexadecimal,
    /// `0b101`.
    Binary,
    /// `1.5`, `1e3`, `0x1.8p1`.
    Float,

    OpenParen,
    CloseParen,
    OpenBracket,
    CloseBracket,
    OpenBrace,
    CloseBrace,
    Comma,
    Semicolon,
    Dot,
    NullishDot,
    Question,
    Nullish,
    Colon,
    DoubleColon,
    Assign,
    Arrow,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    Concat,
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
    NullSafeEq,
    Match,
    NotMatch,
    IMatch,
    NotIMatch,
    /// `#`: a column's position before a digit; in PostgreSQL's text also an operator.
    Hash,
    /// An operator that HogQL has no form of its own for.
    Operator(Operator),

    /// `f'`.
    TemplateStart,
    TemplateText,
    TemplateEnd,

    /// `<` where an operand is due.
    TagOpen,
    /// `>` after the attributes, or after the name of a closing tag.
    TagEnd,
    /// `/>`.
    TagSelfClose,
    /// `</`.
    TagClose,
    TagText,

    /// The end of the text.
    End,
}

/// Operators of PostgreSQL that become calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    /// `->`, where it is no lambda.
    Json,
    JsonText,
    JsonPath,
    JsonPathText,
    DeletePath,
    Contains,
    ContainedBy,
    Overlaps,
    /// `?`, where it is no ternary.
    HasKey,
    HasAnyKey,
    HasAllKeys,
    StartsWith,
    Power,
    BitAnd,
    BitOr,
    BitXor,
    ShiftLeft,
    ShiftRight,
    SquareRoot,
    CubeRoot,
    Absolute,
    Like,
    NotLike,
    ILike,
    NotILike,
}

impl Operator {
    /// Whether it stands before its only operand.
    pub(crate) fn is_prefix(self) -> bool {
        matches!(self, Self::SquareRoot | Self::CubeRoot | Self::Absolute)
    }
}

impl TokenKind {
    /// Whether the token can be a name where the grammar asks for one.
    pub(crate) fn is_name(self) -> bool {
        match self {
            Self::Name | Self::Quoted => true,
            Self::Keyword(keyword) => !keyword.is_never_a_name(),
            _ => false,
        }
    }

    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Hexadecimal | Self::Binary | Self::Float)
    }

    /// Whether an operand may have ended here, so that what follows is an operator.
    pub(crate) fn ends_operand(self) -> bool {
        match self {
            Self::Keyword(keyword) => !keyword.awaits_operand(),
            Self::Name
            | Self::Quoted
            | Self::String
            | Self::CloseParen
            | Self::CloseBracket
            | Self::CloseBrace
            | Self::TemplateEnd
            | Self::TagEnd
            | Self::TagSelfClose => true,
            other => other.is_number(),
        }
    }
}

macro_rules! keywords {
    ($($text:literal $name:ident),* $(,)?) => {
        /// The words of the grammar, in any letter case.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Keyword { $($name),* }

        /// Sorted by text, for the search in [`Keyword::from_text`].
        const KEYWORDS: &[(&str, Keyword)] = &[$(($text, Keyword::$name)),*];
    };
}

keywords! {
    "all" All, "and" And, "anti" Anti, "any" Any, "array" Array, "as" As, "asc" Asc,
    "ascending" Ascending, "asof" Asof, "between" Between, "both" Both, "by" By, "case" Case,
    "cast" Cast, "catch" Catch, "cohort" Cohort, "collate" Collate, "columns" Columns,
    "cross" Cross, "cube" Cube, "current" Current, "date" Date, "day" Day, "desc" Desc,
    "descending" Descending, "distinct" Distinct, "else" Else, "end" End, "except" Except,
    "exclude" Exclude, "extract" Extract, "fill" Fill, "filter" Filter, "final" Final,
    "finally" Finally, "first" First, "fn" Fn, "following" Following, "for" For, "from" From,
    "full" Full, "fun" Fun, "group" Group, "grouping" Grouping, "having" Having, "hour" Hour,
    "id" Id, "if" If, "ignore" Ignore, "ilike" ILike, "in" In, "include" Include, "inf" Inf,
    "infinity" Infinity, "inner" Inner, "interpolate" Interpolate, "intersect" Intersect,
    "interval" Interval, "is" Is, "join" Join, "key" Key, "lambda" Lambda, "last" Last,
    "leading" Leading, "left" Left, "let" Let, "like" Like, "limit" Limit, "local" Local,
    "materialized" Materialized, "minute" Minute, "month" Month, "name" Name, "nan" NaN,
    "natural" Natural, "not" Not, "null" Null, "nulls" Nulls, "offset" Offset, "on" On, "or" Or,
    "order" Order, "outer" Outer, "over" Over, "partition" Partition, "pivot" Pivot,
    "positional" Positional, "preceding" Preceding, "prewhere" Prewhere, "qualify" Qualify,
    "quarter" Quarter, "range" Range, "recursive" Recursive, "replace" Replace, "return" Return,
    "right" Right, "rollup" Rollup, "row" Row, "rows" Rows, "sample" Sample, "second" Second,
    "select" Select, "semi" Semi, "sets" Sets, "settings" Settings, "step" Step,
    "substring" Substring, "then" Then, "throw" Throw, "ties" Ties, "time" Time,
    "timestamp" Timestamp, "to" To, "top" Top, "totals" Totals, "trailing" Trailing,
    "trim" Trim, "truncate" Truncate, "try" Try, "try_cast" TryCast, "unbounded" Unbounded,
    "union" Union, "unpivot" Unpivot, "using" Using, "values" Values, "week" Week,
    "when" When, "where" Where, "while" While, "window" Window, "with" With, "within" Within,
    "year" Year, "yyyy" Yyyy, "zone" Zone,
}

/// Longer words are not compared.
const KEYWORD_BYTES_MAX: usize = 12;

impl Keyword {
    /// The keyword that a bare word spells.
    pub(crate) fn from_text(word: &str) -> Option<Self> {
        let mut lower = [0; KEYWORD_BYTES_MAX];
        let lower = lower.get_mut(..word.len())?;
        lower.copy_from_slice(word.as_bytes());
        lower.make_ascii_lowercase();
        let found = KEYWORDS.binary_search_by(|(text, _)| text.as_bytes().cmp(lower)).ok()?;
        Some(KEYWORDS[found].1)
    }

    /// The few words that are names only between quotes.
    pub(crate) fn is_never_a_name(self) -> bool {
        use Keyword::*;
        matches!(
            self,
            Catch
                | Except
                | Finally
                | Fn
                | Fun
                | Inf
                | Infinity
                | Intersect
                | Let
                | Materialized
                | NaN
                | Null
                | Throw
                | Try
                | While
                | Within
        )
    }

    /// `select a total`: keywords that name a column without AS.
    pub(crate) fn is_column_alias(self) -> bool {
        use Keyword::*;
        matches!(
            self,
            Asc | Ascending | Cohort | Date | Descending | Final | Id | Return | Top | Totals
        )
    }

    /// `from t id`: keywords that name a table without AS.
    pub(crate) fn is_table_alias(self) -> bool {
        matches!(self, Self::Date | Self::First | Self::Id | Self::Key)
    }

    /// Words that begin a clause of SELECT, or a join: after an operand they end the expression,
    /// and as a name they are believed only when what follows leaves no other reading.
    pub(crate) fn begins_clause(self) -> bool {
        use Keyword::*;
        matches!(
            self,
            From | Where
                | Prewhere
                | Group
                | Having
                | Qualify
                | Window
                | Order
                | Limit
                | Offset
                | Settings
                | Sample
                | Using
                | Union
                | Except
                | Intersect
                | Join
                | Inner
                | Left
                | Right
                | Full
                | Cross
                | Natural
                | Asof
                | Semi
                | Anti
                | Positional
                | On
        )
    }

    /// Words that could begin a clause after `1.`, or name a member of 1.
    pub(crate) fn follows_point(self) -> bool {
        matches!(self, Self::From | Self::Where | Self::Having | Self::Limit | Self::Offset)
    }

    /// Words that can stand directly after a complete operand.
    pub(crate) fn follows_operand(self) -> bool {
        use Keyword::*;
        self.begins_clause()
            || matches!(
                self,
                And | Or
                    | In
                    | Is
                    | Like
                    | ILike
                    | Between
                    | Not
                    | As
                    | Ignore
                    | When
                    | Then
                    | Else
                    | End
                    | Asc
                    | Ascending
                    | Desc
                    | Descending
                    | Nulls
                    | Collate
                    | With
                    | Interpolate
                    | For
                    | Preceding
                    | Following
                    | Array
                    | Any
                    | All
                    | Step
                    | To
                    | Rows
                    | Range
                    | Pivot
                    | Unpivot
                    | Final
            )
    }

    /// Words that end an expression they follow, within a list or a window.
    pub(crate) fn ends_item(self) -> bool {
        use Keyword::*;
        matches!(
            self,
            Asc | Ascending
                | Desc
                | Descending
                | Collate
                | With
                | Interpolate
                | For
                | Rows
                | Range
                | Preceding
                | Following
                | Step
                | To
        )
    }

    /// Words after which an operand is due, so that `<` begins a tag. Words that are likely
    /// columns, such as `step` and `offset`, are left out: after them `<` compares.
    fn awaits_operand(self) -> bool {
        use Keyword::*;
        matches!(
            self,
            Select
                | Distinct
                | From
                | Join
                | Where
                | Prewhere
                | Having
                | Qualify
                | And
                | Or
                | Not
                | When
                | Then
                | Else
                | Case
                | By
                | On
                | In
                | Like
                | ILike
                | Between
                | With
                | As
        )
    }

    pub(crate) fn is_interval_unit(self) -> bool {
        use Keyword::*;
        matches!(self, Second | Minute | Hour | Day | Week | Month | Quarter | Year | Yyyy)
    }
}

/// Words that look like names but stand for constants, in any letter case.
pub(crate) fn as_bool(name: &str) -> Option<bool> {
    if name.eq_ignore_ascii_case("true") {
        Some(true)
    } else if name.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_sorted_and_fit() {
        assert!(KEYWORDS.is_sorted_by(|a, b| a.0 < b.0));
        assert!(KEYWORDS.iter().all(|(text, _)| text.len() <= KEYWORD_BYTES_MAX));
        assert_eq!(Keyword::from_text("SeLeCt"), Some(Keyword::Select));
        assert_eq!(Keyword::from_text("selects"), None);
        assert_eq!(Keyword::from_text("a_word_of_more_than_twelve_bytes"), None);
    }
}
