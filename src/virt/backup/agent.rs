//! The mobilebackup2 agent: greeting, requests, and the answer that ends each of them.
//!
//! One connection may carry several requests, though hosts send one. Whatever an operation ends with,
//! the host hears it in words; only a broken link ends in silence. What this phone does not do (Info,
//! List, Unback, Extract, cloud backups) it refuses by name: real ones answer rubbish to these since
//! iOS 10.

use super::line::{Halt, Line};
use super::{FinalError, putback, save};
use crate::virt::mux;
use crate::virt::phone::{Phone, Stage};
use crate::virt::spec::PasscodeSpec;
use crate::virt::stream::BoxStream;
use crate::wire::devicelink::request::{Password, Request, Response};
use crate::wire::devicelink::{FromDevice, FromHost};
use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

/// A virtual person types the passcode within this time of a real one.
const TYPING: Duration = Duration::from_secs(4);
/// A prompt that nobody answers ends after this time, as seen on iOS 16.1.
const PROMPT: Duration = Duration::from_secs(180);
/// How long a device takes over starting again after a restore.
const REBOOT: Duration = Duration::from_secs(30);

/// Serves one connection to `com.apple.mobilebackup2` until either side leaves.
pub fn serve_mobilebackup2(phone: Arc<Phone>, stream: BoxStream) {
    let faults = phone.spec.faults.backup.clone();
    let end = Line::new(stream, faults).map_err(Halt::from).and_then(|mut line| talk(&phone, &mut line));
    if let Err(Halt::Gone(err)) = end {
        phone.remember("backup.link-lost", serde_json::json!({ "error": err.to_string() }));
    }
}

fn talk(phone: &Arc<Phone>, line: &mut Line) -> Result<(), Halt> {
    let native = if phone.state().version.major() >= 14 { 400 } else { 300 };
    let major = u64::from(line.faults().dl_version.unwrap_or(native));
    line.send(FromDevice::VersionExchange { major, minor: 0 })?;
    match line.receive()? {
        FromHost::VersionOk { .. } => {}
        FromHost::Disconnect => return Ok(()),
        _ => return Err(Error::new(ErrorKind::InvalidData, "no answer to the version exchange").into()),
    }
    line.send(FromDevice::Ready)?;
    loop {
        let request = match line.receive() {
            Ok(FromHost::Process(dict)) => Request::parse(&dict),
            Ok(FromHost::Disconnect) => return Ok(()),
            Ok(_) => None,
            Err(Halt::Gone(err)) if err.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Err(err) => return Err(err),
        };
        let Some(request) = request else {
            line.send(FromDevice::Process(Response::error(1, "Unexpected message (MBErrorDomain/1)").build()))?;
            continue;
        };
        let hello = matches!(request, Request::Hello { .. });
        let mut reboot = false;
        let answer = match serve(phone, line, &request) {
            Ok(done) => {
                reboot = done.reboot;
                match line.faults().final_error.clone() {
                    Some(FinalError { code, text }) if !hello => Response::error(code, text),
                    _ => done.response,
                }
            }
            Err(Halt::Refused { code, text }) => {
                let detail = serde_json::json!({ "request": request.name(), "code": code, "text": text });
                phone.remember("backup.refused", detail);
                Response::error(code, format!("{text} (MBErrorDomain/{code})"))
            }
            Err(gone) => return Err(gone),
        };
        line.send(FromDevice::Process(answer.build()))?;
        line.flush()?;
        if reboot {
            line.await_goodbye(Duration::from_secs(3));
            phone.reenumerate(Stage::Normal, REBOOT);
            return Ok(());
        }
    }
}

/// An operation that went well.
struct Done {
    response: Response,
    reboot: bool,
}

impl From<Response> for Done {
    fn from(response: Response) -> Self {
        Done { response, reboot: false }
    }
}

fn serve(phone: &Arc<Phone>, line: &mut Line, request: &Request) -> Result<Done, Halt> {
    match request {
        Request::Hello { versions } => {
            let common = versions.iter().copied().filter(|v| [2.0, 2.1].contains(v)).reduce(f64::max);
            let version = common.ok_or_else(|| Halt::refused(1, "No common protocol version"))?;
            Ok(Response { version: Some(version), ..Response::ok() }.into())
        }
        Request::Backup { target, full, .. } => {
            for_this_phone(phone, target)?;
            save::backup(phone, line, *full)?;
            Ok(Response::ok().into())
        }
        Request::Restore { target, source, options } => {
            for_this_phone(phone, target)?;
            let source = source.as_deref().filter(|s| !s.is_empty()).unwrap_or(target);
            putback::restore(phone, line, source, options)?;
            Ok(Done { response: Response::ok(), reboot: options.reboot })
        }
        Request::ChangePassword { target, old, new } => {
            for_this_phone(phone, target)?;
            change_password(phone, line, old.as_ref(), new.as_ref())?;
            Ok(Response::ok().into())
        }
        Request::Other { name, .. } => {
            let name: String = name.chars().take(60).collect();
            Err(Halt::refused(1, format!("{name} is not served by this virtual phone")))
        }
    }
}

fn for_this_phone(phone: &Phone, target: &str) -> Result<(), Halt> {
    if target.eq_ignore_ascii_case(phone.udid.as_str()) {
        return Ok(());
    }
    Err(Halt::refused(1, "TargetIdentifier is another device"))
}

/// Asks for the passcode on the screen.
///
/// # Errors
/// 208 when nobody types it; gone when the host leaves while it waits.
pub(super) fn ask_passcode(phone: &Arc<Phone>, line: &mut Line) -> Result<(), Halt> {
    let passcode = phone.state().passcode;
    if passcode == PasscodeSpec::None {
        return Ok(());
    }
    phone.remember("backup.passcode-asked", serde_json::json!({}));
    mux::post(phone, "com.apple.LocalAuthentication.ui.presented");
    let typed = match passcode {
        PasscodeSpec::Unlocked => line.pause(phone.scaled(TYPING)),
        _ => line.pause(phone.scaled(PROMPT)).and(Err(Halt::refused(208, "Device locked"))),
    };
    mux::post(phone, "com.apple.LocalAuthentication.ui.dismissed");
    typed
}

fn change_password(
    phone: &Arc<Phone>,
    line: &mut Line,
    old: Option<&Password>,
    new: Option<&Password>,
) -> Result<(), Halt> {
    if phone.state().version.major() >= 13 {
        ask_passcode(phone, line)?;
    }
    if phone.spec.requires_encryption && new.is_none_or(|p| p.reveal().is_empty()) {
        return Err(Halt::refused(207, "Encryption is required by a profile"));
    }
    let mut state = phone.state();
    if state.backup_password.as_deref() != old.map(Password::reveal) {
        return Err(Halt::refused(207, "Invalid password"));
    }
    if old.is_none() && new.is_none_or(|p| p.reveal().is_empty()) {
        return Err(Halt::refused(207, "A new password is missing"));
    }
    if line.faults().password_ignored {
        return Ok(());
    }
    state.backup_password = new.map(|p| p.reveal().to_owned()).filter(|p| !p.is_empty());
    let on = state.backup_password.is_some();
    drop(state);
    phone.lockbox.changed();
    mux::post(phone, "com.apple.mobile.backup.domain_changed");
    phone.remember("backup.password", serde_json::json!({ "on": on }));
    Ok(())
}
