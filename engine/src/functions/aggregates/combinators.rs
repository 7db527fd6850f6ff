//! Combinators: suffixes that turn an aggregate into another.
//!
//! A combinator wraps the [`Groups`] of the aggregate before it. How it changes the arguments
//! stands in [`Combinator::inner_types`], how it changes the rest in the wrappers below.

use super::groups::Groups;
use super::pick::Choice;
use super::wrappers::{AtBest, ByKey, Feed, ForEach, OrNull, State, Via};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Type;

/// A suffix of an aggregate's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Combinator {
    /// Only rows where the last argument is true.
    If,
    /// The elements of arrays instead of rows.
    Array,
    /// By key of a map, or of an array of keys beside an array of values.
    Map,
    /// By position in an array.
    ForEach,
    /// The state instead of the result.
    State,
    /// States instead of rows.
    Merge,
    /// NULL when there is no row.
    OrNull,
    /// The default of the type when there is no row.
    OrDefault,
    /// Only rows where the last argument is smallest.
    ArgMin,
    /// Only rows where the last argument is largest.
    ArgMax,
    /// Each distinct tuple of arguments once.
    Distinct,
}

impl Combinator {
    pub(super) const ALL: [(&'static str, Self); 11] = [
        ("If", Self::If),
        ("Array", Self::Array),
        ("Map", Self::Map),
        ("ForEach", Self::ForEach),
        ("State", Self::State),
        ("Merge", Self::Merge),
        ("OrNull", Self::OrNull),
        ("OrDefault", Self::OrDefault),
        ("ArgMin", Self::ArgMin),
        ("ArgMax", Self::ArgMax),
        ("Distinct", Self::Distinct),
    ];

    /// The shortest last suffix of a name, and what stands before it.
    pub(super) fn strip(name: &str) -> Option<(&str, Self)> {
        let strip = |(suffix, combinator)| Some((name.strip_suffix(suffix)?, combinator));
        Self::ALL.into_iter().find_map(strip)
    }

    pub(super) fn suffix(self) -> &'static str {
        let named = Self::ALL.into_iter().find(|(_, combinator)| *combinator == self);
        named.map_or("", |(suffix, _)| suffix)
    }

    /// The types the wrapped aggregate sees.
    ///
    /// # Errors
    /// `TypeMismatch` for arguments the combinator cannot take apart.
    pub(super) fn inner_types(self, types: &[Type]) -> Result<Vec<Type>> {
        let wrong = |wanted: &str| {
            let found: Vec<_> = types.iter().map(Type::to_string).collect();
            let found = found.join(", ");
            let suffix = self.suffix();
            Error::new(ErrorKind::TypeMismatch, format!("-{suffix} takes {wanted}, found {found}"))
        };
        let element = |ty: &Type| match ty {
            Type::Array(element) => Ok(element.as_ref().clone()),
            Type::Null => Ok(Type::Null),
            _ => Err(wrong("arrays")),
        };
        match self {
            Self::Array | Self::ForEach if !types.is_empty() => types.iter().map(element).collect(),
            Self::Array | Self::ForEach => Err(wrong("arrays")),
            Self::Map => match types {
                [Type::Map(_, value)] => Ok(vec![value.as_ref().clone()]),
                [Type::Array(_), Type::Array(value)] => Ok(vec![value.as_ref().clone()]),
                _ => Err(wrong("a map, or an array of keys and one of values")),
            },
            Self::Merge => match types {
                [ty] => state_arguments(ty).ok_or_else(|| wrong("what the -State form returns")),
                _ => Err(wrong("one state")),
            },
            Self::If | Self::ArgMin | Self::ArgMax => match types.split_last() {
                Some((_, rest)) => Ok(rest.to_vec()),
                None => Err(wrong("one argument more")),
            },
            Self::State | Self::OrNull | Self::OrDefault | Self::Distinct => Ok(types.to_vec()),
        }
    }

    /// The types to convert the arguments to so that the wrapped aggregate sees `inner`.
    pub(super) fn outer_types(self, types: &[Type], inner: Vec<Type>) -> Vec<Type> {
        match self {
            Self::Array | Self::ForEach => inner.into_iter().map(Type::array).collect(),
            Self::Map => match (types, inner.into_iter().next()) {
                ([Type::Map(key, _)], Some(value)) => {
                    vec![Type::Map(key.clone(), Box::new(value))]
                }
                ([keys, _], Some(value)) => vec![keys.clone(), value.array()],
                _ => types.to_vec(),
            },
            Self::Merge => types.to_vec(),
            Self::If => inner.into_iter().chain([Type::Bool]).collect(),
            Self::ArgMin | Self::ArgMax => inner.into_iter().chain(types.last().cloned()).collect(),
            Self::State | Self::OrNull | Self::OrDefault | Self::Distinct => inner,
        }
    }

    /// Wraps the groups of an aggregate over [`Self::inner_types`]; `label` is its name.
    ///
    /// # Errors
    /// `Unsupported` where the combinator has to stand further out.
    pub(super) fn wrap(
        self,
        types: &[Type],
        inner: Box<dyn Groups>,
        label: &str,
    ) -> Result<Box<dyn Groups>> {
        match self {
            Self::If => Ok(Feed::boxed(inner, Via::Condition)),
            Self::Array => Ok(Feed::boxed(inner, Via::Elements)),
            Self::Merge => {
                check_label(&types[0], label)?;
                Ok(Feed::boxed(inner, Via::States))
            }
            Self::State => Ok(Box::new(State::new(label, types, inner))),
            Self::OrNull => Ok(Box::new(OrNull::new(inner))),
            Self::ForEach => Ok(Box::new(ForEach::new(inner))),
            Self::Map => ByKey::boxed(types, inner, label == "sum"),
            Self::ArgMin => AtBest::boxed(types, inner, Choice::Smallest),
            Self::ArgMax => AtBest::boxed(types, inner, Choice::Largest),
            Self::OrDefault | Self::Distinct => {
                let suffix = self.suffix();
                let message = format!("-{suffix} before another combinator than -If");
                Err(Error::unsupported(message).hint(format!("Put -{suffix} last.")))
            }
        }
    }
}

/// The name of the element that tells the arguments of a state.
const ARGUMENTS: &str = "arguments";

/// The type of a written state: the state's columns under the aggregate's name, and beside it
/// the arguments' types, as NULLs.
pub(super) fn state_type(label: &str, columns: Vec<Type>, arguments: &[Type]) -> Type {
    let mut elements = vec![(label.to_owned(), Type::tuple(columns))];
    if !arguments.is_empty() {
        elements.push((ARGUMENTS.to_owned(), Type::tuple(arguments.iter().cloned())));
    }
    Type::Tuple(elements)
}

fn state_arguments(ty: &Type) -> Option<Vec<Type>> {
    let Type::Tuple(elements) = ty else { return None };
    match elements.as_slice() {
        [(_, Type::Tuple(_))] => Some(Vec::new()),
        [(_, Type::Tuple(_)), (name, Type::Tuple(arguments))] if name == ARGUMENTS => {
            Some(arguments.iter().map(|(_, ty)| ty.clone()).collect())
        }
        _ => None,
    }
}

fn check_label(ty: &Type, label: &str) -> Result<()> {
    match ty {
        Type::Tuple(elements) if elements.first().is_some_and(|(name, _)| name != label) => {
            let found = elements.first().map_or("", |(name, _)| name.as_str());
            let message = format!("{label}Merge cannot read a state of {found}");
            Err(Error::new(ErrorKind::TypeMismatch, message))
        }
        _ => Ok(()),
    }
}
