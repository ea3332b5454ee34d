//! `guide`: into a mode or out of it; by command where the device lets itself be told, else with keys.

use super::list::{print_out, say_line};
use crate::cli::Done;
use crate::cli::args::{GuideArgs, Way};
use crate::cli::coached::{self, Errand, Setting};
use crate::cli::context::Context;
use crate::device::{Access, Device, Eyes, Identity, Likeness, State, Trust};
use crate::event::{Event, Outcome, Step};
use crate::facts::models::{self, Model};
use crate::fault::{Class, Code, Fault};
use crate::guide::{self, Aim, Layout, Recipe, Start, Subject, Until, recipe, words};
use crate::ids::Mode;
use crate::mux::{self, Session};
use crate::restore::boot::Waits;
use crate::restore::{enter_recovery, rescue};
use crate::say::{self, Coach};
use std::time::Duration;

/// From a restart to the lock screen, and from a shutdown until it is off the bus.
const BOOT: Duration = Duration::from_secs(180);
const GOES: Duration = Duration::from_secs(60);

fn aim(way: Way) -> Aim {
    match way {
        Way::Recovery => Aim::Recovery,
        Way::Dfu => Aim::Dfu,
        Way::Restart => Aim::Restart,
        Way::Off => Aim::Off,
        Way::Exit => Aim::Exit,
    }
}

pub async fn run(context: &Context, args: GuideArgs) -> Done {
    let aim = aim(args.way);
    let named = match &args.model {
        Some(text) => {
            let unknown = || Fault::new(Code::UnknownModel, format!("no model is called {text:?}"));
            Some(models::by_nickname(text).ok_or_else(unknown)?)
        }
        None => None,
    };
    if let (true, Some(model)) = (args.steps || args.svg.is_some(), named) {
        return paper(context, &args, aim, Some(model), Layout::of(model), model.name);
    }
    let eyes = context.eyes()?;
    let device = match (context.device(&eyes).await, named) {
        (Ok(device), _) => Some(device),
        // A dead device is on no bus: the model says which keys, and what appears then is it.
        (Err(fault), Some(_)) if fault.code == Code::NoDevice => None,
        (Err(fault), _) => return Err(fault),
    };
    let Some(device) = device else {
        let model = named.ok_or_else(|| Fault::new(Code::NoDevice, "nothing on USB or usbmuxd"))?;
        let way = recipe_for(Layout::of(model), aim, start(&args), model.name)?;
        return by_hand(context, &eyes, &args, way, Subject::default(), Some(model), model.name.to_owned()).await;
    };
    let who = device.who();
    // iBoot would take a command: the way to mend that is not the keys.
    if device.access == Access::NoPermission && device.mode() == Mode::Recovery && !args.by_hand {
        let place = who.port.as_ref().map(ToString::to_string).unwrap_or_default();
        return Err(Fault::new(Code::UsbNoAccess, format!("{} at {place}", who.title())));
    }
    let (model, layout) = layout(who, named)?;
    if args.steps || args.svg.is_some() {
        return paper(context, &args, aim, model, layout, &who.title());
    }
    fits(aim, &device)?;
    let lang = context.lang;
    if coached::wanted(aim) == Some(device.mode()) && aim != Aim::Restart {
        say_line(&say::coach(lang, &Coach::AlreadyThere));
        return Ok(Outcome::Ok);
    }
    let mut begin = start(&args);
    if !args.by_hand && begin == Start::On {
        match by_command(context, &eyes, &device, aim).await {
            Ok(Told::Done) => return Ok(Outcome::Ok),
            Ok(Told::Assist) => begin = Start::Assisted,
            Ok(Told::NotPossible) => {}
            // What this computer lacks is put right here, not with the device's keys.
            Err(fault) if fault.class == Class::Host => return Err(fault),
            Err(fault) if matches!(fault.code, Code::Cancelled | Code::RecoveryLoop) => return Err(fault),
            Err(fault) => {
                say_line(&format!("{} ({})", say::fault(lang, fault.code).what, fault.code));
                say_line(&say::coach(lang, &Coach::ByCommandFailed));
            }
        }
    }
    let way = recipe_for(layout, aim, begin, &who.title())
        .or_else(|fault| recipe_for(layout, aim, Start::On, &who.title()).map_err(|_| fault))?;
    by_hand(context, &eyes, &args, way, coached::subject(who), model, who.title()).await
}

