//! Type names as users write them: HogQL's, ClickHouse's and PostgreSQL's.

use hedgerow_parser::ast::{TypeArg, TypeName};

use super::Type;
use crate::error::{Error, ErrorKind, Result, did_you_mean};
use crate::types::time::Zone;

/// Names without arguments and what they mean.
const NAMES: &[(&str, Type)] = &[
    ("bool", Type::Bool),
    ("boolean", Type::Bool),
    ("int8", Type::Int8),
    ("int16", Type::Int16),
    ("int32", Type::Int32),
    ("int64", Type::Int64),
    ("uint8", Type::UInt8),
    ("uint16", Type::UInt16),
    ("uint32", Type::UInt32),
    ("uint64", Type::UInt64),
    ("tinyint", Type::Int8),
    ("smallint", Type::Int16),
    ("int2", Type::Int16),
    ("int4", Type::Int32),
    ("int", Type::Int64),
    ("integer", Type::Int64),
    ("signed", Type::Int64),
    ("bigint", Type::Int64),
    ("unsigned", Type::UInt64),
    ("float32", Type::Float32),
    ("real", Type::Float32),
    ("float4", Type::Float32),
    ("float", Type::Float64),
    ("float64", Type::Float64),
    ("float8", Type::Float64),
    ("double", Type::Float64),
    ("double precision", Type::Float64),
    ("string", Type::String),
    ("text", Type::String),
    ("varchar", Type::String),
    ("char", Type::String),
    ("character", Type::String),
    ("character varying", Type::String),
    ("char varying", Type::String),
    ("bpchar", Type::String),
    ("name", Type::String),
    ("json", Type::Json),
    ("jsonb", Type::Json),
    ("uuid", Type::Uuid),
    ("date", Type::Date),
    ("date32", Type::Date),
    ("interval", Type::Interval),
];

/// Names of DateTime; all have microseconds.
const DATETIMES: &[&str] = &[
    "datetime",
    "datetime32",
    "datetime64",
    "timestamp",
    "timestamptz",
    "timestamp with time zone",
    "timestamp without time zone",
    "timestamp with local time zone",
];

/// Names that need arguments.
const PARAMETRIC: &[&str] =
    &["decimal", "numeric", "dec", "array", "nullable", "lowcardinality", "tuple", "map", "enum"];

impl Type {
    /// The type of a name. A DateTime without a zone of its own is in `timezone`.
    ///
    /// # Errors
    /// `TypeMismatch` for an unknown name; `InvalidArgument` for arguments it cannot have.
    pub fn parse(name: &TypeName, timezone: &str) -> Result<Self> {
        let element = element_type(name, timezone).map_err(|error| error.at(name.span))?;
        Ok((0..name.array_depth).fold(element, |ty, _| ty.array()))
    }
}

fn element_type(name: &TypeName, timezone: &str) -> Result<Type> {
    let word = name.name.to_lowercase();
    if let Some((_, ty)) = NAMES.iter().find(|(known, _)| *known == word) {
        // Lengths, as in varchar(20), carry no meaning.
        let lengths = name.args.iter().all(|arg| matches!(arg, TypeArg::Number(_)));
        return if lengths { Ok(ty.clone()) } else { Err(wrong_arguments(name)) };
    }
    if DATETIMES.contains(&word.as_str()) {
        return datetime(name, timezone);
    }
    match word.as_str() {
        "decimal" | "numeric" | "dec" => decimal(name),
        // The single argument is the scale.
        "decimal32" => decimal_of(9, name),
        "decimal64" => decimal_of(18, name),
        "decimal128" => decimal_of(38, name),
        "enum" | "enum8" | "enum16" => Ok(Type::String),
        "fixedstring" => Ok(Type::String),
        "nullable" | "lowcardinality" => single(name, timezone),
        "array" => single(name, timezone).map(Type::array),
        "tuple" => tuple(name, timezone),
        "map" => match types(name, timezone)?.as_slice() {
            [key, value] => Ok(Type::Map(Box::new(key.clone()), Box::new(value.clone()))),
            _ => Err(wrong_arguments(name)),
        },
        _ => Err(unknown(&word)),
    }
}

