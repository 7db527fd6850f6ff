//! Statements as text.

use std::fmt::{self, Formatter};

use super::{comma_separated, dotted, expr, name, query, quoted_name, string, types};
use crate::ast::{
    Copy, CopyFormat, CopyFrom, CopyHeader, CopyTarget, Delete, Described, Explain, ExplainFormat,
    Expr, ExprKind, Ident, Pattern, RelationKind, SetValue, Show, StatementKind, TableContent,
};
use crate::grammar::power;

pub(super) fn statement(f: &mut Formatter<'_>, kind: &StatementKind) -> fmt::Result {
    match kind {
        StatementKind::Query(query) => query::query(f, query),
        StatementKind::Explain(explain) => self::explain(f, explain),
        StatementKind::Show(show) => self::show(f, show),
        StatementKind::Describe(Described::Table(table)) => {
            f.write_str("DESCRIBE ")?;
            dotted(f, table)
        }
        StatementKind::Describe(Described::Query(query)) => write!(f, "DESCRIBE {query}"),
        StatementKind::Set { name, value } => {
            f.write_str("SET ")?;
            dotted(f, name)?;
            f.write_str(" = ")?;
            match value {
                SetValue::Text(text) => string(f, text),
                // Bare, it would be the word.
                SetValue::Expr(value) if is_column(value, "default") => write!(f, "({value})"),
                SetValue::Expr(value) => expr::expr(f, value, power::ALIAS),
                SetValue::Default => f.write_str("DEFAULT"),
            }
        }
        StatementKind::Reset(None) => f.write_str("RESET ALL"),
        StatementKind::Reset(Some(setting)) => {
            f.write_str("RESET ")?;
            dotted(f, setting)
        }
        StatementKind::CreateView { replace, name, columns, query } => {
            let or_replace = if *replace { " OR REPLACE" } else { "" };
            write!(f, "CREATE{or_replace} VIEW ")?;
            dotted(f, name)?;
            column_names(f, columns)?;
            write!(f, " AS {query}")
        }
        StatementKind::CreateTable { if_not_exists, name, content } => {
            let condition = if *if_not_exists { "IF NOT EXISTS " } else { "" };
            write!(f, "CREATE TABLE {condition}")?;
            dotted(f, name)?;
            table_content(f, content)
        }
        StatementKind::Drop { kind, if_exists, names, cascade } => {
            let condition = if *if_exists { "IF EXISTS " } else { "" };
            write!(f, "DROP {} {condition}", kind_word(*kind))?;
            comma_separated(f, names, |f, name| dotted(f, name))?;
            f.write_str(if *cascade { " CASCADE" } else { "" })
        }
        StatementKind::Rename { kind, if_exists, name: old, to } => {
            let condition = if *if_exists { "IF EXISTS " } else { "" };
            write!(f, "ALTER {} {condition}", kind_word(*kind))?;
            dotted(f, old)?;
            f.write_str(" RENAME TO ")?;
            name(f, &to.name)
        }
        StatementKind::AlterColumn { if_exists, table, column, ty } => {
            let condition = if *if_exists { "IF EXISTS " } else { "" };
            write!(f, "ALTER TABLE {condition}")?;
            dotted(f, table)?;
            f.write_str(" ALTER COLUMN ")?;
            dotted(f, column)?;
            match ty {
                Some(ty) => {
                    f.write_str(" SET DATA TYPE ")?;
                    name(f, &ty.name)
                }
                None => f.write_str(" DROP TYPE"),
            }
        }
        StatementKind::AlterOptions { if_exists, table, options } => {
            let condition = if *if_exists { "IF EXISTS " } else { "" };
            write!(f, "ALTER TABLE {condition}")?;
            dotted(f, table)?;
            let sets = options.iter().any(|(_, value)| value.is_some());
            f.write_str(if sets { " SET (" } else { " RESET (" })?;
            comma_separated(f, options, |f, (option, value)| {
                name(f, &option.name)?;
                value.as_ref().map_or(Ok(()), |value| write!(f, " = {value}"))
            })?;
            f.write_str(")")
        }
        StatementKind::Insert { table, columns, source } => {
            f.write_str("INSERT INTO ")?;
            dotted(f, table)?;
            column_names(f, columns)?;
            write!(f, " {source}")
        }
        StatementKind::Delete(delete) => {
            let Delete { from, condition } = delete.as_ref();
            f.write_str("DELETE FROM ")?;
            query::source(f, from)?;
            match condition {
                Some(condition) => write!(f, " WHERE {condition}"),
                None => Ok(()),
            }
        }
        StatementKind::Copy(copy) => self::copy(f, copy),
        StatementKind::CopyFrom(copy) => copy_from(f, copy),
        StatementKind::Prepare { name: prepared, types, statement } => {
            f.write_str("PREPARE ")?;
            name(f, &prepared.name)?;
            if !types.is_empty() {
                f.write_str(" (")?;
                comma_separated(f, types, types::type_name)?;
                f.write_str(")")?;
            }
            write!(f, " AS {statement}")
        }
        StatementKind::Execute { name: prepared, args } => {
            f.write_str("EXECUTE ")?;
            name(f, &prepared.name)?;
            if args.is_empty() {
                return Ok(());
            }
            f.write_str("(")?;
            super::exprs(f, args)?;
            f.write_str(")")
        }
        StatementKind::Deallocate(None) => f.write_str("DEALLOCATE ALL"),
        StatementKind::Deallocate(Some(prepared)) => {
            f.write_str("DEALLOCATE ")?;
            name(f, &prepared.name)
        }
    }
}

