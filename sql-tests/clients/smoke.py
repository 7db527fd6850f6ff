"""Real clients against a real server: psql, psycopg 3, SQLAlchemy, ADBC Flight SQL.

Usage: smoke.py path/to/hedgerow

Imports the fixture of sql-tests into a temporary folder, serves it on free ports, and compares
what the clients get with what Python reads from the same file.
"""

import collections
import csv
import datetime
import json
import pathlib
import subprocess
import sys
import tempfile
import uuid

import adbc_driver_flightsql.dbapi
import adbc_driver_manager
import psycopg
import pyarrow
import sqlalchemy
from psycopg.types.json import Jsonb

from server import Server, run

FIXTURE = pathlib.Path(__file__).parent.parent / "data" / "events.ndjson"
COMMAND_SECONDS = 120


def main(hedgerow):
    with tempfile.TemporaryDirectory() as folder:
        run(hedgerow, "import", folder, FIXTURE)
        with Server(hedgerow, folder) as server:
            events = [json.loads(line) for line in FIXTURE.read_text().splitlines() if line]
            checks = (check_psql, check_psycopg, check_sqlalchemy, check_flight, check_readme,
                      check_insert, check_copy, check_psql_copy, check_ingest)
            for check in checks:
                check(server.addresses, events)
                print(f"{check.__name__}: ok", flush=True)
            server.end()


def count_by_event(events):
    return collections.Counter(event["event"] for event in events)


def check_psql(addresses, events):
    def psql(*commands, expect=0):
        arguments = ["psql", "-X", "-A", "-t", "-F", "|", addresses["Postgres"]]
        for command in commands:
            arguments += ["-c", command]
        result = subprocess.run(arguments, capture_output=True, text=True, timeout=COMMAND_SECONDS)
        assert result.returncode == expect, f"{commands}: {result.stdout}{result.stderr}"
        return result.stdout if expect == 0 else result.stderr

    counted = psql("select event, count() from events group by event order by event")
    expected = sorted(count_by_event(events).items())
    assert counted.split() == [f"{event}|{count}" for event, count in expected], counted

    assert "public|events|table|" in psql(r"\dt")
    assert "public|events|table|" in psql(r"\d")
    columns = psql(r"\d events")
    for column in ("uuid|uuid|", "event|text|", "timestamp|timestamp with time zone|",
                   "properties|jsonb|"):
        assert column in columns, columns
    assert psql(r"\l").startswith("default|"), psql(r"\l")
    assert "public|" in psql(r"\dn")
    psql(r"\df")
    psql(r"\d+ events")

    described = subprocess.run(
        ["psql", "-X", "-A", "-t", addresses["Postgres"]],
        input="select 1 as a, 'x' as b, [1.5] as c, now() as d \\gdesc\n",
        capture_output=True, text=True, timeout=COMMAND_SECONDS, check=True,
    ).stdout
    expected = ["a|bigint", "b|text", "c|double precision[]", "d|timestamp with time zone"]
    assert described.splitlines() == expected, described

    error = psql("select nosuch from events", expect=1)
    assert "LINE 1: select nosuch from events" in error and "       ^" in error, error


def check_psycopg(addresses, events):
    name, count = count_by_event(events).most_common(1)[0]
    with psycopg.connect(addresses["Postgres"]) as connection:
        for binary in (False, True):
            cursor = connection.cursor(binary=binary)
            query = "select event, count() from events where event = %s group by event"
            assert cursor.execute(query, [name]).fetchall() == [(name, count)]
            since = datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc)
            query = "select count(), min(timestamp) > %t from events where timestamp > %s"
            query = query.replace("%t", "%s")
            assert cursor.execute(query, [since, since]).fetchall() == [(len(events), True)]
            query = "select [1, 2, null], 1.5, true, toDate('2026-11-13'), $1".replace("$1", "%s")
            row = cursor.execute(query, ["it's \\ \"fine\""]).fetchone()
            day = datetime.date(2026, 11, 13)
            assert row == ([1, 2, None], 1.5, True, day, "it's \\ \"fine\""), row


