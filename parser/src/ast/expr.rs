//! Expressions (`language.md` of the HogQL reference, section 2).

use super::{Ident, OrderBy, Query, WindowSpec};
use crate::span::Span;

/// An expression and the text it came from.
#[derive(Debug, Clone)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands, without surrounding parentheses.
    pub span: Span,
}

impl Expr {
    /// An expression at a place.
    pub fn new(kind: ExprKind, span: Span) -> Self {
        Self { kind, span }
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// The forms an expression can take.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// `42`, `'text'`, `null`, `true`, `inf`.
    Literal(Literal),
    /// A dotted name: `event`, `properties.a.b`, `e.person.properties.$os`. At least one part.
    Field(Vec<Ident>),
    /// `*`, `t.*`, with `EXCLUDE` and `REPLACE`.
    Star(Star),
    /// `COLUMNS('regex')`, `COLUMNS(a, b)`, `COLUMNS(* EXCLUDE (a))`.
    Columns(Box<Columns>),
    /// `*COLUMNS('regex')` as an argument of a call.
    Spread(Box<Expr>),
    /// `e AS a`, `e a` in a column list, `a: e`.
    Alias(Box<Expr>, Ident),
    /// `-e`, where the minus did not fuse into a number.
    Negate(Box<Expr>),
    /// `NOT e`.
    Not(Box<Expr>),
    /// `a + b`, `a || b`, `a = b`, `a NOT LIKE b`.
    Binary(Box<Expr>, BinaryOp, Box<Expr>),
    /// `a AND b AND c`, flattened; at least two.
    And(Vec<Expr>),
    /// `a OR b OR c`, flattened; at least two.
    Or(Vec<Expr>),
    /// `e IS [NOT] NULL`.
    IsNull { expr: Box<Expr>, negated: bool },
    /// `a IS [NOT] DISTINCT FROM b`; `a <=> b` is the negated form.
    IsDistinctFrom { left: Box<Expr>, right: Box<Expr>, negated: bool },
    /// `e [NOT] BETWEEN low AND high`.
    Between { expr: Box<Expr>, low: Box<Expr>, high: Box<Expr>, negated: bool },
    /// `e [NOT] IN right`; `right` is a tuple, an array, a subquery or a single value.
    In { expr: Box<Expr>, right: Box<Expr>, negated: bool },
    /// `e [NOT] IN COHORT c`.
    InCohort { expr: Box<Expr>, cohort: Box<Expr>, negated: bool },
    /// `a ?? b`.
    Coalesce(Box<Expr>, Box<Expr>),
    /// `c ? x : y`.
    Ternary { condition: Box<Expr>, then: Box<Expr>, otherwise: Box<Expr> },
    /// `CASE [operand] WHEN … THEN … [ELSE …] END`.
    Case { operand: Option<Box<Expr>>, branches: Vec<(Expr, Expr)>, otherwise: Option<Box<Expr>> },
    /// `CAST(e AS T)`, `e::T`, `TRY_CAST(e AS T)`.
    Cast { expr: Box<Expr>, target: TypeName, safe: bool },
    /// `INTERVAL e UNIT`, `INTERVAL '5 minutes'`.
    Interval { value: Box<Expr>, unit: IntervalUnit },
    /// `(a, b)`, `(a,)`. Never empty.
    Tuple(Vec<Expr>),
    /// `[a, b]`, `ARRAY[a, b]`.
    Array(Vec<Expr>),
    /// `{'k': v}`, `{}`.
    Dict(Vec<(Expr, Expr)>),
    /// `e.1`, 1-based.
    TupleElement { expr: Box<Expr>, index: u32, nullish: bool },
    /// `e[i]`.
    Index { expr: Box<Expr>, index: Box<Expr>, nullish: bool },
    /// `e.name` on something that is not a dotted name.
    Member { expr: Box<Expr>, name: Ident, nullish: bool },
    /// `e[from:to]`, 1-based, both inclusive.
    Slice { expr: Box<Expr>, from: Option<Box<Expr>>, to: Option<Box<Expr>> },
    /// `x -> e`, `(x, y) -> e`, `lambda x: e`.
    Lambda { params: Vec<Ident>, body: Box<Expr> },
    /// `name := e`.
    NamedArgument(Ident, Box<Expr>),
    /// `#1`, 1-based.
    PositionalColumn(u32),
    /// `f(a)`, with everything that may follow it.
    Call(Box<Call>),
    /// A call of something that is not a name: `(f)(1)`, `a.f(1)`. Always refused later.
    CallExpr(Box<Expr>, Vec<Expr>),
    /// `(select …)`.
    Subquery(Box<Query>),
    /// `{expr}`.
    Placeholder(Box<Expr>),
    /// `f'text {expr}'`.
    Template(Vec<TemplatePart>),
    /// `<Tag a='b'/>`.
    Tag(Box<Tag>),
    /// `e IGNORE NULLS`.
    IgnoreNulls(Box<Expr>),
}

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// An integer within the signed 64-bit range.
    Int(i64),
    /// A larger integer: its decimal digits, with sign.
    BigInt(String),
    /// A float, `inf` and `nan` included; compared by bits, so that `nan = nan` here.
    Float(Float),
    /// A string, escapes resolved.
    String(String),
}

