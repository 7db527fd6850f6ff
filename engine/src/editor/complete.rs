//! Completions at a cursor.

use datafusion::common::ExprSchema;
use hedgerow_parser::ast::Ident;
use hedgerow_parser::{Span, parse_query};

use super::context::{Clause, Context, Cte, Place, Source, context};
use super::{Completion, CompletionKind};
use crate::catalog::is_hidden;
use crate::functions::function::Body;
use crate::functions::{Function, registry};
use crate::lower::{self, Scene, Task};
use crate::settings::SETTINGS;
use crate::storage::{COMMENT, PROPERTY_TYPES};
use crate::types::Type;
use crate::types::property::PropertyType;

/// What could be written at `cursor`, a byte offset, best first. The text may be incomplete.
pub(crate) fn completions(scene: Scene<'_>, text: &str, cursor: usize) -> Vec<Completion> {
    let mut cursor = cursor.min(text.len());
    while !text.is_char_boundary(cursor) {
        cursor -= 1;
    }
    let context = context(text, cursor, scene.dialect);
    let mut found = Found { scene, text, context: &context, items: Vec::new() };
    found.collect();
    found.ranked()
}

/// A column that can be named.
struct Column {
    name: String,
    ty: Type,
    doc: Option<String>,
    /// Its keys are in the property catalogue.
    has_properties: bool,
}

struct Found<'a> {
    scene: Scene<'a>,
    text: &'a str,
    context: &'a Context,
    /// With a number by which the better of two equal matches is known: less is better.
    items: Vec<(u64, Completion)>,
}

