//! An aggregate as DataFusion sees it: the only `AggregateUDFImpl`.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use hedgerow_parser::Span;

use super::build;
use super::collect::Replay;
use super::combinators::Combinator;
use super::groups::{Groups, Make, add};
use crate::error::Error;
use crate::functions::Function;
use crate::functions::adapter::laid_out;
use crate::types::Type;

/// An aggregate with its combinators and parameters.
#[derive(Debug, Clone)]
pub(super) struct Aggregate {
    /// All that tells it apart: `quantileIf(0.9)`.
    name: String,
    function: &'static Function,
    /// Where the call is written, for errors.
    span: Span,
    combinators: Vec<Combinator>,
    params: Vec<ScalarValue>,
    distinct: bool,
    /// How the last arguments, which only say in which order rows come, are sorted.
    order: Vec<SortOptions>,
    /// The result over no rows, as in an empty window frame; none for NULL.
    empty: Option<ScalarValue>,
    signature: Signature,
}

impl Aggregate {
    pub(super) fn new(
        function: &'static Function,
        combinators: Vec<Combinator>,
        params: Vec<ScalarValue>,
        distinct: bool,
        order: Vec<SortOptions>,
    ) -> Self {
        let mut name = super::label(function, &combinators);
        if !params.is_empty() {
            let params: Vec<_> = params.iter().map(ScalarValue::to_string).collect();
            name.push_str(&format!("({})", params.join(", ")));
        }
        name.push_str(if distinct { "[distinct]" } else { "" });
        for options in &order {
            name.push_str(if options.descending { "[desc" } else { "[asc" });
            name.push_str(if options.nulls_first { " nulls first]" } else { " nulls last]" });
        }
        // Lowering has converted the arguments: whatever arrives is right.
        let signature = Signature::user_defined(Volatility::Immutable);
        let (span, empty) = (Span::default(), None);
        Self { name, function, span, combinators, params, distinct, order, empty, signature }
    }

    /// The same, called at this place.
    pub(super) fn at(self, span: Span) -> Self {
        Self { span, ..self }
    }

    /// The same, NULL when there is no row.
    pub(super) fn or_null(mut self) -> Self {
        self.combinators.push(Combinator::OrNull);
        Self::new(self.function, self.combinators, self.params, self.distinct, self.order)
            .at(self.span)
    }

    /// For arguments of these types.
    pub(super) fn udaf(mut self, types: &[Type]) -> crate::Result<Arc<AggregateUDF>> {
        let mut groups = self.groups(types)?;
        if !groups.nullable() {
            groups.grow(1);
            self.empty = Some(first_value(&groups.finish(1)?)?);
        }
        Ok(Arc::new(AggregateUDF::new_from_impl(self)))
    }

    /// Empty states for arguments of these types.
    pub(super) fn groups(&self, types: &[Type]) -> crate::Result<Box<dyn Groups>> {
        let make = self.make(&types[..types.len() - self.order.len()]);
        if self.distinct || !self.order.is_empty() {
            return Replay::boxed(types, self.distinct, &self.order, make);
        }
        make()
    }

    fn make(&self, types: &[Type]) -> Make {
        let (aggregate, types) = (self.clone(), types.to_vec());
        Arc::new(move || {
            build(aggregate.function, &aggregate.combinators, &types, &aggregate.params)
        })
    }

    /// What runs over arguments of these fields.
    fn states(&self, fields: &[FieldRef]) -> DataFusionResult<States> {
        let types: Vec<_> = fields.iter().map(|field| Type::from_field(field)).collect();
        let layouts = types.iter().map(Type::to_arrow).collect();
        let groups = self.groups(&types)?;
        Ok(States { aggregate: self.clone(), types, layouts, groups })
    }
}

impl PartialEq for Aggregate {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Aggregate {}

impl Hash for Aggregate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl AggregateUDFImpl for Aggregate {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        Ok(arg_types.to_vec())
    }

    fn return_type(&self, _arg_types: &[DataType]) -> DataFusionResult<DataType> {
        Err(Error::internal("return_field gives the type").into())
    }

