//! One restore from StartRestore to its end: the walk through the script.

use super::super::phone::{Phone, Stage};
use super::Faults;
use super::check::Known;
use super::fdr::Fdr;
use super::finish::{self, Installed};
use super::line::{DataPort, Failure, Line, Stop, gone, lock};
use super::script::{Act, Only, Script, Step};
use crate::wire::restored::{Checkpoint, CheckpointId, FromDevice, Status, ToDevice};
use plist::{Dictionary, Value};
use serde_json::json;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A real phone's time that a step takes at least.
const STEP: Duration = Duration::from_millis(40);
/// Of the data ports; below it are FDR's.
const FIRST_PORT: u16 = 49_160;
/// Bytes of the log that goes with a status.
const LOG_TAIL: usize = 32 << 10;

pub(super) struct Run {
    pub phone: Arc<Phone>,
    pub line: Line,
    pub fdr: Arc<Fdr>,
    pub faults: Faults,
    pub script: &'static Script,
    pub options: Dictionary,
    /// What the options say; an identity for an update makes it one, since hosts exist that always ask for
    /// new partitions.
    pub erase: AtomicBool,
    pub modem: bool,
    /// The AP nonce that tickets must be for.
    pub nonce: Vec<u8>,
    pub known: Mutex<Known>,
    pub modem_nonce: Vec<u8>,
    /// Data ports that still refuse their first connection.
    pub refusals: AtomicU32,
    next_port: AtomicU16,
    pub loops: AtomicU64,
    /// The outcome of an ASR session that runs beside the walk.
    pub asr: Mutex<Option<Receiver<Result<(), Stop>>>>,
    /// A tolerated error, repeated with every later checkpoint.
    sticky: Mutex<Option<String>>,
    log: Mutex<String>,
}

impl Run {
    pub fn new(
        line: Line,
        fdr: Arc<Fdr>,
        script: &'static Script,
        faults: Faults,
        options: Dictionary,
        nonce: Vec<u8>,
    ) -> Self {
        let phone = Arc::clone(&line.phone);
        let said = options.get("AuthInstallRestoreBehavior").and_then(Value::as_string);
        let erase = match said {
            Some(behaviour) => behaviour != "Update",
            None => options.get("CreateFilesystemPartitions").and_then(Value::as_boolean).unwrap_or(true),
        };
        Run {
            erase: AtomicBool::new(erase),
            modem: phone.model.product.as_str().starts_with("iPhone"),
            known: Mutex::default(),
            modem_nonce: super::super::phone::random_bytes(20),
            refusals: AtomicU32::new(faults.data_port_refusals),
            next_port: AtomicU16::new(FIRST_PORT),
            loops: AtomicU64::new(0),
            asr: Mutex::default(),
            sticky: Mutex::default(),
            log: Mutex::default(),
            phone,
            line,
            fdr,
            faults,
            script,
            options,
            nonce,
        }
    }

    pub fn remember_start(&self, protocol: u64) {
        let scalar = |v: &Value| match v {
            Value::Boolean(b) => Some(json!(b)),
            Value::String(s) => Some(json!(s)),
            Value::Integer(i) => Some(json!(i.as_signed())),
            _ => None,
        };
        let options: serde_json::Map<String, serde_json::Value> =
            self.options.iter().filter_map(|(k, v)| Some((k.clone(), scalar(v)?))).collect();
        let detail =
            json!({ "script": self.script.name, "erase": self.erases(), "protocol": protocol, "options": options });
        self.phone.remember("restore.start", detail);
        self.note(&format!("client protocol version {protocol}"));
        self.note("starting main restore");
    }

    pub fn perform(self: Arc<Self>) {
        let mut open = Vec::new();
        let stop = match self.walk(&mut open) {
            Ok(()) => self.succeed(),
            Err(Stop::Failed(failure)) => self.fail(&failure, &open),
            Err(stop) => Err(stop),
        };
        match stop {
            Ok(()) => {}
            Err(Stop::Silent) => self.keep_silent(),
            Err(Stop::Gone(why)) => {
                if self.phone.stage() == Stage::Restore {
                    self.phone.remember("restore.failed", json!({ "link": why }));
                    finish::to_recovery(&self.phone);
                } else {
                    self.phone.remember("restore.cut", json!({ "link": why }));
                }
            }
            Err(Stop::Failed(failure)) => {
                self.phone.remember("restore.failed", json!({ "code": failure.code, "error": failure.text() }));
                finish::to_recovery(&self.phone);
            }
        }
        self.line.close();
    }

