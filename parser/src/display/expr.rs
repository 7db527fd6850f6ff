//! Printing expressions. Every function takes the binding power around it and adds parentheses
//! where the expression binds looser.

use std::fmt::{self, Formatter, Write};

use super::{
    alias, comma_separated, dotted, exprs, function_name, is_word, name, parenthesised, query,
    quoted_name, string, types,
};
use crate::ast::{
    BinaryOp, Call, Columns, Expr, ExprKind, Float, IntervalUnit, Literal, Over, Query, Star, Tag,
    TemplatePart,
};
use crate::grammar::{op_power, power};
use crate::token::{Keyword, as_bool};

/// An expression where operators bind at least as tightly as `min`.
pub(super) fn expr(f: &mut Formatter<'_>, expr: &Expr, min: u8) -> fmt::Result {
    // HogQL wants `(* REPLACE (…))` in parentheses, except inside COLUMNS.
    let replaces = matches!(&expr.kind, ExprKind::Star(star) if !star.replace.is_empty());
    if own_power(expr) >= min && !replaces {
        return bare(f, expr);
    }
    f.write_char('(')?;
    bare(f, expr)?;
    f.write_char(')')
}

fn own_power(expr: &Expr) -> u8 {
    match &expr.kind {
        ExprKind::Alias(..) | ExprKind::Lambda { .. } | ExprKind::NamedArgument(..) => power::ALIAS,
        ExprKind::Ternary { .. } => power::TERNARY,
        ExprKind::Or(_) => power::OR,
        ExprKind::And(_) => power::AND,
        // A lambda after NOT takes all that follows.
        ExprKind::Not(inner) if own_power(inner) < power::NOT => power::ALIAS,
        ExprKind::Not(_) => power::NOT,
        ExprKind::Between { .. } => power::BETWEEN,
        ExprKind::Coalesce(..) => power::COALESCE,
        ExprKind::IsDistinctFrom { .. } => power::DISTINCT_FROM,
        ExprKind::IsNull { .. } => power::IS_NULL,
        ExprKind::IgnoreNulls(_) => power::IGNORE_NULLS,
        ExprKind::In { .. } | ExprKind::InCohort { .. } => power::COMPARISON,
        ExprKind::Binary(_, op, _) => op_power(*op),
        ExprKind::Negate(_) => power::NEGATION,
        ExprKind::Star(_) | ExprKind::Spread(_) => power::NEGATION,
        _ => power::POSTFIX,
    }
}

