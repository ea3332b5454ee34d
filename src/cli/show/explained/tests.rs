//! Cards fit, every meaning has one, and a failure says what `explain` says.

use super::card::fitted;
use super::*;
use crate::cli::show::wrap::COLUMNS;
use crate::facts::codes::all;
use crate::facts::codes::ask;
use crate::facts::restore_status;
use crate::fault::{DeviceState, Fault, Standing};

#[test]
fn every_card_fits_a_terminal_and_every_hit_has_one() {
    for hit in all() {
        for lang in [Lang::En, Lang::Nl] {
            let explained = Explained::of(lang, "x", &hit).unwrap_or_else(|| panic!("{hit:?} has no text"));
            assert!(!explained.measures.is_empty() && explained.meaning.len() > 5, "{hit:?}");
            for (head, text) in explained.lines(lang, None) {
                let pieces = fitted(&head, &text, COLUMNS);
                assert!(pieces.iter().all(|piece| piece.chars().count() <= COLUMNS), "{pieces:#?}");
                let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
                assert_eq!(words(&pieces.join(" ")), words(&format!("{head} {text}")));
            }
        }
    }
}

#[test]
fn a_failed_restore_says_what_explain_says() {
    for (number, verdict) in restore_status::all() {
        let fault = Fault::new(verdict.code, "x").number(number).standing(Standing::default());
        for lang in [Lang::En, Lang::Nl] {
            let told = of_failure(lang, &fault, usize::MAX).join("\n");
            let hits = ask::read(&format!("AMRError {number}"), None).remove(0).hits;
            let explained = Explained::of(lang, "", &hits[0]).unwrap();
            assert!(told.contains(explained.cause.unwrap()), "{number}: {told}");
            assert!(explained.measures.iter().all(|step| told.contains(step.text)), "{number}: {told}");
        }
    }
}

#[test]
fn a_failure_advises_nothing_that_its_state_rules_out() {
    let told = |number, device_state| {
        let standing = Standing { device_state, ..Standing::default() };
        let fault = Fault::new(Code::RestoreFailed, "x").number(number).standing(standing);
        of_failure(Lang::En, &fault, usize::MAX).join("\n")
    };
    let (update, erase) = (words::measure(Lang::En, Measure::UpdateFirst), words::measure(Lang::En, Measure::Erase));
    assert!(told(4013, DeviceState::Untouched).contains(update));
    assert!(!told(4013, DeviceState::HalfErased).contains(update), "its data is gone");
    assert!(told(14, DeviceState::Unknown).contains(erase));
    assert!(!told(14, DeviceState::HalfUpdated).contains(erase), "its data is still there");
}

#[test]
fn what_the_failure_says_already_is_not_said_again() {
    let backup = Fault::new(Code::BackupRefused, "x").number(105).remedy(Remedy::HostRoom);
    let locked = Fault::new(Code::DeviceLocked, "PasswordProtected");
    let plain = Fault::new(Code::UsbGone, "x");
    for fault in [backup, locked, plain] {
        assert!(of_failure(Lang::En, &fault, 80).is_empty(), "{fault}");
    }
    let refused = of_failure(Lang::Nl, &Fault::new(Code::ServiceRefused, "ServiceProhibited"), 80).join("\n");
    assert!(refused.contains("Een profiel verbiedt het"), "{refused}");
    let unsigned = of_failure(Lang::En, &Fault::new(Code::TssNotSigned, "STATUS=94").number(94), 80).join("\n");
    assert!(unsigned.contains("cause   It is not signed any more") && unsigned.contains(" 3. "), "{unsigned}");
}
