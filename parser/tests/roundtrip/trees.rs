//! Random trees: everything the parser can produce, and nothing else.

use hedgerow_parser::Span;
use hedgerow_parser::ast::*;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

fn at(kind: ExprKind) -> Expr {
    Expr::new(kind, Span::default())
}

fn boxed(expr: Expr) -> Box<Expr> {
    Box::new(expr)
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec!["a", "b", "properties", "$x", "_1", "f", "e", "E", "x1"]),
        2 => prop::sample::select(vec![
            "order", "group", "select", "from", "case", "when", "end", "interval", "day", "date",
            "not", "and", "null", "true", "team_id", "inf", "with", "left", "any", "array", "all",
            "distinct", "cohort", "columns", "lambda", "cast", "trim", "substring", "limit",
            "offset", "top", "values", "recursive", "over", "within", "union", "as", "if", "id",
        ]),
        1 => prop::sample::select(vec![
            "a b", "é", "", "`", "\\", "\\'", "\"", "'", "\n\t", "1a", "{", "<", "--", "\u{0}",
        ]),
    ]
    .prop_map(String::from)
}

pub(crate) fn ident() -> impl Strategy<Value = Ident> {
    name().prop_map(|name| Ident::new(name, Span::default()))
}

/// Names of tags and attributes, which cannot be quoted.
fn tag_name() -> impl Strategy<Value = Ident> {
    prop::sample::select(vec!["A", "Tag", "select", "x"])
        .prop_map(|name| Ident::new(name, Span::default()))
}

pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z '\"`\\\\{}<>%-]{0,6}",
        prop::sample::select(vec![
            "5 minutes",
            "\n\r\t\u{8}\u{b}\u{c}\u{7}",
            "é\u{1F600}",
            "\\n",
            "\\x41"
        ])
        .prop_map(String::from),
        any::<String>(),
    ]
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        Just(Literal::Null),
        any::<bool>().prop_map(Literal::Bool),
        any::<i64>().prop_map(Literal::Int),
        (-3_i64..100).prop_map(Literal::Int),
        "-?[1-9][0-9]{19,40}".prop_map(Literal::BigInt),
        any::<f64>().prop_map(|value| Literal::Float(Float(value))),
        prop::sample::select(vec![0.0, -0.0, 0.1, 1e300, 1e-300, f64::INFINITY, f64::NEG_INFINITY])
            .prop_map(|value| Literal::Float(Float(value))),
        text().prop_map(Literal::String),
    ]
}

fn field() -> impl Strategy<Value = ExprKind> {
    vec(ident(), 1..4).prop_map(ExprKind::Field)
}

pub(crate) fn type_name() -> impl Strategy<Value = TypeName> {
    let words = vec![
        "int",
        "string",
        "double precision",
        "date",
        "interval day",
        "timestamp with time zone",
        "foo bar",
        "double precision with time zone",
        "a without time zone",
        "with",
        "precision",
        "order",
        "order by",
        "null",
        "é",
    ];
    let leaf = prop::sample::select(words).prop_map(|name| TypeName {
        name: name.into(),
        args: vec![],
        array_depth: 0,
        span: Span::default(),
    });
    leaf.prop_recursive(2, 6, 3, |inner| {
        let arg = prop_oneof![
            inner.clone().prop_map(|inner| TypeArg::Type(None, inner)),
            (ident(), inner).prop_map(|(name, inner)| TypeArg::Type(Some(name), inner)),
            any::<i32>().prop_map(|number| TypeArg::Number(number.into())),
            text().prop_map(TypeArg::String),
            (text(), any::<i32>())
                .prop_map(|(text, value)| TypeArg::Enum(text, Some(value.into()))),
        ];
        ("[a-eg-z]{4}", vec(arg, 0..3), 0_u32..3).prop_map(|(name, args, array_depth)| TypeName {
            name: format!("t{name}"),
            args,
            array_depth,
            span: Span::default(),
        })
    })
}

fn binary_op() -> impl Strategy<Value = BinaryOp> {
    use BinaryOp::*;
    prop::sample::select(vec![
        Multiply, Divide, Modulo, Plus, Minus, Concat, Eq, NotEq, Lt, LtEq, Gt, GtEq, Like,
        NotLike, ILike, NotILike, Match, NotMatch, IMatch, NotIMatch,
    ])
}

