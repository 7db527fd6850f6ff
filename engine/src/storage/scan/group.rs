//! The wanted rows of one row group.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Int64Array, RecordBatch,
    RecordBatchOptions,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{cast, filter};
use arrow::datatypes::{DataType, Int32Type, SchemaRef};
use datafusion::error::Result;
use futures::TryStreamExt;
use object_store::ObjectStore;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{RowSelection, RowSelectionPolicy};
use parquet::arrow::async_reader::{ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder};

use crate::functions::aggregates::passing;
use crate::storage::deleted::DeletedRows;
use crate::storage::scan::cache::{ColumnKey, ScanCache};
use crate::storage::scan::lanes::{Lane, Prepared, selected};
use crate::storage::scan::metrics::ScanMetrics;
use crate::storage::scan::open::{FileReader, OpenFile};

/// Columns this large are read as they are needed, and not kept.
const STREAMED_BYTES_MIN: i64 = 32 << 20;
/// With fewer rows in so many, only the pages that have them are read.
const SPARSE: usize = 64;

/// What a scan wants of one file: expressions in the terms of the file.
#[derive(Debug)]
pub(super) struct FilePlan {
    pub(super) file: Arc<OpenFile>,
    /// Columns of the file that the lanes read, ascending.
    pub(super) loaded: Vec<usize>,
    /// Rows must pass all of these.
    pub(super) conditions: Vec<Lane>,
    /// The columns of the answer.
    pub(super) lanes: Vec<Lane>,
    /// Nobody wants these rows.
    pub(super) deleted: Option<Arc<DeletedRows>>,
}

/// What reading needs beside the plan.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) cache: Arc<ScanCache>,
    pub(super) metrics: ScanMetrics,
    pub(super) schema: SchemaRef,
    pub(super) batch_rows: usize,
}

/// The rows of a row group, batch by batch.
pub(super) struct GroupRows {
    reading: Reading,
    plan: Arc<FilePlan>,
    /// By place in [`FilePlan::loaded`], only the wanted rows; none for columns that are streamed.
    columns: Vec<Option<ArrayRef>>,
    /// Those that are not.
    stream: Option<ParquetRecordBatchStream<FileReader>>,
    conditions: Vec<(usize, Prepared)>,
    lanes: Vec<Prepared>,
    rows: usize,
    next: usize,
}

impl GroupRows {
    /// Finds the rows that pass the conditions, as far as these can be told from columns that are
    /// worth keeping.
    pub(super) async fn open(
        reading: &Reading,
        plan: &Arc<FilePlan>,
        row_group: usize,
    ) -> Result<Self> {
        let mut columns = Columns {
            reading,
            plan,
            row_group,
            rows: usize::try_from(plan.file.footer.metadata().row_group(row_group).num_rows())
                .unwrap_or_default(),
            first_row: plan.file.first_row(row_group),
            loaded: vec![None; plan.loaded.len()],
        };
        let rows = columns.rows;
        let tested: Vec<usize> =
            plan.conditions.iter().flat_map(|lane| lane.columns.iter().copied()).collect();
        columns.load(&tested, rows).await?;

        // Conditions over dictionaries first: they need no look at rows.
        let deleted = plan.deleted.as_ref();
        let mut mask = deleted
            .and_then(|deleted| deleted.kept(columns.first_row..columns.first_row + rows as u64));
        let mut conditions = Vec::new();
        for (index, condition) in plan.conditions.iter().enumerate() {
            match condition.prepare(&columns.loaded, rows) {
                Prepared::ByDictionary(values) => {
                    let Some(column) = &columns.loaded[condition.columns[0]] else { continue };
                    let passing = selected(&values, column);
                    mask = Some(mask.map_or_else(|| passing.clone(), |mask| &mask & &passing));
                }
                prepared => conditions.push((index, prepared)),
            }
        }
        // Then those over columns that are here; the rows of the rest are tested as they come.
        let (here, later): (Vec<_>, Vec<_>) = conditions.into_iter().partition(|(index, _)| {
            plan.conditions[*index].columns.iter().all(|column| columns.loaded[*column].is_some())
        });
        for (index, prepared) in here {
            mask = Some(columns.test(&plan.conditions[index], &prepared, mask)?);
        }
        let mask = mask.filter(|mask| mask.count_set_bits() < rows);
        let wanted = mask.as_ref().map_or(rows, BooleanBuffer::count_set_bits);
        let mut stream = None;
        if wanted > 0 {
            let needed: Vec<usize> = (0..plan.loaded.len()).collect();
            columns.load(&needed, wanted).await?;
            stream = columns.stream(mask.as_ref())?;
        }
        let lanes = plan.lanes.iter().map(|lane| lane.prepare(&columns.loaded, wanted)).collect();
        let mut loaded = columns.loaded;
        if let Some(mask) = mask {
            let mask = BooleanArray::new(mask, None);
            for column in loaded.iter_mut().flatten() {
                *column = filter(column, &mask)?;
            }
        }
        Ok(Self {
            reading: reading.clone(),
            plan: Arc::clone(plan),
            columns: loaded,
            stream,
            conditions: later,
            lanes,
            rows: wanted,
            next: 0,
        })
    }

