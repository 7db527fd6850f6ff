//! Correlated plans made plain: a plan that reads outer values becomes one that computes its
//! rows for all of those values at once.
//!
//! The outer values that occur form the [`Domain`]: their distinct combinations. A dependent join
//! with it is pushed down the plan until it meets what does not read outer values, and is a plain
//! join there ("Unnesting Arbitrary Queries", Neumann and Kemper, BTW 2015). On its way each
//! operator learns to keep the combinations apart: they are grouped by, partitioned by, and so
//! on. Where a filter compares every outer value with an expression of its input, that
//! expression stands for the value, and the domain is not needed at all.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, NullEquality, ScalarValue, TableReference};
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Distinct, EmptyRelation, Expr, ExprFunctionExt, ExprSchemable, Filter,
    Join, JoinType, Limit, LogicalPlan, LogicalPlanBuilder, Operator, Projection, SortExpr, Union,
    Values, Window, binary_expr, col, lit, when,
};

use super::Environment;
use super::expr::balanced;
use crate::error::{Error, Result};

/// The combinations of outer values for which a plan is computed.
pub(super) struct Domain<'e, 'c> {
    env: &'e Environment<'c>,
    /// The names under which the plan reads the values, unique in the whole query.
    names: Vec<String>,
    /// A plan of the distinct combinations, one column for each name.
    plan: LogicalPlan,
    repeatable: bool,
}

impl<'e, 'c> Domain<'e, 'c> {
    /// The values that `exprs` have over the rows of `outer`, read as `names`.
    pub(super) fn new(
        env: &'e Environment<'c>,
        outer: &LogicalPlan,
        exprs: &[Expr],
        names: &[String],
    ) -> Result<Self> {
        let columns = exprs.iter().zip(names).map(|(expr, name)| expr.clone().alias(name));
        let outer = without_limits(outer)?;
        let repeatable = !exprs.iter().any(Expr::is_volatile) && is_repeatable(&outer)?;
        let plan = LogicalPlanBuilder::from(outer).project(columns)?.distinct()?.build()?;
        Ok(Self { env, names: names.to_vec(), plan, repeatable })
    }

    /// The combinations. They are computed apart from the outer rows, which therefore must be
    /// the same every time.
    fn combinations(&self) -> Result<LogicalPlan> {
        if self.repeatable {
            return Ok(self.plan.clone());
        }
        let message = "a subquery cannot read values that change each time they are computed";
        Err(Error::unsupported(message)
            .hint("Compare the values with = in the subquery, or join the tables."))
    }

