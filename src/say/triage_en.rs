//! The questions of triage and its plans, in English.

use super::triage::{Asked, Label, Told};
use crate::event::{Choice, Clue, Question, WayOut};

pub(super) fn asked(question: Question) -> Asked {
    let (question, why) = match question {
        Question::Ownership => (
            "Whose device is it, and may you decide about it?",
            "Whoever finds a locked device does not own it. Nothing here is done for somebody who does not.",
        ),
        Question::Problem => ("What is wrong?", "Each trouble has its own way, and most of them keep the data."),
        Question::Managed => (
            "Is it managed by a company or a school (\"This iPhone is supervised and managed by ...\" in Settings)?",
            "Whoever manages it can take the passcode off without an erase. After an erase it comes back under their \
             management anyway.",
        ),
        Question::PreviousCode => (
            "Was the passcode changed within the last 72 hours, and does somebody know the old one?",
            "Since iOS 17 the old passcode still opens it for 72 hours: nothing is lost.",
        ),
        Question::Trusted => (
            "Was it ever trusted by a computer that still exists?",
            "Older systems let such a computer make a backup without the passcode.",
        ),
        Question::Unlocked => (
            "Was it unlocked since it was last started? (It rings with the caller's name, not only the number.)",
            "Until the first unlock its data is closed to every computer. Do not restart it.",
        ),
        Question::Backup => (
            "Is there a backup: in iCloud, on a Mac or PC, or here?",
            "Look in Settings of the owner's other devices (name, iCloud, Backup), at iCloud.com, in Finder or iTunes \
             on every computer, and with `herstel backups list`.",
        ),
        Question::FindMy => (
            "Is Find My on? (It is shown at iCloud.com/find and in the app Find My of the owner's other devices.)",
            "With Find My on, the device asks for the owner's Apple Account after every erase, however it was erased.",
        ),
        Question::Password => (
            "Is the password of the Apple Account on it known?",
            "Without it an erased device with Find My on stays locked, and what lies in iCloud stays out of reach.",
        ),
        Question::Online => (
            "Is it connected to a network, and does its screen offer a way to erase it (\"Forgot Passcode?\", \"Erase\")?",
            "Then it can erase itself with the account's password, and no computer is needed.",
        ),
        Question::WhoseAccount => (
            "Whose Apple Account does it ask for? (A hint such as j*****@icloud.com is on its screen.)",
            "Only that account's owner, or Apple with a proof of purchase, can take the lock off.",
        ),
    };
    Asked { question, why }
}

pub(super) fn subject(question: Question) -> &'static str {
    match question {
        Question::Ownership => "Whose device",
        Question::Problem => "The trouble",
        Question::Managed => "Managed",
        Question::PreviousCode => "Old passcode known",
        Question::Trusted => "Trusts a computer",
        Question::Unlocked => "Unlocked since start",
        Question::Backup => "Backup",
        Question::FindMy => "Find My",
        Question::Password => "Account password known",
        Question::Online => "Online, offers to erase",
        Question::WhoseAccount => "Whose account",
    }
}

pub(super) fn choice(choice: Choice) -> &'static str {
    match choice {
        Choice::Owner => "It is mine",
        Choice::OnBehalf => "The owner asked me, in writing or standing here",
        Choice::Organisation => "It belongs to an organisation that I act for",
        Choice::Found => "I found it, or it was left here",
        Choice::ReportedMissing => "It is reported lost or stolen, or its screen says so",
        Choice::ForgottenCode => "Nobody knows the passcode, or it says Unavailable",
        Choice::DoesNotStart => "It does not start, or shows a cable and a computer",
        Choice::UpdateFailed => "It does not start, and `herstel restore --update` failed",
        Choice::StartAfresh => "It works; it is to be erased and set up again",
        Choice::AsksForAccount => "After an erase it asks for an Apple Account",
        Choice::AccountLost => "It works, but the Apple Account is lost",
        Choice::Yes => "Yes",
        Choice::No => "No",
        Choice::Unknown => "I do not know",
        Choice::Here => "Yes, this computer",
        Choice::Elsewhere => "Yes, another computer",
        Choice::On => "On",
        Choice::Off => "Off, for certain",
        Choice::Own => "The owner's own",
        Choice::PreviousOwner => "A previous owner's, who can be reached",
        Choice::NobodyReachable => "Somebody's who cannot be reached",
    }
}

