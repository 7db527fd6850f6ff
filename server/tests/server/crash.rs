//! `hedgerow import` and `hedgerow maintain`, killed at any moment or at work side by side: no
//! event is lost, none is there twice, and no half of an import is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use hedgerow_engine::{Engine, EngineOptions, Location, SessionOptions};
use hedgerow_parser::Dialect;
use tempfile::TempDir;

const DAYS: usize = 3;
/// Events of one import.
const EVENTS: usize = 300;

/// A data folder, and beside it a file for each import.
struct Store {
    folder: TempDir,
    /// Imports that have been reported as done.
    done: BTreeSet<usize>,
}

impl Store {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), done: BTreeSet::new() }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn hedgerow(&self, command: &str) -> Command {
        let mut hedgerow = Command::new(env!("CARGO_BIN_EXE_hedgerow"));
        hedgerow.arg(command).arg("--data").arg(self.data());
        hedgerow.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        hedgerow
    }

    /// The import of a number, from a file.
    fn import(&self, number: usize) -> Command {
        let file = self.folder.path().join(format!("{number}.ndjson"));
        std::fs::write(&file, lines(number)).unwrap();
        let mut import = self.hedgerow("import");
        import.arg("--no-maintain").arg(file);
        import
    }

    /// Imports what may have been imported before.
    async fn import_again(&mut self, number: usize) {
        let was_there = self.check_whole().await.contains(&number);
        let told = succeed(self.import(number).output().unwrap());
        let expected = match was_there {
            true => format!("0 events imported, {EVENTS} duplicates skipped, 0 records rejected"),
            false => format!("{EVENTS} events imported, 0 duplicates skipped, 0 records rejected"),
        };
        assert!(told.starts_with(&expected), "{told}");
        self.done.insert(number);
        self.check_whole().await;
    }

    /// Each import is there as a whole or not at all; which ones are.
    async fn check_whole(&self) -> BTreeSet<usize> {
        // Killed before there was a store.
        if !self.data().join("hedgerow.json").exists() {
            assert!(self.done.is_empty());
            return BTreeSet::new();
        }
        let location = Location::from(self.data().as_path());
        let engine = Engine::open(&location, EngineOptions::default()).await.unwrap();
        let Some(imports) = imports(&engine).await else {
            assert!(self.done.is_empty());
            return BTreeSet::new();
        };
        for (number, (count, different, sum)) in &imports {
            let expected: usize = (0..EVENTS).map(|n| number * EVENTS + n).sum();
            assert_eq!((*count, *different, *sum), (EVENTS, EVENTS, expected), "import {number}");
        }
        succeed(self.hedgerow("verify").output().unwrap());
        let there: BTreeSet<usize> = imports.into_keys().collect();
        assert!(self.done.is_subset(&there), "{:?} of {there:?} are gone", self.done);
        there
    }
}

/// Of each import: how many events there are, with how many ids, and the sum of their numbers.
/// None while there is no project.
async fn imports(
    engine: &std::sync::Arc<Engine>,
) -> Option<BTreeMap<usize, (usize, usize, usize)>> {
    let options = SessionOptions { project: "default".to_owned(), dialect: Dialect::Hogql };
    let session = engine.session(options).await.ok()?;
    let query = "select toInt(properties.import), count(), uniqExact(uuid), toInt(sum(toInt(properties.n))) \
                 from events group by 1";
    let batches: Vec<_> = session.query(query).await.unwrap().try_collect().await.unwrap();
    let mut imports = BTreeMap::new();
    for batch in &batches {
        let cell = |column: usize, row| {
            usize::try_from(batch.column(column).as_primitive::<Int64Type>().value(row)).unwrap()
        };
        for row in 0..batch.num_rows() {
            imports.insert(cell(0, row), (cell(1, row), cell(2, row), cell(3, row)));
        }
    }
    Some(imports)
}

