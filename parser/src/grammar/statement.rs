//! Statements: what begins with a word that begins no query.
//!
//! Their words (`CREATE`, `VIEW`, …) are no keywords of the language: they are names everywhere
//! else, and are recognised here by their text.

use super::Parser;
use crate::Result;
use crate::ast::{
    Delete, Described, Explain, ExplainFormat, Expr, Ident, Name, Pattern, RelationKind, SetValue,
    Show, Source, SourceKind, Statement, StatementKind, TableContent, TypeName,
};
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::token::{Keyword, TokenKind};

impl Parser<'_> {
    /// One statement, without what may follow it.
    pub(super) fn statement(&mut self) -> Result<Statement> {
        let start = self.span();
        self.words.push(start.start);
        let kind = match self.leading_word().as_str() {
            "EXPLAIN" => self.explain().map(StatementKind::Explain)?,
            "SHOW" => self.show().map(StatementKind::Show)?,
            "DESCRIBE" | "DESC" => self.describe().map(StatementKind::Describe)?,
            "SET" => self.set()?,
            "RESET" => self.reset()?,
            "CREATE" => self.create()?,
            "DROP" => self.drop_relation()?,
            "ALTER" => self.alter()?,
            "INSERT" => self.insert()?,
            "DELETE" => StatementKind::Delete(Box::new(self.delete()?)),
            "COPY" => self.copy()?,
            "PREPARE" => self.prepare()?,
            "EXECUTE" => self.execute()?,
            "DEALLOCATE" => self.deallocate()?,
            _ => self.top_level_query().map(StatementKind::Query)?,
        };
        Ok(Statement { kind, span: self.span_from(start) })
    }

    /// The current bare word in upper case. `desc` is a keyword; the others are names.
    fn leading_word(&self) -> String {
        match self.kind() {
            TokenKind::Name | TokenKind::Keyword(Keyword::Desc) => {
                self.slice(self.span()).to_ascii_uppercase()
            }
            _ => String::new(),
        }
    }

    // ----- words --------------------------------------------------------------------------

    /// Consumes all of the words, or nothing.
    fn eat_words(&mut self, words: &[&str]) -> bool {
        let found = words.iter().enumerate().all(|(at, word)| self.nth_word(at, word));
        if found {
            words.iter().for_each(|_| self.advance_word());
        }
        found
    }

    fn expect_word(&mut self, word: &str) -> Result<()> {
        if self.eat_word(word) { Ok(()) } else { Err(self.unexpected(word)) }
    }

    fn relation_kind(&mut self) -> Result<RelationKind> {
        if self.eat_word("VIEW") {
            Ok(RelationKind::View)
        } else if self.eat_word("TABLE") {
            Ok(RelationKind::Table)
        } else {
            Err(self.unexpected("VIEW or TABLE"))
        }
    }

    // ----- looking ------------------------------------------------------------------------

    fn explain(&mut self) -> Result<Explain> {
        self.advance();
        let (mut analyze, mut verbose, mut format) = (false, false, ExplainFormat::Text);
        if self.kind() == TokenKind::OpenParen && !self.opens_query() {
            self.advance();
            loop {
                let option = self.ident("an option of EXPLAIN")?;
                match option.name.to_ascii_uppercase().as_str() {
                    "ANALYZE" | "ANALYSE" => analyze = self.switch()?,
                    "VERBOSE" => verbose = self.switch()?,
                    "FORMAT" => format = self.explain_format()?,
                    _ => {
                        // Tools name every option of PostgreSQL to turn it off.
                        if self.switch()? {
                            let message =
                                format!("EXPLAIN has no option {}", option.name.to_uppercase());
                            return Err(SyntaxError::new(message, option.span)
                                .hint("There are ANALYZE, VERBOSE and FORMAT TEXT or JSON."));
                        }
                    }
                }
                if !self.eat(TokenKind::Comma) {
                    break;
                }
            }
            self.expect(TokenKind::CloseParen, "`,` or `)`")?;
        } else {
            loop {
                if self.eat_word("ANALYZE") || self.eat_word("ANALYSE") {
                    analyze = true;
                } else if self.eat_word("VERBOSE") {
                    verbose = true;
                } else if self.eat_word("FORMAT") {
                    format = self.explain_format()?;
                } else {
                    break;
                }
            }
        }
        if self.kind() == TokenKind::Name {
            let message = "only queries can be explained";
            return Err(SyntaxError::new(message, self.span())
                .expected("SELECT")
                .kind(SyntaxErrorKind::Unsupported));
        }
        Ok(Explain { analyze, verbose, format, query: self.top_level_query()? })
    }

    /// Whether the parenthesis here holds a query and not a list of options or columns.
    fn opens_query(&self) -> bool {
        matches!(self.nth(1), TokenKind::OpenParen | TokenKind::OpenBrace)
            || self.begins_query(1)
            || self.nth_is(1, Keyword::Values)
    }

    /// A switch of an option list; the option alone turns it on.
    pub(super) fn switch(&mut self) -> Result<bool> {
        if matches!(self.kind(), TokenKind::Comma | TokenKind::CloseParen) {
            return Ok(true);
        }
        let token = self.advance();
        match self.slice(token.span).trim_matches('\'').to_ascii_lowercase().as_str() {
            "true" | "on" | "1" => Ok(true),
            "false" | "off" | "0" => Ok(false),
            _ => Err(SyntaxError::new("neither on nor off", token.span).expected("ON or OFF")),
        }
    }

    fn explain_format(&mut self) -> Result<ExplainFormat> {
        if self.eat_word("TEXT") {
            Ok(ExplainFormat::Text)
        } else if self.eat_word("JSON") {
            Ok(ExplainFormat::Json)
        } else {
            Err(self.unexpected("TEXT or JSON"))
        }
    }

    fn show(&mut self) -> Result<Show> {
        self.advance();
        let next_is_setting = self.nth(1) == TokenKind::Dot;
        if !next_is_setting {
            if self.eat_word("TABLES") {
                return Ok(Show::Tables(self.pattern()?));
            }
            if self.eat_word("FUNCTIONS") {
                return Ok(Show::Functions(self.pattern()?));
            }
            if self.eat_keyword(Keyword::Settings) {
                return Ok(Show::Settings(self.pattern()?));
            }
            if self.eat_keyword(Keyword::Columns) {
                if !self.eat_keyword(Keyword::From) {
                    self.expect_keyword(Keyword::In, "FROM and a table")?;
                }
                let table = self.dotted_name("a table")?;
                return Ok(Show::Columns(table, self.pattern()?));
            }
            if self.eat_word("CREATE") {
                let kind = self.relation_kind()?;
                return Ok(Show::Create(kind, self.dotted_name("a name")?));
            }
        }
        let expected = "TABLES, COLUMNS FROM, FUNCTIONS, SETTINGS, CREATE VIEW, or a setting";
        self.setting_name(expected).map(Show::Setting)
    }

    fn pattern(&mut self) -> Result<Option<Pattern>> {
        let case_sensitive = self.eat_keyword(Keyword::Like);
        if !case_sensitive && !self.eat_keyword(Keyword::ILike) {
            return Ok(None);
        }
        Ok(Some(Pattern { text: self.string("a quoted pattern")?, case_sensitive }))
    }

    fn describe(&mut self) -> Result<Described> {
        self.advance();
        if self.begins_query(0)
            || matches!(self.kind(), TokenKind::OpenParen | TokenKind::OpenBrace)
            || self.is(Keyword::Values)
        {
            return self.top_level_query().map(Described::Query);
        }
        if self.nth_word(0, "TABLE") && self.nth(1).is_name() {
            self.advance();
        }
        self.dotted_name("a table or a query").map(Described::Table)
    }

    // ----- settings -----------------------------------------------------------------------

    /// The name of a setting; SQL spells one of them as two words.
    fn setting_name(&mut self, expected: &str) -> Result<Name> {
        let start = self.span();
        if self.eat_words(&["TIME", "ZONE"]) {
            return Ok(vec![Ident::new("timezone", self.span_from(start))]);
        }
        self.dotted_name(expected)
    }

    fn set(&mut self) -> Result<StatementKind> {
        self.advance();
        if self.nth(1).is_name() {
            self.eat_word("SESSION");
        }
        let two_words = self.nth_word(0, "TIME") && self.nth_word(1, "ZONE");
        let name = self.setting_name("a setting")?;
        if !two_words && !self.eat(TokenKind::Eq) && !self.eat_keyword(Keyword::To) {
            return Err(self.unexpected("`=` or TO"));
        }
        let ends = matches!(self.nth(1), TokenKind::End | TokenKind::Semicolon);
        let value = if ends && self.nth_word(0, "DEFAULT") {
            self.advance();
            SetValue::Default
        } else if is_placeholder(&name) {
            SetValue::Expr(Box::new(self.expr()?))
        } else {
            SetValue::Text(self.setting_text()?)
        };
        Ok(StatementKind::Set { name, value })
    }

    pub(super) fn setting_text(&mut self) -> Result<String> {
        match self.kind() {
            TokenKind::String => self.string("a value"),
            TokenKind::Quoted => Ok(self.ident("a value")?.name),
            TokenKind::Name | TokenKind::Keyword(_) => {
                let token = self.advance();
                self.names.push(token.span.start);
                Ok(self.slice(token.span).to_owned())
            }
            _ => {
                let signed = matches!(self.kind(), TokenKind::Minus | TokenKind::Plus);
                let sign = if signed { Some(self.advance()) } else { None };
                if !self.kind().is_number() {
                    return Err(self.unexpected("a value"));
                }
                let number = self.advance();
                let sign = sign.map_or("", |sign| self.slice(sign.span));
                Ok(format!("{sign}{}", self.slice(number.span)))
            }
        }
    }

    fn reset(&mut self) -> Result<StatementKind> {
        self.advance();
        if self.nth_word(0, "ALL") && self.nth(1) != TokenKind::Dot {
            self.advance();
            return Ok(StatementKind::Reset(None));
        }
        self.setting_name("a setting or ALL").map(|name| StatementKind::Reset(Some(name)))
    }

    // ----- views and tables ---------------------------------------------------------------

    fn create(&mut self) -> Result<StatementKind> {
        self.advance();
        let replace = self.eat_words(&["OR", "REPLACE"]);
        let kind_span = self.span();
        match self.relation_kind()? {
            RelationKind::View => self.create_view(replace),
            RelationKind::Table if replace => {
                Err(SyntaxError::new("CREATE OR REPLACE TABLE is not available", kind_span)
                    .hint("Drop the table first: DROP TABLE IF EXISTS ….")
                    .kind(SyntaxErrorKind::Unsupported))
            }
            RelationKind::Table => self.create_table(),
        }
    }

    fn create_view(&mut self, replace: bool) -> Result<StatementKind> {
        let name = self.dotted_name("the view's name")?;
        let columns = match self.kind() {
            TokenKind::OpenParen => self.paren_ident_list("a column name")?,
            _ => Vec::new(),
        };
        self.expect_keyword(Keyword::As, "AS and a query")?;
        let query = self.top_level_query()?;
        Ok(StatementKind::CreateView { replace, name, columns, query })
    }

    fn create_table(&mut self) -> Result<StatementKind> {
        let if_not_exists = self.eat_words(&["IF", "NOT", "EXISTS"]);
        let name = self.dotted_name("the table's name")?;
        let content = match self.kind() {
            TokenKind::OpenParen
                if matches!(self.nth(2), TokenKind::Comma | TokenKind::CloseParen) =>
            {
                let columns = self.paren_ident_list("a column name")?;
                if !self.is(Keyword::As) {
                    let last = columns.last().map_or(name[0].span, |column| column.span);
                    return Err(SyntaxError::new("a column without a type", last)
                        .expected("a type after each column, or AS and a query"));
                }
                self.advance();
                TableContent::Query { columns, query: self.top_level_query()? }
            }
            TokenKind::OpenParen => TableContent::Columns(self.column_definitions()?),
            _ => {
                self.expect_keyword(Keyword::As, "`(` and columns, or AS and a query")?;
                TableContent::Query { columns: Vec::new(), query: self.top_level_query()? }
            }
        };
        Ok(StatementKind::CreateTable { if_not_exists, name, content })
    }

    fn column_definitions(&mut self) -> Result<Vec<(Ident, TypeName)>> {
        self.advance();
        let mut columns = Vec::new();
        loop {
            let name = self.ident("a column name")?;
            columns.push((name, self.column_type()?));
            if !self.eat(TokenKind::Comma) {
                break;
            }
        }
        self.expect(TokenKind::CloseParen, "`,` or `)`")?;
        Ok(columns)
    }

    /// The type of a column. A NULL after it says what holds anyway; other constraints are not
    /// kept, and therefore refused.
    fn column_type(&mut self) -> Result<TypeName> {
        const CONSTRAINTS: [&str; 8] =
            ["NOT", "DEFAULT", "PRIMARY", "UNIQUE", "REFERENCES", "CHECK", "GENERATED", "COLLATE"];
        let ty = match self.nth(1) {
            TokenKind::OpenParen => self.type_name()?,
            _ => self.short_type_name()?,
        };
        self.eat_keyword(Keyword::Null);
        if let Some(word) = CONSTRAINTS.iter().find(|word| self.nth_word(0, word)) {
            let message = format!("column constraint {word} is not available");
            return Err(SyntaxError::new(message, self.span())
                .hint("A column is a name and a type; every column can be NULL.")
                .kind(SyntaxErrorKind::Unsupported));
        }
        Ok(ty)
    }

    fn drop_relation(&mut self) -> Result<StatementKind> {
        self.advance();
        let kind = self.relation_kind()?;
        let if_exists = self.eat_words(&["IF", "EXISTS"]);
        let mut names = vec![self.dotted_name("a name")?];
        while self.eat(TokenKind::Comma) {
            names.push(self.dotted_name("a name")?);
        }
        let cascade = self.eat_word("CASCADE");
        if !cascade {
            self.eat_word("RESTRICT");
        }
        Ok(StatementKind::Drop { kind, if_exists, names, cascade })
    }

    fn alter(&mut self) -> Result<StatementKind> {
        self.advance();
        let kind = self.relation_kind()?;
        let if_exists = self.eat_words(&["IF", "EXISTS"]);
        let name = self.dotted_name("a name")?;
        if kind == RelationKind::Table && self.eat_word("ALTER") {
            return self.alter_column(if_exists, name);
        }
        if kind == RelationKind::Table && self.eat_word("SET") {
            let options = self.table_options(true)?;
            return Ok(StatementKind::AlterOptions { if_exists, table: name, options });
        }
        if kind == RelationKind::Table && self.eat_word("RESET") {
            let options = self.table_options(false)?;
            return Ok(StatementKind::AlterOptions { if_exists, table: name, options });
        }
        if !self.eat_words(&["RENAME", "TO"]) {
            return Err(self.unexpected(match kind {
                RelationKind::View => "RENAME TO",
                RelationKind::Table => "RENAME TO, ALTER COLUMN, SET or RESET",
            }));
        }
        let to = self.ident("the new name")?;
        Ok(StatementKind::Rename { kind, if_exists, name, to })
    }

    fn alter_column(&mut self, if_exists: bool, table: Name) -> Result<StatementKind> {
        self.eat_word("COLUMN");
        let column = self.dotted_name("a column")?;
        let ty = if self.eat_words(&["DROP", "TYPE"]) {
            None
        } else {
            self.eat_words(&["SET", "DATA"]);
            if !self.eat_word("TYPE") {
                return Err(self.unexpected("SET DATA TYPE or DROP TYPE"));
            }
            Some(self.ident("a type")?)
        };
        Ok(StatementKind::AlterColumn { if_exists, table, column, ty })
    }

    /// `(a = 1, b = 2)`, or `(a, b)`.
    fn table_options(&mut self, have_values: bool) -> Result<Vec<(Ident, Option<Expr>)>> {
        self.expect(TokenKind::OpenParen, "`(`")?;
        let mut options = Vec::new();
        loop {
            let name = self.ident("an option")?;
            let value = match have_values {
                true => {
                    self.expect(TokenKind::Eq, "`=`")?;
                    Some(self.expr()?)
                }
                false => None,
            };
            options.push((name, value));
            if !self.eat(TokenKind::Comma) {
                break;
            }
        }
        self.expect(TokenKind::CloseParen, "`,` or `)`")?;
        Ok(options)
    }

    // ----- rows in and out ----------------------------------------------------------------

    fn insert(&mut self) -> Result<StatementKind> {
        self.advance();
        self.expect_word("INTO")?;
        let table = self.dotted_name("a table")?;
        let columns = match self.kind() {
            TokenKind::OpenParen if !self.opens_query() => {
                self.paren_ident_list("a column name")?
            }
            _ => Vec::new(),
        };
        // In either dialect these rows are told from a query: their texts are read as the columns.
        let source = match self.kind() {
            TokenKind::Keyword(Keyword::Values) => self.values()?,
            _ => self.top_level_query()?,
        };
        Ok(StatementKind::Insert { table, columns, source })
    }

    fn delete(&mut self) -> Result<Delete> {
        self.advance();
        self.expect_keyword(Keyword::From, "FROM")?;
        let start = self.span();
        let kind = SourceKind::Table(self.dotted_name("a table")?);
        let mut from = Source::new(kind, start);
        self.refuse_returning()?;
        self.source_alias(&mut from)?;
        if let Some(column) = from.columns.first() {
            return Err(SyntaxError::new("DELETE gives columns no other names", column.span)
                .expected("WHERE"));
        }
        from.span = self.span_from(start);
        let condition = self.eat_keyword(Keyword::Where).then(|| self.expr()).transpose()?;
        self.refuse_returning()?;
        Ok(Delete { from, condition })
    }

    fn refuse_returning(&self) -> Result<()> {
        match self.nth_word(0, "RETURNING") {
            true => Err(self.unsupported(
                "RETURNING is not supported",
                "Select the rows before they are deleted.",
            )),
            false => Ok(()),
        }
    }

    // ----- prepared statements ------------------------------------------------------------

    fn prepare(&mut self) -> Result<StatementKind> {
        self.advance();
        let name = self.ident("the statement's name")?;
        let mut types = Vec::new();
        if self.eat(TokenKind::OpenParen) {
            loop {
                types.push(self.type_name()?);
                if !self.eat(TokenKind::Comma) {
                    break;
                }
            }
            self.expect(TokenKind::CloseParen, "`,` or `)`")?;
        }
        self.expect_keyword(Keyword::As, "AS")?;
        let start = self.span();
        self.words.push(start.start);
        let kind = match self.leading_word().as_str() {
            "INSERT" => self.insert()?,
            "DELETE" => StatementKind::Delete(Box::new(self.delete()?)),
            _ => self.top_level_query().map(StatementKind::Query)?,
        };
        let statement = Box::new(Statement { kind, span: self.span_from(start) });
        Ok(StatementKind::Prepare { name, types, statement })
    }

    fn execute(&mut self) -> Result<StatementKind> {
        self.advance();
        let name = self.ident("the statement's name")?;
        let mut args = Vec::new();
        if self.eat(TokenKind::OpenParen) {
            if self.kind() != TokenKind::CloseParen {
                args = self.expr_list()?;
            }
            self.expect(TokenKind::CloseParen, "`,` or `)`")?;
        }
        Ok(StatementKind::Execute { name, args })
    }

    fn deallocate(&mut self) -> Result<StatementKind> {
        self.advance();
        if self.nth(1).is_name() {
            self.eat_word("PREPARE");
        }
        if self.eat_keyword(Keyword::All) {
            return Ok(StatementKind::Deallocate(None));
        }
        let name = self.ident("the statement's name or ALL")?;
        Ok(StatementKind::Deallocate(Some(name)))
    }
}

/// Whether SET gives a placeholder its value: `var.x`, `variables.x`, `filters`, `filters.a.b`.
fn is_placeholder(name: &[Ident]) -> bool {
    match name {
        [first, _, ..] => matches!(first.name.as_str(), "var" | "variables" | "filters"),
        [only] => only.name == "filters",
        [] => false,
    }
}
