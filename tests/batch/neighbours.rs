//! Phones that are not in the batch, and what they must not do to those that are.

use super::{file_of, herstel, is_new, phases, phones};

/// Its lockdownd takes every connection and never says a word. Each look at the bench meets it.
#[test]
fn a_phone_that_never_answers_does_not_keep_its_neighbour_from_its_end() {
    let rig = phones(&["", "[phone.faults.mux]\nlockdown_silent = true"]);
    let path = file_of(&rig, &rig.bench.phones[..1], "");
    let ran = herstel(&rig, &["batch", &path, "--yes-erase-all", "--json"]);
    assert_eq!((ran.code, phases(&ran)), (Some(0), vec!["done".to_owned()]), "{ran}");
    is_new(&rig.bench.phones[0], 1, &ran);
    assert_eq!(rig.bench.phones[1].remembered("stage"), 0, "the other was left alone");
}
