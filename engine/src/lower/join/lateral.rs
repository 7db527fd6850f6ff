//! Sources that read columns of the sources before them: `LATERAL (SELECT …)`, and table
//! functions of columns.

use datafusion::common::{Column, JoinType, NullEquality};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col, lit};
use hedgerow_parser::{Span, ast};

use super::{Kind, on, with_defaults};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::comparison::in_filter;
use crate::lower::array_join::Empty;
use crate::lower::decorrelate::Domain;
use crate::lower::expr::Lowering;
use crate::lower::outer::{self, Captured};
use crate::lower::scope::{Relation, Scope};
use crate::lower::{Lowered, from, query, table_function};

/// A join whose right side may read the left.
pub(super) struct Lateral<'p, 'a> {
    pub(super) left: &'p LogicalPlan,
    pub(super) kind: Kind,
    pub(super) source: &'a ast::Source,
    pub(super) constraint: Option<&'a ast::JoinConstraint>,
    pub(super) span: Span,
}

impl<'a> Lateral<'_, 'a> {
    /// The plan of the join; none when the right side does not read the left.
    ///
    /// # Errors
    /// `Unsupported` for anything but CROSS, INNER and LEFT joins.
    pub(super) fn plan(&self, scope: &mut Scope<'a>) -> Result<Option<LogicalPlan>> {
        match &self.source.kind {
            ast::SourceKind::Function(..) => self.function(scope),
            ast::SourceKind::Query(query) if self.source.lateral => self.query(scope, query),
            _ => Ok(None),
        }
    }

    fn function(&self, scope: &mut Scope<'a>) -> Result<Option<LogicalPlan>> {
        scope.plan = self.left.clone();
        let empty = match self.kind {
            Kind::All(JoinType::Left) => Empty::Null,
            _ => Empty::Drop,
        };
        let Some(mut relation) = table_function::lateral(scope, self.source, empty)? else {
            return Ok(None);
        };
        from::rename_columns(&mut relation, &self.source.columns, self.source.span)?;
        scope.add_relation(relation, self.source.span)?;
        let condition = self.condition(scope)?;
        let plan = LogicalPlanBuilder::from(scope.plan.clone());
        Ok(Some(match self.kind {
            Kind::All(JoinType::Left) if condition != lit(true) => {
                return Err(Error::unsupported(
                    "a LEFT JOIN with a function of the left side takes ON true",
                )
                .at(self.span)
                .hint("Write LEFT JOIN LATERAL (SELECT … FROM the function WHERE …) ON true."));
            }
            _ if condition == lit(true) => plan.build()?,
            _ => plan.filter(in_filter(condition))?.build()?,
        }))
    }

    fn query(&self, scope: &mut Scope<'a>, query: &'a ast::Query) -> Result<Option<LogicalPlan>> {
        scope.plan = self.left.clone();
        let (lowered, captured) = outer::lower(&mut Lowering::new(scope), query)?;
        if captured.is_empty() {
            return Ok(None);
        }
        let left = scope.plan.clone();
        let lowered = query::rename(lowered, &self.source.columns, self.source.span)?;
        let (relation, right) = self.for_all_rows(scope, &left, lowered, &captured)?;
        let known = relation.name.clone();

        let kept: Vec<Expr> = left.schema().columns().into_iter().map(col).collect();
        let mut with_keys = kept.clone();
        let mut keys = (Vec::new(), Vec::new());
        for Captured { expr, name } in captured {
            let key = Column::new_unqualified(scope.env.fresh("key"));
            with_keys.push(expr.alias(&key.name));
            keys.0.push(key);
            keys.1.push(Column::new(Some(known.as_str()), name));
        }
        let own = relation.columns.iter().map(|column| col(column.column.clone()));
        let output: Vec<Expr> = kept.into_iter().chain(own).collect();
        scope.add_relation(relation, self.source.span)?;
        let both = LogicalPlanBuilder::from(left.clone()).cross_join(right.clone())?.build()?;
        let width = both.schema().fields().len();
        scope.plan = both;
        let condition = self.condition(scope)?;
        if scope.plan.schema().fields().len() > width {
            let message = "a LATERAL join cannot have such a subquery in its condition";
            return Err(Error::unsupported(message).at(self.span).hint("Put it into WHERE."));
        }
        let kind = match self.kind {
            Kind::All(kind) => kind,
            _ => JoinType::Inner,
        };
        let filter = conjunction([condition].into_iter().filter(|c| *c != lit(true)));
        // The same values on both sides: NULL meets NULL.
        let plan = LogicalPlanBuilder::from(left)
            .project(with_keys)?
            .join_detailed(right.clone(), kind, keys, filter, NullEquality::NullEqualsNull)?
            .build()?;
        let missing: &[&LogicalPlan] = if kind == JoinType::Left { &[&right] } else { &[] };
        let plan = with_defaults(plan, missing, Vec::new())?;
        Ok(Some(LogicalPlanBuilder::from(plan).project(output)?.build()?))
    }

    /// The query for all combinations of values that it reads, which are columns of the plan.
    fn for_all_rows(
        &self,
        scope: &Scope<'a>,
        left: &LogicalPlan,
        lowered: Lowered,
        captured: &[Captured],
    ) -> Result<(Relation, LogicalPlan)> {
        let exprs: Vec<Expr> = captured.iter().map(|value| value.expr.clone()).collect();
        let names: Vec<String> = captured.iter().map(|value| value.name.clone()).collect();
        let domain = Domain::new(scope.env, left, &exprs, &names)?;
        let plan = domain.join(&lowered.plan).map_err(|error| error.at(self.source.span))?;
        let name = match &self.source.alias {
            Some(alias) => alias.name.clone(),
            None => scope.env.fresh("query"),
        };
        Relation::of_query(&name, Lowered { plan, ..lowered })
    }

    /// The condition of the join, over the scope's plan.
    fn condition(&self, scope: &mut Scope<'a>) -> Result<Expr> {
        match (self.kind, self.constraint) {
            (Kind::Cross, None) => Ok(lit(true)),
            (Kind::All(JoinType::Inner | JoinType::Left), Some(ast::JoinConstraint::On(expr))) => {
                on(scope, expr)
            }
            (Kind::All(JoinType::Inner | JoinType::Left), None) => {
                Err(Error::new(ErrorKind::Syntax, "the join has no condition")
                    .at(self.span)
                    .hint("Add ON true, or write CROSS JOIN."))
            }
            _ => Err(Error::unsupported("what reads the left side cannot be joined like this")
                .at(self.span)
                .hint("Write CROSS JOIN, INNER JOIN … ON …, or LEFT JOIN … ON ….")),
        }
    }
}
