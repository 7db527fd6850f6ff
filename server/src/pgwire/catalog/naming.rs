//! Column names as PostgreSQL gives them to expressions without an alias.

use datafusion::sql::sqlparser::ast::{Expr, Query, SelectItem, SetExpr, Statement};

/// The names of a query's columns, none for those that keep theirs; no list at all where `*`
/// hides how many there are.
pub(super) fn output_names(statement: &Statement) -> Option<Vec<Option<String>>> {
    match statement {
        Statement::Query(query) => query_names(query),
        _ => None,
    }
}

fn query_names(query: &Query) -> Option<Vec<Option<String>>> {
    set_names(&query.body)
}

fn set_names(body: &SetExpr) -> Option<Vec<Option<String>>> {
    match body {
        SetExpr::Select(select) => select
            .projection
            .iter()
            .map(|item| match item {
                SelectItem::UnnamedExpr(expr) => {
                    Some(Some(name_of(expr).unwrap_or_else(|| "?column?".to_owned())))
                }
                SelectItem::ExprWithAlias { alias, .. } => Some(Some(alias.value.clone())),
                _ => None,
            })
            .collect(),
        SetExpr::SetOperation { left, .. } => set_names(left),
        SetExpr::Query(query) => query_names(query),
        _ => None,
    }
}

fn name_of(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(name) => Some(match name.quote_style {
            Some(_) => name.value.clone(),
            None => name.value.to_lowercase(),
        }),
        Expr::CompoundIdentifier(names) => names.last().map(|name| name.value.clone()),
        Expr::Function(function) => function
            .name
            .0
            .last()
            .and_then(|part| part.as_ident())
            .map(|name| name.value.to_lowercase()),
        Expr::Cast { expr, data_type, .. } => name_of(expr).or_else(|| {
            let name = data_type.to_string().to_lowercase();
            name.rsplit('.').next().map(str::to_owned)
        }),
        Expr::Collate { expr, .. } | Expr::Nested(expr) => name_of(expr),
        Expr::Case { .. } => Some("case".to_owned()),
        Expr::Array(_) => Some("array".to_owned()),
        Expr::Exists { .. } => Some("exists".to_owned()),
        Expr::Subquery(query) => query_names(query)?.into_iter().next().flatten(),
        _ => None,
    }
}
