//! A panic while the board is on the screen, at a real terminal: in one task of many, and in the one that draws.
//!
//! The program itself has no panic to offer, so this test binary is started again, at a terminal of its own.

use super::{Doing, Leave, Live, Row, Show, paint};
use crate::say::Lang;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Set for the one at the terminal.
const CHILD: &str = "HERSTEL_TEST_BOARD_PANICS";
const NAME: &str = "cli::show::board::panics::a_panic_gives_the_terminal_back_and_one_job_takes_no_board_away";
const LIMIT: Duration = Duration::from_secs(60);

fn board() -> Live {
    let live = Live::new(Show::Screen, Lang::En, true);
    live.put(Row { doing: Doing::Queued, title: Some("Anna's iPhone".into()), ..Row::new("row 1") });
    live
}

async fn shown() {
    while !paint::is_shown() {
        tokio::task::yield_now().await;
    }
}

fn at_a_terminal() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let never = CancellationToken::new();
        let task = tokio::spawn(async {
            shown().await;
            panic!("one task of many");
        });
        board().run(&never, Leave::ByKey).await;
        assert!(task.await.is_err());
        println!("left by a key");
        let whole = async {
            shown().await;
            panic!("the whole program");
        };
        let board = board();
        tokio::join!(board.run(&never, Leave::ByKey), whole);
    });
}

#[test]
#[allow(clippy::disallowed_methods)]
fn a_panic_gives_the_terminal_back_and_one_job_takes_no_board_away() {
    if std::env::var_os(CHILD).is_some() {
        return at_a_terminal();
    }
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let before = tcgetattr(&slave).unwrap();
    let mut master = File::from(master);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", NAME]);
    let ends = || Stdio::from(slave.try_clone().unwrap());
    let child = command.env(CHILD, "1").env("TERM", "xterm").stdin(ends()).stdout(ends()).stderr(ends()).spawn();
    let mut child = child.unwrap();
    let (mut text, mut typed, until) = (String::new(), false, Instant::now() + LIMIT);
    loop {
        let mut bytes = [0; 4096];
        let slice = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        if poll(&mut [PollFd::new(&master, PollFlags::IN)], Some(&slice)).unwrap() > 0 {
            let length = master.read(&mut bytes).unwrap();
            text.push_str(&String::from_utf8_lossy(&bytes[..length]));
        } else if child.try_wait().unwrap().is_some() {
            break;
        }
        // After the message the board is on the screen again, whole.
        let again = text.split("one task of many").nth(1).is_some_and(|rest| rest.contains("Anna's iPhone"));
        if again && !std::mem::replace(&mut typed, true) {
            let now = tcgetattr(&slave).unwrap().local_modes;
            assert!(!now.contains(LocalModes::ICANON), "and keys are read again");
            master.write_all(b"q").unwrap();
        }
        if Instant::now() > until {
            let _ = child.kill();
            break;
        }
    }
    let code = child.wait().unwrap().code();
    assert_eq!(code, Some(101), "{text}");
    let screens: String = text.matches("\x1b[?1049h").chain(text.matches("\x1b[?1049l")).collect();
    assert_eq!(screens.matches('h').count(), 3, "opened, taken up again, opened\n{text:?}");
    let at = |what: &str| text.rfind(what).unwrap_or_else(|| panic!("no {what:?}\n{text:?}"));
    assert!(at("\x1b[?1049l") > at("\x1b[?1049h") && at("\x1b[?25h") > at("\x1b[?25l"), "{text:?}");
    let message = text.find("the whole program").unwrap();
    assert!(message > text[..message].rfind("\x1b[?1049l").unwrap(), "said on the first screen\n{text:?}");
    assert!(text[..message].rfind("\x1b[?1049l") > text[..message].rfind("\x1b[?1049h"), "{text:?}");
    assert_eq!(tcgetattr(&slave).unwrap().local_modes, before.local_modes, "typing is shown again");
}
