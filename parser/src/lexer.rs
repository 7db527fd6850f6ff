//! Text to tokens.
//!
//! Most of the language is lexed without context. Two places are not: inside `f'…'` and inside
//! `<Tag>…</Tag>` the text is literal up to the next `{`, so the lexer keeps a stack of modes.
//! It never recurses.

mod links;
mod postgres;
mod quoted;

pub(crate) use links::ends_in_key;
pub(crate) use quoted::{StringKind, escape_string, unescape, unicode_string};

use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::limits::{NUMBER_BYTES_MAX, TEXT_BYTES_MAX, TOKENS_MAX};
use crate::span::Span;
use crate::token::{Keyword, Token, TokenKind};
use crate::{Dialect, Result};

/// A text in pieces.
pub(crate) struct Lexed {
    /// The last one is [`TokenKind::End`]; links are resolved.
    pub(crate) tokens: Vec<Token>,
    pub(crate) comments: Vec<Span>,
}

/// Splits a text into tokens and the comments between them.
pub(crate) fn tokenize(text: &str, dialect: Dialect) -> Result<Lexed> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(SyntaxError::new(
            format!("the text is longer than {TEXT_BYTES_MAX} bytes"),
            Span::default(),
        )
        .kind(SyntaxErrorKind::TooComplex));
    }
    let mut lexer = Lexer {
        text,
        bytes: text.as_bytes(),
        at: 0,
        dialect,
        tokens: Vec::new(),
        comments: Vec::new(),
        modes: Vec::new(),
    };
    lexer.run()?;
    let (mut tokens, comments) = (lexer.tokens, lexer.comments);
    links::resolve(text, &mut tokens, dialect)?;
    Ok(Lexed { tokens, comments })
}

/// What surrounds the current position. The empty stack is the ordinary language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// `{ … }` of a dictionary or placeholder.
    Brace,
    /// `{ … }` inside a template or a tag: the closing brace returns to literal text.
    Hole,
    /// `f'…'`, from the quote at this offset.
    Template(usize),
    /// `<Tag … >`, from the bracket at this offset.
    TagHead(usize),
    /// Between `<Tag>` and `</Tag>`.
    TagBody(usize),
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    dialect: Dialect,
    tokens: Vec<Token>,
    comments: Vec<Span>,
    modes: Vec<Mode>,
}

