#!/usr/bin/env python3
"""Writes slt/language/10_nulls.slt: every comparing operator over NULL and not NULL, as columns,
constants and conditions, with the answers of the table in section 10.3 of the HogQL reference."""

import fnmatch
import pathlib
import re

FILE = pathlib.Path(__file__).parent.parent / "slt" / "language" / "10_nulls.slt"
PAIRS = [("x", "x"), ("x", "y"), ("y", "x"), ("x", None), (None, "x"), (None, None)]


def like(a, b):
    return fnmatch.fnmatchcase(a, b.replace("%", "*").replace("_", "?"))


# Operator: its answer for two values, for one NULL, for two NULLs.
OPERATORS = {
    "=": (lambda a, b: a == b, False, True),
    "!=": (lambda a, b: a != b, True, False),
    "<": (lambda a, b: a < b, False, False),
    "<=": (lambda a, b: a <= b, False, False),
    ">": (lambda a, b: a > b, False, False),
    ">=": (lambda a, b: a >= b, False, False),
    "like": (like, False, True),
    "not like": (lambda a, b: not like(a, b), True, False),
    "ilike": (like, False, True),
    "not ilike": (lambda a, b: not like(a, b), True, False),
    "=~": (lambda a, b: bool(re.search(b, a)), False, True),
    "!~": (lambda a, b: not re.search(b, a), True, False),
    "=~*": (lambda a, b: bool(re.search(b, a)), False, True),
    "!~*": (lambda a, b: not re.search(b, a), True, False),
    "is distinct from": (lambda a, b: a != b, True, False),
    "is not distinct from": (lambda a, b: a == b, False, True),
    "<=>": (lambda a, b: a == b, False, True),
}


def answer(op, a, b):
    values, one, both = OPERATORS[op]
    return both if a is b is None else one if None in (a, b) else values(a, b)


def between(a, low, high, negated):
    if None in (a, low, high):
        return False
    return (low <= a <= high) != negated


def text(value):
    return "null" if value is None else f"'{value}'"


def table():
    rows = ", ".join(f"({i}, {text(a)}, {text(b)})" for i, (a, b) in enumerate(PAIRS))
    return f"(values {rows}) as o(id, a, b)"


def show(flag):
    return "t" if flag else "f"


def write():
    records = ["# Written by oracle/null_matrix.py from the table in section 10.3 of the reference."]

    def record(letters, sql, lines):
        records.append("\n".join([f"# hogql: section 10.3\nquery {letters}", sql, "----", *lines]))

    def every(expr, expected):
        """An expression over all pairs, as a value, turned around, and as a condition."""
        flags = [expected(a, b) for a, b in PAIRS]
        rows = [f"{show(flag)}\t{show(not flag)}" for flag in flags]
        record("BB", f"select {expr}, not ({expr}) from {table()} order by id", rows)
        kept = [str(i) for i, flag in enumerate(flags) if flag]
        record("I", f"select id from {table()} where {expr} order by id", kept)

    for op in OPERATORS:
        every(f"a {op} b", lambda a, b: answer(op, a, b))
        every(f"a {op} 'x'", lambda a, b: answer(op, a, "x"))
        every(f"'x' {op} b", lambda a, b: answer(op, "x", b))
        every(f"a {op} null", lambda a, b: answer(op, a, None))
        every(f"null {op} b", lambda a, b: answer(op, None, b))
        constants = [(a, b) for a in ("x", "y", None) for b in ("x", None)]
        exprs = ", ".join(f"{text(a)} {op} {text(b)}" for a, b in constants)
        flags = [show(answer(op, a, b)) for a, b in constants]
        record("B" * len(constants), f"select {exprs}", ["\t".join(flags)])
    for word, negated in (("in", False), ("not in", True)):
        for items in (["x"], ["x", "z"], ["x", None], [None]):
            listed = ", ".join(map(text, items)) + ("," if len(items) == 1 else "")
            every(f"a {word} ({listed})", lambda a, b: (a in items) != negated)
        every(f"a {word} (b, 'z')", lambda a, b: (a == "z" or answer("=", a, b)) != negated)
        every(f"a {word} ['x', null]", lambda a, b: (a in ("x", None)) != negated)
        rows = "select b from (values ('x'), (null)) as i(b)"
        every(f"a {word} ({rows})", lambda a, b: (a in ("x", None)) != negated)
        every(f"a {word} ({rows} where b is not null)", lambda a, b: (a == "x") != negated)
        every(f"a {word} ({rows} where b = 'none')", lambda a, b: negated)
    for word, negated in (("between", False), ("not between", True)):
        every(f"a {word} 'x' and 'z'", lambda a, b: between(a, "x", "z", negated))
        every(f"a {word} b and 'z'", lambda a, b: between(a, b, "z", negated))
        every(f"'x' {word} a and b", lambda a, b: between("x", a, b, negated))
        every(f"a {word} null and 'z'", lambda a, b: False)
    every("a is null", lambda a, b: a is None)
    every("a is not null", lambda a, b: a is not None)
    FILE.write_text("\n\n".join(records) + "\n")


if __name__ == "__main__":
    write()
