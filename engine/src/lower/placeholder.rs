//! Placeholders: `{variables.x}`, `{filters}`, `{1 + 1}`.
//!
//! A value is a tree that SET has read as an expression; it is lowered where the placeholder
//! stands and never becomes text again, so it can say nothing but what one expression says.

use hedgerow_parser::{Span, ast};

use super::expr::Lowering;
use super::scope::{Ctes, Scope};
use super::{Environment, query};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::Typed;

/// A placeholder in FROM.
pub(super) enum Source<'a> {
    Table(&'a [ast::Ident]),
    Query(&'a ast::Query),
}

/// Lowers a placeholder that stands for a value.
pub(super) fn value<'a>(
    lowering: &mut Lowering<'_, 'a>,
    content: &'a ast::Expr,
    span: Span,
) -> Result<Typed> {
    let env = lowering.scope.env;
    let typed = match meaning(env, content)? {
        Meaning::Value(value) => within(env, content, || lowering.lower(value))?,
        Meaning::NoFilters => Typed::bool(true, span),
        Meaning::Computed => {
            // Nothing of the query around it is in sight.
            let mut outside = Scope::new(env, lowering.scope.ctes)?;
            Lowering::new(&mut outside).lower(content).map_err(|error| match error.kind {
                ErrorKind::UnknownColumn => unresolved(content),
                _ => error,
            })?
        }
    };
    Ok(Typed { span, ..typed })
}

/// What a placeholder in FROM stands for.
pub(super) fn source<'a>(env: &'a Environment<'a>, content: &'a ast::Expr) -> Result<Source<'a>> {
    let found = match meaning(env, content)? {
        Meaning::Value(value) => &value.kind,
        Meaning::NoFilters | Meaning::Computed => &content.kind,
    };
    match found {
        ast::ExprKind::Field(name) if !matches!(meaning(env, content)?, Meaning::NoFilters) => {
            Ok(Source::Table(name))
        }
        ast::ExprKind::Subquery(query) => Ok(Source::Query(query)),
        _ => Err(wrong_form(content, "a table or a query")),
    }
}

/// The query that a placeholder stands for.
pub(super) fn query<'a>(
    env: &'a Environment<'_>,
    content: &'a ast::Expr,
) -> Result<&'a ast::Query> {
    match meaning(env, content)? {
        Meaning::Value(ast::Expr { kind: ast::ExprKind::Subquery(query), .. }) => Ok(query),
        Meaning::Computed => match &content.kind {
            ast::ExprKind::Subquery(query) => Ok(query),
            _ => Err(wrong_form(content, "a query")),
        },
        _ => Err(wrong_form(content, "a query")),
    }
}

/// Lowers a query that a placeholder stands for.
pub(super) fn lower_query(
    env: &Environment<'_>,
    ctes: &Ctes<'_>,
    content: &ast::Expr,
) -> Result<super::Lowered> {
    let query = query(env, content)?;
    within(env, content, || query::lower_in(env, ctes, query))
}

/// Runs `lower` on the value of the placeholder with this content. The place of an error is the
/// placeholder: the value's own text is not at hand.
pub(super) fn within<T>(
    env: &Environment<'_>,
    content: &ast::Expr,
    lower: impl FnOnce() -> Result<T>,
) -> Result<T> {
    if env.in_placeholder.replace(true) {
        let message = "the value of a placeholder cannot use another placeholder";
        return Err(Error::unsupported(message).at(content.span));
    }
    env.other_texts.set(true);
    let lowered = lower();
    env.in_placeholder.set(false);
    lowered.map_err(|error| Error { span: Some(content.span), ..error })
}

enum Meaning<'a> {
    Value(&'a ast::Expr),
    /// `{filters}` without a value.
    NoFilters,
    /// Not a name: the content itself.
    Computed,
}

fn meaning<'a>(env: &'a Environment<'_>, content: &'a ast::Expr) -> Result<Meaning<'a>> {
    if env.in_view() {
        let message = "a view cannot use placeholders";
        return Err(Error::unsupported(message)
            .at(content.span)
            .hint("Filter where the view is read: select … from view where …."));
    }
    let ast::ExprKind::Field(name) = &content.kind else { return Ok(Meaning::Computed) };
    let [first, rest @ ..] = name.as_slice() else { return Err(unresolved(content)) };
    let is_parameter = rest.is_empty()
        && first.name.strip_prefix('$').is_some_and(|digits| digits.parse::<u16>().is_ok());
    if is_parameter {
        return Ok(Meaning::Computed);
    }
    let dotted: Vec<&str> = name.iter().map(|part| part.name.as_str()).collect();
    match env.settings.placeholders.get(&dotted.join(".")) {
        Some(value) => Ok(Meaning::Value(value)),
        None if dotted == ["filters"] => Ok(Meaning::NoFilters),
        None => Err(unresolved(content)),
    }
}

/// The error for a placeholder that nobody gave a value.
pub(super) fn unresolved(content: &ast::Expr) -> Error {
    let error = Error::new(ErrorKind::Parameter, format!("Unresolved placeholder: {{{content}}}"));
    let error = error.at(content.span);
    let ast::ExprKind::Field(name) = &content.kind else {
        return error.hint("Compute around it: {variables.n} + 1.");
    };
    match name.as_slice() {
        [first, rest @ ..] if first.name == "variables" && !rest.is_empty() => {
            let rest: Vec<String> = rest.iter().map(ToString::to_string).collect();
            error.hint(format!("Give it a value: SET var.{} = ….", rest.join(".")))
        }
        [first, ..] if first.name == "filters" => {
            error.hint(format!("Give it a value: SET {content} = ….",))
        }
        _ => error.hint("There are {variables.name} and {filters}."),
    }
}

fn wrong_form(content: &ast::Expr, wanted: &str) -> Error {
    let message = format!("placeholder {{{content}}} must stand for {wanted} here");
    Error::new(ErrorKind::TypeMismatch, message).at(content.span)
}
