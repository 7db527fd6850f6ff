//! FROM: tables, subqueries, table functions.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{Column, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::functions_table::generate_series::{GenSeriesArgs, GenerateSeriesTable};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, cast, col, lit};
use hedgerow_parser::{Span, ast};

use super::expr::{Lowering, constant};
use super::scope::{Cte, Relation, RelationColumn, Scope};
use super::{join, placeholder, query, view};
use crate::catalog::{is_hidden, span_of};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::PlanContext;
use crate::types::Type;

/// Puts the FROM clause into the scope: its relations, and the plan that joins them.
pub(super) fn lower<'a>(scope: &mut Scope<'a>, join: &'a ast::Join) -> Result<()> {
    scope.plan = match join {
        ast::Join::Source(source) => self::source(scope, source)?,
        ast::Join::Join { .. } => join::lower(scope, join)?,
    };
    Ok(())
}

/// The plan of one source, whose relation is added to the scope.
pub(super) fn source<'a>(scope: &mut Scope<'a>, source: &'a ast::Source) -> Result<LogicalPlan> {
    let refused = [(source.lateral, "LATERAL"), (source.ordinality, "WITH ORDINALITY")];
    if let Some((_, word)) = refused.into_iter().find(|(present, _)| *present) {
        return Err(Error::unsupported(format!("{word} is not available yet")).at(source.span));
    }
    let (mut relation, plan) = match &source.kind {
        ast::SourceKind::Table(name) => table(scope, source, name)?,
        ast::SourceKind::Query(query) => {
            let lowered = query::lower_in(scope.env, scope.ctes, query)?;
            let lowered = query::rename(lowered, &source.columns, source.span)?;
            let name = match (&source.alias, query) {
                (Some(alias), _) => alias.name.clone(),
                (None, ast::Query::Values(_)) => "values".to_owned(),
                (None, _) => scope.env.fresh("query"),
            };
            Relation::of_query(&name, lowered)?
        }
        ast::SourceKind::Function(name, args) => table_function(scope, source, name, args)?,
        ast::SourceKind::Placeholder(content) => placeholder(scope, source, content)?,
        ast::SourceKind::Tag(tag) => {
            return Err(Error::unsupported("render tags are not available yet").at(tag.name.span));
        }
        ast::SourceKind::Pivot(_) | ast::SourceKind::Unpivot(_) => {
            let message = "PIVOT and UNPIVOT are not available yet";
            return Err(Error::unsupported(message).at(source.span));
        }
    };
    if !matches!(source.kind, ast::SourceKind::Query(_)) {
        rename_columns(&mut relation, &source.columns, source.span)?;
    }
    let plan = match &source.sample {
        Some(sample) => self::sample(scope, plan, &relation, sample, source.span)?,
        None => plan,
    };
    scope.add_relation(relation, source.span)?;
    Ok(plan)
}

/// `AS t(a, b)` on a table renames its first visible columns.
fn rename_columns(relation: &mut Relation, names: &[ast::Ident], span: Span) -> Result<()> {
    let mut visible = relation.columns.iter_mut().filter(|column| !column.hidden);
    for name in names {
        match visible.next() {
            Some(column) => column.name.clone_from(&name.name),
            None => {
                let message = format!("too many column names for {}", relation.name);
                return Err(Error::new(ErrorKind::Syntax, message).at(span));
            }
        }
    }
    Ok(())
}

/// `{table}`: a table by its name, or a query.
fn placeholder<'a>(
    scope: &Scope<'a>,
    source: &'a ast::Source,
    content: &'a ast::Expr,
) -> Result<(Relation, LogicalPlan)> {
    let meant = placeholder::source(scope.env, content)?;
    placeholder::within(scope.env, content, || match meant {
        placeholder::Source::Table(name) => table(scope, source, name),
        placeholder::Source::Query(query) => {
            let lowered = query::lower_in(scope.env, scope.ctes, query)?;
            let alias = source.alias.as_ref().map(|alias| alias.name.clone());
            Relation::of_query(&alias.unwrap_or_else(|| scope.env.fresh("query")), lowered)
        }
    })
}

fn table<'a>(
    scope: &Scope<'a>,
    source: &'a ast::Source,
    name: &'a [ast::Ident],
) -> Result<(Relation, LogicalPlan)> {
    let alias = source.alias.as_ref().map(|alias| alias.name.as_str());
    if let [only] = name
        && let Some(Cte::Table(lowered)) = scope.ctes.find(&only.name)
    {
        return Relation::of_query(alias.unwrap_or(&only.name), lowered.clone());
    }
    if let Some((plain, view)) = scope.env.catalog.view(name) {
        scope.env.reads(plain);
        let lowered = view::lower(scope.env, plain, view, span_of(name))?;
        let (mut relation, plan) = Relation::of_query(alias.unwrap_or(plain), lowered)?;
        if alias.is_none() {
            relation.path = name.iter().map(|part| part.name.clone()).collect();
        }
        return Ok((relation, plan));
    }
    let table = scope.env.catalog.resolve(name)?;
    scope.env.reads(&table.name);
    let own: Vec<&str> = name.iter().map(|part| part.name.as_str()).collect();
    let known = alias.or(own.last().copied()).unwrap_or_default();
    let reference = TableReference::bare(known);
    let columns = table
        .fields()
        .fields()
        .iter()
        .map(|field| RelationColumn {
            name: field.name().clone(),
            column: Column::new(Some(reference.clone()), field.name()),
            ty: Type::from_field(field),
            hidden: is_hidden(field),
        })
        .collect();
    let provider = provider_as_source(Arc::clone(&table.provider));
    let plan = LogicalPlanBuilder::scan(reference, provider, None)?.build()?;
    let path = match alias {
        Some(_) => vec![known.to_owned()],
        None => own.into_iter().map(str::to_owned).collect(),
    };
    Ok((Relation { name: known.to_owned(), path, columns }, plan))
}

