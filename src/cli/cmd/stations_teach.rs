//! `stations teach`: a person takes one device from cable to cable and says when.
//!
//! What counts is the newest arrival, and only while it is still there: with two devices in hand nobody could tell
//! which port was meant. Each number is written as soon as it is taught, so that leaving at any time loses nothing.

use super::list::say_line;
use super::stations::{banner, gave_way_lines};
use crate::cli::Done;
use crate::cli::context::Context;
use crate::cli::keyboard::Keyboard;
use crate::cli::places::{book, topology};
use crate::device::{Device, Eyes, look, stations::LAST};
use crate::event::Outcome;
use crate::fault::{Code, Fault};
use crate::ids::PortPath;
use crate::say::stations::{Stations as Say, stations as say};

/// A device, and where it hangs.
type Place = (PortPath, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Enter,
    Skip,
    Redo,
    Quit,
}

impl Key {
    fn of(byte: u8) -> Option<Key> {
        match byte {
            b'\r' | b'\n' => Some(Key::Enter),
            b's' | b'S' => Some(Key::Skip),
            b'r' | b'R' => Some(Key::Redo),
            b'q' | b'Q' | 0x04 => Some(Key::Quit),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Order {
    Bind(u32, PortPath),
    Unbind(u32),
    Stop,
}

/// The lesson, without a clock or a bus.
struct Lesson {
    next: u32,
    taught: Vec<(u32, PortPath)>,
    here: Vec<Place>,
    newest: Option<PortPath>,
}

impl Lesson {
    /// One device that is there already may be meant; of several nobody knows which.
    fn new(first: u32, here: Vec<Place>) -> Lesson {
        let newest = match here.as_slice() {
            [(port, _)] => Some(port.clone()),
            _ => None,
        };
        Lesson { next: first, taught: Vec::new(), here, newest }
    }

    fn number_of(&self, port: &PortPath) -> Option<u32> {
        self.taught.iter().find(|(_, taught)| taught == port).map(|(number, _)| *number)
    }

    /// A new look at the bus.
    fn see(&mut self, now: Vec<Place>) -> Vec<Say> {
        let mut out = Vec::new();
        for (port, _) in &self.here {
            if !now.iter().any(|(still, _)| still == port) {
                out.push(Say::Left { port: port.to_string() });
                self.newest = self.newest.take().filter(|newest| newest != port);
            }
        }
        for (port, title) in &now {
            if self.here.iter().any(|(before, _)| before == port) {
                continue;
            }
            let (title, shown) = (title.clone(), port.to_string());
            match self.number_of(port) {
                Some(number) => out.push(Say::ArrivedAt { title, port: shown, number }),
                None => {
                    out.push(Say::Arrived { title, port: shown });
                    self.newest = Some(port.clone());
                }
            }
        }
        self.here = now;
        out
    }

    fn key(&mut self, key: Key) -> (Vec<Say>, Option<Order>) {
        match key {
            Key::Enter => {
                let Some(port) = self.newest.take() else { return (vec![Say::NothingNew], None) };
                let number = self.next;
                self.taught.push((number, port.clone()));
                self.next += 1;
                (vec![Say::Taught { number, port: port.to_string() }], Some(Order::Bind(number, port)))
            }
            Key::Skip => {
                self.next += 1;
                (vec![Say::Skipped { number: self.next - 1 }], None)
            }
            Key::Redo => {
                let Some((number, port)) = self.taught.pop() else { return (vec![Say::NothingToUndo], None) };
                self.next = number;
                // It may have been right after all, if only the number was wrong.
                self.newest = self.here.iter().any(|(here, _)| *here == port).then_some(port);
                (vec![Say::Undone { number }], Some(Order::Unbind(number)))
            }
            Key::Quit => (Vec::new(), Some(Order::Stop)),
        }
    }

    fn is_over(&self) -> bool {
        self.next > LAST
    }
}

pub async fn run(context: &Context, from: Option<u32>) -> Done {
    let book = book(context)?;
    let stations = book.read()?;
    let first = from.or_else(|| stations.free(1)).filter(|number| (1..=LAST).contains(number));
    let first = first.ok_or_else(|| Fault::new(Code::Usage, format!("stations go from 1 to {LAST}")))?;
    let topology = topology(context);
    let eyes = context.eyes()?;
    let mut changes = eyes.changes();
    let mut lesson = Lesson::new(first, places(&eyes).await);
    let Some((keyboard, mut keys)) = Keyboard::open() else {
        let why = "teach needs a person at a terminal; in a script: herstel stations set N PORT";
        return Err(Fault::new(Code::Usage, why));
    };
    let tell = |text: &Say| {
        let text = say(context.lang, text);
        let indent = " ".repeat(text.len() - text.trim_start().len());
        crate::say::wrapped(&text, 78).iter().for_each(|line| say_line(&format!("{indent}{line}")));
    };
    banner(context);
    tell(&Say::TeachIntro);
    say_line(&say(context.lang, &Say::TeachKeys));
    for (port, title) in &lesson.here {
        tell(&Say::Arrived { title: title.clone(), port: port.to_string() });
    }
    tell(&Say::TeachNext { number: lesson.next });
    while !lesson.is_over() {
        let key = tokio::select! {
            key = keys.recv() => match key.map(Key::of) {
                Some(Some(key)) => key,
                Some(None) => continue,
                None => Key::Quit,
            },
            _ = changes.recv() => {
                lesson.see(places(&eyes).await).iter().for_each(tell);
                continue;
            }
            () = context.cancel.cancelled() => Key::Quit,
        };
        let (lines, order) = lesson.key(key);
        match order {
            Some(Order::Stop) => break,
            Some(Order::Bind(number, port)) => {
                let gave_way = book.change(|stations| stations.set(&topology, number, port.clone(), None))?;
                gave_way_lines(context, number, &port, &gave_way);
            }
            Some(Order::Unbind(number)) => {
                book.change(|stations| Ok(stations.forget(number)))?;
            }
            None => {}
        }
        lines.iter().for_each(tell);
        if key != Key::Enter || lines != [Say::NothingNew] {
            tell(&Say::TeachNext { number: lesson.next });
        }
    }
    drop(keyboard);
    tell(&Say::TeachEnd { taught: lesson.taught.len(), all: book.read()?.iter().count() });
    Ok(if context.cancel.is_cancelled() { Outcome::Cancelled } else { Outcome::Ok })
}

/// What hangs on a cable now.
async fn places(eyes: &Eyes) -> Vec<Place> {
    let of = |device: &Device| Some((device.who().port.clone()?, device.who().title()));
    look(eyes).await.devices.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ports: &[&str]) -> Vec<Place> {
        ports.iter().map(|port| (PortPath::new(*port), "Anna".to_owned())).collect()
    }

    #[test]
    fn the_newest_arrival_gets_the_number() {
        let mut lesson = Lesson::new(1, at(&["1-1", "1-2"]));
        assert_eq!(lesson.key(Key::Enter), (vec![Say::NothingNew], None), "which of the two?");
        lesson.see(at(&["1-1", "1-2", "1-3"]));
        lesson.see(at(&["1-1", "1-2", "1-3", "1-4"]));
        assert_eq!(lesson.key(Key::Enter).1, Some(Order::Bind(1, PortPath::new("1-4"))));
        assert_eq!(lesson.key(Key::Enter).1, None, "one arrival is one station");
        assert_eq!(lesson.key(Key::Skip).0, [Say::Skipped { number: 2 }]);
        lesson.see(at(&["1-1"]));
        lesson.see(at(&["1-1", "1-5"]));
        assert_eq!(lesson.see(at(&["1-1"])), [Say::Left { port: "1-5".into() }]);
        assert_eq!(lesson.key(Key::Enter).1, None, "it left again");
        lesson.see(at(&["1-1", "1-5"]));
        assert_eq!(lesson.key(Key::Enter).1, Some(Order::Bind(3, PortPath::new("1-5"))));
    }

    #[test]
    fn the_only_device_may_be_meant_and_a_numbered_port_is_told() {
        let mut lesson = Lesson::new(7, at(&["1-1"]));
        assert_eq!(lesson.key(Key::Enter).1, Some(Order::Bind(7, PortPath::new("1-1"))));
        lesson.see(at(&[]));
        let told = lesson.see(at(&["1-1"]));
        assert_eq!(told, [Say::ArrivedAt { title: "Anna".into(), port: "1-1".into(), number: 7 }]);
        assert_eq!(lesson.key(Key::Enter).1, None);
        assert_eq!(lesson.key(Key::Redo), (vec![Say::Undone { number: 7 }], Some(Order::Unbind(7))));
        assert_eq!(lesson.key(Key::Enter).1, Some(Order::Bind(7, PortPath::new("1-1"))), "the same one again");
        assert_eq!(lesson.key(Key::Redo).1, Some(Order::Unbind(7)));
        assert_eq!(lesson.key(Key::Redo), (vec![Say::NothingToUndo], None));
        assert_eq!(lesson.key(Key::Quit).1, Some(Order::Stop));
    }
}
