//! The columns of tables made with SQL, and their types as text.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use hedgerow_parser::ast::Ident;
use hedgerow_parser::{Dialect, Span, parse_type};

use crate::error::{Error, ErrorKind, Result};
use crate::storage::{TableColumn, TableDefinition};
use crate::types::Type;

/// The columns of a table.
///
/// # Errors
/// `Storage` when the definition has a type that nobody knows.
pub(super) fn schema(name: &str, definition: &TableDefinition) -> Result<SchemaRef> {
    let field = |column: &TableColumn| {
        let ty = parse_type(&column.ty, Dialect::Hogql)
            .map_err(Error::from)
            .and_then(|ty| Type::parse(&ty, "UTC"))
            .map_err(|error| {
                let message = format!("the definition of table {name} is damaged");
                Error::new(ErrorKind::Storage, message).caused_by(error)
            })?;
        Ok(ty.to_field(&column.name, true))
    };
    Ok(Arc::new(Schema::new(definition.columns.iter().map(field).collect::<Result<Vec<_>>>()?)))
}

/// The type that a column gets for values of `ty`: times are kept in UTC, and a column of nothing
/// but NULL is text.
pub(crate) fn column_type(ty: &Type) -> Type {
    match ty {
        Type::Null => Type::String,
        Type::DateTime(_) => Type::utc(),
        Type::Array(element) => column_type(element).array(),
        Type::Map(key, value) => {
            Type::Map(Box::new(column_type(key)), Box::new(column_type(value)))
        }
        Type::Tuple(elements) => {
            Type::Tuple(elements.iter().map(|(name, ty)| (name.clone(), column_type(ty))).collect())
        }
        other => other.clone(),
    }
}

/// The name of a type from which it can be read again.
pub(crate) fn type_text(ty: &Type) -> String {
    match ty {
        Type::DateTime(zone) if **zone != *"UTC" => format!("DateTime('{zone}')"),
        Type::Array(element) => format!("Array({})", type_text(element)),
        Type::Map(key, value) => format!("Map({}, {})", type_text(key), type_text(value)),
        Type::Tuple(elements) => {
            let mut text = String::from("Tuple(");
            for (at, (name, ty)) in elements.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { ", " });
                if *name != (at + 1).to_string() {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "{} ", Ident::new(name.as_str(), Span::default()));
                }
                text.push_str(&type_text(ty));
            }
            text.push(')');
            text
        }
        plain => plain.to_string(),
    }
}

/// Refuses columns that tools could not tell apart.
///
/// # Errors
/// `Duplicate`; `InvalidArgument` for an empty name.
pub(crate) fn check_names<'a>(names: impl Iterator<Item = &'a str>, span: Span) -> Result<()> {
    let mut seen = HashSet::new();
    for name in names {
        if name.is_empty() || name.chars().any(char::is_control) {
            let message = format!("not a column name: '{}'", name.escape_debug());
            return Err(Error::new(ErrorKind::InvalidArgument, message).at(span));
        }
        if !seen.insert(name.to_lowercase()) {
            let message = format!("two columns are named {name}");
            return Err(Error::new(ErrorKind::Duplicate, message)
                .at(span)
                .hint("Give one of them another name with AS."));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_survive_their_text() {
        let named = Type::Tuple(vec![("a b".to_owned(), Type::Json), ("c".to_owned(), Type::Uuid)]);
        for ty in [
            Type::Bool,
            Type::UInt64,
            Type::Float32,
            Type::Decimal(12, 2),
            Type::String,
            Type::Date,
            Type::utc(),
            Type::Array(Box::new(named.clone())),
            Type::Map(Box::new(Type::String), Box::new(Type::Int64.array())),
            Type::tuple([Type::Int8, Type::utc()]),
            named,
        ] {
            let parsed = parse_type(&type_text(&ty), Dialect::Hogql).unwrap();
            assert_eq!(Type::parse(&parsed, "UTC").unwrap(), ty, "{}", type_text(&ty));
        }
    }
}
