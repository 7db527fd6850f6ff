//! Any text: a tree that prints and reads back, or an error with a place in the text.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(broken) = hedgerow_fuzz::parser(text) {
        panic!("{broken}");
    }
});

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    hedgerow_fuzz::drive(hedgerow_fuzz::parser)
}
