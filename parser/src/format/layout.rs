//! Tokens to a document: clauses on lines of their own, lists by item, brackets by content.

use super::doc::{Doc, print, text};
use crate::grammar::Pieces;
use crate::span::Span;
use crate::token::{Keyword, TokenKind};

/// A token, or a run of tokens that is copied as it is: a template string or a tag.
struct Word {
    kind: TokenKind,
    span: Span,
    is_name: bool,
    /// Index of the word that closes what this one opens: a bracket, or END for CASE.
    close: usize,
    /// Comments before it, each with whether a new line follows; and after it on the same line.
    leading: Vec<(Span, bool)>,
    trailing: Vec<Span>,
}

struct Layout<'a> {
    text: &'a str,
    words: Vec<Word>,
}

/// The statement laid out anew.
pub(super) fn lay_out(text: &str, pieces: &Pieces) -> String {
    let layout = Layout { text, words: words(text, pieces) };
    // The last word is the end of the text, which may carry comments.
    let end = layout.words.len() - 1;
    let mut docs = vec![layout.sequence(0, end)];
    for (comment, _) in &layout.words[end].leading {
        docs.extend([Doc::HardLine, text_of(text, *comment)]);
    }
    print(&Doc::Group(docs))
}

fn text_of(source: &str, span: Span) -> Doc {
    text(source[span.range()].trim_end())
}

// ----- words ----------------------------------------------------------------------------------

fn words(source: &str, pieces: &Pieces) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut names = pieces.names.clone();
    names.sort_unstable();
    let mut verbatim = 0_usize;
    let mut tokens = pieces.tokens.iter().filter(|t| t.kind != TokenKind::Semicolon).peekable();
    while let Some(token) = tokens.next() {
        let opens = |kind| matches!(kind, TokenKind::TemplateStart | TokenKind::TagOpen);
        let mut span = token.span;
        if opens(token.kind) {
            // A tag is closed twice: `<A>` opens a body that `</A>` ends.
            let mut inner = token.kind;
            loop {
                match inner {
                    TokenKind::TemplateStart | TokenKind::TagOpen => verbatim += 1,
                    TokenKind::TemplateEnd | TokenKind::TagSelfClose | TokenKind::TagClose => {
                        verbatim -= 1;
                    }
                    _ => {}
                }
                let closed_tag = inner == TokenKind::TagClose;
                if verbatim == 0 && !closed_tag {
                    break;
                }
                let Some(next) = tokens.next() else { break };
                span = span.to(next.span);
                inner = next.kind;
                if verbatim == 0 && inner == TokenKind::TagEnd {
                    break;
                }
                if verbatim == 0 {
                    // The name in `</A>`.
                    inner = TokenKind::TagClose;
                    verbatim += 1;
                }
            }
            verbatim = 0;
        }
        let is_name = names.binary_search(&token.span.start).is_ok();
        let (leading, trailing) = (Vec::new(), Vec::new());
        words.push(Word { kind: token.kind, span, is_name, close: 0, leading, trailing });
    }
    pair(&mut words);
    attach(source, &pieces.comments, &mut words);
    words
}

/// Finds what closes each bracket and each CASE.
fn pair(words: &mut [Word]) {
    use TokenKind as T;
    let mut open = Vec::new();
    for at in 0..words.len() {
        match words[at].kind {
            T::OpenParen | T::OpenBracket | T::OpenBrace => open.push(at),
            T::Keyword(Keyword::Case) if !words[at].is_name => open.push(at),
            T::CloseParen | T::CloseBracket | T::CloseBrace => {
                if let Some(opener) = open.pop() {
                    words[opener].close = at;
                }
            }
            T::Keyword(Keyword::End) if !words[at].is_name => {
                if let Some(opener) = open.pop() {
                    words[opener].close = at;
                }
            }
            _ => {}
        }
    }
}

/// Gives each comment to the word it follows on its line, else to the next word.
fn attach(source: &str, comments: &[Span], words: &mut [Word]) {
    for comment in comments {
        let next = words.partition_point(|word| word.span.start < comment.start);
        let previous = next.checked_sub(1);
        if previous.is_some_and(|at| words[at].span.end > comment.start) {
            // Inside a template or a tag, which is copied.
            continue;
        }
        let after = &source[comment.end as usize..];
        let ends_line = after.trim_start_matches([' ', '\t', '\r']).starts_with('\n')
            || after.trim().is_empty();
        let since = previous.map_or(0, |at| words[at].span.end);
        let on_its_line = !source[since as usize..comment.start as usize].contains('\n');
        match previous {
            Some(at) if on_its_line && ends_line => words[at].trailing.push(*comment),
            _ => {
                let at = next.min(words.len() - 1);
                words[at].leading.push((*comment, ends_line));
            }
        }
    }
}

// ----- layout ---------------------------------------------------------------------------------

