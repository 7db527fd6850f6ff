"""Other readers of the files: delta-rs, Polars, PyArrow and DuckDB see what Hedgerow sees.

Usage: readers.py path/to/hedgerow

Generates events, imports them in several goes with upkeep between, and asks each reader for the
same facts. What they must be, Python computes from the events themselves.
"""

import datetime
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import deltalake
import duckdb
import polars
import pyarrow.compute
import pyarrow.dataset

EVENTS = 12_000
IMPORTS = 4
DAYS = 5
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
COLUMNS = ["uuid", "event", "distinct_id", "timestamp", "properties"]
COMMAND_SECONDS = 120


def main(hedgerow):
    events = list(generate())
    expected = facts(events)
    with tempfile.TemporaryDirectory() as folder:
        data = store(hedgerow, pathlib.Path(folder), events)
        table = deltalake.DeltaTable(str(data / "events"))
        names = [field.name for field in table.schema().fields]
        assert "properties" in names and not [n for n in names if n.startswith("__")], names
        files = table.file_uris()
        assert len(files) > 1, files
        for read in (read_hedgerow, read_delta_rs, read_polars, read_polars_files, read_pyarrow,
                     read_duckdb):
            found = read(hedgerow, data, table, files)
            assert found == expected, f"{read.__name__}: {found} instead of {expected}"
            print(f"{read.__name__}: ok", flush=True)


def generate():
    """Events as they are sent. Keys that differ by case, values of several types, odd names."""
    chance = random.Random(20_260_101)
    for number in range(EVENTS):
        time = START + datetime.timedelta(
            days=number % DAYS, microseconds=chance.randrange(86_400_000_000))
        properties = {"n": chance.choice([number, number + 0.5, -number]), "Plan": "pro"}
        if number % 3 == 0:
            properties["plan"] = chance.choice(["free", "team", "", None, 5, True])
        if number % 7 == 0:
            properties.update({"a.b": "dot", "ключ 🦔": {"x": [number]}, "per cent %": 1.0})
        if number % 11 == 0:
            del properties["n"]
        yield {
            "uuid": f"00000000-0000-4000-8000-{number:012x}",
            "event": chance.choice(["$pageview", "signup", "it's \"odd\"", "購入"]),
            "distinct_id": f"u{chance.randrange(700)}",
            "timestamp": time.isoformat(),
            "properties": properties,
        }


def store(hedgerow, folder, events):
    """A data folder with these events, and those of another project; the files are of all kinds."""
    data = folder / "data"

    def run(command, *arguments):
        command = [hedgerow, command, "--data", data, *arguments]
        subprocess.run(command, check=True, timeout=COMMAND_SECONDS, stdout=subprocess.DEVNULL)

    def lines(name, some):
        path = folder / name
        path.write_text("\n".join(json.dumps(event, ensure_ascii=False) for event in some))
        return path

    run("import", "--project", "other", lines("other.ndjson", events[:500]))
    for number in range(IMPORTS):
        run("import", "--no-maintain", lines(f"{number}.ndjson", events[number::IMPORTS]))
        if number == 1:
            run("maintain")
    return data


def facts(events):
    micros = datetime.timedelta(microseconds=1)
    times = [datetime.datetime.fromisoformat(event["timestamp"]) for event in events]
    return {
        "events": len(events),
        "ids": len({event["uuid"] for event in events}),
        "persons": len({event["distinct_id"] for event in events}),
        "pageviews": sum(event["event"] == "$pageview" for event in events),
        "sum of n": float(sum(event["properties"].get("n", 0) for event in events)),
        "team plans": sum(event["properties"].get("plan") == "team" for event in events),
        "microseconds": sum((time - START) // micros for time in times),
    }


def facts_of_rows(rows):
    """The facts of what a reader has read, the documents as JSON text."""
    return facts([
        {**row, "timestamp": row["timestamp"].isoformat(),
         "properties": json.loads(row["properties"])}
        for row in rows
    ])


def read_hedgerow(hedgerow, data, _table, _files):
    query = """select count(), uniqExact(uuid), uniqExact(distinct_id),
        countIf(event = '$pageview'), sum(toFloat(properties.n)),
        countIf(properties.plan = 'team'),
        sum(toUnixTimestamp64Micro(timestamp)
            - toUnixTimestamp64Micro(toDateTime('2026-01-01 00:00:00'))) from events"""
    command = [hedgerow, "query", "--data", data, "--format", "jsonl", query]
    answer = subprocess.run(command, check=True, timeout=COMMAND_SECONDS, stdout=subprocess.PIPE)
    return dict(zip(facts([]), json.loads(answer.stdout.splitlines()[1])))


def read_delta_rs(_hedgerow, _data, table, _files):
    query = f"select {', '.join(COLUMNS)} from events where team_id = 2"
    batches = deltalake.QueryBuilder().register("events", table).execute(query)
    return facts_of_rows(pyarrow.table(batches.read_all()).to_pylist())


def read_polars(_hedgerow, data, _table, _files):
    return facts_of_polars(polars.scan_delta(str(data / "events")))


def read_polars_files(_hedgerow, _data, _table, files):
    """Polars' own reader; files may have columns that others do not have."""
    return facts_of_polars(polars.scan_parquet(
        files, missing_columns="insert", extra_columns="ignore"))


def facts_of_polars(frame):
    property_of = polars.col("properties").str.json_path_match
    since = polars.col("timestamp") - START
    return frame.filter(polars.col("team_id") == 2).select(
        polars.len().alias("events"),
        polars.col("uuid").n_unique().alias("ids"),
        polars.col("distinct_id").n_unique().alias("persons"),
        (polars.col("event") == "$pageview").sum().alias("pageviews"),
        property_of("$.n").cast(polars.Float64).sum().alias("sum of n"),
        (property_of("$.plan") == "team").sum().alias("team plans"),
        since.dt.total_microseconds().sum().alias("microseconds"),
    ).collect().to_dicts()[0]


def read_pyarrow(_hedgerow, _data, _table, files):
    dataset = pyarrow.dataset.dataset(files, format="parquet")
    rows = dataset.to_table(COLUMNS, filter=pyarrow.compute.field("team_id") == 2)
    return facts_of_rows(rows.to_pylist())


def read_duckdb(_hedgerow, _data, _table, files):
    connection = duckdb.connect(config={"autoinstall_known_extensions": False})
    row = connection.execute(
        """select count(*), count(distinct uuid), count(distinct distinct_id),
            count(*) filter (event = '$pageview'), sum((properties ->> 'n')::double),
            count(*) filter (properties ->> 'plan' = 'team'),
            sum(epoch_us("timestamp") - epoch_us(?))::bigint
        from read_parquet(?) where team_id = 2""",
        [START, files],
    ).fetchone()
    return dict(zip(facts([]), row))


if __name__ == "__main__":
    main(sys.argv[1])
