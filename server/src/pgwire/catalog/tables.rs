//! The system tables that present the project; each is a list of columns with a default, and
//! rows that say what differs.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Int16Array, Int32Array, ListArray, RecordBatch,
    StringArray,
};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::error::Result;

use super::objects::{
    INFORMATION_SCHEMA_OID, Objects, PG_CATALOG_OID, PG_CLASS_OID, PUBLIC_OID, Relation, USER_OID,
};
use crate::pgwire::variables::Variables;
use Cell::{Array, Bool, Int, NoText, Numbers, Real, Small, Text};

pub(super) const PG_CATALOG: &str = "pg_catalog";
const INFORMATION_SCHEMA: &str = "information_schema";

/// The schemas that have tables here; those of the project are the engine's.
pub(super) const SCHEMAS: &[&str] = &[PG_CATALOG, INFORMATION_SCHEMA];

/// One value, and with it the type of its column.
#[derive(Debug, Clone)]
enum Cell {
    Bool(bool),
    Small(i16),
    Int(i32),
    Real(f32),
    Text(String),
    NoText,
    /// A list of texts that is always NULL.
    Array,
    /// A list of column numbers that is always NULL.
    Numbers,
}

/// Columns in their order, each with the value of rows that do not name it.
type Columns = Vec<(&'static str, Cell)>;
/// What one row has that differs from the defaults.
type Row = Vec<(&'static str, Cell)>;

/// The tables of one schema.
pub(super) fn names(schema: &str) -> Vec<String> {
    let (own, library): (&[&str], &[&str]) = match schema {
        PG_CATALOG => (PG_TABLES, datafusion_pg_catalog::pg_catalog::PG_CATALOG_TABLES),
        _ => (INFORMATION_TABLES, &[]),
    };
    own.iter().chain(library).map(|name| (*name).to_owned()).collect()
}

const PG_TABLES: &[&str] = &[
    "pg_attribute",
    "pg_class",
    "pg_constraint",
    "pg_database",
    "pg_description",
    "pg_index",
    "pg_indexes",
    "pg_matviews",
    "pg_namespace",
    "pg_policy",
    "pg_roles",
    "pg_settings",
    "pg_stat_user_tables",
    "pg_tables",
    "pg_user",
    "pg_views",
];

const INFORMATION_TABLES: &[&str] = &[
    "columns",
    "constraint_column_usage",
    "key_column_usage",
    "referential_constraints",
    "routines",
    "schemata",
    "table_constraints",
    "table_privileges",
    "tables",
    "views",
];

/// A table, or none where this module has no such table.
///
/// # Errors
/// Internal ones: the tables are built from known columns.
pub(super) fn table(
    schema: &str,
    name: &str,
    objects: &Objects,
    variables: &Variables,
) -> Result<Option<Arc<dyn TableProvider>>> {
    let name = name.to_ascii_lowercase();
    let (columns, rows) = match (schema, name.as_str()) {
        (PG_CATALOG, "pg_attribute") => pg_attribute(objects),
        (PG_CATALOG, "pg_class") => pg_class(objects),
        (PG_CATALOG, "pg_constraint") => (pg_constraint(), Vec::new()),
        (PG_CATALOG, "pg_database") => pg_database(objects),
        (PG_CATALOG, "pg_description") => pg_description(objects),
        (PG_CATALOG, "pg_index") => (pg_index(), Vec::new()),
        (PG_CATALOG, "pg_indexes") => {
            (texts(&["schemaname", "tablename", "indexname", "tablespace", "indexdef"]), Vec::new())
        }
        (PG_CATALOG, "pg_matviews") => (
            texts(&["schemaname", "matviewname", "matviewowner", "tablespace", "definition"]),
            Vec::new(),
        ),
        (PG_CATALOG, "pg_namespace") => pg_namespace(objects),
        (PG_CATALOG, "pg_policy") => (pg_policy(), Vec::new()),
        (PG_CATALOG, "pg_roles") => pg_roles(objects),
        (PG_CATALOG, "pg_settings") => pg_settings(variables),
        (PG_CATALOG, "pg_stat_user_tables") => pg_stat_user_tables(objects),
        (PG_CATALOG, "pg_tables") => pg_tables(objects),
        (PG_CATALOG, "pg_user") => pg_user(objects),
        (PG_CATALOG, "pg_views") => pg_views(objects),
        (INFORMATION_SCHEMA, name) => match information_schema(name, objects) {
            Some(table) => table,
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    let batch = batch(&columns, &rows)?;
    Ok(Some(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?)))
}

fn pg_namespace(objects: &Objects) -> (Columns, Vec<Row>) {
    let columns =
        vec![("oid", Int(0)), ("nspname", NoText), ("nspowner", Int(USER_OID)), ("nspacl", Array)];
    let system = [(PG_CATALOG_OID, PG_CATALOG), (INFORMATION_SCHEMA_OID, INFORMATION_SCHEMA)];
    let own = objects.schemas.iter().map(|(oid, name)| (*oid, name.as_str()));
    let rows = system
        .into_iter()
        .chain(own)
        .map(|(oid, name)| vec![("oid", Int(oid)), ("nspname", text(name))]);
    (columns, rows.collect())
}

fn pg_database(objects: &Objects) -> (Columns, Vec<Row>) {
    let columns = vec![
        ("oid", Int(objects.database_oid)),
        ("datname", text(&objects.database)),
        ("datdba", Int(USER_OID)),
        ("encoding", Int(6)),
        ("datlocprovider", text("c")),
        ("datistemplate", Bool(false)),
        ("datallowconn", Bool(true)),
        ("datconnlimit", Int(-1)),
        ("datfrozenxid", Int(0)),
        ("datminmxid", Int(0)),
        ("dattablespace", Int(1663)),
        ("datcollate", text("C")),
        ("datctype", text("C.UTF-8")),
        ("daticulocale", NoText),
        ("datcollversion", NoText),
        ("datacl", Array),
    ];
    (columns, vec![Vec::new()])
}

/// The system tables that other rows refer to by OID, as in `'pg_class'::regclass`.
const SYSTEM_RELATIONS: &[(i32, &str)] = &[
    (1247, "pg_type"),
    (1249, "pg_attribute"),
    (1255, "pg_proc"),
    (PG_CLASS_OID, "pg_class"),
    (1262, "pg_database"),
    (2615, "pg_namespace"),
];

fn pg_class(objects: &Objects) -> (Columns, Vec<Row>) {
    let columns = vec![
        ("oid", Int(0)),
        ("relname", NoText),
        ("relnamespace", Int(PUBLIC_OID)),
        ("reltype", Int(0)),
        ("reloftype", Int(0)),
        ("relowner", Int(USER_OID)),
        ("relam", Int(0)),
        ("relfilenode", Int(0)),
        ("reltablespace", Int(0)),
        ("relpages", Int(0)),
        ("reltuples", Real(-1.0)),
        ("relallvisible", Int(0)),
        ("reltoastrelid", Int(0)),
        ("relhasindex", Bool(false)),
        ("relisshared", Bool(false)),
        ("relpersistence", text("p")),
        ("relkind", text("r")),
        ("relnatts", Small(0)),
        ("relchecks", Small(0)),
        ("relhasrules", Bool(false)),
        ("relhastriggers", Bool(false)),
        ("relhassubclass", Bool(false)),
        ("relrowsecurity", Bool(false)),
        ("relforcerowsecurity", Bool(false)),
        ("relispopulated", Bool(true)),
        ("relreplident", text("d")),
        ("relispartition", Bool(false)),
        ("relrewrite", Int(0)),
        ("relfrozenxid", Int(0)),
        ("relminmxid", Int(0)),
        ("relacl", Array),
        ("reloptions", Array),
        ("relpartbound", NoText),
    ];
    let own = objects.relations.iter().map(|relation| {
        vec![
            ("oid", Int(relation.oid)),
            ("relname", text(&relation.name)),
            ("relnamespace", Int(relation.namespace)),
            ("reltype", Int(relation.type_oid)),
            ("relkind", text(if relation.view.is_some() { "v" } else { "r" })),
            ("relnatts", Small(relation.columns.len() as i16)),
        ]
    });
    let system = SYSTEM_RELATIONS.iter().map(|(oid, name)| {
        vec![("oid", Int(*oid)), ("relname", text(name)), ("relnamespace", Int(PG_CATALOG_OID))]
    });
    (columns, own.chain(system).collect())
}

fn pg_attribute(objects: &Objects) -> (Columns, Vec<Row>) {
    let columns = vec![
        ("attrelid", Int(0)),
        ("attname", NoText),
        ("atttypid", Int(0)),
        ("attstattarget", Int(-1)),
        ("attlen", Small(-1)),
        ("attnum", Small(0)),
        ("attndims", Int(0)),
        ("attcacheoff", Int(-1)),
        ("atttypmod", Int(-1)),
        ("attbyval", Bool(false)),
        ("attalign", text("i")),
        ("attstorage", text("x")),
        ("attcompression", text("")),
        ("attnotnull", Bool(false)),
        ("atthasdef", Bool(false)),
        ("atthasmissing", Bool(false)),
        ("attidentity", text("")),
        ("attgenerated", text("")),
        ("attisdropped", Bool(false)),
        ("attislocal", Bool(true)),
        ("attinhcount", Int(0)),
        ("attcollation", Int(0)),
        ("attacl", Array),
        ("attoptions", Array),
        ("attfdwoptions", Array),
        ("attmissingval", NoText),
    ];
    let rows = objects.relations.iter().flat_map(|relation| {
        relation.columns.iter().map(|column| {
            vec![
                ("attrelid", Int(relation.oid)),
                ("attname", text(&column.name)),
                ("atttypid", Int(column.type_oid)),
                ("attlen", Small(column.type_length)),
                ("attnum", Small(column.number)),
                ("atttypmod", Int(column.type_modifier)),
                ("attbyval", Bool((1..=8).contains(&column.type_length))),
                ("attstorage", text(if column.type_length > 0 { "p" } else { "x" })),
                ("attnotnull", Bool(!column.nullable)),
            ]
        })
    });
    (columns, rows.collect())
}

/// The library's have texts where PostgreSQL has lists of column numbers, and rows only about
/// system tables.
fn pg_constraint() -> Columns {
    vec![
        ("oid", Int(0)),
        ("conname", NoText),
        ("connamespace", Int(0)),
        ("contype", NoText),
        ("condeferrable", Bool(false)),
        ("condeferred", Bool(false)),
        ("convalidated", Bool(true)),
        ("conrelid", Int(0)),
        ("contypid", Int(0)),
        ("conindid", Int(0)),
        ("conparentid", Int(0)),
        ("confrelid", Int(0)),
        ("confupdtype", NoText),
        ("confdeltype", NoText),
        ("confmatchtype", NoText),
        ("conislocal", Bool(true)),
        ("coninhcount", Int(0)),
        ("connoinherit", Bool(false)),
        ("conkey", Numbers),
        ("confkey", Numbers),
        ("conbin", NoText),
    ]
}

/// See [`pg_constraint`].
fn pg_index() -> Columns {
    vec![
        ("indexrelid", Int(0)),
        ("indrelid", Int(0)),
        ("indnatts", Small(0)),
        ("indnkeyatts", Small(0)),
        ("indisunique", Bool(false)),
        ("indnullsnotdistinct", Bool(false)),
        ("indisprimary", Bool(false)),
        ("indisexclusion", Bool(false)),
        ("indimmediate", Bool(true)),
        ("indisclustered", Bool(false)),
        ("indisvalid", Bool(true)),
        ("indcheckxmin", Bool(false)),
        ("indisready", Bool(true)),
        ("indislive", Bool(true)),
        ("indisreplident", Bool(false)),
        ("indkey", Numbers),
        ("indcollation", Numbers),
        ("indclass", Numbers),
        ("indoption", Numbers),
        ("indexprs", NoText),
        ("indpred", NoText),
    ]
}

fn pg_description(objects: &Objects) -> (Columns, Vec<Row>) {
    let columns = vec![
        ("objoid", Int(0)),
        ("classoid", Int(PG_CLASS_OID)),
        ("objsubid", Int(0)),
        ("description", NoText),
    ];
    let mut rows = Vec::new();
    for relation in &objects.relations {
        let columns = relation
            .columns
            .iter()
            .filter_map(|column| Some((i32::from(column.number), column.comment.as_deref()?)));
        for (number, comment) in [(0, relation.comment.as_str())].into_iter().chain(columns) {
            rows.push(vec![
                ("objoid", Int(relation.oid)),
                ("objsubid", Int(number)),
                ("description", text(comment)),
            ]);
        }
    }
    (columns, rows)
}

/// The library's has a text where PostgreSQL has the list of roles.
fn pg_policy() -> Columns {
    vec![
        ("oid", Int(0)),
        ("polname", NoText),
        ("polrelid", Int(0)),
        ("polcmd", NoText),
        ("polpermissive", Bool(true)),
        ("polroles", Array),
        ("polqual", NoText),
        ("polwithcheck", NoText),
    ]
}

fn pg_roles(objects: &Objects) -> (Columns, Vec<Row>) {
    let columns = vec![
        ("oid", Int(USER_OID)),
        ("rolname", text(&objects.user)),
        ("rolsuper", Bool(false)),
        ("rolinherit", Bool(true)),
        ("rolcreaterole", Bool(false)),
        ("rolcreatedb", Bool(false)),
        ("rolcanlogin", Bool(true)),
        ("rolreplication", Bool(false)),
        ("rolconnlimit", Int(-1)),
        ("rolpassword", text("********")),
        ("rolvaliduntil", NoText),
        ("rolbypassrls", Bool(false)),
        ("rolconfig", Array),
    ];
    (columns, vec![Vec::new()])
}

fn pg_user(objects: &Objects) -> (Columns, Vec<Row>) {
    let columns = vec![
        ("usename", text(&objects.user)),
        ("usesysid", Int(USER_OID)),
        ("usecreatedb", Bool(false)),
        ("usesuper", Bool(false)),
        ("userepl", Bool(false)),
        ("usebypassrls", Bool(false)),
        ("passwd", text("********")),
        ("valuntil", NoText),
        ("useconfig", Array),
    ];
    (columns, vec![Vec::new()])
}

fn pg_settings(variables: &Variables) -> (Columns, Vec<Row>) {
    let columns = vec![
        ("name", NoText),
        ("setting", NoText),
        ("unit", NoText),
        ("category", text("Hedgerow")),
        ("short_desc", NoText),
        ("extra_desc", NoText),
        ("context", text("user")),
        ("vartype", text("string")),
        ("source", text("session")),
        ("min_val", NoText),
        ("max_val", NoText),
        ("enumvals", Array),
        ("boot_val", NoText),
        ("reset_val", NoText),
        ("sourcefile", NoText),
        ("sourceline", Int(0)),
        ("pending_restart", Bool(false)),
    ];
    let rows = variables.all().into_iter().map(|(name, value, doc)| {
        vec![("name", text(name)), ("setting", text(&value)), ("short_desc", text(doc))]
    });
    (columns, rows.collect())
}

fn pg_tables(objects: &Objects) -> (Columns, Vec<Row>) {
    let columns = vec![
        ("schemaname", text("public")),
        ("tablename", NoText),
        ("tableowner", text(&objects.user)),
        ("tablespace", NoText),
        ("hasindexes", Bool(false)),
        ("hasrules", Bool(false)),
        ("hastriggers", Bool(false)),
        ("rowsecurity", Bool(false)),
    ];
    let rows = objects.relations.iter().filter(is_table).map(|relation| {
        vec![("schemaname", text(&relation.schema)), ("tablename", text(&relation.name))]
    });
    (columns, rows.collect())
}

fn pg_views(objects: &Objects) -> (Columns, Vec<Row>) {
    let columns = vec![
        ("schemaname", text("public")),
        ("viewname", NoText),
        ("viewowner", text(&objects.user)),
        ("definition", NoText),
    ];
    let rows = objects.relations.iter().filter_map(|relation| {
        let definition = relation.view.as_deref()?;
        Some(vec![
            ("schemaname", text(&relation.schema)),
            ("viewname", text(&relation.name)),
            ("definition", text(definition)),
        ])
    });
    (columns, rows.collect())
}

fn pg_stat_user_tables(objects: &Objects) -> (Columns, Vec<Row>) {
    let columns = vec![
        ("relid", Int(0)),
        ("schemaname", text("public")),
        ("relname", NoText),
        ("n_live_tup", Int(0)),
        ("n_dead_tup", Int(0)),
    ];
    let rows = objects
        .relations
        .iter()
        .filter(is_table)
        .map(|relation| vec![("relid", Int(relation.oid)), ("relname", text(&relation.name))]);
    (columns, rows.collect())
}

fn information_schema(name: &str, objects: &Objects) -> Option<(Columns, Vec<Row>)> {
    let catalog = || text(&objects.database);
    Some(match name {
        "schemata" => {
            let columns = vec![
                ("catalog_name", catalog()),
                ("schema_name", NoText),
                ("schema_owner", text(&objects.user)),
                ("default_character_set_name", NoText),
                ("sql_path", NoText),
            ];
            let own = objects.schemas.iter().map(|(_, name)| name.as_str());
            let names = [INFORMATION_SCHEMA, PG_CATALOG].into_iter().chain(own);
            (columns, names.map(|name| vec![("schema_name", text(name))]).collect())
        }
        "tables" => {
            let columns = vec![
                ("table_catalog", catalog()),
                ("table_schema", text("public")),
                ("table_name", NoText),
                ("table_type", text("BASE TABLE")),
                ("is_insertable_into", text("NO")),
                ("is_typed", text("NO")),
            ];
            let rows = objects.relations.iter().map(|relation| {
                let mut row = qualified(relation);
                if relation.view.is_some() {
                    row.push(("table_type", text("VIEW")));
                }
                if relation.insertable {
                    row.push(("is_insertable_into", text("YES")));
                }
                row
            });
            (columns, rows.collect())
        }
        "columns" => information_columns(objects),
        "table_privileges" => {
            let columns = vec![
                ("grantor", text(&objects.user)),
                ("grantee", text(&objects.user)),
                ("table_catalog", catalog()),
                ("table_schema", text("public")),
                ("table_name", NoText),
                ("privilege_type", text("SELECT")),
                ("is_grantable", text("NO")),
                ("with_hierarchy", text("YES")),
            ];
            (columns, objects.relations.iter().map(qualified).collect())
        }
        "views" => {
            let columns = vec![
                ("table_catalog", catalog()),
                ("table_schema", text("public")),
                ("table_name", NoText),
                ("view_definition", NoText),
                ("check_option", text("NONE")),
                ("is_updatable", text("NO")),
                ("is_insertable_into", text("NO")),
            ];
            let rows = objects.relations.iter().filter_map(|relation| {
                let definition = text(relation.view.as_deref()?);
                let mut row = qualified(relation);
                row.push(("view_definition", definition));
                Some(row)
            });
            (columns, rows.collect())
        }
        "key_column_usage" => {
            (constraint_columns(&["column_name", "ordinal_position"]), Vec::new())
        }
        "table_constraints" => (constraint_columns(&["constraint_type"]), Vec::new()),
        "constraint_column_usage" => (constraint_columns(&["column_name"]), Vec::new()),
        "referential_constraints" => (
            constraint_columns(&[
                "unique_constraint_catalog",
                "unique_constraint_schema",
                "unique_constraint_name",
                "match_option",
                "update_rule",
                "delete_rule",
            ]),
            Vec::new(),
        ),
        "routines" => (
            texts(&[
                "specific_name",
                "routine_catalog",
                "routine_schema",
                "routine_name",
                "routine_type",
                "data_type",
            ]),
            Vec::new(),
        ),
        _ => return None,
    })
}

fn information_columns(objects: &Objects) -> (Columns, Vec<Row>) {
    let columns = vec![
        ("table_catalog", text(&objects.database)),
        ("table_schema", text("public")),
        ("table_name", NoText),
        ("column_name", NoText),
        ("ordinal_position", Int(0)),
        ("column_default", NoText),
        ("is_nullable", text("YES")),
        ("data_type", NoText),
        ("character_maximum_length", NoText),
        ("numeric_precision", NoText),
        ("numeric_scale", NoText),
        ("datetime_precision", NoText),
        ("udt_catalog", text(&objects.database)),
        ("udt_schema", text(PG_CATALOG)),
        ("udt_name", NoText),
        ("is_identity", text("NO")),
        ("is_generated", text("NEVER")),
        ("is_updatable", text("NO")),
    ];
    let rows = objects.relations.iter().flat_map(|relation| {
        relation.columns.iter().map(|column| {
            let udt = pgwire::api::Type::from_oid(column.type_oid as u32);
            let array = column.type_name.ends_with("[]");
            let mut row = vec![
                ("table_schema", text(&relation.schema)),
                ("table_name", text(&relation.name)),
                ("column_name", text(&column.name)),
                ("ordinal_position", Int(i32::from(column.number))),
                ("is_nullable", text(if column.nullable { "YES" } else { "NO" })),
                ("data_type", text(if array { "ARRAY" } else { &column.type_name })),
                ("udt_name", text(udt.as_ref().map_or("text", |udt| udt.name()))),
            ];
            if let Some((precision, scale)) = column.numeric {
                row.push(("numeric_precision", Text(precision.to_string())));
                row.push(("numeric_scale", Text(scale.to_string())));
            }
            row
        })
    });
    (columns, rows.collect())
}

fn is_table(relation: &&Relation) -> bool {
    relation.view.is_none()
}

/// A row that only names a table.
fn qualified(relation: &Relation) -> Row {
    vec![("table_schema", text(&relation.schema)), ("table_name", text(&relation.name))]
}

fn constraint_columns(others: &[&'static str]) -> Columns {
    let mut columns = texts(&[
        "constraint_catalog",
        "constraint_schema",
        "constraint_name",
        "table_catalog",
        "table_schema",
        "table_name",
    ]);
    columns.extend(texts(others));
    columns
}

fn texts(names: &[&'static str]) -> Columns {
    names.iter().map(|name| (*name, NoText)).collect()
}

fn text(value: &str) -> Cell {
    Text(value.to_owned())
}

fn batch(columns: &Columns, rows: &[Row]) -> Result<RecordBatch> {
    let mut fields = Vec::new();
    let mut arrays = Vec::new();
    for (name, default) in columns {
        let cells = rows.iter().map(|row| {
            row.iter().find(|(column, _)| column == name).map_or(default, |(_, cell)| cell)
        });
        let array = array(default, cells);
        fields.push(Field::new(*name, array.data_type().clone(), true));
        arrays.push(array);
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

/// One column; `default` decides its type, and a cell of another type is NULL.
fn array<'a>(default: &Cell, cells: impl ExactSizeIterator<Item = &'a Cell>) -> ArrayRef {
    macro_rules! collect {
        ($array:ty, $variant:path) => {
            Arc::new(
                cells
                    .map(|cell| match cell {
                        $variant(value) => Some(value.clone()),
                        _ => None,
                    })
                    .collect::<$array>(),
            )
        };
    }
    match default {
        Bool(_) => collect!(BooleanArray, Bool),
        Small(_) => collect!(Int16Array, Small),
        Int(_) => collect!(Int32Array, Int),
        Real(_) => collect!(Float32Array, Real),
        Text(_) | NoText => collect!(StringArray, Text),
        Array | Numbers => {
            let element = match default {
                Array => DataType::Utf8,
                _ => DataType::Int16,
            };
            let item = Arc::new(Field::new_list_field(element, true));
            Arc::new(ListArray::new_null(item, cells.len()))
        }
    }
}
