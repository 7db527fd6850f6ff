"""Crash rounds: a server is killed again and again while senders post batches to it.

Usage: crash_rounds.py path/to/hedgerow [--store folder|s3|azure] [--rounds N] [--seed S]

Each round starts the server on the store of the round before, lets several senders post batches,
and ends it with `kill -9` after a random number of them or, in a build with debug assertions, at a
named step of writing, committing, trimming and deleting; now and then upkeep dies at its own steps,
beside a server. A sender repeats a batch until it is acknowledged, as SDKs do; some of those that
are acknowledged are deleted again. After each start every acknowledged event is there exactly once,
none that was deleted, and of a batch that was not acknowledged, or whose deletion was not, all
events or none. `hedgerow verify` finds nothing wrong with what the dead left. The seed of a round is
printed when it fails, and a folder is kept then.
"""

import argparse
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import uuid

import psycopg

from emulators import STORES
from server import SECONDS_MAX, Server, create, run, wait_until

SENDERS = 4
BATCHES_PER_ROUND = 40
EVENTS_PER_BATCH_MAX = 20
ROUNDS_PER_UPKEEP = 5
# The steps of a server, with how often they are about taken in a round.
COMMON_STEPS = {
    "flush.put": 3, "flush.committed": 3, "flush.trimmed": 3, "delete.noted": 1,
    "delete.committed": 1,
}
FOLDER_STEPS = COMMON_STEPS | {
    "wal.write": 24, "wal.written": 24, "wal.synced": 24, "wal.segment.create": 3,
    "wal.segment.staged": 3, "wal.segment.placed": 3, "wal.segment.created": 3, "wal.trim": 3,
    "wal.trim.removed": 3, "wal.trimmed": 3,
}
OBJECT_STEPS = COMMON_STEPS | {
    "wal.object.claimed": 1, "wal.object.seal": 1, "wal.object.sealed": 1, "wal.object.write": 8,
    "wal.object.written": 8, "wal.object.trim": 3, "wal.object.trimmed": 3,
}

# Those of upkeep: each file that it deletes is one.
UPKEEP_STEPS = {"maintain.put": 1, "maintain.committed": 1, "vacuum.delete": 6, "vacuum.deleted": 1}


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


def send(port, batches, acknowledged, refusals, lock):
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
        with lock:
            if answer.status != 200:
                refusals.append(f"{answer.status} {text}")
                return
            acknowledged.add(batch)


def delete(server, batch, deleted, refusals):
    """Deletes a batch, unless the server is gone before it says so."""
    try:
        server.execute(f"delete from events where properties.batch = '{batch}'")
    except psycopg.OperationalError:
        return
    except psycopg.Error as error:
        refusals.append(f"{error!r}")
        return
    deleted.add(batch)


def check(server, acknowledged, sent, deleted, doomed):
    rows = server.execute("select properties.batch, count(), count(distinct uuid) from events "
                          "where event = 'crash' group by 1")
    found = {uuid.UUID(batch): (count, different) for batch, count, different in rows}
    # Those whose deletion nobody has acknowledged stay as they are now.
    deleted.update(doomed - found.keys())
    doomed.clear()
    for batch in acknowledged:
        assert (batch in found) != (batch in deleted), f"batch {batch} is lost, or back"
    for batch, (count, different) in found.items():
        assert batch in sent, f"batch {batch} was never sent"
        wanted = len(events_of(batch))
        assert count == different == wanted, f"{batch}: {count}, {different} of {wanted} events"


