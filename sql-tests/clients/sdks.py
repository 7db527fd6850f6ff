"""PostHog's own clients, unmodified, against a server that is killed while they send.

Usage: sdks.py path/to/hedgerow [--events N] [--kills N] [--seed S]

The Python and the Node client send N events each over `POST /batch/`, each from two instances: one
plain, and one with compression the other way round, as a historical migration. Meanwhile the
server is killed several times, by `kill -9` at a random number of events or, in a build with debug
assertions, at a named step of writing them, and started again on the same port and folder. The
clients repeat what got no answer, by themselves. In the end every event is there exactly once.
Then both send with a token that no project has.

Needs `npm ci` in this folder for the Node client.
"""

import argparse
import datetime
import json
import pathlib
import random
import signal
import subprocess
import tempfile

import posthog
import psycopg

from server import SECONDS_MAX, Server, create, steady_port, wait_until

SECONDS_TOGETHER_MAX = 1500
TOKEN = "phc_sdks"
PAST = datetime.datetime(2025, 3, 1, 12, tzinfo=datetime.timezone.utc)
STEPS = ["wal.write", "wal.written", "wal.synced", "flush.put", "flush.committed"]
# Both clients drop events when their queue is full or their retries are used up. As they come, that
# is after 1000 events or 3 retries: a server that is down for longer needs settings such as these.
QUEUE_MAX = 100_000
RETRIES = 30
BATCH_EVENTS = 50


class PythonClient:
    """The `posthog` package."""

    def __init__(self, host, token, name, is_historical, retries=RETRIES):
        self.errors = []
        self.name = name
        self.timestamp = PAST if is_historical else None
        self.client = posthog.Posthog(
            token, host=host, flush_at=BATCH_EVENTS, flush_interval=0.5, max_queue_size=QUEUE_MAX,
            max_retries=retries, gzip=is_historical, historical_migration=is_historical,
            on_error=lambda error, _batch: self.errors.append(str(error)))

    def send(self, first, end):
        for n in range(first, end):
            self.client.capture("sdk", distinct_id=f"u{n % 100}", timestamp=self.timestamp,
                                properties={"client": self.name, "n": n})

    def send_others(self):
        """An event of each other kind."""
        self.client.set(distinct_id="u1", properties={"plan": "pro"})
        self.client.alias("u1", "a1")
        self.client.group_identify("company", "c1", {"size": 5})
        self.client.capture_exception(ValueError("for the test"), distinct_id="u1")

    def finish(self):
        """Sends what is left; gives what could not be sent."""
        self.client.shutdown()
        return self.errors

    def kill(self):
        """Its thread ends with this process."""


class NodeClient:
    """The `posthog-node` package, in a process of Node. It compresses unless it is told not to."""

    def __init__(self, host, token, name, is_historical, retries=RETRIES):
        options = {
            "host": host, "flushAt": BATCH_EVENTS, "maxBatchSize": BATCH_EVENTS,
            "flushInterval": 500, "maxQueueSize": QUEUE_MAX, "fetchRetryCount": retries,
            "fetchRetryDelay": 500, "disableCompression": is_historical,
            "historicalMigration": is_historical,
        }
        task = {"token": token, "options": options, "name": name,
                "timestamp": is_historical and PAST.isoformat(), "shutdownMs": SECONDS_MAX * 1000}
        script = pathlib.Path(__file__).with_suffix(".mjs")
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            ["node", script, json.dumps(task)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.log, text=True)

    def send(self, first, end):
        self.process.stdin.write(f"{json.dumps([first, end])}\n")
        self.process.stdin.flush()

    def send_others(self):
        self.process.stdin.write("[]\n")

    def finish(self):
        output, _ = self.process.communicate(timeout=SECONDS_MAX + 30)
        self.log.seek(0)
        assert self.process.returncode == 0, f"node failed: {output}{self.log.read()}"
        # Its logger writes there too.
        return json.loads(output.splitlines()[-1])

    def kill(self):
        self.process.kill()
        self.process.wait()


KINDS = {"python": PythonClient, "node": NodeClient}


class Clients:
    """All clients: two of each kind, by name."""

    def __init__(self, port, token, **settings):
        self.clients = {}
        for kind, make in KINDS.items():
            for way in ("plain", "historical"):
                name = f"{kind} {way}"
                self.clients[name] = make(f"http://127.0.0.1:{port}", token, name,
                                          way == "historical", **settings)

    def __len__(self):
        return len(self.clients)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        for client in self.clients.values():
            client.kill()

    def send(self, first, end):
        for client in self.clients.values():
            client.send(first, end)

    def send_others(self):
        for client in self.clients.values():
            client.send_others()

    def finish(self):
        """What each could not send."""
        return {name: client.finish() for name, client in self.clients.items()}


