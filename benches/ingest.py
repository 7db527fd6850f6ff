"""How fast a server takes events in, and what that costs queries.

Usage: ingest.py path/to/hedgerow [--seconds N] [--events N] [--folder DIR]

Over POST /batch/ on loopback, each request acknowledged when its events are durable (fsync):

- batches of 100 events from 8 connections, and single events from 64: events a second;
- a dashboard query, alone and while 20 000 events a second come in batches of 100: median and p99;
- `kill -9` with a long log, of which nothing is in files, and how long the next start takes.

DuckDB takes the same events in from this process, with a durable commit for each batch. Prints a
table in Markdown, and which limits are missed. Run it alone on the machine.
"""

import argparse
import asyncio
import base64
import json
import os
import pathlib
import random
import statistics
import sys
import tempfile
import time
import uuid

import psycopg

sys.path.append(str(pathlib.Path(__file__).parent.parent / "sql-tests" / "clients"))
from server import Server, run  # noqa: E402

QUERY = ("select toStartOfDay(timestamp) as day, event, count(), uniq(distinct_id) from events"
         " where timestamp >= '2026-01-01' group by day, event order by day, event")
NAMES = ["$pageview", "$autocapture", "signup", "purchase", "search"]


def event(rng):
    day, second = rng.randrange(28) + 1, rng.randrange(86_400)
    return {
        "event": rng.choice(NAMES),
        "distinct_id": f"user-{rng.randrange(50_000)}",
        "uuid": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "timestamp": f"2026-02-{day:02}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z",
        "properties": {
            "$browser": rng.choice(["Chrome", "Firefox", "Safari"]),
            "$current_url": f"https://example.com/page/{rng.randrange(1_000)}",
            "$session_id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            "amount": rng.randrange(10_000) / 100,
            "plan": rng.choice(["free", "team", "enterprise"]),
            "$lib": "web",
            "$screen_width": rng.choice([1280, 1440, 1920]),
        },
    }


def large_event(rng):
    """With a text that cannot be compressed."""
    found = event(rng)
    found["properties"]["text"] = base64.b64encode(rng.randbytes(1_200)).decode()
    return found


