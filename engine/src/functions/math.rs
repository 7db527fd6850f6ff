//! Mathematics, on floats.

use arrow::array::ArrayRef;
use arrow::datatypes::Int64Type;

use super::arguments::Arguments;
use super::function::{Arg, Function, Returns};
use crate::error::{Error, ErrorKind, Result};

macro_rules! float_function {
    ($name:literal, $compute:expr, $doc:literal, $example:literal, $result:literal) => {
        Function::scalar($name, &[Arg::Float], Returns::Float, |args| {
            let compute: fn(f64) -> f64 = $compute;
            let values = args.float(0);
            Ok(args.floats(|row| values.get(row).map(compute)))
        })
        .doc($doc)
        .examples(&[($example, $result)])
    };
}

macro_rules! float_function_of_two {
    ($name:literal, $compute:expr, $doc:literal, $example:literal, $result:literal) => {
        Function::scalar($name, &[Arg::Float, Arg::Float], Returns::Float, |args| {
            let compute: fn(f64, f64) -> f64 = $compute;
            let (a, b) = (args.float(0), args.float(1));
            Ok(args.floats(|row| Some(compute(a.get(row)?, b.get(row)?))))
        })
        .doc($doc)
        .examples(&[($example, $result)])
    };
}

macro_rules! float_test {
    ($name:literal, $test:expr, $doc:literal, $example:literal, $result:literal) => {
        Function::scalar($name, &[Arg::Float], Returns::Bool, |args| {
            let test: fn(f64) -> bool = $test;
            let values = args.float(0);
            Ok(args.bools(|row| values.get(row).map(test)))
        })
        .doc($doc)
        .examples(&[($example, $result)])
    };
}

/// Mathematics.
pub(super) const FUNCTIONS: &[Function] = &[
    float_function!(
        "sqrt",
        f64::sqrt,
        "The square root; nan for negative numbers.",
        "sqrt(9)",
        "3"
    )
    .any_case(),
    float_function!("cbrt", f64::cbrt, "The cubic root.", "cbrt(27)", "3"),
    float_function!("exp", f64::exp, "e to the power of the argument.", "exp(0)", "1").any_case(),
    float_function!("exp2", f64::exp2, "2 to the power of the argument.", "exp2(3)", "8"),
    float_function!(
        "exp10",
        |x| 10_f64.powf(x),
        "10 to the power of the argument.",
        "exp10(2)",
        "100"
    ),
    float_function!("log", f64::ln, "The natural logarithm.", "log(1)", "0")
        .any_case()
        .aliases(&["ln"]),
    float_function!("log2", f64::log2, "The logarithm to base 2.", "log2(8)", "3").any_case(),
    float_function!("log10", f64::log10, "The logarithm to base 10.", "log10(100)", "2").any_case(),
    float_function!("log1p", f64::ln_1p, "The natural logarithm of 1 more.", "log1p(0)", "0"),
    float_function!("sin", f64::sin, "The sine of radians.", "sin(0)", "0").any_case(),
    float_function!("cos", f64::cos, "The cosine of radians.", "cos(0)", "1").any_case(),
    float_function!("tan", f64::tan, "The tangent of radians.", "tan(0)", "0").any_case(),
    float_function!("asin", f64::asin, "The arc sine, in radians.", "asin(0)", "0").any_case(),
    float_function!("acos", f64::acos, "The arc cosine, in radians.", "acos(1)", "0").any_case(),
    float_function!("atan", f64::atan, "The arc tangent, in radians.", "atan(0)", "0").any_case(),
    float_function!("sinh", f64::sinh, "The hyperbolic sine.", "sinh(0)", "0"),
    float_function!("cosh", f64::cosh, "The hyperbolic cosine.", "cosh(0)", "1"),
    float_function!("tanh", f64::tanh, "The hyperbolic tangent.", "tanh(0)", "0"),
    float_function!("asinh", f64::asinh, "The inverse hyperbolic sine.", "asinh(0)", "0"),
    float_function!("acosh", f64::acosh, "The inverse hyperbolic cosine.", "acosh(1)", "0"),
    float_function!("atanh", f64::atanh, "The inverse hyperbolic tangent.", "atanh(0)", "0"),
    float_function!("degrees", f64::to_degrees, "Radians as degrees.", "degrees(pi())", "180")
        .any_case(),
    float_function!("radians", f64::to_radians, "Degrees as radians.", "radians(0)", "0")
        .any_case(),
    float_function_of_two!(
        "atan2",
        f64::atan2,
        "The angle of the point (x, y), given as y, x.",
        "atan2(0, 1)",
        "0"
    ),
    float_function_of_two!(
        "hypot",
        f64::hypot,
        "The length of the hypotenuse.",
        "hypot(3, 4)",
        "5"
    ),
    float_function_of_two!(
        "pow",
        f64::powf,
        "The first argument to the power of the second.",
        "pow(2, 10)",
        "1024"
    )
    .any_case()
    .aliases(&["power"]),
    Function::scalar("pi", &[], Returns::Float, |args| {
        Ok(args.floats(|_| Some(std::f64::consts::PI)))
    })
    .doc("The circle's number.")
    .examples(&[("pi()", "3.141592653589793")]),
    Function::scalar("e", &[], Returns::Float, |args| {
        Ok(args.floats(|_| Some(std::f64::consts::E)))
    })
    .doc("Euler's number.")
    .examples(&[("e()", "2.718281828459045")]),
    Function::scalar("sign", &[Arg::Float], Returns::Int, |args| {
        let values = args.float(0);
        Ok(args.ints(|row| {
            let value = values.get(row)?;
            Some(i64::from(value > 0.0) - i64::from(value < 0.0))
        }))
    })
    .any_case()
    .doc("1, 0 or -1.")
    .examples(&[("sign(-2.5)", "-1"), ("sign(0)", "0")]),
    Function::scalar("factorial", &[Arg::Int], Returns::Int, factorial)
        .any_case()
        .doc("The product of the integers up to the argument; at most of 20.")
        .examples(&[("factorial(5)", "120")]),
    Function::scalar("intExp2", &[Arg::Int], Returns::Int, |args| power_of(args, 2))
        .doc("The integer 2 to the power of the argument.")
        .examples(&[("intExp2(3)", "8")]),
    Function::scalar("intExp10", &[Arg::Int], Returns::Int, |args| power_of(args, 10))
        .doc("The integer 10 to the power of the argument.")
        .examples(&[("intExp10(3)", "1000")]),
    Function::scalar(
        "width_bucket",
        &[Arg::Float, Arg::Float, Arg::Float, Arg::Int],
        Returns::Int,
        width_bucket,
    )
    .aliases(&["widthBucket"])
    .doc("The number of the bucket of equal width: (value, low, high, count).")
    .examples(&[("width_bucket(5.35, 0.024, 10.06, 5)", "3")]),
    float_test!(
        "isFinite",
        f64::is_finite,
        "True unless infinite or nan.",
        "isFinite(1 / 0)",
        "false"
    ),
    float_test!(
        "isInfinite",
        f64::is_infinite,
        "True for inf and -inf.",
        "isInfinite(1 / 0)",
        "true"
    ),
    float_test!("isNaN", f64::is_nan, "True for nan.", "isNaN(0 / 0)", "true"),
    float_function_of_two!(
        "ifNotFinite",
        |value, otherwise| if value.is_finite() { value } else { otherwise },
        "The first argument if it is finite, else the second.",
        "ifNotFinite(1 / 0, 5)",
        "5"
    ),
    Function::scalar("bitAnd", &[Arg::Int, Arg::Int], Returns::Int, |args| {
        bits(args, |a, b| a & b)
    })
    .doc("The bits that both have.")
    .examples(&[("bitAnd(6, 3)", "2")]),
    Function::scalar("bitOr", &[Arg::Int, Arg::Int], Returns::Int, |args| bits(args, |a, b| a | b))
        .doc("The bits that any has.")
        .examples(&[("bitOr(6, 3)", "7")]),
    Function::scalar("bitXor", &[Arg::Int, Arg::Int], Returns::Int, |args| {
        bits(args, |a, b| a ^ b)
    })
    .doc("The bits that one has.")
    .examples(&[("bitXor(6, 3)", "5")]),
    Function::scalar("bitShiftLeft", &[Arg::Int, Arg::Int], Returns::Int, |args| {
        bits(args, |a, b| u32::try_from(b).ok().and_then(|by| a.checked_shl(by)).unwrap_or(0))
    })
    .doc("The bits moved up.")
    .examples(&[("bitShiftLeft(1, 3)", "8")]),
    Function::scalar("bitShiftRight", &[Arg::Int, Arg::Int], Returns::Int, |args| {
        bits(args, |a, b| u32::try_from(b).ok().and_then(|by| a.checked_shr(by)).unwrap_or(0))
    })
    .doc("The bits moved down.")
    .examples(&[("bitShiftRight(8, 3)", "1")]),
    Function::scalar("bitTest", &[Arg::Int, Arg::Int], Returns::Int, |args| {
        bits(args, |a, b| u32::try_from(b).ok().and_then(|by| a.checked_shr(by)).unwrap_or(0) & 1)
    })
    .doc("The bit at a place counted from 0.")
    .examples(&[("bitTest(5, 2)", "1")]),
    Function::scalar("bitCount", &[Arg::Int], Returns::Int, |args| {
        let values = args.int(0);
        Ok(args.ints(|row| Some(values.get(row)?.count_ones().into())))
    })
    .doc("How many bits are set.")
    .examples(&[("bitCount(7)", "3")]),
];

