//! SET and RESET: of settings, and of the values of placeholders.

use hedgerow_parser::ast::{Ident, SetValue};

use crate::catalog::span_of;
use crate::error::Result;
use crate::lower;
use crate::settings::{Settings, placeholder_name};

pub(crate) fn set(settings: &mut Settings, name: &[Ident], value: &SetValue) -> Result<()> {
    match (placeholder_name(name), value) {
        (Some(placeholder), SetValue::Expr(value)) => {
            lower::check_placeholder_value(value)?;
            settings.placeholders.insert(placeholder, value.as_ref().clone());
            Ok(())
        }
        (None, SetValue::Text(text)) => {
            settings.set(&dotted(name), text).map_err(|error| error.at(span_of(name)))
        }
        _ => reset(settings, Some(name)),
    }
}

/// Without a name, resets everything.
pub(crate) fn reset(settings: &mut Settings, name: Option<&[Ident]>) -> Result<()> {
    let Some(name) = name else {
        let (user, database) = (settings.user.clone(), settings.database.clone());
        *settings = Settings { user, database, ..Settings::default() };
        return Ok(());
    };
    match placeholder_name(name) {
        Some(placeholder) => drop(settings.placeholders.remove(&placeholder)),
        None => settings.reset(&dotted(name)).map_err(|error| error.at(span_of(name)))?,
    }
    Ok(())
}

/// A name as it is written with dots.
pub(super) fn dotted(name: &[Ident]) -> String {
    let parts: Vec<&str> = name.iter().map(|part| part.name.as_str()).collect();
    parts.join(".")
}