    fn return_field(&self, arg_fields: &[FieldRef]) -> DataFusionResult<FieldRef> {
        let groups = self.states(arg_fields)?.groups;
        Ok(Arc::new(groups.returns().to_field(&self.name, groups.nullable())))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> DataFusionResult<Vec<FieldRef>> {
        let types = self.states(args.input_fields)?.groups.state_types();
        let named = types.into_iter().enumerate();
        Ok(named
            .map(|(i, ty)| Arc::new(ty.to_field(format!("{}[{i}]", args.name), true)))
            .collect())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> DataFusionResult<Box<dyn Accumulator>> {
        let mut states = self.states(args.expr_fields)?;
        states.groups.grow(1);
        Ok(Box::new(Single(states)))
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> DataFusionResult<Box<dyn Accumulator>> {
        Ok(Box::new(Sliding { states: self.states(args.expr_fields)?, rows: VecDeque::new() }))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> DataFusionResult<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Grouped { states: self.states(args.expr_fields)?, count: 0 }))
    }

    fn default_value(&self, data_type: &DataType) -> DataFusionResult<ScalarValue> {
        self.empty.clone().map_or_else(|| ScalarValue::try_from(data_type), Ok)
    }

    /// Order is kept by [`Replay`], across partitions too; DataFusion need not sort.
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// Groups with what is needed to feed them and to make fresh ones.
struct States {
    aggregate: Aggregate,
    types: Vec<Type>,
    layouts: Vec<DataType>,
    groups: Box<dyn Groups>,
}

impl States {
    fn fresh(&self) -> DataFusionResult<Box<dyn Groups>> {
        Ok(self.aggregate.groups(&self.types)?)
    }

    /// The arguments in the layout kernels expect.
    fn args(&self, values: &[ArrayRef]) -> DataFusionResult<Vec<ArrayRef>> {
        let values = values.iter().zip(&self.layouts);
        values.map(|(array, layout)| laid_out(Arc::clone(array), layout)).collect()
    }

    fn add(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        mask: Option<&BooleanArray>,
    ) -> DataFusionResult<()> {
        let args = self.args(values)?;
        let added = add(self.groups.as_mut(), &args, groups, mask);
        Ok(added.map_err(|error| error.at(self.aggregate.span))?)
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.groups.fmt(f)
    }
}

/// The states of all groups of a hash aggregation.
#[derive(Debug)]
struct Grouped {
    states: States,
    count: usize,
}

impl Grouped {
    fn grow(&mut self, count: usize) {
        self.count = count;
        self.states.groups.grow(count);
    }

    fn emit<T>(
        &mut self,
        emit_to: EmitTo,
        write: impl FnOnce(&dyn Groups, usize) -> crate::Result<T>,
    ) -> DataFusionResult<T> {
        let count = match emit_to {
            EmitTo::All => self.count,
            EmitTo::First(count) => count,
        };
        let written = write(self.states.groups.as_ref(), count)?;
        self.states.groups.forget(count);
        self.count -= count;
        Ok(written)
    }
}

impl GroupsAccumulator for Grouped {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> DataFusionResult<()> {
        self.grow(total_num_groups);
        self.states.add(values, group_indices, opt_filter)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> DataFusionResult<()> {
        self.grow(total_num_groups);
        Ok(self.states.groups.merge(values, group_indices)?)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> DataFusionResult<ArrayRef> {
        self.emit(emit_to, |groups, count| groups.finish(count))
    }

    fn state(&mut self, emit_to: EmitTo) -> DataFusionResult<Vec<ArrayRef>> {
        self.emit(emit_to, |groups, count| groups.state(count))
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> DataFusionResult<Vec<ArrayRef>> {
        let args = self.states.args(values)?;
        let rows = args.first().map_or(0, |array| array.len());
        let mut groups = self.states.fresh()?;
        groups.grow(rows);
        add(groups.as_mut(), &args, &(0..rows).collect::<Vec<_>>(), opt_filter)?;
        Ok(groups.state(rows)?)
    }

    fn size(&self) -> usize {
        self.states.groups.size()
    }
}

/// The first value of an array. DataFusion's own way loses what the elements of a list are.
fn first_value(array: &ArrayRef) -> DataFusionResult<ScalarValue> {
    match array.data_type() {
        DataType::List(_) if !array.is_empty() => {
            Ok(ScalarValue::List(Arc::new(array.as_list().slice(0, 1))))
        }
        _ => ScalarValue::try_from_array(array, 0),
    }
}

/// The state of one group: a whole table, a partition of a window.
#[derive(Debug)]
struct Single(States);

impl Accumulator for Single {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        let rows = values.first().map_or(0, |array| array.len());
        self.0.add(values, &vec![0; rows], None)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        let rows = states.first().map_or(0, |array| array.len());
        Ok(self.0.groups.merge(states, &vec![0; rows])?)
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        first_value(&self.0.groups.finish(1)?)
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        let state = self.0.groups.state(1)?;
        state.iter().map(first_value).collect()
    }

    fn size(&self) -> usize {
        self.0.groups.size()
    }
}

/// The rows of a window frame whose start moves. Each result is computed afresh.
#[derive(Debug)]
struct Sliding {
    states: States,
    rows: VecDeque<Vec<ArrayRef>>,
}

impl Accumulator for Sliding {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        if values.first().is_some_and(|array| !array.is_empty()) {
            self.rows.push_back(self.states.args(values)?);
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        let mut gone = values.first().map_or(0, |array| array.len());
        while gone > 0 {
            let Some(oldest) = self.rows.front_mut() else { break };
            let rows = oldest[0].len();
            if rows <= gone {
                self.rows.pop_front();
                gone -= rows;
            } else {
                oldest.iter_mut().for_each(|array| *array = array.slice(gone, rows - gone));
                gone = 0;
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        let mut groups = self.states.fresh()?;
        groups.grow(1);
        for args in &self.rows {
            add(groups.as_mut(), args, &vec![0; args[0].len()], None)?;
        }
        first_value(&groups.finish(1)?)
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> DataFusionResult<()> {
        Err(Error::internal("a window frame has no states to merge").into())
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        Err(Error::internal("a window frame has no state to write").into())
    }

    fn size(&self) -> usize {
        let rows = self.rows.iter().flatten();
        rows.map(|array| array.get_array_memory_size()).sum::<usize>() + self.states.groups.size()
    }
}
