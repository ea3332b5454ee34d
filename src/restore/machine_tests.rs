//! The laws of the machine, and the ways that it leads.

use super::machine::*;
use crate::event::Step;
use crate::fault::{Code, Fault};
use crate::ids::{Ecid, Mode};
use proptest::prelude::*;
use std::time::Duration;

const OURS: Ecid = Ecid(0x0126_D0E8_1100_0001);
const THEIRS: Ecid = Ecid(0x0126_D0E8_1100_0002);

fn machine(erase: bool) -> Machine {
    Machine::new(OURS, erase, false, Patience::default())
}

fn seen(mode: Mode, rom: bool) -> Input {
    Input::Seen { ecid: Some(OURS), mode, rom }
}

/// The actions of a walk on which everything goes well, with the device in these modes one after the other.
fn walk(erase: bool, modes: &[(Mode, bool)]) -> (Vec<Action>, Option<Result<(), Fault>>) {
    let mut machine = machine(erase);
    let (mut actions, mut end) = (vec![], None);
    let mut inputs: Vec<Input> = modes.iter().rev().map(|(mode, rom)| seen(*mode, *rom)).collect();
    let mut next = inputs.pop();
    while let Some(input) = next {
        let orders = machine.step(Duration::from_secs(1), input);
        let acts = orders.iter().any(|order| matches!(order, Order::Do(_)));
        for order in orders {
            match order {
                Order::Do(action) => actions.push(action),
                Order::Finish(result) => end = Some(result),
                Order::Journal(_) | Order::Tell(_) => {}
            }
        }
        next = if acts { Some(Input::Done) } else { inputs.pop() };
    }
    (actions, end)
}

#[test]
fn each_start_leads_to_the_session() {
    use Action::*;
    let session = Session { erase: true };
    let chain = [BootIbec, BootRamdisk, session];
    let with = |first: &[Action]| [first, &chain].concat();
    let (up, restore) = ((Mode::Recovery, false), (Mode::Restore, false));
    for (modes, actions) in [
        (vec![(Mode::Normal, false), up, restore], with(&[EnterRecovery])),
        (vec![up, restore], with(&[])),
        (vec![(Mode::Dfu, true), restore], with(&[BootIbss])),
        (vec![(Mode::Dfu, false), restore], with(&[])),
        (vec![restore, up, restore], with(&[RebootRamdisk])),
        (vec![(Mode::Unknown, false), up, restore], with(&[])),
    ] {
        assert_eq!(walk(true, &modes), (actions, Some(Ok(()))), "{modes:?}");
    }
    assert_eq!(walk(false, &[up, restore]).0.last(), Some(&Session { erase: false }));
    let update = walk(false, &[(Mode::Normal, false), up, restore]).0;
    assert_eq!(update[..2], [KeepData, EnterRecovery], "its data is provided for while its system runs");
}

#[test]
fn what_left_its_system_for_us_is_led_back_to_it() {
    let at = Duration::from_secs(1);
    let refused = Fault::new(Code::BootRefused, "no");
    for (boots, step) in [(0, Step::BootIbec), (1, Step::BootRamdisk)] {
        let mut m = machine(true);
        m.step(at, seen(Mode::Normal, false));
        m.step(at, Input::Done);
        m.step(at, seen(Mode::Recovery, false));
        for _ in 0..boots {
            m.step(at, Input::Done);
        }
        let orders = m.step(at, Input::Failed(refused.clone()));
        assert_eq!(orders, [Order::Journal(Action::Rescue), Order::Do(Action::Rescue)]);
        let Some(Order::Finish(Err(fault))) = m.step(at, Input::Failed(Fault::cancelled())).pop() else { panic!() };
        assert_eq!(fault, refused.clone().during(step), "the first cause is told, not the rescue's");
    }
}

#[test]
fn what_was_found_in_recovery_stays_there() {
    let at = Duration::from_secs(1);
    let mut m = machine(true);
    m.step(at, seen(Mode::Recovery, false));
    let refused = Fault::new(Code::BootRefused, "no");
    let orders = m.step(at, Input::Failed(refused.clone()));
    assert_eq!(orders, [Order::Finish(Err(refused.during(Step::BootIbec)))]);
}

#[test]
fn hands_help_where_a_command_is_refused_and_nowhere_else() {
    let at = Duration::from_secs(1);
    let refusing = |hands, code| {
        let mut m = Machine::new(OURS, true, hands, Patience::default());
        m.step(at, seen(Mode::Normal, false));
        let orders = m.step(at, Input::Failed(Fault::new(code, "no")));
        (m, orders)
    };
    let (mut m, orders) = refusing(true, Code::DeviceLocked);
    assert_eq!(orders.last(), Some(&Order::Do(Action::ByHand)));
    m.step(at, Input::Done);
    m.step(at, seen(Mode::Recovery, false));
    let orders = m.step(at, Input::Failed(Fault::new(Code::TssUnreachable, "no")));
    assert!(matches!(&orders[..], [Order::Finish(Err(_))]), "the keys are not asked twice: {orders:?}");
    for (hands, code) in [(false, Code::DeviceLocked), (true, Code::LinkLost)] {
        let (_, orders) = refusing(hands, code);
        assert!(matches!(&orders[..], [Order::Finish(Err(fault))] if fault.code == code), "{orders:?}");
    }
}

