//! English.

use super::Text;
use crate::event::{Hurdle, Request, Step};
use crate::fault::{Class, Retry};

pub fn text(text: &Text) -> String {
    use Text as T;
    match text {
        T::FaultStage { stage } => format!("  where   step {stage}"),
        T::FaultDevice { device } => format!("  device  {device}"),
        T::FaultDetail { detail } => format!("  detail  {detail}"),
        T::FaultWhose { whose } => format!("  whose   {whose}"),
        T::FaultNext { next } => format!("  next    {next}"),
        T::FaultMore { codes } => format!("  more    {codes}"),
        T::FaultNumber { number, means } => format!("  number  {number}: {means}"),
        T::ExplainUnknown { code } => format!("{code} - unknown: no list that Herstel has tells what this means"),
        T::ExplainFirstAid => "What to try where no code tells more, from cheap to dear:".into(),
        T::ExplainMore => "`herstel explain CODE` tells more of one of them.".into(),
        T::VirtualBanner => "VIRTUAL: this is the bench; no real device is touched.".into(),
        T::NoDevices => "No iPhone or iPad found. Connect one with a data cable and unlock it.".into(),
        T::ListHeader => "MODE|NAME|MODEL|VERSION|TRUST|ECID|PORT".into(),
        T::NoAccess => "found, no permission".into(),
        T::Guessed { like } => format!("{like} (a guess)"),
        T::UnknownValue => "-".into(),
        T::Trusted => "trusted".into(),
        T::Untrusted => "not trusted".into(),
        T::TrustLocked => "locked".into(),
        T::TrustPending => "asking".into(),
        T::TrustDenied => "refused".into(),
        T::TrustStale => "trust lost".into(),
        T::Paired { name } => format!("{name} trusts this computer now."),
        T::AlreadyPaired { name } => format!("{name} already trusts this computer."),
        T::Unpaired { name } => format!("{name} no longer trusts this computer."),
        T::UnpairedHere { name } => {
            format!("{name} had forgotten this computer already; now its record is gone here too.")
        }
        T::PairNeeds { seconds } => {
            format!("Keep the device at hand and unlocked. I wait {seconds} s for the tap on Trust.")
        }
        T::PairReset => "The old trust is forgotten.".into(),
        T::PlanTitle { name } => format!("Plan for {name}"),
        T::PlanKeeps => "Kept".into(),
        T::PlanLoses => "Lost".into(),
        T::PlanSteps => "Steps".into(),
        T::PlanDoes => "Does".into(),
        T::DoesErase => "ERASES the device, then installs the system".into(),
        T::DoesUpdate => "UPDATES the system and keeps the data".into(),
        T::UpdateWarning { name, ecid } => {
            format!("This updates {name} ({ecid}) and keeps its data. Without a backup an update is still a risk.")
        }
        T::UpdateWord => "UPDATE".into(),
        T::ReportData => "data".into(),
        T::DataErased => "erased".into(),
        T::DataKept => "kept on the device (updated, not erased)".into(),
        T::PreflightTitle => "Looked at".into(),
        T::DryRunCached => "here already".into(),
        T::DryRunMinutes { minutes } => format!("about {minutes} min (estimate)"),
        T::DryRunUnknown => "time unknown".into(),
        T::DryRunTotal { minutes } => {
            format!("About {minutes} min (estimate), without the steps whose time is unknown.")
        }
        T::DryRunNeeds => "Needed at hand".into(),
        T::DryRunNothing => "A dry run: nothing was changed.".into(),
        T::PlanFirmware { version, build, size } => format!("{version} ({build}), {size}, from Apple, verified"),
        T::KeepsBackup => "what a backup holds: photos, messages, settings, app data".into(),
        T::KeepsOnDevice => "everything on the device".into(),
        T::KeepsNothing => "nothing that is only on the device".into(),
        T::LosesAll => "everything on the device: no backup can be made".into(),
        T::LosesAllUnsaved => "everything on the device that is in no backup".into(),
        T::LosesNothing => "nothing, if the update succeeds".into(),
        T::LosesAllButBackup => "all else on the device: it is erased, then the backup put back".into(),
        T::EraseWarning { name, ecid } => {
            format!("This ERASES {name} ({ecid}). What is not in a backup is gone for good.")
        }
        T::EraseTypeToConfirm { word } => format!("Type {word} to go on, anything else to stop: "),
        T::RestoreBackWarning { name } => format!("This replaces the data on {name} with the backup."),
        T::ConsentWord => "ERASE".into(),
        T::ConsentRefused => "Stopped. Nothing was changed.".into(),
        T::BackupDone { files, size, place } => format!("Backup verified: {files} files, {size}, in {place}"),
        T::BackupPartial { unread } => format!("{unread} files could not be read by the device; the rest is safe."),
        T::BackupExisting { generation } => {
            format!("The backup of {generation} is put back; what came after it is lost")
        }
        T::BackupNotPossible { why } => format!("No backup can be made: {why}"),
        T::BackupPasswordAsk => "Backup password (not shown): ".into(),
        T::BackupPasswordAskVerify => "Backup password (not shown; Enter to check without it): ".into(),
        T::BackupPasswordChecking => "Checking the backup password; this takes some seconds.".into(),
        T::BackupSealed => "The backup is encrypted. Without its password its list of files cannot be read, so it was \
                            not checked whether all of them are there."
            .into(),
        T::BackupDoneSealed { files, size, place } => format!(
            "Backup received and stored: {files} files, {size}, encrypted, in {place}\nWith the password \
             `herstel backups verify` checks whether all of them are there."
        ),
        T::BackupPlain => "This backup is not encrypted: passwords (also of Wi-Fi) and Health data are not in it. \
                           `herstel backups encrypt on` changes that."
            .into(),
        T::BackupPasswordAskOld => "Present backup password (not shown): ".into(),
        T::BackupPasswordAskNew => "New backup password (not shown): ".into(),
        T::BackupPasswordAskAgain => "The same once more: ".into(),
        T::BackupPasswordsDiffer => "These were two different passwords.".into(),
        T::EncryptionBefore => "Encrypted backups also hold what others leave out: saved passwords (the keychain, \
                                Wi-Fi among it) and Health data. The device keeps this password and encrypts every \
                                backup with it, on any computer."
            .into(),
        T::EncryptionForgotten => "Without the password nobody can open these backups. A forgotten one can only be \
                                   removed on the device (Settings, General, Transfer or Reset, Reset, Reset All \
                                   Settings); older backups stay closed."
            .into(),
        T::EncryptionLoses => "Backups will no longer hold saved passwords and Health data, and anybody who has them \
                               can read them. Those that are encrypted stay so."
            .into(),
        T::EncryptionNowOn => "Encryption is on. The next backup sends everything anew.".into(),
        T::EncryptionChanged => "The backup password is changed. The next backup sends everything anew; older ones \
                                 open with the old password."
            .into(),
        T::EncryptionNowOff => "Encryption is off. The next backup sends everything anew.".into(),
        T::EncryptionIsOff => "Encryption is off already; nothing was changed.".into(),
        T::NoBackups => "No backups yet.".into(),
        T::PruneHeader => "BACKUP|DEVICE|SIZE|WHAT|REMARK".into(),
        T::PruneGoes => "goes".into(),
        T::PruneStays => "stays".into(),
        T::PruneHeld => "in use".into(),
        T::PruneDamaged => "damaged".into(),
        T::PruneNothing => "No backup has to go.".into(),
        T::PruneAsk { count, word } => {
            let what = if *count == 1 { "backup" } else { "backups" };
            format!("{count} {what} will be gone for good. Type {word} to go on, anything else to stop: ")
        }
        T::PruneWord => "REMOVE".into(),
        T::PruneDone { count } => format!("Backups removed: {count}."),
        T::ShowLabels => {
            "device|system|UDID|backup|made|took|verified|checked|files|received|on disk|encrypted|unread|apps|place"
                .into()
        }
        T::ShowKinds => "KIND|FILES|SIZE".into(),
        T::ShowEncrypted { encrypted } => match encrypted {
            Some(true) => "yes".into(),
            Some(false) => "no: passwords and health data are not in it".into(),
            None => "unknown".into(),
        },
        T::ShowSealed => "The list of files is encrypted and cannot be shown without the password.".into(),
        T::ExportDone { files, size, place } => format!("Exported and verified: {files} files, {size}, in {place}"),
        T::ExportLinked => {
            "The files are shared with the vault: do not let another program back up into this folder.".into()
        }
        T::ShowChecked { when, deep, damage, first } => {
            let how = if *deep { "every byte" } else { "without the contents" };
            match first {
                _ if *damage == 0 => format!("{when}, {how}: good"),
                Some(first) if *damage == 1 => format!("{when}, {how}: DAMAGED, {first}"),
                first => {
                    let first = first.as_deref().unwrap_or_default();
                    format!("{when}, {how}: DAMAGED, {damage} defects, the first: {first}")
                }
            }
        }
        T::ProveIntro { device, version } => format!(
            "A virtual {device} with system {version} takes the backup. It lives in this program only: no real device \
             is touched, and nothing leaves this computer."
        ),
        T::ProveStandIn { product, device } => {
            format!("No table here has the model {product:?}; a virtual {device} stands in for it.")
        }
        T::ProveDone { files, size, device } => {
            format!("Proven: all {files} files ({size}) of the backup are on the virtual {device}, byte for byte.")
        }
        T::ProveAbsent { what } => format!("{what}: did not arrive on the virtual device"),
        T::ProveOther { what } => format!("{what}: is something else on the virtual device"),
        T::FindingsMore { count } => format!("and {count} more"),
        T::FirmwareReady { version, build, place } => format!("Firmware {version} ({build}) verified: {place}"),
        T::FirmwareCached => "already here and verified".into(),
        T::FirmwareFor { products } => format!("For {products}"),
        T::FirmwareRemote { size } => format!("Read from Apple's server: {size} of it, nothing was stored."),
        T::FirmwareHeader => "VERSION|BUILD|SIZE|SIGNED|HERE|SAID BY".into(),
        T::FirmwareHere => "yes".into(),
        T::FirmwareNotHere => "no".into(),
        T::SignedUnsaid => "?".into(),
        T::SignedYes => "yes".into(),
        T::SignedNo => "no".into(),
        T::SignedUnknown { text } => format!("unknown: {text}"),
        T::SignedAsked { product, board } => {
            format!("Asked for an invented {product} ({board}). A restore asks again, for the device itself.")
        }
        T::CachePruneNothing => "Nothing to remove: every file is among the newest of some device.".into(),
        T::CachePruneAsk { count, word } => format!("Remove {count} files? Type {word}: "),
        T::CachePruneDone { count, size } => format!("Removed: {count} files, {size}."),
        T::RestoreDone { version, build } => format!("Restored: the device runs {version} ({build})."),
        T::PutBackDone { files } => format!("Backup put back: {files} files."),
        T::PutBackPlan { generation, device } => format!("Backup {generation} of {device} will be put back:"),
        T::PutBackSystem => "  apps' data and media, and the system's own files with them".into(),
        T::PutBackNoSystem => "  apps' data and media only, none of the system's own files".into(),
        T::PutBackSettings => "  settings as they are in the backup".into(),
        T::PutBackKeepsSettings => "  settings stay as they are on the device now".into(),
        T::PutBackLeaves => "  what is on the device and not in the backup stays".into(),
        T::PutBackRemoves => "  what is on the device and NOT in the backup is removed".into(),
        T::PutBackCopies => "  the whole backup is copied to the device before anything is changed".into(),
        T::PutBackTight => {
            "  the device has less free room than the backup needs: it goes only if what is on it now makes way".into()
        }
        T::PutBackRestarts => "  then the device restarts".into(),
        T::PutBackStays => "  the device does not restart by itself: restart it, or nothing shows".into(),
        T::PutBackInSetup => {
            "The device is still in its setup: leave it at the first screens until it has restarted.".into()
        }
        T::ReportTitle => "Report".into(),
        T::ReportSaved { place } => format!("Report saved: {place}"),
        T::ReportDevice => "device".into(),
        T::ReportResult => "result".into(),
        T::ReportDuration => "took".into(),
        T::ReportSteps => "steps".into(),
        T::ReportFiles { files, size, place } => format!("{files} files, {size}, in {place}"),
        T::ReportBackup => "backup".into(),
        T::ReportFirmware => "firmware".into(),
        T::OutcomeOk => "done".into(),
        T::OutcomePartial => "partly done".into(),
        T::OutcomeFailed => "failed".into(),
        T::OutcomeCancelled => "cancelled".into(),
        T::CancelOnce => "Stopping after this step. Press Ctrl-C again to see what state that leaves.".into(),
        T::CancelNow { state } => format!("Stopping. {state}"),
        T::CancelTwice { state } => format!("{state} Press Ctrl-C once more to leave at once."),
        T::StateSafe => "The device is as it was.".into(),
        T::StateRecovery => "The device is in recovery mode with its data untouched; `herstel resume` goes on.".into(),
        T::StateBatch { running } => format!(
            "{running} devices are half way and may not start like this; `herstel batch --resume` finishes them."
        ),
        T::StateErased => {
            "The device is half way through a restore and will not start; `herstel resume` finishes it.".into()
        }
        T::ResumeHint { job } => format!("Go on with: herstel resume {job}"),
        T::ResumeNothing => "This job is finished; there is nothing to resume.".into(),
        T::DemoIntro { device, bus } => format!("A virtual {device} is on the bench:\n{bus}."),
        T::DemoBusEmulated => "its USB is emulated below libusb, so the real USB code runs".into(),
        T::DemoBusDirect => "its USB is reached directly, since umockdev's preload library is missing".into(),
        T::DemoProof { files, size } => {
            format!("Checked on the phone itself: all {files} files ({size}) are back, byte for byte.")
        }
        T::DemoDone { seconds } => format!("The whole walk took {seconds} s."),
        T::BenchUp { place } => format!("The bench is up in {place}"),
        T::BenchUse => "In another terminal:".into(),
        T::BenchStops => "Ctrl-C or `herstel bench down` stops it.".into(),
        T::BenchDown => "The bench is down.".into(),
        T::Waiting { seconds } => format!("waiting, {seconds} s left"),
        T::DoctorGood => "This computer is ready.".into(),
        T::DoctorBad { blocking: 0, warnings } => format!("This computer is ready; warnings: {warnings}."),
        T::DoctorBad { blocking, warnings } => {
            format!("This computer is not ready; things in the way: {blocking}, warnings: {warnings}.")
        }
        T::DoctorMore { count } => format!("and {count} more: --json shows all."),
        T::DoctorWatching { seconds } => {
            format!("Watching the bus for {seconds} s. Move the plug a little; Ctrl-C ends it.")
        }
    }
}

