//! Property reads, resolved for each file: from a column of its own where the file has one.
//!
//! A scan rewrites its expressions for each file, before it prunes row groups and chooses the
//! columns to read. A call such as `__property(properties, 'plan')`
//! becomes the column of that property, an expression over a remainder column, or NULL, by what
//! the file's footer says. The answer is the one that the document gives in every case.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Operator, ScalarUDF};
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal, case, is_not_null};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};

use super::schema::events_schema;
use super::shred::{Columns, DOCUMENTS, Kind, Layouts, Place, Twin, column_name};
use crate::functions::json::property::{Conversion, Read, View, read_of};

/// Rewrites the expressions of one file.
#[derive(Debug)]
pub(crate) struct Adapter<'a> {
    /// For everything but properties.
    plain: Arc<dyn PhysicalExprAdapter>,
    file: &'a SchemaRef,
    layouts: &'a Layouts,
}

impl<'a> Adapter<'a> {
    /// For a file of `events` with these columns.
    pub(crate) fn new(file: &'a SchemaRef, layouts: &'a Layouts) -> Result<Self> {
        let table = Arc::clone(events_schema());
        let plain = DefaultPhysicalExprAdapterFactory.create(table, Arc::clone(file))?;
        Ok(Self { plain, file, layouts })
    }

    /// The same expression in the terms of the file.
    pub(crate) fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let rewritten = expr.transform_down(|expr| {
            if let Some(read) = read_of(expr.as_ref())
                && let Some(answer) = self.answer(&read)?
            {
                return Ok(Transformed::new(answer, true, TreeNodeRecursion::Jump));
            }
            if expr.is::<Column>() {
                let column = self.plain.rewrite(expr)?;
                return Ok(Transformed::new(column, true, TreeNodeRecursion::Jump));
            }
            Ok(Transformed::no(expr))
        });
        rewritten.data()
    }

    /// Where this file has the answer to a property read, other than in the document.
    fn answer(&self, read: &Read<'_>) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let Some((name, prefix)) = DOCUMENTS.iter().find(|(name, _)| *name == read.column.name())
        else {
            return Ok(None);
        };
        let Some(layout) = self.layouts.get(*name).filter(|layout| layout.is_known()) else {
            return Ok(None);
        };
        // Where the document itself is NULL, there is no default.
        if read.default.is_some() && self.file.field_with_name(name)?.is_nullable() {
            return Ok(None);
        }
        let answers = match layout.place(prefix, &read.keys) {
            Place::Absent => Some(Vec::new()),
            Place::Bucket(bucket) => self
                .column(&bucket)
                .and_then(|bucket| over(read, bucket))
                .map(|answer| vec![answer]),
            Place::Columns { path, columns, bucket } => {
                let (path, bucket) = (path.as_str(), bucket.as_str());
                let spot = Spot { adapter: self, read, prefix, path, columns, bucket };
                match read.view {
                    View::Text => spot.text(&[]),
                    View::PlainText => spot.text(&[Kind::Empty]),
                    View::Number => spot.number(),
                    View::Boolean => spot.boolean(),
                    // How a value was written only the document knows.
                    View::Raw => None,
                }
            }
        };
        let Some(mut answers) = answers else { return Ok(None) };
        answers.extend(read.default.clone().map(|default| Arc::new(Literal::new(default)) as _));
        Ok(Some(first_of(answers, read.call.return_type())?))
    }

    /// A column of the file; none when a foreign tool has dropped it.
    fn column(&self, name: &str) -> Option<Arc<dyn PhysicalExpr>> {
        let index = self.file.index_of(name).ok()?;
        Some(Arc::new(Column::new(name, index)))
    }
}

/// A path with columns, and the read that wants it.
struct Spot<'a> {
    adapter: &'a Adapter<'a>,
    read: &'a Read<'a>,
    prefix: &'a str,
    path: &'a str,
    columns: Columns,
    bucket: &'a str,
}

/// Expressions of which the first that is not NULL is the answer; none when the document has to
/// be read, because a foreign tool has dropped a column.
type Answers = Option<Vec<Arc<dyn PhysicalExpr>>>;

