//! Which part of the server answers a statement, decided by what it is, not by how it is spelled.

use std::collections::HashSet;
use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CloseCursor, ContextModifier, DataType, Expr, Ident, ObjectName, ObjectNamePart, Query, Reset,
    Set, Statement, TransactionAccessMode, TransactionMode, Value, Visit, Visitor,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use hedgerow_engine::settings::placeholder_name;
use hedgerow_parser::ast::{self, Copy, CopyFrom, CopyTarget, Show, StatementKind};
use hedgerow_parser::{Dialect, Span, parse_statement};

use super::error::PgError;
use super::variables::{Scope, is_variable};

/// Who answers.
#[derive(Debug)]
pub(super) enum Route {
    /// The session itself.
    Utility(Utility),
    /// The catalog of PostgreSQL's system tables and functions.
    Catalog,
    /// The engine: HogQL.
    Engine,
    /// `COPY … TO STDOUT`: the engine's rows as lines.
    CopyOut(Box<Copy>),
    /// `COPY … FROM STDIN`: the client's lines as rows.
    CopyIn(Box<CopyFrom>),
    /// `PREPARE`, `EXECUTE`: statements of the connection, under the names that the extended
    /// protocol gives too.
    Named(Named),
}

/// A statement about prepared statements.
#[derive(Debug)]
pub(super) enum Named {
    /// The statement to prepare, as a place in the text.
    Prepare {
        name: ast::Ident,
        types: Vec<ast::TypeName>,
        body: Span,
    },
    Execute {
        name: ast::Ident,
        args: Vec<ast::Expr>,
    },
}

