//! How fast events come in: generates events of about 1.5 kB into a file, then imports it into a
//! fresh data folder and prints events per second and the peak of memory.
//!
//! `cargo run --release -p hedgerow-engine --example import_speed -- [EVENTS] [FOLDER]`

#![expect(clippy::print_stdout, reason = "a program for people")]

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::time::Instant;

use chrono::DateTime;
use hedgerow_engine::demo::{DemoOptions, events};
use hedgerow_engine::ingest::{ImportOptions, Source, import};
use hedgerow_engine::{EventStore, Location};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let temporary = tempfile::tempdir()?;
    let folder = arguments.next().map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    std::fs::create_dir_all(&folder)?;

    let file = folder.join("events.json");
    let started = Instant::now();
    let end = DateTime::from_timestamp(1_772_452_800, 0).unwrap_or_default();
    let options = DemoOptions { events: count, wide: true, ..DemoOptions::new(end) };
    let mut writer = BufWriter::new(File::create(&file)?);
    let bytes = io::copy(&mut events(&options), &mut writer)?;
    writer.flush()?;
    let seconds = started.elapsed().as_secs_f64();
    println!("generated {count} events, {} bytes each, in {seconds:.1} s", bytes / count.max(1));

    let store = EventStore::create(&Location::from(folder.join("data").as_path())).await?;
    let project = store.create_project("default").await?;
    for run in ["first", "second"] {
        let sources = vec![Source::Path(file.clone())];
        let report = import(&store, project, sources, ImportOptions::default(), &mut ()).await?;
        let seconds = report.elapsed.as_secs_f64();
        let events = report.imported + report.duplicates;
        println!(
            "{run} import: {} added, {} known, {seconds:.1} s, {:.0} events/s, peak {}",
            report.imported,
            report.duplicates,
            events as f64 / seconds,
            peak_memory(),
        );
    }
    Ok(())
}

/// The most memory the process has held so far, where the system tells.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |value| value.trim().to_owned())
}
