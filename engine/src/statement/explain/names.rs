//! What the optimizer's own names stand for: it computes property reads in the scans, under names
//! that say nothing to a user.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use serde_json::Value;

use super::{Step, plain_columns};
use crate::functions::json::property::read_of;
use crate::storage::EventsSource;

/// How names made by the optimizer begin.
const MADE: &str = "__datafusion_extracted";

/// Names, and calls of functions that users do not call, with what to say for them.
#[derive(Default)]
pub(super) struct Names(Vec<(String, String)>);

impl Names {
    /// Those in a plan.
    pub(super) fn of(plan: &Arc<dyn ExecutionPlan>) -> Result<Self> {
        let mut names = Self::default();
        plan.apply(|node| {
            if let Some(scan) = node.downcast_ref::<DataSourceExec>()
                && let Some(events) = scan.data_source().downcast_ref::<EventsSource>()
            {
                for computed in events.projection.iter() {
                    names.add(&computed.alias, &computed.expr)?;
                }
                for condition in &events.conditions {
                    names.add_calls(condition)?;
                }
            }
            if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
                for computed in projection.expr() {
                    names.add(&computed.alias, &computed.expr)?;
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        // A name may be the beginning of another.
        names.0.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        names.0.dedup();
        Ok(names)
    }

    fn add(&mut self, alias: &str, expr: &Arc<dyn PhysicalExpr>) -> Result<()> {
        self.add_calls(expr)?;
        if alias.starts_with(MADE) {
            let text = self.said(&plain_columns(&expr.to_string()));
            self.0.push((alias.to_owned(), text));
        }
        Ok(())
    }

    fn add_calls(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Result<()> {
        expr.apply(|expr| {
            if let Some(read) = read_of(expr.as_ref())
                && read.call.fun().name().starts_with("__")
            {
                self.0.push((plain_columns(&expr.to_string()), read.name()));
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(())
    }

    /// The text with these names replaced.
    fn said(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, said)| text.replace(name, said))
    }

    /// Puts them into the words of a step and of those before it.
    pub(super) fn explain(&self, step: &mut Step) {
        for (_, detail) in &mut step.details {
            match detail {
                Value::String(text) => *text = self.said(text),
                Value::Array(items) => {
                    for item in items {
                        if let Value::String(text) = item {
                            *text = self.said(text);
                        }
                    }
                }
                _ => {}
            }
        }
        step.inputs.iter_mut().for_each(|input| self.explain(input));
    }
}
