//! `backups verify`: what is wrong with a generation, in words or as JSON, and a note of the look.

use super::backup::{beside, password_of};
use super::list::{print_out, say_line};
use crate::backup::{Cancel, Check, Depth, Finding, Generation, Password, Unlock, Verdict, verify_with};
use crate::cli::Done;
use crate::cli::args::PasswordArgs;
use crate::cli::context::Context;
use crate::cli::show::{print_line, size};
use crate::event::{Event, Outcome, Step, Teller};
use crate::fault::{Code, Fault};
use crate::say::{self, Text};
use serde_json::{Value, json};

/// How many findings a person reads; `--json` gives all that are kept.
const SHOWN: usize = 50;

/// Ctrl-C, as the blocking work of a verb hears it; to be aborted when that is done.
pub(super) fn tied(context: &Context) -> (Cancel, tokio::task::JoinHandle<()>) {
    let cancel = Cancel::new();
    let (asked, engine) = (context.cancel.clone(), cancel.clone());
    let watch = tokio::spawn(async move {
        asked.cancelled().await;
        engine.ask();
    });
    (cancel, watch)
}

pub async fn verify_one(context: &Context, generation: Generation, deep: bool, args: &PasswordArgs) -> Done {
    let password = password_of(context, &generation, args, &Text::BackupPasswordAskVerify)?;
    let verdict = look_at(context, &generation, deep, password, &context.show()).await?;
    if let Some(fault) = verdict_fault(&verdict) {
        return Err(fault);
    }
    let place = generation.path.display().to_string();
    let done = match verdict.findings.contains(&Finding::Sealed) {
        true => Text::BackupSealed,
        false => Text::BackupDone { files: verdict.files, size: size(verdict.bytes), place },
    };
    say_line(&say::text(context.lang, &done));
    Ok(Outcome::Ok)
}

/// The look itself, told and noted.
pub(super) async fn look_at(
    context: &Context,
    generation: &Generation,
    deep: bool,
    password: Option<Password>,
    tell: &Teller,
) -> Result<Verdict, Fault> {
    let scratch = context.folders()?.scratch();
    let (folder, digests) = (generation.folder(), generation.digests());
    tell.tell(Event::StepBegan { step: Step::VerifyBackup, what: generation.name.clone() });
    let (cancel, watch) = tied(context);
    let listener = tell.clone();
    let verdict = beside(context, move || {
        let depth = if deep { Depth::Deep(&digests) } else { Depth::Listed(&digests) };
        let unlock = password.as_ref().map(|password| Unlock { password, scratch: &scratch });
        verify_with(&folder, depth, unlock, listener.as_ref(), &cancel)
    });
    let verdict = verdict.await;
    watch.abort();
    let verdict = verdict?;
    tell.tell(Event::StepDone { step: Step::VerifyBackup, what: String::new() });
    let check = Check::of(&verdict, jiff::Timestamp::now());
    if let Err(fault) = generation.note_check(check.clone(), deep) {
        tell.tell(Event::Warning { text: format!("the look at {} is not noted: {fault}", generation.name) });
    }
    if context.common.json {
        verdict.findings.iter().for_each(|finding| print_line(&finding_line(finding)));
        print_line(&checked_line(generation, &check, deep, verdict.encrypted));
    } else {
        tell_people(context, &verdict.findings, verdict.more);
    }
    Ok(verdict)
}

/// Why what was looked at is not sound.
pub(super) fn verdict_fault(verdict: &Verdict) -> Option<Fault> {
    if verdict.is_sound() {
        return None;
    }
    let first = verdict.damage().next().map(|finding| say::found(say::Lang::En, &finding.words()));
    let count = verdict.damage().count() as u64 + verdict.more;
    let first = first.unwrap_or_default();
    let detail = if count == 1 { first } else { format!("{count} defects, the first: {first}") };
    Some(Fault::new(Code::BackupDamaged, detail).during(Step::VerifyBackup))
}

/// Damage first, then remarks.
fn tell_people(context: &Context, findings: &[Finding], more: u64) {
    let (damage, remarks): (Vec<_>, Vec<_>) = findings.iter().partition(|finding| finding.is_damage());
    for (mark, list) in [("!!", damage), ("--", remarks)] {
        for finding in list.iter().take(SHOWN) {
            print_out(&format!("{mark} {}", say::found(context.lang, &finding.words())));
        }
        let rest = list.len().saturating_sub(SHOWN) as u64 + if mark == "!!" { more } else { 0 };
        if rest > 0 {
            print_out(&format!("{mark} {}", say::text(context.lang, &Text::FindingsMore { count: rest })));
        }
    }
}

/// The finding's own tag and fields.
fn finding_line(finding: &Finding) -> Value {
    let mut line = json!({ "schema": 1, "event": "finding", "damage": finding.is_damage() });
    if let (Some(line), Ok(Value::Object(fields))) = (line.as_object_mut(), serde_json::to_value(finding)) {
        line.extend(fields);
    }
    line
}

fn checked_line(generation: &Generation, check: &Check, deep: bool, encrypted: bool) -> Value {
    json!({
        "schema": 1, "event": "checked", "udid": generation.udid, "generation": generation.name,
        "path": generation.path, "depth": if deep { "deep" } else { "quick" }, "at": check.at,
        "files": check.files, "bytes": check.bytes, "compared": check.compared, "damage": check.damage,
        "remarks": check.remarks, "encrypted": encrypted,
    })
}
