//! `recover` and `resume`: the main job.

use super::list::say_line;
use super::preflight::{check, rehearse};
use super::triage::{lead, warn_of_lock};
use crate::backup::{Password, Vault, encryption};
use crate::cli::args::{PasswordArgs, RecoverArgs};
use crate::cli::coached::Hands;
use crate::cli::context::Context;
use crate::cli::show::{print_line, size};
use crate::cli::{Done, ask, password};
use crate::device::{Access, Consent, Deed, Device, Given, Identity, Normal, Trust};
use crate::disk::{JobFolder, Jobs, write_atomic};
use crate::event::{Event, Outcome, Step, Teller};
use crate::fault::{Code, Fault};
use crate::ids::BuildId;
use crate::job::{self, BackupPlan, Consents, Entry, FirmwarePlan, Job, Keeps, Kit, Plan, Story, Way};
use crate::restore::Brought;
use crate::say::{self, Lang, Text};
use crate::triage::{BackupChance, Evidence, backup_chance, prospect};
use serde_json::json;
use std::io::IsTerminal;
use std::path::PathBuf;

pub fn kit(context: &Context, by_hand: bool) -> Result<Kit, Fault> {
    let kit = kit_telling(context, context.show())?;
    // A script has no hands, unless it says so.
    let hands = by_hand || std::io::stdin().is_terminal();
    Ok(Kit { hands: hands.then(|| Hands::of(context, &kit.eyes)), ..kit })
}

/// One that tells somebody else than this run's own listener, and has no hands.
pub fn kit_telling(context: &Context, tell: Teller) -> Result<Kit, Fault> {
    let (http, endpoints) = context.http()?;
    Ok(Kit {
        hands: None,
        eyes: context.eyes()?,
        http,
        endpoints,
        folders: context.folders()?,
        tell,
        cancel: context.cancel.clone(),
        haste: context.haste(),
        backup_password: None,
        verified: std::sync::Arc::default(),
        manifests: std::sync::Arc::default(),
    })
}

/// What a plan is made for.
pub struct Wish {
    pub way: Way,
    pub backup: bool,
    /// A generation from before, to be put back where no backup can be made.
    pub existing: Option<String>,
    pub vault: Option<PathBuf>,
    pub ipsw: Option<PathBuf>,
    /// This build of the catalogue instead of its newest.
    pub build: Option<BuildId>,
    pub ticket: Option<PathBuf>,
}

/// Reads the device and the catalogue, and makes the plan; nothing is changed.
pub async fn plan_for(kit: &Kit, device: &Device, wish: Wish) -> Result<Plan, Fault> {
    let who = device.who();
    if device.access == Access::NoPermission {
        let detail = format!("{} at {}", who.title(), who.port.as_ref().map(ToString::to_string).unwrap_or_default());
        return Err(Fault::new(Code::UsbNoAccess, detail).during(Step::Find));
    }
    let unknown = |what: &str| Fault::new(Code::UnknownModel, format!("the device's {what} is not known"));
    let ecid = who.ecid.ok_or_else(|| unknown("ECID"))?;
    let model = who.model().ok_or_else(|| unknown("model"))?;
    let ticket = wish.ticket.as_deref();
    if let Some(file) = ticket {
        Brought::open(file)?.is_for(ecid)?;
    }
    let backup = if !wish.backup {
        BackupPlan::Skip { why: "not wanted".into() }
    } else {
        match backup_chance(device) {
            _ if wish.existing.is_some() => {
                BackupPlan::Existing { generation: wish.existing.clone().unwrap_or_default() }
            }
            BackupChance::Possible | BackupChance::AfterTrust => BackupPlan::Make,
            BackupChance::No(code) => BackupPlan::Impossible { code },
        }
    };
    let product = who.product.clone().unwrap_or_else(|| model.product.clone());
    let firmware = job::prepare(kit, &product, wish.ipsw.as_deref(), wish.build.as_ref()).await?;
    let normal = device.normal();
    if wish.way == Way::Update && normal.is_some_and(|n| runs_newer(n, &firmware)) {
        let detail = format!("it already runs newer than {} ({})", firmware.version, firmware.build);
        return Err(Fault::new(Code::UpdateImpossible, detail).during(Step::Plan).on(ecid));
    }
    Ok(Plan {
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        ecid,
        udid: who.udid.clone(),
        title: who.title(),
        product,
        board: model.board.to_owned(),
        cpid: model.cpid,
        bdid: model.bdid.or(who.bdid).ok_or_else(|| Fault::new(Code::UnknownModel, model.name).on(ecid))?,
        version: normal.and_then(|n| n.version.clone()),
        way: wish.way,
        put_back: backup.saves() && wish.way == Way::Erase,
        backup,
        firmware,
        vault: match wish.vault {
            Some(vault) => std::path::absolute(vault).map_err(|e| Fault::disk(&e))?,
            None => kit.folders.vault(),
        },
        ticket: ticket.map(std::path::absolute).transpose().map_err(|e| Fault::disk(&e))?,
        is_virtual: kit.eyes.is_virtual,
    })
}

