"""Crash rounds: a server is killed again and again while senders post batches to it.

Usage: crash_rounds.py path/to/hedgerow [--rounds N] [--seed S]

Each round starts the server on the folder of the round before, lets several senders post batches,
and ends it with `kill -9` at a random moment or, in a build with debug assertions, at a named
step of writing, committing and trimming. A sender repeats a batch until it is acknowledged, as
SDKs do. After each start every acknowledged event is there exactly once, and of a batch that was
not acknowledged all events or none. The seed of a round is printed when it fails.
"""

import argparse
import http.client
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time
import uuid

import psycopg

SENDERS = 4
BATCHES_PER_ROUND = 40
EVENTS_PER_BATCH_MAX = 20
SECONDS_MAX = 60
STEPS = [
    "wal.write", "wal.written", "wal.synced", "wal.segment.create", "wal.segment.staged",
    "wal.segment.placed", "wal.segment.created", "wal.trim", "wal.trim.removed", "wal.trimmed",
    "flush.put", "flush.committed", "flush.trimmed",
]


class Server:
    """A server on a folder, with the ports it got."""

    def __init__(self, hedgerow, data, crash_at=None):
        environment = dict(os.environ, HEDGEROW_FLUSH_SECONDS="0.2")
        if crash_at:
            environment["HEDGEROW_CRASH_AT"] = crash_at
        self.process = subprocess.Popen(
            [hedgerow, "server", "--data", data, "--pg", "127.0.0.1:0", "--flight", "127.0.0.1:0",
             "--http", "127.0.0.1:0"],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.ports = {}
        for line in self.process.stdout:
            name, address = line.split(maxsplit=1)
            self.ports[name] = int(address.split("127.0.0.1:")[1].split("/")[0])
            if name == "HTTP":
                break

    def started(self):
        return "HTTP" in self.ports

    def kill(self):
        self.process.kill()
        self.process.communicate(timeout=SECONDS_MAX)

    def query(self, text):
        with psycopg.connect(host="127.0.0.1", port=self.ports["Postgres"], user="t",
                             dbname="default", connect_timeout=SECONDS_MAX) as connection:
            return connection.execute(text).fetchall()


def events_of(batch):
    """The events of a batch: their number and ids follow from its own."""
    chance = random.Random(batch.int)
    return [
        {
            "uuid": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            "event": "crash",
            "distinct_id": f"u{chance.randrange(50)}",
            "timestamp": f"2026-01-0{chance.randrange(1, 9)}T00:00:00.{chance.randrange(1000):03}Z",
            "properties": {"batch": str(batch), "n": chance.randrange(100)},
        }
        for _ in range(chance.randrange(1, EVENTS_PER_BATCH_MAX + 1))
    ]


def send(port, batches, acknowledged, lock):
    """Posts batches until the server is gone."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS_MAX)
    while True:
        with lock:
            if not batches:
                return
            batch = batches.pop()
        body = json.dumps({"api_key": "any", "batch": events_of(batch)})
        try:
            connection.request("POST", "/batch/", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            with lock:
                batches.append(batch)
            return
        if answer.status != 200:
            raise SystemExit(f"a batch was refused: {answer.status} {text}")
        with lock:
            acknowledged.add(batch)


def check(server, acknowledged, sent):
    rows = server.query("select properties.batch, count(), count(distinct uuid) from events "
                        "where event = 'crash' group by 1")
    found = {uuid.UUID(batch): (count, different) for batch, count, different in rows}
    for batch in acknowledged:
        assert batch in found, f"acknowledged batch {batch} is lost"
    for batch, (count, different) in found.items():
        assert batch in sent, f"batch {batch} was never sent"
        wanted = len(events_of(batch))
        assert count == different == wanted, f"{batch}: {count}, {different} of {wanted} events"


def play(hedgerow, data, seed, acknowledged, sent, left):
    chance = random.Random(seed)
    crash_at = None
    if chance.random() < 0.6:
        step = chance.choice(STEPS)
        crash_at = f"{step}:{chance.randrange(1, 25 if step.startswith('wal.w') else 4)}"
    server = Server(hedgerow, data, crash_at)
    try:
        if not server.started():
            # It died at a step of starting.
            assert crash_at, server.process.communicate(timeout=SECONDS_MAX)
            server.process.communicate(timeout=SECONDS_MAX)
            return crash_at
        batches = left + [uuid.UUID(int=chance.getrandbits(128), version=4)
                          for _ in range(BATCHES_PER_ROUND)]
        sent.update(batches)
        left.clear()
        lock = threading.Lock()
        senders = [threading.Thread(target=send,
                                    args=(server.ports["HTTP"], batches, acknowledged, lock))
                   for _ in range(SENDERS)]
        for sender in senders:
            sender.start()
        # The moment of death is chance; nothing is waited for.
        time.sleep(chance.random() * 0.8)
        server.kill()
        for sender in senders:
            sender.join()
        left.extend(batches)
        return crash_at or "kill"
    finally:
        server.kill()


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("hedgerow")
    options.add_argument("--rounds", type=int, default=300)
    options.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options = options.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "data"
        first = pathlib.Path(folder) / "first.ndjson"
        first.write_text(json.dumps({
            "uuid": str(uuid.UUID(int=1)), "event": "first", "distinct_id": "u",
            "timestamp": "2026-01-01T00:00:00Z",
            "properties": {"batch": str(uuid.UUID(int=0))}}))
        subprocess.run([options.hedgerow, "import", "--data", data, first], check=True,
                       timeout=SECONDS_MAX, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        acknowledged, sent, left = set(), set(), []
        for number in range(options.rounds):
            seed = options.seed * 1_000_003 + number
            try:
                ended_by = play(options.hedgerow, data, seed, acknowledged, sent, left)
                server = Server(options.hedgerow, data)
                try:
                    assert server.started(), server.process.communicate(timeout=SECONDS_MAX)
                    check(server, acknowledged, sent)
                finally:
                    server.kill()
            except BaseException:
                print(f"round {number} of seed {options.seed} failed", file=sys.stderr)
                raise
            if number % 10 == 9:
                print(f"{number + 1} rounds, {len(acknowledged)} batches acknowledged, "
                      f"last ended by {ended_by}", flush=True)
    print("ok")


if __name__ == "__main__":
    main()
