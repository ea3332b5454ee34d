//! Ctrl-C: the first asks, the second tells what state the device would be left in, the third leaves.

use super::show::board;
use crate::say::{Lang, Text, text};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What leaving now would mean; kept up to date by whoever shows events.
#[derive(Clone, Default)]
pub struct Leaving(Arc<Mutex<Option<Text>>>);

impl Leaving {
    pub fn set(&self, state: Text) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }

    fn get(&self) -> Text {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or(Text::StateSafe)
    }
}

/// Watches for Ctrl-C and SIGTERM from the moment that it returns. The third one ends the process with 130.
pub fn watch(lang: Lang, leaving: Leaving) -> CancellationToken {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    let (Ok(mut pressed), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        return token;
    };
    tokio::spawn(async move {
        let mut presses = 0;
        loop {
            tokio::select! {
                _ = pressed.recv() => {}
                _ = term.recv() => {}
            }
            presses += 1;
            let state = text(lang, &leaving.get());
            match presses {
                1 => {
                    cancelled.cancel();
                    tell(&text(lang, &Text::CancelOnce));
                }
                2 => tell(&text(lang, &Text::CancelTwice { state })),
                _ => {
                    board::restore();
                    eprintln!("\n{}", text(lang, &Text::CancelNow { state }));
                    leave();
                }
            }
        }
    });
    token
}

/// At the foot of a board where there is one, so that it does not go through the middle of it.
fn tell(text: &str) {
    if !board::notice(text) {
        eprintln!("\n{text}");
    }
}

#[allow(clippy::disallowed_methods)]
fn leave() -> ! {
    super::keyboard::restore();
    std::process::exit(130)
}
