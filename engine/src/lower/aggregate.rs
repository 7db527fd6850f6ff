//! GROUP BY and aggregate functions: everything after them sees only keys and aggregates.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{
    Aggregate, Expr, GroupingSet, LogicalPlan, LogicalPlanBuilder, Projection, bitwise_and,
    bitwise_shift_left, bitwise_shift_right, cast, col, ident, lit,
};
use hedgerow_parser::{Span, ast};

use super::scope::Scope;
use super::select::{self, Exprs};
use super::subquery;
use super::totals::{self, Totals};
use super::window;
use crate::error::{Error, ErrorKind, Result};
use crate::functions::Typed;
use crate::types::Type;

/// The lowered GROUP BY clause.
pub(super) struct Keys {
    /// Different from each other.
    exprs: Vec<Typed>,
    /// The sets of keys to group by in turn, as indices; none for all keys at once.
    sets: Option<Vec<Vec<usize>>>,
    /// WITH TOTALS.
    totals: bool,
}

/// PostgreSQL's limits.
const CUBE_KEYS_MAX: usize = 12;
const SETS_MAX: usize = 4096;
/// One bit each in DataFusion's grouping id, which also counts repeated sets.
const SET_KEYS_MAX: usize = 48;

/// Whether the SELECT groups its rows in more than one way.
fn has_sets(select: &ast::Select) -> bool {
    match &select.group_by {
        None | Some(ast::GroupBy::All) => false,
        Some(ast::GroupBy::Keys { modifier, totals, .. }) => modifier.is_some() || *totals,
        Some(ast::GroupBy::Cube(_) | ast::GroupBy::Rollup(_) | ast::GroupBy::Sets(_)) => true,
    }
}

/// With several grouping sets a key is NULL in the rows of the sets that leave it out. Comparisons
/// must know that when they are lowered, so every column is made nullable before.
pub(super) fn prepare(scope: &mut Scope<'_>, select: &ast::Select) -> Result<()> {
    if !has_sets(select) {
        return Ok(());
    }
    let schema = scope.plan.schema();
    let columns = schema.columns().into_iter().map(Expr::Column).collect();
    let fields = schema.columns().into_iter().zip(schema.fields());
    scope.never_null = fields.filter(|(_, field)| !field.is_nullable()).map(|(c, _)| c).collect();
    let nullable = schema
        .iter()
        .map(|(qualifier, field)| {
            let field = field.as_ref().clone().with_nullable(true);
            (qualifier.cloned(), Arc::new(field))
        })
        .collect();
    let schema = Arc::new(DFSchema::new_with_metadata(nullable, schema.metadata().clone())?);
    let input = Arc::new(scope.plan.clone());
    let projection = Projection::try_new_with_schema(columns, input, schema)?;
    scope.plan = LogicalPlan::Projection(projection);
    Ok(())
}

/// The columns as an aggregate's arguments see them: those that only groups make NULL are not.
/// None where all of them are as in the scope's plan.
pub(super) fn rows(scope: &Scope<'_>) -> Result<Option<Box<DFSchema>>> {
    if scope.never_null.is_empty() {
        return Ok(None);
    }
    let schema = scope.plan.schema();
    let fields = schema.columns().into_iter().zip(schema.iter()).map(|(column, (of, field))| {
        let nullable = field.is_nullable() && !scope.never_null.contains(&column);
        let field = field.as_ref().clone().with_nullable(nullable);
        (of.cloned(), Arc::new(field))
    });
    let metadata = schema.metadata().clone();
    Ok(Some(Box::new(DFSchema::new_with_metadata(fields.collect(), metadata)?)))
}

