//! Sorted events → the bytes of a Parquet file and what the log will say about it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::compute::{cast, max, max_string_view, min, min_string_view};
use arrow::datatypes::{
    DataType, FieldRef, Int64Type, Schema, SchemaRef, TimestampMicrosecondType,
};
use bytes::Bytes;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::{HashSet, ScalarValue};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use crate::error::{Error, Result};
use crate::storage::build::column;
use crate::storage::part::{PartStatistics, Range};
use crate::storage::properties::{PropertyCounts, ValueCollector};
use crate::storage::schema::{
    CREATED_AT, DISTINCT_ID, DISTINCT_ID_HASH, PROPERTIES, SORT_KEY, STATISTICS_COLUMNS, TIMESTAMP,
    UUID, events_schema,
};
use crate::storage::shred::{
    Choice, DOCUMENTS, Layouts, SHREDDED_KEY, Shredder, is_property_column, is_remainder_column,
};

/// The key that says how a file is laid out, in its footer and in the log.
pub(crate) const LAYOUT_KEY: &str = "hedgerow.layout";
/// The layout written here.
pub(crate) const LAYOUT_VERSION: &str = "1";
/// The tag of a file in the log that says which rows are deleted.
pub(crate) const DELETED_KEY: &str = "hedgerow.deleted";
/// The key under which the log has what was seen of properties.
pub(crate) const PROPERTIES_KEY: &str = "hedgerow.properties";
/// The key under which the log has the CRC32C of a file's bytes, as eight hexadecimal digits.
pub(crate) const CHECKSUM_KEY: &str = "hedgerow.crc32c";

/// Small enough that pruning a group saves much, large enough that its columns are read in long
/// runs.
const ROW_GROUP_ROWS: usize = 128 * 1024;
const ROW_GROUP_BYTES: usize = 256 << 20;
const PAGE_ROWS: usize = 50_000;
/// Larger than others: documents are alike, and compress the better the more of them there are.
const DOCUMENT_PAGE_BYTES: usize = 2 << 20;
/// Texts of properties that hardly repeat, such as URLs, take the most space after the documents.
const TEXT_ZSTD_LEVEL: i32 = 6;
/// Of fewer values in a sample nothing can be told.
const SAMPLE_MIN: usize = 64;
/// A value must come so often for a dictionary of texts or doubles to pay.
const REPEATS_MIN: f64 = 4.0;

/// Of the values that a row group does not have, so many pass its Bloom filter: as few as fit
/// into one byte for each of a whole row group, since the size of a filter is a power of two.
const FILTER_FPP: f64 = 0.03;

/// Writes one file.
#[derive(Debug)]
pub(crate) struct PartWriter {
    parquet: ArrowWriter<Vec<u8>>,
    /// By the column whose documents they cut.
    shredders: Vec<(&'static str, Shredder)>,
    schema: SchemaRef,
    statistics: PartStatistics,
    values: ValueCollector,
}

impl PartWriter {
    /// A file whose columns suit these rows: a sample of its `rows` rows.
    pub(crate) fn new(sample: &RecordBatch, rows: u64) -> Result<Self> {
        let mut fields: Vec<FieldRef> = events_schema().fields().iter().cloned().collect();
        let mut sampled = sample.columns().to_vec();
        let mut shredders = Vec::new();
        let mut values = ValueCollector::default();
        for (name, prefix) in DOCUMENTS {
            let documents = column(sample, name)?.as_string_view();
            let choice = Choice::of(documents.iter().flatten());
            let mut probe = Shredder::new(prefix, choice.clone());
            fields.extend(probe.fields().into_iter().map(Arc::new));
            let mut shredded = probe.shred(documents);
            probe.leave_out_twins(&mut shredded, sample)?;
            sampled.extend(shredded);
            let shredder = Shredder::new(prefix, choice);
            if name == PROPERTIES {
                values = ValueCollector::new(shredder.keys(), documents.iter().flatten());
            }
            shredders.push((name, shredder));
        }
        let properties = properties(fields.iter().map(|f| f.name().as_str()).zip(&sampled), rows);
        // The Arrow schema is left out of the file: its view types are news to many readers.
        let options =
            ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let schema = Arc::new(Schema::new(fields));
        let parquet = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&schema), options)
            .map_err(write_error)?;
        Ok(Self { parquet, shredders, schema, statistics: PartStatistics::default(), values })
    }

    /// Appends rows that do not come before those already written.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut columns = batch.columns().to_vec();
        for (name, shredder) in &mut self.shredders {
            let mut shredded = shredder.shred(column(batch, name)?.as_string_view());
            if *name == PROPERTIES {
                self.values.add(&shredded);
            }
            shredder.leave_out_twins(&mut shredded, batch)?;
            columns.extend(shredded);
        }
        let whole = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        self.parquet.write(&whole).map_err(write_error)?;
        add_statistics(&mut self.statistics, batch);
        Ok(())
    }

    /// The size of the file so far, about.
    pub(crate) fn bytes(&self) -> usize {
        self.parquet.bytes_written() + self.parquet.in_progress_size()
    }

    /// The whole file, and what the log says about it.
    pub(crate) fn finish(mut self) -> Result<(Bytes, PartStatistics, PropertyCounts)> {
        let mut layouts = Layouts::new();
        let mut properties = PropertyCounts::default();
        for (name, shredder) in self.shredders {
            let (layout, counts) = shredder.finish();
            layouts.insert(name.to_owned(), layout);
            if name == PROPERTIES {
                properties = counts;
            }
        }
        // Maps with text keys always serialise.
        let layouts = serde_json::to_string(&layouts).unwrap_or_default();
        self.parquet.append_key_value_metadata(KeyValue::new(SHREDDED_KEY.to_owned(), layouts));
        let bytes = self.parquet.into_inner().map_err(write_error)?;
        properties.add_values(self.values);
        Ok((bytes.into(), self.statistics, properties))
    }
}

