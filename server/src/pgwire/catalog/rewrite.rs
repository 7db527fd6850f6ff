//! Forms of PostgreSQL that catalog queries use and DataFusion has under another name.

use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Array, ArrayElemTypeDef, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, Query, Select,
    SelectItem, SetExpr, Statement, TableFactor, Value, VisitMut, VisitorMut,
};

/// Rewrites a parsed statement.
pub(super) fn rewrite(statement: &mut Statement) {
    let ControlFlow::Continue(()) = statement.visit(&mut Rewrite);
}

struct Rewrite;

impl VisitorMut for Rewrite {
    type Break = Infallible;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
        match expr {
            Expr::Function(function) => {
                let name = function.name.0.last().and_then(|part| part.as_ident());
                let name = name.map(|name| name.value.to_lowercase()).unwrap_or_default();
                match (name.as_str(), &mut function.args) {
                    ("array", FunctionArguments::Subquery(query)) => *expr = array_of(query),
                    ("generate_subscripts", FunctionArguments::List(list)) => {
                        if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(array))) =
                            list.args.first()
                        {
                            *expr = subscripts_of(array);
                        }
                    }
                    _ => {}
                }
            }
            Expr::Subquery(query) => {
                if reads_nothing(query) {
                    *expr = Expr::value(Value::Null);
                } else {
                    single_row(query);
                }
            }
            Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
                if let Some(escape) = escape_char.take() {
                    **pattern = with_backslashes(pattern, escape.value);
                }
            }
            Expr::BinaryOp { op: BinaryOperator::Eq | BinaryOperator::NotEq, right, .. } => {
                if let Some(array) = array_literal(right) {
                    **right = array;
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// `ARRAY(SELECT x FROM t …)` as `(SELECT array_agg(x) FROM t …)`. Over anything but tables, as
/// over `unnest` of an outer column, it cannot be planned; tools only use that for options that
/// no relation here has.
fn array_of(query: &mut Query) -> Expr {
    query.order_by = None;
    match plain_select(query) {
        Some(select) if !over_empty_table(select) => {
            aggregate(select, "array_agg");
            Expr::Subquery(Box::new(query.clone()))
        }
        _ => {
            let texts = ArrayElemTypeDef::AngleBracket(Box::new(DataType::Text));
            cast(Expr::value(Value::Null), DataType::Array(texts))
        }
    }
}

/// The numbers of an array's elements, one row each.
fn subscripts_of(array: &Expr) -> Expr {
    let length = cast(call("array_length", vec![array.clone()]), DataType::BigInt(None));
    let one = Expr::value(Value::Number("1".to_owned(), false));
    call("unnest", vec![call("generate_series", vec![one, length])])
}

/// A LIKE pattern with its escape character replaced by the only one there is.
fn with_backslashes(pattern: &Expr, escape: Value) -> Expr {
    let backslash = Value::SingleQuotedString("\\".to_owned());
    call("replace", vec![pattern.clone(), Expr::value(escape), Expr::value(backslash)])
}

/// `'{a,b}'`, which a comparison with an array column reads as an array; no text column of the
/// catalog has such values.
fn array_literal(expr: &Expr) -> Option<Expr> {
    let Expr::Value(value) = expr else { return None };
    let Value::SingleQuotedString(text) = &value.value else { return None };
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let items = inner.split(',').filter(|item| !item.is_empty());
    let items = items.map(|item| Expr::value(Value::SingleQuotedString(item.to_owned())));
    Some(Expr::Array(Array { elem: items.collect(), named: true }))
}

/// System tables that say nothing about any relation here: none has defaults, sequences,
/// policies, collations, parents or statistics, and no role has members.
const EMPTY_TABLES: &[&str] = &[
    "pg_attrdef",
    "pg_auth_members",
    "pg_collation",
    "pg_inherits",
    "pg_policy",
    "pg_sequence",
    "pg_statistic_ext",
];

/// True for a scalar subquery over such a table, which tools correlate in ways that DataFusion
/// cannot plan, for an answer that is always NULL.
fn reads_nothing(query: &mut Query) -> bool {
    let Some(select) = plain_select(query) else { return false };
    let counts = |expr: &Expr| match expr {
        Expr::Function(function) => function.name.to_string().eq_ignore_ascii_case("count"),
        _ => false,
    };
    let [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] =
        &select.projection[..]
    else {
        return false;
    };
    !counts(expr) && over_empty_table(select)
}

fn over_empty_table(select: &Select) -> bool {
    let is_empty = |factor: &TableFactor| match factor {
        TableFactor::Table { name, .. } => {
            let name = name.0.last().and_then(|part| part.as_ident());
            name.is_some_and(|name| EMPTY_TABLES.contains(&name.value.as_str()))
        }
        _ => false,
    };
    select.from.iter().any(|table| {
        is_empty(&table.relation) || table.joins.iter().any(|join| is_empty(&join.relation))
    })
}

/// A scalar subquery promises one row; DataFusion wants an aggregate to believe it.
fn single_row(query: &mut Query) {
    if query.limit_clause.is_some() || query.fetch.is_some() || query.with.is_some() {
        return;
    }
    if let Some(select) = plain_select(query)
        && let [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] =
            &select.projection[..]
        && !matches!(expr, Expr::Function(_))
    {
        aggregate(select, "first_value");
    }
}

/// The select of a query over plain tables without grouping.
fn plain_select(query: &mut Query) -> Option<&mut Select> {
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let plain = |factor: &TableFactor| matches!(factor, TableFactor::Table { args: None, .. });
    let over_tables = !select.from.is_empty()
        && select.from.iter().all(|table| {
            plain(&table.relation) && table.joins.iter().all(|join| plain(&join.relation))
        });
    let plain = over_tables && select.having.is_none() && select.distinct.is_none();
    plain.then_some(select)
}

fn aggregate(select: &mut Select, name: &str) {
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            *expr = call(name, vec![expr.clone()]);
        }
    }
}

fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)));
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args.collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
