//! Syntax tree to logical plan: every name is resolved, every type known, nothing has run.
//!
//! ```text
//! query   one query: common table expressions, VALUES; sets: UNION and its kin
//! select  one SELECT: its clauses in the order they are evaluated; aggregate, totals, order, limit, fill
//! from    sources; join, pivot, unpivot, table_function, array_join: their larger forms
//! scope   what a name means inside one SELECT
//! expr    expressions; call, property, subquery: their larger forms
//! outer, decorrelate  subqueries that read values of the queries around them
//! ```
//! Aliases are inlined: `a` in `select f(x) as a … where a > 1` becomes `f(x)`, and the optimizer
//! computes common subexpressions once.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr as logical;
use hedgerow_parser::{Dialect, Span, ast};

use crate::answer::Notice;
use crate::catalog::Catalog;
use crate::error::{Error, ErrorKind, Result};
use crate::execute::shared::SharedQuery;
use crate::functions::PlanContext;
use crate::settings::Settings;
use crate::types::Type;

mod aggregate;
mod array_join;
mod call;
mod decorrelate;
mod expr;
mod fill;
mod from;
mod insert;
mod join;
mod limit;
mod operators;
mod order;
mod outer;
mod pivot;
mod placeholder;
mod property;
mod query;
mod recursion;
mod scope;
mod select;
mod sets;
mod shared;
mod special;
mod star;
mod subquery;
mod table_function;
mod totals;
mod unpivot;
mod view;
mod volatile;
mod window;

pub(crate) use insert::Target;
pub(crate) use view::{define, lower_alone as lower_view};

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

/// What a text means depends on this beside the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) settings: &'a Settings,
    pub(crate) dialect: Dialect,
}

/// What lowering knows beside the text.
pub(crate) struct Environment<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) settings: &'a Settings,
    /// The profile in which the text was read: names resolve differently in PostgreSQL's.
    dialect: Cell<Dialect>,
    params: RefCell<Vec<Param>>,
    /// How many values there are, when the query is to run.
    values_given: Option<usize>,
    /// For names that must not clash within one plan.
    next_id: RefCell<u32>,
    warnings: RefCell<Vec<Warning>>,
    /// Queries that may be read several times, see [`shared`].
    shared: RefCell<Vec<Arc<SharedQuery>>>,
    views: view::Views,
    /// Expressions that were written in another text than the statement's have been lowered.
    other_texts: Cell<bool>,
    /// Inside the value of a placeholder.
    in_placeholder: Cell<bool>,
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
    fn new(scene: Scene<'a>, params: Vec<Param>) -> Self {
        let Scene { catalog, settings, dialect } = scene;
        Self {
            catalog,
            settings,
            dialect: Cell::new(dialect),
            params: RefCell::new(params),
            values_given: None,
            next_id: RefCell::new(0),
            warnings: RefCell::default(),
            shared: RefCell::default(),
            views: view::Views::default(),
            other_texts: Cell::new(false),
            in_placeholder: Cell::new(false),
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
        if self.values_given.is_some_and(|given| number > given) {
            return Err(Error::new(
                ErrorKind::Parameter,
                format!("there is no value for ${number}"),
            )
            .hint("PREPARE the query and EXECUTE it with values."));
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

/// What is lowered.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Task<'a> {
    Query(&'a ast::Query),
    /// The rows of a query, brought to the columns of a table.
    Insert(&'a ast::Query, &'a [Target]),
}

impl Task<'_> {
    fn lower(&self, env: &Environment<'_>) -> Result<Lowered> {
        match self {
            Self::Query(query) => query::lower(env, query),
            Self::Insert(source, targets) => insert::lower(env, source, targets),
        }
    }
}

/// A lowered query and the types its parameters turned out to have.
pub(crate) struct Analysis {
    pub(crate) lowered: Lowered,
    pub(crate) params: Vec<Type>,
    pub(crate) warnings: Vec<Warning>,
}

/// Lowers a query whose parameters have at most types. Parameters whose use does not decide
/// their type are strings, as in PostgreSQL.
pub(crate) fn analyse(
    task: Task<'_>,
    scene: Scene<'_>,
    declared: &[Option<Type>],
) -> Result<Analysis> {
    let mut params: Vec<Param> =
        declared.iter().map(|ty| ty.clone().map_or(Param::Untyped, Param::Typed)).collect();
    loop {
        let env = Environment::new(scene, params);
        let lowered = task.lower(&env)?;
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

/// A query that can be planned and run.
pub(crate) struct Runnable {
    pub(crate) lowered: Lowered,
    pub(crate) notices: Vec<Notice>,
    /// Places that its expressions carry may be in the text of a view or placeholder.
    pub(crate) other_texts: bool,
}

/// Lowers a query with a value for each of its parameters.
pub(crate) fn lower(
    task: Task<'_>,
    scene: Scene<'_>,
    params: Vec<(Type, ScalarValue)>,
) -> Result<Runnable> {
    let params: Vec<Param> = params.into_iter().map(|(ty, v)| Param::Bound(ty, v)).collect();
    let values_given = Some(params.len());
    let env = Environment { values_given, ..Environment::new(scene, params) };
    let lowered = task.lower(&env)?;
    let warnings = env.warnings.into_inner();
    let notices = warnings.into_iter().map(|warning| warning.notice).collect();
    Ok(Runnable { lowered, notices, other_texts: env.other_texts.get() })
}

/// The values of constant expressions, as these types.
///
/// # Errors
/// `InvalidArgument` for an expression that depends on anything; `TypeMismatch`.
pub(crate) fn constants(
    exprs: &[ast::Expr],
    types: &[Type],
    settings: &Settings,
) -> Result<Vec<ScalarValue>> {
    let catalog = Catalog::without_store();
    let scene = Scene { catalog: &catalog, settings, dialect: Dialect::default() };
    let env = Environment::new(scene, Vec::new());
    let ctes = scope::Ctes::none();
    let mut values = Vec::with_capacity(exprs.len());
    for (expr, ty) in exprs.iter().zip(types) {
        let mut outside = scope::Scope::new(&env, &ctes)?;
        let mut lowering = expr::Lowering::new(&mut outside);
        let typed = lowering.lower(expr)?;
        let typed = PlanContext::coerce(&lowering, typed, ty)?;
        let value = expr::constant(&typed.expr).ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "a parameter's value must be a constant")
                .at(expr.span)
        })?;
        values.push(value.cast_to(&ty.to_arrow())?);
    }
    Ok(values)
}

/// Checks that SET can take an expression as the value of a placeholder.
///
/// # Errors
/// `Unsupported` for placeholders and parameters in it.
pub(crate) fn check_placeholder_value(value: &ast::Expr) -> Result<()> {
    let mut inner: Option<Span> = None;
    hedgerow_parser::walk(value, &mut |expr| {
        if matches!(expr.kind, ast::ExprKind::Placeholder(_)) {
            inner.get_or_insert(expr.span);
        }
        true
    });
    match inner {
        None => Ok(()),
        Some(span) => {
            let message = "the value of a placeholder cannot use another placeholder";
            Err(Error::unsupported(message).at(span))
        }
    }
}
