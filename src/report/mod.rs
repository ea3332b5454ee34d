//! Sheets: what was done at the end of a job, and what is printed before one.
//!
//! A [`Report`] is plain data that a job fills from its journal, for the person, the customer and the shop's system;
//! here are only its three shapes. A [`Paper`] is any other sheet: a card, a plan. Identifiers of a report
//! are whole: it is the customer's own sheet. JSON is English, text and HTML follow the language.

pub mod bundle;
pub mod card;
pub mod certificate;
pub mod chain;
pub mod compare;
pub mod csv;
mod html;
pub mod intake_sheet;
mod page;
pub mod paper;
mod qr;
pub mod redact;
pub mod seal;
mod text;
pub mod way_out;

pub use paper::{Blank, Items, Paper, Section};

use crate::event::{Outcome, Step};
use crate::fault::Fault;
use crate::ids::{BuildId, Ecid, ProductType, Udid, Version};
use crate::say::Lang;
use jiff::Timestamp;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub schema: u32,
    pub job: String,
    pub tool: String,
    #[serde(rename = "virtual")]
    pub is_virtual: bool,
    pub title: String,
    pub product: ProductType,
    pub model: Option<&'static str>,
    pub ecid: Ecid,
    pub udid: Option<Udid>,
    pub began: Timestamp,
    pub ended: Timestamp,
    pub outcome: Option<Outcome>,
    pub backup: Option<BackupLine>,
    pub firmware: Option<FirmwareLine>,
    pub restored: Option<(Version, BuildId)>,
    /// Was the device erased? None until it is restored.
    pub erased: Option<bool>,
    /// Files that came back.
    pub put_back: Option<u64>,
    pub steps: Vec<StepLine>,
    pub fault: Option<Fault>,
}

#[derive(Clone, Debug, Serialize)]
pub struct BackupLine {
    pub generation: String,
    pub place: PathBuf,
    pub files: u64,
    pub bytes: u64,
    pub unread: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct FirmwareLine {
    pub version: Version,
    pub build: BuildId,
    pub sha256: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct StepLine {
    pub step: Step,
    pub seconds: f64,
    pub ok: bool,
}

impl Report {
    pub fn seconds(&self) -> f64 {
        self.ended.duration_since(self.began).as_secs_f64().max(0.0)
    }

    /// Lines for a terminal, within 80 columns where names allow it.
    pub fn text(&self, lang: Lang) -> String {
        text::render(self, lang)
    }

    /// A line of names and a line of values; what is not known is empty.
    pub fn csv(&self) -> String {
        fn word(value: &impl Serialize) -> String {
            match serde_json::to_value(value) {
                Ok(serde_json::Value::String(text)) => text,
                Ok(serde_json::Value::Null) | Err(_) => String::new(),
                Ok(other) => other.to_string(),
            }
        }
        let (version, build) = self.restored.clone().unzip();
        let row = [
            ("job", self.job.clone()),
            ("tool", self.tool.clone()),
            ("virtual", word(&self.is_virtual)),
            ("title", self.title.clone()),
            ("product", word(&self.product)),
            ("model", word(&self.model)),
            ("ecid", word(&self.ecid)),
            ("udid", word(&self.udid)),
            ("began", word(&self.began)),
            ("ended", word(&self.ended)),
            ("seconds", format!("{:.1}", self.seconds())),
            ("outcome", word(&self.outcome)),
            ("version", word(&version)),
            ("build", word(&build)),
            ("erased", word(&self.erased)),
            ("firmware_sha256", word(&self.firmware.as_ref().map(|firmware| &firmware.sha256))),
            ("backup", word(&self.backup.as_ref().map(|backup| &backup.generation))),
            ("backup_files", word(&self.backup.as_ref().map(|backup| backup.files))),
            ("backup_bytes", word(&self.backup.as_ref().map(|backup| backup.bytes))),
            ("put_back", word(&self.put_back)),
            ("fault", word(&self.fault.as_ref().map(|fault| fault.code))),
        ];
        csv::line(&row.each_ref().map(|(name, _)| *name)) + &csv::line(&row.map(|(_, value)| value))
    }

    /// One page that prints; no script, nothing from elsewhere.
    pub fn html(&self, lang: Lang) -> String {
        html::render(self, lang)
    }
}

/// `1.4 GB`.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}
