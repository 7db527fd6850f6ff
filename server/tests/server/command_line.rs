//! The program, as people and scripts start it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

fn hedgerow(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hedgerow"));
    command.args(args);
    command
}

fn run(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A program that fails early does not read its input.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn stdout(args: &[&str], input: &[u8]) -> String {
    let output = run(&mut hedgerow(args), input);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The exit code, and stderr.
fn failure(args: &[&str], input: &[u8]) -> (i32, String) {
    let output = run(&mut hedgerow(args), input);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn parse_prints_canonical_text() {
    assert_eq!(stdout(&["parse"], b"SELECT  1 + 2"), "SELECT 1 + 2\n");
    let (code, message) = failure(&["parse"], "select 'é' +".as_bytes());
    assert_eq!(code, 1);
    assert!(message.starts_with("error: ") && message.contains("line 1, column"), "{message}");
    assert!(message.contains("\n  select 'é' +\n") && message.contains('^'), "{message}");
    assert_eq!(failure(&["parse"], b"select '\xff'").0, 1);
}

#[test]
fn parse_many_answers_every_line() {
    let input = b"{\"id\":1,\"sql\":\"select 1\"}\n\n{\"id\":\"b\",\"sql\":\"select\"}\nnot json\n\
                  {\"id\":3,\"sql\":\"\xff\"}\n{\"sql\":\"select 2\"}";
    let output = stdout(&["parse", "--many"], input);
    let lines: Vec<serde_json::Value> =
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let facts: Vec<_> = lines
        .iter()
        .map(|line| (line["id"].to_string(), line["ok"] == true, line["sqlstate"].as_str()))
        .collect();
    assert_eq!(
        facts,
        [
            ("1".to_owned(), true, None),
            ("\"b\"".to_owned(), false, Some("42601")),
            ("null".to_owned(), false, Some("22P02")),
            ("null".to_owned(), false, Some("22P02")),
            ("null".to_owned(), true, None),
        ]
    );
    assert_eq!(lines[0]["text"], "SELECT 1");
    assert!(lines[1]["position"].is_number() && lines[1]["hint"].is_string());
}

#[test]
fn query_in_every_text_format() {
    let sql = "select 1 as a, 'x,\"y\"' as b, null as c, '' as d";
    for (format, expected) in [
        ("csv", "a,b,c,d\n1,\"x,\"\"y\"\"\",,\"\"\n"),
        ("tsv", "a\tb\tc\td\n1\tx,\"y\"\t\\N\t\n"),
        (
            "jsonl",
            "{\"columns\":[\"a\",\"b\",\"c\",\"d\"],\
             \"types\":[\"Int64\",\"String\",\"Null\",\"String\"]}\n\
             [1,\"x,\\\"y\\\"\",null,\"\"]\n",
        ),
        (
            "table",
            " a | b     | c    | d\n---+-------+------+---\n 1 | x,\"y\" | NULL |\n(1 row)\n",
        ),
    ] {
        assert_eq!(stdout(&["query", "--format", format, sql], b""), expected, "{format}");
    }
    assert_eq!(stdout(&["query", "--format", "csv", "-"], b"select 2 as x"), "x\n2\n");
}

#[test]
fn json_values() {
    let sql = "select 0.5, nan, -1 / 0, toDecimal(1.5, 3), \
               toDateTime('2026-11-13 10:00:00'), toDate('2026-11-13'), \
               toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0'), [1, null], (1, 'a'), \
               map('k', 1), true";
    let output = stdout(&["query", "--format", "jsonl", sql], b"");
    assert_eq!(
        output.lines().nth(1).unwrap(),
        "[0.5,\"NaN\",\"-Infinity\",1.500,\"2026-11-13T10:00:00Z\",\
         \"2026-11-13\",\"61f0c404-5cb3-11e7-907b-a6006ad3dba0\",[1,null],[1,\"a\"],{\"k\":1},true]"
    );
}

#[test]
fn query_in_binary_formats() {
    let folder = tempfile::tempdir().unwrap();
    for (format, magic) in [("parquet", &b"PAR1"[..]), ("arrow", b"\xff\xff\xff\xff")] {
        let file = folder.path().join(format);
        let sql = "select number, toString(number) as text from numbers(10)";
        stdout(&["query", "--format", format, "--output", file.to_str().unwrap(), sql], b"");
        assert!(std::fs::read(file).unwrap().starts_with(magic), "{format}");
    }
}

#[test]
fn query_many_keeps_the_lines_apart() {
    let mut child = hedgerow(&["query", "--many"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    // Each answer comes before the next question is asked.
    for (line, expected) in [
        (
            r#"{"id":1,"sql":"select number as a, 'x' as b from numbers(2)"}"#,
            r#"{"id":1,"ok":true,"columns":["a","b"],"types":["Int64","String"],"rows":[[0,"x"],[1,"x"]]}"#,
        ),
        (r#"{"id":2,"sql":"select 1 where false"}"#, r#""rows":[]}"#),
        (r#"{"id":3,"sql":"select nosuch"}"#, r#""sqlstate":"42703""#),
        (r#"{"id":4,"sql":"select 'it\\'s' as a"}"#, r#""rows":[["it's"]]}"#),
    ] {
        writeln!(input, "{line}").unwrap();
        let answer = output.next().unwrap().unwrap();
        assert!(answer.ends_with(expected) || answer.contains(expected), "{answer}");
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn mistakes_give_one_clear_line() {
    let (code, message) = failure(&["query", "--data", "/no/such/folder", "select 1"], b"");
    assert_eq!(code, 1);
    assert!(message.contains("/no/such/folder"), "{message}");
    let (code, message) = failure(&["server"], b"");
    assert_eq!((code, message.lines().count()), (1, 1));
    assert!(message.contains("--data"), "{message}");
    assert_eq!(failure(&["query", "--format", "nosuch", "select 1"], b"").0, 2);
    assert_eq!(failure(&["nosuch"], b"").0, 2);
    let (code, message) = failure(&["--config", "/no/such/file", "query", "select 1"], b"");
    assert_eq!((code, message.lines().count()), (1, 1));
    assert!(message.contains("/no/such/file"), "{message}");
}

#[test]
fn flag_over_environment_over_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("hedgerow.toml");
    std::fs::write(&config, "[query]\nformat = \"csv\"\ntimezone = \"Asia/Kolkata\"\n").unwrap();
    let sql = "select toDateTime('2026-11-13 10:00:00', 'UTC') as t";
    let output = |args: &[&str], environment: Option<&str>| {
        let mut command = hedgerow(&["--config", config.to_str().unwrap(), "query", sql]);
        command.args(args).envs(environment.map(|format| ("HEDGEROW_QUERY_FORMAT", format)));
        let output = run(&mut command, b"");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(output(&[], None), "t\n2026-11-13 15:30:00+05:30\n");
    assert!(output(&[], Some("jsonl")).starts_with("{\"columns\""));
    assert!(output(&["--format", "table"], Some("jsonl")).contains("(1 row)"));
    assert!(output(&["--timezone", "UTC"], None).contains("10:00:00+00"));

    std::fs::write(&config, "[query]\nfromat = \"csv\"\n").unwrap();
    let (code, message) = failure(&["--config", config.to_str().unwrap(), "query", sql], b"");
    assert_eq!(code, 1);
    assert!(message.contains("fromat"), "{message}");
}

#[test]
fn import_reports_bad_lines_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, input, rejects) = (path("data"), path("clicks.ndjson"), path("rejects"));
    std::fs::write(
        &input,
        "{\"user\":\"ann\",\"at\":\"2026-03-01T00:00:00Z\",\"page\":\"/\"}\n\
         {\"user\":\"bob\",\"page\":\"/\"}\n\
         {\"user\":\"cem\",\"at\":\"2026-03-02T00:00:00Z\",\"page\":\"/a\"}\n",
    )
    .unwrap();
    let roles = ["--event-name", "click", "--distinct-id", "user", "--timestamp", "at"];
    let import = |more: &[&str]| {
        let mut args = vec!["import", "--data", &data];
        args.extend(roles);
        args.extend(more);
        args.push(&input);
        run(&mut hedgerow(&args), b"")
    };

    let strict = import(&["--strict"]);
    assert_eq!(strict.status.code(), Some(1));
    let message = String::from_utf8(strict.stderr).unwrap();
    assert!(message.contains("clicks.ndjson") && message.contains('2'), "{message}");

    let first = import(&["--rejects", &rejects]);
    assert!(first.status.success());
    let (told, warned) =
        (String::from_utf8(first.stdout).unwrap(), String::from_utf8(first.stderr).unwrap());
    assert!(
        told.starts_with("2 events imported, 0 duplicates skipped, 1 records rejected"),
        "{told}"
    );
    assert!(warned.contains("clicks.ndjson:2: "), "{warned}");
    assert_eq!(std::fs::read_to_string(&rejects).unwrap(), "{\"user\":\"bob\",\"page\":\"/\"}\n");

    let again = String::from_utf8(import(&[]).stdout).unwrap();
    assert!(again.starts_with("0 events imported, 2 duplicates skipped"), "{again}");

    let sql = "select event, distinct_id, properties.page from events order by distinct_id";
    let rows = stdout(&["query", "--data", &data, "--format", "tsv", sql], b"");
    assert_eq!(rows.lines().skip(1).collect::<Vec<_>>(), ["click\tann\t/", "click\tcem\t/a"]);
}

#[test]
fn verify_answers_by_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, input) = (path("data"), path("events.ndjson"));
    let event = r#"{"event":"e","distinct_id":"d","timestamp":"2026-03-01T00:00:00Z"}"#;
    std::fs::write(&input, event).unwrap();
    stdout(&["import", "--data", &data, &input], b"");
    let told = stdout(&["verify", "--data", &data], b"");
    assert!(told.contains("1 files of ") && told.contains("1 events"), "{told}");
    assert!(told.contains("write-ahead log: 0 records; 0 problems"), "{told}");

    let files = std::fs::read_dir(folder.path().join("data/events")).unwrap();
    let mut files = files.map(|entry| entry.unwrap().path());
    let part = files.find(|path| path.extension().is_some_and(|e| e == "parquet")).unwrap();
    let mut bytes = std::fs::read(&part).unwrap();
    bytes[9] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    let output = run(&mut hedgerow(&["verify", "--data", &data]), b"");
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout).unwrap();
    let name = format!("events/{}: its checksum is", part.file_name().unwrap().display());
    assert!(told.starts_with(&name) && told.contains("1 problems"), "{told}");
    assert_eq!(output.stderr, b"error: 1 problem found\n");

    assert_eq!(failure(&["verify", "--data", &path("none")], b"").0, 2);
    assert_eq!(failure(&["verify"], b"").0, 2);
}

#[test]
fn inspect_tells_of_files_and_days() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, input) = (path("data"), path("events.ndjson"));
    let event = |day| {
        format!(r#"{{"event":"e","distinct_id":"d","timestamp":"2026-03-0{day}T00:00:00.5Z"}}"#)
    };
    std::fs::write(&input, [event(1), event(2)].join("\n")).unwrap();
    stdout(&["import", "--data", &data, &input], b"");
    let told = stdout(&["inspect", "--data", &data, "--format", "json"], b"");
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["version"], &told["checkpoint"]), (&1.into(), &serde_json::Value::Null));
    let bytes = told["events"]["bytes"].as_u64().unwrap();
    // Files of one event each.
    let day = |day| {
        serde_json::json!({
            "first_day": day, "last_day": day, "files": 1, "rows": 1, "bytes": bytes / 2,
        })
    };
    let project = serde_json::json!({
        "project": "default", "number": 1, "files": 2, "rows": 2, "bytes": bytes,
        "first_event": "2026-03-01T00:00:00.500Z", "last_event": "2026-03-02T00:00:00.500Z",
        "waiting_events": 0,
        "days": [day("2026-03-01"), day("2026-03-02")],
    });
    assert_eq!(told["projects"], serde_json::json!([project]));
    assert_eq!(told["forms"]["small"], told["events"]);
    assert!(told["wal"].is_null() && told["lag_seconds"].is_null(), "{told}");

    let told = stdout(&["inspect", "--data", &data], b"");
    let words: Vec<Vec<&str>> =
        told.lines().map(|line| line.split_whitespace().collect()).collect();
    let bytes = bytes.to_string();
    assert_eq!(words[1], ["events", "2", "2", &bytes]);
    let times = ["2026-03-01T00:00:00.500Z", "2026-03-02T00:00:00.500Z"];
    assert_eq!(words[9], ["default", "2", "2", &bytes, "0", times[0], times[1]]);
    assert!(told.contains("\nlog of events: version 1, checkpoint none\n"), "{told}");
    assert!(told.ends_with("\nwrite-ahead log: none\n"), "{told}");

    let (code, message) = failure(&["inspect", "--data", &path("none")], b"");
    assert!(code == 1 && message.starts_with("error: no data folder"), "{message}");
    assert_eq!(failure(&["inspect"], b"").0, 1);
}

#[test]
fn import_survives_hostile_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, input, rejects) = (path("data"), path("events.ndjson"), path("rejects"));
    let event = |time: &str, properties: &str| {
        format!(
            r#"{{"event":"e","distinct_id":"d","timestamp":"{time}","properties":{properties}}}"#
        )
        .into_bytes()
    };
    let nested = |depth: usize| {
        format!("{}{}", r#"{"x":"#.repeat(depth), "}".repeat(depth)).replace(":}", ":1}")
    };
    let keys: Vec<_> = (0..10_000).map(|key| format!(r#""k{key}":{key}"#)).collect();
    let text = "é".repeat(1 << 20);
    let (good, bad) = (
        [
            event("0001-01-01", r#"{"x":"first"}"#),
            event("2026-01-01", &format!("{{{}}}", keys.join(","))),
            event("2026-01-02", &format!(r#"{{"x":"{text}"}}"#)),
            event("2026-01-03", &nested(500)),
            event("9999-12-31 23:59:59", r#"{"x":"last"}"#),
        ],
        [
            (event("2026-01-01", "{\"x\":\"~\"}"), "not UTF-8 from byte 76 on"),
            (event("2026-01-01", &nested(600)), "properties is nested deeper than 512 levels"),
            (event("0000-12-31", "{}"), "timestamp is not a time: '0000-12-31'"),
            (event("10000-01-01", "{}"), "timestamp is not a time: '10000-01-01'"),
            (event("2026-01-01", "{\"x\":}"), "not a JSON object: "),
        ],
    );
    let bad: [(Vec<u8>, &str); 5] = bad.map(|(line, reason)| {
        (line.into_iter().map(|byte| if byte == b'~' { 0xff } else { byte }).collect(), reason)
    });
    // A good one, a bad one, and so on.
    let lines: Vec<Vec<u8>> =
        good.iter().zip(&bad).flat_map(|(good, (bad, _))| [good.clone(), bad.clone()]).collect();
    std::fs::write(&input, lines.join(&b'\n')).unwrap();

    let arguments = ["import", "--data", &data, "--rejects", &rejects, &input];
    let output = run(&mut hedgerow(&arguments), b"");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(
        told.starts_with("5 events imported, 0 duplicates skipped, 5 records rejected"),
        "{told}"
    );
    let warned = String::from_utf8(output.stderr).unwrap();
    for (number, (_, reason)) in bad.iter().enumerate() {
        let warning = format!("events.ndjson:{}: {reason}", number * 2 + 2);
        assert!(warned.contains(&warning), "no {warning} in {warned}");
    }
    let kept: Vec<u8> =
        bad.iter().flat_map(|(line, _)| [line.as_slice(), b"\n"].concat()).collect();
    assert!(std::fs::read(&rejects).unwrap() == kept);

    // An é has two bytes; 499 levels are left of 500, with 6 bytes each and a 1.
    let query = "select toString(timestamp), length(properties.x), properties.k9999 from events \
                 order by timestamp";
    let rows = stdout(&["query", "--data", &data, "--format", "csv", query], b"");
    assert_eq!(
        rows.lines().skip(1).collect::<Vec<_>>(),
        [
            "0001-01-01 00:00:00,5,",
            "2026-01-01 00:00:00,,9999",
            "2026-01-02 00:00:00,2097152,",
            "2026-01-03 00:00:00,2995,",
            "9999-12-31 23:59:59,4,",
        ]
    );
}

#[test]
fn demo_serves_until_it_is_told_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let any = "127.0.0.1:0";
    let mut demo = hedgerow(&["demo", "--events", "500", "--pg", any, "--flight", any])
        .args(["--http", any, "--data", folder.path().to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    assert!(lines.next().unwrap().starts_with("500 events"));
    let shown: Vec<_> = lines.by_ref().take_while(|line| !line.starts_with("Ctrl-C")).collect();
    assert!(shown.iter().any(|line| line.starts_with("psql postgres://127.0.0.1:")), "{shown:?}");
    // The statement that it shows stores an event.
    let insert = shown.iter().find(|line| line.contains("insert into events")).unwrap();
    let address = shown.iter().find_map(|line| line.strip_prefix("psql ")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let address = address.replace("postgres://", "postgres://tester@");
        let (client, connection) =
            tokio_postgres::connect(&address, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        assert_eq!(crate::support::answers(&client, insert).await, ["#1"]);
    });
    let told = Command::new("kill").arg(demo.id().to_string()).status().unwrap();
    assert!(told.success() && demo.wait().unwrap().success());
}

#[test]
fn check_reports_every_wrong_statement_of_every_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    std::fs::write(path("good.sql"), "select 1;\n-- done\n").unwrap();
    std::fs::write(path("bad.sql"), "select 1;\nselect\n  lenght('ä'),\n  'é' as x;\nselct 2")
        .unwrap();
    let output = run(&mut hedgerow(&["check", &path("good.sql")]), b"");
    assert!(output.status.success() && output.stdout.is_empty());

    let output = run(&mut hedgerow(&["check", &path("good.sql"), &path("bad.sql")]), b"");
    assert_eq!(output.status.code(), Some(1));
    let bad = path("bad.sql");
    let expected = format!(
        "{bad}:3:3: error[42883]: no function named lenght\n    lenght('ä'),\n    ^\n  \
         hint: Did you mean length?\n\
         {bad}:5:1: error[42601]: unexpected `selct`, expected SELECT\n  selct 2\n  ^\n  \
         hint: Did you mean SELECT?\n"
    );
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "error: 2 queries are wrong\n");
}

#[test]
fn check_answers_editors_in_json() {
    let output = run(&mut hedgerow(&["check", "--format", "json"]), "select 'é', evnt".as_bytes());
    assert_eq!(output.status.code(), Some(1));
    let finding: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(finding["file"], "<stdin>");
    assert_eq!((&finding["line"], &finding["column"]), (&1.into(), &13.into()));
    assert_eq!((&finding["end_line"], &finding["end_column"]), (&1.into(), &17.into()));
    assert_eq!((&finding["severity"], &finding["sqlstate"]), (&"error".into(), &"42703".into()));
    assert!(finding["message"].is_string());
    assert_eq!(failure(&["check", "/nowhere/at/all.sql"], b"").0, 1);
    assert_eq!(failure(&["check"], b"select '\xff'").0, 1);
}

#[test]
fn a_script_runs_statement_by_statement() {
    let script = b"set var.n = 2;\nselect {variables.n} as a;\nprepare p as select $1 + 1 as b;\n\
                   execute p(41);\nselect 1;\n-- the \xc3\xa9nd\n  selct 2;\nselect 3";
    let output = run(&mut hedgerow(&["query", "--format", "csv"]), script);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "a\n2\nb\n42\n1\n1\n");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("SET\nPREPARE\n"), "{message}");
    assert!(message.contains("line 7, column 3"), "{message}");
    assert!(message.contains("hint: Did you mean SELECT?"), "{message}");
    assert_eq!(output.status.code(), Some(1));
    let (code, message) = failure(&["query", "create view v as select 1 as a"], b"");
    assert_eq!(code, 1);
    assert!(message.contains("no data folder to write to"), "{message}");
}

#[test]
fn parse_shows_trees() {
    assert_eq!(
        stdout(&["parse", "--tree"], b"select a + 1 from t"),
        "Select 1-19\n  columns\n    Binary 8-12 Plus\n      Field 8-8 a\n      Literal 12-12 1\n  \
         from\n    Table 19-19 t\n"
    );
    assert_eq!(stdout(&["parse"], b"show  tables;"), "SHOW TABLES\n");
}

#[test]
fn fmt_formats_files_in_place_and_stdin_to_stdout() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (good, bad, broken) = (path("good.sql"), path("bad.sql"), path("broken.sql"));
    std::fs::write(&good, "SELECT 1;\n\nSELECT 2\n").unwrap();
    std::fs::write(&bad, "select 1, -- one\n  2;select 3 -- last").unwrap();
    std::fs::write(&broken, "select 1;\nselect (").unwrap();
    let laid_out = "SELECT\n    1,  -- one\n    2;\n\nSELECT 3  -- last\n";

    let check = run(&mut hedgerow(&["fmt", "--check", &good, &bad]), b"");
    assert_eq!(check.status.code(), Some(1));
    assert_eq!(String::from_utf8(check.stdout).unwrap(), format!("{bad}\n"));
    assert_eq!(String::from_utf8(check.stderr).unwrap(), "error: 1 file is not formatted\n");

    let (code, message) = failure(&["fmt", &broken, &bad], b"");
    assert_eq!(code, 1);
    assert!(message.starts_with(&format!("error: {broken}: unclosed `(`")), "{message}");
    assert!(message.contains("line 2, column 8"), "{message}");
    assert_eq!(std::fs::read_to_string(&bad).unwrap(), laid_out);
    assert_eq!(std::fs::read_to_string(&broken).unwrap(), "select 1;\nselect (");
    assert_eq!(stdout(&["fmt", "--check", &good, &bad], b""), "");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);

    assert_eq!(stdout(&["fmt"], b"select 1, -- one\n  2;select 3 -- last"), laid_out);
    assert_eq!(failure(&["fmt", "--check"], b"select 1").0, 1);
}

#[test]
fn a_backup_becomes_a_data_folder_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, backup, again) = (path("data"), path("backup"), path("again"));
    let input = path("events.ndjson");
    let event = r#"{"event":"e","distinct_id":"d","timestamp":"2026-03-01T00:00:00Z"}"#;
    std::fs::write(&input, event).unwrap();
    stdout(&["import", "--data", &data, &input], b"");
    let told = stdout(&["backup", "--data", &data, "--to", &backup], b"");
    assert!(told.contains(" files copied, "), "{told}");
    std::fs::remove_dir_all(&data).unwrap();
    stdout(&["restore", "--from", &backup, "--data", &again], b"");
    let count = ["query", "--data", &again, "--format", "csv", "select count() as n from events"];
    assert_eq!(stdout(&count, b""), "n\n1\n");
    let (code, told) = failure(&["backup", "--data", &again, "--to", &backup], b"");
    assert!(code == 1 && told.contains("the target is not empty"), "{told}");
    assert!(failure(&["backup", "--data", &again], b"").1.contains("--to"));
    assert!(failure(&["restore", "--data", &again], b"").1.contains("--from"));
}
