//! The coach, a person who follows it, and a phone whose keys behave as the bench's do: no real time passes.
//!
//! The person reacts after 0.3 s and may do one thing wrong in an attempt. The phone is the bench's own model
//! of keys (`virt::usb::hands`), so what counts as right is not the coach's opinion.

use super::*;
use crate::facts::models::{self, Buttons, Model};
use crate::ids::{Ecid, Mode, PortPath};
use crate::usb::Address;
use crate::virt::phone::Stage;
use crate::virt::usb::buttons::{Action, Key as RealKey};
use crate::virt::usb::hands::{Consequence, Sitting, consequence};
use std::time::Duration;

const DT: f32 = 0.05;
const REACTION: f32 = 0.3;
const ECID: Ecid = Ecid(0x1A2B_3C4D);

fn time(seconds: f32) -> Duration {
    Duration::from_secs_f32(seconds)
}

fn real(key: Key) -> RealKey {
    match key {
        Key::Home => RealKey::Home,
        Key::Power => RealKey::Power,
        Key::VolumeUp | Key::VolumeNear => RealKey::VolumeUp,
        Key::VolumeDown | Key::VolumeFar | Key::RemoteDown => RealKey::VolumeDown,
        Key::Menu => RealKey::Menu,
        Key::Play => RealKey::Play,
    }
}

/// What the person does wrong in the first attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Slip {
    None,
    /// Lets go of everything so many seconds into the first hold.
    LetsGoAfter(f32),
    /// Lets go of everything when the screen goes black.
    LetsGoAtBlack,
    /// Lets go of everything so many seconds after the screen went black.
    LetsGoAfterBlack(f32),
    /// At black lets go of power only.
    KeepsSecond,
    /// Holds the first hold's keys for ever.
    NeverLetsGo,
    /// Does not slide.
    ForgetsSlide,
    /// Does not tap.
    ForgetsTaps,
}

struct Phone {
    class: Buttons,
    stage: Stage,
    auto_boot: bool,
    pending: Option<(Stage, f32)>,
    sitting: Option<(Sitting, f32)>,
    number: u8,
    /// Comes back by itself after a power off.
    comes_back: bool,
    /// Whatever it is told to become, it becomes this.
    becomes: Option<Option<Stage>>,
}

impl Phone {
    fn act(&mut self, at: f32, action: Action) {
        if matches!(action, Action::Press(_) | Action::Plug)
            && self.sitting.as_ref().is_none_or(|(s, t)| s.is_over(time(at - t)))
        {
            self.sitting = Some((Sitting::new(self.class, self.stage), at));
        }
        let Some((sitting, t)) = &mut self.sitting else { return };
        if let Some(outcome) = sitting.note(time(at - *t), action) {
            self.carry_out(at, consequence(outcome, self.auto_boot), outcome);
        }
    }

    fn carry_out(&mut self, at: f32, what: Consequence, outcome: crate::virt::usb::buttons::Outcome) {
        match what {
            Consequence::Stays => {}
            Consequence::Leaves => {
                (self.stage, self.pending) = (Stage::Away, None);
                if self.comes_back && outcome == crate::virt::usb::buttons::Outcome::Off {
                    self.pending = Some((Stage::Normal, at + 5.0));
                }
            }
            Consequence::ComesBack(stage, after) => {
                self.stage = Stage::Away;
                self.pending = match self.becomes {
                    Some(None) => None,
                    Some(Some(other)) => Some((other, at + 2.0)),
                    None => Some((stage, at + after.as_secs_f32())),
                };
            }
        }
    }

    fn tick(&mut self, at: f32) {
        if let Some((stage, due)) = self.pending
            && at >= due
        {
            (self.stage, self.pending, self.number) = (stage, None, self.number + 1);
        }
        if let Some((sitting, t)) = &mut self.sitting
            && let Some(outcome) = sitting.look(time(at - *t))
        {
            self.carry_out(at, consequence(outcome, self.auto_boot), outcome);
        }
    }

