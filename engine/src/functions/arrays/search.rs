//! Looking for elements, and removing equal ones.

use std::collections::{HashMap, HashSet};

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use arrow::row::{Row, RowConverter, Rows, SortField};

use super::{Lists, Picker, element_of, same_arrays, same_element};
use crate::error::Result;
use crate::functions::arguments::Arguments;
use crate::functions::function::{Arg, Function, Nulls, Returns};
use crate::types::Type;

/// Membership and duplicates.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    Function::scalar("has", &[Arg::Array, Arg::Any], Returns::Bool, |args| {
        let search = Search::new(args)?;
        Ok(args.bools(|row| Some(search.places(row)?.next().is_some())))
    })
    .prepare(same_element)
    .nulls(Nulls::Custom)
    .doc("True if the element is in the array.")
    .examples(&[("has([1, 2], 2)", "true"), ("has(['a', NULL], NULL)", "true")]),
    Function::scalar("indexOf", &[Arg::Array, Arg::Any], Returns::Int, |args| {
        let search = Search::new(args)?;
        Ok(args.ints(|row| Some(search.places(row)?.next().map_or(0, |place| place as i64 + 1))))
    })
    .prepare(same_element)
    .nulls(Nulls::Custom)
    .doc("The 1-based place of the first such element; 0 if there is none.")
    .examples(&[("indexOf([1, 2, 2], 2)", "2"), ("indexOf([1], 5)", "0")]),
    Function::scalar("countEqual", &[Arg::Array, Arg::Any], Returns::Int, |args| {
        let search = Search::new(args)?;
        Ok(args.ints(|row| Some(search.places(row)?.count() as i64)))
    })
    .prepare(same_element)
    .nulls(Nulls::Custom)
    .doc("How often the element is in the array.")
    .examples(&[("countEqual([1, 2, 2], 2)", "2")]),
    Function::scalar("hasAny", &[Arg::Array, Arg::Array], Returns::Bool, |args| {
        sets(args, |left, right| !left.is_disjoint(right))
    })
    .prepare(same_arrays)
    .doc("True if the arrays have an element in common.")
    .examples(&[("hasAny([1, 2], [2, 3])", "true"), ("hasAny([1], [])", "false")]),
    Function::scalar("hasAll", &[Arg::Array, Arg::Array], Returns::Bool, |args| {
        sets(args, |left, right| right.is_subset(left))
    })
    .prepare(same_arrays)
    .doc("True if all elements of the second array are in the first.")
    .examples(&[("hasAll([1, 2], [2])", "true"), ("hasAll([1, 2], [2, 3])", "false")]),
    Function::scalar("hasSubstr", &[Arg::Array, Arg::Array], Returns::Bool, |args| {
        let (lists, parts) = (Lists::new(args, 0), Lists::new(args, 1));
        let (rows, wanted) = two_rows(lists.values(), parts.values())?;
        Ok(args.bools(|row| {
            let (list, part) = (lists.range(row)?, parts.range(row)?);
            let (length, width) = (list.len(), part.len());
            let fits = |at: usize| {
                (0..width).all(|i| rows.row(list.start + at + i) == wanted.row(part.start + i))
            };
            Some(width <= length && (0..=length - width).any(fits))
        }))
    })
    .prepare(same_arrays)
    .doc("True if the second array occurs in the first, in one piece.")
    .examples(&[
        ("hasSubstr([1, 2, 3], [2, 3])", "true"),
        ("hasSubstr([1, 2, 3], [3, 2])", "false"),
    ]),
    Function::scalar("arrayDistinct", &[Arg::Array], Returns::First, |args| {
        filtered(args, |seen, row, null| !null && seen.insert(row))
    })
    .doc("Every element once, in the order of first occurrence, without NULL.")
    .examples(&[("arrayDistinct([3, 1, 3, NULL])", "[3,1]")]),
    Function::scalar("arrayCompact", &[Arg::Array], Returns::First, |args| {
        filtered(args, |last, row, _| {
            let new = !last.contains(&row);
            last.clear();
            last.insert(row);
            new
        })
    })
    .doc("Without elements that equal the one before.")
    .examples(&[("arrayCompact([1, 1, 2, 1])", "[1,2,1]")]),
    Function::scalar("arrayUniq", &[Arg::Array], Returns::Int, |args| {
        let lists = Lists::new(args, 0);
        let rows = rows(lists.values())?;
        Ok(args.ints(|row| {
            let elements: HashSet<_> = lists.range(row)?.map(|place| rows.row(place)).collect();
            Some(elements.len() as i64)
        }))
    })
    .doc("The number of different elements.")
    .examples(&[("arrayUniq([1, 1, 2])", "2")]),
    Function::scalar("arrayIntersect", &[Arg::Array], Returns::First, intersect)
        .variadic()
        .prepare(same_arrays)
        .doc("The elements that are in all arrays, each once, in the order of the first array.")
        .examples(&[("arrayIntersect([1, 2, 3], [3, 1])", "[1,3]")]),
    Function::scalar(
        "arrayEnumerateUniq",
        &[Arg::Array],
        Returns::Derived(|_| Ok(Type::Int64.array())),
        |args| {
            numbered(args, |seen, row| {
                let count = seen.entry(row).or_insert(0);
                *count += 1;
                *count
            })
        },
    )
    .doc("For each element, how often it has occurred so far.")
    .examples(&[("arrayEnumerateUniq([1, 1, 2])", "[1,2,1]")]),
    Function::scalar(
        "arrayEnumerateDense",
        &[Arg::Array],
        Returns::Derived(|_| Ok(Type::Int64.array())),
        |args| {
            numbered(args, |seen, row| {
                let next = seen.len() as i64 + 1;
                *seen.entry(row).or_insert(next)
            })
        },
    )
    .doc("For each element, the number of its first occurrence among the different ones.")
    .examples(&[("arrayEnumerateDense([5, 6, 5])", "[1,2,1]")]),
];

