//! A certificate of a job that erased, and of jobs that did not; and every byte of its file.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

const JOB: &str = "01999999-0000-7000-8000-000000000001";

fn key(byte: u8) -> Key {
    Key::new(&[byte; 32]).unwrap()
}

fn plan(way: &str) -> Value {
    json!({
        "at": "2026-10-04T10:00:00Z", "record": "plan", "tool": "0.1.0", "ecid": "0x126D0E81100001",
        "udid": "00008110-00126D0E81100001", "title": "Anna's iPhone", "product": "iPhone14,5", "board": "d17ap",
        "cpid": "0x8110", "bdid": "0x0A", "version": "26.7.1", "way": way, "backup": "skip", "why": "not wanted",
        "put_back": false, "firmware": { "version": "27.0.1", "build": "24A446" }, "vault": "/vault", "virtual": true,
    })
}

fn at(second: u32, mut record: Value) -> String {
    record["at"] = json!(format!("2026-10-04T10:00:{second:02}Z"));
    record.to_string()
}

fn journal(way: &str, more: &[Value]) -> Vec<String> {
    let mut lines = vec![plan(way).to_string()];
    lines.extend(more.iter().enumerate().map(|(n, record)| at(n as u32 + 1, record.clone())));
    lines
}

fn erased() -> Vec<Value> {
    vec![
        json!({ "record": "began", "step": "restore" }),
        json!({ "record": "did", "step": "restore", "fact": "restored", "version": "27.0.1", "build": "24A446" }),
        json!({ "record": "began", "step": "await-normal" }),
        json!({ "record": "did", "step": "await-normal", "fact": "nothing" }),
        json!({ "record": "finished", "outcome": "ok" }),
    ]
}

fn sealed() -> Sealed {
    certify(JOB, journal("erase", &erased()), None, &key(7)).unwrap()
}

fn refused(lines: Vec<String>) -> Code {
    certify(JOB, lines, None, &key(7)).unwrap_err().code
}

#[test]
fn what_was_signed_is_found_right() {
    let good = sealed();
    assert_eq!(verify(&good.bytes().unwrap()).unwrap(), good);
    assert_eq!(good.signature.key, key(7).public());
    assert_eq!(serde_json::to_value(&good.certificate.observed).unwrap(), json!(["restore-ended", "came-back"]));
    assert_eq!(good.chain.len(), good.journal.len());
}

#[test]
fn a_job_that_did_not_erase_and_end_well_gets_none() {
    assert_eq!(refused(journal("update", &erased())), Code::CertificateRefused);
    let mut open = erased();
    open.pop();
    assert_eq!(refused(journal("erase", &open)), Code::CertificateRefused);
    let mut failed = erased();
    failed[4] = json!({ "record": "finished", "outcome": "failed" });
    assert_eq!(refused(journal("erase", &failed)), Code::CertificateRefused);
    // Data went back, or began to.
    let mut back = erased();
    back.insert(4, json!({ "record": "began", "step": "put-back" }));
    assert_eq!(refused(journal("erase", &back)), Code::CertificateRefused);
    assert_eq!(refused(journal("erase", &[])), Code::CertificateRefused);
    assert_eq!(refused(vec![]), Code::JournalDamaged);
    assert_eq!(refused(vec!["{".into()]), Code::JournalDamaged);
}

#[test]
fn a_serial_number_comes_from_the_sheet_of_the_same_device() {
    let facts = json!({ "ecid": "0x126D0E81100001", "serial": "C8QH6T96DPNG" });
    let certify = |facts: &Value| {
        let sheet = Sheet::of(facts.as_object().unwrap());
        certify(JOB, journal("erase", &erased()), Some(&sheet), &key(7))
    };
    let told = certify(&facts).unwrap();
    assert_eq!(told.certificate.serial.as_deref(), Some("C8QH6T96DPNG"));
    assert_eq!(verify(&told.bytes().unwrap()).unwrap(), told);
    for other in [json!({}), json!({ "ecid": "0x1", "serial": "X" }), json!({ "ecid": "none" })] {
        assert_eq!(certify(&other).unwrap_err().code, Code::StrangerDevice);
    }
}

#[test]
fn an_end_that_nobody_heard_is_only_concluded() {
    let mut records = erased();
    records.insert(1, json!({ "record": "resumed" }));
    let told = certify(JOB, journal("erase", &records), None, &key(7)).unwrap().certificate.observed;
    assert_eq!(serde_json::to_value(told).unwrap(), json!(["restore-concluded", "came-back"]));
}

/// A signature by the same hand does not help a certificate that its journal does not bear out.
#[test]
fn a_lie_of_the_signer_is_found() {
    let good = sealed();
    let lie = |change: fn(&mut Certificate)| {
        let mut certificate = good.certificate.clone();
        change(&mut certificate);
        let bytes = Sealed::seal(certificate, good.journal.clone(), &key(7)).unwrap().bytes().unwrap();
        verify(&bytes).unwrap_err().code
    };
    assert_eq!(lie(|c| c.category = "Destroy".into()), Code::CertificateInvalid);
    assert_eq!(lie(|c| c.ecid.0 += 1), Code::CertificateInvalid);
    assert_eq!(lie(|c| c.observed.clear()), Code::CertificateInvalid);
    assert_eq!(lie(|c| c.backup = Some("X".into())), Code::CertificateInvalid);
    let lines = journal("update", &erased());
    let bytes = Sealed::seal(good.certificate.clone(), lines, &key(7)).unwrap().bytes().unwrap();
    assert_eq!(verify(&bytes).unwrap_err().code, Code::CertificateInvalid);
}

#[test]
fn another_spelling_of_the_same_json_is_not_the_same_file() {
    let bytes = sealed().bytes().unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    let spaced = text.replacen("{\"schema\":1", "{ \"schema\":1", 1);
    let doubled = text.replacen("\"schema\":1,", "\"schema\":1,\"note\":\"x\",", 1);
    let upper = text.replacen(&sealed().signature.value, &sealed().signature.value.to_uppercase(), 1);
    for other in [spaced, doubled, upper, text.trim_end().to_owned(), format!("{text}\n"), String::new(), "[]".into()] {
        assert_ne!(other, text);
        assert_eq!(verify(other.as_bytes()).unwrap_err().code, Code::CertificateInvalid);
    }
    assert_eq!(verify(&vec![b'['; 1 << 20]).unwrap_err().code, Code::CertificateInvalid);
}

#[test]
fn every_single_byte_counts() {
    let bytes = sealed().bytes().unwrap();
    for at in 0..bytes.len() {
        let mut other = bytes.clone();
        other[at] ^= 1;
        assert_eq!(verify(&other).unwrap_err().code, Code::CertificateInvalid, "byte {at}");
        other.remove(at);
        assert_eq!(verify(&other).unwrap_err().code, Code::CertificateInvalid, "without byte {at}");
    }
}

proptest! {
    #[test]
    fn any_other_byte_anywhere_is_found(at in 0usize..4096, byte: u8) {
        let bytes = sealed().bytes().unwrap();
        let at = at % bytes.len();
        let mut other = bytes.clone();
        other[at] = byte;
        prop_assert_eq!(verify(&other).is_ok(), byte == bytes[at]);
    }

    #[test]
    fn any_cut_is_found(from in 0usize..4096, length in 1usize..600) {
        let bytes = sealed().bytes().unwrap();
        let from = from % bytes.len();
        let to = (from + length).min(bytes.len());
        let other = [&bytes[..from], &bytes[to..]].concat();
        prop_assert_eq!(verify(&other).unwrap_err().code, Code::CertificateInvalid);
    }
}
