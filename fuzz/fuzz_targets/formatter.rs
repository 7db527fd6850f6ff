//! Any text that parses: formatted, it has the same trees, and formatting it again changes nothing.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(broken) = hedgerow_fuzz::formatter(text) {
        panic!("{broken}");
    }
});

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    hedgerow_fuzz::drive(hedgerow_fuzz::formatter)
}