fn bare(f: &mut Formatter<'_>, e: &Expr) -> fmt::Result {
    match &e.kind {
        ExprKind::Literal(value) => literal(f, value),
        ExprKind::Field(parts) => match parts.as_slice() {
            // Bare, it would be the constant.
            [only] if as_bool(&only.name).is_some() => quoted_name(f, &only.name),
            _ => dotted(f, parts),
        },
        ExprKind::Star(value) => star(f, value),
        ExprKind::Columns(value) => columns(f, value),
        ExprKind::Spread(inner) => {
            f.write_char('*')?;
            expr(f, inner, power::POSTFIX)
        }
        ExprKind::Alias(inner, ident) => {
            // Aliases stack; what else binds as loosely would take this one into itself.
            let stacks = matches!(inner.kind, ExprKind::Alias(..));
            expr(f, inner, if stacks { power::ALIAS } else { power::TERNARY })?;
            f.write_str(" AS ")?;
            alias(f, ident)
        }
        ExprKind::Negate(inner) => negate(f, inner),
        ExprKind::Not(inner) => not(f, inner),
        ExprKind::Binary(left, op, right) => infix(f, left, op_text(*op), right, op_power(*op)),
        ExprKind::And(terms) => chain(f, terms, " AND ", power::AND),
        ExprKind::Or(terms) => chain(f, terms, " OR ", power::OR),
        ExprKind::IsNull { .. } | ExprKind::IgnoreNulls(_) => suffix(f, e),
        ExprKind::IsDistinctFrom { left, right, negated } => {
            let words = if *negated { " IS NOT DISTINCT FROM " } else { " IS DISTINCT FROM " };
            infix(f, left, words, right, power::DISTINCT_FROM)
        }
        ExprKind::Between { .. } => between(f, e),
        ExprKind::In { expr, right, negated } => {
            infix(f, expr, if *negated { " NOT IN " } else { " IN " }, right, power::COMPARISON)
        }
        ExprKind::InCohort { expr, cohort, negated } => {
            self::expr(f, expr, power::COMPARISON)?;
            f.write_str(if *negated { " NOT IN COHORT " } else { " IN COHORT " })?;
            expr_after_name(f, cohort, power::COMPARISON + 1)
        }
        ExprKind::Coalesce(left, right) => infix(f, left, " ?? ", right, power::COALESCE),
        ExprKind::Ternary { .. } => ternary(f, e),
        ExprKind::Case { .. } => case(f, e),
        ExprKind::Cast { expr, target, safe } => {
            f.write_str(if *safe { "TRY_CAST(" } else { "CAST(" })?;
            self::expr(f, expr, power::TERNARY)?;
            f.write_str(" AS ")?;
            types::type_name(f, target)?;
            f.write_char(')')
        }
        ExprKind::Interval { value, unit } => interval(f, value, *unit),
        ExprKind::Tuple(items) => {
            f.write_char('(')?;
            exprs(f, items)?;
            f.write_str(if items.len() == 1 { ",)" } else { ")" })
        }
        ExprKind::Array(items) => {
            f.write_char('[')?;
            exprs(f, items)?;
            f.write_char(']')
        }
        ExprKind::Dict(items) => dict(f, items),
        ExprKind::TupleElement { .. }
        | ExprKind::Index { .. }
        | ExprKind::Member { .. }
        | ExprKind::Slice { .. }
        | ExprKind::CallExpr(..) => postfix(f, e),
        ExprKind::Lambda { params, body } => {
            f.write_char('(')?;
            comma_separated(f, params, |f, param| name(f, &param.name))?;
            f.write_str(") -> ")?;
            expr(f, body, power::ALIAS)
        }
        ExprKind::NamedArgument(ident, value) => {
            name(f, &ident.name)?;
            f.write_str(" := ")?;
            expr(f, value, power::ALIAS)
        }
        ExprKind::PositionalColumn(position) => write!(f, "#{position}"),
        ExprKind::Call(value) => call(f, value),
        ExprKind::Subquery(value) => {
            f.write_char('(')?;
            query::query(f, value)?;
            f.write_char(')')
        }
        ExprKind::Placeholder(inner) => {
            f.write_char('{')?;
            expr(f, inner, power::ALIAS)?;
            f.write_char('}')
        }
        ExprKind::Template(parts) => template(f, parts),
        ExprKind::Tag(value) => tag(f, value),
    }
}

fn literal(f: &mut Formatter<'_>, value: &Literal) -> fmt::Result {
    match value {
        Literal::Null => f.write_str("NULL"),
        Literal::Bool(value) => write!(f, "{value}"),
        Literal::Int(value) => write!(f, "{value}"),
        Literal::BigInt(digits) => f.write_str(digits),
        Literal::Float(Float(value)) if value.is_nan() => f.write_str("nan"),
        // Debug keeps the point or exponent that makes it a float again.
        Literal::Float(Float(value)) => write!(f, "{value:?}"),
        Literal::String(text) => string(f, text),
    }
}

// ----- operators ------------------------------------------------------------------------------

/// `left op right`, left-associative.
fn infix(f: &mut Formatter<'_>, left: &Expr, words: &str, right: &Expr, own: u8) -> fmt::Result {
    expr(f, left, own)?;
    f.write_str(words)?;
    expr(f, right, own + 1)
}

fn chain(f: &mut Formatter<'_>, terms: &[Expr], words: &str, own: u8) -> fmt::Result {
    for (at, term) in terms.iter().enumerate() {
        if at > 0 {
            f.write_str(words)?;
        }
        expr(f, term, own + 1)?;
    }
    Ok(())
}

