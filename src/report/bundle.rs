//! A support bundle: what a helper needs to understand a job, and nothing that names its device or its owner.
//!
//! One zip of a few text files. Every one of them goes through one [`Redactor`] that has first read them all, so that
//! a name that one file tells is taken out of the others too. Secrets (pair records, passwords, tickets, backups)
//! are not left out here: they are never looked at.

use super::Report;
use super::redact::Redactor;
use crate::fault::{Code, Fault};
use crate::say::Lang;
use serde_json::{Value, json};
use std::io::{Cursor, Write};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Lines of the coach's log that go along: the newest.
pub const COACH_LINES: usize = 400;
/// A line of a log is cut after so many bytes.
const LINE_CAP: usize = 64 << 10;

/// What goes in, as it is on this computer.
#[derive(Debug, Default)]
pub struct Materials {
    pub journal: Vec<String>,
    pub coach: Vec<String>,
    /// What `doctor --json` printed.
    pub doctor: Vec<String>,
}

/// A file of the bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: &'static str,
    pub text: String,
}

/// The files, redacted.
pub fn parts(report: &Report, materials: &Materials) -> Vec<Part> {
    let whole = serde_json::to_value(report).unwrap_or_default();
    let mut redactor = Redactor::default();
    redactor.learn(&whole);
    let logs =
        [("journal.jsonl", &materials.journal), ("coach.jsonl", &materials.coach), ("doctor.jsonl", &materials.doctor)];
    for line in logs.iter().flat_map(|(_, lines)| lines.iter()) {
        if let Ok(document) = serde_json::from_str::<Value>(line) {
            redactor.learn(&document);
            titles(&document, &mut redactor);
        }
    }
    let versions = json!({
        "schema": 1, "herstel": env!("CARGO_PKG_VERSION"), "job_made_by": report.tool,
        "system": std::env::consts::OS, "processor": std::env::consts::ARCH, "virtual": report.is_virtual,
    });
    let mut parts = vec![
        Part { name: "versions.json", text: format!("{versions}\n") },
        Part { name: "report.json", text: format!("{}\n", redactor.document(&whole)) },
        Part { name: "report.txt", text: redactor.text(&report.text(Lang::En)) + "\n" },
    ];
    for (name, lines) in logs {
        if !lines.is_empty() {
            let text = lines.iter().map(|line| clean(&redactor, line) + "\n").collect();
            parts.push(Part { name, text });
        }
    }
    parts
}

/// `doctor` and others write a device as `Anna's iPhone (0x126D0E81100001)`.
fn titles(document: &Value, redactor: &mut Redactor) {
    match document {
        Value::Array(all) => all.iter().for_each(|each| titles(each, redactor)),
        Value::Object(all) => all.values().for_each(|each| titles(each, redactor)),
        Value::String(text) => {
            if let Some((name, ecid)) = text.strip_suffix(')').and_then(|text| text.rsplit_once(" (0x")) {
                redactor.learn_name(name);
                redactor.learn_number(&format!("0x{ecid}"));
            }
        }
        _ => {}
    }
}

fn clean(redactor: &Redactor, line: &str) -> String {
    match serde_json::from_str::<Value>(line) {
        Ok(document) => redactor.document(&document).to_string(),
        // Half a line of a log, or no JSON.
        Err(_) => redactor.text(&line.chars().take(LINE_CAP).collect::<String>()),
    }
}

/// The bundle itself.
pub fn zipped(parts: &[Part]) -> Result<Vec<u8>, Fault> {
    let bad = |e: &dyn std::fmt::Display| Fault::new(Code::Internal, format!("bundle: {e}"));
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for part in parts {
        zip.start_file(part.name, SimpleFileOptions::default()).map_err(|e| bad(&e))?;
        zip.write_all(part.text.as_bytes()).map_err(|e| bad(&e))?;
    }
    Ok(zip.finish().map_err(|e| bad(&e))?.into_inner())
}
