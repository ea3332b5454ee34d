//! What restored does in which order, read from text files.
//!
//! The files follow recordings of real devices line by line, so they can be laid beside them. An update is
//! the same script: lines and actions that only an erase (or only an update) has are marked in it. A
//! script is chosen by the system that is offered for the model, since the ramdisk is a part of it.
//!
//! ```text
//! 60B: ask RootTicket      a checkpoint with what it does; without a colon several may share a line
//! {67B   }67B              a checkpoint around others: it fails with what fails inside it
//! [erase] [update] [modem] [has NAME]   before an action or a line: only then; NAME begins a component of
//!                                       the identity that the host sent
//! op 29 x6, op 14 0..100   messages of progress, numbered as they are on the wire
//! say TEXT                 a line of the device's log
//! ```
//! The head of a file: `protocol N`, `quiet` (before iOS 10: checkpoints are not told, and a failure is AMRError
//! and Log alone), `no-fdr`, `flash-by-name` (NORData with FlashVersion1), `called ID NAME`, `tail` (what runs
//! after a failure), `need` and `want` (words of the host's tables).

use super::recovery_os::Piece;
use crate::facts::models::{ImageFormat, Model};
use crate::virt::phone::offered_system;
use crate::wire::restored::CheckpointId;
use std::sync::LazyLock;

/// When a line or an action applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Only {
    Erase,
    Update,
    /// The device has a modem.
    Modem,
    /// A recovery system is installed too.
    Recovery,
    /// The identity that the host sent has a component whose name begins so.
    Has(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fud {
    /// One request for everything (up to iOS 12).
    All,
    /// The list, then each.
    Each,
    /// The list, then these of it.
    These(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Compares the host's tables.
    Host,
    /// One message without percentage, so many times.
    Op(u64, u32),
    /// Percentages from the first to the second.
    Percent(u64, u8, u8),
    /// A data request, on a port of its own if so said.
    Ask(String, bool),
    /// The build identity.
    Identity,
    Fud(Fud),
    /// A list of images of a type, then each of it.
    Images(String),
    Ean,
    /// A component as shipped, in pieces.
    Source(String),
    /// The component of [`super::Faults::personalized`], signed, in pieces.
    Personalized,
    Updater(String),
    Modem(Modem),
    Output,
    /// Image there and back before going on; or only begin; or only wait.
    Asr,
    AsrStart,
    AsrAwait,
    /// A round trip through FDR. A failure ends the restore unless tolerated.
    Fdr {
        tolerated: bool,
    },
    /// AsyncWait.
    Wait,
    Attest,
    /// Refuses an update to an older system.
    Downgrade,
    /// Something of the recovery system.
    Recovery(Piece),
    /// The request of [`super::Faults::unknown_data_type`].
    Extra,
    /// A line of the device's log.
    Say(String),
}

/// One request for baseband firmware and what is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Modem {
    /// Without a nonce.
    pub first: bool,
    /// The update is done with it.
    pub last: bool,
    /// On a port of its own, beside everything else.
    pub asynchronous: bool,
    /// Messages of progress between the answer and the status.
    pub steps: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Open(u16),
    Close(u16),
    Point(u16, Vec<(Vec<Only>, Act)>),
}

/// A word of the host's tables that this system looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub message: bool,
    pub name: String,
    pub required: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Script {
    pub name: &'static str,
    pub protocol: u64,
    /// Checkpoints are not told, and a failed status has no number of its own.
    pub quiet: bool,
    pub fdr: bool,
    pub flash_by_name: bool,
    /// Names that differ from those of the table.
    called: Vec<(u16, String)>,
    pub needs: Vec<Need>,
    /// Checkpoints that run after a failure.
    pub tail: Vec<u16>,
    pub steps: Vec<(Vec<Only>, Step)>,
}

impl Script {
    pub fn name_of(&self, id: u16) -> Option<&str> {
        let own = self.called.iter().find(|(own, _)| *own == id);
        own.map(|(_, name)| name.as_str()).or_else(|| CheckpointId(id).name())
    }
}

pub(super) const TEXTS: &[(&str, &str)] = &[
    ("ios6", include_str!("scripts/ios6.txt")),
    ("ios10", include_str!("scripts/ios10.txt")),
    ("ios10-img4", include_str!("scripts/ios10-img4.txt")),
    ("ios12", include_str!("scripts/ios12.txt")),
    ("ios16", include_str!("scripts/ios16.txt")),
    ("ios18", include_str!("scripts/ios18.txt")),
    ("ios26", include_str!("scripts/ios26.txt")),
];

static SCRIPTS: LazyLock<Vec<Script>> =
    LazyLock::new(|| TEXTS.iter().filter_map(|(name, text)| parse(name, text).ok()).collect());

/// By name, else by the system that is offered for the model.
pub(super) fn choose(name: Option<&str>, model: &Model) -> Option<&'static Script> {
    let img4 = model.image == ImageFormat::Img4;
    let by_system = match offered_system(model).1.train {
        ..14 => "ios6",
        14 if img4 => "ios10-img4",
        14 => "ios10",
        15..=16 => "ios12",
        17..=20 => "ios16",
        21..=22 => "ios18",
        23.. => "ios26",
    };
    let wanted = name.unwrap_or(by_system);
    SCRIPTS.iter().find(|s| s.name == wanted)
}