impl Found<'_> {
    fn collect(&mut self) {
        let context = self.context;
        match context.place {
            Place::Source => self.tables(),
            Place::Value | Place::After if !context.qualifier.is_empty() => self.members(),
            Place::Placeholder if !context.qualifier.is_empty() => self.variables(),
            _ if !context.qualifier.is_empty() => {}
            Place::Value => self.values(),
            Place::Statement => self.keywords(STATEMENTS),
            Place::After if context.in_call => self.keywords(OPERATORS),
            Place::After => self.keywords(following(context.clause)),
            Place::By => self.keywords(&["BY"]),
            Place::Join => self.keywords(JOINS),
            Place::Is => self.keywords(&["NULL", "NOT NULL", "DISTINCT FROM"]),
            Place::Window => {
                self.keywords(&["PARTITION BY", "ORDER BY", "ROWS BETWEEN", "RANGE BETWEEN"]);
            }
            Place::Setting => self.settings(),
            Place::Placeholder => {
                self.values();
                for name in ["filters", "variables"] {
                    self.add(0, name, CompletionKind::Placeholder, None, None);
                }
            }
            Place::Nothing => {}
        }
    }

    /// Matches come first that begin as the text does, then those that contain it.
    fn ranked(self) -> Vec<Completion> {
        let prefix = self.context.prefix.as_str();
        let lower = prefix.to_lowercase();
        let quality = |label: &str| {
            let label_lower = label.to_lowercase();
            let bare = label_lower.trim_start_matches('$');
            match () {
                () if label.starts_with(prefix) => Some(0),
                () if label_lower.starts_with(&lower) || bare.starts_with(&lower) => Some(1),
                () if label_lower.contains(&lower) => Some(2),
                () => None,
            }
        };
        let mut ranked: Vec<_> = self
            .items
            .into_iter()
            .filter_map(|(rank, item)| Some(((quality(&item.label)?, item.kind, rank), item)))
            .collect();
        ranked.sort_by(|(a, left), (b, right)| a.cmp(b).then_with(|| left.label.cmp(&right.label)));
        ranked.dedup_by(|(_, a), (_, b)| a.label == b.label && a.kind == b.kind);
        ranked.into_iter().map(|(_, item)| item).collect()
    }

    fn add(
        &mut self,
        rank: u64,
        label: &str,
        kind: CompletionKind,
        detail: Option<String>,
        doc: Option<String>,
    ) {
        use CompletionKind as K;
        let insert = match kind {
            K::Alias | K::Column | K::Property | K::Source | K::Cte => quoted(label),
            K::Table => label.split('.').map(quoted).collect::<Vec<_>>().join("."),
            K::Function | K::TableFunction => format!("{label}("),
            _ => label.to_owned(),
        };
        let range = &self.context.replaced;
        let at = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        let replaces = Span::new(at(range.start), at(range.end));
        let label = label.to_owned();
        self.items.push((rank, Completion { label, kind, insert, replaces, detail, doc }));
    }

    fn keywords(&mut self, words: &[&str]) {
        for (rank, word) in (0..).zip(words) {
            self.add(rank, word, CompletionKind::Keyword, None, None);
        }
    }

    fn settings(&mut self) {
        for setting in SETTINGS {
            let (value, doc) = (self.scene.settings.get(setting.name), setting.doc.to_owned());
            self.add(0, setting.name, CompletionKind::Setting, value, Some(doc));
        }
    }

    fn variables(&mut self) {}

    /// Tables, after the dots that are already there.
    fn tables(&mut self) {
        let schema: String = self.context.qualifier.iter().map(|part| format!("{part}.")).collect();
        for table in self.scene.catalog.tables() {
            let name = match schema.as_str() {
                "" => Some(table.name.as_str()),
                "public." | "posthog." => Some(table.name.as_str()).filter(|n| !n.contains('.')),
                schema => table.name.strip_prefix(schema),
            };
            if let Some(name) = name {
                let rank = u64::from(name.contains('.'));
                let doc = Some(table.doc.to_owned());
                self.add(rank, name, CompletionKind::Table, None, doc);
            }
        }
        if schema.is_empty() {
            for cte in self.context.ctes.iter().filter(|cte| cte.definition.is_some()) {
                self.add(0, &cte.name, CompletionKind::Cte, None, None);
            }
            for name in ["numbers", "generate_series", "range"] {
                self.add(0, name, CompletionKind::TableFunction, None, None);
            }
        }
    }

    /// What can be named in an expression.
    fn values(&mut self) {
        for alias in &self.context.aliases {
            self.add(0, alias, CompletionKind::Alias, None, None);
        }
        for cte in self.context.ctes.iter().filter(|cte| cte.definition.is_none()) {
            self.add(0, &cte.name, CompletionKind::Alias, None, None);
        }
        for source in &self.context.sources {
            if let Some(name) = source.alias.as_ref().or(source.name.last()) {
                self.add(0, name, CompletionKind::Source, None, None);
            }
            for column in self.columns(source) {
                self.column(&column);
            }
        }
        for function in registry().functions().filter(|f| !f.name.starts_with('_')) {
            let rank = u64::from(!matches!(function.body, Body::Aggregate(_)));
            let (signature, doc) = (Function::signature(function), function.doc.to_owned());
            self.add(rank, function.name, CompletionKind::Function, Some(signature), Some(doc));
        }
        self.keywords(match self.context.clause {
            Clause::Select => SELECT_VALUES,
            _ => VALUES,
        });
    }

    fn column(&mut self, column: &Column) {
        let (ty, doc) = (column.ty.to_string(), column.doc.clone());
        self.add(0, &column.name, CompletionKind::Column, Some(ty), doc);
    }

    /// What follows a dot: columns of a source, or keys of properties.
    fn members(&mut self) {
        let qualifier = &self.context.qualifier;
        let named = |source: &&Source| match &source.alias {
            Some(alias) => *alias == qualifier[0],
            None => source.name.last() == Some(&qualifier[0]),
        };
        let source = self.context.sources.iter().find(named);
        let columns: Vec<Column> = match source {
            Some(source) => self.columns(source),
            None => self.context.sources.iter().flat_map(|source| self.columns(source)).collect(),
        };
        match (source, qualifier.as_slice()) {
            (Some(_), [_]) => columns.iter().for_each(|column| self.column(column)),
            (Some(_), [_, name]) | (None, [name]) => {
                let has_properties = |c: &Column| c.name == *name && c.has_properties;
                if columns.iter().any(has_properties) {
                    self.properties();
                }
            }
            _ => {}
        }
    }

    fn properties(&mut self) {
        for (key, property) in self.scene.catalog.properties().iter() {
            let by_hand = self.scene.settings.property_types.get(key).copied();
            let ty = by_hand.or_else(|| self.scene.catalog.property_type(key));
            let ty = match ty.unwrap_or(property.ty) {
                PropertyType::String => Type::String,
                PropertyType::Numeric => Type::Float64,
                PropertyType::Boolean => Type::Bool,
                PropertyType::DateTime => {
                    Type::DateTime(self.scene.settings.timezone.as_str().into())
                }
            };
            let seen = property.seen.total();
            let doc = format!("In {seen} events.");
            let rank = u64::MAX - seen;
            self.add(rank, key, CompletionKind::Property, Some(ty.to_string()), Some(doc));
        }
    }

    fn columns(&self, source: &Source) -> Vec<Column> {
        let name = source.name.join(".");
        let cte = self.context.ctes.iter().rev().find(|cte| cte.name == name);
        match (&source.query, cte) {
            (Some(query), _) => self.query_columns(&format!("({})", &self.text[query.clone()])),
            (None, Some(Cte { definition: Some(_), .. })) => self.query_columns(&quoted(&name)),
            _ => self.table_columns(source),
        }
    }

    fn table_columns(&self, source: &Source) -> Vec<Column> {
        let nowhere = Span::new(0, 0);
        let name: Vec<Ident> =
            source.name.iter().map(|part| Ident::new(part.clone(), nowhere)).collect();
        let Ok(table) = self.scene.catalog.resolve(&name) else { return Vec::new() };
        let fields = table.fields();
        let visible = fields.fields().iter().filter(|field| !is_hidden(field));
        let column = |field: &arrow::datatypes::FieldRef| Column {
            name: field.name().clone(),
            ty: Type::from_field(field),
            doc: field.metadata().get(COMMENT).cloned(),
            has_properties: field.metadata().contains_key(PROPERTY_TYPES),
        };
        visible.map(column).collect()
    }

    /// The columns of a query, as `select * from` sees it. None when it cannot be analysed yet.
    fn query_columns(&self, from: &str) -> Vec<Column> {
        let definitions = self.context.ctes.iter().filter_map(|cte| cte.definition.clone());
        let definitions: Vec<&str> = definitions.map(|range| &self.text[range]).collect();
        let with = match definitions.is_empty() {
            true => String::new(),
            false => format!("with {} ", definitions.join(", ")),
        };
        let Ok(query) = parse_query(&format!("{with}select * from {from}"), self.scene.dialect)
        else {
            return Vec::new();
        };
        let Ok(analysis) = lower::analyse(Task::Query(&query), self.scene, &[]) else {
            return Vec::new();
        };
        let schema = analysis.lowered.plan.schema();
        let column = |output: &lower::OutputColumn| Column {
            name: output.name.clone(),
            ty: output.ty.clone(),
            doc: None,
            has_properties: schema
                .field_from_column(&output.column)
                .is_ok_and(|field| field.metadata().contains_key(PROPERTY_TYPES)),
        };
        analysis.lowered.columns.iter().map(column).collect()
    }
}