fn interval_unit() -> impl Strategy<Value = IntervalUnit> {
    use IntervalUnit::*;
    prop::sample::select(vec![Second, Minute, Hour, Day, Week, Month, Quarter, Year])
}

pub(crate) fn expr() -> BoxedStrategy<Expr> {
    expr_of(query_of(shallow_expr()))
}

/// Expressions that hold no query.
fn shallow_expr() -> BoxedStrategy<Expr> {
    expr_of(Just(simple_query()).boxed())
}

fn simple_query() -> Query {
    let column = at(ExprKind::Literal(Literal::Int(1)));
    Query::Select(Box::new(Select::new(vec![column], Span::default())))
}

fn expr_of(query: BoxedStrategy<Query>) -> BoxedStrategy<Expr> {
    let subquery = query.prop_filter("in parentheses these are no subquery", |query| {
        !matches!(query, Query::Placeholder(_) | Query::Values(_))
    });
    let leaf = prop_oneof![
        3 => literal().prop_map(ExprKind::Literal),
        4 => field(),
        1 => (1_u32..9).prop_map(ExprKind::PositionalColumn),
        1 => subquery.prop_map(|query| ExprKind::Subquery(Box::new(query))),
    ]
    .prop_map(at);
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            3 => operators(inner.clone()),
            2 => postfix(inner.clone()),
            2 => calls(inner.clone()),
            2 => forms(inner.clone()),
            1 => stars(inner),
        ]
        .prop_map(at)
    })
    .boxed()
}

fn operators(inner: BoxedStrategy<Expr>) -> BoxedStrategy<ExprKind> {
    let one = || inner.clone().prop_map(boxed);
    prop_oneof![
        one().prop_map(ExprKind::Negate),
        one().prop_map(not),
        (one(), ident()).prop_map(|(e, alias)| ExprKind::Alias(e, alias)),
        (one(), binary_op(), one()).prop_map(|(a, op, b)| ExprKind::Binary(a, op, b)),
        (one(), binary_op(), one()).prop_map(|(a, op, b)| ExprKind::Binary(a, op, b)),
        (vec(inner.clone(), 2..4), any::<bool>()).prop_map(|(terms, is_and)| chain(terms, is_and)),
        (one(), any::<bool>()).prop_map(|(expr, negated)| ExprKind::IsNull { expr, negated }),
        (one(), one(), any::<bool>()).prop_map(|(left, right, negated)| {
            ExprKind::IsDistinctFrom { left, right, negated }
        }),
        (one(), one(), one(), any::<bool>()).prop_map(|(expr, low, high, negated)| {
            ExprKind::Between { expr, low, high, negated }
        }),
        (one(), one(), any::<bool>()).prop_map(|(expr, right, negated)| ExprKind::In {
            expr,
            right,
            negated
        }),
        (one(), one(), any::<bool>()).prop_map(|(expr, cohort, negated)| ExprKind::InCohort {
            expr,
            cohort,
            negated
        }),
        (one(), one()).prop_map(|(a, b)| ExprKind::Coalesce(a, b)),
        (one(), one(), one()).prop_map(|(condition, then, otherwise)| {
            ExprKind::Ternary { condition, then, otherwise }
        }),
        one().prop_map(ExprKind::IgnoreNulls),
    ]
    .boxed()
}

/// Before a parenthesis that holds no query, NOT is the function of that name.
fn not(inner: Box<Expr>) -> ExprKind {
    let negation = ExprKind::Not(inner);
    let text = at(negation.clone()).to_string();
    let is_function = text.starts_with("NOT (")
        && !text.starts_with("NOT (SELECT ")
        && !text.starts_with("NOT (WITH ");
    match negation {
        ExprKind::Not(inner) if is_function => {
            let name = Ident::new("not", Span::default());
            ExprKind::Call(Box::new(Call::new(name, vec![*inner])))
        }
        negation => negation,
    }
}