/// # Errors
/// The first line that is not understood.
pub(super) fn parse(name: &'static str, text: &str) -> Result<Script, String> {
    let mut script = Script {
        name,
        protocol: 15,
        quiet: false,
        fdr: true,
        flash_by_name: false,
        called: Vec::new(),
        needs: Vec::new(),
        tail: Vec::new(),
        steps: Vec::new(),
    };
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let bad = || format!("{name}: {line:?}");
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["protocol", number] => script.protocol = number.parse().map_err(|_| bad())?,
            ["quiet"] => script.quiet = true,
            ["no-fdr"] => script.fdr = false,
            ["flash-by-name"] => script.flash_by_name = true,
            ["called", point, name] => script.called.push((id(point).ok_or_else(bad)?, (*name).to_owned())),
            ["tail", ids @ ..] => script.tail = ids.iter().map(|i| id(i)).collect::<Option<_>>().ok_or_else(bad)?,
            [kind @ ("need" | "want"), table @ ("data" | "message"), word] => script.needs.push(Need {
                message: *table == "message",
                name: (*word).to_owned(),
                required: *kind == "need",
            }),
            _ => {
                let (only, rest) = conditions(line).ok_or_else(bad)?;
                let steps = steps(rest).ok_or_else(bad)?;
                script.steps.extend(steps.into_iter().map(|step| (only.clone(), step)));
            }
        }
    }
    Ok(script)
}

fn id(text: &str) -> Option<u16> {
    u16::from_str_radix(text, 16).ok()
}

fn steps(line: &str) -> Option<Vec<Step>> {
    if let Some(open) = line.strip_prefix('{') {
        return Some(vec![Step::Open(id(open)?)]);
    }
    if let Some(close) = line.strip_prefix('}') {
        return Some(vec![Step::Close(id(close)?)]);
    }
    let Some((point, acts)) = line.split_once(':') else {
        return line.split_whitespace().map(|i| Some(Step::Point(id(i)?, Vec::new()))).collect();
    };
    let acts = acts.split(';').map(|a| act(a.trim())).collect::<Option<_>>()?;
    Some(vec![Step::Point(id(point.trim())?, acts)])
}

/// What stands in brackets at the beginning, and the rest.
fn conditions(mut text: &str) -> Option<(Vec<Only>, &str)> {
    let mut only = Vec::new();
    while let Some((condition, rest)) = text.strip_prefix('[').and_then(|t| t.split_once(']')) {
        only.push(match condition {
            "erase" => Only::Erase,
            "update" => Only::Update,
            "modem" => Only::Modem,
            "recovery" => Only::Recovery,
            other => Only::Has(other.strip_prefix("has ")?.to_owned()),
        });
        text = rest.trim();
    }
    Some((only, text))
}

/// `first`, `again` or `last`, then `async` or the number of steps.
fn modem(words: &[&str]) -> Option<Modem> {
    let (turn, rest) = words.split_first()?;
    let (first, last) = match *turn {
        "first" => (true, false),
        "again" => (false, false),
        "last" => (false, true),
        _ => return None,
    };
    let (asynchronous, steps) = match rest {
        [] => (false, 0),
        ["async"] => (true, 0),
        [times] => (false, times.strip_prefix('x')?.parse().ok()?),
        _ => return None,
    };
    Some(Modem { first, last, asynchronous, steps })
}

fn act(text: &str) -> Option<(Vec<Only>, Act)> {
    let (only, text) = conditions(text)?;
    if let Some(line) = text.strip_prefix("say ") {
        return Some((only, Act::Say(line.to_owned())));
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let act = match words.as_slice() {
        ["host"] => Act::Host,
        ["op", number] => Act::Op(number.parse().ok()?, 1),
        ["op", number, range] => {
            let number = number.parse().ok()?;
            match range.split_once("..") {
                Some((from, to)) => Act::Percent(number, from.parse().ok()?, to.parse().ok()?),
                None => Act::Op(number, range.strip_prefix('x')?.parse().ok()?),
            }
        }
        ["ask", what] => Act::Ask((*what).to_owned(), false),
        ["ask", what, "port"] => Act::Ask((*what).to_owned(), true),
        ["identity"] => Act::Identity,
        ["fud"] => Act::Fud(Fud::Each),
        ["fud", "all"] => Act::Fud(Fud::All),
        ["fud", names @ ..] => Act::Fud(Fud::These(names.iter().map(|n| (*n).to_owned()).collect())),
        ["images", kind] => Act::Images((*kind).to_owned()),
        ["ean"] => Act::Ean,
        ["source", name] => Act::Source((*name).to_owned()),
        ["personalized"] => Act::Personalized,
        ["updater", name] => Act::Updater((*name).to_owned()),
        ["modem", rest @ ..] => Act::Modem(modem(rest)?),
        ["output"] => Act::Output,
        ["asr"] => Act::Asr,
        ["asr", "start"] => Act::AsrStart,
        ["asr", "await"] => Act::AsrAwait,
        ["fdr"] => Act::Fdr { tolerated: false },
        ["fdr", "tolerated"] => Act::Fdr { tolerated: true },
        ["wait"] => Act::Wait,
        ["attest"] => Act::Attest,
        ["downgrade"] => Act::Downgrade,
        ["extra"] => Act::Extra,
        ["recovery", piece @ ..] => Act::Recovery(Piece::parse(piece)?),
        _ => return None,
    };
    Some((only, act))
}
