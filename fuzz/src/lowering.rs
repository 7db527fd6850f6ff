//! Statements all the way: analysed, planned and, where they only read, run over little data.

use std::sync::OnceLock;
use std::time::Duration;

use futures::TryStreamExt;
use hedgerow_engine::{Error, ErrorKind, Result, Session, SessionOptions, Statement};
use hedgerow_parser::{Dialect, ast};
use hedgerow_sql_tests::fixture::Fixture;
use tokio::runtime::Runtime;

use crate::{Broken, DIALECTS, in_text};

/// A query that is still running then is let go: random joins have no end.
const SECONDS_MAX: u64 = 2;

/// The store of the SQL tests with one session for each dialect.
struct Bench {
    runtime: Runtime,
    fixture: Fixture,
}

static BENCH: OnceLock<Bench> = OnceLock::new();

impl Bench {
    #[expect(clippy::expect_used, reason = "without data there is nothing to try")]
    fn create() -> Self {
        let runtime = Runtime::new().expect("threads");
        let fixture = runtime.block_on(Fixture::create()).expect("the data of the SQL tests");
        Self { runtime, fixture }
    }

    /// Analyses a text, and runs it if it is a query.
    async fn answer(&self, text: &str, dialect: Dialect) -> Result<()> {
        let options = SessionOptions { project: "default".to_owned(), dialect };
        let session = self.fixture.engine.session(options).await?;
        let statement = session.prepare(text, &[]).await?;
        if !matches!(statement.tree.kind, ast::StatementKind::Query(_)) {
            return Ok(());
        }
        let run = tokio::time::timeout(Duration::from_secs(SECONDS_MAX), run(&session, &statement));
        run.await.unwrap_or(Ok(()))
    }
}

async fn run(session: &Session, statement: &Statement) -> Result<()> {
    let mut rows = session.query(&statement.text).await?;
    while let Some(batch) = rows.try_next().await? {
        if batch.schema() != statement.schema {
            return Err(Error::internal("other columns than were announced"));
        }
    }
    Ok(())
}

/// The lowering: an answer, or an error that the text is to blame for, with a place in it.
///
/// # Errors
/// What does not hold.
pub fn lowering(text: &str) -> std::result::Result<(), Broken> {
    let bench = BENCH.get_or_init(Bench::create);
    for dialect in DIALECTS {
        let Err(error) = bench.runtime.block_on(bench.answer(text, dialect)) else { continue };
        if error.kind == ErrorKind::Internal {
            return Err(format!("{dialect:?}: {error}"));
        }
        if let Some(span) = error.span {
            in_text(text, span, &error)?;
        }
    }
    Ok(())
}