/// Values in a form that can be compared and hashed.
fn rows(values: &ArrayRef) -> Result<Rows> {
    let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
    Ok(converter.convert_columns(std::slice::from_ref(values))?)
}

/// Two arrays of one type in one comparable form.
fn two_rows(a: &ArrayRef, b: &ArrayRef) -> Result<(Rows, Rows)> {
    let converter = RowConverter::new(vec![SortField::new(a.data_type().clone())])?;
    let a = converter.convert_columns(std::slice::from_ref(a))?;
    let b = converter.convert_columns(std::slice::from_ref(b))?;
    Ok((a, b))
}

/// Looks for the second argument in the first.
struct Search<'a> {
    lists: Lists<'a>,
    elements: Rows,
    wanted: Rows,
    constant: bool,
}

impl<'a> Search<'a> {
    fn new(args: &'a Arguments<'_>) -> Result<Self> {
        let lists = Lists::new(args, 0);
        let (elements, wanted) = two_rows(lists.values(), args.raw(1))?;
        Ok(Self { lists, elements, wanted, constant: args.is_constant(1) })
    }

    /// The places, from 0, at which it stands; none when the array is NULL.
    fn places(&self, row: usize) -> Option<impl Iterator<Item = usize>> {
        let range = self.lists.range(row)?;
        let wanted = self.wanted.row(if self.constant { 0 } else { row });
        let start = range.start;
        let found = range.filter(move |place| self.elements.row(*place) == wanted);
        Some(found.map(move |place| place - start))
    }
}

/// A kernel over the elements of two arrays.
fn sets(
    args: &Arguments<'_>,
    test: fn(&HashSet<Row<'_>>, &HashSet<Row<'_>>) -> bool,
) -> Result<ArrayRef> {
    let (left, right) = (Lists::new(args, 0), Lists::new(args, 1));
    let (left_rows, right_rows) = two_rows(left.values(), right.values())?;
    Ok(args.bools(|row| {
        let left: HashSet<_> = left.range(row)?.map(|place| left_rows.row(place)).collect();
        let right: HashSet<_> = right.range(row)?.map(|place| right_rows.row(place)).collect();
        Some(test(&left, &right))
    }))
}

/// A kernel that keeps some of the elements.
fn filtered(
    args: &Arguments<'_>,
    keep: for<'r> fn(&mut HashSet<Row<'r>>, Row<'r>, bool) -> bool,
) -> Result<ArrayRef> {
    let lists = Lists::new(args, 0);
    let (values, rows) = (lists.values(), rows(lists.values())?);
    let all_null = values.data_type() == &DataType::Null;
    let mut picker = Picker::new(args.rows);
    for row in 0..args.rows {
        picker.row(|out| {
            let mut seen = HashSet::new();
            out.extend(lists.range(row)?.filter(|place| {
                keep(&mut seen, rows.row(*place), all_null || values.is_null(*place))
            }));
            Some(())
        });
    }
    picker.finish(values, element_of(args)?)
}

fn intersect(args: &Arguments<'_>) -> Result<ArrayRef> {
    let lists: Vec<_> = (0..args.count()).map(|index| Lists::new(args, index)).collect();
    let first = &lists[0];
    let converter = RowConverter::new(vec![SortField::new(first.values().data_type().clone())])?;
    let rows = lists
        .iter()
        .map(|list| Ok(converter.convert_columns(std::slice::from_ref(list.values()))?));
    let rows: Vec<Rows> = rows.collect::<Result<_>>()?;
    let mut picker = Picker::new(args.rows);
    for row in 0..args.rows {
        picker.row(|out| {
            let others = lists.iter().zip(&rows).skip(1).map(|(list, rows)| {
                Some(list.range(row)?.map(|place| rows.row(place)).collect::<HashSet<_>>())
            });
            let others: Vec<_> = others.collect::<Option<_>>()?;
            let mut seen = HashSet::new();
            out.extend(first.range(row)?.filter(|place| {
                let element = rows[0].row(*place);
                others.iter().all(|other| other.contains(&element)) && seen.insert(element)
            }));
            Some(())
        });
    }
    picker.finish(first.values(), element_of(args)?)
}

/// A kernel that numbers the elements.
fn numbered(
    args: &Arguments<'_>,
    number: for<'r> fn(&mut HashMap<Row<'r>, i64>, Row<'r>) -> i64,
) -> Result<ArrayRef> {
    let lists = Lists::new(args, 0);
    let rows = rows(lists.values())?;
    super::make::integers(args, |row, out| {
        let mut seen = HashMap::new();
        out.extend(lists.range(row)?.map(|place| number(&mut seen, rows.row(place))));
        Some(())
    })
}
