#!/usr/bin/env python3
"""Product analytics side by side, in one run: Hedgerow, ClickHouse (chdb) and DuckDB.

    run.py HEDGEROW FILE.ndjson [--rounds N] [--folder DIR] [--only TEXT]

Each engine loads the file (unless DIR has it from an earlier run), with the hot keys as columns where it needs to be told; then each
query runs cold once and hot N times, answers are compared, and a table is printed for RESULTS.md.
Needs chdb, duckdb and psycopg.
"""

import argparse
import contextlib
import datetime
import json
import math
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

from queries import KEYS, QUERIES


class Hedgerow:
    name = "Hedgerow"

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder / "hedgerow"

    def load(self, file):
        done = subprocess.run([self.binary, "import", "--data", self.folder, file], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)

    def open(self):
        import psycopg

        self.server = subprocess.Popen(
            [self.binary, "server", "--data", self.folder, "--pg", "127.0.0.1:0", "--flight", "127.0.0.1:0", "--http", "127.0.0.1:0"],
            stdout=subprocess.PIPE, text=True,
        )
        for line in self.server.stdout:
            if "postgres" in line.lower():
                port = line.split("127.0.0.1:")[1].split("/")[0].split()[0]
                break
        self.connection = psycopg.connect(host="127.0.0.1", port=port, user="bench", dbname="default", autocommit=True)
        self.connection.execute("set hogql_strings = on")

    def ask(self, text):
        return self.connection.execute(text).fetchall()

    def close(self):
        if hasattr(self, "server"):
            self.connection.close()
            self.server.terminate()
            self.server.wait()


class ClickHouse:
    name = "ClickHouse"

    def __init__(self, folder):
        self.folder = folder / "clickhouse"

    def load(self, file):
        self.open()
        columns = ", ".join(
            f"{column} {'LowCardinality(String)' if kind == 'text' and column not in ('url', 'session') else 'String' if kind == 'text' else 'Nullable(Float64)'}"
            f" materialized {'JSONExtractString' if kind == 'text' else 'JSONExtract'}(properties, '{key}'{'' if kind == 'text' else ', ' + chr(39) + 'Nullable(Float64)' + chr(39)})"
            for key, column, kind in KEYS
        )
        self.session.query(
            f"create table bench.events (team_id Int64 default 1, uuid UUID, event LowCardinality(String), distinct_id String,"
            f" timestamp DateTime64(3, 'UTC'), properties String codec(ZSTD(1)), {columns}) engine = MergeTree"
            " order by (team_id, toDate(timestamp), event, cityHash64(distinct_id))"
        )
        self.session.query(
            "insert into bench.events (uuid, event, distinct_id, timestamp, properties)"
            " select uuid, event, distinct_id, parseDateTime64BestEffort(timestamp, 3, 'UTC'), properties"
            f" from file('{file}', JSONEachRow, 'uuid UUID, event String, distinct_id String, timestamp String, properties String')"
            " settings input_format_json_read_objects_as_strings = 1"
        )

    def open(self):
        from chdb import session

        self.session = session.Session(str(self.folder))
        self.session.query("create database if not exists bench")
        self.session.query("use bench")

    def ask(self, text):
        import pyarrow

        table = self.session.query(text, "ArrowTable")
        # DateTime arrives as seconds; nothing else has this type.
        seconds = [pyarrow.types.is_uint32(field.type) for field in table.schema]
        columns = [
            column.cast("int64").cast(pyarrow.timestamp("s")).to_pylist() if is_time else column.to_pylist()
            for column, is_time in zip(table.columns, seconds)
        ]
        return list(zip(*columns))

    def close(self):
        self.session.close()


class DuckDB:
    name = "DuckDB"

    def __init__(self, folder):
        self.folder = folder / "duckdb"

    def load(self, file):
        self.folder.mkdir()
        self.open()
        columns = ", ".join(
            f"properties->>'$.\"{key}\"' as {column}" if kind == "text" else f"try_cast(properties->>'$.\"{key}\"' as double) as {column}"
            for key, column, kind in KEYS
        )
        self.connection.execute(
            "create table events as select cast(uuid as uuid) as uuid, event, distinct_id, cast(timestamp as timestamp) as timestamp,"
            f" properties, {columns} from read_json('{file}', format = 'newline_delimited',"
            " columns = {uuid: 'varchar', event: 'varchar', distinct_id: 'varchar', timestamp: 'varchar', properties: 'json'})"
        )
        self.connection.execute("checkpoint")

    def open(self):
        import duckdb

        self.connection = duckdb.connect(str(self.folder / "events.db"), config={"threads": 2})
        self.connection.execute("set timezone = 'UTC'")

    def ask(self, text):
        return self.connection.execute(text).fetchall()

    def close(self):
        self.connection.close()


