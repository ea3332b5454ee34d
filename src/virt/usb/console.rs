//! iBoot's console: the commands that a restore uses, and the few that people type.
//!
//! A command that fails stalls its request, which is how hosts learn that a variable is not set; hosts
//! take a stall for success elsewhere, so what really came of it is in the phone's memory (`boot.refused`
//! says why). What `setenv` changes lasts until the stage ends unless `saveenv` follows.

use super::image::{self, Types};
use super::model::{Reply, Then, Upload};
use crate::facts::models::ImageFormat;
use crate::virt::ipsw::RESTORED;
use crate::virt::phone::{Phone, Stage};
use crate::wire::iboot::{COMMAND_BLIND, COMMAND_CAP, decode_text};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Variables and their lengths are few; a host cannot fill the memory.
const VARIABLES_CAP: usize = 256;
/// Bytes of a ramdisk in which its program is looked for: a ticket may come first.
const RAMDISK_HEAD: usize = 64 << 10;

pub struct Console {
    stage: Stage,
    build_version: String,
    environment: BTreeMap<String, String>,
    /// Names set by a host since the stage began: what `saveenv` keeps.
    touched: Vec<String>,
    value: String,
    ramdisk: bool,
    device_tree: bool,
}

impl Console {
    pub fn new(phone: &Phone, stage: Stage, build_version: String) -> Self {
        Console {
            stage,
            environment: super::identity::environment(phone, stage, &build_version),
            build_version,
            touched: Vec::new(),
            value: String::new(),
            ramdisk: false,
            device_tree: false,
        }
    }

    pub fn build_version(&self) -> &str {
        &self.build_version
    }

    /// What the last `getenv` found, as it is read: with its NUL.
    pub fn value(&self) -> Vec<u8> {
        let mut bytes = self.value.as_bytes().to_vec();
        bytes.push(0);
        bytes
    }

    pub fn command(&mut self, phone: &Phone, upload: &Upload, request: u8, data: &[u8]) -> (Reply, Then) {
        let refuse = (Reply::Stall, Then::Stay);
        if data.len() > COMMAND_CAP {
            return refuse;
        }
        let Ok(text) = decode_text(data) else { return refuse };
        phone.remember("iboot.command", json!({ "command": text, "request": request, "stage": self.stage }));
        if phone.spec.faults.usb.stall_command.as_ref().is_some_and(|stalls| text.starts_with(stalls.as_str())) {
            return refuse;
        }
        if upload.hangs() {
            phone.remember("iboot.hang", json!({ "bytes": upload.bytes.len() }));
            return (Reply::Silent, Then::Stay);
        }
        match self.run(phone, &upload.bytes, text) {
            Some(then) => (Reply::Taken(data.len()), then),
            // A blind command is acknowledged before it runs.
            None if request == COMMAND_BLIND => (Reply::Taken(data.len()), Then::Stay),
            None => refuse,
        }
    }

    fn run(&mut self, phone: &Phone, upload: &[u8], text: &str) -> Option<Then> {
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        let rest = rest.trim();
        match verb {
            "getenv" => {
                self.value = self.environment.get(rest)?.clone();
                Some(Then::Stay)
            }
            "setenv" | "setenvnp" => self.set(rest, verb == "setenv"),
            "clearenv" => {
                self.touched.clear();
                phone.state().nvram.clear();
                Some(Then::Stay)
            }
            "saveenv" => {
                let mut state = phone.state();
                for name in self.touched.drain(..) {
                    match self.environment.get(&name) {
                        Some(value) => state.nvram.insert(name, value.clone()),
                        None => state.nvram.remove(&name),
                    };
                }
                Some(Then::Stay)
            }
            "reboot" | "reset" => Some(reboot(phone)),
            "fsboot" => Some(Then::Leave(Stage::Normal, BOOT)),
            "go" => boot(phone, self.stage, upload).ok(),
            "bgcolor" | "echo" => Some(Then::Stay),
            "setpicture" if upload.is_empty() => Some(Then::Stay),
            "setpicture" => self.load(phone, verb, upload, image::LOGO),
            "firmware" => self.load(phone, verb, upload, image::ANY),
            "rsepfirmware" => self.load(phone, verb, upload, image::SEP),
            "devicetree" => {
                self.device_tree = false;
                let then = self.load(phone, verb, upload, image::DEVICE_TREE)?;
                self.device_tree = true;
                Some(then)
            }
            "ramdisk" => {
                self.ramdisk = false;
                let then = self.load(phone, verb, upload, image::RAMDISK)?;
                self.ramdisk = true;
                Some(then)
            }
            "ticket" if phone.model.image == ImageFormat::Img3 => match image::ap_ticket(phone, upload) {
                Ok(ticket) => {
                    phone.state().ap_ticket = Some(ticket);
                    Some(Then::Stay)
                }
                Err(why) => {
                    refused(phone, self.stage, &format!("ticket: {why}"));
                    None
                }
            },
            "ticket" | "lpolrestore" => (!upload.is_empty()).then_some(Then::Stay),
            "bootx" => self.bootx(phone, upload),
            _ => None,
        }
    }

