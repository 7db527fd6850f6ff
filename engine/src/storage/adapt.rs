//! Property reads, resolved for each file: from a column of its own where the file has one.
//!
//! A scan rewrites its expressions for each file, before it prunes row groups and chooses the
//! columns to read. A call such as `__property(properties, 'plan')`
//! becomes the column of that property, an expression over a remainder column, or NULL, by what
//! the file's footer says. The answer is the one that the document gives in every case.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Operator, ScalarUDF};
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal, case, is_not_null};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};

use super::schema::placed_schema;
use super::shred::{
    Columns, DOCUMENTS, Kind, Layouts, Place, Twin, column_name, is_remainder_column,
};
use crate::error::Error;
use crate::functions::json::property::{Conversion, Read, View, read_of};

/// From where a file answers the reads of a property: the dearest of what they need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// From nothing: no document of the file has a value that counts.
    Absent,
    /// From columns of its own.
    Columns,
    /// From a remainder column, alone or besides.
    Remainder,
    /// From the JSON text.
    Text,
}

/// The properties that are read, with their origins in one file.
pub(crate) type Origins = BTreeMap<String, Origin>;

/// Rewrites the expressions of one file.
#[derive(Debug)]
pub(crate) struct Adapter<'a> {
    /// For everything but properties.
    plain: Arc<dyn PhysicalExprAdapter>,
    file: &'a SchemaRef,
    layouts: &'a Layouts,
    origins: RefCell<Origins>,
}

impl<'a> Adapter<'a> {
    /// For a file of `events` with these columns.
    pub(crate) fn new(file: &'a SchemaRef, layouts: &'a Layouts) -> Result<Self> {
        let table = Arc::clone(placed_schema());
        let plain = DefaultPhysicalExprAdapterFactory.create(table, Arc::clone(file))?;
        Ok(Self { plain, file, layouts, origins: RefCell::default() })
    }

    /// From where all that was rewritten reads its properties.
    pub(crate) fn origins(self) -> Origins {
        self.origins.into_inner()
    }

