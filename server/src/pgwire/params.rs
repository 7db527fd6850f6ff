//! Parameter values: PostgreSQL's text and binary formats to the engine's scalars.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, new_empty_array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::kernels::cast_utils::{
    Parser, parse_interval_month_day_nano, string_to_datetime,
};
use arrow::datatypes::{Date32Type, IntervalMonthDayNano};
use bytes::Buf;
use chrono_tz::Tz;
use datafusion::common::ScalarValue;
use hedgerow_engine::Type;
use pgwire::api::Type as PgType;

use super::error::PgError;
use super::message::utf8;
use super::types::binary::{EPOCH_DAYS, EPOCH_MICROS};
use super::types::{Format, element_type};

/// A parameter: the OID the client was told, and the type the query wants.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Param {
    pub oid: u32,
    pub ty: Type,
}

/// Reads one value; none is NULL.
///
/// # Errors
/// 22P02, 22P03 or 22007 for a value that cannot be read, 22003 for one out of range, 0A000 for
/// types without parameters.
pub(super) fn decode(
    value: Option<&[u8]>,
    format: Format,
    param: &Param,
    zone: Tz,
) -> Result<ScalarValue, PgError> {
    let Some(bytes) = value else { return null(&param.ty) };
    match format {
        Format::Text => parse(utf8(bytes)?, &param.ty, zone),
        Format::Binary => {
            let sent = PgType::from_oid(param.oid).unwrap_or(PgType::TEXT);
            binary(bytes, &sent, &param.ty, zone)
        }
    }
}

pub(super) fn null(ty: &Type) -> Result<ScalarValue, PgError> {
    ScalarValue::try_from(&ty.to_arrow()).map_err(|_| no_parameters(ty))
}

/// Reads text as `ty`.
pub(super) fn parse(text: &str, ty: &Type, zone: Tz) -> Result<ScalarValue, PgError> {
    if text.contains('\0') {
        return Err(PgError::error("22021", "invalid byte sequence for encoding \"UTF8\": 0x00"));
    }
    let bad = || invalid(text, ty);
    let trimmed = text.trim();
    Ok(match ty {
        Type::Null | Type::String | Type::Json => ScalarValue::Utf8View(Some(text.to_owned())),
        Type::Bool => ScalarValue::Boolean(Some(parse_bool(trimmed).ok_or_else(bad)?)),
        Type::Int8 => ScalarValue::Int8(Some(parse_int(trimmed, ty)?)),
        Type::Int16 => ScalarValue::Int16(Some(parse_int(trimmed, ty)?)),
        Type::Int32 => ScalarValue::Int32(Some(parse_int(trimmed, ty)?)),
        Type::Int64 => ScalarValue::Int64(Some(parse_int(trimmed, ty)?)),
        Type::UInt8 => ScalarValue::UInt8(Some(parse_int(trimmed, ty)?)),
        Type::UInt16 => ScalarValue::UInt16(Some(parse_int(trimmed, ty)?)),
        Type::UInt32 => ScalarValue::UInt32(Some(parse_int(trimmed, ty)?)),
        Type::UInt64 => ScalarValue::UInt64(Some(parse_int(trimmed, ty)?)),
        Type::Float32 => ScalarValue::Float32(Some(trimmed.parse().map_err(|_| bad())?)),
        Type::Float64 => ScalarValue::Float64(Some(trimmed.parse().map_err(|_| bad())?)),
        Type::Decimal(precision, scale) => {
            let digits = parse_decimal(trimmed, *precision, *scale, ty)?;
            ScalarValue::Decimal128(Some(digits), *precision, *scale)
        }
        Type::Uuid => {
            let bytes = parse_uuid(trimmed).ok_or_else(bad)?;
            ScalarValue::FixedSizeBinary(16, Some(bytes))
        }
        Type::Date => {
            let days = Date32Type::parse(trimmed).ok_or_else(|| invalid_time(text, ty))?;
            ScalarValue::Date32(Some(days))
        }
        Type::DateTime(name) => {
            let time = string_to_datetime(&zone, trimmed).map_err(|_| invalid_time(text, ty))?;
            let micros = time.timestamp_micros();
            ScalarValue::TimestampMicrosecond(Some(micros), Some(Arc::clone(name)))
        }
        Type::Interval => {
            let interval =
                parse_interval_month_day_nano(trimmed).map_err(|_| invalid_time(text, ty))?;
            ScalarValue::IntervalMonthDayNano(Some(interval))
        }
        Type::Array(element) => {
            let items = array_items(trimmed).ok_or_else(bad)?;
            let items = items.into_iter().map(|item| match item {
                Some(item) => parse(&item, element, zone),
                None => null(element),
            });
            list(items.collect::<Result<_, _>>()?, element)?
        }
        Type::Tuple(_) | Type::Map(..) => return Err(no_parameters(ty)),
    })
}

