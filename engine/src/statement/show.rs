//! SHOW and DESCRIBE: lists as rows of text.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use hedgerow_parser::ast::{Described, Ident, Pattern, RelationKind, Show};
use regex::RegexBuilder;

use super::assign::dotted;
use super::{Work, definitions};
use crate::answer::{ResultStream, text_schema};
use crate::catalog::{COMMENT, Catalog, made, plain_name, span_of};
use crate::error::{Error, ErrorKind, Result};
use crate::execute::output_schema;
use crate::functions::registry;
use crate::lower::{self, Task};
use crate::session::TableInfo;
use crate::settings::{SETTINGS, placeholder_name};
use crate::types::Type;

const TABLES: &[&str] = &["name", "kind", "description"];
const COLUMNS: &[&str] = &["name", "type", "description"];
const FUNCTIONS: &[&str] = &["name", "signature", "description"];
const SETTINGS_COLUMNS: &[&str] = &["name", "value", "description"];
const TEXT: &[&str] = &["statement"];

/// The columns of a list.
pub(super) fn schema(show: &Show) -> SchemaRef {
    match show {
        Show::Tables(_) => text_schema(TABLES),
        Show::Columns(..) => columns_schema(),
        Show::Functions(_) => text_schema(FUNCTIONS),
        Show::Settings(_) => text_schema(SETTINGS_COLUMNS),
        Show::Create(..) => text_schema(TEXT),
        Show::Setting(name) => text_schema(&[&dotted(name)]),
    }
}

/// The columns of a description.
pub(super) fn columns_schema() -> SchemaRef {
    text_schema(COLUMNS)
}

/// `SHOW …`.
pub(super) async fn run(work: &Work, show: &Show) -> Result<ResultStream> {
    let rows = match show {
        Show::Tables(pattern) => {
            let rows = relations(work).await?.into_iter().map(|relation| {
                let kind = if relation.view.is_some() { "view" } else { "table" };
                vec![relation.name, kind.to_owned(), relation.doc]
            });
            matching(rows, pattern.as_ref())?
        }
        Show::Columns(table, pattern) => {
            let schema = relation_schema(work, &work.catalog().await?, table)?;
            matching(columns(&schema), pattern.as_ref())?
        }
        Show::Functions(pattern) => {
            let functions = registry().functions().filter(|f| !f.name.starts_with('_'));
            let rows = functions.map(|f| vec![f.name.to_owned(), f.signature(), f.doc.to_owned()]);
            let mut rows = matching(rows, pattern.as_ref())?;
            rows.sort();
            rows
        }
        Show::Settings(pattern) => {
            let settings = SETTINGS.iter().map(|setting| {
                let value = work.settings.get(setting.name).unwrap_or_default();
                vec![setting.name.to_owned(), value, setting.doc.to_owned()]
            });
            let placeholders = work.settings.placeholders.iter().map(|(name, value)| {
                let doc = format!("What {{{name}}} stands for.");
                vec![set_name(name), value.to_string(), doc]
            });
            matching(settings.chain(placeholders), pattern.as_ref())?
        }
        Show::Create(kind, name) => vec![vec![statement(&work.catalog().await?, *kind, name)?]],
        Show::Setting(name) => vec![vec![setting(work, name)?]],
    };
    table(schema(show), rows)
}

/// `DESCRIBE …`.
pub(super) async fn describe(work: &Work, described: &Described) -> Result<ResultStream> {
    let catalog = work.catalog().await?;
    let schema = match described {
        Described::Table(name) => relation_schema(work, &catalog, name)?,
        Described::Query(query) => {
            let analysis = lower::analyse(Task::Query(query), work.scene(&catalog), &[])?;
            output_schema(&analysis.lowered)
        }
    };
    table(columns_schema(), columns(&schema).collect())
}

/// The tables and views of a project by name. A view that has come to be broken is listed with
/// its columns as text.
pub(crate) async fn relations(work: &Work) -> Result<Vec<TableInfo>> {
    let catalog = work.catalog().await?;
    let definitions = catalog.definitions();
    let tables = catalog.tables().map(|table| TableInfo {
        name: table.name.clone(),
        doc: table.doc.to_owned(),
        schema: table.visible_schema(),
        view: None,
        insertable: table.name == "events" || definitions.tables.contains_key(&table.name),
    });
    let views = definitions.views.iter().map(|(name, view)| {
        let (doc, schema) = match lower::lower_view(name, view, work.scene(&catalog)) {
            Ok(lowered) => ("A view.".to_owned(), output_schema(&lowered)),
            Err(error) => {
                let field = |column: &str| Type::String.to_field(column, true);
                let fields = view.columns.iter().map(|column| field(&column.name));
                (error.message, Arc::new(Schema::new(fields.collect::<Vec<_>>())))
            }
        };
        TableInfo {
            name: name.clone(),
            doc,
            schema,
            view: Some(view.text.clone()),
            insertable: false,
        }
    });
    let mut relations: Vec<TableInfo> = tables.chain(views).collect();
    relations.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(relations)
}

