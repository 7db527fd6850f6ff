//! Expressions: names resolved, operators typed, surface forms replaced by what they mean.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, and, lit, not, or};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use hedgerow_parser::{Dialect, Span, ast};

use super::scope::{Cte, RelationColumn, Scope};
use super::{Param, operators, placeholder, property, special, subquery};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::{PlanContext, Typed, arithmetic, coerce, conditions, intervals};
use crate::types::Type;

/// The lowering of one expression in a scope.
pub(super) struct Lowering<'s, 'a> {
    pub(super) scope: &'s mut Scope<'a>,
    /// Aliases of this select item and later ones are not visible.
    items_visible: usize,
    /// False in join constraints, which keep SQL's NULL semantics.
    pub(super) null_safe: bool,
    /// Parameters of the lambdas around the expression, innermost last.
    pub(super) lambdas: Vec<HashMap<String, Typed>>,
    /// Aliases being inlined: inside its own definition a name means the column.
    inlining: Vec<&'a str>,
    /// Which of its columns COLUMNS stands for.
    pub(super) column: Option<usize>,
    /// Scalar common table expressions being inlined, by the address of their node.
    pub(super) scalars: Vec<usize>,
    /// Inside an aggregate's arguments: the columns as they are before grouping.
    pub(super) rows: Option<Box<DFSchema>>,
}

impl<'s, 'a> Lowering<'s, 'a> {
    /// For clauses that see all aliases.
    pub(super) fn new(scope: &'s mut Scope<'a>) -> Self {
        Self::for_item(scope, usize::MAX)
    }

    /// For the select item at `index`, which sees the aliases of earlier items.
    pub(super) fn for_item(scope: &'s mut Scope<'a>, index: usize) -> Self {
        Self {
            scope,
            items_visible: index,
            null_safe: true,
            lambdas: Vec::new(),
            inlining: Vec::new(),
            column: None,
            scalars: Vec::new(),
            rows: None,
        }
    }

    /// For a join constraint.
    pub(super) fn for_join(scope: &'s mut Scope<'a>) -> Self {
        Self { null_safe: false, ..Self::new(scope) }
    }

    /// Lowers a condition to a Bool; NULL counts as false wherever conditions stand.
    pub(super) fn condition(&mut self, expr: &'a ast::Expr) -> Result<Typed> {
        let typed = self.lower(expr)?;
        self.coerce(typed, &Type::Bool)
    }

    /// What a cast in PostgreSQL's text converts: numbers are rounded there, not cut.
    fn rounded(&mut self, value: Typed, target: &Type, safe: bool) -> Result<Typed> {
        let span = value.span;
        match target {
            ty if ty.is_integer() && value.ty.is_float() => {
                self.call_scalar("round", vec![value], span)
            }
            Type::Decimal(precision, scale) if value.ty.is_float() || value.ty.is_text() => {
                let more = (38 - precision).min(6);
                let wide = Type::Decimal(precision + more, scale + more as i8);
                let value = coerce::cast(value, &wide, safe, self.timezone())?;
                self.call_scalar("round", vec![value, Typed::int((*scale).into(), span)], span)
            }
            _ => Ok(value),
        }
    }