def check_sqlalchemy(addresses, events):
    engine = sqlalchemy.create_engine(addresses["Postgres"].replace("postgres:", "postgresql:"))
    inspector = sqlalchemy.inspect(engine)
    assert "events" in inspector.get_table_names()
    columns = {column["name"]: column["type"] for column in inspector.get_columns("events")}
    assert isinstance(columns["uuid"], sqlalchemy.UUID), columns
    assert {"public", "system"} <= set(inspector.get_schema_names())
    assert inspector.get_pk_constraint("events")["constrained_columns"] == []
    assert inspector.get_foreign_keys("events") == inspector.get_indexes("events") == []
    assert inspector.get_table_comment("events")["text"]
    with engine.connect() as connection:
        count = connection.execute(sqlalchemy.text("select count() from events")).scalar()
        assert count == len(events), count
    engine.dispose()


def check_readme(addresses, events):
    """The Python snippet of the README runs as it is, but for the address."""
    readme = (pathlib.Path(__file__).parent.parent.parent / "README.md").read_text()
    snippet = readme.split("```python\n")[1].split("```")[0]
    assert "grpc://127.0.0.1:5434" in snippet, snippet
    scope = {}
    exec(snippet.replace("grpc://127.0.0.1:5434", addresses["Flight SQL"]), scope)
    assert scope["table"].num_rows == len(count_by_event(events)), scope["table"]


def check_flight(addresses, events):
    uri = addresses["Flight SQL"].replace("grpc:", "grpc+tcp:")
    with adbc_driver_flightsql.dbapi.connect(uri) as connection:
        cursor = connection.cursor()
        cursor.execute("select event, count() as n from events group by event order by event")
        table = cursor.fetch_arrow_table()
        expected = count_by_event(events)
        assert table.to_pydict() == {
            "event": sorted(expected), "n": [expected[name] for name in sorted(expected)],
        }, table
        name, count = expected.most_common(1)[0]
        cursor.execute("select count() as n from events where event = $1", (name,))
        assert cursor.fetch_arrow_table().to_pydict() == {"n": [count]}
        cursor.execute("select number, toString(number) as text from numbers(300000)")
        table = cursor.fetch_arrow_table()
        assert table.num_rows == 300_000 and table.schema.field("text").type == pyarrow.string()
        assert cursor.adbc_execute_schema("select 1 as a").field("a").type == pyarrow.int64()
        objects = connection.adbc_get_objects(depth="all").read_all().to_pylist()
        tables = objects[0]["catalog_db_schemas"][0]["db_schema_tables"]
        assert "events" in [table["table_name"] for table in tables], objects
        schema = connection.adbc_get_table_schema("events")
        assert schema.field("timestamp").type == pyarrow.timestamp("us", tz="UTC"), schema
        cursor.close()
    user = {"username": "anyone", "password": "anything"}
    with adbc_driver_flightsql.dbapi.connect(uri, db_kwargs=user) as connection:
        with connection.cursor() as cursor:
            cursor.execute("select 'it\\'s' as a")
            assert cursor.fetch_arrow_table().to_pydict() == {"a": ["it's"]}


def check_insert(addresses, _events):
    """Parameters of every type, many at once, and an error with its code."""
    time = datetime.datetime(2026, 3, 1, 10, tzinfo=datetime.timezone.utc)
    with psycopg.connect(addresses["Postgres"], autocommit=True) as connection:
        rows = [
            (uuid.UUID(int=number), "insert", f"u{number}", time, Jsonb({"n": number}))
            for number in range(100)
        ]
        cursor = connection.cursor()
        cursor.executemany(
            "insert into events (uuid, event, distinct_id, timestamp, properties)"
            " values (%s, %s, %s, %s, %s)", rows)
        assert cursor.rowcount == len(rows), cursor.rowcount
        cursor.execute("insert into events (event, distinct_id, timestamp, properties, uuid)"
                       " values (%s, %s, %s, %s, %s)",
                       ("insert", "text", "2026-03-01 10:00:00Z", '{"n": 1000}',
                        "00000000-0000-0000-0000-0000000000ff"))
        assert cursor.rowcount == 1, cursor.rowcount
        found = cursor.execute(
            "select count(), sum(toInt(properties.n)), max(uuid) from events"
            " where event = 'insert' and timestamp = %s", (time,)).fetchone()
        assert found == (101, sum(range(100)) + 1000, uuid.UUID(int=255)), found
        try:
            cursor.execute("insert into events (event) values (%s)", ("insert",))
        except psycopg.errors.NotNullViolation:
            return
        raise AssertionError("an event without a distinct_id was stored")


