//! The window function behind ASOF JOIN.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    LimitEffect, PartitionEvaluator, Signature, Volatility, WindowUDFImpl,
};
use datafusion::physical_expr::PhysicalExpr;

use crate::error::Error;

/// `__lastMatch(is_match, value)`: the value of the last row up to this one that is a match;
/// NULL where there is none. A NULL value of a match counts, unlike with `IGNORE NULLS`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct LastMatch {
    signature: Signature,
}

impl LastMatch {
    pub(crate) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl WindowUDFImpl for LastMatch {
    fn name(&self) -> &str {
        "__lastMatch"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(arg_types.to_vec())
    }

    fn partition_evaluator(
        &self,
        _args: PartitionEvaluatorArgs<'_>,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Evaluator))
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        let value = args.get_input_field(1).ok_or_else(|| Error::internal("no value"))?;
        Ok(Arc::new(Field::clone(&value).with_name(args.name()).with_nullable(true)))
    }

    fn limit_effect(&self, _args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        LimitEffect::Unknown
    }
}

#[derive(Debug)]
struct Evaluator;

impl PartitionEvaluator for Evaluator {
    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let matches = values[0].as_boolean();
        let mut last = None;
        let places: UInt64Array = (0..rows)
            .map(|row| {
                if matches.is_valid(row) && matches.value(row) {
                    last = Some(row as u64);
                }
                last
            })
            .collect();
        Ok(take(&values[1], &places, None)?)
    }
}
