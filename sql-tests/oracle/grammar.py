#!/usr/bin/env python3
"""Compares Hedgerow's parser with HogQL's published one (PyPI package hogql-parser).

    grammar.py CANONICAL [--seed N] [--random N]

CANONICAL is the parser's example program of that name, which answers every text with its canonical
form. For each text both parsers must refuse it, or both accept it; then the reference must read the
canonical form as it reads the text. What may differ stands in grammar-differences.toml, with
reasons; every entry there must be needed by the corpus. Texts are those of corpus/, and as many
random ones, from the seed that is printed. Exits with 1 on any other difference in the corpus, and
on more than UNKNOWN_MAX among the random texts: of thousands of those, one or two still show
something that nobody would write and that nobody has written down yet. They are printed.
"""

import argparse
import collections
import json
import pathlib
import random
import re
import subprocess
import sys
import tomllib
import types

from grammar_texts import TOKEN, Texts

HERE = pathlib.Path(__file__).parent

# Random texts that may differ, for every 400 of them.
UNKNOWN_MAX = 2


def reference():
    """The published parser. It raises its errors from a module of the product around it, which is
    not published; its JSON interface returns them, so an empty module will do."""
    error = type("HogQLError", (Exception,), {})
    for name in ("posthog", "posthog.hogql", "posthog.hogql.errors"):
        sys.modules[name] = types.ModuleType(name)
    for name in ("BaseHogQLError", "ExposedHogQLError", "SyntaxError", "NotImplementedError", "ParsingError"):
        setattr(sys.modules["posthog.hogql.errors"], name, error)
    import hogql_parser

    return hogql_parser, error


class Refused(Exception):
    """A parser's refusal of a text, with its words."""


# ----- the two parsers -----------------------------------------------------------------------------


class Theirs:
    """The reference: a text to its tree, positions and spelling of equal things aside."""

    def __init__(self, rules):
        self.parser, self.error = reference()
        self.rules = [(rule["field"], re.compile(rule["drop"])) for rule in rules]

    def tree(self, text):
        try:
            answer = json.loads(self.parser.parse_select_json(text, is_internal=True))
        except self.error as error:
            raise Refused(str(error)) from None
        if answer.get("error"):
            raise Refused(f"{answer['type']}: {answer['message']}")
        return self.normal(answer)

    def normal(self, node):
        if isinstance(node, list):
            return [self.normal(item) for item in node]
        if not isinstance(node, dict):
            return node
        # A field that is left out has the value that says nothing.
        kept = {
            key: self.normal(value)
            for key, value in node.items()
            if value not in (None, False, []) or (key == "value" and node["node"] == "Constant")
        }
        if node.get("value_type") == "number":
            # What JSON has no number for is given as text: compared as the number it spells.
            text = node["value"].lower()
            kept["value"] = str(int(text, 0)) if re.fullmatch(r"[-+]?(0x[\da-f]+|\d+)", text) else repr(float(text))
        if kept.get("node") == "Call" and kept["name"] == "not" and kept.keys() == {"node", "name", "args"}:
            # Before a parenthesis NOT is a function, which means the same.
            if len(kept["args"]) == 1:
                kept = {"node": "Not", "expr": kept["args"][0]}
        for field, drop in self.rules:
            if isinstance(kept.get(field), str):
                kept[field] = drop.sub("", kept[field])
        if node.get("node") in ("PivotExpr", "UnpivotExpr") and kept["table"].keys() == {"node", "table"}:
            # `(t) PIVOT …`: a join of one table is the table.
            kept["table"] = kept["table"]["table"]
        if node.get("node") == "UnpivotColumn":
            # `(v) FOR (n)`: so are one column and the column in parentheses.
            for key in ("value_columns", "name_columns"):
                if kept[key]["node"] == "Tuple" and len(kept[key]["exprs"]) == 1:
                    kept[key] = kept[key]["exprs"][0]
        return kept


