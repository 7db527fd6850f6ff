//! Printing queries.

use std::fmt::{self, Formatter, Write};

use super::expr::{expr, expr_after_name, expr_after_word, tag};
use super::{alias, comma_separated, dotted, exprs, name, parenthesised};
use crate::ast::{
    Cte, CteBody, Expr, Frame, FrameBound, FrameUnit, GroupBy, GroupModifier, Join, JoinConstraint,
    JoinKind, JoinStrictness, Limit, Lock, LockStrength, LockWait, OrderBy, Query, Select, SetKind,
    SetOperator, SetQuery, Source, SourceKind, WindowSpec, With,
};
use crate::grammar::power;

pub(super) fn query(f: &mut Formatter<'_>, query: &Query) -> fmt::Result {
    match query {
        Query::Select(value) => select(f, value),
        Query::Set(value) => set(f, value),
        Query::Values(values) => {
            f.write_str("VALUES ")?;
            comma_separated(f, &values.rows, |f, row| parenthesised(f, row))
        }
        Query::Placeholder(inner) => placeholder(f, inner),
        Query::Tag(tag) => expr(f, tag, power::ALIAS),
    }
}

fn placeholder(f: &mut Formatter<'_>, inner: &Expr) -> fmt::Result {
    f.write_char('{')?;
    expr(f, inner, power::ALIAS)?;
    f.write_char('}')
}

fn in_parens(f: &mut Formatter<'_>, value: &Query) -> fmt::Result {
    f.write_char('(')?;
    query(f, value)?;
    f.write_char(')')
}

// ----- sets -----------------------------------------------------------------------------------

fn set(f: &mut Formatter<'_>, set: &SetQuery) -> fmt::Result {
    if let Some(value) = &set.with {
        with(f, value)?;
    }
    let has_clauses = !set.order_by.is_empty() || set.limit.is_some() || set.offset.is_some();
    let last = set.rest.len();
    let operands = std::iter::once(&set.first).chain(set.rest.iter().map(|(_, operand)| operand));
    for (at, operand) in operands.enumerate() {
        if at > 0 {
            set_operator(f, set.rest[at - 1].0)?;
        }
        // Whatever trails a bare SELECT belongs to it, not to the set; WITH is the reverse.
        let takes_what_follows = at == last && (has_clauses || set.rest.is_empty());
        let needs_parens = match operand {
            Query::Select(select) => takes_what_follows || has_outer_clauses(select),
            Query::Placeholder(_) => at == 0 && set.with.is_some(),
            Query::Set(_) | Query::Values(_) | Query::Tag(_) => true,
        };
        if needs_parens { in_parens(f, operand)? } else { query(f, operand)? }
    }
    if !set.order_by.is_empty() {
        f.write_str(" ORDER BY ")?;
        order_by(f, &set.order_by)?;
    }
    limit_and_offset(f, set.limit.as_ref(), set.offset.as_ref())
}

fn has_outer_clauses(select: &Select) -> bool {
    select.with.is_some()
        || !select.order_by.is_empty()
        || select.interpolate.is_some()
        || select.limit_by.is_some()
        || select.limit.is_some()
        || select.offset.is_some()
        || !select.locks.is_empty()
}

fn set_operator(f: &mut Formatter<'_>, operator: SetOperator) -> fmt::Result {
    f.write_str(match operator.kind {
        SetKind::Union => " UNION",
        SetKind::Intersect => " INTERSECT",
        SetKind::Except => " EXCEPT",
    })?;
    if operator.all {
        f.write_str(" ALL")?;
    }
    f.write_str(if operator.by_name { " BY NAME " } else { " " })
}

// ----- SELECT ---------------------------------------------------------------------------------

fn select(f: &mut Formatter<'_>, select: &Select) -> fmt::Result {
    if let Some(value) = &select.with {
        with(f, value)?;
    }
    f.write_str("SELECT ")?;
    if !select.distinct_on.is_empty() {
        f.write_str("DISTINCT ON ")?;
        parenthesised(f, &select.distinct_on)?;
        f.write_char(' ')?;
    }
    f.write_str(if select.distinct { "DISTINCT " } else { "" })?;
    // After the parenthesis of DISTINCT ON `<` compares.
    let (first, others) = select.columns.split_at(usize::from(!select.distinct_on.is_empty()));
    first.iter().try_for_each(|column| expr_after_word(f, column, power::ALIAS))?;
    f.write_str(if first.is_empty() || others.is_empty() { "" } else { ", " })?;
    exprs(f, others)?;
    if let Some(from) = &select.from {
        f.write_str(" FROM ")?;
        join(f, from)?;
    }
    for array_join in &select.array_joins {
        f.write_str(if array_join.left { " LEFT ARRAY JOIN " } else { " ARRAY JOIN " })?;
        comma_separated(f, &array_join.items, |f, (array, item)| {
            expr(f, array, power::TERNARY)?;
            f.write_str(" AS ")?;
            alias(f, item)
        })?;
    }
    clause(f, " PREWHERE ", select.prewhere.as_ref())?;
    clause(f, " WHERE ", select.filter.as_ref())?;
    if let Some(keys) = &select.group_by {
        group_by(f, keys)?;
    }
    clause(f, " HAVING ", select.having.as_ref())?;
    clause(f, " QUALIFY ", select.qualify.as_ref())?;
    if !select.windows.is_empty() {
        f.write_str(" WINDOW ")?;
        comma_separated(f, &select.windows, |f, (window, spec)| {
            name(f, &window.name)?;
            f.write_str(" AS ")?;
            window_spec(f, spec)
        })?;
    }
    select_tail(f, select)
}

