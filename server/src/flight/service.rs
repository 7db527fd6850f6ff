//! The Flight SQL calls.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, CommandGetCatalogs, CommandGetDbSchemas,
    CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo,
    CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementIngest,
    CommandStatementQuery, CommandStatementUpdate, DoPutPreparedStatementResult, ProstMessageExt,
    SqlInfo, TicketStatementQuery,
};
use arrow_flight::{
    Action, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse,
    IpcMessage, SchemaAsIpc, Ticket,
};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use hedgerow_engine::{Engine, Session, SessionOptions, Type};
use hedgerow_parser::Dialect;
use hedgerow_parser::ast::StatementKind;
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::handles::{Handles, Held, Principal};
use super::wire::{status, wire_batch, wire_schema};
use super::{ingest, metadata, params};
use crate::server::{DEFAULT_PROJECT, DEFAULT_SCHEMA, Lifecycle, schema_and_name};

/// The header that names the project of a request.
const PROJECT_HEADER: &str = "x-hedgerow-project";
/// Messages stay below this where rows allow it: many clients refuse more than four megabytes.
const MESSAGE_BYTES: usize = 2 << 20;

type Answer<T> = Result<Response<T>, Status>;
type DoGet = <Service as FlightService>::DoGetStream;
type Handshakes = Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>;

/// What all requests share.
#[derive(Debug)]
pub(super) struct Service {
    engine: Arc<Engine>,
    lifecycle: Lifecycle,
    handles: Handles,
}

impl Service {
    pub(super) fn new(engine: Arc<Engine>, lifecycle: Lifecycle) -> Self {
        Self { engine, lifecycle, handles: Handles::default() }
    }