    fn seen(&self, ecid: Ecid) -> Vec<Sighting> {
        let mode = match self.stage {
            Stage::Away => return Vec::new(),
            Stage::Normal => Mode::Normal,
            Stage::Dfu | Stage::Ibss => Mode::Dfu,
            Stage::Recovery | Stage::Ibec => Mode::Recovery,
            Stage::Restore => Mode::Restore,
        };
        let address = Address { bus: 1, device: self.number };
        vec![Sighting { address, mode, ecid: Some(ecid), udid: None, port: PortPath::new("1-1") }]
    }
}

struct Scene {
    phone: Phone,
    coach: Coach,
    slip: Slip,
    /// The device that answers on the port.
    ecid: Ecid,
    reset_works: bool,
    cable: bool,
    misses: Vec<(Miss, Next)>,
    notes: Vec<(f32, &'static str, String)>,
    bells: usize,
}

impl Scene {
    fn new(model: &Model, stage: Stage, aim: Aim, start: Start) -> Scene {
        let recipe = recipe(Layout::of(model), aim, start).unwrap();
        let subject = Subject { ecid: Some(ECID), udid: None, port: Some(PortPath::new("1-1")) };
        Scene {
            phone: Phone {
                class: model.buttons,
                stage,
                auto_boot: true,
                pending: None,
                sitting: None,
                number: 3,
                comes_back: false,
                becomes: None,
            },
            coach: Coach::new(recipe, subject, 3),
            slip: Slip::None,
            ecid: ECID,
            reset_works: true,
            cable: start != Start::Off,
            misses: Vec::new(),
            notes: Vec::new(),
            bells: 0,
        }
    }

    /// Until the coach is done, ten minutes at most.
    fn run(&mut self) -> (Ending, f32) {
        let mut at = 0.0;
        let mut keys: Vec<Key> = Vec::new();
        // What the hands do, and when.
        let mut plan: Vec<(f32, Action)> = Vec::new();
        let mut black: Option<f32> = None;
        let mut woken = 0.0;
        let (mut hold_began, mut frozen) = (None::<f32>, false);
        while at < 600.0 {
            self.phone.tick(at);
            let seen = if self.cable { self.phone.seen(self.ecid) } else { Vec::new() };
            let mut orders = self.coach.step(time(at), Input::Usb(&seen));
            let asleep = self.coach.wants_waking();
            woken = if asleep { woken } else { at };
            let goes = self.coach.is_waiting() && (!asleep || at - woken > 60.0);
            let input = if goes { Input::Go } else { Input::Tick };
            orders.extend(self.coach.step(time(at), input));
            if self.coach.wants_waking() && self.phone.stage == Stage::Away && self.phone.pending.is_none() {
                self.phone.pending = Some((Stage::Normal, at + 20.0));
            }
            let mut queue: std::collections::VecDeque<Order> = orders.into();
            while let Some(order) = queue.pop_front() {
                match order {
                    Order::Done(ending) => return (ending, at),
                    Order::Missed { miss, next } => {
                        self.misses.push((miss, next));
                        (self.slip, frozen, black, hold_began) = (Slip::None, false, None, None);
                        self.phone.becomes = None;
                        self.phone.comes_back = false;
                        plan.extend(keys.drain(..).map(|k| (at + REACTION, Action::Release(real(k)))));
                    }
                    Order::Reset => {
                        let again = self.reset(at);
                        queue.extend(self.coach.step(time(at), again));
                    }
                    Order::Bell => self.bells += 1,
                    Order::Note { what, detail } => self.notes.push((at, what, detail)),
                    Order::Show(View { what: What::Step { keys: wanted, until, deed, .. }, .. }) if !frozen => {
                        let then = at + REACTION;
                        match deed {
                            Deed::CableIn if !self.cable => plan.push((then + 0.5, Action::Plug)),
                            Deed::Slide if self.slip != Slip::ForgetsSlide => plan.push((then + 1.0, Action::Slide)),
                            _ => {}
                        }
                        if until == Until::Tap {
                            if self.slip == Slip::ForgetsTaps || keys == wanted {
                                continue;
                            }
                            plan.extend(wanted.iter().flat_map(|k| {
                                [(then, Action::Press(real(*k))), (then + 0.3, Action::Release(real(*k)))]
                            }));
                            keys = wanted;
                            continue;
                        }
                        let down: Vec<Key> = if hold_began.is_none() { Vec::new() } else { keys.clone() };
                        plan.extend(
                            down.iter().filter(|k| !wanted.contains(k)).map(|k| (then, Action::Release(real(*k)))),
                        );
                        plan.extend(
                            wanted.iter().filter(|k| !down.contains(k)).map(|k| (then, Action::Press(real(*k)))),
                        );
                        if hold_began.is_none() && !wanted.is_empty() {
                            hold_began = Some(then);
                        }
                        keys = wanted;
                    }
                    Order::Show(_) => {}
                }
            }
            // The slip of this attempt.
            if self.phone.stage == Stage::Away && hold_began.is_some() && black.is_none() {
                black = Some(at);
            }
            let since_hold = hold_began.map(|t| at - t);
            let since_black = black.map(|t| at - t);
            let drop_all = match self.slip {
                Slip::LetsGoAfter(s) => since_hold.is_some_and(|t| t >= s),
                Slip::LetsGoAtBlack => since_black.is_some(),
                Slip::LetsGoAfterBlack(s) => since_black.is_some_and(|t| t >= s),
                _ => false,
            };
            if drop_all && !frozen {
                frozen = true;
                plan.retain(|(_, a)| !matches!(a, Action::Press(_)));
                plan.extend(keys.drain(..).map(|k| (at, Action::Release(real(k)))));
            }
            if self.slip == Slip::KeepsSecond && black.is_some() && !frozen {
                frozen = true;
                plan.retain(|(_, a)| !matches!(a, Action::Release(_)));
                plan.push((at + REACTION, Action::Release(RealKey::Power)));
            }
            if self.slip == Slip::NeverLetsGo && since_black.is_some() {
                frozen = true;
                plan.retain(|(_, a)| !matches!(a, Action::Release(_)));
            }
            plan.sort_by(|a, b| a.0.total_cmp(&b.0));
            while plan.first().is_some_and(|(t, _)| *t <= at) {
                let (_, action) = plan.remove(0);
                self.cable |= action == Action::Plug;
                self.phone.act(at, action);
            }
            at += DT;
        }
        panic!("ten minutes and no end: {:?} {:?}", self.misses, self.notes);
    }

