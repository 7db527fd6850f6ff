"""Parse speed beside HogQL's published parser (PyPI hogql-parser) and sqlglot, in one run.

    cargo build --release -p hedgerow-parser --example canonical
    python3 benches/parse.py target/release/examples/canonical

Needs the packages hogql-parser and sqlglot. Each parser reads ten typical queries over and over;
what is printed is the median of 7 rounds. Ours is asked through a pipe and also prints each query
again, so its time is an upper bound.
"""

import pathlib
import statistics
import subprocess
import sys
import threading
import time

import sqlglot

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "sql-tests" / "oracle"))
from grammar import reference  # noqa: E402

QUERIES = [
    "select event, count() from events group by event order by count() desc",
    "select properties.browser as browser, uniq(distinct_id) from events where event = '$pageview' "
    "and timestamp >= now() - interval 7 day group by browser order by 2 desc limit 10",
    "select toStartOfDay(timestamp) as day, countIf(event = 'signup') as signups, "
    "countIf(event = 'purchase') / countIf(event = 'signup') as rate from events group by day order by day",
    "select level, count() from (select distinct_id, windowFunnel(86400)(timestamp, event = '$pageview', "
    "event = 'signup', event = 'purchase') as level from events group by distinct_id) group by level",
    "with daily as (select toDate(timestamp) as day, uniq(distinct_id) as users from events group by day) "
    "select day, users, avg(users) over (order by day rows between 6 preceding and current row) from daily",
    "select a.event, b.n from events as a left join (select distinct_id, count() as n from events "
    "group by distinct_id) as b on a.distinct_id = b.distinct_id where b.n > 3 and a.event in ('a', 'b', 'c')",
    "select arrayMap(x -> x * 2, arrayFilter(x -> x > 1, [1, 2, 3])), if(1 > 2, 'a', 'b'), "
    "case when event = 'a' then 1 when event = 'b' then 2 else 3 end from events",
    "select 1 union all select 2 union all (select number from numbers(10) order by number limit 3)",
    "select person_id, max(timestamp) - min(timestamp) as length, argMax(properties.plan, timestamp) "
    "from events prewhere event != 'internal' group by person_id having length > 60 limit 100 offset 20",
    "select round(quantile(0.95)(toFloat(properties.duration)), 2) as p95, "
    "coalesce(properties.country, 'unknown') ?? 'none' as country from events "
    "where properties.price between 10 and 20 or like(event, '%view%') group by country",
]
ROUNDS = 7


def per_query(run, query, count):
    """The median time of one parse, in microseconds."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        run(query, count)
        times.append((time.perf_counter() - started) / count * 1e6)
    return statistics.median(times)


def ours(program):
    process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(query, count):
        text = query.encode() + b"\0"
        writer = threading.Thread(target=lambda: (process.stdin.write(text * count), process.stdin.flush()))
        writer.start()
        missing = count
        while missing:
            block = process.stdout.read1(1 << 16)
            missing -= block.count(b"\0")
        writer.join()

    return run


def repeat(parse):
    def run(query, count):
        for _ in range(count):
            parse(query)

    return run


def main():
    hogql_parser, _ = reference()
    parsers = [
        ("hedgerow", ours(sys.argv[1]), 5000),
        ("hogql-parser", repeat(lambda query: hogql_parser.parse_select_json(query, is_internal=True)), 40),
        ("sqlglot", repeat(lambda query: sqlglot.parse_one(query, read="clickhouse")), 40),
    ]
    print("query " + "".join(f"{name:>16}" for name, _, _ in parsers) + "   µs each")
    totals = {name: [] for name, _, _ in parsers}
    for number, query in enumerate(QUERIES, 1):
        row = []
        for name, run, count in parsers:
            microseconds = per_query(run, query, count)
            totals[name].append(microseconds)
            row.append(f"{microseconds:16.1f}")
        print(f"{number:5} " + "".join(row))
    medians = {name: statistics.median(times) for name, times in totals.items()}
    print("median" + "".join(f"{medians[name]:16.1f}" for name, _, _ in parsers))
    for name in ("hogql-parser", "sqlglot"):
        print(f"{name}: {medians[name] / medians['hedgerow']:.0f} times slower")


main()
