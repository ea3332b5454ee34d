//! Lines for a log or a pipe: one a step, and one each ten seconds of a long transfer.

use super::size;
use crate::event::{Event, Hurdle, Request, Step, Tell, Unit};
use crate::say::{self, Lang, Text};
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(10);

pub struct Plain {
    lang: Lang,
    is_virtual: bool,
    since: Mutex<Option<(Step, Instant)>>,
}

impl Plain {
    pub fn new(lang: Lang, is_virtual: bool) -> Self {
        Plain { lang, is_virtual, since: Mutex::new(None) }
    }

    fn line(&self, text: &str) {
        let mark = if self.is_virtual { "[virtual] " } else { "" };
        let _ = writeln!(std::io::stderr().lock(), "{mark}{}", say::plain(text));
    }
}

impl Tell for Plain {
    fn tell(&self, event: Event) {
        let name = |step: Step| say::step(self.lang, step);
        match event {
            Event::StepBegan { step, what } => {
                *self.since.lock().unwrap_or_else(PoisonError::into_inner) = None;
                let what = if what.is_empty() { what } else { format!(": {what}") };
                self.line(&format!("  ... {}{what}", name(step)));
            }
            Event::StepDone { step, what } => {
                let what = if what.is_empty() { what } else { format!(": {what}") };
                self.line(&format!("  ok  {}{what}", name(step)));
            }
            Event::StepSkipped { step, why } => self.line(&format!("  --  {}: {why}", name(step))),
            Event::StepFailed { step, fault } => self.line(&format!("  !!  {}: {}", name(step), fault.code)),
            Event::Progress { step, unit, done, total } => {
                let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
                match &mut *since {
                    Some((same, at)) if *same == step => {
                        if at.elapsed() < EVERY {
                            return;
                        }
                        *at = Instant::now();
                    }
                    other => {
                        *other = Some((step, Instant::now()));
                        return;
                    }
                }
                drop(since);
                let amount = |n: u64| match unit {
                    Unit::Bytes => size(n),
                    Unit::Percent => format!("{n} %"),
                    Unit::Files | Unit::Seconds => n.to_string(),
                };
                let of = total.filter(|_| unit != Unit::Percent).map(|t| format!(" / {}", amount(t)));
                self.line(&format!("  ... {} {}{}", name(step), amount(done), of.unwrap_or_default()));
            }
            // Those two end the walk, and then the fault says the same.
            Event::Trust { hurdle: Hurdle::Denied | Hurdle::Forbidden } => {}
            Event::Trust { hurdle } => self.line(&format!("  ... {}", say::hurdle(self.lang, hurdle))),
            // The coach draws these itself.
            Event::Ask { request: Request::Keys { .. } | Request::CableOut | Request::CableIn | Request::Slide } => {}
            Event::Ask { request } => self.line(&format!("  >>  {}", say::request(self.lang, &request))),
            Event::Warning { text } => self.line(&format!("  !   {text}")),
            Event::Checkpoint { id, name, result, error } if result != 0 => {
                let words = say::restore::checkpoint(self.lang, id as u16, &name);
                let error = error.unwrap_or_default();
                self.line(&format!("  !   {words} (0x{id:X} {name}): {result} {error}"));
            }
            Event::Note { text } => tracing::info!(text, "note"),
            Event::Answered { .. }
            | Event::Coach { .. }
            | Event::Operation { .. }
            | Event::Checkpoint { .. }
            | Event::Seen { .. }
            | Event::Lost { .. } => {}
        }
    }
}

/// The banner of a run on the bench.
pub fn virtual_banner(lang: Lang) -> String {
    say::text(lang, &Text::VirtualBanner)
}
