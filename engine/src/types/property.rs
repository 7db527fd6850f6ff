//! The types a property can have.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the values of an event property are read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum PropertyType {
    /// Text, whatever was sent.
    #[default]
    String,
    /// Float64.
    Numeric,
    /// Bool.
    Boolean,
    /// A time in the session's time zone.
    DateTime,
}

impl PropertyType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::String, Self::Numeric, Self::Boolean, Self::DateTime];

    /// The name that users write and see.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "String",
            Self::Numeric => "Numeric",
            Self::Boolean => "Boolean",
            Self::DateTime => "DateTime",
        }
    }
}

impl fmt::Display for PropertyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PropertyType {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|ty| ty.name().eq_ignore_ascii_case(text)).ok_or(())
    }
}
