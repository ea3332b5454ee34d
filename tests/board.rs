//! Stations and the board with the real program: at a terminal of its own, through a pipe, and as JSON lines.
//!
//! The terminal keeps what a terminal would show, so that a test reads the screen and not the bytes: which lines stand
//! where, whether the cursor is there, and which of the two screens it is.

mod bench;

use bench::Rig;
use herstel::fault::Code;
use herstel::virt::phone::Stage;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(120);

/// What a terminal would show.
#[derive(Default)]
struct Glass {
    lines: Vec<String>,
    row: usize,
    column: usize,
    second: bool,
    cursor_hidden: bool,
    /// Bytes of an order that is not whole yet.
    rest: String,
}

impl Glass {
    fn take(&mut self, text: &str) {
        let text = format!("{}{text}", std::mem::take(&mut self.rest));
        let mut rest = text.as_str();
        while let Some(c) = rest.chars().next() {
            let Some(order) = rest.strip_prefix("\x1b[") else {
                if rest == "\x1b" {
                    self.rest = rest.to_owned();
                    return;
                }
                self.letter(c);
                rest = &rest[c.len_utf8()..];
                continue;
            };
            let Some(end) = order.find(|c: char| c.is_ascii_alphabetic()) else {
                self.rest = rest.to_owned();
                return;
            };
            self.order(&order[..end], &order[end..=end]);
            rest = &order[end + 1..];
        }
    }

    fn letter(&mut self, c: char) {
        match c {
            '\r' => self.column = 0,
            '\n' => self.row += 1,
            c => {
                self.line().push(c);
                self.column += 1;
            }
        }
    }

    /// The line of the cursor, as far as the cursor.
    fn line(&mut self) -> &mut String {
        if self.lines.len() <= self.row {
            self.lines.resize(self.row + 1, String::new());
        }
        let (row, column) = (self.row, self.column);
        let line = &mut self.lines[row];
        *line = line.chars().chain(std::iter::repeat(' ')).take(column).collect();
        line
    }

    fn order(&mut self, what: &str, order: &str) {
        match (what, order) {
            ("?1049", "h" | "l") => {
                self.second = order == "h";
                self.lines.clear();
            }
            ("?25", "h" | "l") => self.cursor_hidden = order == "l",
            ("2", "J") => self.lines.clear(),
            ("", "K") => drop(self.line()),
            (place, "H") => {
                let (row, column) = place.split_once(';').unwrap();
                (self.row, self.column) = (row.parse::<usize>().unwrap() - 1, column.parse::<usize>().unwrap() - 1);
            }
            (_, "m") | ("?2026", _) => {}
            other => panic!("an order that the board has no use for: {other:?}"),
        }
    }

    fn text(&self) -> String {
        self.lines.join("\n")
    }
}

/// The program at a terminal.
struct Terminal {
    master: File,
    slave: File,
    before: Termios,
    glass: Glass,
    bytes: usize,
    child: Child,
}

impl Terminal {
    fn start(mut command: Command, columns: u16, rows: u16) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let before = tcgetattr(&slave).unwrap();
        let master = File::from(master);
        tcsetwinsize(&master, Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let ends = || Stdio::from(slave.try_clone().unwrap());
        let child = command.env("TERM", "xterm").stdin(ends()).stdout(ends()).stderr(ends()).spawn().unwrap();
        Terminal { master, slave, before, glass: Glass::default(), bytes: 0, child }
    }

    fn read(&mut self) {
        let mut bytes = [0; 65536];
        let slice = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        if poll(&mut [PollFd::new(&self.master, PollFlags::IN)], Some(&slice)).unwrap() > 0
            && let Ok(length) = self.master.read(&mut bytes)
        {
            self.bytes += length;
            self.glass.take(&String::from_utf8_lossy(&bytes[..length]));
        }
    }

    fn wait(&mut self, what: &str, shown: impl Fn(&Glass) -> bool) {
        let until = Instant::now() + LIMIT;
        while !shown(&self.glass) {
            assert!(Instant::now() < until, "{what} was never shown\n{}", self.glass.text());
            self.read();
        }
    }

    fn see(&mut self, text: &str) {
        self.wait(text, |glass| glass.text().contains(text));
    }

