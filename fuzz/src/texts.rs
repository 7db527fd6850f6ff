//! Random texts from a seed: statements of the oracle's corpus, mixed and damaged.

use std::path::Path;

/// Words and symbols that decide how a text reads.
const WORDS: &[&str] = &[
    "select",
    "from",
    "where",
    "group by",
    "order by",
    "limit",
    "offset",
    "with",
    "as",
    "not",
    "and",
    "or",
    "in",
    "is null",
    "between",
    "like",
    "case",
    "when",
    "then",
    "else",
    "end",
    "interval",
    "day",
    "distinct",
    "on",
    "join",
    "left",
    "array",
    "any",
    "all",
    "union",
    "except",
    "values",
    "cast",
    "over",
    "window",
    "rows",
    "range",
    "columns",
    "exclude",
    "replace",
    "lambda",
    "cohort",
    "ignore nulls",
    "filter",
    "within",
    "pivot",
    "unpivot",
    "sample",
    "lateral",
    "using",
    "explain",
    "show",
    "set",
    "create view v as",
    "insert into t",
    "prepare p as",
    "copy",
    "null",
    "true",
    "inf",
    "date",
    "trim",
    "substring",
    "extract",
    "for update",
    "fetch first",
    "top",
    "at time zone",
    "similar to",
    "escape",
    "collate",
    "a",
    "b",
    "f",
    "t",
    "*",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ";",
    ".",
    "?.",
    "?",
    "??",
    ":",
    "::",
    ":=",
    "->",
    "->>",
    "+",
    "-",
    "/",
    "%",
    "||",
    "=",
    "!=",
    "<",
    "<=",
    "<=>",
    ">",
    "~",
    "=~*",
    "#",
    "#1",
    "$1",
    "1",
    "1.",
    ".5",
    "0x1F",
    "1e3",
    "'a'",
    "'\\'",
    "''",
    "f'",
    "f'{a}'",
    "e'\\n'",
    "U&'a'",
    "$$",
    "`a`",
    "\"a\"",
    "`",
    "--",
    "//",
    "/*",
    "*/",
    "<A",
    "/>",
    "</A>",
    ">",
    "\n",
    "\u{0}",
    "é",
    "\u{2003}",
    "\u{FEFF}",
    "\\",
    "@>",
    "&&",
    "^",
    "|",
    "!",
    "@",
];

/// Where statements are, one after an empty line.
const FOLDERS: &[&str] = &[
    "../parser/tests/corpus/postgres",
    "../sql-tests/oracle/corpus",
    "../sql-tests/slt/constants",
    "../sql-tests/slt/errors",
    "../sql-tests/slt/events",
    "../sql-tests/slt/language",
    "../sql-tests/slt/select",
];

/// How records of SQL tests begin.
const RECORDS: &[&str] = &["query", "statement"];

/// The texts of the files in a folder, by name.
fn files(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path()).collect();
    paths.sort();
    paths.iter().flat_map(std::fs::read_to_string).collect()
}

/// An endless stream of texts.
pub struct Source {
    corpus: Vec<String>,
    state: u64,
}

impl Source {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Self {
        let mut corpus = vec!["select 1".to_owned()];
        for folder in FOLDERS {
            for text in files(folder) {
                // A record of an SQL test is a line of its own, the statement, and its rows.
                corpus.extend(text.trim_end().split("\n\n").map(
                    |piece| match piece.split_once('\n') {
                        Some((head, rest)) if RECORDS.iter().any(|kind| head.starts_with(kind)) => {
                            rest.split("\n----").next().unwrap_or_default().to_owned()
                        }
                        _ => piece.to_owned(),
                    },
                ));
            }
        }
        Self { corpus, state: seed.wrapping_mul(2).wrapping_add(0x9E37_79B9_7F4A_7C15) }
    }

