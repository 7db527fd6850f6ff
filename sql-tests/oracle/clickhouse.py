#!/usr/bin/env python3
"""Recomputes the expectations of slt files with ClickHouse (PyPI package chdb).

    clickhouse.py check slt/…          compare; exit 1 on any difference
    clickhouse.py complete slt/…       fill in records that have no result yet

A record whose comment begins with `# hogql:` gives the reason why HogQL's answer differs from
ClickHouse's; it is skipped, and its expectation is worked out by hand. A file that begins with
such a comment is skipped as a whole. So are errors, whose
texts are our own. Values are printed as PostgreSQL prints them.
"""

import json
import pathlib
import re
import sys

import chdb.session

HERE = pathlib.Path(__file__).parent
FIXTURE = HERE.parent / "data" / "events.ndjson"

# Keys under which the fixture has nothing but numbers, or nothing but true and false.
NUMERIC = {"price", "qty"}
BOOLEAN = {"gift"}


def property_read(match):
    """HogQL's reading of a property: missing, null and '' are NULL, strings lose their quotes, and
    a single key has the type that the catalogue gives it."""
    path = ", ".join(f"'{part}'" for part in match.group(1).split("."))
    raw = f"nullIf(nullIf(JSONExtractRaw(properties, {path}), ''), 'null')"
    text = f"nullIf(replaceRegexpAll({raw}, '^\"|\"$', ''), '')"
    if match.group(1) in NUMERIC:
        return f"accurateCastOrNull({text}, 'Float64')"
    if match.group(1) in BOOLEAN:
        return f"transform({text}, ['true', 'false'], [true, false], null)"
    return text


def to_clickhouse(sql):
    return re.sub(r"properties\.([$\w]+(?:\.[$\w]+)*)", property_read, sql)


def connect():
    session = chdb.session.Session()
    session.query("create database if not exists d engine = Atomic")
    session.query("use d")
    session.query("set union_default_mode = 'DISTINCT', enable_analyzer = 1")
    session.query("set session_timezone = 'UTC', join_use_nulls = 0, group_by_use_nulls = 1")
    # HogQL's own conversions, by the ClickHouse functions they stand for.
    session.query("create function if not exists toInt as x -> accurateCastOrNull(x, 'Int64')")
    session.query("create function if not exists toFloat as x -> accurateCastOrNull(x, 'Float64')")
    session.query(
        "create table events (uuid UUID, event String, distinct_id String, "
        "timestamp DateTime64(6, 'UTC'), properties String) engine = MergeTree order by timestamp"
    )
    rows = []
    for line in FIXTURE.read_text().splitlines():
        event = json.loads(line)
        raw = line[line.index('"properties":') + len('"properties":') : -1]
        rows.append(
            {
                "uuid": event["uuid"],
                "event": event["event"],
                "distinct_id": event["distinct_id"],
                "timestamp": event["timestamp"].replace("T", " ").rstrip("Z"),
                "properties": raw,
            }
        )
    body = "\n".join(json.dumps(row) for row in rows)
    session.query(f"insert into events format JSONEachRow {body}")
    return session