/// Builds are compared where the versions are the same: a beta, or a build of one device only.
fn runs_newer(normal: &Normal, firmware: &FirmwarePlan) -> bool {
    match &normal.version {
        Some(version) if *version == firmware.version => normal.build.as_ref().is_some_and(|b| *b > firmware.build),
        Some(version) => *version > firmware.version,
        None => false,
    }
}

pub fn show_plan(context: &Context, plan: &Plan) {
    if context.common.json {
        print_line(&json!({ "schema": 1, "event": "plan", "plan": plan }));
    }
    let t = |text: Text| say::text(context.lang, &text);
    let mark = if plan.is_virtual { " [virtual]" } else { "" };
    say_line(&t(Text::PlanTitle { name: format!("{} ({}){mark}", plan.title, plan.ecid) }));
    let (keeps, loses) = match plan.keeps() {
        Keeps::Data => (t(Text::KeepsOnDevice), t(Text::LosesNothing)),
        Keeps::Backup => (t(Text::KeepsBackup), t(Text::LosesAllButBackup)),
        Keeps::Unsaved => (t(Text::KeepsNothing), t(Text::LosesAllUnsaved)),
        Keeps::Nothing => (t(Text::KeepsNothing), t(Text::LosesAll)),
    };
    let does = t(if plan.way == Way::Update { Text::DoesUpdate } else { Text::DoesErase });
    let build = plan.firmware.build.to_string();
    let size = plan.firmware.size.map(size).unwrap_or_else(|| "?".into());
    let firmware = t(Text::PlanFirmware { version: plan.firmware.version.to_string(), build, size });
    let rows = [
        (t(Text::PlanDoes), does),
        (t(Text::PlanKeeps), keeps),
        (t(Text::PlanLoses), loses),
        (t(Text::ReportFirmware), firmware),
    ];
    let width = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    for (label, value) in rows {
        say_line(&format!("  {label:width$}  {value}"));
    }
    if let BackupPlan::Existing { generation } = &plan.backup {
        say_line(&format!("  ! {}", t(Text::BackupExisting { generation: generation.clone() })));
    }
    if let BackupPlan::Impossible { code } = plan.backup {
        say_line(&format!("  ! {}", t(Text::BackupNotPossible { why: say::fault(context.lang, code).what.into() })));
    }
}

/// Before anything is erased: can a backup still be made, and what does it take?
pub fn show_chance(context: &Context, device: &Device) {
    let found = prospect(&Evidence::of(device));
    if context.common.json {
        print_line(&json!({
            "schema": 1, "event": "backup-chance", "possible": found.possible, "ground": found.ground,
            "caveats": found.caveats,
        }));
    }
    let lang = context.lang;
    let head = [say::possible(lang, found.possible), say::ground(lang, found.ground)];
    for line in head.into_iter().chain(found.caveats.iter().map(|caveat| say::caveat(lang, *caveat))) {
        for (at, piece) in say::wrapped(line, 76).into_iter().enumerate() {
            say_line(&format!("{} {piece}", if at == 0 { "  *" } else { "   " }));
        }
    }
}

pub fn deed(plan: &Plan) -> Deed {
    plan.restore().deed()
}

/// One answer covers both deeds of the plan: it was shown whole.
fn consents(context: &Context, plan: &Plan, option: Option<&str>) -> Result<Consents, Fault> {
    let who = identity(plan);
    let restore = ask::consent(context.lang, &who, deed(plan), option)?;
    let ecid = plan.ecid.to_string();
    let put_back =
        if plan.put_back { Some(Consent::from_person(&who, Deed::PutBack, &Given::Named(&ecid))?) } else { None };
    Ok(Consents { restore, put_back })
}

pub fn identity(plan: &Plan) -> Identity {
    Identity { ecid: Some(plan.ecid), udid: plan.udid.clone(), name: Some(plan.title.clone()), ..Identity::default() }
}

