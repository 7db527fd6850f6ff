//! `ALTER TABLE events ALTER COLUMN properties.key`: types of properties, given by hand.

use hedgerow_parser::ast::{Ident, RelationKind};

use super::Work;
use super::definitions::{change, find};
use crate::answer::{Notice, ResultStream};
use crate::catalog::{Catalog, plain_name, span_of};
use crate::error::{Error, ErrorKind, Result, did_you_mean};
use crate::storage::{Definitions, PROPERTIES};
use crate::types::property::PropertyType;

/// Gives a key of the events' properties a type, or takes it back: then the learned one counts.
pub(super) async fn alter(
    work: &Work,
    if_exists: bool,
    table: &[Ident],
    column: &[Ident],
    ty: Option<&Ident>,
) -> Result<ResultStream> {
    let ty = ty.map(property_type).transpose()?;
    let notice = change(work, |catalog| {
        match check_table(catalog, table) {
            Ok(()) => {}
            Err(error) if if_exists && error.kind == ErrorKind::UnknownTable => {
                let message = format!("table {} does not exist, skipping", plain_name(table));
                return Ok((None, Some(Notice::new(message))));
            }
            Err(error) => return Err(error),
        }
        let key = property_key(column)?;
        let set = &catalog.definitions().property_types;
        if !set.contains_key(&key.name) {
            check_seen(catalog, key)?;
        }
        if set.get(&key.name).copied() == ty {
            let message = match ty {
                Some(ty) => format!("property {} is {ty} already", key.name),
                None => format!("no type was set for property {}, skipping", key.name),
            };
            return Ok((None, Some(Notice::new(message))));
        }
        let mut changed = Definitions::clone(catalog.definitions());
        match ty {
            Some(ty) => changed.property_types.insert(key.name.clone(), ty),
            None => changed.property_types.remove(&key.name),
        };
        Ok((Some(changed), None))
    })
    .await?;
    Ok(ResultStream::done("ALTER TABLE", None).with_notices(notice))
}

fn property_type(word: &Ident) -> Result<PropertyType> {
    word.name.parse().map_err(|()| {
        let names = PropertyType::ALL.map(PropertyType::name);
        let near = did_you_mean(&word.name, names);
        let all = || "There are String, Numeric, Boolean and DateTime.".to_owned();
        let message = format!("no property type named {}", word.name);
        Error::new(ErrorKind::UnknownObject, message).at(word.span).hint(near.unwrap_or_else(all))
    })
}

/// Only events have properties with types.
fn check_table(catalog: &Catalog, table: &[Ident]) -> Result<()> {
    if plain_name(table) == "events" {
        return Ok(());
    }
    find(catalog, RelationKind::Table, table)?;
    Err(Error::unsupported("columns of tables keep their types").at(span_of(table)).hint(
        "Types are set for properties of events: ALTER TABLE events ALTER COLUMN properties.key.",
    ))
}

fn property_key(column: &[Ident]) -> Result<&Ident> {
    let hint = "Types are set for keys of properties: properties.key.";
    match column {
        [properties, key] if properties.name == PROPERTIES => Ok(key),
        [properties, _, _, ..] if properties.name == PROPERTIES => {
            Err(Error::unsupported("only single keys of properties have types")
                .at(span_of(column))
                .hint(hint))
        }
        _ => Err(Error::unsupported("columns of events keep their types")
            .at(span_of(column))
            .hint(hint)),
    }
}

/// Refuses a key that surely no event has.
fn check_seen(catalog: &Catalog, key: &Ident) -> Result<()> {
    let properties = catalog.properties();
    if !properties.is_complete() || properties.get(&key.name).is_some() {
        return Ok(());
    }
    let message = format!("no event has a property named {}", key.name);
    let error = Error::new(ErrorKind::UnknownColumn, message).at(key.span);
    Err(match did_you_mean(&key.name, properties.iter().map(|(key, _)| key)) {
        Some(hint) => error.hint(hint),
        None => error,
    })
}
