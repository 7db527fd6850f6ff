"""The questions, as each engine is asked them.

Hot keys are columns of the peers, named by KEYS; other keys are read from the JSON text they keep.
Every answer is ordered, so that answers can be compared.
"""

import re

# Key, the peers' column, and its type: text or number.
KEYS = [
    ("$browser", "browser", "text"),
    ("$current_url", "url", "text"),
    ("$pathname", "pathname", "text"),
    ("$session_id", "session", "text"),
    ("$geoip_country_code", "country", "text"),
    ("plan", "plan", "text"),
    ("load_ms", "load_ms", "number"),
    ("amount", "amount", "number"),
]

DAY = {"hogql": "toStartOfDay(timestamp)", "clickhouse": "toStartOfDay(timestamp)", "duckdb": "date_trunc('day', timestamp)"}
WEEK = {"hogql": "toStartOfWeek(timestamp, 1)", "clickhouse": "toDateTime(toStartOfWeek(timestamp, 1))", "duckdb": "date_trunc('week', timestamp)"}


def each(text, **parts):
    """The same text for all, but for the parts in braces."""
    asked = {}
    for engine in ("hogql", "clickhouse", "duckdb"):
        filled = text
        for name, spelled in {"day": DAY, "week": WEEK, **parts}.items():
            filled = filled.replace("{" + name + "}", spelled[engine])
        asked[engine] = filled
    return asked


def key(name, column):
    return {"hogql": f"properties.`{name}`", "clickhouse": column, "duckdb": column}


def first(event):
    """The time of a person's first event of this name."""
    when = f"min(case when event = '{event}' then timestamp end)"
    return {"hogql": when, "clickhouse": when, "duckdb": when}


BROWSER, URL, PATH = key("$browser", "browser"), key("$current_url", "url"), key("$pathname", "pathname")
SESSION = {"hogql": "`$session_id`", "clickhouse": "session", "duckdb": "session"}
COUNTRY, PLAN = key("$geoip_country_code", "country"), key("plan", "plan")
LOAD, AMOUNT = key("load_ms", "load_ms"), key("amount", "amount")
UNIQ = {"hogql": "uniq(distinct_id)", "clickhouse": "uniqExact(distinct_id)", "duckdb": "count(distinct distinct_id)"}
RARE = {
    "hogql": "properties.query.filters.kind",
    "clickhouse": "JSONExtractString(properties, 'query', 'filters', 'kind')",
    "duckdb": "properties->>'$.query.filters.kind'",
}
NESTED = {
    "hogql": "properties.experiment.variant",
    "clickhouse": "JSONExtractString(properties, 'experiment', 'variant')",
    "duckdb": "properties->>'$.experiment.variant'",
}