/// `SAMPLE 0.1`: the users whose hash falls into the first tenth, so that whole users are kept.
fn sample<'a>(
    scope: &Scope<'a>,
    plan: LogicalPlan,
    relation: &Relation,
    sample: &'a ast::Sample,
    span: Span,
) -> Result<LogicalPlan> {
    let hash = relation.columns.iter().find(|column| column.name == "distinct_id_hash");
    let Some(hash) = hash else {
        let message = format!("{} cannot be sampled", relation.name);
        return Err(Error::unsupported(message).at(span));
    };
    let ratio = ratio(scope, &sample.ratio)?;
    let offset = sample.offset.as_ref().map_or(Ok(0.0), |offset| self::ratio(scope, offset))?;
    // The hash is spread evenly over 64 bits; the comparison is in units of their range.
    let position = cast(col(hash.column.clone()), Type::UInt64.to_arrow());
    let position = cast(position, Type::Float64.to_arrow()) / lit(u64::MAX as f64 + 1.0);
    let inside = position.clone().gt_eq(lit(offset)).and(position.lt(lit(offset + ratio)));
    Ok(LogicalPlanBuilder::from(plan).filter(inside)?.build()?)
}

fn ratio<'a>(scope: &Scope<'a>, expr: &'a ast::Expr) -> Result<f64> {
    let mut outside = Scope::new(scope.env, scope.ctes)?;
    let typed = Lowering::new(&mut outside).lower(expr)?;
    let typed = Lowering::new(&mut outside).coerce(typed, &Type::Float64)?;
    let ratio = constant(&typed.expr).and_then(|value| value.to_string().parse::<f64>().ok());
    ratio.filter(|ratio| (0.0..=1.0).contains(ratio)).ok_or_else(|| {
        Error::new(ErrorKind::InvalidArgument, "a sample ratio must be a constant from 0 to 1")
            .at(expr.span)
    })
}

/// `numbers(n)`, `numbers(start, n)`: one column `number`. `generate_series(start, stop[, step])`
/// includes its stop, `range` does not; their column has the function's name.
fn table_function<'a>(
    scope: &Scope<'a>,
    source: &'a ast::Source,
    name: &'a ast::Ident,
    args: &'a [ast::Expr],
) -> Result<(Relation, LogicalPlan)> {
    let mut numbers = Vec::with_capacity(args.len());
    for arg in args {
        let mut outside = Scope::new(scope.env, scope.ctes)?;
        let typed = Lowering::new(&mut outside).lower(arg)?;
        let typed = Lowering::new(&mut outside).coerce(typed, &Type::Int64)?;
        match constant(&typed.expr).map(|value| value.to_string().parse::<i64>()) {
            Some(Ok(number)) => numbers.push(number),
            _ => {
                let message = format!("{} takes constant integers", name.name);
                return Err(Error::new(ErrorKind::InvalidArgument, message).at(arg.span));
            }
        }
    }
    let series = |start, end, step, include_end| GenSeriesArgs::Int64Args {
        start,
        end,
        step,
        include_end,
        name: "series",
    };
    let (column, args) = match (name.name.as_str(), numbers.as_slice()) {
        (_, [_, _, 0]) => {
            let message = "the step must not be zero";
            return Err(Error::new(ErrorKind::InvalidArgument, message).at(source.span));
        }
        ("numbers", [count]) => ("number", series(0, *count, 1, false)),
        ("numbers", [start, count]) => {
            ("number", series(*start, start.saturating_add(*count), 1, false))
        }
        ("generate_series", [stop]) => ("generate_series", series(0, *stop, 1, true)),
        ("generate_series", [start, stop]) => ("generate_series", series(*start, *stop, 1, true)),
        ("generate_series", [start, stop, step]) => {
            ("generate_series", series(*start, *stop, *step, true))
        }
        ("range", [stop]) => ("range", series(0, *stop, 1, false)),
        ("range", [start, stop]) => ("range", series(*start, *stop, 1, false)),
        ("range", [start, stop, step]) => ("range", series(*start, *stop, *step, false)),
        ("numbers" | "generate_series" | "range", _) => {
            let message = format!("table function {} takes one to three integers", name.name);
            return Err(Error::new(ErrorKind::UnknownFunction, message).at(source.span));
        }
        (other, _) => {
            let message = format!("no table function named {other}");
            let hint = "There are numbers(n), generate_series(start, stop) and range(start, stop).";
            return Err(Error::new(ErrorKind::UnknownFunction, message).at(name.span).hint(hint));
        }
    };
    let known = source.alias.as_ref().map_or(name.name.as_str(), |alias| alias.name.as_str());
    // Produced while they are read: a billion numbers take no memory.
    let schema = Arc::new(Schema::new(vec![Field::new(column, DataType::Int64, false)]));
    let provider = provider_as_source(Arc::new(GenerateSeriesTable::new(schema, args)));
    let plan = LogicalPlanBuilder::scan(known, provider, None)?.build()?;
    let columns = vec![RelationColumn {
        name: column.to_owned(),
        column: Column::new(Some(known), column),
        ty: Type::Int64,
        hidden: false,
    }];
    Ok((Relation { name: known.to_owned(), path: vec![known.to_owned()], columns }, plan))
}