/// A name as it has to be written.
fn quoted(name: &str) -> String {
    Ident::new(name.to_owned(), Span::new(0, 0)).to_string()
}

const STATEMENTS: &[&str] = &["SELECT", "WITH"];

const JOINS: &[&str] = &["JOIN", "OUTER JOIN", "SEMI JOIN", "ANTI JOIN", "ARRAY JOIN"];

const VALUES: &[&str] = &["NOT", "CASE", "INTERVAL", "NULL", "true", "false", "CAST"];

const SELECT_VALUES: &[&str] =
    &["DISTINCT", "NOT", "CASE", "INTERVAL", "NULL", "true", "false", "CAST"];

const OPERATORS: &[&str] = &["AND", "OR", "IN", "NOT IN", "LIKE", "ILIKE", "BETWEEN", "IS", "OVER"];

/// The words that may follow a complete part of a clause, in the order of the clauses.
fn following(clause: Clause) -> &'static [&'static str] {
    match clause {
        Clause::Start => STATEMENTS,
        Clause::With => &["AS", "SELECT"],
        Clause::Select => {
            &["FROM", "AS", "AND", "OR", "IN", "LIKE", "BETWEEN", "IS", "OVER", "UNION ALL"]
        }
        Clause::From => &[
            "WHERE",
            "JOIN",
            "LEFT JOIN",
            "INNER JOIN",
            "CROSS JOIN",
            "ARRAY JOIN",
            "ON",
            "USING",
            "AS",
            "GROUP BY",
            "ORDER BY",
            "LIMIT",
            "SAMPLE",
            "UNION ALL",
        ],
        Clause::On | Clause::Where => &[
            "AND",
            "OR",
            "IN",
            "NOT IN",
            "LIKE",
            "ILIKE",
            "BETWEEN",
            "IS",
            "WHERE",
            "GROUP BY",
            "HAVING",
            "ORDER BY",
            "LIMIT",
            "UNION ALL",
        ],
        Clause::GroupBy => &["HAVING", "ORDER BY", "LIMIT", "WITH TOTALS", "UNION ALL"],
        Clause::Having => &["AND", "OR", "IN", "LIKE", "IS", "ORDER BY", "LIMIT", "UNION ALL"],
        Clause::OrderBy => &["DESC", "ASC", "NULLS FIRST", "NULLS LAST", "WITH FILL", "LIMIT"],
        Clause::Limit => &["OFFSET", "BY", "WITH TIES", "UNION ALL"],
    }
}
