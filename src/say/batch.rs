//! What is said of many devices at once.

use super::Lang;
use crate::event::batch::{Action, Phase, Wants};

/// A sentence about a batch as a whole.
#[derive(Clone, Debug)]
pub enum Batch<'a> {
    Title {
        name: &'a str,
        rows: usize,
        limit: u32,
    },
    /// `--watch` of these stations; none is all.
    Watches {
        stations: &'a [u32],
    },
    /// A row whose device is not here yet.
    NotHere,
    Resumes {
        batch: &'a str,
    },
    NothingOpen,
    /// What comes with an erase.
    Erases {
        devices: usize,
        stations: usize,
    },
    TypeToErase {
        word: &'a str,
    },
    Stranger {
        ecid: &'a str,
    },
    /// It was here before a watch began.
    Ignored {
        ecid: &'a str,
    },
    /// Said to be done, and nothing was waited for.
    NotAsked,
    /// A line of `--orders` that is none.
    NoOrder {
        line: &'a str,
    },
    Began {
        tries: u32,
    },
    Gone,
    /// So many seconds until the next try.
    InSeconds {
        seconds: u64,
    },
    Minutes {
        minutes: u64,
    },
    Over {
        done: u32,
        failed: u32,
        left: u32,
    },
    ResumeHint {
        batch: &'a str,
    },
    /// The same with those that failed.
    RetryHint {
        batch: &'a str,
    },
    /// A file with a password that others can read.
    OpenPassword {
        path: &'a str,
    },
    /// An encrypted backup, and no source of its password.
    NoPassword,
    DryRunRow {
        row: u32,
        what: &'a str,
    },
}

pub fn batch(lang: Lang, text: &Batch<'_>) -> String {
    match lang {
        Lang::En => en(text),
        Lang::Nl => nl(text),
    }
}

fn numbers(stations: &[u32]) -> String {
    stations.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Devices by name, whatever is at stations, or both.
fn named(devices: usize, stations: usize, [one, many, whatever, station, stations_word, and]: [&str; 6]) -> String {
    let by_name = count(devices, one, many);
    let at = format!("{whatever} {}", count(stations, station, stations_word));
    match (devices, stations) {
        (_, 0) => by_name,
        (0, _) => at,
        _ => format!("{by_name} {and} {at}"),
    }
}

fn en(text: &Batch<'_>) -> String {
    match text {
        Batch::Title { name, rows, limit } => format!("{name}: {}, {limit} at once", count(*rows, "device", "devices")),
        Batch::Watches { stations: [] } => "Every device that is plugged in is taken, until Ctrl-C.".into(),
        Batch::Watches { stations } => {
            format!("Every device that is plugged in at station {} is taken, until Ctrl-C.", numbers(stations))
        }
        Batch::NotHere => "not here yet".into(),
        Batch::Resumes { batch } => format!("Going on with batch {batch}"),
        Batch::NothingOpen => "No batch has anything left to do.".into(),
        Batch::Erases { devices, stations } => {
            let what =
                named(*devices, *stations, ["device", "devices", "whatever is at", "station", "stations", "and on"]);
            format!("This erases everything on {what}. What has no backup is gone for good.")
        }
        Batch::TypeToErase { word } => format!("Type {word} to erase them all: "),
        Batch::Stranger { ecid } => format!("another device stands here, {ecid}; it is not touched"),
        Batch::Ignored { ecid } => format!("{ecid} was here before the watch began: it is not taken"),
        Batch::NotAsked => "nothing is waited for there".into(),
        Batch::NoOrder { line } => format!("no order: {line:?}; an order is `done 3`, with the number of a row"),
        Batch::Began { tries: 1 } => "begins".into(),
        Batch::Began { tries } => format!("begins, try {tries}"),
        Batch::Gone => "off the bus".into(),
        Batch::InSeconds { seconds } => format!("in {seconds} s"),
        Batch::Minutes { minutes } => format!("waiting up to {minutes} min"),
        Batch::Over { done, failed, left } => {
            format!("Done: {done}. Failed: {failed}. Left for a person: {left}.")
        }
        Batch::ResumeHint { batch } => format!("To go on with what is left:\n  herstel batch --resume {batch}"),
        Batch::RetryHint { batch } => {
            format!("To try again what failed:\n  herstel batch --retry-failed --resume {batch}")
        }
        Batch::OpenPassword { path } => format!("others can read the password in {path}: chmod 600 it"),
        Batch::NoPassword => {
            "its backups are encrypted: without password_file it stops after the backup, before the erase".into()
        }
        Batch::DryRunRow { row, what } => format!("Row {row}: {what}"),
    }
}

fn nl(text: &Batch<'_>) -> String {
    match text {
        Batch::Title { name, rows, limit } => {
            format!("{name}: {}, {limit} tegelijk", count(*rows, "toestel", "toestellen"))
        }
        Batch::Watches { stations: [] } => {
            "Elk toestel dat wordt aangesloten, wordt meegenomen, tot je Ctrl-C drukt.".into()
        }
        Batch::Watches { stations } => format!(
            "Elk toestel dat op station {} wordt aangesloten, wordt meegenomen, tot je Ctrl-C drukt.",
            numbers(stations)
        ),
        Batch::NotHere => "nog niet aangesloten".into(),
        Batch::Resumes { batch } => format!("Verder met reeks {batch}"),
        Batch::NothingOpen => "Er is geen reeks meer waar nog iets te doen is.".into(),
        Batch::Erases { devices, stations } => {
            let what =
                named(*devices, *stations, ["toestel", "toestellen", "wat er ligt op", "station", "stations", "en op"]);
            format!("Dit wist alles op {what}. Waar geen reservekopie van is, is voorgoed weg.")
        }
        Batch::TypeToErase { word } => format!("Typ {word} om ze allemaal te wissen: "),
        Batch::Stranger { ecid } => format!("hier ligt een ander toestel, {ecid}; daar blijven we af"),
        Batch::Ignored { ecid } => format!("{ecid} was er al voor het wachten begon: dat laten we liggen"),
        Batch::NotAsked => "daar wordt nergens op gewacht".into(),
        Batch::NoOrder { line } => {
            format!("geen opdracht: {line:?}; een opdracht is `done 3`, met het nummer van een rij")
        }
        Batch::Began { tries: 1 } => "begint".into(),
        Batch::Began { tries } => format!("begint, poging {tries}"),
        Batch::Gone => "niet meer op de bus".into(),
        Batch::InSeconds { seconds } => format!("over {seconds} s"),
        Batch::Minutes { minutes } => format!("we wachten hoogstens {minutes} min"),
        Batch::Over { done, failed, left } => {
            format!("Klaar: {done}. Mislukt: {failed}. Wacht op iemand: {left}.")
        }
        Batch::ResumeHint { batch } => format!("Verder met wat er over is:\n  herstel batch --resume {batch}"),
        Batch::RetryHint { batch } => {
            format!("Wat mislukt is nog eens proberen:\n  herstel batch --retry-failed --resume {batch}")
        }
        Batch::OpenPassword { path } => format!("anderen kunnen het wachtwoord in {path} lezen: zet het op chmod 600"),
        Batch::NoPassword => {
            "de reservekopieën zijn versleuteld: zonder password_file stopt het na de kopie, nog voor het wissen".into()
        }
        Batch::DryRunRow { row, what } => format!("Rij {row}: {what}"),
    }
}

pub fn phase(lang: Lang, phase: Phase) -> &'static str {
    let (en, nl) = match phase {
        Phase::Queued => ("waits for its turn", "wacht op zijn beurt"),
        Phase::Running => ("running", "bezig"),
        Phase::WaitsForPerson => ("waits for you", "wacht op jou"),
        Phase::WaitsToRetry => ("tries again", "probeert opnieuw"),
        Phase::Done => ("done", "klaar"),
        Phase::Partly => ("partly done", "deels klaar"),
        Phase::Failed => ("failed", "mislukt"),
        Phase::LeftForPerson => ("left: nobody came", "blijft liggen: er kwam niemand"),
        Phase::Cancelled => ("cancelled", "afgebroken"),
    };
    match lang {
        Lang::En => en,
        Lang::Nl => nl,
    }
}

