//! Frames as they look, kept in `tests/board/` (`HERSTEL_BLESS=1` writes them anew, and then they are to be read).

use super::frame::{Setting, Size, Weight, frame};
use super::live::{EVERY, Leave, Live, Show};
use super::paint::{Painter, Stands};
use super::*;
use crate::event::Step;
use crate::say::{Lang, width};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

const SIZES: [(usize, usize); 5] = [(80, 24), (120, 40), (40, 24), (62, 10), (80, 60)];

fn row(station: u32, title: &str, doing: Doing) -> Row {
    let mut row = Row::new(format!("station {station}"));
    row.station = Some(station);
    row.doing = doing;
    if doing != Doing::Empty {
        row.title = Some(title.to_owned());
        row.ecid = Some(Ecid(0x126D_0E81_1000_0000 + u64::from(station)));
        row.mode = Some(Mode::Normal);
    }
    row
}

fn at_work(station: u32, title: &str, step: Step, percent: Option<u8>, minutes: u64) -> Row {
    let mode = if step >= Step::AwaitRestore { Mode::Restore } else { Mode::Recovery };
    let began = Some(Duration::from_secs(7300 - 60 * minutes));
    Row { percent, began, mode: Some(mode), ..row(station, title, Doing::Working(step)) }
}

/// A shop at four in the afternoon.
fn shop() -> Board {
    let keys = Request::Keys { keys: vec!["side".into()], seconds: 10, text: "Hold side and volume down".into() };
    let mut rows = vec![
        at_work(1, "Anna's iPhone", Step::SendImage, Some(70), 4),
        at_work(2, "iPad van Bram", Step::EnterDfu, None, 1),
        at_work(3, "アンナのiPhone", Step::Fetch, Some(0), 0),
        row(4, "iPhone 13", Doing::Failed(Code::UsbGone)),
        row(5, "A very long name of a phone that somebody typed in a good mood 📱📱", Doing::Queued),
        row(6, "iPhone 8", Doing::Here(Some(Trust::Locked))),
        row(7, "", Doing::Empty),
        at_work(8, "\u{1b}[2J\u{202e}evil", Step::Restore, Some(100), 119),
        row(9, "iPhone SE", Doing::Done),
        row(10, "iPhone 12 mini", Doing::Partly),
        row(11, "iPhone 15 Pro", Doing::Retry),
        row(12, "Ame\u{301}lie", Doing::Cancelled),
        at_work(13, "iPhone XS", Step::Stashbag, None, 2),
        at_work(14, "iPhone 14", Step::Encrypt, Some(5), 3),
        row(15, "iPhone 11", Doing::Here(Some(Trust::Trusted))),
        row(16, "", Doing::Empty),
    ];
    rows[1].need = Some(Need::Ask(keys));
    rows[5].need = Some(Need::Ask(Request::UnlockDevice));
    rows[8].began = Some(Duration::from_secs(100));
    rows[8].ended = Some(Duration::from_secs(700));
    rows[14].need = Some(Need::Remedy(Code::UsbNoAccess));
    let mut board = Board::default();
    rows.into_iter().rev().for_each(|row| board.put(row));
    board
}

/// A batch of which one row waits for DFU, and is picked.
fn picking() -> Board {
    let press = |keys: &[&str], seconds, black| {
        let keys = keys.iter().map(|key| key.to_string()).collect();
        Press { keys, seconds, black }
    };
    let presses = vec![
        press(&["volume-up"], 0, false),
        press(&["volume-down"], 0, false),
        press(&["side"], 10, true),
        press(&["side", "volume-down"], 5, false),
        press(&["volume-down"], 13, false),
    ];
    let mut board = shop();
    for key in [7, 15, 16, 2, 6] {
        board.remove(&format!("station {key}"));
    }
    let waits = Need::Wants { wants: Wants::Dfu, code: Some(Code::RestoreFailed), remedy: None, presses };
    let mut row = board.get("station 8").unwrap().clone();
    (row.need, row.title) = (Some(waits), Some("iPhone 13 Pro".into()));
    board.put(row);
    let trust = Need::Wants { wants: Wants::Remedy, code: Some(Code::NotTrusted), remedy: None, presses: Vec::new() };
    let mut row = board.get("station 5").unwrap().clone();
    row.need = Some(trust);
    board.put(row);
    board.picks = true;
    board.obey(Command::Sort(Sort::Progress));
    assert_eq!(board.done(), None, "the first Enter only picks");
    board
}

fn setting(lang: Lang) -> Setting {
    Setting { lang, is_virtual: true }
}

const NOW: Duration = Duration::from_secs(7300);

