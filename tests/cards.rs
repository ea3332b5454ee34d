//! `card` with the real program: its list, its pages, its data, and a phone that has a say in them.

mod bench;

use bench::Rig;
use herstel::fault::Code;
use herstel::report::card::card;
use herstel::say::Lang;
use herstel::say::cards::{Topic, warning};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// The program in an empty home, pointed at a bench that is not there: a card needs no device.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Home {
        Home(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_herstel"));
        command.args(arguments).current_dir(self.0.path()).env_clear().env("LC_ALL", "C");
        command.env("HOME", self.0.path()).env("HERSTEL_BENCH", self.path("none"));
        command.output().unwrap()
    }
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn without_a_topic_they_are_listed() {
    let home = Home::new();
    for lang in ["en", "nl"] {
        let listed = home.run(&["card", "--lang", lang]);
        assert_eq!(listed.status.code(), Some(0), "{}", err(&listed));
        let shown = out(&listed);
        let first: Vec<&str> = shown.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(first, Topic::ALL.map(Topic::as_str));
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    }
    let (en, nl) = (home.run(&["card", "--lang", "en"]), home.run(&["card", "--lang", "nl"]));
    assert_ne!(out(&en), out(&nl));
}

#[test]
fn an_unknown_topic_is_refused_with_those_that_there_are() {
    let home = Home::new();
    for arguments in [&["card", "bypass"][..], &["card", "--paper", "x.html"]] {
        let refused = home.run(arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}: {}", err(&refused));
        assert!(out(&refused).is_empty());
    }
    let said = err(&home.run(&["card", "bypass"]));
    assert!(Topic::ALL.iter().all(|topic| said.contains(topic.as_str())), "{said}");
    assert_eq!(fs::read_dir(home.0.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn every_card_is_printed_as_the_library_has_it() {
    let home = Home::new();
    for topic in Topic::ALL {
        for (lang, code) in [(Lang::En, "en"), (Lang::Nl, "nl")] {
            let printed = home.run(&["card", topic.as_str(), "--lang", code]);
            assert_eq!(printed.status.code(), Some(0), "{}", err(&printed));
            assert_eq!(out(&printed), card(lang, topic, None).text(lang, 80));
            assert!(err(&printed).is_empty(), "{}", err(&printed));
        }
    }
}

#[test]
fn a_page_is_written_whole_or_not_at_all() {
    let home = Home::new();
    let file = home.path("2fa.html");
    fs::write(&file, "an older sheet").unwrap();
    let written = home.run(&["card", "2fa", "--paper", "2fa.html", "--lang", "nl"]);
    assert_eq!(written.status.code(), Some(0), "{}", err(&written));
    assert!(out(&written).is_empty() && err(&written).contains("2fa.html"), "{}", err(&written));
    let page = fs::read_to_string(&file).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n") && page.contains("<html lang=\"nl\">"));
    assert!(page.contains(warning(Lang::Nl)) && !page.contains("<script") && !page.contains("http://"), "{page}");

    fs::create_dir(home.path("folder")).unwrap();
    fs::write(home.path("folder/kept"), "").unwrap();
    for place in ["/proc/nowhere/sim.html", "folder"] {
        let refused = home.run(&["card", "sim", "--paper", place, "--json"]);
        assert_eq!(refused.status.code(), Some(1), "{place}: {}", err(&refused));
        let last = out(&refused).lines().last().map(str::to_owned).unwrap();
        let last: serde_json::Value = serde_json::from_str(&last).unwrap();
        assert_eq!(last["fault"]["code"], Code::DiskError.as_str(), "{place}");
        assert_eq!(last["fault"]["stage"], "report", "{place}");
    }
    let mut left: Vec<_> = fs::read_dir(home.0.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["2fa.html", "folder"], "no half of a page stays behind");
}

#[test]
fn a_named_device_gets_its_own_era_and_its_name_gives_no_orders() {
    let hostile = "Anna\\u001b[2J <b>x</b>";
    let rig = Rig::new(&format!(
        "[[phone]]\nmodel = \"iphone5s\"\nname = \"{hostile}\"\nversion = \"12.5.8\"\nbuild = \"16H88\"\n\
         [[phone]]\nmodel = \"iphone13\"\nmode = \"recovery\"\n"
    ));
    let ecid = |at: usize| rig.bench.phones[at].ecid.to_string();
    let own = rig.good(&["card", "lockout", "-d", &ecid(0), "--lang", "en"]);
    assert!(own.out.contains("THIS ONE: about iOS 9 to 17") && own.out.contains("runs 12.5.8"), "{own}");
    assert!(own.out.contains("from about iOS 17") && own.out.contains("until about iOS 9"), "the others stay: {own}");
    assert!(!own.out.contains('\u{1b}') && own.out.contains("VIRTUAL"), "{own}");
    assert!(own.out.lines().all(|line| line.chars().count() <= 80) && own.out.lines().count() <= 60, "{own}");

    rig.good(&["card", "lockout", "-d", &ecid(0), "--paper", "x.html"]);
    let page = fs::read_to_string(rig.path("x.html")).unwrap();
    assert!(!page.contains('\u{1b}') && !page.contains("<b>") && page.contains("&lt;b&gt;x"), "{page}");

    let dark = rig.good(&["card", "lockout", "-d", &ecid(1)]);
    assert!(dark.out.contains("does not tell its version") && !dark.out.contains("THIS ONE"), "{dark}");

    let without = rig.good(&["card", "lockout"]);
    assert!(!without.out.contains("THIS ONE") && !without.out.contains("VIRTUAL"), "{without}");
    let nobody = rig.run(&["card", "lockout", "-d", "0xDEADBEEF", "--json"]);
    assert_eq!((nobody.code, nobody.code_of_fault()), (Some(5), Some(Code::NoSuchDevice)), "{nobody}");
    // Advice that no device changes does not look for one.
    let other = rig.good(&["card", "sim", "-d", "0xDEADBEEF"]);
    assert!(!other.out.contains("VIRTUAL"), "{other}");
}

#[test]
fn the_letter_and_the_intake_sheet_are_filled_in_by_the_device() {
    let rig = Rig::new("[[phone]]\nmodel = \"iphone13\"\nname = \"Anna's iPhone\"\ntrust = \"trusted\"\n");
    let ecid = rig.phone().ecid.to_string();
    let told = rig.good(&["info", "-d", &ecid, "--json"]).lines()[0]["info"].clone();
    let serial = told["serial"].as_str().unwrap();
    for topic in ["activation-lock", "before-repair"] {
        let filled = rig.good(&["card", topic, "-d", &ecid]);
        assert!(filled.out.contains(&format!("Serial {serial} _")), "{filled}");
        assert!(filled.out.contains("iPhone 13") && filled.out.contains("VIRTUAL"), "{filled}");
        assert!(filled.out.lines().all(|line| line.chars().count() <= 80) && filled.out.lines().count() <= 60);
        let data = &rig.good(&["card", topic, "-d", &ecid, "--json"]).lines()[0];
        assert_eq!(data["card"]["virtual"], true);
        assert!(
            data["card"].to_string().contains(&format!("{{\"label\":\"Serial\",\"value\":\"{serial}\"}}")),
            "{data}"
        );
    }
    let empty = rig.good(&["card", "before-repair"]);
    assert!(!empty.out.contains(serial) && empty.out.contains("Serial ____"), "nothing is read unless asked: {empty}");
}