    /// On whose behalf a request comes. Without configured roles everyone who reaches the port
    /// is let in; a token, where one is shown, must be one of ours.
    fn principal(&self, headers: &MetadataMap) -> Result<Principal, Status> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let token = match text("authorization").and_then(|value| value.strip_prefix("Bearer ")) {
            None => None,
            Some(token) => {
                let token = Bytes::copy_from_slice(token.as_bytes());
                if !self.handles.is_token(&token) {
                    return Err(Status::unauthenticated("unknown or expired token"));
                }
                Some(token)
            }
        };
        let project = text(PROJECT_HEADER).unwrap_or(DEFAULT_PROJECT).to_owned();
        Ok(Principal { token, project })
    }

    async fn session(&self, principal: &Principal) -> Result<Arc<Session>, Status> {
        if let Some(session) = self.handles.session(principal) {
            return Ok(session);
        }
        let options =
            SessionOptions { project: principal.project.clone(), dialect: Dialect::Hogql };
        let session = self.engine.session(options).await.map_err(|error| status(&error, ""))?;
        Ok(self.handles.keep(principal, session))
    }

    async fn prepare(&self, principal: &Principal, text: &str) -> Result<Held, Status> {
        let session = self.session(principal).await?;
        let statement = session.prepare(text, &[]).await.map_err(|error| status(&error, text))?;
        if principal.token.is_none() && is_about_session(&statement.tree.kind) {
            let message = "nothing is kept between requests without a token: do a handshake first";
            return Err(Status::failed_precondition(message));
        }
        Ok(Held { session, statement: Arc::new(statement), params: Vec::new() })
    }

    /// Runs a statement for what it does: how many rows it wrote, or gave.
    async fn update(&self, held: Held) -> Result<i64, Status> {
        let text = &held.statement.text;
        let answer = held.session.execute(&held.statement, held.params).await;
        let mut answer = answer.map_err(|error| status(&error, text))?;
        let mut rows = answer.outcome().and_then(|done| done.rows).unwrap_or(0);
        while let Some(batch) = answer.next().await {
            rows += batch.map_err(|error| status(&error, text))?.num_rows() as u64;
        }
        Ok(i64::try_from(rows).unwrap_or(i64::MAX))
    }

    /// Runs a statement without rows when its result is asked for: a client has nothing to fetch,
    /// so it may never come back, and it wants to hear of an error now.
    async fn run_now(&self, held: Held, descriptor: FlightDescriptor) -> Answer<FlightInfo> {
        self.update(held).await?;
        let info = FlightInfo::new().try_with_schema(&Schema::empty()).map_err(internal)?;
        Ok(Response::new(info.with_descriptor(descriptor)))
    }

    fn held(&self, principal: &Principal, handle: &Bytes) -> Result<Held, Status> {
        self.handles
            .get(principal, handle)
            .ok_or_else(|| Status::not_found("unknown or expired statement"))
    }

    /// Runs a statement: its batches, as the client takes them.
    async fn run(&self, held: Held) -> Answer<DoGet> {
        let text = Arc::clone(&held.statement.text);
        let batches = held
            .session
            .execute(&held.statement, held.params)
            .await
            .map_err(|error| status(&error, &text))?;
        for notice in batches.notices() {
            tracing::info!(message = %notice.message, "notice");
        }
        let schema = wire_schema(&held.statement.schema);
        let wire = SchemaRef::clone(&schema);
        let batches = batches.map(move |batch| {
            batch
                .and_then(|batch| wire_batch(&wire, &batch))
                .map_err(|error| FlightError::from(status(&error, &text)))
        });
        Ok(Response::new(self.stream(schema, batches.boxed())))
    }

    /// One batch that is already there.
    fn answer(&self, batch: RecordBatch) -> Answer<DoGet> {
        let schema = batch.schema();
        Ok(Response::new(self.stream(schema, stream::once(async { Ok(batch) }).boxed())))
    }

    /// Messages of a result. The server waits for it while it drains, and cuts it off when it
    /// stops.
    fn stream(
        &self,
        schema: SchemaRef,
        batches: BoxStream<'static, Result<RecordBatch, FlightError>>,
    ) -> DoGet {
        let open = self.lifecycle.clients.token();
        let state = (batches, self.lifecycle.stop.clone());
        let batches = stream::try_unfold(state, |(mut batches, stop)| async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    Err(FlightError::from(Status::unavailable("the server is shutting down")))
                }
                batch = batches.try_next() => {
                    Ok(batch?.map(|batch| (batch, (batches, stop))))
                }
            }
        });
        FlightDataEncoderBuilder::new()
            .with_schema(schema)
            .with_max_flight_data_size(MESSAGE_BYTES)
            .build(batches)
            .map_err(|error| match error {
                FlightError::Tonic(status) => *status,
                other => Status::internal(other.to_string()),
            })
            .inspect(move |_| {
                let _ = &open;
            })
            .boxed()
    }
}

/// Statements whose effect lasts as long as a session does.
fn is_about_session(statement: &StatementKind) -> bool {
    matches!(
        statement,
        StatementKind::Set { .. }
            | StatementKind::Reset(_)
            | StatementKind::Prepare { .. }
            | StatementKind::Execute { .. }
            | StatementKind::Deallocate(_)
    )
}

/// How a client gets at a result.
fn info(schema: &Schema, ticket: Bytes, descriptor: FlightDescriptor) -> Answer<FlightInfo> {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket { ticket });
    let info = FlightInfo::new()
        .try_with_schema(schema)
        .map_err(|error| Status::internal(error.to_string()))?
        .with_endpoint(endpoint)
        .with_descriptor(descriptor);
    Ok(Response::new(info))
}

/// The same for a command that is its own ticket.
fn command_info(schema: &Schema, request: Request<FlightDescriptor>) -> Answer<FlightInfo> {
    let descriptor = request.into_inner();
    info(schema, descriptor.cmd.clone(), descriptor)
}