    /// iBoot resets while the keys are held.
    fn reset(&mut self, at: f32) -> Input<'static> {
        if !self.reset_works {
            return Input::ResetFailed;
        }
        assert_eq!(self.phone.stage, Stage::Recovery, "only iBoot can be told to reset");
        self.phone.carry_out(at, Consequence::Leaves, crate::virt::usb::buttons::Outcome::Black);
        let boots = if self.phone.auto_boot { Stage::Normal } else { Stage::Recovery };
        self.phone.pending = Some((boots, at + 20.0));
        if let Some((sitting, t)) = &mut self.phone.sitting {
            sitting.note(time(at - *t), Action::Reset);
        }
        Input::ResetDone
    }
}

/// One model of each class.
fn classes() -> Vec<&'static Model> {
    [
        "iphone5s",
        "iPhone8,1",
        "iPhone9,1",
        "iPod9,1",
        "iphone8",
        "iphone13",
        "iPad12,1",
        "iPad16,3",
        "iPad14,1",
        "AppleTV5,3",
        "AppleTV3,1",
    ]
    .iter()
    .map(|name| models::by_nickname(name).unwrap_or_else(|| panic!("{name}")))
    .collect()
}

fn stages(aim: Aim, start: Start) -> &'static [Stage] {
    match (aim, start) {
        (_, Start::Assisted) => &[Stage::Recovery],
        (_, Start::Off) => &[Stage::Away],
        (Aim::Exit, _) => &[Stage::Recovery, Stage::Dfu],
        (Aim::Off, _) => &[Stage::Normal],
        (Aim::Restart, _) => &[Stage::Normal, Stage::Recovery],
        (Aim::Recovery, _) => &[Stage::Normal, Stage::Dfu],
        (Aim::Dfu, _) => &[Stage::Normal, Stage::Recovery],
    }
}

