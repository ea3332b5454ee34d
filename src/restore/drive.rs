//! The driver: performs what the machine orders, and tells it what came of it.
//!
//! One thing is under way at a time, an action or the look for the device; beside it run the clock and the ear for a
//! wish to stop. Each action is noted before it is begun; where that fails it is not begun.

use super::boot::{Boot, Booted, Chain, Target, Waits};
use super::engine::{Engine, RestorePlan, enter_recovery, never};
use super::im4r::{self, Slots};
use super::machine::{Action, Input, Machine, Order, Patience, Stop};
use super::rescue;
use super::session::Restored;
use crate::device::{Device, State};
use crate::event::{Event, Step};
use crate::fault::{Code, Fault};
use crate::ids::Mode;
use crate::mux::{LABEL, Lockdown};
use crate::wire::restored::ToDevice;
use plist::Value;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use tokio::time::Instant;

/// Writes down what is about to be done, onto the medium.
pub type Note<'n> = dyn FnMut(Action) -> Result<(), Fault> + Send + 'n;

/// What one action leaves for the next.
#[derive(Default)]
struct Walk<'a> {
    seen: Option<Device>,
    chain: Option<Chain<'a>>,
    booted: Option<Booted>,
    /// Told in normal mode only.
    slots: Slots,
    restored: Option<Restored>,
}

type Work<'a> = Pin<Box<dyn Future<Output = (Walk<'a>, Input)> + Send + 'a>>;

/// One restore on its way.
pub(super) struct Drive<'a> {
    pub engine: &'a Engine,
    pub plan: &'a RestorePlan,
}

impl<'a> Drive<'a> {
    pub async fn run(&self, note: &mut Note<'_>) -> Result<Restored, Fault> {
        let (engine, plan) = (self.engine, self.plan);
        let mut machine = Machine::new(plan.ecid, plan.erase, engine.hands.is_some(), patience(&engine.waits));
        let begun = Instant::now();
        let (mut walk, mut stop_heard, mut refused) = (Walk::default(), false, None);
        loop {
            let mut work = self.work(&machine, walk);
            let mut left = None;
            let orders = loop {
                let wake = begun + machine.wake().unwrap_or_default();
                let orders = tokio::select! {
                    (back, input) = &mut work => {
                        left = Some(back);
                        if let Input::Failed(fault) = &input {
                            refused = Some(fault.code);
                        }
                        machine.step(begun.elapsed(), input)
                    }
                    () = engine.cancel.cancelled(), if !stop_heard => {
                        stop_heard = true;
                        machine.step(begun.elapsed(), Input::Stop)
                    }
                    () = tokio::time::sleep_until(wake) => machine.step(begun.elapsed(), Input::Tick),
                };
                let goes_on = |order: &Order| matches!(order, Order::Tell(_));
                if left.is_none() && orders.iter().all(goes_on) {
                    orders.iter().for_each(|order| self.tell(order));
                    continue;
                }
                break orders;
            };
            drop(work);
            walk = left.unwrap_or_default();
            let mut orders = VecDeque::from(orders);
            while let Some(order) = orders.pop_front() {
                match order {
                    Order::Journal(action) => {
                        if let Err(fault) = note(action) {
                            orders = machine.step(begun.elapsed(), Input::Failed(fault)).into();
                        }
                    }
                    Order::Do(Action::ByHand) => {
                        let why = refused.map(|code: Code| code.to_string()).unwrap_or_default();
                        engine.tell.tell(Event::StepSkipped { step: Step::EnterRecovery, why });
                    }
                    Order::Do(_) => {}
                    Order::Tell(_) => self.tell(&order),
                    Order::Finish(Ok(())) => return Ok(walk.restored.unwrap_or_default()),
                    Order::Finish(Err(fault)) => return Err(fault.on(plan.ecid)),
                }
            }
        }
    }

