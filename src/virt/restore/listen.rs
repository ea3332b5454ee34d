//! The control port: queries before the start, the start itself, and the two minutes until the ramdisk
//! gives up.
//!
//! Any number of links may be open; the one that says StartRestore becomes the main one. Probes that
//! connect and close, and requests that restored does not know, do no harm.

use super::super::phone::{Link, Phone, Stage};
use super::fdr::Fdr;
use super::line::{Line, read_message};
use super::run::Run;
use super::{finish, script};
use crate::wire::restored::{self, ToDevice, TypeAnswer};
use plist::{Dictionary, Value};
use serde_json::json;
use std::io::Write;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

struct Restored {
    phone: Arc<Phone>,
    fdr: Arc<Fdr>,
    started: AtomicBool,
    /// The AP nonce the ramdisk was booted with.
    nonce: Vec<u8>,
}

/// Serves restore mode until the phone leaves it. Called whenever it enters [`Stage::Restore`]; returns
/// once the ports listen.
pub fn boot(phone: &Arc<Phone>) {
    let faults = &phone.spec.faults.restore;
    let watch = phone.watch();
    let restored = Arc::new(Restored {
        phone: Arc::clone(phone),
        fdr: Fdr::start(phone),
        started: AtomicBool::new(false),
        nonce: phone.state().ap_nonce.clone(),
    });
    if !faults.restored_not_listening {
        let links = phone.listen(restored::PORT);
        let accepting = Arc::clone(&restored);
        std::thread::spawn(move || {
            for link in links {
                let restored = Arc::clone(&accepting);
                std::thread::spawn(move || restored.serve(link));
            }
        });
    }
    phone.remember("restore.waiting", json!({ "port": restored::PORT }));
    let limit = match faults.start_limit_ms {
        Some(ms) => Duration::from_millis(ms),
        None => phone.scaled(Duration::from_secs(120)).max(Duration::from_secs(10)),
    };
    std::thread::spawn(move || {
        let until = Instant::now() + limit;
        loop {
            match watch.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(change) if change.to == Stage::Restore => {}
                Ok(_) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => break,
            }
        }
        if !restored.started.load(Ordering::SeqCst) && restored.phone.stage() == Stage::Restore {
            restored.phone.remember("restore.timeout", json!({ "waited_ms": limit.as_millis() as u64 }));
            finish::to_recovery(&restored.phone);
        }
    });
}

impl Restored {
    fn serve(self: Arc<Self>, mut link: Link) {
        self.converse(&mut link);
        let _ = link.shutdown(Shutdown::Both);
    }

    fn converse(&self, link: &mut Link) {
        let mut main: Option<Sender<Dictionary>> = None;
        while let Ok(message) = read_message(link) {
            if let Some(inbox) = &main {
                if inbox.send(message).is_err() {
                    return;
                }
                continue;
            }
            let answer = match ToDevice::parse(&message) {
                ToDevice::QueryType => self.type_answer(),
                ToDevice::QueryValue { key } => self.value_answer(&key),
                ToDevice::Reboot => {
                    self.phone.remember("restore.reboot", json!({}));
                    finish::reboot(&self.phone);
                    return;
                }
                ToDevice::Goodbye => return,
                ToDevice::StartRestore { options, protocol } => {
                    if self.started.swap(true, Ordering::SeqCst) {
                        self.phone.remember("restore.unrecognized", json!({ "request": "StartRestore, second" }));
                        continue;
                    }
                    let Ok(writer) = link.try_clone() else { return };
                    let (sender, inbox) = channel();
                    main = Some(sender);
                    self.start(Line::new(Arc::clone(&self.phone), writer, inbox), options, protocol);
                    continue;
                }
                _ => {
                    let request = message.get("Request").and_then(Value::as_string).unwrap_or_default();
                    self.phone.remember("restore.unrecognized", json!({ "request": request }));
                    continue;
                }
            };
            if link.write_all(&restored::frame(&answer)).is_err() {
                return;
            }
        }
    }

    fn start(&self, line: Line, options: Dictionary, protocol: u64) {
        let faults = self.phone.spec.faults.restore.clone().at(self.phone.remembered("restore.start"));
        let Some(script) = script::choose(faults.script.as_deref(), self.phone.model.cpid) else {
            self.phone.remember("restore.failed", json!({ "why": "no such script", "script": faults.script }));
            return finish::to_recovery(&self.phone);
        };
        let run = Arc::new(Run::new(line, Arc::clone(&self.fdr), script, faults, options, self.nonce.clone()));
        run.remember_start(protocol);
        std::thread::spawn(move || run.perform());
    }

    fn type_answer(&self) -> Dictionary {
        let board = self.phone.model.board;
        let hardware_model = board.strip_suffix("ap").unwrap_or(board).to_ascii_uppercase() + "AP";
        TypeAnswer {
            kind: restored::TYPE.to_owned(),
            protocol: restored::PROTOCOL_VERSION,
            hardware_model: Some(hardware_model),
            serial: Some(self.phone.serial.clone()),
        }
        .build()
    }

    fn value_answer(&self, key: &str) -> Dictionary {
        let phone = &self.phone;
        let mut value = Dictionary::new();
        match key {
            "HardwareInfo" => {
                value.insert("BoardID".into(), Value::from(u64::from(phone.bdid.0)));
                value.insert("ChipID".into(), Value::from(u64::from(phone.model.cpid.0)));
                for key in ["EffectiveProductionMode", "EffectiveSecurityMode", "ProductionMode"] {
                    value.insert(key.into(), true.into());
                }
                value.insert("SecurityDomain".into(), Value::from(1u64));
                value.insert("SecurityMode".into(), true.into());
                let image4 = phone.model.image == crate::facts::models::ImageFormat::Img4;
                value.insert("SupportsImage4".into(), image4.into());
                value.insert("UniqueChipID".into(), Value::from(phone.ecid.0));
            }
            "SavedDebugInfo" => {
                if let Some(status) = phone.state().nvram.get("restored-exit-status") {
                    value.insert("PreviousExitStatus".into(), status.as_str().into());
                }
            }
            _ => {
                phone.remember("restore.unrecognized", json!({ "request": "QueryValue", "key": key }));
                return Dictionary::from_iter([("Result", "Failure")]);
            }
        }
        Dictionary::from_iter([(key, Value::Dictionary(value))])
    }
}
