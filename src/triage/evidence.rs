//! What can be read, so that it need not be asked.
//!
//! A reading proves an answer only where it cannot mean anything else; what merely suggests one is a hint beside the
//! question. Where a reading may be wrong, the side is taken on which nothing is lost: a variable that says that the
//! device is locked to an account is believed, one that says that it is not is a hint. Some things cannot be read at
//! all and are always asked: whose it is, whether it is in Lost Mode (only its screen shows that), whether somebody
//! knows a password.

use super::answers::Reading;
use crate::device::{Device, State, Trust};
use crate::event::{Choice, Clue, Question};
use crate::ids::Version;
use serde_json::{Map, Value};

/// Longest hint of an account, in characters.
const ACCOUNT_CAP: usize = 60;

/// All that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clues {
    pub version: Option<Version>,
    pub readings: Vec<Reading>,
    /// The account that the lock belongs to, masked by the device (`j•••••@icloud.com`).
    pub account: Option<String>,
    /// Of the backups on this computer.
    pub newest_backup: Option<String>,
}

/// From the device, its intake sheet, and the newest backup of it on this computer.
pub fn clues(device: &Device, sheet: &Map<String, Value>, newest_backup: Option<String>) -> Clues {
    let mut readings = Vec::new();
    let mut put = |question, answer, from, proves| readings.push(Reading { question, answer, from, proves });
    let yes = |key: &str| match sheet.get(key) {
        Some(Value::Bool(flag)) => Some(*flag),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("yes") || text == "true" => Some(true),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("no") || text == "false" => Some(false),
        _ => None,
    };
    match &device.state {
        State::Normal(normal) if normal.trust == Trust::Trusted => {
            put(Question::Trusted, Choice::Here, Clue::TrustsThisComputer, true);
            put(Question::Unlocked, Choice::Yes, Clue::TrustsThisComputer, true);
        }
        State::Normal(normal) if normal.trust == Trust::Locked => {
            put(Question::Unlocked, Choice::No, Clue::LockedSinceStart, true);
        }
        State::Normal(_) => {}
        State::Recovery(_) | State::Dfu(_) | State::Restore(_) | State::Other(..) => {
            put(Question::Unlocked, Choice::No, Clue::NotStarted, true);
            put(Question::Online, Choice::No, Clue::NotStarted, true);
        }
    }
    if matches!(device.state, State::Recovery(_)) && yes("auto-boot") == Some(true) {
        put(Question::Problem, Choice::DoesNotStart, Clue::StopsInRecovery, false);
    }
    if sheet.get("ActivationState").and_then(Value::as_str) == Some("Unactivated") {
        put(Question::Problem, Choice::AsksForAccount, Clue::NotActivated, false);
    }
    if yes("DeviceIsChaperoned") == Some(true) {
        put(Question::Managed, Choice::Yes, Clue::Supervised, true);
    }
    let lock = yes("fm-activation-locked");
    match (yes("IsAssociated"), lock) {
        (Some(true), _) => put(Question::FindMy, Choice::On, Clue::FindMyAssociated, true),
        (_, Some(true)) => put(Question::FindMy, Choice::On, Clue::ActivationLockVariable, true),
        // During its setup a device has not yet joined, whatever it is locked to.
        (Some(false), _) => put(Question::FindMy, Choice::Off, Clue::FindMyAssociated, yes("SetupDone") == Some(true)),
        (None, Some(false)) => put(Question::FindMy, Choice::Off, Clue::ActivationLockVariable, false),
        (None, None) => {}
    }
    if newest_backup.is_some() {
        put(Question::Backup, Choice::Yes, Clue::BackupHere, true);
    } else if yes("CloudBackupEnabled") == Some(true) {
        put(Question::Backup, Choice::Yes, Clue::CloudBackupEnabled, false);
    }
    let account = sheet.get("fm-account-masked").and_then(Value::as_str);
    Clues {
        version: device.normal().and_then(|normal| normal.version.clone()),
        readings,
        account: account.map(|text| text.chars().filter(|c| !c.is_control()).take(ACCOUNT_CAP).collect()),
        newest_backup,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{normal, recovery};
    use super::*;
    use serde_json::json;

    fn read(device: &Device, sheet: Value, backups: usize) -> Vec<(Question, Choice, Clue, bool)> {
        let Value::Object(sheet) = sheet else { panic!("a sheet") };
        let found = clues(device, &sheet, (backups > 0).then(|| "g".to_owned())).readings;
        found.iter().map(|r| (r.question, r.answer, r.from, r.proves)).collect()
    }

    #[test]
    fn each_reading_says_as_much_as_it_can_and_no_more() {
        let trusted = normal(Trust::Trusted, false, "27.0");
        let stranger = normal(Trust::Untrusted, true, "27.0");
        let here = (Question::Trusted, Choice::Here, Clue::TrustsThisComputer, true);
        let open = (Question::Unlocked, Choice::Yes, Clue::TrustsThisComputer, true);
        let not_started = (Question::Unlocked, Choice::No, Clue::NotStarted, true);
        let no_network = (Question::Online, Choice::No, Clue::NotStarted, true);
        let find_my = |answer, from, proves| (Question::FindMy, answer, from, proves);
        let (fmip, variable) = (Clue::FindMyAssociated, Clue::ActivationLockVariable);
        let rows = [
            (&trusted, json!({}), 0, vec![here, open]),
            (&stranger, json!({}), 0, vec![]),
            (
                &normal(Trust::Locked, true, "27.0"),
                json!({}),
                0,
                vec![(Question::Unlocked, Choice::No, Clue::LockedSinceStart, true)],
            ),
            (&recovery(), json!({}), 0, vec![not_started, no_network]),
            (
                &recovery(),
                json!({ "auto-boot": "true", "fm-activation-locked": "YES" }),
                0,
                vec![
                    not_started,
                    no_network,
                    (Question::Problem, Choice::DoesNotStart, Clue::StopsInRecovery, false),
                    find_my(Choice::On, variable, true),
                ],
            ),
            (&recovery(), json!({ "auto-boot": "false" }), 0, vec![not_started, no_network]),
            (
                &recovery(),
                json!({ "fm-activation-locked": "NO" }),
                0,
                vec![not_started, no_network, find_my(Choice::Off, variable, false)],
            ),
            (&trusted, json!({ "IsAssociated": true }), 0, vec![here, open, find_my(Choice::On, fmip, true)]),
            (
                &trusted,
                json!({ "IsAssociated": false, "SetupDone": true }),
                0,
                vec![here, open, find_my(Choice::Off, fmip, true)],
            ),
            (
                &trusted,
                json!({ "IsAssociated": false, "SetupDone": false }),
                0,
                vec![here, open, find_my(Choice::Off, fmip, false)],
            ),
            (
                &trusted,
                json!({ "IsAssociated": false, "SetupDone": true, "fm-activation-locked": "YES" }),
                0,
                vec![here, open, find_my(Choice::On, variable, true)],
            ),
            (
                &trusted,
                json!({ "DeviceIsChaperoned": true, "CloudBackupEnabled": true }),
                0,
                vec![
                    here,
                    open,
                    (Question::Managed, Choice::Yes, Clue::Supervised, true),
                    (Question::Backup, Choice::Yes, Clue::CloudBackupEnabled, false),
                ],
            ),
            // Not supervised is no proof of not managed.
            (&trusted, json!({ "DeviceIsChaperoned": false }), 0, vec![here, open]),
            (
                &stranger,
                json!({ "ActivationState": "Unactivated", "CloudBackupEnabled": true }),
                2,
                vec![
                    (Question::Problem, Choice::AsksForAccount, Clue::NotActivated, false),
                    (Question::Backup, Choice::Yes, Clue::BackupHere, true),
                ],
            ),
            // Whatever else a device sends under these names.
            (&stranger, json!({ "IsAssociated": 7, "ActivationState": [1], "fm-activation-locked": null }), 0, vec![]),
        ];
        for (device, sheet, backups, wanted) in rows {
            assert_eq!(read(device, sheet.clone(), backups), wanted, "{sheet}");
        }
    }

    #[test]
    fn an_account_for_a_terminal_is_short_and_obeys_nobody() {
        let sheet = json!({ "fm-account-masked": format!("\x1b[2J{}", "v".repeat(500)) });
        let found = clues(&recovery(), sheet.as_object().unwrap(), None);
        let account = found.account.unwrap();
        assert!(account.chars().count() == ACCOUNT_CAP && account.starts_with("[2Jv"), "{account}");
    }
}
