//! A row of the tables as DataFusion sees it: the only `ScalarUDFImpl`.
//!
//! The adapter carries nothing but the row and the place of the call, which is for errors only:
//! a plan can be written down as names and arguments. It sees to what all kernels have in common:
//! constants, NULL arguments, layouts.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, ExpressionPlacement, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use hedgerow_parser::Span;

use super::arguments::Arguments;
use super::function::{Argument, Body, Function, Kernel, Nulls, Returns};
use super::only_value;
use crate::error::Error;
use crate::types::Type;

/// A scalar function with a kernel.
#[derive(Clone)]
pub(super) struct Adapter {
    function: &'static Function,
    /// Where the call is written.
    span: Span,
    kernel: Kernel,
    returns: Returns,
    nulls: Nulls,
    signature: Signature,
}

impl Adapter {
    /// The function as DataFusion wants it, called at `span`.
    pub(super) fn udf(function: &'static Function, span: Span) -> Arc<ScalarUDF> {
        let Body::Scalar { kernel, returns, nulls } = function.body else {
            unreachable!("only functions with a kernel are adapted")
        };
        // Lowering has converted the arguments: whatever arrives is right.
        let signature = Signature::user_defined(function.volatility);
        Arc::new(ScalarUDF::new_from_impl(Self {
            function,
            span,
            kernel,
            returns,
            nulls,
            signature,
        }))
    }

    fn propagates_null(&self) -> bool {
        matches!(self.nulls, Nulls::Propagate | Nulls::Introduce)
    }

    fn run(&self, args: &ScalarFunctionArgs, rows: usize) -> DataFusionResult<ArrayRef> {
        let values = args.args.iter().zip(&args.arg_fields);
        let values =
            values.map(|(value, field)| canonical(value, field)).collect::<Result<_, _>>()?;
        let types: Vec<_> = args.arg_fields.iter().map(|field| Type::from_field(field)).collect();
        let constant = args.args.iter().map(|a| matches!(a, ColumnarValue::Scalar(_))).collect();
        let returns = Type::from_field(&args.return_field);
        let arguments = Arguments::new(values, constant, &types, &returns, rows);
        let result = (self.kernel)(&arguments).map_err(|error| error.at(self.span))?;
        debug_assert_eq!(result.len(), rows, "{}", self.function.name);
        debug_assert_eq!(result.data_type(), &returns.to_arrow(), "{}", self.function.name);
        Ok(result)
    }
}

/// The argument as an array in the layout kernels expect; a constant has length 1.
fn canonical(value: &ColumnarValue, field: &Field) -> DataFusionResult<ArrayRef> {
    let array = match value {
        ColumnarValue::Array(array) => Arc::clone(array),
        ColumnarValue::Scalar(constant) => constant.to_array()?,
    };
    laid_out(array, &Type::from_field(field).to_arrow())
}

/// The array in the layout kernels expect: scans may deliver dictionaries and the like.
pub(super) fn laid_out(array: ArrayRef, layout: &DataType) -> DataFusionResult<ArrayRef> {
    if array.data_type() == layout || array.data_type() == &DataType::Null {
        return Ok(array);
    }
    Ok(cast(&array, layout)?)
}

impl ScalarUDFImpl for Adapter {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        Ok(arg_types.to_vec())
    }

    fn return_type(&self, _arg_types: &[DataType]) -> DataFusionResult<DataType> {
        Err(Error::internal("return_field_from_args gives the type").into())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> DataFusionResult<FieldRef> {
        let facts = args.arg_fields.iter().zip(args.scalar_arguments);
        let facts: Vec<_> = facts
            .map(|(field, constant)| Argument { ty: Type::from_field(field), constant: *constant })
            .collect();
        let nullable = match self.nulls {
            Nulls::Propagate => args.arg_fields.iter().any(|field| field.is_nullable()),
            Nulls::First => args.arg_fields.first().is_some_and(|field| field.is_nullable()),
            Nulls::Introduce | Nulls::Custom => true,
            Nulls::Absorb => false,
        };
        Ok(Arc::new(self.returns.resolve(&facts)?.to_field(self.function.name, nullable)))
    }

    fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement {
        let read = |(place, arg): (usize, &ExpressionPlacement)| match place {
            0 => *arg == ExpressionPlacement::Column,
            _ => *arg == ExpressionPlacement::Literal,
        };
        match self.function.towards_leaves && args.iter().enumerate().all(read) {
            true => ExpressionPlacement::MoveTowardsLeafNodes,
            false => ExpressionPlacement::KeepInPlace,
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let is_null = |arg: &ColumnarValue| match arg {
            ColumnarValue::Scalar(constant) => constant.is_null(),
            ColumnarValue::Array(array) => array.data_type() == &DataType::Null,
        };
        if self.propagates_null() && args.args.iter().any(is_null) {
            let null = new_null_array(args.return_type(), 1);
            return Ok(ColumnarValue::Scalar(only_value(&null)?));
        }
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        if constant && self.signature.volatility != Volatility::Volatile {
            let result = self.run(&args, 1)?;
            return Ok(ColumnarValue::Scalar(only_value(&result)?));
        }
        Ok(ColumnarValue::Array(self.run(&args, args.number_rows)?))
    }
}

impl fmt::Debug for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.function.fmt(f)
    }
}

impl PartialEq for Adapter {
    fn eq(&self, other: &Self) -> bool {
        self.function == other.function
    }
}

impl Eq for Adapter {}

impl Hash for Adapter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}
