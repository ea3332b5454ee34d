//! Hands on the bench: a line of JSON in, a line of JSON out, over a Unix socket.
//!
//! What a person at a real bench can do (press keys, pull the cable, unlock the screen), and what a test
//! wants to know (what a phone remembers). Never used by the walk itself.

use super::keys;
use super::phone::{Phone, Stage};
use super::spec::{PasscodeSpec, TrustSpec};
use super::usb::hands;
use super::usb::person::Person;
use super::usb::preload::Emulation;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LINE_CAP: u64 = 1 << 20;

/// One thing to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Order {
    Status,
    Down,
    /// Variables for one more program inside the emulated bus: `[[name, value], ...]`.
    Environment,
    Memory {
        phone: usize,
    },
    /// `script` as [`keys::parse`] reads it, e.g. `up:1 down:1 side:10`.
    Press {
        phone: usize,
        script: String,
    },
    /// What the coach asks of a person; done at the phone's pace.
    Person {
        phone: usize,
        request: crate::event::Request,
    },
    /// It is in this stage from now on: a new enumeration, whatever it was before.
    Put {
        phone: usize,
        stage: Stage,
    },
    /// Pulls the cable; the phone goes on running.
    Unplug {
        phone: usize,
    },
    Trust {
        phone: usize,
        trust: TrustSpec,
    },
    Passcode {
        phone: usize,
        passcode: PasscodeSpec,
    },
}

/// Serves orders until the process ends; `down` is told through the channel.
pub fn serve(
    socket: &Path,
    phones: Vec<Arc<Phone>>,
    emulation: Option<Arc<Emulation>>,
    down: Sender<()>,
) -> io::Result<()> {
    let _ = std::fs::remove_file(socket);
    let listener = UnixListener::bind(socket)?;
    let people: Arc<Vec<Mutex<Person>>> = Arc::new(phones.iter().map(|p| Mutex::new(Person::new(p))).collect());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (phones, emulation, down) = ((phones.clone(), Arc::clone(&people)), emulation.clone(), down.clone());
            std::thread::spawn(move || drop(talk(stream, &phones, emulation.as_deref(), &down)));
        }
    });
    Ok(())
}

fn talk(
    stream: UnixStream,
    (phones, people): &(Vec<Arc<Phone>>, Arc<Vec<Mutex<Person>>>),
    emulation: Option<&Emulation>,
    down: &Sender<()>,
) -> io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream.take(LINE_CAP));
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        let answer = match serde_json::from_str::<Order>(&line) {
            // Answered first: the process ends with the bench.
            Ok(Order::Down) => {
                writeln!(out, "{}", json!({ "ok": true }))?;
                let _ = down.send(());
                return Ok(());
            }
            Ok(Order::Environment) => match emulation {
                Some(emulation) => {
                    let list: Vec<(String, String)> = emulation
                        .environment()
                        .into_iter()
                        .map(|(k, v)| (k.to_string_lossy().into_owned(), v.to_string_lossy().into_owned()))
                        .collect();
                    json!({ "environment": list })
                }
                None => json!({ "error": "umockdev's preload library is not installed (Debian: umockdev)" }),
            },
            Ok(Order::Person { phone, request }) => match people.get(phone) {
                Some(person) => match super::usb::model::lock(person).hear(&request) {
                    Ok(()) => json!({ "ok": true, "stage": phones.get(phone).map(|p| p.stage()) }),
                    Err(err) => json!({ "error": err }),
                },
                None => json!({ "error": format!("no phone at place {phone}") }),
            },
            Ok(order) => obey(&order, phones).unwrap_or_else(|e| json!({ "error": e })),
            Err(err) => json!({ "error": err.to_string() }),
        };
        writeln!(out, "{answer}")?;
        line.clear();
    }
    Ok(())
}

fn obey(order: &Order, phones: &[Arc<Phone>]) -> Result<Value, String> {
    let at = |place: usize| phones.get(place).ok_or_else(|| format!("no phone at place {place}"));
    Ok(match order {
        Order::Status => json!({ "phones": phones.iter().map(|p| status(p)).collect::<Vec<_>>() }),
        Order::Down | Order::Environment | Order::Person { .. } => json!({ "ok": true }),
        Order::Memory { phone } => json!({ "memory": at(*phone)?.memory() }),
        Order::Press { phone, script } => {
            let phone = at(*phone)?;
            let presses = keys::parse(script)?;
            let result = hands::apply(phone, &presses);
            json!({ "ok": true, "result": result, "stage": phone.stage() })
        }
        Order::Put { phone, stage } => {
            let phone = at(*phone)?;
            phone.enter(Stage::Away);
            phone.enter(*stage);
            json!({ "ok": true })
        }
        Order::Unplug { phone } => {
            let phone = at(*phone)?;
            let stage = phone.stage();
            phone.reenumerate(stage, Duration::from_secs(5));
            json!({ "ok": true })
        }
        Order::Trust { phone, trust } => {
            at(*phone)?.state().trust = *trust;
            json!({ "ok": true })
        }
        Order::Passcode { phone, passcode } => {
            at(*phone)?.state().passcode = *passcode;
            json!({ "ok": true })
        }
    })
}

fn status(phone: &Phone) -> Value {
    let state = phone.state();
    json!({
        "virtual": true,
        "place": phone.place,
        "model": phone.model.name,
        "name": state.name,
        "ecid": phone.ecid,
        "udid": phone.udid,
        "stage": state.stage,
        "on_bus": state.stage != Stage::Away,
        "version": state.version,
        "build": state.build,
        "files": phone.files.user_file_count(),
        "digest": phone.files.digest_of_user_data(),
    })
}

/// One order to the bench that serves `socket`.
pub fn order(socket: &Path, order: &Order) -> io::Result<Value> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    let mut line = serde_json::to_string(order)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream.take(64 << 20)).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}
