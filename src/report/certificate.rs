//! What an erase certificate says, with the fields of NIST SP 800-88 Rev. 1, appendix G.
//!
//! It says what was done and what was seen, and no more. The method is the system's own: a restore that erases throws
//! away the keys of the data, so what is left on the storage cannot be read by anybody. That the keys are gone is
//! the system's doing and is not looked into; nobody certified this program. What nobody told it (whose device it was,
//! who answers for it) is left for a pen.

use super::Report;
use super::paper::{Blank, Items, Paper};
use crate::event::Outcome;
use crate::fault::{Code, Fault};
use crate::ids::{BuildId, Ecid, ProductType, Udid, Version};
use crate::say::Lang;
use crate::say::certificate::{Line, line};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    pub fields_of: String,
    pub job: String,
    pub tool: String,
    #[serde(rename = "virtual")]
    pub is_virtual: bool,
    pub manufacturer: String,
    pub model: Option<String>,
    pub product_type: ProductType,
    /// From an intake sheet of the same ECID; a journal does not hold it.
    pub serial: Option<String>,
    pub ecid: Ecid,
    pub udid: Option<Udid>,
    pub media_type: String,
    pub category: String,
    pub method: String,
    pub system: Version,
    pub build: BuildId,
    pub firmware_sha256: Option<String>,
    pub began: Timestamp,
    pub ended: Timestamp,
    pub observed: Vec<Observed>,
    /// A backup that this job made before: the data is still there.
    pub backup: Option<String>,
}

/// What was seen, and not only done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observed {
    /// The device itself said that its restore had ended well, while this program listened.
    RestoreEnded,
    /// It ended while nobody listened; that it did was concluded from the device as it came back.
    RestoreConcluded,
    /// The same device, by its ECID, was seen running its new system.
    CameBack,
}

/// Signed by whom, over what.
#[derive(Clone, Debug)]
pub struct Seal<'a> {
    pub key: &'a str,
    pub last_hash: &'a str,
    pub lines: usize,
}

const FIELDS: &str = "NIST SP 800-88 Rev. 1, appendix G";
const MEDIA: &str = "flash memory, built in";
const CATEGORY: &str = "Purge";
const METHOD: &str = "cryptographic erase: the restore of the device's own system destroys the keys of the data";

impl Certificate {
    /// # Errors
    /// `certificate-refused` when the job did not end well, did not erase, or put data back.
    pub fn of(report: &Report, listened: bool, put_back_begun: bool) -> Result<Certificate, Fault> {
        let refused = |why: &str| Err(Fault::new(Code::CertificateRefused, why).on(report.ecid));
        if !matches!(report.outcome, Some(Outcome::Ok | Outcome::Partial)) {
            return refused("the job has not ended well");
        }
        let (Some(true), Some((system, build))) = (report.erased, report.restored.clone()) else {
            return refused("the job erased nothing");
        };
        if put_back_begun || report.put_back.is_some() {
            return refused("the job put data back on the device afterwards");
        }
        let ended = if listened { Observed::RestoreEnded } else { Observed::RestoreConcluded };
        Ok(Certificate {
            fields_of: FIELDS.into(),
            job: report.job.clone(),
            tool: format!("Herstel {}", report.tool),
            is_virtual: report.is_virtual,
            manufacturer: "Apple".into(),
            model: report.model.map(str::to_owned),
            product_type: report.product.clone(),
            serial: None,
            ecid: report.ecid,
            udid: report.udid.clone(),
            media_type: MEDIA.into(),
            category: CATEGORY.into(),
            method: METHOD.into(),
            system,
            build,
            firmware_sha256: report.firmware.as_ref().map(|firmware| firmware.sha256.clone()),
            began: report.began,
            ended: report.ended,
            // A job ends well only after it has seen the device again.
            observed: vec![ended, Observed::CameBack],
            backup: report.backup.as_ref().map(|backup| backup.generation.clone()),
        })
    }

    /// For a signature with a pen beside the one of the key.
    pub fn paper(&self, lang: Lang, seal: &Seal<'_>) -> Paper {
        let said = |key: Line| line(lang, key).to_owned();
        let row = |key: Line, value: &str| vec![said(key), value.to_owned()];
        let table = |rows: Vec<Vec<String>>| Items::Table { head: Vec::new(), rows };
        let model = self.model.as_deref().unwrap_or_default();
        let mut medium = vec![
            row(Line::Manufacturer, &self.manufacturer),
            row(Line::Model, format!("{model} ({})", self.product_type).trim()),
            row(Line::Ecid, &self.ecid.to_string()),
        ];
        medium.extend(self.udid.as_ref().map(|udid| row(Line::Udid, &udid.to_string())));
        medium.extend(self.serial.as_ref().map(|serial| row(Line::Serial, serial)));
        medium.push(row(Line::MediaType, line(lang, Line::BuiltInFlash)));
        let own = |keys: &[Line]| Items::Blanks { rows: keys.iter().map(|key| vec![Blank::new(said(*key))]).collect() };
        let mut open = vec![Line::PropertyNumber, Line::Source, Line::ConfidentialityBefore];
        if self.serial.is_none() {
            open.insert(0, Line::Serial);
        }
        let erasure = vec![
            row(Line::Category, &self.category),
            row(Line::Method, line(lang, Line::CryptographicErase)),
            row(Line::Tool, &self.tool),
            row(Line::System, &format!("{} ({})", self.system, self.build)),
            row(Line::Began, &self.began.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()),
            row(Line::Ended, &self.ended.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()),
        ];
        let seen = self.observed.iter().map(|observed| {
            said(match observed {
                Observed::RestoreEnded => Line::SawEnd,
                Observed::RestoreConcluded => Line::ConcludedEnd,
                Observed::CameBack => Line::SawReturn,
            })
        });
        let backup = match &self.backup {
            Some(generation) => format!("{} {generation}", line(lang, Line::BackupExists)),
            None => said(Line::BackupNone),
        };
        let sealed = vec![
            row(Line::Job, &self.job),
            row(Line::Lines, &seal.lines.to_string()),
            row(Line::LastHash, seal.last_hash),
            row(Line::Key, seal.key),
        ];
        Paper { is_virtual: self.is_virtual, ..Paper::new(said(Line::Title), said(Line::Lead)) }
            .section(said(Line::Medium), [table(medium), own(&open)])
            .section(said(Line::Erasure), [table(erasure)])
            .section(said(Line::Verification), [Items::bullets(seen), Items::paragraph(said(Line::NotRead))])
            .section(said(Line::Backup), [Items::paragraph(backup)])
            .section(
                said(Line::After),
                [own(&[Line::ConfidentialityAfter, Line::Destination, Line::Person, Line::Place, Line::Signature])],
            )
            .section(said(Line::Proof), [table(sealed)])
            .footer(said(Line::NoCertification))
    }
}