/// As it looks; what is shown strongly is marked at the left.
fn picture(board: &mut Board, lang: Lang, (columns, rows): (usize, usize)) -> String {
    let lines = frame(board, setting(lang), Size { columns, rows }, NOW);
    assert_eq!(lines.len(), rows, "the screen is filled");
    let mut out = String::new();
    for line in lines {
        assert!(width(&line.text) <= columns, "{columns}: {:?}", line.text);
        assert!(!line.text.contains(['\x1b', '\u{202e}']), "{:?}", line.text);
        let weight = match line.weight {
            Weight::Plain => ' ',
            Weight::Strong => '*',
            Weight::Urgent => '#',
        };
        out.push_str(format!("{weight}|{}", line.text).trim_end());
        out.push('\n');
    }
    out
}

#[test]
#[allow(clippy::disallowed_methods)]
fn frames_as_they_look() {
    let bless = std::env::var_os("HERSTEL_BLESS").is_some();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/board");
    let mut all = Vec::new();
    for lang in [Lang::En, Lang::Nl] {
        for size in SIZES {
            all.push((format!("{}-{}x{}", lang.code(), size.0, size.1), picture(&mut shop(), lang, size)));
        }
        for sort in Sort::ALL {
            let mut board = shop();
            board.obey(Command::Sort(sort));
            all.push((format!("{}-{sort:?}", lang.code()).to_lowercase(), picture(&mut board, lang, (80, 60))));
        }
        all.push((format!("{}-pick", lang.code()), picture(&mut picking(), lang, (80, 24))));
        all.push((format!("{}-nothing", lang.code()), picture(&mut Board::default(), lang, (80, 8))));
    }
    for (name, shown) in all {
        let file = folder.join(format!("{name}.txt"));
        if bless {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&file, &shown).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), shown, "{}", file.display());
    }
}

#[test]
fn every_size_fits_and_every_row_can_be_reached() {
    for lang in [Lang::En, Lang::Nl] {
        for columns in [1, 7, 20, 33, 49, 61, 77, 79, 81, 200] {
            for rows in [1, 2, 3, 4, 7, 24, 100] {
                let lines = frame(&mut shop(), setting(lang), Size { columns, rows }, NOW);
                assert!(lines.len() <= rows && lines.iter().all(|l| width(&l.text) <= columns), "{columns}x{rows}");
            }
        }
    }
    let mut board = shop();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let text = picture(&mut board, Lang::En, (80, 9));
        let numbers =
            text.lines().filter_map(|line| line.chars().skip(4).take(3).collect::<String>().trim().parse().ok());
        seen.extend(numbers.filter(|n: &u32| (1..=16).contains(n)));
        board.obey(Command::Scroll(1));
    }
    assert_eq!(seen.len(), 16, "{seen:?}");
    assert!(board.top < 16);
    let bottom = picture(&mut board, Lang::En, (80, 9));
    board.obey(Command::Scroll(i32::MAX));
    assert_eq!(picture(&mut board, Lang::En, (80, 9)), bottom, "the last page is the last");
    board.obey(Command::Scroll(i32::MIN));
    assert!(picture(&mut board, Lang::En, (80, 9)).contains("Anna's iPhone"));
}

#[test]
fn a_row_is_picked_and_said_to_be_done() {
    let mut board = picking();
    assert_eq!(board.picked.as_deref(), Some("station 8"), "the first that waits, as it is shown");
    assert_eq!(board.done().as_deref(), Some("station 8"));
    assert_eq!(board.picked, None, "and the next Enter begins anew");
    board.obey(Command::Scroll(1));
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        seen.extend(board.picked.clone());
        let shown = picture(&mut board, Lang::En, (80, 12));
        assert!(
            shown.lines().any(|line| line.starts_with("#|") && line.contains('»')),
            "the picked row is seen\n{shown}"
        );
        board.obey(Command::Scroll(1));
    }
    assert_eq!(seen.len(), board.rows.len(), "the keys come to each row");
    board.obey(Command::Scroll(-100));
    let first = board.sorted()[0].key.clone();
    assert_eq!(board.done(), Some(first), "whatever is picked is told: the batch knows what it waits for");
    board.obey(Command::Scroll(1));
    board.obey(Command::Sort(Sort::Station));
    assert_eq!(board.picked, None, "rows that changed places under a finger");
    let mut nobody = shop();
    nobody.picks = true;
    assert_eq!((nobody.done(), nobody.picked), (None, None), "nothing waits");
    let mut list = shop();
    list.obey(Command::Scroll(2));
    assert_eq!((list.picked.clone(), list.top), (None, 2), "where nobody hears of it nothing is picked");
}

