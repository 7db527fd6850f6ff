//! What a name means inside one SELECT.

use std::collections::{HashMap, HashSet};

use datafusion::common::{Column, TableReference};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, SortExpr};
use hedgerow_parser::{Span, ast};

use super::outer::Outer;
use super::{Environment, Lowered, order};
use crate::error::{Error, ErrorKind, Result, did_you_mean};
use crate::functions::Typed;
use crate::types::Type;

/// The common table expressions in sight, innermost first.
pub(super) struct Ctes<'a> {
    pub(super) parent: Option<&'a Ctes<'a>>,
    pub(super) entries: HashMap<&'a str, Cte<'a>>,
    /// The query around this one, when it stands in an expression there.
    pub(super) outer: Option<&'a (dyn Outer + 'a)>,
}

/// What a common table expression stands for.
pub(super) enum Cte<'a> {
    /// A query, lowered where it was declared.
    Table(Lowered),
    /// An expression, lowered where it is used.
    Scalar(&'a ast::Expr),
}

impl<'a> Ctes<'a> {
    /// The names of all, innermost first.
    pub(super) fn names(&self) -> Vec<&'a str> {
        let mut names: Vec<&str> = self.entries.keys().copied().collect();
        names.sort_unstable();
        names.extend(self.parent.map(Ctes::names).unwrap_or_default());
        names
    }

    /// Nothing in sight.
    pub(super) fn none() -> Self {
        Self { parent: None, entries: HashMap::new(), outer: None }
    }

    pub(super) fn find(&self, name: &str) -> Option<&Cte<'a>> {
        self.entries.get(name).or_else(|| self.parent?.find(name))
    }

    /// The nearest query around this one whose names can be read.
    pub(super) fn outer(&self) -> Option<&'a (dyn Outer + 'a)> {
        self.outer.or_else(|| self.parent?.outer())
    }
}

/// One source in FROM.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    /// The alias, or the table's own name.
    pub(super) name: String,
    /// Other dotted names by which it can be addressed: `public.events`.
    pub(super) path: Vec<String>,
    pub(super) columns: Vec<RelationColumn>,
    /// The column whose values no two rows share, where there is one.
    pub(super) identity: Option<Column>,
    /// How its rows are sorted: where aggregates depend on an order, this is it.
    pub(super) order: Vec<SortExpr>,
}

/// A column of a source.
#[derive(Debug, Clone)]
pub(super) struct RelationColumn {
    pub(super) name: String,
    pub(super) column: Column,
    pub(super) ty: Type,
    /// Left out of `*`.
    pub(super) hidden: bool,
}

/// An alias of the select list.
#[derive(Clone, Copy)]
pub(super) struct Alias<'a> {
    pub(super) expr: &'a ast::Expr,
    /// The select item it belongs to; later items cannot be seen from earlier ones.
    pub(super) item: usize,
}

/// An array that a call of `arrayJoin` has walked.
pub(super) struct Walked<'a> {
    pub(super) call: &'a ast::Call,
    pub(super) array: Expr,
    pub(super) element: Typed,
}

/// The names of one SELECT, and the plan of its FROM clause, which grows while subqueries in
/// expressions are joined to it.
pub(super) struct Scope<'a> {
    pub(super) env: &'a Environment<'a>,
    pub(super) ctes: &'a Ctes<'a>,
    pub(super) relations: Vec<Relation>,
    pub(super) plan: LogicalPlan,
    pub(super) aliases: HashMap<&'a str, Alias<'a>>,
    /// Columns of later sources that USING merged into earlier ones.
    pub(super) merged: HashSet<Column>,
    /// Columns that FULL JOIN with USING made out of both sides.
    pub(super) coalesced: Vec<RelationColumn>,
    /// Aliases of ARRAY JOIN, which hide columns of the same name.
    pub(super) elements: Vec<RelationColumn>,
    pub(super) walked: Vec<Walked<'a>>,
    pub(super) windows: HashMap<&'a str, &'a ast::WindowSpec>,
    /// Subqueries in expressions that were lowered already, by the address of their node.
    pub(super) subqueries: HashMap<usize, Typed>,
    /// Aliases whose values must be computed once, see [`super::volatile`].
    pub(super) volatile: HashMap<&'a str, Typed>,
    /// Columns that are never NULL in the rows, but may be in the groups.
    pub(super) never_null: HashSet<Column>,
}

impl<'a> Scope<'a> {
    /// A scope without sources: one row without columns.
    pub(super) fn new(env: &'a Environment<'a>, ctes: &'a Ctes<'a>) -> Result<Self> {
        Ok(Self {
            env,
            ctes,
            relations: Vec::new(),
            plan: LogicalPlanBuilder::empty(true).build()?,
            aliases: HashMap::new(),
            merged: HashSet::new(),
            coalesced: Vec::new(),
            elements: Vec::new(),
            walked: Vec::new(),
            windows: HashMap::new(),
            subqueries: HashMap::new(),
            volatile: HashMap::new(),
            never_null: HashSet::new(),
        })
    }

    /// The source a dotted prefix names, and how many parts of the chain it takes.
    pub(super) fn relation(&self, chain: &[ast::Ident]) -> Option<(&Relation, usize)> {
        let first = chain.first()?;
        if let Some(found) = self.relations.iter().find(|r| r.name == first.name) {
            return Some((found, 1));
        }
        self.relations.iter().find_map(|relation| {
            let length = relation.path.len();
            let matches = length > 1
                && chain.len() > length
                && relation.path.iter().zip(chain).all(|(part, ident)| *part == ident.name);
            matches.then_some((relation, length))
        })
    }