    fn set(&mut self, rest: &str, lasting: bool) -> Option<Then> {
        let (name, value) = rest.split_once(' ').unwrap_or((rest, ""));
        if name.is_empty() || self.environment.len() >= VARIABLES_CAP {
            return None;
        }
        match value.trim() {
            "" => self.environment.remove(name),
            value => self.environment.insert(name.to_owned(), value.to_owned()),
        };
        if lasting && !self.touched.iter().any(|t| t == name) {
            self.touched.push(name.to_owned());
        }
        Some(Then::Stay)
    }

    fn load(&self, phone: &Phone, verb: &str, upload: &[u8], types: Types) -> Option<Then> {
        match image::judge(phone, upload, types) {
            Ok(accepted) => {
                phone.remember("iboot.loaded", json!({ "by": verb, "fourcc": accepted.fourcc, "bytes": upload.len() }));
                if verb == "ramdisk" {
                    let [_, update] = RESTORED;
                    let head = upload.get(..RAMDISK_HEAD).unwrap_or(upload);
                    phone.state().ramdisk_updates = head.windows(update.len()).any(|w| w == update);
                }
                Some(Then::Stay)
            }
            Err(why) => {
                refused(phone, self.stage, &format!("{verb}: {why}"));
                None
            }
        }
    }

    fn bootx(&self, phone: &Phone, upload: &[u8]) -> Option<Then> {
        let why = match (self.stage, self.ramdisk, self.device_tree) {
            (Stage::Ibec, true, true) => {
                self.load(phone, "bootx", upload, image::KERNEL)?;
                return Some(Then::Leave(Stage::Restore, Duration::from_secs(8)));
            }
            (Stage::Ibec, false, _) => "bootx: no RAM disk is loaded",
            (Stage::Ibec, ..) => "bootx: no device tree is loaded",
            _ => "bootx: only an iBEC boots a restore kernel",
        };
        refused(phone, self.stage, why);
        None
    }
}

/// From power-up to the lock screen's USB.
const BOOT: Duration = Duration::from_secs(20);

/// Where the phone ends when iBoot starts over.
fn reboot(phone: &Phone) -> Then {
    let auto = phone.state().nvram.get("auto-boot").is_none_or(|v| v == "true");
    if auto { Then::Leave(Stage::Normal, BOOT) } else { Then::Leave(Stage::Recovery, Duration::from_secs(5)) }
}

fn refused(phone: &Phone, stage: Stage, why: &str) {
    phone.remember("boot.refused", json!({ "stage": stage, "why": why }));
}

/// Starts boot code that came over USB: by a reset in DFU, by `go` in iBoot. The refusal is remembered.
pub fn boot(phone: &Phone, stage: Stage, bytes: &[u8]) -> Result<Then, String> {
    let types = match stage {
        Stage::Dfu => image::IBSS,
        Stage::Ibss => image::IBEC,
        _ => image::ANY_BOOT,
    };
    let faults = &phone.spec.faults.usb;
    let accepted = image::judge(phone, bytes, types).and_then(|accepted| match accepted.fourcc.as_str() {
        "ibss" if faults.ibss_refused => Err("the bench was told to refuse iBSS".to_owned()),
        "ibec" if faults.ibec_refused => Err("the bench was told to refuse iBEC".to_owned()),
        _ => Ok(accepted),
    });
    let accepted = accepted.inspect_err(|why| refused(phone, stage, why))?;
    let (to, away) = match accepted.fourcc.as_str() {
        "ibss" => (Stage::Ibss, Duration::from_millis(1500)),
        _ => (Stage::Ibec, Duration::from_secs(2)),
    };
    phone
        .remember("boot.accepted", json!({ "from": stage, "to": to, "fourcc": accepted.fourcc, "bytes": bytes.len() }));
    Ok(Then::Boot(to, away, accepted.version))
}
