//! The functions of PostgreSQL that tools call about the session and the catalog.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, new_empty_array};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::registry::FunctionRegistry;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};

use super::objects::{Objects, PG_CLASS_OID, type_name};
use crate::pgwire::error::PgError;
use crate::pgwire::variables::{SERVER_VERSION, Scope, Variables};
use crate::values::{Column, json};

/// One row in, one value out: catalog results are small.
type Body = Arc<dyn Fn(&[ScalarValue]) -> Result<ScalarValue> + Send + Sync>;

/// A function of any number of arguments.
struct CatalogFunction {
    name: &'static str,
    returns: DataType,
    signature: Signature,
    body: Body,
}

/// Registers every function for one session.
///
/// # Errors
/// None in practice: the registry takes any name.
pub(super) fn register(
    state: &mut SessionState,
    objects: &Arc<Objects>,
    variables: &Arc<Variables>,
    pid: i32,
) -> Result<()> {
    for function in session_functions(objects, variables, pid)
        .into_iter()
        .chain(object_functions(objects))
        .chain(constant_functions())
    {
        state.register_udf(Arc::new(ScalarUDF::from(function)))?;
    }
    Ok(())
}

/// The text that `version()` answers; tools want it to begin like this.
pub(super) fn version() -> String {
    format!(
        "PostgreSQL {SERVER_VERSION} (Hedgerow {}) on {}, compiled by rustc, 64-bit",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH
    )
}

fn session_functions(
    objects: &Arc<Objects>,
    variables: &Arc<Variables>,
    pid: i32,
) -> Vec<CatalogFunction> {
    let user = text(&objects.user);
    let database = text(&objects.database);
    let (reader, writer) = (Arc::clone(variables), Arc::clone(variables));
    vec![
        constant("version", text(&version())),
        constant("current_database", database.clone()),
        constant("current_catalog", database),
        constant("current_schema", text("public")),
        constant("current_user", user.clone()),
        constant("session_user", user.clone()),
        constant("current_role", user.clone()),
        constant("user", user.clone()),
        constant("pg_get_userbyid", user),
        constant("pg_backend_pid", ScalarValue::Int32(Some(pid))),
        function("current_schemas", list_of_text(), |args| {
            let implicit = matches!(args.first(), Some(ScalarValue::Boolean(Some(true))));
            let names: &[&str] = if implicit { &["pg_catalog", "public"] } else { &["public"] };
            let names: Vec<_> = names.iter().map(|name| text(name)).collect();
            Ok(ScalarValue::List(ScalarValue::new_list_nullable(&names, &DataType::Utf8)))
        }),
        function("current_setting", DataType::Utf8, move |args| {
            let Some(name) = args.first().and_then(text_of) else { return Ok(no_text()) };
            let missing_ok = matches!(args.get(1), Some(ScalarValue::Boolean(Some(true))));
            match reader.get(&name) {
                Ok((_, value)) => Ok(text(&value)),
                Err(_) if missing_ok => Ok(no_text()),
                Err(error) => Err(refused(&error)),
            }
        }),
        volatile("set_config", DataType::Utf8, move |args| {
            let [name, value, local] = args else {
                return Err(DataFusionError::Plan("set_config takes three arguments".to_owned()));
            };
            let (Some(name), Some(value)) = (text_of(name), text_of(value)) else {
                return Ok(no_text());
            };
            let local = matches!(local, ScalarValue::Boolean(Some(true)));
            let scope = if local { Scope::Local } else { Scope::Session };
            writer.set(&name, &value, scope).map_err(|error| refused(&error))?;
            writer.get(&name).map(|(_, value)| text(&value)).map_err(|error| refused(&error))
        }),
    ]
}

