//! Printing and parsing are inverse: for every tree that the parser can produce,
//! `parse(print(tree)) == tree`.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod statements;
mod trees;

use std::fmt::{Debug, Display};

use hedgerow_parser::{
    Dialect, SyntaxError, children, parse_expr, parse_query, parse_statement, walk,
};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestCaseResult, TestError, TestRunner};

/// Runs a property over random trees, `PROPTEST_CASES` of them. Strategies of whole queries are
/// deep values themselves, deeper than a test's stack, so they get a thread of their own.
fn check<T: Debug + 'static>(trees: fn() -> BoxedStrategy<T>, law: fn(T) -> TestCaseResult) {
    let run = move || {
        let config = ProptestConfig {
            // A tree that failed is kept as a text of the corpus: seeds say nothing once the
            // strategies change.
            failure_persistence: None,
            max_shrink_iters: 2_000,
            ..ProptestConfig::default()
        };
        TestRunner::new(config).run(&trees(), law).map_err(|failure| match failure {
            // The text says all that the tree does, in a hundredth of the space.
            TestError::Fail(reason, _) => reason.to_string(),
            TestError::Abort(reason) => reason.to_string(),
        })
    };
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(run).unwrap();
    if let Err(failure) = thread.join().unwrap() {
        panic!("{failure}");
    }
}

/// The parsed tree is the printed one, and its text the same again.
fn agree<T>(tree: &T, text: &str, parsed: Result<T, SyntaxError>) -> TestCaseResult
where
    T: Debug + Display + PartialEq,
{
    let parsed = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            let (before, after) = text.split_at(error.span.start as usize);
            let near = before.char_indices().rev().nth(200).map_or(0, |(at, _)| at);
            return Err(TestCaseError::fail(format!(
                "{error} between\n{:?} and\n{after:.200?}",
                &before[near..]
            )));
        }
    };
    if &parsed != tree {
        let (wanted, found) = (without_spans(tree), without_spans(&parsed));
        let same = wanted.iter().zip(&found).take_while(|(a, b)| a == b).count();
        let around = |words: &[String]| words[same.saturating_sub(8)..].join(" ");
        return Err(TestCaseError::fail(format!(
            "{text}\nwanted: {:.300}\nfound:  {:.300}",
            around(&wanted),
            around(&found)
        )));
    }
    prop_assert_eq!(parsed.to_string(), text);
    Ok(())
}

/// The words of a tree's debug form; spans are no part of a tree's meaning.
fn without_spans(tree: &impl Debug) -> Vec<String> {
    let words: Vec<String> = format!("{tree:?}").split(' ').map(String::from).collect();
    let skipped = ["span:", "Span", "start:", "end:"];
    words
        .iter()
        .enumerate()
        .filter(|(at, word)| {
            let after_span = (1..=6).any(|back| *at >= back && words[at - back] == "span:");
            !after_span && !skipped.contains(&word.as_str())
        })
        .map(|(_, word)| word.clone())
        .collect()
}

#[test]
fn expressions() {
    check(trees::expr, |expr| {
        let text = expr.to_string();
        agree(&expr, &text, parse_expr(&text, Dialect::Hogql))
    });
}

#[test]
fn queries() {
    check(trees::query, |query| {
        let text = query.to_string();
        agree(&query, &text, parse_query(&text, Dialect::Hogql))
    });
}

#[test]
fn statements() {
    check(statements::statement, |statement| {
        let text = statement.to_string();
        agree(&statement, &text, parse_statement(&text, Dialect::Hogql))
    });
}

/// Every node's span is a piece of the text, and lies within its parent's.
#[test]
fn spans_nest() {
    check(trees::expr, |expr| {
        let text = expr.to_string();
        let Ok(parsed) = parse_expr(&text, Dialect::Hogql) else { return Ok(()) };
        let mut outside = Vec::new();
        walk(&parsed, &mut |expr| {
            if text.get(expr.span.range()).is_none() {
                outside.push(expr.span);
            }
            children(expr, &mut |child| {
                if child.span.start < expr.span.start || expr.span.end < child.span.end {
                    outside.push(child.span);
                }
            });
            true
        });
        prop_assert!(outside.is_empty(), "{:?} of {}", outside, text);
        Ok(())
    });
}
