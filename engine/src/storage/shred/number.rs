//! Columns of numbers: doubles, or decimals, which are smaller where numbers have few digits.
//!
//! A decimal is an integer and the place of its point. It reads back as the double nearest to it:
//! both parts are exact as doubles, so their quotient is rounded once.

use std::sync::Arc;

use arrow::array::{ArrayBuilder, ArrayRef, Float64Builder, PrimitiveBuilder};
use arrow::datatypes::{DataType, Decimal32Type, Decimal64Type};

/// The digits of 32 bits, as Parquet counts them.
const NARROW_DIGITS: u8 = 9;
/// Integers of so many digits are exact as doubles, but for the largest of them.
const WIDE_DIGITS: u8 = 16;
const WIDE_MAX: i64 = 1 << 53;
/// Digits in front of the point for which there is room beyond those that were sampled.
const SPARE_DIGITS: u8 = 1;

/// How the numbers of a path are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberForm {
    Double,
    /// In 32 bits, with so many digits after the point.
    Narrow(u8),
    /// In 64 bits.
    Wide(u8),
}

/// The most digits of sampled numbers.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Digits {
    whole: u8,
    fraction: u8,
    /// There are numbers that are no decimals.
    other: bool,
}

impl Digits {
    /// Notes a number as it is written.
    pub(super) fn note(&mut self, raw: &str) {
        let Some(Decimal { whole, fraction, .. }) = Decimal::read(raw) else {
            self.other = true;
            return;
        };
        let count = |digits: &str| u8::try_from(digits.len()).unwrap_or(u8::MAX);
        self.whole = self.whole.max(count(whole));
        self.fraction = self.fraction.max(count(fraction));
    }

    /// The smallest form for such numbers.
    pub(super) fn form(self) -> NumberForm {
        let digits = self.whole.saturating_add(self.fraction).saturating_add(SPARE_DIGITS);
        if self.other || digits > WIDE_DIGITS {
            NumberForm::Double
        } else if digits > NARROW_DIGITS {
            NumberForm::Wide(self.fraction)
        } else {
            NumberForm::Narrow(self.fraction)
        }
    }
}

impl NumberForm {
    /// By the type of a column as Parquet readers see it.
    pub(crate) fn of(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Float64 => Some(Self::Double),
            DataType::Decimal128(NARROW_DIGITS, scale) => {
                Some(Self::Narrow(u8::try_from(*scale).ok()?))
            }
            DataType::Decimal128(WIDE_DIGITS, scale) => {
                Some(Self::Wide(u8::try_from(*scale).ok()?))
            }
            _ => None,
        }
    }

    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::Double => DataType::Float64,
            Self::Narrow(scale) => DataType::Decimal32(NARROW_DIGITS, scale.cast_signed()),
            Self::Wide(scale) => DataType::Decimal64(WIDE_DIGITS, scale.cast_signed()),
        }
    }
}

/// A column of numbers under construction.
#[derive(Debug)]
pub(super) enum Numbers {
    Double(Float64Builder),
    Narrow(u8, PrimitiveBuilder<Decimal32Type>),
    Wide(u8, PrimitiveBuilder<Decimal64Type>),
}

impl Numbers {
    pub(super) fn new(form: NumberForm) -> Self {
        let data_type = form.data_type();
        match form {
            NumberForm::Double => Self::Double(Float64Builder::new()),
            NumberForm::Narrow(scale) => {
                Self::Narrow(scale, PrimitiveBuilder::new().with_data_type(data_type))
            }
            NumberForm::Wide(scale) => {
                Self::Wide(scale, PrimitiveBuilder::new().with_data_type(data_type))
            }
        }
    }

    pub(super) fn data_type(&self) -> DataType {
        let form = match self {
            Self::Double(_) => NumberForm::Double,
            Self::Narrow(scale, _) => NumberForm::Narrow(*scale),
            Self::Wide(scale, _) => NumberForm::Wide(*scale),
        };
        form.data_type()
    }

    /// Stores a number in this row, unless the column cannot hold it. Rows in between are NULL.
    pub(super) fn store(&mut self, row: usize, raw: &str) -> bool {
        match self {
            Self::Double(column) => {
                column.append_nulls(row - column.len());
                column.append_option(raw.parse().ok());
                true
            }
            Self::Narrow(scale, column) => {
                let value = Decimal::read(raw).and_then(|decimal| decimal.times_ten_to(*scale));
                let value = value.and_then(|value| i32::try_from(value).ok());
                // The precision that the file declares.
                let Some(value) = value.filter(|v| v.unsigned_abs() < 10_u32.pow(9)) else {
                    return false;
                };
                column.append_nulls(row - column.len());
                column.append_value(value);
                true
            }
            Self::Wide(scale, column) => {
                let value = Decimal::read(raw).and_then(|decimal| decimal.times_ten_to(*scale));
                let Some(value) = value else { return false };
                column.append_nulls(row - column.len());
                column.append_value(value);
                true
            }
        }
    }

