//! Looking through a tree without naming every kind of node.

use crate::ast::{
    Call, Columns, CteBody, Expr, ExprKind, FrameBound, GroupBy, Join, JoinConstraint, OrderBy,
    Over, Query, Select, Source, SourceKind, Star, TemplatePart, WindowSpec,
};

/// Calls `f` for each direct child expression, in the order they are written. Subqueries are not
/// entered: their expressions belong to another scope. See [`child_queries`].
pub fn children<'a>(expr: &'a Expr, f: &mut dyn FnMut(&'a Expr)) {
    match &expr.kind {
        ExprKind::Literal(_)
        | ExprKind::Field(_)
        | ExprKind::PositionalColumn(_)
        | ExprKind::Subquery(_) => {}
        ExprKind::Star(star) => star_children(star, f),
        ExprKind::Columns(columns) => match columns.as_ref() {
            Columns::Regex(_) => {}
            Columns::List(items) => items.iter().for_each(f),
            Columns::Star(star) => star_children(star, f),
        },
        ExprKind::Spread(inner)
        | ExprKind::Alias(inner, _)
        | ExprKind::Negate(inner)
        | ExprKind::Not(inner)
        | ExprKind::NamedArgument(_, inner)
        | ExprKind::Placeholder(inner)
        | ExprKind::IgnoreNulls(inner)
        | ExprKind::IsNull { expr: inner, .. }
        | ExprKind::Cast { expr: inner, .. }
        | ExprKind::Interval { value: inner, .. }
        | ExprKind::TupleElement { expr: inner, .. }
        | ExprKind::Member { expr: inner, .. }
        | ExprKind::Lambda { body: inner, .. } => f(inner),
        ExprKind::Binary(left, _, right)
        | ExprKind::Coalesce(left, right)
        | ExprKind::IsDistinctFrom { left, right, .. }
        | ExprKind::In { expr: left, right, .. }
        | ExprKind::InCohort { expr: left, cohort: right, .. }
        | ExprKind::Index { expr: left, index: right, .. } => {
            f(left);
            f(right);
        }
        ExprKind::And(items)
        | ExprKind::Or(items)
        | ExprKind::Tuple(items)
        | ExprKind::Array(items) => items.iter().for_each(f),
        ExprKind::Between { expr, low, high, .. } => {
            f(expr);
            f(low);
            f(high);
        }
        ExprKind::Ternary { condition, then, otherwise } => {
            f(condition);
            f(then);
            f(otherwise);
        }
        ExprKind::Case { operand, branches, otherwise } => {
            operand.iter().for_each(|operand| f(operand));
            for (condition, value) in branches {
                f(condition);
                f(value);
            }
            otherwise.iter().for_each(|otherwise| f(otherwise));
        }
        ExprKind::Dict(items) => {
            for (key, value) in items {
                f(key);
                f(value);
            }
        }
        ExprKind::Slice { expr, from, to } => {
            f(expr);
            from.iter().chain(to).for_each(|bound| f(bound));
        }
        ExprKind::Call(call) => call_children(call, f),
        ExprKind::CallExpr(callee, args) => {
            f(callee);
            args.iter().for_each(f);
        }
        ExprKind::Template(parts) => {
            for part in parts {
                if let TemplatePart::Expr(expr) = part {
                    f(expr);
                }
            }
        }
        ExprKind::Tag(tag) => {
            tag.attributes.iter().for_each(|(_, value)| f(value));
            tag.children.iter().for_each(f);
        }
    }
}

/// Calls `f` for the query that this expression directly holds, if it holds one.
pub fn child_queries<'a>(expr: &'a Expr, f: &mut dyn FnMut(&'a Query)) {
    if let ExprKind::Subquery(query) = &expr.kind {
        f(query);
    }
}

/// Calls `visit` for the expression and everything below it, parents first, without entering
/// subqueries. Where `visit` returns false, the children are left out.
pub fn walk<'a>(expr: &'a Expr, visit: &mut dyn FnMut(&'a Expr) -> bool) {
    if visit(expr) {
        children(expr, &mut |child| walk(child, visit));
    }
}