fn object_functions(objects: &Arc<Objects>) -> Vec<CatalogFunction> {
    let with = |name, returns, body: fn(&Objects, &[ScalarValue]) -> ScalarValue| {
        let objects = Arc::clone(objects);
        function(name, returns, move |args| Ok(body(&objects, args)))
    };
    vec![
        function("format_type", DataType::Utf8, |args| {
            let modifier = args.get(1).and_then(int_of).unwrap_or(-1);
            Ok(match args.first().and_then(int_of) {
                Some(oid) => text(&type_name(oid, modifier)),
                None => no_text(),
            })
        }),
        function("json_build_object", DataType::Utf8, |args| {
            let columns: Vec<_> = args.iter().map(|arg| arg.to_array()).collect::<Result<_>>()?;
            let columns: Vec<_> = columns
                .iter()
                .map(|array| {
                    let ty = hedgerow_engine::Type::from_field(&Field::new(
                        "",
                        array.data_type().clone(),
                        true,
                    ));
                    Column::new(&ty, array)
                })
                .collect::<hedgerow_engine::Result<_>>()?;
            let mut out = String::from("{");
            for (at, pair) in columns.chunks(2).enumerate() {
                let [key, value] = pair else { continue };
                out.push_str(if at > 0 { ", " } else { "" });
                json::write_key(&mut out, &key.value(0));
                out.push_str(" : ");
                json::write(&mut out, value, 0);
            }
            out.push('}');
            Ok(ScalarValue::Utf8(Some(out)))
        }),
        with("obj_description", DataType::Utf8, |objects, args| {
            let class = args.get(1).and_then(text_of);
            let described = class.is_none_or(|class| class == "pg_class");
            let oid = args.first().and_then(int_of).filter(|_| described);
            let relation = oid.and_then(|oid| objects.relation(oid));
            optional_text(relation.map(|relation| relation.comment.as_str()))
        }),
        with("pg_get_viewdef", DataType::Utf8, |objects, args| {
            let oid = args.first().and_then(int_of);
            let relation = oid.and_then(|oid| objects.relation(oid));
            optional_text(relation.and_then(|relation| relation.view.as_deref()))
        }),
        with("col_description", DataType::Utf8, |objects, args| {
            let relation = args.first().and_then(int_of).and_then(|oid| objects.relation(oid));
            let number = args.get(1).and_then(int_of).and_then(|n| usize::try_from(n - 1).ok());
            let column = relation.zip(number).and_then(|(relation, at)| relation.columns.get(at));
            optional_text(column.and_then(|column| column.comment.as_deref()))
        }),
        with("to_regclass", DataType::Int32, |objects, args| {
            let name = args.first().and_then(text_of).unwrap_or_default();
            let bare = name.rsplit('.').next().unwrap_or_default().trim_matches('"');
            let found = objects.relations.iter().find(|relation| relation.name == bare);
            let system = (bare == "pg_class").then_some(PG_CLASS_OID);
            ScalarValue::Int32(found.map(|relation| relation.oid).or(system))
        }),
        with("to_regtype", DataType::Int32, |_, args| {
            let name = args.first().and_then(text_of).unwrap_or_default();
            let known = (16..4_000).find(|oid| {
                let ty = pgwire::api::Type::from_oid(*oid as u32);
                ty.is_some_and(|ty| ty.name() == name || type_name(*oid, -1) == name)
            });
            ScalarValue::Int32(known)
        }),
        with("pg_size_pretty", DataType::Utf8, |_, args| {
            let bytes = args.first().and_then(|value| match value.cast_to(&DataType::Int64) {
                Ok(ScalarValue::Int64(bytes)) => bytes,
                _ => None,
            });
            optional_text(bytes.map(|bytes| format!("{bytes} bytes")).as_deref())
        }),
    ]
}

