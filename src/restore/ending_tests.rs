//! Whose words a failure is told in, and what was only tolerated.

use super::session_bed::{Device, Server, run};
use super::session_tests::{acknowledged, checkpoint, status};
use crate::fault::{Code, Retry};
use crate::wire::restored::names;

#[test]
fn the_step_that_failed_is_told_and_not_the_clean_up_nor_what_was_tolerated() {
    let ended = run(Server::Serves, async |mut device: Device| {
        device.greet().await;
        let modem = "[0]D(modem ping)";
        device.say(&checkpoint(0x61F, 0, true, None)).await;
        device.say(&checkpoint(0x1303, -1, true, Some(modem))).await;
        device.say(&checkpoint(0x68B, 0, false, Some(modem))).await;
        let seal = "[0]D(failed to seal system volume.)[1]D(img4_firmware_execute failed)";
        for (id, result) in [(0x68B, 100), (0x67B, 100)] {
            device.say(&checkpoint(id, result, true, Some(seal))).await;
        }
        for id in [0x67C, 0x1613, 0x647] {
            device.say(&checkpoint(id, 0, true, Some(modem))).await;
        }
        device.say(&checkpoint(0x648, 0, true, Some(seal))).await;
        device.say(&status(100)).await;
        device
    });
    let fault = ended.fault();
    let standing = fault.restore.as_deref().unwrap();
    assert_eq!((standing.checkpoint, standing.checkpoint_name.as_deref()), (Some(0x68B), Some("seal_system_volume")));
    assert_eq!(standing.errors, ["failed to seal system volume.", "img4_firmware_execute failed"]);
    assert_eq!((fault.number, standing.status, fault.retry), (Some(100), Some(100), Retry::Now));
}

#[test]
fn a_failure_that_only_the_summary_tells() {
    let ended = run(Server::Serves, async |mut device: Device| {
        device.greet().await;
        device.say(&checkpoint(0x1330, 0, true, None)).await;
        device.say(&checkpoint(0x648, 0, true, Some("[0]D(stockholm)"))).await;
        device.say(&status(56)).await;
        device
    });
    let fault = ended.fault();
    assert_eq!(fault.restore.as_ref().unwrap().errors, ["stockholm"]);
    assert_eq!((fault.code, fault.retry), (Code::RestoreFailed, Retry::Never), "hardware");
}

#[test]
fn what_was_tolerated_is_no_failure_of_a_good_end() {
    let ended = run(Server::Serves, async |mut device: Device| {
        device.greet().await;
        device.say(&checkpoint(0x1303, -1, true, Some("[0]D(modem ping)"))).await;
        device.say(&checkpoint(0x647, 0, true, Some("[0]D(modem ping)"))).await;
        device.say(&status(0)).await;
        acknowledged(device.hear().await);
    });
    assert_eq!(ended.result.unwrap().tolerated.as_deref(), Some("[0]D(modem ping)"));
}

#[test]
fn every_number_with_a_verdict_has_words_and_the_other_way_round() {
    use crate::say::{Lang, restore::status};
    for (number, _) in crate::facts::restore_status::all() {
        assert!(status(Lang::En, number).is_some() && status(Lang::Nl, number).is_some(), "{number}");
    }
    for operation in (0..100).filter(|o| names::operation_name(*o, 15).is_some()) {
        assert!(!crate::say::restore::operation(Lang::Nl, operation).starts_with("Bewerking"), "{operation}");
    }
}
