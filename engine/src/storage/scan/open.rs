//! A file that scans have looked into: its footer, and what it says.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::metrics::Count;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use object_store::path::Path;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::basic::{Encoding, Type as PhysicalType};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

use crate::storage::part::Part;
use crate::storage::scan::cache::ScanCache;
use crate::storage::schema::{PROPERTIES, row_field};
use crate::storage::shred::{Layout, Layouts, SHREDDED_KEY, is_property_column};

/// A file's footer, in the forms that scans need.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(super) path: Arc<str>,
    pub(super) location: Path,
    /// Reads text as dictionaries where the file has them throughout.
    pub(super) footer: ArrowReaderMetadata,
    /// The columns as expressions see them: text as views, numbers of properties as doubles. Behind
    /// them is the number of the row in the file.
    pub(super) schema: SchemaRef,
    /// The same, but decimals as they are stored: what statistics speak of.
    pub(super) stored: SchemaRef,
    pub(super) layouts: Arc<Layouts>,
}

impl OpenFile {
    /// The file of a part, opened unless it is in memory.
    pub(crate) async fn cached(
        cache: &ScanCache,
        store: &Arc<dyn ObjectStore>,
        part: &Part,
        bytes: &Count,
    ) -> Result<Arc<Self>> {
        if let Some(file) = cache.file(&part.path) {
            return Ok(file);
        }
        let file = Arc::new(Self::open(store, part, bytes).await?);
        cache.keep_file(&file);
        Ok(file)
    }

    async fn open(store: &Arc<dyn ObjectStore>, part: &Part, bytes: &Count) -> Result<Self> {
        let location = part.location()?;
        let mut reader = FileReader {
            store: Arc::clone(store),
            location: location.clone(),
            bytes: bytes.clone(),
        };
        let metadata = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Optional)
            .load_and_finish(&mut reader, part.size_bytes)
            .await?;
        let metadata = Arc::new(metadata);
        // What other tools embed of Arrow's types, such as dictionaries, is no news of the data.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let plain = ArrowReaderMetadata::try_new(Arc::clone(&metadata), options.clone())?;
        let stored = with_types(plain.schema(), |column, field| match field.data_type() {
            DataType::Utf8 => Some(DataType::Utf8View),
            _ => decimal(&metadata, column, field),
        });
        let read_as = with_types(&stored, |column, field| {
            let is_text = *field.data_type() == DataType::Utf8View;
            (is_text && is_dictionary(&metadata, column))
                .then(|| DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)))
        });
        let schema =
            with_types(&stored, |_, field| is_property_decimal(field).then_some(DataType::Float64));
        let schema = with_row_number(&schema);
        let options = options.with_schema(read_as);
        let entries = metadata.file_metadata().key_value_metadata().into_iter().flatten();
        let layouts =
            entries.filter(|entry| entry.key == SHREDDED_KEY).find_map(|e| e.value.as_deref());
        // Unreadable is as good as unknown: the documents are there.
        let layouts = layouts.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Ok(Self {
            path: part.path.as_str().into(),
            location,
            footer: ArrowReaderMetadata::try_new(metadata, options)?,
            schema,
            stored,
            layouts: Arc::new(layouts),
        })
    }

    pub(crate) fn row_groups(&self) -> usize {
        self.footer.metadata().num_row_groups()
    }

    /// How many columns hold properties, besides the documents.
    pub(crate) fn property_columns(&self) -> usize {
        self.stored.fields().iter().filter(|field| is_property_column(field.name())).count()
    }

    /// The version of the layout of properties; none where they have no columns.
    pub(crate) fn layout_version(&self) -> Option<u32> {
        self.layouts.get(PROPERTIES).map(Layout::version)
    }

    /// The number in the file of the first row of a row group.
    pub(super) fn first_row(&self, row_group: usize) -> u64 {
        let before = &self.footer.metadata().row_groups()[..row_group];
        before.iter().map(|group| group.num_rows().unsigned_abs()).sum()
    }

    /// True for the column that is in no file.
    pub(super) fn is_row_number(&self, column: usize) -> bool {
        column + 1 == self.schema.fields().len()
    }

    /// What the footer takes in memory, about.
    pub(super) fn memory_bytes(&self) -> usize {
        const FIELD_BYTES: usize = 500;
        self.footer.metadata().memory_size() + self.schema.fields().len() * FIELD_BYTES
    }
}

fn with_row_number(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(Arc::clone);
    let fields: Vec<_> = fields.chain([Arc::new(row_field())]).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// The schema with other types for some columns.
fn with_types(schema: &Schema, other: impl Fn(usize, &Field) -> Option<DataType>) -> SchemaRef {
    let fields =
        schema.fields().iter().enumerate().map(|(column, field)| match other(column, field) {
            Some(data_type) => Arc::new(Field::clone(field).with_data_type(data_type)),
            None => Arc::clone(field),
        });
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}

/// The type of just the width in which a decimal of a property is stored.
fn decimal(metadata: &ParquetMetaData, column: usize, field: &Field) -> Option<DataType> {
    let DataType::Decimal128(precision, scale) = *field.data_type() else { return None };
    if !is_property_column(field.name()) || !is_flat(metadata) {
        return None;
    }
    match metadata.file_metadata().schema_descr().column(column).physical_type() {
        PhysicalType::INT32 => Some(DataType::Decimal32(precision, scale)),
        PhysicalType::INT64 => Some(DataType::Decimal64(precision, scale)),
        _ => None,
    }
}

/// True for the columns that hold numbers of properties as decimals.
pub(super) fn is_property_decimal(stored: &Field) -> bool {
    is_property_column(stored.name())
        && matches!(stored.data_type(), DataType::Decimal32(..) | DataType::Decimal64(..))
}

/// True when columns are numbered as fields.
pub(super) fn is_flat(metadata: &ParquetMetaData) -> bool {
    let schema = metadata.file_metadata().schema_descr();
    schema.num_columns() == schema.root_schema().get_fields().len()
}

/// True when every page of a column is encoded by a dictionary.
fn is_dictionary(metadata: &ParquetMetaData, column: usize) -> bool {
    is_flat(metadata)
        && metadata.row_groups().iter().all(|group| {
            group.column(column).page_encoding_stats_mask().is_some_and(|mask| {
                mask.is_only(Encoding::RLE_DICTIONARY) || mask.is_only(Encoding::PLAIN_DICTIONARY)
            })
        })
}

/// Reads a file whose footer is known.
#[derive(Debug)]
pub(super) struct FileReader {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) location: Path,
    /// Counts what is read.
    pub(super) bytes: Count,
}

impl AsyncFileReader for FileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move {
            let mut bytes = self.get_byte_ranges(vec![range]).await?;
            bytes.pop().ok_or_else(|| ParquetError::General("nothing was read".to_owned()))
        }
        .boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        let bytes: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        self.bytes.add(usize::try_from(bytes).unwrap_or_default());
        async move { self.store.get_ranges(&self.location, &ranges).await.map_err(external) }
            .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let known = || ParquetError::General("the footer is read elsewhere".to_owned());
        async move { Err(known()) }.boxed()
    }
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(DataFusionError::from(error)))
}
