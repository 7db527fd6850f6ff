//! WITH RECURSIVE: a query that reads what it gave in the round before, until a round gives
//! nothing (or, with UNION, nothing new).

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::Column;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use hedgerow_parser::{Span, ast};

use super::scope::{Cte, Ctes};
use super::{Environment, Lowered, OutputColumn, query, sets, shared};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Type;

/// How often the step is lowered to find the types of columns; each time a type gets wider.
const ROUNDS_MAX: usize = 4;

/// Lowers a recursive common table expression: every branch but the last is the start, the last
/// is the step, which reads the rows of the round before.
pub(super) fn lower(
    env: &Environment<'_>,
    ctes: &Ctes<'_>,
    name: &ast::Ident,
    names: &[ast::Ident],
    key: &[ast::Ident],
    query: &ast::Query,
) -> Result<Lowered> {
    if let Some(key) = key.first() {
        let message = "USING KEY is not available: rows of a recursion cannot be replaced";
        return Err(Error::unsupported(message)
            .at(key.span)
            .hint("Recurse without it, and take argMax(…) by the key afterwards."));
    }
    let (start, step, distinct) = parts(name, query)?;
    let mut start = query::rename(sets::lower(env, ctes, &start)?, names, name.span)?;
    start = unqualified(env, start)?;
    let mut types: Vec<Type> = start.columns.iter().map(|column| column.ty.clone()).collect();
    for _ in 0..ROUNDS_MAX {
        let columns = retyped(&start.columns, &types);
        let table = env.fresh("recursion");
        let step = lower_step(env, ctes, name, &table, &columns, step)?;
        if step.columns.len() != columns.len() {
            let message = format!(
                "the branches of the recursive query {} have {} and {} columns",
                name.name,
                columns.len(),
                step.columns.len()
            );
            return Err(Error::new(ErrorKind::Syntax, message).at(name.span));
        }
        let found = common_types(name, &columns, &step.columns)?;
        if found != types {
            types = found;
            continue;
        }
        let columns = retyped(&columns, &text_for_nulls(&types));
        let start = sets::converted(env, start, &columns, name.span)?;
        let step = sets::converted(env, step, &columns, name.span)?;
        let plan = LogicalPlanBuilder::from(start).to_recursive_query(table, step, distinct)?;
        return Ok(Lowered { plan: plan.build()?, columns });
    }
    let message = format!("the types of the recursive query {} do not settle", name.name);
    Err(Error::new(ErrorKind::TypeMismatch, message)
        .at(name.span)
        .hint("Cast the columns of its first branch."))
}

/// Splits the query into start and step; true when duplicates are removed.
fn parts<'q>(
    name: &ast::Ident,
    query: &'q ast::Query,
) -> Result<(ast::SetQuery, &'q ast::Query, bool)> {
    let shape = |span: Span| {
        let message =
            format!("the recursive query {} must be a start UNION [ALL] a step", name.name);
        Error::new(ErrorKind::Syntax, message).at(span)
    };
    let ast::Query::Set(set) = query else { return Err(shape(query.span())) };
    let Some(((operator, step), rest)) = set.rest.split_last() else {
        return Err(shape(set.span));
    };
    if operator.kind != ast::SetKind::Union || operator.by_name {
        return Err(shape(set.span));
    }
    let start = ast::SetQuery { rest: rest.to_vec(), ..ast::SetQuery::clone(set) };
    let earlier = std::iter::once(&start.first).chain(start.rest.iter().map(|(_, query)| query));
    if let Some(branch) = earlier.into_iter().find(|branch| mentions(branch, &name.name)) {
        let message = format!("{} is read before its last branch", name.name);
        return Err(Error::new(ErrorKind::Syntax, message).at(branch.span()));
    }
    let cut = match step {
        ast::Query::Select(step) => {
            !step.order_by.is_empty() || step.limit.is_some() || step.offset.is_some()
        }
        _ => false,
    };
    if cut || !set.order_by.is_empty() || set.limit.is_some() || set.offset.is_some() {
        let message = format!("ORDER BY and LIMIT within the recursive query {}", name.name);
        return Err(Error::unsupported(message).at(step.span()).hint(format!(
            "Write them where {} is read: it stops when enough rows are there.",
            name.name
        )));
    }
    Ok((start, step, !operator.all))
}