fn bits(args: &Arguments<'_>, compute: fn(i64, i64) -> i64) -> Result<ArrayRef> {
    let (a, b) = (args.int(0), args.int(1));
    Ok(args.ints(|row| Some(compute(a.get(row)?, b.get(row)?))))
}

fn factorial(args: &Arguments<'_>) -> Result<ArrayRef> {
    let values = args.int(0);
    args.try_primitives::<Int64Type>(|row| {
        let Some(value) = values.get(row) else { return Ok(None) };
        if value > 20 {
            return Err(Error::new(
                ErrorKind::OutOfRange,
                format!("the factorial of {value} is too large"),
            ));
        }
        Ok(Some((1..=value).product()))
    })
}

/// Powers that do not fit are 0 below and the largest integer above, as in ClickHouse.
fn power_of(args: &Arguments<'_>, base: i64) -> Result<ArrayRef> {
    let exponents = args.int(0);
    Ok(args.ints(|row| {
        let exponent = exponents.get(row)?;
        if exponent < 0 {
            return Some(0);
        }
        let power = u32::try_from(exponent).ok().and_then(|exponent| base.checked_pow(exponent));
        Some(power.unwrap_or(i64::MAX))
    }))
}

fn width_bucket(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (values, lows, highs, counts) = (args.float(0), args.float(1), args.float(2), args.int(3));
    Ok(args.ints(|row| {
        let (value, low, high) = (values.get(row)?, lows.get(row)?, highs.get(row)?);
        let count = counts.get(row)?;
        Some(if value < low {
            0
        } else if value >= high {
            count.saturating_add(1)
        } else {
            ((value - low) / (high - low) * count as f64) as i64 + 1
        })
    }))
}
