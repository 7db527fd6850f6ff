//! Parse time per query: text to tree, and tree to canonical text.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use hedgerow_benches::QUERIES;
use hedgerow_parser::{Dialect, parse_query};

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for (name, text) in QUERIES {
        group.bench_function(*name, |bencher| {
            bencher.iter(|| parse_query(black_box(text), Dialect::Hogql));
        });
    }
    group.finish();
}

fn print(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("print");
    for (name, text) in QUERIES {
        if let Ok(query) = parse_query(text, Dialect::Hogql) {
            group.bench_function(*name, |bencher| bencher.iter(|| black_box(&query).to_string()));
        }
    }
    group.finish();
}

criterion_group!(benches, parse, print);
criterion_main!(benches);