fn suffix(f: &mut Formatter<'_>, e: &Expr) -> fmt::Result {
    match &e.kind {
        ExprKind::IsNull { expr: inner, negated } => {
            expr(f, inner, power::IS_NULL)?;
            f.write_str(if *negated { " IS NOT NULL" } else { " IS NULL" })
        }
        ExprKind::IgnoreNulls(inner) => {
            expr(f, inner, power::IGNORE_NULLS)?;
            f.write_str(" IGNORE NULLS")
        }
        _ => Ok(()),
    }
}

fn between(f: &mut Formatter<'_>, e: &Expr) -> fmt::Result {
    let ExprKind::Between { expr: inner, low, high, negated } = &e.kind else { return Ok(()) };
    expr(f, inner, power::BETWEEN)?;
    f.write_str(if *negated { " NOT BETWEEN " } else { " BETWEEN " })?;
    expr(f, low, power::BETWEEN + 1)?;
    f.write_str(" AND ")?;
    expr(f, high, power::BETWEEN + 1)
}

fn ternary(f: &mut Formatter<'_>, e: &Expr) -> fmt::Result {
    let ExprKind::Ternary { condition, then, otherwise } = &e.kind else { return Ok(()) };
    expr(f, condition, power::TERNARY + 1)?;
    f.write_str(" ? ")?;
    expr(f, then, power::TERNARY)?;
    f.write_str(" : ")?;
    expr(f, otherwise, power::TERNARY)
}

/// `-e`, kept apart from what would fuse with the sign: a number, or a second minus that makes a
/// comment of both.
fn negate(f: &mut Formatter<'_>, inner: &Expr) -> fmt::Result {
    let fuses = matches!(start_of(inner, power::NEGATION), Start::Number | Start::Minus);
    f.write_char('-')?;
    expr(f, inner, if fuses { u8::MAX } else { power::NEGATION })
}

/// `NOT e`. Before a parenthesis that holds no query, NOT would be a function that ends with it,
/// so a lambda is written with its word.
fn not(f: &mut Formatter<'_>, inner: &Expr) -> fmt::Result {
    f.write_str("NOT ")?;
    match &inner.kind {
        ExprKind::Lambda { params, body } if !params.is_empty() => {
            f.write_str("lambda ")?;
            comma_separated(f, params, |f, param| name(f, &param.name))?;
            f.write_str(": ")?;
            expr(f, body, power::TERNARY)
        }
        ExprKind::NamedArgument(ident, value) => {
            name(f, &ident.name)?;
            f.write_str(" := ")?;
            expr(f, value, power::TERNARY)
        }
        // Which may hold one of those two.
        ExprKind::Not(_) => bare(f, inner),
        _ => expr(f, inner, power::NOT),
    }
}

fn is_query(e: &Expr) -> bool {
    matches!(&e.kind, ExprKind::Subquery(query) if matches!(query.as_ref(), Query::Select(_)))
}

/// What the printed text begins with, as far as it matters.
#[derive(PartialEq, Eq)]
enum Start {
    Paren,
    Query,
    Tag,
    Star,
    Number,
    Minus,
    Other,
}

