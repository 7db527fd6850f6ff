//! Views of the function tables: every row is named once and documented, every example holds,
//! every kernel gives the same for constants and arrays.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::compute::{concat, take};
use datafusion::common::ScalarValue;
use datafusion::common::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs};

use super::adapter::Adapter;
use super::function::{Body, Function, Nulls};
use super::registry;
use super::testing::{answer, plan};
use crate::error::{ErrorKind, Result};
use crate::types::Type;

/// The functions whose examples are scalar expressions.
fn scalars() -> impl Iterator<Item = &'static Function> {
    registry().functions().filter(|function| {
        matches!(function.body, Body::Scalar { .. } | Body::Native { .. } | Body::Rewrite(_))
    })
}

#[test]
fn names_are_unique_and_documented() {
    let mut owners: HashMap<&str, &str> = HashMap::new();
    for function in registry().functions() {
        for name in function.names() {
            if let Some(other) = owners.insert(name, function.name) {
                panic!("{name} names both {other} and {}", function.name);
            }
        }
        assert!(function.doc.ends_with('.'), "{} is not documented", function.name);
        let internal = function.name.starts_with("__");
        assert!(internal || !function.examples.is_empty(), "{} has no example", function.name);
        assert!(function.optional <= function.args.len(), "{}", function.name);
    }
}

