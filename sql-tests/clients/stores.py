"""A server over object stores: S3 (moto) and Azure Blob Storage (Azurite).

Usage: stores.py path/to/hedgerow [s3] [azure]

Events come over HTTP, INSERT and an import, a server is killed and started again, files are
rewritten; then two servers have one store: the later one takes the events, and both answer. Then a
store stalls, and one is down; a cache on disk is filled and found again. In the end, stores that do
not do what Hedgerow needs of them must be refused. Needs `npm ci` in this folder for Azurite.
"""

import concurrent.futures
import json
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid

import psycopg

import emulators
from server import SECONDS_MAX, Server, create, run, wait_until

SECONDS_TOGETHER_MAX = 1500
STALL_SECONDS = 30
# Until the program gives up and says so: docs/durability.md.
TELL_SECONDS_MAX = 120
FACTS = "count(), count(distinct uuid), sum(toInt(properties.n)) from events where event = 'store'"
# More than a statement can have for one record of the log: it goes into files, and with it what
# waits in memory.
LARGE_ROWS, LARGE_TEXT = 40, "x" * (1 << 20)


class Store:
    """A data folder in a store, and how many events it has been given."""

    def __init__(self, hedgerow, data, environment):
        self.hedgerow, self.data, self.environment = hedgerow, data, environment
        self.given = 0

    def server(self, flush_seconds=0.2):
        seconds = {"HEDGEROW_FLUSH_SECONDS": str(flush_seconds)}
        return Server(self.hedgerow, self.data, environment=self.environment | seconds)

    def run(self, command, *arguments):
        return run(self.hedgerow, command, self.data, *arguments, environment=self.environment)

    def events(self, count):
        """New events, as SDKs and exports have them."""
        first, self.given = self.given, self.given + count
        return [event(n) for n in range(first, self.given)]

    def expected(self):
        return (self.given, self.given, sum(range(self.given)))

    def check(self, *servers):
        for server in servers:
            found = server.execute(f"select {FACTS}")[0]
            assert found == self.expected(), f"{found} instead of {self.expected()}"

    def in_files(self):
        """Whether all events are in files, as a reader without the server's memory sees them."""
        answer = self.run("query", "--format", "jsonl", f"select {FACTS}")
        return tuple(json.loads(answer.splitlines()[1])) == self.expected()


def event(n):
    return {"uuid": str(uuid.UUID(int=n)), "event": "store", "distinct_id": f"u{n % 10}",
            "timestamp": f"2026-01-{n % 9 + 1:02}T00:00:00Z", "properties": {"n": n}}


def post(server, events):
    """The status of the answer, and its text."""
    body = json.dumps({"api_key": "any", "batch": events}).encode()
    url = f"{server.addresses['HTTP']}/batch/"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS_MAX) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def insert(server, events):
    with psycopg.connect(server.addresses["Postgres"], autocommit=True) as connection:
        for event in events:
            connection.execute(
                "insert into events (uuid, event, distinct_id, timestamp, properties)"
                " values (%s, %s, %s, %s, %s)", [*list(event.values())[:4], '{"n": %d}' %
                                                 event["properties"]["n"]])


def import_(store, events):
    with tempfile.NamedTemporaryFile("w", suffix=".ndjson") as file:
        file.write("\n".join(map(json.dumps, events)))
        file.flush()
        store.run("import", file.name)


def check_ways_in(store):
    """All ways in while a server runs; it is killed and knows all of it."""
    with store.server(flush_seconds=3600) as server:
        for count in (500, 1, 40):
            events = store.events(count)
            assert post(server, events)[0] == 200
            store.check(server)
        insert(server, store.events(3))
        import_(store, store.events(200))
        store.check(server)
        server.kill()
    with store.server() as server:
        store.check(server)
        # A client that got no answer.
        assert post(server, events)[0] == 200
        store.check(server)
        wait_until(store.in_files, "events are moved into files")
        assert post(server, events)[0] == 200
        store.check(server)


def check_upkeep(store):
    """Files are rewritten, while a server takes events and by itself."""
    with store.server() as server:
        for _ in range(5):
            assert post(server, store.events(10))[0] == 200
            wait_until(store.in_files, "events are moved into files")
        store.run("maintain")
        store.check(server)
        assert post(server, store.events(10))[0] == 200
        store.check(server)
        server.kill()
    store.run("maintain")
    with store.server() as server:
        store.check(server)
        wait_until(store.in_files, "events are moved into files")