impl Lexer<'_> {
    fn run(&mut self) -> Result<()> {
        loop {
            if self.tokens.len() >= TOKENS_MAX {
                return Err(SyntaxError::new(
                    format!("the text has more than {TOKENS_MAX} tokens"),
                    self.span(self.at, self.at),
                )
                .kind(SyntaxErrorKind::TooComplex));
            }
            let more = match self.modes.last() {
                None | Some(Mode::Brace | Mode::Hole) => self.ordinary()?,
                Some(Mode::Template(start)) => self.template_text(*start)?,
                Some(Mode::TagHead(start)) => self.tag_head(*start)?,
                Some(Mode::TagBody(start)) => self.tag_body(*start)?,
            };
            if !more {
                return Ok(());
            }
        }
    }

    /// One token of the ordinary language; false at the end of the text.
    fn ordinary(&mut self) -> Result<bool> {
        self.skip_blanks()?;
        let start = self.at;
        let Some(byte) = self.peek(0) else {
            self.push(TokenKind::End, start);
            return Ok(false);
        };
        match byte {
            b'$' if self.dialect == Dialect::Postgres && self.dollar_string()? => {}
            b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'$' => self.word()?,
            b'0'..=b'9' => self.number()?,
            b'.' => self.dot()?,
            b'\'' => self.quoted(StringKind::of(self.dialect), TokenKind::String)?,
            b'`' => self.quoted(StringKind::Backticks, TokenKind::Quoted)?,
            b'"' => self.quoted(StringKind::of_double_quotes(self.dialect), TokenKind::Quoted)?,
            b'{' => {
                self.symbol(TokenKind::OpenBrace, 1);
                self.modes.push(Mode::Brace);
            }
            b'}' => {
                self.symbol(TokenKind::CloseBrace, 1);
                self.modes.pop();
            }
            b'<' if !self.after_operand() => {
                self.symbol(TokenKind::TagOpen, 1);
                self.modes.push(Mode::TagHead(start));
            }
            _ => self.operator()?,
        }
        Ok(true)
    }

    fn operator(&mut self) -> Result<()> {
        use TokenKind::*;
        // Longest first among those that share a beginning.
        const SYMBOLS: &[(&str, TokenKind)] = &[
            ("=~*", IMatch),
            ("!~*", NotIMatch),
            ("<=>", NullSafeEq),
            ("=~", Match),
            ("!~", NotMatch),
            ("~*", IMatch),
            ("==", Eq),
            ("!=", NotEq),
            ("<>", NotEq),
            ("<=", LtEq),
            (">=", GtEq),
            ("->", Arrow),
            ("::", DoubleColon),
            (":=", Assign),
            ("??", Nullish),
            ("?.", NullishDot),
            ("||", Concat),
            ("(", OpenParen),
            (")", CloseParen),
            ("[", OpenBracket),
            ("]", CloseBracket),
            (",", Comma),
            (";", Semicolon),
            (":", Colon),
            ("?", Question),
            ("+", Plus),
            ("-", Minus),
            ("*", Star),
            ("/", Slash),
            ("%", Percent),
            ("=", Eq),
            ("<", Lt),
            (">", Gt),
            ("~", Match),
            ("#", Hash),
        ];
        let rest = &self.text[self.at..];
        let is_postgres = self.dialect == Dialect::Postgres;
        let own = if is_postgres { postgres::SYMBOLS } else { &[] };
        let found = |symbols: &[(&'static str, TokenKind)]| {
            symbols.iter().find(|(symbol, _)| rest.starts_with(symbol)).copied()
        };
        if let Some((symbol, kind)) = found(postgres::SHARED_SYMBOLS).or_else(|| found(own)) {
            self.symbol(kind, symbol.len());
            return Ok(());
        }
        // `|` only after `||` had its chance.
        if is_postgres && rest.starts_with('|') && !rest.starts_with("||") {
            self.symbol(postgres::BIT_OR, 1);
            return Ok(());
        }
        // Taken apart, `=>` would fail far from its cause, and `a ** b` would not fail at all.
        let is_mistake = rest.starts_with("=>")
            || rest.starts_with("**")
            || (is_postgres && rest.starts_with("//"));
        if !is_mistake && let Some((symbol, kind)) = found(SYMBOLS) {
            self.symbol(kind, symbol.len());
            return Ok(());
        }
        Err(self.stray())
    }

    fn word(&mut self) -> Result<()> {
        let start = self.at;
        if self.bytes[start] == b'f' && self.peek(1) == Some(b'\'') {
            self.symbol(TokenKind::TemplateStart, 2);
            self.modes.push(Mode::Template(start));
            return Ok(());
        }
        match (self.bytes[start], self.peek(1), self.peek(2)) {
            (b'e' | b'E', Some(b'\''), _) => {
                self.at += 1;
                return self.quoted_from(start, StringKind::Escape, TokenKind::String);
            }
            (b'u' | b'U', Some(b'&'), Some(quote @ (b'\'' | b'"'))) => {
                self.at += 2;
                return match quote {
                    b'"' => {
                        let kind = StringKind::StandardIdentifier;
                        self.quoted_from(start, kind, TokenKind::Quoted)
                    }
                    _ => self.quoted_from(start, StringKind::Standard, TokenKind::String),
                };
            }
            _ => {}
        }
        while self.peek(0).is_some_and(is_name_byte) {
            self.at += 1;
        }
        let kind = match Keyword::from_text(&self.text[start..self.at]) {
            Some(keyword) => TokenKind::Keyword(keyword),
            None => TokenKind::Name,
        };
        self.push(kind, start);
        Ok(())
    }

    /// A number, from its first digit.
    fn number(&mut self) -> Result<()> {
        let start = self.at;
        let after_dot = self.tokens.last().is_some_and(|token| {
            token.kind == TokenKind::Dot || token.kind == TokenKind::NullishDot
        });
        let kind = if after_dot {
            // `a.1.2` is two steps, not the fraction 1.2.
            self.digits();
            TokenKind::Integer
        } else {
            match (self.bytes[start], self.peek(1)) {
                (b'0', Some(b'x' | b'X'))
                    if self.peek(2).is_some_and(|b| b.is_ascii_hexdigit()) =>
                {
                    self.hexadecimal()?
                }
                (b'0', Some(b'b' | b'B')) if self.peek(2).is_some_and(|b| b.is_ascii_digit()) => {
                    self.at += 2;
                    while matches!(self.peek(0), Some(b'0' | b'1')) {
                        self.at += 1;
                    }
                    TokenKind::Binary
                }
                (b'0', Some(b'o' | b'O')) if self.peek(2).is_some_and(|b| b.is_ascii_digit()) => {
                    return Err(SyntaxError::new(
                        "octal numbers are not supported",
                        self.span(start, self.at + 2),
                    )
                    .hint("Write the number in decimal or hexadecimal.")
                    .kind(SyntaxErrorKind::Unsupported));
                }
                _ => self.decimal(),
            }
        };
        self.end_number(kind, start)
    }

    /// `42`, `1.`, `1.5`, `1e3`. The dot of `1.name` is left for the grammar.
    fn decimal(&mut self) -> TokenKind {
        self.digits();
        let mut kind = TokenKind::Integer;
        if self.peek(0) == Some(b'.') {
            let after = self.exponent_length(1);
            if after > 0 || !self.peek(1).is_some_and(|b| is_name_byte(b) && !b.is_ascii_digit()) {
                self.at += 1;
                self.digits();
                kind = TokenKind::Float;
            }
        }
        let exponent = self.exponent_length(0);
        if exponent > 0 {
            self.at += exponent;
            kind = TokenKind::Float;
        }
        kind
    }

    /// `0x1F`, `0x1p3`, `0x1.8p1`.
    fn hexadecimal(&mut self) -> Result<TokenKind> {
        let start = self.at;
        self.at += 2;
        while self.peek(0).is_some_and(|b| b.is_ascii_hexdigit()) {
            self.at += 1;
        }
        let integer_end = self.at;
        if self.peek(0) == Some(b'.') {
            self.at += 1;
            while self.peek(0).is_some_and(|b| b.is_ascii_hexdigit()) {
                self.at += 1;
            }
        }
        if matches!(self.peek(0), Some(b'p' | b'P')) {
            let sign = usize::from(matches!(self.peek(1), Some(b'+' | b'-')));
            if self.peek(1 + sign).is_some_and(|b| b.is_ascii_digit()) {
                self.at += 1 + sign;
                self.digits();
                return Ok(TokenKind::Float);
            }
        }
        if self.at > integer_end {
            return Err(SyntaxError::new(
                "a hexadecimal fraction needs an exponent",
                self.span(start, self.at),
            )
            .hint("Write the exponent of two after `p`, as in 0x1.8p1."));
        }
        Ok(TokenKind::Hexadecimal)
    }

    /// `.5e2` is a float; the dot of `.5` and `a.5` is a token of its own, because only the
    /// grammar knows whether something stands before it.
    fn dot(&mut self) -> Result<()> {
        let start = self.at;
        let mut end = start + 1;
        while self.bytes.get(end).is_some_and(u8::is_ascii_digit) {
            end += 1;
        }
        if end > start + 1 && self.exponent_length(end - start) > 0 && !self.after_operand() {
            self.at = end;
            self.at += self.exponent_length(0);
            return self.end_number(TokenKind::Float, start);
        }
        self.symbol(TokenKind::Dot, 1);
        Ok(())
    }

    fn end_number(&mut self, kind: TokenKind, start: usize) -> Result<()> {
        if self.at - start > NUMBER_BYTES_MAX {
            return Err(SyntaxError::new(
                format!("a number of more than {NUMBER_BYTES_MAX} characters"),
                self.span(start, self.at),
            )
            .kind(SyntaxErrorKind::TooComplex));
        }
        if self.dialect == Dialect::Postgres {
            self.digit_groups(kind);
        }
        if !self.peek(0).is_some_and(is_name_byte) {
            self.push(kind, start);
            return Ok(());
        }
        while self.peek(0).is_some_and(is_name_byte) {
            self.at += 1;
        }
        let written = &self.text[start..self.at];
        let error =
            SyntaxError::new(format!("malformed number `{written}`"), self.span(start, self.at));
        Err(if written.contains('_') {
            error.hint("Digits cannot be separated by `_`.")
        } else {
            error.hint("Put a space after the number, or quote the name with backticks.")
        })
    }

    /// `1_000`: what follows an integer's first digits. Fractions cannot be grouped.
    fn digit_groups(&mut self, kind: TokenKind) {
        let more = |lexer: &Self| {
            lexer.peek(0) == Some(b'_') && lexer.peek(1).is_some_and(|b| b.is_ascii_digit())
        };
        while kind == TokenKind::Integer && more(self) {
            self.at += 1;
            self.digits();
        }
    }

    fn digits(&mut self) {
        while self.peek(0).is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
    }

    /// The length of `e3`, `E-3` at this distance from here; 0 if there is no exponent.
    fn exponent_length(&self, distance: usize) -> usize {
        if !matches!(self.peek(distance), Some(b'e' | b'E')) {
            return 0;
        }
        let sign = usize::from(matches!(self.peek(distance + 1), Some(b'+' | b'-')));
        let digits_from = distance + 1 + sign;
        let digits = self
            .bytes
            .iter()
            .skip(self.at + digits_from)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if digits == 0 { 0 } else { 1 + sign + digits }
    }

    fn quoted(&mut self, kind: StringKind, token: TokenKind) -> Result<()> {
        self.quoted_from(self.at, kind, token)
    }

    /// A quoted text whose quote stands at the current position and whose token begins at
    /// `start`. Only its end is found here; escapes are judged when the grammar reads it.
    fn quoted_from(&mut self, start: usize, kind: StringKind, token: TokenKind) -> Result<()> {
        match quoted::length(&self.bytes[self.at..], kind) {
            Some(length) => {
                self.at += length;
                self.push(token, start);
                Ok(())
            }
            None => {
                let (what, quote) = kind.names();
                Err(SyntaxError::new(format!("unclosed {what}"), self.span(start, self.at + 1))
                    .expected(format!("a closing {quote}"))
                    .hint(format!("Add the closing {quote}; inside the text it is written twice.")))
            }
        }
    }

    fn template_text(&mut self, start: usize) -> Result<bool> {
        let from = self.at;
        loop {
            match self.peek(0) {
                None => {
                    return Err(SyntaxError::new(
                        "unclosed template string",
                        self.span(start, start + 2),
                    )
                    .expected("a closing single quote"));
                }
                Some(b'\\') => self.at += 2,
                Some(b'\'') if self.peek(1) == Some(b'\'') => self.at += 2,
                Some(b'\'') => {
                    self.push_text(TokenKind::TemplateText, from);
                    self.symbol(TokenKind::TemplateEnd, 1);
                    self.modes.pop();
                    return Ok(true);
                }
                Some(b'{') => {
                    self.push_text(TokenKind::TemplateText, from);
                    self.symbol(TokenKind::OpenBrace, 1);
                    self.modes.push(Mode::Hole);
                    return Ok(true);
                }
                Some(_) => self.at += 1,
            }
            // A backslash before a multi-byte character: stay on boundaries.
            while self.at < self.bytes.len() && !self.text.is_char_boundary(self.at) {
                self.at += 1;
            }
            self.at = self.at.min(self.bytes.len());
        }
    }

    fn tag_head(&mut self, start: usize) -> Result<bool> {
        self.skip_blanks()?;
        let from = self.at;
        match (self.peek(0), self.peek(1)) {
            (None, _) => return Err(self.unclosed_tag(start)),
            (Some(b'/'), Some(b'>')) => {
                self.symbol(TokenKind::TagSelfClose, 2);
                self.modes.pop();
            }
            (Some(b'>'), _) => {
                self.symbol(TokenKind::TagEnd, 1);
                self.modes.pop();
                // `</Tag>` leaves the body that its `<Tag>` entered.
                if self.bytes[start..].starts_with(b"</") {
                    self.modes.pop();
                } else {
                    self.modes.push(Mode::TagBody(start));
                }
            }
            (Some(b'='), _) => self.symbol(TokenKind::Eq, 1),
            (Some(b'\''), _) => self.quoted(StringKind::of(self.dialect), TokenKind::String)?,
            (Some(b'{'), _) => {
                self.symbol(TokenKind::OpenBrace, 1);
                self.modes.push(Mode::Hole);
            }
            (Some(byte), _) if is_name_byte(byte) && !byte.is_ascii_digit() => {
                while self.peek(0).is_some_and(|b| is_name_byte(b) || b == b'-') {
                    self.at += 1;
                }
                self.push(TokenKind::Name, from);
            }
            _ => {
                return Err(self
                    .stray()
                    .expected("an attribute, `>` or `/>`")
                    .hint("Attribute values are written as name='text' or name={expression}."));
            }
        }
        Ok(true)
    }

    fn tag_body(&mut self, start: usize) -> Result<bool> {
        let from = self.at;
        let length = self.bytes[from..].iter().position(|byte| matches!(byte, b'<' | b'{'));
        let Some(length) = length else {
            return Err(self.unclosed_tag(start));
        };
        self.at += length;
        self.push_text(TokenKind::TagText, from);
        let opener = self.at;
        if self.bytes[opener] == b'{' {
            self.symbol(TokenKind::OpenBrace, 1);
            self.modes.push(Mode::Hole);
        } else if self.peek(1) == Some(b'/') {
            self.symbol(TokenKind::TagClose, 2);
            self.modes.push(Mode::TagHead(opener));
        } else {
            self.symbol(TokenKind::TagOpen, 1);
            self.modes.push(Mode::TagHead(opener));
        }
        Ok(true)
    }

    fn unclosed_tag(&self, start: usize) -> SyntaxError {
        SyntaxError::new("unclosed tag", self.span(start, start + 1))
            .expected("`/>` or a closing tag")
    }

    fn skip_white_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches(is_blank).len();
    }

    /// White space and comments.
    fn skip_blanks(&mut self) -> Result<()> {
        loop {
            self.skip_white_space();
            let rest = &self.bytes[self.at..];
            let start = self.at;
            let is_postgres = self.dialect == Dialect::Postgres;
            let line_comment = rest.starts_with(b"--")
                || (!is_postgres && rest.starts_with(b"//"))
                || (!is_postgres
                    && rest.starts_with(b"#")
                    && !rest.get(1).is_some_and(u8::is_ascii_digit));
            if line_comment {
                self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            } else if rest.starts_with(b"/*") {
                let length = match is_postgres {
                    true => self.nested_comment(),
                    false => self.text[self.at + 2..].find("*/").map(|length| length + 4),
                };
                let Some(length) = length else {
                    return Err(SyntaxError::new(
                        "unclosed comment",
                        self.span(self.at, self.at + 2),
                    )
                    .expected("`*/`")
                    .hint("A comment ends with `*/`."));
                };
                self.at += length;
            } else {
                return Ok(());
            }
            self.comments.push(self.span(start, self.at));
        }
    }

    /// The error for a character that begins no token, with what was probably meant.
    fn stray(&self) -> SyntaxError {
        let rest = &self.text[self.at..];
        let character = rest.chars().next().unwrap_or(' ');
        let span = self.span(self.at, self.at + character.len_utf8());
        let code = u32::from(character);
        let error = if character.is_control() || !character.is_ascii() {
            // Curly quotes and the like look like the right character, so show the code too.
            let shown =
                if character.is_control() { String::new() } else { format!("`{character}` ") };
            SyntaxError::new(format!("unexpected character {shown}(U+{code:04X})"), span)
        } else if rest.starts_with("=>") || rest.starts_with("**") || rest.starts_with("//") {
            let operator = format!("unexpected operator `{}`", &rest[..2]);
            SyntaxError::new(operator, self.span(self.at, self.at + 2))
        } else {
            SyntaxError::new(format!("unexpected character `{character}`"), span)
        };
        match character {
            '=' => error.hint("Lambdas are written with `->`, comparisons with `>=`."),
            '!' => error.hint("Negation is written as NOT."),
            '/' => error.hint("Whole-number division is written as intDiv(a, b)."),
            '&' => error.hint("Conjunction is written as AND."),
            '|' => error.hint("Alternatives are joined with OR, texts with `||`."),
            '^' | '*' => error.hint("Powers are written as pow(base, exponent)."),
            '\u{2018}' | '\u{2019}' => error.hint("Strings are quoted with straight quotes: '…'."),
            '\u{201C}' | '\u{201D}' => {
                error.hint("Names are quoted with straight quotes or backticks.")
            }
            '@' | '\\' => error,
            _ if character.is_alphabetic() => {
                error.hint("Names with other than ASCII letters are quoted with backticks.")
            }
            _ => error,
        }
    }

    /// Whether an operand ended at the last token. A star is one unless it multiplies, and then
    /// the next star is one: `t.* * *`.
    fn after_operand(&self) -> bool {
        let stars =
            self.tokens.iter().rev().take_while(|token| token.kind == TokenKind::Star).count();
        let before = self.tokens.iter().rev().nth(stars);
        before.is_some_and(|token| token.kind.ends_operand()) != (stars % 2 == 1)
    }

    fn peek(&self, distance: usize) -> Option<u8> {
        self.bytes.get(self.at + distance).copied()
    }

    fn symbol(&mut self, kind: TokenKind, length: usize) {
        let start = self.at;
        self.at += length;
        self.push(kind, start);
    }

    fn push(&mut self, kind: TokenKind, start: usize) {
        let span = self.span(start, self.at);
        self.tokens.push(Token { kind, span, link: 0 });
    }

    fn push_text(&mut self, kind: TokenKind, start: usize) {
        if self.at > start {
            self.push(kind, start);
        }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        // Offsets fit: texts above TEXT_BYTES_MAX are refused first.
        Span::new(start as u32, end as u32)
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'
}

fn is_blank(character: char) -> bool {
    character.is_whitespace() || character == '\u{FEFF}'
}
