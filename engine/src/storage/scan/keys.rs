//! Files without wanted rows because their documents lack keys that are asked for.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::HashMap;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::simplifier::PhysicalExprSimplifier;
use datafusion::physical_expr::utils::split_conjunction;

use crate::functions::json::property::read_of;
use crate::storage::adapt::Adapter;
use crate::storage::part::Part;
use crate::storage::scan::files::is_never_true;
use crate::storage::schema::{PROPERTIES, events_schema};
use crate::storage::shred::{Layout, Layouts};

/// The parts that may have rows for the predicate, by the keys that the log lists of them.
pub(super) fn with_keys(
    parts: Vec<Arc<Part>>,
    predicate: &Arc<dyn PhysicalExpr>,
) -> Result<Vec<Arc<Part>>> {
    let keys: Vec<String> = keys_of(predicate)?.into_iter().collect();
    if keys.is_empty() {
        return Ok(parts);
    }
    // Many files lack the same keys.
    let mut known: HashMap<Vec<bool>, bool> = HashMap::new();
    let mut kept = Vec::new();
    for part in parts {
        let lacks = |key: &String| part.properties.as_ref().is_some_and(|seen| seen.lacks(key));
        let lacking: Vec<bool> = keys.iter().map(lacks).collect();
        let keep = match known.get(&lacking) {
            Some(keep) => *keep,
            None => {
                let present = keys.iter().zip(&lacking).filter(|(_, lacking)| !**lacking);
                let keep = may_match(predicate, present.map(|(key, _)| key.clone()).collect())?;
                known.insert(lacking, keep);
                keep
            }
        };
        if keep {
            kept.push(part);
        }
    }
    Ok(kept)
}

/// The keys of event properties that an expression reads.
fn keys_of(expr: &Arc<dyn PhysicalExpr>) -> Result<BTreeSet<String>> {
    let mut keys = BTreeSet::new();
    expr.apply(|expr| {
        if let Some(read) = read_of(expr.as_ref())
            && read.column.name() == PROPERTIES
            && let Some(key) = read.keys.first()
        {
            keys.insert((*key).to_owned());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(keys)
}

/// False when the predicate holds for no row of a file that has only these of its keys.
fn may_match(predicate: &Arc<dyn PhysicalExpr>, present: BTreeSet<String>) -> Result<bool> {
    let layouts = Layouts::from([(PROPERTIES.to_owned(), Layout::of_keys(present))]);
    let adapter = Adapter::new(events_schema(), &layouts)?;
    let simplifier = PhysicalExprSimplifier::new(events_schema());
    let predicate = simplifier.simplify(adapter.rewrite(Arc::clone(predicate))?)?;
    Ok(!split_conjunction(&predicate).into_iter().any(is_never_true))
}
