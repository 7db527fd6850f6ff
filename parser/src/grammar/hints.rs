//! What to tell the author when the text stops making sense.

use super::Parser;
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::span::Span;
use crate::token::{Keyword, TokenKind};

/// Words that structure a query, for spelling suggestions.
const STRUCTURE: &[&str] = &[
    "SELECT",
    "DISTINCT",
    "FROM",
    "WHERE",
    "PREWHERE",
    "GROUP",
    "HAVING",
    "QUALIFY",
    "WINDOW",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "JOIN",
    "INNER",
    "LEFT",
    "RIGHT",
    "CROSS",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "WITH",
    "USING",
    "BETWEEN",
    "VALUES",
    "SAMPLE",
    "FILTER",
    "OVER",
];

/// Beginnings of statements that hold no query here, or that only other databases have.
const STATEMENTS: &[&str] = &[
    "ALTER", "ANALYZE", "BEGIN", "CALL", "COMMIT", "COPY", "CREATE", "DELETE", "DESCRIBE", "DROP",
    "EXPLAIN", "GRANT", "INSERT", "MERGE", "REVOKE", "ROLLBACK", "SET", "SHOW", "TRUNCATE",
    "UPDATE", "USE",
];

/// Beginnings of statements, for spelling suggestions.
const BEGINNINGS: &[&str] = &[
    "SELECT",
    "WITH",
    "VALUES",
    "EXPLAIN",
    "SHOW",
    "DESCRIBE",
    "SET",
    "RESET",
    "CREATE",
    "DROP",
    "ALTER",
    "INSERT",
    "COPY",
    "PREPARE",
    "EXECUTE",
    "DEALLOCATE",
];

/// The clauses of SELECT in the order they are written.
const CLAUSES: &[Keyword] = &[
    Keyword::From,
    Keyword::Prewhere,
    Keyword::Where,
    Keyword::Group,
    Keyword::Having,
    Keyword::Qualify,
    Keyword::Window,
    Keyword::Order,
    Keyword::Limit,
    Keyword::Offset,
];

const CLAUSE_ORDER: &str = "FROM, WHERE, GROUP BY, HAVING, ORDER BY, LIMIT";

