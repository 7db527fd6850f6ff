//! PIVOT: values of a column become columns, each with its aggregates.

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{Expr, ExprFunctionExt, LogicalPlanBuilder, and, lit, when};
use hedgerow_parser::{Span, ast};

use super::aggregate::{self, find_aggregate};
use super::expr::{Lowering, balanced, constant};
use super::scope::Scope;
use super::select::{self, Exprs};
use super::{Lowered, OutputColumn, from, operators};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::Typed;

/// More columns than this are a mistake.
const COLUMNS_MAX: usize = 10_000;

/// A value, or a combination of values, that becomes columns.
#[derive(Clone)]
struct Choice {
    name: String,
    /// Holds for the rows that have it.
    condition: Vec<Expr>,
}

/// `source PIVOT (aggregates FOR column IN (values) … [GROUP BY …])`: a row for each group, with
/// a column for each combination of values and each aggregate. Without GROUP BY the groups are
/// those of all columns that are not mentioned. Where no row has the value, the aggregate is
/// NULL, counts are 0.
///
/// # Errors
/// `Grouping` for an expression without an aggregate; `InvalidArgument` for values that are not
/// constants.
pub(super) fn lower<'a>(outer: &Scope<'a>, pivot: &'a ast::Pivot) -> Result<Lowered> {
    let mut scope = Scope::new(outer.env, outer.ctes)?;
    from::lower(&mut scope, &pivot.source)?;
    let mut choices = vec![Choice { name: String::new(), condition: Vec::new() }];
    let mut used: Vec<Column> = Vec::new();
    for (column, values) in &pivot.columns {
        let columns = plain_columns(&mut scope, column)?;
        used.extend(columns.iter().flat_map(|c| c.expr.column_refs()).cloned());
        let mut next = Vec::with_capacity(choices.len() * values.len());
        if choices.len().saturating_mul(values.len()) > COLUMNS_MAX {
            let message = format!("PIVOT would make more than {COLUMNS_MAX} columns");
            return Err(Error::new(ErrorKind::TooComplex, message).at(column.span));
        }
        let values = values.iter().map(|value| choice(&mut scope, &columns, value));
        let values = values.collect::<Result<Vec<_>>>()?;
        for before in &choices {
            next.extend(values.iter().map(|value| before.with(value)));
        }
        choices = next;
    }
    let mut aggregates = Vec::with_capacity(pivot.aggregates.len());
    for expr in &pivot.aggregates {
        let (inner, alias) = named(expr);
        let typed = Lowering::new(&mut scope).lower(inner)?;
        if find_aggregate(&typed.expr).is_none() {
            return Err(Error::new(ErrorKind::Grouping, "PIVOT needs an aggregate function here")
                .at(expr.span)
                .hint("For example: PIVOT (count() FOR event IN ('a', 'b'))."));
        }
        used.extend(typed.expr.column_refs().into_iter().cloned());
        aggregates.push((alias.map_or_else(|| inner.to_string(), str::to_owned), typed));
    }
    let short = matches!(pivot.aggregates.as_slice(), [only] if named(only).1.is_none());
    let keys = keys(&mut scope, pivot, &used)?;
    let mut items = keys.clone();
    for choice in &choices {
        for (name, typed) in &aggregates {
            let name = if short { choice.name.clone() } else { format!("{}_{name}", choice.name) };
            items.push((name, cell(typed, choice)?));
        }
    }
    let mut exprs = Exprs::of_items(items);
    let keys = aggregate::Keys::new(keys.into_iter().map(|(_, key)| key))?;
    aggregate::plan(&mut scope, Some(keys), &mut exprs)?;
    output(&scope, exprs.items)
}

/// A query with these columns over the scope's plan.
pub(super) fn output(scope: &Scope<'_>, items: Vec<(String, Typed)>) -> Result<Lowered> {
    let mut columns = Vec::with_capacity(items.len());
    let mut projection = Vec::with_capacity(items.len());
    for (name, typed) in items {
        let column = Column::new_unqualified(scope.env.fresh("column"));
        let ty = typed.ty.clone();
        projection.push(select::laid_out(typed, scope.plan.schema())?.alias(&column.name));
        columns.push(OutputColumn { name, column, ty });
    }
    let plan = LogicalPlanBuilder::from(scope.plan.clone()).project(projection)?.build()?;
    Ok(Lowered { plan, columns })
}

/// An expression and its alias.
pub(super) fn named(expr: &ast::Expr) -> (&ast::Expr, Option<&str>) {
    match &expr.kind {
        ast::ExprKind::Alias(inner, name) => (inner, Some(name.name.as_str())),
        _ => (expr, None),
    }
}

/// The members of a tuple, or the expression itself.
pub(super) fn members(expr: &ast::Expr) -> &[ast::Expr] {
    match &expr.kind {
        ast::ExprKind::Tuple(members) => members,
        _ => std::slice::from_ref(expr),
    }
}

