//! From a journal to a report.

use super::plan::Way;
use super::record::{Entry, Fact, Record, Story};
use crate::event::Step;
use crate::report::{BackupLine, FirmwareLine, Report, StepLine};

/// The report of a job, as far as its journal goes.
pub fn report(job: &str, story: &Story) -> Report {
    let plan = &story.plan;
    let began = story.entries.first().map(|e| e.at).unwrap_or_default();
    let ended = story.entries.last().map(|e| e.at).unwrap_or(began);
    let backup = match story.fact(Step::VerifyBackup) {
        Some(Fact::Backup { generation, place, files, bytes, unread }) => Some(BackupLine {
            generation: generation.clone(),
            place: place.clone(),
            files: *files,
            bytes: *bytes,
            unread: *unread,
        }),
        _ => None,
    };
    let firmware = match story.fact(Step::VerifyFirmware) {
        Some(Fact::Firmware { sha256, .. }) => Some(FirmwareLine {
            version: plan.firmware.version.clone(),
            build: plan.firmware.build.clone(),
            sha256: sha256.clone(),
        }),
        _ => None,
    };
    let restored = match story.fact(Step::Restore) {
        Some(Fact::Restored { version, build }) => Some((version.clone(), build.clone())),
        _ => None,
    };
    let put_back = match story.fact(Step::PutBack) {
        Some(Fact::PutBack { files, .. }) => Some(*files),
        _ => None,
    };
    let fault = story.entries.iter().rev().find_map(|e| match &e.record {
        Record::Failed { fault, .. } if story.outcome() != Some(crate::event::Outcome::Ok) => Some(fault.clone()),
        _ => None,
    });
    Report {
        schema: 1,
        job: job.to_owned(),
        tool: plan.tool.clone(),
        is_virtual: plan.is_virtual,
        title: plan.title.clone(),
        product: plan.product.clone(),
        model: crate::facts::models::by_chip(plan.cpid, plan.bdid).map(|m| m.name),
        ecid: plan.ecid,
        udid: plan.udid.clone(),
        began,
        ended,
        outcome: story.outcome(),
        backup,
        firmware,
        erased: restored.as_ref().map(|_| plan.way == Way::Erase),
        restored,
        put_back,
        steps: steps(&story.entries),
        fault,
    }
}

/// How long each step took, from its beginning to its end or failure.
fn steps(entries: &[Entry]) -> Vec<StepLine> {
    let mut lines = Vec::new();
    let mut open: Option<(Step, jiff::Timestamp)> = None;
    for entry in entries {
        match &entry.record {
            Record::Began { step } => open = Some((*step, entry.at)),
            Record::Did { .. } | Record::Failed { .. } => {
                let ok = matches!(entry.record, Record::Did { .. });
                if let Some((step, at)) = open.take() {
                    lines.push(StepLine { step, seconds: entry.at.duration_since(at).as_secs_f64().max(0.0), ok });
                }
            }
            Record::Plan { .. } | Record::Resumed | Record::Finished { .. } => {}
        }
    }
    lines
}
