//! Whether the property columns of a file say what its documents say: all documents are cut into
//! columns anew, as they were when the file was written.

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;

use crate::error::Result;
use crate::storage::build::column;
use crate::storage::shred::{
    Choice, DOCUMENTS, Layout, Layouts, NumberForm, Shredder, column_name,
};

/// The columns of documents that are checked.
#[derive(Debug)]
pub(super) struct Documents {
    columns: Vec<Shredded>,
}

/// One of them.
#[derive(Debug)]
struct Shredded {
    name: &'static str,
    prefix: &'static str,
    layout: Layout,
    /// Made when the types of the file's columns are at hand.
    shredder: Option<Shredder>,
    /// The columns that differ from what the documents say.
    differing: BTreeSet<String>,
    unreadable: Option<String>,
}

impl Documents {
    /// Of a file with these layouts. Those of older versions were cut by other rules and are not
    /// checked; nor are those of other writers, which nobody reads by.
    pub(super) fn of(mut layouts: Layouts, is_ours: bool) -> Self {
        let columns = DOCUMENTS.into_iter().filter_map(|(name, prefix)| {
            let layout = layouts.remove(name).filter(|layout| is_ours && layout.is_newest())?;
            Some(Shredded {
                name,
                prefix,
                layout,
                shredder: None,
                differing: BTreeSet::new(),
                unreadable: None,
            })
        });
        Self { columns: columns.collect() }
    }

    /// Looks at rows as they are in the file, and in the columns of `events`.
    pub(super) fn add(&mut self, file: &RecordBatch, events: &RecordBatch) -> Result<()> {
        self.columns.iter_mut().try_for_each(|column| column.add(file, events))
    }

    pub(super) fn problems(self) -> Vec<String> {
        self.columns.into_iter().filter_map(Shredded::problem).collect()
    }
}

impl Shredded {
    fn add(&mut self, file: &RecordBatch, events: &RecordBatch) -> Result<()> {
        if self.unreadable.is_some() {
            return Ok(());
        }
        if self.shredder.is_none() {
            self.shredder = self.open(file);
        }
        let Some(shredder) = &mut self.shredder else {
            self.unreadable =
                Some(format!("its columns of {} are not those of its footer", self.name));
            return Ok(());
        };
        let mut shredded = shredder.shred(column(events, self.name)?.as_string_view());
        shredder.leave_out_twins(&mut shredded, events)?;
        for (field, expected) in shredder.fields().iter().zip(&shredded) {
            let found = file.column_by_name(field.name());
            let is_same = match found {
                Some(found) => cast(expected, found.data_type())?.as_ref() == found.as_ref(),
                None => false,
            };
            if !is_same {
                self.differing.insert(field.name().clone());
            }
        }
        Ok(())
    }

    fn open(&self, file: &RecordBatch) -> Option<Shredder> {
        let form_of = |path: &str| {
            let column = file.column_by_name(&column_name(self.prefix, 'n', path))?;
            NumberForm::of(column.data_type())
        };
        Some(Shredder::new(self.prefix, Choice::of_layout(&self.layout, form_of)?))
    }

    fn problem(self) -> Option<String> {
        if self.unreadable.is_some() {
            return self.unreadable;
        }
        let (documents, differing) = (self.name, self.differing);
        if let Some(first) = differing.first() {
            let others = match differing.len() {
                1 => String::new(),
                count => format!(" and {} other columns", count - 1),
            };
            return Some(format!("{first}{others} do not say what {documents} says"));
        }
        let (layout, _) = self.shredder?.finish();
        let agrees = layout == self.layout;
        (!agrees)
            .then(|| format!("its footer does not say what its columns of {documents} leave out"))
    }
}