    /// Lowers an expression.
    pub(super) fn lower(&mut self, expr: &'a ast::Expr) -> Result<Typed> {
        let span = expr.span;
        match &expr.kind {
            ast::ExprKind::Literal(literal) => Ok(self::literal(literal, span)),
            ast::ExprKind::Field(chain) => self.field(chain, span),
            ast::ExprKind::Alias(inner, name) => {
                self.inlining.push(&name.name);
                let typed = self.lower(inner);
                self.inlining.pop();
                // A lambda's parameters are no columns.
                let fixed = self.lambdas.is_empty();
                typed.map(|t| if fixed { self.scope.aliased(&name.name, t) } else { t })
            }
            ast::ExprKind::Negate(inner) => {
                let inner = self.lower(inner)?;
                arithmetic::negate(self, inner, span).map_err(|error| error.at(span))
            }
            ast::ExprKind::Not(inner) => {
                let inner = self.condition(inner)?;
                Ok(boolean(not(inner.expr), span))
            }
            ast::ExprKind::Binary(left, op, right) => {
                let (left, right) = (self.lower(left)?, self.lower(right)?);
                operators::binary(self, *op, left, right, span)
            }
            ast::ExprKind::And(terms) => self.connect(terms, and, span),
            ast::ExprKind::Or(terms) => self.connect(terms, or, span),
            ast::ExprKind::IsNull { expr, negated } => {
                let inner = self.lower(expr)?.expr;
                let test = if *negated { inner.is_not_null() } else { inner.is_null() };
                Ok(boolean(test, span))
            }
            ast::ExprKind::IsDistinctFrom { left, right, negated } => {
                let (left, right) = (self.lower(left)?, self.lower(right)?);
                operators::distinct_from(self, left, right, *negated, span)
            }
            ast::ExprKind::Between { expr, low, high, negated } => {
                let (value, low, high) = (self.lower(expr)?, self.lower(low)?, self.lower(high)?);
                operators::between(self, value, low, high, *negated, span)
            }
            ast::ExprKind::In { expr, right, negated } => {
                subquery::membership(self, expr, right, *negated, span)
            }
            ast::ExprKind::Cast { expr, target, safe } => {
                let target = Type::parse(target, self.timezone())?;
                let typed = self.lower(expr)?;
                let is_postgres = self.scope.env.dialect.get() == Dialect::Postgres;
                let typed = match typed.is_untyped_parameter() {
                    true => self.coerce(typed, &target)?,
                    false => {
                        let typed = match is_postgres {
                            true => self.rounded(typed, &target, *safe)?,
                            false => typed,
                        };
                        coerce::cast(typed, &target, *safe, self.timezone())?
                    }
                };
                Ok(Typed { span, ..typed })
            }
            ast::ExprKind::Subquery(query) => subquery::scalar(self, query, span),
            ast::ExprKind::Placeholder(content) => placeholder::value(self, content, span),
            _ => self.rewritten(expr),
        }
    }

    /// The forms that stand for calls of functions.
    fn rewritten(&mut self, expr: &'a ast::Expr) -> Result<Typed> {
        let span = expr.span;
        match &expr.kind {
            ast::ExprKind::Coalesce(a, b) => self.function("ifNull", [a, b], span),
            ast::ExprKind::Ternary { condition, then, otherwise } => {
                self.function("if", [condition, then, otherwise], span)
            }
            ast::ExprKind::Case { operand, branches, otherwise } => {
                self.case(operand.as_deref(), branches, otherwise.as_deref(), span)
            }
            ast::ExprKind::Interval { value, unit } => {
                let value = self.lower(value)?;
                intervals::of_unit(self, value, *unit, span).map_err(|error| error.at(span))
            }
            ast::ExprKind::Tuple(items) => {
                let items = self.args(items)?;
                self.call_scalar("tuple", items, span)
            }
            ast::ExprKind::Array(items) => {
                let items = self.args(items)?;
                self.call_scalar("array", items, span)
            }
            ast::ExprKind::Dict(entries) => special::dictionary(self, entries, span),
            ast::ExprKind::Template(parts) => {
                if let [ast::TemplatePart::Expr(only)] = parts.as_slice() {
                    return self.lower(only);
                }
                let mut args = Vec::with_capacity(parts.len());
                for part in parts {
                    args.push(match part {
                        ast::TemplatePart::Text(text) => Typed::text(text, span),
                        ast::TemplatePart::Expr(expr) => self.lower(expr)?,
                    });
                }
                self.call_scalar("concat", args, span)
            }
            ast::ExprKind::TupleElement { .. }
            | ast::ExprKind::Index { .. }
            | ast::ExprKind::Member { .. } => property::access(self, expr),
            ast::ExprKind::Slice { expr, from, to } => {
                let array = self.lower(expr)?;
                let from = match from {
                    Some(from) => self.lower(from)?,
                    None => Typed::int(1, span),
                };
                let mut args = vec![array, from.clone()];
                if let Some(to) = to {
                    let to = self.lower(to)?;
                    let one = Typed::int(1, span);
                    let length = operators::binary(self, ast::BinaryOp::Minus, to, from, span)?;
                    args.push(operators::binary(self, ast::BinaryOp::Plus, length, one, span)?);
                }
                self.call_scalar("arraySlice", args, span)
            }
            ast::ExprKind::Call(call) => self.call(call, span, false),
            ast::ExprKind::IgnoreNulls(inner) => match &inner.kind {
                ast::ExprKind::Call(call) => self.call(call, span, true),
                _ => {
                    let message = "IGNORE NULLS belongs to a call of a window function";
                    Err(Error::new(ErrorKind::Windowing, message).at(span))
                }
            },
            ast::ExprKind::Columns(columns) => special::one_of_columns(self, columns, span),
            ast::ExprKind::PositionalColumn(position) => special::positional(self, *position, span),
            ast::ExprKind::Tag(tag) => special::tag(self, tag, span),
            ast::ExprKind::InCohort { expr, cohort, .. } => special::cohort(self, expr, cohort),
            _ => Err(refused(expr)),
        }
    }

