//! Row groups without wanted rows because their Bloom filters lack the values that are asked for.
//!
//! Filters stand in the file (Parquet's split block Bloom filters), for identifiers: these are
//! spread all over a file, so that bounds tell nothing of them.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::CastExpr;
use datafusion::physical_expr::utils::{Guarantee, LiteralGuarantee, conjunction};
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use parquet::bloom_filter::Sbbf;

use crate::storage::scan::cache::ColumnKey;
use crate::storage::scan::group::Reading;
use crate::storage::scan::open::{FileReader, OpenFile, is_flat};

/// The row groups that may have rows for the conditions, which are over the file.
pub(super) async fn with_values(
    reading: &Reading,
    file: &OpenFile,
    conditions: &[Arc<dyn PhysicalExpr>],
    groups: Vec<usize>,
) -> Result<Vec<usize>> {
    if groups.is_empty() || conditions.is_empty() || !is_flat(file.footer.metadata()) {
        return Ok(groups);
    }
    let conditions = conditions.iter().map(|condition| without_labels(condition, &file.schema));
    let conditions = conditions.collect::<Result<Vec<_>>>()?;
    let guarantees = LiteralGuarantee::analyze(&conjunction(conditions));
    let mut kept = Vec::with_capacity(groups.len());
    for group in groups {
        let mut keep = true;
        for wanted in guarantees.iter().filter(|wanted| wanted.guarantee == Guarantee::In) {
            keep = keep && may_hold(reading, file, group, wanted).await?;
        }
        match keep {
            true => kept.push(group),
            false => reading.metrics.groups_pruned.add(1),
        }
    }
    Ok(kept)
}

/// The condition without casts to the same type, which only say what a column is called in the
/// table: that its bytes are a UUID, say.
fn without_labels(
    condition: &Arc<dyn PhysicalExpr>,
    schema: &Schema,
) -> Result<Arc<dyn PhysicalExpr>> {
    let plain = Arc::clone(condition).transform_up(|expr| match expr.downcast_ref::<CastExpr>() {
        Some(cast) if cast.expr().data_type(schema)? == *cast.cast_type() => {
            Ok(Transformed::yes(Arc::clone(cast.expr())))
        }
        _ => Ok(Transformed::no(expr)),
    });
    plain.data()
}

/// False when the filter shows that a column has none of the wanted values.
async fn may_hold(
    reading: &Reading,
    file: &OpenFile,
    row_group: usize,
    wanted: &LiteralGuarantee,
) -> Result<bool> {
    let Ok(column) = file.schema.index_of(wanted.column.name()) else { return Ok(true) };
    if file.footer.metadata().row_group(row_group).column(column).bloom_filter_offset().is_none() {
        return Ok(true);
    }
    let key = ColumnKey { path: Arc::clone(&file.path), row_group, column };
    let filter = match reading.cache.filter(&key) {
        Some(filter) => filter,
        None => {
            let Some(filter) = read(reading, file, &key).await? else { return Ok(true) };
            reading.cache.keep_filter(key, &filter);
            filter
        }
    };
    Ok(wanted.literals.iter().any(|value| may_be_in(&filter, value)))
}

async fn read(reading: &Reading, file: &OpenFile, key: &ColumnKey) -> Result<Option<Arc<Sbbf>>> {
    let reader = FileReader {
        store: Arc::clone(&reading.store),
        location: file.location.clone(),
        bytes: reading.metrics.bytes.clone(),
    };
    let mut reader =
        ParquetRecordBatchStreamBuilder::new_with_metadata(reader, file.footer.clone());
    let filter = reader.get_row_group_column_bloom_filter(key.row_group, key.column).await?;
    Ok(filter.map(Arc::new))
}

/// True as well for values of types whose form in the filter is not that of the literal.
fn may_be_in(filter: &Sbbf, value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            filter.check(text.as_str())
        }
        ScalarValue::FixedSizeBinary(_, Some(bytes)) => filter.check(bytes.as_slice()),
        _ => true,
    }
}