/// Chains are flat, whatever parentheses the text had.
fn chain(terms: Vec<Expr>, is_and: bool) -> ExprKind {
    let mut flat = Vec::new();
    for term in terms {
        match term.kind {
            ExprKind::And(inner) if is_and => flat.extend(inner),
            ExprKind::Or(inner) if !is_and => flat.extend(inner),
            _ => flat.push(term),
        }
    }
    if is_and { ExprKind::And(flat) } else { ExprKind::Or(flat) }
}

fn postfix(inner: BoxedStrategy<Expr>) -> BoxedStrategy<ExprKind> {
    let one = || inner.clone().prop_map(boxed);
    prop_oneof![
        (one(), 1_u32..5, any::<bool>())
            .prop_map(|(expr, index, nullish)| ExprKind::TupleElement { expr, index, nullish }),
        (one(), one(), any::<bool>()).prop_map(|(expr, index, nullish)| ExprKind::Index {
            expr,
            index,
            nullish
        }),
        (one(), ident(), any::<bool>()).prop_map(|(expr, name, nullish)| ExprKind::Member {
            expr,
            name,
            nullish
        }),
        (one(), of(one()), of(one())).prop_map(|(expr, from, to)| ExprKind::Slice {
            expr,
            from,
            to
        }),
        (one(), vec(inner.clone(), 0..3))
            .prop_map(|(callee, args)| ExprKind::CallExpr(callee, args)),
        (one(), type_name(), any::<bool>()).prop_map(|(expr, target, safe)| ExprKind::Cast {
            expr,
            target,
            safe
        }),
    ]
    .boxed()
}

fn calls(inner: BoxedStrategy<Expr>) -> BoxedStrategy<ExprKind> {
    let list = || vec(inner.clone(), 0..3);
    let over =
        prop_oneof![ident().prop_map(Over::Name), window_spec(inner.clone()).prop_map(Over::Spec),];
    let full = (
        (ident(), of(list()), list(), any::<bool>()),
        prop_oneof![3 => Just(vec![]), 1 => vec(order_by(inner.clone()), 1..3)],
        prop_oneof![3 => Just(vec![]), 1 => vec(order_by(inner.clone()), 1..3)],
        prop_oneof![3 => Just(None), 1 => inner.clone().prop_map(Some)],
        prop_oneof![2 => Just(None), 1 => over.prop_map(Some)],
    )
        .prop_map(|((name, params, args, distinct), order_by, within_group, filter, over)| {
            let distinct = distinct && !args.is_empty();
            Call { name, params, args, distinct, order_by, within_group, filter, over }
        });
    prop_oneof![(ident(), list()).prop_map(|(name, args)| Call::new(name, args)), full,]
        .prop_map(|call| ExprKind::Call(Box::new(call)))
        .boxed()
}

fn forms(inner: BoxedStrategy<Expr>) -> BoxedStrategy<ExprKind> {
    let one = || inner.clone().prop_map(boxed);
    prop_oneof![
        (of(one()), vec((inner.clone(), inner.clone()), 1..3), of(one())).prop_map(
            |(operand, branches, otherwise)| ExprKind::Case { operand, branches, otherwise }
        ),
        (one(), interval_unit()).prop_map(|(value, unit)| ExprKind::Interval { value, unit }),
        vec(inner.clone(), 1..4).prop_map(ExprKind::Tuple),
        vec(inner.clone(), 0..4).prop_map(ExprKind::Array),
        vec((inner.clone(), inner.clone()), 0..3).prop_map(ExprKind::Dict),
        (vec(ident(), 0..3), one()).prop_map(|(params, body)| ExprKind::Lambda { params, body }),
        (ident(), one()).prop_map(|(name, value)| ExprKind::NamedArgument(name, value)),
        one().prop_map(ExprKind::Placeholder),
        template(inner.clone()),
        tag(inner.clone()).prop_map(|tag| ExprKind::Tag(Box::new(tag))),
    ]
    .boxed()
}

