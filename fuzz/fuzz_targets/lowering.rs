//! Any text that parses: an answer, or an error that the text is to blame for.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(broken) = hedgerow_fuzz::lowering::lowering(text) {
        panic!("{broken}");
    }
});

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    hedgerow_fuzz::drive(hedgerow_fuzz::lowering::lowering)
}
