//! Syntax tree to logical plan: every name is resolved, every type known, nothing has run.
//!
//! ```text
//! query   one query: set operations, common table expressions
//! select  one SELECT: its clauses in the order they are evaluated
//! from    sources and joins
//! scope   what a name means inside one SELECT
//! expr    expressions; call, property, subquery: their larger forms
//! outer, decorrelate  subqueries that read values of the queries around them
//! ```
//! Aliases are inlined: `a` in `select f(x) as a … where a > 1` becomes `f(x)`, and the optimizer
//! computes common subexpressions once.

use std::cell::RefCell;

use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr as logical;
use hedgerow_parser::{Dialect, Span, ast};

use crate::catalog::Catalog;
use crate::error::{Error, ErrorKind, Result};
use crate::session::Notice;
use crate::settings::Settings;
use crate::types::Type;

mod aggregate;
mod call;
mod decorrelate;
mod expr;
mod from;
mod join;
mod operators;
mod outer;
mod property;
mod query;
mod scope;
mod select;
mod special;
mod star;
mod subquery;
mod window;

/// A plan with the columns a user sees of it.
#[derive(Debug, Clone)]
pub(crate) struct Lowered {
    pub(crate) plan: logical::LogicalPlan,
    pub(crate) columns: Vec<OutputColumn>,
}

/// A result column. `column` is unique within the plan; `name` need not be.
#[derive(Debug, Clone)]
pub(crate) struct OutputColumn {
    pub(crate) name: String,
    pub(crate) column: Column,
    pub(crate) ty: Type,
}

/// What lowering knows beside the text.
pub(crate) struct Environment<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) settings: &'a Settings,
    /// The profile in which the text was read: names resolve differently in PostgreSQL's.
    pub(crate) dialect: Dialect,
    params: RefCell<Vec<Param>>,
    /// For names that must not clash within one plan.
    next_id: RefCell<u32>,
    warnings: RefCell<Vec<Warning>>,
}

/// Something that is allowed and hardly meant, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Warning {
    pub(crate) notice: Notice,
    pub(crate) span: Span,
}

/// What is known of one `$n`.
#[derive(Debug, Clone)]
pub(crate) enum Param {
    /// Nothing yet: its first use decides.
    Untyped,
    /// Its type.
    Typed(Type),
    /// Its type and value.
    Bound(Type, ScalarValue),
}

impl<'a> Environment<'a> {
    fn new(
        catalog: &'a Catalog,
        settings: &'a Settings,
        dialect: Dialect,
        params: Vec<Param>,
    ) -> Self {
        Self {
            catalog,
            settings,
            dialect,
            params: RefCell::new(params),
            next_id: RefCell::new(0),
            warnings: RefCell::default(),
        }
    }

    /// Tells the user something; once, however often the place is read.
    fn warn(&self, notice: Notice, span: Span) {
        let warning = Warning { notice, span };
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    /// A name that no other part of the plan has.
    fn fresh(&self, prefix: &str) -> String {
        let mut next = self.next_id.borrow_mut();
        *next += 1;
        format!("__{prefix}_{next}")
    }

    /// What is known of `$number`, 1-based, making room for it.
    fn param(&self, number: usize) -> Result<Param> {
        let mut params = self.params.borrow_mut();
        if number == 0 || number > PARAMS_MAX {
            return Err(Error::new(ErrorKind::Parameter, format!("no parameter ${number}")));
        }
        if params.len() < number {
            params.resize(number, Param::Untyped);
        }
        Ok(params[number - 1].clone())
    }

    fn set_param_type(&self, number: usize, ty: &Type) {
        if let Some(param @ Param::Untyped) = self.params.borrow_mut().get_mut(number - 1) {
            *param = Param::Typed(ty.clone());
        }
    }
}

/// The Postgres protocol counts parameters in 16 bits.
const PARAMS_MAX: usize = 65_535;

/// A lowered query and the types its parameters turned out to have.
pub(crate) struct Analysis {
    pub(crate) lowered: Lowered,
    pub(crate) params: Vec<Type>,
    #[expect(dead_code, reason = "for editors")]
    pub(crate) warnings: Vec<Warning>,
}

/// Lowers a query whose parameters have at most types. Parameters whose use does not decide
/// their type are strings, as in PostgreSQL.
pub(crate) fn analyse(
    query: &ast::Query,
    catalog: &Catalog,
    settings: &Settings,
    dialect: Dialect,
    declared: &[Option<Type>],
) -> Result<Analysis> {
    let mut params: Vec<Param> =
        declared.iter().map(|ty| ty.clone().map_or(Param::Untyped, Param::Typed)).collect();
    loop {
        let env = Environment::new(catalog, settings, dialect, params);
        let lowered = query::lower(&env, query)?;
        params = env.params.into_inner();
        let warnings = env.warnings.into_inner();
        if !params.iter().any(|param| matches!(param, Param::Untyped)) {
            let params = params.into_iter().map(Param::into_type).collect();
            return Ok(Analysis { lowered, params, warnings });
        }
        for param in &mut params {
            if matches!(param, Param::Untyped) {
                *param = Param::Typed(Type::String);
            }
        }
    }
}

impl Param {
    fn into_type(self) -> Type {
        match self {
            Self::Untyped => Type::String,
            Self::Typed(ty) | Self::Bound(ty, _) => ty,
        }
    }
}

/// Lowers a query with a value for each of its parameters.
pub(crate) fn lower(
    query: &ast::Query,
    catalog: &Catalog,
    settings: &Settings,
    dialect: Dialect,
    params: Vec<(Type, ScalarValue)>,
) -> Result<(Lowered, Vec<Notice>)> {
    let params: Vec<Param> = params.into_iter().map(|(ty, v)| Param::Bound(ty, v)).collect();
    let count = params.len();
    let env = Environment::new(catalog, settings, dialect, params);
    let lowered = query::lower(&env, query)?;
    let used = env.params.borrow().len();
    if used > count {
        let message = format!("the query has {used} parameters, {count} values were given");
        return Err(Error::new(ErrorKind::Parameter, message));
    }
    let warnings = env.warnings.into_inner();
    Ok((lowered, warnings.into_iter().map(|warning| warning.notice).collect()))
}
