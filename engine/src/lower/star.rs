//! The select list: stars and COLUMNS expanded, output names decided.

use std::collections::HashSet;

use hedgerow_parser::{Dialect, Span, ast, postgres_column_name};

use super::expr::Lowering;
use super::scope::{Alias, RelationColumn, Scope};
use crate::error::{Error, ErrorKind, Result, did_you_mean};
use crate::functions::Typed;
use crate::functions::strings::search;

/// An item of the expanded select list.
pub(super) enum Item<'a> {
    /// Written out by the user, as the n-th item before expansion.
    Expr(&'a ast::Expr, usize),
    /// The n-th item, computed for one of the columns that COLUMNS in it stands for, and its name.
    OfColumn(&'a ast::Expr, usize, usize, String),
    /// A column that a star stands for.
    Column(RelationColumn, Span),
    /// `REPLACE (e AS a)`, in the n-th item before expansion.
    Replaced(&'a ast::Expr, &'a ast::Ident, usize),
}

impl<'a> Scope<'a> {
    /// Makes the aliases of the select list and the named windows known.
    ///
    /// # Errors
    /// `Duplicate` for an alias declared twice.
    pub(super) fn declare(&mut self, select: &'a ast::Select) -> Result<()> {
        for (item, expr) in select.columns.iter().enumerate() {
            self.declare_aliases(expr, item)?;
        }
        for (name, spec) in &select.windows {
            if self.windows.insert(&name.name, spec).is_some() {
                let message = format!("window {} is declared twice", name.name);
                return Err(Error::new(ErrorKind::Duplicate, message).at(name.span));
            }
        }
        Ok(())
    }

    fn declare_aliases(&mut self, expr: &'a ast::Expr, item: usize) -> Result<()> {
        if let ast::ExprKind::Alias(inner, name) = &expr.kind {
            let alias = Alias { expr: inner, item };
            if self.aliases.insert(&name.name, alias).is_some() {
                let message = format!("alias {} is declared twice", name.name);
                return Err(Error::new(ErrorKind::Duplicate, message)
                    .at(name.span)
                    .hint("Give one of them another name."));
            }
        }
        let mut result = Ok(());
        hedgerow_parser::children(expr, &mut |child| {
            if result.is_ok() {
                result = self.declare_aliases(child, item);
            }
        });
        result
    }
}

/// Expands the stars of a select list.
pub(super) fn expand<'a>(scope: &Scope<'a>, columns: &'a [ast::Expr]) -> Result<Vec<Item<'a>>> {
    let mut items = Vec::with_capacity(columns.len());
    for (index, expr) in columns.iter().enumerate() {
        match &expr.kind {
            ast::ExprKind::Star(star) => expand_star(scope, star, (index, expr.span), &mut items)?,
            ast::ExprKind::Columns(columns) => {
                expand_columns(scope, columns, (index, expr.span), &mut items)?;
            }
            _ => match columns_within(scope, expr)? {
                None => items.push(Item::Expr(expr, index)),
                Some((text, columns)) => {
                    let printed = expr.to_string();
                    for (position, name) in columns.iter().enumerate() {
                        let name = printed.replace(&text, name);
                        items.push(Item::OfColumn(expr, index, position, name));
                    }
                }
            },
        }
    }
    Ok(items)
}

/// The items that a COLUMNS stands for, wherever it stands.
pub(super) fn columns<'a>(
    scope: &Scope<'a>,
    columns: &'a ast::Columns,
    span: Span,
) -> Result<Vec<Item<'a>>> {
    let mut items = Vec::new();
    expand_columns(scope, columns, (0, span), &mut items)?;
    Ok(items)
}

fn expand_columns<'a>(
    scope: &Scope<'a>,
    columns: &'a ast::Columns,
    (index, span): (usize, Span),
    items: &mut Vec<Item<'a>>,
) -> Result<()> {
    match columns {
        ast::Columns::List(list) => {
            items.extend(list.iter().map(|expr| Item::Expr(expr, index)));
            Ok(())
        }
        ast::Columns::Star(star) => expand_star(scope, star, (index, span), items),
        ast::Columns::Regex(pattern) => expand_regex(scope, pattern, span, items),
    }
}