fn template(inner: BoxedStrategy<Expr>) -> BoxedStrategy<ExprKind> {
    let part =
        prop_oneof![text().prop_map(TemplatePart::Text), inner.prop_map(TemplatePart::Expr),];
    vec(part, 0..4)
        .prop_map(|parts| {
            let mut kept: Vec<TemplatePart> = Vec::new();
            for part in parts {
                match (&part, kept.last()) {
                    (TemplatePart::Text(text), _) if text.is_empty() => {}
                    (TemplatePart::Text(_), Some(TemplatePart::Text(_))) => {}
                    _ => kept.push(part),
                }
            }
            ExprKind::Template(kept)
        })
        .boxed()
}

fn tag(inner: BoxedStrategy<Expr>) -> BoxedStrategy<Tag> {
    (tag_name(), vec((tag_name(), inner.clone()), 0..3), vec(inner, 0..3))
        .prop_map(|(name, attributes, children)| Tag { name, attributes, children })
        .boxed()
}

fn star(inner: BoxedStrategy<Expr>) -> BoxedStrategy<Star> {
    (
        vec(ident(), 0..3),
        prop_oneof![Just(vec![]), vec(vec(ident(), 1..3), 1..3)],
        prop_oneof![Just(vec![]), vec((inner, ident()), 1..3)],
    )
        .prop_map(|(table, exclude, replace)| Star { table, exclude, replace })
        .boxed()
}

fn stars(inner: BoxedStrategy<Expr>) -> BoxedStrategy<ExprKind> {
    let columns = prop_oneof![
        text().prop_map(Columns::Regex),
        star(inner.clone()).prop_map(Columns::Star),
        vec(inner.clone(), 1..3)
            .prop_filter("a lone regular expression or star is its own form", |items| {
                !matches!(
                    items.as_slice(),
                    [Expr { kind: ExprKind::Literal(Literal::String(_)) | ExprKind::Star(_), .. }]
                )
            })
            .prop_map(Columns::List),
    ]
    .prop_map(|columns| ExprKind::Columns(Box::new(columns)));
    prop_oneof![
        star(inner).prop_map(ExprKind::Star),
        columns.clone(),
        columns.prop_map(|columns| ExprKind::Spread(boxed(at(columns)))),
    ]
    .boxed()
}

// ----- windows and ORDER BY -------------------------------------------------------------------

fn order_by(inner: BoxedStrategy<Expr>) -> BoxedStrategy<OrderBy> {
    let fill = (of(inner.clone()), of(inner.clone()), of(inner.clone()))
        .prop_map(|(from, to, step)| Fill { from, to, step });
    (
        inner,
        any::<bool>(),
        of(any::<bool>()),
        prop_oneof![4 => Just(None), 1 => text().prop_map(Some)],
        prop_oneof![4 => Just(None), 1 => fill.prop_map(Some)],
    )
        .prop_map(|(expr, descending, nulls_first, collate, fill)| OrderBy {
            expr,
            descending,
            nulls_first,
            collate,
            fill,
        })
        .boxed()
}

fn window_spec(inner: BoxedStrategy<Expr>) -> BoxedStrategy<WindowSpec> {
    let bound = prop_oneof![
        Just(FrameBound::CurrentRow),
        Just(FrameBound::UnboundedPreceding),
        Just(FrameBound::UnboundedFollowing),
        inner.clone().prop_map(|offset| FrameBound::Preceding(boxed(offset))),
        inner.clone().prop_map(|offset| FrameBound::Following(boxed(offset))),
    ];
    let unit = prop::sample::select(vec![FrameUnit::Rows, FrameUnit::Range, FrameUnit::Groups]);
    let frame =
        (unit, bound.clone(), of(bound)).prop_map(|(unit, start, end)| Frame { unit, start, end });
    (vec(inner.clone(), 0..2), vec(order_by(inner), 0..2), of(frame))
        .prop_map(|(partition_by, order_by, frame)| WindowSpec { partition_by, order_by, frame })
        .boxed()
}

// ----- queries --------------------------------------------------------------------------------

pub(crate) fn query() -> BoxedStrategy<Query> {
    let values = (1_usize..3).prop_flat_map(|width| vec(vec(shallow_expr(), width), 1..3));
    let values =
        values.prop_map(|rows| Query::Values(Box::new(Values { rows, span: Span::default() })));
    let tag = tag(shallow_expr()).prop_map(|tag| at(ExprKind::Tag(Box::new(tag))));
    let tag = tag.prop_map(|tag| Query::Tag(boxed(tag)));
    prop_oneof![9 => query_of(shallow_expr()), 1 => values, 1 => tag].boxed()
}

