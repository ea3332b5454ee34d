//! `pair` and `unpair`: trust.

use super::list::say_line;
use crate::cli::Done;
use crate::cli::context::Context;
use crate::device::{Device, Trust};
use crate::event::{Event, Outcome, Step};
use crate::fault::{Code, Fault};
use crate::ids::Udid;
use crate::mux;
use crate::say::{self, Text};
use std::time::Duration;

fn of_normal(device: &Device) -> Result<(&crate::device::Normal, &Udid), Fault> {
    let wrong = || Fault::new(Code::WrongMode, format!("trust needs normal mode, not {}", device.mode()));
    let normal = device.normal().ok_or_else(wrong)?;
    let udid = normal.who.udid.as_ref().ok_or_else(|| Fault::new(Code::LockdownRefused, "the device told no UDID"))?;
    Ok((normal, udid))
}

pub async fn pair(context: &Context, wait: u64) -> Done {
    let eyes = context.eyes()?;
    let device = context.device(&eyes).await?;
    let (normal, udid) = of_normal(&device)?;
    let name = device.who().title();
    if normal.trust == Trust::Trusted {
        say_line(&say::text(context.lang, &Text::AlreadyPaired { name }));
        return Ok(Outcome::Ok);
    }
    let tell = context.show();
    tell.tell(Event::StepBegan { step: Step::Pair, what: name.clone() });
    let asked = tokio::select! {
        asked = mux::pair(&eyes.mux, &normal.mux, udid, Duration::from_secs(wait), tell.as_ref()) => asked,
        () = context.cancel.cancelled() => Err(Fault::cancelled()),
    };
    asked.map_err(|fault| fault.during(Step::Pair))?;
    tell.tell(Event::StepDone { step: Step::Pair, what: String::new() });
    say_line(&say::text(context.lang, &Text::Paired { name }));
    Ok(Outcome::Ok)
}

pub async fn unpair(context: &Context) -> Done {
    let eyes = context.eyes()?;
    let device = context.device(&eyes).await?;
    let (normal, udid) = of_normal(&device)?;
    mux::unpair(&eyes.mux, &normal.mux, udid).await?;
    say_line(&say::text(context.lang, &Text::Unpaired { name: device.who().title() }));
    Ok(Outcome::Ok)
}
