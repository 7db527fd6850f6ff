#!/usr/bin/env python3
"""Recomputes the expectations of `dialects/*.txt` with PostgreSQL 15 (PyPI package psycopg).

    postgres.py check HOST:PORT        compare; exit 1 on any difference
    postgres.py complete HOST:PORT     fill in blocks that have no `postgres:` line yet

The server is one of your own, on which the superuser `postgres` needs no password; the database
`default` is made anew. A block with a comment `-- hedgerow: reason` differs from PostgreSQL on
purpose and is skipped. Numbers are compared without trailing zeros, times without a zone as ones in UTC,
JSON without blanks: Hedgerow has floats, times with a zone, and documents as they were sent.
"""

import decimal
import json
import pathlib
import sys

import psycopg

ROOT = pathlib.Path(__file__).parent.parent


def connect(address):
    host, port = address.rsplit(":", 1)
    target = dict(host=host, port=port, autocommit=True)
    with psycopg.connect(user="postgres", dbname="postgres", **target) as admin:
        admin.execute('drop database if exists "default"')
        admin.execute("drop role if exists test")
        admin.execute("create role test login")
        admin.execute('create database "default" owner test')
    connection = psycopg.connect(user="test", dbname="default", **target)
    connection.execute("set timezone = 'UTC'")
    connection.execute(
        "create table events (uuid uuid, event text, distinct_id text,"
        " timestamp timestamptz, properties jsonb)"
    )
    for line in (ROOT / "data" / "events.ndjson").read_text().splitlines():
        event = json.loads(line)
        connection.execute(
            "insert into events values (%s, %s, %s, %s, %s)",
            [event["uuid"], event["event"], event["distinct_id"], event["timestamp"]]
            + [json.dumps(event["properties"])],
        )
    return connection


def shown(value, oid):
    """A cell as Hedgerow prints it."""
    if value is None:
        return "NULL"
    if oid == 1114:
        return value + "+00"
    if oid in (114, 3802):
        return json.dumps(json.loads(value), separators=(",", ":"), ensure_ascii=False)
    return value


def is_same(found, expected):
    """Whether two answers are the same but for zeros at the end of numbers."""
    def number(cell):
        try:
            return decimal.Decimal(cell)
        except decimal.InvalidOperation:
            return cell

    def cells(text):
        return [number(cell) for row in text.split(" / ") for cell in row.split("|")]

    return found.count(" / ") == expected.count(" / ") and cells(found) == cells(expected)


def answer(connection, text):
    cursor = psycopg.RawCursor(connection)
    for oid in (16, 20, 21, 23, 25, 114, 700, 701, 1082, 1114, 1184, 1186, 1700, 2950, 3802):
        cursor.adapters.register_loader(oid, psycopg.types.string.TextLoader)
    rows = []
    try:
        cursor.execute(text.encode())
        while True:
            if cursor.description is not None:
                result = cursor.pgresult
                for row in range(result.ntuples):
                    cells = [
                        shown(
                            None if (raw := result.get_value(row, at)) is None else raw.decode(),
                            result.ftype(at),
                        )
                        for at in range(result.nfields)
                    ]
                    rows.append("|".join(cells))
            if not cursor.nextset():
                break
    except psycopg.Error as error:
        connection.rollback()
        return f"error {error.sqlstate}"
    return " / ".join(rows).replace("\n", "⏎")


def process(path, connection, complete):
    wrong, compared, blocks = [], 0, path.read_text().rstrip("\n").split("\n\n")
    for at, block in enumerate(blocks):
        lines = block.splitlines()
        body = [line for line in lines if not line.startswith("-- ")]
        if not body or any(line.startswith("-- hedgerow:") for line in lines):
            continue
        expected = next((line for line in lines if line.startswith("postgres:")), None)
        if expected is None and not complete:
            wrong.append(f"{path.name}: no expectation: {body[0]}")
            continue
        if expected is not None and complete:
            continue
        found = answer(connection, body[0].replace("⏎", "\n"))
        compared += 1
        if expected is None:
            place = lines.index(body[0]) + 1
            lines.insert(place, f"postgres: {found}".rstrip())
            blocks[at] = "\n".join(lines)
        elif not is_same(found.strip(), expected.removeprefix("postgres:").strip()):
            wrong.append(f"{path.name}: {body[0]}\n  PostgreSQL: {found}\n  {expected}")
    if complete:
        path.write_text("\n\n".join(blocks) + "\n")
    return wrong, compared


def main():
    command, address = sys.argv[1:3]
    connection = connect(address)
    failures, total = [], 0
    for path in sorted((ROOT / "dialects").glob("*.txt")):
        wrong, compared = process(path, connection, command == "complete")
        failures += wrong
        total += compared
    print("\n".join(failures))
    print(f"{total} answers compared, {len(failures)} wrong")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
