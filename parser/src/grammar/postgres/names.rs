//! Functions that PostgreSQL and HogQL both have, with different meanings.
//!
//! In PostgreSQL's text they become functions of other names here, so that the tree and the text
//! printed from it mean the same in both dialects.

use super::{ELEMENT, call};
use crate::ast::{Call, Expr, ExprKind, Ident, Literal};
use crate::error::SyntaxError;
use crate::grammar::Parser;
use crate::span::Span;
use crate::{Dialect, Result};

/// What PostgreSQL calls a function, and what that function is called here.
const NAMES: &[(&str, &str)] = &[
    ("age", "postgresAge"),
    ("ascii", "postgresAscii"),
    ("date_part", "extract_timestamp"),
    ("date_trunc", "postgresDateTrunc"),
    ("div", "intDiv"),
    ("format", "postgresFormat"),
    ("length", "postgresLength"),
    ("log", "postgresLog"),
    ("lower", "lowerUTF8"),
    ("make_date", "postgresMakeDate"),
    ("make_interval", "postgresMakeInterval"),
    ("md5", "postgresMd5"),
    ("regexp_replace", "postgresRegexpReplace"),
    ("reverse", "postgresReverse"),
    ("split_part", "postgresSplitPart"),
    ("starts_with", "startsWith"),
    ("strpos", "positionUTF8"),
    ("substr", "text_substr"),
    ("substring", "text_substr"),
    ("to_char", "postgresToChar"),
    ("to_date", "postgresToDate"),
    ("to_timestamp", "postgresToTimestamp"),
    ("upper", "upperUTF8"),
];

/// Functions that give several rows where PostgreSQL's text calls them in an expression. Here
/// they are arrays, which `arrayJoin` walks.
const SETS: &[&str] = &[
    "generate_series",
    "json_array_elements",
    "json_array_elements_text",
    "json_object_keys",
    "jsonb_array_elements",
    "jsonb_array_elements_text",
    "jsonb_object_keys",
    "regexp_matches",
    "regexp_split_to_table",
    "string_to_table",
];

/// What PostgreSQL calls a function.
pub(super) fn written_as(function: &str) -> String {
    let written = match function {
        "extract_timestamp" => "extract",
        "text_substr" | "textregexsubstr" => "substring",
        "textoverlay" => "overlay",
        "positionUTF8" => "position",
        "trim" => "btrim",
        "trimLeft" => "ltrim",
        "trimRight" => "rtrim",
        "toDateTime" => "timestamptz",
        "toDate" => "date",
        _ => match NAMES.iter().find(|(_, name)| *name == function) {
            Some((written, _)) => written,
            // PostgreSQL folds names; HogQL's own have letters of both cases.
            None if function.bytes().any(|b| b.is_ascii_lowercase()) => function,
            None => return function.to_ascii_lowercase(),
        },
    };
    written.to_owned()
}

/// Whether a function gives several rows where it is called in an expression.
pub(super) fn gives_rows(function: &str) -> bool {
    SETS.iter().any(|set| set.eq_ignore_ascii_case(function))
}

/// The arguments of `make_interval`.
const INTERVAL_PARTS: [&str; 7] = ["years", "months", "weeks", "days", "hours", "mins", "secs"];

impl Parser<'_> {
    /// The function that a name means in this dialect.
    pub(in crate::grammar) fn function_name(&self, name: Ident) -> Ident {
        if self.dialect == Dialect::Hogql {
            return name;
        }
        let meant = NAMES.iter().find(|(written, _)| written.eq_ignore_ascii_case(&name.name));
        match meant {
            Some((_, meant)) => Ident { name: (*meant).to_owned(), ..name },
            None => name,
        }
    }

    /// Arguments that PostgreSQL reads otherwise, or takes for granted.
    pub(in crate::grammar) fn complete_call(&self, call: &mut Call) -> Result<()> {
        if self.dialect == Dialect::Hogql {
            return Ok(());
        }
        let literal = |literal| Expr::new(ExprKind::Literal(literal), call.name.span);
        match call.name.name.to_ascii_lowercase().as_str() {
            // Where there is no row before or after, the value is NULL.
            "lag" | "lead" if matches!(call.args.len(), 1 | 2) => {
                if call.args.len() == 1 {
                    call.args.push(literal(Literal::Int(1)));
                }
                call.args.push(literal(Literal::Null));
            }
            "text_substr" if call.args.len() == 2 => {
                if matches!(call.args[1].kind, ExprKind::Literal(Literal::String(_))) {
                    call.name.name = "textregexsubstr".to_owned();
                }
            }
            "unnest" => call.name.name = "arrayJoin".to_owned(),
            "postgresmakeinterval" => call.args = interval_parts(std::mem::take(&mut call.args))?,
            _ => {}
        }
        Ok(())
    }

    /// What a call in an expression stands for.
    pub(in crate::grammar) fn meaning_of_call(&mut self, expr: Expr) -> Result<Expr> {
        let ExprKind::Call(function) = expr.kind else { return Ok(expr) };
        if self.dialect == Dialect::Hogql {
            return Ok(Expr::new(ExprKind::Call(function), expr.span));
        }
        let span = expr.span;
        let name = function.name.name.to_ascii_lowercase();
        let kind = match (name.as_str(), function.args.len()) {
            // A function that gives rows gives them here.
            (set, _) if gives_rows(set) => {
                call("arrayJoin", vec![Expr::new(ExprKind::Call(function), span)], span)
            }
            ("array_agg", 1) => all_values(*function, span),
            ("json_agg" | "jsonb_agg", 1) => {
                let values = all_values(*function, span);
                call("to_jsonb", vec![Expr::new(values, span)], span)
            }
            ("json_object_agg" | "jsonb_object_agg", 2) => {
                let pairs = collected(*function, span);
                call("__jsonObject", vec![Expr::new(pairs, span)], span)
            }
            ("array_remove", 2) => array_remove(*function, span),
            ("percentile_cont", 1) if function.within_group.len() == 1 => quantiles(*function),
            ("mode", 0) if function.within_group.len() == 1 => {
                let top = most_frequent(*function, span);
                let first = Expr::new(ExprKind::Literal(Literal::Int(1)), span);
                call("arrayElement", vec![Expr::new(top, span), first], span)
            }
            _ => ExprKind::Call(function),
        };
        self.grow()?;
        Ok(Expr::new(kind, span))
    }

    /// The schema of PostgreSQL's own functions, which says nothing.
    pub(in crate::grammar) fn is_catalog(&self, schema: &[Ident]) -> bool {
        self.dialect == Dialect::Postgres
            && matches!(schema, [only] if only.name.eq_ignore_ascii_case("pg_catalog"))
    }
}

