"""Everything at once: events come, become files, are merged and deleted while queries look.

Usage: concurrency.py path/to/hedgerow [--seconds N]

Each writer posts batches with numbers from 0 on, one after the other; a deleter deletes those below
a number. So at every moment the batches of a writer that are there must be an unbroken run, whole and
each event once: up to the last one acknowledged at least, without those whose deletion was
acknowledged. Readers check that all the time, in one query and in two of which the second must
see no less.
"""

import argparse
import http.client
import itertools
import json
import os
import random
import tempfile
import threading
import time
import uuid

import psycopg

from server import SECONDS_MAX, Server, create, run

WRITERS = 3
READERS = 2
EVENTS = 20
LOOK = ("select toInt(properties.w), min(toInt(properties.k)), max(toInt(properties.k)), count(),"
        " count(distinct uuid) from events where event = 'load' group by 1")


class Writer:
    def __init__(self, number):
        self.number = number
        # Batches below: sent, acknowledged; told to be deleted, deleted.
        self.sent = self.acknowledged = self.doomed = self.deleted = 0

    def batch(self, number):
        return [{"uuid": str(uuid.UUID(int=(self.number << 64) + number * EVENTS + place)),
                 "event": "load", "distinct_id": f"u{place}",
                 "timestamp": f"2026-03-{number % 28 + 1:02}T00:00:00Z",
                 "properties": {"w": self.number, "k": number}}
                for place in range(EVENTS)]

    def write(self, port, going):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS_MAX)
        while going.is_set():
            self.sent += 1
            body = json.dumps({"api_key": "any", "batch": self.batch(self.sent - 1)})
            connection.request("POST", "/batch/", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            self.acknowledged = self.sent


def delete(address, writers, going, rng, deletions):
    with psycopg.connect(address, autocommit=True) as connection:
        while going.is_set():
            writer = rng.choice(writers)
            if writer.acknowledged < writer.doomed + 40:
                time.sleep(0.02)
                continue
            writer.doomed += rng.randrange(1, 40)
            connection.execute(
                "delete from events where event = 'load' and toInt(properties.w) = %s"
                " and toInt(properties.k) < %s", (writer.number, writer.doomed))
            writer.deleted = writer.doomed
            next(deletions)


def look(address, writers, going, looks):
    with psycopg.connect(address, autocommit=True) as connection:
        seen = {}
        while going.is_set():
            before = {it.number: (it.acknowledged, it.deleted) for it in writers}
            rows = {row[0]: row[1:] for row in connection.execute(LOOK).fetchall()}
            after = {it.number: (it.sent, it.doomed) for it in writers}
            for number, (acknowledged, deleted) in before.items():
                sent, doomed = after[number]
                if number not in rows:
                    assert acknowledged <= doomed, f"writer {number}: nothing is there"
                    continue
                first, last, count, different = rows[number]
                told = (f"writer {number}: batches {first} to {last}, {count} events, {different}"
                        f" different; acknowledged {acknowledged} of {sent}, deleted {deleted} of"
                        f" {doomed}")
                assert count == different == (last - first + 1) * EVENTS, told
                assert deleted <= first <= doomed, told
                assert acknowledged <= last + 1 <= sent, told
                known = seen.get(number, (0, 0))
                assert first >= known[0] and last >= known[1], f"{told}; before {known}"
                seen[number] = first, last
            next(looks)


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("hedgerow")
    options.add_argument("--seconds", type=float, default=120)
    options.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options = options.parse_args()
    print(f"seed {options.seed}", flush=True)
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "data")
        create(options.hedgerow, data)
        with Server(options.hedgerow, data, "--flush-seconds", "0.3") as server:
            address = server.addresses["Postgres"]
            writers = [Writer(number) for number in range(WRITERS)]
            looks, deletions, failures = itertools.count(), itertools.count(), []
            going = threading.Event()
            going.set()

            def task(function, *arguments):
                def guarded():
                    try:
                        function(*arguments)
                    except BaseException as error:
                        failures.append(error)
                        going.clear()
                return threading.Thread(target=guarded)

            tasks = [task(writer.write, server.http_port(), going) for writer in writers]
            tasks += [task(look, address, writers, going, looks) for _ in range(READERS)]
            tasks.append(task(delete, address, writers, going, rng, deletions))
            for each in tasks:
                each.start()
            until = time.monotonic() + options.seconds
            upkeeps = 0
            # Upkeep comes to an end, however much it loses to the server's own and to deletions.
            while going.is_set() and time.monotonic() < until:
                run(options.hedgerow, "maintain", data, "--keep-hours", "1")
                upkeeps += 1
            going.clear()
            for each in tasks:
                each.join()
            for failure in failures:
                raise failure
            run(options.hedgerow, "verify", data)
            sent = sum(writer.sent for writer in writers)
            print(f"{sent * EVENTS} events, {next(looks)} looks, {next(deletions)} deletions,"
                  f" {upkeeps} upkeeps: ok")


if __name__ == "__main__":
    main()