    fn connect(
        &mut self,
        terms: &'a [ast::Expr],
        connective: fn(Expr, Expr) -> Expr,
        span: Span,
    ) -> Result<Typed> {
        let mut lowered = Vec::with_capacity(terms.len());
        for term in terms {
            lowered.push(self.condition(term)?.expr);
        }
        balanced(lowered, connective)
            .map(|expr| boolean(expr, span))
            .ok_or_else(|| Error::internal("connective without terms"))
    }

    /// Calls a scalar function on expressions.
    fn function(
        &mut self,
        name: &str,
        args: impl IntoIterator<Item = &'a (impl std::borrow::Borrow<ast::Expr> + 'a)>,
        span: Span,
    ) -> Result<Typed> {
        let mut lowered = Vec::new();
        for arg in args {
            lowered.push(self.lower(arg.borrow())?);
        }
        self.call_scalar(name, lowered, span)
    }

    fn case(
        &mut self,
        operand: Option<&'a ast::Expr>,
        branches: &'a [(ast::Expr, ast::Expr)],
        otherwise: Option<&'a ast::Expr>,
        span: Span,
    ) -> Result<Typed> {
        let operand = operand.map(|operand| self.lower(operand)).transpose()?;
        let mut lowered = Vec::with_capacity(branches.len());
        for (when, then) in branches {
            let condition = self.lower(when)?;
            let condition = match &operand {
                Some(operand) => {
                    let equals = ast::BinaryOp::Eq;
                    operators::binary(self, equals, operand.clone(), condition, when.span)?
                }
                None => condition,
            };
            lowered.push((condition, self.lower(then)?));
        }
        let otherwise = match otherwise {
            Some(otherwise) => self.lower(otherwise)?,
            None => null(span),
        };
        conditions::case(self, span, lowered, Some(otherwise)).map_err(|error| error.at(span))
    }

    /// What a dotted name means, walked down to its last part.
    fn field(&mut self, chain: &'a [ast::Ident], span: Span) -> Result<Typed> {
        let (base, rest) = self.resolve(chain, span)?;
        let object = !matches!(base.ty, Type::Json | Type::Tuple(_) | Type::Map(..));
        property::walk(self, base, rest, span).map_err(|error| {
            let name = &chain[0].name;
            let hidden = object && self.scope.aliases.contains_key(name.as_str());
            if error.hint.is_some() || !hidden {
                return error;
            }
            error.hint(format!("{name} is an alias here: rename it to read the column {name}."))
        })
    }

    /// What the first parts of a dotted name mean, and the parts that are left.
    ///
    /// # Errors
    /// `UnknownColumn` when they mean nothing, with the nearest name as a hint.
    pub(super) fn resolve<'n>(
        &mut self,
        chain: &'n [ast::Ident],
        span: Span,
    ) -> Result<(Typed, &'n [ast::Ident])> {
        let first = &chain[0];
        match self.find(chain, span)? {
            Some(found) => Ok(found),
            None if is_lazy(&first.name) => Err(not_yet(&first.name, first.span)),
            None => Err(self.scope.unknown_field(first)),
        }
    }

    /// What the first parts of a dotted name mean here, else in the queries around.
    pub(super) fn find<'n>(
        &mut self,
        chain: &'n [ast::Ident],
        span: Span,
    ) -> Result<Option<(Typed, &'n [ast::Ident])>> {
        let first = &chain[0];
        let rest = &chain[1..];
        if let Some(typed) = self.lambdas.iter().rev().find_map(|frame| frame.get(&first.name)) {
            return Ok(Some((Typed { span, ..typed.clone() }, rest)));
        }
        if let Some((relation, length)) =
            self.scope.relation(chain).filter(|(_, length)| chain.len() > *length)
        {
            let name = &chain[length];
            if let Some(column) = relation.column(&name.name) {
                return Ok(Some((self.column(column, span), &chain[length + 1..])));
            }
            let error = Scope::unknown_column(relation, name);
            // A column may share the table's name: then the chain walks down the column.
            if self.scope.column(&first.name, first.span)?.is_none() {
                return Err(match &*name.name {
                    lazy if is_lazy(lazy) => not_yet(lazy, name.span),
                    _ => error,
                });
            }
        }
        // In PostgreSQL's text a column hides an alias of its name; ORDER BY is another matter.
        if self.scope.env.dialect.get() == Dialect::Postgres
            && let Some(column) = self.scope.column(&first.name, first.span)?
        {
            return Ok(Some((self.column(column, span), rest)));
        }
        if let Some(typed) = self.alias(first)? {
            return Ok(Some((Typed { span, ..typed }, rest)));
        }
        if let Some(column) = self.scope.column(&first.name, first.span)? {
            return Ok(Some((self.column(column, span), rest)));
        }
        if let Some(typed) = self.scalar_cte(first)? {
            return Ok(Some((Typed { span, ..typed }, rest)));
        }
        if let Some(outer) = self.scope.ctes.outer()
            && let Some(typed) = outer.read(chain, span)?
        {
            return Ok(Some((typed, &[])));
        }
        if rest.is_empty()
            && let Some(typed) = self.special(first, span)?
        {
            return Ok(Some((typed, rest)));
        }
        Ok(None)
    }

    /// An alias of the select list that is visible here, inlined.
    fn alias(&mut self, name: &ast::Ident) -> Result<Option<Typed>> {
        let Some((key, alias)) = self.scope.aliases.get_key_value(name.name.as_str()) else {
            return Ok(None);
        };
        let (key, alias) = (*key, *alias);
        // Within one item, an alias is visible after the expression that declares it.
        let declared_before = alias.item < self.items_visible
            || alias.item == self.items_visible && alias.expr.span.end <= name.span.start;
        if !declared_before || self.inlining.contains(&key) {
            return Ok(None);
        }
        let visible = std::mem::replace(&mut self.items_visible, alias.item);
        let lambdas = std::mem::take(&mut self.lambdas);
        self.inlining.push(key);
        let typed = self.lower(alias.expr);
        self.inlining.pop();
        self.lambdas = lambdas;
        self.items_visible = visible;
        typed.map(|typed| Some(self.scope.aliased(key, typed)))
    }

    fn scalar_cte(&mut self, name: &ast::Ident) -> Result<Option<Typed>> {
        let ctes = self.scope.ctes;
        match ctes.find(&name.name) {
            Some(Cte::Scalar(expr)) => {
                let expr: &'a ast::Expr = expr;
                if self.scalars.contains(&std::ptr::from_ref(expr).addr()) {
                    return Ok(None);
                }
                self.scalars.push(std::ptr::from_ref(expr).addr());
                let typed = self.lower(expr);
                self.scalars.pop();
                typed.map(Some)
            }
            Some(Cte::Table(_)) => {
                let message =
                    format!("{} is a table, and stands where a value is needed", name.name);
                Err(Error::new(ErrorKind::TypeMismatch, message)
                    .at(name.span)
                    .hint(format!("Read from it: (select … from {}).", name.name)))
            }
            None => Ok(None),
        }
    }

    /// Names that are neither columns nor aliases: parameters and SQL's keyword values.
    fn special(&mut self, name: &ast::Ident, span: Span) -> Result<Option<Typed>> {
        if let Some(number) = name.name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok()) {
            return self.parameter(number, span).map(Some);
        }
        match name.name.to_ascii_lowercase().as_str() {
            "current_timestamp" | "localtimestamp" => {
                self.call_scalar("now", vec![], span).map(Some)
            }
            "current_date" => self.call_scalar("today", vec![], span).map(Some),
            word => Ok(self.of_session(word).map(|value| Typed::text(value, span))),
        }
    }

    /// What a word, or a call without arguments, says about the session in PostgreSQL's text.
    pub(super) fn of_session(&self, word: &str) -> Option<String> {
        if self.scope.env.dialect.get() != Dialect::Postgres {
            return None;
        }
        let settings = self.scope.env.settings;
        match word {
            "current_user" | "session_user" | "current_role" | "user" => {
                Some(settings.user.clone())
            }
            "current_catalog" | "current_database" => Some(settings.database.clone()),
            "current_schema" => Some("public".to_owned()),
            _ => None,
        }
    }

    fn parameter(&mut self, number: usize, span: Span) -> Result<Typed> {
        let placeholder = |ty: Option<&Type>| {
            let field = ty.map(|ty| Arc::new(ty.to_field("", true)));
            Expr::Placeholder(Placeholder::new_with_field(format!("${number}"), field))
        };
        let param = self.scope.env.param(number).map_err(|error| error.at(span))?;
        Ok(match param {
            Param::Untyped => Typed { expr: placeholder(None), ty: Type::Null, span },
            Param::Typed(ty) => Typed { expr: placeholder(Some(&ty)), ty, span },
            Param::Bound(ty, value) => Typed::constant(value, ty, span),
        })
    }

    /// The value of a column.
    pub(super) fn column(&self, column: &RelationColumn, span: Span) -> Typed {
        let expr = Expr::Column(column.column.clone());
        self.localized(Typed { expr, ty: column.ty.clone(), span })
    }

    /// A DateTime column in the session's time zone; anything else as it is.
    pub(super) fn localized(&self, typed: Typed) -> Typed {
        match &typed.ty {
            Type::DateTime(zone) if **zone != *self.timezone() => {
                let ty = Type::DateTime(self.timezone().into());
                let expr = datafusion::logical_expr::cast(typed.expr, ty.to_arrow());
                Typed { expr, ty, span: typed.span }
            }
            _ => typed,
        }
    }
}