fn relation_schema(work: &Work, catalog: &Catalog, name: &[Ident]) -> Result<SchemaRef> {
    match catalog.view(name) {
        Some((plain, view)) => {
            let lowered = lower::lower_view(plain, view, work.scene(catalog));
            Ok(output_schema(
                &lowered.map_err(|error| Error { span: Some(span_of(name)), ..error })?,
            ))
        }
        None => Ok(catalog.resolve(name)?.visible_schema()),
    }
}

fn columns(schema: &Schema) -> impl Iterator<Item = Vec<String>> {
    schema.fields().iter().map(|field| {
        let doc = field.metadata().get(COMMENT).cloned().unwrap_or_default();
        vec![field.name().clone(), Type::from_field(field).to_string(), doc]
    })
}

/// The statement that would make a view or table.
fn statement(catalog: &Catalog, kind: RelationKind, name: &[Ident]) -> Result<String> {
    definitions::find(catalog, kind, name)?;
    let plain = plain_name(name);
    let shown = |name: &str| Ident::new(name, span_of(&[])).to_string();
    if let Some(view) = catalog.definitions().views.get(&plain) {
        let renamed = view.columns.iter().any(|column| column.name != column.source);
        let names: Vec<String> = view.columns.iter().map(|column| shown(&column.name)).collect();
        let names = if renamed { format!(" ({})", names.join(", ")) } else { String::new() };
        return Ok(format!("CREATE VIEW {}{names} AS {}", shown(&plain), view.text));
    }
    let fields = catalog.resolve(name)?.fields();
    let column = |field: &Arc<Field>| {
        format!("{} {}", shown(field.name()), made::type_text(&Type::from_field(field)))
    };
    let columns: Vec<String> = fields.fields().iter().map(column).collect();
    Ok(format!("CREATE TABLE {} ({})", shown(&plain), columns.join(", ")))
}

fn setting(work: &Work, name: &[Ident]) -> Result<String> {
    if let Some(placeholder) = placeholder_name(name) {
        return work.settings.placeholders.get(&placeholder).map(ToString::to_string).ok_or_else(
            || {
                let message = format!("{{{placeholder}}} has no value");
                Error::new(ErrorKind::InvalidSetting, message).at(span_of(name))
            },
        );
    }
    let plain = plain_name(name);
    work.settings.get(&plain).ok_or_else(|| {
        // SET says the same of a name that does not exist, with the nearest one.
        let mut copy = work.settings.clone();
        let error = copy.set(&plain, "").err();
        error.unwrap_or_else(|| Error::internal("a setting without a value")).at(span_of(name))
    })
}

/// A placeholder as SET names it.
fn set_name(placeholder: &str) -> String {
    match placeholder.strip_prefix("variables.") {
        Some(name) => format!("var.{name}"),
        None => placeholder.to_owned(),
    }
}

/// The rows whose first column is LIKE the pattern.
fn matching(
    rows: impl Iterator<Item = Vec<String>>,
    pattern: Option<&Pattern>,
) -> Result<Vec<Vec<String>>> {
    let Some(pattern) = pattern else { return Ok(rows.collect()) };
    let mut regex = String::from("^");
    let mut characters = pattern.text.chars();
    while let Some(character) = characters.next() {
        match character {
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            '\\' => {
                let literal = characters.next().unwrap_or('\\');
                regex.push_str(&regex::escape(&literal.to_string()));
            }
            literal => regex.push_str(&regex::escape(&literal.to_string())),
        }
    }
    regex.push('$');
    let regex = RegexBuilder::new(&regex)
        .case_insensitive(!pattern.case_sensitive)
        .dot_matches_new_line(true)
        .build()
        .map_err(|_| Error::new(ErrorKind::InvalidArgument, "the pattern is too long"))?;
    Ok(rows.filter(|row| row.first().is_some_and(|name| regex.is_match(name))).collect())
}

/// Rows as the columns of an answer.
fn table(schema: SchemaRef, rows: Vec<Vec<String>>) -> Result<ResultStream> {
    let mut columns: Vec<Vec<String>> = vec![Vec::with_capacity(rows.len()); schema.fields().len()];
    for row in rows {
        for (column, cell) in columns.iter_mut().zip(row) {
            column.push(cell);
        }
    }
    ResultStream::texts(schema, columns)
}
