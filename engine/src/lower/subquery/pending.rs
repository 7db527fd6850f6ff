//! A subquery in an expression, until it is joined to the plan of the query around it.
//!
//! There it is a function of the outer values that it reads, so that whatever rewrites
//! expressions (GROUP BY, windows) rewrites those values with them.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Column;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use hedgerow_parser::Span;

use crate::error::Error;
use crate::functions::Typed;
use crate::types::Type;

/// What is asked of a subquery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// Its only value.
    Value,
    /// Whether it has a row.
    Exists,
    /// Whether it has a row with the first arguments as `columns`; NULL is found, too.
    Contains,
}

/// A subquery whose plan reads outer values.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) id: String,
    pub(super) question: Question,
    pub(super) plan: LogicalPlan,
    /// The value, or what is compared.
    pub(super) columns: Vec<Column>,
    /// Under which `plan` reads the last arguments.
    pub(super) names: Vec<String>,
    pub(super) ty: Type,
    pub(super) span: Span,
    signature: Signature,
}

impl Pending {
    /// The expression that stands for a subquery; `id` is unique in the whole query.
    pub(super) fn expr(
        id: String,
        question: Question,
        plan: LogicalPlan,
        columns: Vec<Column>,
        (args, names): (Vec<Expr>, Vec<String>),
        ty: Type,
        span: Span,
    ) -> Typed {
        // Volatile, so that nobody computes it without rows.
        let signature = Signature::user_defined(Volatility::Volatile);
        let pending = Self { id, question, plan, columns, names, ty: ty.clone(), span, signature };
        Typed { expr: ScalarUDF::new_from_impl(pending).call(args), ty, span }
    }
}

/// The subquery that an expression stands for, and its arguments.
pub(super) fn of(expr: &Expr) -> Option<(&Pending, &[Expr])> {
    let Expr::ScalarFunction(call) = expr else { return None };
    Some((call.func.inner().downcast_ref::<Pending>()?, &call.args))
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Pending {}

impl Hash for Pending {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl ScalarUDFImpl for Pending {
    fn name(&self) -> &str {
        "subquery"
    }

    fn schema_name(&self, _args: &[Expr]) -> DataFusionResult<String> {
        Ok(format!("subquery {}", self.id))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        Ok(arg_types.to_vec())
    }

    fn return_type(&self, _arg_types: &[DataType]) -> DataFusionResult<DataType> {
        Ok(self.ty.to_arrow())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> DataFusionResult<FieldRef> {
        let nullable = self.question == Question::Value;
        Ok(Arc::new(self.ty.to_field("subquery", nullable)))
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        Err(self.misplaced().into())
    }
}

impl Pending {
    /// The error for a subquery that nobody joined.
    pub(super) fn misplaced(&self) -> Error {
        Error::unsupported("a subquery that reads columns of the outer query cannot stand here")
            .at(self.span)
            .hint("Compute it in a subquery in FROM, and use its column here.")
    }
}
