//! Statements: what each text says, its canonical form, and what is refused.

use hedgerow_parser::{Dialect, SyntaxErrorKind, parse_statement, parse_statements};

#[test]
fn canonical_forms() {
    for (text, canonical) in [
        ("select 1;", "SELECT 1"),
        ("explain select 1", "EXPLAIN SELECT 1"),
        (
            "explain analyze verbose format json (select 1)",
            "EXPLAIN ANALYZE VERBOSE FORMAT JSON SELECT 1",
        ),
        (
            "explain (format json, analyze, costs off) select 1",
            "EXPLAIN ANALYZE FORMAT JSON SELECT 1",
        ),
        ("EXPLAIN (select 1)", "EXPLAIN SELECT 1"),
        ("explain values (1)", "EXPLAIN VALUES (1)"),
        ("show tables", "SHOW TABLES"),
        ("show tables like 'e%'", "SHOW TABLES LIKE 'e%'"),
        (
            "show columns from public.events ilike 'E%'",
            "SHOW COLUMNS FROM public.events ILIKE 'E%'",
        ),
        ("show functions", "SHOW FUNCTIONS"),
        ("show settings", "SHOW SETTINGS"),
        ("show create view v", "SHOW CREATE VIEW v"),
        ("show create table \"my table\"", "SHOW CREATE TABLE `my table`"),
        ("show time zone", "SHOW timezone"),
        ("show var.x", "SHOW var.x"),
        ("show `tables`", "SHOW `tables`"),
        ("show `create`", "SHOW `create`"),
        ("describe events", "DESCRIBE events"),
        ("desc table events", "DESCRIBE events"),
        ("describe (select 1 as a)", "DESCRIBE SELECT 1 AS a"),
        ("set timezone = 'Europe/Berlin'", "SET timezone = 'Europe/Berlin'"),
        ("set time zone 'UTC'", "SET timezone = 'UTC'"),
        ("set week_start to monday", "SET week_start = 'monday'"),
        ("set hogql_strings = on", "SET hogql_strings = 'on'"),
        ("set n = -1.5", "SET n = '-1.5'"),
        ("set n = + 11", "SET n = '+11'"),
        ("set timezone = default", "SET timezone = DEFAULT"),
        ("set var.x = 1 + 1", "SET var.x = 1 + 1"),
        ("set var.x = default", "SET var.x = DEFAULT"),
        ("set var.x = `default`", "SET var.x = (default)"),
        (
            "set filters = event = 'a' and timestamp > now()",
            "SET filters = event = 'a' AND timestamp > now()",
        ),
        ("set filters.dateRange.from = now()", "SET filters.dateRange.`from` = now()"),
        ("reset all", "RESET ALL"),
        ("reset var.x", "RESET var.x"),
        ("create view v as select 1 as a", "CREATE VIEW v AS SELECT 1 AS a"),
        (
            "create or replace view a.v (x, y) as (select 1, 2)",
            "CREATE OR REPLACE VIEW a.v (x, y) AS SELECT 1, 2",
        ),
        (
            "create table t (a int, b double precision, c Array(String))",
            "CREATE TABLE t (a int, b double precision, c array(string))",
        ),
        (
            "create table t (a `order`, b `foo bar`, c timestamp(3) with time zone)",
            "CREATE TABLE t (a `order`, b `foo bar`, c timestamp with time zone(3))",
        ),
        (
            "create table if not exists t as select 1 as a",
            "CREATE TABLE IF NOT EXISTS t AS SELECT 1 AS a",
        ),
        ("create table t (a, b) as values (1, 2)", "CREATE TABLE t (a, b) AS VALUES (1, 2)"),
        ("drop view if exists a, b cascade", "DROP VIEW IF EXISTS a, b CASCADE"),
        ("drop table t restrict", "DROP TABLE t"),
        ("alter view if exists v rename to w", "ALTER VIEW IF EXISTS v RENAME TO w"),
        ("alter table t set (a = 1, b = 'x')", "ALTER TABLE t SET (a = 1, b = 'x')"),
        ("alter table if exists t reset (a)", "ALTER TABLE IF EXISTS t RESET (a)"),
        ("delete from t", "DELETE FROM t"),
        ("delete from a.t as x where x.a = 1", "DELETE FROM a.t AS x WHERE x.a = 1"),
        (
            "select 1 from t as of timestamp '2026-01-01' x",
            "SELECT 1 FROM t AS OF TIMESTAMP '2026-01-01' AS x",
        ),
        (
            "alter table events alter properties.plan type Numeric",
            "ALTER TABLE events ALTER COLUMN properties.plan SET DATA TYPE Numeric",
        ),
        (
            "alter table if exists events alter column properties.`a b` set data type String",
            "ALTER TABLE IF EXISTS events ALTER COLUMN properties.`a b` SET DATA TYPE String",
        ),
        (
            "alter table events alter column properties.$price drop type",
            "ALTER TABLE events ALTER COLUMN properties.$price DROP TYPE",
        ),
        ("insert into t values (1), (2)", "INSERT INTO t VALUES (1), (2)"),
        ("insert into t (a, b) select 1, 2", "INSERT INTO t (a, b) SELECT 1, 2"),
        ("insert into t (select 1)", "INSERT INTO t SELECT 1"),
        (
            "insert into t (with x as (select 1) select * from x)",
            "INSERT INTO t WITH x AS (SELECT 1) SELECT * FROM x",
        ),
        (
            "copy (select 1) to 'a.csv' with (format csv, header)",
            "COPY (SELECT 1) TO 'a.csv' WITH (FORMAT csv, HEADER true)",
        ),
        ("copy events to 'a.parquet'", "COPY (SELECT * FROM events) TO 'a.parquet'"),
        (
            "copy (select 1) to stdout csv header",
            "COPY (SELECT 1) TO STDOUT WITH (FORMAT csv, HEADER true)",
        ),
        ("copy public.t from stdin", "COPY public.t FROM STDIN"),
        (
            "copy t (a, b) from stdin with (format text, header match, delimiter '|', null 'x')",
            "COPY t (a, b) FROM STDIN WITH (FORMAT text, HEADER match, DELIMITER '|', NULL 'x')",
        ),
        (
            "copy t(a) from stdin with csv header delimiter as ';' quote '~' escape as '!'",
            "COPY t (a) FROM STDIN WITH (FORMAT csv, HEADER true, DELIMITER ';', QUOTE '~', \
             ESCAPE '!')",
        ),
        ("copy t from stdin null ''", "COPY t FROM STDIN WITH (NULL '')"),
        ("copy t from stdin (header off)", "COPY t FROM STDIN WITH (HEADER false)"),
        ("prepare p as select $1", "PREPARE p AS SELECT $1"),
        (
            "prepare p (int, text) as insert into t values ($1, $2)",
            "PREPARE p (int, text) AS INSERT INTO t VALUES ($1, $2)",
        ),
        ("execute p", "EXECUTE p"),
        ("execute p(1, 'a')", "EXECUTE p(1, 'a')"),
        ("deallocate all", "DEALLOCATE ALL"),
        ("deallocate prepare p", "DEALLOCATE p"),
    ] {
        let statement = parse_statement(text, Dialect::Hogql).unwrap_or_else(|error| {
            panic!("{text}: {error} at {:?}", error.span);
        });
        assert_eq!(statement.to_string(), canonical, "{text}");
        assert_eq!(parse_statement(canonical, Dialect::Hogql).as_ref(), Ok(&statement), "{text}");
        let postgres = parse_statement(text, Dialect::Postgres).unwrap();
        let canonical = postgres.to_string();
        assert_eq!(parse_statement(&canonical, Dialect::Hogql), Ok(postgres), "{canonical}");
    }
}