/// ORDER BY and the limits.
fn select_tail(f: &mut Formatter<'_>, select: &Select) -> fmt::Result {
    if !select.order_by.is_empty() {
        f.write_str(" ORDER BY ")?;
        order_by(f, &select.order_by)?;
    }
    if let Some(columns) = &select.interpolate {
        f.write_str(" INTERPOLATE")?;
        if !columns.is_empty() {
            f.write_str(" (")?;
            comma_separated(f, columns, |f, (column, value)| {
                name(f, &column.name)?;
                clause(f, " AS ", value.as_ref())
            })?;
            f.write_char(')')?;
        }
    }
    if let Some(limit_by) = &select.limit_by {
        f.write_str(" LIMIT ")?;
        expr_after_word(f, &limit_by.count, power::TERNARY)?;
        if let Some(offset) = &limit_by.offset {
            f.write_str(" OFFSET ")?;
            expr_after_word(f, offset, power::TERNARY)?;
        }
        f.write_str(" BY ")?;
        exprs(f, &limit_by.keys)?;
    }
    limit_and_offset(f, select.limit.as_ref(), select.offset.as_ref())?;
    select.locks.iter().try_for_each(|each| lock(f, each))
}

fn lock(f: &mut Formatter<'_>, lock: &Lock) -> fmt::Result {
    f.write_str(match lock.strength {
        LockStrength::Update => " FOR UPDATE",
        LockStrength::NoKeyUpdate => " FOR NO KEY UPDATE",
        LockStrength::Share => " FOR SHARE",
        LockStrength::KeyShare => " FOR KEY SHARE",
    })?;
    if !lock.of.is_empty() {
        f.write_str(" OF ")?;
        comma_separated(f, &lock.of, |f, table| name(f, &table.name))?;
    }
    f.write_str(match lock.wait {
        None => "",
        Some(LockWait::NoWait) => " NOWAIT",
        Some(LockWait::SkipLocked) => " SKIP LOCKED",
    })
}

fn clause(f: &mut Formatter<'_>, words: &str, value: Option<&Expr>) -> fmt::Result {
    let Some(value) = value else { return Ok(()) };
    f.write_str(words)?;
    expr(f, value, power::ALIAS)
}

fn limit_and_offset(
    f: &mut Formatter<'_>,
    limit: Option<&Limit>,
    offset: Option<&Expr>,
) -> fmt::Result {
    if let Some(limit) = limit {
        f.write_str(" LIMIT ")?;
        expr_after_word(f, &limit.count, power::TERNARY)?;
        f.write_str(if limit.percent { "%" } else { "" })?;
        f.write_str(if limit.with_ties { " WITH TIES" } else { "" })?;
    }
    if let Some(offset) = offset {
        f.write_str(" OFFSET ")?;
        expr_after_word(f, offset, power::TERNARY)?;
    }
    Ok(())
}

fn with(f: &mut Formatter<'_>, with: &With) -> fmt::Result {
    f.write_str(if with.recursive { "WITH RECURSIVE " } else { "WITH " })?;
    let mut is_first = with.recursive;
    comma_separated(f, &with.ctes, |f, each| {
        let after_name = std::mem::take(&mut is_first);
        cte(f, each, if after_name { expr_after_name } else { expr })
    })?;
    f.write_char(' ')
}

