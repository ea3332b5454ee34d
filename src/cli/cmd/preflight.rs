//! What is shown before a restore: what was looked at, and for `--dry-run` every step with its cost.

use super::list::say_line;
use crate::cli::context::Context;
use crate::cli::show::{print_line, size};
use crate::device::Device;
use crate::event::{Event, Finding, Outcome, Step, Verdict};
use crate::fault::Fault;
use crate::job::{Cost, Kit, Plan, Rehearsal, preflight};
use crate::say::{self, Text};
use serde_json::json;

/// Looks, shows, and refuses where something blocks; nothing is touched.
///
/// # Errors
/// The fault of the first finding that blocks.
pub async fn check(context: &Context, kit: &Kit, plan: &Plan, device: &Device) -> Result<(), Fault> {
    let found = look(kit, plan, device).await?;
    show(context, &found, false);
    preflight::verdict(&found).map_err(|fault| fault.during(Step::Plan).on(plan.ecid))
}

/// `--dry-run`: all that [`check`] shows, and what would come after it.
///
/// # Errors
/// As [`check`].
pub async fn rehearse(context: &Context, kit: &Kit, plan: &Plan, device: &Device) -> Result<Outcome, Fault> {
    let found = look(kit, plan, device).await?;
    let rehearsal = Rehearsal::of(kit, plan, device);
    let verdict = preflight::verdict(&found);
    if context.common.json {
        print_line(&json!({
            "schema": 1, "event": "dry-run", "would_run": verdict.is_ok(), "keeps": rehearsal.keeps,
            "steps": rehearsal.steps, "needs": rehearsal.needs, "seconds": rehearsal.seconds(), "estimated": true,
        }));
    }
    let t = |text: Text| say::text(context.lang, &text);
    say_line(&t(Text::PlanSteps));
    for cost in &rehearsal.steps {
        say_line(&format!("  {}", line(context, cost)));
    }
    say_line(&t(Text::DryRunTotal { minutes: minutes(rehearsal.seconds()) }));
    say_line(&t(Text::DryRunNeeds));
    for need in &rehearsal.needs {
        say_line(&format!("  - {}", say::need(context.lang, *need)));
    }
    show(context, &found, true);
    say_line(&t(Text::DryRunNothing));
    verdict.map(|()| Outcome::Ok).map_err(|fault| fault.during(Step::Plan).on(plan.ecid))
}

/// Changes nothing, so it may stop at once.
async fn look(kit: &Kit, plan: &Plan, device: &Device) -> Result<Vec<Finding>, Fault> {
    let step = Step::Plan;
    kit.tell.tell(Event::StepBegan { step, what: String::new() });
    let found = tokio::select! {
        found = preflight::examine(kit, plan, device) => found,
        () = kit.cancel.cancelled() => return Err(Fault::cancelled().during(step).on(plan.ecid)),
    };
    kit.tell.tell(Event::StepDone { step, what: String::new() });
    Ok(found)
}

fn minutes(seconds: u64) -> u64 {
    seconds.div_ceil(60)
}

/// `Fetching firmware   9.1 GB, here already`
fn line(context: &Context, cost: &Cost) -> String {
    let mut parts = Vec::new();
    if let (Some(bytes), false) = (cost.bytes, cost.cached) {
        parts.push(size(bytes));
    }
    if cost.cached {
        parts.push(say::text(context.lang, &Text::DryRunCached));
    }
    match cost.seconds {
        Some(seconds) if seconds >= 60 => {
            parts.push(say::text(context.lang, &Text::DryRunMinutes { minutes: minutes(seconds) }))
        }
        Some(_) => {}
        None => parts.push(say::text(context.lang, &Text::DryRunUnknown)),
    }
    let name = say::step(context.lang, cost.step);
    if parts.is_empty() { name.to_owned() } else { format!("{name:36}  {}", parts.join(", ")) }
}

/// `all`: what is good and unknown too.
fn show(context: &Context, found: &[Finding], all: bool) {
    if context.common.json {
        print_line(&json!({ "schema": 1, "event": "preflight", "findings": found }));
    }
    let lang = context.lang;
    if all {
        say_line(&say::text(lang, &Text::PreflightTitle));
    }
    let width = found.iter().map(|f| say::check(lang, f.check).chars().count()).max().unwrap_or(0);
    for one in found.iter().filter(|f| all || f.verdict >= Verdict::Warning) {
        let (name, verdict) = (say::check(lang, one.check), say::verdict(lang, one.verdict));
        say_line(&format!("  {name:width$}  {verdict}: {}", one.detail));
        if one.verdict == Verdict::Warning {
            for piece in say::wrapped(say::warning(lang, one.check), 74) {
                say_line(&format!("    {piece}"));
            }
        }
    }
}
