//! Tables of users: made with or without rows, and filled.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use futures::StreamExt;
use hedgerow_parser::ast::{Ident, Query, TableContent};

use super::definitions::{already_exists, change};
use super::{Params, Work, events};
use crate::answer::{Notice, ResultStream};
use crate::catalog::{Catalog, made, plain_name, span_of};
use crate::error::{Error, ErrorKind, Result};
use crate::lower::{Lowered, Target, Task};
use crate::storage::{Definitions, TableColumn, TableDefinition, stored};
use crate::types::Type;

/// `CREATE TABLE`. The rows are stored first; the table is there with the commit of its name.
pub(super) async fn create(
    work: &Work,
    if_not_exists: bool,
    name: &[Ident],
    content: &TableContent,
    params: Params,
) -> Result<ResultStream> {
    let plain = Catalog::new_name(name)?;
    let catalog = work.catalog().await?;
    if let Err(error) = check_free(&catalog, &plain, name) {
        if !if_not_exists {
            return Err(error);
        }
        let tag = match content {
            TableContent::Columns(_) => "CREATE TABLE",
            TableContent::Query { .. } => "CREATE TABLE AS",
        };
        let notice = Notice::new(format!("{}, skipping", error.message));
        return Ok(ResultStream::done(tag, None).with_notices([notice]));
    }
    let store = work.store()?;
    let (columns, folder, done) = match content {
        TableContent::Columns(columns) => {
            let columns = declared(columns, &work.settings.timezone)?;
            let batches = futures::stream::empty();
            let (folder, _) = store.create_table(&schema(&columns)?, batches).await?;
            (columns, folder, ResultStream::done("CREATE TABLE", None))
        }
        TableContent::Query { columns: names, query } => {
            let runnable = work.lower(Task::Query(query), &catalog, params)?;
            let columns = named(&runnable.lowered, names, query)?;
            let plan = work.plan(&runnable).await?;
            let (folder, rows) = store.create_table(&schema(&columns)?, plan.batches()?).await?;
            let done = ResultStream::done("SELECT", Some(rows));
            (columns, folder, done.with_notices(runnable.notices))
        }
    };
    change(work, |catalog| {
        check_free(catalog, &plain, name)?;
        let column = |(name, ty): &(String, Type)| TableColumn {
            name: name.clone(),
            ty: made::type_text(ty),
        };
        let definition = TableDefinition {
            folder: folder.clone(),
            columns: columns.iter().map(column).collect(),
        };
        let mut changed = Definitions::clone(catalog.definitions());
        changed.tables.insert(plain.clone(), definition);
        Ok((Some(changed), ()))
    })
    .await?;
    Ok(done)
}

fn check_free(catalog: &Catalog, plain: &str, name: &[Ident]) -> Result<()> {
    if catalog.definitions().views.contains_key(plain) {
        return Err(already_exists("view", plain, name));
    }
    match catalog.definitions().tables.contains_key(plain) {
        true => Err(already_exists("table", plain, name)),
        false => Ok(()),
    }
}

/// The columns of `CREATE TABLE t (a Int64, …)`.
fn declared(
    columns: &[(Ident, hedgerow_parser::ast::TypeName)],
    timezone: &str,
) -> Result<Vec<(String, Type)>> {
    let names: Vec<Ident> = columns.iter().map(|(name, _)| name.clone()).collect();
    made::check_names(names.iter().map(|name| name.name.as_str()), span_of(&names))?;
    columns
        .iter()
        .map(|(name, ty)| {
            let column = made::column_type(&Type::parse(ty, timezone)?);
            stored(&column.to_arrow()).map_err(|error| error.at(ty.span))?;
            Ok((name.name.clone(), column))
        })
        .collect()
}

