//! Values in PostgreSQL's binary formats.

use bytes::{BufMut, BytesMut};
use hedgerow_engine::Type;

use super::pg_type;
use crate::pgwire::error::PgError;
use crate::values::calendar::MICROS_PER_DAY;
use crate::values::{Value, json};

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
pub(crate) const EPOCH_DAYS: i32 = 10_957;
/// Microseconds from 1970-01-01 to 2000-01-01.
pub(crate) const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * MICROS_PER_DAY;

/// Appends a value that is not NULL.
///
/// # Errors
/// 22003 for a value that the PostgreSQL type cannot hold.
pub(crate) fn write_value(out: &mut BytesMut, ty: &Type, value: &Value<'_>) -> Result<(), PgError> {
    match value {
        Value::Null => {}
        Value::Bool(value) => out.put_u8(u8::from(*value)),
        Value::Int(value) => match ty {
            Type::Int8 | Type::Int16 | Type::UInt8 => out.put_i16(narrow(*value)?),
            Type::Int32 | Type::UInt16 => out.put_i32(narrow(*value)?),
            _ => out.put_i64(*value),
        },
        Value::UInt(value) => write_numeric(out, i128::from(*value), 0),
        Value::Float32(value) => out.put_f32(*value),
        Value::Float64(value) => out.put_f64(*value),
        Value::Decimal(digits, scale) => write_numeric(out, *digits, *scale),
        Value::Text(text) => out.put_slice(text.as_bytes()),
        Value::Json(text) => {
            out.put_u8(1);
            out.put_slice(text.as_bytes());
        }
        Value::Uuid(bytes) => out.put_slice(bytes),
        Value::Date(days) => out.put_i32(days.checked_sub(EPOCH_DAYS).ok_or_else(out_of_range)?),
        Value::DateTime(micros) => {
            out.put_i64(micros.checked_sub(EPOCH_MICROS).ok_or_else(out_of_range)?);
        }
        Value::Interval { months, days, nanos } => {
            out.put_i64(nanos / 1_000);
            out.put_i32(*days);
            out.put_i32(*months);
        }
        Value::Array(items, range) if items.is_flat() => {
            let Type::Array(element) = ty else { return Err(out_of_range()) };
            let has_null = range.clone().any(|row| matches!(items.value(row), Value::Null));
            out.put_i32(i32::from(!range.is_empty()));
            out.put_i32(i32::from(has_null));
            out.put_u32(pg_type(element).oid());
            if !range.is_empty() {
                out.put_i32(narrow(range.len())?);
                out.put_i32(1);
            }
            for row in range.clone() {
                write_sized(out, element, &items.value(row))?;
            }
        }
        nested @ (Value::Array(..) | Value::Tuple(..) | Value::Map(..)) => {
            let mut text = String::new();
            json::write_value(&mut text, nested);
            out.put_u8(1);
            out.put_slice(text.as_bytes());
        }
    }
    Ok(())
}

/// Appends a value behind its length; NULL is the length -1.
fn write_sized(out: &mut BytesMut, ty: &Type, value: &Value<'_>) -> Result<(), PgError> {
    if matches!(value, Value::Null) {
        out.put_i32(-1);
        return Ok(());
    }
    let start = out.len();
    out.put_i32(0);
    write_value(out, ty, value)?;
    let length: i32 = narrow(out.len() - start - 4)?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// `numeric`: words of four decimal digits, the weight of the first word, sign, digits shown
/// after the point.
fn write_numeric(out: &mut BytesMut, digits: i128, scale: i8) {
    const WORD: u128 = 10_000;
    const NEGATIVE: u16 = 0x4000;

    let shown = scale.max(0) as u16;
    // Words are aligned to the point, so the fraction is filled up to whole words.
    let fill = (4 - shown % 4) % 4;
    let fraction_words = i32::from(shown + fill) / 4;
    let mut rest = digits.unsigned_abs();
    let mut words = Vec::new();
    // The filled-up last word cannot be had by multiplying: that could overflow.
    if fill > 0 {
        let taken = 10_u128.pow(u32::from(4 - fill));
        words.push((rest % taken * 10_u128.pow(u32::from(fill))) as i16);
        rest /= taken;
    }
    if scale < 0 {
        // Scales below zero hold small numbers of digits; Decimal128 never produces others here.
        rest = rest.saturating_mul(10_u128.pow(u32::from(scale.unsigned_abs())));
    }
    while rest > 0 {
        words.push((rest % WORD) as i16);
        rest /= WORD;
    }
    let mut weight = words.len() as i32 - fraction_words - 1;
    words.reverse();
    while words.first() == Some(&0) {
        words.remove(0);
        weight -= 1;
    }
    while words.last() == Some(&0) {
        words.pop();
    }
    if words.is_empty() {
        weight = 0;
    }
    out.put_u16(words.len() as u16);
    out.put_i16(weight as i16);
    out.put_u16(if digits < 0 { NEGATIVE } else { 0 });
    out.put_u16(shown);
    for word in words {
        out.put_i16(word);
    }
}

fn narrow<T, N: TryFrom<T>>(value: T) -> Result<N, PgError> {
    N::try_from(value).map_err(|_| out_of_range())
}

fn out_of_range() -> PgError {
    PgError::error("22003", "value out of range for its PostgreSQL type")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(digits: i128, scale: i8) -> Vec<i16> {
        let mut out = BytesMut::new();
        write_numeric(&mut out, digits, scale);
        out.chunks(2).map(|word| i16::from_be_bytes([word[0], word[1]])).collect()
    }

    // ndigits, weight, sign, dscale, words: as PostgreSQL 15's numeric_send gives them.
    #[test]
    fn numerics() {
        assert_eq!(numeric(0, 0), [0, 0, 0, 0]);
        assert_eq!(numeric(0, 2), [0, 0, 0, 2]);
        assert_eq!(numeric(1, 0), [1, 0, 0, 0, 1]);
        assert_eq!(numeric(10_000, 0), [1, 1, 0, 0, 1]);
        assert_eq!(numeric(123_456, 2), [2, 0, 0, 2, 1234, 5600]);
        assert_eq!(numeric(-5, 2), [1, -1, 0x4000, 2, 500]);
        assert_eq!(numeric(1, 5), [1, -2, 0, 5, 1000]);
        assert_eq!(numeric(i128::from(u64::MAX), 0), [5, 4, 0, 0, 1844, 6744, 737, 955, 1615]);
    }
}
