//! Trees as people read them.

use hedgerow_parser::{Dialect, parse_statement, tree};

#[test]
fn a_node_a_line_with_its_place() {
    let text = "with a as (select 1) select 'é' as x, count(distinct b)\nfrom a join t c on c.id = a.id \
                where not x in (1, 2) order by 1 limit 5";
    let shown = tree(&parse_statement(text, Dialect::Hogql).unwrap(), text);
    let expected = "\
Select 1-127
  with 6-6 a
    Select 12-19
      columns
        Literal 19-19 1
  columns
    Alias 29-36 x
      Literal 29-31 'é'
    Call 39-55 count
      Field 54-54 b
  from
    Join 62-86 Inner
      Table 62-62 a
      Table 69-71 t c
      on
        Binary 76-86 Eq
          Field 76-79 c.id
          Field 83-86 a.id
  where
    Not 94-108
      In 98-108
        Field 98-98 x
        Tuple 103-108
          Literal 104-104 1
          Literal 107-107 2
  order by
    Literal 119-119 1
  limit
    Literal 127-127 5
";
    assert_eq!(shown, expected);
}

#[test]
fn statements_around_queries() {
    for (text, expected) in [
        ("show tables", "Show 1-11 show tables\n"),
        (
            "create view v as select 1",
            "CreateView 1-25\n  Select 18-25\n    columns\n      Literal 25-25 1\n",
        ),
        ("{a}", "Placeholder 2-2\n  Field 2-2 a\n"),
    ] {
        assert_eq!(tree(&parse_statement(text, Dialect::Hogql).unwrap(), text), expected);
    }
}