def check_copy(addresses, _events):
    """psycopg's COPY: rows as Python has them, and an error that tells its line."""
    time = datetime.datetime(2026, 3, 1, 10, tzinfo=datetime.timezone.utc)
    sql = "copy events (event, distinct_id, timestamp, properties) from stdin"
    with psycopg.connect(addresses["Postgres"], autocommit=True) as connection:
        cursor = connection.cursor()
        with cursor.copy(sql) as copy:
            for number in range(5_000):
                text = f"tab\t newline\n quote\" backslash\\ {number}"
                copy.write_row(("copy", f"u{number}", time, Jsonb({"text": text})))
        assert cursor.rowcount == 5_000, cursor.rowcount
        found = cursor.execute(
            "select count(), max(properties.text) from events where event = 'copy'").fetchone()
        assert found == (5_000, "tab\t newline\n quote\" backslash\\ 999"), found
        try:
            with cursor.copy(sql) as copy:
                copy.write_row(("broken", "u", time, None))
                copy.write_row(("broken", "u", "someday", None))
        except psycopg.errors.InvalidDatetimeFormat as error:
            context = 'COPY events, line 2, column timestamp: "someday"'
            assert error.diag.context == context, error.diag.context
        else:
            raise AssertionError("a broken row was copied")
        try:
            with cursor.copy(sql) as copy:
                copy.write_row(("broken", "u", time, None))
                raise InterruptedError
        except InterruptedError:
            pass
        found = cursor.execute("select count() from events where event = 'broken'").fetchone()
        assert found == (0,), found


def check_psql_copy(addresses, _events):
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        writer = csv.writer(file)
        writer.writerow(["distinct_id", "event", "properties"])
        for number in range(1_000):
            writer.writerow([f"u{number}", "psql", json.dumps({"text": "a, \"b\"\nc"})])
        file.flush()
        command = f"\\copy events (distinct_id, event, properties) from '{file.name}' csv header"
        count = "select count() from events where event = 'psql' and properties.text like '%b%'"
        result = subprocess.run(
            ["psql", "-X", "-A", "-t", addresses["Postgres"], "-c", command, "-c", count],
            capture_output=True, text=True, timeout=COMMAND_SECONDS)
        assert result.stdout.split() == ["COPY", "1000", "1000"], result


def check_ingest(addresses, _events):
    """ADBC's bulk ingestion of a table, and the modes that are refused."""
    uri = addresses["Flight SQL"].replace("grpc:", "grpc+tcp:")
    # Another day than that of the events before, which have the same UUIDs.
    time = datetime.datetime(2026, 3, 2, 10, tzinfo=datetime.timezone.utc)
    rows = 20_000
    table = pyarrow.table({
        "event": pyarrow.array(["adbc"] * rows).dictionary_encode(),
        "distinct_id": pyarrow.array([f"u{number}" for number in range(rows)], pyarrow.large_string()),
        "timestamp": pyarrow.array([time] * rows, pyarrow.timestamp("ms", "Europe/Berlin")),
        # Not those of check_insert: that would be the same events.
        "uuid": pyarrow.array([uuid.UUID(int=1 << 64 | number).bytes for number in range(rows)],
                              pyarrow.binary(16)),
        "properties": [json.dumps({"n": number}) for number in range(rows)],
    })
    with adbc_driver_flightsql.dbapi.connect(uri, autocommit=True) as connection:
        cursor = connection.cursor()
        assert cursor.adbc_ingest("events", table, mode="append") == rows
        assert cursor.adbc_ingest("events", table, mode="append") == 0
        for mode in ("create", "replace"):
            try:
                cursor.adbc_ingest("events", table, mode=mode)
            except adbc_driver_manager.Error:
                continue
            raise AssertionError(f"mode {mode} was not refused")
        cursor.execute("select count() as rows, sum(toInt(properties.n)) as n from events"
                       " where event = 'adbc'")
        assert cursor.fetch_arrow_table().to_pydict() == {"rows": [rows], "n": [sum(range(rows))]}


if __name__ == "__main__":
    main(sys.argv[1])
