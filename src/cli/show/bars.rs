//! Bars on a terminal: a line for each finished step, a bar or a spinner for the running one.

use super::size;
use crate::event::{Event, Hurdle, Request, Step, Tell, Unit};
use crate::say::{self, Lang};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub struct Bars {
    lang: Lang,
    mark: &'static str,
    multi: MultiProgress,
    now: Mutex<Option<Running>>,
}

struct Running {
    step: Step,
    began: Instant,
    bar: ProgressBar,
    measured: bool,
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("  {spinner} {prefix} {wide_msg} {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn measure(unit: Unit) -> ProgressStyle {
    let template = match unit {
        Unit::Bytes => {
            "  {spinner} {prefix} [{bar:24}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}"
        }
        Unit::Percent => "  {spinner} {prefix} [{bar:24}] {pos:>3} % {wide_msg}",
        Unit::Files | Unit::Seconds => "  {spinner} {prefix} [{bar:24}] {pos}/{len} {wide_msg}",
    };
    ProgressStyle::with_template(template)
        .map(|s| s.progress_chars("=> "))
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Bars {
    pub fn new(lang: Lang, is_virtual: bool) -> Self {
        let multi = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Bars { lang, mark: if is_virtual { "[virtual] " } else { "" }, multi, now: Mutex::new(None) }
    }

    fn line(&self, text: &str) {
        let _ = self.multi.println(format!("{}{}", self.mark, say::plain(text)));
    }

    fn begin(&self, step: Step, what: &str) {
        let bar = self.multi.add(ProgressBar::new_spinner().with_style(spinner()));
        bar.set_prefix(format!("{}{}", self.mark, say::step(self.lang, step)));
        bar.set_message(say::plain(what));
        bar.enable_steady_tick(Duration::from_millis(120));
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = now.replace(Running { step, began: Instant::now(), bar, measured: false }) {
            old.bar.finish_and_clear();
        }
    }

    /// Removes the bar of a step; gives how long it ran.
    fn end(&self, step: Step) -> Option<Duration> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.as_ref().is_some_and(|r| r.step == step) {
            let old = now.take()?;
            old.bar.finish_and_clear();
            return Some(old.began.elapsed());
        }
        None
    }

    fn message(&self, text: String) {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &*now {
            running.bar.set_message(say::plain(&text));
        }
    }
}

impl Tell for Bars {
    fn tell(&self, event: Event) {
        match event {
            Event::StepBegan { step, what } => self.begin(step, &what),
            Event::StepDone { step, what } => {
                let took = self.end(step).filter(|t| t.as_millis() >= 100);
                let took = took.map(|t| format!(" ({:.1} s)", t.as_secs_f64())).unwrap_or_default();
                let what = if what.is_empty() { what } else { format!(": {what}") };
                self.line(&format!("  ✓ {}{what}{took}", say::step(self.lang, step)));
            }
            Event::StepSkipped { step, why } => {
                self.end(step);
                self.line(&format!("  - {}: {why}", say::step(self.lang, step)));
            }
            Event::StepFailed { step, fault } => {
                self.end(step);
                self.line(&format!("  ✗ {}: {}", say::step(self.lang, step), fault.code));
            }
            Event::Progress { step, unit, done, total } => {
                let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(running) = now.as_mut() else { return };
                let total = if unit == Unit::Percent { Some(100) } else { total };
                let Some(total) = total else {
                    running.bar.set_message(if unit == Unit::Bytes { size(done) } else { done.to_string() });
                    return;
                };
                if !running.measured || running.step != step {
                    running.step = step;
                    running.measured = true;
                    running.bar.set_style(measure(unit));
                    running.bar.set_prefix(format!("{}{}", self.mark, say::step(self.lang, step)));
                    running.bar.reset_eta();
                }
                running.bar.set_length(total);
                running.bar.set_position(done.min(total));
            }
            Event::Operation { code, percent, .. } => {
                let percent = percent.map(|p| format!(" {p} %")).unwrap_or_default();
                self.message(format!("{}{percent}", say::restore::operation(self.lang, code.unsigned_abs())));
            }
            Event::Checkpoint { id, name, result: 0, .. } => {
                self.message(say::restore::checkpoint(self.lang, id as u16, &name));
            }
            Event::Checkpoint { id, name, result, error } => {
                let words = say::restore::checkpoint(self.lang, id as u16, &name);
                self.line(&format!("  ! {words} (0x{id:X} {name}): {result} {}", error.unwrap_or_default()));
            }
            // Those two end the walk, and then the fault says the same.
            Event::Trust { hurdle: Hurdle::Denied | Hurdle::Forbidden } => {}
            Event::Trust { hurdle } => self.line(&format!("  · {}", say::hurdle(self.lang, hurdle))),
            // The coach draws these itself.
            Event::Ask { request: Request::Keys { .. } | Request::CableOut | Request::CableIn | Request::Slide } => {}
            Event::Ask { request } => self.line(&format!("  » {}", say::request(self.lang, &request))),
            Event::Warning { text } => self.line(&format!("  ! {text}")),
            Event::Note { text } => tracing::info!(text, "note"),
            Event::Answered { .. } | Event::Coach { .. } | Event::Seen { .. } | Event::Lost { .. } => {}
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        if let Some(running) = self.now.lock().unwrap_or_else(PoisonError::into_inner).take() {
            running.bar.finish_and_clear();
        }
    }
}