def check_takeover(store):
    """Of two servers the later one takes events; both answer, and then a third one."""
    with store.server(flush_seconds=3600) as earlier:
        assert post(earlier, store.events(20))[0] == 200
        with store.server() as later:
            store.check(earlier, later)
            assert post(later, store.events(20))[0] == 200
            refused = [event(1_000_000)]
            status, said = post(earlier, refused)
            assert status == 503 and "another process has taken over" in said, (status, said)
            check_refused(lambda: insert(earlier, refused))
            for _ in range(3):
                assert post(later, store.events(20))[0] == 200
                store.check(later)
                wait_until(store.in_files, "events are moved into files")
                store.check(earlier, later)
            # Has the earlier one move its events into files, which are there already.
            check_refused(lambda: copy_large(earlier))
            store.check(earlier, later)
            assert post(later, store.events(20))[0] == 200
            store.check(later)
            earlier.kill()
            later.kill()
    with store.server() as third:
        store.check(third)


def check_trouble(hedgerow):
    """A store that does not answer for a while, or refuses everything: whoever asks meanwhile waits
    or is told, the server lives on, and what was acknowledged is there once."""
    gate = emulators.Gate()
    with emulators.s3(gate=gate) as (data, environment):
        create(hedgerow, data, environment)
        store = Store(hedgerow, data, environment)
        with (store.server() as server, concurrent.futures.ThreadPoolExecutor() as pool,
              psycopg.connect(server.addresses["Postgres"], autocommit=True) as connection):
            assert post(server, store.events(20))[0] == 200
            wait_until(store.in_files, "events are moved into files")
            for trouble, seconds in ((gate.stalled, STALL_SECONDS), (gate.down, 0)):
                before, events = store.expected(), store.events(20)
                with trouble():
                    begun = time.monotonic()
                    posted = pool.submit(post, server, events)
                    asked = pool.submit(facts_or_refusal, connection)
                    concurrent.futures.wait([posted, asked], timeout=seconds or TELL_SECONDS_MAX)
                status, said = posted.result(TELL_SECONDS_MAX)
                answer = asked.result(TELL_SECONDS_MAX)
                print(f"{trouble.__name__}: told after {time.monotonic() - begun:.0f} s:"
                      f" {status}, {answer}")
                assert isinstance(answer, str) or answer in (before, store.expected()), answer
                assert status in (200, 503), (status, said)
                assert seconds or status == 503, (status, said)
                # Whether they are there already or not: they are sent again.
                wait_until(lambda: post(server, events)[0] == 200, "the store answers again")
                store.check(server)
            wait_until(store.in_files, "events are moved into files")
        with store.server() as server:
            store.check(server)


def check_cache(hedgerow):
    """A disk has what was read of a store, for the next server too; it serves one at a time."""
    gate = emulators.Gate()
    with emulators.s3(gate=gate) as (data, environment), tempfile.TemporaryDirectory() as folder:
        environment["HEDGEROW_DISK_CACHE"] = folder
        create(hedgerow, data, environment)
        store = Store(hedgerow, data, environment)
        import_(store, store.events(500))
        for is_first in (True, False):
            with store.server() as server:
                before = gate.file_reads
                store.check(server)
                assert (gate.file_reads > before) == is_first, (is_first, gate.file_reads, before)
                second = store.server()
                second.kill()
                assert "another process keeps its cache in" in second.said(), second.said()
                server.end()


def facts_or_refusal(connection):
    try:
        return connection.execute(f"select {FACTS}").fetchone()
    except psycopg.Error as error:
        assert error.sqlstate == "58030", (error.sqlstate, error)
        return str(error).splitlines()[0]


def check_refused(action):
    try:
        action()
    except psycopg.Error as error:
        assert "another process has taken over" in str(error), error
    else:
        raise AssertionError("a server that is none any more has taken events")


def copy_large(server):
    with psycopg.connect(server.addresses["Postgres"], autocommit=True) as connection:
        sql = "copy events (event, distinct_id, properties) from stdin"
        with connection.cursor().copy(sql) as copy:
            for _ in range(LARGE_ROWS):
                copy.write_row(("large", "u", json.dumps({"text": LARGE_TEXT})))


def check_conditions(hedgerow):
    """A store that puts objects on top of others, whatever it is asked, is none for a server."""
    with emulators.s3(ignores_conditions=True) as (data, environment):
        try:
            create(hedgerow, data, environment)
        except AssertionError as error:
            assert "condition" in str(error), error
            return
        server = Server(hedgerow, data, environment=environment)
        server.kill()
        assert not server.started(), "a store without conditional puts was not refused"
        assert "condition" in server.said(), server.said()


def main(hedgerow, names):
    signal.alarm(SECONDS_TOGETHER_MAX)
    for name in names:
        with emulators.STORES[name]() as (data, environment):
            create(hedgerow, data, environment)
            store = Store(hedgerow, data, environment)
            for check in (check_ways_in, check_upkeep, check_takeover):
                check(store)
                print(f"{name}, {check.__name__}: ok", flush=True)
    for check in (check_trouble, check_cache, check_conditions):
        check(hedgerow)
        print(f"{check.__name__}: ok", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:] or ["s3", "azure"])