    /// The rows of `plan` for each combination, with the combination's columns after its own.
    /// Combinations outside the domain may have rows, too.
    ///
    /// # Errors
    /// `Unsupported` for operators that cannot depend on outer values.
    pub(super) fn join(&self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        if !reads(plan, &self.names) {
            return self.cross(plan);
        }
        let joined = match plan {
            LogicalPlan::Projection(node) => self.projection(node),
            LogicalPlan::Filter(node) => self.filter(node),
            LogicalPlan::Aggregate(node) if node.group_expr.is_empty() => self.single_group(node),
            LogicalPlan::Aggregate(node) => self.groups(node),
            LogicalPlan::Window(node) => self.window(node),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                Ok(LogicalPlanBuilder::from(self.join(input)?).distinct()?.build()?)
            }
            LogicalPlan::Sort(node) if node.fetch.is_none() => {
                let keys = self.sort_keys(&node.expr)?;
                Ok(LogicalPlanBuilder::from(self.join(&node.input)?).sort(keys)?.build()?)
            }
            LogicalPlan::Limit(node) => self.limit(node),
            LogicalPlan::Union(node) => self.union(node),
            LogicalPlan::Join(node) => self.both_sides(node),
            LogicalPlan::SubqueryAlias(node) => {
                let inner = self.join(&node.input)?;
                Ok(LogicalPlanBuilder::from(inner).alias(node.alias.clone())?.build()?)
            }
            LogicalPlan::Values(node) => self.values(node),
            LogicalPlan::Unnest(node) => {
                let inner = LogicalPlanBuilder::from(self.join(&node.input)?);
                let columns = node.exec_columns.clone();
                Ok(inner.unnest_columns_with_options(columns, node.options.clone())?.build()?)
            }
            _ => Err(Error::unsupported("a column of the outer query cannot be read here")
                .hint("Join the tables instead of using a subquery.")),
        }?;
        self.exact(joined, plan.schema())
    }

    /// Every row of a plan that reads no outer values, for each combination.
    fn cross(&self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        if self.names.is_empty() {
            return Ok(plan.clone());
        }
        if let LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, schema }) = plan
            && schema.fields().is_empty()
        {
            return self.combinations();
        }
        Ok(LogicalPlanBuilder::from(plan.clone()).cross_join(self.combinations()?)?.build()?)
    }

    fn columns(&self) -> Vec<Expr> {
        self.names.iter().map(|name| col(Column::new_unqualified(name))).collect()
    }

    /// The expression with outer values read from the domain's columns.
    fn bind(&self, expr: &Expr) -> Result<Expr> {
        bind(expr, &self.names, &self.columns())
    }

    fn sort_keys(&self, keys: &[SortExpr]) -> Result<Vec<SortExpr>> {
        let bound = keys
            .iter()
            .map(|key| Ok(SortExpr::new(self.bind(&key.expr)?, key.asc, key.nulls_first)));
        bound.collect()
    }

    /// The columns of `schema`, in its order and under its names, then those of the domain.
    fn exact(&self, plan: LogicalPlan, schema: &DFSchema) -> Result<LogicalPlan> {
        let found = plan.schema();
        let wanted = schema.fields().len();
        let same = found.fields().len() == wanted + self.names.len()
            && schema
                .iter()
                .zip(found.iter())
                .all(|((q, f), (other_q, other))| q == other_q && f.name() == other.name());
        if same && found.iter().skip(wanted).all(|(qualifier, _)| qualifier.is_none()) {
            return Ok(plan);
        }
        let mut exprs: Vec<Expr> = Vec::with_capacity(wanted + self.names.len());
        for (position, (qualifier, field)) in schema.iter().enumerate() {
            let same = |(q, f): (Option<&TableReference>, &FieldRef)| {
                q == qualifier && f.name() == field.name()
            };
            exprs.push(if found.iter().any(same) {
                col(Column::new(qualifier.cloned(), field.name()))
            } else {
                let (other_qualifier, other) = found.qualified_field(position);
                let other = col(Column::new(other_qualifier.cloned(), other.name()));
                other.alias_qualified(qualifier.cloned(), field.name())
            });
        }
        for name in &self.names {
            let (qualifier, _) = found
                .iter()
                .find(|(_, field)| field.name() == name)
                .ok_or_else(|| Error::internal(format!("the domain's column {name} is lost")))?;
            exprs.push(col(Column::new(qualifier.cloned(), name)).alias(name));
        }
        Ok(LogicalPlanBuilder::from(plan).project(exprs)?.build()?)
    }

    fn projection(&self, node: &Projection) -> Result<LogicalPlan> {
        let mut exprs = Vec::with_capacity(node.expr.len() + self.names.len());
        for (expr, (qualifier, field)) in node.expr.iter().zip(node.schema.iter()) {
            exprs.push(renamed(self.bind(expr)?, expr, qualifier, field.name()));
        }
        exprs.extend(self.columns());
        Ok(LogicalPlanBuilder::from(self.join(&node.input)?).project(exprs)?.build()?)
    }

    fn filter(&self, node: &Filter) -> Result<LogicalPlan> {
        if !reads(&node.input, &self.names)
            && let Some(plan) = self.substituted(node)?
        {
            return Ok(plan);
        }
        let predicate = self.bind(&node.predicate)?;
        Ok(LogicalPlanBuilder::from(self.join(&node.input)?).filter(predicate)?.build()?)
    }

    /// A filter that compares every outer value with an expression of its input.
    fn substituted(&self, node: &Filter) -> Result<Option<LogicalPlan>> {
        let mut terms = split_conjunction_owned(node.predicate.clone());
        let mut stand_ins = Vec::with_capacity(self.names.len());
        let mut certain = Vec::new();
        for name in &self.names {
            let found = terms.iter().enumerate().find_map(|(i, term)| {
                equal_to(term, name, &self.names).map(|(expr, null_safe)| (i, expr, null_safe))
            });
            let Some((i, expr, null_safe)) = found else { return Ok(None) };
            terms.remove(i);
            if !null_safe && expr.nullable(node.input.schema())? {
                certain.push(expr.clone().is_not_null());
            }
            stand_ins.push(expr);
        }
        for term in &mut terms {
            *term = bind(term, &self.names, &stand_ins)?;
        }
        terms.append(&mut certain);
        let mut builder = LogicalPlanBuilder::from(node.input.as_ref().clone());
        if let Some(predicate) = balanced(terms, Expr::and) {
            builder = builder.filter(predicate)?;
        }
        let mut exprs: Vec<Expr> = node.input.schema().columns().into_iter().map(col).collect();
        exprs.extend(stand_ins.into_iter().zip(&self.names).map(|(expr, name)| expr.alias(name)));
        Ok(Some(builder.project(exprs)?.build()?))
    }

    fn groups(&self, node: &Aggregate) -> Result<LogicalPlan> {
        if node.group_expr.iter().any(|key| matches!(key, Expr::GroupingSet(_))) {
            return Err(Error::unsupported(
                "a subquery with grouping sets cannot read columns of the outer query",
            ));
        }
        let fields: Vec<_> = node.schema.iter().collect();
        let exprs = node.group_expr.iter().chain(&node.aggr_expr).zip(fields);
        let mut bound = exprs
            .map(|(expr, (qualifier, field))| {
                Ok(renamed(self.bind(expr)?, expr, qualifier, field.name()))
            })
            .collect::<Result<Vec<_>>>()?;
        let aggregates = bound.split_off(node.group_expr.len());
        bound.extend(self.columns());
        Ok(LogicalPlanBuilder::from(self.join(&node.input)?)
            .aggregate(bound, aggregates)?
            .build()?)
    }

    /// Aggregation without keys has a row for every combination, also where there are no rows to
    /// aggregate: there it is what the aggregates are over nothing.
    fn single_group(&self, node: &Aggregate) -> Result<LogicalPlan> {
        let flag = self.env.fresh("present");
        let mut grouped = Vec::with_capacity(node.aggr_expr.len());
        let mut missing = Vec::with_capacity(node.aggr_expr.len());
        let mut outputs = Vec::with_capacity(node.aggr_expr.len() + self.names.len());
        for (qualifier, field) in node.schema.iter() {
            let column = col(Column::new(qualifier.cloned(), field.name()));
            let (value, empty) = (self.env.fresh("value"), self.env.fresh("empty"));
            grouped.push(column.clone().alias(&value));
            missing.push(column.alias(&empty));
            let read = |name: &str| col(Column::new_unqualified(name));
            let output = when(read(&flag).is_null(), read(&empty)).otherwise(read(&value))?;
            outputs.push(output.alias_qualified(qualifier.cloned(), field.name()));
        }
        outputs.extend(self.columns());
        let copies: Vec<String> = self.names.iter().map(|_| self.env.fresh("outer")).collect();
        let keys = self.columns().into_iter().zip(&copies).map(|(key, copy)| key.alias(copy));
        grouped.extend(keys);
        grouped.push(lit(true).alias(&flag));
        let present = LogicalPlanBuilder::from(self.groups(node)?).project(grouped)?.build()?;
        let empty = LogicalPlanBuilder::from(over_nothing(node)?).project(missing)?.build()?;
        let column = |name: &String| Column::new_unqualified(name);
        let plan = LogicalPlanBuilder::from(self.combinations()?).join_detailed(
            present,
            JoinType::Left,
            (
                self.names.iter().map(column).collect::<Vec<_>>(),
                copies.iter().map(column).collect::<Vec<_>>(),
            ),
            None,
            NullEquality::NullEqualsNull,
        )?;
        Ok(plan.cross_join(empty)?.project(outputs)?.build()?)
    }

    fn window(&self, node: &Window) -> Result<LogicalPlan> {
        let input = self.join(&node.input)?;
        let before = node.input.schema().fields().len();
        let mut windows = Vec::with_capacity(node.window_expr.len());
        let mut outputs: Vec<Expr> = node.input.schema().columns().into_iter().map(col).collect();
        let fields = node.schema.iter().skip(before);
        for (expr, (qualifier, field)) in node.window_expr.iter().zip(fields) {
            let partitioned = self.bind(expr)?.transform_down(|node| {
                let Expr::WindowFunction(mut window) = node else {
                    return Ok(Transformed::no(node));
                };
                window.params.partition_by.extend(self.columns());
                let window = Expr::WindowFunction(window);
                Ok(Transformed::new(window, true, TreeNodeRecursion::Jump))
            })?;
            let window = partitioned.data.unalias_nested().data;
            let output = col(Column::new_unqualified(window.schema_name().to_string()));
            if !windows.contains(&window) {
                windows.push(window);
            }
            outputs.push(output.alias_qualified(qualifier.cloned(), field.name()));
        }
        outputs.extend(self.columns());
        let plan = LogicalPlanBuilder::window_plan(input, windows)?;
        Ok(LogicalPlanBuilder::from(plan).project(outputs)?.build()?)
    }

    /// So many rows of each combination.
    fn limit(&self, node: &Limit) -> Result<LogicalPlan> {
        let (input, order) = match node.input.as_ref() {
            LogicalPlan::Sort(sort) => (&sort.input, self.sort_keys(&sort.expr)?),
            _ => (&node.input, Vec::new()),
        };
        let input = self.join(input)?;
        let number =
            datafusion::functions_window::expr_fn::row_number().partition_by(self.columns());
        let number = if order.is_empty() { number } else { number.order_by(order) }.build()?;
        let name = number.schema_name().to_string();
        let number_of_row = || {
            let number = col(Column::new_unqualified(&name));
            datafusion::logical_expr::cast(number, arrow::datatypes::DataType::Int64)
        };
        let skip = node.skip.as_deref().cloned().unwrap_or_else(|| lit(0_i64));
        let mut kept = number_of_row().gt(skip.clone());
        if let Some(fetch) = node.fetch.as_deref() {
            kept = kept.and(number_of_row().lt_eq(skip + fetch.clone()));
        }
        let columns = input.schema().columns();
        let plan = LogicalPlanBuilder::window_plan(input, [number])?;
        let columns = columns.into_iter().map(col);
        Ok(LogicalPlanBuilder::from(plan).filter(kept)?.project(columns)?.build()?)
    }

    fn union(&self, node: &Union) -> Result<LogicalPlan> {
        let inputs = node.inputs.iter().map(|input| self.join(input).map(Arc::new));
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        // Positions count: a leading cross join keeps its own columns first, as all do.
        Ok(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?))
    }

    /// A row of constants per combination and row.
    fn values(&self, node: &Values) -> Result<LogicalPlan> {
        let mut rows = Vec::with_capacity(node.values.len());
        for row in &node.values {
            let mut exprs = Vec::with_capacity(row.len() + self.names.len());
            for (expr, (qualifier, field)) in row.iter().zip(node.schema.iter()) {
                exprs.push(self.bind(expr)?.alias_qualified(qualifier.cloned(), field.name()));
            }
            exprs.extend(self.columns());
            let row = LogicalPlanBuilder::from(self.combinations()?).project(exprs)?.build()?;
            rows.push(Arc::new(row));
        }
        match rows.len() {
            1 => Ok(rows.remove(0).as_ref().clone()),
            _ => Ok(LogicalPlan::Union(Union::try_new_with_loose_types(rows)?)),
        }
    }

    /// A join either side of which may read outer values. A side whose rows are kept without a
    /// match has to know the combination.
    fn both_sides(&self, node: &Join) -> Result<LogicalPlan> {
        use JoinType::*;
        let (reads_left, reads_right) =
            (reads(&node.left, &self.names), reads(&node.right, &self.names));
        let left_knows = match node.join_type {
            Left | LeftSemi | LeftAnti | LeftMark | Full => true,
            Inner => reads_left || !reads_right,
            Right | RightSemi | RightAnti | RightMark => reads_left,
        };
        let right_knows = match node.join_type {
            Right | RightSemi | RightAnti | RightMark | Full => true,
            _ => reads_right,
        };
        let mut left = node.left.as_ref().clone();
        if left_knows {
            left = self.exact(self.join(&left)?, node.left.schema())?;
        }
        let mut right = node.right.as_ref().clone();
        if right_knows {
            right = self.exact(self.join(&right)?, node.right.schema())?;
        }
        let mut on = Vec::with_capacity(node.on.len());
        for (a, b) in &node.on {
            on.push((self.bind(a)?, self.bind(b)?));
        }
        let filter = node.filter.as_ref().map(|filter| self.bind(filter)).transpose()?;
        let mut terms: Vec<Expr> = filter.into_iter().collect();
        let mut null_equality = node.null_equality;
        let mut copies = Vec::new();
        if left_knows && right_knows {
            copies = self.names.iter().map(|_| self.env.fresh("outer")).collect::<Vec<_>>();
            let mut exprs: Vec<Expr> = node.right.schema().columns().into_iter().map(col).collect();
            let domain = self.columns().into_iter().zip(&copies);
            exprs.extend(domain.map(|(column, copy)| column.alias(copy)));
            right = LogicalPlanBuilder::from(right).project(exprs)?.build()?;
            let copied = copies.iter().map(|copy| col(Column::new_unqualified(copy)));
            let pairs = self.columns().into_iter().zip(copied);
            if on.is_empty() || null_equality == NullEquality::NullEqualsNull {
                null_equality = NullEquality::NullEqualsNull;
                on.extend(pairs);
            } else {
                terms.extend(pairs.map(|(a, b)| binary_expr(a, Operator::IsNotDistinctFrom, b)));
            }
        }
        let plan = LogicalPlan::Join(Join::try_new(
            Arc::new(left),
            Arc::new(right),
            on,
            balanced(terms, Expr::and),
            node.join_type,
            node.join_constraint,
            null_equality,
            node.null_aware,
        )?);
        if copies.is_empty() || matches!(node.join_type, LeftSemi | LeftAnti | LeftMark) {
            return Ok(plan);
        }
        let mut exprs: Vec<Expr> = node.schema.columns().into_iter().map(col).collect();
        for (name, copy) in self.names.iter().zip(&copies) {
            let (own, copy) =
                (col(Column::new_unqualified(name)), col(Column::new_unqualified(copy)));
            exprs.push(match node.join_type {
                Inner | Left => own,
                Full => datafusion::functions::core::expr_fn::coalesce(vec![own, copy]).alias(name),
                _ => copy.alias(name),
            });
        }
        Ok(LogicalPlanBuilder::from(plan).project(exprs)?.build()?)
    }
}

