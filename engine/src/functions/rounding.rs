//! Rounding.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use arrow::datatypes::{Decimal128Type, Int64Type};
use datafusion::common::ScalarValue;

use super::arguments::Arguments;
use super::function::{Arg, Argument, Function, Kernel, Returns};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Type;

/// Rounding.
pub(super) const FUNCTIONS: &[Function] = &[
    rounding("round", |args| round(args, Mode::Nearest))
        .doc(
            "The nearest number with so many digits after the point, by default none; negative \
             digits are tens, hundreds. Of two equally near floats the even one, of integers the \
             one farther from zero.",
        )
        .examples(&[("round(2.5)", "2"), ("round(2.345, 2)", "2.35"), ("round(1350, -2)", "1400")]),
    rounding("roundBankers", |args| round(args, Mode::NearestEven))
        .doc("As round; of two equally near numbers always the even one.")
        .examples(&[("roundBankers(2.5)", "2"), ("roundBankers(1250, -2)", "1200")]),
    rounding("floor", |args| round(args, Mode::Down))
        .doc("The largest number below with so many digits after the point.")
        .examples(&[
            ("floor(-1.5)", "-2"),
            ("floor(123.456, 1)", "123.4"),
            ("floor(125, -1)", "120"),
        ]),
    rounding("ceil", |args| round(args, Mode::Up))
        .aliases(&["ceiling"])
        .doc("The smallest number above with so many digits after the point.")
        .examples(&[("ceil(1.2)", "2"), ("ceil(121, -1)", "130")]),
    rounding("trunc", |args| round(args, Mode::TowardsZero))
        .aliases(&["truncate"])
        .doc("The number cut after so many digits after the point.")
        .examples(&[("trunc(-1.7)", "-1"), ("trunc(1.79, 1)", "1.7")]),
    Function::scalar("roundToExp2", &[Arg::Int], Returns::Int, |args| {
        let values = args.int(0);
        Ok(args.ints(|row| {
            let value = values.get(row)?;
            Some(if value <= 0 { 0 } else { 1 << value.ilog2() })
        }))
    })
    .doc("The largest power of 2 that is not larger.")
    .examples(&[("roundToExp2(100)", "64")]),
];

const fn rounding(name: &'static str, kernel: Kernel) -> Function {
    Function::scalar(name, &[Arg::Number, Arg::Int], Returns::Derived(rounded), kernel)
        .any_case()
        .optional(1)
}

/// The type of the number; of a decimal, one with as many digits after the point as are wanted.
fn rounded(args: &[Argument<'_>]) -> Result<Type> {
    let Some(number) = args.first() else { return Ok(Type::Null) };
    let digits = match args.get(1).map(|digits| digits.constant) {
        None => Some(0),
        Some(Some(ScalarValue::Int64(Some(digits)))) => Some(*digits),
        Some(_) => None,
    };
    Ok(match (&number.ty, digits) {
        (Type::Decimal(precision, scale), Some(digits)) => {
            let scale = digits.clamp(0, i64::from(*scale).max(0)) as i8;
            Type::Decimal(*precision, scale)
        }
        (ty, _) => ty.clone(),
    })
}

/// Numbers beyond these digits have no fraction, or nothing but one.
const DIGITS_MAX: i64 = 300;

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Nearest,
    NearestEven,
    Down,
    Up,
    TowardsZero,
}

impl Mode {
    fn float(self, value: f64) -> f64 {
        match self {
            Self::Nearest | Self::NearestEven => value.round_ties_even(),
            Self::Down => value.floor(),
            Self::Up => value.ceil(),
            Self::TowardsZero => value.trunc(),
        }
    }

