//! What packages bring: a man page for every verb, completions that know each option, and a .deb with every file.
//!
//! The verbs are those that the program's own `--help` shows, however deep. The packages are tried by installing them
//! in `scripts/package-test`, which changes the machine it runs on; here one is made and looked into.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

const HERSTEL: &str = env!("CARGO_BIN_EXE_herstel");

fn herstel(args: &[&str]) -> String {
    // So wide that no help text is wrapped.
    let ran = Command::new(HERSTEL).args(args).env("COLUMNS", "500").env("LC_ALL", "C").output().unwrap();
    assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

/// The lines below a heading of a help text, up to the next heading.
fn section<'a>(help: &'a str, heading: &str) -> Vec<&'a str> {
    let below = help.lines().skip_while(|l| *l != heading).skip(1);
    below.take_while(|l| l.is_empty() || l.starts_with(' ')).filter(|l| !l.is_empty()).collect()
}

/// What a section explains: a word, and what is said of it, on its own line or on those after it.
fn entries<'a>(help: &'a str, heading: &str) -> Vec<(&'a str, String)> {
    let mut found: Vec<(&str, String)> = Vec::new();
    for line in section(help, heading) {
        let text = line.trim_start();
        if line.len() - text.len() > 6 {
            found.last_mut().unwrap().1.push_str(text);
            continue;
        }
        let (word, told) = text.split_once("  ").unwrap_or((text, ""));
        found.push((word, told.trim_start().to_owned()));
    }
    found
}

/// One verb with what its help shows; the words of the program itself are none.
struct Verb {
    words: Vec<String>,
    help: String,
}

impl Verb {
    fn page(&self) -> String {
        format!("{}.1", [&["herstel".to_owned()], &self.words[..]].concat().join("-"))
    }

    fn options(&self) -> BTreeSet<String> {
        let entries = entries(&self.help, "Options:");
        let words = entries.iter().flat_map(|(word, _)| word.split([' ', ',']));
        words.filter(|w| w.starts_with("--")).map(|w| w.trim_end_matches("...").to_owned()).collect()
    }
}

fn verbs() -> Vec<Verb> {
    let mut found = vec![Verb { words: Vec::new(), help: herstel(&["--help"]) }];
    let mut next = 0;
    while let Some(verb) = found.get(next) {
        let below = entries(&verb.help, "Commands:");
        let below: Vec<Vec<String>> =
            below.iter().map(|(word, _)| [&verb.words[..], &[(*word).to_owned()]].concat()).collect();
        for words in below {
            let args: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
            let help = herstel(&args);
            found.push(Verb { words, help });
        }
        next += 1;
    }
    assert!(found.len() > 30, "too few verbs: {}", found.len());
    found
}

