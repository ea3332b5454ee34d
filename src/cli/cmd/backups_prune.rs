//! `backups prune`: what goes, what stays, and a person's word for it.

use super::backup::named;
use super::list::{print_out, say_line};
use crate::backup::{Keep, PrunePlan, Standing, Vault};
use crate::cli::context::Context;
use crate::cli::show::{print_line, size, table::table};
use crate::cli::{Done, ask};
use crate::event::{Event, Outcome};
use crate::fault::{Code, Fault};
use crate::ids::Udid;
use crate::say::{self, Text};
use serde_json::{Value, json};

pub async fn prune(context: &Context, vault: Vault, keep: Keep, dry_run: bool, yes: bool) -> Done {
    let mut devices = vault.devices()?;
    if let Some(text) = context.common.device.as_deref() {
        let none = || Fault::new(Code::BackupNone, format!("{} holds nothing of {text:?}", vault.root().display()));
        devices = vec![named(&devices, text).ok_or_else(none)?];
    }
    let (cancel, watch) = super::backups_verify::tied(context);
    let mut plans: Vec<(Udid, PrunePlan)> = vec![];
    for udid in devices {
        let (vault, tell, cancel, of) = (vault.clone(), context.show(), cancel.clone(), udid.clone());
        let plan = move || vault.plan_prune(&of, &keep, jiff::Timestamp::now(), tell.as_ref(), &cancel);
        plans.push((udid, blocking(plan).await?));
    }
    let count: usize = plans.iter().map(|(_, plan)| plan.goes.len()).sum();
    for (udid, plan) in &plans {
        tell(context, udid, plan);
    }
    let text = |text: &Text| say::text(context.lang, text);
    if count == 0 {
        say_line(&text(&Text::PruneNothing));
    } else if !dry_run {
        let word = text(&Text::PruneWord);
        if !yes && !ask::agrees(&text(&Text::PruneAsk { count, word: word.clone() }), &word)? {
            return Err(Fault::new(Code::ConsentMissing, "the backups stay"));
        }
        let mut removed = 0;
        let mut locked = None;
        for (udid, plan) in plans.into_iter().filter(|(_, plan)| !plan.goes.is_empty()) {
            let (vault, cancel, of) = (vault.clone(), cancel.clone(), udid.clone());
            let gone = match blocking(move || vault.take(&of)?.remove(&plan, &cancel)).await {
                // A backup of this device runs; the others can be pruned.
                Err(fault) if fault.code == Code::Locked => {
                    locked = Some(fault);
                    continue;
                }
                gone => gone?,
            };
            removed += gone.len();
            for name in gone.iter().filter(|_| context.common.json) {
                print_line(&removed_line(&udid, name));
            }
        }
        say_line(&text(&Text::PruneDone { count: removed }));
        if let Some(fault) = locked {
            return Err(fault);
        }
    }
    watch.abort();
    Ok(Outcome::Ok)
}

/// What `backup --keep` asks for, after a backup that misses nothing. The backup stands whatever comes of it, so a
/// failure here is a remark.
pub async fn after_backup(context: &Context, vault: Vault, udid: Udid, keep: Keep) {
    if keep == Keep::default() {
        return;
    }
    let (cancel, watch) = super::backups_verify::tied(context);
    let (of, tell) = (udid.clone(), context.show());
    let listener = tell.clone();
    let removed = blocking(move || {
        let plan = vault.plan_prune(&of, &keep, jiff::Timestamp::now(), listener.as_ref(), &cancel)?;
        match plan.goes.is_empty() {
            true => Ok(vec![]),
            false => vault.take(&of)?.remove(&plan, &cancel),
        }
    });
    match removed.await {
        Ok(gone) => {
            for name in gone.iter().filter(|_| context.common.json) {
                print_line(&removed_line(&udid, name));
            }
            if !gone.is_empty() {
                say_line(&say::text(context.lang, &Text::PruneDone { count: gone.len() }));
            }
        }
        Err(fault) => tell.tell(Event::Warning { text: format!("older backups were not removed: {fault}") }),
    }
    watch.abort();
}

fn removed_line(udid: &Udid, name: &str) -> Value {
    json!({ "schema": 1, "event": "removed", "udid": udid, "generation": name })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Fault::new(Code::Internal, e.to_string()))?
}

/// Both lists as one, oldest first.
fn tell(context: &Context, udid: &Udid, plan: &PrunePlan) {
    let goes = plan.goes.iter().map(|each| (each, true));
    let mut all: Vec<(&Standing, bool)> = goes.chain(plan.stays.iter().map(|each| (each, false))).collect();
    all.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    if context.common.json {
        for (each, goes) in all {
            print_line(&line(udid, each, goes));
        }
        return;
    }
    let text = |text: Text| say::text(context.lang, &text);
    let row = |(each, goes): (&Standing, bool)| {
        let remarks: Vec<String> = [(each.held, Text::PruneHeld), (!each.good, Text::PruneDamaged)]
            .into_iter()
            .filter_map(|(is, remark)| is.then(|| text(remark)))
            .collect();
        let what = text(if goes { Text::PruneGoes } else { Text::PruneStays });
        vec![each.name.clone(), udid.to_string(), size(each.bytes), what, remarks.join(", ")]
    };
    let header = text(Text::PruneHeader);
    let header: Vec<&str> = header.split('|').collect();
    print_out(&table(&header, &[], all.into_iter().map(row).collect()));
}

fn line(udid: &Udid, each: &Standing, goes: bool) -> Value {
    json!({
        "schema": 1, "event": "prune", "udid": udid, "generation": each.name, "made": each.made,
        "goes": goes, "held": each.held, "good": each.good, "bytes": each.bytes,
    })
}