/// How a file of so many rows is written, by a sample of its columns.
fn properties<'a>(
    sampled: impl Iterator<Item = (&'a str, &'a ArrayRef)>,
    rows: u64,
) -> WriterProperties {
    let schema = events_schema();
    let sorting = SORT_KEY.iter().filter_map(|name| {
        let column_idx = i32::try_from(schema.index_of(name).ok()?).ok()?;
        Some(SortingColumn { column_idx, descending: false, nulls_first: false })
    });
    let layout = KeyValue::new(LAYOUT_KEY.to_owned(), LAYOUT_VERSION.to_owned());
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(concat!("hedgerow ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns(Some(sorting.collect()))
        .set_key_value_metadata(Some(vec![layout]));
    let well_packed = Compression::ZSTD(ZstdLevel::try_new(TEXT_ZSTD_LEVEL).unwrap_or_default());
    for (name, column) in sampled {
        let path = ColumnPath::from(name);
        let is_property = is_property_column(name);
        if is_property {
            // The least of all objects says nothing of any of them.
            let statistics = match is_remainder_column(name) {
                true => EnabledStatistics::None,
                false => EnabledStatistics::Chunk,
            };
            properties = properties.set_column_statistics_enabled(path.clone(), statistics);
        }
        if let Some(encoding) = better_than_dictionary(column, rows) {
            if is_property && column.data_type().is_string() {
                properties = properties.set_column_compression(path.clone(), well_packed);
            }
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, encoding);
        }
    }
    for (name, statistics) in
        [(PROPERTIES, EnabledStatistics::None), (UUID, EnabledStatistics::Chunk)]
    {
        properties = properties
            .set_column_dictionary_enabled(ColumnPath::from(name), false)
            .set_column_statistics_enabled(ColumnPath::from(name), statistics)
            .set_column_data_page_size_limit(ColumnPath::from(name), DOCUMENT_PAGE_BYTES);
    }
    // Identifiers are spread all over a file: bounds tell nothing of them.
    for name in [UUID, DISTINCT_ID] {
        properties = properties.set_column_bloom_filter_fpp(ColumnPath::from(name), FILTER_FPP);
    }
    // Close to each other after sorting.
    for name in [TIMESTAMP, CREATED_AT, DISTINCT_ID_HASH] {
        properties = properties
            .set_column_dictionary_enabled(ColumnPath::from(name), name == CREATED_AT)
            .set_column_encoding(ColumnPath::from(name), Encoding::DELTA_BINARY_PACKED);
    }
    properties.build()
}

/// The encoding of a column of so many rows, where a dictionary would cost time and space; judged
/// by some of its values.
fn better_than_dictionary(sample: &ArrayRef, rows: u64) -> Option<Encoding> {
    // What is hashed here: decimals are not, as they are.
    let (hashed, bits) = match sample.data_type() {
        DataType::Decimal32(..) => (cast(sample, &DataType::Float64).ok()?, Some(32.0)),
        DataType::Decimal64(..) => (cast(sample, &DataType::Float64).ok()?, Some(64.0)),
        DataType::Utf8 | DataType::Utf8View | DataType::Float64 => (Arc::clone(sample), None),
        _ => return None,
    };
    let mut hashes = vec![0; sample.len()];
    create_hashes([&hashed], &RandomState::default(), &mut hashes).ok()?;
    let present = (0..sample.len()).filter(|row| sample.is_valid(*row));
    let distinct: HashSet<u64> = present.map(|row| hashes[row]).collect();
    let sampled = sample.len() - sample.null_count();
    if sampled < SAMPLE_MIN {
        return None;
    }
    let repeats = (sampled - distinct.len()) as f64;
    let sampled = sampled as f64;
    let values = rows.max(1) as f64 * sampled / sample.len() as f64;
    // Of the pairs among the sampled values one in so many is of equal ones.
    let distinct = (sampled * sampled / (2.0 * repeats)).min(values);
    match bits {
        Some(bits) => {
            let range = range(hashed.as_primitive(), sample.data_type())?;
            let in_dictionary = distinct * bits + values * (distinct + 1.0).log2();
            // A difference may be as large as the range, either way.
            let apart = values * ((range + 1.0).log2() + 1.0);
            (apart < in_dictionary).then_some(Encoding::DELTA_BINARY_PACKED)
        }
        None if distinct * REPEATS_MIN < values => None,
        None => Some(match have_same_length(sample) {
            // Lengths that are all the same take no space there.
            true => Encoding::DELTA_LENGTH_BYTE_ARRAY,
            false => Encoding::PLAIN,
        }),
    }
}

/// How many steps of their scale lie between the least and the greatest of decimals.
fn range(values: &Float64Array, decimal: &DataType) -> Option<f64> {
    let (DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale)) = decimal else {
        return None;
    };
    Some((max(values)? - min(values)?) * 10_f64.powi(i32::from(*scale)))
}