/// The text of the COLUMNS within an expression, and the names of what it stands for.
///
/// # Errors
/// `Syntax` when several of them differ, or the results would share an alias.
fn columns_within<'a>(
    scope: &Scope<'a>,
    expr: &'a ast::Expr,
) -> Result<Option<(String, Vec<String>)>> {
    let mut found: Vec<&'a ast::Expr> = Vec::new();
    collect_columns(expr, &mut found);
    let Some((first, others)) = found.split_first() else { return Ok(None) };
    let ast::ExprKind::Columns(columns) = &first.kind else { return Ok(None) };
    if let Some(other) = others.iter().find(|other| other.kind != first.kind) {
        let message = "several COLUMNS in one expression must be the same";
        return Err(Error::new(ErrorKind::Syntax, message).at(other.span));
    }
    let items = self::columns(scope, columns, first.span)?;
    if let ast::ExprKind::Alias(_, name) = &expr.kind
        && items.len() > 1
    {
        let message = format!("{} columns cannot share the alias {}", items.len(), name.name);
        return Err(Error::new(ErrorKind::Duplicate, message).at(name.span));
    }
    let names = items.iter().map(|item| match item {
        Item::Column(column, _) => column.name.clone(),
        Item::Replaced(_, name, _) => name.name.clone(),
        Item::Expr(expr, _) | Item::OfColumn(expr, ..) => expr.to_string(),
    });
    Ok(Some((first.to_string(), names.collect())))
}

/// The COLUMNS of an expression, except those spread into arguments.
fn collect_columns<'a>(expr: &'a ast::Expr, found: &mut Vec<&'a ast::Expr>) {
    match &expr.kind {
        ast::ExprKind::Columns(_) => found.push(expr),
        ast::ExprKind::Spread(_) => {}
        _ => hedgerow_parser::children(expr, &mut |child| collect_columns(child, found)),
    }
}

fn expand_star<'a>(
    scope: &Scope<'a>,
    star: &'a ast::Star,
    (index, span): (usize, Span),
    items: &mut Vec<Item<'a>>,
) -> Result<()> {
    let relations = match star.table.as_slice() {
        [] if star.exclude.is_empty() && star.replace.is_empty() => {
            match scope.relations.as_slice() {
                [only] => std::slice::from_ref(only),
                all if all.len() > 1 && scope.env.dialect.get() == Dialect::Postgres => {
                    all_columns(scope, span, items);
                    return Ok(());
                }
                [] => {
                    let message = "SELECT * without a table";
                    return Err(Error::new(ErrorKind::Syntax, message).at(span));
                }
                _ => {
                    let message = "* without a table name, where there are several tables";
                    return Err(Error::new(ErrorKind::Ambiguous, message)
                        .at(span)
                        .hint("Write t.* for each table t that you want."));
                }
            }
        }
        [] => scope.relations.as_slice(),
        table => match scope.relation(table) {
            Some((relation, _)) => std::slice::from_ref(relation),
            None => {
                let name = &table[0];
                let message = format!("no table named {} in FROM", name.name);
                let error = Error::new(ErrorKind::UnknownTable, message).at(name.span);
                let names: Vec<&str> = scope.relations.iter().map(|r| r.name.as_str()).collect();
                let nearest = did_you_mean(&name.name, names.iter().copied());
                return Err(match nearest {
                    Some(hint) => error.hint(hint),
                    None if names.is_empty() => error,
                    None => error.hint(format!("In FROM there is {}.", names.join(", "))),
                });
            }
        },
    };
    refuse_excluded(star)?;
    let mut unused: HashSet<&str> = HashSet::new();
    unused.extend(star.replace.iter().map(|(_, name)| name.name.as_str()));
    unused.extend(star.exclude.iter().filter_map(|name| Some(name.last()?.name.as_str())));
    for relation in relations {
        for column in relation.columns.iter().filter(|column| !column.hidden) {
            let excluded = star.exclude.iter().any(|name| match name.as_slice() {
                [name] => name.name == column.name,
                [table, name] => table.name == relation.name && name.name == column.name,
                _ => false,
            });
            let replaced = star.replace.iter().find(|(_, name)| name.name == column.name);
            if excluded || replaced.is_some() {
                unused.remove(column.name.as_str());
            }
            match replaced {
                Some((_, name)) if excluded => {
                    let message = format!("column {} is both excluded and replaced", name.name);
                    return Err(Error::new(ErrorKind::Duplicate, message).at(name.span));
                }
                Some((expr, name)) => items.push(Item::Replaced(expr, name, index)),
                None if excluded => {}
                None => items.push(Item::Column(column.clone(), span)),
            }
        }
    }
    match unused.into_iter().min() {
        Some(name) => {
            let message = format!("no column named {name} for EXCLUDE or REPLACE");
            let error = Error::new(ErrorKind::UnknownColumn, message).at(span);
            let columns = relations.iter().flat_map(|r| r.columns.iter().map(|c| c.name.as_str()));
            Err(match did_you_mean(name, columns) {
                Some(hint) => error.hint(hint),
                None => error,
            })
        }
        None => Ok(()),
    }
}