fn query_of(inner: BoxedStrategy<Expr>) -> BoxedStrategy<Query> {
    let leaf = prop_oneof![
        4 => select(inner.clone(), Just(simple_query()).boxed()),
        1 => inner.clone().prop_map(|expr| Query::Placeholder(boxed(expr))),
    ];
    leaf.prop_recursive(2, 6, 3, move |nested| {
        prop_oneof![select(inner.clone(), nested.clone()), set(inner.clone(), nested),]
    })
    .boxed()
}

fn with(inner: BoxedStrategy<Expr>, nested: BoxedStrategy<Query>) -> BoxedStrategy<With> {
    let table = (vec(ident(), 0..3), vec(ident(), 0..2), of(any::<bool>()), nested).prop_map(
        |(columns, key, materialized, query)| CteBody::Table { columns, key, materialized, query },
    );
    let body = prop_oneof![table, inner.prop_map(CteBody::Scalar)];
    let cte = (ident(), body).prop_map(|(name, body)| Cte { name, body });
    (any::<bool>(), vec(cte, 1..3)).prop_map(|(recursive, ctes)| With { recursive, ctes }).boxed()
}

fn limit(inner: BoxedStrategy<Expr>) -> BoxedStrategy<Limit> {
    (inner, any::<bool>(), any::<bool>())
        .prop_map(|(count, percent, with_ties)| Limit { count, percent, with_ties })
        .boxed()
}

fn lock() -> BoxedStrategy<Lock> {
    use LockStrength::*;
    let strength = prop::sample::select(vec![Update, NoKeyUpdate, Share, KeyShare]);
    let wait = prop::sample::select(vec![None, Some(LockWait::NoWait), Some(LockWait::SkipLocked)]);
    (strength, vec(ident(), 0..3), wait)
        .prop_map(|(strength, of, wait)| Lock { strength, of, wait, span: Span::default() })
        .boxed()
}

fn set(inner: BoxedStrategy<Expr>, nested: BoxedStrategy<Query>) -> BoxedStrategy<Query> {
    let kind = prop::sample::select(vec![SetKind::Union, SetKind::Intersect, SetKind::Except]);
    let operator = (kind, any::<bool>(), any::<bool>())
        .prop_map(|(kind, all, by_name)| SetOperator { kind, all, by_name });
    (
        of(with(inner.clone(), nested.clone())),
        nested.clone(),
        vec((operator, nested), 0..3),
        vec(order_by(inner.clone()), 0..2),
        of(limit(inner.clone())),
        of(inner),
    )
        .prop_map(|(with, first, rest, order_by, limit, offset)| {
            let is_plain = with.is_none()
                && rest.is_empty()
                && order_by.is_empty()
                && limit.is_none()
                && offset.is_none();
            if is_plain {
                return first;
            }
            let span = Span::default();
            Query::Set(Box::new(SetQuery { with, first, rest, order_by, limit, offset, span }))
        })
        .boxed()
}

fn group_by(inner: BoxedStrategy<Expr>) -> BoxedStrategy<GroupBy> {
    let keys = || vec(inner.clone(), 1..3);
    let modifier = of(prop::sample::select(vec![GroupModifier::Cube, GroupModifier::Rollup]));
    prop_oneof![
        (keys(), modifier, any::<bool>()).prop_map(|(keys, modifier, totals)| GroupBy::Keys {
            keys,
            modifier,
            totals
        }),
        Just(GroupBy::All),
        keys().prop_map(GroupBy::Cube),
        keys().prop_map(GroupBy::Rollup),
        vec(vec(inner.clone(), 0..3), 1..3).prop_map(GroupBy::Sets),
    ]
    .boxed()
}

