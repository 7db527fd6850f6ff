//! `hedgerow demo`.

use std::io::{self, Write};
use std::sync::Arc;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use clap::Args;
use hedgerow_engine::demo::{DemoOptions, seed};
use hedgerow_engine::ingest::IngestOptions;
use hedgerow_engine::{Engine, EventStore, Location};
use serde::Deserialize;

use super::failure::Failure;
use super::meter::Meter;
use super::server::Listen;
use crate::config::{EngineFlags, fill};
use crate::server::{DEFAULT_PROJECT, Server};

/// Options of `hedgerow demo`.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Data folder, or object-store URL (s3://, gs://, az://); made if it is not there, and left
    /// as it is if it has events. Default: data/demo.
    #[arg(long, value_name = "DIR|URL", env = "HEDGEROW_DATA")]
    data: Option<String>,
    /// How many events to make up. Default: 200000.
    #[arg(long, value_name = "N", env = "HEDGEROW_DEMO_EVENTS")]
    events: Option<u64>,
    /// How many days they cover. Default: 90.
    #[arg(long, value_name = "N", env = "HEDGEROW_DEMO_DAYS")]
    days: Option<u32>,
    /// Another number makes another history of the same product. Default: 42.
    #[arg(long, value_name = "N", env = "HEDGEROW_DEMO_SEED")]
    seed: Option<u64>,
    /// Time of the last event, as in 2026-03-01T00:00:00Z. Default: the last full hour.
    #[arg(long, value_name = "TIME", env = "HEDGEROW_DEMO_END")]
    end: Option<DateTime<Utc>>,
    #[command(flatten)]
    #[serde(skip)]
    engine: EngineFlags,
    /// Where the server listens.
    #[command(flatten)]
    listen: Listen,
}

impl Options {
    /// These options, and those of the file where they say nothing.
    #[must_use]
    pub(crate) fn over(mut self, file: Self, engine: EngineFlags) -> Self {
        self.engine = self.engine.over(engine);
        self.listen = self.listen.over(file.listen);
        fill!(self, file; data, events, days, seed, end);
        self
    }

    fn product(&self) -> DemoOptions {
        let now = Utc::now();
        let hour = now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now);
        let defaults = DemoOptions::new(self.end.unwrap_or(hour));
        DemoOptions {
            events: self.events.unwrap_or(defaults.events),
            days: self.days.unwrap_or(defaults.days).max(1),
            seed: self.seed.unwrap_or(defaults.seed),
            ..defaults
        }
    }
}

/// Makes up the product where there is none, and serves it.
///
/// # Errors
/// When the data folder cannot be written, or an address cannot be listened on.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let location = Location(options.data.clone().unwrap_or_else(|| "data/demo".to_owned()));
    let product = options.product();
    let store = EventStore::create(&location).await?;
    let project = store.create_project(DEFAULT_PROJECT).await?;
    let mut meter = Meter::new(Some(product.events));
    let report = seed(&store, project, &product, &mut meter).await;
    meter.finish();
    let mut out = io::stdout();
    match report? {
        Some(report) => writeln!(
            out,
            "{} events of a made-up product in {} ({:.1} s)",
            report.imported,
            location.0,
            report.elapsed.as_secs_f64()
        )?,
        None => writeln!(out, "{} has events already: they are served as they are", location.0)?,
    }
    let ingest = IngestOptions::default();
    let engine = Engine::open_for_ingest(&location, options.engine.options(), ingest).await?;
    let served = options.listen.serve(Arc::clone(&engine), print_examples).await;
    engine.close().await;
    served
}

/// Lines to paste.
fn print_examples(server: &Server) -> io::Result<()> {
    let (pg, flight, http) = (server.pg(), server.flight(), server.http());
    let mut out = io::stdout().lock();
    write!(
        out,
        "
psql postgres://{pg}/{DEFAULT_PROJECT}
    select event, count(), uniq(distinct_id) from events group by event order by 2 desc;
    insert into events (event, distinct_id, properties) values ('hello', 'me', '{{\"from\": \"psql\"}}');

python3 -m pip install adbc-driver-flightsql pyarrow
python3
    import adbc_driver_flightsql.dbapi as flightsql
    cursor = flightsql.connect('grpc://{flight}', autocommit=True).cursor()
    cursor.execute('select toStartOfDay(timestamp) as day, count() as events from events group by day')
    cursor.fetch_arrow_table()

curl http://{http}/ready

Ctrl-C ends the server.
"
    )?;
    out.flush()
}