/// Functions about things that are never there, or always true.
fn constant_functions() -> Vec<CatalogFunction> {
    let mut functions = Vec::new();
    for name in [
        "has_any_column_privilege",
        "has_column_privilege",
        "has_database_privilege",
        "has_function_privilege",
        "has_schema_privilege",
        "has_sequence_privilege",
        "has_table_privilege",
        "pg_collation_is_visible",
        "pg_conversion_is_visible",
        "pg_function_is_visible",
        "pg_has_role",
        "pg_opclass_is_visible",
        "pg_operator_is_visible",
        "pg_table_is_visible",
        "pg_ts_config_is_visible",
        "pg_type_is_visible",
    ] {
        functions.push(constant(name, ScalarValue::Boolean(Some(true))));
    }
    for name in ["pg_is_in_recovery", "pg_is_other_temp_schema", "pg_relation_is_publishable"] {
        functions.push(constant(name, ScalarValue::Boolean(Some(false))));
    }
    for name in [
        "inet_client_addr",
        "inet_server_addr",
        "pg_get_constraintdef",
        "pg_get_expr",
        "pg_get_function_arguments",
        "pg_get_function_identity_arguments",
        "pg_get_function_result",
        "pg_get_functiondef",
        "pg_get_indexdef",
        "pg_get_partkeydef",
        "pg_get_ruledef",
        "pg_get_serial_sequence",
        "pg_get_triggerdef",
        "pg_tablespace_location",
        "shobj_description",
    ] {
        functions.push(constant(name, no_text()));
    }
    // What tools call when they hand a connection back; there are no locks to release.
    functions.push(constant("pg_advisory_unlock_all", text("")));
    functions.push(constant("pg_my_temp_schema", ScalarValue::Int32(Some(0))));
    functions.push(constant("inet_server_port", ScalarValue::Int32(None)));
    for name in [
        "pg_database_size",
        "pg_table_size",
        "pg_relation_size",
        "pg_total_relation_size",
        "pg_indexes_size",
    ] {
        functions.push(constant(name, ScalarValue::Int64(Some(0))));
    }
    functions
}

fn constant(name: &'static str, value: ScalarValue) -> CatalogFunction {
    function(name, value.data_type(), move |_| Ok(value.clone()))
}

fn function(
    name: &'static str,
    returns: DataType,
    body: impl Fn(&[ScalarValue]) -> Result<ScalarValue> + Send + Sync + 'static,
) -> CatalogFunction {
    let any = TypeSignature::OneOf(vec![TypeSignature::Nullary, TypeSignature::VariadicAny]);
    CatalogFunction {
        name,
        returns,
        signature: Signature::new(any, Volatility::Stable),
        body: Arc::new(body),
    }
}

/// A function with an effect, which planning must not run.
fn volatile(
    name: &'static str,
    returns: DataType,
    body: impl Fn(&[ScalarValue]) -> Result<ScalarValue> + Send + Sync + 'static,
) -> CatalogFunction {
    let mut function = function(name, returns, body);
    function.signature.volatility = Volatility::Volatile;
    function
}

fn text(value: &str) -> ScalarValue {
    ScalarValue::Utf8(Some(value.to_owned()))
}

fn no_text() -> ScalarValue {
    ScalarValue::Utf8(None)
}

fn optional_text(value: Option<&str>) -> ScalarValue {
    ScalarValue::Utf8(value.map(str::to_owned))
}

fn list_of_text() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
}

fn text_of(value: &ScalarValue) -> Option<String> {
    value.try_as_str().flatten().map(str::to_owned)
}

fn int_of(value: &ScalarValue) -> Option<i32> {
    match value.cast_to(&DataType::Int32) {
        Ok(ScalarValue::Int32(number)) => number,
        _ => None,
    }
}

/// A session's refusal, on its way through DataFusion as the engine's own kind of error.
fn refused(error: &PgError) -> DataFusionError {
    let kind = hedgerow_engine::ErrorKind::InvalidSetting;
    hedgerow_engine::Error::new(kind, error.message.clone()).into()
}

impl ScalarUDFImpl for CatalogFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)))
            && self.signature.volatility != Volatility::Volatile
        {
            let values: Vec<_> = args
                .args
                .iter()
                .filter_map(|arg| match arg {
                    ColumnarValue::Scalar(value) => Some(value.clone()),
                    ColumnarValue::Array(_) => None,
                })
                .collect();
            return Ok(ColumnarValue::Scalar((self.body)(&values)?));
        }
        let columns: Vec<ArrayRef> =
            args.args.iter().map(|arg| arg.to_array(args.number_rows)).collect::<Result<_>>()?;
        let rows = (0..args.number_rows).map(|row| {
            let values: Vec<_> = columns
                .iter()
                .map(|column| ScalarValue::try_from_array(column, row))
                .collect::<Result<_>>()?;
            (self.body)(&values)
        });
        let values = rows.collect::<Result<Vec<_>>>()?;
        Ok(ColumnarValue::Array(if values.is_empty() {
            new_empty_array(&self.returns)
        } else {
            ScalarValue::iter_to_array(values)?
        }))
    }
}

impl std::fmt::Debug for CatalogFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for CatalogFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for CatalogFunction {}

impl Hash for CatalogFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}