    /// `open` holds the enclosing checkpoints, and after a failure the failed one last.
    fn walk(self: &Arc<Self>, open: &mut Vec<u16>) -> Result<(), Stop> {
        for step in &self.script.steps {
            if self.phone.stage() != Stage::Restore {
                return Err(gone("left restore mode"));
            }
            match step {
                Step::Open(id) => {
                    open.push(*id);
                    self.begin(*id)?;
                }
                Step::Close(id) => {
                    open.retain(|o| o != id);
                    self.complete(*id, 0)?;
                }
                Step::Point(id, acts) => {
                    open.push(*id);
                    self.begin(*id)?;
                    for (only, act) in acts {
                        if self.applies(only) {
                            self.act(act)?;
                        }
                    }
                    open.pop();
                    let tolerated = matches!(acts.last(), Some((_, Act::Modem { first: false, .. })))
                        && self.faults.sticky_error.is_some();
                    if tolerated {
                        lock(&self.sticky).clone_from(&self.faults.sticky_error);
                    }
                    self.complete(*id, if tolerated { -1 } else { 0 })?;
                }
            }
        }
        Ok(())
    }

    pub fn erases(&self) -> bool {
        self.erase.load(Ordering::SeqCst)
    }

    fn applies(&self, only: &[Only]) -> bool {
        only.iter().all(|condition| match condition {
            Only::Erase => self.erases(),
            Only::Update => !self.erases(),
            Only::Modem => self.modem,
            Only::Recovery => self.installs_recovery(),
            Only::Has(prefix) => lock(&self.known).has(prefix),
        })
    }

    fn begin(&self, id: u16) -> Result<(), Stop> {
        self.pause(STEP);
        let here = |at: Option<u16>| at == Some(id);
        if here(self.faults.silent_at_checkpoint) {
            return Err(Stop::Silent);
        }
        if here(self.faults.garbage_at_checkpoint) {
            let mut rubbish = 64u32.to_be_bytes().to_vec();
            rubbish.extend(super::super::phone::random_bytes(64));
            self.line.write(&rubbish)?;
        }
        if here(self.faults.absurd_length_at_checkpoint) {
            self.line.write(&[0xFF, 0xFF, 0xFF, 0xF0])?;
            return Err(Stop::Silent);
        }
        if here(self.faults.unplug_at_checkpoint) {
            finish::to_recovery(&self.phone);
            return Err(gone("unplugged"));
        }
        self.checkpoint(id, false, 0)?;
        if let Some(code) = self.faults.amr_error
            && id == self.faults.at_checkpoint.unwrap_or(0x634)
        {
            let name = CheckpointId(id).name().unwrap_or("this step");
            let failure = Failure::new(code, format!("{name} failed"));
            return Err(failure.because("RamrodErrorDomain", 1004, "the bench was told so").into());
        }
        Ok(())
    }

    fn complete(&self, id: u16, result: i64) -> Result<(), Stop> {
        let detail = json!({ "id": format!("{id:04X}"), "name": CheckpointId(id).name(), "result": result });
        self.phone.remember("restore.checkpoint", detail);
        self.checkpoint(id, true, result)
    }

    fn checkpoint(&self, id: u16, complete: bool, result: i64) -> Result<(), Stop> {
        let name = match (id, self.script.name) {
            (0x65B, "ios18") => Some("restore_system_image"),
            (0x132A, _) if result != 0 => Some("await_update_baseband_legacy"),
            _ => CheckpointId(id).name(),
        };
        if complete {
            let word = if result == 0 { "COMPLETE" } else { "FAILURE" };
            self.note(&format!("CHECKPOINT {word}:({result}) RESTORED:[0x{id:04X}] {}", name.unwrap_or("?")));
        }
        self.line.tell(&FromDevice::Checkpoint(Checkpoint {
            id: CheckpointId(id),
            name: name.map(str::to_owned),
            result,
            complete,
            warning: None,
            error: lock(&self.sticky).clone(),
        }))
    }

    pub fn progress(&self, operation: u64, percent: Option<u8>, context: Option<&str>) -> Result<(), Stop> {
        let percent = if self.faults.progress_minus_one { None } else { percent };
        self.line.tell(&FromDevice::Progress { operation, percent, context: context.map(str::to_owned) })
    }

    pub fn pause(&self, real: Duration) {
        std::thread::sleep(self.phone.scaled(real));
    }

