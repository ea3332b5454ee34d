//! Between those who tell and the screen.
//!
//! Anybody may change a row at any time, from any thread, as often as they like: they only change the state. The
//! screen is drawn from the newest state, at most each [`EVERY`]; what happened in between is never drawn. Where
//! there is no screen a change that is news becomes a line at once.

use super::frame::{Setting, Size, frame};
use super::paint::{Painter, Screen, Stands, take_notice};
use super::{Board, Command, Keys, Row, lines};
use crate::cli::keyboard::Keyboard;
use crate::say::{self, Lang};
use rustix::process::{Signal, getpid, kill_process};
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Ten frames a second: smooth for numbers, and nothing for a slow line.
pub const EVERY: Duration = Duration::from_millis(100);
/// The column of times.
const TICK: Duration = Duration::from_secs(1);

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    Screen,
    Lines,
    Json,
}

impl Show {
    /// A screen needs a terminal that a person sits at, and nothing else that writes to it.
    pub fn of(json: bool, others_write: bool) -> Show {
        let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
        let dumb = crate::cli::context::env("TERM").is_none_or(|term| term == "dumb");
        match json {
            true => Show::Json,
            false if terminal && !dumb && !others_write => Show::Screen,
            false => Show::Lines,
        }
    }
}

/// What ends a board on a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    ByKey,
    /// Work goes on behind it: only its end, or Ctrl-C.
    WithTheWork,
}

/// The board that is fed.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    show: Show,
    setting: Setting,
    began: Instant,
    board: Mutex<Board>,
    changed: Notify,
    /// Who hears which rows a person says are done.
    said: OnceLock<mpsc::Sender<u32>>,
    out: Mutex<Box<dyn Write + Send>>,
}

impl Live {
    pub fn new(show: Show, lang: Lang, is_virtual: bool) -> Live {
        Live::to(show, lang, is_virtual, Box::new(std::io::stdout()))
    }

    pub(super) fn to(show: Show, lang: Lang, is_virtual: bool, out: Box<dyn Write + Send>) -> Live {
        let setting = Setting { lang, is_virtual };
        Live(Arc::new(Inner {
            show,
            setting,
            began: Instant::now(),
            board: Mutex::default(),
            changed: Notify::new(),
            said: OnceLock::new(),
            out: Mutex::new(out),
        }))
    }

    /// From now on rows can be picked, and this is who hears by their keys that they are done.
    pub fn hears(&self, said: mpsc::Sender<u32>) {
        self.board().picks = self.0.said.set(said).is_ok();
    }

