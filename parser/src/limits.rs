//! Every cap of the parser, in one place. Exceeding one is `SyntaxErrorKind::TooComplex`.

/// Longest text, in bytes.
pub const TEXT_BYTES_MAX: usize = 16 << 20;

/// Most tokens in one text.
pub const TOKENS_MAX: usize = 1 << 20;

/// Deepest nesting of constructs that the parser enters by recursion: parentheses, calls,
/// subqueries, prefix operators. An unoptimised build parses this deep in a 2 MiB stack.
pub const NESTING_MAX: u32 = 128;

/// Greatest height of a finished tree. Left-associative chains (`1 + 1 + …`) grow the tree
/// without recursion here, yet everything that later walks, prints or drops the tree recurses.
/// Chains of AND and OR are flat and not concerned.
pub const HEIGHT_MAX: u32 = 512;

/// Longest number, in characters.
pub const NUMBER_BYTES_MAX: usize = 1024;

/// How many tokens after INTERVAL are searched for its unit, a bracket with all it holds being one.
pub(crate) const INTERVAL_TOKENS_MAX: usize = 64;

const _: () = assert!(NESTING_MAX <= HEIGHT_MAX);
const _: () = assert!(TEXT_BYTES_MAX < u32::MAX as usize, "spans are 32-bit");