/// A float constant with a total equality.
#[derive(Debug, Clone, Copy)]
pub struct Float(pub f64);

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits() || (self.0.is_nan() && other.0.is_nan())
    }
}

/// Operators with two operands, by binding power from tight to loose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    Multiply,
    Divide,
    Modulo,
    Plus,
    Minus,
    /// `||`; NULL operands count as `''`.
    Concat,
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
    Like,
    NotLike,
    ILike,
    NotILike,
    /// `~`, `=~`: RE2, partial match.
    Match,
    /// `!~`.
    NotMatch,
    /// `~*`, `=~*`.
    IMatch,
    /// `!~*`.
    NotIMatch,
}

/// `*` or `t.*`, with what is left out and what is computed instead.
#[derive(Debug, Clone, PartialEq)]
pub struct Star {
    /// The table of `t.*`; empty for a bare star.
    pub table: Vec<Ident>,
    /// `EXCLUDE (a, t.b)`: dotted names.
    pub exclude: Vec<Vec<Ident>>,
    /// `REPLACE (e AS a)`.
    pub replace: Vec<(Expr, Ident)>,
}

/// The argument of `COLUMNS`.
#[derive(Debug, Clone, PartialEq)]
pub enum Columns {
    /// A regular expression over column names.
    Regex(String),
    /// A plain list.
    List(Vec<Expr>),
    /// A star with its modifiers.
    Star(Star),
}

/// A call by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The name as written.
    pub name: Ident,
    /// The first parenthesis of `f(params)(args)`.
    pub params: Option<Vec<Expr>>,
    /// The arguments.
    pub args: Vec<Expr>,
    /// `f(DISTINCT a)`.
    pub distinct: bool,
    /// `f(a ORDER BY b)`.
    pub order_by: Vec<OrderBy>,
    /// `WITHIN GROUP (ORDER BY x)`.
    pub within_group: Vec<OrderBy>,
    /// `FILTER (WHERE c)`.
    pub filter: Option<Expr>,
    /// `OVER (…)`, `OVER name`.
    pub over: Option<Over>,
}

impl Call {
    /// A plain call without any of the optional clauses.
    pub fn new(name: Ident, args: Vec<Expr>) -> Self {
        Self {
            name,
            params: None,
            args,
            distinct: false,
            order_by: Vec::new(),
            within_group: Vec::new(),
            filter: None,
            over: None,
        }
    }

    /// Whether none of the optional clauses is there.
    pub fn is_plain(&self) -> bool {
        self.params.is_none()
            && !self.distinct
            && self.order_by.is_empty()
            && self.within_group.is_empty()
            && self.filter.is_none()
            && self.over.is_none()
    }
}

/// The window of a window call.
#[derive(Debug, Clone, PartialEq)]
pub enum Over {
    /// `OVER name`.
    Name(Ident),
    /// `OVER (…)`.
    Spec(WindowSpec),
}

/// A type as written in a cast: words in lower case, arguments, array suffixes.
#[derive(Debug, Clone)]
pub struct TypeName {
    /// `double precision`, `nullable`, `decimal`: words in lower case, single spaces.
    pub name: String,
    /// `(10, 2)`, `(string)`, `('a' = 1)`.
    pub args: Vec<TypeArg>,
    /// The number of `[]` suffixes; their lengths carry no meaning.
    pub array_depth: u32,
    /// Where it stands.
    pub span: Span,
}

impl PartialEq for TypeName {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.args, self.array_depth) == (&other.name, &other.args, other.array_depth)
    }
}

/// An argument of a type name.
#[derive(Debug, Clone, PartialEq)]
pub enum TypeArg {
    /// A nested type, optionally named, as in `tuple(a string)`.
    Type(Option<Ident>, TypeName),
    /// A number, as in `decimal(10, 2)`.
    Number(i64),
    /// A text, as in `datetime('UTC')`.
    String(String),
    /// An enum member: `'a' = 1`.
    Enum(String, Option<i64>),
}

/// Units of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IntervalUnit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

/// A piece of a template string.
#[derive(Debug, Clone, PartialEq)]
pub enum TemplatePart {
    /// Text, escapes resolved. Never empty.
    Text(String),
    /// `{expr}`.
    Expr(Expr),
}

/// A render tag.
#[derive(Debug, Clone, PartialEq)]
pub struct Tag {
    /// The tag's name.
    pub name: Ident,
    /// `a='b'`, `a={e}`, and a bare `a` with the value `true`.
    pub attributes: Vec<(Ident, Expr)>,
    /// Text, `{e}` and nested tags.
    pub children: Vec<Expr>,
}
