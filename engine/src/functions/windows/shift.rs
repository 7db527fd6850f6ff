//! `lag` and `lead` of DataFusion, as functions that can be told apart and are never turned round.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::FieldRef;
use datafusion::error::Result;
use datafusion::functions_window::lead_lag::{lag_udwf, lead_udwf};
use datafusion::logical_expr::function::{
    ExpressionArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs,
};
use datafusion::logical_expr::{
    LimitEffect, PartitionEvaluator, ReversedUDWF, Signature, WindowUDF, WindowUDFImpl,
};
use datafusion::physical_expr::PhysicalExpr;

/// The value of a row so many rows away: `execute/shift.rs` knows how to compute it for a whole
/// batch at once.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shift {
    inner: Arc<WindowUDF>,
    /// True for `lead`.
    pub(crate) ahead: bool,
}

pub(super) fn lag() -> Arc<WindowUDF> {
    Arc::new(WindowUDF::new_from_impl(Shift { inner: lag_udwf(), ahead: false }))
}

pub(super) fn lead() -> Arc<WindowUDF> {
    Arc::new(WindowUDF::new_from_impl(Shift { inner: lead_udwf(), ahead: true }))
}

impl WindowUDFImpl for Shift {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(
        &self,
        types: &[arrow::datatypes::DataType],
    ) -> Result<Vec<arrow::datatypes::DataType>> {
        self.inner.coerce_types(types)
    }

    fn expressions(&self, args: ExpressionArgs<'_>) -> Vec<Arc<dyn PhysicalExpr>> {
        self.inner.expressions(args)
    }

    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs<'_>,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        self.inner.partition_evaluator_factory(args)
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.field(args)
    }

    fn sort_options(&self) -> Option<SortOptions> {
        self.inner.sort_options()
    }

    fn reverse_expr(&self) -> ReversedUDWF {
        ReversedUDWF::NotSupported
    }

    fn limit_effect(&self, args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        self.inner.inner().limit_effect(args)
    }
}
