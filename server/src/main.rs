//! `hedgerow`: the program.

use std::process::ExitCode;

// C code allocates here too (`override`): else each context of zstd is mapped and cleared anew.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keep_memory_for_reuse();
    hedgerow::cli::main()
}

/// Memory that is free goes back to the system after a minute, not after a second: queries and
/// imports free large blocks that the next batch wants again, and a fifth of an import's time went
/// into pages that were cleared anew. `MIMALLOC_PURGE_DELAY` in the environment goes before this.
#[expect(unsafe_code, reason = "the allocator's options have no other interface")]
fn keep_memory_for_reuse() {
    /// By its place among the options in `mimalloc.h`, which both of its major versions share.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    const MILLISECONDS: std::ffi::c_long = 60_000;
    // SAFETY: options must not be set by two threads at a time, and there is only one yet.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, MILLISECONDS) }
}
