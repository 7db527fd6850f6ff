//! Queries: SELECT and its clauses, sources and joins, set operations
//! (`language.md` of the HogQL reference, sections 4 to 6).

use super::{Expr, Ident};
use crate::span::Span;

/// A whole query.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    /// `SELECT …`.
    Select(Box<Select>),
    /// `a UNION ALL b`, or a parenthesised query with trailing clauses of its own.
    Set(Box<SetQuery>),
    /// `VALUES (1, 'a'), (2, 'b')`; every row has the same length.
    Values(Box<Values>),
    /// `{query}`.
    Placeholder(Box<Expr>),
    /// `<TrendsQuery …/>` as the whole text: an expression that is a tag.
    Tag(Box<Expr>),
}

impl Query {
    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            Self::Select(select) => select.span,
            Self::Set(set) => set.span,
            Self::Values(values) => values.span,
            Self::Placeholder(expr) | Self::Tag(expr) => expr.span,
        }
    }
}

/// `SELECT` with its clauses, in the order they are written.
#[derive(Debug, Clone)]
pub struct Select {
    pub with: Option<With>,
    pub distinct: bool,
    /// `DISTINCT ON (a, b)`: the first row of each group, in the order asked for. Without
    /// `distinct`.
    pub distinct_on: Vec<Expr>,
    /// Column expressions; never empty.
    pub columns: Vec<Expr>,
    pub from: Option<Join>,
    pub array_joins: Vec<ArrayJoin>,
    pub prewhere: Option<Expr>,
    pub filter: Option<Expr>,
    pub group_by: Option<GroupBy>,
    pub having: Option<Expr>,
    pub qualify: Option<Expr>,
    /// `WINDOW name AS (…)`.
    pub windows: Vec<(Ident, WindowSpec)>,
    pub order_by: Vec<OrderBy>,
    /// `INTERPOLATE (c, d AS e)`; `Some` and empty means all columns.
    pub interpolate: Option<Vec<(Ident, Option<Expr>)>>,
    pub limit_by: Option<LimitBy>,
    pub limit: Option<Limit>,
    pub offset: Option<Expr>,
    /// `FOR UPDATE`, `FOR SHARE`: has no effect but a notice.
    pub locks: Vec<Lock>,
    pub span: Span,
}

impl Select {
    /// A select of these columns with no other clause.
    pub fn new(columns: Vec<Expr>, span: Span) -> Self {
        Self {
            with: None,
            distinct: false,
            distinct_on: Vec::new(),
            columns,
            from: None,
            array_joins: Vec::new(),
            prewhere: None,
            filter: None,
            group_by: None,
            having: None,
            qualify: None,
            windows: Vec::new(),
            order_by: Vec::new(),
            interpolate: None,
            limit_by: None,
            limit: None,
            offset: None,
            locks: Vec::new(),
            span,
        }
    }
}

impl PartialEq for Select {
    fn eq(&self, other: &Self) -> bool {
        // Destructured so that a new clause cannot be forgotten here.
        let Self {
            with,
            distinct,
            distinct_on,
            columns,
            from,
            array_joins,
            prewhere,
            filter,
            group_by,
            having,
            qualify,
            windows,
            order_by,
            interpolate,
            limit_by,
            limit,
            offset,
            locks,
            span: _,
        } = self;
        with == &other.with
            && distinct == &other.distinct
            && distinct_on == &other.distinct_on
            && columns == &other.columns
            && from == &other.from
            && array_joins == &other.array_joins
            && prewhere == &other.prewhere
            && filter == &other.filter
            && group_by == &other.group_by
            && having == &other.having
            && qualify == &other.qualify
            && windows == &other.windows
            && order_by == &other.order_by
            && interpolate == &other.interpolate
            && limit_by == &other.limit_by
            && limit == &other.limit
            && offset == &other.offset
            && locks == &other.locks
    }
}

/// A list of queries joined by set operators, left to right, without precedence: the lowering
/// gives INTERSECT its higher precedence. `rest` is empty for a parenthesised query that has
/// trailing clauses of its own.
#[derive(Debug, Clone)]
pub struct SetQuery {
    pub with: Option<With>,
    pub first: Query,
    pub rest: Vec<(SetOperator, Query)>,
    /// Honoured here, though the reference drops it.
    pub order_by: Vec<OrderBy>,
    pub limit: Option<Limit>,
    pub offset: Option<Expr>,
    pub span: Span,
}

impl PartialEq for SetQuery {
    fn eq(&self, other: &Self) -> bool {
        let Self { with, first, rest, order_by, limit, offset, span: _ } = self;
        with == &other.with
            && first == &other.first
            && rest == &other.rest
            && order_by == &other.order_by
            && limit == &other.limit
            && offset == &other.offset
    }
}

