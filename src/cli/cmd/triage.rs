//! `triage`: from what is wrong to the one plan that helps.

use super::list::{print_out, say_line};
use crate::cli::Done;
use crate::cli::args::{RecoverArgs, TriageArgs};
use crate::cli::context::Context;
use crate::cli::questions::{self, Triaged};
use crate::cli::show::print_line;
use crate::cli::show::wrap::COLUMNS;
use crate::device::{self, Device, look};
use crate::disk::{append_private, write_atomic};
use crate::event::{Choice, Outcome, Question, Step, WayOut};
use crate::fault::{Code, Fault};
use crate::job::{Kit, Way};
use crate::report::way_out::sheet;
use crate::say::triage::{Label, choice, label, subject, told};
use crate::say::{self, Text};
use crate::triage::{Evidence, Stand, Verb, is_open_without_passcode, prospect};
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::path::Path;

pub async fn run(context: &Context, args: TriageArgs) -> Done {
    let eyes = context.eyes()?;
    let seen = look(&eyes).await;
    // Without a device everything is asked; a device that was named has to be there.
    let device = if context.common.device.is_none() && seen.devices.is_empty() {
        None
    } else {
        let chosen = device::choose(&seen.devices, context.common.device.as_deref());
        Some(chosen.map_err(|fault| fault.during(Step::Find))?)
    };
    if device.is_none() {
        say_line(&label(context.lang, Label::NoDevice));
    }
    let folders = context.folders()?;
    let vault = args.vault.unwrap_or_else(|| folders.vault());
    let triaged = questions::triage(context, &eyes, device.as_ref(), &vault, args.answers.as_deref()).await?;
    if context.common.json {
        print_line(&json!({ "schema": 1, "triage": triaged.json() }));
    }
    match triaged.stand {
        Stand::Ask(_) => Err(open(context, &triaged)),
        Stand::WayOut(WayOut::NotYours) => {
            show(context, &triaged, WayOut::NotYours, args.paper.as_deref())?;
            Err(refuse(context, &triaged))
        }
        Stand::WayOut(way) => {
            show(context, &triaged, way, args.paper.as_deref())?;
            Ok(Outcome::Ok)
        }
    }
}

/// What the questions before `recover` decided.
pub struct Lead {
    pub way: Way,
    pub backup: bool,
    /// The newest generation here, where it is to be put back.
    pub existing: Option<String>,
}

/// `recover` begins with the questions, unless a script names the device to erase and gives no answers: who does that
/// has decided. A way out that is no restore ends it here.
pub async fn lead(context: &Context, kit: &Kit, device: &Device, args: &RecoverArgs) -> Result<Lead, Fault> {
    let decided = Lead { way: Way::Erase, backup: !args.no_backup, existing: None };
    let looks_only = args.plan || args.dry_run || args.yes_erase.is_some();
    if args.answers.is_none() && (looks_only || !std::io::stdin().is_terminal()) {
        return Ok(decided);
    }
    let vault = args.vault.clone().unwrap_or_else(|| kit.folders.vault());
    let triaged = questions::triage(context, &kit.eyes, Some(device), &vault, args.answers.as_deref()).await?;
    if context.common.json {
        print_line(&json!({ "schema": 1, "triage": triaged.json() }));
    }
    let way = match triaged.stand {
        Stand::Ask(_) => return Err(open(context, &triaged)),
        Stand::WayOut(way) => way,
    };
    let Some(verb) = way.cost().verb else {
        show(context, &triaged, way, None)?;
        let ecid = triaged.case.ecid;
        let other = Fault::new(Code::OtherWayOut, way.as_str());
        return Err(match (way, ecid) {
            (WayOut::NotYours, _) => refuse(context, &triaged),
            (_, Some(ecid)) => other.on(ecid),
            (_, None) => other,
        });
    };
    say_line("");
    for text in [told(context.lang, way).title, &label(context.lang, Label::GoesOn)] {
        say::wrapped(text, COLUMNS).iter().for_each(|line| say_line(line));
    }
    say_line("");
    // Where the passcode is lost a backup that asks for it would only stop the job.
    let can = verb == Verb::Recover || is_open_without_passcode(&prospect(&Evidence::of(device)));
    let existing = match way {
        WayOut::RestoreAndPutBack => triaged.clues.newest_backup.clone(),
        _ => None,
    };
    let way = if verb.erases() { Way::Erase } else { Way::Update };
    Ok(Lead { way, backup: !args.no_backup && (can || existing.is_some()), existing })
}

/// An erase of a device with Find My on ends at a lock: said before it, with the account where the device names it.
pub async fn warn_of_lock(context: &Context, kit: &Kit, device: &Device) {
    let clues = questions::look(context, &kit.eyes, device, &kit.folders.vault()).await;
    let on = clues.readings.iter().any(|r| (r.question, r.answer, r.proves) == (Question::FindMy, Choice::On, true));
    if !on {
        return;
    }
    if context.common.json {
        print_line(&json!({ "schema": 1, "event": "activation-lock", "account": clues.account }));
    }
    let text = label(context.lang, Label::LockFollows { masked: clues.account.as_deref() });
    for (at, piece) in say::wrapped(&text, 76).into_iter().enumerate() {
        say_line(&format!("{} {piece}", if at == 0 { "  !" } else { "   " }));
    }
}

/// The plan on the terminal, and on paper where that is wanted.
pub fn show(context: &Context, triaged: &Triaged, way: WayOut, paper: Option<&Path>) -> Result<(), Fault> {
    let sheet = sheet(context.lang, &triaged.case, way, &triaged.answers);
    let text = sheet.text(context.lang, COLUMNS);
    say_line("");
    if context.common.json {
        say_line(text.trim_end())
    } else {
        print_out(text.trim_end())
    }
    if let Some(file) = paper {
        write_atomic(file, sheet.html(context.lang).as_bytes())?;
        say_line(&say::text(context.lang, &Text::ReportSaved { place: file.display().to_string() }));
    }
    Ok(())
}

/// What is still to be answered, in the words of a file of answers.
pub fn open(context: &Context, triaged: &Triaged) -> Fault {
    let Stand::Ask(question) = triaged.stand else { return Fault::new(Code::Internal, "no question is open") };
    let lang = context.lang;
    say_line(&format!("{}: {}", label(lang, Label::Unanswered), subject(lang, question)));
    for each in question.choices() {
        say_line(&format!("  {} = \"{}\"  {}", question.as_str(), each.as_str(), choice(lang, *each)));
    }
    Fault::new(Code::QuestionsOpen, question.as_str())
}

/// Nothing is done for a device that is not the person's; that it was asked is written down.
pub fn refuse(context: &Context, triaged: &Triaged) -> Fault {
    let refused = Fault::new(Code::NotYours, "found, lost, or reported stolen");
    let line = json!({
        "schema": 1, "time": jiff::Timestamp::now(), "ecid": triaged.case.ecid,
        "answers": triaged.json().get("answers"), "virtual": triaged.case.is_virtual,
    });
    if let Ok(folders) = context.folders() {
        let path = folders.refusals();
        let written = append_private(&path).and_then(|mut file| writeln!(file, "{line}"));
        match written {
            Ok(()) => say_line(&label(context.lang, Label::Refused { place: &path.display().to_string() })),
            Err(error) => say_line(&format!("! {}: {error}", path.display())),
        }
    }
    match triaged.case.ecid {
        Some(ecid) => refused.on(ecid),
        None => refused,
    }
}