#[test]
fn what_a_person_has_to_do_is_said_without_colour() {
    let text = picture(&mut shop(), Lang::En, (80, 60));
    for said in [">> Hold side and volume down (10 s)", ">> Unlock the device with its passcode", "NEED YOU: 3"] {
        assert!(text.contains(said), "{text}");
    }
    let mut painter = Painter::default();
    let bytes = painter.paint(frame(&mut shop(), setting(Lang::Nl), Size { columns: 80, rows: 60 }, NOW)).unwrap();
    let colours = ["\x1b[3", "\x1b[4", "\x1b[1;3", "\x1b[9", "\x1b[10"];
    let orders = bytes.split("\x1b[").skip(1).map(|rest| rest.split(|c: char| c.is_ascii_alphabetic()).next().unwrap());
    for order in orders {
        let style = bytes.contains(&format!("\x1b[{order}m"));
        assert!(!style || ["0", "1", "1;7"].contains(&order), "{order} is one of {colours:?}");
    }
}

#[test]
fn only_lines_that_changed_are_written() {
    let size = Size { columns: 80, rows: 30 };
    let mut board = shop();
    let mut painter = Painter::default();
    let whole = painter.paint(frame(&mut board, setting(Lang::En), size, NOW)).unwrap();
    assert!(whole.contains("\x1b[2J"));
    assert_eq!(painter.paint(frame(&mut board, setting(Lang::En), size, NOW)), None, "nothing new, nothing written");
    let mut one = board.get("station 1").unwrap().clone();
    one.percent = Some(71);
    board.put(one);
    let next = painter.paint(frame(&mut board, setting(Lang::En), size, NOW)).unwrap();
    assert!(next.contains("71 %") && next.matches("\x1b[K").count() == 1 && !next.contains("\x1b[2J"), "{next:?}");
    let fewer = Size { columns: 80, rows: 28 };
    let next = painter.paint(frame(&mut board, setting(Lang::En), fewer, NOW)).unwrap();
    assert!(next.contains("\x1b[30;1H\x1b[K"), "lines that are no more are wiped: {next:?}");
    painter.forget();
    assert!(painter.paint(frame(&mut board, setting(Lang::En), fewer, NOW)).unwrap().contains("\x1b[2J"));
}

#[test]
fn keys_of_letters_and_of_three_bytes() {
    let mut keys = Keys::default();
    let mut typed = |bytes: &[u8]| bytes.iter().filter_map(|b| keys.take(*b)).collect::<Vec<_>>();
    assert_eq!(typed(b"sDpa"), Sort::ALL.map(Command::Sort));
    assert_eq!(typed(b"\x1b[A\x1b[Bjk"), [-1, 1, 1, -1].map(Command::Scroll));
    assert_eq!(typed(b"\x1b[5~\x1b[6~ \x1bOB"), [-8, 8, 8, 1].map(Command::Scroll));
    assert_eq!(typed(b"\x1b[Zx\x1bq"), [Command::Quit], "what is no key does nothing");
    assert_eq!(typed(b"\r\n"), [Command::Done; 2]);
}

#[test]
fn a_row_follows_what_a_job_tells() {
    use crate::event::Event as E;
    use crate::fault::Fault;
    let mut row = Row::new("x");
    let told = |row: &mut Row, event: E| row.hear(&event);
    told(&mut row, E::Seen { mode: Mode::Dfu, ecid: Some(Ecid(7)) });
    told(&mut row, E::StepBegan { step: Step::Fetch, what: String::new() });
    told(&mut row, E::Progress { step: Step::Fetch, unit: Unit::Bytes, done: 999, total: Some(1000) });
    assert_eq!((row.mode, row.ecid, row.percent), (Some(Mode::Dfu), Some(Ecid(7)), Some(99)), "100 is all of it");
    told(&mut row, E::Progress { step: Step::Fetch, unit: Unit::Bytes, done: u64::MAX, total: Some(0) });
    assert_eq!(row.percent, Some(100));
    told(&mut row, E::Ask { request: Request::Replug });
    assert_eq!(row.need, Some(Need::Ask(Request::Replug)));
    told(&mut row, E::Answered { request: Request::Replug });
    told(&mut row, E::Lost { mode: Mode::Dfu, ecid: None });
    assert_eq!((row.need.clone(), row.mode), (None, None));
    told(&mut row, E::StepBegan { step: Step::Restore, what: String::new() });
    told(&mut row, E::Operation { code: 1, name: String::new(), percent: Some(250) });
    assert_eq!((row.doing, row.percent), (Doing::Working(Step::Restore), Some(100)));
    told(&mut row, E::StepBegan { step: Step::SendImage, what: String::new() });
    told(&mut row, E::Operation { code: 1, name: String::new(), percent: Some(3) });
    assert_eq!(row.percent, None, "restored's other work does not count for the image");
    told(&mut row, E::StepDone { step: Step::SendImage, what: String::new() });
    told(&mut row, E::Operation { code: 1, name: String::new(), percent: Some(4) });
    assert_eq!((row.doing, row.percent), (Doing::Working(Step::Restore), Some(4)));
    told(&mut row, E::StepFailed { step: Step::Restore, fault: Fault::new(Code::UsbGone, "") });
    assert_eq!(row.doing, Doing::Failed(Code::UsbGone));
}

