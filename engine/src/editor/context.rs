//! What a cursor is surrounded by: the SELECT it stands in, its sources, what came just before.

use std::ops::Range;

use hedgerow_parser::Dialect;

use super::scan::{Kind, Token, scan};

/// The part of a SELECT in which a cursor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clause {
    Start,
    With,
    Select,
    From,
    On,
    Where,
    GroupBy,
    Having,
    OrderBy,
    Limit,
}

/// What may be written at the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing that could be suggested: inside of text, or a new name.
    Nothing,
    /// A statement.
    Statement,
    /// A table.
    Source,
    /// A value.
    Value,
    /// Whatever follows a value or a table.
    After,
    /// `BY`.
    By,
    /// The rest of a join.
    Join,
    /// What `IS` tests for.
    Is,
    /// The inside of `OVER (`.
    Window,
    /// The name of a setting.
    Setting,
    /// The inside of `{…}`.
    Placeholder,
}

/// A source of the SELECT around the cursor.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) name: Vec<String>,
    /// The text of a subquery.
    pub(super) query: Option<Range<usize>>,
    pub(super) alias: Option<String>,
}

/// A common table expression that can be seen from the cursor.
#[derive(Debug, Clone)]
pub(super) struct Cte {
    pub(super) name: String,
    /// The whole definition; none for a value.
    pub(super) definition: Option<Range<usize>>,
}

/// The surroundings of a cursor.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) place: Place,
    pub(super) clause: Clause,
    /// The names before the dots before the cursor.
    pub(super) qualifier: Vec<String>,
    /// The beginning of the name at the cursor.
    pub(super) prefix: String,
    /// The text that a suggestion replaces.
    pub(super) replaced: Range<usize>,
    pub(super) sources: Vec<Source>,
    pub(super) ctes: Vec<Cte>,
    pub(super) aliases: Vec<String>,
    /// True within parentheses that hold no query.
    pub(super) in_call: bool,
}

/// Looks around a cursor, which is a byte offset on a character's boundary.
pub(super) fn context(text: &str, cursor: usize, dialect: Dialect) -> Context {
    let all = scan(text, dialect);
    let at_cursor = all.iter().find(|token| {
        token.range.start < cursor
            && (cursor < token.range.end
                || cursor == token.range.end && (!token.closed || token.kind == Kind::Word))
    });
    let mut context = Context {
        place: Place::Nothing,
        clause: Clause::Start,
        qualifier: Vec::new(),
        prefix: String::new(),
        replaced: cursor..cursor,
        sources: Vec::new(),
        ctes: Vec::new(),
        aliases: Vec::new(),
        in_call: false,
    };
    match at_cursor {
        Some(token) if matches!(token.kind, Kind::Text | Kind::Comment | Kind::Number) => {
            return context;
        }
        Some(token) if token.kind == Kind::Word => {
            context.prefix = text[token.range.start..cursor].to_owned();
            context.replaced = token.range.clone();
        }
        Some(token) if token.kind == Kind::Quoted => {
            context.prefix = text[token.range.start + 1..cursor].to_owned();
            let end = if token.closed { token.range.end } else { cursor };
            context.replaced = token.range.start..end;
        }
        _ => {}
    }
    let tokens: Vec<Token> = all.into_iter().filter(|t| t.kind != Kind::Comment).collect();
    let tokens = Tokens { text, tokens: &tokens };
    tokens.look_around(&mut context);
    context
}

/// The tokens of a text, with what is needed to walk over them.
struct Tokens<'t> {
    text: &'t str,
    tokens: &'t [Token],
}

/// Words after which a value or a table cannot be complete.
const OPEN_WORDS: &[&str] = &[
    "all",
    "and",
    "any",
    "array",
    "as",
    "asof",
    "anti",
    "between",
    "by",
    "case",
    "cross",
    "distinct",
    "else",
    "except",
    "from",
    "full",
    "group",
    "having",
    "ilike",
    "in",
    "inner",
    "intersect",
    "interval",
    "is",
    "join",
    "left",
    "like",
    "limit",
    "not",
    "offset",
    "on",
    "or",
    "order",
    "outer",
    "over",
    "partition",
    "prewhere",
    "qualify",
    "right",
    "sample",
    "select",
    "semi",
    "set",
    "then",
    "union",
    "using",
    "when",
    "where",
    "with",
    "describe",
    "desc_table",
    "explain",
    "show",
];