    /// The multiple of so many tens; none when it is too large. Of two equally near ones the one
    /// farther from zero.
    fn decimal(self, value: i128, tens: i64) -> Option<i128> {
        if tens <= 0 {
            return Some(value);
        }
        let Some(scale) = u32::try_from(tens).ok().and_then(|tens| 10_i128.checked_pow(tens))
        else {
            return Some(0);
        };
        let (whole, rest) = (value.div_euclid(scale), value.rem_euclid(scale));
        let nearer = rest.cmp(&(scale - rest));
        let up = rest != 0 && self.goes_up(nearer, value < 0, whole % 2 != 0);
        whole.checked_add(i128::from(up))?.checked_mul(scale)
    }

    /// The multiple of `scale`; none when it is too large.
    fn integer(self, value: i64, scale: i64) -> Option<i64> {
        let (whole, rest) = (value.div_euclid(scale), value.rem_euclid(scale));
        let nearer = rest.cmp(&(scale - rest));
        let up = rest != 0 && self.goes_up(nearer, value < 0, whole % 2 != 0);
        whole.checked_add(i64::from(up))?.checked_mul(scale)
    }

    /// Whether a number between two multiples becomes the upper one. `nearer` is greater when that
    /// one is nearer; `odd` says that the lower one is.
    fn goes_up(self, nearer: Ordering, negative: bool, odd: bool) -> bool {
        match self {
            Self::Down => false,
            Self::Up => true,
            Self::TowardsZero => negative,
            Self::Nearest if nearer.is_eq() => !negative,
            Self::NearestEven if nearer.is_eq() => odd,
            Self::Nearest | Self::NearestEven => nearer.is_gt(),
        }
    }
}

fn round(args: &Arguments<'_>, mode: Mode) -> Result<ArrayRef> {
    let digits = (args.count() > 1).then(|| args.int(1));
    let digits = |row: usize| digits.map_or(Some(0), |digits| digits.get(row));
    match args.returns {
        Type::Float64 => {
            let values = args.float(0);
            Ok(args.floats(|row| Some(round_float(values.get(row)?, digits(row)?, mode))))
        }
        Type::Int64 => {
            let values = args.int(0);
            args.try_primitives::<Int64Type>(|row| match (values.get(row), digits(row)) {
                (Some(value), Some(digits)) => round_int(value, digits, mode).map(Some),
                _ => Ok(None),
            })
        }
        Type::Decimal(precision, scale) => {
            let values = args.expanded(0)?;
            let values = values.as_primitive::<Decimal128Type>();
            let (from, to) = (i64::from(values.scale()), i64::from(*scale));
            let rounded = (0..args.rows).map(|row| {
                let Some(digits) = digits(row).filter(|_| !values.is_null(row)) else {
                    return Ok(None);
                };
                let value = mode.decimal(values.value(row), from - digits.min(from));
                // From the digits there were to those the result has.
                let power = u32::try_from(from - to).ok().and_then(|p| 10_i128.checked_pow(p));
                Ok(value.zip(power).map(|(value, power)| value / power))
            });
            let rounded = rounded.collect::<Result<Decimal128Array>>()?;
            Ok(Arc::new(rounded.with_precision_and_scale(*precision, *scale)?))
        }
        ty => Err(Error::unsupported(format!("rounding of {ty} is not supported"))
            .hint("Convert the number with toFloat(...).")),
    }
}

fn round_float(value: f64, digits: i64, mode: Mode) -> f64 {
    let scale = 10_f64.powi(digits.clamp(-DIGITS_MAX, DIGITS_MAX).unsigned_abs() as i32);
    let rounded = if digits >= 0 {
        mode.float(value * scale) / scale
    } else {
        mode.float(value / scale) * scale
    };
    // Where scaling overflows there are no such digits.
    if rounded.is_finite() { rounded } else { value }
}

fn round_int(value: i64, digits: i64, mode: Mode) -> Result<i64> {
    if digits >= 0 {
        return Ok(value);
    }
    let power = u32::try_from(digits.unsigned_abs()).ok();
    // No integer has that many digits.
    let Some(scale) = power.and_then(|power| 10_i64.checked_pow(power)) else { return Ok(0) };
    mode.integer(value, scale)
        .ok_or_else(|| Error::new(ErrorKind::OutOfRange, "the rounded number is too large"))
}