fn select(inner: BoxedStrategy<Expr>, nested: BoxedStrategy<Query>) -> BoxedStrategy<Query> {
    let rarely = |inner: &BoxedStrategy<Expr>| {
        prop_oneof![3 => Just(None), 1 => inner.clone().prop_map(Some)].boxed()
    };
    let array_join = (any::<bool>(), vec((inner.clone(), ident()), 1..3))
        .prop_map(|(left, items)| ArrayJoin { left, items });
    let sources = (
        prop_oneof![3 => Just(None), 1 => with(inner.clone(), nested.clone()).prop_map(Some)],
        of(join(inner.clone(), nested)),
        prop_oneof![3 => Just(vec![]), 1 => vec(array_join, 1..3)],
    );
    let window = (ident(), window_spec(inner.clone()));
    let limit_by = (inner.clone(), of(inner.clone()), vec(inner.clone(), 1..3))
        .prop_map(|(count, offset, keys)| LimitBy { count, offset, keys });
    let interpolate = of(vec((ident(), of(inner.clone())), 0..3));
    let filters = (
        rarely(&inner),
        rarely(&inner),
        rarely(&inner),
        rarely(&inner),
        of(group_by(inner.clone())),
    );
    let tail = (
        vec(window, 0..2),
        vec(order_by(inner.clone()), 0..2),
        interpolate,
        prop_oneof![3 => Just(None), 1 => limit_by.prop_map(Some)],
        of(limit(inner.clone())),
        rarely(&inner),
    );
    let keys = prop_oneof![3 => Just(vec![]), 1 => vec(inner.clone(), 1..3)];
    let tail = (tail, prop_oneof![4 => Just(vec![]), 1 => vec(lock(), 1..3)], keys);
    (any::<bool>(), vec(inner, 1..4), sources, filters, tail)
        .prop_map(|(distinct, columns, sources, filters, tail)| {
            let mut select = Select::new(columns, Span::default());
            let (tail, locks, keys) = tail;
            select.distinct = distinct;
            select.distinct_on = keys;
            select.locks = locks;
            (select.with, select.from, select.array_joins) = sources;
            if select.from.is_none() {
                select.array_joins.clear();
            }
            (select.prewhere, select.filter, select.having, select.qualify, select.group_by) =
                filters;
            let (windows, order_by, interpolate, limit_by, limit, offset) = tail;
            select.windows = windows;
            select.interpolate = if order_by.is_empty() { None } else { interpolate };
            select.order_by = order_by;
            // Directly after a sample, OFFSET is the sample's.
            let offset = offset.filter(|_| !select.from.as_ref().is_some_and(ends_in_sample));
            (select.limit_by, select.limit, select.offset) = (limit_by, limit, offset);
            Query::Select(Box::new(select))
        })
        .boxed()
}

fn ends_in_sample(join: &Join) -> bool {
    match join {
        Join::Source(source) => {
            source.sample.as_ref().is_some_and(|sample| sample.offset.is_none())
        }
        Join::Join { right, .. } => ends_in_sample(right),
    }
}

// ----- FROM -----------------------------------------------------------------------------------

fn sample(inner: BoxedStrategy<Expr>) -> BoxedStrategy<Sample> {
    let number = || {
        prop_oneof![
            (0_i64..100).prop_map(Literal::Int),
            prop::sample::select(vec![0.1, 0.5, 1.0])
                .prop_map(|value| Literal::Float(Float(value))),
        ]
        .prop_map(|literal| boxed(at(ExprKind::Literal(literal))))
    };
    let ratio = || {
        prop_oneof![
            number().prop_map(|number| *number),
            (number(), number()).prop_map(|(a, b)| at(ExprKind::Binary(a, BinaryOp::Divide, b))),
            inner.clone().prop_map(|expr| at(ExprKind::Placeholder(boxed(expr)))),
        ]
    };
    (ratio(), any::<bool>(), of(ratio()))
        .prop_map(|(ratio, percent, offset)| Sample { ratio, percent, offset })
        .boxed()
}