    fn type_in(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id().cast_signed()).unwrap(), signal).unwrap();
    }

    /// Ctrl-Z, until it has stopped and the first screen is back.
    fn suspend(&mut self) {
        self.signal(Signal::TSTP);
        let stat = format!("/proc/{}/stat", self.child.id());
        let stopped = || fs::read_to_string(&stat).unwrap().rsplit(')').next().unwrap().starts_with(" T");
        let until = Instant::now() + LIMIT;
        while !stopped() {
            assert!(Instant::now() < until, "it went on\n{}", self.glass.text());
            self.read();
        }
        self.wait("the first screen", |glass| !glass.second && !glass.cursor_hidden);
    }

    fn resize(&self, columns: u16, rows: u16) {
        tcsetwinsize(&self.master, Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        // The terminal is nobody's controlling one, so the kernel tells nobody.
        self.signal(Signal::WINCH);
    }

    /// Its end; the terminal has to be as it was.
    fn end(mut self) -> (Option<i32>, String) {
        let until = Instant::now() + LIMIT;
        let status = loop {
            self.read();
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > until {
                let _ = self.child.kill();
                panic!("it never ended\n{}", self.glass.text());
            }
        };
        self.read();
        let after = tcgetattr(&self.slave).unwrap();
        assert!(after.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO), "typing is shown again");
        assert_eq!(after.local_modes, self.before.local_modes);
        assert!(!self.glass.second && !self.glass.cursor_hidden, "the first screen, and the cursor on it");
        (status.code(), self.glass.text())
    }
}

fn shop() -> Rig {
    Rig::new(
        "pace = 25.0\n\
         [[phone]]\nmodel = \"iphone13\"\nname = \"Anna's iPhone\"\ntrust = \"trusted\"\n\
         [[phone]]\nmodel = \"iphone8\"\nname = \"\u{30a2}\u{30f3}\u{30ca}\"\ntrust = \"trusted\"\npasscode = \"before-first-unlock\"\n\
         [[phone]]\nmodel = \"ipad-pro-m4\"\nname = \"iPad van Bram\"\nmode = \"off\"\n",
    )
}

fn station_file(rig: &Rig) -> std::path::PathBuf {
    rig.path("config/herstel/stations-virtual.toml")
}

#[test]
fn scripts_number_ports_and_every_list_shows_it() {
    let rig = shop();
    let (first, second) = (rig.bench.phones[0].port_path(), rig.bench.phones[1].port_path());
    assert_eq!(rig.good(&["stations", "--json"]).lines()[0]["stations"], json!([]));
    assert!(rig.good(&["list"]).out.starts_with("MODE"), "no column without stations");
    let set = rig.good(&["stations", "set", "3", &first, "--label", "by the window", "--json"]);
    assert_eq!(set.lines()[0]["station"]["number"], 3, "{set}");
    let set = rig.good(&["stations", "set", "4", &first, "--json"]).lines().remove(0);
    assert_eq!((&set["station"]["number"], &set["gave_way"][0]["number"]), (&json!(4), &json!(3)));
    rig.good(&["stations", "set", "12", &second]);
    let rows = rig.good(&["list", "--json"]).lines().remove(0);
    assert_eq!((&rows["devices"][0]["station"], &rows["devices"][1]["station"]), (&json!(4), &json!(12)));
    let listed = rig.good(&["list"]);
    assert!(listed.out.starts_with("ST  MODE") && listed.out.contains("\n12  normal"), "{listed}");
    rig.good(&["stations", "set", "20", &first]);
    let rows = rig.good(&["list", "--json"]).lines().remove(0);
    let numbers = [0, 1].map(|at| rows["devices"][at]["station"].clone());
    assert_eq!(numbers, [12, 20], "by station, whatever the port");
    rig.good(&["stations", "set", "4", &first]);
    let ecid = rig.bench.phones[1].ecid.to_string();
    assert_eq!(rig.good(&["info", "--json", "-d", &ecid]).lines()[0]["info"]["station"], 12);
    let stations = rig.good(&["stations", "--json"]).lines().remove(0);
    assert_eq!((&stations["virtual"], &stations["stations"][1]["device"]["ecid"]), (&json!(true), &json!(ecid)));
    assert_eq!(stations["stations"][0]["port_now"], first.as_str());
    for (wrong, says) in [
        (&["stations", "set", "0", "1-1"][..], "numbers go from 1"),
        (&["stations", "set", "5", "left"], "is no USB port"),
        (&["stations", "forget", "12", "77"], "no station 77"),
        (&["stations", "teach"], "needs a person at a terminal"),
    ] {
        let mut all = wrong.to_vec();
        all.push("--json");
        let ran = rig.run(&all);
        assert_eq!((ran.code, ran.code_of_fault()), (Some(2), Some(Code::Usage)), "{ran}");
        assert!(ran.fault().unwrap().detail.contains(says), "{ran}");
    }
    let before = fs::read_to_string(station_file(&rig)).unwrap();
    assert!(before.contains("number = 12"), "a refused change changed nothing: {before}");
    rig.good(&["stations", "forget", "12"]);
    fs::write(station_file(&rig), "[[station]]\nnumber = 1\nport = \"1-1\"\ncolour = \"red\"\n").unwrap();
    for verb in ["list", "stations"] {
        let ran = rig.run(&[verb, "--json"]);
        assert_eq!((ran.code, ran.code_of_fault()), (Some(2), Some(Code::ConfigInvalid)), "{ran}");
        assert!(ran.fault().unwrap().detail.contains("line 4: unknown field"), "{ran}");
    }
}

