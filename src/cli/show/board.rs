//! The board: many devices on one screen, a row each, read from two metres away.
//!
//! A [`Board`] is plain state: rows that somebody feeds, an order, and how far it was scrolled. `frame` makes lines of
//! it, a pure function of state, size and time; `paint` puts lines on a terminal, and only those that changed; `live`
//! stands between those who tell and the screen, and says how often it may change; `lines` tells the same where there
//! is no screen. A row needs a person when it says so, and that is told by a mark, by words and by bold letters, never
//! by colour alone.

mod batch;
mod frame;
mod lines;
mod live;
mod paint;
#[cfg(test)]
mod panics;
#[cfg(test)]
mod tests;

pub use batch::Feed;
pub use live::{Leave, Live, Show};
pub use paint::{notice, restore};

use crate::device::Trust;
use crate::event::batch::{Press, Wants};
use crate::event::{Event, Request, Step, Unit};
use crate::fault::{Code, Remedy};
use crate::ids::{Ecid, Mode};
use std::time::Duration;

/// What a person has to do before this row goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    Ask(Request),
    /// What helps against this.
    Remedy(Code),
    /// What a batch waits for, after which failure, and for DFU the keys of that model.
    Wants {
        wants: Wants,
        code: Option<Code>,
        remedy: Option<Remedy>,
        presses: Vec<Press>,
    },
    /// Another device hangs where this one is awaited.
    Stranger(Ecid),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// A station where nothing hangs.
    Empty,
    /// It is there, and nothing is done with it.
    Here(Option<Trust>),
    Queued,
    Working(Step),
    /// It failed, and will be tried again by itself.
    Retry,
    Done,
    Partly,
    Failed(Code),
    Cancelled,
}

/// One line of the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What feeds it knows it by; never shown.
    pub key: String,
    pub station: Option<u32>,
    /// What a person calls the device.
    pub title: Option<String>,
    pub ecid: Option<Ecid>,
    pub mode: Option<Mode>,
    pub doing: Doing,
    pub percent: Option<u8>,
    pub need: Option<Need>,
    /// On the board's own clock.
    pub began: Option<Duration>,
    pub ended: Option<Duration>,
}

impl Row {
    pub fn new(key: impl Into<String>) -> Row {
        Row {
            key: key.into(),
            station: None,
            title: None,
            ecid: None,
            mode: None,
            doing: Doing::Empty,
            percent: None,
            need: None,
            began: None,
            ended: None,
        }
    }

    /// Takes in what a job tells of its device.
    pub fn hear(&mut self, event: &Event) {
        match event {
            Event::StepBegan { step, .. } => {
                (self.doing, self.percent, self.need) = (Doing::Working(*step), None, None);
            }
            Event::StepFailed { fault, .. } => (self.doing, self.need) = (Doing::Failed(fault.code), None),
            Event::Progress { unit: Unit::Percent, done, .. } => self.percent = part(*done, 100),
            Event::Progress { done, total: Some(total), .. } => self.percent = part(*done, *total),
            // The image counts by itself; what restored does besides would jump in between.
            Event::StepDone { step: Step::SendImage, .. } if self.doing == Doing::Working(Step::SendImage) => {
                (self.doing, self.percent) = (Doing::Working(Step::Restore), None);
            }
            Event::Operation { .. } if self.doing == Doing::Working(Step::SendImage) => {}
            Event::Operation { percent: Some(percent), .. } => self.percent = Some((*percent).min(100)),
            Event::Ask { request } => self.need = Some(Need::Ask(request.clone())),
            Event::Answered { .. } => self.need = None,
            Event::Seen { mode, ecid } => {
                self.mode = Some(*mode);
                self.ecid = self.ecid.or(*ecid);
            }
            Event::Lost { .. } => self.mode = None,
            _ => {}
        }
    }

    /// Does a batch wait for a person here?
    fn waits(&self) -> bool {
        matches!(self.need, Some(Need::Wants { .. })) && matches!(self.doing, Doing::Working(_) | Doing::Queued)
    }

    /// Those that a person should look at first come first.
    fn urgency(&self) -> u8 {
        match self.doing {
            _ if self.need.is_some() => 0,
            Doing::Failed(_) => 1,
            Doing::Partly | Doing::Cancelled => 2,
            Doing::Working(_) => 3,
            Doing::Retry => 4,
            Doing::Queued => 5,
            Doing::Here(_) => 6,
            Doing::Done => 7,
            Doing::Empty => 8,
        }
    }
}

/// Whole percent, rounded down: 100 is all of it.
fn part(done: u64, total: u64) -> Option<u8> {
    let percent = u128::from(done) * 100 / u128::from(total.max(1));
    u8::try_from(percent.min(100)).ok()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    #[default]
    Station,
    Device,
    Progress,
    Attention,
}

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Sort(Sort),
    /// Rows down; up when negative. Where rows can be picked it moves the pick.
    Scroll(i32),
    /// A person did what the picked row asks for.
    Done,
    Redraw,
    /// Into the background, as Ctrl-Z asks; drawn whole when it comes back.
    Suspend,
    Quit,
}

