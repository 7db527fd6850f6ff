//! Words to a document: clauses on lines of their own, lists by item, brackets by content.

use super::doc::{Doc, group, print, text};
use super::words::{Comment, Word, words};
use crate::grammar::Pieces;
use crate::span::Span;
use crate::token::{Keyword, TokenKind};

struct Layout<'a> {
    text: &'a str,
    words: Vec<Word>,
}

/// The statement laid out anew.
pub(super) fn lay_out(text: &str, pieces: &Pieces) -> String {
    let layout = Layout { text, words: words(text, pieces) };
    // The last word is the end of the text, and before it may stand a semicolon.
    let end = layout.words.len() - 1;
    let last = end - usize::from(end > 0 && layout.words[end - 1].kind == TokenKind::Semicolon);
    let mut docs = layout.statement(last);
    docs.extend((last..end).map(|at| layout.word(at)));
    let comments = layout.words[end].leading.iter();
    docs.extend(comments.map(|comment| layout.leading(comment)));
    print(&group(docs))
}

impl Layout<'_> {
    /// The words before the first query of a statement, and the query on lines of its own.
    fn statement(&self, end: usize) -> Vec<Doc> {
        if self.is_query(0, end) {
            return vec![self.query(0, end)];
        }
        let begins = |at: &usize| match self.keyword(*at) {
            Some(Keyword::Select | Keyword::Values) => true,
            Some(Keyword::With) => self.begins_with_list(*at),
            _ => false,
        };
        match self.top_level(0, end).find(begins) {
            Some(query) => vec![self.list(0, query), Doc::Line, self.query(query, end)],
            None => vec![self.list(0, end)],
        }
    }

    /// A query, or a list.
    fn sequence(&self, from: usize, to: usize) -> Doc {
        if self.is_query(from, to) { self.query(from, to) } else { self.list(from, to) }
    }

    fn keyword(&self, at: usize) -> Option<Keyword> {
        match self.words[at].kind {
            TokenKind::Keyword(keyword) if !self.words[at].is_name => Some(keyword),
            _ => None,
        }
    }

    /// The word after this one, brackets with all they hold being one.
    fn next(&self, at: usize) -> usize {
        self.words[at].close.max(at) + 1
    }

    /// The words of a range that are in no bracket of it.
    fn top_level(&self, from: usize, to: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(from), |at| Some(self.next(*at))).take_while(move |at| *at < to)
    }

    fn is_query(&self, from: usize, to: usize) -> bool {
        if from >= to {
            return false;
        }
        matches!(self.keyword(from), Some(Keyword::Select | Keyword::With))
            || self.top_level(from, to).any(|at| {
                matches!(
                    self.keyword(at),
                    Some(Keyword::Union | Keyword::Intersect | Keyword::Except)
                )
            })
    }

    fn query(&self, from: usize, to: usize) -> Doc {
        let mut starts: Vec<usize> =
            self.top_level(from, to).filter(|at| *at == from || self.starts_clause(*at)).collect();
        starts.push(to);
        let mut docs = Vec::new();
        for pair in starts.windows(2) {
            if !docs.is_empty() {
                docs.push(Doc::Line);
            }
            docs.push(self.clause(pair[0], pair[1]));
        }
        group(docs)
    }

    fn starts_clause(&self, at: usize) -> bool {
        use Keyword::*;
        let before = at.checked_sub(1).and_then(|before| self.keyword(before));
        match self.keyword(at) {
            // Not the GROUP of WITHIN GROUP.
            Some(Group) => before != Some(Within),
            Some(
                Select | Values | Prewhere | Where | Having | Qualify | Window | Order | Limit
                | Settings | Union | Intersect | Except,
            ) => true,
            // Not the FROM of WITH FILL and IS DISTINCT FROM, nor the OFFSET of a sample or limit.
            Some(From) => {
                !matches!(before, Some(Distinct | Fill)) || self.is_select_distinct(at - 1)
            }
            Some(Offset) => false,
            Some(With) => {
                before.is_none_or(|word| {
                    matches!(word, Union | Intersect | Except | All | Distinct | Name)
                }) && self.begins_with_list(at)
            }
            Some(
                Join | Inner | Left | Right | Full | Cross | Natural | Asof | Semi | Anti | Any
                | All | Positional | Array,
            ) => self.begins_join(at),
            None if at > 0 && self.is_after_set_operator(at - 1) => true,
            _ => false,
        }
    }

    fn is_select_distinct(&self, at: usize) -> bool {
        at > 0 && self.keyword(at - 1) == Some(Keyword::Select)
    }

    /// `WITH` of common table expressions, not of ROLLUP, TOTALS, TIES, FILL or a time zone.
    fn begins_with_list(&self, at: usize) -> bool {
        use Keyword::{Cube, Fill, Local, Rollup, Ties, Time, Totals};
        !matches!(self.keyword(at + 1), Some(Cube | Fill | Local | Rollup | Ties | Time | Totals))
    }

    fn is_after_set_operator(&self, at: usize) -> bool {
        use Keyword::{All, By, Distinct, Except, Intersect, Name, Union};
        let mut at = at;
        while matches!(self.keyword(at), Some(All | Distinct | By | Name)) && at > 0 {
            at -= 1;
        }
        matches!(self.keyword(at), Some(Union | Intersect | Except))
    }

    /// Whether the words of a join begin here.
    fn begins_join(&self, at: usize) -> bool {
        let is_part = |at: usize| {
            use Keyword::*;
            matches!(
                self.keyword(at),
                Some(
                    Inner
                        | Left
                        | Right
                        | Full
                        | Cross
                        | Natural
                        | Asof
                        | Semi
                        | Anti
                        | Any
                        | All
                        | Outer
                        | Positional
                        | Array
                )
            )
        };
        let follows_part = at > 0 && is_part(at - 1);
        let mut end = at;
        while is_part(end) {
            end += 1;
        }
        !follows_part && self.keyword(end) == Some(Keyword::Join)
    }

    /// One clause: its words, then its list on the same line or indented below.
    fn clause(&self, from: usize, to: usize) -> Doc {
        use Keyword::*;
        let mut body = from;
        let spreads = match self.keyword(from) {
            Some(Select) => {
                let distinct = self.keyword(from + 1) == Some(Distinct) && from + 1 < to;
                body += 1 + usize::from(distinct);
                true
            }
            Some(Group | Order) => {
                body += 2;
                true
            }
            Some(With | Where | Prewhere | Having | Qualify | Window) => {
                body += 1;
                false
            }
            _ => return self.list(from, to),
        };
        let body = body.min(to);
        let mut docs = vec![self.run(from, body)];
        if body < to {
            let list = self.list(body, to);
            docs.extend(match spreads {
                true => vec![Doc::Indent(vec![Doc::Line, list])],
                false => vec![text(" "), list],
            });
        }
        group(docs)
    }

    /// Items with commas between them.
    fn list(&self, from: usize, to: usize) -> Doc {
        let mut docs = Vec::new();
        let mut start = from;
        for at in self.top_level(from, to) {
            if self.words[at].kind == TokenKind::Comma {
                docs.push(self.run(start, at));
                docs.push(self.word(at));
                if at + 1 < to {
                    docs.push(Doc::Line);
                }
                start = at + 1;
            }
        }
        if start < to {
            docs.push(self.run(start, to));
        }
        group(docs)
    }

    /// Words one after the other; a line may break before AND and OR and between parts.
    fn run(&self, from: usize, to: usize) -> Doc {
        let mut docs = Vec::new();
        let mut between = 0;
        for at in self.top_level(from, to) {
            let keyword = self.keyword(at);
            if at > from && self.space(at - 1, at) {
                let may_break = match keyword {
                    Some(Keyword::And) if between > 0 => {
                        between -= 1;
                        false
                    }
                    Some(keyword) => breaks_before(keyword),
                    None => false,
                };
                docs.push(if may_break { Doc::Line } else { text(" ") });
            }
            between += usize::from(keyword == Some(Keyword::Between));
            docs.push(match self.words[at].close {
                0 => self.word(at),
                close => self.bracket(at, close),
            });
        }
        // Comments before the first word stand where it does.
        let others = docs.split_off(docs.len().min(1));
        docs.push(Doc::Indent(others));
        group(docs)
    }

    /// A bracket with what it holds, or CASE … END.
    fn bracket(&self, open: usize, close: usize) -> Doc {
        let is_case = self.keyword(open) == Some(Keyword::Case);
        let gap = || if is_case { Doc::Line } else { Doc::SoftLine };
        let inner = match is_case {
            _ if open + 1 == close => group(Vec::new()),
            true => self.branches(open + 1, close),
            false => self.sequence(open + 1, close),
        };
        let docs = vec![self.word(open), Doc::Indent(vec![gap(), inner]), gap(), self.word(close)];
        Doc::Hanging(Box::new(group(docs)))
    }

    /// What stands between CASE and END: each branch on a line, all of them or none.
    fn branches(&self, from: usize, to: usize) -> Doc {
        let begins = |at: &usize| {
            *at == from || matches!(self.keyword(*at), Some(Keyword::When | Keyword::Else))
        };
        let mut starts: Vec<usize> = self.top_level(from, to).filter(begins).collect();
        starts.push(to);
        let mut docs = Vec::new();
        for pair in starts.windows(2) {
            if !docs.is_empty() {
                docs.push(Doc::Line);
            }
            docs.push(self.run(pair[0], pair[1]));
        }
        group(docs)
    }

    /// One word with its comments.
    fn word(&self, at: usize) -> Doc {
        let word = &self.words[at];
        let written = text(self.written(at));
        if word.leading.is_empty() && word.trailing.is_empty() {
            return written;
        }
        let mut docs = Vec::new();
        for comment in &word.leading {
            match comment.lines {
                0 => docs.extend([text(self.comment(comment.span)), text(" ")]),
                _ => docs.push(self.leading(comment)),
            }
        }
        if matches!(word.kind, TokenKind::Comma | TokenKind::Semicolon) && !word.trailing.is_empty()
        {
            // A comma goes before the comment on the line above, but not with one of its own.
            docs.push(Doc::AfterComment);
        }
        docs.push(written);
        for comment in &word.trailing {
            docs.push(Doc::Trailing(self.comment(*comment)));
        }
        group(docs)
    }

    /// A comment on lines of its own.
    fn leading(&self, comment: &Comment) -> Doc {
        Doc::Leading(self.comment(comment.span), comment.lines > 1)
    }

    fn comment(&self, span: Span) -> String {
        self.text[span.range()].trim_end().to_owned()
    }

    /// A word as the layout writes it: keywords in upper case, names and constants as they were.
    fn written(&self, at: usize) -> String {
        use Keyword::{Inf, Infinity, NaN};
        let written = &self.text[self.words[at].span.range()];
        match self.keyword(at) {
            None if self.words[at].is_word => written.to_ascii_uppercase(),
            Some(Inf | Infinity | NaN) | None => written.to_owned(),
            Some(_) => written.to_ascii_uppercase(),
        }
    }

    // ----- spaces -------------------------------------------------------------------------

    /// Whether a space stands between two neighbours.
    fn space(&self, left: usize, right: usize) -> bool {
        use TokenKind as T;
        let (before, after) = (self.words[left].kind, self.words[right].kind);
        match (before, after) {
            (T::OpenParen | T::OpenBracket | T::OpenBrace, _) => false,
            // In HogQL `# 1` is a comment, in PostgreSQL's text `#-` another operator.
            (T::Hash, _) => self.is_apart(left, right),
            (_, T::CloseParen | T::CloseBracket | T::CloseBrace | T::Comma | T::Semicolon) => false,
            (_, T::Dot) if !self.ends_operand(left) => true,
            // A number would take the dot for its own.
            (number, T::Dot) if number.is_number() => self.is_apart(left, right),
            (T::Dot | T::NullishDot | T::DoubleColon, _) => false,
            (_, T::Dot | T::NullishDot | T::DoubleColon) => false,
            (_, T::OpenParen) => !self.takes_arguments(left),
            (_, T::OpenBracket) => !self.ends_operand(left) && !self.is_array_word(left),
            (_, T::Colon) => self.words[right].is_ternary,
            (T::Colon, _) => !self.is_slice(left),
            (T::Minus | T::Plus, next) if left == 0 || !self.ends_operand(left - 1) => {
                matches!(next, T::Minus | T::Plus)
            }
            (_, T::Percent) => self.has_right_side(right),
            _ => true,
        }
    }

    /// Whether the author left a space between two neighbours.
    fn is_apart(&self, left: usize, right: usize) -> bool {
        self.words[left].span.end < self.words[right].span.start
    }

    fn ends_operand(&self, at: usize) -> bool {
        let word = &self.words[at];
        let constant = || {
            use Keyword::{End, Inf, Infinity, NaN, Null};
            matches!(self.keyword(at), Some(End | Inf | Infinity | NaN | Null))
        };
        match word.kind {
            TokenKind::Keyword(_) => word.is_name || constant(),
            TokenKind::TemplateStart | TokenKind::TagOpen => true,
            TokenKind::Star => at == 0 || !self.ends_operand(at - 1),
            kind => kind.ends_operand(),
        }
    }

    /// Whether a parenthesis after this word belongs to it.
    fn takes_arguments(&self, at: usize) -> bool {
        use Keyword::{Cast, Columns, Extract, Substring, Trim, TryCast};
        matches!(self.keyword(at), Some(Cast | Columns | Extract | Substring | Trim | TryCast))
            || (self.ends_operand(at) && self.words[at].kind != TokenKind::Star)
    }

    fn is_array_word(&self, at: usize) -> bool {
        self.keyword(at) == Some(Keyword::Array)
    }

    /// Whether the `%` here divides; otherwise it ends a percentage.
    fn has_right_side(&self, at: usize) -> bool {
        let next = self.words[at + 1].kind;
        matches!(next, TokenKind::OpenParen | TokenKind::OpenBracket | TokenKind::OpenBrace)
            || matches!(next, TokenKind::Minus | TokenKind::Plus | TokenKind::String)
            || next.is_number()
            || next.is_name() && self.keyword(at + 1).is_none()
    }

    /// Whether the `:` here stands between the bounds of a slice.
    fn is_slice(&self, at: usize) -> bool {
        self.words[at].holder == TokenKind::OpenBracket && !self.words[at].is_ternary
    }
}

fn breaks_before(keyword: Keyword) -> bool {
    use Keyword::{And, On, Or, Order, Range, Rows};
    matches!(keyword, And | Or | Order | Rows | Range | On)
}
