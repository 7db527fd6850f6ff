//! FROM: tables, subqueries, table functions.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::common::{Column, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, and, col, lit};
use hedgerow_parser::{Span, ast};

use super::expr::{Lowering, constant};
use super::scope::{Cte, Relation, RelationColumn, Scope};
use super::{join, pivot, placeholder, query, table_function, unpivot, view};
use crate::catalog::{is_hidden, span_of};
use crate::error::{Error, ErrorKind, Result, did_you_mean};
use crate::functions::PlanContext;
use crate::types::Type;
use crate::types::time::{Order, Zone, parse_datetime};

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
    if source.ordinality && !matches!(source.kind, ast::SourceKind::Function(..)) {
        let message = "WITH ORDINALITY stands after a table function";
        return Err(Error::new(ErrorKind::Syntax, message).at(source.span));
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
        ast::SourceKind::Function(name, args) => table_function::lower(scope, source, name, args)?,
        ast::SourceKind::Placeholder(content) => placeholder(scope, source, content)?,
        ast::SourceKind::Tag(tag) => {
            let message = format!("<{}> is no table: tags are values here", tag.name.name);
            return Err(Error::unsupported(message)
                .at(tag.name.span)
                .hint("Write the query of the insight itself: (SELECT …)."));
        }
        ast::SourceKind::Pivot(pivot) => {
            let lowered = pivot::lower(scope, pivot)?;
            Relation::of_query(&known_or_fresh(scope, source, "pivot"), lowered)?
        }
        ast::SourceKind::Unpivot(unpivot) => {
            let lowered = unpivot::lower(scope, unpivot)?;
            Relation::of_query(&known_or_fresh(scope, source, "unpivot"), lowered)?
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

fn known_or_fresh(scope: &Scope<'_>, source: &ast::Source, kind: &str) -> String {
    match &source.alias {
        Some(alias) => alias.name.clone(),
        None => scope.env.fresh(kind),
    }
}

/// `AS t(a, b)` on a table renames its first visible columns.
pub(super) fn rename_columns(
    relation: &mut Relation,
    names: &[ast::Ident],
    span: Span,
) -> Result<()> {
    query::refuse_twice(names)?;
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
    // `project.public.events`.
    let name = match name {
        [project, schema, _]
            if project.name == scope.env.settings.database && schema.name == "public" =>
        {
            &name[1..]
        }
        _ => name,
    };
    if let Some((plain, view)) = scope.env.catalog.view(name) {
        scope.env.reads(plain);
        let lowered = view::lower(scope.env, plain, view, span_of(name))?;
        let (mut relation, plan) = Relation::of_query(alias.unwrap_or(plain), lowered)?;
        if alias.is_none() {
            relation.path = name.iter().map(|part| part.name.clone()).collect();
        }
        return Ok((relation, plan));
    }
    let table = scope.env.catalog.resolve(name).map_err(|error| {
        let last = name.last().map_or("", |part| part.name.as_str());
        if let Some(hint) = did_you_mean(last, scope.ctes.names()) {
            return error.hint(hint);
        }
        match last {
            "persons" | "sessions" | "groups" if name.len() == 1 => {
                let message = format!("table {last} is not available yet");
                let error = Error::unsupported(message).at(span_of(name));
                error.hint("person_id, distinct_id and $session_id are columns of events.")
            }
            _ if error.hint.is_none() => error.hint("SHOW TABLES lists what there is."),
            _ => error,
        }
    })?;
    scope.env.reads(&table.name);
    let own: Vec<&str> = name.iter().map(|part| part.name.as_str()).collect();
    let known = alias.or(own.last().copied()).unwrap_or_default();
    let reference = TableReference::bare(known);
    let columns: Vec<RelationColumn> = table
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
    let provider = match &source.as_of {
        Some(time) => {
            let zone = Zone::parse(&scope.env.settings.timezone)?;
            scope.env.catalog.as_of(table, as_of(time, &zone)?).map_err(|e| e.at(time.span))?
        }
        None => Arc::clone(&table.provider),
    };
    let provider = provider_as_source(provider);
    let plan = LogicalPlanBuilder::scan(reference, provider, None)?.build()?;
    let path = match alias {
        Some(_) => vec![known.to_owned()],
        None => own.into_iter().map(str::to_owned).collect(),
    };
    // Events are identified by project and uuid.
    let identity = columns.iter().find(|column| column.name == "uuid" && column.ty == Type::Uuid);
    let identity = identity.map(|column| column.column.clone());
    let relation = Relation::new(known, columns);
    Ok((Relation { path, identity, ..relation }, plan))
}

/// The time of `AS OF TIMESTAMP 'time'`.
fn as_of(time: &ast::Expr, zone: &Zone) -> Result<DateTime<Utc>> {
    let text = match &time.kind {
        ast::ExprKind::Literal(ast::Literal::String(text)) => text,
        _ => return Err(Error::internal("AS OF has a string").at(time.span)),
    };
    let micros = parse_datetime(text, zone, Order::MonthFirst);
    micros.and_then(DateTime::from_timestamp_micros).ok_or_else(|| {
        Error::new(ErrorKind::InvalidDateTime, format!("not a time: '{text}'"))
            .at(time.span)
            .hint("A time is such as '2026-03-01 10:00:00', in the session's zone, or '…Z'.")
    })
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
        let message = format!("{} cannot be sampled: only events can", relation.name);
        return Err(Error::unsupported(message)
            .at(span)
            .hint("A sample takes whole users, by the hash of distinct_id."));
    };
    let unit = if sample.percent { 0.01 } else { 1.0 };
    let ratio = ratio(scope, &sample.ratio, unit)?;
    let offset =
        sample.offset.as_ref().map_or(Ok(0.0), |offset| self::ratio(scope, offset, 1.0))?;
    let hash = || col(hash.column.clone());
    let from = (offset > 0.0).then(|| hash().gt_eq(lit(place(offset))));
    let to = (offset + ratio < 1.0).then(|| hash().lt(lit(place(offset + ratio))));
    let plan = LogicalPlanBuilder::from(plan);
    Ok(match from.into_iter().chain(to).reduce(and) {
        Some(inside) => plan.filter(inside)?.build()?,
        None => plan.build()?,
    })
}

/// Where a share of the users ends: their hashes are spread evenly over the 24-bit integers.
fn place(share: f64) -> i64 {
    ((share - 0.5) * 2.0_f64.powi(24)) as i64
}

/// A constant in units of this size, as a part of one.
fn ratio<'a>(scope: &Scope<'a>, expr: &'a ast::Expr, unit: f64) -> Result<f64> {
    let mut outside = Scope::new(scope.env, scope.ctes)?;
    let typed = Lowering::new(&mut outside).lower(expr)?;
    let typed = Lowering::new(&mut outside).coerce(typed, &Type::Float64)?;
    let ratio = constant(&typed.expr).and_then(|value| value.to_string().parse::<f64>().ok());
    let ratio = ratio.map(|ratio| ratio * unit);
    ratio.filter(|ratio| (0.0..=1.0).contains(ratio)).ok_or_else(|| {
        Error::new(ErrorKind::InvalidArgument, "a sample ratio must be a constant from 0 to 1")
            .at(expr.span)
            .hint("A sample takes a share of the users: 0.1 or 1/10 for a tenth, not a number of rows.")
    })
}