fn ipc_schema(schema: &Schema) -> Result<Bytes, Status> {
    let message: IpcMessage = SchemaAsIpc::new(schema, &IpcWriteOptions::default())
        .try_into()
        .map_err(|error: arrow::error::ArrowError| Status::internal(error.to_string()))?;
    Ok(message.0)
}

fn internal(error: impl std::fmt::Display) -> Status {
    Status::internal(error.to_string())
}

#[tonic::async_trait]
impl FlightSqlService for Service {
    type FlightService = Self;

    /// Basic credentials in, a bearer token out.
    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Answer<Handshakes> {
        let authorization = request.metadata().get("authorization");
        let basic = authorization.and_then(|value| value.to_str().ok());
        if !basic.is_some_and(|value| value.starts_with("Basic ")) {
            return Err(Status::unauthenticated("basic authorization expected"));
        }
        let token = self.handles.token();
        let bearer = format!("Bearer {}", String::from_utf8_lossy(&token));
        let answer = HandshakeResponse { protocol_version: 0, payload: token };
        let mut response: Response<Handshakes> =
            Response::new(stream::once(async { Ok(answer) }).boxed());
        response.metadata_mut().insert("authorization", bearer.parse().map_err(internal)?);
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let principal = self.principal(request.metadata())?;
        let held = self.prepare(&principal, &query.query).await?;
        if !held.statement.has_rows() {
            return self.run_now(held, request.into_inner()).await;
        }
        let schema = wire_schema(&held.statement.schema);
        let statement_handle = self.handles.hold(principal, held);
        let ticket = TicketStatementQuery { statement_handle }.as_any().encode_to_vec();
        info(&schema, ticket.into(), request.into_inner())
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Answer<DoGet> {
        let principal = self.principal(request.metadata())?;
        self.run(self.held(&principal, &ticket.statement_handle)?).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let principal = self.principal(request.metadata())?;
        let held = self.prepare(&principal, &query.query).await?;
        let params = held.statement.params.iter().enumerate();
        let params: Vec<Field> = params.map(|(at, ty)| ty.to_field(at.to_string(), true)).collect();
        let dataset_schema = ipc_schema(&wire_schema(&held.statement.schema))?;
        let parameter_schema = ipc_schema(&wire_schema(&Schema::new(params)))?;
        let prepared_statement_handle = self.handles.hold(principal, held);
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle,
            dataset_schema,
            parameter_schema,
        })
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let principal = self.principal(request.metadata())?;
        let handle = query.prepared_statement_handle;
        let mut held = self.held(&principal, &handle)?;
        let row = params::read(request.into_inner()).await?;
        if held.statement.params.contains(&Type::Null) {
            // Nothing in the text decides these types: what was sent does.
            let text = Arc::clone(&held.statement.text);
            let statement = held
                .session
                .prepare(&text, &params::types(&row, &held.statement.params))
                .await
                .map_err(|error| status(&error, &text))?;
            held.statement = Arc::new(statement);
        }
        held.params = params::values(&row, &held.statement.params)
            .map_err(|error| status(&error, &held.statement.text))?;
        match self.handles.replace(&principal, &handle, held) {
            true => Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) }),
            false => Err(Status::not_found("the statement was closed meanwhile")),
        }
    }

    async fn do_put_statement_update(
        &self,
        query: CommandStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let principal = self.principal(request.metadata())?;
        let held = self.prepare(&principal, &query.query).await?;
        self.update(held).await
    }

    async fn do_put_statement_ingest(
        &self,
        command: CommandStatementIngest,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let principal = self.principal(request.metadata())?;
        let session = self.session(&principal).await?;
        ingest::ingest(&session, &command, request.into_inner()).await
    }

    async fn do_put_prepared_statement_update(
        &self,
        query: CommandPreparedStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let principal = self.principal(request.metadata())?;
        let held = self.held(&principal, &query.prepared_statement_handle)?;
        let types = &held.statement.params;
        if types.is_empty() {
            return self.update(held).await;
        }
        let row = params::read(request.into_inner()).await?;
        let values = params::values(&row, types);
        let params = values.map_err(|error| status(&error, &held.statement.text))?;
        self.update(Held { params, ..held }).await
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let principal = self.principal(request.metadata())?;
        let held = self.held(&principal, &query.prepared_statement_handle)?;
        if !held.statement.has_rows() {
            return self.run_now(held, request.into_inner()).await;
        }
        command_info(&wire_schema(&held.statement.schema), request)
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Answer<DoGet> {
        let principal = self.principal(request.metadata())?;
        self.run(self.held(&principal, &query.prepared_statement_handle)?).await
    }

    async fn do_action_close_prepared_statement(
        &self,
        query: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        let principal = self.principal(request.metadata())?;
        self.handles.close(&principal, &query.prepared_statement_handle);
        Ok(())
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        command_info(&query.into_builder().schema(), request)
    }

    async fn do_get_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<Ticket>,
    ) -> Answer<DoGet> {
        let principal = self.principal(request.metadata())?;
        let session = self.session(&principal).await?;
        let mut builder = query.into_builder();
        builder.append(session.project_name());
        self.answer(builder.build().map_err(internal)?)
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        command_info(&query.into_builder().schema(), request)
    }

    async fn do_get_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<Ticket>,
    ) -> Answer<DoGet> {
        let principal = self.principal(request.metadata())?;
        let session = self.session(&principal).await?;
        let tables = session.tables().await.map_err(|error| status(&error, ""))?;
        let mut schemas = BTreeSet::from([DEFAULT_SCHEMA]);
        schemas.extend(tables.iter().map(|table| schema_and_name(&table.name).0));
        let mut builder = query.into_builder();
        for schema in schemas {
            builder.append(session.project_name(), schema);
        }
        self.answer(builder.build().map_err(internal)?)
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        command_info(&query.into_builder().schema(), request)
    }

    async fn do_get_tables(
        &self,
        query: CommandGetTables,
        request: Request<Ticket>,
    ) -> Answer<DoGet> {
        let principal = self.principal(request.metadata())?;
        let session = self.session(&principal).await?;
        let tables = session.tables().await.map_err(|error| status(&error, ""))?;
        let mut builder = query.into_builder();
        for table in tables {
            let schema = wire_schema(&table.schema);
            let (schema_name, name) = schema_and_name(&table.name);
            let kind = if table.view.is_some() { metadata::VIEW } else { metadata::TABLE };
            builder
                .append(session.project_name(), schema_name, name, kind, &schema)
                .map_err(internal)?;
        }
        self.answer(builder.build().map_err(internal)?)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        command_info(&query.into_builder().schema(), request)
    }

    async fn do_get_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<Ticket>,
    ) -> Answer<DoGet> {
        self.principal(request.metadata())?;
        let mut builder = query.into_builder();
        metadata::TABLE_TYPES.into_iter().for_each(|kind| builder.append(kind));
        self.answer(builder.build().map_err(internal)?)
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let info = metadata::sql_info().map_err(internal)?;
        command_info(&query.into_builder(&info).schema(), request)
    }

    async fn do_get_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<Ticket>,
    ) -> Answer<DoGet> {
        self.principal(request.metadata())?;
        let info = metadata::sql_info().map_err(internal)?;
        self.answer(query.into_builder(&info).build().map_err(internal)?)
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let types = metadata::type_info().map_err(internal)?;
        command_info(&query.into_builder(&types).schema(), request)
    }

    async fn do_get_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<Ticket>,
    ) -> Answer<DoGet> {
        self.principal(request.metadata())?;
        let types = metadata::type_info().map_err(internal)?;
        self.answer(query.into_builder(&types).build().map_err(internal)?)
    }

    /// The facts are built where they are asked for.
    async fn register_sql_info(&self, _id: i32, _info: &SqlInfo) {}
}