    /// The same expression in the terms of the file.
    pub(crate) fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let rewritten = expr.transform_down(|expr| {
            if let Some(read) = read_of(expr.as_ref()) {
                let answer = self.answer(&read)?;
                self.note(&read, answer.as_ref());
                if let Some(answer) = answer {
                    return Ok(Transformed::new(answer, true, TreeNodeRecursion::Jump));
                }
            }
            if expr.is::<Column>() {
                let column = self.plain.rewrite(expr)?;
                return Ok(Transformed::new(column, true, TreeNodeRecursion::Jump));
            }
            Ok(Transformed::no(expr))
        });
        rewritten.data()
    }

    fn note(&self, read: &Read<'_>, answer: Option<&Arc<dyn PhysicalExpr>>) {
        let origin = answer.map_or(Origin::Text, |answer| {
            let columns = collect_columns(answer);
            match columns.iter().any(|column| is_remainder_column(column.name())) {
                true => Origin::Remainder,
                false if columns.is_empty() => Origin::Absent,
                false => Origin::Columns,
            }
        });
        let mut origins = self.origins.borrow_mut();
        let known = origins.entry(read.name()).or_insert(origin);
        *known = origin.max(*known);
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
        if read.has_default && self.file.field_with_name(name)?.is_nullable() {
            return Ok(None);
        }
        let [key, ..] = read.keys.as_slice() else { return Ok(None) };
        let place = match read.goes_on || read.view == View::Members {
            true => layout.remainder(prefix, key),
            false => layout.place(prefix, &read.keys),
        };
        let (path, columns, bucket) = match &place {
            Place::Absent => return self.nothing(read).map(Some),
            Place::Bucket(bucket) => return self.in_remainder(read, bucket),
            Place::Document => return Ok(None),
            Place::Columns { path, columns, bucket } => (path.as_str(), *columns, bucket.as_str()),
        };
        let spot = Spot { adapter: self, read, prefix, path, columns, bucket };
        let answers = match read.view {
            View::Text => spot.text(&[]),
            View::PlainText => spot.text(&[Kind::Empty]),
            View::Number => spot.number(),
            View::Boolean => spot.boolean(),
            View::Integer => spot.integer(),
            View::Truth => spot.truth(),
            View::Kind => spot.kind(),
            View::Raw => spot.spelling(),
            View::Spelling if !columns.may_lose(Kind::Null) => spot.spelling(),
            View::Exists if !columns.may_lose(Kind::Null) => return spot.exists(),
            View::Spelling | View::Exists | View::Members => None,
        };
        match answers {
            Some(mut answers) => {
                if read.has_default || answers.is_empty() {
                    answers.push(self.nothing(read)?);
                }
                first_of(answers).map(Some)
            }
            // Objects are in the remainder, whole.
            None if read.keys.len() > 1 => self.in_remainder(read, bucket),
            None => Ok(None),
        }
    }

    /// The answer where there is no such value.
    fn nothing(&self, read: &Read<'_>) -> Result<Arc<dyn PhysicalExpr>> {
        if read.has_default {
            return self.of_document(read, Arc::new(Literal::new(empty_document())));
        }
        Ok(Arc::new(Literal::new(ScalarValue::try_new_null(read.call.return_type())?)))
    }

    /// The answer, where the remainder has it in every row.
    fn in_remainder(&self, read: &Read<'_>, bucket: &str) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let Some(bucket) = self.column(bucket) else { return Ok(None) };
        let document = match read.has_default {
            true => first_of(vec![bucket, Arc::new(Literal::new(empty_document()))])?,
            false => bucket,
        };
        self.of_document(read, document).map(Some)
    }

    /// The same read of another document.
    fn of_document(
        &self,
        read: &Read<'_>,
        document: Arc<dyn PhysicalExpr>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let field = read.call.return_field(self.file)?.as_ref().clone();
        let field = if read.has_default { field } else { field.with_nullable(true) };
        let udf = Arc::new(read.call.fun().clone());
        Ok(call(udf, with_document(read, document), Arc::new(field)))
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
        // A column of decimals may lack numbers; the footer says so.
        let mut left = vec![Kind::Text, Kind::Number];
        if self.columns.number {
            answers.push(self.column('n')?);
        } else {
            left.push(Kind::OddNumber);
        }
        if self.columns.text {
            answers.push(converted(Conversion::TextNumber, self.text_column()?)?);
        }
        answers.extend(self.elsewhere(&left)?);
        Some(answers)
    }

    fn integer(&self) -> Answers {
        // First the remainder: it has the digits of large numbers.
        let mut answers = self.elsewhere(&[Kind::Text, Kind::Number, Kind::OddNumber])?;
        if self.columns.number {
            answers.push(converted(Conversion::NumberInteger, self.column('n')?)?);
        }
        if self.columns.text {
            answers.push(converted(Conversion::TextInteger, self.text_column()?)?);
        }
        Some(answers)
    }

    fn truth(&self) -> Answers {
        let mut answers = Vec::new();
        let mut left = vec![Kind::Number];
        if self.columns.boolean {
            answers.push(self.column('b')?);
        } else {
            left.push(Kind::Boolean);
        }
        if self.columns.number {
            answers.push(converted(Conversion::NumberTruth, self.column('n')?)?);
        } else {
            left.push(Kind::OddNumber);
        }
        answers.extend(self.elsewhere(&left)?);
        Some(answers)
    }

    fn kind(&self) -> Answers {
        // First the remainder: it has the digits of large numbers.
        let mut answers = self.elsewhere(&Kind::ALL)?;
        if self.columns.text {
            answers.push(constant_for(self.text_column()?, "String").ok()?);
        }
        if self.columns.number {
            answers.push(converted(Conversion::NumberKind, self.column('n')?)?);
        }
        if self.columns.boolean {
            answers.push(constant_for(self.column('b')?, "Bool").ok()?);
        }
        Some(answers)
    }

    /// JSON text, where only nulls may be lost.
    fn spelling(&self) -> Answers {
        if self.columns.text && self.columns.may_lose(Kind::Text) {
            return None;
        }
        let mut answers = self.elsewhere(&Kind::ALL)?;
        if self.columns.text {
            answers.push(converted(Conversion::TextSpelling, self.text_column()?)?);
        }
        if self.columns.number {
            answers.push(converted(Conversion::NumberText, self.column('n')?)?);
        }
        if self.columns.boolean {
            answers.push(converted(Conversion::BooleanText, self.column('b')?)?);
        }
        Some(answers)
    }

    /// Whether any place has a value: as the statistics of columns can tell.
    fn exists(&self) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let Some(mut places) = self.elsewhere(&Kind::ALL) else { return Ok(None) };
        let Columns { text, number, boolean, .. } = self.columns;
        let columns =
            [(text, self.text_column()), (number, self.column('n')), (boolean, self.column('b'))];
        for (wanted, column) in columns {
            match column {
                Some(column) if wanted => places.push(is_not_null(column)?),
                None if wanted => return Ok(None),
                _ => {}
            }
        }
        let either = |a, b| Arc::new(BinaryExpr::new(a, Operator::Or, b)) as _;
        match places.into_iter().reduce(either) {
            Some(exists) => Ok(Some(exists)),
            None => self.adapter.nothing(self.read).map(Some),
        }
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
            Twin::Mostly => first_of(vec![own, events]).ok()?,
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