#[derive(Clone, Debug, Default)]
pub struct Board {
    rows: Vec<Row>,
    sort: Sort,
    top: usize,
    /// In place of the keys, until the next one.
    notice: Option<String>,
    /// Rows can be picked: somebody hears which of them are done.
    picks: bool,
    picked: Option<String>,
    /// The widest step so far: columns that follow every word would never stand still.
    widest: usize,
}

impl Board {
    /// A new row, or the same one as it is now.
    pub fn put(&mut self, row: Row) {
        match self.rows.iter_mut().find(|old| old.key == row.key) {
            Some(old) => *old = row,
            None => self.rows.push(row),
        }
    }

    pub fn get(&self, key: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.key == key)
    }

    pub fn remove(&mut self, key: &str) {
        self.rows.retain(|row| row.key != key);
    }

    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }

    /// Is any row's time running?
    fn ticks(&self) -> bool {
        self.rows.iter().any(|row| row.began.is_some() && row.ended.is_none())
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Sort(sort) => (self.sort, self.top, self.picked) = (sort, 0, None),
            Command::Scroll(rows) if self.picks => self.pick(rows),
            Command::Scroll(rows) => {
                let rows = isize::try_from(rows).unwrap_or_default();
                self.top = self.top.saturating_add_signed(rows).min(self.rows.len().saturating_sub(1));
            }
            Command::Done | Command::Redraw | Command::Suspend | Command::Quit => {}
        }
        self.notice = None;
    }

    fn pick(&mut self, rows: i32) {
        let sorted = self.sorted();
        let before = self.picked.as_ref().and_then(|key| sorted.iter().position(|row| row.key == *key));
        let at = match before {
            Some(at) => at.saturating_add_signed(isize::try_from(rows).unwrap_or_default()),
            None => self.top,
        };
        self.picked = sorted.get(at.min(sorted.len().saturating_sub(1))).map(|row| row.key.clone());
    }

    /// The row that a person says is done. Without a pick the first one that waits is picked, and nothing is said yet:
    /// an Enter that was meant for something else does nothing.
    fn done(&mut self) -> Option<String> {
        if self.picked.is_some() {
            return self.picked.take();
        }
        self.picked = self.sorted().iter().find(|row| row.waits()).map(|row| row.key.clone());
        None
    }

    fn sorted(&self) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        let station = |row: &&Row| (row.station.unwrap_or(u32::MAX), row.key.clone());
        rows.sort_by_cached_key(station);
        match self.sort {
            Sort::Station => {}
            Sort::Device => rows.sort_by_cached_key(|row| match &row.title {
                Some(title) => (false, title.to_lowercase()),
                None => (true, String::new()),
            }),
            Sort::Progress => rows.sort_by_key(|row| match row.doing {
                Doing::Done => std::cmp::Reverse(Some(101)),
                Doing::Working(_) => std::cmp::Reverse(row.percent),
                _ => std::cmp::Reverse(None),
            }),
            Sort::Attention => rows.sort_by_key(|row| row.urgency()),
        }
        rows
    }
}

/// Bytes of a keyboard, of which an arrow is three.
#[derive(Debug, Default)]
pub struct Keys(u8);

impl Keys {
    pub fn take(&mut self, byte: u8) -> Option<Command> {
        let before = std::mem::take(&mut self.0);
        match (before, byte) {
            (_, 0x1B) => self.0 = 1,
            (1, b'[' | b'O') => self.0 = 2,
            (2, b'A') => return Some(Command::Scroll(-1)),
            (2, b'B') => return Some(Command::Scroll(1)),
            (2, b'5') => self.0 = 3,
            (2, b'6') => self.0 = 4,
            (3, b'~') => return Some(Command::Scroll(-8)),
            (4, b'~') => return Some(Command::Scroll(8)),
            (0 | 1, b's' | b'S') => return Some(Command::Sort(Sort::Station)),
            (0 | 1, b'd' | b'D') => return Some(Command::Sort(Sort::Device)),
            (0 | 1, b'p' | b'P') => return Some(Command::Sort(Sort::Progress)),
            (0 | 1, b'a' | b'A') => return Some(Command::Sort(Sort::Attention)),
            (0 | 1, b'j' | b'J') => return Some(Command::Scroll(1)),
            (0 | 1, b'k' | b'K') => return Some(Command::Scroll(-1)),
            (0 | 1, b'\r' | b'\n') => return Some(Command::Done),
            (0 | 1, b' ') => return Some(Command::Scroll(8)),
            (0 | 1, 0x0C) => return Some(Command::Redraw),
            (0 | 1, b'q' | b'Q' | 0x04) => return Some(Command::Quit),
            _ => {}
        }
        None
    }
}