fn explain(f: &mut Formatter<'_>, explain: &Explain) -> fmt::Result {
    f.write_str("EXPLAIN ")?;
    f.write_str(if explain.analyze { "ANALYZE " } else { "" })?;
    f.write_str(if explain.verbose { "VERBOSE " } else { "" })?;
    f.write_str(match explain.format {
        ExplainFormat::Text => "",
        ExplainFormat::Json => "FORMAT JSON ",
    })?;
    query::query(f, &explain.query)
}

fn show(f: &mut Formatter<'_>, show: &Show) -> fmt::Result {
    f.write_str("SHOW ")?;
    let pattern = match show {
        Show::Tables(pattern) => {
            f.write_str("TABLES")?;
            pattern
        }
        Show::Columns(table, pattern) => {
            f.write_str("COLUMNS FROM ")?;
            dotted(f, table)?;
            pattern
        }
        Show::Functions(pattern) => {
            f.write_str("FUNCTIONS")?;
            pattern
        }
        Show::Settings(pattern) => {
            f.write_str("SETTINGS")?;
            pattern
        }
        Show::Create(kind, name) => {
            write!(f, "CREATE {} ", kind_word(*kind))?;
            return dotted(f, name);
        }
        // Bare, these words show something else.
        Show::Setting(setting) => match setting.as_slice() {
            [only] if is_any(&only.name, &["tables", "functions", "create"]) => {
                return quoted_name(f, &only.name);
            }
            _ => return dotted(f, setting),
        },
    };
    match pattern {
        None => Ok(()),
        Some(Pattern { text, case_sensitive }) => {
            f.write_str(if *case_sensitive { " LIKE " } else { " ILIKE " })?;
            string(f, text)
        }
    }
}

fn table_content(f: &mut Formatter<'_>, content: &TableContent) -> fmt::Result {
    match content {
        TableContent::Columns(columns) => {
            f.write_str(" (")?;
            comma_separated(f, columns, |f, (column, ty)| {
                name(f, &column.name)?;
                f.write_str(" ")?;
                types::column_type(f, ty)
            })?;
            f.write_str(")")
        }
        TableContent::Query { columns, query } => {
            column_names(f, columns)?;
            write!(f, " AS {query}")
        }
    }
}

fn copy(f: &mut Formatter<'_>, copy: &Copy) -> fmt::Result {
    write!(f, "COPY ({}) TO ", copy.query)?;
    match &copy.target {
        CopyTarget::File(path, _) => string(f, path)?,
        CopyTarget::Stdout => f.write_str("STDOUT")?,
    }
    let format = copy.format.map(format_option);
    let header = copy.header.map(|on| if on { "HEADER true" } else { "HEADER false" });
    let options: Vec<&str> = format.into_iter().chain(header).collect();
    if options.is_empty() {
        return Ok(());
    }
    write!(f, " WITH ({})", options.join(", "))
}

fn copy_from(f: &mut Formatter<'_>, copy: &CopyFrom) -> fmt::Result {
    f.write_str("COPY ")?;
    dotted(f, &copy.table)?;
    column_names(f, &copy.columns)?;
    f.write_str(" FROM STDIN")?;
    let header = copy.header.map(|header| match header {
        CopyHeader::Row => "HEADER false",
        CopyHeader::Skip => "HEADER true",
        CopyHeader::Match => "HEADER match",
    });
    let mut separator = " WITH (";
    for word in copy.format.map(format_option).into_iter().chain(header) {
        write!(f, "{separator}{word}")?;
        separator = ", ";
    }
    for (name, value) in [
        ("DELIMITER", &copy.delimiter),
        ("NULL", &copy.null),
        ("QUOTE", &copy.quote),
        ("ESCAPE", &copy.escape),
    ] {
        let Some(value) = value else { continue };
        write!(f, "{separator}{name} ")?;
        string(f, value)?;
        separator = ", ";
    }
    f.write_str(if separator == ", " { ")" } else { "" })
}

fn format_option(format: CopyFormat) -> &'static str {
    match format {
        CopyFormat::Csv => "FORMAT csv",
        CopyFormat::Parquet => "FORMAT parquet",
        CopyFormat::Text => "FORMAT text",
    }
}

fn column_names(f: &mut Formatter<'_>, columns: &[Ident]) -> fmt::Result {
    if columns.is_empty() {
        return Ok(());
    }
    f.write_str(" (")?;
    comma_separated(f, columns, |f, column| name(f, &column.name))?;
    f.write_str(")")
}

fn is_column(value: &Expr, name: &str) -> bool {
    matches!(&value.kind, ExprKind::Field(parts) if matches!(parts.as_slice(), [only] if is_any(&only.name, &[name])))
}

fn is_any(name: &str, words: &[&str]) -> bool {
    words.iter().any(|word| name.eq_ignore_ascii_case(word))
}

fn kind_word(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::View => "VIEW",
        RelationKind::Table => "TABLE",
    }
}