#[test]
fn every_class_reaches_every_aim_at_the_first_try() {
    let mut runs = 0;
    for model in classes() {
        for aim in Aim::ALL {
            for start in [Start::On, Start::Off, Start::Assisted] {
                if recipe(Layout::of(model), aim, start).is_none() {
                    continue;
                }
                for stage in stages(aim, start) {
                    let mut scene = Scene::new(model, *stage, aim, start);
                    let (ending, at) = scene.run();
                    let wanted = match aim {
                        Aim::Restart | Aim::Exit => Ending::Reached(Mode::Normal),
                        Aim::Off => Ending::Off,
                        Aim::Recovery => Ending::Reached(Mode::Recovery),
                        Aim::Dfu => Ending::Reached(Mode::Dfu),
                    };
                    let case = format!("{} {aim:?} {start:?} {stage:?}", model.name);
                    assert_eq!(ending, wanted, "{case}: {:?} {:#?}", scene.misses, scene.notes);
                    assert!(scene.misses.is_empty(), "{case}: {:?}", scene.misses);
                    assert!(scene.bells > 1 && at < 60.0, "{case}: {at} s, {} bells", scene.bells);
                    runs += 1;
                }
            }
        }
    }
    assert!(runs > 80, "{runs}");
}

/// Each miss that the bus can show, then a second try that works.
#[test]
fn every_miss_is_named_and_the_next_try_works() {
    use Slip::*;
    let table = [
        // DFU from a running system
        ("iphone5s", Aim::Dfu, Start::On, LetsGoAfter(5.0), Miss::NeverReset, Next::Again),
        ("iphone5s", Aim::Dfu, Start::On, LetsGoAtBlack, Miss::WentTooFar, Next::Shift(-1)),
        ("iphone5s", Aim::Dfu, Start::On, LetsGoAfterBlack(2.5), Miss::Dark, Next::Wake),
        ("iphone5s", Aim::Dfu, Start::On, NeverLetsGo, Miss::ReachedRecovery, Next::Assisted),
        ("iPhone9,1", Aim::Dfu, Start::On, NeverLetsGo, Miss::ReachedRecovery, Next::Assisted),
        ("iphone13", Aim::Dfu, Start::On, ForgetsTaps, Miss::NeverReset, Next::Again),
        ("iphone13", Aim::Dfu, Start::On, LetsGoAfter(6.0), Miss::NeverReset, Next::Again),
        ("iphone13", Aim::Dfu, Start::On, LetsGoAtBlack, Miss::WentTooFar, Next::Shift(-1)),
        ("iphone13", Aim::Dfu, Start::On, LetsGoAfterBlack(6.5), Miss::Dark, Next::Wake),
        ("iphone13", Aim::Dfu, Start::On, NeverLetsGo, Miss::ReachedRecovery, Next::Assisted),
        ("iPad16,3", Aim::Dfu, Start::On, NeverLetsGo, Miss::ReachedRecovery, Next::Assisted),
        ("iPad16,3", Aim::Dfu, Start::On, LetsGoAtBlack, Miss::WentTooFar, Next::Shift(-1)),
        // DFU with this tool's reset
        ("iphone13", Aim::Dfu, Start::Assisted, LetsGoAtBlack, Miss::WentTooFar, Next::ByHand),
        ("iphone5s", Aim::Dfu, Start::Assisted, NeverLetsGo, Miss::ReachedRecovery, Next::Assisted),
        // Recovery
        ("iphone5s", Aim::Recovery, Start::On, LetsGoAfterBlack(3.0), Miss::LetGoEarly, Next::Again),
        ("iphone5s", Aim::Recovery, Start::On, KeepsSecond, Miss::ReachedDfu, Next::Again),
        ("iphone5s", Aim::Recovery, Start::On, LetsGoAfter(4.0), Miss::NeverReset, Next::Again),
        ("iphone13", Aim::Recovery, Start::On, LetsGoAfterBlack(2.0), Miss::LetGoEarly, Next::Again),
        ("iphone13", Aim::Recovery, Start::On, ForgetsTaps, Miss::NeverReset, Next::Again),
        // Restart
        ("iphone5s", Aim::Restart, Start::On, NeverLetsGo, Miss::ReachedRecovery, Next::Again),
        ("iphone5s", Aim::Restart, Start::On, KeepsSecond, Miss::ReachedDfu, Next::Again),
        ("iphone13", Aim::Restart, Start::On, NeverLetsGo, Miss::ReachedRecovery, Next::Again),
        ("iphone13", Aim::Restart, Start::On, LetsGoAfter(3.0), Miss::NeverReset, Next::Again),
        // Off
        ("iphone13", Aim::Off, Start::On, ForgetsSlide, Miss::StillOn, Next::Again),
        ("iPad12,1", Aim::Off, Start::On, ForgetsSlide, Miss::StillOn, Next::Again),
    ];
    for (name, aim, start, slip, miss, next) in table {
        let model = models::by_nickname(name).unwrap();
        let stage = stages(aim, start)[0];
        let mut scene = Scene::new(model, stage, aim, start);
        scene.slip = slip;
        let (ending, _) = scene.run();
        let case = format!("{name} {aim:?} {start:?} {slip:?}");
        assert_eq!(scene.misses.first(), Some(&(miss, next)), "{case}: {ending:?} {:#?}", scene.notes);
        assert!(!matches!(ending, Ending::Missed(_)), "{case}: {ending:?} {:?} {:#?}", scene.misses, scene.notes);
    }
}