def request(events):
    body = json.dumps({"api_key": "bench", "batch": events}).encode()
    return (b"POST /batch/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)) + body


async def send(port, requests, until, latencies):
    """One connection: the next request when the last one is acknowledged; how many were, and how
    many were refused for now."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    taken = refused = 0
    for text in requests:
        if time.monotonic() >= until:
            break
        begun = time.monotonic()
        writer.write(text)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n")
                      if line.lower().startswith(b"content-length:"))
        await reader.readexactly(length)
        if head.startswith(b"HTTP/1.1 200"):
            taken += 1
            latencies.append(time.monotonic() - begun)
        else:
            assert head.startswith(b"HTTP/1.1 503"), head
            refused += 1
            await asyncio.sleep(0.05)
    writer.close()
    return taken, refused


async def load(port, connections, pool, seconds, pause=0.0):
    """Requests of the pool from so many connections: requests a second, latencies."""
    latencies = []
    until = time.monotonic() + seconds
    shares = [iter(pool[place::connections]) for place in range(connections)]
    begun = time.monotonic()
    done = await asyncio.gather(*(send(port, share, until, latencies) for share in shares))
    took = time.monotonic() - begun
    return sum(taken for taken, _ in done) / took, latencies, sum(no for _, no in done)


async def load_at(port, rate, pool, seconds):
    """Requests of the pool, so many a second, from 4 connections."""
    latencies, until = [], time.monotonic() + seconds

    async def one(share):
        taken, next_at = 0, time.monotonic()
        for text in share:
            if time.monotonic() >= until:
                break
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
            next_at += 4 / rate
            taken += (await send(port, [text], until, latencies))[0]
        return taken

    return sum(await asyncio.gather(*(one(pool[place::4]) for place in range(4))))


def ask(address, seconds):
    """Seconds of each run of the query."""
    times = []
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(QUERY).fetchall()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            begun = time.monotonic()
            connection.execute(QUERY).fetchall()
            times.append(time.monotonic() - begun)
    return times


def duckdb_rate(folder, rng, seconds):
    """Events a second that DuckDB commits in the same batches, and its single events."""
    import duckdb
    import pyarrow

    columns = ["event", "distinct_id", "uuid", "timestamp", "properties"]
    with duckdb.connect(str(pathlib.Path(folder) / "peer.duckdb")) as connection:
        connection.execute("create table events (event text, distinct_id text, uuid uuid,"
                           " timestamp timestamp, properties json)")
        for size in (100, 1):
            batches = [[event(rng) for _ in range(size)] for _ in range(2_000)]
            tables = [pyarrow.table({name: [json.dumps(one[name]) if name == "properties"
                                            else one[name].rstrip("Z") for one in batch]
                                     for name in columns}) for batch in batches]
            done, begun = 0, time.monotonic()
            while time.monotonic() - begun < seconds:
                rows = tables[done % len(tables)]  # noqa: F841, the statement names it
                connection.execute("insert into events select * from rows")
                done += 1
            yield done * size / (time.monotonic() - begun)


def p99(times):
    return statistics.quantiles(times, n=100)[98]


def memory_mb(process, what="VmHWM"):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(what)).split()[1]) / 1024


def restart(hedgerow, data, name, batches):
    """Nothing becomes files, so the write-ahead log grows; then the server is killed and started."""
    with Server(hedgerow, data, "--flush-seconds", "3600", "--ingest-memory-mb", "8192") as server:
        before = server.execute("select count() from events")[0][0]
        rate, _, refused = asyncio.run(load(server.http_port(), 8, batches, 600))
        assert refused == 0, refused
        wal = sum(file.stat().st_size for file in (pathlib.Path(data) / "wal").iterdir())
        held = memory_mb(server.process, "VmRSS")
        server.kill()
    begun = time.monotonic()
    with Server(hedgerow, data, "--flush-seconds", "3600", "--ingest-memory-mb", "8192") as server:
        took = time.monotonic() - begun
        found = server.execute("select count() from events")[0][0] - before
        assert found == len(batches) * 100, found
        # Into files, for the next one.
        server.execute("delete from events where event = 'none'")
    scaled = took * 1e9 / wal
    yield (f"start after kill -9, {wal / 1e6:,.0f} MB of log with {found:,} {name} events",
           f"{took:.1f} s", "", True)
    yield ("… memory before", f"{held:,.0f} MB", "", True)
    yield ("… for 1 GB", f"{scaled:.1f} s", "≤ 30", scaled <= 30)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("hedgerow")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--events", type=int, default=2_000_000, help="stored before")
    parser.add_argument("--folder")
    options = parser.parse_args()
    rng = random.Random(7)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        data = str(pathlib.Path(folder) / "data")
        first = pathlib.Path(folder) / "first.ndjson"
        with first.open("w") as file:
            for _ in range(options.events):
                file.write(json.dumps(event(rng)) + "\n")
        run(options.hedgerow, "import", data, str(first))
        first.unlink()
        count = int(options.seconds * 700)
        batches = [request([event(rng) for _ in range(100)]) for _ in range(count)]
        singles = [request([event(rng)]) for _ in range(int(options.seconds * 12_000))]
        rows = []

        with Server(options.hedgerow, data) as server:
            port, address = server.http_port(), server.addresses["Postgres"]
            rate, latencies, refused = asyncio.run(load(port, 8, batches, options.seconds))
            events = rate * 100
            rows.append(("batches of 100, 8 connections", f"{events:,.0f} events/s", "≥ 20 000",
                         events >= 20_000))
            rows.append(("… acknowledged after, median and p99",
                         f"{statistics.median(latencies) * 1e3:.1f}, {p99(latencies) * 1e3:.1f} ms"
                         f", {refused} refused for now", "", True))
            rate, latencies, refused = asyncio.run(load(port, 64, singles, options.seconds))
            rows.append(("single events, 64 connections", f"{rate:,.0f} events/s", "≥ 3 000",
                         rate >= 3_000))
            rows.append(("… acknowledged after, median and p99",
                         f"{statistics.median(latencies) * 1e3:.1f}, {p99(latencies) * 1e3:.1f} ms"
                         f", {refused} refused for now", "", True))
            rows.append(("peak of memory", f"{memory_mb(server.process):,.0f} MB", "", True))

        in_batches, alone = duckdb_rate(folder, rng, options.seconds)
        rows.append(("DuckDB, batches of 100, a commit each", f"{in_batches:,.0f} events/s", "", True))
        rows.append(("DuckDB, single events, a commit each", f"{alone:,.0f} events/s", "", True))

        batches = [request([event(rng) for _ in range(100)]) for _ in range(count)]
        with Server(options.hedgerow, data) as server:
            port, address = server.http_port(), server.addresses["Postgres"]
            idle = ask(address, options.seconds)

            async def both():
                loading = asyncio.create_task(load_at(port, 200, batches, options.seconds + 5))
                loaded = await asyncio.to_thread(ask, address, options.seconds)
                return loaded, await loading

            loaded, taken = asyncio.run(both())
            ratio = p99(loaded) / p99(idle)
            rows.append(("query alone, median and p99",
                         f"{statistics.median(idle) * 1e3:.0f}, {p99(idle) * 1e3:.0f} ms", "", True))
            rows.append((f"query while {taken * 100 / (options.seconds + 5):,.0f} events/s come",
                         f"{statistics.median(loaded) * 1e3:.0f}, {p99(loaded) * 1e3:.0f} ms", "",
                         True))
            rows.append(("… p99 to p99 alone", f"{ratio:.2f}", "≤ 3", ratio <= 3))

        for name, make, batches_of in (("usual", event, count), ("large", large_event, 10_000)):
            rows.extend(restart(options.hedgerow, data, name,
                                [request([make(rng) for _ in range(100)])
                                 for _ in range(batches_of)]))

    print("| | measured | limit |\n|---|---|---|")
    for name, measured, limit, _ in rows:
        print(f"| {name} | {measured} | {limit} |")
    missed = [name for name, *_, reached in rows if not reached]
    print("\nMissed: " + ", ".join(missed) if missed else "\nAll limits are kept.")


if __name__ == "__main__":
    main()
