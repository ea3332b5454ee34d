//! `backups show` and `backups export`: one generation, told and copied out.

use super::list::{print_out, say_line};
use crate::backup::{FileError, Finding, Generation, How, Tally, export};
use crate::cli::Done;
use crate::cli::context::Context;
use crate::cli::show::{print_line, size, table::table};
use crate::event::{Event, Outcome, Step};
use crate::fault::{Code, Fault};
use crate::say::{self, Text};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::path::PathBuf;

pub fn show(context: &Context, generation: &Generation) -> Done {
    let tally = match Tally::of(generation) {
        Ok(tally) => Some(tally),
        // Encrypted: the rest can be told.
        Err(fault) if fault.code == Code::BackupPassword => None,
        Err(fault) => return Err(fault),
    };
    if context.common.json {
        print_line(&json!({ "schema": 1, "backup": as_json(generation, tally.as_ref()) }));
        return Ok(Outcome::Ok);
    }
    let text = |text: &Text| say::text(context.lang, text);
    let labels = text(&Text::ShowLabels);
    let values = values(context, generation);
    let width = labels.split('|').map(|label| label.chars().count()).max().unwrap_or(0);
    for (label, value) in labels.split('|').zip(values).filter(|(_, value)| !value.is_empty()) {
        print_out(&format!("{label:width$}  {value}"));
    }
    for failed in generation.record.iter().flat_map(|record| &record.failed).take(20) {
        print_out(&format!("  {}", unread(failed)));
    }
    match &tally {
        Some(tally) => {
            let header = text(&Text::ShowKinds);
            let header: Vec<&str> = header.split('|').collect();
            let row = |k: &crate::backup::Kind| vec![clean(&k.kind), k.files.to_string(), size(k.bytes)];
            print_out(&format!("\n{}", table(&header, &[], tally.kinds.iter().map(row).collect())));
        }
        None => say_line(&text(&Text::ShowSealed)),
    }
    Ok(Outcome::Ok)
}

/// In the order of [`Text::ShowLabels`]; what is not known is empty.
fn values(context: &Context, generation: &Generation) -> [String; 15] {
    let (summary, record) = (&generation.summary, generation.record.as_ref());
    let of = |text: &Option<String>| text.as_deref().map(clean).unwrap_or_default();
    let device = [of(&summary.device_name), of(&summary.product_type)];
    let system = [of(&summary.product_version), of(&summary.build)];
    let when = |at: Option<jiff::Timestamp>| {
        at.map(|at| at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string()).unwrap_or_default()
    };
    let took = record.and_then(took).map(|seconds| format!("{}:{:02} min", seconds / 60, seconds % 60));
    let count = |files: u64, bytes: u64| format!("{files} ({})", size(bytes));
    let encrypted = Text::ShowEncrypted { encrypted: summary.encrypted };
    [
        device.join(" ").trim().to_owned(),
        system.join(" ").trim().to_owned(),
        generation.udid.to_string(),
        generation.name.clone(),
        when(generation.made()),
        took.unwrap_or_default(),
        // It was published because it verified.
        when(record.map(|record| record.made)),
        checked(context, generation),
        record.filter(|r| !r.sealed).map(|r| count(r.files, r.bytes)).unwrap_or_default(),
        record.map(|r| count(r.received_files, r.received_bytes)).unwrap_or_default(),
        record.map(|r| count(r.stored_files, r.stored_bytes)).unwrap_or_default(),
        say::text(context.lang, &encrypted),
        record.map(|r| r.failed_count.to_string()).unwrap_or_default(),
        generation.apps().len().to_string(),
        generation.path.display().to_string(),
    ]
}

/// A file that the device could not read.
pub(super) fn unread(failed: &FileError) -> String {
    format!("{}: {}", clean(&failed.device_path), clean(&failed.text))
}

