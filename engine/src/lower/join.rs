//! Joins of sources.
//!
//! ```text
//! join         one join: its sides, its kind, what a missing match looks like
//! using        USING and NATURAL: columns of both sides that become one
//! condition    the terms of a condition, by the sides they read
//! one_match    ANY and SEMI: at most one match for a row
//! asof         ASOF: the closest match
//! positional   POSITIONAL: row by row
//! lateral      sources that read the sources before them
//! ```

use std::collections::HashMap;

use datafusion::common::{Column, JoinType, ScalarValue};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col, lit};
use hedgerow_parser::{Span, ast};

use self::condition::Condition;
use self::lateral::Lateral;
use super::aggregate::{find_aggregate, misplaced};
use super::expr::Lowering;
use super::scope::{Relation, Scope};
use super::{from, subquery, window};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::aggregates::default_value;
use crate::types::Type;

mod asof;
mod condition;
mod lateral;
mod one_match;
mod positional;
mod using;

/// Both inputs of a join.
struct Sides {
    left: LogicalPlan,
    right: LogicalPlan,
    /// How many relations of the scope, from the first on, are on the left.
    split: usize,
}

/// What a join keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Cross,
    Positional,
    /// All matches.
    All(JoinType),
    /// At most one match for a row of the left, or of the right.
    Any(JoinType),
    /// The rows of one side that have a match, with one of the matches.
    Semi(Side),
    /// The rows of one side that have no match.
    Anti(Side),
    /// The closest match for each row of the left.
    Asof(asof::Keep),
}

/// One of the inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// The plan of a join tree, whose relations are added to the scope from left to right.
pub(super) fn lower<'a>(scope: &mut Scope<'a>, join: &'a ast::Join) -> Result<LogicalPlan> {
    let (left, kind, strictness, natural, right, constraint, span) = match join {
        ast::Join::Source(source) => return from::source(scope, source),
        ast::Join::Join { left, kind, strictness, natural, right, constraint, span } => {
            (left, *kind, *strictness, *natural, right, constraint.as_ref(), *span)
        }
    };
    let kind = Kind::of(kind, strictness, span)?;
    let left = lower(scope, left)?;
    let split = scope.relations.len();
    if let ast::Join::Source(source) = right.as_ref()
        && !natural
    {
        let lateral = Lateral { left: &left, kind, source, constraint, span };
        if let Some(plan) = lateral.plan(scope)? {
            return Ok(plan);
        }
    }
    let right = right_side(scope, right)?;
    let sides = Sides { left, right, split };
    // The constraint is lowered against both sides.
    let both = LogicalPlanBuilder::from(sides.left.clone()).cross_join(sides.right.clone())?;
    scope.plan = both.build()?;
    let width = scope.plan.schema().fields().len();
    let condition = match (constraint, natural) {
        (None, false) => None,
        (None, true) => using::natural(scope, &sides, kind, span)?,
        (Some(ast::JoinConstraint::Using(names)), false) => {
            Some(using::columns(scope, &sides, kind, names)?)
        }
        (Some(ast::JoinConstraint::On(expr)), false) => Some(Condition::on(on(scope, expr)?)),
        (Some(_), true) => {
            let message = "NATURAL JOIN takes no condition: it joins the common columns";
            return Err(Error::new(ErrorKind::Syntax, message).at(span));
        }
    };
    let condition = match (kind, condition) {
        (Kind::Cross, None) => return Ok(scope.plan.clone()),
        (Kind::Positional, None) => return positional::plan(scope, sides, span),
        (Kind::Cross | Kind::Positional, Some(_)) => {
            let name = if kind == Kind::Cross { "CROSS" } else { "POSITIONAL" };
            let message = format!("{name} JOIN takes no condition");
            return Err(Error::new(ErrorKind::Syntax, message).at(span));
        }
        // No common column: PostgreSQL makes it a cross join, too.
        (_, None) if natural => Condition::on(lit(true)),
        (_, None) => {
            return Err(Error::new(ErrorKind::Syntax, "the join has no condition")
                .at(span)
                .hint("Add ON or USING, or write CROSS JOIN."));
        }
        (_, Some(condition)) => condition,
    };
    if scope.plan.schema().fields().len() > width {
        return with_subqueries(scope, kind, condition, span);
    }
    match kind {
        Kind::All(kind) => all(&sides, kind, condition),
        Kind::Any(kind) => one_match::any(scope, &sides, kind, condition, span),
        Kind::Semi(side) => one_match::semi(scope, &sides, side, condition),
        Kind::Anti(side) => anti(&sides, side, condition),
        Kind::Asof(keep) => asof::plan(scope, &sides, keep, condition, span),
        Kind::Cross | Kind::Positional => Err(Error::internal("a join that was planned before")),
    }
}

