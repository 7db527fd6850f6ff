//! A real Flight SQL client on a real socket.

use std::net::SocketAddr;
use std::sync::Arc;

use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use async_trait::async_trait;
use futures::TryStreamExt;
use sqllogictest::{AsyncDB, DBOutput};
use tonic::transport::{Channel, Endpoint};

use crate::{Failure, Letter, rows};

/// Runs statements as Flight SQL clients do: prepare, get the flight's info, read its endpoints.
#[derive(Debug)]
pub struct Flight {
    client: FlightSqlServiceClient<Channel>,
}

impl Flight {
    /// Connects to a project of the server at `address`.
    ///
    /// # Errors
    /// What the client reports.
    pub async fn connect(address: SocketAddr, project: &str) -> Result<Self, Failure> {
        let endpoint = Endpoint::new(format!("http://{address}")).map_err(Failure::interface)?;
        let channel = endpoint.connect().await.map_err(Failure::interface)?;
        let mut client = FlightSqlServiceClient::new(channel);
        client.set_header("x-hedgerow-project", project);
        client.handshake("test", "").await.map_err(Failure::interface)?;
        Ok(Self { client })
    }

    async fn query(&mut self, sql: &str) -> Result<DBOutput<Letter>, Failure> {
        let mut prepared = self.client.prepare(sql.to_owned(), None).await.map_err(failure)?;
        let described = Arc::new(prepared.dataset_schema().map_err(failure)?.clone());
        let info = prepared.execute().await.map_err(failure)?;
        let mut batches = Vec::new();
        for endpoint in info.endpoint {
            let ticket = endpoint.ticket.ok_or_else(|| Failure::interface("no ticket"))?;
            let stream = self.client.do_get(ticket).await.map_err(failure)?;
            let read: Vec<_> = stream.try_collect().await.map_err(failure)?;
            batches.extend(read);
        }
        prepared.close().await.map_err(failure)?;
        if let Some(batch) = batches.iter().find(|batch| batch.schema() != described) {
            let message = format!("described {described:?}, sent {:?}", batch.schema());
            return Err(Failure::interface(message));
        }
        rows::output(&described, &batches).map_err(Failure::interface)
    }
}

/// gRPC has no field for the SQLSTATE; the server puts it into the metadata.
fn status_failure(status: &tonic::Status) -> Failure {
    let sqlstate = status.metadata().get("sqlstate").and_then(|value| value.to_str().ok());
    Failure {
        sqlstate: sqlstate.unwrap_or("08000").to_owned(),
        message: status.message().to_owned(),
    }
}

fn failure(error: FlightError) -> Failure {
    match error {
        FlightError::Tonic(status) => status_failure(&status),
        other => Failure::interface(other),
    }
}

#[async_trait]
impl AsyncDB for Flight {
    type Error = Failure;
    type ColumnType = Letter;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Letter>, Failure> {
        self.query(sql).await
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "flight"
    }
}