/// `*` in PostgreSQL's text: the columns that joins made one of, then those of each table.
fn all_columns<'a>(scope: &Scope<'a>, span: Span, items: &mut Vec<Item<'a>>) {
    let tables = || scope.relations.iter().flat_map(|relation| &relation.columns);
    let joined: HashSet<&str> = tables()
        .filter(|column| scope.merged.contains(&column.column))
        .map(|column| column.name.as_str())
        .collect();
    let shown = |column: &&RelationColumn| !column.hidden && !scope.merged.contains(&column.column);
    let (common, own): (Vec<_>, Vec<_>) =
        tables().filter(shown).partition(|column| joined.contains(column.name.as_str()));
    for column in common.into_iter().chain(&scope.coalesced).chain(own) {
        items.push(Item::Column(column.clone(), span));
    }
}

/// A REPLACE expression may not use a column that EXCLUDE takes away.
fn refuse_excluded(star: &ast::Star) -> Result<()> {
    fn uses<'a>(expr: &'a ast::Expr, excluded: &[&ast::Ident]) -> Option<&'a ast::Ident> {
        let mut found = None;
        if let ast::ExprKind::Field(chain) = &expr.kind {
            found = chain.first().filter(|name| excluded.contains(name));
        }
        hedgerow_parser::children(expr, &mut |child| {
            found = found.or_else(|| uses(child, excluded));
        });
        found
    }
    let excluded: Vec<&ast::Ident> = star.exclude.iter().filter_map(|name| name.last()).collect();
    match star.replace.iter().find_map(|(expr, _)| uses(expr, &excluded)) {
        Some(name) => {
            let message = format!("REPLACE uses column {}, which is excluded", name.name);
            Err(Error::new(ErrorKind::UnknownColumn, message).at(name.span))
        }
        None => Ok(()),
    }
}

fn expand_regex<'a>(
    scope: &Scope<'a>,
    pattern: &str,
    span: Span,
    items: &mut Vec<Item<'a>>,
) -> Result<()> {
    let regex = search::regex(pattern, false).map_err(|error| error.at(span))?;
    let before = items.len();
    let columns = scope.relations.iter().flat_map(|relation| &relation.columns);
    items.extend(
        columns
            .filter(|column| !column.hidden && regex.is_match(&column.name))
            .map(|column| Item::Column(column.clone(), span)),
    );
    if items.len() == before {
        let message = format!("no column matches '{pattern}'");
        return Err(Error::new(ErrorKind::UnknownColumn, message).at(span));
    }
    Ok(())
}

/// Lowers an item and names its column.
pub(super) fn lower_item<'a>(scope: &mut Scope<'a>, item: &Item<'a>) -> Result<(String, Typed)> {
    match item {
        Item::Column(column, span) => {
            Ok((column.name.clone(), Lowering::new(scope).column(column, *span)))
        }
        Item::OfColumn(expr, index, position, name) => {
            let name = match &expr.kind {
                ast::ExprKind::Alias(_, alias) => alias.name.clone(),
                _ => name.clone(),
            };
            let mut lowering = Lowering::for_item(scope, *index);
            lowering.column = Some(*position);
            Ok((name, lowering.lower(expr)?))
        }
        Item::Replaced(expr, name, index) => {
            Ok((name.name.clone(), Lowering::for_item(scope, *index).lower(expr)?))
        }
        Item::Expr(expr, index) => {
            let name = match scope.env.dialect.get() {
                Dialect::Hogql => output_name(expr),
                Dialect::Postgres => postgres_column_name(expr),
            };
            Ok((name, Lowering::for_item(scope, *index).lower(expr)?))
        }
    }
}

/// The alias; else the last part of a plain name; else the text.
fn output_name(expr: &ast::Expr) -> String {
    match &expr.kind {
        ast::ExprKind::Alias(_, name) => name.name.clone(),
        ast::ExprKind::Field(chain) => match chain.as_slice() {
            [only] => only.name.clone(),
            [.., before, last] if before.name != "properties" && chain.len() == 2 => {
                last.name.clone()
            }
            _ => expr.to_string(),
        },
        _ => expr.to_string(),
    }
}
