//! Sorting where the planner lost the proof of an order.
//!
//! DataFusion pushes a sort below a join whose other operators show that it is in order already, as
//! a union of constants is, and then cannot show that of the join. It refuses such a plan.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::LexOrdering;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{
    ExecutionPlan, ExecutionPlanProperties, replace_children_if_necessary,
};

use crate::execute::buckets::Bucketing;
use crate::execute::shift::Shifting;

/// DataFusion's rules, with our own before the last, which checks the plan.
pub(crate) fn rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let last = rules.len().saturating_sub(1);
    rules.splice(
        last..last,
        [Arc::new(SortAgain) as _, Arc::new(Shifting) as _, Arc::new(Bucketing) as _],
    );
    rules
}

/// Sorts the inputs of operators that need an order and are not shown to have it.
#[derive(Debug)]
struct SortAgain;

impl PhysicalOptimizerRule for SortAgain {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(plan.transform_up(sorted_inputs)?.data)
    }

    fn name(&self) -> &str {
        "SortAgain"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn sorted_inputs(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let mut inputs: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
    let mut changed = false;
    for (input, wanted) in plan.children().into_iter().zip(plan.required_input_ordering()) {
        let mut input = Arc::clone(input);
        if let Some(wanted) = wanted {
            let wanted = wanted.into_single();
            if !input.equivalence_properties().ordering_satisfy_requirement(wanted.clone())? {
                let sort = SortExec::new(LexOrdering::from(wanted), input);
                input = Arc::new(sort.with_preserve_partitioning(true));
                changed = true;
            }
        }
        inputs.push(input);
    }
    match changed {
        true => Ok(Transformed::yes(replace_children_if_necessary(plan, inputs)?)),
        false => Ok(Transformed::no(plan)),
    }
}
