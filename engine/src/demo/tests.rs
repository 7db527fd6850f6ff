//! The demo is deterministic, complete and plausible.

use std::collections::{HashMap, HashSet};
use std::io::Read;

use chrono::DateTime;
use serde_json::Value;

use super::{DemoOptions, events, seed};
use crate::storage::{EventStore, Location};

fn options(events: u64) -> DemoOptions {
    let end = DateTime::parse_from_rfc3339("2026-03-02T12:00:00Z").unwrap().to_utc();
    DemoOptions { events, ..DemoOptions::new(end) }
}

fn text(options: &DemoOptions) -> String {
    let mut text = String::new();
    events(options).read_to_string(&mut text).unwrap();
    text
}

fn parsed(options: &DemoOptions) -> Vec<Value> {
    text(options).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn equal_options_give_equal_events() {
    let options = options(2000);
    let first = text(&options);
    assert_eq!(first, text(&options));
    assert_eq!(first.lines().count(), 2000);
    assert_ne!(first, text(&DemoOptions { seed: 7, ..options }));
}

#[test]
fn events_are_believable() {
    let options = options(20_000);
    let events = parsed(&options);
    assert_eq!(events.len(), 20_000);
    let uuids: HashSet<_> = events.iter().map(|event| event["uuid"].as_str().unwrap()).collect();
    assert_eq!(uuids.len(), events.len());

    let start = options.end - chrono::Duration::days(90);
    let mut counts: HashMap<&str, u32> = HashMap::new();
    let mut weekend = 0;
    for event in &events {
        let time = DateTime::parse_from_rfc3339(event["timestamp"].as_str().unwrap()).unwrap();
        assert!(time >= start && time <= options.end);
        weekend += u32::from(time.format("%u").to_string().as_str() >= "6");
        *counts.entry(event["event"].as_str().unwrap()).or_default() += 1;
        let properties = event["properties"].as_object().unwrap();
        assert!((15..=40).contains(&properties.len()), "{}", properties.len());
        let session = properties["$session_id"].as_str().unwrap();
        assert_eq!(uuid::Uuid::parse_str(session).unwrap().get_version_num(), 7);
    }
    // Each step of the funnel loses people.
    let steps = ["signup_started", "signed_up", "onboarding_step_completed", "purchase"];
    for step in steps {
        assert!(counts[step] > 0, "{step}");
    }
    assert!(counts["signup_started"] > counts["signed_up"]);
    assert!(counts["signed_up"] > counts["purchase"]);
    assert!(counts["$pageview"] > counts["signup_started"]);
    // Two days of seven, but less than their share of the events.
    assert!(weekend * 7 < 2 * 20_000 * 3 / 4, "{weekend}");
}

#[test]
fn wide_events_have_about_one_and_a_half_kilobytes() {
    let wide = text(&DemoOptions { wide: true, ..options(5000) });
    let mean = wide.len() / 5000;
    assert!((1400..1700).contains(&mean), "{mean}");
    for line in wide.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
}

#[tokio::test]
async fn seeding_twice_adds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = EventStore::create(&Location::from(folder.path())).await.unwrap();
    let project = store.create_project("default").await.unwrap();
    let options = options(3000);
    let report = seed(&store, project, &options, &mut ()).await.unwrap().unwrap();
    assert_eq!((report.imported, report.duplicates, report.rejected), (3000, 0, 0));
    assert!(seed(&store, project, &options, &mut ()).await.unwrap().is_none());
    let other = store.create_project("other").await.unwrap();
    assert!(seed(&store, other, &options, &mut ()).await.unwrap().is_some());
}