/// The plan with the rows that limits take away, and perhaps not the same ones each time: more
/// combinations than needed do no harm.
fn without_limits(plan: &LogicalPlan) -> Result<LogicalPlan> {
    let unlimited = plan.clone().transform_down(|node| {
        Ok(match node {
            LogicalPlan::Limit(Limit { input, .. }) => {
                Transformed::yes(Arc::unwrap_or_clone(input))
            }
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Sort(_) => Transformed::no(node),
            LogicalPlan::Join(ref join) if join.join_type == JoinType::Inner => {
                Transformed::no(node)
            }
            _ => Transformed::new(node, false, TreeNodeRecursion::Jump),
        })
    })?;
    Ok(unlimited.data)
}

/// True when the plan has the same rows each time it is run.
fn is_repeatable(plan: &LogicalPlan) -> Result<bool> {
    let changes = plan.exists(|node| {
        let mut volatile = matches!(node, LogicalPlan::Limit(_));
        node.apply_expressions(|expr| {
            volatile = volatile || expr.is_volatile();
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(volatile)
    })?;
    Ok(!changes)
}

/// True when the plan reads one of the outer values.
pub(super) fn reads(plan: &LogicalPlan, names: &[String]) -> bool {
    let found = plan.exists(|node| {
        let mut found = false;
        node.apply_expressions(|expr| {
            found = found || reads_in(expr, names);
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        Ok(found)
    });
    found.unwrap_or(false)
}

/// True when the expression reads one of the outer values.
pub(super) fn reads_in(expr: &Expr, names: &[String]) -> bool {
    let is_outer = |node: &Expr| match node {
        Expr::OuterReferenceColumn(_, column) => names.contains(&column.name),
        _ => false,
    };
    expr.exists(|node| Ok(is_outer(node))).unwrap_or(false)
}

/// True when any outer value is read in the plan, of whichever query.
pub(super) fn reads_outside(plan: &LogicalPlan) -> bool {
    let outside = |expr: &Expr| expr.exists(|e| Ok(matches!(e, Expr::OuterReferenceColumn(..))));
    let found = plan.exists(|node| {
        let mut found = false;
        node.apply_expressions(|expr| {
            found = found || outside(expr)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(found)
    });
    found.unwrap_or(true)
}

/// The expression with the outer values `names` replaced by `values`.
pub(super) fn bind(expr: &Expr, names: &[String], values: &[Expr]) -> Result<Expr> {
    let bound = expr.clone().transform_up(|node| {
        let Expr::OuterReferenceColumn(_, column) = &node else {
            return Ok(Transformed::no(node));
        };
        let position = names.iter().position(|name| *name == column.name);
        Ok(match position {
            Some(position) => Transformed::yes(values[position].clone()),
            None => Transformed::no(node),
        })
    })?;
    Ok(bound.data)
}

/// Aggregates over no rows at all: one row.
pub(super) fn over_nothing(node: &Aggregate) -> Result<LogicalPlan> {
    let nothing = LogicalPlan::EmptyRelation(EmptyRelation {
        produce_one_row: false,
        schema: Arc::clone(node.input.schema()),
    });
    let mut aggregates = Vec::with_capacity(node.aggr_expr.len());
    for (expr, (qualifier, field)) in node.aggr_expr.iter().zip(node.schema.iter()) {
        let constant = expr.clone().transform_up(|node| match &node {
            Expr::OuterReferenceColumn(field, _) => {
                let null = ScalarValue::try_from(field.data_type())?;
                Ok(Transformed::yes(Expr::Literal(null, None)))
            }
            _ => Ok(Transformed::no(node)),
        })?;
        aggregates.push(renamed(constant.data, expr, qualifier, field.name()));
    }
    let plan = LogicalPlanBuilder::from(nothing).aggregate(Vec::<Expr>::new(), aggregates)?;
    Ok(plan.build()?)
}

/// The bound form of an output expression, under the name the original has.
fn renamed(bound: Expr, original: &Expr, qualifier: Option<&TableReference>, name: &str) -> Expr {
    if bound == *original || matches!(bound, Expr::Alias(_)) {
        return bound;
    }
    bound.alias_qualified(qualifier.cloned(), name)
}

/// The expression that a term says equals the outer value, and whether NULL equals NULL in it.
fn equal_to(term: &Expr, name: &str, names: &[String]) -> Option<(Expr, bool)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = term else { return None };
    let null_safe = match op {
        Operator::Eq => false,
        Operator::IsNotDistinctFrom => true,
        _ => return None,
    };
    let is_value =
        |expr: &Expr| matches!(expr, Expr::OuterReferenceColumn(_, column) if column.name == *name);
    let other = match (is_value(left), is_value(right)) {
        (true, false) => right,
        (false, true) => left,
        _ => return None,
    };
    let usable = !reads_in(other, names) && !other.is_volatile();
    usable.then(|| (other.as_ref().clone(), null_safe))
}
