//! `backup` and `backups`.

use super::list::{print_out, say_line};
use crate::backup::{
    BackupOptions, Cancel, Filter, Finding, Generation, Keep, Opened, Password, Patience, Preflight, PutBackOptions,
    RestoreOptions, Unlock, Vault, check_password, look_before, make, put_back,
};
use crate::cli::args::{BackupArgs, BackupsVerb, PasswordArgs, PutBackArgs};
use crate::cli::context::Context;
use crate::cli::show::{print_line, size, table::table_sparing};
use crate::cli::{Done, ask, password};
use crate::device::{Deed, Normal, Trust};
use crate::event::{Outcome, Step};
use crate::fault::{Code, Fault};
use crate::ids::Udid;
use crate::say::{self, Text};
use serde_json::json;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

fn vault(context: &Context, asked: Option<PathBuf>) -> Result<Vault, Fault> {
    Ok(Vault::new(match asked {
        Some(folder) => folder,
        None => context.folders()?.vault(),
    }))
}

pub(super) async fn trusted(context: &Context) -> Result<(crate::device::Eyes, Normal), Fault> {
    let eyes = context.eyes()?;
    let device = context.device(&eyes).await?;
    let wrong = || Fault::new(Code::WrongMode, format!("this needs normal mode, not {}", device.mode()));
    let normal = device.normal().ok_or_else(wrong)?.clone();
    match normal.trust {
        Trust::Trusted => Ok((eyes, normal)),
        Trust::Locked => Err(Fault::new(Code::DeviceLocked, "not unlocked since it was started")),
        Trust::Stale => Err(Fault::new(Code::PairingStale, "the device does not know this host's record")),
        _ => Err(Fault::new(Code::NotTrusted, "no trust yet")),
    }
}

async fn make_one(context: &Context, folder: Option<PathBuf>, full: bool, keep: Keep) -> Done {
    let (eyes, normal) = trusted(context).await?;
    let vault = vault(context, folder)?;
    let options = BackupOptions { full, patience: Patience::default().shortened(context.haste()) };
    let made = make(&eyes.mux, &normal, &vault, options, &context.show(), &context.cancel).await?;
    let place = made.generation.path.display().to_string();
    let encrypted = made.generation.summary.encrypted;
    // Of an encrypted manifest nothing can be counted.
    let counted = !made.verdict.findings.contains(&Finding::Sealed);
    let (files, bytes) = (counted.then_some(made.verdict.files), counted.then_some(made.verdict.bytes));
    let done = match (files, made.generation.record.as_ref()) {
        (None, Some(record)) => {
            Text::BackupDoneSealed { files: record.stored_files, size: size(record.stored_bytes), place }
        }
        _ => Text::BackupDone { files: made.verdict.files, size: size(made.verdict.bytes), place },
    };
    say_line(&say::text(context.lang, &done));
    if encrypted == Some(false) {
        say_line(&say::text(context.lang, &Text::BackupPlain));
    }
    if context.common.json {
        print_line(&json!({
            "schema": 1, "event": "backup", "generation": made.generation.name, "path": made.generation.path,
            "files": files, "bytes": bytes, "encrypted": encrypted, "received_files": made.received.files,
            "received_bytes": made.received.bytes, "unread": made.received.failed_count,
        }));
    }
    if made.received.failed_count > 0 {
        let unread = made.received.failed_count;
        say_line(&say::text(context.lang, &Text::BackupPartial { unread }));
        for failed in made.received.failed.iter().take(20) {
            say_line(&format!("  {}", super::backups_show::unread(failed)));
        }
        return Err(Fault::new(Code::BackupIncomplete, format!("{unread} files")).during(Step::Backup));
    }
    super::backups_prune::after_backup(context, vault, made.generation.udid, keep).await;
    Ok(Outcome::Ok)
}

pub async fn make_backup(context: &Context, args: BackupArgs) -> Done {
    let keep = Keep { last: args.keep, days: args.keep_days };
    make_one(context, args.vault, args.full, keep).await
}