/// What the text of this expression begins with, printed with this binding power around it.
fn start_of(e: &Expr, min: u8) -> Start {
    let (mut e, mut min) = (e, min);
    loop {
        if own_power(e) < min {
            return Start::Paren;
        }
        let (first, around): (&Expr, u8) = match &e.kind {
            ExprKind::Subquery(_) => return Start::Query,
            ExprKind::Tuple(_) | ExprKind::Lambda { .. } => return Start::Paren,
            ExprKind::Tag(_) => return Start::Tag,
            ExprKind::Literal(Literal::Int(_) | Literal::BigInt(_) | Literal::Float(_)) => {
                return Start::Number;
            }
            ExprKind::Negate(_) => return Start::Minus,
            ExprKind::Star(star) if !star.replace.is_empty() => return Start::Paren,
            ExprKind::Star(_) | ExprKind::Spread(_) => return Start::Star,
            ExprKind::Alias(inner, _) => match inner.kind {
                ExprKind::Alias(..) => (inner, power::ALIAS),
                _ => (inner, power::TERNARY),
            },
            ExprKind::Binary(left, op, _) => (left, op_power(*op)),
            ExprKind::And(terms) => (&terms[0], power::AND + 1),
            ExprKind::Or(terms) => (&terms[0], power::OR + 1),
            ExprKind::IsNull { expr, .. } => (expr, power::IS_NULL),
            ExprKind::IgnoreNulls(expr) => (expr, power::IGNORE_NULLS),
            ExprKind::IsDistinctFrom { left, .. } => (left, power::DISTINCT_FROM),
            ExprKind::Between { expr, .. } => (expr, power::BETWEEN),
            ExprKind::In { expr, .. } | ExprKind::InCohort { expr, .. } => {
                (expr, power::COMPARISON)
            }
            ExprKind::Coalesce(left, _) => (left, power::COALESCE),
            ExprKind::Ternary { condition, .. } => (condition, power::TERNARY + 1),
            ExprKind::TupleElement { expr, .. }
            | ExprKind::Index { expr, .. }
            | ExprKind::Member { expr, .. }
            | ExprKind::Slice { expr, .. }
            | ExprKind::CallExpr(expr, _) => {
                if needs_paren_before_postfix(e, expr) {
                    return Start::Paren;
                }
                (expr, power::ALIAS)
            }
            _ => return Start::Other,
        };
        (e, min) = (first, around);
    }
}

pub(super) fn not_before_paren(operand: &Expr) -> bool {
    // These have a form without parentheses after NOT.
    let is_bare = match &operand.kind {
        ExprKind::Lambda { params, .. } => !params.is_empty(),
        ExprKind::NamedArgument(..) | ExprKind::Not(_) => true,
        _ => false,
    };
    !is_bare && start_of(operand, power::NOT) == Start::Paren
}

/// An expression after a word that could itself be an operand: a tag there would read as `<`, and
/// a star would multiply, with a tag after it.
pub(super) fn expr_after_word(f: &mut Formatter<'_>, e: &Expr, min: u8) -> fmt::Result {
    let misreads = match start_of(e, min) {
        Start::Tag => true,
        Start::Star => !matches!(e.kind, ExprKind::Star(_) | ExprKind::Spread(_)),
        _ => false,
    };
    expr(f, e, if misreads { u8::MAX } else { min })
}

/// An expression after a word that is a name unless an operand follows: a star would multiply.
pub(super) fn expr_after_name(f: &mut Formatter<'_>, e: &Expr, min: u8) -> fmt::Result {
    let misreads = matches!(start_of(e, min), Start::Tag | Start::Star);
    expr(f, e, if misreads { u8::MAX } else { min })
}

fn op_text(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Multiply => " * ",
        BinaryOp::Divide => " / ",
        BinaryOp::Modulo => " % ",
        BinaryOp::Plus => " + ",
        BinaryOp::Minus => " - ",
        BinaryOp::Concat => " || ",
        BinaryOp::Eq => " = ",
        BinaryOp::NotEq => " != ",
        BinaryOp::Lt => " < ",
        BinaryOp::LtEq => " <= ",
        BinaryOp::Gt => " > ",
        BinaryOp::GtEq => " >= ",
        BinaryOp::Like => " LIKE ",
        BinaryOp::NotLike => " NOT LIKE ",
        BinaryOp::ILike => " ILIKE ",
        BinaryOp::NotILike => " NOT ILIKE ",
        BinaryOp::Match => " =~ ",
        BinaryOp::NotMatch => " !~ ",
        BinaryOp::IMatch => " =~* ",
        BinaryOp::NotIMatch => " !~* ",
    }
}

// ----- postfix forms --------------------------------------------------------------------------

