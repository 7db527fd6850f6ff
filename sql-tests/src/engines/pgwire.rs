//! A real Postgres client on a real socket.

use std::net::SocketAddr;

use async_trait::async_trait;
use sqllogictest::{AsyncDB, DBOutput};
use tokio::task::JoinHandle;
use tokio_postgres::types::{Kind, Type};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::{Failure, Letter, rows};

/// Runs statements with the simple protocol, after their columns were described with the
/// extended one.
#[derive(Debug)]
pub struct Pgwire {
    client: Client,
    connection: JoinHandle<()>,
}

impl Pgwire {
    /// Connects to a project of the server at `address`.
    ///
    /// # Errors
    /// What the driver reports.
    pub async fn connect(address: SocketAddr, project: &str) -> Result<Self, Failure> {
        let (host, port) = (address.ip(), address.port());
        let config = format!("host={host} port={port} user=test dbname={project}");
        let (client, connection) =
            tokio_postgres::connect(&config, NoTls).await.map_err(Failure::interface)?;
        let connection = tokio::spawn(async move {
            // An error here reaches the client as a failed query.
            let _ = connection.await;
        });
        let client = Self { client, connection };
        client.client.batch_execute("set hogql_strings = on").await.map_err(failure)?;
        Ok(client)
    }
}

fn letter(ty: &Type) -> Letter {
    match *ty {
        Type::BOOL => Letter::Bool,
        Type::INT2 | Type::INT4 | Type::INT8 => Letter::Integer,
        Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC => Letter::Real,
        Type::DATE => Letter::Date,
        Type::TIMESTAMP | Type::TIMESTAMPTZ => Letter::DateTime,
        _ if matches!(ty.kind(), Kind::Array(_)) => Letter::Array,
        _ => Letter::Text,
    }
}

fn failure(error: tokio_postgres::Error) -> Failure {
    match error.as_db_error() {
        Some(error) => Failure {
            sqlstate: error.code().code().to_owned(),
            message: error.message().to_owned(),
        },
        None => Failure::interface(error),
    }
}

#[async_trait]
impl AsyncDB for Pgwire {
    type Error = Failure;
    type ColumnType = Letter;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Letter>, Failure> {
        let statement = self.client.prepare(sql).await.map_err(failure)?;
        let types = statement.columns().iter().map(|column| letter(column.type_())).collect();
        let messages = self.client.simple_query(sql).await.map_err(failure)?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|i| rows::cell(row.get(i))).collect())
            }
            _ => None,
        });
        Ok(DBOutput::Rows { types, rows: rows.collect() })
    }

    async fn shutdown(&mut self) {
        self.connection.abort();
    }

    fn engine_name(&self) -> &str {
        "pgwire"
    }
}
