//! Forms with a meaning of their own: render tags, dictionaries, cohorts, actions, columns by
//! pattern or position (`language.md` of the HogQL reference, sections 2.2 and 7).

use hedgerow_parser::{Span, ast};

use super::expr::Lowering;
use super::star::{self, Item};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::Typed;

/// The first element of a tuple that a user interface draws.
const TAG: &str = "__hx_tag";
/// The name of the tag that a dictionary is.
const OBJECT: &str = "__hx_obj";

/// A render tag: a tuple of its name, then names and values of its attributes in turn.
pub(super) fn tag<'a>(
    lowering: &mut Lowering<'_, 'a>,
    tag: &'a ast::Tag,
    span: Span,
) -> Result<Typed> {
    let mut elements = vec![Typed::text(TAG, span), Typed::text(&tag.name.name, tag.name.span)];
    for (name, value) in &tag.attributes {
        elements.push(Typed::text(&name.name, name.span));
        elements.push(lowering.lower(value)?);
    }
    if !tag.children.is_empty() {
        let children = lowering.args(&tag.children)?;
        elements.push(Typed::text("children", span));
        elements.push(lowering.call_scalar("tuple", children, span)?);
    }
    lowering.call_scalar("tuple", elements, span)
}

/// A dictionary: a tuple of a tag, then keys and values in turn.
pub(super) fn dictionary<'a>(
    lowering: &mut Lowering<'_, 'a>,
    entries: &'a [(ast::Expr, ast::Expr)],
    span: Span,
) -> Result<Typed> {
    let mut elements = vec![Typed::text(TAG, span), Typed::text(OBJECT, span)];
    for (key, value) in entries {
        elements.push(lowering.lower(key)?);
        elements.push(lowering.lower(value)?);
    }
    lowering.call_scalar("tuple", elements, span)
}

/// `x IN COHORT c`: membership of a cohort by number or name.
pub(super) fn cohort<'a>(
    lowering: &mut Lowering<'_, 'a>,
    member: &'a ast::Expr,
    cohort: &'a ast::Expr,
) -> Result<Typed> {
    lowering.lower(member)?;
    let (label, span) = reference(cohort, "a cohort")?;
    match lowering.scope.env.catalog.cohort(&label) {
        None => Err(unknown("cohort", &label, span)),
        Some(never) => match never {},
    }
}

/// `matchesAction('Signed up')`: whether the event is one of the action's.
pub(super) fn action(lowering: &Lowering<'_, '_>, call: &ast::Call, span: Span) -> Result<Typed> {
    let [action] = call.args.as_slice() else {
        let message =
            format!("function matchesAction expects 1 argument, found {}", call.args.len());
        return Err(Error::new(ErrorKind::UnknownFunction, message).at(span));
    };
    let (label, span) = reference(action, "an action")?;
    match lowering.scope.env.catalog.action(&label) {
        None => Err(unknown("action", &label, span)),
        Some(never) => match never {},
    }
}

/// The number or name by which something of the project is meant.
fn reference(expr: &ast::Expr, what: &str) -> Result<(String, Span)> {
    match &expr.kind {
        ast::ExprKind::Literal(ast::Literal::Int(number)) => Ok((number.to_string(), expr.span)),
        ast::ExprKind::Literal(ast::Literal::String(name)) => Ok((name.clone(), expr.span)),
        _ => {
            let message = format!("{what} is given by a constant number or name");
            Err(Error::new(ErrorKind::InvalidArgument, message).at(expr.span))
        }
    }
}

fn unknown(what: &str, label: &str, span: Span) -> Error {
    Error::new(ErrorKind::UnknownObject, format!("no {what} named {label}"))
        .at(span)
        .hint(format!("This project has no {what}s; write the condition itself."))
}

/// `#n`: the n-th column of FROM, from 1.
pub(super) fn positional(lowering: &Lowering<'_, '_>, position: u32, span: Span) -> Result<Typed> {
    let columns = lowering.scope.relations.iter().flat_map(|relation| &relation.columns);
    let mut visible = columns.filter(|column| !column.hidden);
    let count = visible.clone().count();
    let index = (position as usize).checked_sub(1);
    match index.and_then(|index| visible.nth(index)) {
        Some(column) => Ok(lowering.column(column, span)),
        None => {
            let message = format!("no column #{position}: FROM has {count} columns");
            Err(Error::new(ErrorKind::UnknownColumn, message).at(span))
        }
    }
}

/// `COLUMNS(…)` inside a select item, which was expanded to one item per column.
pub(super) fn one_of_columns<'a>(
    lowering: &mut Lowering<'_, 'a>,
    columns: &'a ast::Columns,
    span: Span,
) -> Result<Typed> {
    let Some(position) = lowering.column else {
        let message = "COLUMNS stands for several values where one is needed";
        return Err(Error::new(ErrorKind::Syntax, message)
            .at(span)
            .hint("In the select list an expression with COLUMNS is computed for each column."));
    };
    let items = star::columns(lowering.scope, columns, span)?;
    let item = items.get(position).ok_or_else(|| Error::internal("a column too many"))?;
    of_item(lowering, item)
}

/// The values that `*COLUMNS(…)` puts into a list of arguments.
pub(super) fn spread<'a>(
    lowering: &mut Lowering<'_, 'a>,
    inner: &'a ast::Expr,
    values: &mut Vec<Typed>,
) -> Result<()> {
    let ast::ExprKind::Columns(columns) = &inner.kind else {
        let message = "only COLUMNS(…) can be spread into arguments";
        return Err(Error::new(ErrorKind::Syntax, message).at(inner.span));
    };
    for item in star::columns(lowering.scope, columns, inner.span)? {
        values.push(of_item(lowering, &item)?);
    }
    Ok(())
}

fn of_item<'a>(lowering: &mut Lowering<'_, 'a>, item: &Item<'a>) -> Result<Typed> {
    match item {
        Item::Column(column, span) => Ok(lowering.column(column, *span)),
        Item::Expr(expr, _) | Item::OfColumn(expr, ..) | Item::Replaced(expr, ..) => {
            lowering.lower(expr)
        }
    }
}