/// Words that end a table's name and cannot be its alias.
const AFTER_SOURCE: &[&str] = &[
    "all",
    "any",
    "anti",
    "array",
    "as",
    "asof",
    "cross",
    "except",
    "final",
    "full",
    "group",
    "having",
    "inner",
    "intersect",
    "join",
    "left",
    "limit",
    "offset",
    "on",
    "order",
    "pivot",
    "prewhere",
    "qualify",
    "right",
    "sample",
    "semi",
    "union",
    "unpivot",
    "using",
    "where",
    "window",
];

impl Tokens<'_> {
    fn slice(&self, index: usize) -> &str {
        &self.text[self.tokens[index].range.clone()]
    }

    /// The word at an index, in lower case; empty for anything else and for parts of a chain.
    fn word(&self, index: usize) -> String {
        match self.tokens.get(index) {
            Some(token) if token.kind == Kind::Word && !self.is_symbol_before(index, '.') => {
                self.slice(index).to_ascii_lowercase()
            }
            _ => String::new(),
        }
    }

    fn is(&self, index: usize, symbol: char) -> bool {
        self.tokens.get(index).is_some_and(|token| token.kind == Kind::Symbol(symbol))
    }

    fn is_symbol_before(&self, index: usize, symbol: char) -> bool {
        index.checked_sub(1).is_some_and(|before| self.is(before, symbol))
    }

    /// The name that a token spells.
    fn name(&self, index: usize) -> Option<String> {
        match self.tokens.get(index)?.kind {
            Kind::Word => Some(self.slice(index).to_owned()),
            Kind::Quoted => {
                let written = self.slice(index);
                let quote = written.chars().next()?;
                let inner = written.get(1..)?.trim_end_matches(quote);
                Some(inner.replace(&format!("{quote}{quote}"), &quote.to_string()))
            }
            _ => None,
        }
    }

    fn look_around(&self, context: &mut Context) {
        let first_after =
            self.tokens.iter().position(|token| token.range.end > context.replaced.start);
        let mut before = first_after.unwrap_or(self.tokens.len());
        while before >= 2 && self.is(before - 1, '.') {
            match self.name(before - 2) {
                Some(name) => context.qualifier.insert(0, name),
                // A member of something computed: its type is not known here.
                None => return,
            }
            before -= 2;
        }
        let blocks = self.blocks(before);
        for (depth, block) in blocks.iter().enumerate() {
            self.ctes(block.clone(), before, &mut context.ctes);
            if depth + 1 == blocks.len() {
                self.clauses(block.clone(), before, context);
            }
        }
        let open = self.innermost_open(before);
        let block_open = blocks
            .last()
            .and_then(|block| block.start.checked_sub(1))
            .filter(|at| self.is(*at, '('));
        context.in_call = open.is_some() && open != block_open;
        context.place = self.place(before, open, context);
    }

    /// The brackets that are open before a token, outermost first.
    fn open_brackets(&self, before: usize) -> Vec<usize> {
        let mut open = Vec::new();
        for index in 0..before {
            match self.tokens[index].kind {
                Kind::Symbol('(' | '[' | '{') => open.push(index),
                Kind::Symbol(')' | ']' | '}') => {
                    open.pop();
                }
                Kind::Symbol(';') => open.clear(),
                _ => {}
            }
        }
        open
    }

    fn innermost_open(&self, before: usize) -> Option<usize> {
        self.open_brackets(before).pop()
    }

    /// The token after the bracket that closes the one at `open`, or the end.
    fn past_close(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for index in open..self.tokens.len() {
            match self.tokens[index].kind {
                Kind::Symbol('(' | '[' | '{') => depth += 1,
                Kind::Symbol(')' | ']' | '}') => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return index + 1;
                    }
                }
                _ => {}
            }
        }
        self.tokens.len()
    }

    /// The queries around a token, outermost first: the statement, then subqueries.
    fn blocks(&self, before: usize) -> Vec<Range<usize>> {
        let is_end = |index: &usize| self.is(*index, ';');
        let start = (0..before).rev().find(is_end).map_or(0, |index| index + 1);
        let end = (before..self.tokens.len()).find(is_end).unwrap_or(self.tokens.len());
        let statement = start..end;
        let mut blocks = Vec::from([statement]);
        for open in self.open_brackets(before) {
            if self.is(open, '(') && matches!(self.word(open + 1).as_str(), "select" | "with") {
                let past = self.past_close(open);
                let closed = past > open + 1 && self.is(past - 1, ')');
                blocks.push(open + 1..if closed { past - 1 } else { past });
            }
        }
        blocks
    }

    /// The tokens of a block that are not in brackets of their own.
    fn top_level(&self, block: Range<usize>) -> Vec<usize> {
        let mut found = Vec::new();
        let mut index = block.start;
        while index < block.end {
            found.push(index);
            index = match self.tokens[index].kind {
                Kind::Symbol('(' | '[' | '{') => self.past_close(index).max(index + 1),
                _ => index + 1,
            };
        }
        found
    }

    /// The expressions of a WITH clause that are complete before the cursor.
    fn ctes(&self, block: Range<usize>, before: usize, found: &mut Vec<Cte>) {
        if self.word(block.start) != "with" {
            return;
        }
        let mut start = block.start + 1;
        if self.word(start) == "recursive" {
            start += 1;
        }
        let end = block.end;
        for index in self.top_level(start..end) {
            if index >= before || self.word(index) == "select" {
                return;
            }
            if self.word(index) != "as" {
                continue;
            }
            let body = match self.word(index + 1).as_str() {
                "materialized" => index + 2,
                "not" => index + 3,
                _ => index + 1,
            };
            if self.is(body, '(') {
                let past = self.past_close(body);
                let mut first = index.saturating_sub(1);
                if self.is(first, ')') {
                    first = (start..first).rev().find(|at| self.is(*at, '(')).unwrap_or(first);
                    first = first.saturating_sub(1);
                }
                if past > before || !self.is(past - 1, ')') {
                    return;
                }
                if let Some(name) = self.name(first) {
                    let range = self.tokens[first].range.start..self.tokens[past - 1].range.end;
                    found.push(Cte { name, definition: Some(range) });
                }
            } else if let Some(name) = self.name(index + 1) {
                found.push(Cte { name, definition: None });
            }
        }
    }

    /// Sources, aliases and clause of the SELECT in a block that the cursor is in.
    fn clauses(&self, block: Range<usize>, before: usize, context: &mut Context) {
        let top = self.top_level(block);
        let is_set = |index: &&usize| {
            matches!(self.word(**index).as_str(), "union" | "intersect" | "except")
        };
        let first = top.iter().rev().find(|index| **index < before && is_set(index)).copied();
        let last = top.iter().find(|index| **index >= before && is_set(index)).copied();
        let mut clause = Clause::Start;
        let mut wants_source = false;
        let mut at = 0;
        while let Some(index) = top.get(at).copied() {
            at += 1;
            if first.is_some_and(|first| index <= first) {
                continue;
            }
            if last.is_some_and(|last| index >= last) {
                break;
            }
            let word = self.word(index);
            let next = match word.as_str() {
                "with" if clause == Clause::Start => Some(Clause::With),
                "select" => Some(Clause::Select),
                "from" => Some(Clause::From),
                "join" => Some(if index > 0 && self.word(index - 1) == "array" {
                    Clause::Select
                } else {
                    Clause::From
                }),
                "on" | "using" if clause == Clause::From => Some(Clause::On),
                "where" | "prewhere" => Some(Clause::Where),
                "group" => Some(Clause::GroupBy),
                "having" | "qualify" => Some(Clause::Having),
                "order" => Some(Clause::OrderBy),
                "limit" | "offset" => Some(Clause::Limit),
                _ => None,
            };
            if let Some(next) = next {
                clause = next;
                wants_source = clause == Clause::From;
            } else if word == "as" && clause == Clause::Select && index + 1 != before {
                context.aliases.extend(self.name(index + 1));
            } else if clause == Clause::From && self.is(index, ',') {
                wants_source = true;
            } else if wants_source && clause == Clause::From && index != before {
                wants_source = false;
                at = self.source(&top, at - 1, context);
            }
            if index < before {
                context.clause = clause;
            }
        }
    }

    /// Reads the source that begins at `top[at]`. Gives the place after it.
    fn source(&self, top: &[usize], at: usize, context: &mut Context) -> usize {
        let index = top[at];
        let mut source = Source { name: Vec::new(), query: None, alias: None };
        let mut next = at + 1;
        if self.is(index, '(') {
            let past = self.past_close(index);
            if past > index + 1 && self.is(past - 1, ')') {
                let inside = self.tokens[index].range.end..self.tokens[past - 1].range.start;
                source.query = Some(inside);
            }
        } else {
            source.name.extend(self.name(index));
            while top.get(next).is_some_and(|dot| self.is(*dot, '.')) {
                source.name.extend(top.get(next + 1).and_then(|part| self.name(*part)));
                next += 2;
            }
            if top.get(next).is_some_and(|open| self.is(*open, '(')) {
                // The columns of a table function are known from its name.
                next += 1;
            }
        }
        if top.get(next).is_some_and(|index| self.word(*index) == "as") {
            source.alias = top.get(next + 1).and_then(|index| self.name(*index));
            next += 2;
        } else if let Some(index) = top.get(next)
            && !AFTER_SOURCE.contains(&self.word(*index).as_str())
            && let Some(name) = self.name(*index)
        {
            source.alias = Some(name);
            next += 1;
        }
        context.sources.push(source);
        next
    }

    fn place(&self, before: usize, open: Option<usize>, context: &Context) -> Place {
        let Some(last) = before.checked_sub(1) else {
            return if context.qualifier.is_empty() { Place::Statement } else { Place::Value };
        };
        let word = self.word(last);
        let in_braces = open.is_some_and(|open| self.is(open, '{'));
        match (word.as_str(), self.tokens[last].kind) {
            (_, Kind::Symbol(';')) => Place::Statement,
            _ if in_braces => Place::Placeholder,
            ("from" | "join" | "describe", _) if !context.in_call => {
                let array = last > 0 && self.word(last - 1) == "array";
                if array { Place::Value } else { Place::Source }
            }
            (_, Kind::Symbol(',')) if context.clause == Clause::From && !context.in_call => {
                Place::Source
            }
            ("as", _) => Place::Nothing,
            ("set", _) if context.clause == Clause::Start => Place::Setting,
            ("group" | "order" | "partition", _) => Place::By,
            (
                "left" | "right" | "full" | "inner" | "cross" | "outer" | "any" | "asof" | "semi"
                | "anti",
                _,
            ) if context.clause == Clause::From => Place::Join,
            ("union" | "intersect" | "except" | "explain", _) => Place::Statement,
            ("all", _) if last > 0 && self.word(last - 1) == "union" => Place::Statement,
            ("is", _) => Place::Is,
            (_, Kind::Symbol('(')) if last > 0 && self.word(last - 1) == "over" => Place::Window,
            (open_word, Kind::Word) if OPEN_WORDS.contains(&open_word) => Place::Value,
            (_, Kind::Symbol(')' | ']' | '}')) => Place::After,
            (_, Kind::Symbol('*')) => {
                let opens = last == 0
                    || self.is(last - 1, ',')
                    || self.is(last - 1, '.')
                    || self.is(last - 1, '(')
                    || matches!(self.word(last - 1).as_str(), "select" | "distinct");
                if opens { Place::After } else { Place::Value }
            }
            (_, Kind::Symbol(_)) => Place::Value,
            _ => Place::After,
        }
    }
}
