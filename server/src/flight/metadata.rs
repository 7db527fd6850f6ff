//! What the server says about itself and its data.

use arrow_flight::error::Result;
use arrow_flight::sql::metadata::{
    SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder,
};
use arrow_flight::sql::{
    Nullable, Searchable, SqlInfo, SqlNullOrdering, SqlSupportedTransaction, XdbcDataType,
};

/// The types of tables.
pub(super) const TABLE_TYPES: [&str; 2] = [TABLE, VIEW];
pub(super) const TABLE: &str = "TABLE";
pub(super) const VIEW: &str = "VIEW";

/// Facts about the server.
///
/// # Errors
/// Internal ones: the facts are constant.
pub(super) fn sql_info() -> Result<SqlInfoData> {
    let mut info = SqlInfoDataBuilder::new();
    info.append(SqlInfo::FlightSqlServerName, "Hedgerow");
    info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    info.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
    info.append(SqlInfo::FlightSqlServerReadOnly, false);
    info.append(SqlInfo::FlightSqlServerSql, true);
    info.append(SqlInfo::FlightSqlServerSubstrait, false);
    info.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    info.append(SqlInfo::FlightSqlServerCancel, false);
    info.append(SqlInfo::FlightSqlServerBulkIngestion, true);
    info.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    info.append(SqlInfo::SqlDdlCatalog, false);
    info.append(SqlInfo::SqlDdlSchema, false);
    info.append(SqlInfo::SqlDdlTable, true);
    info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    info.append(SqlInfo::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedAtEnd as i32);
    info.append(SqlInfo::SqlAllTablesAreSelectable, true);
    info.append(SqlInfo::SqlSchemaTerm, "schema");
    info.append(SqlInfo::SqlCatalogTerm, "project");
    info.append(SqlInfo::SqlTransactionsSupported, false);
    info.build()
}

/// The types a result may have, as ODBC and JDBC number them.
///
/// # Errors
/// Internal ones: the types are constant.
pub(super) fn type_info() -> Result<XdbcTypeInfoData> {
    use XdbcDataType as X;
    let mut types = XdbcTypeInfoDataBuilder::new();
    for (name, data_type, size, quoted) in [
        ("Bool", X::XdbcBit, 1, false),
        ("Int8", X::XdbcTinyint, 3, false),
        ("Int16", X::XdbcSmallint, 5, false),
        ("Int32", X::XdbcInteger, 10, false),
        ("Int64", X::XdbcBigint, 19, false),
        ("UInt64", X::XdbcNumeric, 20, false),
        ("Float32", X::XdbcReal, 7, false),
        ("Float64", X::XdbcDouble, 15, false),
        ("Decimal", X::XdbcDecimal, 38, false),
        ("String", X::XdbcVarchar, i32::MAX, true),
        ("JSON", X::XdbcVarchar, i32::MAX, true),
        ("UUID", X::XdbcBinary, 16, true),
        ("Date", X::XdbcDate, 10, true),
        ("DateTime", X::XdbcTimestamp, 26, true),
    ] {
        types.append(XdbcTypeInfo {
            type_name: name.to_owned(),
            data_type,
            column_size: Some(size),
            literal_prefix: quoted.then(|| "'".to_owned()),
            literal_suffix: quoted.then(|| "'".to_owned()),
            create_params: None,
            nullable: Nullable::NullabilityNullable,
            case_sensitive: quoted,
            searchable: Searchable::Full,
            unsigned_attribute: Some(name.starts_with('U')),
            fixed_prec_scale: false,
            auto_increment: Some(false),
            local_type_name: Some(name.to_owned()),
            minimum_scale: None,
            maximum_scale: None,
            sql_data_type: data_type,
            datetime_subcode: None,
            num_prec_radix: (!quoted).then_some(10),
            interval_precision: None,
        });
    }
    types.build()
}