impl PlanContext for Lowering<'_, '_> {
    fn timezone(&self) -> &str {
        &self.scope.env.settings.timezone
    }

    fn week_starts_monday(&self) -> bool {
        self.scope.env.settings.week_starts_monday
    }

    fn schema(&self) -> &DFSchema {
        self.rows.as_deref().unwrap_or_else(|| self.scope.plan.schema())
    }

    fn coerce(&self, value: Typed, target: &Type) -> Result<Typed> {
        if let Expr::Placeholder(placeholder) = &value.expr
            && value.is_untyped_parameter()
        {
            let number = placeholder.id.trim_start_matches('$').parse().unwrap_or(0);
            self.scope.env.set_param_type(number, target);
        }
        coerce::coerce(value, target, self.timezone())
    }
}

/// Names of HogQL's lazily joined relations, so that their absence is explained.
fn is_lazy(name: &str) -> bool {
    matches!(name, "person" | "session" | "pdi" | "poe" | "override")
        || name.strip_prefix("group_").is_some_and(|n| matches!(n, "0" | "1" | "2" | "3" | "4"))
}

fn not_yet(name: &str, span: Span) -> Error {
    Error::unsupported(format!("{name} on events is not available yet"))
        .at(span)
        .hint("person_id, distinct_id and $session_id are columns of events.")
}