#[test]
fn modes_that_lead_nowhere_are_named_at_once() {
    for mode in [Mode::Wtf, Mode::PortDfu, Mode::Kis] {
        let orders = machine(true).step(Duration::from_secs(1), seen(mode, false));
        assert!(matches!(&orders[..], [Order::Finish(Err(fault))] if fault.code == Code::WrongMode), "{orders:?}");
    }
}

#[test]
fn a_wish_to_stop_is_followed_where_it_can_be() {
    let at = Duration::from_secs(1);
    let mut m = machine(true);
    assert_eq!(m.step(at, Input::Stop), [Order::Tell(Stop::AtOnce), Order::Finish(Err(Fault::cancelled()))]);

    let mut m = machine(true);
    m.step(at, seen(Mode::Normal, false));
    assert_eq!(m.step(at, Input::Stop), [Order::Tell(Stop::AfterThis)]);
    m.step(at, Input::Done);
    let orders = m.step(at, seen(Mode::Recovery, false));
    assert_eq!(orders.last(), Some(&Order::Do(Action::Rescue)), "it must not be left in recovery");
    assert_eq!(m.step(at, Input::Done), [Order::Finish(Err(Fault::cancelled()))]);

    let mut m = machine(true);
    for input in [seen(Mode::Recovery, false), Input::Done, Input::Done, seen(Mode::Restore, false)] {
        m.step(at, input);
    }
    assert_eq!(m.step(at, Input::Stop), [Order::Tell(Stop::NotNow)]);
    assert_eq!(m.step(at, Input::Done), [Order::Finish(Ok(()))]);
}

#[test]
fn a_device_that_runs_in_a_circle_is_given_up() {
    let mut m = machine(true);
    let at = Duration::from_secs(1);
    let mut last = vec![];
    for _ in 0..=MAX_DETOURS {
        last = m.step(at, seen(Mode::Normal, false));
        m.step(at, Input::Done);
    }
    assert!(matches!(&last[..], [Order::Finish(Err(fault))] if fault.code == Code::CameBackElsewhere), "{last:?}");
}

fn any_input() -> impl Strategy<Value = (u64, Input)> {
    let mode =
        prop::sample::select(vec![Mode::Normal, Mode::Recovery, Mode::Dfu, Mode::Restore, Mode::Wtf, Mode::Unknown]);
    let who = prop::sample::select(vec![Some(OURS), Some(OURS), Some(OURS), Some(THEIRS), None]);
    let seen = (who, mode, any::<bool>()).prop_map(|(ecid, mode, rom)| Input::Seen { ecid, mode, rom });
    let failed = Input::Failed(Fault::new(Code::LinkLost, "cut"));
    let locked = Input::Failed(Fault::new(Code::DeviceLocked, "no"));
    let input = prop_oneof![
        6 => seen, 6 => Just(Input::Done), 1 => Just(failed), 1 => Just(locked), 2 => Just(Input::Tick), 1 => Just(Input::Stop)
    ];
    (0u64..400, input)
}

proptest! {
    #[test]
    fn the_laws_hold_whatever_happens(erase: bool, hands: bool, inputs in prop::collection::vec(any_input(), 0..60)) {
        let mut machine = Machine::new(OURS, erase, hands, Patience::default());
        let (mut now, mut finished) = (Duration::ZERO, 0);
        let quiet = (0..40).map(|_| (4 * 3600, Input::Tick));
        for (pause, input) in inputs.into_iter().chain(quiet) {
            now += Duration::from_secs(pause);
            let stranger = matches!(&input, Input::Seen { ecid, .. } if *ecid != Some(OURS));
            let before = machine.clone();
            let late = before.wake().is_some_and(|wake| now >= wake);
            let orders = machine.step(now, input);
            prop_assert!(finished == 0 || orders.is_empty(), "orders after the end: {:?}", orders);
            if stranger && !late {
                prop_assert!(orders.is_empty() && before.action() == machine.action() && before.wake() == machine.wake(), "a stranger was heard");
            }
            for (at, order) in orders.iter().enumerate() {
                match order {
                    Order::Do(action) => {
                        let noted = at.checked_sub(1).and_then(|before| orders.get(before));
                        prop_assert_eq!(noted, Some(&Order::Journal(*action)), "done before it was noted");
                        prop_assert!(erase || *action != Action::Session { erase: true }, "an update erases");
                        prop_assert!(!erase || *action != Action::KeepData, "an erase keeps nothing");
                    }
                    Order::Finish(_) => finished += 1,
                    Order::Journal(_) | Order::Tell(_) => {}
                }
            }
        }
        prop_assert_eq!(finished, 1, "forty long waits, and it is not over: {:?}", machine);
        prop_assert!(machine.wake().is_none());
    }
}