QUERIES = {
    "pageviews per day": each("select {day} as d, count() as c from events where event = '$pageview' group by d order by d"),
    "unique persons per day": each("select {day} as d, {uniq} as c from events group by d order by d", uniq=UNIQ),
    "events by name": each("select event, count() as c from events group by event order by event"),
    "rolling 7-day unique persons": {
        "hogql": "select d + toIntervalDay(n) as day, uniq(distinct_id) as c from (select distinct toStartOfDay(timestamp) as d, distinct_id from events) as a cross join (select number as n from numbers(7)) as b group by day order by day",
        "clickhouse": "select d + toIntervalDay(n) as day, uniqExact(distinct_id) as c from (select distinct toStartOfDay(timestamp) as d, distinct_id from events) as a cross join (select number as n from numbers(7)) as b group by day order by day",
        "duckdb": "select d + to_days(cast(n as integer)) as day, count(distinct distinct_id) as c from (select distinct date_trunc('day', timestamp) as d, distinct_id from events) as a cross join range(7) as b(n) group by day order by day",
    },
    "breakdown by browser": each("select {b} as b, count() as c from events where event = '$pageview' group by b order by c desc, b limit 10", b=BROWSER),
    "property equality, per day": each("select {day} as d, count() as c from events where {b} = 'Firefox' group by d order by d", b=BROWSER),
    "substring filter on URL, unique persons": each("select {uniq} as c from events where {u} like '%utm_source=news%'", u=URL, uniq=UNIQ),
    "median of a number property per day": {
        "hogql": "select toStartOfDay(timestamp) as d, round(quantile(0.5)(properties.load_ms), 3) as p from events where event = '$pageview' group by d order by d",
        "clickhouse": "select toStartOfDay(timestamp) as d, round(quantileExactInclusive(0.5)(load_ms), 3) as p from events where event = '$pageview' group by d order by d",
        "duckdb": "select date_trunc('day', timestamp) as d, round(quantile_cont(load_ms, 0.5), 3) as p from events where event = '$pageview' group by d order by d",
    },
    "sum by week and plan": each("select {week} as w, {p} as p, round(sum({a}), 2) as s from events where event = 'purchase' group by w, p order by w, p", p=PLAN, a=AMOUNT),
    "unique persons by country": each("select {c} as k, {uniq} as c from events group by k order by c desc, k limit 10", c=COUNTRY, uniq=UNIQ),
    "funnel of three steps": each(
        "select countIf(a < b) as two, countIf(a < b and b < c) as three, count() as one from (select distinct_id, {s1} as a, {s2} as b, {s3} as c from events where event in ('signup', 'add to cart', 'purchase') group by distinct_id) as t where a < {start}",
        s1=first("signup"), s2=first("add to cart"), s3=first("purchase"),
        start={"hogql": "toDateTime('2026-03-01 00:00:00')", "clickhouse": "toDateTime('2026-03-01 00:00:00')", "duckdb": "timestamp '2026-03-01'"},
    ),
    "weekly retention": each(
        "select f, w, {uniq} as c from (select e.distinct_id as distinct_id, first as f, {week} as w from events as e join (select distinct_id, min({week}) as first from events group by distinct_id) as s on e.distinct_id = s.distinct_id) as t group by f, w order by f, w",
        uniq=UNIQ,
    ),
    "daily lifecycle": each(
        "select d, countIf(prev is null) as fresh, countIf(prev = d - {one}) as returning, countIf(prev < d - {one}) as resurrected from (select distinct_id, d, {lag} as prev from (select distinct distinct_id, {date} as d from events) as a) as t group by d order by d",
        one={"hogql": "1", "clickhouse": "1", "duckdb": "1"},
        date={"hogql": "toDate(timestamp)", "clickhouse": "toDate(timestamp)", "duckdb": "cast(timestamp as date)"},
        lag={
            "hogql": "lag(toNullable(d)) over (partition by distinct_id order by d)",
            "clickhouse": "lagInFrame(toNullable(d)) over (partition by distinct_id order by d rows between unbounded preceding and unbounded following)",
            "duckdb": "lag(d) over (partition by distinct_id order by d)",
        },
    ),
    "paths from page to page": each(
        "select a, b, count() as c from (select {p} as b, {lag} as a, {s} as s from events where event = '$pageview') as t where a is not null and a <> '' group by a, b order by c desc, a, b limit 10",
        p=PATH, s=SESSION,
        lag={
            "hogql": "lag(properties.`$pathname`) over (partition by `$session_id` order by timestamp, uuid)",
            "clickhouse": "lagInFrame(pathname) over (partition by session order by timestamp, toString(uuid) rows between unbounded preceding and unbounded following)",
            "duckdb": "lag(pathname) over (partition by session order by timestamp, uuid)",
        },
    ),
    "sessions per day": {
        "hogql": "select toStartOfDay(f) as d, count() as c, round(avg(dateDiff('second', f, l)), 1) as a from (select `$session_id` as s, min(timestamp) as f, max(timestamp) as l from events group by s) as t group by d order by d",
        "clickhouse": "select toStartOfDay(f) as d, count() as c, round(avg(dateDiff('second', f, l)), 1) as a from (select session as s, min(timestamp) as f, max(timestamp) as l from events group by s) as t group by d order by d",
        "duckdb": "select date_trunc('day', f) as d, count() as c, round(avg(date_diff('second', f, l)), 1) as a from (select session as s, min(timestamp) as f, max(timestamp) as l from events group by s) as t group by d order by d",
    },
    "nested key, all pageviews": each("select {n} as n, count() as c from events where event = '$pageview' group by n order by n", n=NESTED),
    "rare event by nested key": each("select {n} as n, count() as c from events where event = 'search' group by n order by n", n=RARE),
    "one person's events": each("select event, count() as c from events where distinct_id = 'user-00000100' group by event order by event"),
    "latest 100 events": each("select uuid, event, timestamp, properties from events order by timestamp desc, uuid limit 100"),
    "wide export": each("select event, distinct_id, timestamp, {b}, {u}, {c} from events where event = 'purchase' order by timestamp, uuid", b=BROWSER, u=URL, c=COUNTRY),
}
for text in QUERIES.values():
    # Its count_if gives NULL where no condition is known.
    text["duckdb"] = re.sub(r"countIf\(([^()]*)\)", r"count(*) filter (where \1)", text["duckdb"])
