//! What tools ask the catalog when they connect.

use tokio_postgres::SimpleQueryMessage;

use crate::support::start;

/// The first column of a query's rows, NULL as `∅`.
async fn first_column(client: &tokio_postgres::Client, sql: &str) -> Vec<String> {
    let messages =
        client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("∅").to_owned()),
        _ => None,
    });
    rows.collect()
}

#[tokio::test]
async fn questions_about_the_session() {
    let server = start().await;
    let client = server.client().await;
    for (sql, expected) in [
        ("select current_database()", "default"),
        ("select current_catalog", "default"),
        ("select current_schema()", "public"),
        ("select current_schema", "public"),
        ("select current_user", "tester"),
        ("select session_user", "tester"),
        ("select pg_catalog.current_setting('server_version_num')::int / 100", "1500"),
        ("select current_setting('nosuch', true)", "∅"),
        ("select set_config('application_name', 'x', false)", "x"),
        ("show application_name", "x"),
        ("select pg_is_in_recovery()", "f"),
        ("select has_table_privilege('events', 'select')", "t"),
        ("select pg_catalog.format_type('1700'::pg_catalog.oid, 786438)", "numeric(12,2)"),
        ("SHOW TRANSACTION ISOLATION LEVEL", "read committed"),
        ("select datname from pg_database", "default"),
        ("select nspname from pg_namespace where oid = 2200", "public"),
        ("select typname from pg_type where oid = 25", "text"),
        ("select 'bool'::regtype::oid", "16"),
        ("select setting from pg_settings where name = 'server_encoding'", "UTF8"),
        ("select rolname from pg_roles", "tester"),
        (
            "select schema_name from information_schema.schemata where schema_name = 'public'",
            "public",
        ),
    ] {
        assert_eq!(first_column(&client, sql).await, [expected], "{sql}");
    }
    let version = first_column(&client, "select version()").await.remove(0);
    assert!(version.starts_with("PostgreSQL 15."), "{version}");
}

#[tokio::test]
async fn columns_are_named_as_postgres_names_them() {
    let server = start().await;
    let client = server.client().await;
    let statement = client
        .prepare("select version(), current_schema(), oid::text, 1, 'a' as x from pg_type limit 1")
        .await
        .unwrap();
    let names: Vec<_> = statement.columns().iter().map(|column| column.name()).collect();
    assert_eq!(names, ["version", "current_schema", "oid", "?column?", "x"]);
}

#[tokio::test]
async fn catalog_queries_take_parameters() {
    let server = start().await;
    let client = server.client().await;
    let rows =
        client.query("select typname from pg_type where typname = $1", &[&"int8"]).await.unwrap();
    assert_eq!(rows[0].get::<_, &str>(0), "int8");
}

#[tokio::test]
async fn forms_that_tools_use() {
    let server = start().await;
    let client = server.client().await;
    for (sql, expected) in [
        ("select relname from pg_class where oid = 'system.settings'::regclass", "settings"),
        (
            "select relname from pg_class c where c.relname operator(pg_catalog.~) '^(settings)$'",
            "settings",
        ),
        ("select 'pg_catalog.pg_class'::regclass::oid", "1259"),
        (
            "select count(description) from pg_description d join pg_class c on c.oid = d.objoid \
             where relname = 'functions' and objsubid = 0 \
             and classoid = 'pg_catalog.pg_class'::regclass",
            "1",
        ),
        ("select count(*) from pg_constraint where conkey = '{1}'", "0"),
        ("select count(*) from pg_namespace where nspname not like 'pg/_%' escape '/'", "3"),
        (
            "select array_to_string(array(select rolname from pg_roles where oid = 10), ',')",
            "tester",
        ),
        (
            "select (select adbin from pg_attrdef where adrelid = c.oid) from pg_class c limit 1",
            "∅",
        ),
        (
            "select x from (select generate_subscripts(array[7,8], 1) as x from pg_database) s where x > 1",
            "2",
        ),
        (
            "select json_build_object('a', 1, 'b', true) from pg_database",
            "{\"a\" : 1, \"b\" : true}",
        ),
    ] {
        let rows = first_column(&client, sql).await;
        assert_eq!(rows.first().map_or("", String::as_str), expected, "{sql}");
    }
}