#[test]
fn what_no_second_try_helps_ends_at_once() {
    // A system that does not start: recovery comes again and again.
    let mut scene = Scene::new(models::by_nickname("iphone13").unwrap(), Stage::Recovery, Aim::Exit, Start::On);
    scene.phone.auto_boot = false;
    assert_eq!(scene.run().0, Ending::Missed(Miss::Loop));
    // Off, and back by itself each time: tries end.
    let mut scene = Scene::new(models::by_nickname("iphone13").unwrap(), Stage::Normal, Aim::Off, Start::On);
    scene.phone.comes_back = true;
    assert_eq!((scene.run().0, scene.misses[0].0), (Ending::Off, Miss::CameBack));
    // Nothing ever comes back, however often it is woken.
    let mut scene = Scene::new(models::by_nickname("iphone5s").unwrap(), Stage::Normal, Aim::Restart, Start::On);
    scene.phone.becomes = Some(None);
    let (ending, _) = scene.run();
    assert_eq!((scene.misses[0], ending), ((Miss::Dark, Next::Wake), Ending::Reached(Mode::Normal)));
}

#[test]
fn a_reset_that_iboot_refuses_is_done_by_hand() {
    let mut scene = Scene::new(models::by_nickname("iphone13").unwrap(), Stage::Recovery, Aim::Dfu, Start::Assisted);
    scene.reset_works = false;
    let (ending, _) = scene.run();
    assert_eq!(scene.misses, [(Miss::NoReset, Next::ByHand)]);
    assert_eq!(ending, Ending::Reached(Mode::Dfu));
}

#[test]
fn another_device_on_the_port_is_never_a_success() {
    let mut scene = Scene::new(models::by_nickname("iphone13").unwrap(), Stage::Normal, Aim::Dfu, Start::On);
    scene.ecid = Ecid(0xBAD);
    let (ending, _) = scene.run();
    assert!(matches!(ending, Ending::Missed(_)), "{ending:?}");
    assert!(scene.notes.iter().any(|(_, what, _)| *what == "stranger"));
}

/// A dead phone: nothing is known, and the next one that shows in the right mode is it.
#[test]
fn a_device_nobody_saw_before_is_known_by_its_arrival() {
    let model = models::by_nickname("iphone13").unwrap();
    let recipe = recipe(Layout::of(model), Aim::Dfu, Start::On).unwrap();
    let mut coach = Coach::new(recipe, Subject::default(), 1);
    let sighting = |device, mode, ecid| Sighting {
        address: Address { bus: 1, device },
        mode,
        ecid: Some(Ecid(ecid)),
        udid: None,
        port: PortPath::new(format!("1-{device}")),
    };
    let other = sighting(9, Mode::Dfu, 9);
    coach.step(time(0.0), Input::Usb(std::slice::from_ref(&other)));
    coach.step(time(0.1), Input::Go);
    for tick in 0..300 {
        let orders = coach.step(time(0.2 + tick as f32 * DT), Input::Tick);
        assert!(!orders.iter().any(|o| matches!(o, Order::Done(_))), "the other one was there before");
    }
    let orders = coach.step(time(16.0), Input::Usb(&[other, sighting(4, Mode::Dfu, 4)]));
    assert!(orders.contains(&Order::Done(Ending::Reached(Mode::Dfu))), "{orders:?}");
    assert_eq!(coach.subject().ecid, Some(Ecid(4)));
}

