//! Statements: queries, and everything around them.

use super::{Expr, Ident, Join, Query, Select, Source, TypeName};
use crate::span::Span;

/// One statement and the text it came from.
#[derive(Debug, Clone)]
pub struct Statement {
    /// What it is.
    pub kind: StatementKind,
    /// Where it stands, without its semicolon.
    pub span: Span,
}

impl PartialEq for Statement {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// A dotted name: `events`, `public.events`. At least one part.
pub type Name = Vec<Ident>;

/// The forms a statement can take.
#[derive(Debug, Clone, PartialEq)]
pub enum StatementKind {
    /// `SELECT …`, `VALUES …`.
    Query(Query),
    /// `EXPLAIN [ANALYZE] [VERBOSE] [FORMAT TEXT|JSON] query`.
    Explain(Explain),
    /// `SHOW …`.
    Show(Show),
    /// `DESCRIBE t`, `DESCRIBE (query)`.
    Describe(Described),
    /// `SET name = value`.
    Set { name: Name, value: SetValue },
    /// `RESET name`; none means `RESET ALL`.
    Reset(Option<Name>),
    /// `CREATE [OR REPLACE] VIEW name [(columns)] AS query`.
    CreateView { replace: bool, name: Name, columns: Vec<Ident>, query: Query },
    /// `CREATE TABLE [IF NOT EXISTS] name (columns)`, `CREATE TABLE … AS query`.
    CreateTable { if_not_exists: bool, name: Name, content: TableContent },
    /// `DROP VIEW|TABLE [IF EXISTS] names [CASCADE|RESTRICT]`.
    Drop { kind: RelationKind, if_exists: bool, names: Vec<Name>, cascade: bool },
    /// `ALTER VIEW|TABLE [IF EXISTS] name RENAME TO new`.
    Rename { kind: RelationKind, if_exists: bool, name: Name, to: Ident },
    /// `ALTER TABLE [IF EXISTS] table ALTER COLUMN column SET DATA TYPE type`; without a type
    /// `… DROP TYPE`.
    AlterColumn { if_exists: bool, table: Name, column: Name, ty: Option<Ident> },
    /// `ALTER TABLE [IF EXISTS] table SET (option = value, …)`; without values
    /// `… RESET (option, …)`.
    AlterOptions { if_exists: bool, table: Name, options: Vec<(Ident, Option<Expr>)> },
    /// `INSERT INTO table [(columns)] query`.
    Insert { table: Name, columns: Vec<Ident>, source: Query },
    /// `DELETE FROM table [WHERE condition]`.
    Delete(Box<Delete>),
    /// `COPY (query) TO …`; `COPY table TO` reads as `COPY (SELECT * FROM table) TO`.
    Copy(Copy),
    /// `COPY table [(columns)] FROM STDIN`.
    CopyFrom(CopyFrom),
    /// `PREPARE name [(types)] AS statement`: a query, an INSERT or a DELETE.
    Prepare { name: Ident, types: Vec<TypeName>, statement: Box<Statement> },
    /// `EXECUTE name [(values)]`.
    Execute { name: Ident, args: Vec<Expr> },
    /// `DEALLOCATE name`; none means `DEALLOCATE ALL`.
    Deallocate(Option<Ident>),
}

/// `DELETE FROM table [[AS] alias] [WHERE condition]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    /// A table, with or without an alias.
    pub from: Source,
    /// None deletes all rows.
    pub condition: Option<Expr>,
}

impl Delete {
    /// The query for these columns of the rows that go.
    pub fn query(&self, columns: Vec<Expr>) -> Query {
        let mut select = Select::new(columns, self.from.span);
        select.from = Some(Join::Source(Box::new(self.from.clone())));
        select.filter.clone_from(&self.condition);
        Query::Select(Box::new(select))
    }
}

/// `EXPLAIN`, with its options.
#[derive(Debug, Clone, PartialEq)]
pub struct Explain {
    /// Run the query and show what it did.
    pub analyze: bool,
    /// Show the logical plan too.
    pub verbose: bool,
    pub format: ExplainFormat,
    pub query: Query,
}

/// The form of a shown plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ExplainFormat {
    #[default]
    Text,
    Json,
}

/// What `SHOW` lists.
#[derive(Debug, Clone, PartialEq)]
pub enum Show {
    /// `SHOW TABLES [LIKE pattern]`.
    Tables(Option<Pattern>),
    /// `SHOW COLUMNS FROM t [LIKE pattern]`.
    Columns(Name, Option<Pattern>),
    /// `SHOW FUNCTIONS [LIKE pattern]`.
    Functions(Option<Pattern>),
    /// `SHOW SETTINGS [LIKE pattern]`.
    Settings(Option<Pattern>),
    /// `SHOW CREATE VIEW v`, `SHOW CREATE TABLE t`.
    Create(RelationKind, Name),
    /// `SHOW name`: one setting.
    Setting(Name),
}

/// `LIKE 'pattern'`, `ILIKE 'pattern'`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    pub text: String,
    pub case_sensitive: bool,
}

/// What `DESCRIBE` describes.
#[derive(Debug, Clone, PartialEq)]
pub enum Described {
    Table(Name),
    Query(Query),
}

/// What follows `SET name =`.
#[derive(Debug, Clone, PartialEq)]
pub enum SetValue {
    /// A word, a number or a quoted text.
    Text(String),
    /// The expression that stands for a placeholder.
    Expr(Box<Expr>),
    /// `DEFAULT`.
    Default,
}

/// Relations that can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    View,
    Table,
}

/// What a new table holds.
#[derive(Debug, Clone, PartialEq)]
pub enum TableContent {
    /// `(a Int64, b String)`: no rows. At least one column.
    Columns(Vec<(Ident, TypeName)>),
    /// `[(names)] AS query`.
    Query { columns: Vec<Ident>, query: Query },
}

/// `COPY (query) TO target [WITH (options)]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    pub query: Query,
    pub target: CopyTarget,
    pub format: Option<CopyFormat>,
    pub header: Option<bool>,
}

/// Where `COPY` writes.
#[derive(Debug, Clone)]
pub enum CopyTarget {
    /// A file, and where its name stands.
    File(String, Span),
    /// The client.
    Stdout,
}

impl PartialEq for CopyTarget {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(a, _), Self::File(b, _)) => a == b,
            (Self::Stdout, Self::Stdout) => true,
            _ => false,
        }
    }
}

/// The form of a copied file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyFormat {
    Csv,
    Parquet,
    /// PostgreSQL's own text form.
    Text,
}

/// `COPY table [(columns)] FROM STDIN [WITH (options)]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyFrom {
    pub table: Name,
    /// None means all.
    pub columns: Vec<Ident>,
    pub format: Option<CopyFormat>,
    pub header: Option<CopyHeader>,
    pub delimiter: Option<String>,
    /// What stands for NULL.
    pub null: Option<String>,
    pub quote: Option<String>,
    pub escape: Option<String>,
}

/// What the first line of copied rows is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyHeader {
    /// A row like the others.
    Row,
    /// Names, which mean nothing.
    Skip,
    /// The names of the columns, in their order.
    Match,
}