fn have_same_length(sample: &ArrayRef) -> bool {
    match sample.data_type() {
        DataType::Utf8 => all_equal(sample.as_string::<i32>().iter().flatten().map(str::len)),
        DataType::Utf8View => all_equal(sample.as_string_view().iter().flatten().map(str::len)),
        _ => false,
    }
}

fn all_equal(mut lengths: impl Iterator<Item = usize>) -> bool {
    let first = lengths.next();
    lengths.all(|length| Some(length) == first)
}

fn add_statistics(statistics: &mut PartStatistics, batch: &RecordBatch) {
    statistics.rows += batch.num_rows() as u64;
    for name in STATISTICS_COLUMNS {
        let Some(column) = batch.column_by_name(name) else { continue };
        *statistics.nulls.entry(name.to_owned()).or_default() += column.null_count() as u64;
        let Some((least, greatest)) = bounds(column) else { continue };
        let range =
            statistics.ranges.entry(name.to_owned()).or_insert(Range { min: None, max: None });
        if range.min.as_ref().is_none_or(|min| least < *min) {
            range.min = Some(least);
        }
        if range.max.as_ref().is_none_or(|max| greatest > *max) {
            range.max = Some(greatest);
        }
    }
}

/// The least and greatest value of a column; none without values, or of a type without bounds.
pub(crate) fn bounds(column: &ArrayRef) -> Option<(ScalarValue, ScalarValue)> {
    match column.data_type() {
        DataType::Int64 => {
            let column = column.as_primitive::<Int64Type>();
            Some((min(column)?.into(), max(column)?.into()))
        }
        DataType::Timestamp(_, zone) => {
            let column = column.as_primitive::<TimestampMicrosecondType>();
            let scalar = |value| ScalarValue::TimestampMicrosecond(Some(value), zone.clone());
            Some((scalar(min(column)?), scalar(max(column)?)))
        }
        DataType::Utf8View => {
            let column = column.as_string_view();
            let scalar = |value: &str| ScalarValue::Utf8View(Some(value.to_owned()));
            Some((scalar(min_string_view(column)?), scalar(max_string_view(column)?)))
        }
        _ => None,
    }
}

fn write_error(error: ParquetError) -> Error {
    Error::internal(format!("cannot encode Parquet: {error}")).caused_by(error)
}
