//! `guide`: which keys, and watch that it worked.

use super::list::say_line;
use crate::cli::Done;
use crate::cli::args::Way;
use crate::cli::context::Context;
use crate::device::{Device, State};
use crate::event::{Event, Outcome, Request};
use crate::fault::{Code, Fault};
use crate::guide::{Act, Goal, Press, sequence};
use crate::ids::{Mode, PortPath};
use crate::restore::rescue;
use crate::say::{self, Lang, Text};
use std::time::Duration;

pub async fn run(context: &Context, way: Way, wait: u64) -> Done {
    let eyes = context.eyes()?;
    let device = context.device(&eyes).await?;
    let tell = context.show();
    let goal = match way {
        Way::Exit => {
            leave(context, &eyes, &device).await?;
            return Ok(Outcome::Ok);
        }
        Way::Recovery => Goal::Recovery,
        Way::Dfu => Goal::Dfu,
        Way::Restart => Goal::Restart,
    };
    let model = device.who().model();
    let model = model.ok_or_else(|| Fault::new(Code::UnknownModel, "the device's model is not known"))?;
    let steps = sequence(model.buttons, goal)
        .ok_or_else(|| Fault::new(Code::UnknownModel, format!("the keys of {} are not known", model.name)))?;
    for step in &steps {
        tell.tell(Event::Ask { request: request(context.lang, step) });
    }
    let before = (device.mode(), device.who().port.clone());
    let (ecid, limit) = (device.who().ecid, Duration::from_secs(wait));
    let same = |d: &Device| match (d.who().ecid, ecid) {
        (Some(a), Some(b)) => a == b,
        _ => same_port(&d.who().port, &before.1),
    };
    if goal == Goal::Restart {
        return Ok(Outcome::Ok);
    }
    let wanted = if goal == Goal::Dfu { Mode::Dfu } else { Mode::Recovery };
    let found = eyes.wait_for(limit, |d| same(d) && d.mode() == wanted).await;
    match found {
        Some(_) => {
            say_line(&say::text(context.lang, &Text::GuideDone));
            Ok(Outcome::Ok)
        }
        None => {
            let now = crate::device::look(&eyes).await.devices.into_iter().find(|d| same(d));
            let now = now.map_or_else(|| "on no bus".to_owned(), |d| format!("in {} mode", d.mode()));
            Err(Fault::new(Code::CameBackElsewhere, format!("wanted {wanted}; after {wait} s it is {now}")))
        }
    }
}

fn same_port(a: &Option<PortPath>, b: &Option<PortPath>) -> bool {
    a.is_some() && a == b
}

async fn leave(context: &Context, eyes: &crate::device::Eyes, device: &Device) -> Result<(), Fault> {
    match &device.state {
        State::Recovery(_) => {
            let ecid = device.who().ecid.ok_or_else(|| Fault::new(Code::UnknownModel, "no ECID"))?;
            rescue::out_of_recovery(&eyes.bus, ecid, context.show().as_ref()).await?;
            say_line(&say::text(context.lang, &Text::GuideDone));
            Ok(())
        }
        _ => Err(Fault::new(Code::WrongMode, format!("leaving by command works from recovery, not {}", device.mode()))),
    }
}

/// A step as a request to a person, in the person's language.
fn request(lang: Lang, step: &Press) -> Request {
    let keys: Vec<String> = step.keys.iter().map(|k| k.as_str().to_owned()).collect();
    let names: Vec<&str> = step.keys.iter().map(|k| say::key(lang, k.as_str())).collect();
    let names = names.join(" + ");
    let text = match step.act {
        Act::Tap => say::text(lang, &Text::KeyTap { keys: names }),
        Act::Hold => say::text(lang, &Text::KeyHold { keys: names }),
        Act::HoldUntil => say::text(lang, &Text::KeyHoldUntil { keys: names }),
    };
    let seconds = if step.act == Act::Tap { 0 } else { step.seconds };
    Request::Keys { keys, seconds, text }
}