pub fn step(step: Step) -> &'static str {
    match step {
        Step::Find => "Finding the device",
        Step::Pair => "Asking for trust",
        Step::Plan => "Making the plan",
        Step::Encrypt => "Changing the backup password",
        Step::Backup => "Backing up",
        Step::VerifyBackup => "Verifying the backup",
        Step::Catalogue => "Asking which firmware fits",
        Step::Fetch => "Fetching firmware",
        Step::VerifyFirmware => "Verifying firmware",
        Step::Stashbag => "Having the device keep its data",
        Step::EnterRecovery => "Entering recovery mode",
        Step::EnterDfu => "Entering DFU mode",
        Step::LeaveRecovery => "Leading it back to its own system",
        Step::Ticket => "Asking Apple to sign",
        Step::BootIbss => "Starting iBSS",
        Step::BootIbec => "Starting iBEC",
        Step::BootRamdisk => "Loading the restore system",
        Step::AwaitRestore => "Waiting for restore mode",
        Step::Restore => "Restoring",
        Step::SendImage => "Sending the system image",
        Step::AwaitNormal => "Waiting for the device to start",
        Step::PutBack => "Putting the backup back",
        Step::Report => "Writing the report",
    }
}

pub fn request(request: &Request) -> String {
    match request {
        Request::UnlockDevice => "Unlock the device with its passcode; leave the cable in.".into(),
        Request::TapTrust => "On the device: tap Trust, then enter its passcode.".into(),
        Request::EnterPasscode => "Enter the passcode on the device.".into(),
        Request::Keys { text, seconds, .. } if *seconds > 0 => format!("{text} ({seconds} s)"),
        Request::Keys { text, .. } => text.clone(),
        Request::Replug => "Unplug the cable and plug it in again.".into(),
        Request::CableOut => "Unplug the cable; the device has to be off.".into(),
        Request::CableIn => "Plug the cable in, and keep holding.".into(),
        Request::Slide => "Slide the power slider on the screen.".into(),
    }
}

