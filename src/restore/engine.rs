//! A restore from whatever mode the device is in to the moment that the new system starts.
//!
//! The start stage follows from the device as it is seen now, so a restore that broke off is simply begun
//! again: from normal by command, from recovery or DFU at the boot chain, and a ramdisk that waits for
//! another host is rebooted first. Nothing is ever continued in the middle of a flash.

use super::answer::{Supplies, Web};
use super::boot::{self, Boot, Booted, Target, Waits};
use super::personalize::Components;
use super::session::{Restored, Session};
use super::ticket::{self, Sign};
use crate::device::{Consent, Deed, Device, Eyes, Normal, Restoring, State};
use crate::event::{Event, Step, Tell, Teller};
use crate::fault::{Code, Fault};
use crate::firmware::RootImage;
use crate::ids::{Bdid, BuildId, Cpid, Ecid, Mode};
use crate::mux::{self, LABEL, Lockdown};
use crate::wire::manifest::BuildIdentity;
use crate::wire::restored::{RestoreOptions, ToDevice};
use crate::wire::tss::Form;
use plist::Value;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a device may take from `EnterRecovery` to its recovery mode.
const RECOVERY: Duration = Duration::from_secs(120);

/// What is restored onto which device.
#[derive(Clone, Debug)]
pub struct RestorePlan {
    pub ecid: Ecid,
    pub cpid: Cpid,
    pub bdid: Bdid,
    pub build: BuildId,
    pub erase: bool,
}

impl RestorePlan {
    pub fn deed(&self) -> Deed {
        let build = self.build.clone();
        if self.erase { Deed::Erase { build } } else { Deed::Update { build } }
    }
}

/// Fingers on keys, for a device that takes no command: locked, not trusted, or hung.
pub trait ByHand: Send + Sync {
    /// Brings the device into recovery; the caller looks for itself whether it is there.
    ///
    /// # Errors
    /// `keys-missed`, `cancelled`, what the bus says.
    fn reach_recovery<'a>(&'a self, device: &'a Device)
    -> Pin<Box<dyn Future<Output = Result<(), Fault>> + Send + 'a>>;
}

/// All that a restore works with.
pub struct Engine {
    pub eyes: Eyes,
    /// None: nobody is there to press keys.
    pub hands: Option<Arc<dyn ByHand>>,
    pub identity: Arc<BuildIdentity>,
    pub components: Arc<dyn Components>,
    pub image: Arc<RootImage>,
    pub sign: Arc<dyn Sign>,
    pub web: Arc<dyn Web>,
    pub allowed: super::fdr::Allowed,
    pub tell: Teller,
    pub cancel: CancellationToken,
    pub waits: Waits,
}

impl Engine {
    /// Restores the device that the plan names, and no other.
    ///
    /// # Errors
    /// The stage is named in the fault; the consent is checked before anything is done.
    pub async fn restore(&self, plan: &RestorePlan, consent: &Consent) -> Result<Restored, Fault> {
        consent.covers(plan.ecid, &plan.deed())?;
        ticket::supported(plan.cpid, plan.bdid).map_err(|f| f.on(plan.ecid))?;
        if ticket::form(plan.cpid, plan.bdid) == Form::Img3 {
            let text = "the restore of 32-bit devices was tried on virtual ones only";
            self.tell.tell(Event::Warning { text: text.into() });
        }
        let booted = self.bring_to_ramdisk(plan).await.map_err(|f| f.on(plan.ecid))?;
        self.began(Step::AwaitRestore);
        let device = self
            .eyes
            .wait_for_ecid(plan.ecid, &[Mode::Restore], self.waits.restored)
            .await
            .ok_or_else(|| never(Step::AwaitRestore, "restore mode", self.waits.restored).on(plan.ecid))?;
        self.done(Step::AwaitRestore);
        let State::Restore(restoring) = &device.state else {
            return Err(Fault::new(Code::Internal, "restore mode without its state"));
        };
        self.began(Step::Restore);
        let restored = self.session(plan, restoring, booted).run().await?;
        self.done(Step::Restore);
        Ok(restored)
    }

    async fn bring_to_ramdisk(&self, plan: &RestorePlan) -> Result<Booted, Fault> {
        let wanted = [Mode::Normal, Mode::Recovery, Mode::Dfu, Mode::Restore];
        let seen = self.eyes.wait_for_ecid(plan.ecid, &wanted, RECOVERY).await;
        let device = seen.ok_or_else(|| Fault::new(Code::NoSuchDevice, format!("{} is in no mode", plan.ecid)))?;
        match &device.state {
            State::Normal(normal) => {
                self.to_recovery(&device, normal, plan.ecid).await?;
            }
            State::Restore(restoring) => self.leave_ramdisk(restoring, plan.ecid).await?,
            _ => {}
        }
        if self.cancel.is_cancelled() {
            return Err(Fault::cancelled());
        }
        boot::boot_to_restore(Boot {
            bus: Arc::clone(&self.eyes.bus),
            target: Target { ecid: plan.ecid, cpid: plan.cpid, bdid: plan.bdid },
            identity: &self.identity,
            components: Arc::clone(&self.components),
            sign: self.sign.as_ref(),
            tell: self.tell.as_ref(),
            cancel: self.cancel.clone(),
            waits: self.waits,
        })
        .await
    }