fn unknown(word: &str) -> Error {
    let error = Error::new(ErrorKind::TypeMismatch, format!("no type named {word}"));
    let names = NAMES.iter().map(|(name, _)| *name);
    match did_you_mean(word, names.chain(DATETIMES.iter().chain(PARAMETRIC).copied())) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn wrong_arguments(name: &TypeName) -> Error {
    let example = match name.name.as_str() {
        "map" => "Map(String, Int64)",
        "tuple" => "Tuple(String, Int64)",
        "decimal" | "numeric" | "dec" => "Decimal(18, 2)",
        "datetime" | "datetime64" => "DateTime('Europe/Berlin')",
        _ => "Array(String)",
    };
    Error::new(ErrorKind::InvalidArgument, format!("wrong arguments for type {}", name.name))
        .hint(format!("Types with arguments are written as {example}."))
}

/// `datetime`, `datetime('UTC')`, `datetime64(6, 'UTC')`, `timestamp(6)`.
fn datetime(name: &TypeName, timezone: &str) -> Result<Type> {
    let zone = match name.args.as_slice() {
        [] | [TypeArg::Number(_)] => timezone,
        [TypeArg::String(zone)] | [TypeArg::Number(_), TypeArg::String(zone)] => zone,
        _ => return Err(wrong_arguments(name)),
    };
    Ok(Type::DateTime(Zone::parse(zone)?.name().into()))
}

fn decimal(name: &TypeName) -> Result<Type> {
    match *name.args.as_slice() {
        [] => decimal_type(38, 10),
        [TypeArg::Number(precision)] => decimal_type(precision, 0),
        [TypeArg::Number(precision), TypeArg::Number(scale)] => decimal_type(precision, scale),
        _ => Err(wrong_arguments(name)),
    }
}

fn decimal_of(precision: i64, name: &TypeName) -> Result<Type> {
    match *name.args.as_slice() {
        [TypeArg::Number(scale)] => decimal_type(precision, scale),
        _ => Err(wrong_arguments(name)),
    }
}

fn decimal_type(precision: i64, scale: i64) -> Result<Type> {
    let valid = (1..=38).contains(&precision) && (0..=precision).contains(&scale);
    if !valid {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("no decimal has precision {precision} and scale {scale}"),
        )
        .hint("The precision is 1 to 38, the scale at most the precision."));
    }
    Ok(Type::Decimal(precision as u8, scale as i8))
}

fn types(name: &TypeName, timezone: &str) -> Result<Vec<Type>> {
    let parse = |arg: &TypeArg| match arg {
        TypeArg::Type(_, nested) => Type::parse(nested, timezone),
        _ => Err(wrong_arguments(name)),
    };
    name.args.iter().map(parse).collect()
}

fn single(name: &TypeName, timezone: &str) -> Result<Type> {
    match types(name, timezone)?.as_slice() {
        [ty] => Ok(ty.clone()),
        _ => Err(wrong_arguments(name)),
    }
}

fn tuple(name: &TypeName, timezone: &str) -> Result<Type> {
    let types = types(name, timezone)?;
    let names = name.args.iter().enumerate().map(|(i, arg)| match arg {
        TypeArg::Type(Some(ident), _) => ident.name.clone(),
        _ => (i + 1).to_string(),
    });
    if types.is_empty() {
        return Err(wrong_arguments(name));
    }
    Ok(Type::Tuple(names.zip(types).collect()))
}

#[cfg(test)]
mod tests {
    use hedgerow_parser::ast::ExprKind;
    use hedgerow_parser::{Dialect, parse_expr};

    use super::*;

    fn parse(text: &str) -> Result<Type> {
        let expr = parse_expr(&format!("CAST(NULL AS {text})"), Dialect::Hogql)?;
        match expr.kind {
            ExprKind::Cast { target, .. } => Type::parse(&target, "Europe/Berlin"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_of_three_dialects_are_known() {
        let berlin = || Type::DateTime("Europe/Berlin".into());
        for (text, ty) in [
            ("Int64", Type::Int64),
            ("bigint", Type::Int64),
            ("double precision", Type::Float64),
            ("numeric(10, 2)", Type::Decimal(10, 2)),
            ("Decimal64(4)", Type::Decimal(18, 4)),
            ("varchar(20)", Type::String),
            ("LowCardinality(Nullable(String))", Type::String),
            ("timestamptz", berlin()),
            ("timestamp with time zone", berlin()),
            ("DateTime64(6, 'UTC')", Type::utc()),
            ("Array(Array(UUID))", Type::Uuid.array().array()),
            ("text[][3]", Type::String.array().array()),
            ("Map(String, Int64)", Type::Map(Box::new(Type::String), Box::new(Type::Int64))),
            ("Tuple(String, Date)", Type::tuple([Type::String, Type::Date])),
            (
                "Tuple(a String, b Date)",
                Type::Tuple(vec![("a".into(), Type::String), ("b".into(), Type::Date)]),
            ),
        ] {
            assert_eq!(parse(text).unwrap(), ty, "{text}");
        }
    }

    #[test]
    fn unknown_names_are_explained() {
        let error = parse("flaot").unwrap_err();
        assert_eq!(
            (error.kind, error.message.as_str()),
            (ErrorKind::TypeMismatch, "no type named flaot")
        );
        assert_eq!(error.hint.as_deref(), Some("Did you mean float?"));
        assert_eq!(parse("Decimal(50, 2)").unwrap_err().kind, ErrorKind::InvalidArgument);
        assert_eq!(parse("DateTime('Mars')").unwrap_err().kind, ErrorKind::InvalidArgument);
        assert_eq!(parse("Array(Int64, Int64)").unwrap_err().kind, ErrorKind::InvalidArgument);
    }
}
