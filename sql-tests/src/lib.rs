//! SQL tests: the same files, with the same expectations, over every interface.
//!
//! `slt/<area>/*.slt` are sqllogictest files. `engines` runs them embedded, over the Postgres
//! wire and over Flight SQL; `fixture` is the data they read. Values are compared as PostgreSQL
//! prints them; column letters are [`Letter`]s and are compared too.

pub mod engines;
pub mod fixture;
pub mod rows;

use sqllogictest::ColumnType;

/// The letter of a column in a `query` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letter {
    /// `T`: text, UUID, JSON, tuples, maps, intervals.
    Text,
    /// `I`: integers.
    Integer,
    /// `R`: floats and decimals.
    Real,
    /// `B`: booleans.
    Bool,
    /// `D`: dates.
    Date,
    /// `Z`: points in time.
    DateTime,
    /// `A`: arrays of plain values.
    Array,
}

impl ColumnType for Letter {
    fn from_char(letter: char) -> Option<Self> {
        Some(match letter {
            'T' => Self::Text,
            'I' => Self::Integer,
            'R' => Self::Real,
            'B' => Self::Bool,
            'D' => Self::Date,
            'Z' => Self::DateTime,
            'A' => Self::Array,
            _ => return None,
        })
    }

    fn to_char(&self) -> char {
        match self {
            Self::Text => 'T',
            Self::Integer => 'I',
            Self::Real => 'R',
            Self::Bool => 'B',
            Self::Date => 'D',
            Self::DateTime => 'Z',
            Self::Array => 'A',
        }
    }
}

/// An error as any of the interfaces reports it: SQLSTATE and message.
#[derive(Debug, thiserror::Error)]
#[error("{sqlstate}: {message}")]
pub struct Failure {
    pub sqlstate: String,
    pub message: String,
}

impl Failure {
    /// A failure of the interface itself, which no statement should cause.
    pub fn interface(error: impl std::fmt::Display) -> Self {
        Self { sqlstate: "08000".to_owned(), message: error.to_string() }
    }
}
