//! Views, and the names of tables: made, dropped and renamed.
//!
//! Every change is decided on one version of the project's definitions and committed on top of
//! exactly that version; when somebody else was first, it is decided again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hedgerow_parser::Dialect;
use hedgerow_parser::ast::{Ident, Name, Query, RelationKind};

use super::Work;
use crate::answer::{Notice, ResultStream};
use crate::catalog::{Catalog, made, plain_name, span_of};
use crate::error::{Error, ErrorKind, Result};
use crate::lower;
use crate::storage::{Definitions, ViewColumn, ViewDefinition};

/// Commits what `decide` makes of the newest definitions; nothing when it makes nothing.
pub(super) async fn change<T>(
    work: &Work,
    decide: impl Fn(&Catalog) -> Result<(Option<Definitions>, T)>,
) -> Result<T> {
    let store = work.store()?;
    loop {
        let base = store.definitions(work.project).await?;
        let catalog = work.engine.catalog_with(work.project, &base.definitions).await?;
        let (changed, outcome) = decide(&catalog)?;
        let Some(changed) = changed else { return Ok(outcome) };
        check_views(work, &catalog, &changed).await?;
        if store.define(work.project, &base, changed).await? {
            return Ok(outcome);
        }
    }
}

/// Refuses a change that would break a view which works now.
async fn check_views(work: &Work, before: &Catalog, changed: &Definitions) -> Result<()> {
    let changed = Arc::new(changed.clone());
    let after = work.engine.catalog_with(work.project, &changed).await?;
    for (name, view) in &changed.views {
        let Err(error) = lower::lower_view(name, view, work.scene(&after)) else { continue };
        let worked = before
            .definitions()
            .views
            .get(name)
            .is_none_or(|old| lower::lower_view(name, old, work.scene(before)).is_ok());
        if worked {
            let message = format!("this would break view {name}: {}", error.message);
            return Err(Error { kind: ErrorKind::InUse, message, span: None, hint: None, ..error });
        }
    }
    Ok(())
}

/// `CREATE [OR REPLACE] VIEW`.
pub(super) async fn create_view(
    work: &Work,
    replace: bool,
    name: &[Ident],
    columns: &[Ident],
    query: &Query,
) -> Result<ResultStream> {
    let plain = Catalog::new_name(name)?;
    change(work, |catalog| {
        let definitions = catalog.definitions();
        if definitions.tables.contains_key(&plain) {
            return Err(already_exists("table", &plain, name));
        }
        if !replace && definitions.views.contains_key(&plain) {
            return Err(already_exists("view", &plain, name)
                .hint("Replace it with CREATE OR REPLACE VIEW, or drop it first."));
        }
        let view = view_definition(work, catalog, columns, query)?;
        if reaches(definitions, &view.uses, &plain) {
            let message = format!("view {plain} would read itself");
            return Err(Error::new(ErrorKind::InvalidArgument, message).at(span_of(name)));
        }
        let mut changed = Definitions::clone(definitions);
        changed.views.insert(plain.clone(), view);
        Ok((Some(changed), ()))
    })
    .await?;
    Ok(ResultStream::done("CREATE VIEW", None))
}

fn view_definition(
    work: &Work,
    catalog: &Catalog,
    names: &[Ident],
    query: &Query,
) -> Result<ViewDefinition> {
    let (lowered, uses) = lower::define(query, work.scene(catalog))?;
    let sources = lowered.columns.iter().map(|column| column.name.as_str());
    made::check_names(sources, query.span())?;
    if !names.is_empty() && names.len() != lowered.columns.len() {
        let message = format!(
            "{} column names were given for {} columns",
            names.len(),
            lowered.columns.len()
        );
        return Err(Error::new(ErrorKind::Syntax, message).at(span_of(names)));
    }
    made::check_names(names.iter().map(|name| name.name.as_str()), span_of(names))?;
    let columns = lowered.columns.into_iter().enumerate().map(|(at, column)| ViewColumn {
        name: names.get(at).map_or_else(|| column.name.clone(), |name| name.name.clone()),
        source: column.name,
    });
    // Tables that are always there cannot be dropped.
    let made_here = |name: &String| {
        let definitions = catalog.definitions();
        definitions.views.contains_key(name) || definitions.tables.contains_key(name)
    };
    let uses = uses.into_iter().filter(made_here).collect();
    Ok(ViewDefinition {
        text: query.to_string(),
        is_postgres: work.dialect == Dialect::Postgres,
        columns: columns.collect(),
        uses,
    })
}

/// True when one of `from` is `name`, or reads it over any number of views.
fn reaches(definitions: &Definitions, from: &BTreeSet<String>, name: &str) -> bool {
    let mut pending: Vec<&String> = from.iter().collect();
    let mut seen = BTreeSet::new();
    while let Some(next) = pending.pop() {
        if next == name {
            return true;
        }
        if seen.insert(next)
            && let Some(view) = definitions.views.get(next)
        {
            pending.extend(&view.uses);
        }
    }
    false
}

