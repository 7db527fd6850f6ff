//! Tokens to tree: recursive descent, one function per production, with binding powers for
//! operators.
//!
//! The parser never backtracks: where several readings begin alike, it looks at a bounded number
//! of tokens or at a link the lexer worked out. Every production that can contain itself goes
//! through [`Parser::descend`], and every node that makes the tree higher through
//! [`Parser::grow`]; together they bound the stack of whoever walks the tree.

mod call;
mod clauses;
mod copy;
mod cte;
mod expr;
mod from;
mod hints;
mod literal;
mod operand;
mod pivot;
mod postgres;
mod query;
mod select;
mod special;
mod statement;
mod tag;
mod tail;
mod template;
mod types;
mod window;

pub(crate) use expr::{op_power, power};
pub use postgres::postgres_column_name;

use std::fmt::Display;

use crate::ast::{Expr, Ident, Query, Statement, TypeName};
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::lexer::{Lexed, StringKind, escape_string, tokenize, unescape, unicode_string};
use crate::limits::{HEIGHT_MAX, NESTING_MAX};
use crate::span::Span;
use crate::token::{Keyword, Token, TokenKind};
use crate::{Dialect, Result};

/// What a text consists of.
pub(crate) struct Pieces {
    pub(crate) statement: Statement,
    pub(crate) tokens: Vec<Token>,
    pub(crate) comments: Vec<Span>,
    /// Where the tokens begin that were read as names.
    pub(crate) names: Vec<u32>,
    /// Where the names begin that were read as words of the grammar.
    pub(crate) words: Vec<u32>,
}

/// The state of one parse.
pub(crate) struct Parser<'a> {
    text: &'a str,
    dialect: Dialect,
    tokens: Vec<Token>,
    comments: Vec<Span>,
    /// Where the tokens begin that were read as names.
    names: Vec<u32>,
    /// Where the names begin that were read as words of the grammar: `VIEW`, `INSERT`.
    words: Vec<u32>,
    /// Index of the current token; the last token is `End` and is never passed.
    at: usize,
    /// How many recursive productions are open.
    nesting: u32,
    /// Height of the tallest tree finished so far within the innermost open expression.
    height: u32,
    /// Whether a `%` may end the expression, as in `LIMIT 10%`.
    percent_may_end: bool,
    /// What the SELECT just read gives up if it turns out to end a set.
    lifted: query::Lifted,
    /// Whether the offset just read was the second number of `LIMIT a, b`.
    offset_was_pair: bool,
}

impl<'a> Parser<'a> {
    pub(crate) fn new(text: &'a str, dialect: Dialect) -> Result<Self> {
        let Lexed { tokens, comments } = tokenize(text, dialect)?;
        Ok(Self {
            text,
            dialect,
            tokens,
            comments,
            names: Vec::new(),
            words: Vec::new(),
            at: 0,
            nesting: 0,
            height: 0,
            percent_may_end: false,
            lifted: query::Lifted::Nothing,
            offset_was_pair: false,
        })
    }

    pub(crate) fn whole_statement(mut self) -> Result<Statement> {
        let statement = self.statement()?;
        self.eat(TokenKind::Semicolon);
        self.expect_end()?;
        self.reads_back(&statement, statement.span, |parser| parser.statement())?;
        Ok(statement)
    }

    /// Statements with semicolons between them; empty ones are left out.
    pub(crate) fn statements(mut self) -> Result<Vec<Statement>> {
        let mut statements = Vec::new();
        loop {
            while self.eat(TokenKind::Semicolon) {}
            if self.kind() == TokenKind::End {
                return Ok(statements);
            }
            (self.nesting, self.height) = (0, 0);
            let statement = self.statement()?;
            self.reads_back(&statement, statement.span, |parser| parser.statement())?;
            statements.push(statement);
            if !matches!(self.kind(), TokenKind::Semicolon | TokenKind::End) {
                return Err(self.unexpected("the end"));
            }
        }
    }

    pub(crate) fn whole_type(mut self) -> Result<TypeName> {
        let name = self.type_name()?;
        self.expect_end()?;
        Ok(name)
    }

    pub(crate) fn whole_query(mut self) -> Result<Query> {
        let query = self.top_level_query()?;
        self.eat(TokenKind::Semicolon);
        self.expect_end()?;
        self.reads_back(&query, query.span(), |parser| parser.top_level_query())?;
        Ok(query)
    }