fn refused(expr: &ast::Expr) -> Error {
    let error = match &expr.kind {
        ast::ExprKind::Star(_) => {
            Error::new(ErrorKind::Syntax, "* stands where a single value is needed")
        }
        ast::ExprKind::Spread(_) => Error::new(
            ErrorKind::Syntax,
            "*COLUMNS(…) can only be spread into arguments, tuples and arrays",
        )
        .hint("Write COLUMNS(…) without the star."),
        ast::ExprKind::Lambda { .. } => Error::new(
            ErrorKind::TypeMismatch,
            "a lambda can only be an argument of a function that takes one",
        )
        .hint("It comes first: arrayMap(x -> x + 1, [1, 2])."),
        ast::ExprKind::NamedArgument(name, _) => Error::new(
            ErrorKind::InvalidArgument,
            format!("no function here takes an argument named {}", name.name),
        ),
        ast::ExprKind::CallExpr(..) => {
            Error::new(ErrorKind::Syntax, "only plain function names can be called")
                .hint("Write f(x); what f(x) gives is read with [i], .1 or .name.")
        }
        other => Error::internal(format!("expression without a lowering: {other:?}")),
    };
    error.at(expr.span)
}

/// A Bool.
pub(super) fn boolean(expr: Expr, span: Span) -> Typed {
    Typed { expr, ty: Type::Bool, span }
}

