//! `lagInFrame` and `leadInFrame`: values of other rows, as far as the frame reaches.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    LimitEffect, PartitionEvaluator, Signature, Volatility, WindowUDFImpl,
};
use datafusion::physical_expr::PhysicalExpr;

use crate::error::Error;

/// Where the other row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    Back,
    Ahead,
}

/// A function of value, offset and default.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct InFrame {
    direction: Direction,
    signature: Signature,
}

impl InFrame {
    pub(super) fn new(direction: Direction) -> Self {
        Self { direction, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl WindowUDFImpl for InFrame {
    fn name(&self) -> &str {
        match self.direction {
            Direction::Back => "lagInFrame",
            Direction::Ahead => "leadInFrame",
        }
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
        Ok(Box::new(Evaluator { direction: self.direction, row: 0 }))
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        let value = args.get_input_field(0).ok_or_else(|| Error::internal("no value"))?;
        Ok(Arc::new(Field::clone(&value).with_name(args.name()).with_nullable(true)))
    }

    fn limit_effect(&self, _args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        LimitEffect::Unknown
    }
}

/// Counts the rows itself: DataFusion tells the frame but not the row. It asks for the rows of a
/// partition one after the other as long as bounded execution is not supported.
#[derive(Debug)]
struct Evaluator {
    direction: Direction,
    row: usize,
}

impl PartitionEvaluator for Evaluator {
    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        let row = self.row;
        self.row += 1;
        let offset = match ScalarValue::try_from_array(&values[1], row)? {
            ScalarValue::Int64(Some(offset)) => usize::try_from(offset).unwrap_or(usize::MAX),
            _ => 0,
        };
        let other = match self.direction {
            Direction::Back => row.checked_sub(offset),
            Direction::Ahead => row.checked_add(offset),
        };
        match other.filter(|other| range.contains(other)) {
            Some(other) => ScalarValue::try_from_array(&values[0], other),
            None => ScalarValue::try_from_array(&values[2], row),
        }
    }

    fn uses_window_frame(&self) -> bool {
        true
    }
}