fn postfix(f: &mut Formatter<'_>, e: &Expr) -> fmt::Result {
    match &e.kind {
        ExprKind::TupleElement { expr: target, index, nullish } => {
            postfix_target(f, e, target)?;
            write!(f, "{}{index}", if *nullish { "?." } else { "." })
        }
        ExprKind::Member { expr: target, name: member, nullish } => {
            postfix_target(f, e, target)?;
            f.write_str(if *nullish { "?." } else { "." })?;
            match target.kind {
                ExprKind::Literal(_) if !nullish && follows_digits(&member.name) => {
                    f.write_str(&member.name)
                }
                _ => name(f, &member.name),
            }
        }
        ExprKind::Index { expr: target, index, nullish } => {
            postfix_target(f, e, target)?;
            f.write_str(if *nullish { "?.[" } else { "[" })?;
            expr(f, index, power::ALIAS)?;
            f.write_char(']')
        }
        ExprKind::Slice { expr: target, from, to } => {
            postfix_target(f, e, target)?;
            f.write_char('[')?;
            if let Some(from) = from {
                expr(f, from, power::ALIAS)?;
            }
            f.write_char(':')?;
            if let Some(to) = to {
                expr(f, to, power::ALIAS)?;
            }
            f.write_char(']')
        }
        ExprKind::CallExpr(target, args) => {
            postfix_target(f, e, target)?;
            arguments(f, args)
        }
        _ => Ok(()),
    }
}

/// Whether a bare word reads as this name after digits and a dot: quoted, as an exponent, or before
/// a clause it would leave the dot to the number.
fn follows_digits(name: &str) -> bool {
    let is_exponent =
        name.starts_with(['e', 'E']) && name[1..].starts_with(|c: char| c.is_ascii_digit());
    let keyword = Keyword::from_text(name);
    let is_name = !keyword.is_some_and(|word| word.is_never_a_name() || word.follows_point());
    is_word(name) && !is_exponent && is_name
}

/// The call of `f() OVER w`.
fn window_call(e: &Expr) -> Option<&Call> {
    match &e.kind {
        ExprKind::Call(call) if call.over.is_some() => Some(call),
        _ => None,
    }
}

fn postfix_target(f: &mut Formatter<'_>, e: &Expr, target: &Expr) -> fmt::Result {
    if let ExprKind::IgnoreNulls(inner) = &target.kind
        && let Some(call) = window_call(inner)
    {
        call_arguments(f, call)?;
        f.write_str(" IGNORE NULLS")?;
        return over(f, call);
    }
    expr(f, target, if needs_paren_before_postfix(e, target) { u8::MAX } else { power::ALIAS })
}

fn needs_paren_before_postfix(e: &Expr, target: &Expr) -> bool {
    match (&target.kind, &e.kind) {
        // `a.b` is a field and `f(1)` a call.
        (ExprKind::Field(_), ExprKind::Member { nullish, .. }) => !nullish,
        (ExprKind::Field(parts), ExprKind::CallExpr(..)) => parts.len() == 1,
        (ExprKind::Field(_), _) => false,
        // `f(1)(2)` is a call with parameters.
        (ExprKind::Call(call), ExprKind::CallExpr(..)) => call.is_plain(),
        (ExprKind::Call(_), _) => false,
        (ExprKind::IgnoreNulls(inner), _) => window_call(inner).is_none(),
        // `1.2` and the beginning of ``1.`a` `` are numbers, and `true.a` a column.
        (
            ExprKind::Literal(Literal::Int(_) | Literal::BigInt(_)),
            ExprKind::TupleElement { nullish, .. },
        ) => !nullish,
        (
            ExprKind::Literal(Literal::Int(_) | Literal::BigInt(_)),
            ExprKind::Member { nullish, name, .. },
        ) => !nullish && !follows_digits(&name.name),
        (ExprKind::Literal(Literal::Bool(_)), ExprKind::Member { nullish, .. }) => !nullish,
        (ExprKind::Literal(Literal::Bool(_)), ExprKind::CallExpr(..)) => true,
        (ExprKind::Literal(_), _) => false,
        (
            ExprKind::PositionalColumn(_),
            ExprKind::Member { nullish, .. } | ExprKind::TupleElement { nullish, .. },
        ) => !nullish,
        (
            ExprKind::Index { .. }
            | ExprKind::Member { .. }
            | ExprKind::TupleElement { .. }
            | ExprKind::Slice { .. }
            | ExprKind::CallExpr(..)
            | ExprKind::Subquery(_)
            | ExprKind::Tuple(_)
            | ExprKind::Array(_)
            | ExprKind::Placeholder(_)
            | ExprKind::Dict(_)
            | ExprKind::Case { .. }
            | ExprKind::Columns(_)
            | ExprKind::PositionalColumn(_)
            | ExprKind::Template(_)
            | ExprKind::Tag(_)
            | ExprKind::Cast { .. },
            _,
        ) => false,
        (ExprKind::Interval { .. }, _) => false,
        _ => true,
    }
}