def plain(value):
    """A value as all engines give it, where they differ only in types."""
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day).isoformat(sep=" ", timespec="milliseconds")
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, bytes):
        return str(uuid.UUID(bytes=value)) if len(value) == 16 else value.decode()
    if isinstance(value, str) and value.startswith("{"):
        return json.loads(value)
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, int):
        return float(f"{value:.6g}") if abs(value) > 10**6 else value
    return "" if value is None else value


def answer(rows):
    return [tuple(plain(value) for value in row) for row in rows]


def size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("hedgerow")
    options.add_argument("file", type=pathlib.Path)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--folder", type=pathlib.Path)
    options.add_argument("--only", default="", help="queries with this in their name")
    options = options.parse_args()
    folder = options.folder or pathlib.Path(tempfile.mkdtemp())
    file = options.file.resolve()
    events = sum(chunk.count(b"\n") for chunk in iter(lambda f=open(file, "rb"): f.read(1 << 22), b""))

    engines = [Hedgerow(options.hedgerow, folder), ClickHouse(folder), DuckDB(folder)]
    try:
        differing = compare(engines, file, events, options)
    finally:
        for engine in engines:
            with contextlib.suppress(Exception):
                engine.close()
        if not options.folder:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if differing else 0)


def load(engine, file):
    """Loads in a process of its own: the seconds it took, and the peak of its memory in bytes."""
    started = time.perf_counter()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            engine.load(file)
            engine.close()
            status = 0
        except BaseException as error:
            print(f"{engine.name}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"{engine.name} did not load the events")
    return time.perf_counter() - started, usage.ru_maxrss * 1024


def compare(engines, file, events, options):
    """Loads, asks, prints; gives the queries whose answers differ."""
    loads = {}
    for engine in engines:
        # A folder that is kept has what an earlier run loaded.
        marker = engine.folder.parent / f"{engine.name}.loaded"
        if not marker.exists():
            marker.write_text(json.dumps(load(engine, file)))
        loads[engine.name] = json.loads(marker.read_text())
        engine.open()
    print("| query (ms; cold, then median hot) | " + " | ".join(e.name for e in engines) + " | ratio to the better peer |")
    print("|---|" + "---|" * (len(engines) + 1))
    ratios, differing = [], []
    for name, asked in QUERIES.items():
        if options.only not in name:
            continue
        cells, hot, answers = [], [], []
        for engine, dialect in zip(engines, ("hogql", "clickhouse", "duckdb")):
            times = []
            try:
                for _ in range(options.rounds + 1):
                    started = time.perf_counter()
                    rows = engine.ask(asked[dialect])
                    times.append((time.perf_counter() - started) * 1000)
                answers.append(answer(rows))
                hot.append(statistics.median(times[1:]))
                cells.append(f"{times[0]:.0f}, {hot[-1]:.1f}")
            except Exception as error:
                answers.append(f"{engine.name}: {error}")
                hot.append(math.inf)
                cells.append("error")
        if any(other != answers[0] for other in answers[1:]):
            differing.append((name, answers))
        ratio = hot[0] / min(hot[1:])
        ratios.append(ratio)
        print(f"| {name} | " + " | ".join(cells) + f" | {ratio:.2f} |", flush=True)
    known = [ratio for ratio in ratios if math.isfinite(ratio) and ratio > 0]
    print(f"\nGeometric mean {math.exp(sum(map(math.log, known)) / len(known)):.2f}, worst {max(known):.2f}.")
    for engine in engines:
        seconds, memory = loads[engine.name]
        print(
            f"{engine.name}: {events / seconds:,.0f} events/s loaded with at most {memory / 1e6:,.0f} MB of memory,"
            f" {size(engine.folder) / 1e6:,.0f} MB on disk"
        )
    for name, answers in differing:
        print(f"\nanswers differ: {name}")
        for text in answers:
            print("   ", str(text)[:300])
    return differing


if __name__ == "__main__":
    main()