/// The columns of `CREATE TABLE t (a, …) AS query`.
fn named(lowered: &Lowered, names: &[Ident], query: &Query) -> Result<Vec<(String, Type)>> {
    if !names.is_empty() && names.len() != lowered.columns.len() {
        let (given, found) = (names.len(), lowered.columns.len());
        let message = format!("{given} column names were given for {found} columns");
        return Err(Error::new(ErrorKind::Syntax, message).at(span_of(names)));
    }
    let columns = lowered.columns.iter().enumerate().map(|(at, column)| {
        let name = names.get(at).map_or(&column.name, |name| &name.name);
        let ty = made::column_type(&column.ty);
        stored(&ty.to_arrow()).map_err(|error| error.at(query.span()))?;
        Ok((name.clone(), ty))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    made::check_names(columns.iter().map(|(name, _)| name.as_str()), query.span())?;
    Ok(columns)
}

fn schema(columns: &[(String, Type)]) -> Result<SchemaRef> {
    let fields = columns.iter().map(|(name, ty)| ty.to_field(name, true));
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

/// `INSERT INTO`: all rows, or none.
pub(super) async fn insert(
    work: &Work,
    table: &[Ident],
    columns: &[Ident],
    source: &Query,
    params: Params,
) -> Result<ResultStream> {
    let catalog = work.catalog().await?;
    let (definition, targets) = match destination(&catalog, table, columns)? {
        (Destination::Table(definition), targets) => (definition, targets),
        (Destination::Events, targets) => {
            let inserting = events::insert(work, &catalog, &targets, source, params);
            return Box::pin(inserting).await;
        }
    };
    let task = Task::Insert(source, &targets);
    let query = work.lower(task, &catalog, params)?;
    let plan = work.plan(&query).await?;
    let batches = plan.batches()?.boxed();
    let rows = work.store()?.append(&definition.folder, &plan.schema, batches).await?;
    Ok(ResultStream::done("INSERT 0", Some(rows)).with_notices(query.notices))
}

/// Where inserted rows go.
pub(super) enum Destination<'a> {
    Events,
    Table(&'a TableDefinition),
}

/// Where rows for a table go, and which column of theirs fills each of its columns.
///
/// # Errors
/// `UnknownTable`, `UnknownColumn`, `Duplicate`; `WrongObject` for a view; `NotAllowed` for other
/// tables of Hedgerow's own.
pub(super) fn destination<'a>(
    catalog: &'a Catalog,
    table: &[Ident],
    columns: &[Ident],
) -> Result<(Destination<'a>, Vec<Target>)> {
    let plain = plain_name(table);
    let is_events = plain == "events";
    if !is_events {
        super::definitions::find(catalog, hedgerow_parser::ast::RelationKind::Table, table)?;
    }
    let relation = catalog.resolve(table)?;
    let fields = relation.fields();
    check_columns(&plain, &fields, columns)?;
    if is_events {
        return Ok((Destination::Events, events::targets(relation, columns)));
    }
    let missing = || Error::internal(format!("table {plain} has no definition"));
    let definition = catalog.definitions().tables.get(&plain).ok_or_else(missing)?;
    let target = |(at, field): (usize, &Arc<arrow::datatypes::Field>)| Target {
        name: field.name().clone(),
        ty: Type::from_field(field),
        from: match columns.is_empty() {
            true => Some(at),
            false => columns.iter().position(|column| column.name == *field.name()),
        },
    };
    let targets = fields.fields().iter().enumerate().map(target).collect();
    Ok((Destination::Table(definition), targets))
}

/// Checks the names of the columns to fill.
fn check_columns(table: &str, fields: &Schema, columns: &[Ident]) -> Result<()> {
    for (at, column) in columns.iter().enumerate() {
        if fields.field_with_name(&column.name).is_err() {
            let message = format!("table {table} has no column named {}", column.name);
            let names = fields.fields().iter().map(|field| field.name().as_str());
            let error = Error::new(ErrorKind::UnknownColumn, message).at(column.span);
            return Err(match crate::error::did_you_mean(&column.name, names) {
                Some(hint) => error.hint(hint),
                None => error,
            });
        }
        if columns[..at].contains(column) {
            let message = format!("column {} is named twice", column.name);
            return Err(Error::new(ErrorKind::Duplicate, message).at(column.span));
        }
    }
    Ok(())
}
