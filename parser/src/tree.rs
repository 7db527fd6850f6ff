//! A statement's tree for people: one node a line, indented, with its place.

use std::fmt::Write as _;

use crate::ast::{
    CteBody, Described, Expr, ExprKind, Ident, Join, JoinConstraint, Query, Select, SetKind,
    SetQuery, Source, SourceKind, Statement, StatementKind, TableContent,
};
use crate::span::Span;
use crate::visit::{child_queries, children};

/// Longest piece of the text that a line shows, in characters.
const SHOWN_MAX: usize = 60;

/// The tree of a statement: a line for each node, below and right of its parent, with its first
/// and last character counted from 1.
#[must_use]
pub fn tree(statement: &Statement, text: &str) -> String {
    let starts = text.char_indices().map(|(at, _)| at as u32).collect();
    let mut tree = Tree { text, starts, out: String::new(), depth: 0 };
    tree.statement(statement);
    tree.out
}

struct Tree<'a> {
    text: &'a str,
    /// Where each character begins.
    starts: Vec<u32>,
    out: String,
    depth: usize,
}

impl<'a> Tree<'a> {
    // ----- lines --------------------------------------------------------------------------

    fn line(&mut self, kind: &str, detail: &str, span: Option<Span>) {
        self.out.extend(std::iter::repeat_n(' ', self.depth * 2));
        self.out.push_str(kind);
        if let Some(span) = span {
            let first = self.starts.partition_point(|at| *at < span.start) + 1;
            let last = self.starts.partition_point(|at| *at < span.end);
            // Writing into a string does not fail.
            let _ = write!(self.out, " {first}-{}", last.max(first));
        }
        if !detail.is_empty() {
            self.out.push(' ');
            self.out.push_str(detail);
        }
        self.out.push('\n');
    }

    /// What stands there, on one line and not too long.
    fn shown(&self, span: Span) -> String {
        let piece = self.text.get(span.range()).unwrap_or_default();
        let words = piece.split_whitespace().flat_map(|word| [" ", word]).skip(1);
        let mut shown: String = words.flat_map(str::chars).take(SHOWN_MAX + 1).collect();
        if shown.chars().count() > SHOWN_MAX {
            shown.pop();
            shown.push('…');
        }
        shown
    }

    /// A line, and below it what `inner` adds.
    fn node(
        &mut self,
        kind: &str,
        detail: &str,
        span: Option<Span>,
        inner: impl FnOnce(&mut Self),
    ) {
        self.line(kind, detail, span);
        self.depth += 1;
        inner(self);
        self.depth -= 1;
    }

