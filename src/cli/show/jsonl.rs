//! JSON lines on standard output: a `hello`, then one object an event.

use crate::event::{Event, Tell, Unit};
use serde_json::{Value, json};
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two progress lines of the same step.
const EVERY: Duration = Duration::from_millis(500);

pub struct JsonLines {
    is_virtual: bool,
    state: Mutex<State>,
}

struct State {
    sequence: u64,
    last_progress: Option<Instant>,
}

impl JsonLines {
    pub fn new(is_virtual: bool) -> Self {
        let lines = JsonLines { is_virtual, state: Mutex::new(State { sequence: 0, last_progress: None }) };
        lines.print(json!({ "event": "hello", "version": env!("CARGO_PKG_VERSION") }));
        lines
    }

    fn print(&self, body: Value) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
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
}

/// One object on standard output; a closed pipe is quiet.
pub fn print_line(line: &Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

impl Tell for JsonLines {
    fn tell(&self, event: Event) {
        if let Event::Progress { unit, done, total, .. } = &event {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let last = Some(*done) == *total || (*unit == Unit::Percent && *done >= 100);
            if !last && state.last_progress.is_some_and(|at| at.elapsed() < EVERY) {
                return;
            }
            state.last_progress = Some(Instant::now());
        }
        if let Ok(body) = serde_json::to_value(&event) {
            self.print(body);
        }
    }
}
