#!/usr/bin/env python3
"""Recomputes the answers over the real data sets with DuckDB, reading the files themselves.

    duckdb.py check       compare; exit 1 on any difference
    duckdb.py complete    fill in records that have no result yet

Each record of slt/wikipedia and slt/shop carries DuckDB's query in comments that begin with
`# duckdb:`; the two queries are written independently of each other.
"""

import datetime
import decimal
import pathlib
import re
import sys

# This file has the package's name; the package must win.
sys.path = [p for p in sys.path if pathlib.Path(p or ".").resolve() != pathlib.Path(__file__).parent]
import duckdb  # noqa: E402

ROOT = pathlib.Path(__file__).parent.parent


def connect():
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    connection.execute(
        "create table wikipedia as select * from "
        f"read_json('{ROOT}/data/wikipedia-edits.json.gz', format = 'newline_delimited', "
        "columns = {time: 'TIMESTAMP', channel: 'VARCHAR', countryName: 'VARCHAR', "
        "isRobot: 'BOOLEAN', namespace: 'VARCHAR', page: 'VARCHAR', user: 'VARCHAR', "
        "delta: 'BIGINT', added: 'BIGINT'})"
    )
    connection.execute(
        f"create table shop as select * from read_csv('{ROOT}/data/shop-clicks.csv.gz')"
    )
    return connection


def show(value, letter):
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, datetime.datetime):
        text = value.strftime("%Y-%m-%d %H:%M:%S.%f").rstrip("0").rstrip(".")
        return text + "+00" if letter == "Z" else text[:10]
    if isinstance(value, (float, decimal.Decimal)):
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    return "(empty)" if value == "" else str(value)


def main():
    mode = sys.argv[1]
    connection = connect()
    passed = failed = 0
    for file in sorted(ROOT.glob("slt/wikipedia/*.slt")) + sorted(ROOT.glob("slt/shop/*.slt")):
        blocks = re.split(r"\n\n+", file.read_text().strip("\n"))
        for i, block in enumerate(blocks):
            lines = block.split("\n")
            theirs = " ".join(
                line.removeprefix("# duckdb:").strip() for line in lines if line.startswith("# duckdb:")
            )
            if not theirs:
                continue
            head = next(line for line in lines if line.startswith("query ")).split()
            rows = connection.execute(theirs).fetchall()
            actual = ["\t".join(map(show, row, head[1])) for row in rows]
            expected = lines[lines.index("----") + 1 :] if "----" in lines else None
            if mode == "complete":
                if expected is None:
                    blocks[i] = "\n".join(lines + ["----"] + actual)
                continue
            if len(head) > 2:
                expected, actual = sorted(expected), sorted(actual)
            if expected == actual:
                passed += 1
            else:
                failed += 1
                print(f"{file}: {theirs}\n    expected {expected}\n    DuckDB   {actual}")
        if mode == "complete":
            file.write_text("\n\n".join(blocks) + "\n")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
