//! A batch as plain lines, and as JSON lines: `--json`, pipes and logs.
//!
//! One line an event, with the row before it. Progress of many devices would be a flood, so here only every tenth
//! percent of a row's image is a line; JSON gets a progress line per row twice a second at most.

use super::print_line;
use super::wrap::{COLUMNS, wrapped};
use crate::cli::cancel::Leaving;
use crate::event::batch::{BatchEvent, Happened, Phase, Row, TellBatch};
use crate::event::{Event, Request, Step, Unit};
use crate::say::{self, Batch, Lang, Text};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(500);

pub struct BatchLines {
    lang: Lang,
    json: bool,
    is_virtual: bool,
    leaving: Leaving,
    /// Lines for people; not where a board shows them all of it.
    people: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sequence: u64,
    /// Of each row.
    shown: BTreeMap<u32, Shown>,
}

#[derive(Default)]
struct Shown {
    label: String,
    named: bool,
    running: bool,
    progress: Option<Instant>,
    tenth: Option<u64>,
}

impl BatchLines {
    pub fn new(lang: Lang, json: bool, is_virtual: bool, leaving: Leaving) -> BatchLines {
        let lines = BatchLines { lang, json, is_virtual, leaving, people: true, state: Mutex::default() };
        if json {
            let mut state = lines.state.lock().unwrap_or_else(PoisonError::into_inner);
            lines.object(&mut state, json!({ "event": "hello", "version": env!("CARGO_PKG_VERSION") }));
        }
        lines
    }

    /// Beside a board.
    pub fn beside(self) -> BatchLines {
        BatchLines { people: false, ..self }
    }

    fn object(&self, state: &mut State, body: Value) {
        let mut line = json!({ "schema": 1, "seq": state.sequence });
        state.sequence += 1;
        if let (Value::Object(line), Value::Object(body)) = (&mut line, body) {
            if self.is_virtual {
                line.insert("virtual".into(), true.into());
            }
            line.extend(body);
        }
        print_line(&line);
    }

    fn line(&self, row: Option<&str>, text: &str) {
        let mark = if self.is_virtual { "[virtual] " } else { "" };
        let head = row.map(|row| format!("{row}: ")).unwrap_or_default();
        let text = say::plain(&format!("{mark}{head}{text}"));
        let mut err = std::io::stderr().lock();
        let columns = if err.is_terminal() { COLUMNS } else { usize::MAX };
        for (at, piece) in wrapped(&text, columns - 4).iter().enumerate() {
            let _ = writeln!(err, "{}{piece}", if at == 0 { "" } else { "    " });
        }
    }

    fn people(&self, state: &mut State, event: &BatchEvent) {
        let say = |text: Batch<'_>| say::batch(self.lang, &text);
        let shown = event.row.map(|row| state.shown.entry(row).or_default());
        let label = shown.as_ref().map(|shown| shown.label.clone());
        let label = label.as_deref();
        match &event.happened {
            Happened::Rows { .. } => {}
            Happened::Row { now } => {
                self.line(label, &format!("{} ({})", now.title.clone().unwrap_or_default(), mode(now)))
            }
            Happened::Phase { phase, wants, seconds, fault, presses } => {
                let again = *phase == Phase::Queued && fault.is_some();
                let said = if again { Phase::WaitsToRetry } else { *phase };
                let mut text = say::phase(self.lang, said).to_owned();
                if let (Phase::WaitsToRetry, Some(seconds)) = (phase, seconds) {
                    text = format!("{text} {}", say(Batch::InSeconds { seconds: *seconds }));
                }
                if let (Phase::WaitsForPerson, Some(seconds)) = (phase, seconds) {
                    text = format!("{text}, {}", say(Batch::Minutes { minutes: seconds.div_ceil(60) }));
                }
                if matches!(phase, Phase::Queued | Phase::Running) && fault.is_none() {
                    return;
                }
                self.line(label, &text);
                // Of one that was waited for in vain the fault was told when the wait began.
                if let Some(fault) = fault.as_ref().filter(|_| *phase != Phase::LeftForPerson) {
                    let advice = say::advice(self.lang, fault);
                    self.line(label, &format!("  {} ({}: {})", advice.what, fault.code, fault.detail));
                    if phase.is_end() || wants.is_some() {
                        self.line(label, &format!("  {}", say::on_bench(advice.next, event.ecid)));
                    }
                }
                if let Some(wants) = wants {
                    let next = say::wanted(self.lang, *wants, presses, event.ecid);
                    self.line(label, &format!("  >> {next}"));
                }
            }
            Happened::Began { tries, .. } => self.line(label, &say(Batch::Began { tries: *tries })),
            Happened::Told { told } => {
                if let (Some(text), Some(shown)) = (told_line(self.lang, told), &shown) {
                    self.line(Some(&shown.label), &text);
                } else if let (Event::Progress { step: Step::SendImage, done, total: Some(total), .. }, Some(shown)) =
                    (told, shown)
                {
                    let tenth = done.saturating_mul(10).checked_div(*total);
                    if tenth.is_some_and(|tenth| tenth > 0) && tenth != shown.tenth {
                        shown.tenth = tenth;
                        let name = say::step(self.lang, Step::SendImage);
                        let text = format!("{name} {} %", tenth.unwrap_or_default() * 10);
                        self.line(label, &text);
                    }
                }
            }
            Happened::Mode { .. } if !shown.as_ref().is_some_and(|shown| shown.named) => {}
            Happened::Mode { mode: Some(mode) } => self.line(label, &format!("[{mode}]")),
            Happened::Mode { mode: None } => self.line(label, &say(Batch::Gone)),
            Happened::Stranger { stranger } => self.line(label, &say(Batch::Stranger { ecid: &stranger.to_string() })),
            Happened::NotAsked => self.line(label, &say(Batch::NotAsked)),
            Happened::Ignored { device } => self.line(None, &say(Batch::Ignored { ecid: &device.to_string() })),
            Happened::Warning { text } => self.line(None, &format!("! {text}")),
            Happened::Over { done, failed, left, .. } => {
                self.line(None, &say(Batch::Over { done: *done, failed: *failed, left: *left }));
            }
        }
    }