impl Kind {
    fn of(
        kind: ast::JoinKind,
        strictness: Option<ast::JoinStrictness>,
        span: Span,
    ) -> Result<Self> {
        use ast::{JoinKind, JoinStrictness};
        let refused = |message: &str, hint: &str| {
            Err(Error::unsupported(message.to_owned()).at(span).hint(hint.to_owned()))
        };
        let side = if kind == JoinKind::Right { Side::Right } else { Side::Left };
        let plain = match kind {
            JoinKind::Cross => return Ok(Self::Cross),
            JoinKind::Positional => return Ok(Self::Positional),
            JoinKind::Inner => JoinType::Inner,
            JoinKind::Left => JoinType::Left,
            JoinKind::Right => JoinType::Right,
            JoinKind::Full => JoinType::Full,
        };
        match strictness {
            None | Some(JoinStrictness::All) => Ok(Self::All(plain)),
            Some(_) if plain == JoinType::Full => refused(
                "a FULL JOIN keeps all matches: ANY, SEMI, ANTI and ASOF cannot stand with it",
                "Write FULL JOIN, or a LEFT or RIGHT one.",
            ),
            Some(JoinStrictness::Any) => Ok(Self::Any(plain)),
            Some(JoinStrictness::Semi) => Ok(Self::Semi(side)),
            Some(JoinStrictness::Anti) => Ok(Self::Anti(side)),
            Some(_) if side == Side::Right => refused(
                "an ASOF JOIN finds a match for each row of its left side, not of its right",
                "Swap the tables, and write ASOF LEFT JOIN.",
            ),
            Some(JoinStrictness::Asof) if plain == JoinType::Left => {
                Ok(Self::Asof(asof::Keep::All))
            }
            Some(JoinStrictness::Asof | JoinStrictness::AsofSemi) => {
                Ok(Self::Asof(asof::Keep::Matched))
            }
            Some(JoinStrictness::AsofAnti) => Ok(Self::Asof(asof::Keep::Unmatched)),
        }
    }

    /// The side whose rows have a value in every row of the result; none where either may miss.
    fn kept(self) -> Option<Side> {
        match self {
            Self::All(JoinType::Full) => None,
            Self::All(JoinType::Right) | Self::Any(JoinType::Right) => Some(Side::Right),
            Self::Semi(side) | Self::Anti(side) => Some(side),
            _ => Some(Side::Left),
        }
    }
}

/// The right side, which sees no more than its own relations.
fn right_side<'a>(scope: &mut Scope<'a>, join: &'a ast::Join) -> Result<LogicalPlan> {
    let before = std::mem::take(&mut scope.relations);
    let plan = lower(scope, join);
    let own = std::mem::replace(&mut scope.relations, before);
    let plan = plan?;
    let span = match join {
        ast::Join::Source(source) => source.span,
        ast::Join::Join { span, .. } => *span,
    };
    for relation in own {
        scope.add_relation(relation, span)?;
    }
    Ok(plan)
}

/// A join of which all matches are kept.
fn all(sides: &Sides, kind: JoinType, condition: Condition) -> Result<LogicalPlan> {
    let plan = LogicalPlanBuilder::from(sides.left.clone())
        .join_on(sides.right.clone(), kind, [condition.expr])?
        .build()?;
    let missing: &[&LogicalPlan] = match kind {
        JoinType::Left => &[&sides.right],
        JoinType::Right => &[&sides.left],
        JoinType::Full => &[&sides.left, &sides.right],
        _ => &[],
    };
    with_defaults(plan, missing, condition.merged)
}