#[test]
fn mistakes() {
    for (text, at, message, hint) in [
        ("explain delete from t", 9, "only queries can be explained", ""),
        ("explain (buffers) select 1", 10, "EXPLAIN has no option BUFFERS", "There are ANALYZE"),
        ("explain (format xml) select 1", 17, "unexpected `xml`", ""),
        ("show", 5, "unexpected end", ""),
        ("show columns events", 14, "unexpected `events`", ""),
        ("set timezone 'UTC'", 14, "unexpected `'UTC'`", ""),
        ("set timezone = ", 16, "unexpected end", ""),
        ("create index i on t (a)", 8, "unexpected `index`", ""),
        ("create view v select 1", 15, "unexpected SELECT", ""),
        (
            "create or replace table t as select 1",
            19,
            "CREATE OR REPLACE TABLE is not",
            "Drop the table",
        ),
        ("create table t (a int primary key)", 23, "column constraint PRIMARY", "A column is"),
        ("create table t (a, b)", 20, "a column without a type", ""),
        ("create table t (a int) as select 1", 24, "unexpected AS", ""),
        ("drop database d", 6, "unexpected `database`", ""),
        ("alter table t add column a int", 15, "unexpected `add`", ""),
        ("alter table t alter column c set default 1", 30, "unexpected", ""),
        ("alter view v alter column c drop type", 14, "unexpected", ""),
        ("alter table t alter column c type", 34, "unexpected end", ""),
        ("insert events values (1)", 8, "unexpected `events`", ""),
        ("insert into t values (1) returning a", 26, "unexpected `returning`", ""),
        ("copy t from 'a.csv'", 13, "COPY … FROM reads from the client only", "Send the file"),
        ("copy t from program 'ls'", 13, "COPY … FROM reads from the client only", "Send the"),
        ("copy t (a) to stdout", 12, "COPY … TO takes a table or a query", "Write a query"),
        ("copy (select 1) from stdin", 17, "unexpected FROM", ""),
        ("copy t from stdin (freeze)", 20, "COPY has no option FREEZE", "There are FORMAT csv"),
        ("copy t from stdin csv csv", 23, "an option of COPY is given twice", ""),
        ("copy t from stdin where a = 1", 19, "COPY has no option WHERE", ""),
        ("copy t from stdin with", 23, "unexpected end", ""),
        ("copy t to a", 11, "unexpected `a`", ""),
        ("copy t to 'a' with (format xml)", 28, "COPY has no format xml", ""),
        ("prepare p as show tables", 14, "SHOW statements", ""),
        ("creat view v as select 1", 1, "unexpected `creat`", "Did you mean CREATE?"),
        ("truncate t", 1, "TRUNCATE statements are not supported", ""),
        ("delete t", 8, "unexpected `t`", ""),
        ("delete from t returning a", 15, "RETURNING is not supported", "Select the rows"),
        ("delete from t a (b)", 18, "DELETE gives columns no other names", ""),
        ("alter table t set (a)", 21, "unexpected `)`", ""),
        ("alter table t reset (a = 1)", 24, "unexpected `=`", ""),
        ("select 1; select 2", 11, "unexpected SELECT", "A text holds one statement here."),
    ] {
        let error = parse_statement(text, Dialect::Hogql).unwrap_err();
        assert_eq!(error.span.position(text), at, "{text}: {error}");
        assert!(error.message.starts_with(message), "{text}: {error}");
        let found = error.hint.unwrap_or_default();
        assert!(found.starts_with(hint), "{text}: {found}");
    }
    let kind = |text| parse_statement(text, Dialect::Hogql).unwrap_err().kind;
    assert_eq!(kind("merge into t"), SyntaxErrorKind::Unsupported);
    assert_eq!(kind("create table t (a int not null)"), SyntaxErrorKind::Unsupported);
}

#[test]
fn several_statements_know_their_places() {
    let text = ";set var.x = 1;; select {variables.x} ;";
    let statements = parse_statements(text, Dialect::Hogql).unwrap();
    let texts: Vec<_> = statements.iter().map(|s| &text[s.span.range()]).collect();
    assert_eq!(texts, ["set var.x = 1", "select {variables.x}"]);
    let error = parse_statements("select 1; selct 2", Dialect::Hogql).unwrap_err();
    assert_eq!(error.span.position("select 1; selct 2"), 11);
}