#[test]
fn what_scripts_read_of_stations_is_frozen() {
    let rig = shop();
    rig.good(&["stations", "set", "3", "1-9", "--label", "by the window"]);
    let one = |args: &[&str]| rig.good(args).lines().remove(0);
    let now = json!([
        one(&["stations", "set", "4", "1-9", "--json"]),
        one(&["stations", "--json"]),
        one(&["stations", "forget", "4", "--json"]),
    ]);
    let frozen = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema/v1/stations.json");
    assert_eq!(now, serde_json::from_slice::<Value>(&fs::read(frozen).unwrap()).unwrap(), "{now}");
}

#[test]
fn a_person_walks_along_the_bench() {
    let rig = shop();
    let [one, two, three] = [0, 1, 2].map(|at| rig.bench.phones[at].clone());
    one.enter(Stage::Away);
    two.enter(Stage::Away);
    let mut terminal = Terminal::start(rig.command(&["stations", "teach"]), 80, 24);
    terminal.see("Station 1: plug the device in there");
    terminal.type_in("\r");
    terminal.see("Nothing new was plugged in");
    one.enter(Stage::Normal);
    // Its name may come later than its port.
    terminal.see("at port 1-1");
    terminal.type_in("\r");
    terminal.see("Station 1 is port 1-1.");
    assert!(fs::read_to_string(station_file(&rig)).unwrap().contains("port = \"1-1\""), "written at once");
    three.enter(Stage::Normal);
    terminal.see("at port 1-3");
    three.enter(Stage::Away);
    terminal.see("port 1-3 is empty");
    terminal.type_in("s");
    terminal.see("Station 2 is left as it was.");
    three.enter(Stage::Recovery);
    terminal.wait("an arrival in recovery", |glass| glass.text().matches("at port 1-3").count() == 2);
    terminal.type_in("\r");
    terminal.see("Station 3 is port 1-3.");
    terminal.type_in("r");
    terminal.see("Station 3 is taken back.");
    terminal.type_in("\r");
    terminal.wait("the same once more", |glass| glass.text().matches("Station 3 is port 1-3.").count() == 2);
    terminal.signal(Signal::INT);
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(130), "{shown}");
    assert!(shown.contains("Taught now: 2. Stations in all: 2."), "{shown}");
    let stations = rig.good(&["stations", "--json"]).lines().remove(0);
    let numbers: Vec<_> = stations["stations"].as_array().unwrap().iter().map(|s| s["number"].clone()).collect();
    assert_eq!(numbers, [1, 3], "what was taught stays");
}

