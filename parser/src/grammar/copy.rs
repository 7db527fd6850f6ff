//! `COPY`: rows out, and rows in.

use super::Parser;
use crate::Result;
use crate::ast::{
    Copy, CopyFormat, CopyFrom, CopyHeader, CopyTarget, Expr, ExprKind, Join, Name, Query, Select,
    Source, SourceKind, Star, StatementKind,
};
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::span::Span;
use crate::token::{Keyword, TokenKind};

impl Parser<'_> {
    pub(super) fn copy(&mut self) -> Result<StatementKind> {
        self.advance();
        let start = self.span();
        let query = match self.kind() {
            TokenKind::OpenParen => {
                self.advance();
                let query = self.top_level_query()?;
                self.expect(TokenKind::CloseParen, "`)`")?;
                query
            }
            _ => {
                let table = self.dotted_name("`(` and a query, or a table")?;
                if self.is(Keyword::From) || self.kind() == TokenKind::OpenParen {
                    return self.copy_from(table).map(StatementKind::CopyFrom);
                }
                self.grow()?;
                everything_from(table, self.span_from(start))
            }
        };
        self.expect_keyword(Keyword::To, "TO")?;
        self.copy_to(query).map(StatementKind::Copy)
    }

    // ----- out ----------------------------------------------------------------------------

    fn copy_to(&mut self, query: Query) -> Result<Copy> {
        let target = match self.kind() {
            TokenKind::String => {
                let span = self.span();
                CopyTarget::File(self.string("a file name")?, span)
            }
            _ if self.eat_word("STDOUT") => CopyTarget::Stdout,
            _ => return Err(self.unexpected("a quoted file name or STDOUT")),
        };
        let mut copy = Copy { query, target, format: None, header: None };
        let with = self.eat_keyword(Keyword::With);
        if self.eat(TokenKind::OpenParen) {
            self.copy_to_options(&mut copy)?;
        } else {
            // The form of old: COPY … TO STDOUT CSV HEADER.
            let csv = self.eat_word("CSV");
            copy.format = csv.then_some(CopyFormat::Csv);
            copy.header = (csv && self.eat_word("HEADER")).then_some(true);
            if with && !csv {
                return Err(self.unexpected("`(` and options"));
            }
        }
        Ok(copy)
    }

    fn copy_to_options(&mut self, copy: &mut Copy) -> Result<()> {
        loop {
            let option = self.ident("an option of COPY")?;
            match option.name.to_ascii_uppercase().as_str() {
                "FORMAT" => copy.format = Some(self.copy_format()?),
                "HEADER" => copy.header = Some(self.switch()?),
                other => {
                    let hint = "There are FORMAT csv or parquet, and HEADER.";
                    return Err(no_option(other, option.span, hint));
                }
            }
            if !self.eat(TokenKind::Comma) {
                break;
            }
        }
        self.expect(TokenKind::CloseParen, "`,` or `)`")?;
        Ok(())
    }

    fn copy_format(&mut self) -> Result<CopyFormat> {
        let span = self.span();
        match self.setting_text()?.to_ascii_lowercase().as_str() {
            "csv" => Ok(CopyFormat::Csv),
            "parquet" => Ok(CopyFormat::Parquet),
            "text" => Ok(CopyFormat::Text),
            other => {
                let message = format!("COPY has no format {other}");
                Err(SyntaxError::new(message, span).expected("csv or parquet"))
            }
        }
    }

    // ----- in -----------------------------------------------------------------------------

    fn copy_from(&mut self, table: Name) -> Result<CopyFrom> {
        let columns = match self.kind() {
            TokenKind::OpenParen => self.paren_ident_list("a column name")?,
            _ => Vec::new(),
        };
        if self.is(Keyword::To) {
            let message = "COPY … TO takes a table or a query, not columns";
            return Err(SyntaxError::new(message, self.span())
                .hint("Write a query: COPY (SELECT a, b FROM t) TO ….")
                .kind(SyntaxErrorKind::Unsupported));
        }
        self.expect_keyword(Keyword::From, "FROM")?;
        if self.kind() == TokenKind::String || self.nth_word(0, "PROGRAM") {
            return Err(SyntaxError::new("COPY … FROM reads from the client only", self.span())
                .hint("Send the file: \\copy in psql. Or import events: hedgerow import.")
                .kind(SyntaxErrorKind::Unsupported));
        }
        if !self.eat_word("STDIN") {
            return Err(self.unexpected("STDIN"));
        }
        let mut copy = CopyFrom {
            table,
            columns,
            format: None,
            header: None,
            delimiter: None,
            null: None,
            quote: None,
            escape: None,
        };
        let with = self.eat_keyword(Keyword::With);
        if self.eat(TokenKind::OpenParen) {
            loop {
                self.copy_from_option(&mut copy)?;
                if !self.eat(TokenKind::Comma) {
                    break;
                }
            }
            self.expect(TokenKind::CloseParen, "`,` or `)`")?;
        } else {
            // The form of old: COPY … FROM STDIN CSV HEADER DELIMITER AS ';'.
            let mut any = false;
            while matches!(self.kind(), TokenKind::Name | TokenKind::Keyword(_)) {
                self.copy_from_word(&mut copy)?;
                any = true;
            }
            if with && !any {
                return Err(self.unexpected("`(` and options"));
            }
        }
        Ok(copy)
    }

    fn copy_from_option(&mut self, copy: &mut CopyFrom) -> Result<()> {
        let (name, span) = self.option_word()?;
        match name.as_str() {
            "FORMAT" => {
                let format = self.copy_format()?;
                once(&mut copy.format, format, span)
            }
            "HEADER" => {
                let header = match self.eat_word("MATCH") {
                    true => CopyHeader::Match,
                    false if self.switch()? => CopyHeader::Skip,
                    false => CopyHeader::Row,
                };
                once(&mut copy.header, header, span)
            }
            _ => self.copy_from_text(copy, &name, span),
        }
    }

    fn copy_from_word(&mut self, copy: &mut CopyFrom) -> Result<()> {
        let (name, span) = self.option_word()?;
        match name.as_str() {
            "CSV" => once(&mut copy.format, CopyFormat::Csv, span),
            "HEADER" => once(&mut copy.header, CopyHeader::Skip, span),
            _ => self.copy_from_text(copy, &name, span),
        }
    }

    /// The options that are a text.
    fn copy_from_text(&mut self, copy: &mut CopyFrom, name: &str, span: Span) -> Result<()> {
        let option = match name {
            "DELIMITER" => &mut copy.delimiter,
            "NULL" => &mut copy.null,
            "QUOTE" => &mut copy.quote,
            "ESCAPE" => &mut copy.escape,
            other => {
                let hint = "There are FORMAT csv or text, HEADER, DELIMITER, NULL, QUOTE and \
                            ESCAPE.";
                return Err(no_option(other, span, hint));
            }
        };
        self.eat_keyword(Keyword::As);
        let text = self.string("a quoted text")?;
        once(option, text, span)
    }

    /// The name of an option in upper case. Some are keywords.
    fn option_word(&mut self) -> Result<(String, Span)> {
        if !matches!(self.kind(), TokenKind::Name | TokenKind::Keyword(_)) {
            return Err(self.unexpected("an option of COPY"));
        }
        let span = self.span();
        self.advance_word();
        Ok((self.slice(span).to_ascii_uppercase(), span))
    }
}

fn once<T>(option: &mut Option<T>, value: T, span: Span) -> Result<()> {
    match option.replace(value) {
        None => Ok(()),
        Some(_) => Err(SyntaxError::new("an option of COPY is given twice", span)),
    }
}

fn no_option(name: &str, span: Span, hint: &str) -> SyntaxError {
    SyntaxError::new(format!("COPY has no option {name}"), span)
        .hint(hint)
        .kind(SyntaxErrorKind::Unsupported)
}

/// `SELECT * FROM table`.
fn everything_from(table: Name, span: Span) -> Query {
    let star = Star { table: Vec::new(), exclude: Vec::new(), replace: Vec::new() };
    let mut select = Select::new(vec![Expr::new(ExprKind::Star(star), span)], span);
    let source = Source::new(SourceKind::Table(table), span);
    select.from = Some(Join::Source(Box::new(source)));
    Query::Select(Box::new(select))
}
