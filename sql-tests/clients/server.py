"""A Hedgerow server as tests of clients need it: started, asked, killed, started again."""

import json
import os
import pathlib
import random
import socket
import subprocess
import tempfile
import threading
import time

import psycopg

START_SECONDS = 300
SECONDS_MAX = 300
POLL_SECONDS = 0.02


class Server:
    """A server on a data folder or URL, and the addresses it got: none when it did not start."""

    def __init__(self, hedgerow, data, *options, http_port=0, environment=None):
        listen = ["--pg", "127.0.0.1:0", "--flight", "127.0.0.1:0",
                  "--http", f"127.0.0.1:{http_port}"]
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [hedgerow, "server", "--data", data, *listen, *options],
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.addresses = {}
        too_late = threading.Timer(START_SECONDS, self.process.kill)
        too_late.start()
        try:
            for line in self.process.stdout:
                name, _, url = line.strip().rpartition(" ")
                self.addresses[name.strip()] = url
                if len(self.addresses) == 3:
                    break
        except BaseException:
            self.kill()
            raise
        finally:
            too_late.cancel()

    def __enter__(self):
        assert self.started(), f"the server did not start ({self.process.wait()}): {self.said()}"
        return self

    def __exit__(self, *_error):
        self.kill()

    def started(self):
        return len(self.addresses) == 3

    def said(self):
        """What it has logged."""
        self.log.seek(0)
        return self.log.read()

    def lives(self):
        return self.process.poll() is None

    def kill(self):
        """`kill -9`, unless it is gone already."""
        self.process.kill()
        self.process.wait(timeout=SECONDS_MAX)
        self.process.stdout.close()

    def end(self):
        """Asks it to end, as a service manager does."""
        self.process.terminate()
        assert self.process.wait(timeout=SECONDS_MAX) == 0, "the server did not end in order"

    def http_port(self):
        return int(self.addresses["HTTP"].rpartition(":")[2])

    def execute(self, text, parameters=None):
        """A statement; the rows of a query."""
        with psycopg.connect(self.addresses["Postgres"], autocommit=True,
                             connect_timeout=SECONDS_MAX) as connection:
            cursor = connection.execute(text, parameters)
            return cursor.fetchall() if cursor.description else cursor.rowcount


def run(hedgerow, command, data, *arguments, environment=None):
    """A command of the same binary on the same data; what it prints."""
    done = subprocess.run(
        [hedgerow, command, "--data", data, *arguments],
        env={**os.environ, **(environment or {})},
        capture_output=True, text=True, timeout=SECONDS_MAX)
    assert done.returncode == 0, f"hedgerow {command}: {done.stdout}{done.stderr}"
    return done.stdout


def create(hedgerow, data, environment=None):
    """A store with one event: a server needs one that is there."""
    with tempfile.NamedTemporaryFile("w", suffix=".ndjson") as file:
        json.dump({"event": "first", "distinct_id": "u", "timestamp": "2026-01-01T00:00:00Z"}, file)
        file.flush()
        run(hedgerow, "import", data, file.name, environment=environment)


def wait_until(condition, what, seconds=SECONDS_MAX):
    """Polls until the condition holds, and gives what it gave."""
    deadline = time.monotonic() + seconds
    while not (held := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(POLL_SECONDS)
    return held


def steady_port():
    """A free port that nobody gets by chance while its server is down: the system gives others."""
    given = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    for port in random.SystemRandom().sample(range(10_000, int(given[0])), 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise OSError("no free port")