class Deaths:
    """A server that is started again on its port and folder whenever it is dead."""

    def __init__(self, hedgerow, data, chance, may_die):
        self.hedgerow, self.data, self.chance = hedgerow, data, chance
        self.port = steady_port()
        self.server = self.start(self.step() if may_die else None)

    def step(self):
        """Where the server shall die by itself, half of the times."""
        step = self.chance.choice(STEPS)
        # There is a write per batch or so, and a flush now and then.
        times = self.chance.randrange(1, 20 if step.startswith("wal") else 3)
        return f"{step}:{times}" if self.chance.random() < 0.5 else None

    def start(self, crash_at=None):
        environment = {"HEDGEROW_FLUSH_SECONDS": "0.5"}
        if crash_at:
            environment["HEDGEROW_CRASH_AT"] = crash_at
        server = Server(self.hedgerow, self.data, "--token", TOKEN, http_port=self.port,
                        environment=environment)
        if not server.started():
            server.kill()
            # It may have died at a step of starting.
            assert crash_at, server.said()
            return self.start()
        return server

    def die(self, goal, may_die):
        """Kills the server when it has so many events, unless it dies before. It is started again,
        and then may die by itself or not."""
        wait_until(lambda: not self.server.lives() or (self.count() or 0) >= goal,
                   f"{goal} events")
        how = "killed" if self.server.lives() else "died"
        self.server.kill()
        self.server = self.start(self.step() if may_die else None)
        print(f"{how} on the way to {goal} events, {self.count()} are there", flush=True)

    def count(self):
        """Events that are there; none when the server is not."""
        try:
            return self.server.execute("select count() from events where event = 'sdk'")[0][0]
        except psycopg.Error:
            self.server.process.wait(timeout=SECONDS_MAX)
            return None


def play(hedgerow, data, events, kills, chance):
    deaths = Deaths(hedgerow, data, chance, may_die=kills > 0)
    try:
        with Clients(deaths.port, TOKEN) as clients:
            each = events // 2
            waves = kills + 1
            for wave in range(waves):
                first, end = each * wave // waves, each * (wave + 1) // waves
                clients.send(first, end)
                if wave < kills:
                    # Not all events of the wave, so somebody is in the midst of sending.
                    goal = int(len(clients) * (first + chance.random() * (end - first)))
                    deaths.die(goal, may_die=wave + 1 < kills)
            clients.send_others()
            for name, errors in clients.finish().items():
                assert not errors, f"{name} has dropped events: {errors}"
            check_others(deaths.server)
            check(deaths.server, clients.clients, each)
        deaths.server.kill()
        deaths.server = deaths.start()
        check(deaths.server, clients.clients, each)
        check_refused(deaths)
    finally:
        deaths.server.kill()


def check(server, names, each):
    """Every event is there, once, with what was said about it."""
    rows = server.execute(
        "select properties.client, properties.n, count(), count(distinct uuid),"
        " min(timestamp), max(distinct_id) from events where event = 'sdk' group by 1, 2")
    found = {}
    for name, n, stored, different, timestamp, distinct_id in rows:
        found.setdefault(name, set()).add(int(n))
        assert (stored, different) == (1, 1), f"{name} {n}: {stored} events, {different} ids"
        assert distinct_id == f"u{int(n) % 100}", f"{name} {n}: {distinct_id}"
        assert (timestamp == PAST) == ("historical" in name), f"{name} {n}: {timestamp}"
    for name in names:
        missing = set(range(each)) - found.pop(name, set())
        assert not missing, f"{name}: {len(missing)} events are lost, as {sorted(missing)[:5]}"
    assert not found, f"never sent: {found.keys()}"
    total = server.execute("select count(), count(distinct uuid) from events where event = 'sdk'")
    assert total == [(len(names) * each,) * 2], total
    print(f"{total[0][0]} events, each of them once", flush=True)


def check_others(server):
    """The events of the other kinds, which both instances of a client have sent."""
    rows = server.execute("select properties.$lib, event, count() from events"
                          " where event like '$%' group by 1, 2")
    identify = {"posthog-python": "$set", "posthog-node": "$identify"}
    expected = {(library, event): 2 for library, kind in identify.items()
                for event in (kind, "$create_alias", "$groupidentify", "$exception")}
    found = {(library, event): count for library, event, count in rows}
    assert found == expected, found


def check_refused(deaths):
    """Nothing is stored with a wrong token. The clients report it, and do not try again."""
    before = deaths.count()
    with Clients(deaths.port, "phc_wrong") as clients:
        clients.send(0, 10)
        for name, errors in clients.finish().items():
            assert errors and "401" in errors[0], f"{name} was not refused: {errors}"
            print(f"{name}, wrong token: {errors[0]}", flush=True)
    assert deaths.count() == before


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("hedgerow")
    options.add_argument("--events", type=int, default=10_000)
    options.add_argument("--kills", type=int, default=6)
    options.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options = options.parse_args()
    print(f"seed {options.seed}", flush=True)
    signal.alarm(SECONDS_TOGETHER_MAX)
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "data"
        create(options.hedgerow, data)
        play(options.hedgerow, data, options.events, options.kills, random.Random(options.seed))
    print("ok")


if __name__ == "__main__":
    main()