    /// The next batch of the answer; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while self.next < self.rows {
            let streamed = match &mut self.stream {
                Some(stream) => match stream.try_next().await? {
                    Some(batch) => Some(batch),
                    None => return Err(lost("rows")),
                },
                None => None,
            };
            let _timer = self.reading.metrics.time.timer();
            let rows = match &streamed {
                Some(batch) => batch.num_rows(),
                None => self.reading.batch_rows.min(self.rows - self.next),
            };
            let mut columns = self.take(streamed, rows)?;
            let mut rows = rows;
            self.next += rows;
            for (index, prepared) in &self.conditions {
                let passing = self.plan.conditions[*index].evaluate(prepared, &columns, rows)?;
                let passing = passing.as_boolean();
                rows = passing.true_count();
                columns = columns
                    .iter()
                    .map(|column| filter(column, passing))
                    .collect::<Result<Vec<_>, _>>()?;
            }
            if rows > 0 {
                return Ok(Some(self.project(&columns, rows)?));
            }
        }
        Ok(None)
    }

    /// The loaded columns of the next rows.
    fn take(&self, streamed: Option<RecordBatch>, rows: usize) -> Result<Vec<ArrayRef>> {
        let mut streamed = streamed.into_iter().flat_map(|batch| batch.columns().to_vec());
        let columns = self.columns.iter().map(|column| match column {
            Some(column) => Ok(column.slice(self.next, rows)),
            None => as_kept(streamed.next().ok_or_else(|| lost("a column"))?),
        });
        columns.collect()
    }

    fn project(&self, columns: &[ArrayRef], rows: usize) -> Result<RecordBatch> {
        let answer = self.plan.lanes.iter().zip(&self.lanes).zip(self.reading.schema.fields()).map(
            |((lane, prepared), field)| {
                let column = lane.evaluate(prepared, columns, rows)?;
                // A file of another tool may have other types.
                match column.data_type() == field.data_type() {
                    true => Ok(column),
                    false => Ok(cast(&column, field.data_type())?),
                }
            },
        );
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(&self.reading.schema);
        let answer = answer.collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new_with_options(schema, answer, &options)?)
    }
}

/// The columns of a row group as they are loaded.
struct Columns<'a> {
    reading: &'a Reading,
    plan: &'a FilePlan,
    row_group: usize,
    rows: usize,
    /// By its number in the file.
    first_row: u64,
    /// Whole columns, by place.
    loaded: Vec<Option<ArrayRef>>,
}

