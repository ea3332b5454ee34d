//! The house rules, held: arrows go down only, doors have one user, files have one subject.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by floor; a room may import any room of a lower floor, itself, and what `ALSO` lists.
const FLOORS: &[(u32, &[&str])] = &[
    (0, &["ids", "event", "fault"]),
    (10, &["facts", "wire", "say"]),
    (19, &["disk"]),
    (20, &["usb", "mux", "net"]),
    (21, &["virt"]),
    (30, &["device"]),
    (31, &["firmware", "triage", "guide", "doctor"]),
    (32, &["restore", "backup"]),
    (33, &["report"]),
    (34, &["job"]),
    (40, &["cli"]),
];

/// Arrows that the floor number alone would allow, but the design does not.
const NEVER: &[(&str, &[&str])] = &[
    ("wire", &["facts", "say"]),
    ("facts", &["wire", "say"]),
    ("say", &["facts", "wire"]),
    ("virt", &["mux", "net", "disk", "say"]),
    ("device", &["virt"]),
    ("firmware", &["virt"]),
    ("triage", &["virt"]),
    ("guide", &["virt"]),
    ("doctor", &["virt"]),
    ("restore", &["virt", "triage", "guide", "doctor"]),
    ("backup", &["virt", "firmware", "triage", "guide", "doctor", "restore"]),
    ("report", &["virt", "restore", "backup", "firmware"]),
    ("job", &["virt", "doctor"]),
];

fn floor(room: &str) -> Option<u32> {
    FLOORS.iter().find(|(_, rooms)| rooms.contains(&room)).map(|(n, _)| *n)
}

fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push(path);
            }
        }
    }
    let mut out = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut out);
    out.sort();
    assert!(out.len() > 20, "the walk found too little: {out:?}");
    out
}

fn room_of(path: &Path) -> String {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// Files that only tests build: named by a `#[cfg(test)] mod x;` of their parent, or below such a one.
fn test_only(sources: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in sources {
        let text = fs::read_to_string(path).unwrap();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let folder = path.parent().unwrap();
        let inside =
            if ["mod", "lib", "main"].contains(&stem.as_str()) { folder.to_owned() } else { folder.join(&stem) };
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for pair in lines.windows(2) {
            let name = pair[1].trim_start_matches("pub(crate) ").strip_prefix("mod ").and_then(|m| m.strip_suffix(';'));
            if let ("#[cfg(test)]", Some(name)) = (pair[0], name) {
                found.push(inside.join(format!("{name}.rs")));
                found.push(inside.join(name));
            }
        }
    }
    found
}

/// The sources of the product itself.
fn product_sources() -> Vec<PathBuf> {
    let all = sources();
    let tests = test_only(&all);
    let kept: Vec<_> = all.into_iter().filter(|p| !tests.iter().any(|t| p.starts_with(t))).collect();
    assert!(kept.len() > 100, "too few files are left: {}", kept.len());
    kept
}

/// Product code of a file: what stands before its test module, without comment lines.
fn product_code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap();
    text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The rooms named after `crate::`, grouped imports included.
fn arrows(code: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            let mut at_name = true;
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        rooms.push(std::mem::take(&mut word));
                        at_name = true;
                    }
                    c if depth == 0 && at_name && (c.is_alphanumeric() || c == '_') => word.push(c),
                    c if depth == 0 && c == ':' => at_name = false,
                    _ => {}
                }
            }
            rooms.push(word);
        } else {
            rooms.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    rooms.retain(|r| !r.is_empty());
    rooms
}

#[test]
fn arrows_go_down_only() {
    let mut wrong = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for path in product_sources() {
        let room = room_of(&path);
        if ["lib", "main"].contains(&room.as_str()) {
            continue;
        }
        let from = floor(&room).unwrap_or_else(|| panic!("{room} has no floor"));
        for to in arrows(&product_code(&fs::read_to_string(&path).unwrap())) {
            let Some(below) = floor(&to) else { continue };
            *seen.entry(format!("{room}->{to}")).or_default() += 1;
            let never = NEVER.iter().any(|(r, never)| *r == room && never.contains(&to.as_str()));
            let words_between = from == 0 && below == 0;
            if to != room && !words_between && (below >= from || never) {
                wrong.push(format!("{}: {room} -> {to}", path.display()));
            }
        }
    }
    assert!(seen.len() > 5, "no arrows were read: {seen:?}");
    assert!(wrong.is_empty(), "arrows that do not go down:\n{}", wrong.join("\n"));
}

#[test]
fn the_arrow_reader_reads_groups() {
    let code = "use crate::ids::Ecid;\nuse crate::{fault::{Code, Fault}, wire};\nfn f(x: crate::usb::Setup) {}";
    assert_eq!(arrows(code), ["ids", "fault", "wire", "usb"]);
}

#[test]
fn each_library_has_its_door() {
    let doors: &[(&str, &[&str])] = &[
        ("rusb", &["src/usb/libusb.rs"]),
        ("idevice", &["src/mux/"]),
        ("rusqlite", &["src/backup/", "src/virt/backup/"]),
        ("indicatif", &["src/cli/"]),
        ("clap", &["src/cli/"]),
        ("reqwest", &["src/net/"]),
        ("zip", &["src/virt/ipsw", "src/firmware/", "src/report/bundle.rs"]),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for path in product_sources() {
        let inside = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let code = product_code(&fs::read_to_string(&path).unwrap());
        for (library, allowed) in doors {
            let names = [format!("use {library}::"), format!(" {library}::"), format!("({library}::")];
            if names.iter().any(|n| code.contains(n.as_str())) && !allowed.iter().any(|a| inside.starts_with(a)) {
                wrong.push(format!("{inside} uses {library}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_cli_makes_consents() {
    let mut made = Vec::new();
    for path in product_sources() {
        if product_code(&fs::read_to_string(&path).unwrap()).contains("Consent::from_person") {
            made.push(room_of(&path));
        }
    }
    made.dedup();
    assert_eq!(made, ["cli"], "law 2");
}

#[test]
fn only_cli_prints_exits_or_reads_the_environment() {
    let words = ["println!", "eprintln!", "print!(", "eprint!(", "process::exit", "env::var", "std::env::args"];
    let mut wrong = Vec::new();
    for path in product_sources() {
        let room = room_of(&path);
        if room == "cli" || room == "main" {
            continue;
        }
        let code = product_code(&fs::read_to_string(&path).unwrap());
        for word in words {
            if code.contains(word) {
                wrong.push(format!("{} has {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_have_one_subject_and_an_essay() {
    let mut wrong = Vec::new();
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        if lines > 600 && !text.lines().take(20).any(|l| l.contains("600 lines")) {
            wrong.push(format!("{} has {lines} lines and gives no reason", path.display()));
        }
        if !text.starts_with("//!") && room_of(&path) != "main" {
            wrong.push(format!("{} has no essay at its head", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_unfinished_is_called_done() {
    let words = ["todo!(", "unimplemented!(", "TODO", "FIXME", "#[ignore", "To be furnished"];
    let mut wrong = Vec::new();
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        for word in words {
            if text.contains(word) {
                wrong.push(format!("{} has {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