pub(super) fn told(way: WayOut) -> Told {
    let told = |title, kept, lost, needs, steps| Told { title, kept, lost, needs, steps };
    match way {
        WayOut::NotYours => told(
            "Stop: this device is not yours to open",
            "Everything, and its owner's chance to get it back",
            "Nothing",
            &[],
            &[
                "Leave it on and charge it: its owner can see where it is and show a telephone number on its screen.",
                "A message or a number on the screen: call it. Ask Siri \"Whose iPhone is this?\" where it answers.",
                "Take it to the police or a lost and found desk. A shop of Apple does not look up owners.",
                "Erasing it gains nothing: with Find My on it asks for its owner's account for ever.",
            ],
        ),
        WayOut::AskOrganisation => told(
            "Ask whoever manages it: they can take the passcode off",
            "Everything",
            "Nothing",
            &["The serial number (`herstel info`)", "The name of the organisation, on its lock screen or in Settings"],
            &[
                "Their administrator sends \"Clear Passcode\" to it; it must be online. No data is lost.",
                "If it asks for an account after an erase, the same administrator has a bypass code for it.",
                "Bought second-hand and still managed? Then the seller must have it released: `herstel card managed`.",
            ],
        ),
        WayOut::PreviousCode => told(
            "Open it with the previous passcode",
            "Everything",
            "Nothing",
            &["The passcode from before the change"],
            &[
                "Type any code until \"Forgot Passcode?\" appears at the bottom right, and tap it.",
                "Tap \"Enter Previous Passcode\", type the old one, and set a new one.",
                "Done at once: the old one works for 72 hours after the change, and not a minute longer.",
            ],
        ),
        WayOut::UpdateFirst => told(
            "Install the system again, keeping the data",
            "Everything, if it succeeds",
            "Nothing by this step",
            &["A cable that carries data", "The passcode: newer systems ask for it on the device"],
            &[
                "`herstel restore --update`: it is led into recovery, and the system is written around the data.",
                "If that fails twice at the same place, an erase is left: run `herstel triage` again with that.",
                "It fails at the same percentage on two computers? Then it is likely the hardware.",
            ],
        ),
        WayOut::BackUpAndRestore => told(
            "Back it up now, on the computer that it trusts; then erase it and put the backup back",
            "What the backup holds: nearly everything; passwords only in an encrypted one",
            "The passcode, cards in Wallet, and what apps keep out of backups",
            &["The trusted computer", "Room on its disk", "The Apple Account's password, if Find My is on"],
            &[
                "Do not restart it and do not let it run empty: until the first unlock there is no backup.",
                "`herstel recover` on that computer: backup, check, erase, restore, and the backup comes back.",
                "After the erase it may ask for the Apple Account.",
            ],
        ),
        WayOut::RestoreAndPutBack => told(
            "Erase it here, then put the backup back",
            "What the backup holds",
            "All that came after the backup",
            &["The backup", "The Apple Account's password, if Find My is on", "A cable and a network"],
            &[
                "`herstel restore --erase`: without its passcode it is led into recovery with its keys; the way is shown.",
                "A backup on this computer: `herstel recover` puts it back after the erase. Leave the device at its first \
                 screens meanwhile.",
                "A backup in iCloud: set it up; its own assistant offers that backup.",
            ],
        ),
        WayOut::RestoreWithoutBackup => told(
            "Erase it here; what lies in the account comes back",
            "Photos, contacts, notes and messages that were in iCloud or other services",
            "Everything that is only on the device, for ever",
            &["The Apple Account's password, if Find My is on", "A cable and a network"],
            &[
                "Look once more for a backup: it cannot be made afterwards.",
                "`herstel restore --erase`: without its passcode it is led into recovery with its keys; the way is shown.",
                "Set it up and sign in: what was in iCloud comes back by itself.",
            ],
        ),
        WayOut::EraseOnDevice => told(
            "Let it erase itself, then put the backup back",
            "What the backup holds, and what lies in the account",
            "All that came after the backup",
            &["The Apple Account's password", "A network on the device"],
            &[
                "Type wrong codes until \"Forgot Passcode?\" or \"Erase iPhone\" appears at the bottom right, and tap it.",
                "Since iOS 17 the next button is called \"Start iPhone Reset\". Sign out with the account's password.",
                "It erases itself; then set it up and choose the backup. No computer is needed.",
            ],
        ),
        WayOut::EraseByFindMy => told(
            "Erase it from iCloud.com/find, then put the backup back",
            "What the backup holds, and what lies in the account",
            "All that came after the backup",
            &["The Apple Account's password", "A network on the device"],
            &[
                "Sign in at iCloud.com/find, choose the device, then \"Erase\"; a mail confirms it.",
                "Do not choose \"Remove from account\" before the device is set up again by its owner.",
                "Is it not online? Then `herstel restore --erase` here.",
            ],
        ),
        WayOut::RecoverAccount => told(
            "First get the Apple Account back; erase nothing before",
            "Everything on the device",
            "Nothing; an erase now would end at a lock that only the account opens",
            &["A trusted telephone number or device", "Patience: account recovery takes days"],
            &[
                "Go to iforgot.apple.com, best from a device or a network that the account knows.",
                "Another device that is signed in: Settings, name, Sign-In & Security, Change Password.",
                "A recovery key or a recovery contact shortens it. Else account recovery: Apple mails when, and nobody \
                 can speed it up; do not use the account meanwhile.",
                "The ways one by one: `herstel card account`; where a code does not come: `herstel card 2fa`.",
                "Then run `herstel triage` again: with the password there is a way. If the account is lost for good, Apple \
                 may take the lock off for whoever has the receipt: `herstel card activation-lock`.",
            ],
        ),
        WayOut::SignIn => told(
            "Sign in with the owner's account",
            "Nothing is changed",
            "Nothing",
            &["The Apple Account and its password", "A network on the device"],
            &[
                "Type the account and its password on the device.",
                "Or tap \"Unlock with Passcode\", and give the passcode that it had before the erase.",
                "Or remove it at iCloud.com/find from the account, and start its setup again.",
            ],
        ),
        WayOut::AskPreviousOwner => told(
            "Ask the previous owner: it takes two minutes, from afar",
            "Nothing is changed",
            "Nothing",
            &["The serial number (`herstel info`)", "The previous owner's help"],
            &[
                "They sign in at iCloud.com/find, choose the device, and \"Remove this device\".",
                "Start it again: it no longer asks.",
                "Nobody else needs their password. Do not ask for it.",
            ],
        ),
        WayOut::ProofOfPurchase => told(
            "Ask Apple, with the proof of purchase",
            "Nothing is changed",
            "Nothing",
            &["The original receipt: shop, date, price, and the serial number or IMEI on it"],
            &[
                "al-support.apple.com takes the request. It must not be in Lost Mode and not managed.",
                "It takes days to weeks, and Apple may refuse. When it agrees, the device is erased.",
                "What goes into the request, and a letter to fill in: `herstel card activation-lock`.",
                "No receipt? Take it back to the seller. Nobody sells an honest way round this lock.",
            ],
        ),
    }
}