/// The rows of one side without a match; the other side's columns are all missing.
fn anti(sides: &Sides, side: Side, condition: Condition) -> Result<LogicalPlan> {
    let (kind, other) = match side {
        Side::Left => (JoinType::LeftAnti, &sides.right),
        Side::Right => (JoinType::RightAnti, &sides.left),
    };
    let plan = LogicalPlanBuilder::from(sides.left.clone())
        .join_on(sides.right.clone(), kind, [condition.expr])?
        .build()?;
    let kept = plan.schema().columns().into_iter().map(col);
    let missing = other.schema().iter().map(|(qualifier, field)| {
        let value = match field.is_nullable() {
            true => ScalarValue::try_from(field.data_type())?,
            false => default_value(&Type::from_field(field))?,
        };
        Ok(lit(value).alias_qualified(qualifier.cloned(), field.name()))
    });
    let missing = missing.collect::<Result<Vec<_>>>()?;
    let exprs: Vec<Expr> = match side {
        Side::Left => kept.chain(missing).collect(),
        Side::Right => missing.into_iter().chain(kept).collect(),
    };
    Ok(LogicalPlanBuilder::from(plan).project(exprs)?.build()?)
}

/// The condition of ON, over both sides, which are the scope's plan.
fn on<'a>(scope: &mut Scope<'a>, expr: &'a ast::Expr) -> Result<Expr> {
    let mut condition = Lowering::for_join(scope).condition(expr)?;
    if let Some(aggregate) = find_aggregate(&condition.expr) {
        return Err(misplaced(&aggregate, "ON").at(expr.span));
    }
    window::refuse(&condition, "ON")?;
    subquery::join_in(scope, [&mut condition.expr])?;
    Ok(condition.expr)
}

/// A condition that reads a subquery has joined it to the pairs of rows: fine where the join is
/// a filter of these.
fn with_subqueries(
    scope: &Scope<'_>,
    kind: Kind,
    condition: Condition,
    span: Span,
) -> Result<LogicalPlan> {
    if kind != Kind::All(JoinType::Inner) {
        let message = "only an INNER JOIN can have such a subquery in its condition";
        return Err(Error::unsupported(message)
            .at(span)
            .hint("Filter the table in a subquery, and join that."));
    }
    Ok(LogicalPlanBuilder::from(scope.plan.clone()).filter(condition.expr)?.build()?)
}

/// In HogQL the columns of a missing match that cannot be NULL themselves take the default of
/// their type, not NULL (reference: `language.md`, 5.2). `more` is computed before that.
fn with_defaults(
    plan: LogicalPlan,
    missing: &[&LogicalPlan],
    more: Vec<Expr>,
) -> Result<LogicalPlan> {
    let mut defaults: HashMap<Column, Expr> = HashMap::new();
    for side in missing {
        for (qualifier, field) in side.schema().iter().filter(|(_, field)| !field.is_nullable()) {
            let default = default_value(&Type::from_field(field))?;
            defaults.insert(Column::new(qualifier.cloned(), field.name()), lit(default));
        }
    }
    if defaults.is_empty() && more.is_empty() {
        return Ok(plan);
    }
    let columns = plan.schema().columns().into_iter();
    let exprs: Vec<Expr> = columns
        .map(|column| match defaults.remove(&column) {
            Some(default) => {
                let value = coalesce(vec![col(column.clone()), default]);
                value.alias_qualified(column.relation, column.name)
            }
            None => col(column),
        })
        .chain(more)
        .collect();
    Ok(LogicalPlanBuilder::from(plan).project(exprs)?.build()?)
}

/// Sort keys that put the rows of these relations into an order of their own: by what makes a
/// row unique where that is known, else by all columns from left to right.
fn order(relations: &[Relation]) -> Vec<Expr> {
    let columns = relations.iter().flat_map(|relation| match &relation.identity {
        Some(identity) => vec![identity.clone()],
        None => {
            let sortable = relation.columns.iter().filter(|column| is_sortable(&column.ty));
            sortable.map(|column| column.column.clone()).collect()
        }
    });
    columns.map(col).collect()
}

fn is_sortable(ty: &Type) -> bool {
    match ty {
        Type::Null | Type::Map(..) => false,
        Type::Array(element) => is_sortable(element),
        Type::Tuple(elements) => elements.iter().all(|(_, ty)| is_sortable(ty)),
        _ => true,
    }
}
