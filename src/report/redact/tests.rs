//! Every number and name that a device has, in every place where it could stand.

use super::*;
use proptest::prelude::*;
use serde_json::json;

const SECRETS: &[&str] = &[
    "Anna's iPhone",
    "0x126D0E81100001",
    "0x126d0e81100001",
    "126D0E81100001",
    "5186474906386433",
    "00008110-00126D0E81100001",
    "VRT3304000X",
    "C8QH6T96DPNG",
    "350000000278552",
    "35000000027855",
    "VRTM26D0E81100001",
    "94c72869fab81da038f3ab7f8e3839a888c71234",
    "02:0e:81:10:01:2b",
    "anna@example.com",
    "8935802112081706123",
    "F8YVRT3304000X",
];

fn knowing() -> Redactor {
    let mut redactor = Redactor::default();
    redactor.learn(&json!({
        "title": "Anna's iPhone", "ecid": "0x126D0E81100001",
        "info": [{ "udid": "00008110-00126D0E81100001", "serial": "VRT3304000X", "battery_serial": "F8YVRT3304000X" }],
    }));
    redactor
}

/// No four-letter piece more than the end of a number may be left.
fn left(text: &str) -> Option<&'static str> {
    SECRETS
        .iter()
        .find(|secret| {
            let tail: String = secret.chars().skip(secret.chars().count().saturating_sub(KEPT + 2)).collect();
            text.contains(**secret) || (!secret.contains(['@', '\'']) && text.contains(&tail))
        })
        .copied()
}

#[test]
fn every_identifier_goes_wherever_it_stands() {
    let redactor = knowing();
    for secret in SECRETS {
        for text in [
            secret.to_string(),
            format!("lost {secret}."),
            format!("{secret}: gone"),
            format!("/var/x/{secret}/Manifest.db"),
            format!("({secret})"),
            format!("key={secret},next"),
            format!("\"{secret}\""),
            format!("é{secret}é"),
            format!("{secret}-23H30-ap.plist"),
        ] {
            let clean = redactor.text(&text);
            assert_eq!(left(&clean), None, "{text:?} became {clean:?}");
            let document = redactor.document(&json!({ "detail": text, "deep": [[{ "x": text }]] })).to_string();
            assert_eq!(left(&document), None, "{document}");
        }
    }
}

#[test]
fn what_stands_under_a_known_key_goes_even_if_it_looks_like_nothing() {
    let redactor = Redactor::default();
    let clean =
        redactor.document(&json!({ "title": "Bo", "serial": "abc", "name": "iPhone", "UniqueChipID": 12345, "n": 5 }));
    assert_eq!(clean, json!({ "title": "B…", "serial": "…", "name": "iPhone", "UniqueChipID": "…2345", "n": 5 }));
    let row = json!({ "checks": [{ "name": "usbmuxd" }], "devices": [{ "udid": null, "name": "Bo's own" }] });
    let mut redactor = Redactor::default();
    redactor.learn(&row);
    assert_eq!(redactor.text("usbmuxd told of Bo's own"), "usbmuxd told of B…");
    assert_eq!(redactor.document(&row)["checks"], row["checks"]);
}

#[test]
fn what_a_helper_needs_stays() {
    let redactor = knowing();
    for text in [
        "iPhone14,5 27.0.1 (24A446)",
        "AMRError 53 at await_update_update_veridian, chip 0x8110, board 0x0A",
        "2026-10-04T10:00:00Z backup 41 files, 17000000 bytes of 9126805504",
        "01999999-0000-7000-8000-000000000001",
        "iPhone14,5_27.0.1_24A446_Restore.ipsw",
        "20261004T100001Z",
        "usb 1-1.4.2: gone",
    ] {
        assert_eq!(redactor.text(text), text);
    }
    assert_eq!(
        redactor.text("/home/anna/.local/share/herstel and /Users/bo"),
        "/home/…/.local/share/herstel and /Users/…"
    );
}

#[test]
fn a_document_that_nests_without_end_is_cut() {
    let mut deep = json!("C8QH6T96DPNG");
    for _ in 0..200 {
        deep = json!([deep]);
    }
    let mut redactor = Redactor::default();
    redactor.learn(&deep);
    assert_eq!(left(&redactor.document(&deep).to_string()), None);
}

proptest! {
    #[test]
    fn between_any_texts_it_goes(before in "[^0-9A-Za-z]{0,12}", after in "[^0-9A-Za-z]{0,12}", at in 0..SECRETS.len()) {
        let clean = knowing().text(&format!("{before}{}{after}", SECRETS[at]));
        prop_assert_eq!(left(&clean), None, "{}", clean);
    }

    #[test]
    fn any_text_is_taken(text in ".{0,200}") {
        let _ = knowing().text(&text);
    }
}
