//! Access into values: JSON properties, tuple elements, array items, map entries.
//!
//! Every read of a property is a call of a function of `functions/json/property.rs`, so that the
//! store can answer it from a column of its own where it has one. A key of the events' own properties is
//! read as the type that the catalogue or the session gives it.

use datafusion::common::ExprSchema;
use datafusion::logical_expr::Expr;
use hedgerow_parser::{Span, ast};

use super::expr::Lowering;
use crate::answer::Notice;
use crate::error::{Error, ErrorKind, Result, did_you_mean};
use crate::functions::Typed;
use crate::functions::json::property::View;
use crate::storage::PROPERTY_TYPES;
use crate::types::Type;
use crate::types::property::PropertyType;

/// The function that reads a property: JSON text, then the path as constants.
/// Walks from a value down the remaining parts of a dotted name.
pub(super) fn walk(
    lowering: &mut Lowering<'_, '_>,
    base: Typed,
    parts: &[ast::Ident],
    span: Span,
) -> Result<Typed> {
    if base.ty == Type::Json && !parts.is_empty() {
        let keys = parts.iter().map(|part| Typed::text(&part.name, part.span)).collect();
        return read(lowering, base, keys, span);
    }
    let mut value = base;
    for part in parts {
        value = member(lowering, value, part, span)?;
    }
    Ok(value)
}

/// `e.1`, `e[i]`, `e.name`.
pub(super) fn access<'a>(lowering: &mut Lowering<'_, 'a>, expr: &'a ast::Expr) -> Result<Typed> {
    if let Some((json, keys)) = path(lowering, expr)?
        && !keys.is_empty()
    {
        return read(lowering, json, keys, expr.span);
    }
    let span = expr.span;
    match &expr.kind {
        ast::ExprKind::TupleElement { expr, index, .. } => {
            let value = lowering.lower(expr)?;
            let index = Typed::int(i64::from(*index), span);
            match value.ty {
                Type::Array(_) => lowering.call_scalar("arrayElement", vec![value, index], span),
                _ => lowering.call_scalar("tupleElement", vec![value, index], span),
            }
        }
        ast::ExprKind::Index { expr, index, .. } => {
            let value = lowering.lower(expr)?;
            let index = lowering.lower(index)?;
            match value.ty {
                Type::Tuple(_) => lowering.call_scalar("tupleElement", vec![value, index], span),
                _ => lowering.call_scalar("arrayElement", vec![value, index], span),
            }
        }
        ast::ExprKind::Member { expr, name, .. } => {
            let value = lowering.lower(expr)?;
            member(lowering, value, name, span)
        }
        _ => lowering.lower(expr),
    }
}

fn member(
    lowering: &mut Lowering<'_, '_>,
    value: Typed,
    name: &ast::Ident,
    span: Span,
) -> Result<Typed> {
    let key = Typed::text(&name.name, name.span);
    match &value.ty {
        Type::Json => read(lowering, value, vec![key], span),
        Type::Tuple(_) => lowering.call_scalar("tupleElement", vec![value, key], span),
        Type::Map(..) => lowering.call_scalar("arrayElement", vec![value, key], span),
        other => {
            let message = format!("a value of type {other} has no field {}", name.name);
            Err(Error::new(ErrorKind::UnknownColumn, message).at(name.span))
        }
    }
}

fn read(
    lowering: &mut Lowering<'_, '_>,
    json: Typed,
    keys: Vec<Typed>,
    span: Span,
) -> Result<Typed> {
    let ty = property_type(lowering, &json, &keys);
    let view = match ty {
        PropertyType::String | PropertyType::DateTime => View::Text,
        PropertyType::Numeric => View::Number,
        PropertyType::Boolean => View::Boolean,
    };
    let mut args = vec![json];
    args.extend(keys);
    let value = lowering.call_scalar(view.function(), args, span)?;
    match ty {
        PropertyType::DateTime => lowering.call_scalar("toDateTime", vec![value], span),
        _ => Ok(value),
    }
}

/// The type of a single key of the events' own properties; all else is text.
fn property_type(lowering: &Lowering<'_, '_>, json: &Typed, keys: &[Typed]) -> PropertyType {
    let [key] = keys else { return PropertyType::String };
    let Some(name) = key.as_text() else { return PropertyType::String };
    let has_types = match &json.expr {
        Expr::Column(column) => {
            let field = lowering.scope.plan.schema().field_from_column(column);
            field.is_ok_and(|field| field.metadata().contains_key(PROPERTY_TYPES))
        }
        Expr::OuterReferenceColumn(field, _) => field.metadata().contains_key(PROPERTY_TYPES),
        _ => false,
    };
    if !has_types {
        return PropertyType::String;
    }
    let env = lowering.scope.env;
    if let Some(ty) = env.settings.property_types.get(name) {
        return *ty;
    }
    match env.catalog.property_type(name) {
        Some(ty) => ty,
        None => {
            let properties = env.catalog.properties();
            if properties.is_complete() {
                let keys = properties.iter().map(|(key, _)| key);
                let notice = Notice {
                    message: format!("no event has a property named {name}"),
                    hint: did_you_mean(name, keys),
                };
                env.warn(notice, key.span);
            }
            PropertyType::String
        }
    }
}

/// The JSON value and the keys of a path with constant steps; none for anything else.
fn path<'a>(
    lowering: &mut Lowering<'_, 'a>,
    expr: &'a ast::Expr,
) -> Result<Option<(Typed, Vec<Typed>)>> {
    let (inner, key) = match &expr.kind {
        ast::ExprKind::Field(chain) => {
            let (base, rest) = lowering.resolve(chain, expr.span)?;
            if base.ty != Type::Json {
                return Ok(None);
            }
            let keys = rest.iter().map(|part| Typed::text(&part.name, part.span)).collect();
            return Ok(Some((base, keys)));
        }
        ast::ExprKind::TupleElement { expr: inner, index, .. } => {
            (inner, Typed::int(i64::from(*index), expr.span))
        }
        ast::ExprKind::Index { expr: inner, index, .. } => match &index.kind {
            ast::ExprKind::Literal(ast::Literal::String(key)) => {
                (inner, Typed::text(key, index.span))
            }
            ast::ExprKind::Literal(ast::Literal::Int(item)) => {
                (inner, Typed::int(*item, index.span))
            }
            _ => return Ok(None),
        },
        ast::ExprKind::Member { expr: inner, name, .. } => {
            (inner, Typed::text(&name.name, name.span))
        }
        _ => return Ok(None),
    };
    Ok(path(lowering, inner)?.map(|(json, mut keys)| {
        keys.push(key);
        (json, keys)
    }))
}
