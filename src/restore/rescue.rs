//! Out of recovery, and nothing else.
//!
//! A restore sets `auto-boot` to false before it does anything that could leave a half-booted phone, so
//! after a failure the phone sits in recovery for ever, however healthy its system is. This is the way
//! back: it writes one variable and reboots. It erases nothing, so it needs no consent.

use crate::event::{Event, Tell};
use crate::fault::{Code, Fault};
use crate::ids::{Ecid, Mode};
use crate::usb::Bus;
use crate::usb::iboot::Iboot;
use crate::usb::wait::{Watch, Who};
use std::sync::Arc;
use std::time::Duration;

/// How long the device may take to be seen, and to leave after `reboot`.
const FIND: Duration = Duration::from_secs(10);
const LEAVE: Duration = Duration::from_secs(30);

/// Makes the device in recovery start its own system again, and waits until it left the bus.
///
/// # Errors
/// `no-such-device` when it is not there, `wrong-mode` when it is not in recovery (DFU has no variables: only
/// the keys get a device out of it), `usb-timeout` when it stays.
pub async fn out_of_recovery(bus: &Arc<dyn Bus>, ecid: Ecid, tell: &dyn Tell) -> Result<(), Fault> {
    let mut watch = Watch::open(Arc::clone(bus)).await?;
    let who = Who { ecid, port: None };
    let device = watch.comes(&who, &[Mode::Recovery], FIND).await.map_err(absent)?;
    let iboot = Iboot::open(bus, &device, ecid).await?;
    iboot.setenv("auto-boot", "true").await?;
    iboot.saveenv().await?;
    iboot.leave("reboot").await?;
    drop(iboot);
    watch.left(device.address, LEAVE).await.map_err(|f| f.on(ecid))?;
    tell.tell(Event::Lost { mode: Mode::Recovery, ecid: Some(ecid) });
    Ok(())
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
