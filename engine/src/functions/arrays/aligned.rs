//! Arrays that are walked side by side.

use arrow::array::ArrayRef;

use super::Lists;
use crate::error::{Error, ErrorKind, Result};
use crate::functions::arguments::Arguments;
use crate::functions::function::{Arg, Function, Nulls, Returns};

/// What walking arrays into rows asks for.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    Function::scalar("__aligned", &[Arg::Array], Returns::First, aligned)
        .variadic()
        .nulls(Nulls::First)
        .doc("The first array; an error unless all have the same length. NULL counts as empty."),
    Function::scalar("__same", &[Arg::Any], Returns::First, |args| args.expanded(0))
        .nulls(Nulls::First)
        .doc("The value itself, about which the optimizer knows nothing more."),
];

fn aligned(args: &Arguments<'_>) -> Result<ArrayRef> {
    let first = Lists::new(args, 0);
    for other in 1..args.count() {
        let other = Lists::new(args, other);
        for row in 0..args.rows {
            let length = |lists: &Lists<'_>| lists.range(row).map_or(0, |range| range.len());
            let (expected, found) = (length(&first), length(&other));
            if expected != found {
                let message = format!(
                    "the arrays of an ARRAY JOIN have different lengths: {expected} and {found}"
                );
                return Err(Error::new(ErrorKind::InvalidArgument, message));
            }
        }
    }
    args.expanded(0)
}