fn lower_step(
    env: &Environment<'_>,
    ctes: &Ctes<'_>,
    name: &ast::Ident,
    table: &str,
    columns: &[OutputColumn],
    step: &ast::Query,
) -> Result<Lowered> {
    let fields = columns.iter().map(|column| column.ty.to_field(&column.column.name, true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let provider = provider_as_source(Arc::new(CteWorkTable::new(table, schema)));
    let plan = LogicalPlanBuilder::scan(table, provider, None)?.build()?;
    let columns = columns.iter().map(|output| OutputColumn {
        column: Column::new(Some(table), output.column.name.clone()),
        ..output.clone()
    });
    let itself = Cte::Table(Lowered { plan, columns: columns.collect() });
    let mut inner = Ctes { parent: Some(ctes), ..Ctes::none() };
    inner.entries.insert(&name.name, itself);
    let lowered = query::lower_in(env, &inner, step)?;
    let (in_from, anywhere) = reads(&lowered.plan, table)?;
    if in_from != 1 || anywhere != 1 {
        let message = format!("the recursive query {} must read itself once, in FROM", name.name);
        return Err(Error::unsupported(message)
            .at(step.span())
            .hint("Each round has the rows of the round before, and hands them out once."));
    }
    Ok(lowered)
}

/// How often a plan reads the recursion: outside of subqueries in expressions, and at all.
fn reads(plan: &LogicalPlan, table: &str) -> Result<(usize, usize)> {
    let reads = |node: &LogicalPlan| match node {
        LogicalPlan::TableScan(scan) => {
            usize::from(shared::work_table(scan).is_some_and(|name| name == table))
        }
        _ => 0,
    };
    let (mut in_from, mut anywhere) = (0, 0);
    plan.apply(|node| {
        in_from += reads(node);
        Ok(TreeNodeRecursion::Continue)
    })?;
    plan.apply_with_subqueries(|node| {
        anywhere += reads(node);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok((in_from, anywhere))
}

/// The types that hold the values of both branches.
fn common_types(
    name: &ast::Ident,
    start: &[OutputColumn],
    step: &[OutputColumn],
) -> Result<Vec<Type>> {
    let common = start.iter().zip(step).map(|(a, b)| {
        a.ty.common(&b.ty).ok_or_else(|| {
            let message = format!(
                "column {} of the recursive query {} is {} at first, then {}",
                a.name, name.name, a.ty, b.ty
            );
            Error::new(ErrorKind::TypeMismatch, message).at(name.span)
        })
    });
    common.collect()
}

fn retyped(columns: &[OutputColumn], types: &[Type]) -> Vec<OutputColumn> {
    let retyped = columns.iter().zip(types);
    retyped.map(|(column, ty)| OutputColumn { ty: ty.clone(), ..column.clone() }).collect()
}

/// A column that is NULL in every branch is text, as in PostgreSQL.
fn text_for_nulls(types: &[Type]) -> Vec<Type> {
    let text = |ty: &Type| if *ty == Type::Null { Type::String } else { ty.clone() };
    types.iter().map(text).collect()
}

/// The same rows under plain, unique column names.
fn unqualified(env: &Environment<'_>, lowered: Lowered) -> Result<Lowered> {
    let columns: Vec<OutputColumn> = lowered
        .columns
        .iter()
        .map(|output| OutputColumn {
            column: Column::new_unqualified(env.fresh("column")),
            ..output.clone()
        })
        .collect();
    let exprs: Vec<_> = lowered
        .columns
        .into_iter()
        .zip(&columns)
        .map(|(from, to)| datafusion::logical_expr::col(from.column).alias(&to.column.name))
        .collect();
    let plan = LogicalPlanBuilder::from(lowered.plan).project(exprs)?.build()?;
    Ok(Lowered { plan, columns })
}

/// True when `FROM` of a query's own branches, or of subqueries in it, names `table`.
pub(super) fn mentions(query: &ast::Query, table: &str) -> bool {
    fn in_join(join: &ast::Join, table: &str) -> bool {
        match join {
            ast::Join::Source(source) => match &source.kind {
                ast::SourceKind::Table(name) => {
                    matches!(name.as_slice(), [only] if only.name == table)
                }
                ast::SourceKind::Query(query) => mentions(query, table),
                ast::SourceKind::Pivot(pivot) => in_join(&pivot.source, table),
                ast::SourceKind::Unpivot(unpivot) => in_join(&unpivot.source, table),
                _ => false,
            },
            ast::Join::Join { left, right, .. } => in_join(left, table) || in_join(right, table),
        }
    }
    fn in_with(with: Option<&ast::With>, table: &str) -> bool {
        with.is_some_and(|with| {
            with.ctes.iter().any(|cte| match &cte.body {
                ast::CteBody::Table { query, .. } => mentions(query, table),
                ast::CteBody::Scalar(_) => false,
            })
        })
    }
    match query {
        ast::Query::Select(select) => {
            in_with(select.with.as_ref(), table)
                || select.from.as_ref().is_some_and(|from| in_join(from, table))
        }
        ast::Query::Set(set) => {
            in_with(set.with.as_ref(), table)
                || mentions(&set.first, table)
                || set.rest.iter().any(|(_, query)| mentions(query, table))
        }
        _ => false,
    }
}