#[derive(Clone, Default)]
struct Tape(Arc<Mutex<Vec<(tokio::time::Duration, String)>>>, Option<tokio::time::Instant>);

impl Write for Tape {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let at = self.1.map(|began| began.elapsed()).unwrap_or_default();
        self.0.lock().unwrap().push((at, String::from_utf8_lossy(bytes).into_owned()));
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_changes_in_five_seconds_are_fifty_frames() {
    let tape = Tape(Arc::default(), Some(tokio::time::Instant::now()));
    let live = Live::to(Show::Screen, Lang::En, true, Box::new(tape.clone()));
    let (_sender, mut commands) = tokio::sync::mpsc::unbounded_channel();
    let cancel = CancellationToken::new();
    let hammer = async {
        for n in 0..10_000_u32 {
            live.alter(&format!("{}", n % 16), |row| {
                (row.station, row.doing) = (Some(n % 16 + 1), Doing::Working(Step::Fetch));
                (row.title, row.percent) = (Some(format!("{n}")), part(u64::from(n), 10_000));
            });
            if n % 2 == 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        // The last state is drawn too.
        tokio::time::sleep(EVERY * 2).await;
        cancel.cancel();
    };
    let size = || Size { columns: 80, rows: 24 };
    tokio::join!(live.draw(size, || {}, || Stands::AsItWas, Leave::ByKey, &mut commands, &cancel), hammer);
    let frames = tape.0.lock().unwrap().clone();
    assert!((40..=53).contains(&frames.len()), "{}", frames.len());
    assert!(frames.windows(2).all(|pair| pair[1].0 - pair[0].0 >= EVERY), "never closer together");
    assert!(frames.last().unwrap().1.contains("9999"), "{:?}", frames.last());
    let whole: usize = frames.iter().map(|(_, text)| text.len()).sum();
    assert!(whole < 53 * 24 * 110, "{whole} bytes");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_board_writes_nothing_and_a_running_time_once_a_second() {
    for (began, frames) in [(None, 1..=1), (Some(Duration::ZERO), 9..=11)] {
        let tape = Tape::default();
        let live = Live::to(Show::Screen, Lang::En, true, Box::new(tape.clone()));
        live.put(Row { began, ..Row::new("x") });
        let (_sender, mut commands) = tokio::sync::mpsc::unbounded_channel();
        let cancel = CancellationToken::new();
        let wait = async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            cancel.cancel();
        };
        let size = || Size { columns: 80, rows: 24 };
        tokio::join!(live.draw(size, || {}, || Stands::AsItWas, Leave::ByKey, &mut commands, &cancel), wait);
        let written = tape.0.lock().unwrap().len();
        assert!(frames.contains(&written), "{began:?}: {written}");
    }
}

#[test]
fn without_a_screen_a_line_for_each_change() {
    let tape = Tape::default();
    let live = Live::to(Show::Lines, Lang::Nl, false, Box::new(tape.clone()));
    let board = shop();
    for key in ["station 2", "station 4", "station 16"] {
        live.put(board.get(key).unwrap().clone());
    }
    for percent in 0..=100 {
        live.alter("station 2", |row| (row.need, row.percent) = (None, Some(percent)));
    }
    live.remove("station 2");
    let told: String = tape.0.lock().unwrap().iter().map(|(_, text)| text.clone()).collect();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines[0],
        "werkplek 2  0x126D0E8110000002  iPad van Bram  recovery  Naar de DFU-modus  >> Hold side and volume down (10 s)"
    );
    assert_eq!(lines[1], "werkplek 4  0x126D0E8110000004  iPhone 13  normal  mislukt: usb-gone");
    assert_eq!(lines[2], "werkplek 16  leeg");
    assert!(lines[3].ends_with("0 %") && lines[13].ends_with("100 %"), "{told}");
    assert_eq!((lines.len(), lines[14]), (15, "werkplek 2  0x126D0E8110000002  iPad van Bram  weg"), "tens, not ones");
}

#[test]
fn the_same_for_programs_is_frozen() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema/v1/board.json");
    let frozen: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let tape = Tape::default();
    let live = Live::to(Show::Json, Lang::Nl, true, Box::new(tape.clone()));
    let board = shop();
    for key in [1, 2, 4, 15, 16] {
        live.put(board.get(&format!("station {key}")).unwrap().clone());
    }
    live.remove("station 4");
    let told: String = tape.0.lock().unwrap().iter().map(|(_, text)| text.clone()).collect();
    let lines: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(serde_json::Value::Array(lines), frozen, "{told}");
}
