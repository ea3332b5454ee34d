//! `doctor`: is this host ready?
//!
//! Gathers what only this room may ask (the environment, the hands, Apple's servers) and leaves the judging to
//! [`crate::doctor`].

use super::doctor_show::{print, watching};
use crate::cli::Done;
use crate::cli::args::DoctorArgs;
use crate::cli::context::{Context, env};
use crate::cli::show::print_line;
use crate::device::{Device, Eyes, look};
use crate::disk;
use crate::doctor::{
    self, Diagnosis, Drops, Given, Host, Known, Muxed, Person, ProbeAnswer, Probed, Room, Root, count_drops,
};
use crate::event::{Cause, Exam, Outcome, Verdict};
use crate::fault::{Code, Fault};
use crate::mux::MuxError;
use crate::net::{DEVICE_HOSTS, Http, Url, reach};
use crate::usb::Bus;
use jiff::Timestamp;
use serde_json::json;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// For each look at a server.
const REACH: Duration = Duration::from_secs(5);
/// For all files together.
const READ: Duration = Duration::from_secs(30);

pub async fn run(context: &Context, args: DoctorArgs) -> Done {
    let eyes = context.eyes()?;
    let drops = match args.watch {
        Some(seconds) => {
            let lang = context.lang;
            Some(watch(&eyes, seconds, &context.cancel, move || watching(lang, seconds)).await?)
        }
        None => None,
    };
    let asked = async { if args.offline { Ok(None) } else { probe(context).await.map(Some) } };
    let (given, probed) = tokio::join!(gather(context, &eyes, drops), asked);
    let mut given = given?;
    given.probed = probed?;
    let root = Root::new(&root(context));
    let read = tokio::task::spawn_blocking(move || Host::read(&root, given));
    // A folder on a server that is gone holds whoever looks at it.
    let read = tokio::time::timeout(READ, read).await;
    let read =
        read.map_err(|_| Fault::new(Code::DiskError, format!("no answer from the disk in {} s", READ.as_secs())))?;
    let host = read.map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    let found = doctor::examine(&host);
    if context.common.json {
        print_line(&json!({ "schema": 1, "virtual": context.is_virtual(), "checks": found }));
    } else {
        print(context, &found);
    }
    verdict(&found)
}

