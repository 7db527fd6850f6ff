//! `system.*`: tables about Hedgerow itself.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringViewArray};
use arrow::datatypes::{Field, Schema};
use datafusion::datasource::MemTable;

use super::{COMMENT, Table};
use crate::functions::function::Body;
use crate::functions::{Function, registry};
use crate::settings::{SETTINGS, Settings};
use crate::storage::Definitions;

/// The system tables, all of them small and in memory.
pub(super) fn tables() -> Vec<Table> {
    [functions(), settings()].into_iter().flatten().collect()
}

fn functions() -> Option<Table> {
    let functions: Vec<&Function> =
        registry().functions().filter(|function| !function.name.starts_with('_')).collect();
    let column = |value: fn(&Function) -> String| text(functions.iter().map(|f| Some(value(f))));
    table(
        "system.functions",
        "The functions a query can call. Aggregates also take combinators, such as sumIf.",
        vec![
            ("name", "The name.", column(|f| f.name.to_owned())),
            ("aliases", "Other names, separated by commas.", column(|f| f.aliases.join(", "))),
            ("kind", "scalar, aggregate, window or higher order.", column(|f| kind(f).to_owned())),
            ("signature", "How it is called.", column(Function::signature)),
            ("description", "What it computes.", column(|f| f.doc.to_owned())),
            ("example", "A call and its result.", column(example)),
        ],
    )
}

fn kind(function: &Function) -> &'static str {
    match function.body {
        Body::Scalar { .. } | Body::Native { .. } | Body::Rewrite(_) => "scalar",
        Body::Aggregate(_) => "aggregate",
        Body::Window(_) => "window",
        Body::HigherOrder { .. } => "higher order",
    }
}

fn example(function: &Function) -> String {
    function.examples.first().map(|(call, gives)| format!("{call} = {gives}")).unwrap_or_default()
}

fn settings() -> Option<Table> {
    let defaults = Settings::default();
    let names = SETTINGS.iter().map(|setting| Some(setting.name));
    let values = SETTINGS.iter().map(|setting| defaults.get(setting.name));
    let docs = SETTINGS.iter().map(|setting| Some(setting.doc));
    table(
        "system.settings",
        "The settings that SET changes, with their defaults.",
        vec![
            ("name", "The name SET takes.", text(names)),
            ("default", "The value without SET.", text(values)),
            ("description", "What it changes.", text(docs)),
        ],
    )
}

/// What `ALTER TABLE events SET` has set in a project.
pub(super) fn options(definitions: &Definitions) -> Option<Table> {
    let days = definitions.retention_days.map(|days| days.to_string()).unwrap_or_default();
    table(
        "system.options",
        "The options of the project's events, set with ALTER TABLE events SET.",
        vec![
            ("name", "The name SET takes.", text([Some("retention_days")].into_iter())),
            ("value", "Empty when it is not set.", text([Some(days)].into_iter())),
            (
                "description",
                "What it does.",
                text([Some("Upkeep deletes events of days older than so many days.")].into_iter()),
            ),
        ],
    )
}

fn text<T: AsRef<str>>(values: impl Iterator<Item = Option<T>>) -> ArrayRef {
    Arc::new(values.collect::<StringViewArray>())
}

/// A table of columns given as name, meaning and values.
fn table(name: &str, doc: &'static str, columns: Vec<(&str, &str, ArrayRef)>) -> Option<Table> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, comment, values)| {
            let mut field = Field::new(*name, values.data_type().clone(), false);
            field.set_metadata([(COMMENT.to_owned(), (*comment).to_owned())].into());
            field
        })
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.into_iter().map(|(_, _, values)| values).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).ok()?;
    let provider = Arc::new(MemTable::try_new(schema, vec![vec![batch]]).ok()?);
    Some(Table { name: name.to_owned(), doc, provider })
}
