//! `pair` and `unpair`: trust.
//!
//! A device in USB restricted mode is on the bus and not on usbmuxd. It is paired all the same, by its UDID
//! from the bus: the walk waits until somebody unlocks it with the cable in.

use super::list::say_line;
use crate::cli::Done;
use crate::cli::context::Context;
use crate::device::{Device, Eyes, Normal, State, Trust, look};
use crate::event::{Event, Outcome, Step};
use crate::fault::{Code, Fault};
use crate::ids::{Mode, Udid};
use crate::mux::{self, MuxDevice, Unpaired};
use crate::say::{self, Text};
use std::time::Duration;

/// Who is asked: by UDID, on usbmuxd or for the moment on USB alone.
fn asked(device: &Device) -> Result<(Option<&Normal>, &Udid), Fault> {
    let untold = || Fault::new(Code::LockdownRefused, "the device told no UDID");
    match &device.state {
        State::Normal(normal) => Ok((Some(normal), normal.who.udid.as_ref().ok_or_else(untold)?)),
        State::Other(Mode::Normal, who) => Ok((None, who.udid.as_ref().ok_or_else(untold)?)),
        _ => Err(Fault::new(Code::WrongMode, format!("trust needs normal mode, not {}", device.mode()))),
    }
}

pub async fn pair(context: &Context, wait: u64, reset: bool) -> Done {
    let eyes = context.eyes()?;
    let device = context.device(&eyes).await?;
    let (normal, udid) = asked(&device)?;
    let name = device.who().title();
    let say = |text: Text| say_line(&say::text(context.lang, &text));
    if normal.is_some_and(|n| n.trust == Trust::Trusted) && !reset {
        say(Text::AlreadyPaired { name });
        return Ok(Outcome::Ok);
    }
    say(Text::PairNeeds { seconds: wait });
    let tell = context.show();
    tell.tell(Event::StepBegan { step: Step::Pair, what: name.clone() });
    let work = async {
        if reset && mux::forget(&eyes.mux, normal.map(|n| &n.mux), udid).await? {
            say(Text::PairReset);
        }
        mux::pair_by_udid(&eyes.mux, udid, Duration::from_secs(wait), tell.as_ref()).await
    };
    let paired = tokio::select! {
        paired = work => paired,
        () = context.cancel.cancelled() => Err(Fault::cancelled()),
    };
    if let Err(fault) = paired {
        let fault = explained(&eyes, &device, fault).await;
        tell.tell(Event::StepFailed { step: Step::Pair, fault: fault.clone() });
        return Err(fault.during(Step::Pair));
    }
    tell.tell(Event::StepDone { step: Step::Pair, what: String::new() });
    say(Text::Paired { name });
    Ok(Outcome::Ok)
}

/// usbmuxd not listing a device means restricted mode only while USB still shows it.
async fn explained(eyes: &Eyes, device: &Device, fault: Fault) -> Fault {
    if fault.code != Code::UsbRestricted {
        return fault;
    }
    let udid = &device.who().udid;
    match look(eyes).await.devices.iter().any(|d| d.who().udid == *udid) {
        true => fault,
        false => Fault::new(Code::UsbGone, "it is neither on USB nor on usbmuxd any more"),
    }
}

pub async fn unpair(context: &Context) -> Done {
    let eyes = context.eyes()?;
    let device = context.device(&eyes).await?;
    let (normal, udid) = asked(&device)?;
    let muxed: &MuxDevice = match normal {
        Some(normal) => &normal.mux,
        None => return Err(Fault::new(Code::UsbRestricted, "it is on USB, and usbmuxd does not list it")),
    };
    let name = device.who().title();
    let text = match mux::unpair(&eyes.mux, muxed, udid).await? {
        Unpaired::Both => Text::Unpaired { name },
        Unpaired::HereOnly => Text::UnpairedHere { name },
    };
    say_line(&say::text(context.lang, &text));
    Ok(Outcome::Ok)
}
