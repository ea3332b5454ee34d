//! The coach on a real bus, with a real clock.
//!
//! A thread looks at the bus at every event and at least each 80 ms, and hands over what it saw with the
//! time at which it saw it; the coach runs here, and a reset that it orders goes to iBoot.

use super::Recipe;
use super::coach::{Coach, Ending, Input, Order, Sighting};
use crate::facts::modes;
use crate::fault::{Code, Fault};
use crate::ids::{Ecid, Mode, Udid};
use crate::usb::iboot::Iboot;
use crate::usb::wait::ecid_of;
use crate::usb::{Bus, UsbDevice, UsbError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

/// The longest time between two looks at the bus.
const LOOK: Duration = Duration::from_millis(80);
/// The coach's own tick.
const TICK: Duration = Duration::from_millis(50);
/// A bus that cannot be read for so long is a fault.
const BLIND: Duration = Duration::from_secs(5);
/// Without a person at a keyboard a try begins this long after the last one, and after a wake-up.
const PAUSE: Duration = Duration::from_secs(5);
const WAKE: Duration = Duration::from_secs(60);
/// iBoot's answer to a reset.
const RESET: Duration = Duration::from_secs(2);

/// What a person at a keyboard can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nudge {
    Go,
    Pause,
}

/// Around a run: where it looks and who decides.
pub struct Live {
    pub bus: Arc<dyn Bus>,
    pub cancel: CancellationToken,
    /// Nudges of a person; none: tries begin by themselves.
    pub nudges: Option<UnboundedReceiver<Nudge>>,
    /// The coach's seconds are this much shorter than real ones; 1 except on a bench that runs faster.
    pub haste: u32,
}

type Seen = Result<Vec<Sighting>, UsbError>;

/// What the coach needs of a device on the bus; none for hubs and keyboards.
fn sighting(device: &UsbDevice) -> Option<Sighting> {
    let mode = modes::of_product(device.product)?;
    let udid = device.serial.as_deref().filter(|_| mode == Mode::Normal).and_then(|s| s.parse::<Udid>().ok());
    Some(Sighting { address: device.address, mode, ecid: ecid_of(device), udid, port: device.port.clone() })
}

fn look(bus: &dyn Bus) -> Seen {
    bus.devices().map(|all| all.iter().filter_map(sighting).collect())
}

/// Looks until nobody listens any more. Only what changed is told.
fn watch(bus: &dyn Bus, out: &UnboundedSender<Seen>) {
    let events = bus.watch().ok();
    let mut last: Option<Seen> = None;
    while !out.is_closed() {
        let now = look(bus);
        if last.as_ref() != Some(&now) {
            last = Some(now.clone());
            if out.send(now).is_err() {
                return;
            }
        }
        match &events {
            Some(events) => drop(events.recv_timeout(LOOK)),
            None => std::thread::sleep(LOOK),
        }
    }
}

/// Coaches to the end: `heard` gets every order, with the milliseconds since the beginning and the way it
/// belongs to.
///
/// # Errors
/// `cancelled`; what the bus says when it cannot be read for 5 s.
pub async fn run(
    coach: &mut Coach,
    mut live: Live,
    heard: &mut (dyn FnMut(u64, &Recipe, &Order) + Send),
) -> Result<Ending, Fault> {
    let (sender, mut seen) = unbounded_channel();
    let bus = Arc::clone(&live.bus);
    std::thread::Builder::new()
        .name("guide-watch".into())
        .spawn(move || watch(bus.as_ref(), &sender))
        .map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    let haste = live.haste.max(1);
    let began = Instant::now();
    let mut waiting: Option<Instant> = None;
    let mut blind: Option<Instant> = None;
    let (resets, mut reset_done) = unbounded_channel();
    let mut ticks = tokio::time::interval(TICK / haste.min(10));
    loop {
        let now = || began.elapsed() * haste;
        let orders = tokio::select! {
            biased;
            () = live.cancel.cancelled() => return Err(Fault::cancelled()),
            Some(all) = seen.recv() => match all {
                Ok(all) => {
                    blind = None;
                    coach.step(now(), Input::Usb(&all))
                }
                Err(err) => {
                    let since = *blind.get_or_insert_with(Instant::now);
                    if since.elapsed() >= BLIND {
                        return Err(err.into());
                    }
                    Vec::new()
                }
            },
            Some(done) = reset_done.recv() => {
                coach.step(now(), if done { Input::ResetDone } else { Input::ResetFailed })
            }
            Some(nudge) = nudged(&mut live.nudges) => {
                coach.step(now(), if nudge == Nudge::Go { Input::Go } else { Input::Pause })
            }
            _ = ticks.tick() => match by_itself(coach, live.nudges.is_none(), &mut waiting, haste) {
                true => coach.step(now(), Input::Go),
                false => coach.step(now(), Input::Tick),
            },
        };
        let at = u64::try_from(now().as_millis()).unwrap_or(u64::MAX);
        let mut ending = None;
        for order in &orders {
            match order {
                Order::Reset => begin_reset(&live.bus, coach, &resets),
                Order::Done(done) => ending = Some(done.clone()),
                _ => {}
            }
            heard(at, coach.recipe(), order);
        }
        if let Some(ending) = ending {
            return Ok(ending);
        }
    }
}

async fn nudged(nudges: &mut Option<UnboundedReceiver<Nudge>>) -> Option<Nudge> {
    match nudges {
        Some(nudges) => nudges.recv().await,
        None => None,
    }
}

/// Nobody at a keyboard: is it time for the next try?
fn by_itself(coach: &Coach, alone: bool, waiting: &mut Option<Instant>, haste: u32) -> bool {
    if !alone || !coach.is_waiting() {
        *waiting = None;
        return false;
    }
    let since = *waiting.get_or_insert_with(Instant::now);
    since.elapsed() * haste >= if coach.wants_waking() { WAKE } else { PAUSE }
}

/// Sends iBoot the reset from a task of its own: the countdown goes on meanwhile.
fn begin_reset(bus: &Arc<dyn Bus>, coach: &Coach, done: &UnboundedSender<bool>) {
    let (bus, done) = (Arc::clone(bus), done.clone());
    let (address, ecid) = (coach.address(), coach.subject().ecid);
    tokio::spawn(async move {
        let reset = tokio::time::timeout(RESET, async {
            let (Some(address), Some(ecid)) = (address, ecid) else { return false };
            reset(&bus, address, ecid).await.is_ok()
        });
        let _ = done.send(reset.await.unwrap_or(false));
    });
}

async fn reset(bus: &Arc<dyn Bus>, address: crate::usb::Address, ecid: Ecid) -> Result<(), Fault> {
    let lister = Arc::clone(bus);
    let all = tokio::task::spawn_blocking(move || lister.devices()).await;
    let all = all.map_err(|e| Fault::new(Code::Internal, e.to_string()))??;
    let device = all.into_iter().find(|d| d.address == address).ok_or(UsbError::Gone)?;
    Iboot::open(bus, &device, ecid).await?.leave("reboot").await
}

/// Makes recovery start the system again by itself, so that a missed try ends with the phone as it was.
///
/// # Errors
/// What opening and iBoot give.
pub async fn prepare(bus: &Arc<dyn Bus>, device: &UsbDevice, ecid: Ecid) -> Result<(), Fault> {
    let iboot = Iboot::open(bus, device, ecid).await?;
    iboot.setenv("auto-boot", "true").await?;
    iboot.saveenv().await
}