    pub(crate) fn whole_expr(mut self) -> Result<Expr> {
        let expr = self.expr()?;
        self.expect_end()?;
        self.reads_back(&expr, expr.span, |parser| parser.expr())?;
        Ok(expr)
    }

    /// A statement and the pieces it was read from, for the formatter.
    pub(crate) fn pieces(mut self) -> Result<Pieces> {
        let statement = self.statement()?;
        self.eat(TokenKind::Semicolon);
        self.expect_end()?;
        self.reads_back(&statement, statement.span, |parser| parser.statement())?;
        let Self { tokens, comments, names, words, .. } = self;
        Ok(Pieces { statement, tokens, comments, names, words })
    }

    fn expect_end(&self) -> Result<()> {
        if self.kind() == TokenKind::End { Ok(()) } else { Err(self.unexpected("the end")) }
    }

    // ----- tokens -------------------------------------------------------------------------

    fn kind(&self) -> TokenKind {
        self.tokens[self.at].kind
    }

    /// The kind of the token this many places further; `End` beyond the end.
    fn nth(&self, distance: usize) -> TokenKind {
        self.tokens.get(self.at + distance).map_or(TokenKind::End, |token| token.kind)
    }

    fn span(&self) -> Span {
        self.tokens[self.at].span
    }

    /// From a token that was current once to the last consumed one.
    fn span_from(&self, start: Span) -> Span {
        start.to(self.previous_span())
    }

    fn previous_span(&self) -> Span {
        self.tokens[self.at.saturating_sub(1)].span
    }