fn start(args: &GuideArgs) -> Start {
    if args.off { Start::Off } else { Start::On }
}

fn recipe_for(layout: Layout, aim: Aim, start: Start, name: &str) -> Result<Recipe, Fault> {
    let detail = format!("{name}: {} has no keys for it from {}", aim.as_str(), start.as_str());
    recipe(layout, aim, start).ok_or_else(|| Fault::new(Code::NoSuchKeys, detail))
}

/// The keys of a device: by its model, by one that was named, or guessed.
pub fn layout(who: &Identity, named: Option<&'static Model>) -> Result<(Option<&'static Model>, Layout), Fault> {
    let product = who.product.as_ref().map(|p| p.as_str()).unwrap_or_default();
    match (who.likeness(), named) {
        (Likeness::Known(model), _) | (_, Some(model)) => Ok((Some(model), Layout::of(model))),
        (Likeness::Guessed(guess), None) => {
            say_line(&format!("! {} ({})", say::fault(say::Lang::En, Code::UnknownModel).what, who.title()));
            Ok((None, Layout::new(guess.buttons, product)))
        }
        (Likeness::Unknown, None) => {
            Err(Fault::new(Code::UnknownModel, "the device's model is not known; --model names it"))
        }
    }
}

/// Is there anything to do for this aim in this mode?
fn fits(aim: Aim, device: &Device) -> Result<(), Fault> {
    let mode = device.mode();
    let fits = match aim {
        Aim::Exit => matches!(mode, Mode::Recovery | Mode::Dfu | Mode::Wtf),
        Aim::Off => mode == Mode::Normal,
        Aim::Restart => mode != Mode::Restore,
        Aim::Recovery | Aim::Dfu => mode != Mode::Restore,
    };
    match fits {
        true => Ok(()),
        false => Err(Fault::new(Code::WrongMode, format!("{} does not fit {mode} mode", aim.as_str()))),
    }
}

enum Told {
    Done,
    /// It is in recovery now, ready for the assisted way.
    Assist,
    NotPossible,
}

async fn by_command(context: &Context, eyes: &Eyes, device: &Device, aim: Aim) -> Result<Told, Fault> {
    let (lang, tell) = (context.lang, context.show());
    let Some(ecid) = device.who().ecid else { return Ok(Told::NotPossible) };
    let commanding = || say_line(&say::coach(lang, &Coach::ByCommand));
    let reached = |text: Coach| say_line(&say::coach(lang, &text));
    match (aim, &device.state) {
        (Aim::Recovery | Aim::Dfu, State::Normal(normal)) => {
            if normal.trust != Trust::Trusted && aim == Aim::Dfu {
                return Ok(Told::NotPossible);
            }
            commanding();
            let back = enter_recovery(eyes, normal, ecid, Waits::default().into_recovery, tell.as_ref()).await?;
            if aim == Aim::Recovery {
                reached(Coach::ReachedRecovery);
                return Ok(Told::Done);
            }
            assist(eyes, &back).await
        }
        (Aim::Dfu, State::Recovery(_)) => assist(eyes, device).await,
        (Aim::Restart | Aim::Exit, State::Recovery(_)) => {
            commanding();
            rescue::out_of_recovery(&eyes.bus, ecid, tell.as_ref()).await?;
            reached(Coach::ReachedNormal);
            Ok(Told::Done)
        }
        (Aim::Restart | Aim::Off, State::Normal(normal)) if normal.trust == Trust::Trusted => {
            commanding();
            let udid = normal.who.udid.as_ref();
            let record = match udid {
                Some(udid) => eyes.mux.pair_record(udid).await?,
                None => None,
            };
            let record = record.ok_or_else(|| Fault::new(Code::NotTrusted, "no pair record here"))?;
            let mut session = Session::open(&eyes.mux, &normal.mux, record).await.map_err(Fault::from)?;
            if aim == Aim::Off {
                mux::shut_down(&mut session).await?
            } else {
                mux::restart(&mut session).await?
            }
            drop(session);
            if !eyes.wait_until_gone(ecid, GOES).await {
                return Err(Fault::new(Code::NeverCameBack, "it did not leave the bus").on(ecid));
            }
            if aim == Aim::Off {
                reached(Coach::ReachedOff);
                return Ok(Told::Done);
            }
            let back = eyes.wait_for_ecid(ecid, &[Mode::Normal, Mode::Recovery], BOOT).await;
            match back.map(|d| d.mode()) {
                Some(Mode::Normal) => reached(Coach::ReachedNormal),
                Some(other) => return Err(Fault::new(Code::CameBackElsewhere, format!("in {other} mode")).on(ecid)),
                None => {
                    return Err(Fault::new(Code::NeverCameBack, format!("not within {} s", BOOT.as_secs())).on(ecid));
                }
            }
            Ok(Told::Done)
        }
        _ => Ok(Told::NotPossible),
    }
}

