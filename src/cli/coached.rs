//! A coached run on this terminal: screen, keyboard, bell, JSON and the log of windows around `guide`'s machine.

use super::args::ScreenArgs;
use super::context::Context;
use super::keyboard::Keyboard;
use super::show::coach::CoachScreen;
use crate::device::{Device, Eyes, Identity};
use crate::event::{Event, Request, Teller};
use crate::facts::models::Model;
use crate::fault::{Code, Fault};
use crate::guide::Until;
use crate::guide::words;
use crate::guide::{
    self, Aim, Coach, Deed, Ending, Layout, Live, Miss, Nudge, Order, Recipe, Start, Step, Subject, View, What,
};
use crate::ids::Mode;
use crate::restore::ByHand;
use crate::say::Lang;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::mpsc::unbounded_channel;
use tokio_util::sync::CancellationToken;

/// Where a run takes place: all of a [`Context`] that it needs, without borrowing it.
#[derive(Clone)]
pub struct Setting {
    lang: Lang,
    is_virtual: bool,
    cancel: CancellationToken,
    haste: u32,
    tell: Teller,
    log: Option<PathBuf>,
}

impl Setting {
    pub fn of(context: &Context) -> Setting {
        Setting {
            lang: context.lang,
            is_virtual: context.is_virtual(),
            cancel: context.cancel.clone(),
            haste: context.haste(),
            tell: context.show(),
            log: context.folders().ok().map(|f| f.coach_log()),
        }
    }
}

/// The person before the terminal, for a restore whose device takes no command.
pub struct Hands {
    setting: Setting,
    eyes: Eyes,
}

impl Hands {
    pub fn of(context: &Context, eyes: &Eyes) -> Arc<dyn ByHand> {
        Arc::new(Hands { setting: Setting::of(context), eyes: eyes.clone() })
    }
}

impl ByHand for Hands {
    fn reach_recovery<'a>(
        &'a self,
        device: &'a Device,
    ) -> Pin<Box<dyn Future<Output = Result<(), Fault>> + Send + 'a>> {
        Box::pin(async move {
            let who = device.who();
            let model = who.model().ok_or_else(|| Fault::new(Code::UnknownModel, who.title()))?;
            let recipe = guide::recipe(Layout::of(model), Aim::Recovery, Start::On);
            let recipe = recipe.ok_or_else(|| Fault::new(Code::NoSuchKeys, model.name))?;
            let screen = ScreenArgs::default();
            let errand = Errand {
                recipe,
                subject: subject(who),
                model: Some(model),
                title: who.title(),
                tries: 3,
                screen: &screen,
            };
            run(&self.setting, &self.eyes, errand).await.map(drop)
        })
    }
}

/// What a run is about.
pub struct Errand<'a> {
    pub recipe: Recipe,
    pub subject: Subject,
    pub model: Option<&'static Model>,
    pub title: String,
    pub tries: u32,
    pub screen: &'a ScreenArgs,
}

pub fn subject(who: &Identity) -> Subject {
    Subject { ecid: who.ecid, udid: who.udid.clone(), port: who.port.clone() }
}