    /// By command; where the device refuses, with a person's hands.
    async fn to_recovery(&self, device: &Device, normal: &Normal, ecid: Ecid) -> Result<(), Fault> {
        let refused = match enter_recovery(&self.eyes, normal, ecid, self.tell.as_ref()).await {
            Ok(_) => return Ok(()),
            Err(fault) => fault,
        };
        let Some(hands) = self.hands.as_ref().filter(|_| by_hand_helps(refused.code)) else { return Err(refused) };
        self.tell.tell(Event::StepSkipped { step: Step::EnterRecovery, why: refused.code.to_string() });
        hands.reach_recovery(device).await.map_err(|fault| fault.during(Step::EnterRecovery).on(ecid))?;
        let back = self.eyes.wait_for_ecid(ecid, &[Mode::Recovery, Mode::Dfu], RECOVERY).await;
        back.map(drop).ok_or_else(|| never(Step::EnterRecovery, "recovery mode", RECOVERY).on(ecid))
    }

    /// A ramdisk that an earlier host left behind is rebooted into recovery.
    async fn leave_ramdisk(&self, restoring: &Restoring, ecid: Ecid) -> Result<(), Fault> {
        self.tell.tell(Event::Note { text: "rebooting the restore system of an earlier attempt".into() });
        let mut restored = Lockdown::open(&self.eyes.mux, restoring.mux.id).await.map_err(Fault::from)?;
        // It may reboot without an answer.
        let _ = restored.exchange(&Value::Dictionary(ToDevice::Reboot.build(LABEL))).await;
        let back = self.eyes.wait_for_ecid(ecid, &[Mode::Recovery, Mode::Dfu], self.waits.restored).await;
        back.map(drop).ok_or_else(|| never(Step::EnterRecovery, "recovery mode", self.waits.restored))
    }

    fn session(&self, plan: &RestorePlan, restoring: &Restoring, booted: Booted) -> Session {
        let mut options = RestoreOptions::new(plan.erase, uuid::Uuid::new_v4().to_string().to_uppercase());
        let info = self.identity.info();
        options.padding = info.get("SystemPartitionPadding").and_then(Value::as_dictionary).cloned();
        options.sep_capacity = self
            .identity
            .component("SEP")
            .and_then(|c| c.raw.get("Info").and_then(Value::as_dictionary))
            .and_then(|i| i.get("RequiredCapacity").and_then(Value::as_string))
            .map(str::to_owned);
        Session {
            mux: self.eyes.mux.clone(),
            device: restoring.mux.id,
            supplies: Arc::new(Supplies {
                ecid: plan.ecid,
                identity: Arc::clone(&self.identity),
                components: Arc::clone(&self.components),
                ticket: booted.ticket,
                recovery: Default::default(),
                slots: Default::default(),
                sign: Arc::clone(&self.sign),
                web: Arc::clone(&self.web),
            }),
            image: Arc::clone(&self.image),
            options,
            allowed: self.allowed,
            tell: Arc::clone(&self.tell),
            cancel: self.cancel.clone(),
            silence: self.waits.silence,
        }
    }

    fn began(&self, step: Step) {
        self.tell.tell(Event::StepBegan { step, what: String::new() });
    }

    fn done(&self, step: Step) {
        self.tell.tell(Event::StepDone { step, what: String::new() });
    }
}

/// Refusals of lockdown, which keys do not ask.
fn by_hand_helps(code: Code) -> bool {
    use Code::{DeviceLocked, LockdownRefused, NotTrusted, PairingStale, TrustDenied, TrustPending};
    matches!(code, DeviceLocked | LockdownRefused | NotTrusted | PairingStale | TrustDenied | TrustPending)
}

fn never(step: Step, what: &str, limit: Duration) -> Fault {
    Fault::new(Code::NeverCameBack, format!("{what} was not reached within {} s", limit.as_secs())).during(step)
}

/// Sends a device from normal mode into recovery by command, and waits until it is there.
pub async fn enter_recovery(eyes: &Eyes, normal: &Normal, ecid: Ecid, tell: &dyn Tell) -> Result<Device, Fault> {
    tell.tell(Event::StepBegan { step: Step::EnterRecovery, what: String::new() });
    let asked = mux::enter_recovery(&eyes.mux, &normal.mux, normal.who.udid.as_ref()).await;
    asked.map_err(|fault| fault.during(Step::EnterRecovery).on(ecid))?;
    let back = eyes.wait_for_ecid(ecid, &[Mode::Recovery, Mode::Dfu], RECOVERY).await;
    let back = back.ok_or_else(|| never(Step::EnterRecovery, "recovery mode", RECOVERY).on(ecid))?;
    tell.tell(Event::StepDone { step: Step::EnterRecovery, what: String::new() });
    Ok(back)
}
