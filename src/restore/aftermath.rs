//! After a failure: where is the device now?
//!
//! What a person does next depends on it more than on the cause. A device that gave up goes into recovery by itself
//! within a minute, so the look waits until it has settled; one that stays in its restore system, or away, is told
//! as it is. Failures before the device was touched by us have no such question.

use crate::device::Eyes;
use crate::event::Step;
use crate::fault::{Code, DeviceState, Fault, Standing};
use crate::ids::{Ecid, Mode};
use std::time::Duration;

/// Modes that a device does not leave by itself.
const SETTLED: &[Mode] = &[Mode::Normal, Mode::Recovery, Mode::Dfu, Mode::Wtf, Mode::PortDfu, Mode::Kis];
const PASSING: &[Mode] = &[Mode::Restore, Mode::Unknown];
/// The stages in which we have led the device out of its system, and restored has not begun.
const ON_THE_WAY: &[Step] =
    &[Step::EnterRecovery, Step::BootIbss, Step::BootIbec, Step::BootRamdisk, Step::AwaitRestore];

/// The fault with the state of the device in it, where a restore has one; looks for it for at most `settle`.
pub async fn where_it_is(eyes: &Eyes, ecid: Ecid, fault: Fault, settle: Duration) -> Fault {
    let fault = on_the_way(fault);
    if fault.restore.is_none() {
        return fault;
    }
    let settled = eyes.wait_for_ecid(ecid, SETTLED, settle).await;
    let seen = match settled {
        Some(device) => Some(device),
        None => eyes.wait_for_ecid(ecid, PASSING, Duration::ZERO).await,
    };
    fault.seen_in(seen.map(|device| device.mode()))
}

/// A failure between the device's own system and restored: this attempt has written nothing.
fn on_the_way(fault: Fault) -> Fault {
    let ours = ON_THE_WAY.iter().any(|step| fault.stage.as_deref() == Some(step.as_str()));
    if ours && fault.code != Code::Cancelled {
        return fault.standing(Standing { device_state: DeviceState::Untouched, ..Standing::default() });
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::SeenIn;
    use crate::mux::{Mux, MuxAddress};
    use crate::restore::rig::Rig;
    use crate::virt::phone::Stage;
    use crate::virt::spec::PhoneSpec;
    use std::sync::Arc;

    async fn told(stage: Stage, fault: Fault) -> (Option<DeviceState>, Option<SeenIn>) {
        let rig = Rig::new(PhoneSpec::default());
        rig.phone.enter(stage);
        let eyes = Eyes::new(Arc::clone(&rig.bus), Mux::new(MuxAddress::Unix("/nowhere".into())), true);
        let fault = where_it_is(&eyes, rig.phone.ecid, fault, Duration::from_millis(300)).await;
        let standing = fault.restore.as_deref();
        (standing.map(|s| s.device_state), standing.and_then(|s| s.mode))
    }

    fn fault(step: Step) -> Fault {
        Fault::new(Code::BootRefused, "x").during(step)
    }

    #[tokio::test]
    async fn a_device_is_looked_for_only_where_we_have_led_it() {
        let untouched = Some(DeviceState::Untouched);
        assert_eq!(told(Stage::Recovery, fault(Step::BootIbec)).await, (untouched, Some(SeenIn::Recovery)));
        assert_eq!(told(Stage::Dfu, fault(Step::BootIbss)).await, (untouched, Some(SeenIn::Dfu)));
        assert_eq!(told(Stage::Away, fault(Step::AwaitRestore)).await, (untouched, Some(SeenIn::Gone)));
        assert_eq!(told(Stage::Recovery, fault(Step::Ticket)).await, (None, None));
        assert_eq!(told(Stage::Recovery, Fault::cancelled().during(Step::BootIbec)).await, (None, None));
        let erased = Standing { device_state: DeviceState::HalfErased, ..Standing::default() };
        let deeper = fault(Step::Restore).standing(erased);
        assert_eq!(told(Stage::Recovery, deeper).await, (Some(DeviceState::HalfErased), Some(SeenIn::Recovery)));
    }
}
