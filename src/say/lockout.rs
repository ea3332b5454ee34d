//! The words around the waits after wrong passcodes. Every table is said with what it is worth.

use super::Lang;
use crate::ids::Version;

/// Systems from one version up to (not with) another.
#[derive(Clone, Copy, Debug)]
pub struct Systems<'a> {
    pub since: Option<&'a Version>,
    pub before: Option<&'a Version>,
}

#[derive(Clone, Copy, Debug)]
pub enum Lockout<'a> {
    /// Heads of columns.
    WrongCode,
    About(Systems<'a>),
    /// The same, of the device that was looked at.
    AboutThis(Systems<'a>),
    NoWait,
    Minutes(u32),
    Hours(u32),
    /// Waiting does not help any more.
    Disabled,
    /// With Erase Data on, and the wrong code that does it.
    EraseData,
    ErasesAt(u32),
    /// Where the tables come from.
    Worth {
        newest: Systems<'a>,
        guide: Systems<'a>,
        reported: Systems<'a>,
    },
    /// Which column is meant for this device.
    Runs {
        device: &'a str,
        version: &'a Version,
    },
    RunsUnknown {
        device: &'a str,
    },
    ScreenHead,
    IsDisabled(Systems<'a>),
    SecurityLockout(Systems<'a>),
    ForgotPasscode(Systems<'a>),
}

pub fn lockout(lang: Lang, key: &Lockout<'_>) -> String {
    match lang {
        Lang::En => en(key),
        Lang::Nl => nl(key),
    }
}

fn range_en(systems: &Systems<'_>) -> String {
    match (systems.since, systems.before) {
        (None, None) => "any iOS".to_owned(),
        (Some(since), None) => format!("from iOS {since}"),
        (None, Some(before)) => format!("before iOS {before}"),
        (Some(since), Some(before)) => format!("from iOS {since}, before {before}"),
    }
}

fn range_nl(systems: &Systems<'_>) -> String {
    match (systems.since, systems.before) {
        (None, None) => "elke iOS".to_owned(),
        (Some(since), None) => format!("vanaf iOS {since}"),
        (None, Some(before)) => format!("vóór iOS {before}"),
        (Some(since), Some(before)) => format!("vanaf iOS {since}, vóór {before}"),
    }
}

/// Where the edges are a guess.
fn about_en(systems: &Systems<'_>) -> String {
    match (systems.since, systems.before) {
        (None, None) => "any iOS".to_owned(),
        (Some(since), None) => format!("from about iOS {since}"),
        (None, Some(before)) => format!("until about iOS {before}"),
        (Some(since), Some(before)) => format!("about iOS {since} to {before}"),
    }
}

fn about_nl(systems: &Systems<'_>) -> String {
    match (systems.since, systems.before) {
        (None, None) => "elke iOS".to_owned(),
        (Some(since), None) => format!("vanaf ca. iOS {since}"),
        (None, Some(before)) => format!("tot ca. iOS {before}"),
        (Some(since), Some(before)) => format!("ca. iOS {since} tot {before}"),
    }
}

fn en(key: &Lockout<'_>) -> String {
    match key {
        Lockout::WrongCode => "WRONG CODE".to_owned(),
        Lockout::About(systems) => about_en(systems),
        Lockout::AboutThis(systems) => format!("THIS ONE: {}", about_en(systems)),
        Lockout::NoWait => "no wait".to_owned(),
        Lockout::Minutes(minutes) => format!("{minutes} min"),
        Lockout::Hours(1) => "1 hour".to_owned(),
        Lockout::Hours(hours) => format!("{hours} hours"),
        Lockout::Disabled => "for good".to_owned(),
        Lockout::EraseData => "Erase Data".to_owned(),
        Lockout::ErasesAt(code) => format!("erases at {code}"),
        Lockout::Worth { newest, guide, reported } => format!(
            "The sources disagree. {}: not seen at its source. {}: from an older guide of Apple. {}: from people, who \
             saw it on newer systems too. Where one ends and the next begins is a guess.",
            capital(&about_en(newest)),
            capital(&about_en(guide)),
            capital(&about_en(reported)),
        ),
        Lockout::Runs { device, version } => format!("{device} runs {version}; the first column may fit it."),
        Lockout::RunsUnknown { device } => format!("{device} does not tell its version; look at all columns."),
        Lockout::ScreenHead => "What the screen says (words may differ)".to_owned(),
        Lockout::IsDisabled(systems) => {
            format!(
                "{}: \"is disabled, try again in ...\". Only a computer or Find My erases it.",
                capital(&range_en(systems))
            )
        }
        Lockout::SecurityLockout(systems) => format!(
            "{}: \"Unavailable\" or \"Security Lockout\", with \"Erase\" at the bottom right: needs a network and the \
             password of the Apple Account.",
            capital(&range_en(systems))
        ),
        Lockout::ForgotPasscode(systems) => {
            format!(
                "{}: \"Forgot Passcode?\" at the bottom right: the previous code, or a reset.",
                capital(&range_en(systems))
            )
        }
    }
}

fn nl(key: &Lockout<'_>) -> String {
    match key {
        Lockout::WrongCode => "FOUTE CODE".to_owned(),
        Lockout::About(systems) => about_nl(systems),
        Lockout::AboutThis(systems) => format!("DEZE: {}", about_nl(systems)),
        Lockout::NoWait => "niet wachten".to_owned(),
        Lockout::Minutes(minutes) => format!("{minutes} min."),
        Lockout::Hours(hours) => format!("{hours} uur"),
        Lockout::Disabled => "voorgoed dicht".to_owned(),
        Lockout::EraseData => "Wis gegevens".to_owned(),
        Lockout::ErasesAt(code) => format!("wist bij {code}"),
        Lockout::Worth { newest, guide, reported } => format!(
            "De bronnen spreken elkaar tegen. {}: niet bij de bron gezien. {}: uit een oudere gids van Apple. {}: van \
             gebruikers, die het ook op nieuwere systemen zagen. Waar de een ophoudt en de ander begint, is een gok.",
            capital(&about_nl(newest)),
            capital(&about_nl(guide)),
            capital(&about_nl(reported)),
        ),
        Lockout::Runs { device, version } => {
            format!("Op {device} draait {version}; de eerste kolom past er misschien bij.")
        }
        Lockout::RunsUnknown { device } => format!("{device} noemt zijn versie niet; kijk naar alle kolommen."),
        Lockout::ScreenHead => "Wat er op het scherm staat (de woorden kunnen anders zijn)".to_owned(),
        Lockout::IsDisabled(systems) => {
            format!(
                "{}: \"is uitgeschakeld, probeer over ...\". Wissen kan alleen met een computer of Zoek mijn.",
                capital(&range_nl(systems))
            )
        }
        Lockout::SecurityLockout(systems) => format!(
            "{}: \"niet beschikbaar\" of \"beveiligingsblokkering\" (Security Lockout), met rechtsonder \"Wis\": dat wil \
             een netwerk en het wachtwoord van het Apple Account.",
            capital(&range_nl(systems))
        ),
        Lockout::ForgotPasscode(systems) => {
            format!(
                "{}: rechtsonder \"Code vergeten?\": de vorige code, of opnieuw beginnen.",
                capital(&range_nl(systems))
            )
        }
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        None => String::new(),
        // The name of the system keeps its own small letter.
        Some('i') => text.to_owned(),
        Some(first) => first.to_uppercase().chain(letters).collect(),
    }
}
