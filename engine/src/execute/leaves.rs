//! Property reads move down to the scans, wherever DataFusion can move them.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{ApplyOrder, Optimizer, OptimizerConfig, OptimizerRule};

/// DataFusion's optimizer rules; the one that moves reads down leaves a plan alone that it
/// cannot handle.
pub(crate) fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let tolerant = |rule: Arc<dyn OptimizerRule + Send + Sync>| match rule.name() {
        "push_down_leaf_projections" => Arc::new(IfPossible(rule)) as _,
        _ => rule,
    };
    Optimizer::new().rules.into_iter().map(tolerant).collect()
}

/// A rule that fails where a projection holds a column beside an alias of the same name, as in
/// `select properties as p, timestamp as timestamp from events`. The reads then stay above it.
#[derive(Debug)]
struct IfPossible(Arc<dyn OptimizerRule + Send + Sync>);

impl OptimizerRule for IfPossible {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        self.0.rewrite(plan.clone(), config).or_else(|_| Ok(Transformed::no(plan)))
    }
}