pub fn hurdle(hurdle: Hurdle) -> &'static str {
    match hurdle {
        Hurdle::Pending => "The device asks whether it may trust this computer.",
        Hurdle::Denied => "Don't Trust was tapped.",
        Hurdle::Locked => "The device is locked; it will not ask before it is unlocked.",
        Hurdle::Stale => "It no longer knows this computer, so it is asked again.",
        Hurdle::Forbidden => "A profile on the device forbids new computers.",
        Hurdle::Restricted => "The device charges, but has closed its data connection.",
    }
}

pub fn class(class: Class) -> &'static str {
    match class {
        Class::User => "something a person can put right",
        Class::Device => "the device or its cable",
        Class::Host => "this computer",
        Class::Network => "the network",
        Class::Apple => "Apple's decision",
        Class::Bug => "Herstel itself; please report it",
    }
}

pub fn retry(retry: Retry) -> &'static str {
    match retry {
        Retry::Now => "  retry   yes, the same command may work now",
        Retry::AfterRemedy => "  retry   after doing the above",
        Retry::Never => "  retry   no, it will fail again",
    }
}

/// A key as people call it; the words of [`crate::event::Request::Keys`].
pub fn key(word: &str) -> &'static str {
    match word {
        "home" => "Home",
        "power" => "the side (top) button",
        "side" => "Side",
        "top" => "Top",
        "volume-up" => "Volume Up",
        "volume-down" => "Volume Down",
        "volume-near" => "the volume key closest to Top",
        "volume-far" => "the volume key farthest from Top",
        "menu" => "Menu",
        "play" => "Play",
        "remote-down" => "Down",
        _ => "?",
    }
}
