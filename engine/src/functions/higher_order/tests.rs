//! Functions of lambdas over the test table, against ClickHouse 26.9: `select
//! toString(<expression>) from ... order by k limit 12` in chdb.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::Schema;

use super::FUNCTIONS;
use crate::error::ErrorKind;
use crate::functions::testing::{TestTable, answer, check};
use crate::types::Type;

#[tokio::test]
async fn answers_are_as_in_clickhouse() {
    check(CASES, &["k"]).await;
}

/// Rows 1 to 4 of five: `[10, 20]`, NULL over hidden elements, `[]`, `[NULL, 3]`.
fn sliced() -> TestTable {
    let values = Int64Array::from(vec![Some(7), Some(10), Some(20), Some(0), None, Some(3)]);
    let lists = ListArray::new(
        Type::Int64.item_field(),
        OffsetBuffer::from_lengths([1, 2, 1, 0, 2]),
        Arc::new(values),
        Some(NullBuffer::from(vec![true, true, false, true, true])),
    );
    let lists: ArrayRef = Arc::new(lists.slice(1, 4));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
    let fields = vec![Type::Int64.array().to_field("xs", true), Type::Int64.to_field("c", false)];
    let schema = Arc::new(Schema::new(fields));
    TestTable::new(vec![vec![RecordBatch::try_new(schema, vec![lists, numbers]).unwrap()]])
}

/// By hand: a NULL array gives NULL, whatever lies beneath it; captured columns stay with their
/// row.
#[tokio::test]
async fn null_arrays_and_slices() {
    let table = sliced();
    let cases: &[(&str, [&str; 4])] = &[
        ("arrayMap(x -> x + c, xs)", ["[11,21]", "NULL", "[]", "[NULL,7]"]),
        ("arrayMap(x -> 100 / x, xs)", ["[10,5]", "NULL", "[]", "[NULL,33.333333333333336]"]),
        ("arrayFilter(x -> x > 5, xs)", ["[10,20]", "NULL", "[]", "[]"]),
        ("arrayExists(x -> x > 5, xs)", ["true", "NULL", "false", "false"]),
        ("arrayCount(x -> x > 2, xs)", ["2", "NULL", "0", "1"]),
        ("arraySum(xs)", ["30", "NULL", "0", "3"]),
        ("arrayAvg(xs)", ["15", "NULL", "0", "3"]),
        ("arrayMax(xs)", ["20", "NULL", "0", "3"]),
        ("arraySort(x -> -x, xs)", ["[20,10]", "NULL", "[]", "[3,NULL]"]),
        ("arrayFirst(x -> x > 15, xs)", ["20", "NULL", "0", "0"]),
        ("arrayFirstIndex(x -> x > 15, xs)", ["2", "NULL", "0", "0"]),
        ("arrayCumSum(xs)", ["[10,30]", "NULL", "[]", "[0,3]"]),
        ("arrayFold((sum, x) -> sum + c, xs, 5)", ["7", "NULL", "5", "13"]),
        (
            "arrayMap((x, y) -> x + y, xs, arrayMap(x -> x * 2, xs))",
            ["[30,60]", "NULL", "[]", "[NULL,9]"],
        ),
        ("arrayMap(x -> arraySum(y -> x * y, xs), xs)", ["[300,600]", "NULL", "[]", "[0,9]"]),
    ];
    for (text, expected) in cases {
        let found = table.answer(text, &["c"]).await.unwrap();
        assert_eq!(found, expected, "{text}");
    }
}

#[tokio::test]
async fn wrong_calls_are_explained() {
    let cases = [
        ("arrayMap((x, y) -> x + y, [1, 2], [3])", ErrorKind::InvalidArgument),
        ("arrayMap((x, y) -> x + y, [1, 2])", ErrorKind::InvalidArgument),
        ("arrayMap(x -> x, [1], [2])", ErrorKind::InvalidArgument),
        ("arrayMap([1])", ErrorKind::UnknownFunction),
        ("arrayMap(x -> x)", ErrorKind::UnknownFunction),
        ("arrayMap(x -> x, 5)", ErrorKind::TypeMismatch),
        ("arraySum(['a'])", ErrorKind::TypeMismatch),
        ("arraySum([1], [2])", ErrorKind::UnknownFunction),
        ("arrayFilter(x -> 'a', [1])", ErrorKind::InvalidText),
        ("arrayFold((sum, x) -> 'a', [1], 0)", ErrorKind::InvalidText),
        ("arrayFold((sum) -> sum, [1], 0)", ErrorKind::InvalidArgument),
        ("arrayFold((sum, x) -> sum, 0)", ErrorKind::UnknownFunction),
    ];
    for (text, kind) in cases {
        let error = answer(text).await.err();
        assert_eq!(error.as_ref().map(|error| error.kind), Some(kind), "{text}: {error:?}");
    }
}