    /// A line of the device's log.
    pub fn note(&self, text: &str) {
        let mut log = lock(&self.log);
        log.push_str(text);
        log.push('\n');
        if log.len() > 2 * LOG_TAIL {
            let cut = (log.len() - LOG_TAIL..log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(0);
            log.drain(..cut);
        }
    }

    fn succeed(&self) -> Result<(), Stop> {
        let status = self.faults.status_error.unwrap_or(0);
        if status != 0 {
            let failure = Failure::new(status, "the bench was told so");
            self.say_status(&failure)?;
            self.phone.remember("restore.failed", json!({ "code": status, "error": failure.text() }));
            return self.part_and_recover();
        }
        self.line.tell(&FromDevice::Status(Status { status: 0, amr_error: None, log: None, chain: Vec::new() }))?;
        // Hosts that end without a word are real; the phone reboots all the same.
        let answer = self.line.answer(Duration::from_secs(20));
        let polite = matches!(&answer, Ok(m) if ToDevice::parse(m) == ToDevice::ReceivedFinalStatus);
        self.phone.remember("restore.final", json!({ "acknowledged": polite }));
        if self.phone.stage() != Stage::Restore {
            return Err(gone("left restore mode"));
        }
        self.fdr.end();
        finish::to_new_system(&self.phone, &self.installed(), self.erases());
        Ok(())
    }

    /// The system that was installed: from the identity, else from the head of the image.
    fn installed(&self) -> Installed {
        let known = lock(&self.known);
        let text = |d: &Dictionary, key: &str| d.get(key).and_then(Value::as_string).map(str::to_owned);
        let (mut version, mut build) = (None, None);
        if let Some(identity) = &known.identity {
            build = identity.get("Info").and_then(Value::as_dictionary).and_then(|i| text(i, "BuildNumber"));
            version =
                text(identity, "Ap,ProductMarketingVersion").or_else(|| text(identity, "ProductMarketingVersion"));
        }
        let head = String::from_utf8_lossy(&known.image_head);
        let in_head = |key: &str| {
            let at = head.find(&format!("<key>{key}</key>"))?;
            let (_, rest) = head.get(at..)?.split_once("<string>")?;
            Some(rest.split_once("</string>")?.0.to_owned())
        };
        version = version.or_else(|| in_head("ProductVersion"));
        build = build.or_else(|| in_head("ProductBuildVersion"));
        Installed { version: version.and_then(|v| v.parse().ok()), build: build.and_then(|b| b.parse().ok()) }
    }

    /// The failed checkpoint and all around it, the clean-up, and the status.
    fn fail(&self, failure: &Failure, open: &[u16]) -> Result<(), Stop> {
        self.note(&format!("restore failed with {}: {}", failure.code, failure.text()));
        *lock(&self.sticky) = Some(failure.text());
        for id in open.iter().rev() {
            self.complete(*id, failure.code)?;
        }
        *lock(&self.sticky) = None;
        for id in &self.script.tail {
            if *id == 0x648 {
                *lock(&self.sticky) = Some(failure.text());
            }
            self.complete(*id, 0)?;
        }
        self.say_status(failure)?;
        self.phone.remember("restore.failed", json!({ "code": failure.code, "error": failure.text() }));
        self.part_and_recover()
    }

    fn say_status(&self, failure: &Failure) -> Result<(), Stop> {
        let log = lock(&self.log);
        let from = (log.len().saturating_sub(LOG_TAIL)..=log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(0);
        self.line.tell(&FromDevice::Status(Status {
            status: failure.code,
            amr_error: Some(failure.code),
            log: log.get(from..).map(str::to_owned),
            chain: failure.chain.clone(),
        }))
    }

    /// Lets the host read the status, then reboots.
    fn part_and_recover(&self) -> Result<(), Stop> {
        self.fdr.end();
        self.pause(Duration::from_secs(2));
        match self.line.answer(Duration::from_millis(250)) {
            Err(Stop::Gone(why)) if self.phone.stage() != Stage::Restore => return Err(Stop::Gone(why)),
            _ => {}
        }
        finish::to_recovery(&self.phone);
        Ok(())
    }

    fn keep_silent(&self) {
        self.phone.remember("restore.silent", json!({}));
        let watch = self.phone.watch();
        while self.phone.stage() == Stage::Restore && watch.recv_timeout(Duration::from_secs(1)).is_err() {}
    }

    /// A port that was not used before in this restore: a late one must not be given away meanwhile.
    pub fn data_port(&self) -> DataPort {
        let port = self.next_port.fetch_add(1, Ordering::SeqCst).clamp(FIRST_PORT, u16::MAX);
        DataPort::open(&self.phone, port, self.take_refusal())
    }

    pub fn take_refusal(&self) -> bool {
        self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
    }
}
