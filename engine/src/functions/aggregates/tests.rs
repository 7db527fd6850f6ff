//! Aggregates over the test table, by group and as a whole, against ClickHouse 26.9: `select
//! toString(<expression>) from ... group by g order by g` in chdb.

use arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::EmitTo;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;

use crate::error::{Error, ErrorKind};
use crate::functions::function::Body;
use crate::functions::registry;
use crate::functions::testing::{TestTable, alike, batch, check, show};
use crate::types::Type;

#[tokio::test]
async fn groups_are_as_in_clickhouse() {
    check(BY_GROUP, &["g"]).await;
}

#[tokio::test]
async fn whole_tables_are_as_in_clickhouse() {
    check(WHOLE, &[]).await;
}

/// The ways DataFusion drives an aggregate: rows straight to results, rows to states and on,
/// each row its own state, groups written as soon as they are complete.
#[tokio::test]
async fn all_ways_lead_to_the_same_answer() {
    let table = TestTable::numbers();
    let mut wrong = Vec::new();
    for (text, _) in BY_GROUP.iter().filter(|(text, _)| !text.contains("If(")) {
        let (aggregate, ty) = table.aggregate(text).await.unwrap();
        let expected = straight(&aggregate, &ty);
        let ways = [("states", states(&aggregate, &ty)), ("early", early(&aggregate, &ty))];
        for (way, found) in ways {
            if !found.iter().zip(&expected).all(|(a, b)| alike(a, b)) {
                wrong.push(format!("{text} by {way}\n  gives {found:?}\n  not   {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

/// Groups of ten rows, in the order of the rows.
fn by_ten(rows: std::ops::Range<i64>) -> Vec<usize> {
    rows.map(|row| (row / 10) as usize).collect()
}

fn arguments(aggregate: &AggregateFunctionExpr, rows: std::ops::Range<i64>) -> Vec<ArrayRef> {
    let batch = batch(rows);
    let args = aggregate.expressions().into_iter();
    args.map(|arg| arg.evaluate(&batch).unwrap().into_array(batch.num_rows()).unwrap()).collect()
}

fn shown(array: &ArrayRef, ty: &Type) -> Vec<String> {
    (0..array.len()).map(|row| show(array, ty, row)).collect()
}

fn straight(aggregate: &AggregateFunctionExpr, ty: &Type) -> Vec<String> {
    let mut groups = aggregate.create_groups_accumulator().unwrap();
    let args = arguments(aggregate, 0..300);
    groups.update_batch(&args, &by_ten(0..300), None, 30).unwrap();
    shown(&groups.evaluate(EmitTo::All).unwrap(), ty)
}

fn states(aggregate: &AggregateFunctionExpr, ty: &Type) -> Vec<String> {
    let mut last = aggregate.create_groups_accumulator().unwrap();
    for first in (0..300).step_by(75) {
        let rows = first..first + 75;
        let (args, groups) = (arguments(aggregate, rows.clone()), by_ten(rows));
        let mut partial = aggregate.create_groups_accumulator().unwrap();
        let written = if first % 2 == 0 {
            partial.update_batch(&args, &groups, None, 30).unwrap();
            let written = partial.state(EmitTo::All).unwrap();
            (written, (0..30).collect())
        } else {
            (partial.convert_to_state(&args, None).unwrap(), groups)
        };
        last.merge_batch(&written.0, &written.1, 30).unwrap();
    }
    assert!(last.size() > 0);
    shown(&last.evaluate(EmitTo::All).unwrap(), ty)
}

fn early(aggregate: &AggregateFunctionExpr, ty: &Type) -> Vec<String> {
    let mut groups = aggregate.create_groups_accumulator().unwrap();
    let mut written = Vec::new();
    for first in (0..300).step_by(15) {
        let gone = written.len();
        let local: Vec<_> = by_ten(first..first + 15).iter().map(|group| group - gone).collect();
        let open = local[local.len() - 1] + 1;
        groups.update_batch(&arguments(aggregate, first..first + 15), &local, None, open).unwrap();
        let complete = groups.evaluate(EmitTo::First(open - 1)).unwrap();
        written.extend(shown(&complete, ty));
    }
    written.extend(shown(&groups.evaluate(EmitTo::All).unwrap(), ty));
    written
}

/// States written by (g, w) and merged by g give what g alone gives.
#[tokio::test]
async fn written_states_merge() {
    let cases = [
        ("count", "", "()", ""),
        ("count", "", "(n)", ""),
        ("sum", "", "(n)", ""),
        ("sum", "If", "(f, b)", ""),
        ("avg", "", "(n)", ""),
        ("min", "", "(s)", ""),
        ("max", "", "(f)", ""),
        ("uniq", "", "(s)", ""),
        ("uniqExact", "If", "(n, m, b)", ""),
        ("argMax", "", "(s, k)", ""),
        ("groupBitXor", "", "(i)", ""),
        ("quantile", "", "(f)", "(0.3)"),
        ("quantiles", "", "(n)", "(0.3, 0.9)"),
        ("varSamp", "", "(f)", ""),
        ("kurtPop", "", "(f)", ""),
        ("corr", "", "(i, f)", ""),
        ("topK", "", "(k)", "(3)"),
        ("windowFunnel", "", "(t, i = 1, i = 2, i = 3)", "(20)"),
        ("sumMap", "", "([w, i], [i, k])", ""),
        ("sumForEach", "", "(a)", ""),
        ("uniqArray", "", "(a)", ""),
        ("sumArgMax", "", "(i, k)", ""),
    ];
    let table = TestTable::numbers();
    for (name, condition, args, params) in cases {
        let state = format!("{name}State{condition}{params}{args}");
        let states = table.derive("state", &state, &["g", "w"]).await.unwrap();
        let merged = format!("{name}Merge{params}(state)");
        let merged = states.answer(&merged, &["g"]).await.unwrap();
        let direct = format!("{name}{condition}{params}{args}");
        let direct = table.answer(&direct, &["g"]).await.unwrap();
        assert!(
            merged.iter().zip(&direct).all(|(a, b)| alike(a, b)),
            "{state}\n  merged {merged:?}\n  direct {direct:?}"
        );
    }
}

#[tokio::test]
async fn wrong_calls_are_explained() {
    let cases = [
        ("sumMerge(i)", ErrorKind::TypeMismatch),
        ("sum(s)", ErrorKind::TypeMismatch),
        ("sumArray(i)", ErrorKind::TypeMismatch),
        ("sumIf(i)", ErrorKind::UnknownFunction),
        ("sum(i, i)", ErrorKind::UnknownFunction),
        ("argMax(i)", ErrorKind::UnknownFunction),
        ("quantile(2)(i)", ErrorKind::InvalidArgument),
        ("quantile('a')(i)", ErrorKind::InvalidArgument),
        ("quantile(i)(i)", ErrorKind::InvalidArgument),
        ("quantile(0.1, 0.2)(i)", ErrorKind::UnknownFunction),
        ("groupArray(-1)(i)", ErrorKind::InvalidArgument),
        ("sumDistinctState(i)", ErrorKind::Unsupported),
        ("sumSimpleState(i)", ErrorKind::UnknownFunction),
        ("windowFunnel('a')(t, b)", ErrorKind::InvalidArgument),
        ("windowFunnel(1, 'often')(t, b)", ErrorKind::InvalidArgument),
        ("windowFunnel(1, 'strict_once')(t, b)", ErrorKind::Unsupported),
        ("windowFunnel(1)(s, b)", ErrorKind::TypeMismatch),
        ("sumMap([w], [w, w])", ErrorKind::InvalidArgument),
        ("sumForEach([w], [w, w])", ErrorKind::UnknownFunction),
        ("topKWeighted(1)(s, z)", ErrorKind::InvalidArgument),
        ("quantileExactWeighted(0.5)(i, z)", ErrorKind::InvalidArgument),
        ("sumif(i, b)", ErrorKind::UnknownFunction),
    ];
    let table = TestTable::numbers();
    for (text, kind) in cases {
        let error = table.answer(text, &["g"]).await.err();
        assert_eq!(error.as_ref().map(|error| error.kind), Some(kind), "{text}: {error:?}");
    }
}

/// No aggregate panics, or blames itself, whatever its arguments are.
#[tokio::test]
async fn every_type_is_taken_or_refused() {
    let (table, rows) = TestTable::of_all_types();
    let columns: Vec<_> = rows.schema().fields().iter().map(|f| f.name().clone()).collect();
    let aggregates: Vec<_> = registry()
        .functions()
        .filter(|function| matches!(function.body, Body::Aggregate(_)))
        .collect();
    for (function, column) in aggregates.iter().flat_map(|f| columns.iter().map(move |c| (f, c))) {
        let name = function.name;
        let params = if function.params.min > 0 { "(1)" } else { "" };
        let args = |argument: &str| vec![argument; function.args.len()].join(", ");
        let forms = [
            format!("{name}{params}({})", args(column)),
            format!("{name}State{params}({})", args(column)),
            format!("{name}OrNull{params}({})", args(column)),
            format!("{name}ArgMax{params}({}, {column})", args(column)),
            format!("{name}Array{params}({})", args(&format!("[{column}, NULL]"))),
            format!("{name}ForEach{params}({})", args(&format!("[{column}, NULL]"))),
            format!("{name}Map{params}([{column}], [{column}])"),
            format!("{name}{params}(distinct {})", args(column)),
            format!("{name}{params}({} order by {column})", args(column)),
        ];
        for text in forms {
            let run = match table.aggregate(&text).await {
                Ok((aggregate, _)) => through_states(&aggregate, &rows).map_err(Error::from),
                Err(error) => Err(error),
            };
            let blamed = run.as_ref().is_err_and(|error| error.kind == ErrorKind::Internal);
            assert!(!blamed, "{text}: {run:?}");
        }
    }
}

fn through_states(aggregate: &AggregateFunctionExpr, rows: &RecordBatch) -> DataFusionResult<()> {
    let args = aggregate.expressions().into_iter().map(|arg| arg.evaluate(rows));
    let args = args.map(|arg| arg?.into_array(rows.num_rows()));
    let args = args.collect::<DataFusionResult<Vec<_>>>()?;
    let mut first = aggregate.create_groups_accumulator()?;
    let mut last = aggregate.create_groups_accumulator()?;
    first.update_batch(&args, &[0, 1, 0], None, 3)?;
    last.merge_batch(&first.state(EmitTo::All)?, &[1, 1, 0], 2)?;
    assert_eq!(last.evaluate(EmitTo::All)?.len(), 2);
    Ok(())
}

#[rustfmt::skip]
const BY_GROUP: &[(&str, &[&str])] = &[
    // Counts and sums.
    ("count()", &["100", "100", "100"]),
    ("count(n)", &["75", "75", "75"]),
    ("countIf(b)", &["50", "50", "50"]),
    ("sum(i)", &["495", "502", "498"]),
    ("sum(n)", &["150", "150", "150"]),
    ("sum(i = 3)", &["9", "9", "10"]),
    ("sum(f)", &["199.25", "201.25", "199"]),
    ("avg(i)", &["4.95", "5.02", "4.98"]),
    ("avg(n)", &["2", "2", "2"]),
    ("avgIf(n, b)", &["2", "2", "2"]),
    ("sumIf(f, n > 2)", &["65.5", "58.75", "58.75"]),
    ("avgWeighted(i, w)", &["4.993265993265993", "4.976588628762542", "4.93687707641196"]),
    ("sumIf(i, k > 1000)", &["0", "0", "0"]),
    ("sumIf(n, k > 1000)", &["NULL", "NULL", "NULL"]),
    ("avgIf(i, k > 1000)", &["nan", "nan", "nan"]),
    ("minIf(s, k > 1000)", &["", "", ""]),
    ("maxIf(t, k > 1000)", &["1970-01-01 00:00:00", "1970-01-01 00:00:00", "1970-01-01 00:00:00"]),
    ("sumOrNullIf(i, k > 1000)", &["NULL", "NULL", "NULL"]),
    ("countOrNullIf(k > 1000)", &["NULL", "NULL", "NULL"]),
    ("avgOrDefaultIf(i, k > 1000)", &["0", "0", "0"]),
    // One row of many.
    ("min(s)", &["u0", "u0", "u0"]),
    ("max(f)", &["4", "4", "4"]),
    ("min(t)", &["1970-01-01 00:00:00", "1970-01-01 00:00:00", "1970-01-01 00:00:00"]),
    ("min((w, i))", &["(0,0)", "(0,0)", "(0,0)"]),
    ("max(a)", &["[0,1,2]", "[0,1,2]", "[0,1,2]"]),
    ("argMax(s, k)", &["u21", "u22", "u0"]),
    ("argMin(s, k)", &["u0", "u1", "u2"]),
    ("argMax(k, (w, i, k))", &["69", "223", "146"]),
    ("argMaxIf(s, k, b)", &["u18", "u22", "u20"]),
    ("argMin(n, k)", &["3", "1", "2"]),
    ("any(if(k < 5, NULL, 'x'))", &["x", "x", "x"]),
    ("anyLast(if(k < 5, NULL, 'x'))", &["x", "x", "x"]),
    // Distinct values.
    ("uniq(i)", &["11", "11", "11"]),
    ("uniqExact(s)", &["23", "23", "23"]),
    ("uniqExact(n)", &["5", "5", "5"]),
    ("uniqExact(n, m)", &["15", "15", "15"]),
    ("uniqExact(a)", &["4", "4", "4"]),
    ("uniqExact(t)", &["100", "100", "100"]),
    ("uniqExact(b)", &["2", "2", "2"]),
    ("uniqIf(s, b)", &["23", "23", "23"]),
    ("countDistinct(f)", &["17", "17", "17"]),
    ("count(distinct m)", &["3", "3", "3"]),
    ("arraySort(groupUniqArray(n))", &["[0,1,2,3,4]", "[0,1,2,3,4]", "[0,1,2,3,4]"]),
    ("arraySort(groupUniqArray(m))", &["['v0','v3','v6']", "['v1','v4','v7']", "['v2','v5','v8']"]),
    ("length(groupUniqArray(3)(s))", &["3", "3", "3"]),
    ("entropy(i)", &["3.4587308789879074", "3.4587308789879074", "3.4587308789879074"]),
    ("sum(distinct i)", &["55", "55", "55"]),
    ("sumDistinct(n)", &["10", "10", "10"]),
    ("sumDistinctIf(n, b)", &["10", "10", "10"]),
    // Arrays.
    ("arraySort(groupArray(n))", &["[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4]", "[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4]", "[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4]"]),
    ("length(groupArray(7)(s))", &["7", "7", "7"]),
    ("arraySort(groupArrayArray(a))", &["[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2]", "[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2]", "[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2]"]),
    ("groupUniqArrayArray(a)", &["[0,1,2]", "[0,1,2]", "[0,1,2]"]),
    ("length(groupArrayIf(s, k < 10))", &["4", "3", "3"]),
    ("groupArrayIf(s, k > 1000)", &["[]", "[]", "[]"]),
    // Quantiles.
    ("quantile(0.3)(i)", &["3", "3", "3"]),
    ("quantile(f)", &["2", "2", "2"]),
    ("median(n)", &["2", "2", "2"]),
    ("medianIf(n, b)", &["2", "2", "2"]),
    ("quantiles(0.1, 0.5, 0.99)(f)", &["[0.25,2,4]", "[0.25,2,4]", "[0.25,2,4]"]),
    ("quantileExact(0.3)(i)", &["3", "3", "3"]),
    ("quantileExact(t)", &["1970-01-01 00:00:50", "1970-01-01 00:00:51", "1970-01-01 00:00:50"]),
    ("quantilesExact(0.1, 0.9)(n)", &["[0,4]", "[0,4]", "[0,4]"]),
    ("medianExact(f)", &["2", "2", "2"]),
    ("quantileExactLow(0.5)(i)", &["5", "5", "5"]),
    ("quantileExactHigh(0.5)(i)", &["5", "5", "5"]),
    ("quantileExactInclusive(0.3)(i)", &["3", "3", "3"]),
    ("quantileExactExclusive(0.3)(i)", &["3", "3", "3"]),
    ("quantileExactWeighted(0.7)(i, w)", &["7", "7", "7"]),
    ("quantileIf(0.9)(i, k > 1000)", &["nan", "nan", "nan"]),
    ("quantileIf(0.9)(n, k > 1000)", &["NULL", "NULL", "NULL"]),
    ("quantilesIf(0.9)(n, k > 1000)", &["[nan]", "[nan]", "[nan]"]),
    ("quantileExactIf(0.9)(i, k > 1000)", &["0", "0", "0"]),
    // Statistics; compared as numbers.
    ("varPop(i)", &["10.1475", "9.9396", "9.9396"]),
    ("varSamp(n)", &["2.027027027027027", "2.027027027027027", "2.027027027027027"]),
    ("stddevPop(f)", &["1.2326064862720785", "1.2305359604660076", "1.2165114056185418"]),
    ("stddevSamp(f)", &["1.2388161300372238", "1.2367351733046525", "1.2226399653407722"]),
    ("skewPop(f)", &["0.012997840497828888", "-0.019993502804871045", "-0.01422084287524072"]),
    ("skewSamp(i)", &["0.008296254960813801", "-0.016232006506436993", "0.016232006506436993"]),
    ("kurtPop(i)", &["1.7710898395015038", "1.7854779922524913", "1.7854779922524913"]),
    ("kurtSamp(n)", &["1.6549688888888885", "1.6549688888888885", "1.6549688888888885"]),
    ("covarPop(i, f)", &["-0.12037500000000023", "-0.08274999999999977", "0.2598000000000002"]),
    ("covarSamp(i, n)", &["0", "0.13513513513513514", "0.13513513513513514"]),
    ("corr(i, f)", &["-0.030657188300595013", "-0.02132992060723172", "0.06773895739993899"]),
    ("corrIf(i, f, k > 1000)", &["nan", "nan", "nan"]),
    ("varSampIf(i, k = 7)", &["nan", "nan", "nan"]),
    // Bits.
    ("groupBitAnd(i)", &["0", "0", "0"]),
    ("groupBitOr(i)", &["15", "15", "15"]),
    ("groupBitXor(n)", &["4", "4", "4"]),
    ("groupBitAndIf(i, k > 1000)", &["-1", "-1", "-1"]),
    // Combinators.
    ("sumArray(a)", &["100", "100", "100"]),
    ("avgArray(a)", &["0.6666666666666666", "0.6666666666666666", "0.6666666666666666"]),
    ("uniqArray(a)", &["3", "3", "3"]),
    ("countArray(a)", &["150", "150", "150"]),
    ("sumArrayIf(a, b)", &["25", "25", "25"]),
    ("sumForEach(a)", &["[0,50,50]", "[0,50,50]", "[0,50,50]"]),
    ("avgForEach(a)", &["[0,1,2]", "[0,1,2]", "[0,1,2]"]),
    ("uniqForEach(a)", &["[1,1,1]", "[1,1,1]", "[1,1,1]"]),
    ("maxForEachIf(a, b)", &["[0,1]", "[0,1]", "[0,1]"]),
    ("sumMap([w, i], [i, w])", &["([0,1,2,3,4,5,6,7,8,9,10],[97,97,100,100,97,93,100,29,23,31,25])", "([0,1,2,3,4,5,6,7,8,9,10],[99,103,96,99,106,96,92,32,25,26,27])", "([0,1,2,3,4,5,6,7,8,9,10],[102,98,98,100,94,104,98,23,31,25,26])"]),
    ("sumMap([w], [z])", &["([1,2,5,6],[-2,-1,1,2])", "([0,2,3,5],[1,2,-2,-1])", "([0,3,4,6],[-1,1,2,-2])"]),
    ("minMap([w], [f])", &["([0,1,2,3,4,5,6],[0,0,0,0,0,0.75,0])", "([0,1,2,3,4,5,6],[0,0,0,0,0.25,0,0])", "([0,1,2,3,4,5,6],[0,0.5,0,0,0,0,0])"]),
    ("maxMap([w], [f])", &["([0,1,2,3,4,5,6],[3.5,4,4,4,4,4,4])", "([0,1,2,3,4,5,6],[4,4,4,4,3.75,4,4])", "([0,1,2,3,4,5,6],[4,3.75,4,3.25,4,4,4])"]),
    ("sumMap(map(s, i))", &["{'u0':34,'u1':6,'u10':27,'u11':6,'u12':25,'u13':34,'u14':13,'u15':20,'u16':30,'u17':20,'u18':15,'u19':26,'u2':18,'u20':27,'u21':10,'u22':22,'u3':40,'u4':13,'u5':14,'u6':35,'u7':20,'u8':10,'u9':30}", "{'u0':6,'u1':25,'u10':10,'u11':22,'u12':34,'u13':16,'u14':18,'u15':30,'u16':22,'u17':14,'u18':26,'u19':28,'u2':34,'u20':10,'u21':22,'u22':34,'u3':13,'u4':20,'u5':30,'u6':20,'u7':15,'u8':26,'u9':27}", "{'u0':25,'u1':34,'u10':22,'u11':34,'u12':6,'u13':18,'u14':40,'u15':13,'u16':14,'u17':35,'u18':20,'u19':10,'u2':16,'u20':30,'u21':27,'u22':6,'u3':18,'u4':30,'u5':22,'u6':14,'u7':26,'u8':28,'u9':10}"]),
    ("countMap(map(toString(w), i))", &["{'0':15,'1':14,'2':14,'3':15,'4':14,'5':14,'6':14}", "{'0':14,'1':15,'2':14,'3':14,'4':15,'5':14,'6':14}", "{'0':14,'1':14,'2':15,'3':14,'4':14,'5':15,'6':14}"]),
    ("avgMapIf(map(toString(w), i), b)", &["{'0':4.625,'1':5.714285714285714,'2':4.571428571428571,'3':5,'4':5.428571428571429,'5':4.285714285714286,'6':4.714285714285714}", "{'0':4.714285714285714,'1':5.142857142857143,'2':5.571428571428571,'3':4.428571428571429,'4':5.125,'5':5.428571428571429,'6':4.285714285714286}", "{'0':5.714285714285714,'1':4.571428571428571,'2':4.875,'3':5.571428571428571,'4':4.428571428571429,'5':4.857142857142857,'6':5.285714285714286}"]),
    ("uniqMap(map(toString(w), s))", &["{'0':15,'1':14,'2':14,'3':15,'4':14,'5':14,'6':14}", "{'0':14,'1':15,'2':14,'3':14,'4':15,'5':14,'6':14}", "{'0':14,'1':14,'2':15,'3':14,'4':14,'5':15,'6':14}"]),
    ("sumArgMax(i, w)", &["72", "65", "69"]),
    ("countArgMin(w)", &["15", "14", "14"]),
    ("uniqArgMaxIf(s, w, b)", &["7", "7", "7"]),
    ("avgArgMin(f, i)", &["1.95", "1.8333333333333333", "1.9722222222222223"]),
    // Conditions in sequence.
    ("windowFunnel(20)(t, i = 1, i = 2, i = 3)", &["3", "3", "3"]),
    ("windowFunnel(3)(t, i < 4, i < 7, b, i = 9)", &["4", "4", "4"]),
    ("windowFunnel(60, 'strict_order')(t, i = 1, i = 2, i = 3)", &["1", "1", "1"]),
    ("windowFunnel(60, 'strict_increase')(t, i < 4, i < 7, b)", &["3", "3", "3"]),
    ("windowFunnel(60, 'strict_deduplication')(t, i = 1, i = 2, i = 3)", &["3", "3", "3"]),
    ("windowFunnel(60, 'strict_order', 'strict_increase')(t, i < 9, i < 10, i < 8)", &["1", "1", "1"]),
    ("windowFunnel(10)(k, i = 1, i = 8, i = 4)", &["1", "1", "1"]),
    ("retention(i = 1, i = 12, b)", &["[1,0,1]", "[1,0,1]", "[1,0,1]"]),
    ("retentionIf(i = 1, i = 2, k < 2)", &["[0,0]", "[0,0]", "[0,0]"]),
];

#[rustfmt::skip]
const WHOLE: &[(&str, &[&str])] = &[
    // The whole table.
    ("count()", &["300"]),
    ("sum(n)", &["450"]),
    ("uniq(s)", &["23"]),
    ("argMax(s, k)", &["u0"]),
    ("quantile(0.9)(f)", &["3.75"]),
    ("arraySort(groupUniqArray(n))", &["[0,1,2,3,4]"]),
    ("sumIf(n, k > 1000)", &["NULL"]),
    ("minIf(i, k > 1000)", &["0"]),
    ("uniqIf(s, k > 1000)", &["0"]),
    ("groupArrayIf(n, k > 1000)", &["[]"]),
    ("simpleLinearRegression(i, f)", &["(0.0019120299708616623,1.988805050645206)"]),
    ("windowFunnel(20)(t, i = 1, i = 2, i = 3)", &["3"]),
];