/// Coaches a person's hands until USB shows what is wanted.
///
/// # Errors
/// `keys-missed` when tries are used up, `recovery-loop`, `cancelled`, what the bus says.
pub async fn run(setting: &Setting, eyes: &Eyes, errand: Errand<'_>) -> Result<Ending, Fault> {
    let lang = setting.lang;
    let keyboard = Keyboard::open();
    let mut screen = CoachScreen::new(lang, setting.is_virtual, errand.tries, keyboard.is_some(), errand.screen);
    screen.line(&format!("{} - {}", words::title(lang, errand.recipe.aim), errand.title));
    for hint in words::hints(lang, &errand.recipe, errand.model) {
        screen.lines(&hint);
    }
    let (_keyboard, nudges) = match keyboard {
        Some((keyboard, mut pressed)) => {
            let (sender, nudges) = unbounded_channel();
            tokio::spawn(async move {
                while let Some(byte) = pressed.recv().await {
                    let nudge = match byte {
                        b'\n' | b'\r' => Nudge::Go,
                        b' ' => Nudge::Pause,
                        _ => continue,
                    };
                    if sender.send(nudge).is_err() {
                        return;
                    }
                }
            });
            (Some(keyboard), Some(nudges))
        }
        None => (None, None),
    };
    let live = Live { bus: eyes.bus.clone(), cancel: setting.cancel.clone(), nudges, haste: setting.haste };
    let mut log = Log::open(setting, &errand);
    let tell = &setting.tell;
    let mut coach = Coach::new(errand.recipe.clone(), errand.subject, errand.tries);
    let mut last: Option<(u32, usize)> = None;
    let mut recipe = errand.recipe;
    let ending = guide::run(&mut coach, live, &mut |at, coach, order| {
        // The way may have changed with the last miss.
        recipe.clone_from(coach);
        match order {
            Order::Show(view) => {
                if let Some(place) = place(view).filter(|p| last != Some(*p)) {
                    last = Some(place);
                    ask(lang, &recipe, view, tell);
                }
                screen.view(&recipe, view);
            }
            Order::Bell => screen.ring(),
            Order::Missed { miss, next } => {
                tell.tell(Event::Ask { request: let_go(lang) });
                words::miss(lang, &recipe, *miss, Some(*next)).iter().for_each(|line| screen.lines(line));
            }
            Order::Done(Ending::Missed(miss)) => {
                tell.tell(Event::Ask { request: let_go(lang) });
                words::miss(lang, &recipe, *miss, None).iter().for_each(|line| screen.lines(line));
            }
            Order::Done(ending) => {
                tell.tell(Event::Ask { request: let_go(lang) });
                words::ending(lang, ending).iter().for_each(|line| screen.lines(line));
            }
            Order::Note { what, detail } => {
                tell.tell(Event::Coach { at_ms: at, what: (*what).to_owned(), detail: detail.clone() });
                log.note(at, what, detail);
            }
            Order::Reset => {}
        }
    })
    .await;
    drop(screen);
    match ending? {
        Ending::Missed(miss) => {
            let code = if miss == Miss::Loop { Code::RecoveryLoop } else { Code::KeysMissed };
            let fault = Fault::new(code, miss.as_str());
            Err(match coach.subject().ecid {
                Some(ecid) => fault.on(ecid),
                None => fault,
            })
        }
        reached => Ok(reached),
    }
}

/// Attempt and step: what has to be new before a person is asked again.
fn place(view: &View) -> Option<(u32, usize)> {
    match &view.what {
        What::Step { index, .. } => Some((view.attempt, *index)),
        _ => None,
    }
}

fn let_go(lang: Lang) -> Request {
    Request::Keys { keys: Vec::new(), seconds: 0, text: crate::say::coach(lang, &crate::say::Coach::LetGoAll) }
}

/// A step as a request, for programs that stand in for a person.
fn ask(lang: Lang, recipe: &Recipe, view: &View, tell: &Teller) {
    let What::Step { keys, until, deed, .. } = &view.what else { return };
    match deed {
        Deed::CableOut => return tell.tell(Event::Ask { request: Request::CableOut }),
        Deed::Slide => tell.tell(Event::Ask { request: let_go(lang) }),
        _ => {}
    }
    let step = Step { keys: keys.clone(), until: *until, deed: *deed };
    let seconds = if *until == Until::Tap { 0 } else { words::nominal(*until) };
    let text = words::instruction(lang, recipe, &step, seconds);
    let names: Vec<String> = keys.iter().map(|k| recipe.layout.word(*k).to_owned()).collect();
    if *deed == Deed::Slide {
        return tell.tell(Event::Ask { request: Request::Slide });
    }
    tell.tell(Event::Ask { request: Request::Keys { keys: names, seconds, text } });
    if *deed == Deed::CableIn {
        tell.tell(Event::Ask { request: Request::CableIn });
    }
}

/// Mode that an aim ends in; none for power off.
pub fn wanted(aim: Aim) -> Option<Mode> {
    match aim {
        Aim::Recovery => Some(Mode::Recovery),
        Aim::Dfu => Some(Mode::Dfu),
        Aim::Restart | Aim::Exit => Some(Mode::Normal),
        Aim::Off => None,
    }
}

/// Lines of JSON in the state folder, one an event: from many of them the true windows can be read.
struct Log {
    file: Option<fs_err::File>,
    head: serde_json::Value,
}

impl Log {
    /// A log that cannot be written is no reason not to help.
    fn open(setting: &Setting, errand: &Errand<'_>) -> Log {
        let open = || crate::disk::append_private(setting.log.as_ref()?).ok();
        let head = json!({
            "time": jiff::Timestamp::now(),
            "aim": errand.recipe.aim.as_str(),
            "buttons": errand.recipe.layout.buttons,
            "product": errand.model.map(|m| m.product.as_str()),
            "virtual": setting.is_virtual,
        });
        Log { file: open(), head }
    }

    fn note(&mut self, at: u64, what: &str, detail: &str) {
        let Some(file) = &mut self.file else { return };
        let mut line = self.head.clone();
        if let Some(object) = line.as_object_mut() {
            object.extend([
                ("at_ms".into(), at.into()),
                ("what".into(), what.into()),
                ("detail".into(), detail.into()),
            ]);
        }
        let _ = writeln!(file, "{line}");
    }
}