/// A statement about the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Utility {
    Begin(Vec<(&'static str, String)>),
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    Savepoint(String),
    Release(String),
    RollbackTo(String),
    /// No value means the default.
    Set {
        name: String,
        value: Option<String>,
        scope: Scope,
    },
    SetTransaction(Vec<(&'static str, String)>),
    SetCharacteristics(Vec<(&'static str, String)>),
    Show(String),
    ShowAll,
    Reset(Option<String>),
    DiscardAll,
    /// Discards something a session never has.
    Discard,
    /// No name means all.
    Deallocate(Option<String>),
    CloseAll,
    Unlisten,
}

impl Utility {
    /// True when it ends a transaction, and with it every portal.
    pub(super) fn ends(&self) -> bool {
        matches!(self, Self::Commit { .. } | Self::Rollback { .. } | Self::DiscardAll)
    }
}

/// Decides who answers `text`, one statement. What PostgreSQL's grammar does not know, and what is
/// not about the session, is the engine's to answer or to refuse.
///
/// # Errors
/// 0A000 for statements about the session that Hedgerow does not have.
pub(super) fn route(text: &str, dialect: Dialect) -> Result<Route, PgError> {
    let Ok(parser) = Parser::new(&PostgreSqlDialect {}).try_with_sql(text) else {
        return Ok(own(text, dialect));
    };
    let Ok(statements) = parser.with_recursion_limit(64).parse_statements() else {
        return Ok(own(text, dialect));
    };
    let [statement] = &statements[..] else { return Ok(Route::Engine) };
    match statement {
        Statement::Query(query) if is_catalog_query(query) => Ok(Route::Catalog),
        Statement::Query(_) => Ok(Route::Engine),
        other => match utility(other)? {
            Some(utility) => Ok(Route::Utility(utility)),
            None => Ok(own(text, dialect)),
        },
    }
}

/// HogQL's statements: prepared ones are the connection's, all others the engine's.
fn own(text: &str, dialect: Dialect) -> Route {
    let Ok(statement) = parse_statement(text, dialect) else { return Route::Engine };
    match statement.kind {
        StatementKind::Prepare { name, types, statement } => {
            Route::Named(Named::Prepare { name, types, body: statement.span })
        }
        StatementKind::Execute { name, args } => Route::Named(Named::Execute { name, args }),
        StatementKind::Copy(copy) if copy.target == CopyTarget::Stdout => {
            Route::CopyOut(Box::new(copy))
        }
        StatementKind::CopyFrom(copy) => Route::CopyIn(Box::new(copy)),
        StatementKind::Show(Show::Setting(name)) if placeholder_name(&name).is_none() => {
            let name: Vec<_> = name.iter().map(|part| part.name.as_str()).collect();
            Route::Utility(Utility::Show(name.join(".")))
        }
        _ => Route::Engine,
    }
}

/// A statement about the session; none for those that are not.
fn utility(statement: &Statement) -> Result<Option<Utility>, PgError> {
    Ok(Some(match statement {
        Statement::StartTransaction { modes, .. } => Utility::Begin(transaction_modes(modes)?),
        Statement::Commit { chain, .. } => Utility::Commit { chain: *chain },
        Statement::Rollback { savepoint: Some(name), .. } => Utility::RollbackTo(fold(name)),
        Statement::Rollback { chain, .. } => Utility::Rollback { chain: *chain },
        Statement::Savepoint { name } => Utility::Savepoint(fold(name)),
        Statement::ReleaseSavepoint { name } => Utility::Release(fold(name)),
        Statement::Set(set) => return set_statement(set),
        Statement::ShowVariable { variable } => {
            let words: Vec<_> = variable.iter().map(|word| word.value.as_str()).collect();
            match words.join(" ") {
                all if all.eq_ignore_ascii_case("all") => Utility::ShowAll,
                // `SHOW TABLES` and the like read as variables to PostgreSQL's grammar.
                name if is_variable(&name) => Utility::Show(name),
                _ => return Ok(None),
            }
        }
        Statement::Reset(reset) => match &reset.reset {
            Reset::ALL => Utility::Reset(None),
            Reset::ConfigurationParameter(name) => {
                let name = object_name(name);
                if is_placeholder(&name) {
                    return Ok(None);
                }
                Utility::Reset(Some(name))
            }
        },
        Statement::Discard { object_type } => match object_type.to_string().as_str() {
            "ALL" => Utility::DiscardAll,
            _ => Utility::Discard,
        },
        Statement::Deallocate { name, .. } => {
            let all = name.quote_style.is_none() && name.value.eq_ignore_ascii_case("all");
            Utility::Deallocate((!all).then(|| fold(name)))
        }
        Statement::Close { cursor: CloseCursor::All } => Utility::CloseAll,
        Statement::UNLISTEN { .. } => Utility::Unlisten,
        Statement::Close { .. } | Statement::Declare { .. } | Statement::Fetch { .. } => {
            return Err(PgError::unsupported("cursors are not supported"));
        }
        _ => return Ok(None),
    }))
}

/// True for names under which SET keeps what a placeholder stands for.
fn is_placeholder(name: &str) -> bool {
    let parts: Vec<_> =
        name.split('.').map(|part| ast::Ident::new(part, Span::default())).collect();
    placeholder_name(&parts).is_some()
}

fn set_statement(set: &Set) -> Result<Option<Utility>, PgError> {
    let utility = |name: String, value: Option<String>, local: bool| Utility::Set {
        name,
        value,
        scope: if local { Scope::Local } else { Scope::Session },
    };
    Ok(Some(match set {
        Set::SingleAssignment { variable, .. } if is_placeholder(&object_name(variable)) => {
            return Ok(None);
        }
        Set::SingleAssignment { scope, variable, values, .. } => {
            let local = *scope == Some(ContextModifier::Local);
            let texts: Vec<_> = values.iter().map(setting_text).collect();
            let value = match &texts[..] {
                [one] if one.eq_ignore_ascii_case("default") => None,
                _ => Some(texts.join(", ")),
            };
            utility(object_name(variable), value, local)
        }
        Set::SetTimeZone { local, value } => {
            let text = setting_text(value);
            let default = ["local", "default"].iter().any(|word| text.eq_ignore_ascii_case(word));
            utility("timezone".to_owned(), (!default).then_some(text), *local)
        }
        Set::SetNames { charset_name, .. } => {
            utility("client_encoding".to_owned(), Some(charset_name.value.clone()), false)
        }
        Set::SetTransaction { modes, snapshot: None, session } => {
            let modes = transaction_modes(modes)?;
            if *session {
                Utility::SetCharacteristics(modes)
            } else {
                Utility::SetTransaction(modes)
            }
        }
        other => {
            return Err(PgError::unsupported(format!("{other} is not supported")));
        }
    }))
}

/// Modes as the variables they set, without their `default_` or `transaction_` prefix.
fn transaction_modes(modes: &[TransactionMode]) -> Result<Vec<(&'static str, String)>, PgError> {
    let modes = modes.iter().map(|mode| match mode {
        TransactionMode::AccessMode(TransactionAccessMode::ReadOnly) => {
            ("read_only", "on".to_owned())
        }
        TransactionMode::AccessMode(TransactionAccessMode::ReadWrite) => {
            ("read_only", "off".to_owned())
        }
        TransactionMode::IsolationLevel(level) => ("isolation", level.to_string().to_lowercase()),
    });
    Ok(modes.collect())
}

/// A value as SET takes it: quoted or not, a word or a number.
fn setting_text(value: &Expr) -> String {
    match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text)
            | Value::DoubleQuotedString(text)
            | Value::EscapedStringLiteral(text) => text.clone(),
            other => other.to_string(),
        },
        Expr::Identifier(word) => word.value.clone(),
        other => other.to_string(),
    }
}

fn object_name(name: &ObjectName) -> String {
    let parts: Vec<_> = name.0.iter().map(part_text).collect();
    parts.join(".")
}

fn part_text(part: &ObjectNamePart) -> String {
    part.as_ident().map_or_else(|| part.to_string(), |ident| ident.value.clone())
}

/// Unquoted names are lower case, as in PostgreSQL.
fn fold(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

/// True for queries over nothing but system tables, or over no table at all with functions that
/// only the catalog has.
fn is_catalog_query(query: &Query) -> bool {
    let mut survey = Survey::default();
    let ControlFlow::Continue(()) = query.visit(&mut survey);
    let mut tables = survey.relations.iter().filter(|(schema, name)| {
        let known = schema.is_none()
            && (survey.ctes.contains(name) || NEUTRAL_FUNCTIONS.contains(&name.as_str()));
        !known
    });
    match tables.next() {
        None => survey.catalog_functions > 0 && survey.other_functions == 0,
        Some(first) => is_system_table(first) && tables.all(is_system_table),
    }
}

fn is_system_table((schema, name): &(Option<String>, String)) -> bool {
    match schema.as_deref() {
        None => name.starts_with("pg_"),
        Some(schema) => matches!(schema, "pg_catalog" | "information_schema"),
    }
}

/// Functions of PostgreSQL that clients call about the session or the catalog, beside all whose
/// name begins with `pg_` or that are called as `pg_catalog.name`.
const CATALOG_FUNCTIONS: &[&str] = &[
    "col_description",
    "current_catalog",
    "current_database",
    "current_role",
    "current_schema",
    "current_schemas",
    "current_setting",
    "current_user",
    "format_type",
    "has_any_column_privilege",
    "has_column_privilege",
    "has_database_privilege",
    "has_function_privilege",
    "has_schema_privilege",
    "has_sequence_privilege",
    "has_table_privilege",
    "inet_client_addr",
    "inet_server_addr",
    "inet_server_port",
    "obj_description",
    "quote_ident",
    "session_user",
    "set_config",
    "shobj_description",
    "to_regclass",
    "to_regtype",
    "user",
    "version",
];

/// Functions that say nothing about where a query belongs.
const NEUTRAL_FUNCTIONS: &[&str] =
    &["coalesce", "generate_series", "lower", "nullif", "unnest", "upper"];

/// What a query mentions.
#[derive(Default)]
struct Survey {
    relations: Vec<(Option<String>, String)>,
    ctes: HashSet<String>,
    catalog_functions: usize,
    other_functions: usize,
}

impl Survey {
    fn function(&mut self, name: &ObjectName) {
        let mut parts = name.0.iter().rev().map(|part| part_text(part).to_lowercase());
        let function = parts.next().unwrap_or_default();
        let catalog = match parts.next() {
            Some(schema) => schema == "pg_catalog",
            None => function.starts_with("pg_") || CATALOG_FUNCTIONS.contains(&function.as_str()),
        };
        if catalog {
            self.catalog_functions += 1;
        } else if !NEUTRAL_FUNCTIONS.contains(&function.as_str()) {
            self.other_functions += 1;
        }
    }
}

impl Visitor for Survey {
    type Break = Infallible;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Infallible> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.ctes.insert(cte.alias.name.value.to_lowercase());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Infallible> {
        let mut parts = relation.0.iter().rev().map(|part| part_text(part).to_lowercase());
        let name = parts.next().unwrap_or_default();
        self.relations.push((parts.next(), name));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Infallible> {
        match expr {
            Expr::Function(function) => self.function(&function.name),
            Expr::Cast { data_type, .. } if is_object_type(data_type) => {
                self.catalog_functions += 1;
            }
            // The words that PostgreSQL reads as calls.
            Expr::Identifier(word)
                if word.quote_style.is_none()
                    && CALLED_WORDS.contains(&word.value.to_lowercase().as_str()) =>
            {
                self.catalog_functions += 1;
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Types of names of things in the catalog, such as `regclass`.
fn is_object_type(data_type: &DataType) -> bool {
    match data_type {
        DataType::Regclass => true,
        DataType::Custom(name, _) => {
            let name = name.0.last().map(part_text).unwrap_or_default().to_lowercase();
            name == "oid" || name.starts_with("reg")
        }
        _ => false,
    }
}

/// Functions that are called without parentheses.
pub(super) const CALLED_WORDS: &[&str] =
    &["current_catalog", "current_role", "current_schema", "current_user", "session_user", "user"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers() {
        for (text, expected) in [
            ("select version()", "catalog"),
            ("select pg_catalog.version()", "catalog"),
            ("SELECT current_schema", "catalog"),
            ("select current_user", "catalog"),
            ("select current_setting('server_version_num')::int/100", "catalog"),
            ("select 'int8'::regtype::oid", "catalog"),
            ("select * from pg_class", "catalog"),
            ("select * from pg_catalog.pg_class c join pg_namespace n on true", "catalog"),
            ("with t as (select 1 from pg_type) select * from t", "catalog"),
            ("select table_name from information_schema.tables", "catalog"),
            (
                "SELECT name AS \"Column\", pg_catalog.format_type(tp, tpm) AS \"Type\" FROM \
                 (VALUES ('a','25'::pg_catalog.oid,-1)) s(name, tp, tpm)",
                "catalog",
            ),
            ("select 1", "engine"),
            ("select now()", "engine"),
            ("select version(), now()", "engine"),
            ("select * from events", "engine"),
            ("select * from events, pg_class", "engine"),
            ("select user from events", "engine"),
            ("select properties.$browser from events", "engine"),
            ("not sql at all", "engine"),
            ("select 'version()'", "engine"),
            ("show tables", "engine"),
            ("show columns from events", "engine"),
            ("show settings", "engine"),
            ("show var.x", "engine"),
            ("show timezone", "utility"),
            ("set var.x = 1", "engine"),
            ("set filters = event = 'a'", "engine"),
            ("set timezone = 'UTC'", "utility"),
            ("reset var.x", "engine"),
            ("explain analyze select 1", "engine"),
            ("create view v as select 1 as a", "engine"),
            ("insert into events values (1)", "engine"),
            ("drop table events", "engine"),
            ("copy events to stdout", "copy"),
            ("copy events (event) from stdin", "copy in"),
            ("copy events from stdin with (format csv, header)", "copy in"),
            ("COPY  events FROM STDIN csv header", "copy in"),
            ("copy (select 1) to 'a.csv' with (format csv)", "engine"),
            ("prepare p as select $1", "named"),
            ("execute p(1)", "named"),
            ("deallocate p", "utility"),
        ] {
            let found = match route(text, Dialect::Postgres).unwrap() {
                Route::Utility(_) => "utility",
                Route::Catalog => "catalog",
                Route::Engine => "engine",
                Route::Named(_) => "named",
                Route::CopyOut(_) => "copy",
                Route::CopyIn(_) => "copy in",
            };
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn utilities() {
        let set = |name: &str, value: &str, scope| Utility::Set {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            scope,
        };
        for (text, expected) in [
            ("begin", Utility::Begin(Vec::new())),
            (
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                Utility::Begin(vec![
                    ("isolation", "repeatable read".to_owned()),
                    ("read_only", "on".to_owned()),
                ]),
            ),
            ("COMMIT", Utility::Commit { chain: false }),
            ("ROLLBACK TO SAVEPOINT a", Utility::RollbackTo("a".to_owned())),
            ("SET extra_float_digits = 3", set("extra_float_digits", "3", Scope::Session)),
            ("SET TIME ZONE 'Asia/Kolkata'", set("timezone", "Asia/Kolkata", Scope::Session)),
            ("SET LOCAL statement_timeout TO '5s'", set("statement_timeout", "5s", Scope::Local)),
            ("SET search_path = a, b", set("search_path", "a, b", Scope::Session)),
            (
                "SHOW TRANSACTION ISOLATION LEVEL",
                Utility::Show("TRANSACTION ISOLATION LEVEL".to_owned()),
            ),
            ("SHOW ALL", Utility::ShowAll),
            ("RESET ALL", Utility::Reset(None)),
            ("DISCARD ALL", Utility::DiscardAll),
            ("DEALLOCATE ALL", Utility::Deallocate(None)),
            ("DEALLOCATE \"_PLAN1\"", Utility::Deallocate(Some("_PLAN1".to_owned()))),
            ("CLOSE ALL", Utility::CloseAll),
            ("UNLISTEN *", Utility::Unlisten),
        ] {
            match route(text, Dialect::Postgres) {
                Ok(Route::Utility(found)) => assert_eq!(found, expected, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        for text in ["declare c cursor for select 1", "fetch 1 from c"] {
            let error = route(text, Dialect::Postgres).unwrap_err();
            assert_eq!(error.code, "0A000", "{text}");
        }
    }
}
