//! Random statements other than queries.

use hedgerow_parser::Span;
use hedgerow_parser::ast::*;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::trees::{expr, ident, query, text, type_name};

/// Names, among them words that mean something to a statement.
fn name() -> impl Strategy<Value = Name> {
    const WORDS: &[&str] = &[
        "tables",
        "Functions",
        "create",
        "settings",
        "columns",
        "table",
        "view",
        "if",
        "exists",
        "session",
        "time",
        "zone",
        "timezone",
        "prepare",
        "default",
        "cascade",
        "filters",
        "var",
        "analyze",
        "format",
        "text",
        "json",
        "rename",
        "to",
        "stdout",
    ];
    let word = select(WORDS).prop_map(|word| Ident::new(word, Span::default()));
    vec(prop_oneof![word, ident()], 1..3)
}

fn names() -> impl Strategy<Value = Vec<Ident>> {
    vec(name().prop_map(|mut name| name.remove(0)), 0..3)
}

fn statement_of(kind: StatementKind) -> Statement {
    Statement { kind, span: Span::default() }
}

pub(crate) fn statement() -> BoxedStrategy<Statement> {
    prop_oneof![looking(), settings(), definitions(), rows(), prepared()]
        .prop_map(statement_of)
        .boxed()
}

/// Queries that begin with a word: elsewhere `<` compares.
fn no_tag() -> BoxedStrategy<Query> {
    query().prop_filter("a tag", |query| !matches!(query, Query::Tag(_))).boxed()
}

fn looking() -> BoxedStrategy<StatementKind> {
    let pattern = || {
        of((text(), any::<bool>()))
            .prop_map(|it| it.map(|(text, case_sensitive)| Pattern { text, case_sensitive }))
    };
    let format = select(&[ExplainFormat::Text, ExplainFormat::Json]);
    let explain = (any::<bool>(), any::<bool>(), format, no_tag())
        .prop_map(|(analyze, verbose, format, query)| Explain { analyze, verbose, format, query });
    let show = prop_oneof![
        pattern().prop_map(Show::Tables),
        (name(), pattern()).prop_map(|(name, pattern)| Show::Columns(name, pattern)),
        pattern().prop_map(Show::Functions),
        pattern().prop_map(Show::Settings),
        (kind(), name()).prop_map(|(kind, name)| Show::Create(kind, name)),
        name().prop_map(Show::Setting),
    ];
    let described =
        prop_oneof![name().prop_map(Described::Table), no_tag().prop_map(Described::Query)];
    prop_oneof![
        explain.prop_map(StatementKind::Explain),
        show.prop_map(StatementKind::Show),
        described.prop_map(StatementKind::Describe),
    ]
    .boxed()
}

fn settings() -> BoxedStrategy<StatementKind> {
    // Only placeholders have expressions for values.
    let placeholder = select(&["var", "variables", "filters"]).prop_flat_map(|first| {
        name().prop_map(move |mut name| {
            name.insert(0, Ident::new(first, Span::default()));
            name
        })
    });
    let default = ExprKind::Field(vec![Ident::new("Default", Span::default())]);
    let value = prop_oneof![expr(), Just(Expr::new(default, Span::default()))];
    let set = (placeholder, value).prop_map(|(name, value)| StatementKind::Set {
        name,
        value: SetValue::Expr(Box::new(value)),
    });
    let value = prop_oneof![text().prop_map(SetValue::Text), Just(SetValue::Default)];
    let set_text = (name(), value).prop_filter_map("a placeholder", |(name, value)| {
        let is_placeholder = matches!(name[0].name.as_str(), "var" | "filters");
        let takes_text = !is_placeholder || value == SetValue::Default;
        takes_text.then_some(StatementKind::Set { name, value })
    });
    prop_oneof![set, set_text, of(name()).prop_map(StatementKind::Reset)].boxed()
}

fn kind() -> impl Strategy<Value = RelationKind> {
    select(&[RelationKind::View, RelationKind::Table])
}

fn definitions() -> BoxedStrategy<StatementKind> {
    let view =
        (any::<bool>(), name(), names(), query()).prop_map(|(replace, name, columns, query)| {
            StatementKind::CreateView { replace, name, columns, query }
        });
    let column = (ident(), type_name());
    let content = prop_oneof![
        vec(column, 1..3).prop_map(TableContent::Columns),
        (names(), query()).prop_map(|(columns, query)| TableContent::Query { columns, query }),
    ];
    let table = (any::<bool>(), name(), content).prop_map(|(if_not_exists, name, content)| {
        StatementKind::CreateTable { if_not_exists, name, content }
    });
    let drop = (kind(), any::<bool>(), vec(name(), 1..3), any::<bool>()).prop_map(
        |(kind, if_exists, names, cascade)| StatementKind::Drop { kind, if_exists, names, cascade },
    );
    let rename =
        (kind(), any::<bool>(), name(), ident()).prop_map(|(kind, if_exists, name, to)| {
            StatementKind::Rename { kind, if_exists, name, to }
        });
    prop_oneof![view, table, drop, rename].boxed()
}

fn insert() -> BoxedStrategy<StatementKind> {
    (name(), names(), no_tag())
        .prop_map(|(table, columns, source)| StatementKind::Insert { table, columns, source })
        .boxed()
}

fn rows() -> BoxedStrategy<StatementKind> {
    use CopyFormat::{Csv, Parquet, Text};
    let target = prop_oneof![
        text().prop_map(|path| CopyTarget::File(path, Span::default())),
        Just(CopyTarget::Stdout),
    ];
    let copy = (query(), target, of(select(&[Csv, Parquet, Text])), of(any::<bool>())).prop_map(
        |(query, target, format, header)| {
            StatementKind::Copy(Copy { query, target, format, header })
        },
    );
    prop_oneof![insert(), copy, copy_from()].boxed()
}

fn copy_from() -> BoxedStrategy<StatementKind> {
    use CopyFormat::{Csv, Parquet, Text};
    use CopyHeader::{Match, Row, Skip};
    let kinds = (of(select(&[Csv, Parquet, Text])), of(select(&[Row, Skip, Match])));
    let texts = (of(text()), of(text()), of(text()), of(text()));
    (name(), names(), kinds, texts)
        .prop_map(|(table, columns, (format, header), (delimiter, null, quote, escape))| {
            StatementKind::CopyFrom(CopyFrom {
                table,
                columns,
                format,
                header,
                delimiter,
                null,
                quote,
                escape,
            })
        })
        .boxed()
}

fn prepared() -> BoxedStrategy<StatementKind> {
    let statement = prop_oneof![insert(), query().prop_map(StatementKind::Query)];
    let prepare =
        (ident(), vec(type_name(), 0..3), statement).prop_map(|(name, types, statement)| {
            StatementKind::Prepare { name, types, statement: Box::new(statement_of(statement)) }
        });
    let execute =
        (ident(), vec(expr(), 0..3)).prop_map(|(name, args)| StatementKind::Execute { name, args });
    prop_oneof![prepare, execute, of(ident()).prop_map(StatementKind::Deallocate)].boxed()
}