/// The arguments of `make_interval`, by place or name; 0 for what is not given.
fn interval_parts(args: Vec<Expr>) -> Result<Vec<Expr>> {
    let zero = Expr::new(ExprKind::Literal(Literal::Int(0)), Span::default());
    let mut parts = vec![zero; INTERVAL_PARTS.len()];
    for (at, arg) in args.into_iter().enumerate() {
        let (part, value) = match arg.kind {
            ExprKind::NamedArgument(name, value) => {
                (INTERVAL_PARTS.iter().position(|part| *part == name.name), *value)
            }
            kind => (Some(at), Expr::new(kind, arg.span)),
        };
        let Some(part) = part.and_then(|part| parts.get_mut(part)) else {
            return Err(SyntaxError::new("make_interval has no such argument", arg.span)
                .hint(format!("There are {}.", INTERVAL_PARTS.join(", "))));
        };
        *part = value;
    }
    Ok(parts)
}

/// The values of an aggregate with its NULLs, which HogQL's own aggregates leave out:
/// `arrayMap(e -> e.1, groupArray(tuple(x)))`.
pub(super) fn all_values(function: Call, span: Span) -> ExprKind {
    let element = Box::new(Expr::new(ExprKind::Field(vec![Ident::new(ELEMENT, span)]), span));
    let value = ExprKind::TupleElement { expr: element, index: 1, nullish: false };
    let params = vec![Ident::new(ELEMENT, span)];
    let lambda = ExprKind::Lambda { params, body: Box::new(Expr::new(value, span)) };
    let collected = Expr::new(collected(function, span), span);
    call("arrayMap", vec![Expr::new(lambda, span), collected], span)
}

/// The arguments of an aggregate, row by row, as tuples.
fn collected(mut function: Call, span: Span) -> ExprKind {
    let values = std::mem::take(&mut function.args);
    function.name.name = "groupArray".to_owned();
    function.args = vec![Expr::new(call("tuple", values, span), span)];
    ExprKind::Call(Box::new(function))
}

/// `array_remove(a, x)` as `arrayFilter(e -> e IS DISTINCT FROM x, a)`.
fn array_remove(function: Call, span: Span) -> ExprKind {
    let mut args = function.args.into_iter();
    let array = args.next();
    let element = Expr::new(ExprKind::Field(vec![Ident::new(ELEMENT, span)]), span);
    let tests = args.map(|value| {
        let (left, right) = (Box::new(element.clone()), Box::new(value));
        let test = ExprKind::IsDistinctFrom { left, right, negated: false };
        let params = vec![Ident::new(ELEMENT, span)];
        Expr::new(ExprKind::Lambda { params, body: Box::new(Expr::new(test, span)) }, span)
    });
    call("arrayFilter", tests.chain(array).collect(), span)
}

/// `percentile_cont(ARRAY[a, b]) WITHIN GROUP (ORDER BY x)` as `quantiles(a, b)(x)`; of one level
/// as it is.
fn quantiles(mut function: Call) -> ExprKind {
    let ExprKind::Array(levels) = &function.args[0].kind else {
        return ExprKind::Call(Box::new(function));
    };
    if !function.within_group[0].descending {
        function.params = Some(levels.clone());
        function.name.name = "quantiles".to_owned();
        function.args = function.within_group.drain(..).map(|order| order.expr).collect();
    }
    ExprKind::Call(Box::new(function))
}

/// `mode() WITHIN GROUP (ORDER BY x)` as `topK(1)(x)`.
fn most_frequent(mut function: Call, span: Span) -> ExprKind {
    function.name.name = "topK".to_owned();
    function.params = Some(vec![Expr::new(ExprKind::Literal(Literal::Int(1)), span)]);
    function.args = function.within_group.drain(..).map(|order| order.expr).collect();
    ExprKind::Call(Box::new(function))
}