impl Parser<'_> {
    /// The error for the current token, where something else was due.
    pub(super) fn unexpected(&self, expected: &str) -> SyntaxError {
        // A misspelt keyword was taken as an alias, and the text broke off after it.
        if let Some((at, word)) = self.misspelt() {
            let span = self.tokens[at].span;
            return SyntaxError::new(format!("unexpected `{}`", self.slice(span)), span)
                .expected(expected)
                .hint(format!("Did you mean {word}?"));
        }
        let span = self.span();
        let error = match self.kind() {
            TokenKind::End => {
                let end = self.text.len() as u32;
                SyntaxError::new("unexpected end of the query", Span::new(end, end))
            }
            TokenKind::Keyword(_) => {
                let word = self.slice(span).to_ascii_uppercase();
                SyntaxError::new(format!("unexpected {word}"), span)
            }
            _ => SyntaxError::new(format!("unexpected `{}`", self.excerpt(span)), span),
        };
        let error = error.expected(expected);
        match self.hint(expected) {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    /// The error for a text that begins like no query.
    pub(super) fn no_query(&self) -> SyntaxError {
        let span = self.span();
        let word = self.slice(span).to_ascii_uppercase();
        if self.kind() == TokenKind::End {
            return SyntaxError::new("the query is empty", span).expected("SELECT");
        }
        if STATEMENTS.contains(&word.as_str()) {
            let hint = match word.as_str() {
                "UPDATE" | "MERGE" | "TRUNCATE" => {
                    "Stored rows are never changed; filter them out where they are read."
                }
                "BEGIN" | "COMMIT" | "ROLLBACK" => "Every statement stands by itself.",
                _ => {
                    "There are SELECT, EXPLAIN, SHOW, DESCRIBE, SET, CREATE, DROP, INSERT, DELETE \
                     and COPY."
                }
            };
            return SyntaxError::new(format!("{word} statements are not supported"), span)
                .hint(hint)
                .kind(SyntaxErrorKind::Unsupported);
        }
        if self.is(Keyword::From) {
            return self.unexpected("SELECT").hint("The columns come first: SELECT … FROM ….");
        }
        let error = self.unexpected("SELECT");
        match nearest_of(BEGINNINGS, self.slice(span)) {
            Some(near) if self.at == 0 => error.hint(format!("Did you mean {near}?")),
            _ => error,
        }
    }

    /// A few characters of a token, on one line.
    fn excerpt(&self, span: Span) -> String {
        const LENGTH_MAX: usize = 40;
        let written = self.slice(span);
        let mut shown: String = written
            .chars()
            .take(LENGTH_MAX)
            .map(|character| if character.is_control() { ' ' } else { character })
            .collect();
        if shown.len() < written.len() {
            shown.push('…');
        }
        shown
    }

    /// A guess at what went wrong, from the current token and the one before it.
    fn hint(&self, expected: &str) -> Option<String> {
        use TokenKind as T;
        let after_operand = self.previous_kind().is_some_and(T::ends_operand);
        let at_end_of_query = expected == "the end";
        let word = self.slice(self.span()).to_ascii_uppercase();
        let hint = match (self.previous_kind(), self.kind()) {
            (Some(T::Semicolon), _) | (_, T::Semicolon) => {
                "A text holds one statement here.".into()
            }
            (_, T::Keyword(Keyword::Group | Keyword::Order))
                if after_operand && !self.nth_is(1, Keyword::By) =>
            {
                format!("{word} is followed by BY.")
            }
            (Some(T::Keyword(Keyword::Group | Keyword::Order)), _) if expected == "BY" => {
                let previous = self.slice(self.previous_span()).to_ascii_uppercase();
                format!("{previous} is followed by BY.")
            }
            (Some(T::Comma), T::Keyword(keyword)) if CLAUSES.contains(&keyword) => {
                format!("Is there a comma too many before {word}?")
            }
            (Some(_), T::End) if expected.starts_with("AND") => {
                "A range has two bounds: BETWEEN 1 AND 2.".into()
            }
            (Some(_), T::End) => {
                let previous = self.slice(self.previous_span());
                if after_operand {
                    return None;
                }
                format!("Complete the query after {previous}, or leave {previous} out.")
            }
            (_, T::Keyword(Keyword::From)) if expected.contains("END") => {
                "CASE ends with END.".into()
            }
            (Some(T::Keyword(Keyword::Select)), T::Keyword(Keyword::From)) => {
                "Name the columns, or write SELECT * FROM.".into()
            }
            (Some(_), T::Keyword(keyword)) if !after_operand && CLAUSES.contains(&keyword) => {
                let previous = self.slice(self.previous_span());
                format!("Complete what stands before {word}, or leave {previous} out.")
            }
            (_, T::Keyword(Keyword::Select)) if expected.starts_with("AS") => {
                "A query gets its name as in WITH name AS (SELECT …).".into()
            }
            (_, T::Keyword(Keyword::On | Keyword::Using)) if expected == "a table" => {
                "The table to join stands between JOIN and its condition.".into()
            }
            (
                _,
                T::Keyword(
                    Keyword::Left
                    | Keyword::Right
                    | Keyword::Full
                    | Keyword::Inner
                    | Keyword::Cross,
                ),
            ) if at_end_of_query => {
                format!("{word} is followed by JOIN and a table.")
            }
            (_, T::Keyword(Keyword::Partition)) if !self.nth_is(1, Keyword::By) => {
                "PARTITION is followed by BY.".into()
            }
            _ if expected.starts_with("PARTITION BY, ORDER BY") => {
                "Say what it is: OVER (PARTITION BY … ORDER BY …).".into()
            }
            (_, T::Keyword(Keyword::To)) if self.within_cast() => {
                "Types stand after AS: CAST(x AS Int).".into()
            }
            (_, T::Keyword(keyword @ (Keyword::Where | Keyword::Having)))
                if after_operand && at_end_of_query && self.has_clause(keyword) =>
            {
                format!("There is one {word} already; join conditions with AND.")
            }
            (_, T::Comma) if at_end_of_query => self.comma_hint()?,
            (_, T::Keyword(Keyword::Is)) if after_operand => {
                "IS tests for NULL; other values are compared with =.".into()
            }
            (Some(T::Integer), T::Keyword(_)) if is_unit(&word) => {
                format!("A length of time is written INTERVAL 1 {word}.")
            }
            (_, T::Keyword(keyword)) if CLAUSES.contains(&keyword) => {
                if !after_operand || !at_end_of_query {
                    return None;
                }
                let by = if self.nth_is(1, Keyword::By) { " BY" } else { "" };
                format!("{word}{by} is out of place; the order is {CLAUSE_ORDER}.")
            }
            (_, T::Keyword(keyword)) if keyword.is_never_a_name() => {
                format!("To use it as a name, quote it: `{}`.", self.slice(self.span()))
            }
            (Some(T::Eq | T::NotEq | T::Lt | T::Gt), T::Eq) => {
                "Equality is written `=` or `==`.".into()
            }
            (Some(T::Quoted), T::String) => {
                "Strings are written in single quotes; double quotes are for names.".into()
            }
            (_, T::Keyword(keyword)) if after_operand => {
                if keyword.follows_operand() || !at_end_of_query {
                    return None;
                }
                format!("An alias that is a keyword needs AS: AS {}.", self.slice(self.span()))
            }
            (_, kind) if after_operand && kind.ends_operand() => {
                "Is a comma or an operator missing before it?".into()
            }
            _ => return None,
        };
        Some(hint)
    }

    /// True just after the first argument of CAST.
    fn within_cast(&self) -> bool {
        let open = self.tokens[..self.at].iter().rposition(|t| t.kind == TokenKind::OpenParen);
        let word = open.and_then(|open| self.tokens.get(open.checked_sub(1)?));
        word.is_some_and(|word| self.slice(word.span).eq_ignore_ascii_case("cast"))
    }

    /// True when the SELECT that ends here has this clause.
    fn has_clause(&self, keyword: Keyword) -> bool {
        let mut depth = 0_usize;
        for token in self.tokens[..self.at].iter().rev() {
            match token.kind {
                TokenKind::CloseParen => depth += 1,
                TokenKind::OpenParen if depth == 0 => return false,
                TokenKind::OpenParen => depth -= 1,
                TokenKind::Keyword(found) if depth == 0 && found == keyword => return true,
                TokenKind::Keyword(Keyword::Select) if depth == 0 => return false,
                _ => {}
            }
        }
        false
    }

    /// What a comma after the end of a query was meant for.
    fn comma_hint(&self) -> Option<String> {
        let before = |distance: usize| self.at.checked_sub(distance).map(|at| self.tokens[at].kind);
        if before(2) == Some(TokenKind::Keyword(Keyword::In)) {
            return Some("A list stands in parentheses: IN (1, 2).".into());
        }
        if self.has_clause(Keyword::Limit) {
            return Some("LIMIT takes a count and an offset: LIMIT 10 OFFSET 20.".into());
        }
        None
    }

    fn previous_kind(&self) -> Option<TokenKind> {
        self.at.checked_sub(1).map(|before| self.tokens[before].kind)
    }

    /// A name that misspells a structural word: the current token, or one before it that stands
    /// where an alias does. `from t wehre x` has already read `wehre` as an alias of `t`.
    fn misspelt(&self) -> Option<(usize, &'static str)> {
        let ends_operand = |at: usize| self.tokens[at].kind.ends_operand();
        (self.at.saturating_sub(2)..=self.at)
            .rev()
            .filter(|at| self.tokens[*at].kind == TokenKind::Name)
            .filter(|at| at.checked_sub(1).is_none_or(ends_operand))
            .find_map(|at| Some((at, nearest(self.slice(self.tokens[at].span))?)))
    }
}

/// The structural word one slip away: a letter more, less, changed, or two swapped.
fn nearest(written: &str) -> Option<&'static str> {
    nearest_of(STRUCTURE, written)
}

