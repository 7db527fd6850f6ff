use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::prelude::SessionContext;
use hedgerow_parser::Span;
use hedgerow_parser::ast::BinaryOp;

use super::super::testing::TestContext;
use super::{compare, in_filter};
use crate::functions::Typed;
use crate::types::Type;

/// Equal, different, left NULL, right NULL, both NULL; once as numbers, once as texts.
fn batch() -> RecordBatch {
    let a = [Some(1), Some(1), None, Some(1), None];
    let b = [Some(1), Some(2), Some(1), None, None];
    let text = |numbers: [Option<i64>; 5]| {
        numbers.map(|number| number.map(|number| number.to_string())).into_iter()
    };
    let schema = Schema::new(vec![
        Field::new("a", DataType::Int64, true),
        Field::new("b", DataType::Int64, true),
        Field::new("s", DataType::Utf8View, true),
        Field::new("t", DataType::Utf8View, true),
        Field::new("one", DataType::Int64, false),
    ]);
    RecordBatch::try_new(
        Arc::new(schema),
        vec![
            Arc::new(Int64Array::from(a.to_vec())),
            Arc::new(Int64Array::from(b.to_vec())),
            Arc::new(text(a).collect::<StringViewArray>()),
            Arc::new(text(b).collect::<StringViewArray>()),
            Arc::new(Int64Array::from(vec![1; 5])),
        ],
    )
    .unwrap()
}

fn column(name: &str) -> Typed {
    let ty = if matches!(name, "s" | "t") { Type::String } else { Type::Int64 };
    Typed::new(col(name), ty, Span::default())
}

fn comparison(op: BinaryOp, left: Typed, right: Typed) -> Expr {
    let frame = SessionContext::new().read_batch(batch()).unwrap();
    let cx = TestContext { timezone: "UTC", schema: frame.schema().clone() };
    compare(&cx, op, left, right, true, Span::default()).unwrap().expr
}

/// `t` and `f` for the five rows; a NULL would be `?`.
async fn rows(expr: Expr) -> String {
    let frame = SessionContext::new().read_batch(batch()).unwrap();
    let batches = frame.select(vec![expr]).unwrap().collect().await.unwrap();
    let answers = batches[0].column(0).as_boolean();
    answers.iter().map(|answer| answer.map_or('?', |yes| if yes { 't' } else { 'f' })).collect()
}

async fn check(op: BinaryOp, left: &str, right: &str, expected: &str) {
    let expr = comparison(op, column(left), column(right));
    assert_eq!(rows(expr.clone()).await, expected, "{left} {op:?} {right}");
    // As a filter the relaxed form keeps the same rows.
    let frame = SessionContext::new().read_batch(batch()).unwrap();
    let kept = frame.filter(in_filter(expr)).unwrap().count().await.unwrap();
    assert_eq!(kept, expected.matches('t').count(), "filter {left} {op:?} {right}");
}

/// The table of language.md, 10.3.
#[tokio::test]
async fn comparison_is_never_null() {
    check(BinaryOp::Eq, "a", "b", "tffft").await;
    check(BinaryOp::NotEq, "a", "b", "ftttf").await;
    check(BinaryOp::Lt, "a", "b", "ftfff").await;
    check(BinaryOp::GtEq, "a", "b", "tffff").await;
    check(BinaryOp::Eq, "s", "t", "tffft").await;
    check(BinaryOp::Like, "s", "t", "tffft").await;
    check(BinaryOp::NotLike, "s", "t", "ftttf").await;
    check(BinaryOp::ILike, "s", "t", "tffft").await;
    check(BinaryOp::Match, "s", "t", "tffft").await;
    check(BinaryOp::NotIMatch, "s", "t", "ftttf").await;
    check(BinaryOp::Eq, "a", "one", "ttftf").await;
    check(BinaryOp::NotEq, "b", "one", "ftftt").await;
    check(BinaryOp::LtEq, "one", "b", "tttff").await;
}

#[tokio::test]
async fn comparison_with_null_is_a_test_for_null() {
    let null = || Typed::null(Type::Null, Span::default()).unwrap();
    assert_eq!(comparison(BinaryOp::Eq, column("a"), null()), col("a").is_null());
    assert_eq!(comparison(BinaryOp::NotEq, null(), column("a")), col("a").is_not_null());
    assert_eq!(rows(comparison(BinaryOp::Lt, column("a"), null())).await, "fffff");
}

#[test]
fn filters_are_plain() {
    let span = Span::default();
    let filter = |op, right: Typed| in_filter(comparison(op, column("a"), right));
    assert_eq!(filter(BinaryOp::Eq, Typed::int(5, span)), col("a").eq(lit(5_i64)));
    assert_eq!(filter(BinaryOp::Gt, Typed::int(5, span)), col("a").gt(lit(5_i64)));
    // The constant takes the type of the column.
    let five = Typed::constant(5.0_f64.into(), Type::Float64, span);
    assert_eq!(filter(BinaryOp::Eq, five), col("a").eq(lit(5_i64)));
    assert_eq!(filter(BinaryOp::Eq, Typed::text("5", span)), col("a").eq(lit(5_i64)));
    let one = comparison(BinaryOp::Eq, column("one"), Typed::int(5, span));
    assert_eq!(one, col("one").eq(lit(5_i64)));
    let both = comparison(BinaryOp::Eq, column("a"), Typed::int(1, span)).or(comparison(
        BinaryOp::Lt,
        column("b"),
        Typed::int(2, span),
    ));
    assert_eq!(in_filter(both), col("a").eq(lit(1_i64)).or(col("b").lt(lit(2_i64))));
}
