//! A download that is killed: SIGKILL while several connections bring a file, again and again.

use super::bench::Rig;
use super::{event, exits, line_with};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

/// What of the file is here, by the notes that lie beside the part: ranges of bytes.
fn here(rig: &Rig) -> Vec<(u64, u64)> {
    let Ok(folder) = fs::read_dir(rig.store().join("incoming")) else { return vec![] };
    let files: Vec<PathBuf> = folder.map(|e| e.unwrap().path()).collect();
    let of = |ending: &str| files.iter().find(|p| p.to_str().unwrap().ends_with(ending));
    let (Some(state), Some(map)) = (of(".part.json"), of(".part.map")) else { return vec![] };
    let state: Value = serde_json::from_slice(&fs::read(state).unwrap()).unwrap();
    let Some(piece) = state["pieces"]["piece"].as_u64() else { return vec![] };
    let counts = fs::read(map).unwrap();
    let counts = counts.chunks_exact(8).map(|count| u64::from_le_bytes(count.try_into().unwrap()));
    counts.enumerate().map(|(n, done)| (n as u64 * piece, n as u64 * piece + done)).collect()
}

fn asked(rig: &Rig) -> Vec<(u64, u64)> {
    let memory = rig.bench.apple.memory();
    let cdn = memory.iter().filter(|m| m["what"] == "cdn").map(|m| &m["detail"]);
    cdn.filter_map(|d| Some((d["from"].as_u64()?, d["to"].as_u64()?))).collect()
}

#[test]
fn a_fetch_that_is_killed_asks_for_nothing_twice() {
    let spec = "pace = 25.0\n[apple]\nbytes_per_second = 8000000\n[[phone]]\nmodel = \"iphone13\"\n";
    let rig = Rig::with_image(spec, 40 << 20);
    let mut kills = 0;
    for part in 1..=4 {
        let (has, before) = (here(&rig), asked(&rig).len());
        let mut child = rig.command(&["firmware", "fetch", "--json"]).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let Some((done, total)) = line["done"].as_u64().zip(line["total"].as_u64()) else { continue };
            if done > total * part / 5 {
                break;
            }
        }
        child.kill().unwrap();
        kills += u32::from(child.wait().unwrap().code().is_none());
        for (from, to) in asked(&rig).split_off(before) {
            let again = has.iter().find(|(a, b)| from.max(*a) < to.min(*b));
            assert_eq!(again, None, "{from}..{to} was here before");
        }
    }
    assert_eq!(kills, 4, "each run was killed in the middle");
    let has: u64 = here(&rig).iter().map(|(a, b)| b - a).sum();
    assert!(has > 20 << 20, "most of it is here after four runs: {has}");
    let fetched = event(&exits(&rig, &["firmware", "fetch", "--json"], 0), "firmware");
    let built = fs::read(&rig.bench.firmware[0].path).unwrap();
    assert!(fs::read(fetched["path"].as_str().unwrap()).unwrap() == built);
    assert_eq!(fs::read_dir(rig.store().join("incoming")).unwrap().count(), 1, "only the lock is left");
    let cache = line_with(&exits(&rig, &["firmware", "cache", "verify", "--json"], 0), "cache");
    assert_eq!(cache["cache"].as_array().map(Vec::len), Some(1));
}
