//! Is this computer ready? The twenty questions, and for each thing that can be wrong what it means and what helps.

use super::{Advice, Lang, doctor_en, doctor_nl};
use crate::event::{Cause, QUESTIONS};

const TABLE: [(&str, &str); QUESTIONS as usize] = [
    (
        "Why is the phone not found, though it is on USB?",
        "Waarom wordt het toestel niet gevonden, terwijl het wel op USB zit?",
    ),
    ("Who starts usbmuxd, and why does it stop?", "Wie start usbmuxd, en waarom stopt het?"),
    ("Why is it gone in recovery or DFU?", "Waarom is het weg in herstelmodus of DFU?"),
    ("Which user or group may open it?", "Welke gebruiker of groep mag erbij?"),
    ("Why does it ask for trust again and again?", "Waarom vraagt het steeds opnieuw om vertrouwen?"),
    ("What does \"PasswordProtected\" (-17) mean?", "Wat betekent \"PasswordProtected\" (-17)?"),
    ("What does \"InvalidHostID\" (-21) mean?", "Wat betekent \"InvalidHostID\" (-21)?"),
    ("Is libimobiledevice here too old?", "Is libimobiledevice hier te oud?"),
    ("Does another program hold the phone?", "Houdt een ander programma het toestel vast?"),
    ("Does ModemManager probe it?", "Zit ModemManager eraan?"),
    ("Does the tethering driver take it?", "Pakt het stuurprogramma voor de hotspot het af?"),
    ("Does SELinux forbid something?", "Verbiedt SELinux iets?"),
    ("Does this run in Flatpak or Snap?", "Draait dit in Flatpak of Snap?"),
    ("Does this run in a container?", "Draait dit in een container?"),
    ("Does this run in WSL?", "Draait dit in WSL?"),
    ("Is this a virtual machine?", "Is dit een virtuele machine?"),
    ("Does the port give enough power?", "Geeft de poort genoeg stroom?"),
    ("Are cable, port and hub good?", "Zijn kabel, poort en hub in orde?"),
    (
        "Can a locked or disabled phone be restored from here?",
        "Kan ik hier een vergrendeld of uitgeschakeld toestel herstellen?",
    ),
    (
        "Is the rest fit for a long job: sleep, disk, clock, network?",
        "Is de rest klaar voor een lange klus: slaapstand, schijf, klok, netwerk?",
    ),
];

/// The question with this number, from 1; empty for one that nobody asks.
pub fn question(lang: Lang, number: u8) -> &'static str {
    let row = usize::from(number).checked_sub(1).and_then(|at| TABLE.get(at));
    row.map_or("", |(en, nl)| match lang {
        Lang::En => en,
        Lang::Nl => nl,
    })
}

/// What it means, and what to do.
pub fn cause(lang: Lang, cause: Cause) -> Advice {
    match lang {
        Lang::En => doctor_en::cause(cause),
        Lang::Nl => doctor_nl::cause(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_is_asked_in_both_languages() {
        for (en, nl) in TABLE {
            assert!(en != nl && en.ends_with('?') && nl.ends_with('?') && en.len() > 15 && nl.len() > 15, "{en} {nl}");
            assert!(en.chars().count().max(nl.chars().count()) <= 76, "{en} {nl}");
        }
        assert_eq!((question(Lang::En, 0), question(Lang::Nl, QUESTIONS + 1)), ("", ""));
        assert_eq!(question(Lang::En, 1), TABLE[0].0);
    }

    #[test]
    fn every_cause_says_what_and_what_next_in_both_languages() {
        for &each in Cause::ALL {
            let (en, nl) = (cause(Lang::En, each), cause(Lang::Nl, each));
            for text in [en.what, en.next, nl.what, nl.next] {
                assert!(text.ends_with('.') && text.len() > 12, "{}: {text:?}", each.as_str());
                assert!(!text.contains("  ") && !text.to_lowercase().contains("unlock tool"), "{text:?}");
            }
            assert!(en.what != nl.what && en.next != nl.next, "{} is not in Dutch", each.as_str());
        }
    }
}