    /// The column of so many rows.
    pub(super) fn finish(&mut self, rows: usize) -> ArrayRef {
        match self {
            Self::Double(column) => {
                column.append_nulls(rows - column.len());
                Arc::new(column.finish())
            }
            Self::Narrow(_, column) => {
                column.append_nulls(rows - column.len());
                Arc::new(column.finish())
            }
            Self::Wide(_, column) => {
                column.append_nulls(rows - column.len());
                Arc::new(column.finish())
            }
        }
    }
}

/// A JSON number without an exponent, and without zeros that tell nothing.
struct Decimal<'r> {
    negative: bool,
    whole: &'r str,
    fraction: &'r str,
}

impl<'r> Decimal<'r> {
    /// None for others, and for the zero that is negative.
    fn read(raw: &'r str) -> Option<Self> {
        let digits = raw.strip_prefix('-').unwrap_or(raw);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let fraction = fraction.trim_end_matches('0');
        let decimal = Self { negative: digits.len() < raw.len(), whole, fraction };
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let is_zero = whole == "0" && fraction.is_empty();
        let fits = whole.len() + fraction.len() <= usize::from(WIDE_DIGITS);
        let reads = fits && is_digits(whole) && is_digits(fraction);
        (reads && !(is_zero && decimal.negative)).then_some(decimal)
    }

    /// None where that is no integer, or more than a double tells apart.
    fn times_ten_to(&self, scale: u8) -> Option<i64> {
        let missing = usize::from(scale).checked_sub(self.fraction.len())?;
        let written = self.whole.bytes().chain(self.fraction.bytes());
        let value = written.fold(0_i64, |value, digit| value * 10 + i64::from(digit - b'0'));
        let value = value.checked_mul(10_i64.checked_pow(u32::try_from(missing).ok()?)?)?;
        (value <= WIDE_MAX).then_some(if self.negative { -value } else { value })
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::compute::cast;
    use arrow::datatypes::Float64Type;

    use super::*;

    fn form(sample: &[&str]) -> NumberForm {
        let mut digits = Digits::default();
        sample.iter().for_each(|raw| digits.note(raw));
        digits.form()
    }

    #[test]
    fn numbers_of_few_digits_are_decimals() {
        assert_eq!(form(&["1", "-20", "300"]), NumberForm::Narrow(0));
        assert_eq!(form(&["12.5", "-59.7473"]), NumberForm::Narrow(4));
        assert_eq!(form(&["1767982179.12", "1767982179.125"]), NumberForm::Wide(3));
        assert_eq!(form(&["0.12345678901234"]), NumberForm::Wide(14));
        assert_eq!(form(&["12345678901234", "0.25"]), NumberForm::Double);
        assert_eq!(form(&["1", "1.0", "2.50"]), NumberForm::Narrow(1));
        assert_eq!(form(&["1", "1e3"]), NumberForm::Double);
        assert_eq!(form(&["0", "-0.0"]), NumberForm::Double);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut narrow = Numbers::new(NumberForm::Narrow(2));
        assert!(narrow.store(1, "9999999.99"));
        for raw in ["10000000", "0.125", "999999999999999", "-0", "-0.00", "1e1", "1E1"] {
            assert!(!narrow.store(2, raw), "{raw}");
        }
        assert!(narrow.store(3, "-0.0100"));
        let column = cast(&narrow.finish(5), &DataType::Float64).unwrap();
        let values: Vec<_> = column.as_primitive::<Float64Type>().iter().collect();
        assert_eq!(values, [None, Some(9_999_999.99), None, Some(-0.01), None]);
        let mut wide = Numbers::new(NumberForm::Wide(3));
        assert!(wide.store(0, "9007199254740.992"));
        assert!(!wide.store(1, "9007199254740.993"));
    }

    #[test]
    fn decimals_read_back_as_the_same_double() {
        use proptest::prelude::*;
        proptest!(|(raw in "-?(0|[1-9][0-9]{0,14})(\\.[0-9]{1,15})?", scale in 0_u8..=15)| {
            for form in [NumberForm::Narrow(scale.min(9)), NumberForm::Wide(scale)] {
                let mut numbers = Numbers::new(form);
                if numbers.store(0, &raw) {
                    let column = cast(&numbers.finish(1), &DataType::Float64).unwrap();
                    prop_assert_eq!(column.null_count(), 0);
                    let value = column.as_primitive::<Float64Type>().value(0);
                    prop_assert_eq!(value.to_bits(), raw.parse::<f64>().unwrap().to_bits());
                }
            }
        });
    }
}
