//! What a plan costs and which verb does it. The words are `say`'s.

use crate::event::WayOut;

/// What becomes of what is on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