    /// What is known of rows, for the lines and for what leaving would mean.
    fn learn(&self, state: &mut State, event: &BatchEvent) {
        let mut name = |row: &Row| {
            let shown = state.shown.entry(row.row).or_default();
            shown.label = label(row);
            shown.running = row.phase == Phase::Running;
        };
        match &event.happened {
            Happened::Rows { rows } => rows.iter().for_each(&mut name),
            Happened::Row { now } => {
                name(now);
                state.shown.entry(now.row).or_default().named = true;
            }
            Happened::Phase { phase, .. } => {
                if let Some(shown) = event.row.map(|row| state.shown.entry(row).or_default()) {
                    shown.running = *phase == Phase::Running;
                }
                let running = state.shown.values().filter(|shown| shown.running).count();
                self.leaving.set(if running > 0 { Text::StateBatch { running } } else { Text::StateSafe });
            }
            _ => {}
        }
    }
}

impl TellBatch for BatchLines {
    fn tell(&self, event: BatchEvent) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.learn(&mut state, &event);
        if self.json && !self.too_soon(&mut state, &event) {
            let body = json!({ "event": "batch" });
            if let (Value::Object(mut body), Ok(Value::Object(rest))) = (body, serde_json::to_value(&event)) {
                body.extend(rest);
                self.object(&mut state, Value::Object(body));
            }
        }
        if self.people {
            self.people(&mut state, &event);
        }
    }
}

impl BatchLines {
    fn too_soon(&self, state: &mut State, event: &BatchEvent) -> bool {
        let Happened::Told { told: Event::Progress { unit, done, total, .. } } = &event.happened else { return false };
        let Some(shown) = event.row.map(|row| state.shown.entry(row).or_default()) else { return false };
        let last = Some(*done) == *total || (*unit == Unit::Percent && *done >= 100);
        if !last && shown.progress.is_some_and(|at| at.elapsed() < EVERY) {
            return true;
        }
        shown.progress = Some(Instant::now());
        false
    }
}

fn mode(row: &Row) -> String {
    row.mode.map(|mode| mode.to_string()).unwrap_or_else(|| "-".into())
}

/// `#3 S2 Anna's iPhone`: the row, its station, and what a person calls it.
fn label(row: &Row) -> String {
    let station = row.station.map(|station| format!(" S{station}")).unwrap_or_default();
    let name = row.title.clone().or_else(|| row.ecid.map(|ecid| ecid.to_string()));
    format!("#{}{station} {}", row.row, name.unwrap_or_default()).trim_end().to_owned()
}

/// What of a job's own walk is worth a line among those of others.
fn told_line(lang: Lang, told: &Event) -> Option<String> {
    let name = |step: Step| say::step(lang, step);
    match told {
        Event::StepBegan { step, what } if what.is_empty() => Some(format!("... {}", name(*step))),
        Event::StepBegan { step, what } => Some(format!("... {}: {what}", name(*step))),
        Event::StepDone { step: step @ (Step::Restore | Step::Fetch | Step::VerifyBackup | Step::PutBack), .. } => {
            Some(format!("ok  {}", name(*step)))
        }
        Event::StepFailed { step, fault } => Some(format!("!!  {}: {}", name(*step), fault.code)),
        Event::Trust { hurdle } => Some(say::hurdle(lang, *hurdle).to_owned()),
        Event::Ask { request: Request::Keys { .. } | Request::CableOut | Request::CableIn | Request::Slide } => None,
        Event::Ask { request } => Some(format!(">>  {}", say::request(lang, request))),
        Event::Warning { text } => Some(format!("!   {text}")),
        _ => None,
    }
}
