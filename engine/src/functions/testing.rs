//! Expressions over small tables, for tests: just enough lowering for constants, columns,
//! operators, calls, lambdas and windows.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch,
    StringViewArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::concat;
use arrow::datatypes::Schema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ScalarValue, TableReference};
use datafusion::datasource::MemTable;
use datafusion::logical_expr as logical;
use datafusion::logical_expr::expr::{
    AggregateFunction, LambdaVariable, WindowFunction, WindowFunctionParams,
};
use datafusion::logical_expr::{
    WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use hedgerow_parser::ast::{self, ExprKind, FrameBound, FrameUnit, Literal, Over};
use hedgerow_parser::{Dialect, Span, parse_expr};

use super::aggregates::default_value;
use super::conversions::display::Display;
use super::higher_order::Lambda;
use super::{AggregateInput, Callable, PlanContext, Typed, arithmetic, call, coerce, registry};
use crate::error::{Error, Result};
use crate::types::Type;

/// A table and the parameters of the lambdas around an expression.
pub(super) struct TestContext {
    pub(super) timezone: &'static str,
    pub(super) schema: DFSchema,
}

impl PlanContext for TestContext {
    fn timezone(&self) -> &str {
        self.timezone
    }

    fn week_starts_monday(&self) -> bool {
        false
    }

    fn schema(&self) -> &DFSchema {
        &self.schema
    }
}

/// The parameters in scope, the innermost last.
type Params = Vec<(String, Type)>;

fn lower(cx: &TestContext, params: &Params, expr: &ast::Expr) -> Result<Typed> {
    let span = expr.span;
    let one = |expr: &ast::Expr| lower(cx, params, expr);
    let all = |exprs: &[ast::Expr]| exprs.iter().map(one).collect::<Result<Vec<_>>>();
    match &expr.kind {
        ExprKind::Literal(literal) => lower_literal(literal, span),
        ExprKind::Array(elements) => call(cx, span, "array", all(elements)?),
        ExprKind::Tuple(elements) => call(cx, span, "tuple", all(elements)?),
        ExprKind::Negate(value) => arithmetic::negate(cx, one(value)?, span),
        ExprKind::Binary(left, op, right) => {
            arithmetic::binary(cx, *op, one(left)?, one(right)?, span)
        }
        ExprKind::Field(parts) => Ok(lower_name(cx, params, &parts[0].name, span)),
        ExprKind::Cast { expr, target, safe } => {
            let target = Type::parse(target, cx.timezone)?;
            coerce::cast(one(expr)?, &target, *safe, cx.timezone)
        }
        ExprKind::Call(call) => lower_call(cx, params, call, span),
        ExprKind::Index { expr, index, .. } => {
            call(cx, span, "arrayElement", vec![one(expr)?, one(index)?])
        }
        ExprKind::Not(value) => call(cx, span, "not", vec![one(value)?]),
        other => Err(Error::internal(format!("tests do not use {other:?}"))),
    }
}

fn lower_name(cx: &TestContext, params: &Params, name: &str, span: Span) -> Typed {
    if matches!(name, "true" | "false") {
        return Typed::bool(name == "true", span);
    }
    if let Some((name, ty)) = params.iter().rev().find(|(param, _)| param == name) {
        let field = Arc::new(ty.to_field(name, true));
        let variable = LambdaVariable::new(name.clone(), Some(field));
        return Typed::new(logical::Expr::LambdaVariable(variable), ty.clone(), span);
    }
    let field = cx.schema.field_with_unqualified_name(name).unwrap();
    Typed::new(column(name), Type::from_field(field), span)
}

fn lower_literal(literal: &Literal, span: Span) -> Result<Typed> {
    Ok(match literal {
        Literal::Null => Typed::null(Type::Null, span)?,
        Literal::Bool(value) => Typed::bool(*value, span),
        Literal::Int(value) => Typed::int(*value, span),
        Literal::Float(value) => {
            Typed::constant(ScalarValue::Float64(Some(value.0)), Type::Float64, span)
        }
        Literal::String(text) => Typed::text(text, span),
        Literal::BigInt(digits) => panic!("tests do not use {digits}"),
    })
}

fn lower_call(cx: &TestContext, params: &Params, call: &ast::Call, span: Span) -> Result<Typed> {
    let all = |exprs: &[ast::Expr]| {
        exprs.iter().map(|expr| lower(cx, params, expr)).collect::<Result<Vec<_>>>()
    };
    let call_params = all(call.params.as_deref().unwrap_or_default())?;
    let value = match registry().lookup(&call.name.name, false)? {
        Callable::Scalar(function) => function.call(cx, span, call_params, all(&call.args)?)?,
        Callable::Aggregate(aggregate) => {
            let filter = call.filter.as_ref();
            let within = if call.order_by.is_empty() { &call.within_group } else { &call.order_by };
            let input = AggregateInput {
                span,
                params: call_params,
                args: all(&call.args)?,
                distinct: call.distinct,
                filter: filter.map(|filter| lower(cx, params, filter)).transpose()?,
                order_by: sort(cx, within)?,
                arrival: Vec::new(),
            };
            let value = aggregate.call(cx, input)?;
            match &call.over {
                Some(over) => {
                    let expr = over_window(cx, value.expr, over)?;
                    Typed { expr, ..value }
                }
                None => value,
            }
        }
        Callable::Window(function) => {
            let (definition, args, ty) = function.call_window(cx, span, all(&call.args)?)?;
            let expr = windowed(cx, definition, args, None, call.over.as_ref().unwrap())?;
            Typed::new(expr, ty, span)
        }
        Callable::HigherOrder(function) => {
            let (lambda, arrays) = match call.args.split_first() {
                Some((ast::Expr { kind: ExprKind::Lambda { params: names, body }, .. }, rest)) => {
                    let arrays = all(rest)?;
                    let types: Vec<_> = arrays.iter().map(|array| array.ty.clone()).collect();
                    let types = function.lambda_parameters(names.len(), &types)?;
                    let named = names.iter().map(|name| name.name.clone()).zip(types);
                    let named: Params = named.collect();
                    let scope = params.iter().chain(&named).cloned().collect();
                    let body = lower(cx, &scope, body)?;
                    (Some(Lambda { params: named, body }), arrays)
                }
                _ => (None, all(&call.args)?),
            };
            function.call_higher_order(cx, span, lambda, arrays)?
        }
    };
    Ok(value)
}

fn sort(cx: &TestContext, keys: &[ast::OrderBy]) -> Result<Vec<logical::SortExpr>> {
    let key = |key: &ast::OrderBy| {
        let expr = lower(cx, &Vec::new(), &key.expr)?.expr;
        Ok(expr.sort(!key.descending, key.nulls_first.unwrap_or(false)))
    };
    keys.iter().map(key).collect()
}

/// An aggregate expression with its aggregate over a window.
fn over_window(cx: &TestContext, expr: logical::Expr, over: &Over) -> Result<logical::Expr> {
    let windowed = |expr| match expr {
        logical::Expr::AggregateFunction(AggregateFunction { func, params }) => {
            let function = WindowFunctionDefinition::AggregateUDF(func);
            let expr = windowed(cx, function, params.args, params.filter, over)?;
            Ok(Transformed::yes(expr))
        }
        other => Ok(Transformed::no(other)),
    };
    Ok(expr.transform_up(windowed)?.data)
}

fn windowed(
    cx: &TestContext,
    fun: WindowFunctionDefinition,
    args: Vec<logical::Expr>,
    filter: Option<Box<logical::Expr>>,
    over: &Over,
) -> Result<logical::Expr> {
    let Over::Spec(spec) = over else { panic!("tests do not name windows") };
    let bound = |bound: &FrameBound| match bound {
        FrameBound::CurrentRow => WindowFrameBound::CurrentRow,
        FrameBound::UnboundedPreceding => WindowFrameBound::Preceding(ScalarValue::UInt64(None)),
        FrameBound::UnboundedFollowing => WindowFrameBound::Following(ScalarValue::UInt64(None)),
        FrameBound::Preceding(rows) => WindowFrameBound::Preceding(rows_of(rows)),
        FrameBound::Following(rows) => WindowFrameBound::Following(rows_of(rows)),
    };
    let frame = match &spec.frame {
        Some(frame) => WindowFrame::new_bounds(
            match frame.unit {
                FrameUnit::Rows => WindowFrameUnits::Rows,
                FrameUnit::Range => WindowFrameUnits::Range,
                FrameUnit::Groups => WindowFrameUnits::Groups,
            },
            bound(&frame.start),
            frame.end.as_ref().map_or(WindowFrameBound::CurrentRow, bound),
        ),
        None => WindowFrame::new((!spec.order_by.is_empty()).then_some(false)),
    };
    let partition_by = spec.partition_by.iter().map(|key| Ok(lower(cx, &Vec::new(), key)?.expr));
    let params = WindowFunctionParams {
        args,
        partition_by: partition_by.collect::<Result<_>>()?,
        order_by: sort(cx, &spec.order_by)?,
        window_frame: frame,
        filter,
        null_treatment: None,
        distinct: false,
    };
    Ok(logical::Expr::WindowFunction(Box::new(WindowFunction { fun, params })))
}

fn rows_of(expr: &ast::Expr) -> ScalarValue {
    match expr.kind {
        ExprKind::Literal(Literal::Int(rows)) => ScalarValue::UInt64(Some(rows as u64)),
        _ => panic!("a frame of tests counts rows"),
    }
}

/// An expression over no table.
pub(super) fn plan(text: &str) -> Result<Typed> {
    plan_over(&DFSchema::empty(), text)
}

fn plan_over(schema: &DFSchema, text: &str) -> Result<Typed> {
    let expr = parse_expr(text, Dialect::Hogql).map_err(Error::from)?;
    let cx = TestContext { timezone: "UTC", schema: schema.clone() };
    lower(&cx, &Vec::new(), &expr)
}

/// What an expression over one row without columns gives, as text.
pub(super) async fn answer(text: &str) -> Result<String> {
    let context = SessionContext::new();
    let one_row = context.read_empty()?;
    let mut rows = run(one_row, plan(text)?, &[]).await?;
    Ok(rows.swap_remove(0))
}

/// A table in several partitions and small batches, so that states are written and merged.
pub(super) struct TestTable {
    context: SessionContext,
}

impl TestTable {
    pub(super) fn new(partitions: Vec<Vec<RecordBatch>>) -> Self {
        let config =
            SessionConfig::new().with_target_partitions(partitions.len()).with_batch_size(64);
        let context = SessionContext::new_with_config(config);
        let table = MemTable::try_new(partitions[0][0].schema(), partitions).unwrap();
        context.register_table("t", Arc::new(table)).unwrap();
        Self { context }
    }

    /// 300 rows in three partitions: the columns of [`batch`], which in ClickHouse are
    /// ```sql
    /// select number % 3 as g, toInt64(number * 7 % 11) as i,
    ///     if(number % 4 = 0, NULL, toInt64(number % 5)) as n, (number * 13 % 17) / 4 as f,
    ///     concat('u', toString(number % 23)) as s, number % 2 = 0 as b,
    ///     toDateTime(number * 37 % 101, 'UTC') as t, range(number % 4) as a, number as k,
    ///     number % 7 as w, if(number % 6 = 0, NULL, concat('v', toString(number % 9))) as m,
    ///     toInt64(number % 5) - 2 as z
    /// from numbers(300)
    /// ```
    pub(super) fn numbers() -> Self {
        let partition =
            |first: i64| (0..4).map(move |b| batch(first + b * 75..first + b * 75 + 25));
        Self::new((0..3).map(|p| partition(p * 25).collect()).collect())
    }

    /// A default value, NULL and the default value again of every type; also as a batch.
    pub(super) fn of_all_types() -> (Self, RecordBatch) {
        let plain = vec![
            Type::Bool,
            Type::Int8,
            Type::Int32,
            Type::Int64,
            Type::UInt8,
            Type::UInt64,
            Type::Float32,
            Type::Float64,
            Type::Decimal(10, 2),
            Type::String,
            Type::Json,
            Type::Uuid,
            Type::Date,
            Type::utc(),
        ];
        let nested = vec![
            Type::Int64.array(),
            Type::String.array().array(),
            Type::tuple([Type::String, Type::Float64]),
            Type::Map(Box::new(Type::String), Box::new(Type::Int64)),
        ];
        let types: Vec<_> = plain.into_iter().chain(nested).collect();
        let columns = types.iter().map(|ty| {
            let value = default_value(ty).unwrap().to_array().unwrap();
            let null = new_null_array(&ty.to_arrow(), 1);
            concat(&[&value, &null, &value]).unwrap()
        });
        let fields = types.iter().enumerate();
        let fields = fields.map(|(i, ty)| ty.to_field(format!("c{i}"), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let batch = RecordBatch::try_new(schema, columns.collect()).unwrap();
        (Self::new(vec![vec![batch.clone()]]), batch)
    }

    /// A table of keys and, under a name, what an expression gives for each.
    pub(super) async fn derive(&self, name: &str, text: &str, keys: &[&str]) -> Result<Self> {
        let frame = self.context.table("t").await?;
        let value = plan_over(&frame.schema().clone().strip_qualifiers(), text)?;
        let frame = select(frame, value.expr, name, keys)?;
        Ok(Self::new(vec![frame.collect().await?]))
    }

    /// The aggregate in an expression, with the columns it works on and the type of its result.
    pub(super) async fn aggregate(&self, text: &str) -> Result<(AggregateFunctionExpr, Type)> {
        let frame = self.context.table("t").await?;
        let schema = frame.schema().clone().strip_qualifiers();
        let value = plan_over(&schema, text)?;
        let Some(logical::Expr::AggregateFunction(call)) = extract(value.expr)?.1 else {
            panic!("{text} has no aggregate")
        };
        let args = call.params.args.into_iter();
        let args = args.map(|arg| self.context.create_physical_expr(arg, &schema));
        let builder = AggregateExprBuilder::new(call.func, args.collect::<Result<_, _>>()?);
        let schema = Arc::new(schema.as_arrow().clone());
        let aggregate = builder.schema(schema).alias("aggregate").build()?;
        let ty = Type::from_field(&aggregate.field());
        Ok((aggregate, ty))
    }

    /// One value per group of these keys if the expression has an aggregate, else one per row;
    /// in the order of the keys.
    pub(super) async fn answer(&self, text: &str, keys: &[&str]) -> Result<Vec<String>> {
        let frame = self.context.table("t").await?;
        let value = plan_over(&frame.schema().clone().strip_qualifiers(), text)?;
        run(frame, value, keys).await
    }
}

async fn run(frame: DataFrame, value: Typed, keys: &[&str]) -> Result<Vec<String>> {
    let frame = select(frame, value.expr, "value", keys)?;
    let mut rows = Vec::new();
    for batch in frame.collect().await? {
        let array = batch.column(0);
        assert_eq!(array.data_type(), &value.ty.to_arrow(), "layout of {}", value.ty);
        rows.extend((0..array.len()).map(|row| show(array, &value.ty, row)));
    }
    Ok(rows)
}

/// An expression and some keys, in the order of the keys.
fn select(frame: DataFrame, expr: logical::Expr, name: &str, keys: &[&str]) -> Result<DataFrame> {
    let keys: Vec<_> = keys.iter().map(|key| column(key)).collect();
    let (expr, inner) = extract(expr)?;
    let frame = match inner {
        Some(inner @ logical::Expr::WindowFunction(_)) => frame.window(vec![inner.alias(INNER)])?,
        Some(inner) => frame.aggregate(keys.clone(), vec![inner.alias(INNER)])?,
        None => frame,
    };
    let order: Vec<_> = keys.iter().map(|key| key.clone().sort(true, false)).collect();
    let frame = frame.select(std::iter::once(expr.alias(name)).chain(keys))?;
    Ok(if order.is_empty() { frame } else { frame.sort(order)? })
}

/// The column that stands for an aggregate or window function computed before.
const INNER: &str = "inner";

fn column(name: &str) -> logical::Expr {
    logical::Expr::Column(Column::new(None::<TableReference>, name))
}

/// The aggregate or window function in an expression, and the expression without it.
fn extract(expr: logical::Expr) -> Result<(logical::Expr, Option<logical::Expr>)> {
    let mut inner = None;
    let transformed = expr.transform_up(|expr| match expr {
        logical::Expr::AggregateFunction(_) | logical::Expr::WindowFunction(_) => {
            inner = Some(expr);
            Ok(Transformed::yes(column(INNER)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok((transformed.data, inner))
}

pub(super) fn show(array: &ArrayRef, ty: &Type, row: usize) -> String {
    let mut text = String::new();
    if Display::new(array, ty).unwrap().write(row, &mut text) { text } else { "NULL".to_owned() }
}

/// Rows of [`TestTable::numbers`].
pub(super) fn batch(rows: std::ops::Range<i64>) -> RecordBatch {
    let rows: Vec<i64> = rows.collect();
    let ints = |value: &dyn Fn(i64) -> Option<i64>| -> ArrayRef {
        Arc::new(rows.iter().map(|row| value(*row)).collect::<Int64Array>())
    };
    let texts = |value: &dyn Fn(i64) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(|row| value(*row)).collect::<StringViewArray>())
    };
    let floats = Float64Array::from_iter_values(rows.iter().map(|k| (k * 13 % 17) as f64 / 4.0));
    let flags: BooleanArray = rows.iter().map(|k| Some(k % 2 == 0)).collect();
    let times = rows.iter().map(|k| k * 37 % 101 * 1_000_000);
    let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
    let lengths = rows.iter().map(|k| (k % 4) as usize);
    let elements = rows.iter().flat_map(|k| 0..k % 4);
    let arrays = ListArray::new(
        Type::Int64.item_field(),
        OffsetBuffer::from_lengths(lengths),
        Arc::new(Int64Array::from_iter_values(elements)),
        None,
    );
    let columns: Vec<(&str, Type, bool, ArrayRef)> = vec![
        ("g", Type::Int64, false, ints(&|k| Some(k % 3))),
        ("i", Type::Int64, false, ints(&|k| Some(k * 7 % 11))),
        ("n", Type::Int64, true, ints(&|k| (k % 4 != 0).then_some(k % 5))),
        ("f", Type::Float64, false, Arc::new(floats)),
        ("s", Type::String, false, texts(&|k| Some(format!("u{}", k % 23)))),
        ("b", Type::Bool, false, Arc::new(flags)),
        ("t", Type::utc(), false, Arc::new(times)),
        ("a", Type::Int64.array(), false, Arc::new(arrays)),
        ("k", Type::Int64, false, ints(&|k| Some(k))),
        ("w", Type::Int64, false, ints(&|k| Some(k % 7))),
        ("m", Type::String, true, texts(&|k| (k % 6 != 0).then(|| format!("v{}", k % 9)))),
        ("z", Type::Int64, false, ints(&|k| Some(k % 5 - 2))),
    ];
    let fields: Vec<_> =
        columns.iter().map(|(name, ty, nullable, _)| ty.to_field(*name, *nullable)).collect();
    let columns = columns.into_iter().map(|(_, _, _, column)| column).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// True when the texts are equal, apart from the last digits of numbers.
pub(super) fn alike(found: &str, expected: &str) -> bool {
    let split = |text: &str| {
        text.split(['[', ']', '(', ')', ',', '{', '}', ':']).map(str::to_owned).collect::<Vec<_>>()
    };
    let near = |(a, b): (&String, &String)| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) if a.is_finite() => (a - b).abs() <= 1e-9 * a.abs().max(1.0),
        _ => a == b,
    };
    let (found, expected) = (split(found), split(expected));
    found.len() == expected.len() && found.iter().zip(&expected).all(near)
}

/// Compares the first answers, in the order of the keys, with what is expected.
pub(super) async fn check(cases: &[(&str, &[&str])], keys: &[&str]) {
    let table = TestTable::numbers();
    let mut wrong = Vec::new();
    for (text, expected) in cases {
        match table.answer(text, keys).await {
            Ok(found) => {
                if !found.iter().zip(*expected).all(|(a, b)| alike(a, b)) {
                    wrong.push(format!("{text}\n  gives {found:?}\n  not   {expected:?}"));
                }
            }
            Err(error) => wrong.push(format!("{text}: {error:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}