#[tokio::test]
async fn examples_hold() {
    let mut wrong = Vec::new();
    for function in registry().functions() {
        for (text, expected) in function.examples {
            match answer(text).await {
                Ok(found) if found == *expected => {}
                Ok(found) => wrong.push(format!("{text} gives {found}, not {expected}")),
                Err(error) if *expected == format!("error: {error}") => {}
                Err(error) => wrong.push(format!("{text}: {error:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

/// Runs a call with each argument as array, first alone, then all together.
#[test]
fn kernels_agree_on_constants_and_arrays() {
    let mut wrong = Vec::new();
    for function in scalars().filter(|f| matches!(f.body, Body::Scalar { .. })) {
        let results = function.examples.iter().filter(|(_, gives)| !gives.starts_with("error"));
        for (text, _) in results {
            let Ok(value) = plan(text) else { continue };
            check_kernels(&value.expr, text, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

/// Checks the call at the root, when it is one with constant arguments.
fn check_kernels(expr: &Expr, text: &str, wrong: &mut Vec<String>) {
    let Expr::ScalarFunction(call) = expr else { return };
    let Some(function) = registry().get(call.func.name()) else { return };
    let Body::Scalar { nulls, .. } = function.body else { return };
    let constants: Option<Vec<_>> = call.args.iter().map(fold).collect();
    let Some(constants) = constants else { return };
    let all = (0..constants.len()).map(|i| vec![i]).chain([(0..constants.len()).collect()]);
    for varying in all.filter(|varying: &Vec<usize>| !varying.is_empty()) {
        if let Err(reason) = check_varying(function, nulls, &constants, &varying) {
            wrong.push(format!("{text}, arguments {varying:?} as arrays: {reason}"));
        }
    }
}

/// The constant that an expression without columns comes to.
fn fold(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        Expr::ScalarFunction(call) => {
            let args: Option<Vec<_>> = call.args.iter().map(fold).collect();
            let function = registry().get(call.func.name())?;
            matches!(function.body, Body::Scalar { .. }).then_some(())?;
            match invoke(function, constants(&args?), 1).ok()? {
                ColumnarValue::Scalar(value) => Some(value),
                ColumnarValue::Array(_) => None,
            }
        }
        _ => None,
    }
}

fn constants(values: &[ScalarValue]) -> Vec<ColumnarValue> {
    values.iter().cloned().map(ColumnarValue::Scalar).collect()
}

fn invoke(
    function: &'static Function,
    args: Vec<ColumnarValue>,
    rows: usize,
) -> Result<ColumnarValue> {
    let udf = Adapter::udf(function, hedgerow_parser::Span::default());
    let fields: Vec<_> = args
        .iter()
        .map(|arg| {
            Arc::new(
                Type::from_field(&arrow::datatypes::Field::new("", arg.data_type(), true))
                    .to_field("", true),
            )
        })
        .collect();
    let scalars: Vec<_> = args
        .iter()
        .map(|arg| match arg {
            ColumnarValue::Scalar(value) => Some(value),
            ColumnarValue::Array(_) => None,
        })
        .collect();
    let facts = ReturnFieldArgs { arg_fields: &fields, scalar_arguments: &scalars };
    let return_field = udf.return_field_from_args(facts)?;
    let config_options = Arc::new(ConfigOptions::default());
    let call = ScalarFunctionArgs {
        args,
        arg_fields: fields,
        number_rows: rows,
        return_field,
        config_options,
    };
    Ok(udf.invoke_with_args(call)?)
}

/// Rows of an array argument: the value, NULL, the value.
fn column(value: &ScalarValue) -> ArrayRef {
    let one = value.to_array_of_size(1).unwrap();
    let null = new_null_array(one.data_type(), 1);
    concat(&[&one, &null, &one]).unwrap()
}

fn check_varying(
    function: &'static Function,
    nulls: Nulls,
    values: &[ScalarValue],
    varying: &[usize],
) -> Result<(), String> {
    let expected = match invoke(function, constants(values), 1) {
        Ok(ColumnarValue::Scalar(value)) => value,
        Ok(ColumnarValue::Array(_)) => return Ok(()),
        Err(error) => return Err(format!("constant: {error:?}")),
    };
    let with = |shape: &dyn Fn(&ScalarValue) -> ArrayRef, rows: usize| {
        let mut args = constants(values);
        for index in varying {
            args[*index] = ColumnarValue::Array(shape(&values[*index]));
        }
        let result = match invoke(function, args, rows) {
            // Units, zones and lengths must be constant.
            Err(error)
                if matches!(error.kind, ErrorKind::Internal | ErrorKind::InvalidArgument) =>
            {
                return Ok(None);
            }
            result => result.map_err(|error| format!("{error:?}"))?,
        };
        let array = result.into_array(rows).map_err(|error| error.to_string())?;
        if array.len() != rows {
            return Err(format!("{} rows for {rows}", array.len()));
        }
        Ok(Some(array))
    };
    let same = |array: &ArrayRef, row: usize| {
        let found = ScalarValue::try_from_array(array, row).unwrap();
        if found == expected {
            Ok(())
        } else {
            Err(format!("row {row} is {found}, not {expected}"))
        }
    };
    let sliced = |value: &ScalarValue| {
        let column = column(value);
        concat(&[&column, &column]).unwrap().slice(2, 2)
    };
    let empty = |value: &ScalarValue| column(value).slice(0, 0);
    let null = |value: &ScalarValue| new_null_array(&value.data_type(), 2);
    let gathered = |value: &ScalarValue| {
        let rows = arrow::array::UInt32Array::from(vec![2, 0, 1]);
        take(&column(value), &rows, None).unwrap()
    };
    let Some(array) = with(&column, 3)? else { return Ok(()) };
    same(&array, 0)?;
    same(&array, 2)?;
    if matches!(nulls, Nulls::Propagate | Nulls::Introduce) && array.is_valid(1) {
        return Err("NULL was not propagated".to_owned());
    }
    if let Some(array) = with(&sliced, 2)? {
        same(&array, 0)?;
        same(&array, 1)?;
    }
    if let Some(array) = with(&gathered, 3)? {
        same(&array, 0)?;
    }
    with(&empty, 0)?;
    if let Some(array) = with(&null, 2)?
        && matches!(nulls, Nulls::Propagate | Nulls::Introduce)
        && array.null_count() != 2
    {
        return Err("all NULL was not propagated".to_owned());
    }
    Ok(())
}

fn check_error(text: &str, kind: ErrorKind, message: &str, hint: Option<&str>) {
    let error = plan(text).unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (kind, message), "{text}");
    assert_eq!(error.hint.as_deref(), hint, "{text}");
    assert!(error.span.is_some() || kind == ErrorKind::UnknownFunction, "{text}");
}

#[test]
fn wrong_calls_are_explained() {
    use ErrorKind::{InvalidArgument, InvalidDateTime, TypeMismatch, UnknownFunction};
    check_error(
        "startWith('a', 'b')",
        UnknownFunction,
        "no function named startWith",
        Some("Did you mean startsWith?"),
    );
    check_error(
        "startsWith('a')",
        UnknownFunction,
        "function startsWith expects 2 arguments, found 1",
        Some("Write it as startsWith(text, text)."),
    );
    check_error(
        "trim()",
        UnknownFunction,
        "function trim expects 1 to 2 arguments, found 0",
        Some("Write it as trim(text[, text])."),
    );
    check_error(
        "lower(5)",
        TypeMismatch,
        "argument 1 of function lower must be text, found Int64",
        Some("Write it as lower(text)."),
    );
    check_error(
        "1 + 'a'",
        TypeMismatch,
        "operator + cannot be applied to Int64 and String",
        Some("Convert the text with toFloat(...) or toInt(...)."),
    );
    check_error(
        "lower('a') > 5",
        TypeMismatch,
        "String cannot be compared with Int64",
        Some("Convert it with toInt(...)."),
    );
    check_error(
        "toHour('2024-13-01')",
        InvalidDateTime,
        "cannot read '2024-13-01' as DateTime",
        Some("Write times as '2024-03-10 12:30:00'."),
    );
    check_error(
        "match('a', '(')",
        InvalidArgument,
        "invalid regular expression: unclosed group",
        None,
    );
    check_error(
        "toTimeZone(now(), 'Mars/Base')",
        InvalidArgument,
        "no time zone named 'Mars/Base'",
        Some("Use a name such as 'Europe/Berlin' or 'UTC'."),
    );
    check_error(
        "dateDiff('eon', today(), today())",
        InvalidArgument,
        "no unit of time named 'eon'",
        Some("Use second, minute, hour, day, week, month, quarter or year."),
    );
    check_error(
        "[1, 'a']",
        TypeMismatch,
        "Int64 and String have no common type",
        Some("Convert it with toInt(...)."),
    );
}

/// Expected values are ClickHouse's.
#[tokio::test]
async fn dates_follow_the_clock_of_their_zone() {
    let new_york = |text: &str| format!("toDateTime('{text}', 'America/New_York')");
    let cases = [
        (format!("{} + INTERVAL_1_DAY", new_york("2024-03-09 12:00:00")), "2024-03-10 12:00:00"),
        (format!("{} + INTERVAL_24_HOUR", new_york("2024-03-09 12:00:00")), "2024-03-10 13:00:00"),
        (format!("{} + INTERVAL_1_DAY", new_york("2024-03-09 02:30:00")), "2024-03-10 01:30:00"),
        (format!("toStartOfDay({})", new_york("2024-03-10 12:00:00")), "2024-03-10 00:00:00"),
        (format!("toUnixTimestamp(toStartOfDay({}))", new_york("2024-03-10 12:00:00")), "1710046800"),
        (format!("toDate({})", new_york("2024-03-10 23:30:00")), "2024-03-10"),
        (format!("toHour(toTimeZone({}, 'Asia/Kolkata'))", new_york("2024-03-10 23:30:00")), "9"),
        ("toStartOfHour(toDateTime('2024-03-13 12:34:56', 'Asia/Kolkata'))".to_owned(), "2024-03-13 12:00:00"),
        ("toStartOfInterval(toDateTime('2024-03-13 12:34:56', 'Europe/Berlin'), toIntervalHour(5))".to_owned(), "2024-03-13 10:00:00"),
        ("toStartOfInterval(toDateTime('2024-03-13 12:34:56', 'Europe/Berlin'), toIntervalDay(3))".to_owned(), "2024-03-12 00:00:00"),
        ("dateDiff('day', toDateTime('2024-03-10 00:00:00', 'America/New_York'), toDateTime('2024-03-11 00:00:00', 'America/New_York'))".to_owned(), "1"),
        ("dateDiff('hour', toDateTime('2024-03-10 00:00:00', 'America/New_York'), toDateTime('2024-03-11 00:00:00', 'America/New_York'))".to_owned(), "23"),
        ("toDate('2024-01-01') + INTERVAL_24_HOUR".to_owned(), "2024-01-02 00:00:00"),
        ("toDate('2024-01-01') - 1".to_owned(), "2023-12-31"),
        ("toDateTime('2024-01-01 00:00:30') - toDateTime('2024-01-01 00:00:00')".to_owned(), "30"),
    ];
    for (text, expected) in cases {
        let text = text
            .replace("INTERVAL_1_DAY", "toIntervalDay(1)")
            .replace("INTERVAL_24_HOUR", "toIntervalHour(24)");
        assert_eq!(answer(&text).await.unwrap(), expected, "{text}");
    }
}

#[tokio::test]
async fn execution_errors_keep_their_kind() {
    for (text, kind) in [
        ("5 % 0", ErrorKind::DivisionByZero),
        ("intDiv(5, 0)", ErrorKind::DivisionByZero),
        ("CAST('2024-99-01' AS Date)", ErrorKind::InvalidDateTime),
        ("CAST('x' AS UUID)", ErrorKind::InvalidText),
        ("repeat('x', 1000000000)", ErrorKind::OutOfRange),
        ("range(1000000000000)", ErrorKind::OutOfRange),
        ("base64Decode('!')", ErrorKind::InvalidText),
    ] {
        assert_eq!(answer(text).await.unwrap_err().kind, kind, "{text}");
    }
}

#[tokio::test]
async fn casts_are_lenient_with_numbers() {
    for (text, expected) in [
        ("CAST('x' AS Int)", "NULL"),
        ("CAST(1.7 AS integer)", "1"),
        ("CAST('1.5' AS double precision)", "1.5"),
        ("CAST(1 AS boolean)", "true"),
        ("TRY_CAST('x' AS UUID)", "NULL"),
        ("CAST('2024-03-10 12:00:00' AS timestamptz)", "2024-03-10 12:00:00"),
        ("CAST([1, 2] AS Array(String))", "['1','2']"),
        ("CAST(5 AS numeric(10, 2))", "5"),
        ("CAST('1.999' AS Decimal(10, 2))", "1.99"),
        ("CAST(NULL AS Int)", "NULL"),
    ] {
        assert_eq!(answer(text).await.unwrap(), expected, "{text}");
    }
}

/// Values that functions tend to forget.
const ODD: &[&str] = &[
    "NULL",
    "''",
    "'é, x'",
    "'2024-03-10'",
    "'day'",
    "'UTC'",
    "'{\"a\":[1]}'",
    "0",
    "-1",
    "7",
    "9223372036854775807",
    "1.5",
    "-1e300",
    "0 / 0",
    "true",
    "[]",
    "[NULL]",
    "[1, 2]",
    "['a', 'b']",
    "[[1], []]",
    "(1, 'a')",
    "map('a', 1)",
    "map()",
    "toDate('2024-03-10')",
    "toDateTime('2024-03-10 12:30:00.5', 'America/New_York')",
    "toIntervalDay(1)",
    "'Int64'",
    "toUUID('550e8400-e29b-41d4-a716-446655440000')",
    "toDecimal(1.5, 2)",
];

/// Whatever the arguments, a call gives a value or an error that is not ours.
#[tokio::test]
async fn odd_arguments_are_no_bugs() {
    use rand::SeedableRng as _;
    use rand::seq::IndexedRandom as _;
    let calls_per_arity: usize =
        std::env::var("HEDGEROW_ODD_CALLS").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let mut wrong = Vec::new();
    for function in scalars().filter(|function| !function.name.starts_with("__")) {
        let arity = function.arity();
        let most = arity.max.unwrap_or(arity.min + 2).min(arity.min + 2);
        for count in arity.min..=most {
            for _ in 0..calls_per_arity {
                let args: Vec<_> =
                    (0..count).map(|_| *ODD.choose(&mut random).unwrap_or(&"1")).collect();
                let text = format!("{}({})", function.name, args.join(", "));
                let text_of_task = text.clone();
                let task = tokio::spawn(async move { answer(&text_of_task).await });
                match task.await {
                    Ok(Err(error)) if error.kind == ErrorKind::Internal => {
                        wrong.push(format!("{text}: {error}"));
                    }
                    Ok(_) => {}
                    Err(panic) => wrong.push(format!("{text}: {panic}")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}
