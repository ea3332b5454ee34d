//! What the verbs of a shop write: lines of a batch, what hooks and webhooks are told, certificates, bundles and CSV.
//!
//! Most of it is put together where it is printed, so it is the program that runs here.

use super::bench::{DEADLINE, Rig, run};
use super::{Home, example, field, is_finished, items, set, there_and_back};
use herstel::event::Outcome;
use herstel::job::batch::{Entry, Record, Topic};
use serde_json::{Value, json};
use std::fs;

/// The same keys in the same order all the way down, and values of the same kind; what one of them does not know fits.
fn fits(frozen: &Value, now: &Value, at: &str) {
    match (frozen, now) {
        (Value::Null, _) | (_, Value::Null) => {}
        (Value::Object(old), Value::Object(new)) => {
            assert!(old.keys().eq(new.keys()), "{at}: {:?}, frozen {:?}", new.keys(), old.keys());
            old.iter().for_each(|(key, value)| fits(value, &new[key], &format!("{at}.{key}")));
        }
        (Value::Array(old), Value::Array(new)) => {
            assert_eq!(old.len(), new.len(), "{at}");
            old.iter().zip(new).for_each(|(old, new)| fits(old, new, &format!("{at}[]")));
        }
        _ => assert_eq!(std::mem::discriminant(frozen), std::mem::discriminant(now), "{at}: {now}, frozen {frozen}"),
    }
}

#[test]
fn a_batch_and_what_it_tells_the_outside() {
    let rig = Rig::new(
        "pace = 25.0\n[[phone]]\nmodel = \"iphone13\"\nname = \"Anna's iPhone\"\ntrust = \"trusted\"\nphotos = 4\n\
         [[phone]]\nmodel = \"iphone13\"\nname = \"Bert's iPhone\"\nphotos = 4\n",
    );
    for (station, port) in [("1", "1-1"), ("2", "1-2"), ("4", "1-9")] {
        rig.good(&["stations", "set", station, port]);
    }
    let hook = format!("[\"/bin/sh\", \"-c\", \"cat >> '{}'\"]", rig.path("told").display());
    let [anna, bert] = [0, 1].map(|at| rig.bench.phones[at].ecid);
    fs::write(
        rig.path("shop.toml"),
        format!(
            "ownership = \"organisation\"\nlimit = 2\nretry.person_seconds = 1\n[hooks]\nattached = {hook}\n\
             needs_person = {hook}\nfinished = {hook}\nfailed = {hook}\n\
             [[device]]\necid = \"{anna}\"\naction = \"backup\"\n[[device]]\necid = \"{bert}\"\naction = \"backup\"\n\
             [[device]]\nudid = \"00008110-000A4D9C3A22801E\"\naction = \"restore-erase\"\n\
             [[device]]\nstation = 4\naction = \"recover\"\n"
        ),
    )
    .unwrap();
    let mut command = rig.command(&["batch", "shop.toml", "--yes-erase-all", "--yes-erase-stations", "4", "--json"]);
    command.env("HERSTEL_BENCH_HASTE", "25");
    let ran = run(command, DEADLINE);
    assert_eq!(ran.code, Some(4), "two are not here: {ran}");
    let frozen = example("batch_lines.json");
    for event in ["batch-file", "batch-over"] {
        fits(&frozen[event], &ran.events(event)[0], event);
    }
    let told = fs::read_to_string(rig.path("told")).unwrap();
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let frozen = example("told.json");
    assert_eq!(field(&frozen, "topic"), set(Topic::ALL.iter().map(|topic| topic.as_str())));
    assert_eq!(field(&json!(told), "topic"), field(&frozen, "topic"), "each topic came");
    told.iter().for_each(|line| fits(&frozen[3], line, "told"));
}

/// It is read again by `batch --resume`, of whatever version.
#[test]
fn the_journal_of_a_batch() {
    let examples = example("batch_journal.json");
    let entries: Vec<Entry> = there_and_back(&examples);
    let name = |entry: &Entry| match &entry.record {
        Record::Batch { .. } => "batch",
        Record::Row { .. } => "row",
        Record::Bound { .. } => "bound",
        Record::Began { .. } => "began",
        Record::Job { .. } => "job",
        Record::Missed { .. } => "missed",
        Record::Ended { .. } => "ended",
        Record::Resumed => "resumed",
        Record::Again { .. } => "again",
        Record::Over { .. } => "over",
    };
    assert_eq!(set(entries.iter().map(name)), field(&examples, "record"));
    assert_eq!(field(&examples, "record").len(), 10);
}

#[test]
fn what_report_writes_of_a_job() {
    let home = Home::new();
    let sealed = example("certificate.json");
    let folder = home.jobs().join(sealed["certificate"]["job"].as_str().unwrap());
    fs::create_dir_all(&folder).unwrap();
    let journal: Vec<&str> = items(&sealed["journal"]).iter().map(|line| line.as_str().unwrap()).collect();
    fs::write(folder.join("journal.jsonl"), journal.join("\n") + "\n").unwrap();
    let (file, bundle) = (home.path("c.json"), home.path("b.zip"));
    let frozen = example("report_lines.json");
    let mut said = Vec::new();
    for (what, arguments) in [
        ("certificate", ["report", "--certificate", &file, "--json"]),
        ("certificate", ["report", "verify", &file, "--json"]),
        ("bundle", ["report", "--bundle", &bundle, "--json"]),
    ] {
        let (code, lines) = home.lines(&arguments);
        assert_eq!((code, lines.len(), is_finished(&lines[1]).0), (Some(0), 2, Outcome::Ok));
        fits(&frozen[what], &lines[0], what);
        said.push(lines[0].clone());
    }
    assert_eq!((&said[0], &said[0]["certificate"]), (&said[1], &sealed["certificate"]));
    let csv = String::from_utf8(home.run(&["report", "--format", "csv"]).stdout).unwrap();
    let columns: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    assert_eq!(json!(columns), frozen["csv"], "the columns of `info --csv` are the keys of `sheet` in info.json");
}
