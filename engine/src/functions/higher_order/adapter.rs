//! A row of the table as DataFusion sees it: the only `HigherOrderUDFImpl`.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::take_arrays;
use arrow::datatypes::{Field, FieldRef};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature,
    HigherOrderUDF, HigherOrderUDFImpl, LambdaArgument, LambdaParametersProgress, ValueOrLambda,
    Volatility,
};
use hedgerow_parser::Span;

use super::elements::{Elements, Flat};
use super::{HigherOrderBody, Kernel, fold};
use crate::error::{Error, Result};
use crate::functions::adapter::laid_out;
use crate::functions::function::Function;
use crate::types::Type;

/// A function of arrays and perhaps, after them, a lambda.
#[derive(Clone)]
pub(super) struct Adapter {
    function: &'static Function,
    /// Where the call is written, for errors.
    span: Span,
    body: HigherOrderBody,
    /// True when the parameters are the elements of tuples in a single array.
    unpacks: bool,
    signature: HigherOrderSignature,
}

impl Adapter {
    pub(super) fn udf(
        function: &'static Function,
        span: Span,
        body: HigherOrderBody,
        unpacks: bool,
    ) -> Arc<HigherOrderUDF> {
        // Lowering has converted the arguments: whatever arrives is right.
        let signature = HigherOrderSignature::variadic_any(Volatility::Immutable);
        Arc::new(HigherOrderUDF::new_from_impl(Self { function, span, body, unpacks, signature }))
    }

    /// The fields of the lambda's parameters for arguments of these fields.
    fn parameters(&self, values: &[&FieldRef]) -> Result<Vec<FieldRef>> {
        let (arrays, start) = match (self.body.folds(), values.split_last()) {
            (true, Some((start, arrays))) => (arrays, Some(start)),
            _ => (values, None),
        };
        let start = start.map(|start| Type::from_field(start));
        let mut elements = Vec::new();
        for array in arrays {
            match Type::from_field(array) {
                Type::Array(element) => elements.push(*element),
                other => return Err(Error::internal(format!("{other} is no array"))),
            }
        }
        if let ([Type::Tuple(fields)], true) = (elements.as_slice(), self.unpacks) {
            elements = fields.iter().map(|(_, ty)| ty.clone()).collect();
        }
        let types = start.into_iter().chain(elements);
        Ok(types.map(|ty| Arc::new(Field::new("", ty.to_arrow(), true))).collect())
    }

    /// The type of what the lambda gives; without one, of the elements.
    fn result(&self, fields: &[ValueOrLambda<FieldRef, FieldRef>]) -> Result<Type> {
        match (fields.first(), fields.last()) {
            (_, Some(ValueOrLambda::Lambda(field))) => Ok(Type::from_field(field)),
            (Some(ValueOrLambda::Value(field)), _) => match Type::from_field(field) {
                Type::Array(element) => Ok(*element),
                other => Ok(other),
            },
            _ => Err(Error::internal("a function of no array")),
        }
    }

    fn run(&self, args: &HigherOrderFunctionArgs) -> Result<ArrayRef> {
        let mut arrays = Vec::new();
        let mut lambda = None;
        for (arg, field) in args.args.iter().zip(&args.arg_fields) {
            match (arg, field) {
                (ValueOrLambda::Value(value), ValueOrLambda::Value(field)) => {
                    let array = value.to_array(args.number_rows)?;
                    arrays.push(laid_out(array, &Type::from_field(field).to_arrow())?);
                }
                (ValueOrLambda::Lambda(argument), _) => lambda = Some(argument),
                _ => return Err(Error::internal("a lambda where a value was planned")),
            }
        }
        let returns = Type::from_field(&args.return_field);
        let result = match (self.body.kernel, lambda, arrays.split_last()) {
            (Kernel::Fold, Some(lambda), Some((start, arrays))) => {
                fold::fold(lambda, &Flat::new(arrays)?, Arc::clone(start), self.unpacks)?
            }
            (Kernel::Elements(kernel), lambda, _) => {
                let flat = Flat::new(&arrays)?;
                let results = match lambda {
                    Some(lambda) => evaluate(lambda, &flat, self.unpacks)?,
                    None => Arc::clone(&flat.values[0]),
                };
                let result = self.result(&args.arg_fields)?;
                let results = laid_out(results, &result.to_arrow())?;
                kernel(&Elements { flat: &flat, results, result, returns: &returns })?
            }
            _ => return Err(Error::internal("a fold without a lambda")),
        };
        Ok(laid_out(result, &returns.to_arrow())?)
    }
}

/// What the lambda gives for each element.
fn evaluate(lambda: &LambdaArgument, flat: &Flat, unpacks: bool) -> Result<ArrayRef> {
    let params = flat.params(unpacks);
    let params: Vec<_> = params.iter().map(|values| move || Ok(Arc::clone(values))).collect();
    let params: Vec<&dyn Fn() -> DataFusionResult<ArrayRef>> =
        params.iter().map(|param| param as _).collect();
    let result =
        lambda.evaluate(&params, |captures| Ok(take_arrays(captures, &flat.owners(), None)?))?;
    Ok(result.into_array(flat.len())?)
}

impl HigherOrderUDFImpl for Adapter {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &HigherOrderSignature {
        &self.signature
    }

    fn lambda_parameters(
        &self,
        _step: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> DataFusionResult<LambdaParametersProgress> {
        let values = fields.iter().filter_map(|field| match field {
            ValueOrLambda::Value(field) => Some(field),
            ValueOrLambda::Lambda(_) => None,
        });
        let parameters = self.parameters(&values.collect::<Vec<_>>())?;
        Ok(LambdaParametersProgress::Complete(vec![parameters]))
    }

    fn return_field_from_args(
        &self,
        args: HigherOrderReturnFieldArgs<'_>,
    ) -> DataFusionResult<FieldRef> {
        let values = args.arg_fields.iter().filter_map(|field| match field {
            ValueOrLambda::Value(field) => Some(field),
            ValueOrLambda::Lambda(_) => None,
        });
        let values: Vec<_> = values.collect();
        let first = values.first().ok_or_else(|| Error::internal("no array"))?;
        let elements = match (self.body.folds(), Type::from_field(first)) {
            (true, _) => Type::from_field(values[values.len() - 1]),
            (false, Type::Array(element)) => *element,
            (false, other) => other,
        };
        let returns = (self.body.returns)(&elements, &self.result(args.arg_fields)?);
        let nullable = self.body.nullable || values.iter().any(|field| field.is_nullable());
        Ok(Arc::new(returns.to_field(self.function.name, nullable)))
    }

    fn invoke_with_args(&self, args: HigherOrderFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let result = self.run(&args).map_err(|error| error.at(self.span))?;
        Ok(ColumnarValue::Array(result))
    }
}

impl std::fmt::Debug for Adapter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.function.fmt(f)
    }
}

impl PartialEq for Adapter {
    fn eq(&self, other: &Self) -> bool {
        self.function == other.function && self.unpacks == other.unpacks
    }
}

impl Eq for Adapter {}

impl Hash for Adapter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
        self.unpacks.hash(state);
    }
}
