//! Views: their stored text, lowered where they are read.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use hedgerow_parser::{Dialect, Span, ast, parse_query};

use super::scope::Ctes;
use super::{Environment, Lowered, Scene, query};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::ViewDefinition;

/// How deep views may stand on views.
const VIEWS_DEEP_MAX: usize = 32;

/// The views being lowered, and what was read outside of them.
#[derive(Default)]
pub(super) struct Views {
    /// Innermost last.
    open: RefCell<Vec<String>>,
    /// The query will be a view itself.
    defining: Cell<bool>,
    used: RefCell<BTreeSet<String>>,
}

impl Environment<'_> {
    /// True for text that is, or will be, the text of a view.
    pub(super) fn in_view(&self) -> bool {
        self.views.defining.get() || !self.views.open.borrow().is_empty()
    }

    /// Notes that the query itself, and not a view in it, reads a view or table.
    pub(super) fn reads(&self, name: &str) {
        if self.views.open.borrow().is_empty() {
            self.views.used.borrow_mut().insert(name.to_owned());
        }
    }
}

/// Lowers a query that will be a view: its columns, and the views and tables it reads.
///
/// # Errors
/// `Unsupported` for parameters and placeholders, beside all that a query can be wrong about.
pub(crate) fn define(query: &ast::Query, scene: Scene<'_>) -> Result<(Lowered, BTreeSet<String>)> {
    let env = Environment::new(scene, Vec::new());
    env.views.defining.set(true);
    let lowered = query::lower(&env, query)?;
    refuse_parameters(&env)?;
    Ok((lowered, env.views.used.take()))
}

/// Lowers a view of the catalog, as if for a query of its own.
///
/// # Errors
/// Those of [`lower`].
pub(crate) fn lower_alone(name: &str, view: &ViewDefinition, scene: Scene<'_>) -> Result<Lowered> {
    lower(&Environment::new(scene, Vec::new()), name, view, Span::default())
}

/// Lowers a view that is read at `span`: exactly the columns it was made with.
///
/// # Errors
/// What is wrong with its text by now, naming the view.
pub(super) fn lower(
    env: &Environment<'_>,
    name: &str,
    view: &ViewDefinition,
    span: Span,
) -> Result<Lowered> {
    enter(env, name).map_err(|error| error.at(span))?;
    env.other_texts.set(true);
    let outer_params = env.params.take();
    let outer_dialect = env.dialect.replace(view.dialect());
    let lowered = text(env, view);
    let lowered = lowered.and_then(|lowered| refuse_parameters(env).map(|()| lowered));
    env.params.replace(outer_params);
    env.dialect.set(outer_dialect);
    env.views.open.borrow_mut().pop();
    lowered.map_err(|error| broken(name, view, error, span))
}

fn enter(env: &Environment<'_>, name: &str) -> Result<()> {
    let mut open = env.views.open.borrow_mut();
    if open.iter().any(|view| view == name) {
        let message = format!("view {name} reads itself");
        return Err(Error::new(ErrorKind::InvalidArgument, message));
    }
    if open.len() == VIEWS_DEEP_MAX {
        let message = format!("views stand on views more than {VIEWS_DEEP_MAX} deep");
        return Err(Error::new(ErrorKind::TooComplex, message));
    }
    open.push(name.to_owned());
    Ok(())
}

fn text(env: &Environment<'_>, view: &ViewDefinition) -> Result<Lowered> {
    let query = parse_query(&view.text, Dialect::Hogql)?;
    let lowered = query::lower_in(env, &Ctes::none(), &query)?;
    let mut columns = Vec::with_capacity(view.columns.len());
    for wanted in &view.columns {
        let found = lowered.columns.iter().find(|column| column.name == wanted.source);
        let mut column = found.cloned().ok_or_else(|| {
            let message = format!("its column {} is gone", wanted.source);
            Error::new(ErrorKind::UnknownColumn, message)
        })?;
        column.name.clone_from(&wanted.name);
        columns.push(column);
    }
    Ok(Lowered { columns, ..lowered })
}

fn refuse_parameters(env: &Environment<'_>) -> Result<()> {
    if env.params.borrow().is_empty() {
        return Ok(());
    }
    Err(Error::unsupported("a view cannot have parameters")
        .hint("Filter where the view is read: select … from view where …."))
}

/// The error of a view, told to somebody who sees only its name.
fn broken(name: &str, view: &ViewDefinition, error: Error, span: Span) -> Error {
    if matches!(error.kind, ErrorKind::Internal | ErrorKind::Storage) {
        return error;
    }
    let place = error.span.map_or(String::new(), |span| {
        format!(", at character {} of its text", span.position(&view.text))
    });
    Error {
        message: format!("view {name} is broken: {}{place}", error.message),
        span: Some(span),
        hint: Some(format!("SHOW CREATE VIEW {name} shows its text.")),
        ..error
    }
}
