//! The visitors see every expression of their scope once, and no other scope.

use hedgerow_parser::ast::{Expr, ExprKind, Query};
use hedgerow_parser::{
    Dialect, child_queries, children, parse_expr, parse_query, select_children, walk,
};

fn expr(text: &str) -> Expr {
    parse_expr(text, Dialect::Hogql).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The names that a walk meets, in its order.
fn fields(expr: &Expr) -> Vec<String> {
    let mut names = Vec::new();
    walk(expr, &mut |expr| {
        if let ExprKind::Field(_) = &expr.kind {
            names.push(expr.to_string());
        }
        true
    });
    names
}

#[test]
fn a_walk_meets_every_name_in_order() {
    let texts = [
        "a + b * -c = d and not e or (f, [g]) is null",
        "a ? b : case c when d then e else f end",
        "x(a)(distinct b order by c with fill from d to e step f)",
        "x(a) within group (order by b) filter (where c) over (partition by d order by e rows f preceding)",
        "a between b and c ?? d in e <=> f in cohort g",
        "x -> a[b:c].1.y?.[d]::int + interval e day",
        "{a: b, c: {d}} as y",
        "f'x {a} y {b}' || <T c={a} d={b}>{c}</T>",
        "columns(a, b) + x(*columns(* exclude (z) replace (c as z)))",
        "x(y := a) ignore nulls",
    ];
    for text in texts {
        let names = fields(&expr(text));
        assert!(names.len() >= 2 || text.contains(":="), "{text}: {names:?}");
        let mut sorted = names.clone();
        sorted.sort();
        if !text.contains("<T") {
            assert_eq!(names, sorted, "{text}");
        }
    }
}

#[test]
fn a_walk_stops_where_it_is_told_and_before_subqueries() {
    assert_eq!(fields(&expr("a + (select b) + f(select c)")), ["a"]);
    let mut seen = 0;
    walk(&expr("f(a, g(b))"), &mut |_| {
        seen += 1;
        false
    });
    assert_eq!(seen, 1);
    let mut queries = Vec::new();
    let in_list = expr("x in (select b)");
    children(&in_list, &mut |child| {
        child_queries(child, &mut |query| queries.push(query.to_string()))
    });
    assert_eq!(queries, ["SELECT b"]);
}

#[test]
fn a_select_shows_every_clause() {
    let text = "with a as s1, s2 as (select hidden) select b from t sample 0.5 join f(c) on d \
                array join e as x prewhere f where g group by h having i qualify j \
                window w as (partition by k order by l) order by m with fill from n \
                interpolate (z as o) limit p offset q by r limit s offset u";
    let query = parse_query(text, Dialect::Hogql).unwrap_or_else(|error| panic!("{error}"));
    let Query::Select(select) = query else { panic!("not a select") };
    let mut names = Vec::new();
    select_children(&select, &mut |expr| names.push(expr.to_string()));
    let expected = [
        "a", "b", "0.5", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q",
        "r", "s", "u",
    ];
    assert_eq!(names, expected);
}