/// The columns of the source that an expression names.
///
/// # Errors
/// `Syntax` for anything but names.
pub(super) fn plain_columns<'a>(scope: &mut Scope<'a>, expr: &'a ast::Expr) -> Result<Vec<Typed>> {
    members(expr)
        .iter()
        .map(|member| {
            let typed = match &member.kind {
                ast::ExprKind::Field(_) => Lowering::new(scope).lower(member)?,
                _ => return Err(not_a_column(member.span)),
            };
            // A DateTime column is shown in the session's time zone.
            let is_column = matches!(typed.expr, Expr::Column(_) | Expr::Cast(_));
            if is_column { Ok(typed) } else { Err(not_a_column(member.span)) }
        })
        .collect()
}

fn not_a_column(span: Span) -> Error {
    Error::new(ErrorKind::Syntax, "PIVOT and UNPIVOT take plain columns here")
        .at(span)
        .hint("Compute it in a subquery: (SELECT … AS name FROM …) PIVOT (…).")
}

/// The rows in which `columns` have a value. NULL is a value, too.
fn choice<'a>(scope: &mut Scope<'a>, columns: &[Typed], value: &'a ast::Expr) -> Result<Choice> {
    let (value, alias) = named(value);
    let values = members(value);
    if values.len() != columns.len() {
        let message = format!("{} values for {} columns of PIVOT", values.len(), columns.len());
        return Err(Error::new(ErrorKind::Syntax, message).at(value.span));
    }
    let mut names = Vec::with_capacity(values.len());
    let mut condition = Vec::with_capacity(values.len());
    for (column, value) in columns.iter().zip(values) {
        let mut lowering = Lowering::new(scope);
        let typed = lowering.lower(value)?;
        if constant(&typed.expr).is_none() && !matches!(typed.expr, Expr::Placeholder(_)) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "the values of PIVOT must be constants",
            )
            .at(value.span));
        }
        names.push(match &value.kind {
            ast::ExprKind::Literal(ast::Literal::String(text)) => text.clone(),
            _ => value.to_string(),
        });
        let equal = ast::BinaryOp::Eq;
        condition
            .push(operators::binary(&lowering, equal, column.clone(), typed, value.span)?.expr);
    }
    let name = alias.map_or_else(|| names.join("_"), str::to_owned);
    Ok(Choice { name, condition })
}

impl Choice {
    fn with(&self, other: &Self) -> Self {
        let name = match self.name.is_empty() {
            true => other.name.clone(),
            false => format!("{}_{}", self.name, other.name),
        };
        Self { name, condition: [self.condition.as_slice(), &other.condition].concat() }
    }
}

/// The columns by which rows are grouped, with their names.
fn keys<'a>(
    scope: &mut Scope<'a>,
    pivot: &'a ast::Pivot,
    used: &[Column],
) -> Result<Vec<(String, Typed)>> {
    let mut keys = Vec::new();
    for key in &pivot.group_by {
        let (inner, alias) = named(key);
        for (member, typed) in members(inner).iter().zip(plain_columns(scope, inner)?) {
            let own = match &member.kind {
                ast::ExprKind::Field(chain) => chain.last().map(|part| part.name.clone()),
                _ => None,
            };
            keys.push((alias.map(str::to_owned).or(own).unwrap_or_default(), typed));
        }
    }
    if !pivot.group_by.is_empty() {
        return Ok(keys);
    }
    Ok(visible(scope, pivot.columns[0].0.span, used))
}

/// The columns of the source that `*` shows, without some.
pub(super) fn visible(
    scope: &mut Scope<'_>,
    span: Span,
    without: &[Column],
) -> Vec<(String, Typed)> {
    let columns = scope.relations.iter().flat_map(|relation| &relation.columns);
    let columns = columns.chain(&scope.coalesced).filter(|column| {
        !column.hidden
            && !scope.merged.contains(&column.column)
            && !without.contains(&column.column)
    });
    let columns: Vec<_> = columns.cloned().collect();
    let lowering = Lowering::new(scope);
    columns
        .into_iter()
        .map(|column| {
            let typed = Typed::new(Expr::Column(column.column), column.ty, span);
            (column.name, lowering.localized(typed))
        })
        .collect()
}

/// An aggregate over the rows that have the values.
fn cell(aggregate: &Typed, choice: &Choice) -> Result<Typed> {
    let Some(condition) = balanced(choice.condition.clone(), and) else {
        return Ok(aggregate.clone());
    };
    let mut counts = true;
    let filtered = aggregate.expr.clone().transform_down(|node| {
        let Expr::AggregateFunction(mut aggregate) = node else { return Ok(Transformed::no(node)) };
        let name = aggregate.func.name();
        counts &= name.starts_with("count") || name.starts_with("uniq");
        let own = aggregate.params.filter.take().map(|filter| *filter);
        let filter = own.map_or_else(|| condition.clone(), |own| and(own, condition.clone()));
        aggregate.params.filter = Some(Box::new(filter));
        let node = Expr::AggregateFunction(aggregate);
        Ok(Transformed::new(node, true, datafusion::common::tree_node::TreeNodeRecursion::Jump))
    })?;
    let expr = match counts {
        true => filtered.data,
        false => {
            let rows = count(lit(1_i64)).filter(condition).build()?;
            when(rows.gt(lit(0_i64)), filtered.data).end()?
        }
    };
    Ok(Typed { expr, ..aggregate.clone() })
}