def split_arguments(text):
    """`A, Tuple(B, C)` to its top-level parts."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    return parts + [text[start:].strip()]


def unwrap(kind):
    while (m := re.fullmatch(r"(?:Nullable|LowCardinality)\((.*)\)", kind)) is not None:
        kind = m.group(1)
    return kind


def number(value):
    if isinstance(value, str):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity", "-nan": "NaN"}.get(value, value)
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e15:
            return str(int(value)) if str(value)[0] != "-" or value else "-0"
        text = repr(value)
        return re.sub(r"e([+-])0?(\d)$", r"e\g<1>0\2", text)
    return str(value)


def as_json(value, kind):
    """A value inside a tuple, map or nested array: they are shown as JSON."""
    kind = unwrap(kind)
    if value is None:
        return "null"
    if m := re.fullmatch(r"Array\((.*)\)", kind):
        return "[" + ",".join(as_json(v, m.group(1)) for v in value) + "]"
    if m := re.fullmatch(r"Tuple\((.*)\)", kind):
        kinds = split_arguments(m.group(1))
        return "[" + ",".join(as_json(v, k) for v, k in zip(value, kinds)) + "]"
    if m := re.fullmatch(r"Map\((.*)\)", kind):
        _, item = split_arguments(m.group(1))
        return "{" + ",".join(json.dumps(k) + ":" + as_json(v, item) for k, v in value.items()) + "}"
    if re.match(r"(U?Int|Float|Decimal|Bool)", kind):
        return number(value) if not isinstance(value, bool) else str(value).lower()
    return json.dumps(value, ensure_ascii=False)


def show(value, kind, letter):
    kind = unwrap(kind)
    if value is None:
        return "NULL"
    if letter == "B":
        return "t" if value in (1, True) else "f"
    if m := re.fullmatch(r"Array\((.*)\)", kind):
        item = unwrap(m.group(1))
        if re.match(r"Array|Tuple|Map", item):
            return as_json(value, kind)
        return "{" + ",".join(in_array(v, item) for v in value) + "}"
    if re.match(r"Tuple|Map", kind):
        return as_json(value, kind)
    if kind == "Bool":
        return "t" if value else "f"
    if kind.startswith("DateTime"):
        text = re.sub(r"\.?0*$", "", value) if "." in value else value
        return text + "+00"
    if re.match(r"(U?Int|Float|Decimal)", kind):
        return number(value)
    return "(empty)" if value == "" else value


def in_array(value, kind):
    if value is None:
        return "NULL"
    text = show(value, kind, "T")
    if text == "(empty)":
        return '""'
    plain = re.fullmatch(r'[^{}",\\\s]+', text) and text.upper() != "NULL"
    return text if plain else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def answer(session, sql, letters):
    settings = (
        " settings output_format_json_quote_64bit_integers=0,"
        " output_format_json_quote_denormals=1, output_format_json_quote_decimals=1"
    )
    result = json.loads(str(session.query(to_clickhouse(sql) + settings, "JSONCompact")))
    kinds = [column["type"] for column in result["meta"]]
    if len(kinds) != len(letters):
        raise ValueError(f"{len(kinds)} columns, {len(letters)} letters")
    return [
        "\t".join(show(v, k, letter) for v, k, letter in zip(row, kinds, letters))
        for row in result["data"]
    ]


def records(text):
    """Blocks between blank lines."""
    return re.split(r"\n\n+", text.strip("\n"))


def close(a, b):
    """Equal, or equal floats up to the last digits."""
    if a == b:
        return True
    left, right = a.split(), b.split()
    if len(left) != len(right):
        return False
    for x, y in zip(left, right):
        if x == y:
            continue
        try:
            if abs(float(x) - float(y)) > 1e-12 * max(1.0, abs(float(y))):
                return False
        except ValueError:
            return False
    return True


def main():
    mode, files = sys.argv[1], [pathlib.Path(name) for name in sys.argv[2:]]
    if not files:
        # The other folders read data sets of their own; see duckdb.py.
        slt = HERE.parent / "slt"
        files = [f for area in ("constants", "select", "events", "language") for f in sorted((slt / area).glob("*.slt"))]
    session = connect()
    checked = skipped = failed = 0
    for file in files:
        if file.read_text().startswith("# hogql:"):
            continue
        blocks = records(file.read_text())
        for i, block in enumerate(blocks):
            lines = block.split("\n")
            start = next((n for n, line in enumerate(lines) if line.startswith("query ")), None)
            refused = start is not None and lines[start].startswith("query error")
            if start is None or refused or any(line.startswith("# hogql:") for line in lines):
                skipped += 1
                continue
            head = lines[start].split()
            letters, order = head[1], head[2] if len(head) > 2 else "nosort"
            body = lines[start + 1 :]
            cut = body.index("----") if "----" in body else len(body)
            sql, expected = "\n".join(body[:cut]), body[cut + 1 :]
            if mode == "complete" and expected:
                continue
            try:
                actual = answer(session, sql, letters)
            except Exception as error:  # the reason is printed, whatever it is
                failed += 1
                print(f"{file}: {sql}\n    {str(error).splitlines()[0][:300]}")
                continue
            if mode == "complete":
                blocks[i] = "\n".join(lines[: start + 1] + body[:cut] + ["----"] + actual)
                continue
            checked += 1
            if order == "rowsort":
                expected, actual = sorted(expected), sorted(actual)
            normal = [re.sub(r"\s+", " ", line.strip()) for line in expected]
            found = [re.sub(r"\s+", " ", line.strip()) for line in actual]
            if len(normal) != len(found) or not all(map(close, normal, found)):
                failed += 1
                print(f"{file}: {sql}\n    expected {normal}\n    ClickHouse {found}")
        if mode == "complete":
            file.write_text("\n\n".join(blocks) + "\n")
    print(f"{checked} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