/// A device on the one port that all of these watch.
fn seen(device: u8, mode: Mode, ecid: Option<Ecid>) -> Sighting {
    Sighting { address: Address { bus: 1, device }, mode, ecid, udid: None, port: PortPath::new("1-1") }
}

#[test]
fn a_device_that_tells_its_ecid_late_counts_when_it_does() {
    let model = models::by_nickname("iphone5s").unwrap();
    let recipe = recipe(Layout::of(model), Aim::Dfu, Start::On).unwrap();
    let subject = Subject { ecid: Some(ECID), udid: None, port: Some(PortPath::new("1-1")) };
    let mut coach = Coach::new(recipe, subject, 1);
    let done = |orders: &[Order]| orders.iter().any(|o| matches!(o, Order::Done(_)));
    coach.step(time(0.0), Input::Usb(&[seen(1, Mode::Normal, Some(ECID))]));
    coach.step(time(0.0), Input::Go);
    coach.step(time(3.1), Input::Tick);
    coach.step(time(11.0), Input::Usb(&[]));
    assert!(!done(&coach.step(time(13.0), Input::Usb(&[seen(2, Mode::Dfu, None)]))));
    assert!(!done(&coach.step(time(13.2), Input::Usb(&[seen(2, Mode::Dfu, Some(Ecid(0xBAD)))]))), "a stranger");
    coach.step(time(13.4), Input::Usb(&[]));
    assert!(!done(&coach.step(time(13.5), Input::Usb(&[seen(3, Mode::Dfu, None)]))));
    assert!(done(&coach.step(time(15.6), Input::Tick)), "the port decides where nothing can be read");
}

#[test]
fn a_pause_costs_no_try_and_the_next_step_is_told_a_second_ahead() {
    let model = models::by_nickname("iphone13").unwrap();
    let recipe = recipe(Layout::of(model), Aim::Dfu, Start::On).unwrap();
    let subject = Subject { ecid: Some(ECID), udid: None, port: Some(PortPath::new("1-1")) };
    let mut coach = Coach::new(recipe, subject, 1);
    let here = Sighting {
        address: Address { bus: 1, device: 1 },
        mode: Mode::Normal,
        ecid: Some(ECID),
        udid: None,
        port: PortPath::new("1-1"),
    };
    coach.step(time(0.0), Input::Usb(&[here]));
    coach.step(time(0.0), Input::Go);
    coach.step(time(4.0), Input::Tick);
    coach.step(time(4.5), Input::Pause);
    assert!(coach.is_waiting());
    coach.step(time(20.0), Input::Go);
    let mut soon = Vec::new();
    for tick in 0..300 {
        let at = 20.0 + tick as f32 * DT;
        for order in coach.step(time(at), Input::Tick) {
            match order {
                Order::Show(View { what: What::Step { index: 2, left, soon: Some(next), .. }, .. }) => {
                    soon.push((left, next))
                }
                Order::Done(_) => panic!("a pause is no try"),
                _ => {}
            }
        }
    }
    assert_eq!(soon[0], (Some(1), vec![Key::Power, Key::VolumeDown]));
}

#[test]
fn a_mode_that_no_keys_lead_to_ends_the_tries() {
    let recipe = recipe(Layout::of(models::by_nickname("iPhone17,3").unwrap()), Aim::Dfu, Start::On).unwrap();
    let subject = Subject { ecid: Some(ECID), udid: None, port: Some(PortPath::new("1-1")) };
    let mut coach = Coach::new(recipe, subject, 3);
    coach.step(time(0.0), Input::Usb(&[seen(1, Mode::Normal, Some(ECID))]));
    coach.step(time(0.0), Input::Go);
    coach.step(time(3.1), Input::Tick);
    coach.step(time(14.0), Input::Usb(&[]));
    // Port DFU tells the ECID of its controller, so the port is all there is to go by.
    coach.step(time(15.0), Input::Usb(&[seen(2, Mode::PortDfu, None)]));
    let orders = coach.step(time(17.5), Input::Tick);
    let ending = Ending::Missed(Miss::Elsewhere(Mode::PortDfu));
    assert!(orders.contains(&Order::Done(ending)), "{orders:?}");
    assert!(coach.step(time(18.0), Input::Go).is_empty(), "over is over");
}