/// No function panics, or blames itself, whatever the elements are.
#[tokio::test]
async fn every_type_of_element_is_taken_or_refused() {
    let (table, rows) = TestTable::of_all_types();
    let columns: Vec<_> = rows.schema().fields().iter().map(|f| f.name().clone()).collect();
    for function in FUNCTIONS {
        for column in &columns {
            let forms = [
                format!("{}([{column}, {column}])", function.name),
                format!("{}(x -> x, [{column}, NULL])", function.name),
                format!("{}(x -> [x], [[{column}], []])", function.name),
                format!("{}((a, x) -> a, [{column}], {column})", function.name),
            ];
            for text in forms {
                let error = table.answer(&text, &[]).await.err();
                let blamed = error.as_ref().map(|error| error.kind) == Some(ErrorKind::Internal);
                assert!(!blamed, "{text}: {error:?}");
            }
        }
    }
}

#[rustfmt::skip]
const CASES: &[(&str, &[&str])] = &[
    ("arrayMap(x -> x + i, a)", &["[]", "[7]", "[3,4]", "[10,11,12]", "[]", "[2]", "[9,10]", "[5,6,7]", "[]", "[8]", "[4,5]", "[0,1,2]"]),
    ("arrayMap((x, y) -> x * y + i, a, arrayMap(x -> x * 2, a))", &["[]", "[7]", "[3,5]", "[10,12,18]", "[]", "[2]", "[9,11]", "[5,7,13]", "[]", "[8]", "[4,6]", "[0,2,8]"]),
    ("arrayMap(x -> arrayMap(y -> y + x + i, a), a)", &["[]", "[[7]]", "[[3,4],[4,5]]", "[[10,11,12],[11,12,13],[12,13,14]]", "[]", "[[2]]", "[[9,10],[10,11]]", "[[5,6,7],[6,7,8],[7,8,9]]", "[]", "[[8]]", "[[4,5],[5,6]]", "[[0,1,2],[1,2,3],[2,3,4]]"]),
    ("arrayMap(x -> arrayFilter(y -> y > x, a), a)", &["[]", "[[]]", "[[1],[]]", "[[1,2],[2],[]]", "[]", "[[]]", "[[1],[]]", "[[1,2],[2],[]]", "[]", "[[]]", "[[1],[]]", "[[1,2],[2],[]]"]),
    ("arrayMap(x -> arrayMap(x -> x + 1, [x, x]), a)", &["[]", "[[1,1]]", "[[1,1],[2,2]]", "[[1,1],[2,2],[3,3]]", "[]", "[[1,1]]", "[[1,1],[2,2]]", "[[1,1],[2,2],[3,3]]", "[]", "[[1,1]]", "[[1,1],[2,2]]", "[[1,1],[2,2],[3,3]]"]),
    ("arrayMap((p, q) -> p - q, arrayMap(x -> (x, i), a))", &["[]", "[-7]", "[-3,-2]", "[-10,-9,-8]", "[]", "[-2]", "[-9,-8]", "[-5,-4,-3]", "[]", "[-8]", "[-4,-3]", "[0,1,2]"]),
    ("arrayMap(x -> n, a)", &["[]", "[1]", "[2,2]", "[3,3,3]", "[]", "[0]", "[1,1]", "[2,2,2]", "[]", "[4]", "[0,0]", "[1,1,1]"]),
    ("arrayFilter(x -> x > 1, a)", &["[]", "[]", "[]", "[2]", "[]", "[]", "[]", "[2]", "[]", "[]", "[]", "[2]"]),
    ("arrayFilter((x, y) -> y > 1, a, arrayMap(x -> x * i, a))", &["[]", "[]", "[1]", "[1,2]", "[]", "[]", "[1]", "[1,2]", "[]", "[]", "[1]", "[]"]),
    ("arrayExists(x -> x = w, a)", &["false", "false", "false", "false", "false", "false", "false", "true", "false", "false", "false", "false"]),
    ("arrayAll(x -> x < w, a)", &["true", "true", "true", "true", "true", "true", "true", "false", "true", "true", "true", "true"]),
    ("arrayCount(x -> x > 1, a)", &["0", "0", "0", "1", "0", "0", "0", "1", "0", "0", "0", "1"]),
    ("arraySum(a)", &["0", "0", "1", "3", "0", "0", "1", "3", "0", "0", "1", "3"]),
    ("arraySum(x -> x * i, a)", &["0", "0", "3", "30", "0", "0", "9", "15", "0", "0", "4", "0"]),
    ("arraySum(x -> x / 2, a)", &["0", "0", "0.5", "1.5", "0", "0", "0.5", "1.5", "0", "0", "0.5", "1.5"]),
    ("arrayAvg(a)", &["0", "0", "0.5", "1", "0", "0", "0.5", "1", "0", "0", "0.5", "1"]),
    ("arrayMin(x -> -x, a)", &["0", "0", "-1", "-2", "0", "0", "-1", "-2", "0", "0", "-1", "-2"]),
    ("arrayMax(a)", &["0", "0", "1", "2", "0", "0", "1", "2", "0", "0", "1", "2"]),
    ("arrayProduct(x -> x + 1, a)", &["0", "1", "2", "6", "0", "1", "2", "6", "0", "1", "2", "6"]),
    ("arraySort(x -> -x, a)", &["[]", "[0]", "[1,0]", "[2,1,0]", "[]", "[0]", "[1,0]", "[2,1,0]", "[]", "[0]", "[1,0]", "[2,1,0]"]),
    ("arraySort((x, y) -> y, a, arrayMap(x -> x * 5 % 3, a))", &["[]", "[0]", "[0,1]", "[0,2,1]", "[]", "[0]", "[0,1]", "[0,2,1]", "[]", "[0]", "[0,1]", "[0,2,1]"]),
    ("arrayReverseSort(a)", &["[]", "[0]", "[1,0]", "[2,1,0]", "[]", "[0]", "[1,0]", "[2,1,0]", "[]", "[0]", "[1,0]", "[2,1,0]"]),
    ("arrayFirst(x -> x > 1, a)", &["0", "0", "0", "2", "0", "0", "0", "2", "0", "0", "0", "2"]),
    ("arrayLast(x -> x < 2, a)", &["0", "0", "1", "1", "0", "0", "1", "1", "0", "0", "1", "1"]),
    ("arrayFirstOrNull(x -> x > 1, a)", &["NULL", "NULL", "NULL", "2", "NULL", "NULL", "NULL", "2", "NULL", "NULL", "NULL", "2"]),
    ("arrayFirstIndex(x -> x > 0, a)", &["0", "0", "2", "2", "0", "0", "2", "2", "0", "0", "2", "2"]),
    ("arrayLastIndex(x -> x < 2, a)", &["0", "1", "2", "2", "0", "1", "2", "2", "0", "1", "2", "2"]),
    ("arrayCumSum(x -> x * 2, a)", &["[]", "[0]", "[0,2]", "[0,2,6]", "[]", "[0]", "[0,2]", "[0,2,6]", "[]", "[0]", "[0,2]", "[0,2,6]"]),
    ("arrayCumSumNonNegative(x -> x - 1, a)", &["[]", "[0]", "[0,0]", "[0,0,1]", "[]", "[0]", "[0,0]", "[0,0,1]", "[]", "[0]", "[0,0]", "[0,0,1]"]),
    ("arrayFill(x -> x != 1, a)", &["[]", "[0]", "[0,0]", "[0,0,2]", "[]", "[0]", "[0,0]", "[0,0,2]", "[]", "[0]", "[0,0]", "[0,0,2]"]),
    ("arrayReverseFill(x -> x != 1, a)", &["[]", "[0]", "[0,1]", "[0,2,2]", "[]", "[0]", "[0,1]", "[0,2,2]", "[]", "[0]", "[0,1]", "[0,2,2]"]),
    ("arraySplit(x -> x > 0, a)", &["[]", "[[0]]", "[[0],[1]]", "[[0],[1],[2]]", "[]", "[[0]]", "[[0],[1]]", "[[0],[1],[2]]", "[]", "[[0]]", "[[0],[1]]", "[[0],[1],[2]]"]),
    ("arrayReverseSplit(x -> x = 1, a)", &["[]", "[[0]]", "[[0,1]]", "[[0,1],[2]]", "[]", "[[0]]", "[[0,1]]", "[[0,1],[2]]", "[]", "[[0]]", "[[0,1]]", "[[0,1],[2]]"]),
    ("arrayFold((sum, x) -> sum * 2 + x, a, i)", &["0", "14", "13", "84", "6", "4", "37", "44", "1", "16", "17", "4"]),
    ("arrayFold((sum, x, y) -> sum + x * y + w, a, a, i)", &["0", "8", "8", "24", "6", "7", "22", "10", "1", "10", "11", "17"]),
    ("arrayMap(x -> arrayFold((sum, y) -> sum + y * x, a, i), a)", &["[]", "[7]", "[3,4]", "[10,13,16]", "[]", "[2]", "[9,10]", "[5,8,11]", "[]", "[8]", "[4,5]", "[0,3,6]"]),
];