/// A device in recovery is made to start its system after a missed try.
async fn assist(eyes: &Eyes, device: &Device) -> Result<Told, Fault> {
    let (State::Recovery(iboot), Some(ecid)) = (&device.state, device.who().ecid) else { return Ok(Told::NotPossible) };
    let bus = eyes.bus.clone();
    let listed = tokio::task::spawn_blocking(move || bus.devices()).await;
    let listed = listed.map_err(|e| Fault::new(Code::Internal, e.to_string()))??;
    let seen = listed.into_iter().find(|d| d.address == iboot.address);
    let seen = seen.ok_or_else(|| Fault::new(Code::UsbGone, "it left the bus").on(ecid))?;
    guide::prepare(&eyes.bus, &seen, ecid).await?;
    Ok(Told::Assist)
}

async fn by_hand(
    context: &Context,
    eyes: &Eyes,
    args: &GuideArgs,
    recipe: Recipe,
    subject: Subject,
    model: Option<&'static Model>,
    title: String,
) -> Done {
    let step = if recipe.aim == Aim::Dfu { Step::EnterDfu } else { Step::EnterRecovery };
    let errand = Errand { recipe, subject, model, title, tries: args.tries, screen: &args.screen };
    coached::run(&Setting::of(context), eyes, errand).await.map_err(|fault| fault.during(step))?;
    Ok(Outcome::Ok)
}

/// The steps on paper: to standard output, or as a sheet.
fn paper(context: &Context, args: &GuideArgs, aim: Aim, model: Option<&Model>, layout: Layout, name: &str) -> Done {
    let lang = context.lang;
    let way = recipe_for(layout, aim, start(args), name)?;
    if let Some(file) = &args.svg {
        let sheet = guide::svg(lang, &way, model, name);
        crate::disk::write_atomic(file, sheet.as_bytes())?;
        say_line(&say::coach(lang, &Coach::SvgSaved { file: file.display().to_string() }));
        return Ok(Outcome::Ok);
    }
    print_out(&format!("{} - {name}", words::title(lang, aim)));
    for hint in words::hints(lang, &way, model) {
        print_out(&format!("  {hint}"));
    }
    for (number, step) in way.steps.iter().enumerate() {
        let said = words::instruction(lang, &way, step, words::nominal(step.until));
        print_out(&format!("  {}. {said}", number + 1));
        if context.common.json {
            let keys = step.keys.iter().map(|k| layout.word(*k).to_owned()).collect();
            let seconds = if step.until == Until::Tap { 0 } else { words::nominal(step.until) };
            let request = crate::event::Request::Keys { keys, seconds, text: said };
            context.show().tell(Event::Ask { request });
        }
    }
    Ok(Outcome::Ok)
}