pub async fn recover(context: &Context, args: RecoverArgs) -> Done {
    let mut kit = kit(context, args.by_hand)?;
    kit.tell.tell(Event::StepBegan { step: Step::Find, what: String::new() });
    let device = context.device(&kit.eyes).await?;
    kit.tell.tell(Event::StepDone { step: Step::Find, what: format!("{} ({})", device.who().title(), device.mode()) });
    let lead = lead(context, &kit, &device, &args).await?;
    let wish = Wish {
        way: lead.way,
        backup: lead.backup,
        existing: lead.existing,
        vault: args.vault,
        ipsw: args.ipsw,
        build: None,
        ticket: args.ticket,
    };
    let plan = plan_for(&kit, &device, wish).await?;
    show_plan(context, &plan);
    if plan.way == Way::Erase {
        show_chance(context, &device);
        warn_of_lock(context, &kit, &device).await;
    }
    if args.plan {
        return Ok(Outcome::Ok);
    }
    if args.dry_run {
        return rehearse(context, &kit, &plan, &device).await;
    }
    check(context, &kit, &plan, &device).await?;
    let encrypts = match device
        .normal()
        .filter(|_| plan.backup == BackupPlan::Make)
        .filter(|normal| plan.put_back && normal.trust == Trust::Trusted)
    {
        // What cannot be read now shows when the backup is made, before anything is erased.
        Some(normal) => encryption(&kit.eyes.mux, normal).await.is_ok_and(|setting| setting.on == Some(true)),
        None => matches!(plan.backup, BackupPlan::Existing { .. }) && is_encrypted(&plan),
    };
    kit.backup_password = backup_password(context, encrypts, &args.password)?;
    let consents = consents(context, &plan, args.yes_erase.as_deref())?;
    let job = Job::begin(&kit, plan)?;
    drive(context, &kit, job, &consents).await
}

/// The password of the backup that a job makes or has made; asked for where it is encrypted.
fn backup_password(context: &Context, encrypts: bool, args: &PasswordArgs) -> Result<Option<Password>, Fault> {
    if !encrypts && args.password_file.is_none() && args.password_fd.is_none() {
        return Ok(None);
    }
    password::given_or_asked(context, args, &Text::BackupPasswordAsk)
}

/// Is the newest backup of a job's device encrypted?
fn is_encrypted(plan: &Plan) -> bool {
    let newest = plan.udid.as_ref().and_then(|udid| Vault::new(&plan.vault).generation(udid, None).ok());
    plan.put_back && newest.is_some_and(|generation| generation.summary.encrypted == Some(true))
}

pub async fn resume(context: &Context, name: Option<&str>, by_hand: bool, args: &PasswordArgs) -> Done {
    let mut kit = kit(context, by_hand)?;
    let jobs = Jobs::new(&kit.folders.jobs());
    let folder = match name {
        Some(name) => jobs.find(name)?,
        None => newest_open(&jobs)?,
    };
    let (_, entries) = folder.open::<Entry>()?;
    let story = Story::new(entries)?;
    if story.is_over() {
        say_line(&say::text(context.lang, &Text::ResumeNothing));
        return Ok(Outcome::Ok);
    }
    show_plan(context, &story.plan);
    kit.backup_password = backup_password(context, is_encrypted(&story.plan), args)?;
    // The plan in the journal was agreed to when it was written; going on with it is no new deed.
    let ecid = story.plan.ecid.to_string();
    let consents = consents(context, &story.plan, Some(&ecid))?;
    let job = Job::reopen(&kit, folder)?;
    drive(context, &kit, job, &consents).await
}

fn newest_open(jobs: &Jobs) -> Result<JobFolder, Fault> {
    let mut damaged = None;
    for folder in jobs.list()? {
        match folder.open::<Entry>().and_then(|(_, entries)| Story::new(entries)) {
            Ok(story) if !story.is_over() => return Ok(folder),
            Err(fault) if fault.code == Code::JournalDamaged => damaged = damaged.or(Some(fault)),
            _ => {}
        }
    }
    // A job that cannot be read may be the one that is meant: that is worth more than "none".
    Err(damaged.unwrap_or_else(|| Fault::new(Code::NoJob, "no unfinished job")))
}

/// Writes a job's report beside its journal.
pub fn save_report(folder: &JobFolder, story: &Story, lang: Lang) -> Result<(), Fault> {
    let report = job::report(&folder.id.to_string(), story);
    let bytes = serde_json::to_vec_pretty(&report).map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    write_atomic(&folder.path.join("report.json"), &bytes)?;
    write_atomic(&folder.path.join("report.html"), report.html(lang).as_bytes())
}

/// Runs a job to its end, then shows and saves its report.
pub async fn drive(context: &Context, kit: &Kit, mut job: Job, consents: &Consents) -> Done {
    let result = job.run(kit, consents).await;
    let name = job.folder.id.to_string();
    let report = job::report(&name, job.story());
    let saved = save_report(&job.folder, job.story(), context.lang);
    if result.is_ok() {
        say_line("");
        say_line(&report.text(context.lang));
        if saved.is_ok() {
            let place = job.folder.path.join("report.html").display().to_string();
            say_line(&say::text(context.lang, &Text::ReportSaved { place }));
        }
    } else if !job.story().is_over() {
        say_line(&say::text(context.lang, &Text::ResumeHint { job: name }));
    }
    if context.common.json {
        print_line(&json!({ "schema": 1, "event": "report", "report": report }));
    }
    result.and_then(|outcome| saved.map(|()| outcome))
}
