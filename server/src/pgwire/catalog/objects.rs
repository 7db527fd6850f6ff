//! What the catalog presents: the project, its tables and their columns, under OIDs that are the
//! same on every server and after every restart.

use hedgerow_engine::{TableInfo, Type};

use crate::pgwire::types::{pg_type, type_length, type_modifier};
use crate::server::{DEFAULT_SCHEMA, schema_and_name};

pub(super) const PG_CATALOG_OID: i32 = 11;
pub(super) const PUBLIC_OID: i32 = 2200;
pub(super) const INFORMATION_SCHEMA_OID: i32 = 13_388;
/// The one role there is: the user of the session.
pub(super) const USER_OID: i32 = 10;
/// `pg_class` as the class of described objects.
pub(super) const PG_CLASS_OID: i32 = 1259;

/// The project as one user sees it.
#[derive(Debug)]
pub(super) struct Objects {
    pub database: String,
    pub database_oid: i32,
    pub user: String,
    /// The schemas of the relations, with their OIDs.
    pub schemas: Vec<(i32, String)>,
    pub relations: Vec<Relation>,
}

/// A table or view.
#[derive(Debug)]
pub(super) struct Relation {
    pub oid: i32,
    pub type_oid: i32,
    pub namespace: i32,
    pub schema: String,
    pub name: String,
    pub comment: String,
    pub columns: Vec<Attribute>,
    /// The query of a view.
    pub view: Option<String>,
    pub insertable: bool,
}

/// A column.
#[derive(Debug)]
pub(super) struct Attribute {
    pub number: i16,
    pub name: String,
    pub type_oid: i32,
    pub type_length: i16,
    pub type_modifier: i32,
    /// As `information_schema` spells it.
    pub type_name: String,
    pub numeric: Option<(i32, i32)>,
    pub nullable: bool,
    pub comment: Option<String>,
}

impl Objects {
    pub(super) fn new(database: &str, user: &str, tables: Vec<TableInfo>) -> Self {
        let mut schemas = vec![(PUBLIC_OID, DEFAULT_SCHEMA.to_owned())];
        let mut relations = Vec::new();
        for table in tables {
            let (schema, name) = schema_and_name(&table.name);
            let namespace = match schemas.iter().find(|(_, known)| known == schema) {
                Some((known, _)) => *known,
                None => {
                    schemas.push((oid(&[database, schema, "schema"]), schema.to_owned()));
                    oid(&[database, schema, "schema"])
                }
            };
            relations.push(Relation {
                oid: oid(&[database, &table.name]),
                type_oid: oid(&[database, &table.name, "type"]),
                namespace,
                schema: schema.to_owned(),
                name: name.to_owned(),
                comment: table.doc.clone(),
                columns: attributes(&table),
                view: table.view,
                insertable: table.insertable,
            });
        }
        Self {
            database: database.to_owned(),
            database_oid: oid(&[database]),
            user: user.to_owned(),
            schemas,
            relations,
        }
    }

    /// The table with that OID.
    pub(super) fn relation(&self, oid: i32) -> Option<&Relation> {
        self.relations.iter().find(|relation| relation.oid == oid)
    }
}

fn attributes(table: &TableInfo) -> Vec<Attribute> {
    let columns = table.schema.fields().iter().zip(1_i16..).map(|(field, number)| {
        let ty = Type::from_field(field);
        let pg = pg_type(&ty);
        Attribute {
            number,
            name: field.name().clone(),
            type_oid: pg.oid() as i32,
            type_length: type_length(&pg),
            type_modifier: type_modifier(&ty),
            type_name: type_name(pg.oid() as i32, -1),
            numeric: match ty {
                Type::Decimal(precision, scale) => Some((i32::from(precision), i32::from(scale))),
                _ => None,
            },
            nullable: field.is_nullable(),
            comment: field.metadata().get("comment").cloned(),
        }
    });
    columns.collect()
}

/// A number for a name, in the half of the OIDs that PostgreSQL itself hands out last. FNV-1a:
/// short, fixed for ever, and spread well enough for a handful of names.
fn oid(path: &[&str]) -> i32 {
    let mut hash = 0x811c_9dc5_u32;
    for part in path {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    }
    (0x4000_0000 | (hash & 0x3fff_ffff)) as i32
}

/// A type as `format_type` spells it.
pub(super) fn type_name(oid: i32, modifier: i32) -> String {
    let Some(ty) = pgwire::api::Type::from_oid(oid as u32) else {
        return "???".to_owned();
    };
    let name = match ty.name() {
        array if array.starts_with('_') => {
            let element = crate::pgwire::types::element_type(&ty);
            let element = element.map_or(-1, |element| element.oid() as i32);
            return format!("{}[]", type_name(element, modifier));
        }
        "bool" => "boolean",
        "int2" => "smallint",
        "int4" => "integer",
        "int8" => "bigint",
        "float4" => "real",
        "float8" => "double precision",
        "bpchar" => "character",
        "varchar" => "character varying",
        "timestamp" => "timestamp without time zone",
        "timestamptz" => "timestamp with time zone",
        "time" => "time without time zone",
        "timetz" => "time with time zone",
        "char" => "\"char\"",
        other => other,
    };
    match (name, modifier) {
        ("numeric", 4..) => {
            let (precision, scale) = ((modifier - 4) >> 16, (modifier - 4) & 0x7ff);
            format!("numeric({precision},{scale})")
        }
        ("character" | "character varying", 4..) => format!("{name}({})", modifier - 4),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // As PostgreSQL 15's format_type answers.
    #[test]
    fn type_names() {
        for (oid, modifier, expected) in [
            (25, -1, "text"),
            (1184, -1, "timestamp with time zone"),
            (1700, -1, "numeric"),
            (1700, 786_438, "numeric(12,2)"),
            (1231, -1, "numeric[]"),
            (1009, -1, "text[]"),
            (2950, -1, "uuid"),
            (1187, -1, "interval[]"),
            (999_999, -1, "???"),
        ] {
            assert_eq!(type_name(oid, modifier), expected);
        }
    }

    #[test]
    fn oids_never_change() {
        // FNV-1a of "default\0events\0" by another program; clients may store OIDs.
        assert_eq!(oid(&["default", "events"]), 1_319_955_853);
        assert_ne!(oid(&["default", "events"]), oid(&["other", "events"]));
        assert!(oid(&["default"]) >= 0x4000_0000);
    }
}