// ----- calls ----------------------------------------------------------------------------------

/// `(a, b)`, with a lone query bare: `exists(SELECT 1)`.
fn arguments(f: &mut Formatter<'_>, args: &[Expr]) -> fmt::Result {
    f.write_char('(')?;
    match args {
        [Expr { kind: ExprKind::Subquery(query), .. }] if is_query(&args[0]) => {
            query::query(f, query)?;
        }
        _ => exprs(f, args)?,
    }
    f.write_char(')')
}

fn call(f: &mut Formatter<'_>, call: &Call) -> fmt::Result {
    call_arguments(f, call)?;
    over(f, call)
}

/// A call up to its OVER.
fn call_arguments(f: &mut Formatter<'_>, call: &Call) -> fmt::Result {
    // `NOT (SELECT …)` negates; with more parentheses it is the function. With clauses only a
    // quoted name is surely one.
    let is_not = call.name.name.eq_ignore_ascii_case("not");
    match is_not && !call.is_plain() {
        true => write!(f, "`{}`", call.name.name)?,
        false => function_name(f, &call.name.name)?,
    }
    if let Some(params) = &call.params {
        parenthesised(f, params)?;
    }
    // A bare query is an argument where nothing else belongs to the call.
    if call.is_plain() && !is_not {
        arguments(f, &call.args)?;
    } else {
        f.write_str(if call.distinct { "(DISTINCT " } else { "(" })?;
        exprs(f, &call.args)?;
        if !call.order_by.is_empty() {
            f.write_str(if call.args.is_empty() { "ORDER BY " } else { " ORDER BY " })?;
            query::order_by(f, &call.order_by)?;
        }
        f.write_char(')')?;
    }
    if !call.within_group.is_empty() {
        f.write_str(" WITHIN GROUP (ORDER BY ")?;
        query::order_by(f, &call.within_group)?;
        f.write_char(')')?;
    }
    if let Some(filter) = &call.filter {
        f.write_str(" FILTER (WHERE ")?;
        expr(f, filter, power::ALIAS)?;
        f.write_char(')')?;
    }
    Ok(())
}

fn over(f: &mut Formatter<'_>, call: &Call) -> fmt::Result {
    match &call.over {
        None => Ok(()),
        Some(Over::Name(window)) => {
            f.write_str(" OVER ")?;
            name(f, &window.name)
        }
        Some(Over::Spec(spec)) => {
            f.write_str(" OVER ")?;
            query::window_spec(f, spec)
        }
    }
}

// ----- special forms --------------------------------------------------------------------------

fn case(f: &mut Formatter<'_>, e: &Expr) -> fmt::Result {
    let ExprKind::Case { operand, branches, otherwise } = &e.kind else { return Ok(()) };
    f.write_str("CASE")?;
    if let Some(operand) = operand {
        f.write_char(' ')?;
        expr(f, operand, power::ALIAS)?;
    }
    for (condition, value) in branches {
        f.write_str(" WHEN ")?;
        expr(f, condition, power::ALIAS)?;
        f.write_str(" THEN ")?;
        expr(f, value, power::ALIAS)?;
    }
    if let Some(otherwise) = otherwise {
        f.write_str(" ELSE ")?;
        expr(f, otherwise, power::ALIAS)?;
    }
    f.write_str(" END")
}