fn join(inner: BoxedStrategy<Expr>, nested: BoxedStrategy<Query>) -> BoxedStrategy<Join> {
    let in_source = nested.prop_filter("a lone placeholder is a source itself", |query| {
        !matches!(query, Query::Placeholder(_))
    });
    let kind = prop_oneof![
        vec(ident(), 1..4).prop_map(SourceKind::Table),
        vec(ident(), 1..2).prop_map(SourceKind::Table),
        (ident(), vec(inner.clone(), 0..3))
            .prop_map(|(name, args)| SourceKind::Function(name, args)),
        in_source.prop_map(SourceKind::Query),
        vec(vec(inner.clone(), 2), 1..3).prop_map(|rows| {
            SourceKind::Query(Query::Values(Box::new(Values { rows, span: Span::default() })))
        }),
        inner.clone().prop_map(SourceKind::Placeholder),
        tag(inner.clone()).prop_map(SourceKind::Tag),
    ]
    .boxed();
    let leaf = source(kind, inner.clone());
    leaf.prop_recursive(3, 6, 2, move |join| {
        prop_oneof![
            2 => joined(join.clone(), inner.clone()),
            1 => source(pivot(join, inner.clone()), inner.clone()),
        ]
    })
    .boxed()
}

fn source(kind: BoxedStrategy<SourceKind>, inner: BoxedStrategy<Expr>) -> BoxedStrategy<Join> {
    (
        kind,
        of((ident(), vec(ident(), 0..3))),
        prop_oneof![4 => Just(None), 1 => sample(inner).prop_map(Some)],
        any::<bool>(),
    )
        .prop_map(|(kind, alias, sample, flag)| {
            let lateral = flag && matches!(kind, SourceKind::Query(_));
            let ordinality = flag && matches!(kind, SourceKind::Function(..));
            let (alias, columns) = match alias {
                Some((alias, columns)) => (Some(alias), columns),
                None => (None, vec![]),
            };
            let span = Span::default();
            let is_table = matches!(kind, SourceKind::Table(_));
            let time = Expr::new(ExprKind::Literal(Literal::String("2026-03-01".into())), span);
            let as_of = (flag && is_table).then(|| Box::new(time));
            Join::Source(Box::new(Source {
                kind,
                lateral,
                ordinality,
                as_of,
                alias,
                columns,
                sample,
                span,
            }))
        })
        .boxed()
}

fn joined(join: BoxedStrategy<Join>, inner: BoxedStrategy<Expr>) -> BoxedStrategy<Join> {
    use JoinStrictness::*;
    let kind = prop::sample::select(vec![
        JoinKind::Inner,
        JoinKind::Left,
        JoinKind::Right,
        JoinKind::Full,
        JoinKind::Cross,
        JoinKind::Positional,
    ]);
    let strictness = prop::sample::select(vec![All, Any, Asof, Semi, Anti, AsofSemi, AsofAnti]);
    let constraint = prop_oneof![
        inner.prop_map(JoinConstraint::On),
        vec(ident(), 1..3).prop_map(JoinConstraint::Using),
    ];
    (join.clone(), kind, of(strictness), any::<bool>(), join, of(constraint))
        .prop_map(|(left, kind, strictness, natural, right, constraint)| {
            let is_plain = matches!(kind, JoinKind::Cross | JoinKind::Positional);
            Join::Join {
                left: Box::new(left),
                kind,
                strictness: strictness.filter(|_| !is_plain),
                natural: natural && !is_plain,
                right: Box::new(right),
                constraint: constraint.filter(|_| kind != JoinKind::Cross),
                span: Span::default(),
            }
        })
        .boxed()
}

fn pivot(source: BoxedStrategy<Join>, inner: BoxedStrategy<Expr>) -> BoxedStrategy<SourceKind> {
    let list = || vec(inner.clone(), 1..3);
    prop_oneof![
        (source.clone(), list(), vec((inner.clone(), list()), 1..3), vec(inner.clone(), 0..2),)
            .prop_map(|(source, aggregates, columns, group_by)| {
                SourceKind::Pivot(Box::new(Pivot { source, aggregates, columns, group_by }))
            }),
        (source, any::<bool>(), vec((inner.clone(), inner.clone(), list()), 1..3)).prop_map(
            |(source, include_nulls, columns)| {
                SourceKind::Unpivot(Box::new(Unpivot { source, include_nulls, columns }))
            }
        ),
    ]
    .boxed()
}