/// The keys of GROUP BY; none when the SELECT has no such clause.
pub(super) fn keys<'a>(
    scope: &mut Scope<'a>,
    select: &'a ast::Select,
    exprs: &Exprs,
) -> Result<Option<Keys>> {
    let mut keys = Keys::none();
    match &select.group_by {
        None => return Ok(None),
        Some(ast::GroupBy::Keys { keys: elements, modifier, totals }) => {
            keys.totals = *totals;
            let elements = keys.elements(scope, elements, exprs)?;
            keys.sets = match modifier {
                None => None,
                Some(ast::GroupModifier::Rollup) => Some(rollup(&elements)),
                Some(ast::GroupModifier::Cube) => Some(cube(&elements, select.span)?),
            };
        }
        Some(ast::GroupBy::All) => {
            for (_, item) in &exprs.items {
                if find_aggregate(&item.expr).is_none() {
                    keys.add(item.clone())?;
                }
            }
        }
        Some(ast::GroupBy::Rollup(elements)) => {
            keys.sets = Some(rollup(&keys.elements(scope, elements, exprs)?));
        }
        Some(ast::GroupBy::Cube(elements)) => {
            keys.sets = Some(cube(&keys.elements(scope, elements, exprs)?, select.span)?);
        }
        Some(ast::GroupBy::Sets(sets)) => {
            let sets = sets.iter().map(|set| Ok(keys.elements(scope, set, exprs)?.concat()));
            keys.sets = Some(sets.collect::<Result<_>>()?);
        }
    }
    if let Some(sets) = &mut keys.sets {
        if sets.len() > SETS_MAX || keys.exprs.len() > SET_KEYS_MAX {
            let message = format!(
                "{} grouping sets over {} keys, at most {SETS_MAX} over {SET_KEYS_MAX} are possible",
                sets.len(),
                keys.exprs.len()
            );
            return Err(Error::new(ErrorKind::TooComplex, message).at(select.span));
        }
        for set in sets {
            set.sort_unstable();
            set.dedup();
        }
    }
    Ok(Some(keys))
}

impl Keys {
    fn none() -> Self {
        Self { exprs: Vec::new(), sets: None, totals: false }
    }

    /// Keys to group by, all at once.
    pub(super) fn new(exprs: impl IntoIterator<Item = Typed>) -> Result<Self> {
        let mut keys = Self::none();
        for key in exprs {
            keys.add(key)?;
        }
        Ok(keys)
    }

    /// Adds a key, unless it is there, and gives its index.
    fn add(&mut self, key: Typed) -> Result<usize> {
        if let Some(aggregate) = find_aggregate(&key.expr) {
            return Err(misplaced(&aggregate, "GROUP BY").at(key.span));
        }
        window::refuse(&key, "GROUP BY")?;
        if let Some(index) = self.exprs.iter().position(|known| known.expr == key.expr) {
            return Ok(index);
        }
        self.exprs.push(key);
        Ok(self.exprs.len() - 1)
    }

    /// Adds elements of GROUP BY; each may be a tuple, which stands for several keys at once.
    fn elements<'a>(
        &mut self,
        scope: &mut Scope<'a>,
        elements: &'a [ast::Expr],
        exprs: &Exprs,
    ) -> Result<Vec<Vec<usize>>> {
        let mut added = Vec::with_capacity(elements.len());
        for element in elements {
            let parts = match &element.kind {
                ast::ExprKind::Tuple(parts) => parts.as_slice(),
                _ => std::slice::from_ref(element),
            };
            let mut indices = Vec::with_capacity(parts.len());
            for part in parts {
                let key = select::positional(scope, part, &exprs.items)?;
                indices.push(self.add(key)?);
            }
            added.push(indices);
        }
        Ok(added)
    }
}

/// All prefixes, the longest first.
fn rollup(elements: &[Vec<usize>]) -> Vec<Vec<usize>> {
    (0..=elements.len()).rev().map(|length| elements[..length].concat()).collect()
}

/// All subsets, the whole first.
fn cube(elements: &[Vec<usize>], span: Span) -> Result<Vec<Vec<usize>>> {
    if elements.len() > CUBE_KEYS_MAX {
        let message =
            format!("CUBE of {} elements, at most {CUBE_KEYS_MAX} are possible", elements.len());
        return Err(Error::new(ErrorKind::TooComplex, message).at(span));
    }
    let subset = |bits: usize| {
        let chosen = elements.iter().rev().enumerate().filter(|(i, _)| bits & (1 << i) != 0);
        chosen.flat_map(|(_, element)| element.iter().copied()).collect()
    };
    Ok((0..1_usize << elements.len()).rev().map(subset).collect())
}

/// The error for an aggregate in a clause that is evaluated before aggregation.
pub(super) fn misplaced(aggregate: &str, clause: &str) -> Error {
    let hint = match clause {
        "GROUP BY" => "Group by what stands beside the aggregates, or compute them in a subquery.",
        _ => "Conditions on aggregates belong into HAVING.",
    };
    Error::new(ErrorKind::Grouping, format!("aggregate function {aggregate} in {clause}"))
        .hint(hint)
}