fn cte(
    f: &mut Formatter<'_>,
    cte: &Cte,
    scalar: fn(&mut Formatter<'_>, &Expr, u8) -> fmt::Result,
) -> fmt::Result {
    match &cte.body {
        CteBody::Scalar(value) => {
            scalar(f, value, power::TERNARY)?;
            f.write_str(" AS ")?;
            name(f, &cte.name.name)
        }
        CteBody::Table { columns, key, materialized, query } => {
            name(f, &cte.name.name)?;
            if !columns.is_empty() {
                names(f, columns)?;
            }
            if !key.is_empty() {
                f.write_str(" USING KEY ")?;
                names(f, key)?;
            }
            f.write_str(match materialized {
                None => " AS ",
                Some(true) => " AS MATERIALIZED ",
                Some(false) => " AS NOT MATERIALIZED ",
            })?;
            in_parens(f, query)
        }
    }
}

/// `(a, b)`.
fn names(f: &mut Formatter<'_>, idents: &[crate::ast::Ident]) -> fmt::Result {
    f.write_char('(')?;
    comma_separated(f, idents, |f, ident| name(f, &ident.name))?;
    f.write_char(')')
}

fn group_by(f: &mut Formatter<'_>, group_by: &GroupBy) -> fmt::Result {
    f.write_str(" GROUP BY ")?;
    match group_by {
        GroupBy::All => f.write_str("ALL"),
        GroupBy::Cube(keys) => {
            f.write_str("CUBE")?;
            parenthesised(f, keys)
        }
        GroupBy::Rollup(keys) => {
            f.write_str("ROLLUP")?;
            parenthesised(f, keys)
        }
        GroupBy::Sets(sets) => {
            f.write_str("GROUPING SETS (")?;
            comma_separated(f, sets, |f, set| parenthesised(f, set))?;
            f.write_char(')')
        }
        GroupBy::Keys { keys, modifier, totals } => {
            exprs(f, keys)?;
            f.write_str(match modifier {
                None => "",
                Some(GroupModifier::Cube) => " WITH CUBE",
                Some(GroupModifier::Rollup) => " WITH ROLLUP",
            })?;
            f.write_str(if *totals { " WITH TOTALS" } else { "" })
        }
    }
}

// ----- ORDER BY and windows -------------------------------------------------------------------

pub(super) fn order_by(f: &mut Formatter<'_>, items: &[OrderBy]) -> fmt::Result {
    comma_separated(f, items, |f, item| {
        expr(f, &item.expr, power::ALIAS)?;
        f.write_str(if item.descending { " DESC" } else { "" })?;
        f.write_str(match item.nulls_first {
            None => "",
            Some(true) => " NULLS FIRST",
            Some(false) => " NULLS LAST",
        })?;
        if let Some(collation) = &item.collate {
            f.write_str(" COLLATE ")?;
            super::string(f, collation)?;
        }
        let Some(fill) = &item.fill else { return Ok(()) };
        f.write_str(" WITH FILL")?;
        for (words, bound) in [(" FROM ", &fill.from), (" TO ", &fill.to), (" STEP ", &fill.step)] {
            if let Some(bound) = bound {
                f.write_str(words)?;
                expr_after_word(f, bound, power::TERNARY)?;
            }
        }
        Ok(())
    })
}

pub(super) fn window_spec(f: &mut Formatter<'_>, spec: &WindowSpec) -> fmt::Result {
    f.write_char('(')?;
    let mut gap = "";
    if !spec.partition_by.is_empty() {
        f.write_str("PARTITION BY ")?;
        exprs(f, &spec.partition_by)?;
        gap = " ";
    }
    if !spec.order_by.is_empty() {
        f.write_str(gap)?;
        f.write_str("ORDER BY ")?;
        order_by(f, &spec.order_by)?;
        gap = " ";
    }
    if let Some(value) = &spec.frame {
        f.write_str(gap)?;
        frame(f, value)?;
    }
    f.write_char(')')
}

fn frame(f: &mut Formatter<'_>, frame: &Frame) -> fmt::Result {
    f.write_str(match frame.unit {
        FrameUnit::Rows => "ROWS ",
        FrameUnit::Range => "RANGE ",
        FrameUnit::Groups => "GROUPS ",
    })?;
    let Some(end) = &frame.end else { return frame_bound(f, &frame.start) };
    f.write_str("BETWEEN ")?;
    frame_bound(f, &frame.start)?;
    f.write_str(" AND ")?;
    frame_bound(f, end)
}

fn frame_bound(f: &mut Formatter<'_>, bound: &FrameBound) -> fmt::Result {
    let (offset, words) = match bound {
        FrameBound::CurrentRow => return f.write_str("CURRENT ROW"),
        FrameBound::UnboundedPreceding => return f.write_str("UNBOUNDED PRECEDING"),
        FrameBound::UnboundedFollowing => return f.write_str("UNBOUNDED FOLLOWING"),
        FrameBound::Preceding(offset) => (offset, " PRECEDING"),
        FrameBound::Following(offset) => (offset, " FOLLOWING"),
    };
    expr_after_word(f, offset, power::NOT)?;
    f.write_str(words)
}

// ----- FROM -----------------------------------------------------------------------------------

fn join(f: &mut Formatter<'_>, tree: &Join) -> fmt::Result {
    let (left, kind, strictness, natural, right, constraint) = match tree {
        Join::Source(value) => return source(f, value),
        Join::Join { left, kind, strictness, natural, right, constraint, .. } => {
            (left, kind, strictness, natural, right, constraint)
        }
    };
    join(f, left)?;
    f.write_str(if *natural { " NATURAL" } else { "" })?;
    f.write_str(match strictness {
        None => "",
        Some(JoinStrictness::All) => " ALL",
        Some(JoinStrictness::Any) => " ANY",
        Some(JoinStrictness::Asof) => " ASOF",
        Some(JoinStrictness::Semi) => " SEMI",
        Some(JoinStrictness::Anti) => " ANTI",
        Some(JoinStrictness::AsofSemi) => " ASOF SEMI",
        Some(JoinStrictness::AsofAnti) => " ASOF ANTI",
    })?;
    f.write_str(match kind {
        JoinKind::Inner => " JOIN ",
        JoinKind::Left => " LEFT JOIN ",
        JoinKind::Right => " RIGHT JOIN ",
        JoinKind::Full => " FULL JOIN ",
        JoinKind::Cross => " CROSS JOIN ",
        JoinKind::Positional => " POSITIONAL JOIN ",
    })?;
    source_or_parens(f, right)?;
    match constraint {
        None => Ok(()),
        Some(JoinConstraint::On(condition)) => clause(f, " ON ", Some(condition)),
        Some(JoinConstraint::Using(columns)) => {
            f.write_str(" USING ")?;
            names(f, columns)
        }
    }
}

/// A source where a join would need parentheses.
fn source_or_parens(f: &mut Formatter<'_>, tree: &Join) -> fmt::Result {
    match tree {
        Join::Source(value) => source(f, value),
        Join::Join { .. } => {
            f.write_char('(')?;
            join(f, tree)?;
            f.write_char(')')
        }
    }
}

pub(super) fn source(f: &mut Formatter<'_>, source: &Source) -> fmt::Result {
    f.write_str(if source.lateral { "LATERAL " } else { "" })?;
    match &source.kind {
        SourceKind::Table(parts) => dotted(f, parts)?,
        SourceKind::Function(function, args) => {
            name(f, &function.name)?;
            parenthesised(f, args)?;
        }
        SourceKind::Query(value) => in_parens(f, value)?,
        SourceKind::Placeholder(inner) => placeholder(f, inner)?,
        SourceKind::Tag(value) => tag(f, value)?,
        SourceKind::Pivot(pivot) => {
            source_or_parens(f, &pivot.source)?;
            f.write_str(" PIVOT (")?;
            exprs(f, &pivot.aggregates)?;
            f.write_str(" FOR ")?;
            for (column, values) in &pivot.columns {
                expr_after_word(f, column, power::SUM)?;
                f.write_str(" IN ")?;
                parenthesised(f, values)?;
                f.write_char(' ')?;
            }
            if !pivot.group_by.is_empty() {
                f.write_str("GROUP BY ")?;
                exprs(f, &pivot.group_by)?;
            }
            f.write_char(')')?;
        }
        SourceKind::Unpivot(unpivot) => {
            source_or_parens(f, &unpivot.source)?;
            f.write_str(if unpivot.include_nulls {
                " UNPIVOT INCLUDE NULLS ("
            } else {
                " UNPIVOT ("
            })?;
            comma_separated(f, &unpivot.columns, |f, (value, column, columns)| {
                expr(f, value, power::SUM)?;
                f.write_str(" FOR ")?;
                expr_after_word(f, column, power::SUM)?;
                f.write_str(" IN ")?;
                parenthesised(f, columns)
            })?;
            f.write_char(')')?;
        }
    }
    source_suffix(f, source)
}

/// Ordinality, time, alias and sample.
fn source_suffix(f: &mut Formatter<'_>, source: &Source) -> fmt::Result {
    f.write_str(if source.ordinality { " WITH ORDINALITY" } else { "" })?;
    if let Some(time) = &source.as_of {
        write!(f, " AS OF TIMESTAMP {time}")?;
    }
    if let Some(ident) = &source.alias {
        f.write_str(" AS ")?;
        alias(f, ident)?;
        if !source.columns.is_empty() {
            f.write_char(' ')?;
            names(f, &source.columns)?;
        }
    }
    if let Some(sample) = &source.sample {
        f.write_str(" SAMPLE ")?;
        expr(f, &sample.ratio, power::PRODUCT)?;
        f.write_str(if sample.percent { "%" } else { "" })?;
        if let Some(offset) = &sample.offset {
            f.write_str(" OFFSET ")?;
            expr(f, offset, power::PRODUCT)?;
        }
    }
    Ok(())
}