fn nearest_of(words: &'static [&'static str], written: &str) -> Option<&'static str> {
    if written.len() < 3 {
        return None;
    }
    let written = written.to_ascii_uppercase();
    words.iter().find(|word| is_one_slip(written.as_bytes(), word.as_bytes())).copied()
}

const UNITS: &[&str] = &["SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR"];

fn is_unit(word: &str) -> bool {
    UNITS.contains(&word)
}

/// The way out of a text that is no interval.
pub(super) fn interval_hint(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphabetic());
    match words.into_iter().find_map(|word| nearest_of(UNITS, word)) {
        Some(unit) => format!("Did you mean {}?", unit.to_ascii_lowercase()),
        None => "Units are second, minute, hour, day, week, month, quarter and year.".to_owned(),
    }
}

fn is_one_slip(written: &[u8], word: &[u8]) -> bool {
    let prefix = written.iter().zip(word).take_while(|(a, b)| a == b).count();
    let (a, b) = (&written[prefix..], &word[prefix..]);
    match (a, b) {
        ([_, a @ ..], [_, b @ ..]) if a == b => true,
        ([a0, a1, a @ ..], [b0, b1, b @ ..]) if a == b && a0 == b1 && a1 == b0 => true,
        ([_, a @ ..], b) if a == b => true,
        (a, [_, b @ ..]) if a == b => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips() {
        let cases = [
            ("SELCT", Some("SELECT")),
            ("form", Some("FROM")),
            ("wehre", Some("WHERE")),
            ("GRUOP", Some("GROUP")),
            ("joinn", Some("JOIN")),
            ("a", None),
            ("events", None),
        ];
        for (written, word) in cases {
            assert_eq!(nearest(written), word, "{written}");
        }
    }
}