impl Columns<'_> {
    /// Loads columns whole, where that is worth it for so many rows.
    async fn load(&mut self, places: &[usize], wanted: usize) -> Result<()> {
        let mut missing = Vec::new();
        for place in places {
            if self.loaded[*place].is_some() || missing.contains(place) {
                continue;
            }
            if self.plan.file.is_row_number(self.plan.loaded[*place]) {
                let numbers = self.first_row..self.first_row + self.rows as u64;
                let numbers = numbers.map(u64::cast_signed);
                self.loaded[*place] = Some(Arc::new(Int64Array::from_iter_values(numbers)));
                continue;
            }
            self.loaded[*place] = self.reading.cache.column(&self.key(*place));
            match &self.loaded[*place] {
                Some(_) => self.reading.metrics.columns_cached.add(1),
                None if self.is_kept(*place) && wanted * SPARSE >= self.rows => {
                    missing.push(*place)
                }
                None => {}
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort_unstable_by_key(|place| self.plan.loaded[*place]);
        let mut stream = self.reader(&missing)?.with_batch_size(self.rows).build()?;
        let batch = stream.try_next().await?.ok_or_else(|| lost("a row group"))?;
        if batch.num_rows() != self.rows {
            return Err(lost("rows of a row group"));
        }
        for (place, column) in missing.iter().zip(batch.columns()) {
            let column = as_kept(Arc::clone(column))?;
            self.reading.cache.keep_column(self.key(*place), &column);
            self.loaded[*place] = Some(column);
        }
        Ok(())
    }

    /// The columns that are not loaded, row by row.
    fn stream(
        &self,
        mask: Option<&BooleanBuffer>,
    ) -> Result<Option<ParquetRecordBatchStream<FileReader>>> {
        let missing: Vec<usize> =
            (0..self.loaded.len()).filter(|place| self.loaded[*place].is_none()).collect();
        if missing.is_empty() {
            return Ok(None);
        }
        let mut reader = self.reader(&missing)?.with_batch_size(self.reading.batch_rows);
        if let Some(mask) = mask {
            let mask = BooleanArray::new(mask.clone(), None);
            reader = reader
                .with_row_selection(RowSelection::from_filters(&[mask]))
                .with_row_selection_policy(RowSelectionPolicy::Selectors);
        }
        Ok(Some(reader.build()?))
    }

    fn reader(&self, places: &[usize]) -> Result<ParquetRecordBatchStreamBuilder<FileReader>> {
        let file = &self.plan.file;
        let fields = places.iter().map(|place| self.plan.loaded[*place]);
        self.reading.metrics.columns_decoded.add(places.len());
        let mask = ProjectionMask::roots(file.footer.parquet_schema(), fields);
        let reader = FileReader {
            store: Arc::clone(&self.reading.store),
            location: file.location.clone(),
            bytes: self.reading.metrics.bytes.clone(),
        };
        Ok(ParquetRecordBatchStreamBuilder::new_with_metadata(reader, file.footer.clone())
            .with_projection(mask)
            .with_row_groups(vec![self.row_group]))
    }

    /// Adds a condition to those that rows have passed.
    fn test(
        &self,
        condition: &Lane,
        prepared: &Prepared,
        mask: Option<BooleanBuffer>,
    ) -> Result<BooleanBuffer> {
        let columns = self.loaded.iter().map(|column| {
            // Columns that are not loaded are not read.
            column.clone().unwrap_or_else(|| Arc::new(BooleanArray::new_null(self.rows)))
        });
        let columns: Vec<ArrayRef> = columns.collect();
        let Some(mask) = mask else {
            let tested = condition.evaluate(prepared, &columns, self.rows)?;
            return Ok(passing(tested.as_boolean()));
        };
        // A row that another condition has refused must not make this one fail.
        let rows = BooleanArray::new(mask.clone(), None);
        let mut few = columns;
        for column in condition.columns.iter() {
            few[*column] = filter(&few[*column], &rows)?;
        }
        let tested = condition.evaluate(prepared, &few, mask.count_set_bits())?;
        let passing = passing(tested.as_boolean());
        let mut passing = passing.iter();
        Ok(mask.iter().map(|set| set && passing.next() == Some(true)).collect())
    }

    fn key(&self, place: usize) -> ColumnKey {
        ColumnKey {
            path: Arc::clone(&self.plan.file.path),
            row_group: self.row_group,
            column: self.plan.loaded[place],
        }
    }

    fn is_kept(&self, place: usize) -> bool {
        let group = self.plan.file.footer.metadata().row_group(self.row_group);
        let field = self.plan.loaded[place];
        let bytes = match field < group.num_columns() {
            true => group.column(field).uncompressed_size(),
            false => 0,
        };
        bytes < STREAMED_BYTES_MIN
            && usize::try_from(bytes).unwrap_or(usize::MAX) < self.reading.cache.column_bytes_max()
    }
}

/// Dictionaries hold views of text, as all else does, and numbers of properties are doubles.
fn as_kept(column: ArrayRef) -> Result<ArrayRef> {
    match column.data_type() {
        DataType::Dictionary(..) => {
            let dictionary = column.as_dictionary::<Int32Type>();
            let values = cast(dictionary.values(), &DataType::Utf8View)?;
            Ok(Arc::new(DictionaryArray::new(dictionary.keys().clone(), values)))
        }
        // No column of events has such a type.
        DataType::Decimal32(..) | DataType::Decimal64(..) => Ok(cast(&column, &DataType::Float64)?),
        _ => Ok(column),
    }
}

fn lost(what: &str) -> datafusion::error::DataFusionError {
    crate::error::Error::internal(format!("a file has lost {what}")).into()
}