class Rounds:
    """Rounds on one store, and what its senders know."""

    def __init__(self, hedgerow, data, environment):
        self.hedgerow, self.data = hedgerow, data
        self.environment = {**environment, "HEDGEROW_FLUSH_SECONDS": "0.2"}
        self.steps = OBJECT_STEPS if environment else FOLDER_STEPS
        self.acknowledged, self.sent, self.left = set(), set(), []
        # What was deleted, and what may have been.
        self.deleted, self.doomed = set(), set()
        create(hedgerow, data, environment)

    def environment_at(self, crash_at):
        return self.environment | ({"HEDGEROW_CRASH_AT": crash_at} if crash_at else {})

    def start(self, crash_at=None):
        return Server(self.hedgerow, self.data, environment=self.environment_at(crash_at))

    def play(self, chance):
        """A round; gives what ended it."""
        crash_at = None
        if chance.random() < 0.6:
            crash_at = at_step(chance, self.steps)
        server = self.start(crash_at)
        try:
            if not server.started():
                # It died at a step of starting.
                assert crash_at, server.said()
                return crash_at
            batches = self.left + [uuid.UUID(int=chance.getrandbits(128), version=4)
                                   for _ in range(BATCHES_PER_ROUND)]
            self.sent.update(batches)
            refusals, lock = [], threading.Lock()
            senders = [
                threading.Thread(target=send, args=(server.http_port(), batches,
                                                    self.acknowledged, refusals, lock))
                for _ in range(SENDERS)
            ]
            alive = sorted(self.acknowledged - self.deleted)
            if alive and chance.random() < 0.5:
                batch = chance.choice(alive)
                self.doomed.add(batch)
                senders.append(threading.Thread(target=delete, args=(server, batch, self.deleted,
                                                                      refusals)))
            for sender in senders:
                sender.start()
            # It dies while the others wait for their answers, if it does not die by itself.
            goal = len(self.acknowledged) + chance.randrange(len(batches))
            wait_until(
                lambda: len(self.acknowledged) >= goal or not server.lives()
                or not any(sender.is_alive() for sender in senders),
                "the senders send")
            died = not server.lives()
            server.kill()
            for sender in senders:
                sender.join()
            assert not refusals, f"a batch was refused: {refusals} {server.said()}"
            self.left = batches
            return crash_at if died else "kill"
        finally:
            server.kill()

    def check(self, chance, upkeep):
        run(self.hedgerow, "verify", self.data, environment=self.environment)
        known = self.acknowledged, self.sent, self.deleted, self.doomed
        with self.start() as server:
            check(server, *known)
            if upkeep:
                # Servers that die young leave it to others to move their events into files, and
                # these are small.
                wait_until(lambda: self.in_files(server), "events are moved into files")
                self.maintain(at_step(chance, UPKEEP_STEPS))
                run(self.hedgerow, "verify", self.data, environment=self.environment)
                check(server, *known)
                self.maintain()
                check(server, *known)

    def maintain(self, crash_at=None):
        """Upkeep that deletes what was replaced at once; it may die in the middle."""
        done = subprocess.run(
            [self.hedgerow, "maintain", "--data", self.data, "--keep-hours", "0"],
            env={**os.environ, **self.environment_at(crash_at)},
            capture_output=True, text=True, timeout=SECONDS_MAX)
        died = crash_at and done.returncode == -signal.SIGABRT
        assert died or done.returncode == 0, f"{crash_at}: {done}"

    def in_files(self, server):
        """Whether who reads the files only sees as many events as the server does."""
        count = "select count() from events"
        answer = run(self.hedgerow, "query", self.data, "--format", "jsonl", count,
                     environment=self.environment)
        return json.loads(answer.splitlines()[1]) == list(server.execute(count)[0])


def at_step(chance, steps):
    """One of the steps, and the how many-eth time it is taken."""
    step = chance.choice(list(steps))
    return f"{step}:{chance.randint(1, steps[step])}"


def keep(data):
    """Copies a folder that shows a fault, before it is removed."""
    kept = tempfile.mkdtemp(prefix="hedgerow-crash-")
    shutil.copytree(data, kept, dirs_exist_ok=True)
    print(f"its folder: {kept}", file=sys.stderr)


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("hedgerow")
    options.add_argument("--store", choices=STORES, default="folder")
    options.add_argument("--rounds", type=int, default=300)
    options.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options = options.parse_args()
    print(f"seed {options.seed}", flush=True)
    with STORES[options.store]() as (data, environment):
        rounds = Rounds(options.hedgerow, data, environment)
        for number in range(options.rounds):
            try:
                chance = random.Random(options.seed * 1_000_003 + number)
                ended_by = rounds.play(chance)
                rounds.check(chance, upkeep=number % ROUNDS_PER_UPKEEP == ROUNDS_PER_UPKEEP - 1)
            except BaseException:
                print(f"round {number} of seed {options.seed} failed", file=sys.stderr)
                if options.store == "folder":
                    keep(data)
                raise
            if number % 10 == 9:
                print(f"{number + 1} rounds, {len(rounds.acknowledged)} batches acknowledged, "
                      f"last ended by {ended_by}", flush=True)
    print("ok")


if __name__ == "__main__":
    main()
