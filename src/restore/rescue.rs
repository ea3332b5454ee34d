//! Out of recovery, and nothing else.
//!
//! A restore sets `auto-boot` to false before it does anything that could leave a half-booted phone, so
//! after a failure the phone sits in recovery for ever, however healthy its system is. This is the way
//! back: it writes one variable and reboots. It erases nothing, so it needs no consent. Whether it was the
//! way back is only seen afterwards: a phone whose system is damaged comes straight into recovery again, and
//! that has a name of its own, for no third reboot will mend it.

use crate::event::{Event, Tell};
use crate::facts::modes;
use crate::fault::{Code, Fault};
use crate::ids::{Ecid, Mode};
use crate::usb::iboot::Iboot;
use crate::usb::wait::{Verdict, Watch, Who};
use crate::usb::{Bus, UsbDevice};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long the device may take to be seen, to leave after `reboot`, and to start its system.
const FIND: Duration = Duration::from_secs(10);
const LEAVE: Duration = Duration::from_secs(30);
const START: Duration = Duration::from_secs(180);
/// A boot that fails is back in iBoot's console within this; later, somebody may have held keys.
const LOOP: Duration = Duration::from_secs(120);

/// What is known of a device that sits in recovery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    /// iBoot's `auto-boot` before anything was written; none when it does not tell.
    pub auto_boot: Option<bool>,
    /// It was sent here on purpose: by command, or by a person with keys.
    pub sent: bool,
    /// Told to start its system, it was back in recovery after so long.
    pub back_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryLoop {
    No,
    /// It should have started its system. Somebody may have held keys, so only a reboot proves it.
    Suspected,
    /// Its system does not start.
    Proven,
}

/// Does it come back to recovery of its own accord?
pub fn recovery_loop(signs: &Signs) -> RecoveryLoop {
    match signs {
        Signs { back_after: Some(after), .. } if *after <= LOOP => RecoveryLoop::Proven,
        Signs { back_after: Some(_), .. } => RecoveryLoop::Suspected,
        Signs { auto_boot: Some(true), sent: false, .. } => RecoveryLoop::Suspected,
        _ => RecoveryLoop::No,
    }
}

/// Makes the device in recovery start its own system again, and waits until it is in normal mode. It is
/// known by its ECID; models whose normal mode does not show it on USB (before A12) by their port.
///
/// # Errors
/// `no-such-device` when it is not there, `wrong-mode` when it is not in recovery (DFU has no variables: only
/// the keys get a device out of it), `usb-timeout` when it stays, `recovery-loop` when it comes back to
/// recovery, `came-back-in-another-mode`, `never-came-back`.
pub async fn out_of_recovery(bus: &Arc<dyn Bus>, ecid: Ecid, tell: &dyn Tell) -> Result<(), Fault> {
    let mut watch = Watch::open(Arc::clone(bus)).await?;
    let device = watch.comes(&Who { ecid, port: None }, &[Mode::Recovery], FIND).await.map_err(absent)?;
    let iboot = Iboot::open(bus, &device, ecid).await?;
    let told = iboot.getenv("auto-boot").await.unwrap_or_default();
    let mut signs = Signs { auto_boot: told.as_deref().map(|value| value.trim() == "true"), ..Signs::default() };
    if recovery_loop(&signs) == RecoveryLoop::Suspected {
        let text = "auto-boot was true already: keys were held, or the system does not start".into();
        tell.tell(Event::Note { text });
    }
    iboot.setenv("auto-boot", "true").await?;
    iboot.saveenv().await?;
    iboot.leave("reboot").await?;
    drop(iboot);
    watch.left(device.address, LEAVE).await.map_err(|f| f.on(ecid))?;
    tell.tell(Event::Lost { mode: Mode::Recovery, ecid: Some(ecid) });
    let begun = Instant::now();
    let mode = returned(&mut watch, &Who { ecid, port: Some(device.port.clone()) }).await?;
    tell.tell(Event::Seen { mode, ecid: Some(ecid) });
    if mode == Mode::Normal {
        return Ok(());
    }
    signs.back_after = Some(begun.elapsed());
    let after = begun.elapsed().as_secs();
    let code = match recovery_loop(&signs) {
        RecoveryLoop::Proven => Code::RecoveryLoop,
        RecoveryLoop::Suspected | RecoveryLoop::No => Code::CameBackElsewhere,
    };
    Err(Fault::new(code, format!("in recovery again {after} s after `reboot` with auto-boot=true")).on(ecid))
}

/// The mode it comes back in: normal or recovery.
async fn returned(watch: &mut Watch, who: &Who) -> Result<Mode, Fault> {
    let mode = |device: &UsbDevice| modes::of_product(device.product).unwrap_or(Mode::Unknown);
    match watch.comes(who, &[Mode::Normal, Mode::Recovery], START).await {
        Ok(device) => Ok(mode(&device)),
        // Nobody wants to open it: to see it is enough.
        Err(fault) if fault.code == Code::UsbNoAccess => {
            let ours = |d: &&UsbDevice| matches!(who.judge(d), Verdict::Them | Verdict::Perhaps);
            watch.present().find(ours).map(mode).ok_or(fault)
        }
        Err(fault) => Err(fault),
    }
}

/// Nothing was sent yet, so the words of a return do not fit.
pub(super) fn absent(mut fault: Fault) -> Fault {
    let code = match fault.code {
        Code::NeverCameBack => Code::NoSuchDevice,
        Code::CameBackElsewhere => Code::WrongMode,
        other => other,
    };
    (fault.code, fault.class, fault.retry) = (code, code.class(), code.retry());
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_proven_by_a_reboot_only() {
        let auto = |auto_boot| Signs { auto_boot, ..Signs::default() };
        let back = |seconds| Signs { back_after: Some(Duration::from_secs(seconds)), ..auto(Some(false)) };
        for (signs, expected) in [
            (auto(None), RecoveryLoop::No),
            (auto(Some(false)), RecoveryLoop::No),
            (auto(Some(true)), RecoveryLoop::Suspected),
            (Signs { sent: true, ..auto(Some(true)) }, RecoveryLoop::No),
            (back(4), RecoveryLoop::Proven),
            (Signs { sent: true, ..back(120) }, RecoveryLoop::Proven),
            (back(121), RecoveryLoop::Suspected),
        ] {
            assert_eq!(recovery_loop(&signs), expected, "{signs:?}");
        }
    }
}
