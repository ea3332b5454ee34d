//! A restore from whatever mode the device is in to the moment that the new system starts.
//!
//! The start follows from the device as it is seen now (`machine`), so a restore that broke off is simply begun again.
//! Nothing is ever continued in the middle of a flash. Here is what a restore is made of; `drive` goes through it.

use super::answer::{Supplies, Web};
use super::boot::{Booted, Waits};
use super::drive::{Drive, Note};
use super::im4r::Slots;
use super::personalize::Components;
use super::session::{Restored, Session};
use super::stashbag::Keeper;
use super::ticket::{self, Sign};
use crate::device::{Consent, Deed, Device, Eyes, Normal, Restoring};
use crate::event::{Event, Step, Tell, Teller};
use crate::fault::{Code, Fault};
use crate::firmware::RootImage;
use crate::ids::{Bdid, BuildId, Cpid, Ecid, Mode};
use crate::mux;
use crate::wire::manifest::BuildIdentity;
use crate::wire::restored::RestoreOptions;
use crate::wire::tss::Form;
use plist::Value;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

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
    /// For the passcode that an update takes.
    pub stashbag: super::stashbag::Patience,
}

impl Engine {
    /// Restores the device that the plan names, and no other. `note` is told each action before it is begun.
    ///
    /// # Errors
    /// The stage is named in the fault; the consent is checked before anything is done.
    pub async fn restore(&self, plan: &RestorePlan, consent: &Consent, note: &mut Note<'_>) -> Result<Restored, Fault> {
        consent.covers(plan.ecid, &plan.deed())?;
        ticket::supported(plan.cpid, plan.bdid).map_err(|f| f.on(plan.ecid))?;
        if ticket::form(plan.cpid, plan.bdid) == Form::Img3 {
            let text = "the restore of 32-bit devices was tried on virtual ones only";
            self.tell.tell(Event::Warning { text: text.into() });
        }
        Drive { engine: self, plan }.run(note).await
    }

    /// The stashbag, while the device is still in its own system.
    pub(super) async fn keep_data(&self, normal: &Normal, ecid: Ecid) -> Result<(), Fault> {
        let (tell, cancel) = (self.tell.as_ref(), &self.cancel);
        let keeper = Keeper { mux: &self.eyes.mux, normal, ecid, tell, cancel, patience: self.stashbag };
        keeper.keep_data(&self.identity, self.sign.as_ref()).await.map(drop)
    }

    pub(super) fn session(
        &self,
        plan: &RestorePlan,
        erase: bool,
        restoring: &Restoring,
        booted: Booted,
        slots: Slots,
    ) -> Session {
        let mut options = RestoreOptions::new(erase, uuid::Uuid::new_v4().to_string().to_uppercase());
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
                slots,
                sign: Arc::clone(&self.sign),
                web: Arc::clone(&self.web),
            }),
            image: Arc::clone(&self.image),
            options,
            allowed: self.allowed,
            tell: Arc::clone(&self.tell),
            silence: self.waits.silence,
        }
    }

    pub(super) fn began(&self, step: Step) {
        self.tell.tell(Event::StepBegan { step, what: String::new() });
    }

    pub(super) fn done(&self, step: Step) {
        self.tell.tell(Event::StepDone { step, what: String::new() });
    }
}

pub(super) fn never(step: Step, what: &str, limit: Duration) -> Fault {
    Fault::new(Code::NeverCameBack, format!("{what} was not reached within {} s", limit.as_secs())).during(step)
}

/// Sends a device from normal mode into recovery by command, and waits until it is there.
pub async fn enter_recovery(
    eyes: &Eyes,
    normal: &Normal,
    ecid: Ecid,
    limit: Duration,
    tell: &dyn Tell,
) -> Result<Device, Fault> {
    tell.tell(Event::StepBegan { step: Step::EnterRecovery, what: String::new() });
    let asked = mux::enter_recovery(&eyes.mux, &normal.mux, normal.who.udid.as_ref()).await;
    asked.map_err(|fault| fault.during(Step::EnterRecovery).on(ecid))?;
    let back = eyes.wait_for_ecid(ecid, &[Mode::Recovery, Mode::Dfu], limit).await;
    let back = back.ok_or_else(|| never(Step::EnterRecovery, "recovery mode", limit).on(ecid))?;
    tell.tell(Event::StepDone { step: Step::EnterRecovery, what: String::new() });
    Ok(back)
}