pub async fn backups(context: &Context, verb: BackupsVerb, folder: Option<PathBuf>) -> Done {
    let vault = vault(context, folder)?;
    match verb {
        BackupsVerb::List => list(context, &vault),
        BackupsVerb::Show { generation } => {
            super::backups_show::show(context, &pick(context, &vault, None, generation.as_deref())?)
        }
        BackupsVerb::Export { generation, to, link } => {
            let generation = pick(context, &vault, None, generation.as_deref())?;
            super::backups_show::export_to(context, generation, to, link).await
        }
        BackupsVerb::Prune { keep, keep_days, dry_run, yes } => {
            let keep = crate::backup::Keep { last: keep, days: keep_days };
            super::backups_prune::prune(context, vault, keep, dry_run, yes).await
        }
        BackupsVerb::Verify { generation, deep, password } => {
            let generation = pick(context, &vault, None, generation.as_deref())?;
            super::backups_verify::verify_one(context, generation, deep, &password).await
        }
        BackupsVerb::Prove { generation, password } => {
            let generation = pick(context, &vault, None, generation.as_deref())?;
            super::backups_prove::prove(context, generation, &password).await
        }
        BackupsVerb::Browse { generation, password } => {
            let generation = pick(context, &vault, None, generation.as_deref())?;
            list_files(context, &open(context, &generation, &password).await?)
        }
        BackupsVerb::Extract { file, to, generation, password } => {
            let generation = pick(context, &vault, None, generation.as_deref())?;
            take_out(&generation, &open(context, &generation, &password).await?, &file, &to)
        }
        BackupsVerb::Encrypt { verb } => super::backups_encrypt::encrypt(context, verb).await,
        BackupsVerb::Restore { generation, yes_restore, from, how, password } => {
            let (eyes, normal) = trusted(context).await?;
            let outside = generation.as_deref().is_some_and(|name| name.contains('/'));
            let from: Option<Udid> = match from {
                Some(text) => Some(text.parse().map_err(|e| Fault::new(Code::Usage, format!("{e}")))?),
                // A path that holds one backup says whose it is.
                None if outside => None,
                None => normal.who.udid.clone(),
            };
            let generation = pick(context, &vault, from, generation.as_deref())?;
            let mut what = wish(how);
            let before = look_before(&eyes.mux, &normal).await?;
            before.may_put_back(&generation, &what)?;
            what.password = checked_password(context, &generation, &password).await?;
            show_put_back(context, &generation, &what, &before);
            let consent = ask::consent(context.lang, &normal.who, Deed::PutBack, yes_restore.as_deref())?;
            let options = PutBackOptions { what, patience: Patience::default().shortened(context.haste()) };
            let tell = context.show();
            let sent = put_back(&eyes.mux, &normal, &generation, options, &consent, &tell, &context.cancel).await?;
            say_line(&say::text(context.lang, &Text::PutBackDone { files: sent.files }));
            Ok(Outcome::Ok)
        }
    }
}

fn wish(how: PutBackArgs) -> RestoreOptions {
    RestoreOptions {
        reboot: !how.no_reboot,
        copy_first: how.copy_first,
        preserve_settings: how.keep_settings,
        system_files: !how.no_system,
        remove_others: how.remove_others,
        password: None,
    }
}

/// What is about to be done, before anybody agrees to it.
fn show_put_back(context: &Context, generation: &Generation, what: &RestoreOptions, before: &Preflight) {
    let t = |text: Text| say_line(&say::text(context.lang, &text));
    if context.common.json {
        print_line(&json!({
            "schema": 1, "event": "put-back-plan", "generation": generation.name, "of": generation.udid,
            "reboot": what.reboot, "keep_settings": what.preserve_settings, "system_files": what.system_files,
            "remove_others": what.remove_others, "copy_first": what.copy_first, "device": before,
        }));
    }
    let device = generation.summary.device_name.clone().unwrap_or_else(|| generation.udid.to_string());
    t(Text::PutBackPlan { generation: generation.name.clone(), device });
    t(if what.system_files { Text::PutBackSystem } else { Text::PutBackNoSystem });
    t(if what.preserve_settings { Text::PutBackKeepsSettings } else { Text::PutBackSettings });
    t(if what.remove_others { Text::PutBackRemoves } else { Text::PutBackLeaves });
    if what.copy_first {
        t(Text::PutBackCopies);
    } else if before.is_tight(generation) {
        t(Text::PutBackTight);
    }
    t(if what.reboot { Text::PutBackRestarts } else { Text::PutBackStays });
    if before.setup_done == Some(false) {
        t(Text::PutBackInSetup);
    }
}

/// The password of an encrypted generation, from the options or a person; none of another one.
pub(super) fn password_of(
    context: &Context,
    generation: &Generation,
    args: &PasswordArgs,
    question: &Text,
) -> Result<Option<Password>, Fault> {
    if generation.summary.encrypted != Some(true) {
        return Ok(None);
    }
    let password = password::given_or_asked(context, args, question)?;
    if password.is_some() {
        say_line(&say::text(context.lang, &Text::BackupPasswordChecking));
    }
    Ok(password)
}

/// The password for a device, tried here first: a wrong one costs seconds instead of a restore that breaks off.
async fn checked_password(
    context: &Context,
    generation: &Generation,
    args: &PasswordArgs,
) -> Result<Option<Password>, Fault> {
    let Some(password) = password_of(context, generation, args, &Text::BackupPasswordAsk)? else { return Ok(None) };
    let (folder, trial) = (generation.folder(), password.clone());
    beside(context, move || check_password(&folder, &trial)).await?;
    Ok(Some(password))
}

/// Opens a generation to look into it; the seconds that a password costs are spent beside the event loop.
async fn open(context: &Context, generation: &Generation, args: &PasswordArgs) -> Result<Opened, Fault> {
    let password = password_of(context, generation, args, &Text::BackupPasswordAsk)?;
    let (folder, scratch) = (generation.folder(), context.folders()?.scratch());
    beside(context, move || {
        let unlock = password.as_ref().map(|password| Unlock { password, scratch: &scratch });
        Opened::open(&folder, unlock, &Cancel::new())
    })
    .await
}