/// `HERSTEL_DOCTOR_ROOT`: another tree than `/`, for tests. Without a bench it means nothing.
fn root(context: &Context) -> PathBuf {
    env("HERSTEL_DOCTOR_ROOT").filter(|_| context.is_virtual()).map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

fn verdict(found: &[Diagnosis]) -> Done {
    let bad: Vec<&Diagnosis> = found.iter().filter(|d| d.verdict == Verdict::Blocking).collect();
    let Some(first) = bad.first() else { return Ok(Outcome::Ok) };
    let code = match first.cause {
        Some(Cause::MuxMissing | Cause::MuxRefused | Cause::MuxSilent | Cause::MuxElsewhere) => Code::MuxUnreachable,
        Some(Cause::MuxGarbage) => Code::MuxGarbage,
        Some(Cause::UsbAway) => Code::UsbUnavailable,
        Some(Cause::NodeRefused) => Code::UsbNoAccess,
        Some(Cause::RoomNone) => Code::DiskFull,
        _ => Code::HostNotReady,
    };
    let names: Vec<&str> = bad.iter().map(|d| d.exam.as_str()).collect();
    Err(Fault::new(code, names.join(", ")))
}

async fn gather(context: &Context, eyes: &Eyes, drops: Option<Drops>) -> Result<Given, Fault> {
    let folders = context.folders()?;
    let bus = Arc::clone(&eyes.bus);
    let no_bus = tokio::task::spawn_blocking(move || bus.unavailable());
    let (muxed, usb, seen, no_bus) = tokio::join!(muxed(eyes), usb(Arc::clone(&eyes.bus)), look(eyes), no_bus);
    let rooms = [(Exam::RoomFirmware, folders.firmware()), (Exam::RoomBackups, folders.vault())];
    let rooms = rooms.map(|(exam, folder)| {
        let free = disk::free_space(&folder).map_err(|fault| fault.detail);
        Room { exam, folder, free }
    });
    let own = [&folders.config, &folders.data, &folders.cache, &folders.state].into_iter().cloned();
    let environment = Given::ASKED.iter().filter_map(|key| Some(((*key).to_owned(), env(key)?)));
    Ok(Given {
        person: person(),
        environment: environment.collect(),
        mux_address: eyes.mux.address().to_string(),
        muxed,
        bus_name: eyes.bus.name().to_owned(),
        usb,
        no_bus: no_bus.ok().flatten(),
        devices: seen.devices.iter().map(known).collect(),
        rooms: rooms.into(),
        folders: own.filter(|f| f.exists()).collect(),
        probed: None,
        now: Timestamp::now().as_second(),
        drops,
        is_virtual: context.is_virtual(),
    })
}

fn person() -> Person {
    let mut groups = vec![rustix::process::getgid().as_raw()];
    for group in rustix::process::getgroups().unwrap_or_default() {
        if !groups.contains(&group.as_raw()) {
            groups.push(group.as_raw());
        }
    }
    Person { uid: rustix::process::getuid().as_raw(), groups, pid: std::process::id() }
}

async fn muxed(eyes: &Eyes) -> Muxed {
    match eyes.mux.devices().await {
        Ok(devices) => Muxed::Answers(devices.into_iter().filter(|d| d.usb).map(|d| d.serial).collect()),
        Err(MuxError::Unreachable { err, .. }) if err.kind() == ErrorKind::PermissionDenied => {
            Muxed::Refused(err.to_string())
        }
        Err(err @ MuxError::Unreachable { .. }) => Muxed::Away(err.to_string()),
        Err(err @ MuxError::Wire(_)) => Muxed::Garbage(err.to_string()),
        Err(err) => Muxed::Silent(err.to_string()),
    }
}

async fn usb(bus: Arc<dyn Bus>) -> Result<Vec<crate::usb::UsbDevice>, String> {
    let listed = tokio::task::spawn_blocking(move || bus.devices()).await.map_err(|e| e.to_string())?;
    listed.map_err(|e| e.to_string())
}

fn known(device: &Device) -> Known {
    let who = device.who();
    let name = who.ecid.map(|e| e.to_string()).or_else(|| who.udid.as_ref().map(ToString::to_string));
    Known { title: who.title(), name, trust: device.row().trust }
}

/// Each of Apple's servers that something depends on, at the same time; the bench's where there is one.
async fn probe(context: &Context) -> Result<Vec<Probed>, Fault> {
    let (http, endpoints) = context.http()?;
    let limit = REACH / context.haste().min(5);
    let asked = futures_util::future::join_all(
        [&endpoints.catalogue, &endpoints.tss].into_iter().map(|url| ask(&http, url, limit)),
    );
    let quiet = context.is_virtual();
    let others = async {
        if quiet {
            return Vec::new();
        }
        let tried = DEVICE_HOSTS.iter().map(|host| async move {
            let reached = reach(host, 443, limit).await;
            let (resolved, direct) = (reached.addresses, reached.connected);
            Probed { host: (*host).to_owned(), needed: false, resolved, direct, answer: None }
        });
        futures_util::future::join_all(tried).await
    };
    let (mut found, others) = tokio::join!(asked, others);
    found.extend(others);
    Ok(found)
}

async fn ask(http: &Http, url: &Url, limit: Duration) -> Probed {
    let host = url.host_str().unwrap_or_default().to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let (reached, answer) = tokio::join!(reach(&host, port, limit), http.probe(url, limit));
    let now = Timestamp::now().as_second();
    let answer = answer.map(|p| ProbeAnswer {
        status: p.status,
        page: p.page,
        ahead: p.date.map(|date| date.saturating_sub(now)),
    });
    let (resolved, direct) = (reached.addresses, reached.connected);
    Probed { host, needed: true, resolved, direct, answer: Some(answer.map_err(|fault| fault.detail)) }
}

/// Counts what leaves the bus, and says when that begins; Ctrl-C ends it early.
async fn watch(
    eyes: &Eyes,
    seconds: u64,
    cancel: &CancellationToken,
    begins: impl FnOnce() + Send + 'static,
) -> Result<Drops, Fault> {
    let (bus, cancel) = (Arc::clone(&eyes.bus), cancel.clone());
    let work = move || {
        let events = bus.watch()?;
        let mut known = bus.devices()?.into_iter().map(|d| (d.address, d.port.to_string())).collect();
        let mut drops = Drops::default();
        begins();
        let begun = Instant::now();
        let whole = Duration::from_secs(seconds);
        while !cancel.is_cancelled() {
            let Some(left) = whole.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) else { break };
            match events.recv_timeout(left.min(Duration::from_millis(200))) {
                Ok(event) => count_drops(&mut known, &mut drops, event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        drops.seconds = begun.elapsed().as_secs().min(seconds);
        Ok::<_, crate::usb::UsbError>(drops)
    };
    let done = tokio::task::spawn_blocking(work).await.map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    Ok(done?)
}

/// `~` for the home folder reads better than its path.
pub(super) fn short(path: &str) -> String {
    let home = env("HOME").filter(|h| h.len() > 1 && Path::new(path).starts_with(h));
    home.map_or_else(|| path.to_owned(), |home| path.replacen(&home, "~", 1))
}