/// Reads the binary form of `sent`, then converts to `ty`.
fn binary(bytes: &[u8], sent: &PgType, ty: &Type, zone: Tz) -> Result<ScalarValue, PgError> {
    let natural = match *sent {
        PgType::BOOL => ScalarValue::Boolean(Some(fixed::<1>(bytes)?[0] != 0)),
        PgType::INT2 => ScalarValue::Int16(Some(i16::from_be_bytes(fixed(bytes)?))),
        PgType::INT4 => ScalarValue::Int32(Some(i32::from_be_bytes(fixed(bytes)?))),
        PgType::INT8 => ScalarValue::Int64(Some(i64::from_be_bytes(fixed(bytes)?))),
        PgType::OID => ScalarValue::Int64(Some(i64::from(u32::from_be_bytes(fixed(bytes)?)))),
        PgType::FLOAT4 => ScalarValue::Float32(Some(f32::from_be_bytes(fixed(bytes)?))),
        PgType::FLOAT8 => ScalarValue::Float64(Some(f64::from_be_bytes(fixed(bytes)?))),
        PgType::NUMERIC => return parse(&numeric_text(bytes)?, ty, zone),
        PgType::JSONB => match bytes.split_first() {
            Some((1, text)) => return parse(utf8(text)?, ty, zone),
            _ => return Err(malformed()),
        },
        PgType::UUID => ScalarValue::FixedSizeBinary(16, Some(fixed::<16>(bytes)?.to_vec())),
        PgType::DATE => {
            let days = i32::from_be_bytes(fixed(bytes)?).checked_add(EPOCH_DAYS);
            ScalarValue::Date32(Some(days.ok_or_else(out_of_range)?))
        }
        PgType::TIMESTAMP | PgType::TIMESTAMPTZ => {
            let micros = i64::from_be_bytes(fixed(bytes)?).checked_add(EPOCH_MICROS);
            let micros = micros.ok_or_else(out_of_range)?;
            let name = match ty {
                Type::DateTime(name) => Arc::clone(name),
                _ => Arc::from(zone.name()),
            };
            ScalarValue::TimestampMicrosecond(Some(micros), Some(name))
        }
        PgType::INTERVAL => {
            let mut rest = &fixed::<16>(bytes)?[..];
            let nanos = rest.get_i64().checked_mul(1_000).ok_or_else(out_of_range)?;
            let (days, months) = (rest.get_i32(), rest.get_i32());
            ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(months, days, nanos)))
        }
        _ => match (element_type(sent), ty) {
            (Some(item), Type::Array(element)) => {
                return binary_array(bytes, &item, element, zone);
            }
            (Some(_), _) => return Err(no_parameters(ty)),
            (None, _) => return parse(utf8(bytes)?, ty, zone),
        },
    };
    let wanted = ty.to_arrow();
    if natural.data_type() == wanted {
        return Ok(natural);
    }
    natural.cast_to(&wanted).map_err(|_| out_of_range())
}

fn binary_array(
    mut bytes: &[u8],
    item: &PgType,
    element: &Type,
    zone: Tz,
) -> Result<ScalarValue, PgError> {
    let next = |bytes: &mut &[u8]| bytes.try_get_i32().map_err(|_| malformed());
    let dimensions = next(&mut bytes)?;
    next(&mut bytes)?; // Whether there are NULLs.
    next(&mut bytes)?; // The element OID, which the array's own already says.
    let mut items = Vec::new();
    match dimensions {
        0 => {}
        1 => {
            let length = next(&mut bytes)?;
            next(&mut bytes)?; // The index of the first element.
            for _ in 0..length {
                items.push(match next(&mut bytes)? {
                    -1 => null(element)?,
                    size => {
                        let size = usize::try_from(size).map_err(|_| malformed())?;
                        let (value, rest) = bytes.split_at_checked(size).ok_or_else(malformed)?;
                        bytes = rest;
                        binary(value, item, element, zone)?
                    }
                });
            }
        }
        _ => return Err(PgError::unsupported("arrays of more than one dimension as parameters")),
    }
    if bytes.is_empty() { list(items, element) } else { Err(malformed()) }
}

fn list(items: Vec<ScalarValue>, element: &Type) -> Result<ScalarValue, PgError> {
    let values: ArrayRef = if items.is_empty() {
        new_empty_array(&element.to_arrow())
    } else {
        ScalarValue::iter_to_array(items).map_err(hedgerow_engine::Error::from)?
    };
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    let array = ListArray::try_new(element.item_field(), offsets, values, None)
        .map_err(hedgerow_engine::Error::from)?;
    Ok(ScalarValue::List(Arc::new(array)))
}