pub(super) fn clue(clue: Clue) -> &'static str {
    match clue {
        Clue::TrustsThisComputer => "it trusts this computer and opened a session",
        Clue::LockedSinceStart => "it says that it was not unlocked since it started",
        Clue::NotStarted => "its system is not running",
        Clue::Supervised => "it says that it is supervised",
        Clue::FindMyAssociated => "it says whether Find My is on",
        Clue::ActivationLockVariable => "its boot code says whether it is locked to an account",
        Clue::BackupHere => "there is a backup of it on this computer",
        Clue::CloudBackupEnabled => "iCloud Backup is switched on",
        Clue::StopsInRecovery => "it stopped in recovery though it was told to start",
        Clue::NotActivated => "it is not activated",
        Clue::Version => "it says which system it runs",
    }
}

pub(super) fn label(label: Label<'_>) -> String {
    match label {
        Label::Kept => "What is kept".to_owned(),
        Label::Lost => "What is lost".to_owned(),
        Label::Takes => "How long".to_owned(),
        Label::AtHand => "Have at hand".to_owned(),
        Label::Steps => "What to do".to_owned(),
        Label::Command => "The command".to_owned(),
        Label::Known => "What this follows from".to_owned(),
        Label::Said => "you".to_owned(),
        Label::Proven => "the device".to_owned(),
        Label::Question => "Question".to_owned(),
        Label::Answer => "Answer".to_owned(),
        Label::Source => "From".to_owned(),
        Label::Device => "Device".to_owned(),
        Label::System => "System".to_owned(),
        Label::Why => "Why".to_owned(),
        Label::Suggests { answer, clue } => format!("Perhaps \"{answer}\": {clue}."),
        Label::Account { masked } => format!("The lock belongs to {masked}."),
        Label::LockFollows { masked } => {
            let account = masked.map(|masked| format!(" ({masked})")).unwrap_or_default();
            format!(
                "Find My is on: after the erase it asks for the owner's Apple Account{account} and its password. Without \
                 them it stays locked."
            )
        }
        Label::Disagrees { question, said, read, clue } => {
            format!("{question}: you say \"{said}\", the device \"{read}\" ({clue}). The device is believed.")
        }
        Label::Prompt { hinted: Some(number) } => format!("Number (Enter: {number}, b: back, q: stop): "),
        Label::Prompt { hinted: None } => "Number (b: back, q: stop): ".to_owned(),
        Label::NoSuchNumber { most } => format!("Type a number from 1 to {most}, b or q."),
        Label::NoDevice => "No device is connected: everything is asked.".to_owned(),
        Label::Minutes { from, to } => format!("{from} to {to} minutes"),
        Label::OthersDecide => "Others decide how long it takes".to_owned(),
        Label::Unanswered => "Still to be answered".to_owned(),
        Label::Refused { place } => format!("Nothing is done for this device. Written down in {place}."),
        Label::Intro => "A few questions first. Nothing is done to the device meanwhile.".to_owned(),
        Label::GoesOn => "This is what follows now.".to_owned(),
        Label::AsksConsent => "Before anything is erased you are asked once more.".to_owned(),
        Label::Footer => {
            "Apple never asks for a password, a code or a recovery key. Whoever does is not Apple.".to_owned()
        }
    }
}
