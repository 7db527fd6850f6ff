"""A server whose world misbehaves: damaged logs, a full disk, a second server, pauses, other clocks.

Usage: faults.py path/to/hedgerow

After each fault every acknowledged event is there exactly once, or the server says where it found
what is wrong and changes nothing. The full disk is a small file system in memory, and the read-only one
is mounted too, for which the system wants root; without it they are left out, which is said.
"""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid

from server import SECONDS_MAX, Server, create, run, wait_until

NEVER = ["--flush-seconds", "3600"]


def events(first, count):
    return [{"uuid": str(uuid.UUID(int=number)), "event": "fault", "distinct_id": f"u{number % 7}",
             "timestamp": "2026-03-01T00:00:00Z", "properties": {"n": number, "pad": "x" * 300}}
            for number in range(first, first + count)]


def post(server, batch):
    """The status of the answer; none when there was none."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port(), timeout=SECONDS_MAX)
    body = json.dumps({"api_key": "any", "batch": batch})
    try:
        connection.request("POST", "/batch/", body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None


def counted(server):
    return server.execute("select count(), count(distinct uuid), sum(toInt(properties.n))"
                          " from events where event = 'fault'")[0]


def hot_rows(server):
    """Events in no file yet."""
    return server.execute("select hot_rows from system.ingest")[0][0]


def expected(numbers):
    numbers = list(numbers)
    return len(numbers), len(numbers), sum(numbers) if numbers else None


def segment(data):
    """The segment of the write-ahead log with the most records."""
    files = (pathlib.Path(data) / "wal").glob("*.wal")
    return max(files, key=lambda file: file.stat().st_size)


def killed_with_events(hedgerow, data, batches):
    """A folder whose events are in the write-ahead log only."""
    create(hedgerow, data)
    with Server(hedgerow, data, *NEVER) as server:
        for number in range(batches):
            assert post(server, events(number * 10, 10)) == 200


def refused(hedgerow, data):
    """What a server says that does not start."""
    server = Server(hedgerow, data)
    try:
        assert not server.started(), "it started"
        assert server.process.wait(timeout=SECONDS_MAX) == 1
        return server.said()
    finally:
        server.kill()


def check_flipped_bit(hedgerow, data):
    killed_with_events(hedgerow, data, 40)
    file = segment(data)
    whole = file.read_bytes()
    for place in (len(whole) // 5, len(whole) // 2):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        file.write_bytes(damaged)
        said = refused(hedgerow, data)
        assert file.name in said and "byte" in said, said
        assert file.read_bytes() == damaged, "a damaged log was changed"
    file.write_bytes(whole)
    with Server(hedgerow, data) as server:
        assert counted(server) == expected(range(400)), counted(server)


def check_torn_tail(hedgerow, data):
    killed_with_events(hedgerow, data, 20)
    file = segment(data)
    # Half of the last record, as a machine that lost power leaves it.
    with file.open("r+b") as log:
        log.truncate(file.stat().st_size - 40)
    with Server(hedgerow, data) as server:
        assert counted(server) == expected(range(190)), counted(server)
        assert post(server, events(190, 10)) == 200
        assert counted(server) == expected(range(200)), counted(server)
    with Server(hedgerow, data) as server:
        assert counted(server) == expected(range(200)), counted(server)


def check_two_servers(hedgerow, data):
    create(hedgerow, data)
    with Server(hedgerow, data) as server:
        assert post(server, events(0, 10)) == 200
        assert "another process" in refused(hedgerow, data)
        # Others may read and import meanwhile.
        assert "10" in run(hedgerow, "query", data, "select 10")
        assert post(server, events(10, 10)) == 200
        assert counted(server) == expected(range(20)), counted(server)


def check_pause(hedgerow, data):
    create(hedgerow, data)
    with Server(hedgerow, data, "--flush-seconds", "0.1") as server:
        statuses = []
        for number in range(30):
            if number % 10 == 5:
                server.process.send_signal(signal.SIGSTOP)
                sender = threading.Thread(
                    target=lambda first=number * 10: statuses.append(post(server, events(first, 10))))
                sender.start()
                sender.join(1)
                assert sender.is_alive(), "a stopped server has answered"
                server.process.send_signal(signal.SIGCONT)
                sender.join()
            else:
                statuses.append(post(server, events(number * 10, 10)))
        assert statuses == [200] * 30, statuses
        assert counted(server) == expected(range(300)), counted(server)


def check_clock(hedgerow, data):
    """The clock is set back and forth by days between starts: nothing is lost or there twice."""
    create(hedgerow, data)
    library = f"{data}-clock.so"
    source = pathlib.Path(__file__).with_name("clock.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    for number, days in enumerate([0, -3, 2, -40, 0]):
        environment = {"LD_PRELOAD": library, "CLOCK_OFFSET_SECONDS": str(days * 86_400)}
        with Server(hedgerow, data, "--flush-seconds", "0.1", environment=environment) as server:
            off = server.execute("select now()")[0][0].timestamp() - time.time() - days * 86_400
            assert abs(off) < 3_600, off
            assert post(server, events(number * 10, 10)) == 200
            assert post(server, events(0, (number + 1) * 10)) == 200
            # A repeat that comes late by the clock is in queries until it is moved into files.
            wait_until(lambda: hot_rows(server) == 0, "events are moved into files")
            run(hedgerow, "maintain", data, environment=environment)
            assert counted(server) == expected(range(number * 10 + 10)), (days, counted(server))


@contextlib.contextmanager
def small_disk(folder, megabytes):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "hedgerow", folder],
                   check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def check_full_disk(hedgerow, data):
    os.mkdir(data)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(small_disk(data, 8))
        except (subprocess.CalledProcessError, FileNotFoundError):
            print("check_full_disk: left out, no file system can be mounted")
            os.rmdir(data)
            return
        create(hedgerow, data)
        acknowledged = []
        with Server(hedgerow, data, *NEVER) as server:
            ballast = pathlib.Path(data) / "ballast"
            ballast.write_bytes(bytes(shutil.disk_usage(data).free - (600 << 10)))
            first = 0
            while (status := post(server, events(first, 200))) == 200:
                acknowledged.extend(range(first, first + 200))
                first += 200
            assert status == 503, status
            assert acknowledged, "not even one batch had room"
            # Queries go on, and so does taking in once there is room.
            assert counted(server) == expected(acknowledged), counted(server)
            ballast.unlink()
            wait_until(lambda: post(server, events(first, 200)) == 200, "there is room again")
            acknowledged.extend(range(first, first + 200))
            assert counted(server) == expected(acknowledged), counted(server)
        with Server(hedgerow, data) as server:
            assert counted(server) == expected(acknowledged), counted(server)


@contextlib.contextmanager
def read_only(folder):
    """Not by permissions, which root does not heed."""
    subprocess.run(["mount", "--bind", folder, folder], check=True, capture_output=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True, capture_output=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def check_read_only(hedgerow, data):
    """A folder on a read-only disk is read as any other; whoever writes is told why he cannot."""
    create(hedgerow, data)
    with Server(hedgerow, data, *NEVER) as server:
        assert post(server, events(0, 20)) == 200
        server.end()
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(read_only(data))
        except (subprocess.CalledProcessError, FileNotFoundError):
            print("check_read_only: left out, no file system can be mounted")
            return
        # Of the server's events none is in a file: it ended before it moved them.
        assert run(hedgerow, "query", data, "select count() from events", "--format", "csv") \
            .splitlines()[1] == "1"
        run(hedgerow, "verify", data)
        run(hedgerow, "inspect", data)
        with tempfile.NamedTemporaryFile("w", suffix=".ndjson") as file:
            file.write('{"event": "second", "distinct_id": "u"}')
            file.flush()
            for command in (["import", file.name], ["server"],
                            ["query", "insert into events (event, distinct_id) values ('a', 'u')"]):
                name, *arguments = command
                done = subprocess.run([hedgerow, name, "--data", data, *arguments], timeout=60,
                                      capture_output=True, text=True)
                assert done.returncode == 1 and "Read-only file system" in done.stderr, done
    with Server(hedgerow, data) as server:
        assert counted(server) == expected(range(20)), counted(server)


def check_backlog(hedgerow, data):
    """No file can be written for a while: events are taken as long as there is memory for them."""
    create(hedgerow, data)
    memory_mb, count = 16, 500
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(
            Server(hedgerow, data, "--flush-seconds", "0.2", "--ingest-memory-mb", str(memory_mb)))
        acknowledged = [*range(count)]
        assert post(server, events(0, count)) == 200
        wait_until(lambda: hot_rows(server) == 0, "events are moved into files")
        try:
            closed = stack.enter_context(contextlib.ExitStack())
            closed.enter_context(read_only(os.path.join(data, "events")))
        except (subprocess.CalledProcessError, FileNotFoundError):
            print("check_backlog: left out, no file system can be mounted")
            return
        while (status := post(server, events(len(acknowledged), count))) == 200:
            acknowledged.extend(range(len(acknowledged), len(acknowledged) + count))
        assert status == 503, status
        assert counted(server) == expected(acknowledged), counted(server)
        hot_bytes = server.execute("select hot_bytes from system.ingest")[0][0]
        assert memory_mb / 2 < hot_bytes / 2**20 < memory_mb * 1.1, hot_bytes
        closed.close()
        wait_until(lambda: post(server, events(len(acknowledged), count)) == 200, "there is room")
        acknowledged.extend(range(len(acknowledged), len(acknowledged) + count))
        assert counted(server) == expected(acknowledged), counted(server)
    with Server(hedgerow, data, "--flush-seconds", "0.2") as server:
        assert counted(server) == expected(acknowledged), counted(server)
        wait_until(lambda: hot_rows(server) == 0, "events are moved into files")
        assert counted(server) == expected(acknowledged), counted(server)
    run(hedgerow, "verify", data)


def main(hedgerow):
    for check in (check_flipped_bit, check_torn_tail, check_two_servers, check_pause, check_clock,
                  check_full_disk, check_read_only, check_backlog):
        with tempfile.TemporaryDirectory() as folder:
            check(hedgerow, os.path.join(folder, "data"))
        print(f"{check.__name__}: ok", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