/// The name of an aggregate function in an expression, when there is one.
pub(super) fn find_aggregate(expr: &Expr) -> Option<String> {
    let mut name = None;
    let found = expr.apply(|node| match node {
        Expr::AggregateFunction(aggregate) => {
            name = Some(aggregate.func.name().to_owned());
            Ok(TreeNodeRecursion::Stop)
        }
        _ => Ok(TreeNodeRecursion::Continue),
    });
    found.ok().and(name)
}

/// Puts the aggregation on the scope's plan and rewrites the expressions to its output. Gives what
/// WITH TOTALS adds. Nothing happens when there is neither a GROUP BY nor an aggregate.
pub(super) fn plan<'a>(
    scope: &mut Scope<'a>,
    mut keys: Option<Keys>,
    exprs: &mut Exprs,
) -> Result<Option<Totals<'a>>> {
    let key_exprs = keys.iter_mut().flat_map(|keys| &mut keys.exprs).map(|key| &mut key.expr);
    subquery::join_before_aggregation(scope, key_exprs, exprs)?;
    let mut aggregates: Vec<(Expr, Span)> = Vec::new();
    exprs.for_each_mut(&mut |expr, span| {
        expr.apply(|node| {
            if matches!(node, Expr::AggregateFunction(_)) {
                if !aggregates.iter().any(|(known, _)| known == node) {
                    aggregates.push((node.clone(), span));
                }
                return Ok(TreeNodeRecursion::Jump);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(())
    })?;
    if keys.is_none() && aggregates.is_empty() {
        return Ok(None);
    }
    let keys = keys.unwrap_or_else(Keys::none);
    let outputs = group_columns(scope, &keys)?;
    let input = match keys.totals {
        true => Some(totals::shared(scope.env, scope.plan.clone())?),
        false => None,
    };
    scope.plan = input.clone().unwrap_or_else(|| std::mem::take(&mut scope.plan));
    let mut replacements: Vec<(Expr, Expr)> = Vec::new();
    let mut aggregate_exprs = Vec::with_capacity(aggregates.len());
    for (aggregate, span) in aggregates {
        let output = match &aggregate {
            Expr::AggregateFunction(call) if call.func.name() == GROUPING => {
                grouping(&keys, &call.params.args, span)?
            }
            _ => {
                let (expr, output) = named(aggregate.clone(), scope.env.fresh("aggregate"));
                aggregate_exprs.push(expr);
                output
            }
        };
        replacements.push((aggregate, output));
    }
    let group_exprs = match &keys.sets {
        None if keys.totals => outputs.iter().map(|(_, output)| output.clone()).collect(),
        None => outputs.iter().map(|(group_expr, _)| group_expr.clone()).collect(),
        Some(sets) => {
            let set = |set: &Vec<usize>| set.iter().map(|i| outputs[*i].1.clone()).collect();
            let sets = sets.iter().map(set).collect();
            vec![Expr::GroupingSet(GroupingSet::GroupingSets(sets))]
        }
    };
    let mut plan = LogicalPlanBuilder::from(std::mem::take(&mut scope.plan));
    plan = plan.aggregate(group_exprs, aggregate_exprs.clone())?;
    if keys.totals && keys.sets.is_none() {
        let mut columns: Vec<Expr> = plan.schema().columns().into_iter().map(col).collect();
        columns.push(lit(0_i64).alias(Aggregate::INTERNAL_GROUPING_ID));
        plan = plan.project(columns)?;
    }
    scope.plan = plan.build()?;
    let key_columns = outputs.iter().filter_map(|(_, output)| output.try_as_col().cloned());
    let key_columns = key_columns.collect();
    for (key, (_, output)) in keys.exprs.into_iter().zip(outputs) {
        replacements.push((key.expr, output));
    }
    exprs.for_each_mut(&mut |expr, span| {
        *expr = replace(std::mem::take(expr), &replacements)?;
        check_grouped(scope, expr, span)
    })?;
    Ok(input.map(|input| Totals {
        input,
        keys: key_columns,
        aggregates: aggregate_exprs,
        items: exprs.items.clone(),
        volatile: scope.volatile.clone(),
    }))
}

/// Each key as it goes into the aggregation, and as it comes out. Grouping sets and totals speak of
/// columns, so there computed keys become columns before.
fn group_columns(scope: &mut Scope<'_>, keys: &Keys) -> Result<Vec<(Expr, Expr)>> {
    let outputs: Vec<(Expr, Expr)> = keys
        .exprs
        .iter()
        .map(|key| match &key.expr {
            Expr::Column(_) => (key.expr.clone(), key.expr.clone()),
            computed => named(computed.clone(), scope.env.fresh("key")),
        })
        .collect();
    if keys.sets.is_some() || keys.totals {
        let columns = scope.plan.schema().columns().into_iter().map(Expr::Column);
        let computed = outputs.iter().filter(|(key, output)| key != output);
        let all: Vec<Expr> = columns.chain(computed.map(|(key, _)| key.clone())).collect();
        scope.plan = LogicalPlanBuilder::from(scope.plan.clone()).project(all)?.build()?;
    }
    Ok(outputs)
}

/// DataFusion's name of the function that tells which keys a row leaves out.
const GROUPING: &str = "grouping";

/// A call of `grouping` as it stands until the aggregation is planned.
pub(super) fn grouping_call(args: Vec<Typed>, span: Span) -> Result<Typed> {
    if args.is_empty() || args.len() > SET_KEYS_MAX {
        let message = format!("grouping takes 1 to {SET_KEYS_MAX} arguments, not {}", args.len());
        return Err(Error::new(ErrorKind::UnknownFunction, message).at(span));
    }
    let args = args.into_iter().map(|arg| arg.expr).collect();
    let expr = datafusion::functions_aggregate::grouping::grouping_udaf().call(args);
    Ok(Typed { expr, ty: Type::Int64, span })
}

/// `grouping(a, b)`: one bit per argument, the last the lowest; 1 where the row's grouping set
/// leaves the key out.
fn grouping(keys: &Keys, args: &[Expr], span: Span) -> Result<Expr> {
    // DataFusion numbers the keys as they first occur in the sets, the last the lowest bit.
    let mut occurring: Vec<usize> = Vec::new();
    if keys.totals && keys.sets.is_none() {
        occurring.extend(0..keys.exprs.len());
    }
    for index in keys.sets.iter().flatten().flatten() {
        if !occurring.contains(index) {
            occurring.push(*index);
        }
    }
    let id = cast(ident(Aggregate::INTERNAL_GROUPING_ID), Type::Int64.to_arrow());
    let mut sum = lit(0_i64);
    for (place, arg) in args.iter().rev().enumerate() {
        let key = keys.exprs.iter().position(|key| key.expr == *arg).ok_or_else(|| {
            Error::new(ErrorKind::Grouping, "arguments of grouping() must be keys of GROUP BY")
                .at(span)
        })?;
        if let Some(bit) = occurring.iter().rev().position(|index| *index == key) {
            let bit = bitwise_and(bitwise_shift_right(id.clone(), lit(bit as i64)), lit(1_i64));
            sum = sum + bitwise_shift_left(bit, lit(place as i64));
        }
    }
    Ok(sum)
}

fn named(expr: Expr, name: String) -> (Expr, Expr) {
    (expr.alias(name.clone()), Expr::Column(Column::new_unqualified(name)))
}

/// The expression with every occurrence of a left side replaced by its right side.
pub(super) fn replace(expr: Expr, replacements: &[(Expr, Expr)]) -> Result<Expr> {
    let replaced = expr.transform_down(|node| {
        Ok(match replacements.iter().find(|(from, _)| *from == node) {
            Some((_, to)) => Transformed::new(to.clone(), true, TreeNodeRecursion::Jump),
            None => Transformed::no(node),
        })
    })?;
    Ok(replaced.data)
}

fn check_grouped(scope: &Scope<'_>, expr: &Expr, span: Span) -> Result<()> {
    let schema = scope.plan.schema();
    let missing = expr.column_refs().into_iter().find(|column| !schema.has_column(column)).cloned();
    match missing {
        None => Ok(()),
        Some(column) => {
            let message = format!(
                "column {} must appear in GROUP BY or be used in an aggregate function",
                column.name
            );
            Err(Error::new(ErrorKind::Grouping, message)
                .at(span)
                .hint(format!("Add it to GROUP BY, or take any({}).", column.name)))
        }
    }
}