pub fn wants(lang: Lang, wants: Wants) -> &'static str {
    let (en, nl) = match wants {
        Wants::PlugIn => ("Plug it in, or wake it.", "Sluit het aan, of maak het wakker."),
        Wants::OtherCable => ("Use another cable or another port.", "Neem een andere kabel of een andere poort."),
        Wants::Replug => ("Pull the cable and put it back.", "Trek de kabel los en steek hem er weer in."),
        Wants::Dfu => ("Bring it into DFU mode: `herstel guide dfu`", "Zet het in DFU-modus: `herstel guide dfu`"),
        Wants::Remedy => (
            "Do what is said above, then re-plug it or say that it is done.",
            "Doe dat; steek dan de kabel opnieuw in, of meld dat het gedaan is.",
        ),
    };
    match lang {
        Lang::En => en,
        Lang::Nl => nl,
    }
}

pub fn action(lang: Lang, action: Action) -> &'static str {
    let (en, nl) = match action {
        Action::Recover => ("back up, erase, put back", "kopie maken, wissen, terugzetten"),
        Action::RestoreErase => ("ERASE and restore", "WISSEN en herstellen"),
        Action::RestoreUpdate => ("update, keep the data", "bijwerken, gegevens houden"),
        Action::Backup => ("back up", "reservekopie maken"),
    };
    match lang {
        Lang::En => en,
        Lang::Nl => nl,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one() {
        let said = |lang, devices, stations| batch(lang, &Batch::Erases { devices, stations });
        assert!(said(Lang::En, 0, 1).starts_with("This erases everything on whatever is at 1 station. "));
        assert!(said(Lang::En, 1, 0).starts_with("This erases everything on 1 device. "));
        assert!(said(Lang::Nl, 2, 3).starts_with("Dit wist alles op 2 toestellen en op wat er ligt op 3 stations. "));
        let title = batch(Lang::Nl, &Batch::Title { name: "b", rows: 1, limit: 8 });
        assert_eq!(title, "b: 1 toestel, 8 tegelijk");
    }

    #[test]
    fn every_word_is_there_in_both_languages_and_fits() {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for each in Phase::ALL {
            pairs.push((phase(Lang::En, *each).into(), phase(Lang::Nl, *each).into()));
        }
        for each in Wants::ALL {
            pairs.push((wants(Lang::En, *each).into(), wants(Lang::Nl, *each).into()));
        }
        for each in Action::ALL {
            pairs.push((action(Lang::En, *each).into(), action(Lang::Nl, *each).into()));
        }
        for (en, nl) in pairs {
            assert!(en.len() > 3 && nl.len() > 3 && en != nl, "{en} / {nl}");
            assert!(en.chars().count() <= 72 && nl.chars().count() <= 72, "{en} / {nl}");
        }
    }
}
