//! What PostgreSQL calls the columns of a query that have no alias.

use super::names::{gives_rows, written_as};
use crate::ast::{Expr, ExprKind, Literal, Query};

/// The name of a column that nothing gives one.
const UNNAMED: &str = "?column?";

/// Functions that the grammar makes of operators, which name no column.
const OPERATORS: &[&str] = &[
    "bitAnd",
    "bitNot",
    "bitOr",
    "bitShiftLeft",
    "bitShiftRight",
    "bitXor",
    "has",
    "hasAny",
    "jsonb_contains",
    "jsonb_exists",
    "jsonb_exists_all",
    "jsonb_exists_any",
    "jsonb_extract_path",
    "jsonb_extract_path_text",
    "pow",
];

/// The name of an expression's column: that of the column or function it is, else `?column?`.
pub fn postgres_column_name(expr: &Expr) -> String {
    name(expr).unwrap_or_else(|| UNNAMED.to_owned())
}

fn name(expr: &Expr) -> Option<String> {
    let word = |word: &str| Some(word.to_owned());
    match &expr.kind {
        ExprKind::Alias(_, name) => Some(name.name.clone()),
        ExprKind::Field(chain) => chain.last().map(|last| last.name.clone()),
        ExprKind::Cast { expr, target, .. } => name(expr).or_else(|| word(type_name(&target.name))),
        ExprKind::Index { expr, .. } | ExprKind::Slice { expr, .. } => name(expr),
        ExprKind::Member { name, .. } => Some(name.name.clone()),
        ExprKind::Case { otherwise, .. } => match otherwise.as_deref() {
            Some(Expr { kind: ExprKind::Field(chain), .. }) => {
                chain.last().map(|last| last.name.clone())
            }
            _ => word("case"),
        },
        ExprKind::Coalesce(..) => word("coalesce"),
        ExprKind::Array(_) => word("array"),
        ExprKind::Tuple(_) => word("row"),
        ExprKind::Interval { .. } => word("interval"),
        ExprKind::Literal(Literal::Bool(_)) => word("bool"),
        ExprKind::IgnoreNulls(inner) => name(inner),
        ExprKind::Subquery(query) => of_query(query),
        ExprKind::Call(call) => {
            let function = call.name.name.as_str();
            let inner = call.args.first().map(|first| &first.kind);
            match (function, inner) {
                ("arrayJoin", Some(ExprKind::Call(inner))) if gives_rows(&inner.name.name) => {
                    Some(inner.name.name.clone())
                }
                ("arrayJoin", _) => word("unnest"),
                ("arrayMap", Some(ExprKind::Lambda { params, .. }))
                    if params.iter().any(|param| param.name == super::ELEMENT) =>
                {
                    word("array_agg")
                }
                ("to_jsonb", Some(ExprKind::Call(inner))) if inner.name.name == "arrayMap" => {
                    word("jsonb_agg")
                }
                ("__jsonObject", _) => word("jsonb_object_agg"),
                ("arrayElement", Some(ExprKind::Call(inner))) if inner.name.name == "topK" => {
                    word("mode")
                }
                _ if OPERATORS.contains(&function) => None,
                _ => Some(written_as(function)),
            }
        }
        _ => None,
    }
}

fn of_query(query: &Query) -> Option<String> {
    match query {
        Query::Select(select) => name(select.columns.first()?),
        _ => None,
    }
}

/// PostgreSQL's own name of a type.
fn type_name(name: &str) -> &str {
    match name {
        "smallint" => "int2",
        "int" | "integer" => "int4",
        "bigint" => "int8",
        "real" => "float4",
        "double precision" => "float8",
        "boolean" => "bool",
        "decimal" => "numeric",
        "character varying" => "varchar",
        "timestamp without time zone" => "timestamp",
        "timestamp with time zone" => "timestamptz",
        other => other,
    }
}