impl Layout<'_> {
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
        Doc::Group(docs)
    }

    fn starts_clause(&self, at: usize) -> bool {
        use Keyword::*;
        let before = at.checked_sub(1).and_then(|before| self.keyword(before));
        match self.keyword(at) {
            Some(
                Select | Prewhere | Where | Group | Having | Qualify | Window | Order | Limit
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
        Doc::Group(docs)
    }

    /// Items with commas between them.
    fn list(&self, from: usize, to: usize) -> Doc {
        let mut docs = Vec::new();
        let mut start = from;
        for at in self.top_level(from, to) {
            if self.words[at].kind == TokenKind::Comma {
                docs.push(self.item(start, at));
                docs.push(self.word(at));
                if at + 1 < to {
                    docs.push(Doc::Line);
                }
                start = at + 1;
            }
        }
        if start < to {
            docs.push(self.item(start, to));
        }
        Doc::Group(vec![Doc::Group(docs)])
    }

    fn item(&self, from: usize, to: usize) -> Doc {
        Doc::Group(vec![Doc::Indent(vec![self.run(from, to)])])
    }

    /// Words one after the other; a line may break before AND and OR and between parts.
    fn run(&self, from: usize, to: usize) -> Doc {
        let mut docs = Vec::new();
        let mut between = 0;
        for at in self.top_level(from, to) {
            let keyword = self.keyword(at);
            if at > from {
                let may_break = match keyword {
                    Some(Keyword::And) if between > 0 => {
                        between -= 1;
                        false
                    }
                    Some(
                        Keyword::And
                        | Keyword::Or
                        | Keyword::When
                        | Keyword::Else
                        | Keyword::Order
                        | Keyword::Rows
                        | Keyword::Range
                        | Keyword::On,
                    ) => true,
                    _ => false,
                };
                match self.space(at - 1, at) {
                    true if may_break => docs.push(Doc::Line),
                    true => docs.push(text(" ")),
                    false => {}
                }
            }
            between += usize::from(keyword == Some(Keyword::Between));
            match self.words[at].close {
                0 => docs.push(self.word(at)),
                close => docs.push(self.bracket(at, close)),
            }
        }
        Doc::Indent(docs)
    }

    /// A bracket with what it holds, or CASE … END.
    fn bracket(&self, open: usize, close: usize) -> Doc {
        if open + 1 == close {
            return Doc::Group(vec![self.word(open), self.word(close)]);
        }
        let is_case = self.keyword(open) == Some(Keyword::Case);
        let gap = || if is_case { Doc::Line } else { Doc::SoftLine };
        let inner = match is_case {
            true => self.run(open + 1, close),
            false => self.sequence(open + 1, close),
        };
        Doc::Group(vec![self.word(open), Doc::Indent(vec![gap(), inner]), gap(), self.word(close)])
    }

    /// One word with its comments.
    fn word(&self, at: usize) -> Doc {
        let word = &self.words[at];
        let written = &self.text[word.span.range()];
        let is_constant =
            matches!(self.keyword(at), Some(Keyword::Inf | Keyword::Infinity | Keyword::NaN));
        let written = match self.keyword(at) {
            Some(_) if !is_constant => written.to_ascii_uppercase(),
            _ => written.to_owned(),
        };
        if word.leading.is_empty() && word.trailing.is_empty() {
            return text(written);
        }
        let mut docs = Vec::new();
        for (comment, ends_line) in &word.leading {
            docs.push(text_of(self.text, *comment));
            docs.push(if *ends_line { Doc::HardLine } else { text(" ") });
        }
        docs.push(text(written));
        for comment in &word.trailing {
            docs.push(text("  "));
            docs.push(text_of(self.text, *comment));
        }
        if !word.trailing.is_empty() {
            docs.push(Doc::HardLine);
        }
        Doc::Group(docs)
    }

    // ----- spaces -------------------------------------------------------------------------

    /// Whether a space stands between two neighbours.
    fn space(&self, left: usize, right: usize) -> bool {
        use TokenKind as T;
        let (before, after) = (self.words[left].kind, self.words[right].kind);
        match (before, after) {
            (T::OpenParen | T::OpenBracket | T::OpenBrace | T::Hash, _) => false,
            (_, T::CloseParen | T::CloseBracket | T::CloseBrace | T::Comma) => false,
            (_, T::Dot) if !self.ends_operand(left) => true,
            (T::Dot | T::NullishDot | T::DoubleColon, _) => false,
            (_, T::Dot | T::NullishDot | T::DoubleColon) => false,
            (_, T::OpenParen) => !self.takes_arguments(left),
            (_, T::OpenBracket) => !self.ends_operand(left) && !self.is_array_word(left),
            (_, T::Colon) => self.is_ternary(right),
            (T::Colon, _) => !self.is_slice(left),
            (T::Minus | T::Plus, next) if left == 0 || !self.ends_operand(left - 1) => {
                matches!(next, T::Minus | T::Plus)
            }
            (_, T::Percent) => self.has_right_side(right),
            _ => true,
        }
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

    /// Where the bracket begins that directly holds this word, and its kind.
    fn holder(&self, at: usize) -> (usize, TokenKind) {
        let opener = (0..at).rev().find(|open| self.words[*open].close > at);
        opener.map_or((0, TokenKind::End), |open| (open, self.words[open].kind))
    }

    /// Whether the `:` here is that of `c ? x : y`.
    fn is_ternary(&self, at: usize) -> bool {
        let (start, kind) = self.holder(at);
        let from = if kind == TokenKind::End { 0 } else { start + 1 };
        let mut open = 0_usize;
        for word in self.top_level(from, at) {
            match self.words[word].kind {
                TokenKind::Question => open += 1,
                TokenKind::Colon => open = open.saturating_sub(1),
                TokenKind::Comma => open = 0,
                _ => {}
            }
        }
        open > 0
    }

    fn is_slice(&self, at: usize) -> bool {
        self.holder(at).1 == TokenKind::OpenBracket && !self.is_ternary(at)
    }
}
