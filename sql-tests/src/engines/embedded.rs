//! A session in the test's own process.

use async_trait::async_trait;
use futures::TryStreamExt;
use hedgerow_engine::{Error, Session};
use sqllogictest::{AsyncDB, DBOutput};

use crate::{Failure, Letter, rows};

/// Runs statements through [`Session::query`].
#[derive(Debug)]
pub struct Embedded {
    session: Session,
}

impl Embedded {
    pub fn new(session: Session) -> Self {
        Self { session }
    }

    async fn query(&self, sql: &str) -> Result<DBOutput<Letter>, Error> {
        let stream = self.session.query(sql).await?;
        let schema = std::sync::Arc::clone(stream.schema());
        let batches: Vec<_> = stream.try_collect().await?;
        rows::output(&schema, &batches)
    }
}

#[async_trait]
impl AsyncDB for Embedded {
    type Error = Failure;
    type ColumnType = Letter;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Letter>, Failure> {
        self.query(sql).await.map_err(|error| Failure {
            sqlstate: hedgerow::error::sqlstate(error.kind).to_owned(),
            message: error.message,
        })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "embedded"
    }
}