/// A bare NULL.
pub(super) fn null(span: Span) -> Typed {
    Typed { expr: lit(ScalarValue::Null), ty: Type::Null, span }
}

fn literal(literal: &ast::Literal, span: Span) -> Typed {
    let (expr, ty) = match literal {
        ast::Literal::Null => return null(span),
        ast::Literal::String(text) => return Typed::text(text, span),
        ast::Literal::Bool(value) => (lit(*value), Type::Bool),
        ast::Literal::Int(value) => (lit(*value), Type::Int64),
        ast::Literal::BigInt(digits) => match digits.parse::<u64>() {
            Ok(value) => (lit(value), Type::UInt64),
            Err(_) => (lit(digits.parse::<f64>().unwrap_or(f64::INFINITY)), Type::Float64),
        },
        ast::Literal::Float(value) => (lit(value.0), Type::Float64),
    };
    Typed { expr, ty, span }
}

/// The value of an expression over constants; none when it depends on rows, or cannot be computed.
pub(super) fn constant(expr: &Expr) -> Option<ScalarValue> {
    if let Expr::Literal(value, _) = expr {
        return Some(value.clone());
    }
    let simplifier = ExprSimplifier::new(SimplifyContext::default());
    match simplifier.simplify(expr.clone()).ok()? {
        Expr::Literal(value, _) => Some(value),
        _ => None,
    }
}

/// Joins terms into a tree of logarithmic depth: thousands of terms must not recurse deeply.
pub(super) fn balanced(terms: Vec<Expr>, connective: fn(Expr, Expr) -> Expr) -> Option<Expr> {
    let mut level = terms;
    while level.len() > 1 {
        let mut next = Vec::with_capacity(level.len().div_ceil(2));
        let mut terms = level.into_iter();
        while let Some(left) = terms.next() {
            next.push(match terms.next() {
                Some(right) => connective(left, right),
                None => left,
            });
        }
        level = next;
    }
    level.pop()
}