#[test]
fn the_board_at_a_terminal() {
    let rig = shop();
    for (number, port) in [("1", "1-1"), ("2", "1-2"), ("3", "1-3"), ("4", "1-9")] {
        rig.good(&["stations", "set", number, port]);
    }
    let mut terminal = Terminal::start(rig.command(&["list", "--board"]), 80, 24);
    terminal.see("Anna's iPhone");
    terminal.see(">> Unlock the device with its passcode");
    assert!(terminal.glass.second && terminal.glass.cursor_hidden);
    let line = |glass: &Glass, number: &str| {
        glass
            .lines
            .iter()
            .find(|l| l.trim_start_matches('!').trim_start().starts_with(number))
            .cloned()
            .unwrap_or_default()
    };
    assert!(line(&terminal.glass, "3 ").contains("empty"), "{}", terminal.glass.text());
    let bytes = terminal.bytes;
    rig.bench.phones[2].enter(Stage::Recovery);
    terminal.wait("the arrival", |glass| line(glass, "3 ").contains("recovery"));
    assert!(terminal.bytes - bytes < 2000, "only what changed is written: {}", terminal.bytes - bytes);
    rig.bench.phones[0].enter(Stage::Away);
    terminal.wait("an empty station", |glass| line(glass, "1 ").contains("empty"));
    terminal.type_in("a");
    terminal.wait("the one that needs a person first", |glass| {
        glass.lines.get(2).is_some_and(|line| line.starts_with("! "))
    });
    terminal.resize(40, 10);
    terminal.wait("the small screen", |glass| {
        let fits = glass.lines.iter().all(|line| line.chars().count() <= 40);
        fits && glass.lines.len() == 10 && glass.lines.last().is_some_and(|foot| foot.contains("quit"))
    });
    terminal.resize(120, 30);
    terminal.wait("the large one", |glass| glass.lines.len() == 30);
    terminal.type_in("q");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
}

#[test]
fn whatever_ends_it_gives_the_terminal_back() {
    let rig = shop();
    for signal in [Signal::INT, Signal::TERM] {
        let mut terminal = Terminal::start(rig.command(&["list", "--board", "--lang", "nl"]), 80, 24);
        terminal.see("toestel");
        terminal.see("Anna's iPhone");
        terminal.signal(signal);
        let (code, shown) = terminal.end();
        assert_eq!(code, Some(0), "{shown}");
    }
}

#[test]
fn in_the_background_the_terminal_is_the_shells() {
    let rig = shop();
    let mut terminal = Terminal::start(rig.command(&["list", "--board"]), 80, 24);
    terminal.see("Anna's iPhone");
    terminal.suspend();
    assert!(tcgetattr(&terminal.slave).unwrap().local_modes.contains(LocalModes::ICANON | LocalModes::ECHO));
    terminal.signal(Signal::CONT);
    terminal.wait("the board again", |glass| glass.second && glass.text().contains("Anna's iPhone"));
    terminal.type_in("q");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
}

#[test]
fn a_batch_at_a_terminal_is_shown_on_the_board() {
    let phone = "[[phone]]\nmodel = \"iphone13\"\ntrust = \"trusted\"\nphotos = 3\nphoto_bytes = 20000\n";
    let rig = Rig::new(&format!("pace = 20.0\n{phone}name = \"One\"\n{phone}name = \"Two\"\n"));
    rig.good(&["stations", "set", "7", "1-2"]);
    let row = |ecid: &dyn std::fmt::Display| format!("[[device]]\necid = \"{ecid}\"\naction = \"restore-erase\"\n");
    let rows: String = rig.bench.phones.iter().map(|phone| row(&phone.ecid)).collect();
    let file = rig.path("batch.toml");
    fs::write(&file, format!("ownership = \"organisation\"\n{rows}")).unwrap();
    let mut command = rig.command(&["batch", file.to_str().unwrap(), "--yes-erase-all"]);
    command.env("HERSTEL_BENCH_HASTE", "20");
    let mut terminal = Terminal::start(command, 80, 24);
    terminal.wait("the board", |glass| glass.second && glass.text().contains("[virtual] rows: 2"));
    terminal.type_in("q");
    terminal.wait("a key that ends no work", |glass| !glass.second || glass.text().contains("Ctrl-C stops it"));
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    for (phone, name) in rig.bench.phones.iter().zip(["One", "station 7"]) {
        assert_eq!(phone.remembered("files.erased"), 1, "{name}");
        let line = shown.lines().find(|line| line.contains(&phone.ecid.to_string()) && line.contains("done"));
        assert!(line.is_some_and(|line| line.contains(name)), "what stays when the screen is gone\n{shown}");
    }
}