    /// A clause with expressions, if it has any.
    fn clause(&mut self, name: &str, exprs: &[&'a Expr]) {
        if !exprs.is_empty() {
            self.node(name, "", None, |tree| exprs.iter().for_each(|expr| tree.expr(expr)));
        }
    }

    // ----- statements ---------------------------------------------------------------------

    fn statement(&mut self, statement: &'a Statement) {
        let (kind, query) = match &statement.kind {
            StatementKind::Query(query) => return self.query(query),
            StatementKind::Explain(explain) => ("Explain", Some(&explain.query)),
            StatementKind::Show(_) => ("Show", None),
            StatementKind::Describe(Described::Query(query)) => ("Describe", Some(query)),
            StatementKind::Describe(Described::Table(_)) => ("Describe", None),
            StatementKind::Set { .. } => ("Set", None),
            StatementKind::Reset(_) => ("Reset", None),
            StatementKind::CreateView { query, .. } => ("CreateView", Some(query)),
            StatementKind::CreateTable { content: TableContent::Query { query, .. }, .. } => {
                ("CreateTable", Some(query))
            }
            StatementKind::CreateTable { .. } => ("CreateTable", None),
            StatementKind::Drop { .. } => ("Drop", None),
            StatementKind::Rename { .. } => ("Rename", None),
            StatementKind::AlterColumn { .. } => ("AlterColumn", None),
            StatementKind::AlterOptions { .. } => ("AlterOptions", None),
            StatementKind::Insert { source, .. } => ("Insert", Some(source)),
            StatementKind::Delete(delete) => {
                return self.node("Delete", "", Some(statement.span), |tree| {
                    tree.source(&delete.from);
                    delete.condition.iter().for_each(|condition| tree.expr(condition));
                });
            }
            StatementKind::Copy(copy) => ("Copy", Some(&copy.query)),
            StatementKind::CopyFrom(_) => ("CopyFrom", None),
            StatementKind::Prepare { statement: prepared, .. } => {
                return self.node("Prepare", "", Some(statement.span), |tree| {
                    tree.statement(prepared);
                });
            }
            StatementKind::Execute { .. } => ("Execute", None),
            StatementKind::Deallocate(_) => ("Deallocate", None),
        };
        let shown = if query.is_none() { self.shown(statement.span) } else { String::new() };
        self.node(kind, &shown, Some(statement.span), |tree| {
            query.into_iter().for_each(|query| tree.query(query));
        });
    }

    // ----- queries ------------------------------------------------------------------------

    fn query(&mut self, query: &'a Query) {
        match query {
            Query::Select(select) => {
                self.node("Select", "", Some(select.span), |tree| tree.select(select));
            }
            Query::Set(set) => self.node("Set", "", Some(set.span), |tree| tree.set(set)),
            Query::Values(values) => self.node("Values", "", Some(values.span), |tree| {
                let rows: Vec<&Expr> = values.rows.iter().flatten().collect();
                rows.iter().for_each(|value| tree.expr(value));
            }),
            Query::Placeholder(inner) => {
                self.node("Placeholder", "", Some(inner.span), |tree| tree.expr(inner));
            }
            Query::Tag(tag) => self.expr(tag),
        }
    }

    fn set(&mut self, set: &'a SetQuery) {
        self.ctes(set.with.as_ref());
        self.query(&set.first);
        for (operator, operand) in &set.rest {
            let kind = match operator.kind {
                SetKind::Union => "union",
                SetKind::Intersect => "intersect",
                SetKind::Except => "except",
            };
            let all = if operator.all { "all" } else { "" };
            self.node(kind, all, None, |tree| tree.query(operand));
        }
        self.clause("order by", &set.order_by.iter().map(|item| &item.expr).collect::<Vec<_>>());
        self.clause("limit", &set.limit.iter().map(|limit| &limit.count).collect::<Vec<_>>());
        self.clause("offset", &set.offset.iter().collect::<Vec<_>>());
    }

    fn ctes(&mut self, with: Option<&'a crate::ast::With>) {
        for cte in with.iter().flat_map(|with| &with.ctes) {
            self.node("with", &cte.name.name, Some(cte.name.span), |tree| match &cte.body {
                CteBody::Scalar(value) => tree.expr(value),
                CteBody::Table { query, .. } => tree.query(query),
            });
        }
    }

    fn select(&mut self, select: &'a Select) {
        use crate::ast::GroupBy;
        self.ctes(select.with.as_ref());
        self.clause("distinct on", &select.distinct_on.iter().collect::<Vec<_>>());
        let words = if select.distinct { "columns distinct" } else { "columns" };
        self.clause(words, &select.columns.iter().collect::<Vec<_>>());
        if let Some(from) = &select.from {
            self.node("from", "", None, |tree| tree.join(from));
        }
        for join in &select.array_joins {
            let words = if join.left { "left array join" } else { "array join" };
            self.clause(words, &join.items.iter().map(|(array, _)| array).collect::<Vec<_>>());
        }
        self.clause("prewhere", &select.prewhere.iter().collect::<Vec<_>>());
        self.clause("where", &select.filter.iter().collect::<Vec<_>>());
        match &select.group_by {
            None => {}
            Some(GroupBy::All) => self.line("group by all", "", None),
            Some(GroupBy::Keys { keys, .. } | GroupBy::Cube(keys) | GroupBy::Rollup(keys)) => {
                self.clause("group by", &keys.iter().collect::<Vec<_>>());
            }
            Some(GroupBy::Sets(sets)) => {
                self.clause("group by sets", &sets.iter().flatten().collect::<Vec<_>>());
            }
        }
        self.clause("having", &select.having.iter().collect::<Vec<_>>());
        self.clause("qualify", &select.qualify.iter().collect::<Vec<_>>());
        for (name, spec) in &select.windows {
            let mut exprs: Vec<&Expr> = spec.partition_by.iter().collect();
            exprs.extend(spec.order_by.iter().map(|item| &item.expr));
            self.node("window", &name.name, Some(name.span), |tree| {
                exprs.iter().for_each(|expr| tree.expr(expr));
            });
        }
        self.clause("order by", &select.order_by.iter().map(|item| &item.expr).collect::<Vec<_>>());
        if let Some(limit_by) = &select.limit_by {
            let exprs: Vec<&Expr> = std::iter::once(&limit_by.count)
                .chain(&limit_by.offset)
                .chain(&limit_by.keys)
                .collect();
            self.clause("limit by", &exprs);
        }
        self.clause("limit", &select.limit.iter().map(|limit| &limit.count).collect::<Vec<_>>());
        self.clause("offset", &select.offset.iter().collect::<Vec<_>>());
    }

    fn join(&mut self, join: &'a Join) {
        match join {
            Join::Source(source) => self.source(source),
            Join::Join { left, kind, right, constraint, span, .. } => {
                self.node("Join", &format!("{kind:?}"), Some(*span), |tree| {
                    tree.join(left);
                    tree.join(right);
                    match constraint {
                        Some(JoinConstraint::On(condition)) => tree.clause("on", &[condition]),
                        Some(JoinConstraint::Using(names)) => {
                            tree.line("using", &list(names), None)
                        }
                        None => {}
                    }
                });
            }
        }
    }

    fn source(&mut self, source: &'a Source) {
        let name = source.alias.as_ref().map_or("", |alias| &alias.name);
        match &source.kind {
            SourceKind::Table(_) => self.line("Table", &self.shown(source.span), Some(source.span)),
            SourceKind::Function(function, args) => {
                let detail = function.name.clone();
                self.node("Function", &detail, Some(source.span), |tree| {
                    args.iter().for_each(|arg| tree.expr(arg));
                });
            }
            SourceKind::Query(query) => {
                self.node("Subquery", name, Some(source.span), |tree| tree.query(query));
            }
            SourceKind::Placeholder(inner) => {
                self.node("Placeholder", name, Some(source.span), |tree| tree.expr(inner));
            }
            SourceKind::Tag(tag) => self.line("Tag", &tag.name.name, Some(source.span)),
            SourceKind::Pivot(pivot) => self.node("Pivot", name, Some(source.span), |tree| {
                tree.join(&pivot.source);
                tree.clause("aggregates", &pivot.aggregates.iter().collect::<Vec<_>>());
                for (column, values) in &pivot.columns {
                    let exprs: Vec<&Expr> = std::iter::once(column).chain(values).collect();
                    tree.clause("for", &exprs);
                }
                tree.clause("group by", &pivot.group_by.iter().collect::<Vec<_>>());
            }),
            SourceKind::Unpivot(unpivot) => self.node("Unpivot", name, Some(source.span), |tree| {
                tree.join(&unpivot.source);
                for (value, column, columns) in &unpivot.columns {
                    let exprs: Vec<&Expr> = [value, column].into_iter().chain(columns).collect();
                    tree.clause("for", &exprs);
                }
            }),
        }
        if let Some(sample) = &source.sample {
            let exprs: Vec<&Expr> = std::iter::once(&sample.ratio).chain(&sample.offset).collect();
            self.clause("sample", &exprs);
        }
    }

    // ----- expressions --------------------------------------------------------------------

    fn expr(&mut self, expr: &'a Expr) {
        let (kind, detail) = self.described(expr);
        self.node(kind, &detail, Some(expr.span), |tree| {
            children(expr, &mut |child| tree.expr(child));
            child_queries(expr, &mut |query| tree.query(query));
        });
    }

    /// The kind of a node, and what sets it apart from others of its kind.
    fn described(&self, expr: &Expr) -> (&'static str, String) {
        let shown = || self.shown(expr.span);
        match &expr.kind {
            ExprKind::Literal(_) => ("Literal", shown()),
            ExprKind::Field(_) => ("Field", shown()),
            ExprKind::Star(_) => ("Star", shown()),
            ExprKind::Columns(_) => ("Columns", shown()),
            ExprKind::PositionalColumn(_) => ("PositionalColumn", shown()),
            ExprKind::Spread(_) => ("Spread", String::new()),
            ExprKind::Alias(_, name) => ("Alias", name.name.clone()),
            ExprKind::Negate(_) => ("Negate", String::new()),
            ExprKind::Not(_) => ("Not", String::new()),
            ExprKind::Binary(_, op, _) => ("Binary", format!("{op:?}")),
            ExprKind::And(_) => ("And", String::new()),
            ExprKind::Or(_) => ("Or", String::new()),
            ExprKind::IsNull { negated, .. } => ("IsNull", negation(*negated)),
            ExprKind::IsDistinctFrom { negated, .. } => ("IsDistinctFrom", negation(*negated)),
            ExprKind::Between { negated, .. } => ("Between", negation(*negated)),
            ExprKind::In { negated, .. } => ("In", negation(*negated)),
            ExprKind::InCohort { negated, .. } => ("InCohort", negation(*negated)),
            ExprKind::Coalesce(..) => ("Coalesce", String::new()),
            ExprKind::Ternary { .. } => ("Ternary", String::new()),
            ExprKind::Case { .. } => ("Case", String::new()),
            ExprKind::Cast { target, .. } => ("Cast", target.name.clone()),
            ExprKind::Interval { unit, .. } => ("Interval", format!("{unit:?}")),
            ExprKind::Tuple(_) => ("Tuple", String::new()),
            ExprKind::Array(_) => ("Array", String::new()),
            ExprKind::Dict(_) => ("Dict", String::new()),
            ExprKind::TupleElement { index, .. } => ("TupleElement", index.to_string()),
            ExprKind::Index { .. } => ("Index", String::new()),
            ExprKind::Member { name, .. } => ("Member", name.name.clone()),
            ExprKind::Slice { .. } => ("Slice", String::new()),
            ExprKind::Lambda { params, .. } => ("Lambda", list(params)),
            ExprKind::NamedArgument(name, _) => ("NamedArgument", name.name.clone()),
            ExprKind::Call(call) => ("Call", call.name.name.clone()),
            ExprKind::CallExpr(..) => ("CallExpr", String::new()),
            ExprKind::Subquery(_) => ("Subquery", String::new()),
            ExprKind::Placeholder(_) => ("Placeholder", String::new()),
            ExprKind::Template(_) => ("Template", String::new()),
            ExprKind::Tag(tag) => ("Tag", tag.name.name.clone()),
            ExprKind::IgnoreNulls(_) => ("IgnoreNulls", String::new()),
        }
    }
}

fn negation(negated: bool) -> String {
    if negated { "not".to_owned() } else { String::new() }
}

fn list(names: &[Ident]) -> String {
    names.iter().map(|name| name.name.as_str()).collect::<Vec<_>>().join(", ")
}