    /// What the machine is at: its action, or the look for the device.
    fn work(&self, machine: &Machine, mut walk: Walk<'a>) -> Work<'a> {
        let (engine, plan) = (self.engine, self.plan);
        if let Some(action) = machine.action() {
            return Box::pin(async move {
                let done = act(engine, plan, action, &mut walk).await;
                (walk, done.map_or_else(Input::Failed, |()| Input::Done))
            });
        }
        let modes = machine.awaited();
        let awaits_restored = walk.booted.is_some();
        Box::pin(async move {
            if awaits_restored {
                engine.began(Step::AwaitRestore);
            }
            // The machine's patience ends this, not the limit.
            let device = loop {
                if let Some(found) = engine.eyes.wait_for_ecid(plan.ecid, modes, engine.waits.into_recovery).await {
                    break found;
                }
            };
            let rom = matches!(&device.state, State::Dfu(iboot) if iboot.rom);
            let input = Input::Seen { ecid: device.who().ecid, mode: device.mode(), rom };
            if awaits_restored && device.mode() == Mode::Restore {
                engine.done(Step::AwaitRestore);
            }
            walk.seen = Some(device);
            (walk, input)
        })
    }

    fn tell(&self, order: &Order) {
        if let Order::Tell(Stop::NotNow) = order {
            let text = "a restore cannot stop half way: the device would not start until it is restored again";
            self.engine.tell.tell(Event::Warning { text: text.into() });
        }
    }
}

async fn act<'a>(engine: &'a Engine, plan: &'a RestorePlan, action: Action, walk: &mut Walk<'a>) -> Result<(), Fault> {
    match (action, walk.seen.as_ref().map(|device| &device.state)) {
        (Action::EnterRecovery, Some(State::Normal(normal))) => {
            if im4r::needs_slots(&engine.identity) {
                walk.slots = Slots::ask(&engine.eyes.mux, normal.mux.id).await;
            }
            let limit = engine.waits.into_recovery;
            enter_recovery(&engine.eyes, normal, plan.ecid, limit, engine.tell.as_ref()).await.map(drop)
        }
        (Action::KeepData, Some(State::Normal(normal))) => engine.keep_data(normal, plan.ecid).await,
        (Action::ByHand, _) => {
            let (Some(hands), Some(device)) = (&engine.hands, &walk.seen) else { return Err(lost(action)) };
            hands.reach_recovery(device).await?;
            back_in_recovery(engine, plan).await
        }
        (Action::RebootRamdisk, Some(State::Restore(restoring))) => {
            engine.tell.tell(Event::Note { text: "rebooting the restore system of an earlier attempt".into() });
            let mut restored = Lockdown::open(&engine.eyes.mux, restoring.mux.id).await.map_err(Fault::from)?;
            // It may reboot without an answer.
            let _ = restored.exchange(&Value::Dictionary(ToDevice::Reboot.build(LABEL))).await;
            back_in_recovery(engine, plan).await
        }
        (Action::BootIbss | Action::BootIbec, _) => {
            let chain = match &mut walk.chain {
                Some(chain) => chain,
                none => none.insert(Chain::begin(boot(engine, plan)).await?),
            };
            if action == Action::BootIbss { chain.boot_ibss().await } else { chain.boot_ibec().await }
        }
        (Action::BootRamdisk, _) => {
            let chain = walk.chain.as_mut().ok_or_else(|| lost(action))?;
            walk.booted = Some(chain.boot_ramdisk().await?);
            walk.chain = None;
            Ok(())
        }
        (Action::Session { erase }, Some(State::Restore(restoring))) => {
            let booted = walk.booted.take().ok_or_else(|| lost(action))?;
            engine.began(Step::Restore);
            walk.restored = Some(engine.session(plan, erase, restoring, booted, walk.slots).run().await?);
            engine.done(Step::Restore);
            Ok(())
        }
        (Action::Rescue, _) => {
            walk.chain = None;
            engine.began(Step::LeaveRecovery);
            let led = rescue::out_of_recovery(&engine.eyes.bus, plan.ecid, engine.tell.as_ref()).await;
            match &led {
                Ok(()) => engine.done(Step::LeaveRecovery),
                Err(fault) => {
                    let text = format!("the device could not be led back to its own system: {}", fault.detail);
                    engine.tell.tell(Event::Warning { text });
                }
            }
            led
        }
        (Action::KeepData | Action::EnterRecovery | Action::RebootRamdisk | Action::Session { .. }, _) => {
            Err(lost(action))
        }
    }
}

fn lost(action: Action) -> Fault {
    Fault::new(Code::Internal, format!("nothing to do {action:?} with"))
}

async fn back_in_recovery(engine: &Engine, plan: &RestorePlan) -> Result<(), Fault> {
    let limit = engine.waits.into_recovery;
    let back = engine.eyes.wait_for_ecid(plan.ecid, &[Mode::Recovery, Mode::Dfu], limit).await;
    back.map(drop).ok_or_else(|| never(Step::EnterRecovery, "recovery mode", limit))
}

fn boot<'a>(engine: &'a Engine, plan: &RestorePlan) -> Boot<'a> {
    Boot {
        bus: Arc::clone(&engine.eyes.bus),
        target: Target { ecid: plan.ecid, cpid: plan.cpid, bdid: plan.bdid },
        identity: &engine.identity,
        components: Arc::clone(&engine.components),
        sign: engine.sign.as_ref(),
        tell: engine.tell.as_ref(),
        cancel: engine.cancel.clone(),
        waits: engine.waits,
    }
}

/// The machine's patience is for what its parts do not end themselves, and for a device that stays away.
fn patience(waits: &Waits) -> Patience {
    Patience { find: waits.into_recovery, restored: waits.restored, ..Patience::default() }
}
