//! The words of triage: what is asked, what can be answered, and where it ends. In JSON and in a file of answers they
//! are as here; the sentences are `say`'s, the tree that joins them is the room `triage`.

use crate::fault::words::words;

words! {
    Question {
        /// May this person decide about the device?
        Ownership = "ownership",
        Problem = "problem",
        Managed = "managed",
        /// Was the passcode changed in the last 72 hours, and the old one is known?
        PreviousCode = "previous-code",
        /// Does a computer have its trust from before?
        Trusted = "trusted",
        /// Was it unlocked since it was last started?
        Unlocked = "unlocked",
        Backup = "backup",
        FindMy = "find-my",
        /// Is the password of the Apple Account on it known?
        Password = "password",
        /// Has it a network, and shows it a way to erase itself?
        Online = "online",
        /// Whose account does it ask for after an erase?
        WhoseAccount = "whose-account",
    }
}

words! {
    /// What a question may be answered with.
    Choice {
        Owner = "owner",
        OnBehalf = "on-behalf",
        Organisation = "organisation",
        Found = "found",
        ReportedMissing = "reported-missing",
        ForgottenCode = "forgotten-code",
        DoesNotStart = "does-not-start",
        /// It does not start, and an update that keeps the data has failed.
        UpdateFailed = "update-failed",
        AsksForAccount = "asks-for-account",
        AccountLost = "account-lost",
        /// Nothing is wrong: it is to be erased and set up again.
        StartAfresh = "start-afresh",
        Yes = "yes",
        No = "no",
        Unknown = "unknown",
        Here = "here",
        Elsewhere = "elsewhere",
        On = "on",
        Off = "off",
        Own = "own",
        PreviousOwner = "previous-owner",
        NobodyReachable = "nobody-reachable",
    }
}

words! {
    /// The plan that the questions end in.
    WayOut {
        /// Stop: what to do with a device that is not the person's.
        NotYours = "not-yours",
        AskOrganisation = "ask-organisation",
        PreviousCode = "previous-code",
        /// Repair that keeps the data, before anything that does not.
        UpdateFirst = "update-first",
        BackUpAndRestore = "back-up-and-restore",
        RestoreAndPutBack = "restore-and-put-back",
        RestoreWithoutBackup = "restore-without-backup",
        EraseOnDevice = "erase-on-device",
        EraseByFindMy = "erase-by-find-my",
        RecoverAccount = "recover-account",
        SignIn = "sign-in",
        AskPreviousOwner = "ask-previous-owner",
        ProofOfPurchase = "proof-of-purchase",
    }
}

const YES_NO: &[Choice] = &[Choice::Yes, Choice::No];
const YES_NO_UNKNOWN: &[Choice] = &[Choice::Yes, Choice::No, Choice::Unknown];

impl Question {
    /// What it may be answered with.
    pub fn choices(self) -> &'static [Choice] {
        match self {
            Question::Ownership => {
                &[Choice::Owner, Choice::OnBehalf, Choice::Organisation, Choice::Found, Choice::ReportedMissing]
            }
            Question::Problem => &[
                Choice::ForgottenCode,
                Choice::DoesNotStart,
                Choice::UpdateFailed,
                Choice::AsksForAccount,
                Choice::AccountLost,
                Choice::StartAfresh,
            ],
            Question::Managed | Question::Backup => YES_NO_UNKNOWN,
            Question::PreviousCode | Question::Unlocked | Question::Password | Question::Online => YES_NO,
            Question::Trusted => &[Choice::Here, Choice::Elsewhere, Choice::No],
            Question::FindMy => &[Choice::On, Choice::Off, Choice::Unknown],
            Question::WhoseAccount => {
                &[Choice::Own, Choice::PreviousOwner, Choice::Organisation, Choice::NobodyReachable]
            }
        }
    }
}

words! {
    /// Something read from a device that answers a question.
    Clue {
        /// It trusts this computer and opened a session.
        TrustsThisComputer = "trusts-this-computer",
        LockedSinceStart = "locked-since-start",
        NotStarted = "not-started",
        Supervised = "supervised",
        FindMyAssociated = "find-my-associated",
        /// iBoot's variable `fm-activation-locked`.
        ActivationLockVariable = "activation-lock-variable",
        BackupHere = "backup-here",
        CloudBackupEnabled = "cloud-backup-enabled",
        /// It is in recovery though it was told to start its system.
        StopsInRecovery = "stops-in-recovery",
        NotActivated = "not-activated",
        Version = "version",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_word_names_one_thing() {
        fn all<T: Copy + PartialEq + std::fmt::Debug>(
            all: &[T],
            word: fn(T) -> &'static str,
            of: fn(&str) -> Option<T>,
        ) {
            assert_eq!(all.iter().map(|each| word(*each)).collect::<BTreeSet<_>>().len(), all.len());
            assert!(all.iter().all(|each| of(word(*each)) == Some(*each)));
        }
        all(Question::ALL, Question::as_str, Question::named);
        all(Choice::ALL, Choice::as_str, Choice::named);
        all(WayOut::ALL, WayOut::as_str, WayOut::named);
        all(Clue::ALL, Clue::as_str, Clue::named);
    }

    #[test]
    fn every_choice_answers_a_question() {
        let used: BTreeSet<Choice> = Question::ALL.iter().flat_map(|q| q.choices()).copied().collect();
        assert_eq!(used.len(), Choice::ALL.len());
        assert!(Question::ALL.iter().all(|q| q.choices().len() > 1));
    }
}