/// A set operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetOperator {
    pub kind: SetKind,
    /// `ALL`; without it duplicates are removed.
    pub all: bool,
    /// `BY NAME`: branches match by column name instead of position.
    pub by_name: bool,
}

/// The three set operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetKind {
    Union,
    Intersect,
    Except,
}

/// `VALUES` rows.
#[derive(Debug, Clone)]
pub struct Values {
    /// Rows of equal length, at least one.
    pub rows: Vec<Vec<Expr>>,
    pub span: Span,
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows
    }
}

/// `WITH [RECURSIVE] …`.
#[derive(Debug, Clone, PartialEq)]
pub struct With {
    pub recursive: bool,
    /// At least one.
    pub ctes: Vec<Cte>,
}

/// One common table expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Cte {
    pub name: Ident,
    pub body: CteBody,
}

/// What a common table expression stands for.
#[derive(Debug, Clone, PartialEq)]
pub enum CteBody {
    /// `name [(columns)] [USING KEY (keys)] AS [[NOT] MATERIALIZED] (query)`.
    Table { columns: Vec<Ident>, key: Vec<Ident>, materialized: Option<bool>, query: Query },
    /// `expr AS name`, a scalar subquery and a lambda included.
    Scalar(Expr),
}

/// A tree of sources.
#[derive(Debug, Clone)]
pub enum Join {
    /// A single source.
    Source(Box<Source>),
    /// `left JOIN right …`.
    Join {
        left: Box<Join>,
        kind: JoinKind,
        strictness: Option<JoinStrictness>,
        natural: bool,
        right: Box<Join>,
        constraint: Option<JoinConstraint>,
        span: Span,
    },
}

impl PartialEq for Join {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Source(a), Self::Source(b)) => a == b,
            (
                Self::Join { left, kind, strictness, natural, right, constraint, span: _ },
                Self::Join {
                    left: other_left,
                    kind: other_kind,
                    strictness: other_strictness,
                    natural: other_natural,
                    right: other_right,
                    constraint: other_constraint,
                    span: _,
                },
            ) => {
                left == other_left
                    && kind == other_kind
                    && strictness == other_strictness
                    && natural == other_natural
                    && right == other_right
                    && constraint == other_constraint
            }
            (Self::Source(_) | Self::Join { .. }, _) => false,
        }
    }
}

/// One source in FROM, with its alias.
#[derive(Debug, Clone)]
pub struct Source {
    pub kind: SourceKind,
    /// `LATERAL (select …)`: the query sees the sources before it. Table functions always do, so
    /// that the word before one leaves no trace.
    pub lateral: bool,
    /// `f(x) WITH ORDINALITY`: one more column, which counts the rows from 1.
    pub ordinality: bool,
    /// `events AS OF TIMESTAMP 'time'`: the table as it was; a string.
    pub as_of: Option<Box<Expr>>,
    pub alias: Option<Ident>,
    /// `AS t(a, b)`.
    pub columns: Vec<Ident>,
    pub sample: Option<Sample>,
    pub span: Span,
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        let Self { kind, lateral, ordinality, as_of, alias, columns, sample, span: _ } = self;
        kind == &other.kind
            && lateral == &other.lateral
            && ordinality == &other.ordinality
            && as_of == &other.as_of
            && alias == &other.alias
            && columns == &other.columns
            && sample == &other.sample
    }
}

impl Source {
    /// A source without a name or anything else around it.
    pub fn new(kind: SourceKind, span: Span) -> Self {
        Self {
            kind,
            lateral: false,
            ordinality: false,
            as_of: None,
            alias: None,
            columns: Vec::new(),
            sample: None,
            span,
        }
    }
}

/// What can stand in FROM.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceKind {
    /// `events`, `stripe.prod.charge`.
    Table(Vec<Ident>),
    /// `numbers(10)`.
    Function(Ident, Vec<Expr>),
    /// `(select …)`, `(VALUES …)`.
    Query(Query),
    /// `{table}`.
    Placeholder(Expr),
    /// `<TrendsQuery …/>`.
    Tag(super::Tag),
    /// `source PIVOT (…)`.
    Pivot(Box<Pivot>),
    /// `source UNPIVOT (…)`.
    Unpivot(Box<Unpivot>),
}

/// `source PIVOT (aggregates FOR column IN (values) … [GROUP BY …])`.
#[derive(Debug, Clone, PartialEq)]
pub struct Pivot {
    pub source: Join,
    /// Aggregates, possibly with aliases.
    pub aggregates: Vec<Expr>,
    /// Columns with the values they are spread over.
    pub columns: Vec<(Expr, Vec<Expr>)>,
    pub group_by: Vec<Expr>,
}