    fn random(&mut self, below: usize) -> usize {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % below.max(1) as u64) as usize
    }

    fn pick(&mut self) -> String {
        let at = self.random(self.corpus.len());
        self.corpus[at].clone()
    }

    /// The words of a bracket and what it holds, or one word.
    fn bracketed(&mut self, words: &[&str]) -> std::ops::Range<usize> {
        let openers: Vec<usize> =
            (0..words.len()).filter(|at| matches!(words[*at], "(" | "[" | "{")).collect();
        let Some(from) = openers.get(self.random(openers.len())).copied() else {
            let at = self.random(words.len());
            return at..(at + 1).min(words.len());
        };
        let mut depth = 0_usize;
        for (at, word) in words.iter().enumerate().skip(from) {
            match *word {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return from..at + 1;
            }
        }
        from..words.len()
    }

    /// The next text.
    #[expect(clippy::should_implement_trait, reason = "it has no end")]
    pub fn next(&mut self) -> String {
        let mut text = self.pick();
        // Few changes, mostly: a text with many is seldom one.
        for _ in 0..=self.random(6) * self.random(2) {
            let mut words: Vec<&str> = tokens(&text);
            let at = self.random(words.len() + 1);
            let other = self.pick();
            let others = tokens(&other);
            match self.random(10) {
                0 if at < words.len() => drop(words.remove(at)),
                1 => words.insert(at, WORDS[self.random(WORDS.len())]),
                2 if at < words.len() => words[at] = WORDS[self.random(WORDS.len())],
                3 if at < words.len() => {
                    let with = self.random(words.len());
                    words.swap(at, with);
                }
                4 | 5 => {
                    // A piece of another statement.
                    let from = self.random(others.len() + 1);
                    let to = (from + self.random(12)).min(others.len());
                    words.splice(at..at, others[from..to].iter().copied());
                }
                6 => {
                    let to = (at + self.random(8)).min(words.len());
                    drop(words.drain(at..to));
                }
                7 if at < words.len() => {
                    // Where something bracketed stands, something bracketed from elsewhere.
                    let (own, donor) = (self.bracketed(&words), self.bracketed(&others));
                    words.splice(own, others[donor].iter().copied());
                }
                8 => {
                    // A piece again and again.
                    let to = (at + 1 + self.random(6)).min(words.len());
                    let piece = words[at.min(to)..to].repeat(self.random(4).pow(4));
                    words.splice(to..to, piece);
                }
                _ => {
                    // A comment or line break between two words.
                    let gaps = [" -- c\n", "/* c */", "\n", " # c\n", "// c\n", ";", " ", "\n\n"];
                    words.insert(at, gaps[self.random(gaps.len())]);
                }
            }
            text = words.concat();
        }
        let cut = self.random(2_000);
        text.chars().take(cut.max(400)).collect()
    }
}

/// A text in words, numbers, blanks and single other characters.
fn tokens(text: &str) -> Vec<&str> {
    let class = |character: char| match character {
        character if character.is_alphanumeric() || "_$".contains(character) => 0,
        character if character.is_whitespace() => 1,
        _ => 2,
    };
    let mut tokens = Vec::new();
    let (mut start, mut last) = (0, None);
    for (at, character) in text.char_indices() {
        let now = class(character);
        if last.is_some_and(|last| last != now || now == 2) {
            tokens.push(&text[start..at]);
            start = at;
        }
        last = Some(now);
    }
    if start < text.len() {
        tokens.push(&text[start..]);
    }
    tokens
}

/// A shorter text that `keeps` the finding.
pub fn shrink(text: &str, keeps: impl Fn(&str) -> bool) -> String {
    let mut words: Vec<&str> = tokens(text);
    let mut size = words.len().next_power_of_two();
    while size > 0 {
        let mut at = 0;
        while at < words.len() {
            let end = (at + size).min(words.len());
            let shorter = [&words[..at], &words[end..]].concat();
            if keeps(&shorter.concat()) {
                words = shorter;
            } else {
                at = end;
            }
        }
        size /= 2;
    }
    words.concat()
}