fn lines(import: usize) -> String {
    let mut lines = String::new();
    for number in 0..EVENTS {
        let id = import * EVENTS + number;
        let time = 1_767_225_600 + (number % DAYS) * 86_400 + number;
        writeln!(
            lines,
            r#"{{"event":"e{}","distinct_id":"u{}","timestamp":{time},"properties":{{"import":{import},"n":{id}}}}}"#,
            id % 3,
            id % 17
        )
        .unwrap();
    }
    lines
}

/// What a program that has ended well told.
fn succeed(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// All files below a folder, the hidden ones that writes begin with included.
fn files(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    // Files and folders come and go meanwhile.
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&entry.path(), found),
            _ => {
                found.insert(entry.path());
            }
        }
    }
}

/// Kills a program once it has made so many files, if it has not ended by then: false when it had.
fn kill_after(mut program: Child, data: &Path, before: &BTreeSet<PathBuf>, made: usize) -> bool {
    let mut seen = before.clone();
    loop {
        files(data, &mut seen);
        if seen.len() >= before.len() + made {
            program.kill().unwrap();
            // It may have ended just before.
            return !program.wait().unwrap().success();
        }
        if program.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::yield_now();
    }
}

fn start(store: &Store, mut command: Command, made: usize) -> bool {
    let mut before = BTreeSet::new();
    files(&store.data(), &mut before);
    kill_after(command.spawn().unwrap(), &store.data(), &before, made)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_killed_while_it_makes_the_store_can_be_repeated() {
    for made in 0..10 {
        let mut store = Store::new();
        start(&store, store.import(0), made);
        store.import_again(0).await;
        store.import_again(0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_killed_at_any_moment_is_seen_as_a_whole_or_not_at_all() {
    let mut store = Store::new();
    store.import_again(0).await;
    // A hidden file and a file for each day, the same for the commit.
    let moments = 2 * DAYS + 2;
    let mut killed = 0;
    for number in 1..=moments {
        killed += usize::from(start(&store, store.import(number), number));
        store.import_again(number).await;
    }
    assert!(killed > 0);
    // Killed with half of the input read.
    let mut import = store.hedgerow("import");
    let mut import = import.arg("-").stdin(Stdio::piped()).spawn().unwrap();
    let next = lines(moments + 1);
    import.stdin.as_mut().unwrap().write_all(&next.as_bytes()[..next.len() / 2]).unwrap();
    import.kill().unwrap();
    assert!(!import.wait().unwrap().success());
    store.import_again(moments + 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upkeep_killed_at_any_moment_loses_nothing() {
    let mut store = Store::new();
    store.import_again(0).await;
    let mut killed = 0;
    for number in 1..=2 * DAYS + 2 {
        store.import_again(number).await;
        killed += usize::from(start(&store, store.hedgerow("maintain"), number));
        store.check_whole().await;
    }
    assert!(killed > 0);
    let told = succeed(store.hedgerow("maintain").output().unwrap());
    assert!(told.contains(&format!("now {DAYS} files")), "{told}");
    assert!(told.contains(" 0 duplicates removed"), "{told}");
    store.check_whole().await;
    let told = succeed(store.hedgerow("maintain").output().unwrap());
    assert!(told.starts_with(&format!("0 of {DAYS} files rewritten")), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upkeep_beside_upkeep_and_beside_an_import_loses_nothing() {
    let mut store = Store::new();
    for round in 0..4 {
        let numbers = round * 4..round * 4 + 4;
        for number in numbers.clone().take(2) {
            store.import_again(number).await;
        }
        let mut commands: Vec<_> = numbers.skip(2).map(|number| store.import(number)).collect();
        commands.extend((0..2).map(|_| store.hedgerow("maintain")));
        let running: Vec<Child> =
            commands.iter_mut().map(|command| command.spawn().unwrap()).collect();
        for program in running {
            succeed(program.wait_with_output().unwrap());
        }
        store.done.extend(round * 4 + 2..round * 4 + 4);
        store.check_whole().await;
    }
    succeed(store.hedgerow("maintain").output().unwrap());
    assert_eq!(store.check_whole().await.len(), 16);
}
