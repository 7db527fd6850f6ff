//! Every name that `SET` takes, with its type, default and documentation, in one table.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use hedgerow_parser::ast::{Expr, Ident};

use crate::error::{Error, ErrorKind, Result, did_you_mean};
use crate::types::property::PropertyType;

/// What a session can change about the meaning of its queries.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// See [`SETTINGS`].
    pub timezone: String,
    /// See [`SETTINGS`].
    pub week_starts_monday: bool,
    /// See [`SETTINGS`].
    pub hogql_strings: bool,
    /// See [`SETTINGS`].
    pub property_types: BTreeMap<String, PropertyType>,
    /// Who asks: what `current_user` gives. Not to be set.
    pub user: String,
    /// The project by name: what `current_database()` gives. Not to be set.
    pub database: String,
    /// What `{variables.x}`, `{filters}` and `{filters.a.b}` stand for, by dotted name.
    pub placeholders: BTreeMap<String, Expr>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timezone: "UTC".to_owned(),
            week_starts_monday: false,
            hogql_strings: false,
            property_types: BTreeMap::new(),
            user: "hedgerow".to_owned(),
            database: String::new(),
            placeholders: BTreeMap::new(),
        }
    }
}

/// One row of the settings table.
#[derive(Debug)]
pub struct Setting {
    pub name: &'static str,
    /// One sentence, then values and what they trade.
    pub doc: &'static str,
    get: fn(&Settings) -> String,
    set: fn(&mut Settings, &str) -> Result<()>,
}

/// The settings of the engine. Protocols add their own names beside these.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "timezone",
        doc: "The time zone in which dates and times are computed and shown, as an IANA name.",
        get: |settings| settings.timezone.clone(),
        set: |settings, value| {
            let zone = match value.to_ascii_uppercase().as_str() {
                "UTC" | "GMT" | "Z" | "ETC/UTC" => Tz::UTC,
                _ => value.parse::<Tz>().map_err(|_| {
                    invalid("timezone", value).hint("Use a name such as 'Europe/Berlin' or 'UTC'.")
                })?,
            };
            settings.timezone = zone.name().to_owned();
            Ok(())
        },
    },
    Setting {
        name: "week_start",
        doc: "The day on which toStartOfWeek begins a week: `sunday` or `monday`.",
        get: |settings| (if settings.week_starts_monday { "monday" } else { "sunday" }).to_owned(),
        set: |settings, value| {
            settings.week_starts_monday = match value.to_ascii_lowercase().as_str() {
                "sunday" => false,
                "monday" => true,
                _ => return Err(invalid("week_start", value).hint("Write sunday or monday.")),
            };
            Ok(())
        },
    },
    Setting {
        name: "hogql_strings",
        doc: "On: text is read as in HogQL's own files. Off: as the interface reads it; the Postgres \
              wire has standard SQL strings and the operators of PostgreSQL.",
        get: |settings| (if settings.hogql_strings { "on" } else { "off" }).to_owned(),
        set: |settings, value| {
            settings.hogql_strings = match value.to_ascii_lowercase().as_str() {
                "on" | "true" | "1" | "yes" => true,
                "off" | "false" | "0" | "no" => false,
                _ => return Err(invalid("hogql_strings", value).hint("Write on or off.")),
            };
            Ok(())
        },
    },
    Setting {
        name: "property_types",
        doc: "Types of event properties, as a JSON object such as {\"price\": \"String\"}. Types are \
              String, Numeric, Boolean and DateTime; a value that does not fit reads as NULL. \
              Keys that are not named have the type that all their values fit.",
        get: |settings| property_types_text(&settings.property_types),
        set: |settings, value| {
            settings.property_types = property_types(value)?;
            Ok(())
        },
    },
];

impl Settings {
    /// The value of a setting as text; none when there is no such setting.
    pub fn get(&self, name: &str) -> Option<String> {
        find(name).map(|setting| (setting.get)(self))
    }

    /// Returns a setting to its default.
    ///
    /// # Errors
    /// `InvalidSetting` for an unknown name.
    pub fn reset(&mut self, name: &str) -> Result<()> {
        match Self::default().get(name) {
            Some(default) => self.set(name, &default),
            None => self.set(name, ""),
        }
    }

    /// Changes a setting.
    ///
    /// # Errors
    /// `InvalidSetting` for an unknown name or a value it cannot take.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match find(name) {
            Some(setting) => (setting.set)(self, value),
            None => {
                let error =
                    Error::new(ErrorKind::InvalidSetting, format!("no setting named {name}"));
                Err(match did_you_mean(name, SETTINGS.iter().map(|setting| setting.name)) {
                    Some(hint) => error.hint(hint),
                    None => error.hint("SHOW SETTINGS lists what there is."),
                })
            }
        }
    }
}

fn property_types_text(types: &BTreeMap<String, PropertyType>) -> String {
    let names: BTreeMap<&str, &str> =
        types.iter().map(|(key, ty)| (key.as_str(), ty.name())).collect();
    // A map with text keys always serialises.
    serde_json::to_string(&names).unwrap_or_default()
}

fn property_types(text: &str) -> Result<BTreeMap<String, PropertyType>> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    let names: BTreeMap<String, String> = serde_json::from_str(text).map_err(|_| {
        invalid("property_types", text).hint("Write a JSON object: {\"price\": \"Numeric\"}.")
    })?;
    let typed = names.into_iter().map(|(key, name)| match name.parse() {
        Ok(ty) => Ok((key, ty)),
        Err(()) => {
            let error = Error::new(
                ErrorKind::InvalidSetting,
                format!("no property type named {name}, for property {key}"),
            );
            Err(error.hint("There are String, Numeric, Boolean and DateTime."))
        }
    });
    typed.collect()
}

/// The placeholder that `SET` means by a dotted name, as its content is written: `variables.x`
/// for `var.x`. None when the name is one of a setting.
pub fn placeholder_name(name: &[Ident]) -> Option<String> {
    let parts: Vec<&str> = name.iter().map(|part| part.name.as_str()).collect();
    match parts.as_slice() {
        ["var" | "variables", rest @ ..] if !rest.is_empty() => {
            Some(format!("variables.{}", rest.join(".")))
        }
        ["filters", ..] => Some(parts.join(".")),
        _ => None,
    }
}

fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name.eq_ignore_ascii_case(name))
}

fn invalid(name: &str, value: &str) -> Error {
    Error::new(ErrorKind::InvalidSetting, format!("invalid value for {name}: '{value}'"))
}
