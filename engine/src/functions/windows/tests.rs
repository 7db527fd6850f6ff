//! Window functions over the test table, against ClickHouse 26.9: `select
//! toString(<expression>) from ... order by k limit 12` in chdb.

use crate::error::ErrorKind;
use crate::functions::testing::{TestTable, check};

#[tokio::test]
async fn answers_are_as_in_clickhouse() {
    check(CASES, &["k"]).await;
}

#[tokio::test]
async fn wrong_calls_are_explained() {
    let cases = [
        ("lag(i, k) over (order by k)", ErrorKind::InvalidArgument),
        ("lag(i, -1) over (order by k)", ErrorKind::InvalidArgument),
        ("lag(i, 1, k) over (order by k)", ErrorKind::InvalidArgument),
        ("lag(i, 1, 'a') over (order by k)", ErrorKind::InvalidText),
        ("lag() over (order by k)", ErrorKind::UnknownFunction),
        ("nth_value(i, 0) over (order by k)", ErrorKind::InvalidArgument),
        ("nth_value(i, k) over (order by k)", ErrorKind::InvalidArgument),
        ("ntile(0) over (order by k)", ErrorKind::InvalidArgument),
        ("row_number(1) over (order by k)", ErrorKind::UnknownFunction),
    ];
    let table = TestTable::numbers();
    for (text, kind) in cases {
        let error = table.answer(text, &["k"]).await.err();
        assert_eq!(error.as_ref().map(|error| error.kind), Some(kind), "{text}: {error:?}");
    }
}

#[rustfmt::skip]
const CASES: &[(&str, &[&str])] = &[
    ("row_number() over (partition by g order by k)", &["1", "1", "1", "2", "2", "2", "3", "3", "3", "4", "4", "4"]),
    ("rank() over (order by w)", &["1", "44", "87", "130", "173", "216", "259", "1", "44", "87", "130", "173"]),
    ("dense_rank() over (order by w)", &["1", "2", "3", "4", "5", "6", "7", "1", "2", "3", "4", "5"]),
    ("percent_rank() over (partition by g order by i)", &["0", "0.6363636363636364", "0.2727272727272727", "0.9191919191919192", "0.5454545454545454", "0.18181818181818182", "0.8282828282828283", "0.45454545454545453", "0.09090909090909091", "0.7373737373737373", "0.36363636363636365", "0"]),
    ("cume_dist() over (partition by g order by i)", &["0.1", "0.73", "0.37", "1", "0.63", "0.27", "0.91", "0.54", "0.18", "0.82", "0.45", "0.09"]),
    ("ntile(7) over (order by k)", &["1", "1", "1", "1", "1", "1", "1", "1", "1", "1", "1", "1"]),
    ("lag(i) over (partition by g order by k)", &["0", "0", "0", "0", "7", "3", "10", "6", "2", "9", "5", "1"]),
    ("lag(n) over (partition by g order by k)", &["NULL", "NULL", "NULL", "NULL", "1", "2", "3", "NULL", "0", "1", "2", "NULL"]),
    ("lag(s, 2, 'none') over (order by k)", &["none", "none", "u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9"]),
    ("lead(i, 2) over (order by k)", &["3", "10", "6", "2", "9", "5", "1", "8", "4", "0", "7", "3"]),
    ("lagInFrame(i) over (order by k)", &["0", "0", "7", "3", "10", "6", "2", "9", "5", "1", "8", "4"]),
    ("lagInFrame(i, 2) over (order by k rows between 1 preceding and current row)", &["0", "0", "0", "0", "0", "0", "0", "0", "0", "0", "0", "0"]),
    ("leadInFrame(i) over (order by k)", &["0", "0", "0", "0", "0", "0", "0", "0", "0", "0", "0", "0"]),
    ("leadInFrame(s) over (order by k rows between current row and 1 following)", &["u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9", "u10", "u11", "u12"]),
    ("nth_value(i, 2) over (order by k rows between unbounded preceding and unbounded following)", &["7", "7", "7", "7", "7", "7", "7", "7", "7", "7", "7", "7"]),
    ("first_value(n) over (order by k rows between 1 preceding and 1 following)", &["1", "1", "1", "2", "3", "0", "0", "1", "2", "4", "4", "0"]),
    ("last_value(n) over (order by k)", &["NULL", "1", "2", "3", "3", "0", "1", "2", "2", "4", "0", "1"]),
    ("sum(i) over (order by k)", &["0", "7", "10", "20", "26", "28", "37", "42", "43", "51", "55", "55"]),
    ("sum(n) over (order by k rows between 2 preceding and current row)", &["NULL", "1", "3", "6", "5", "3", "1", "3", "3", "6", "4", "5"]),
    ("avg(f) over (order by k rows between 3 preceding and 1 following)", &["1.625", "1.8333333333333333", "1.6875", "1.4", "2.1", "1.95", "1.8", "1.65", "2.35", "2.2", "2.05", "1.9"]),
    ("count() over (partition by g)", &["100", "100", "100", "100", "100", "100", "100", "100", "100", "100", "100", "100"]),
    ("min(i) over (order by k rows between 3 preceding and current row)", &["0", "0", "0", "0", "3", "2", "2", "2", "1", "1", "1", "0"]),
    ("uniq(i) over (order by k)", &["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "11"]),
    ("uniq(w) over (order by k rows between 3 preceding and 2 following)", &["3", "4", "5", "6", "6", "6", "6", "6", "6", "6", "6", "6"]),
    ("groupArray(n) over (order by k rows between 2 preceding and current row)", &["[]", "[1]", "[1,2]", "[1,2,3]", "[2,3]", "[3,0]", "[0,1]", "[0,1,2]", "[1,2]", "[2,4]", "[4,0]", "[4,0,1]"]),
    ("quantile(0.5)(i) over (order by k rows between 3 preceding and current row)", &["0", "3.5", "3", "5", "6.5", "4.5", "7.5", "5.5", "3.5", "6.5", "4.5", "2.5"]),
    ("sumIf(i, b) over (order by k rows between 3 preceding and current row)", &["0", "0", "3", "3", "9", "9", "15", "15", "10", "10", "5", "5"]),
    ("argMax(s, i) over (order by k rows between 5 preceding and current row)", &["u0", "u1", "u1", "u3", "u3", "u3", "u3", "u3", "u3", "u6", "u6", "u6"]),
    ("windowFunnel(20)(t, i = 1, i = 2, i = 3) over (partition by g)", &["3", "3", "3", "3", "3", "3", "3", "3", "3", "3", "3", "3"]),
];