/// Work that only reads, on a thread of its own: the derivation of a key hears nobody, so who wants to stop does not
/// wait for it.
pub(super) async fn beside<T: Send + 'static>(
    context: &Context,
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::select! {
        done = tokio::task::spawn_blocking(work) => done.map_err(|e| Fault::new(Code::Internal, e.to_string()))?,
        () = context.cancel.cancelled() => Err(Fault::cancelled()),
    }
}

/// The generation that is meant: of the device that `-d` names as a UDID, else of the only one in the vault.
/// A name with a slash is the path of a backup outside of vaults.
fn pick(context: &Context, vault: &Vault, udid: Option<Udid>, name: Option<&str>) -> Result<Generation, Fault> {
    if let Some(place) = name.filter(|name| name.contains('/')) {
        let meant = udid.or_else(|| context.common.device.as_deref().and_then(|text| text.parse().ok()));
        return Generation::outside(Path::new(place), meant.as_ref());
    }
    let devices = vault.devices()?;
    let udid = match udid.or_else(|| context.common.device.as_deref().and_then(|d| named(&devices, d))) {
        Some(udid) => udid,
        None => match &devices[..] {
            [one] => one.clone(),
            [] => return Err(Fault::new(Code::BackupNone, format!("nothing in {}", vault.root().display()))),
            many => {
                let names: Vec<_> = many.iter().map(ToString::to_string).collect();
                return Err(Fault::new(Code::AmbiguousDevice, names.join(", ")));
            }
        },
    };
    vault.generation(&udid, name)
}

/// A UDID of the vault by its beginning, or by the ECID inside it.
pub(super) fn named(devices: &[Udid], text: &str) -> Option<Udid> {
    let ecid = text.parse::<crate::ids::Ecid>().ok();
    let fits =
        |u: &&Udid| u.as_str().to_lowercase().starts_with(&text.to_lowercase()) || (ecid.is_some() && u.ecid() == ecid);
    devices.iter().find(fits).cloned()
}

fn list(context: &Context, vault: &Vault) -> Done {
    let mut rows = Vec::new();
    let mut objects = Vec::new();
    for udid in vault.devices()? {
        for generation in vault.generations(&udid)? {
            let record = generation.record.as_ref();
            // Of one whose list is encrypted, what lies on the disk is all that is known.
            let listed = record.filter(|r| !r.sealed);
            let shown = record.map(|r| if r.sealed { (r.stored_files, r.stored_bytes) } else { (r.files, r.bytes) });
            objects.push(json!({
                "udid": generation.udid, "generation": generation.name, "path": generation.path,
                "device": generation.summary.device_name, "product_type": generation.summary.product_type,
                "version": generation.summary.product_version, "encrypted": generation.summary.encrypted,
                "files": listed.map(|r| r.files), "bytes": listed.map(|r| r.bytes),
                "unread": record.map(|r| r.failed_count), "made": generation.made(), "checked": generation.checks(),
            }));
            rows.push(vec![
                generation.name.clone(),
                generation.summary.device_name.clone().unwrap_or_default(),
                generation.summary.product_version.clone().unwrap_or_default(),
                shown.map(|(files, _)| files.to_string()).unwrap_or_default(),
                shown.map(|(_, bytes)| size(bytes)).unwrap_or_default(),
                super::backups_show::checked_short(context, &generation),
                generation.udid.to_string(),
            ]);
        }
    }
    if context.common.json {
        print_line(&json!({ "schema": 1, "backups": objects }));
    } else if rows.is_empty() {
        say_line(&say::text(context.lang, &Text::NoBackups));
    } else {
        let header = ["GENERATION", "DEVICE", "VERSION", "FILES", "SIZE", "CHECKED", "UDID"];
        print_out(&table_sparing(&header, &[1], 5, rows));
    }
    Ok(Outcome::Ok)
}

fn list_files(context: &Context, opened: &Opened) -> Done {
    let json_lines = context.common.json;
    opened.browse(&Filter::default(), |row| {
        if json_lines {
            print_line(&json!({ "domain": row.domain, "path": row.path, "size": row.size, "kind": row.kind }));
        } else {
            let size = row.size.map(size).unwrap_or_default();
            print_out(&format!("{size:>12}  {}/{}", row.domain, row.path));
        }
        ControlFlow::Continue(())
    })?;
    Ok(Outcome::Ok)
}

fn take_out(generation: &Generation, opened: &Opened, file: &str, to: &Path) -> Done {
    let (domain, path) = file.split_once('/').ok_or_else(|| Fault::new(Code::Usage, "wanted domain/path"))?;
    let row = opened.find(domain, path)?;
    let row = row.ok_or_else(|| Fault::new(Code::Usage, format!("no file {file:?} in {}", generation.name)))?;
    opened.extract(&row, to, &Cancel::new())?;
    Ok(Outcome::Ok)
}