/// `DROP VIEW|TABLE`. The files of a dropped table stay: queries may be reading them.
pub(super) async fn drop(
    work: &Work,
    kind: RelationKind,
    if_exists: bool,
    names: &[Name],
    cascade: bool,
) -> Result<ResultStream> {
    let notices = change(work, |catalog| {
        let mut changed = Definitions::clone(catalog.definitions());
        let mut notices = Vec::new();
        let mut dropped = Vec::new();
        for name in names {
            let plain = plain_name(name);
            match find(catalog, kind, name) {
                Ok(()) => {
                    remove(&mut changed, &plain);
                    dropped.push(plain);
                }
                Err(error) if if_exists && error.kind == ErrorKind::UnknownTable => {
                    let message = format!("{} {plain} does not exist, skipping", word(kind));
                    notices.push(Notice::new(message));
                }
                Err(error) => return Err(error),
            }
        }
        while let Some((user, name)) = first_user(&changed, &dropped) {
            if !cascade {
                let message = format!("view {user} uses {name}");
                return Err(Error::new(ErrorKind::InUse, message)
                    .at(span_of(names.first().map_or(&[], Vec::as_slice)))
                    .hint("Drop the view first, or add CASCADE to drop it too."));
            }
            notices.push(Notice::new(format!("drop cascades to view {user}")));
            remove(&mut changed, &user);
            dropped.push(user);
        }
        Ok(((!dropped.is_empty()).then_some(changed), notices))
    })
    .await?;
    let tag = match kind {
        RelationKind::View => "DROP VIEW",
        RelationKind::Table => "DROP TABLE",
    };
    Ok(ResultStream::done(tag, None).with_notices(notices))
}

fn remove(definitions: &mut Definitions, name: &str) {
    definitions.views.remove(name);
    definitions.tables.remove(name);
}

fn first_user(definitions: &Definitions, dropped: &[String]) -> Option<(String, String)> {
    dropped.iter().find_map(|name| {
        let user = definitions.users_of(name).next()?;
        Some((user.clone(), name.clone()))
    })
}

/// `ALTER VIEW|TABLE … RENAME TO`.
pub(super) async fn rename(
    work: &Work,
    kind: RelationKind,
    if_exists: bool,
    name: &[Ident],
    to: &Ident,
) -> Result<ResultStream> {
    let new = Catalog::new_name(std::slice::from_ref(to))?;
    let old = plain_name(name);
    let notice = change(work, |catalog| {
        match find(catalog, kind, name) {
            Ok(()) => {}
            Err(error) if if_exists && error.kind == ErrorKind::UnknownTable => {
                let message = format!("{} {old} does not exist, skipping", word(kind));
                return Ok((None, Some(Notice::new(message))));
            }
            Err(error) => return Err(error),
        }
        let mut changed = Definitions::clone(catalog.definitions());
        if changed.views.contains_key(&new) || changed.tables.contains_key(&new) {
            return Err(already_exists("relation", &new, std::slice::from_ref(to)));
        }
        if let Some(user) = changed.users_of(&old).next() {
            let message = format!("view {user} uses {old}");
            return Err(Error::new(ErrorKind::InUse, message)
                .at(span_of(name))
                .hint("Drop that view first, and make it again with the new name."));
        }
        rename_key(&mut changed.views, &old, &new);
        rename_key(&mut changed.tables, &old, &new);
        Ok((Some(changed), None))
    })
    .await?;
    let tag = match kind {
        RelationKind::View => "ALTER VIEW",
        RelationKind::Table => "ALTER TABLE",
    };
    Ok(ResultStream::done(tag, None).with_notices(notice))
}

fn rename_key<T>(map: &mut BTreeMap<String, T>, old: &str, new: &str) {
    if let Some(value) = map.remove(old) {
        map.insert(new.to_owned(), value);
    }
}

/// Whether a view or table of users has that name.
///
/// # Errors
/// `UnknownTable`; `WrongObject` for the other kind; `NotAllowed` for tables that are always
/// there.
pub(super) fn find(catalog: &Catalog, kind: RelationKind, name: &[Ident]) -> Result<()> {
    let plain = plain_name(name);
    let definitions = catalog.definitions();
    let (is_view, is_table) =
        (definitions.views.contains_key(&plain), definitions.tables.contains_key(&plain));
    match kind {
        RelationKind::View if is_view => Ok(()),
        RelationKind::Table if is_table => Ok(()),
        _ if is_view || is_table => {
            let found = if is_view { RelationKind::View } else { RelationKind::Table };
            let message = format!("{plain} is a {}", word(found));
            Err(Error::new(ErrorKind::WrongObject, message).at(span_of(name)))
        }
        _ if catalog.resolve(name).is_ok() => {
            let message = format!("{plain} is a table of Hedgerow's own");
            Err(Error::new(ErrorKind::NotAllowed, message).at(span_of(name)))
        }
        _ => Err(catalog.unknown(name)),
    }
}

pub(super) fn already_exists(kind: &str, plain: &str, name: &[Ident]) -> Error {
    let message = format!("{kind} {plain} already exists");
    Error::new(ErrorKind::AlreadyExists, message).at(span_of(name))
}

fn word(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::View => "view",
        RelationKind::Table => "table",
    }
}