/// A batch of one phone that stops until somebody made room on it, once; patient for hours.
fn full() -> (Rig, String) {
    let fault = "[phone.faults.restore]\namr_error = 1110\nonce = true\n";
    let phone = "[[phone]]\nmodel = \"iphone13\"\nname = \"Anna's iPhone\"\ntrust = \"trusted\"\n";
    let rig = Rig::new(&format!("pace = 20.0\n{phone}{fault}"));
    let file = rig.path("batch.toml");
    let row = format!("[[device]]\necid = \"{}\"\naction = \"restore-erase\"\n", rig.phone().ecid);
    fs::write(&file, format!("ownership = \"owner\"\n[retry]\nperson_seconds = 86400\n{row}")).unwrap();
    let file = file.display().to_string();
    (rig, file)
}

#[test]
fn a_person_at_the_board_says_that_it_is_done() {
    let (rig, file) = full();
    let mut command = rig.command(&["batch", &file, "--yes-erase-all", "--lang", "nl"]);
    command.env("HERSTEL_BENCH_HASTE", "20");
    let mut terminal = Terminal::start(command, 80, 24);
    terminal.wait("the keys of a batch", |glass| glass.lines.last().is_some_and(|foot| foot.starts_with("pijltjes:")));
    terminal.wait("what to do", |glass| glass.second && glass.text().contains("JIJ NODIG: 1"));
    assert!(terminal.glass.text().contains(">> "), "{}", terminal.glass.text());
    terminal.type_in("\r");
    terminal.see("Enter: gedaan voor Anna's iPhone");
    assert!(terminal.glass.text().contains("!»"), "{}", terminal.glass.text());
    terminal.type_in("\r");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("klaar"), "{shown}");
}

#[test]
fn a_batch_that_is_ended_at_the_board_gives_the_terminal_back() {
    let (rig, file) = full();
    let mut command = rig.command(&["batch", &file, "--yes-erase-all"]);
    command.env("HERSTEL_BENCH_HASTE", "20");
    let mut terminal = Terminal::start(command, 80, 24);
    terminal.see("NEED YOU: 1");
    terminal.type_in("j");
    terminal.see("Enter: it is done for");
    terminal.suspend();
    terminal.signal(Signal::CONT);
    terminal.wait("the board again", |glass| glass.second && glass.text().contains("Enter: it is done for"));
    terminal.signal(Signal::TERM);
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(130), "{shown}");
    assert!(shown.contains("batch --resume"), "{shown}");
}

/// The board through a pipe, until this line.
fn piped(rig: &Rig, args: &[&str], last: impl Fn(&str) -> bool) -> Vec<String> {
    let mut child = rig.command(args).spawn().unwrap();
    let out = child.stdout.take().unwrap();
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)).ok();
    });
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(LIMIT) {
            Ok(line) => seen.push(line),
            Err(err) => {
                let _ = child.kill();
                panic!("{err}: {seen:#?}");
            }
        }
        if seen.last().is_some_and(|line| last(line)) {
            break;
        }
    }
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{seen:#?}");
    seen
}

#[test]
fn without_a_terminal_lines_for_people_and_for_programs() {
    let rig = shop();
    rig.good(&["stations", "set", "2", "1-2"]);
    let (first, second) = (rig.bench.phones[0].ecid.to_string(), rig.bench.phones[1].ecid.to_string());
    let lines = piped(&rig, &["list", "--board"], |line| line.contains("station 2"));
    let wanted = [
        format!("[virtual] {first}  Anna's iPhone  normal  trusted"),
        format!(
            "[virtual] station 2  {second}  アンナ  normal  locked  >> Unlock the device with its passcode; leave the cable in."
        ),
    ];
    assert_eq!(lines, wanted);
    let lines = piped(&rig, &["list", "--board", "--json"], |line| line.contains("\"station\":2"));
    let rows: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&rows[0]["ecid"], &rows[0]["trust"]), (&json!(first), &json!("trusted")));
    assert_eq!((&rows[1]["ask"]["request"], &rows[1]["needs_person"]), (&json!("unlock-device"), &json!(true)));
    assert!(rows.iter().all(|row| row["schema"] == 1 && row["virtual"] == true));
}