/// The last look at it since it was published: when, how closely, and what came of it.
fn checked(context: &Context, generation: &Generation) -> String {
    let checks = generation.checks();
    let Some((check, deep)) = checks.last() else { return String::new() };
    let when = check.at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string();
    let first = check.first.as_ref().map(|finding| say::found(context.lang, &finding.words()));
    say::text(context.lang, &Text::ShowChecked { when, deep, damage: check.damage, first })
}

/// For a column: the day of the last look, or that it found damage.
pub(super) fn checked_short(context: &Context, generation: &Generation) -> String {
    match generation.checks().last() {
        None => String::new(),
        Some((check, _)) if check.damage > 0 => say::text(context.lang, &Text::PruneDamaged),
        Some((check, _)) => check.at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d").to_string(),
    }
}

fn took(record: &crate::backup::Record) -> Option<i64> {
    record.begun.map(|begun| record.made.duration_since(begun).as_secs().max(0))
}

/// A device's words on one line.
fn clean(text: &str) -> String {
    text.chars().map(say::plain_char).take(120).collect()
}

fn as_json(generation: &Generation, tally: Option<&Tally>) -> Value {
    let (summary, record) = (&generation.summary, generation.record.as_ref());
    json!({
        "udid": generation.udid, "generation": generation.name, "path": generation.path,
        "device": summary.device_name, "product_type": summary.product_type, "version": summary.product_version,
        "build": summary.build, "serial": summary.serial, "encrypted": summary.encrypted,
        "made": generation.made(), "took_seconds": record.and_then(took),
        "verified": record.map(|r| r.made), "checked": generation.checks(),
        "base": record.and_then(|r| r.base.clone()),
        "full": record.map(|r| r.full), "resumed": record.map(|r| r.resumed),
        "files": record.map(|r| r.files), "bytes": record.map(|r| r.bytes),
        "received_files": record.map(|r| r.received_files), "received_bytes": record.map(|r| r.received_bytes),
        "stored_files": record.map(|r| r.stored_files), "stored_bytes": record.map(|r| r.stored_bytes),
        "unread": record.map(|r| r.failed_count),
        "unread_files": record.map(|r| r.failed.iter().map(|f| f.device_path.as_str()).collect::<Vec<_>>()),
        "apps": generation.apps(), "contents": tally,
    })
}

pub async fn export_to(context: &Context, generation: Generation, to: PathBuf, link: bool) -> Done {
    let (tell, (cancel, watch)) = (context.show(), super::backups_verify::tied(context));
    tell.tell(Event::StepBegan { step: Step::VerifyBackup, what: generation.name.clone() });
    let (listener, name) = (tell.clone(), generation.name.clone());
    let stored = generation.record.as_ref().map(|record| (record.stored_files, record.stored_bytes));
    let work = tokio::task::spawn_blocking(move || export(&generation, &to, link, listener.as_ref(), &cancel));
    let exported = work.await.map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    watch.abort();
    let exported = exported?;
    tell.tell(Event::StepDone { step: Step::VerifyBackup, what: String::new() });
    let verdict = &exported.verdict;
    // Of an encrypted manifest nothing can be counted: what was copied is said instead.
    let counted = !verdict.findings.contains(&Finding::Sealed);
    let (files, bytes) = (counted.then_some(verdict.files), counted.then_some(verdict.bytes));
    if context.common.json {
        let how = match exported.how {
            How::Reflink => "reflink",
            How::Link => "link",
            How::Copy => "copy",
        };
        print_line(&json!({
            "schema": 1, "event": "exported", "generation": name, "path": exported.path, "how": how,
            "files": files, "bytes": bytes, "compared": verdict.compared,
        }));
    }
    let (files, bytes) = files.zip(bytes).or(stored).unwrap_or((verdict.compared, 0));
    let place = exported.path.display().to_string();
    let done = Text::ExportDone { files, size: size(bytes), place };
    say_line(&say::text(context.lang, &done));
    if exported.how == How::Link {
        say_line(&say::text(context.lang, &Text::ExportLinked));
    }
    Ok(Outcome::Ok)
}
