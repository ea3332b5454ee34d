//! Single keys from a terminal, without Enter, and lines that are not shown; the terminal is put back as it was,
//! whatever happens.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{IsTerminal, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use zeroize::Zeroizing;

/// Longest line in bytes that a terminal gives.
const MAX_LINE: usize = 4096;

/// How the terminal was, while keys are read.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Puts the terminal back; does nothing when it was not changed.
pub fn restore() {
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &before);
    }
}

/// Is what a person types shown?
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    Shown,
    Hidden,
}

/// Asks for a line, until Enter or `stop`; none at the end of input and where standard input is no terminal. It is
/// read byte by byte from the descriptor, as the standard library's buffer would keep a copy.
pub fn line(question: &str, echo: Echo, stop: &dyn Fn() -> bool) -> std::io::Result<Option<Zeroizing<Vec<u8>>>> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Ok(None);
    }
    let before = tcgetattr(&stdin)?;
    let mut quiet = before.clone();
    if echo == Echo::Hidden {
        quiet.local_modes.remove(LocalModes::ECHO);
        quiet.local_modes.insert(LocalModes::ECHONL);
    }
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
    tcsetattr(&stdin, OptionalActions::Flush, &quiet)?;
    eprint!("{question}");
    let slice = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE));
    let done = loop {
        if stop() {
            break Ok(None);
        }
        match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&slice)) {
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(err) => break Err(err.into()),
        }
        let mut byte = Zeroizing::new([0]);
        match rustix::io::read(&stdin, &mut *byte) {
            Ok(1) if byte[0] != b'\n' && line.len() < MAX_LINE => line.push(byte[0]),
            Ok(0) if line.is_empty() => break Ok(None),
            Ok(_) => break Ok(Some(line)),
            Err(Errno::INTR) => {}
            Err(err) => break Err(err.into()),
        }
    };
    restore();
    done
}

/// Reads keys until dropped.
pub struct Keyboard {
    stop: Arc<AtomicBool>,
}

impl Keyboard {
    /// None where standard input is no terminal. Ctrl-C stays what it is.
    pub fn open() -> Option<(Keyboard, UnboundedReceiver<u8>)> {
        if !std::io::stdin().is_terminal() {
            return None;
        }
        single_keys().ok()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = unbounded_channel();
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || {
            let stdin = std::io::stdin();
            let slice = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
            while !stopped.load(Ordering::Relaxed) {
                let mut waits = [PollFd::new(&stdin, PollFlags::IN)];
                if poll(&mut waits, Some(&slice)).unwrap_or(0) == 0 || stopped.load(Ordering::Relaxed) {
                    continue;
                }
                let mut byte = [0];
                match stdin.lock().read(&mut byte) {
                    Ok(1) if sender.send(byte[0]).is_ok() => {}
                    _ => return,
                }
            }
        });
        Some((Keyboard { stop }, receiver))
    }
}

impl Keyboard {
    /// After [`restore`], as when the program comes back from the background.
    pub fn again(&self) -> std::io::Result<()> {
        single_keys()
    }
}

fn single_keys() -> std::io::Result<()> {
    let before = tcgetattr(std::io::stdin())?;
    let mut raw = before.clone();
    raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
    Ok(tcsetattr(std::io::stdin(), OptionalActions::Now, &raw)?)
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        restore();
    }
}
