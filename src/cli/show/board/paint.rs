//! Lines on a terminal, without flicker: one write a frame, of the lines that changed, in the terminal's second screen.
//!
//! Whatever ends the program (a key, Ctrl-C, SIGTERM, a panic) gives the first screen and the cursor back; what was
//! told meanwhile goes to the foot of the board instead of through the middle of it.

use super::frame::{Line, Weight};
use std::fmt::Write as _;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};

const OPEN: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[2J";
const CLOSE: &[u8] = b"\x1b[0m\x1b[?25h\x1b[?1049l";

/// A board is on the screen now.
static SHOWN: AtomicBool = AtomicBool::new(false);
/// A panic took it away, and whoever panicked was not this thread: a task of many.
static TAKEN: AtomicBool = AtomicBool::new(false);
static NOTICE: Mutex<Option<String>> = Mutex::new(None);

/// Gives the terminal back; does nothing where no board is.
pub fn restore() {
    if SHOWN.swap(false, Ordering::SeqCst) {
        let mut out = std::io::stdout();
        let _ = out.write_all(CLOSE).and_then(|()| out.flush());
    }
}

#[cfg(test)]
pub(super) fn is_shown() -> bool {
    SHOWN.load(Ordering::SeqCst)
}

/// A line for the foot of the board; false where there is none, and then it has to be told elsewhere.
pub fn notice(text: &str) -> bool {
    let shown = SHOWN.load(Ordering::SeqCst);
    if shown {
        *NOTICE.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.trim().to_owned());
    }
    shown
}

pub(super) fn take_notice() -> Option<String> {
    NOTICE.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Which lines are on the screen.
#[derive(Default)]
pub struct Painter {
    shown: Vec<Line>,
}

impl Painter {
    /// The next frame is drawn whole.
    pub fn forget(&mut self) {
        self.shown.clear();
    }

    /// What has to be written for these lines; none when nothing changed.
    pub fn paint(&mut self, lines: Vec<Line>) -> Option<String> {
        let mut out = String::new();
        if self.shown.is_empty() {
            out.push_str("\x1b[2J");
        }
        for (at, line) in lines.iter().enumerate() {
            if self.shown.get(at) == Some(line) {
                continue;
            }
            let style = match line.weight {
                Weight::Plain => "",
                Weight::Strong => "\x1b[1m",
                Weight::Urgent => "\x1b[1;7m",
            };
            let (text, row) = (&line.text, at + 1);
            let _ = match style {
                "" => write!(out, "\x1b[{row};1H{text}\x1b[K"),
                _ => write!(out, "\x1b[{row};1H{style}{text}\x1b[0m\x1b[K"),
            };
        }
        for row in lines.len()..self.shown.len() {
            let _ = write!(out, "\x1b[{};1H\x1b[K", row + 1);
        }
        self.shown = lines;
        // Terminals that know it show all of it at once; the others ignore it.
        (!out.is_empty()).then(|| format!("\x1b[?2026h{out}\x1b[?2026l"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    Not,
    AsItWas,
    Anew,
}

/// The second screen of the terminal on standard output, until dropped.
pub struct Screen;

impl Screen {
    pub fn open() -> std::io::Result<Screen> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                crate::cli::keyboard::restore();
                before(info);
                TAKEN.store(true, Ordering::SeqCst);
            }));
        });
        let screen = Screen;
        screen.again()?;
        Ok(screen)
    }

    /// May it be painted on, and if so, was it taken away meanwhile and is new?
    pub fn stands(&self) -> Stands {
        if TAKEN.swap(false, Ordering::SeqCst) && self.again().is_ok() {
            return Stands::Anew;
        }
        if SHOWN.load(Ordering::SeqCst) { Stands::AsItWas } else { Stands::Not }
    }

    /// After [`restore`].
    pub fn again(&self) -> std::io::Result<()> {
        SHOWN.store(true, Ordering::SeqCst);
        let mut out = std::io::stdout();
        out.write_all(OPEN).and_then(|()| out.flush())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}