/// `INTERVAL e UNIT`. The unit is looked for after a bounded number of tokens, so only a value of
/// one token goes without parentheses.
fn interval(f: &mut Formatter<'_>, value: &Expr, unit: IntervalUnit) -> fmt::Result {
    let is_token = matches!(&value.kind, ExprKind::Literal(literal) if !is_negative(literal));
    f.write_str("INTERVAL ")?;
    expr(f, value, if is_token { power::POSTFIX } else { u8::MAX })?;
    f.write_str(match unit {
        IntervalUnit::Second => " SECOND",
        IntervalUnit::Minute => " MINUTE",
        IntervalUnit::Hour => " HOUR",
        IntervalUnit::Day => " DAY",
        IntervalUnit::Week => " WEEK",
        IntervalUnit::Month => " MONTH",
        IntervalUnit::Quarter => " QUARTER",
        IntervalUnit::Year => " YEAR",
    })
}

fn is_negative(literal: &Literal) -> bool {
    match literal {
        Literal::Int(value) => *value < 0,
        Literal::BigInt(digits) => digits.starts_with('-'),
        Literal::Float(Float(value)) => value.is_sign_negative(),
        _ => false,
    }
}

fn dict(f: &mut Formatter<'_>, items: &[(Expr, Expr)]) -> fmt::Result {
    f.write_char('{')?;
    comma_separated(f, items, |f, (key, value)| {
        expr(f, key, power::ALIAS)?;
        f.write_str(": ")?;
        expr(f, value, power::ALIAS)
    })?;
    f.write_char('}')
}

fn star(f: &mut Formatter<'_>, star: &Star) -> fmt::Result {
    if !star.table.is_empty() {
        dotted(f, &star.table)?;
        f.write_char('.')?;
    }
    f.write_char('*')?;
    if !star.exclude.is_empty() {
        f.write_str(" EXCLUDE (")?;
        comma_separated(f, &star.exclude, |f, parts| dotted(f, parts))?;
        f.write_char(')')?;
    }
    if !star.replace.is_empty() {
        f.write_str(" REPLACE (")?;
        comma_separated(f, &star.replace, |f, (value, column)| {
            expr(f, value, power::TERNARY)?;
            f.write_str(" AS ")?;
            name(f, &column.name)
        })?;
        f.write_char(')')?;
    }
    Ok(())
}

fn columns(f: &mut Formatter<'_>, columns: &Columns) -> fmt::Result {
    f.write_str("COLUMNS(")?;
    match columns {
        Columns::Regex(regex) => string(f, regex)?,
        Columns::List(items) => exprs(f, items)?,
        Columns::Star(value) => star(f, value)?,
    }
    f.write_char(')')
}

fn template(f: &mut Formatter<'_>, parts: &[TemplatePart]) -> fmt::Result {
    f.write_str("f'")?;
    for part in parts {
        match part {
            TemplatePart::Expr(hole) => {
                f.write_char('{')?;
                expr(f, hole, power::ALIAS)?;
                f.write_char('}')?;
            }
            TemplatePart::Text(text) => {
                for character in text.chars() {
                    match character {
                        '\'' => f.write_str("\\'")?,
                        '{' => f.write_str("\\{")?,
                        _ => super::escaped(f, character)?,
                    }
                }
            }
        }
    }
    f.write_char('\'')
}

/// A tag. Text between tags has no escapes, so it is printed as `{'…'}`.
pub(super) fn tag(f: &mut Formatter<'_>, tag: &Tag) -> fmt::Result {
    write!(f, "<{}", tag.name.name)?;
    for (attribute, value) in &tag.attributes {
        write!(f, " {}", attribute.name)?;
        match &value.kind {
            ExprKind::Literal(Literal::Bool(true)) => {}
            ExprKind::Literal(Literal::String(text)) => {
                f.write_char('=')?;
                string(f, text)?;
            }
            _ => {
                f.write_str("={")?;
                expr(f, value, power::ALIAS)?;
                f.write_char('}')?;
            }
        }
    }
    if tag.children.is_empty() {
        return f.write_str("/>");
    }
    f.write_char('>')?;
    for child in &tag.children {
        match &child.kind {
            ExprKind::Tag(child) => self::tag(f, child)?,
            _ => {
                f.write_char('{')?;
                expr(f, child, power::ALIAS)?;
                f.write_char('}')?;
            }
        }
    }
    write!(f, "</{}>", tag.name.name)
}