/// `source UNPIVOT [INCLUDE NULLS] (value FOR name IN (columns), …)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Unpivot {
    pub source: Join,
    pub include_nulls: bool,
    /// Value column, name column, unpivoted columns.
    pub columns: Vec<(Expr, Expr, Vec<Expr>)>,
}

/// Join sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    /// `CROSS JOIN` and the comma.
    Cross,
    /// `POSITIONAL JOIN`.
    Positional,
}

/// How many matches a join keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinStrictness {
    All,
    Any,
    Asof,
    Semi,
    Anti,
    AsofSemi,
    AsofAnti,
}

/// A join condition.
#[derive(Debug, Clone, PartialEq)]
pub enum JoinConstraint {
    /// `ON e`.
    On(Expr),
    /// `USING (a, b)`.
    Using(Vec<Ident>),
}

/// `SAMPLE ratio [%] [OFFSET offset]`: whole users, by hash of `distinct_id`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub ratio: Expr,
    /// `SAMPLE 10%`: the ratio is in hundredths, which the reference drops.
    pub percent: bool,
    pub offset: Option<Expr>,
}

/// `[LEFT|INNER] ARRAY JOIN e AS a, …`, walked in parallel.
#[derive(Debug, Clone, PartialEq)]
pub struct ArrayJoin {
    /// Keep rows with empty arrays.
    pub left: bool,
    pub items: Vec<(Expr, Ident)>,
}

/// `GROUP BY …`.
#[derive(Debug, Clone, PartialEq)]
pub enum GroupBy {
    /// `GROUP BY a, b`, with the suffixes that the reference drops and Hedgerow honours.
    Keys { keys: Vec<Expr>, modifier: Option<GroupModifier>, totals: bool },
    /// `GROUP BY ALL`.
    All,
    /// `GROUP BY CUBE(a, b)`.
    Cube(Vec<Expr>),
    /// `GROUP BY ROLLUP(a, b)`.
    Rollup(Vec<Expr>),
    /// `GROUP BY GROUPING SETS ((a), (a, b), ())`.
    Sets(Vec<Vec<Expr>>),
}

/// `GROUP BY … WITH CUBE|ROLLUP`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupModifier {
    Cube,
    Rollup,
}

/// One ORDER BY item.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderBy {
    pub expr: Expr,
    pub descending: bool,
    /// `None` means the default: NULLS LAST in both directions.
    pub nulls_first: Option<bool>,
    pub collate: Option<String>,
    pub fill: Option<Fill>,
}

/// `WITH FILL [FROM a] [TO b] [STEP s]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Fill {
    pub from: Option<Expr>,
    pub to: Option<Expr>,
    pub step: Option<Expr>,
}

/// `LIMIT n`, with what may follow the number.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    pub count: Expr,
    pub percent: bool,
    pub with_ties: bool,
}

/// `FOR UPDATE [OF t] [NOWAIT|SKIP LOCKED]`.
#[derive(Debug, Clone)]
pub struct Lock {
    pub strength: LockStrength,
    /// The tables after OF; empty means all.
    pub of: Vec<Ident>,
    pub wait: Option<LockWait>,
    pub span: Span,
}

impl PartialEq for Lock {
    fn eq(&self, other: &Self) -> bool {
        (self.strength, &self.of, self.wait) == (other.strength, &other.of, other.wait)
    }
}

/// What a row lock would exclude.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockStrength {
    Update,
    NoKeyUpdate,
    Share,
    KeyShare,
}

/// What a row lock would do about rows that are locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockWait {
    NoWait,
    SkipLocked,
}

/// `LIMIT n [OFFSET m] BY keys`.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitBy {
    pub count: Expr,
    pub offset: Option<Expr>,
    pub keys: Vec<Expr>,
}

/// What stands between the parentheses of OVER.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowSpec {
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<OrderBy>,
    pub frame: Option<Frame>,
}

/// A window frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    pub unit: FrameUnit,
    pub start: FrameBound,
    /// `None` for the one-bound form, which ends at the current row.
    pub end: Option<FrameBound>,
}

/// What a frame counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameUnit {
    Rows,
    Range,
    /// Rows of equal ORDER BY values count as one.
    Groups,
}

/// Where a frame begins or ends.
#[derive(Debug, Clone, PartialEq)]
pub enum FrameBound {
    CurrentRow,
    UnboundedPreceding,
    UnboundedFollowing,
    Preceding(Box<Expr>),
    Following(Box<Expr>),
}