    /// The board's clock, for the times of rows.
    pub fn now(&self) -> Duration {
        self.0.began.elapsed()
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new row, or the same one as it is now.
    #[cfg(test)]
    pub(super) fn put(&self, row: Row) {
        self.put_in(&mut self.board(), row);
        self.0.changed.notify_one();
    }

    fn put_in(&self, board: &mut Board, row: Row) {
        let news = lines::is_news(board.get(&row.key), &row);
        if news {
            match self.0.show {
                Show::Screen => {}
                Show::Lines => self.line(&lines::line(self.0.setting, &row)),
                Show::Json => self.line(&lines::json_line(self.0.setting, &row).to_string()),
            }
        }
        board.put(row);
    }

    /// Changes a row, which is there afterwards if it was not.
    pub fn alter(&self, key: &str, change: impl FnOnce(&mut Row)) {
        let mut board = self.board();
        let mut row = board.get(key).cloned().unwrap_or_else(|| Row::new(key));
        change(&mut row);
        self.put_in(&mut board, row);
        drop(board);
        self.0.changed.notify_one();
    }

    pub fn remove(&self, key: &str) {
        let mut board = self.board();
        if let Some(row) = board.get(key) {
            match self.0.show {
                Show::Screen => {}
                Show::Lines => self.line(&lines::gone_line(self.0.setting, row)),
                Show::Json => self.line(&lines::gone_json(self.0.setting, row).to_string()),
            }
        }
        board.remove(key);
        drop(board);
        self.0.changed.notify_one();
    }

    pub fn lang(&self) -> Lang {
        self.0.setting.lang
    }

    /// A row as it is now.
    #[cfg(test)]
    pub(super) fn row(&self, key: &str) -> Option<Row> {
        self.board().get(key).cloned()
    }

    /// A remark about all of it: the foot of the screen, or a line for people.
    pub fn notice(&self, text: &str) {
        match self.0.show {
            Show::Screen => self.board().notice = Some(say::plain(text).replace('\n', " ")),
            Show::Lines => self.line(&format!("! {}", say::plain(text))),
            Show::Json => {}
        }
        self.0.changed.notify_one();
    }

    pub fn keys(&self) -> Vec<String> {
        self.board().rows().map(|row| row.key.clone()).collect()
    }

    /// A closed pipe is quiet.
    fn line(&self, text: &str) {
        let mut out = self.0.out.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    /// A line for each row, in order: what stays when the screen is gone.
    pub fn epilogue(&self) -> Vec<String> {
        self.board().sorted().into_iter().map(|row| lines::line(self.0.setting, row)).collect()
    }

    /// Shows it until `cancel` comes, or until a person leaves where a key may end it; without a screen only `cancel`
    /// does.
    pub async fn run(&self, cancel: &CancellationToken, leave: Leave) {
        if self.0.show != Show::Screen {
            cancel.cancelled().await;
            return;
        }
        let Some((keyboard, mut keys)) = Keyboard::open() else { return };
        let Ok(screen) = Screen::open() else { return };
        let Ok(mut resized) = signal(SignalKind::window_change()) else { return };
        let Ok(mut stopped) = signal(SignalKind::from_raw(Signal::TSTP.as_raw())) else { return };
        let (sender, mut commands) = tokio::sync::mpsc::unbounded_channel();
        let reader = tokio::spawn(async move {
            let mut state = Keys::default();
            loop {
                let command = tokio::select! {
                    byte = keys.recv() => match byte {
                        Some(byte) => state.take(byte),
                        None => return,
                    },
                    _ = resized.recv() => Some(Command::Redraw),
                    _ = stopped.recv() => Some(Command::Suspend),
                };
                if command.is_some_and(|command| sender.send(command).is_err()) {
                    return;
                }
            }
        });
        let suspend = || {
            crate::cli::keyboard::restore();
            super::restore();
            let _ = kill_process(getpid(), Signal::STOP);
            let _ = keyboard.again().and_then(|()| screen.again());
        };
        // One job of many may panic, which gives the terminal back; the others go on, and so does the board.
        let stands = || {
            let stands = screen.stands();
            if stands == Stands::Anew {
                let _ = keyboard.again();
            }
            stands
        };
        self.draw(size, suspend, stands, leave, &mut commands, cancel).await;
        reader.abort();
    }

    /// Draws until told to quit.
    pub(super) async fn draw(
        &self,
        size: impl Fn() -> Size,
        suspend: impl Fn(),
        stands: impl Fn() -> Stands,
        leave: Leave,
        commands: &mut tokio::sync::mpsc::UnboundedReceiver<Command>,
        cancel: &CancellationToken,
    ) {
        let mut painter = Painter::default();
        let mut next = Instant::now();
        let mut dirty = true;
        loop {
            let ticks = self.board().ticks();
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                command = commands.recv() => match command {
                    None => return,
                    Some(Command::Quit) if leave == Leave::ByKey => return,
                    Some(Command::Quit) => {
                        self.board().notice = Some(say::board::board(self.0.setting.lang, &say::board::Board::CtrlC));
                        dirty = true;
                    }
                    Some(command) => {
                        if command == Command::Suspend {
                            suspend();
                        }
                        if matches!(command, Command::Redraw | Command::Suspend) {
                            painter.forget();
                        }
                        let mut board = self.board();
                        board.obey(command);
                        let done = if command == Command::Done && board.picks { board.done() } else { None };
                        drop(board);
                        if let (Some(row), Some(said)) = (done.and_then(|key| super::batch::row_of(&key)), self.0.said.get()) {
                            // One who types faster than the batch listens types again.
                            let _ = said.try_send(row);
                        }
                        dirty = true;
                    }
                },
                () = tokio::time::sleep_until(next), if dirty => {
                    next = Instant::now() + EVERY;
                    match stands() {
                        Stands::Not => continue,
                        Stands::AsItWas => {}
                        Stands::Anew => painter.forget(),
                    }
                    let mut board = self.board();
                    if let Some(notice) = take_notice() {
                        board.notice = Some(notice);
                    }
                    let lines = frame(&mut board, self.0.setting, size(), self.now());
                    drop(board);
                    if let Some(text) = painter.paint(lines) {
                        let mut out = self.0.out.lock().unwrap_or_else(PoisonError::into_inner);
                        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
                    }
                    dirty = false;
                }
                () = self.0.changed.notified(), if !dirty => dirty = true,
                () = tokio::time::sleep(TICK), if ticks && !dirty => dirty = true,
            }
        }
    }
}

/// Of the terminal; what every terminal has where it does not say.
fn size() -> Size {
    let told = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    let told = told.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
    let (columns, rows) = told.filter(|(columns, rows)| *columns > 0 && *rows > 0).unwrap_or((80, 24));
    Size { columns: columns.min(400), rows: rows.min(400) }
}