/// The first value that is not NULL; the last one if none is.
fn first_of(mut values: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
    let last = values.pop();
    if values.is_empty() {
        return last.ok_or_else(|| Error::internal("no value to choose from").into());
    }
    let when = values.into_iter().map(|value| (is_not_null(Arc::clone(&value)), value));
    let when = when.map(|(is, value)| Ok((is?, value))).collect::<Result<Vec<_>>>()?;
    case(None, when, last)
}

/// NULL instead of ''.
fn not_empty(text: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    let empty = Arc::new(Literal::new(ScalarValue::Utf8View(Some(String::new()))));
    let is_text: Arc<dyn PhysicalExpr> =
        Arc::new(BinaryExpr::new(Arc::clone(&text), Operator::NotEq, empty));
    case(None, vec![(is_text, text)], None)
}

/// A constant where there is a value, else NULL.
fn constant_for(value: Arc<dyn PhysicalExpr>, constant: &str) -> Result<Arc<dyn PhysicalExpr>> {
    let constant = ScalarValue::Utf8View(Some(constant.to_owned()));
    case(None, vec![(is_not_null(value)?, Arc::new(Literal::new(constant)))], None)
}

fn empty_document() -> ScalarValue {
    ScalarValue::Utf8View(Some("{}".to_owned()))
}

/// The same view of another document, NULL where that has no such value; whether there is one,
/// for the view of that.
fn over(read: &Read<'_>, document: Arc<dyn PhysicalExpr>) -> Option<Arc<dyn PhysicalExpr>> {
    let args = with_document(read, document);
    let view = |view: View, args| {
        let udf = view.udf()?;
        let field = Field::new(udf.name(), view.returns(), true);
        Some(call(udf, args, Arc::new(field)))
    };
    match read.view {
        View::Exists => is_not_null(view(View::Spelling, args)?).ok(),
        // These functions have no NULL of their own: they read the value alone, or NULL.
        View::Integer | View::Truth | View::Kind => {
            view(read.view, vec![view(View::Spelling, args)?])
        }
        own => view(own, args),
    }
}

fn with_document(read: &Read<'_>, document: Arc<dyn PhysicalExpr>) -> Vec<Arc<dyn PhysicalExpr>> {
    let path = read.call.args().iter().skip(1).cloned();
    std::iter::once(document).chain(path).collect()
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