impl Spot<'_> {
    /// `besides`: kinds that are no NULL to this view of text.
    fn text(&self, besides: &[Kind]) -> Answers {
        // First the remainder: it has the text of numbers whose column has only the number.
        let all = [Kind::Text, Kind::Number, Kind::OddNumber, Kind::Boolean, Kind::Container];
        let mut answers = self.elsewhere(&[&all, besides].concat())?;
        if self.columns.text {
            answers.push(self.text_column()?);
        }
        if self.columns.number {
            answers.push(converted(Conversion::NumberText, self.column('n')?)?);
        }
        if self.columns.boolean {
            answers.push(converted(Conversion::BooleanText, self.column('b')?)?);
        }
        Some(answers)
    }

    fn number(&self) -> Answers {
        let mut answers = Vec::new();
        let mut left = vec![Kind::Text];
        if self.columns.number {
            answers.push(self.column('n')?);
        } else {
            left.extend([Kind::Number, Kind::OddNumber]);
        }
        if self.columns.text {
            answers.push(converted(Conversion::TextNumber, self.text_column()?)?);
        }
        answers.extend(self.elsewhere(&left)?);
        Some(answers)
    }

    fn boolean(&self) -> Answers {
        let mut answers = Vec::new();
        if self.columns.boolean {
            answers.push(self.column('b')?);
        }
        if self.columns.text {
            answers.push(converted(Conversion::TextBoolean, self.text_column()?)?);
        }
        answers.extend(self.elsewhere(&[Kind::Text, Kind::Boolean])?);
        Some(answers)
    }

    /// The column of text, put together with its twin.
    fn text_column(&self) -> Option<Arc<dyn PhysicalExpr>> {
        let own = self.column('s')?;
        let Some(twin) = self.columns.twin else { return Some(own) };
        let events = self.adapter.column(self.path)?;
        let text = match twin {
            Twin::Same => events,
            Twin::Mostly => first_of(vec![own, events], &DataType::Utf8View).ok()?,
        };
        not_empty(text).ok()
    }

    fn column(&self, kind: char) -> Option<Arc<dyn PhysicalExpr>> {
        self.adapter.column(&column_name(self.prefix, kind, self.path))
    }

    /// The same read of the remainder, if that has values of these kinds.
    fn elsewhere(&self, kinds: &[Kind]) -> Answers {
        if !kinds.iter().any(|kind| self.columns.elsewhere.contains(*kind)) {
            return Some(Vec::new());
        }
        Some(vec![over(self.read, self.adapter.column(self.bucket)?)?])
    }
}

/// The first value that is not NULL.
fn first_of(
    mut values: Vec<Arc<dyn PhysicalExpr>>,
    ty: &DataType,
) -> Result<Arc<dyn PhysicalExpr>> {
    let Some(last) = values.pop() else {
        return Ok(Arc::new(Literal::new(ScalarValue::try_new_null(ty)?)));
    };
    if values.is_empty() {
        return Ok(last);
    }
    let when = values.into_iter().map(|value| (is_not_null(Arc::clone(&value)), value));
    let when = when.map(|(is, value)| Ok((is?, value))).collect::<Result<Vec<_>>>()?;
    case(None, when, Some(last))
}

/// NULL instead of ''.
fn not_empty(text: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    let empty = Arc::new(Literal::new(ScalarValue::Utf8View(Some(String::new()))));
    let is_text: Arc<dyn PhysicalExpr> =
        Arc::new(BinaryExpr::new(Arc::clone(&text), Operator::NotEq, empty));
    case(None, vec![(is_text, text)], None)
}

/// The same view of another document, NULL where that has no such value.
fn over(read: &Read<'_>, document: Arc<dyn PhysicalExpr>) -> Option<Arc<dyn PhysicalExpr>> {
    let udf = read.view.udf()?;
    let mut args = read.call.args().to_vec();
    args[0] = document;
    let field = Field::new(udf.name(), read.view.returns(), true);
    Some(call(udf, args, Arc::new(field)))
}

fn converted(
    conversion: Conversion,
    value: Arc<dyn PhysicalExpr>,
) -> Option<Arc<dyn PhysicalExpr>> {
    let udf = conversion.udf()?;
    let field = Field::new(udf.name(), conversion.returns(), true);
    Some(call(udf, vec![value], Arc::new(field)))
}

fn call(
    udf: Arc<ScalarUDF>,
    args: Vec<Arc<dyn PhysicalExpr>>,
    field: FieldRef,
) -> Arc<dyn PhysicalExpr> {
    let name = udf.name().to_owned();
    Arc::new(ScalarFunctionExpr::new(&name, udf, args, field, Arc::default()))
}