/// The text that follows a name in a man page, without the page's own marks.
fn said(page: &str, heading: &str) -> String {
    let lines = page.lines().skip_while(|l| *l != heading).skip(1).take_while(|l| !l.starts_with(".SH"));
    lines.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_verb_has_a_page_and_every_word_of_it_is_described() {
    let folder = tempfile::tempdir().unwrap();
    herstel(&["generate", "man", folder.path().to_str().unwrap()]);
    let mut pages: BTreeSet<String> =
        fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    let mut empty = Vec::new();
    for verb in verbs() {
        let name = verb.page();
        assert!(pages.remove(&name), "{name} is missing");
        let page = fs::read_to_string(folder.path().join(&name)).unwrap();
        let (_, about) =
            said(&page, ".SH NAME").split_once(" \\- ").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        if about.trim().is_empty() || said(&page, ".SH DESCRIPTION").trim().is_empty() {
            empty.push(format!("{name}: the verb itself"));
        }
        for heading in ["Commands:", "Arguments:", "Options:"] {
            for (word, told) in entries(&verb.help, heading) {
                // The words that can be taken are no description.
                if told.is_empty() || told.starts_with(['[', '-']) || told.starts_with("Possible values:") {
                    empty.push(format!("{name}: {word}"));
                }
            }
        }
        for option in verb.options() {
            assert!(page.contains(&option.replace('-', "\\-")), "{name} does not name {option}");
        }
    }
    assert!(empty.is_empty(), "without a description:\n{}", empty.join("\n"));
    assert!(pages.is_empty(), "pages of no verb: {pages:?}");
}

/// The lines of a shell's `case` arm, from its label to its end.
fn arm(script: &str, label: &str) -> String {
    let lines = script.lines().skip_while(|l| l.trim() != label).skip(1).take_while(|l| l.trim() != ";;");
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn completions_know_every_option_of_every_verb() {
    let folder = tempfile::tempdir().unwrap();
    herstel(&["generate", "completions", folder.path().to_str().unwrap()]);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let (bash, zsh, fish) = (read("herstel.bash"), read("_herstel"), read("herstel.fish"));
    let mut options = 0;
    for verb in verbs() {
        let label = [&["herstel".to_owned()], &verb.words[..]].concat().join("__subcmd__");
        let offered = arm(&bash, &format!("{label})"));
        let list = offered.lines().find_map(|l| l.trim().strip_prefix("opts=\"")).unwrap_or_default();
        let list: BTreeSet<&str> = list.trim_end_matches('"').split(' ').collect();
        for option in verb.options() {
            let bare = option.trim_start_matches('-');
            assert!(list.contains(&*option), "bash: {:?} {option}, offered: {list:?}", verb.words);
            assert!(zsh.contains(&format!("{option}[")) || zsh.contains(&format!("{option}=[")), "zsh: {option}");
            // Options for all verbs below a second one stand at the second.
            let place = verb.words.iter().take(2).next_back();
            let place = place.map_or("__fish_herstel_needs_command", String::as_str);
            let of = |l: &str| l.split('"').nth(1).is_some_and(|n| n.contains(place));
            assert!(
                fish.lines().any(|l| l.contains(&format!(" -l {bare} ")) && of(l)),
                "fish: {:?} {option}",
                verb.words
            );
            options += 1;
        }
        if let Some(word) = verb.words.last() {
            assert!(zsh.contains(&format!("({word})")), "zsh: {word}");
            assert!(fish.contains(&format!("-a \"{word}\"")), "fish: {word}");
        }
    }
    assert!(options > 200, "too few options: {options}");
}

/// What of these is not on this computer: packages are made by programs that not everybody has.
fn lacking(tools: &[&str]) -> bool {
    let away = tools.iter().find(|tool| Command::new(tool).arg("--version").output().is_err());
    if let Some(tool) = away {
        println!("left out: there is no {tool} here");
    }
    away.is_some()
}

#[test]
fn a_deb_has_every_file() {
    if lacking(&["dpkg-deb", "python3", "readelf", "strip"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ran = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/package"))
        .args(["--quick", "--deb-only", "--bin", HERSTEL, "--out"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let printed = String::from_utf8(ran.stdout).unwrap();
    let deb = printed.lines().find(|l| l.ends_with(".deb")).unwrap();
    assert!(deb.contains(concat!("herstel_", env!("CARGO_PKG_VERSION"), "-1_")), "{deb}");

    let dpkg = |args: &[&str]| {
        let ran = Command::new("dpkg-deb").args(args).arg(deb).env("LC_ALL", "C").output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };
    let listing = dpkg(&["--contents"]);
    let mut files: BTreeSet<String> = BTreeSet::new();
    for line in listing.lines().filter(|l| l.starts_with('-')) {
        assert!(line.contains(" root/root "), "{line}");
        let name = line.split_whitespace().last().unwrap().trim_start_matches('.').to_owned();
        let mode = if name == "/usr/bin/herstel" { "-rwxr-xr-x" } else { "-rw-r--r--" };
        assert!(line.starts_with(mode), "{line}");
        files.insert(name);
    }
    let fixed = [
        "/usr/bin/herstel",
        "/usr/lib/udev/rules.d/70-herstel.rules",
        "/usr/share/bash-completion/completions/herstel",
        "/usr/share/zsh/vendor-completions/_herstel",
        "/usr/share/fish/vendor_completions.d/herstel.fish",
        "/usr/share/doc/herstel/copyright",
        "/usr/share/doc/herstel/changelog.gz",
        "/usr/share/doc/herstel/changelog.Debian.gz",
        "/usr/share/doc/herstel/README.md",
        "/usr/share/doc/herstel/SECURITY.md",
        "/usr/share/doc/herstel/third-party.txt",
    ];
    let pages = verbs().into_iter().map(|v| format!("/usr/share/man/man1/{}.gz", v.page()));
    let shapes = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema/v1")).unwrap();
    let shapes =
        shapes.map(|e| format!("/usr/share/doc/herstel/schema/{}", e.unwrap().file_name().into_string().unwrap()));
    let wanted: BTreeSet<String> = fixed.into_iter().map(str::to_owned).chain(pages).chain(shapes).collect();
    assert_eq!(files, wanted);

    let control = dpkg(&["--field"]);
    for line in ["Package: herstel", "Section: utils", "Recommends: usbmuxd"] {
        assert!(control.lines().any(|l| l == line), "{line}: {control}");
    }
    let depends = control.lines().find(|l| l.starts_with("Depends: ")).unwrap();
    assert!(depends.contains("libc6 (>= 2."), "{depends}");
}

#[test]
fn third_party_names_every_crate_and_the_lgpl() {
    if lacking(&["python3"]) {
        return;
    }
    let ran = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/third-party")).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = String::from_utf8(ran.stdout).unwrap();
    let manifest: toml::Table =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap().parse().unwrap();
    for name in manifest["dependencies"].as_table().unwrap().keys() {
        assert!(text.lines().any(|l| l.starts_with(&format!("{name} "))), "{name} is not listed");
    }
    // What the crates' own fields do not tell.
    assert!(text.contains("LGPL-2.1-or-later") && text.contains("GNU LESSER GENERAL PUBLIC LICENSE"));
    assert!(!text.lines().any(|l| l.starts_with("trycmd ")), "tests' crates are not in the program");
}
