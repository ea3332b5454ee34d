//! The laws of the queue, with made-up runs; and the ways of a few real ones.

use super::*;
use crate::fault::{Code, Fault};
use proptest::prelude::*;

fn rules(limit: usize) -> Rules {
    let retry = Retry { stagger_seconds: 0, ..Retry::default() };
    Rules { limit, per_controller: PER_CONTROLLER, retry, haste: 1, watch: None }
}

fn here(ecid: u64, port: u8) -> Here {
    Here {
        ecid: Ecid(ecid),
        udid: None,
        station: Some(u32::from(port)),
        port: format!("1-{port}").parse().ok(),
        controller: Some(format!("{}", port / 16)),
        mode: Mode::Normal,
    }
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn miss(code: Code) -> End {
    End::Missed(Miss::of(&Fault::new(code, "x")))
}

fn started(orders: &[Order]) -> Vec<usize> {
    orders.iter().filter_map(|o| if let Order::Start { row, .. } = o { Some(*row) } else { None }).collect()
}

fn ecids(count: u64) -> Vec<Row> {
    (1..=count).map(|n| Row::new(Pin::Ecid(Ecid(n)))).collect()
}

#[test]
fn starts_are_apart_and_no_more_than_the_limit() {
    let mut rules = rules(2);
    rules.retry.stagger_seconds = 3;
    let mut queue = Queue::new(rules, ecids(3));
    let all = vec![here(1, 1), here(2, 2), here(3, 3)];
    assert_eq!(started(&queue.step(s(0), Input::Seen(all))), [0]);
    assert_eq!(queue.wake(s(0)), Some(s(3)));
    assert_eq!(started(&queue.step(s(2), Input::Tick)), [] as [usize; 0]);
    assert_eq!(started(&queue.step(s(3), Input::Tick)), [1]);
    assert_eq!(started(&queue.step(s(60), Input::Tick)), [] as [usize; 0]);
    assert_eq!(started(&queue.step(s(61), Input::Ended { row: 0, end: End::Done })), [2]);
    queue.step(s(62), Input::Ended { row: 1, end: End::Done });
    let last = queue.step(s(63), Input::Ended { row: 2, end: End::Done });
    assert_eq!(last.last(), Some(&Order::Over { outcome: Outcome::Ok }));
}

#[test]
fn ten_on_one_controller_and_no_more() {
    let mut queue = Queue::new(rules(64), ecids(14));
    let seen = (1..=14).map(|n| here(n, n as u8)).collect();
    assert_eq!(started(&queue.step(s(0), Input::Seen(seen))).len(), PER_CONTROLLER);
    let mut two = Queue::new(rules(64), ecids(14));
    let seen = (1..=14).map(|n| here(n, 10 + n as u8)).collect();
    assert_eq!(started(&two.step(s(0), Input::Seen(seen))).len(), 14, "five on one, nine on the other");
}

#[test]
fn a_device_whose_port_cannot_be_told_stays_on_its_controller() {
    let mut queue = Queue::new(rules(64), ecids(14));
    let mut seen: Vec<Here> = (1..=14).map(|n| here(n, n as u8)).collect();
    queue.step(s(0), Input::Seen(seen.clone()));
    seen.iter_mut().take(10).for_each(|here| (here.port, here.controller, here.mode) = (None, None, Mode::Restore));
    assert_eq!(started(&queue.step(s(60), Input::Seen(seen))), [] as [usize; 0], "ten are at work there");
    assert_eq!(started(&queue.step(s(61), Input::Ended { row: 0, end: End::Done })), [10]);
}

#[test]
fn a_cable_is_waited_for_and_a_new_port_is_one() {
    let mut queue = Queue::new(rules(1), ecids(1));
    queue.step(s(0), Input::Seen(vec![here(1, 1)]));
    let orders = queue.step(s(9), Input::Ended { row: 0, end: miss(Code::NeverCameBack) });
    let waits =
        Order::Became { row: 0, phase: Phase::WaitsForPerson, wants: Some(Wants::OtherCable), seconds: Some(900) };
    assert!(orders.contains(&waits), "{orders:?}");
    assert_eq!(started(&queue.step(s(10), Input::Seen(vec![here(1, 1)]))), [] as [usize; 0], "the same port");
    assert_eq!(started(&queue.step(s(20), Input::Seen(vec![here(1, 2)]))), [0], "followed by its ECID");
    queue.step(s(30), Input::Ended { row: 0, end: miss(Code::NeverCameBack) });
    let orders = queue.step(s(2000), Input::Tick);
    assert_eq!(queue.rows()[0].phase, Phase::LeftForPerson);
    assert_eq!(orders.last(), Some(&Order::Over { outcome: Outcome::Failed }));
}

#[test]
fn what_a_person_says_is_done_is_tried_again_at_once() {
    let mut queue = Queue::new(rules(1), ecids(2));
    queue.step(s(0), Input::Seen(vec![here(1, 1)]));
    assert_eq!(queue.step(s(1), Input::Acted { row: 0 }), [Order::NotAsked { row: 0 }], "it runs");
    queue.step(s(2), Input::Ended { row: 0, end: miss(Code::DeviceLocked) });
    assert_eq!(queue.rows()[0].wants, Some(Wants::Remedy));
    assert_eq!(queue.step(s(3), Input::Acted { row: 9 }), [], "there is no such row");
    let orders = queue.step(s(4), Input::Acted { row: 0 });
    assert_eq!(started(&orders), [0], "the cable was not pulled, and need not be: {orders:?}");
    // What is on no bus cannot be begun, whatever is said; it is asked for again.
    queue.step(s(40), Input::Tick);
    assert_eq!(queue.rows()[1].wants, Some(Wants::PlugIn));
    queue.step(s(41), Input::Acted { row: 1 });
    assert_eq!((queue.rows()[1].phase, queue.rows()[1].tries), (Phase::Queued, 0));
    queue.step(s(41) + GRACE, Input::Tick);
    assert_eq!(queue.rows()[1].phase, Phase::WaitsForPerson);
    queue.step(s(5000), Input::Ended { row: 0, end: End::Done });
    queue.step(s(9000), Input::Tick);
    assert_eq!(queue.rows()[1].phase, Phase::LeftForPerson);
    assert_eq!(queue.step(s(9001), Input::Acted { row: 1 }), [], "over is over");
}

#[test]
fn a_stranger_at_a_station_is_told_and_not_touched() {
    let mut queue = Queue::new(rules(4), vec![Row::new(Pin::Station(3))]);
    let orders = queue.step(s(0), Input::Seen(vec![here(7, 3)]));
    assert!(orders.contains(&Order::Bound { row: 0, ecid: Ecid(7) }));
    queue.step(s(1), Input::Ended { row: 0, end: miss(Code::LinkLost) });
    queue.step(s(2), Input::Ended { row: 0, end: miss(Code::LinkLost) });
    let orders = queue.step(s(3), Input::Seen(vec![here(8, 3)]));
    assert_eq!(orders.iter().filter(|o| matches!(o, Order::Stranger { ecid: Ecid(8), .. })).count(), 1);
    assert_eq!(started(&orders), [] as [usize; 0]);
    assert!(!queue.step(s(4), Input::Seen(vec![here(8, 3)])).iter().any(|o| matches!(o, Order::Stranger { .. })));
    assert_eq!(started(&queue.step(s(5), Input::Seen(vec![here(8, 3), here(7, 5)]))), [0], "followed to port 5");
}

#[test]
fn the_same_device_by_two_names_runs_once() {
    let udid: Udid = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
    let mut queue = Queue::new(rules(4), vec![Row::new(Pin::Ecid(Ecid(9))), Row::new(Pin::Udid(udid.clone()))]);
    let seen = Here { udid: Some(udid), ..here(9, 1) };
    let orders = queue.step(s(0), Input::Seen(vec![seen]));
    assert!(orders.contains(&Order::Duplicate { row: 1, of: 0 }));
    assert_eq!((started(&orders), queue.rows()[1].phase), (vec![0], Phase::Failed));
}

#[test]
fn watching_takes_each_device_once() {
    let mut rules = rules(4);
    rules.watch = Some(vec![1, 2]);
    let mut queue = Queue::new(rules, Vec::new());
    let orders = queue.step(s(0), Input::Seen(vec![here(4, 2)]));
    assert_eq!(orders, [Order::Ignored { ecid: Ecid(4) }], "it was here before");
    queue.step(s(0), Input::Seen(Vec::new()));
    assert_eq!(queue.step(s(0), Input::Seen(vec![here(4, 2)])), [], "restarted, or plugged in again: nobody knows");
    assert_eq!(started(&queue.step(s(0), Input::Seen(vec![here(5, 3)]))), [] as [usize; 0], "not at its stations");
    assert_eq!(started(&queue.step(s(1), Input::Seen(vec![here(5, 1)]))), [0]);
    queue.step(s(2), Input::Ended { row: 0, end: End::Done });
    queue.step(s(3), Input::Seen(Vec::new()));
    assert_eq!(started(&queue.step(s(4), Input::Seen(vec![here(5, 2)]))), [] as [usize; 0], "not again");
    assert!(!queue.is_over());
    let orders = queue.step(s(5), Input::Cancel);
    assert_eq!(orders.last(), Some(&Order::Over { outcome: Outcome::Ok }));
}

#[test]
fn a_cancel_stops_what_runs_and_ends_the_rest() {
    let mut queue = Queue::new(rules(1), ecids(2));
    queue.step(s(0), Input::Seen(vec![here(1, 1), here(2, 2)]));
    let orders = queue.step(s(1), Input::Cancel);
    assert!(orders.contains(&Order::Stop { row: 0 }) && !queue.is_over());
    assert_eq!(queue.rows()[1].phase, Phase::Cancelled);
    let orders = queue.step(s(2), Input::Ended { row: 0, end: End::Cancelled });
    assert_eq!(orders.last(), Some(&Order::Over { outcome: Outcome::Cancelled }));
}

/// What the world does next.
#[derive(Clone, Debug)]
enum Act {
    Wait(u16),
    /// Puts a device on a port, or takes it away.
    Plug(u64, Option<u8>, Mode),
    /// Ends one of those that run.
    End(usize, usize),
    Acted(usize),
    Cancel,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let mode = prop_oneof![Just(Mode::Normal), Just(Mode::Recovery), Just(Mode::Dfu)];
    let act = prop_oneof![
        3 => (0u16..400).prop_map(Act::Wait),
        6 => (1u64..15, proptest::option::weighted(0.8, 1u8..40), mode).prop_map(|(e, p, m)| Act::Plug(e, p, m)),
        6 => (0usize..16, 0usize..12).prop_map(|(r, e)| Act::End(r, e)),
        1 => (0usize..16).prop_map(Act::Acted),
        1 => proptest::bool::weighted(0.1).prop_map(|c| if c { Act::Cancel } else { Act::Wait(1) }),
    ];
    proptest::collection::vec(act, 0..120)
}

const CODES: [Code; 9] = [
    Code::LinkLost,
    Code::NeverCameBack,
    Code::BootRefused,
    Code::DownloadFailed,
    Code::TssNotSigned,
    Code::DeviceLocked,
    Code::Internal,
    Code::RestoreFailed,
    Code::DiskFull,
];

/// A run, with the laws looked at after every step; all its orders.
fn play(acts: &[Act], limit: usize, stagger: u64, stations: usize) -> Vec<Order> {
    let mut rules = rules(limit);
    rules.retry.stagger_seconds = stagger;
    let mut rows = ecids(8);
    rows.extend((0..stations).map(|n| Row::new(Pin::Station(n as u32 + 1))));
    let count = rows.len();
    let mut queue = Queue::new(rules, rows);
    let mut bus: Vec<Here> = Vec::new();
    let mut now = s(0);
    let mut log = Vec::new();
    let mut ends = vec![0; count];
    let mut tell = |queue: &mut Queue, now: Duration, input: Input| {
        let orders = queue.step(now, input);
        assert_eq!(queue.rows().len(), count, "no row is lost");
        let running: Vec<_> = queue.rows().iter().filter(|r| r.phase == Phase::Running).collect();
        assert!(running.len() <= limit);
        for row in &running {
            assert_eq!(running.iter().filter(|other| other.ecid == row.ecid).count(), 1, "never two on one ECID");
        }
        for order in &orders {
            if let Order::Became { row, phase, .. } = order {
                ends[*row] += usize::from(phase.is_end());
                assert!(ends[*row] <= 1, "a row ends once");
            }
            if let Order::Start { row, .. } = order {
                let here = queue.rows()[*row].here.as_ref().unwrap();
                let on = |r: &&&Row| r.here.as_ref().is_some_and(|h| h.controller == here.controller);
                assert!(running.iter().filter(on).count() <= PER_CONTROLLER);
            }
        }
        log.extend(orders);
    };
    for act in acts {
        match act {
            Act::Wait(seconds) => {
                now += s(u64::from(*seconds));
                tell(&mut queue, now, Input::Tick);
            }
            Act::Plug(ecid, port, mode) => {
                bus.retain(|h| h.ecid != Ecid(*ecid) && Some(h.station) != port.map(|p| Some(u32::from(p))));
                bus.extend(port.map(|port| Here { mode: *mode, ..here(*ecid, port) }));
                tell(&mut queue, now, Input::Seen(bus.clone()));
            }
            Act::End(row, how) => {
                let end = match how {
                    0 => End::Done,
                    1 => End::Partly,
                    2 => End::Cancelled,
                    n => miss(CODES[n - 3]),
                };
                tell(&mut queue, now, Input::Ended { row: *row, end });
            }
            Act::Acted(row) => tell(&mut queue, now, Input::Acted { row: *row }),
            Act::Cancel => tell(&mut queue, now, Input::Cancel),
        }
    }
    // Nothing happens any more but the ends of what runs, as every job ends: then the batch does too.
    for _ in 0..2000 {
        if queue.is_over() {
            break;
        }
        if let Some(row) = queue.rows().iter().position(|r| r.phase == Phase::Running) {
            now += s(1);
            tell(&mut queue, now, Input::Ended { row, end: miss(Code::LinkLost) });
            continue;
        }
        now = queue.wake(now).unwrap_or_else(|| panic!("nothing runs and nothing is awaited: {:#?}", queue.rows()));
        tell(&mut queue, now, Input::Tick);
    }
    assert!(queue.is_over(), "it ends: {:#?}", queue.rows());
    assert!(ends.iter().all(|n| *n == 1));
    log
}

proptest! {
    #[test]
    fn the_laws_hold_whatever_happens(acts in acts(), limit in 1usize..9, stagger in 0u64..6, stations in 0usize..4) {
        let once = play(&acts, limit, stagger, stations);
        let again = play(&acts, limit, stagger, stations);
        prop_assert_eq!(&once, &again, "the same run twice is the same");
        let over = once.iter().filter(|o| matches!(o, Order::Over { .. })).count();
        prop_assert_eq!(over, 1);
    }
}
