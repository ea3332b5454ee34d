//! `demo --shop`: eight devices at once. The demo asks the phones what they run and fails if that is not new; here it is
//! who was tried again and why, who needed a person, and that each has its sheet.

use super::*;
use std::collections::{BTreeMap, BTreeSet};

const ALL: [&str; 8] = ["Anna", "Bert", "Cees", "Daan", "Els", "Fien", "Gijs", "Hans"];

/// `Anna's iPhone` is Anna's.
fn owner(title: &Value) -> String {
    title.as_str().and_then(|title| title.split('\'').next()).unwrap_or_default().to_owned()
}

#[test]
fn eight_at_once_three_by_themselves_and_one_with_a_person() {
    let ran = demo(&["--shop", "--json"]);
    let over = event(&ran, "batch-over");
    let rows = over["rows"].as_array().unwrap();
    let owners: Vec<String> = rows.iter().map(|row| owner(&row["row"]["title"])).collect();
    assert_eq!(owners, ALL, "{ran}");
    assert_eq!((&over["outcome"], &over["virtual"]), (&json!("ok"), &json!(true)));
    for (at, row) in rows.iter().enumerate() {
        assert_eq!((&row["row"]["phase"], &row["row"]["station"]), (&json!("done"), &json!(at + 1)), "{row}");
    }

    // What each was sent back to the queue for, and who had a person asked in between.
    let (mut retried, mut asked) = (BTreeMap::new(), BTreeSet::new());
    for event in ran.events("batch").iter().filter(|event| event["what"] == "phase") {
        let who = owners[event["row"].as_u64().unwrap() as usize - 1].clone();
        match event["phase"].as_str().unwrap() {
            "waits-for-person" => drop(asked.insert(who)),
            "queued" if event.get("fault").is_some() => {
                let fault = &event["fault"];
                let number = fault.get("number").cloned().unwrap_or_default();
                assert_eq!(retried.insert(who.clone(), json!([fault["code"], number])), None, "{who}: twice");
            }
            _ => {}
        }
    }
    assert_eq!(asked, BTreeSet::from(["Gijs".to_owned()]));
    let why = json!({
        "Bert": ["link-lost", null], "Daan": ["link-lost", null], "Fien": ["restore-failed", 100],
        "Gijs": ["device-locked", null],
    });
    assert_eq!(json!(retried), why, "{ran}");

    let reports: Vec<Value> = ran.lines().into_iter().filter(|line| line["steps"].is_array()).collect();
    assert_eq!(reports.iter().map(|report| owner(&report["title"])).collect::<BTreeSet<_>>().len(), 8);
    assert_eq!(reports.len(), 8);
    for report in &reports {
        let restores: Vec<&Value> =
            report["steps"].as_array().unwrap().iter().filter(|step| step["step"] == "restore").collect();
        let ended: Vec<bool> = restores.iter().map(|step| step["ok"] == true).collect();
        let wanted: &[bool] = match owner(&report["title"]).as_str() {
            "Bert" | "Daan" | "Fien" => &[false, true],
            _ => &[true],
        };
        assert_eq!((&report["outcome"], &report["erased"], &ended[..]), (&json!("ok"), &json!(true), wanted));
        assert_eq!(report["restored"][1], report["firmware"]["build"]);
    }
    assert!(ran.err.contains("All 8 devices run what Apple offers for them."), "{ran}");
}
