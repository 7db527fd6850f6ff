//! What a statement answers with: rows, or the news that it is done.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::{ArrayRef, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};

use crate::error::{Error, Result};

/// Something the client should know about an answer, though the answer stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub message: String,
    pub hint: Option<String>,
}

impl Notice {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }
}

/// What a statement without rows has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// The statement in PostgreSQL's words: `CREATE VIEW`, `INSERT 0`.
    pub tag: &'static str,
    /// How many rows it wrote, where it writes rows.
    pub rows: Option<u64>,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rows {
            Some(rows) => write!(f, "{} {rows}", self.tag),
            None => f.write_str(self.tag),
        }
    }
}

/// A running query: batches as they are ready. Dropping it stops the query. A statement without
/// rows has run when its stream is there, and the stream is empty.
pub struct ResultStream {
    schema: SchemaRef,
    notices: Vec<Notice>,
    done: Option<Done>,
    batches: BoxStream<'static, Result<RecordBatch>>,
}

impl ResultStream {
    /// Rows still to come.
    pub(crate) fn rows(
        schema: SchemaRef,
        batches: BoxStream<'static, Result<RecordBatch>>,
    ) -> Self {
        Self { schema, notices: Vec::new(), done: None, batches }
    }

    /// Rows that are there: columns of text by name.
    pub(crate) fn texts(schema: SchemaRef, columns: Vec<Vec<String>>) -> Result<Self> {
        let arrays = columns
            .iter()
            .map(|texts| Arc::new(StringViewArray::from_iter_values(texts)) as ArrayRef)
            .collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
        Ok(Self::rows(schema, stream::once(async { Ok(batch) }).boxed()))
    }

    /// The end of a statement without rows.
    pub(crate) fn done(tag: &'static str, rows: Option<u64>) -> Self {
        let batches = stream::empty().boxed();
        let done = Some(Done { tag, rows });
        Self { schema: Arc::new(Schema::empty()), notices: Vec::new(), done, batches }
    }

    #[must_use]
    pub(crate) fn with_notices(mut self, notices: impl IntoIterator<Item = Notice>) -> Self {
        self.notices.extend(notices);
        self
    }

    /// The same answer, whose errors carry no place: the text they speak of is not at hand.
    #[must_use]
    pub(crate) fn without_places(self) -> Self {
        let batches = self.batches.map(|batch| batch.map_err(without_place)).boxed();
        Self { batches, ..self }
    }

    /// The result columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What the client should know, known before the first batch.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// What a statement without rows has done; none for rows, be there any or not.
    pub fn outcome(&self) -> Option<Done> {
        self.done
    }
}

impl Stream for ResultStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.batches.as_mut().poll_next(cx)
    }
}

pub(crate) fn without_place(error: Error) -> Error {
    Error { span: None, ..error }
}

/// Columns of text.
pub(crate) fn text_schema(names: &[&str]) -> SchemaRef {
    let field = |name: &&str| Field::new(*name, DataType::Utf8View, true);
    Arc::new(Schema::new(names.iter().map(field).collect::<Vec<_>>()))
}
