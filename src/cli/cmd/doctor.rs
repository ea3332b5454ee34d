//! `doctor`: is this host ready?

use super::list::{print_out, say_line};
use crate::cli::Done;
use crate::cli::context::Context;
use crate::cli::show::print_line;
use crate::doctor::examine;
use crate::event::Outcome;
use crate::say::{self, Text};
use serde_json::json;
use std::sync::Arc;

pub async fn run(context: &Context) -> Done {
    let eyes = context.eyes()?;
    let folders = context.folders()?;
    let places = [("room-backups", folders.vault()), ("room-firmware", folders.firmware())];
    let places: Vec<_> = places.iter().map(|(name, path)| (*name, path.as_path())).collect();
    let checks = examine(Arc::clone(&eyes.bus), &eyes.mux, &places).await;
    let bad = checks.iter().filter(|c| !c.good).count();
    if context.common.json {
        print_line(&json!({ "schema": 1, "checks": checks }));
    } else {
        for check in &checks {
            print_out(&format!("{}  {:14}  {}", if check.good { "ok" } else { "!!" }, check.name, check.seen));
            if let Some(fault) = &check.fault {
                print_out(&format!("    {}", say::fault(context.lang, fault.code).next));
            }
        }
    }
    match checks.into_iter().find_map(|c| c.fault) {
        None => {
            say_line(&say::text(context.lang, &Text::DoctorGood));
            Ok(Outcome::Ok)
        }
        Some(first) => {
            say_line(&say::text(context.lang, &Text::DoctorBad { count: bad }));
            Err(first)
        }
    }
}
