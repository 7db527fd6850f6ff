//! Type names in casts.

use super::Parser;
use crate::Result;
use crate::ast::{TypeArg, TypeName};
use crate::error::SyntaxError;
use crate::token::{Keyword, TokenKind};

impl Parser<'_> {
    /// `Nullable(String)`, `double precision`, `int[]`, `Tuple(a Int, b String)`.
    pub(super) fn type_name(&mut self) -> Result<TypeName> {
        self.descend()?;
        let start = self.span();
        self.skip_catalog();
        let mut name = self.type_word()?;
        while self.kind().is_name() {
            name.push(' ');
            name.push_str(&self.type_word()?);
        }
        let mut args = Vec::new();
        if self.kind() == TokenKind::OpenParen {
            args = self.type_args()?;
            // `timestamp(3) with time zone`: SQL writes the precision inside the name.
            self.time_zone(&mut name)?;
        }
        let mut array_depth = 0;
        while self.eat(TokenKind::OpenBracket) {
            self.eat(TokenKind::Integer);
            self.expect(TokenKind::CloseBracket, "`]`")?;
            array_depth += 1;
        }
        self.ascend();
        Ok(TypeName { name, args, array_depth, span: self.span_from(start) })
    }

    /// The type after `::`, where words that follow belong to the surrounding expression.
    pub(super) fn short_type_name(&mut self) -> Result<TypeName> {
        let start = self.span();
        if self.keyword().is_some_and(Keyword::follows_operand) {
            return Err(self.unexpected("a type name"));
        }
        self.skip_catalog();
        let two_words = self.at_two_words();
        let mut name = self.type_word()?;
        if two_words {
            name.push(' ');
            name.push_str(&self.type_word()?);
        }
        self.time_zone(&mut name)?;
        let args = match self.kind() {
            TokenKind::OpenParen => self.type_args()?,
            _ => Vec::new(),
        };
        self.time_zone(&mut name)?;
        let mut array_depth = 0;
        while self.kind() == TokenKind::OpenBracket && self.nth(1) == TokenKind::CloseBracket {
            self.advance();
            self.advance();
            array_depth += 1;
        }
        Ok(TypeName { name, args, array_depth, span: self.span_from(start) })
    }

    /// `pg_catalog.` before a type says nothing.
    fn skip_catalog(&mut self) {
        if self.nth_word(0, "pg_catalog") && self.nth(1) == TokenKind::Dot {
            self.advance();
            self.advance();
        }
    }

    /// `WITH [LOCAL] TIME ZONE`, `WITHOUT TIME ZONE`.
    fn time_zone(&mut self, name: &mut String) -> Result<()> {
        if self.nth_word(0, "without") && self.zoned_words(0) > 0 {
            for _ in 0..3 {
                name.push(' ');
                name.push_str(&self.type_word()?);
            }
            return Ok(());
        }
        let local = usize::from(self.nth_is(1, Keyword::Local));
        if self.is(Keyword::With)
            && self.nth_is(1 + local, Keyword::Time)
            && self.nth_is(2 + local, Keyword::Zone)
        {
            for _ in 0..3 + local {
                name.push(' ');
                name.push_str(&self.type_word()?);
            }
        }
        Ok(())
    }

    /// The types of SQL whose names are two words, where the second could mean something else.
    fn at_two_words(&self) -> bool {
        let word = |at: usize| self.tokens.get(at).map_or("", |token| self.slice(token.span));
        let (first, second) = (word(self.at), word(self.at + 1));
        let is = |a: &str, b: &str| first.eq_ignore_ascii_case(a) && second.eq_ignore_ascii_case(b);
        is("double", "precision") || is("character", "varying")
    }

    fn type_word(&mut self) -> Result<String> {
        Ok(self.ident("a type name")?.name.to_lowercase())
    }

    fn type_args(&mut self) -> Result<Vec<TypeArg>> {
        self.expect(TokenKind::OpenParen, "`(`")?;
        let mut args = Vec::new();
        while self.kind() != TokenKind::CloseParen {
            args.push(self.type_arg()?);
            if !self.eat(TokenKind::Comma) {
                break;
            }
        }
        self.expect(TokenKind::CloseParen, "`,` or `)`")?;
        Ok(args)
    }

    fn type_arg(&mut self) -> Result<TypeArg> {
        match self.kind() {
            TokenKind::String => {
                let text = self.string("a string")?;
                if !self.eat(TokenKind::Eq) {
                    return Ok(TypeArg::String(text));
                }
                Ok(TypeArg::Enum(text, Some(self.type_number()?)))
            }
            TokenKind::Integer | TokenKind::Minus => self.type_number().map(TypeArg::Number),
            // `a String`: two words in a row are a name and its type, inside an argument list.
            kind if kind.is_name()
                && self.nth(1).is_name()
                && !self.at_two_words()
                && !self.nth_is(1, Keyword::With) =>
            {
                let name = self.ident("a name")?;
                Ok(TypeArg::Type(Some(name), self.type_name()?))
            }
            _ => Ok(TypeArg::Type(None, self.type_name()?)),
        }
    }

    fn type_number(&mut self) -> Result<i64> {
        let start = self.span();
        let negative = self.eat(TokenKind::Minus);
        let token = self.expect(TokenKind::Integer, "a number")?;
        let sign = if negative { "-" } else { "" };
        format!("{sign}{}", self.slice(token.span))
            .parse()
            .map_err(|_| SyntaxError::new("the number is too large", self.span_from(start)))
    }
}