    /// The column that a bare name means.
    ///
    /// # Errors
    /// `Ambiguous` when several sources have it.
    pub(super) fn column(&self, name: &str, span: Span) -> Result<Option<&RelationColumn>> {
        if let Some(element) = self.elements.iter().find(|column| column.name == name) {
            return Ok(Some(element));
        }
        let of_relations = self.relations.iter().flat_map(|relation| {
            relation.columns.iter().map(move |column| (relation.name.as_str(), column))
        });
        let coalesced = self.coalesced.iter().map(|column| ("USING", column));
        let mut found = of_relations
            .chain(coalesced)
            .filter(|(_, column)| column.name == name && !self.merged.contains(&column.column));
        let Some((first, column)) = found.next() else { return Ok(None) };
        if let Some((second, _)) = found.next() {
            if let Some(relation) = self.relations.iter().find(|r| r.name == first)
                && first == second
            {
                return Ok(relation.column(name));
            }
            let message = format!("column {name} is in both {first} and {second}");
            let hint = format!("Write {first}.{name} or {second}.{name}.");
            return Err(Error::new(ErrorKind::Ambiguous, message).at(span).hint(hint));
        }
        Ok(Some(column))
    }

    /// The error for a name that means nothing here.
    pub(super) fn unknown_field(&self, name: &ast::Ident) -> Error {
        let error = Error::new(ErrorKind::UnknownColumn, format!("no column named {}", name.name))
            .at(name.span);
        if self.aliases.contains_key(name.name.as_str()) {
            return error.hint("An alias is known only after the expression that it names.");
        }
        let columns = self.relations.iter().flat_map(|r| r.columns.iter().map(|c| c.name.as_str()));
        let names = columns
            .chain(self.elements.iter().map(|column| column.name.as_str()))
            .chain(self.aliases.keys().copied())
            .chain(self.relations.iter().map(|relation| relation.name.as_str()));
        if let ([only], Ok(_)) =
            (self.relations.as_slice(), self.env.catalog.resolve(std::slice::from_ref(name)))
        {
            return error.hint(format!("In this query the table is called {}.", only.name));
        }
        if let Some(hint) = did_you_mean(&name.name, names) {
            return error.hint(hint);
        }
        if let Some(hint) = self.property_hint(&name.name) {
            return error.hint(hint);
        }
        if name.name.eq_ignore_ascii_case("not") {
            return error.hint("Is the value before NOT missing?");
        }
        // A name in double quotes that nothing has was meant as text more often than not.
        error.hint(format!("Text is written in single quotes: '{}'.", name.name))
    }

    /// A property that was meant by its bare name.
    fn property_hint(&self, name: &str) -> Option<String> {
        if !self.relations.iter().any(|r| r.columns.iter().any(|c| c.name == "properties")) {
            return None;
        }
        let properties = self.env.catalog.properties();
        if properties.get(name).is_some() {
            return Some(format!("Event properties are read as properties.{name}."));
        }
        let keys: Vec<String> =
            properties.iter().map(|(key, _)| format!("properties.{key}")).collect();
        did_you_mean(&format!("properties.{name}"), keys.iter().map(String::as_str))
            .filter(|_| name.chars().count() > 3)
    }

    /// The error for a column that a source lacks.
    pub(super) fn unknown_column(relation: &Relation, name: &ast::Ident) -> Error {
        let message = format!("table {} has no column named {}", relation.name, name.name);
        let error = Error::new(ErrorKind::UnknownColumn, message).at(name.span);
        match did_you_mean(&name.name, relation.columns.iter().map(|c| c.name.as_str())) {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    /// Adds a source under a name of its own.
    ///
    /// # Errors
    /// `Duplicate` when another source has the name.
    pub(super) fn add_relation(&mut self, relation: Relation, span: Span) -> Result<()> {
        if self.relations.iter().any(|other| other.name == relation.name) {
            let message = format!("table name {} is used twice", relation.name);
            return Err(Error::new(ErrorKind::Duplicate, message)
                .at(span)
                .hint("Give one of them another alias."));
        }
        self.relations.push(relation);
        Ok(())
    }
}

impl Relation {
    /// The column that a name means: of several, the one that has the name in the plan.
    pub(super) fn column(&self, name: &str) -> Option<&RelationColumn> {
        let named = || self.columns.iter().filter(|column| column.name == name);
        named().find(|column| column.column.name == name).or_else(|| named().next_back())
    }

    /// A source whose columns the plan has under its name.
    pub(super) fn new(name: &str, columns: Vec<RelationColumn>) -> Self {
        let (name, path) = (name.to_owned(), vec![name.to_owned()]);
        Self { name, path, columns, identity: None, order: Vec::new() }
    }

    /// A lowered query under an alias: its columns are addressed through the alias.
    pub(super) fn of_query(name: &str, lowered: Lowered) -> Result<(Self, LogicalPlan)> {
        let reference = TableReference::bare(name);
        let columns: Vec<_> = lowered
            .columns
            .into_iter()
            .map(|output| RelationColumn {
                name: output.name,
                column: Column::new(Some(reference.clone()), output.column.name),
                ty: output.ty,
                hidden: false,
            })
            .collect();
        let (plan, keys) = order::arrival(lowered.plan)?;
        let qualified = |column: &Column| Some(Column::new(Some(reference.clone()), &column.name));
        let order = order::over(&keys, qualified);
        let plan = LogicalPlanBuilder::from(plan).alias(reference)?.build()?;
        Ok((Self { order, ..Self::new(name, columns) }, plan))
    }
}
