//! Rows spread over buckets by the hash of their keys, in memory or on disk.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::SchemaRef;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, SpillFile, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::{SpillMetrics, Time};
use datafusion::physical_plan::spill::SpillManager;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::{StreamExt, stream};

use crate::views::{own_bytes, trimmed_batch};

/// As many as the highest bits of a hash can tell apart.
const BUCKETS: usize = 1 << BUCKET_BITS;
const BUCKET_BITS: u32 = 6;
/// Rows spread at a time; fewer are one bucket.
const SPREAD_ROWS: usize = 1 << 18;
/// Another than those by which DataFusion spreads rows over partitions and tables.
const SEED: u64 = 0x6865_6467_6572_6f77;

/// Takes rows, and gives them back bucket by bucket.
pub(super) struct Spread {
    keys: Vec<Arc<dyn PhysicalExpr>>,
    /// Rows that are not spread yet.
    waiting: Vec<RecordBatch>,
    waiting_rows: usize,
    /// By bucket; none before the first rows are spread.
    held: Vec<Vec<RecordBatch>>,
    /// By bucket, each time that memory ran out.
    spilled: Vec<Vec<Arc<dyn SpillFile>>>,
    spiller: SpillManager,
    memory: MemoryReservation,
}

/// All rows of some groups.
pub(super) struct Bucket {
    spilled: Vec<Arc<dyn SpillFile>>,
    held: Vec<RecordBatch>,
    spiller: SpillManager,
    /// Of the rows held, given back with them.
    memory: MemoryReservation,
}

impl Spread {
    pub(super) fn new(
        keys: Vec<Arc<dyn PhysicalExpr>>,
        schema: SchemaRef,
        metrics: SpillMetrics,
        context: &TaskContext,
    ) -> Self {
        let memory = MemoryConsumer::new("Buckets").with_can_spill(true);
        Self {
            keys,
            waiting: Vec::new(),
            waiting_rows: 0,
            held: Vec::new(),
            spilled: Vec::new(),
            spiller: SpillManager::new(context.runtime_env(), metrics, schema),
            memory: memory.register(context.memory_pool()),
        }
    }

    /// Takes all rows of `input`.
    ///
    /// # Errors
    /// What the input fails with; `ResourcesExhausted` when rows fit neither into memory nor on
    /// disk.
    pub(super) async fn all(
        mut self,
        mut input: SendableRecordBatchStream,
        time: &Time,
    ) -> Result<Vec<Bucket>> {
        while let Some(batch) = input.next().await.transpose()? {
            let _timer = time.timer();
            self.push(batch)?;
        }
        let _timer = time.timer();
        self.finish()
    }

    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        let bytes = own_bytes(&batch);
        if self.memory.try_grow(bytes).is_err() {
            self.spill()?;
            self.memory.try_grow(bytes)?;
        }
        self.waiting_rows += batch.num_rows();
        self.waiting.push(batch);
        if self.waiting_rows >= SPREAD_ROWS {
            self.spread()?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Bucket>> {
        if self.held.is_empty() {
            let held = std::mem::take(&mut self.waiting);
            let memory = self.memory.take();
            return Ok(vec![Bucket { spilled: Vec::new(), held, spiller: self.spiller, memory }]);
        }
        self.spread()?;
        self.spilled.resize_with(BUCKETS, Vec::new);
        let buckets = self.held.into_iter().zip(self.spilled).map(|(held, spilled)| {
            let bytes: usize = held.iter().map(own_bytes).sum();
            let memory = self.memory.split(bytes.min(self.memory.size()));
            Bucket { spilled, held, spiller: self.spiller.clone(), memory }
        });
        Ok(buckets.collect())
    }

    /// Puts the waiting rows into their buckets.
    fn spread(&mut self) -> Result<()> {
        let mut places: Vec<Vec<(usize, usize)>> = vec![Vec::new(); BUCKETS];
        let mut hashes = Vec::new();
        let hasher = RandomState::with_seed(SEED);
        for (number, batch) in self.waiting.iter().enumerate() {
            let keys =
                self.keys.iter().map(|key| key.evaluate(batch)?.into_array(batch.num_rows()));
            let keys: Vec<ArrayRef> = keys.collect::<Result<_>>()?;
            hashes.clear();
            hashes.resize(batch.num_rows(), 0);
            create_hashes(&keys, &hasher, &mut hashes)?;
            for (row, hash) in hashes.iter().enumerate() {
                places[bucket_of(*hash)].push((number, row));
            }
        }
        self.held.resize_with(BUCKETS, Vec::new);
        let batches: Vec<&RecordBatch> = self.waiting.iter().collect();
        let mut bytes = 0;
        for (places, held) in places.iter().zip(&mut self.held).filter(|(rows, _)| !rows.is_empty())
        {
            // A bucket's text lies together, so that it is near when its groups are looked up.
            let batch = trimmed_batch(&interleave_record_batch(&batches, places)?)?;
            bytes += own_bytes(&batch);
            held.push(batch);
        }
        let before: usize = self.waiting.iter().map(own_bytes).sum();
        self.waiting.clear();
        self.waiting_rows = 0;
        match bytes.checked_sub(before) {
            // Never more than a little: what was just counted is let go.
            Some(more) => self.memory.grow(more),
            None => self.memory.shrink(before - bytes),
        }
        Ok(())
    }

    /// Puts all rows on disk.
    fn spill(&mut self) -> Result<()> {
        self.spread()?;
        self.spilled.resize_with(BUCKETS, Vec::new);
        for (held, spilled) in self.held.iter_mut().zip(&mut self.spilled) {
            let batches = std::mem::take(held);
            spilled.extend(self.spiller.spill_record_batch_and_finish(&batches, "Buckets")?);
        }
        self.memory.free();
        Ok(())
    }
}

fn bucket_of(hash: u64) -> usize {
    usize::try_from(hash >> (u64::BITS - BUCKET_BITS)).unwrap_or_default()
}

impl Bucket {
    /// A plan of one partition that gives the rows, once.
    pub(super) fn into_plan(self) -> Result<StreamingTableExec> {
        let schema = Arc::clone(self.spiller.schema());
        let rows = Rows { schema: Arc::clone(&schema), bucket: Mutex::new(Some(self)) };
        StreamingTableExec::try_new(schema, vec![Arc::new(rows)], None, [], false, None)
    }

    fn into_stream(self) -> Result<SendableRecordBatchStream> {
        let Self { spilled, held, spiller, memory } = self;
        let schema = Arc::clone(spiller.schema());
        let spilled = spilled.into_iter().map(|file| spiller.read_spill_as_stream(file, None));
        let spilled = stream::iter(spilled.collect::<Result<Vec<_>>>()?).flatten();
        let held = stream::iter(held).map(move |batch| {
            memory.shrink(own_bytes(&batch).min(memory.size()));
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, spilled.chain(held))))
    }
}

/// A bucket as a source of a plan.
struct Rows {
    schema: SchemaRef,
    bucket: Mutex<Option<Bucket>>,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the rows of a bucket")
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take();
        let rows = match bucket {
            Some(bucket) => bucket.into_stream(),
            None => internal_err!("a bucket is read once"),
        };
        rows.unwrap_or_else(|error| {
            let failed = stream::once(async { Err(error) });
            Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), failed))
        })
    }
}
