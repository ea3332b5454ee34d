//! From a journal to a certificate, and back: does a certificate say what its journal says?

use super::record::{Entry, Fact, Record, Story};
use super::sheet::report;
use crate::device::Sheet;
use crate::event::{Field, Step};
use crate::fault::{Code, Fault};
use crate::ids::Ecid;
use crate::report::Report;
use crate::report::certificate::Certificate;
use crate::report::seal::{Key, Sealed};

/// The signed certificate of a job whose journal has these lines, and of a device whose intake sheet may tell its serial
/// number, which a journal does not hold.
///
/// # Errors
/// `certificate-refused` when this job is none to certify, `stranger-device` for the sheet of another device,
/// `journal-damaged`.
pub fn certify(job: &str, lines: Vec<String>, intake: Option<&Sheet>, key: &Key) -> Result<Sealed, Fault> {
    let mut certificate = certificate(job, &lines)?;
    if let Some(sheet) = intake {
        let (own, told) = (certificate.ecid, sheet.text(Field::Ecid).and_then(|text| text.parse::<Ecid>().ok()));
        if told != Some(own) {
            let told = told.map_or_else(|| "none".into(), |ecid| ecid.to_string());
            let why = format!("the intake sheet tells the ECID {told}, the job erased {own}");
            return Err(Fault::new(Code::StrangerDevice, why).on(own));
        }
        certificate.serial = sheet.text(Field::Serial).map(str::to_owned);
    }
    Sealed::seal(certificate, lines, key)
}

/// Reads a certificate's file and works out anew what it should say.
///
/// # Errors
/// `certificate-invalid` with what is wrong.
pub fn verify(bytes: &[u8]) -> Result<Sealed, Fault> {
    let sealed = Sealed::read(bytes)?;
    let wrong = |why: String| Fault::new(Code::CertificateInvalid, why);
    let told = certificate(&sealed.certificate.job, &sealed.journal)
        .map_err(|fault| wrong(format!("its journal gives no certificate: {}", fault.detail)))?;
    // The one thing that no journal holds.
    let told = Certificate { serial: sealed.certificate.serial.clone(), ..told };
    if told != sealed.certificate {
        return Err(wrong("it says something else than its journal".into()));
    }
    Ok(sealed)
}

fn certificate(job: &str, lines: &[String]) -> Result<Certificate, Fault> {
    let entry = |line: &String| {
        serde_json::from_str(line).map_err(|e| Fault::new(Code::JournalDamaged, format!("a line of the journal: {e}")))
    };
    let story = Story::new(lines.iter().map(entry).collect::<Result<Vec<Entry>, Fault>>()?)?;
    let sheet: Report = report(job, &story);
    Certificate::of(&sheet, listened(&story.entries), story.began(Step::PutBack))
}

/// Was this program there when the restore ended? A job that was taken up again after its end only concludes it.
fn listened(entries: &[Entry]) -> bool {
    let mut begun = false;
    let mut listened = false;
    for entry in entries {
        match &entry.record {
            Record::Resumed => begun = false,
            Record::Began { step: Step::Restore } => begun = true,
            Record::Did { fact: Fact::Restored { .. }, .. } => listened = begun,
            _ => {}
        }
    }
    listened
}

#[cfg(test)]
mod tests;
