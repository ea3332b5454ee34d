//! How events reach a person or a program.
//!
//! One [`Show`] per run: bars on a terminal, plain lines otherwise, JSON lines with `--json` (and then the
//! texts go to standard error). The choice is made once; work rooms only know [`crate::event::Tell`].

mod bars;
pub mod batch;
pub mod board;
pub mod coach;
pub mod explained;
mod jsonl;
mod plain;
pub mod table;
pub mod wrap;

pub use jsonl::print_line;
pub use plain::virtual_banner;

use crate::cli::cancel::Leaving;
use crate::event::{Event, Step, Tell};
use crate::say::{Lang, Text};
use std::io::IsTerminal;
use std::sync::Arc;

/// Shows events and knows what leaving would mean.
pub struct Show {
    inner: Box<dyn Tell>,
    leaving: Leaving,
}

impl Show {
    pub fn new(lang: Lang, json: bool, is_virtual: bool, leaving: Leaving) -> Arc<Self> {
        let people: Box<dyn Tell> = if std::io::stderr().is_terminal() {
            Box::new(bars::Bars::new(lang, is_virtual))
        } else {
            Box::new(plain::Plain::new(lang, is_virtual))
        };
        let inner: Box<dyn Tell> =
            if json { Box::new(Both(Box::new(jsonl::JsonLines::new(is_virtual)), people)) } else { people };
        Arc::new(Show { inner, leaving })
    }
}

impl Tell for Show {
    fn tell(&self, event: Event) {
        if let Event::StepBegan { step, .. } | Event::StepDone { step, .. } = &event {
            self.leaving.set(state_during(*step));
        }
        self.inner.tell(event);
    }
}

/// What the device would be like if we left during this step.
fn state_during(step: Step) -> Text {
    match step {
        Step::EnterRecovery
        | Step::EnterDfu
        | Step::LeaveRecovery
        | Step::Ticket
        | Step::BootIbss
        | Step::BootIbec
        | Step::BootRamdisk
        | Step::AwaitRestore => Text::StateRecovery,
        Step::Restore | Step::SendImage | Step::AwaitNormal => Text::StateErased,
        _ => Text::StateSafe,
    }
}

struct Both(Box<dyn Tell>, Box<dyn Tell>);

impl Tell for Both {
    fn tell(&self, event: Event) {
        self.0.tell(event.clone());
        self.1.tell(event);
    }
}

/// `1.4 GB`, as people read sizes of files.
pub fn size(bytes: u64) -> String {
    indicatif::DecimalBytes(bytes).to_string()
}
