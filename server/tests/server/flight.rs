//! The Flight SQL client of the Arrow project.

use arrow::array::types::Int64Type;
use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetTables, SqlInfo};
use arrow_flight::{FlightInfo, Ticket};
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;
use tonic::transport::{Channel, Endpoint};

use crate::support::{ENDLESS_ROWS, Running, start, start_over_store};

async fn connect(server: &Running) -> FlightSqlServiceClient<Channel> {
    let endpoint = Endpoint::new(format!("http://{}", server.flight)).unwrap();
    FlightSqlServiceClient::new(endpoint.connect().await.unwrap())
}

async fn read(client: &mut FlightSqlServiceClient<Channel>, info: FlightInfo) -> Vec<RecordBatch> {
    let promised = info.clone().try_decode_schema().unwrap();
    let mut batches = Vec::new();
    for endpoint in info.endpoint {
        let stream = client.do_get(endpoint.ticket.unwrap()).await.unwrap();
        let read: Vec<RecordBatch> = stream.try_collect().await.unwrap();
        batches.extend(read);
    }
    for batch in &batches {
        assert_eq!(*batch.schema(), promised);
    }
    batches
}

#[tokio::test]
async fn handshake_prepare_bind_fetch_close() {
    let server = start().await;
    let mut client = connect(&server).await;
    client.handshake("anyone", "anything").await.unwrap();
    let sql = "select $1 + 1 as a, concat($2, '!') as b, [1, 2] as c, (1, 'x') as d";
    let mut prepared = client.prepare(sql.to_owned(), None).await.unwrap();
    let names: Vec<_> = prepared
        .parameter_schema()
        .unwrap()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    assert_eq!(names, ["0", "1"]);
    assert_eq!(*prepared.dataset_schema().unwrap().field(1).data_type(), DataType::Utf8);
    let params = RecordBatch::try_from_iter([
        ("0", Arc::new(Int64Array::from(vec![41])) as _),
        ("1", Arc::new(StringArray::from(vec!["hi"])) as _),
    ])
    .unwrap();
    prepared.set_parameters(params).unwrap();
    let info = prepared.execute().await.unwrap();
    let batches = read(&mut client, info).await;
    assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().value(0), 42);
    assert_eq!(batches[0].column(1).as_string::<i32>().value(0), "hi!");
    prepared.close().await.unwrap();
}

#[tokio::test]
async fn statements_without_preparing_and_without_handshake() {
    let server = start().await;
    let mut client = connect(&server).await;
    let info = client.execute("select number from numbers(100000)".to_owned(), None).await.unwrap();
    let batches = read(&mut client, info).await;
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 100_000);
}

#[tokio::test]
async fn statements_without_rows_have_run_when_they_answer() {
    let (server, _folder) = start_over_store().await;
    let mut client = connect(&server).await;
    let sql = "create view flight_v as select 7 as a".to_owned();
    assert!(client.execute(sql, None).await.unwrap().endpoint.is_empty());
    let info = client.execute("select a from flight_v".to_owned(), None).await.unwrap();
    let batches = read(&mut client, info).await;
    assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().values(), &[7]);
    let mut dropping = client.prepare("drop view flight_v".to_owned(), None).await.unwrap();
    assert!(dropping.execute().await.unwrap().endpoint.is_empty());
    assert!(client.execute("drop view flight_v".to_owned(), None).await.is_err());
}

#[tokio::test]
async fn what_clients_ask_about_server_and_tables() {
    let server = start().await;
    let mut client = connect(&server).await;
    client.handshake("anyone", "").await.unwrap();
    let info = client.get_sql_info(vec![SqlInfo::FlightSqlServerName]).await.unwrap();
    assert_eq!(read(&mut client, info).await[0].num_rows(), 1);
    let info = client.get_catalogs().await.unwrap();
    let batches = read(&mut client, info).await;
    assert_eq!(batches[0].column(0).as_string::<i32>().value(0), "default");
    let info = client
        .get_db_schemas(CommandGetDbSchemas { catalog: None, db_schema_filter_pattern: None })
        .await
        .unwrap();
    let batches = read(&mut client, info).await;
    assert_eq!(batches[0].column(1).as_string::<i32>().value(0), "public");
    let tables = CommandGetTables {
        catalog: None,
        db_schema_filter_pattern: None,
        table_name_filter_pattern: None,
        table_types: Vec::new(),
        include_schema: true,
    };
    let info = client.get_tables(tables).await.unwrap();
    read(&mut client, info).await;
    let info = client.get_table_types().await.unwrap();
    let types = read(&mut client, info).await;
    let types: Vec<_> = types[0].column(0).as_string::<i32>().iter().flatten().collect();
    assert_eq!(types, ["TABLE", "VIEW"]);
    let info = client
        .get_xdbc_type_info(arrow_flight::sql::CommandGetXdbcTypeInfo { data_type: None })
        .await
        .unwrap();
    assert!(read(&mut client, info).await[0].num_rows() > 5);
}

#[tokio::test]
async fn errors_carry_their_sqlstate() {
    let server = start().await;
    let mut client = connect(&server).await;
    let error = client.execute("select nosuch".to_owned(), None).await.unwrap_err();
    let text = format!("{error:?}");
    assert!(text.contains("42703") && text.contains("position 8"), "{text}");
}

#[tokio::test]
async fn handles_belong_to_whoever_got_them() {
    let server = start().await;
    let mut owner = connect(&server).await;
    owner.handshake("a", "").await.unwrap();
    let info = owner.execute("select 1".to_owned(), None).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();

    let mut thief = connect(&server).await;
    assert!(thief.do_get(ticket.clone()).await.is_err());
    thief.handshake("b", "").await.unwrap();
    assert!(thief.do_get(ticket.clone()).await.is_err());
    assert!(thief.do_get(Ticket { ticket: b"select 1".to_vec().into() }).await.is_err());
    thief.set_token("made up".to_owned());
    assert!(thief.execute("select 1".to_owned(), None).await.is_err());
    assert!(owner.do_get(ticket).await.is_ok());
}

#[tokio::test]
async fn a_client_that_leaves_stops_its_query() {
    let server = start().await;
    let mut client = connect(&server).await;
    let info = client.execute(ENDLESS_ROWS.to_owned(), None).await.unwrap();
    let mut stream = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    drop((stream, client));
    server.lifecycle.drain.cancel();
    server.serving.await.unwrap();
}

#[tokio::test]
async fn a_stopping_server_ends_results_with_an_error() {
    let server = start().await;
    let mut client = connect(&server).await;
    let info = client.execute(ENDLESS_ROWS.to_owned(), None).await.unwrap();
    let mut stream = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    server.lifecycle.stop.cancel();
    server.lifecycle.drain.cancel();
    let error = loop {
        match stream.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("the result ended as if it were complete"),
        }
    };
    assert!(matches!(error, FlightError::Tonic(_)), "{error:?}");
    server.serving.await.unwrap();
}