class Ours:
    """Hedgerow: texts to their canonical forms."""

    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def canonical(self, text):
        self.process.stdin.write(text.encode() + b"\0")
        self.process.stdin.flush()
        answer = bytearray()
        while not answer.endswith(b"\0"):
            byte = self.process.stdout.read1(1 << 16)
            if not byte:
                raise SystemExit(f"the parser ended at {text!r}")
            answer += byte
        answer = answer[:-1].decode()
        if answer[0] == "-":
            raise Refused(answer[1:])
        return answer[1:]


# ----- the comparison ------------------------------------------------------------------------------


def compare(text, ours, theirs):
    """What becomes of a text: the kind of outcome, and what shows it."""
    try:
        tree = theirs.tree(text)
    except Refused as refusal:
        tree, their_words = None, str(refusal)
    try:
        canonical = ours.canonical(text)
    except Refused as refusal:
        return ("refused", str(refusal), tree) if tree else ("both refuse", "", None)
    if tree is None:
        return "accepted", their_words, canonical
    try:
        again = theirs.tree(canonical)
    except Refused as refusal:
        return "unreadable", f"{canonical}\n        {refusal}", tree
    return ("equal", "", tree) if again == tree else ("differs", canonical, tree)


def names(node):
    """Every name in a tree of the reference."""
    if isinstance(node, list):
        for item in node:
            yield from names(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in ("chain", "columns", "column_aliases", "args") and isinstance(value, list):
                yield from (item for item in value if isinstance(item, str))
            elif key in ("name", "alias") and isinstance(value, str):
                yield value
            yield from names(value)


def nodes(tree):
    """Every kind of node in a tree of the reference."""
    if isinstance(tree, list):
        return {kind for item in tree for kind in nodes(item)}
    if isinstance(tree, dict):
        return {tree.get("node"), *nodes(list(tree.values()))}
    return set()


class Differences:
    """The list of what may differ, and which of it has."""

    def __init__(self, entries):
        self.entries = entries
        self.words = set()
        self.used = collections.Counter()
        for entry in entries:
            if entry["outcome"] not in ("refused", "accepted", "differs", "unreadable"):
                raise SystemExit(f"unknown outcome in {entry}")
            entry["pattern"] = re.compile(entry["match"], re.I | re.S) if "match" in entry else None
            entry["texts"] = re.compile(entry["text"], re.I | re.S) if "text" in entry else None
            entry["places"] = re.compile(entry["place"], re.I | re.S) if "place" in entry else None

    def explain(self, text, outcome, shown, tree):
        """Whether an entry covers this difference."""
        text = blanked(text)
        for at, entry in enumerate(self.entries):
            if entry["outcome"] != outcome:
                continue
            if entry["pattern"] and not entry["pattern"].search(shown):
                continue
            if entry["texts"] and not entry["texts"].search(text):
                continue
            if entry["places"] and not entry["places"].search(self.marked(text, shown)):
                continue
            if "node" in entry and entry["node"] not in nodes(tree):
                continue
            if "words" in entry and not self.reads_as_name(text, tree, entry["words"]):
                continue
            self.used[at] += 1
            return True
        return False

    @staticmethod
    def marked(text, refusal):
        """The text with `§` at the place of Hedgerow's refusal, which begins with its number."""
        place = int(refusal[: refusal.index(":")]) - 1
        return f"{text[:place]}§{text[place:]}"

    @staticmethod
    def reads_as_name(text, tree, words):
        """Whether the reference takes one of these words, unquoted in the text, as a name."""
        unquoted = re.sub(r"'(?:\\.|''|[^'\\])*'|`[^`]*`|\"[^\"]*\"", " ", text).lower()
        taken = {name.lower() for name in names(tree)}
        return any(word in taken and re.search(rf"\b{word}\b", unquoted) for word in words)


def blanked(text):
    """The text with blanks for its comments, and with one kind of blank."""
    pieces = r"('(?:\\.|''|[^'\\])*'|`[^`]*`|\"[^\"]*\")|/\*.*?\*/|--[^\n]*|//[^\n]*|#(?!\d)[^\n]*|\ufeff"
    return re.sub(pieces, lambda found: found[1] or "\u00a0" * len(found[0]), text, flags=re.S)


def shrink(text, keeps):
    """A shorter text that `keeps` the finding, a few tokens at a time."""
    tokens, size = TOKEN.findall(text), 16
    while size:
        at = 0
        while at < len(tokens):
            shorter = tokens[:at] + tokens[at + size :]
            if keeps("".join(shorter)):
                tokens = shorter
            else:
                at += size
        size //= 2
    return "".join(tokens)


def gist(outcome, shown):
    """What kind of finding it is, the text's own words aside."""
    return outcome, "" if outcome == "differs" else re.sub(r"\d+|`.*|'.*", "", shown)[:40]


class Comparison:
    def __init__(self, ours, theirs, differences):
        self.ours, self.theirs, self.differences = ours, theirs, differences
        self.counts = collections.Counter()
        self.findings = []

    def finding(self, text):
        """The outcome of a text when nothing explains it, else None; counts it."""
        outcome, shown, tree = compare(text, self.ours, self.theirs)
        if outcome in ("equal", "both refuse"):
            return outcome, None
        if self.differences.explain(text, outcome, shown, tree):
            return f"{outcome}, as listed", None
        return outcome, shown

    def add(self, text):
        outcome, shown = self.finding(text)
        self.counts[outcome] += 1
        if shown is None:
            return
        wanted = gist(outcome, shown)
        small = shrink(text, lambda t: (found := self.finding(t))[1] is not None and gist(*found) == wanted)
        _, shown = self.finding(small)
        self.findings.append((outcome, small, shown))
        print(f"{outcome}: {small}\n        {shown}")


def self_test(theirs):
    """A comparison that cannot fail proves nothing: doctored answers must be found."""

    class Doctored:
        def canonical(self, text):
            answers = {"select 1": "SELECT 2", "select a from": "SELECT a", "select 3": "SELECT FROM ("}
            if text in answers:
                return answers[text]
            raise Refused("1: no")

    wanted = {"select 1": "differs", "select a from": "accepted", "select 3": "unreadable", "select 4": "refused"}
    for text, outcome in wanted.items():
        found, _ = Comparison(Doctored(), theirs, Differences([])).finding(text)
        if found != outcome:
            raise SystemExit(f"the comparison finds '{found}' in {text!r}, not '{outcome}'")


def corpus():
    """The texts of the corpus; those of PostgreSQL's spellings apart."""
    texts = collections.defaultdict(list)
    for file in sorted(HERE.glob("corpus/*.hogql")):
        texts[file.stem == "postgres"] += re.split(r"\n\n+", file.read_text().strip("\n"))
    return texts[False], texts[True]


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("canonical")
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options.add_argument("--random", type=int, default=400)
    options = options.parse_args()

    listed = tomllib.loads((HERE / "grammar-differences.toml").read_text())
    theirs = Theirs(listed["spelling"])
    self_test(theirs)
    differences = Differences(listed["difference"])
    comparison = Comparison(Ours(options.canonical), theirs, differences)

    hogql, postgres = corpus()
    if len(set(hogql + postgres)) < 1500:
        raise SystemExit(f"the corpus has only {len(set(hogql + postgres))} statements")
    for text in hogql + postgres:
        comparison.add(text)
    print(f"corpus: {dict(comparison.counts)}")
    idle = [entry["reason"] for at, entry in enumerate(differences.entries) if not differences.used[at]]
    for reason in idle:
        print(f"no statement of the corpus shows this difference any more: {reason}")

    in_corpus = len(comparison.findings)
    comparison.counts.clear()
    source = Texts(random.Random(options.seed))
    for _ in range(options.random):
        comparison.add(source.text(hogql))
    print(f"random, seed {options.seed}: {dict(comparison.counts)}")
    at_random = len(comparison.findings) - in_corpus
    sys.exit(1 if in_corpus or idle or at_random * 400 > UNKNOWN_MAX * max(options.random, 400) else 0)


if __name__ == "__main__":
    main()
