//! From names to functions.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::aggregates::AggregateCall;
use super::function::{Body, Function};
use super::{FAMILIES, aggregates};
use crate::error::{Error, ErrorKind, Result, did_you_mean};

/// What a name can be called as.
#[derive(Debug, Clone)]
pub enum Callable {
    Scalar(&'static Function),
    Aggregate(AggregateCall),
    Window(&'static Function),
    HigherOrder(&'static Function),
}

/// All functions by name.
pub struct Registry {
    exact: HashMap<&'static str, &'static Function>,
    /// Those that match in any letter case, by lower-case name.
    any_case: HashMap<String, &'static Function>,
    /// All, by lower-case name.
    lower: HashMap<String, &'static Function>,
}

/// The one registry, built from the tables of the families on first use.
pub fn registry() -> &'static Registry {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);
    &REGISTRY
}

impl Registry {
    fn new() -> Self {
        let mut registry =
            Self { exact: HashMap::new(), any_case: HashMap::new(), lower: HashMap::new() };
        for function in FAMILIES.iter().copied().flatten() {
            for name in function.names() {
                registry.exact.insert(name, function);
                registry.lower.entry(name.to_lowercase()).or_insert(function);
                if function.any_case {
                    registry.any_case.insert(name.to_lowercase(), function);
                }
            }
        }
        registry
    }

    /// What `name` stands for: an exact name, then a name whose letter case does not matter,
    /// then an aggregate with combinators (`uniqIf`, `sumArray`). With `any_case` the letter case
    /// of no name matters, as in PostgreSQL's text.
    ///
    /// # Errors
    /// `UnknownFunction`, with the nearest name as hint.
    pub fn lookup(&self, name: &str, any_case: bool) -> Result<Callable> {
        if let Some(function) = self.get(name) {
            return Ok(callable(function));
        }
        if let Some(call) = aggregates::parse(name, |base| self.get(base)) {
            return Ok(Callable::Aggregate(call));
        }
        if any_case && let Some(function) = self.lower.get(name.to_lowercase().as_str()) {
            return Ok(callable(function));
        }
        let error = Error::new(ErrorKind::UnknownFunction, format!("no function named {name}"));
        if let Some(written) = aggregates::respelt(name, |base| self.get(base)) {
            return Err(error.hint(format!("Did you mean {written}?")));
        }
        let public = self.exact.keys().copied().filter(|name| !name.starts_with('_'));
        Err(match did_you_mean(name, public) {
            Some(hint) => error.hint(hint),
            None => error,
        })
    }

    /// The function of a name, combinators apart.
    pub fn get(&self, name: &str) -> Option<&'static Function> {
        let any_case = || self.any_case.get(name.to_lowercase().as_str());
        self.exact.get(name).or_else(any_case).copied()
    }

    /// Every function once, in the order of the documentation.
    pub fn functions(&self) -> impl Iterator<Item = &'static Function> {
        FAMILIES.iter().copied().flatten()
    }
}

fn callable(function: &'static Function) -> Callable {
    match function.body {
        Body::Scalar { .. } | Body::Native { .. } | Body::Rewrite(_) => Callable::Scalar(function),
        Body::Aggregate(_) => {
            Callable::Aggregate(AggregateCall { function, combinators: Vec::new() })
        }
        Body::Window(_) => Callable::Window(function),
        Body::HigherOrder(_) => Callable::HigherOrder(function),
    }
}
