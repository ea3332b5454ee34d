//! What a plan costs and which verb does it. The words are `say`'s.

use super::answers::{Answers, Source};
use crate::event::{Clue, Question, WayOut};
use crate::ids::Ecid;
use serde::Serialize;

/// What becomes of what is on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Data {
    /// Nothing is touched.
    Stays,
    /// A backup is made first and put back afterwards.
    SavedFirst,
    /// What a backup from before holds comes back, the rest is lost.
    AsBackedUp,
    /// Only what lies with the Apple Account and other services comes back.
    Lost,
}

/// Which verb of the command line does it, or most of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Recover,
    RestoreErase,
    RestoreUpdate,
}

/// Facts of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    pub data: Data,
    /// Hands-on time in minutes, from and to; none where others decide how long it takes.
    pub minutes: Option<(u32, u32)>,
    pub verb: Option<Verb>,
}

impl WayOut {
    pub fn cost(self) -> Cost {
        let cost = |data, minutes, verb| Cost { data, minutes, verb };
        match self {
            WayOut::NotYours | WayOut::AskOrganisation | WayOut::AskPreviousOwner => cost(Data::Stays, None, None),
            WayOut::RecoverAccount | WayOut::ProofOfPurchase => cost(Data::Stays, None, None),
            WayOut::PreviousCode => cost(Data::Stays, Some((5, 15)), None),
            WayOut::SignIn => cost(Data::Stays, Some((10, 30)), None),
            WayOut::UpdateFirst => cost(Data::Stays, Some((20, 60)), Some(Verb::RestoreUpdate)),
            WayOut::BackUpAndRestore => cost(Data::SavedFirst, Some((60, 240)), Some(Verb::Recover)),
            WayOut::RestoreAndPutBack => cost(Data::AsBackedUp, Some((30, 180)), Some(Verb::RestoreErase)),
            WayOut::RestoreWithoutBackup => cost(Data::Lost, Some((20, 60)), Some(Verb::RestoreErase)),
            WayOut::EraseOnDevice | WayOut::EraseByFindMy => cost(Data::AsBackedUp, Some((20, 120)), None),
        }
    }

    /// Does it end with an empty device? Such a plan needs consent.
    pub fn erases(self) -> bool {
        self.cost().data != Data::Stays
    }
}

impl Verb {
    /// The way `recover` and `restore` go about it: erase, or keep the data.
    pub fn erases(self) -> bool {
        self != Verb::RestoreUpdate
    }
}

/// What to type for a plan, in order; none where hands or other people do it.
pub fn commands(way: WayOut, ecid: Option<Ecid>, answers: &Answers) -> Vec<String> {
    let on = ecid.map(|ecid| format!(" -d {ecid}")).unwrap_or_default();
    // A backup that lies here `recover` puts back; one in iCloud the device gets by itself.
    let here = answers.source(Question::Backup) == Some(Source::Device(Clue::BackupHere));
    let verb = match way.cost().verb {
        Some(Verb::RestoreErase) if way == WayOut::RestoreAndPutBack && here => Some(Verb::Recover),
        verb => verb,
    };
    verb.into_iter()
        .map(|verb| match verb {
            Verb::Recover => format!("herstel recover{on}"),
            Verb::RestoreErase => format!("herstel restore --erase{on}"),
            Verb::RestoreUpdate => format!("herstel restore --update{on}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::answers::Reading;
    use super::*;
    use crate::event::Choice;

    #[test]
    fn a_plan_that_erases_by_a_verb_names_the_device() {
        for way in WayOut::ALL.iter().copied() {
            let commands = commands(way, Some(Ecid(0x1A)), &Answers::default());
            assert!(commands.iter().all(|c| c.contains(" -d 0x1A")), "{commands:?}");
            assert_eq!(commands.is_empty(), way.cost().verb.is_none());
            let verb = way.cost().verb;
            assert!(verb.is_none_or(|verb| verb.erases() == way.erases()), "{way:?}");
        }
        let way = WayOut::RestoreAndPutBack;
        assert_eq!(commands(way, None, &Answers::default()), ["herstel restore --erase"]);
        let here = Reading { question: Question::Backup, answer: Choice::Yes, from: Clue::BackupHere, proves: true };
        assert_eq!(commands(way, None, &Answers::new(None, None, &[here])), ["herstel recover"]);
    }
}
