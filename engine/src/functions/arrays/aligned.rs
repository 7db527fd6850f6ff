//! Arrays that are walked side by side.

use super::Lists;
use crate::error::{Error, ErrorKind};
use crate::functions::function::{Arg, Function, Nulls, Returns};

/// What ARRAY JOIN asks of its arrays.
pub(in crate::functions) const FUNCTIONS: &[Function] =
    &[Function::scalar("__aligned", &[Arg::Array], Returns::First, |args| {
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
    })
    .variadic()
    .nulls(Nulls::First)
    .doc("The first array; an error unless all have the same length. NULL counts as empty.")];
