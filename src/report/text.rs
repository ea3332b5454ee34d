//! The report on a terminal.

use super::{Report, size};
use crate::event::Outcome;
use crate::say::{self, Lang, Text, text};

/// Label and value pairs, in the order of the sheet; shared with the HTML page.
pub(super) fn facts(report: &Report, lang: Lang) -> Vec<(String, String)> {
    let t = |key: Text| text(lang, &key);
    let model = report.model.map(str::to_owned).unwrap_or_else(|| report.product.to_string());
    let mut rows = vec![(t(Text::ReportDevice), format!("{} · {model} · {}", report.title, report.ecid))];
    let outcome = match report.outcome {
        Some(Outcome::Ok) => t(Text::OutcomeOk),
        Some(Outcome::Partial) => t(Text::OutcomePartial),
        Some(Outcome::Cancelled) => t(Text::OutcomeCancelled),
        Some(Outcome::Failed) | None => t(Text::OutcomeFailed),
    };
    rows.push((t(Text::ReportResult), outcome));
    if let Some(backup) = &report.backup {
        rows.push((
            t(Text::ReportBackup),
            t(Text::ReportFiles {
                files: backup.files,
                size: size(backup.bytes),
                place: backup.place.display().to_string(),
            }),
        ));
    }
    if let Some(firmware) = &report.firmware {
        let sha = firmware.sha256.get(..16).unwrap_or(&firmware.sha256);
        rows.push((t(Text::ReportFirmware), format!("{} ({}), sha256 {sha}…", firmware.version, firmware.build)));
    }
    if let Some((version, build)) = &report.restored {
        rows.push((String::new(), t(Text::RestoreDone { version: version.to_string(), build: build.to_string() })));
    }
    if let Some(erased) = report.erased {
        rows.push((t(Text::ReportData), t(if erased { Text::DataErased } else { Text::DataKept })));
    }
    if let Some(files) = report.put_back {
        rows.push((String::new(), t(Text::PutBackDone { files })));
    }
    rows.push((t(Text::ReportDuration), format!("{:.0} s", report.seconds())));
    rows
}

pub(super) fn render(report: &Report, lang: Lang) -> String {
    let mut lines = Vec::new();
    let mark = if report.is_virtual { " [virtual]" } else { "" };
    let job = report.job.get(..13).unwrap_or(&report.job);
    lines.push(format!("{} {job}{mark}", text(lang, &Text::ReportTitle)));
    let rows = facts(report, lang);
    let width = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    for (label, value) in rows {
        lines.push(format!("  {label:width$}  {value}"));
    }
    lines.push(format!("  {}", text(lang, &Text::ReportSteps)));
    for step in &report.steps {
        let sign = if step.ok { "ok" } else { "!!" };
        lines.push(format!("    {sign}  {:>6.1} s  {}", step.seconds, say::step(lang, step.step)));
    }
    if let Some(fault) = &report.fault {
        lines.extend(say::whole_fault(lang, fault));
    }
    lines.join("\n")
}
