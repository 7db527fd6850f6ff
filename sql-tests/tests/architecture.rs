//! The dependency direction and the single copies that docs/ARCHITECTURE.md promises.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{HashMap, HashSet};
use std::process::Command;

use serde_json::Value;

/// The resolved dependency graph of the workspace, without dev-dependencies.
struct Graph {
    names: HashMap<String, String>,
    edges: HashMap<String, Vec<String>>,
}

impl Graph {
    fn load() -> Self {
        // Only what is built here: crates of other platforms need not be on this machine.
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked"])
            .args(["--filter-platform", &host()])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let names = metadata["packages"].as_array().unwrap().iter();
        let names = names.map(|package| (text(&package["id"]), text(&package["name"]))).collect();
        let edges = metadata["resolve"]["nodes"].as_array().unwrap().iter();
        let edges = edges.map(|node| {
            let normal = node["deps"].as_array().unwrap().iter().filter(|dep| {
                dep["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"] != "dev")
            });
            (text(&node["id"]), normal.map(|dep| text(&dep["pkg"])).collect())
        });
        Self { names, edges: edges.collect() }
    }

    fn id(&self, name: &str) -> &str {
        self.names.iter().find(|(_, n)| *n == name).map(|(id, _)| id.as_str()).unwrap()
    }

    /// The names of everything `name` depends on, itself excluded.
    fn reachable(&self, name: &str) -> HashSet<&str> {
        let mut seen = HashSet::new();
        let mut open = vec![self.id(name)];
        while let Some(id) = open.pop() {
            for next in &self.edges[id] {
                if seen.insert(next.as_str()) {
                    open.push(next);
                }
            }
        }
        seen.into_iter().map(|id| self.names[id].as_str()).collect()
    }
}

/// The triple of this machine's platform.
fn host() -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = Command::new(rustc).arg("-vV").output().unwrap();
    let version = String::from_utf8(output.stdout).unwrap();
    version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

#[test]
fn dependencies_point_one_way() {
    let graph = Graph::load();
    let forbidden: &[(&str, &[&str])] = &[
        (
            "hedgerow-parser",
            &[
                "arrow",
                "datafusion",
                "tokio",
                "futures",
                "chrono",
                "object_store",
                "hedgerow-engine",
            ],
        ),
        ("hedgerow-engine", &["pgwire", "axum", "arrow-flight", "tonic", "clap", "hedgerow"]),
        ("hedgerow", &["hedgerow-sql-tests", "hedgerow-benches"]),
    ];
    for (package, names) in forbidden {
        let reachable = graph.reachable(package);
        for name in *names {
            assert!(!reachable.contains(name), "{package} must not depend on {name}");
        }
    }
}

#[test]
fn there_is_one_copy_of_the_shared_crates() {
    let graph = Graph::load();
    for name in ["arrow", "arrow-array", "parquet", "datafusion", "object_store", "sqlparser"] {
        let copies = graph.names.values().filter(|n| *n == name).count();
        assert_eq!(copies, 1, "{copies} copies of {name}");
    }
}
