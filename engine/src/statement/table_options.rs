//! `ALTER TABLE events SET (option = value)`: what upkeep does with a project's events.

use hedgerow_parser::ast::{Expr, ExprKind, Ident, Literal, RelationKind};

use super::Work;
use super::definitions::{change, find};
use crate::answer::{Notice, ResultStream};
use crate::catalog::{plain_name, span_of};
use crate::error::{Error, ErrorKind, Result, did_you_mean};
use crate::storage::Definitions;

const RETENTION_DAYS: &str = "retention_days";
/// A hundred years.
const DAYS_MAX: u32 = 36_525;

/// Sets options, or takes them back where they have no value: all of them, or none.
pub(super) async fn alter(
    work: &Work,
    if_exists: bool,
    table: &[Ident],
    options: &[(Ident, Option<Expr>)],
) -> Result<ResultStream> {
    let notice = change(work, |catalog| {
        let plain = plain_name(table);
        if plain != "events" {
            return match find(catalog, RelationKind::Table, table) {
                Err(error) if if_exists && error.kind == ErrorKind::UnknownTable => {
                    let message = format!("table {plain} does not exist, skipping");
                    Ok((None, Some(Notice::new(message))))
                }
                Err(error) => Err(error),
                Ok(_) => Err(Error::unsupported("tables of your own have no options")
                    .at(span_of(table))
                    .hint("events has retention_days.")),
            };
        }
        let mut changed = Definitions::clone(catalog.definitions());
        for (name, value) in options {
            check_name(name)?;
            changed.retention_days = value.as_ref().map(days).transpose()?;
        }
        Ok((Some(changed), None))
    })
    .await?;
    Ok(ResultStream::done("ALTER TABLE", None).with_notices(notice))
}

fn check_name(name: &Ident) -> Result<()> {
    if name.name == RETENTION_DAYS {
        return Ok(());
    }
    let message = format!("events has no option named {}", name.name);
    let hint = did_you_mean(&name.name, [RETENTION_DAYS]);
    Err(Error::new(ErrorKind::UnknownObject, message)
        .at(name.span)
        .hint(hint.unwrap_or_else(|| format!("There is {RETENTION_DAYS}."))))
}

fn days(value: &Expr) -> Result<u32> {
    let days = match &value.kind {
        ExprKind::Literal(Literal::Int(days)) => u32::try_from(*days).ok(),
        _ => None,
    };
    days.filter(|days| (1..=DAYS_MAX).contains(days)).ok_or_else(|| {
        let message = format!("{RETENTION_DAYS} is a whole number from 1 to {DAYS_MAX}");
        Error::new(ErrorKind::InvalidArgument, message)
            .at(value.span)
            .hint("RESET (retention_days) keeps events for ever.")
    })
}