    fn slice(&self, span: Span) -> &'a str {
        &self.text[span.range()]
    }

    fn advance(&mut self) -> Token {
        let token = self.tokens[self.at];
        if token.kind != TokenKind::End {
            self.at += 1;
        }
        token
    }

    fn eat(&mut self, kind: TokenKind) -> bool {
        let found = self.kind() == kind;
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, kind: TokenKind, expected: &str) -> Result<Token> {
        if self.kind() == kind { Ok(self.advance()) } else { Err(self.unexpected(expected)) }
    }

    fn is(&self, keyword: Keyword) -> bool {
        self.kind() == TokenKind::Keyword(keyword)
    }

    fn nth_is(&self, distance: usize, keyword: Keyword) -> bool {
        self.nth(distance) == TokenKind::Keyword(keyword)
    }

    /// Whether this bare word, which is no keyword, stands there in any letter case.
    fn nth_word(&self, distance: usize, word: &str) -> bool {
        matches!(self.nth(distance), TokenKind::Name | TokenKind::Keyword(_))
            && self.slice(self.tokens[self.at + distance].span).eq_ignore_ascii_case(word)
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.nth_word(0, word);
        if found {
            self.advance_word();
        }
        found
    }

    /// Consumes a name as a word of the grammar.
    fn advance_word(&mut self) {
        self.words.push(self.span().start);
        self.advance();
    }

    fn keyword(&self) -> Option<Keyword> {
        match self.kind() {
            TokenKind::Keyword(keyword) => Some(keyword),
            _ => None,
        }
    }

    fn eat_keyword(&mut self, keyword: Keyword) -> bool {
        self.eat(TokenKind::Keyword(keyword))
    }

    /// Consumes two keywords, or nothing.
    fn eat_keywords(&mut self, first: Keyword, second: Keyword) -> bool {
        let found = self.is(first) && self.nth_is(1, second);
        if found {
            self.advance();
            self.advance();
        }
        found
    }

    fn expect_keyword(&mut self, keyword: Keyword, expected: &str) -> Result<Token> {
        self.expect(TokenKind::Keyword(keyword), expected)
    }

    /// Distance from the current token to the first one after the bracket that opens `distance`
    /// tokens further.
    fn past_bracket(&self, distance: usize) -> usize {
        let link = self.tokens[self.at + distance].link as usize;
        (link + 1).saturating_sub(self.at)
    }

    // ----- names --------------------------------------------------------------------------

    fn ident(&mut self, expected: &str) -> Result<Ident> {
        if !self.kind().is_name() {
            return Err(self.unexpected(expected));
        }
        let token = self.advance();
        self.ident_of(token)
    }

    fn ident_of(&mut self, token: Token) -> Result<Ident> {
        self.names.push(token.span.start);
        let written = self.slice(token.span);
        let name = if written.starts_with("U&\"") || written.starts_with("u&\"") {
            unicode_string(&written[3..written.len() - 1], '"', '\\', token.span.start + 3)?
        } else if token.kind == TokenKind::Quoted {
            let kind = if written.starts_with('`') {
                StringKind::Backticks
            } else {
                StringKind::of_double_quotes(self.dialect)
            };
            unescape(&written[1..written.len() - 1], kind, token.span.start + 1)?
        } else {
            written.to_owned()
        };
        Ok(Ident::new(name, token.span))
    }

    /// `a, b, c` up to but without what closes the list; at least one.
    fn ident_list(&mut self, expected: &str) -> Result<Vec<Ident>> {
        let mut names = vec![self.ident(expected)?];
        while self.eat(TokenKind::Comma) {
            names.push(self.ident(expected)?);
        }
        Ok(names)
    }

    /// `(a, b, c)`.
    fn paren_ident_list(&mut self, expected: &str) -> Result<Vec<Ident>> {
        self.expect(TokenKind::OpenParen, "`(`")?;
        let names = self.ident_list(expected)?;
        self.expect(TokenKind::CloseParen, "`,` or `)`")?;
        Ok(names)
    }

    /// The value of a string token that is current.
    fn string(&mut self, expected: &str) -> Result<String> {
        if self.kind() != TokenKind::String {
            return Err(self.unexpected(expected));
        }
        let token = self.advance();
        let written = self.slice(token.span);
        let body =
            |prefix: usize| (&written[prefix..written.len() - 1], token.span.start + prefix as u32);
        match written.as_bytes()[0] {
            b'\'' => {
                let kind = StringKind::of(self.dialect);
                let (body, at) = body(1);
                let mut text = unescape(body, kind, at)?;
                self.join_strings(&mut text, |body, at| unescape(body, kind, at))?;
                Ok(text)
            }
            b'e' | b'E' => {
                let (body, at) = body(2);
                let mut text = escape_string(body, at)?;
                self.join_strings(&mut text, escape_string)?;
                Ok(text)
            }
            b'u' | b'U' => {
                let (body, at) = body(3);
                let escape = self.unicode_escape()?;
                unicode_string(body, '\'', escape, at)
            }
            _ => {
                let tag = written[1..].find('$').map_or(0, |end| end + 2);
                Ok(written[tag..written.len() - tag].to_owned())
            }
        }
    }

    // ----- limits -------------------------------------------------------------------------

    /// Enters a production that can contain itself. Paired with [`Self::ascend`] on success;
    /// after an error nobody asks.
    fn descend(&mut self) -> Result<()> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(SyntaxError::new(
                format!("nested more than {NESTING_MAX} levels deep"),
                self.span(),
            )
            .hint("Split the query with WITH, or flatten the expression.")
            .kind(SyntaxErrorKind::TooComplex));
        }
        Ok(())
    }

    fn ascend(&mut self) {
        self.nesting -= 1;
    }

    /// Whether canonical text, which nests where a chain did not (`a::T::T` becomes two casts), is
    /// still within the limits. A tree that is not tall needs no look.
    fn reads_back<T: Display>(
        &self,
        tree: &T,
        span: Span,
        production: fn(&mut Parser<'_>) -> Result<T>,
    ) -> Result<()> {
        if self.height <= NESTING_MAX / 4 {
            return Ok(());
        }
        let text = tree.to_string();
        match Parser::new(&text, Dialect::Hogql).and_then(|mut parser| production(&mut parser)) {
            Err(error) if error.kind == SyntaxErrorKind::TooComplex => {
                Err(SyntaxError { span, ..error })
            }
            _ => Ok(()),
        }
    }

    /// Accounts for a node built on top of the tallest tree so far.
    fn grow(&mut self) -> Result<()> {
        self.height += 1;
        if self.height > HEIGHT_MAX {
            return Err(SyntaxError::new(
                format!("a chain of more than {HEIGHT_MAX} operations"),
                self.previous_span(),
            )
            .hint("Group the operations with parentheses, or use a function over an array.")
            .kind(SyntaxErrorKind::TooComplex));
        }
        Ok(())
    }
}
