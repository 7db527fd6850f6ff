//! Queries of the kind Hedgerow exists for, shared by the benchmarks.

/// Typical product-analytics queries: name and text.
pub const QUERIES: &[(&str, &str)] = &[
    ("constant", "select 1"),
    (
        "daily counts",
        "select toStartOfDay(timestamp) as day, count() from events \
         where event = '$pageview' and timestamp >= now() - interval 30 day \
         group by day order by day",
    ),
    (
        "breakdown",
        "select properties.$browser as browser, count() as views, uniq(distinct_id) as users \
         from events where event = '$pageview' group by browser order by views desc limit 10",
    ),
    (
        "funnel",
        "select level, count() as users from (select distinct_id, windowFunnel(86400)(timestamp, \
         event = '$pageview', event = 'signup', event = 'purchase') as level from events \
         where timestamp between '2026-01-01' and '2026-02-01' group by distinct_id) \
         group by level order by level",
    ),
    (
        "retention",
        "with first as (select distinct_id as id, min(toStartOfWeek(timestamp)) as week \
         from events group by id) select f.week, dateDiff('week', f.week, \
         toStartOfWeek(e.timestamp)) as age, uniq(e.distinct_id) from events as e \
         join first as f on f.id = e.distinct_id group by 1, 2 order by 1, 2",
    ),
];