/// Calls `f` for each expression that stands directly in a clause of this SELECT, the conditions
/// of its joins included, in the order they are written. Common table expressions and queries in
/// FROM are not entered.
pub fn select_children<'a>(select: &'a Select, f: &mut dyn FnMut(&'a Expr)) {
    for cte in select.with.iter().flat_map(|with| &with.ctes) {
        if let CteBody::Scalar(value) = &cte.body {
            f(value);
        }
    }
    select.distinct_on.iter().for_each(&mut *f);
    select.columns.iter().for_each(&mut *f);
    if let Some(from) = &select.from {
        join_children(from, f);
    }
    for array_join in &select.array_joins {
        array_join.items.iter().for_each(|(array, _)| f(array));
    }
    select.prewhere.iter().for_each(&mut *f);
    select.filter.iter().for_each(&mut *f);
    match &select.group_by {
        Some(GroupBy::Keys { keys, .. } | GroupBy::Cube(keys) | GroupBy::Rollup(keys)) => {
            keys.iter().for_each(&mut *f);
        }
        Some(GroupBy::Sets(sets)) => sets.iter().flatten().for_each(&mut *f),
        Some(GroupBy::All) | None => {}
    }
    select.having.iter().for_each(&mut *f);
    select.qualify.iter().for_each(&mut *f);
    select.windows.iter().for_each(|(_, spec)| window_children(spec, f));
    order_by_children(&select.order_by, f);
    for (_, value) in select.interpolate.iter().flatten() {
        value.iter().for_each(&mut *f);
    }
    if let Some(limit_by) = &select.limit_by {
        f(&limit_by.count);
        limit_by.offset.iter().for_each(&mut *f);
        limit_by.keys.iter().for_each(&mut *f);
    }
    select.limit.iter().for_each(|limit| f(&limit.count));
    select.offset.iter().for_each(f);
}

fn star_children<'a>(star: &'a Star, f: &mut dyn FnMut(&'a Expr)) {
    star.replace.iter().for_each(|(value, _)| f(value));
}

fn call_children<'a>(call: &'a Call, f: &mut dyn FnMut(&'a Expr)) {
    call.params.iter().flatten().for_each(&mut *f);
    call.args.iter().for_each(&mut *f);
    order_by_children(&call.order_by, f);
    order_by_children(&call.within_group, f);
    call.filter.iter().for_each(&mut *f);
    if let Some(Over::Spec(spec)) = &call.over {
        window_children(spec, f);
    }
}

fn window_children<'a>(spec: &'a WindowSpec, f: &mut dyn FnMut(&'a Expr)) {
    spec.partition_by.iter().for_each(&mut *f);
    order_by_children(&spec.order_by, f);
    let Some(frame) = &spec.frame else { return };
    for bound in std::iter::once(&frame.start).chain(&frame.end) {
        if let FrameBound::Preceding(offset) | FrameBound::Following(offset) = bound {
            f(offset);
        }
    }
}

fn order_by_children<'a>(items: &'a [OrderBy], f: &mut dyn FnMut(&'a Expr)) {
    for item in items {
        f(&item.expr);
        if let Some(fill) = &item.fill {
            fill.from.iter().chain(&fill.to).chain(&fill.step).for_each(&mut *f);
        }
    }
}

fn join_children<'a>(join: &'a Join, f: &mut dyn FnMut(&'a Expr)) {
    match join {
        Join::Source(source) => source_children(source, f),
        Join::Join { left, right, constraint, .. } => {
            join_children(left, f);
            join_children(right, f);
            if let Some(JoinConstraint::On(condition)) = constraint {
                f(condition);
            }
        }
    }
}

fn source_children<'a>(source: &'a Source, f: &mut dyn FnMut(&'a Expr)) {
    match &source.kind {
        SourceKind::Table(_) | SourceKind::Query(_) => {}
        SourceKind::Function(_, args) => args.iter().for_each(&mut *f),
        SourceKind::Placeholder(expr) => f(expr),
        SourceKind::Tag(tag) => {
            tag.attributes.iter().for_each(|(_, value)| f(value));
            tag.children.iter().for_each(&mut *f);
        }
        SourceKind::Pivot(pivot) => {
            join_children(&pivot.source, f);
            pivot.aggregates.iter().for_each(&mut *f);
            for (column, values) in &pivot.columns {
                f(column);
                values.iter().for_each(&mut *f);
            }
            pivot.group_by.iter().for_each(&mut *f);
        }
        SourceKind::Unpivot(unpivot) => {
            join_children(&unpivot.source, f);
            for (value, name, columns) in &unpivot.columns {
                f(value);
                f(name);
                columns.iter().for_each(&mut *f);
            }
        }
    }
    if let Some(sample) = &source.sample {
        f(&sample.ratio);
        sample.offset.iter().for_each(f);
    }
}