/// The elements of `{a,"b c",NULL}`; none unless it is exactly one flat array.
fn array_items(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut items = Vec::new();
    if inner.trim().is_empty() {
        return Some(items);
    }
    let mut chars = inner.chars().peekable();
    loop {
        while chars.next_if(char::is_ascii_whitespace).is_some() {}
        let mut item = String::new();
        if chars.next_if_eq(&'"').is_some() {
            loop {
                match chars.next()? {
                    '"' => break,
                    '\\' => item.push(chars.next()?),
                    other => item.push(other),
                }
            }
            items.push(Some(item));
            while chars.next_if(char::is_ascii_whitespace).is_some() {}
        } else {
            while let Some(c) = chars.next_if(|c| *c != ',') {
                match c {
                    '{' | '}' | '"' => return None,
                    '\\' => item.push(chars.next()?),
                    other => item.push(other),
                }
            }
            let item = item.trim_end();
            if item.is_empty() {
                return None;
            }
            items.push((!item.eq_ignore_ascii_case("null")).then(|| item.to_owned()));
        }
        match chars.next() {
            None => return Some(items),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "t" | "tr" | "tru" | "true" | "y" | "ye" | "yes" | "on" | "1" => Some(true),
        "f" | "fa" | "fal" | "fals" | "false" | "n" | "no" | "of" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn parse_int<T: TryFrom<i128>>(text: &str, ty: &Type) -> Result<T, PgError> {
    let value: i128 = text.parse().map_err(|_| invalid(text, ty))?;
    T::try_from(value).map_err(|_| out_of_range())
}

/// Digits at `scale`. More digits than the type has are refused, not rounded.
fn parse_decimal(text: &str, precision: u8, scale: i8, ty: &Type) -> Result<i128, PgError> {
    let bad = || invalid(text, ty);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| bad())?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (negative, whole) = match whole.strip_prefix(['-', '+']) {
        Some(rest) => (whole.starts_with('-'), rest),
        None => (false, whole),
    };
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Ok(0);
    }
    let dropped = digits.len() - digits.trim_end_matches('0').len();
    let shift = i64::from(scale) - fraction.len() as i64 + i64::from(exponent) + dropped as i64;
    let zeros = usize::try_from(shift).map_err(|_| out_of_range())?;
    if significant.len() + zeros > usize::from(precision) {
        return Err(out_of_range());
    }
    let value: i128 =
        format!("{significant}{}", "0".repeat(zeros)).parse().map_err(|_| out_of_range())?;
    Ok(if negative { -value } else { value })
}

fn parse_uuid(text: &str) -> Option<Vec<u8>> {
    let bare = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    let digits: Vec<u8> = bare
        .chars()
        .filter(|c| *c != '-')
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    (digits.len() == 32).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// `numeric` as text: words of four digits, weight of the first, sign, digits after the point.
fn numeric_text(mut bytes: &[u8]) -> Result<String, PgError> {
    let mut next = || bytes.try_get_i16().map_err(|_| malformed());
    let (count, weight, sign, shown) = (next()?, next()?, next()?, next()?);
    let words = (0..count).map(|_| next()).collect::<Result<Vec<_>, _>>()?;
    if words.iter().any(|word| !(0..10_000).contains(word)) {
        return Err(malformed());
    }
    match sign as u16 {
        0 | 0x4000 => {}
        0xC000 => return Ok("NaN".to_owned()),
        0xD000 => return Ok("Infinity".to_owned()),
        0xF000 => return Ok("-Infinity".to_owned()),
        _ => return Err(malformed()),
    }
    let word = |index: i32| {
        usize::try_from(index).ok().and_then(|index| words.get(index)).copied().unwrap_or(0)
    };
    let weight = i32::from(weight);
    let mut text = String::from(if sign == 0 { "" } else { "-" });
    text.push('0');
    for index in 0..=weight {
        text.push_str(&format!("{:04}", word(index)));
    }
    let shown = usize::try_from(shown).map_err(|_| malformed())?;
    if shown > 0 {
        let fraction: String =
            (1..=shown.div_ceil(4) as i32).map(|at| format!("{:04}", word(weight + at))).collect();
        text.push('.');
        text.push_str(&fraction[..shown]);
    }
    Ok(text)
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], PgError> {
    bytes.try_into().map_err(|_| malformed())
}

fn malformed() -> PgError {
    PgError::error("22P03", "incorrect binary data format in bind parameter")
}

fn out_of_range() -> PgError {
    PgError::error("22003", "value of bind parameter is out of range")
}

fn invalid(text: &str, ty: &Type) -> PgError {
    PgError::error("22P02", format!("invalid input for type {ty}: \"{text}\""))
}

fn invalid_time(text: &str, ty: &Type) -> PgError {
    PgError { code: "22007", ..invalid(text, ty) }
}

fn no_parameters(ty: &Type) -> PgError {
    PgError::unsupported(format!("parameters of type {ty} are not supported"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str, ty: Type) -> Result<String, &'static str> {
        let param = Param { oid: 0, ty };
        decode(Some(value.as_bytes()), Format::Text, &param, Tz::UTC)
            .map(|value| value.to_string())
            .map_err(|error| error.code)
    }

    #[test]
    fn texts() {
        assert_eq!(text(" 42 ", Type::Int16), Ok("42".to_owned()));
        assert_eq!(text("40000", Type::Int16), Err("22003"));
        assert_eq!(text("x", Type::Int16), Err("22P02"));
        assert_eq!(text("-Infinity", Type::Float64), Ok("-inf".to_owned()));
        assert_eq!(text("off", Type::Bool), Ok("false".to_owned()));
        assert_eq!(text("2026-02-30", Type::Date), Err("22007"));
        assert_eq!(text("a\0b", Type::String), Err("22021"));
        assert_eq!(text("1", Type::tuple([Type::Int64])), Err("0A000"));
    }

    #[test]
    fn times_without_an_offset_are_in_the_session_zone() {
        let param = Param { oid: 0, ty: Type::DateTime("Asia/Kolkata".into()) };
        for (sent, micros) in [
            ("2026-11-13 10:00:00", 1_794_544_200_000_000),
            ("2026-11-13 10:00:00+00", 1_794_564_000_000_000),
            ("2026-11-13T10:00:00.5Z", 1_794_564_000_500_000),
        ] {
            let value =
                decode(Some(sent.as_bytes()), Format::Text, &param, Tz::Asia__Kolkata).unwrap();
            assert!(
                matches!(value, ScalarValue::TimestampMicrosecond(Some(found), _) if found == micros),
                "{sent}: {value:?}"
            );
        }
    }

    #[test]
    fn decimals() {
        let parse = |text| parse_decimal(text, 10, 2, &Type::Decimal(10, 2)).map_err(|e| e.code);
        assert_eq!(parse("1.5"), Ok(150));
        assert_eq!(parse("-0.05"), Ok(-5));
        assert_eq!(parse("1.50000"), Ok(150));
        assert_eq!(parse("12e3"), Ok(1_200_000));
        assert_eq!(parse("0e99"), Ok(0));
        assert_eq!(parse("1.234"), Err("22003"));
        assert_eq!(parse("123456789.1"), Err("22003"));
        assert_eq!(parse("NaN"), Err("22P02"));
        assert_eq!(parse("-"), Err("22P02"));
    }

    #[test]
    fn arrays() {
        let items = |text| {
            array_items(text)
                .map(|items| items.into_iter().map(|item| item.unwrap_or("∅".into())).collect())
        };
        let words =
            |words: &[&str]| Some(words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert_eq!(items("{}"), words(&[]));
        assert_eq!(items("{1, 2,null}"), words(&["1", "2", "∅"]));
        assert_eq!(items(r#"{"a,b","c\"d\\",""}"#), words(&["a,b", "c\"d\\", ""]));
        assert_eq!(items(r#"{"null"}"#), words(&["null"]));
        for broken in ["", "{", "{,}", "{a", "{{1}}", "{\"a}", "{\"a\"b}"] {
            assert_eq!(items(broken), None, "{broken}");
        }
    }

    #[test]
    fn binary_numerics() {
        // numeric_send of 12345.678 and -0.0001, PostgreSQL 15.
        let send = |words: &[i16]| words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let bytes: Vec<u8> = send(&[3, 1, 0, 3, 1, 2345, 6780]);
        assert_eq!(numeric_text(&bytes).unwrap(), "000012345.678");
        let bytes: Vec<u8> = send(&[1, -1, 0x4000, 4, 1]);
        assert_eq!(numeric_text(&bytes).unwrap(), "-0.0001");
        assert_eq!(numeric_text(&bytes[..7]).unwrap_err().code, "22P03");
    }

    #[test]
    fn hostile_binary_arrays() {
        let param = Param { oid: PgType::INT4_ARRAY.oid(), ty: Type::Int64.array() };
        let send = |words: &[i32]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<u8>>();
        let decode = |bytes: &[u8]| decode(Some(bytes), Format::Binary, &param, Tz::UTC);
        assert!(decode(&send(&[1, 0, 23, 2, 1, 4, 7, -1])).is_ok());
        for broken in
            [&[][..], &[1, 0, 23, i32::MAX, 1], &[1, 0, 23, 1, 1, -2], &[1, 0, 23, 1, 1, 9]]
        {
            assert!(decode(&send(broken)).is_err(), "{broken:?}");
        }
    }
}
