//! One file per verb.

mod backup;
mod backups_encrypt;
mod backups_prove;
mod backups_prune;
mod backups_show;
mod backups_verify;
mod batch;
mod batch_plan;
mod bench;
mod card;
mod demo;
mod demo_shop;
mod demo_stage;
mod doctor;
mod doctor_show;
mod explain;
mod firmware;
mod firmware_cache;
mod firmware_signed;
mod generate;
mod guide;
mod info;
pub(super) mod list;
mod list_board;
mod pair;
mod preflight;
mod recover;
mod report;
mod restore;
mod scenarios;
mod stations;
mod stations_teach;
mod triage;

use super::Done;
use super::args::{BackupsVerb, Cli, FirmwareVerb, Verb};
use super::context::Context;
use crate::event::Step;
use crate::say::Lang;

pub async fn run(cli: Cli, lang: Lang) -> Done {
    let common = cli.common.clone();
    if !matches!(cli.verb, Verb::Generate { .. }) {
        super::context::own_device_table()?;
    }
    match cli.verb {
        Verb::Generate { what, folder } => generate::run(what, folder.as_deref()),
        Verb::Bench { verb, dir } => bench::run(verb, dir, lang, common.json).await,
        Verb::Demo(demo) => demo::run(&common, lang, demo).await,
        verb => {
            let context = Context::new(common, lang)?;
            let step = step_of(&verb);
            let done = match verb {
                Verb::List { watch, board } => list::run(&context, watch, board).await,
                Verb::Stations(args) => stations::run(&context, args.verb).await,
                Verb::Info(args) => info::run(&context, args).await,
                Verb::Pair { wait, reset } => pair::pair(&context, wait, reset).await,
                Verb::Unpair => pair::unpair(&context).await,
                Verb::Guide(args) => guide::run(&context, args).await,
                Verb::Triage(args) => triage::run(&context, args).await,
                Verb::Backup(args) => backup::make_backup(&context, args).await,
                Verb::Backups { verb, vault } => backup::backups(&context, verb, vault).await,
                Verb::Firmware { verb } => firmware::run(&context, verb).await,
                Verb::Restore(args) => restore::run(&context, args).await,
                Verb::Recover(args) => recover::recover(&context, args).await,
                Verb::Resume { job, by_hand, password } => {
                    recover::resume(&context, job.as_deref(), by_hand, &password).await
                }
                Verb::Batch(args) => batch::run(&context, args).await,
                Verb::Report(args) => report::run(&context, args),
                Verb::Card(args) => card::run(&context, args).await,
                Verb::Doctor(args) => doctor::run(&context, args).await,
                Verb::Explain(args) => explain::run(&context, &args),
                Verb::Generate { .. } | Verb::Bench { .. } | Verb::Demo(_) => Ok(crate::event::Outcome::Ok),
            };
            done.map_err(|fault| fault.during(step))
        }
    }
}

/// The stage of a failure that no room below gave one: a fault always says where it happened.
fn step_of(verb: &Verb) -> Step {
    match verb {
        Verb::Pair { .. } | Verb::Unpair => Step::Pair,
        Verb::Backup(_) => Step::Backup,
        Verb::Backups { verb: BackupsVerb::Restore { .. }, .. } => Step::PutBack,
        Verb::Backups { verb: BackupsVerb::Encrypt { .. }, .. } => Step::Encrypt,
        Verb::Backups { .. } => Step::VerifyBackup,
        Verb::Firmware {
            verb: FirmwareVerb::List { .. } | FirmwareVerb::Fetch { .. } | FirmwareVerb::Signed { .. },
        } => Step::Catalogue,
        Verb::Firmware { .. } => Step::VerifyFirmware,
        Verb::Triage(_) | Verb::Restore(_) | Verb::Recover(_) | Verb::Batch(_) => Step::Plan,
        Verb::Report(_) | Verb::Card(_) => Step::Report,
        _ => Step::Find,
    }
}
