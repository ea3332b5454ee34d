//! The conversation with mobilebackup2: the phone asks, we serve, until its last word.
//!
//! Decisions. Every request of the phone is answered, the unknown ones with -1: real phones go on after that. The
//! first message after the request may take half an hour (the passcode), which is why patience is by phase. When our
//! own disk fails, the batch is read to its end, the phone is told why (-15 for a full disk), and it gets a minute
//! for its last word; what is reported is our disk and not the code it derives from that. A hostile path ends the
//! conversation at once. However it ends, the phone hears a Disconnect, so that it cleans up and can be asked again.
//!
//! Restoring and changing a password run the same loop: over a tree that refuses changes, or over none.

use super::ending::{Purpose, Room, fault_of};
use super::link::{Link, Wire};
use super::patience::{Patience, Phase};
use super::plists::{self, Unread};
use super::receive::{FileError, Intake, receive_batch};
use super::send::{Outgo, send_batch};
use super::tree::{Place, WorkTree, code_of};
use super::{Cancel, Password, RestoreOptions, Summary};
use crate::event::{Event, Step, Tell, Unit};
use crate::fault::{Code, Fault};
use crate::ids::Udid;
use crate::wire::devicelink::request::{Request, Response};
use crate::wire::devicelink::{DlCode, EMPTY, FromDevice, FromHost, Status};
use plist::Value;
use std::io;
use std::time::Instant;

/// How many messages that nobody knows are answered before the device is given up.
const MAX_UNKNOWN: u32 = 100;

#[derive(Clone, Debug, Default)]
pub struct BackupOptions {
    /// Send everything, whatever the tree holds.
    pub full: bool,
    pub patience: Patience,
}

/// What a backup brought.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Files received, the manifest's own among them.
    pub files: u64,
    /// Bytes of their contents.
    pub bytes: u64,
    /// Files that the device could not read: the first thousand.
    pub failed: Vec<FileError>,
    /// How many those are in all.
    pub failed_count: u64,
    /// Of mobilebackup2, e.g. 2.1.
    pub protocol: Option<f64>,
    /// Of DeviceLink: 300 up to iOS 13, 400 later.
    pub device_link: u64,
}

/// What a restore took.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    pub files: u64,
    /// Bytes of their contents.
    pub bytes: u64,
    /// Files that the device asked for and that the backup does not hold.
    pub missing: u64,
}

/// Runs one backup of the device `udid` into `tree`, which holds an older backup or nothing.
///
/// Tells progress in percent and bytes under [`Step::Backup`]. The tree is complete only if this succeeds and
/// [`super::verify`] finds it so.
///
/// # Errors
/// Link, disk and `Backup…` codes; [`Code::Cancelled`]. Apple's number is in the fault where the device gave one.
pub fn backup<W: Wire>(
    wire: &mut W,
    udid: &Udid,
    tree: &WorkTree,
    options: &BackupOptions,
    tell: &dyn Tell,
    cancel: &Cancel,
) -> Result<Received, Fault> {
    let target = udid.to_string();
    let request = Request::Backup { source: Some(target.clone()), target, full: options.full };
    let mut session = Session::new(wire, Some(tree), Purpose::Backup, options.patience, tell, cancel)?;
    session.run(&request)?;
    Ok(Received {
        files: session.intake.files,
        bytes: session.intake.bytes,
        failed: session.intake.failed,
        failed_count: session.intake.failed_count,
        protocol: session.protocol,
        device_link: session.device_link,
    })
}

/// Puts the backup in `tree` (opened read-only under the UDID it was made of) back to the device `udid`.
///
/// # Errors
/// As [`backup`]; before anything is sent [`Code::BackupNone`], [`Code::BackupDamaged`] for one that the device never
/// finished, and [`Code::BackupPassword`] for an encrypted one without a password.
pub fn restore<W: Wire>(
    wire: &mut W,
    udid: &Udid,
    tree: &WorkTree,
    options: &RestoreOptions,
    patience: Patience,
    tell: &dyn Tell,
    cancel: &Cancel,
) -> Result<Sent, Fault> {
    may_restore(tree, options).map_err(|fault| fault.during(Step::PutBack))?;
    let source = Some(tree.udid().to_owned());
    let request = Request::Restore { target: udid.to_string(), source, options: options.clone() };
    let mut session = Session::new(wire, Some(tree), Purpose::Restore, patience, tell, cancel)?;
    session.run(&request)?;
    let Outgo { files, bytes, missing, .. } = session.outgo;
    Ok(Sent { files, bytes, missing })
}

/// What the device would refuse with a number, said before it is asked.
fn may_restore(tree: &WorkTree, options: &RestoreOptions) -> Result<(), Fault> {
    let folder = tree.root().join(tree.udid());
    let status = match plists::read(&folder.join("Status.plist")) {
        Ok(status) => status,
        Err(Unread::Missing) => {
            return Err(Fault::new(Code::BackupNone, format!("{} holds no backup", folder.display())));
        }
        Err(Unread::Damaged(why)) => return Err(Fault::new(Code::BackupDamaged, format!("Status.plist {why}"))),
        Err(Unread::Disk(fault)) => return Err(fault),
    };
    match plists::snapshot_state(&status) {
        Some("finished") => {}
        state => {
            let text = format!("the device never finished this backup (its state is {:?})", state.unwrap_or("unknown"));
            return Err(Fault::new(Code::BackupDamaged, text));
        }
    }
    if Summary::read(&folder).encrypted == Some(true) && options.password.is_none() {
        return Err(Fault::new(Code::BackupPassword, "the backup is encrypted and no password was given"));
    }
    Ok(())
}

/// Changes the backup password: only `new` switches encryption on, only `old` off.
///
/// # Errors
/// As [`backup`]; [`Code::BackupPasswordWrong`] when `old` is wrong.
pub fn change_password<W: Wire>(
    wire: &mut W,
    udid: &Udid,
    old: Option<&Password>,
    new: Option<&Password>,
    patience: Patience,
    tell: &dyn Tell,
    cancel: &Cancel,
) -> Result<(), Fault> {
    if old.is_none() && new.is_none() {
        return Err(Fault::new(Code::Usage, "neither an old nor a new backup password"));
    }
    let request = Request::ChangePassword { target: udid.to_string(), old: old.cloned(), new: new.cloned() };
    Session::new(wire, None, Purpose::Password, patience, tell, cancel)?.run(&request)
}

struct Session<'a, W> {
    link: Link<'a, W>,
    tree: Option<&'a WorkTree>,
    purpose: Purpose,
    step: Step,
    intake: Intake,
    outgo: Outgo,
    buffer: Vec<u8>,
    room: Room,
    unknown: u32,
    percent: Option<u64>,
    protocol: Option<f64>,
    device_link: u64,
}

impl<'a, W: Wire> Session<'a, W> {
    fn new(
        wire: &'a mut W,
        tree: Option<&'a WorkTree>,
        purpose: Purpose,
        patience: Patience,
        tell: &'a dyn Tell,
        cancel: &'a Cancel,
    ) -> Result<Self, Fault> {
        let step = match purpose {
            Purpose::Backup => Step::Backup,
            Purpose::Restore => Step::PutBack,
            Purpose::Password => Step::Encrypt,
        };
        Ok(Session {
            link: Link::new(wire, patience, tell, cancel).map_err(|f| f.during(step))?,
            tree,
            purpose,
            step,
            intake: Intake::default(),
            outgo: Outgo::default(),
            buffer: Vec::new(),
            room: Room::default(),
            unknown: 0,
            percent: None,
            protocol: None,
            device_link: 0,
        })
    }

    /// The whole conversation; always ends with a goodbye.
    fn run(&mut self, request: &Request) -> Result<(), Fault> {
        let ended = self.greet().and_then(|()| self.link.request(request)).and_then(|()| self.serve());
        self.link.disconnect();
        // What our own disk did explains whatever came after it.
        if let Some(local) = self.intake.local.take() {
            return Err(local.during(self.step));
        }
        let answer = ended.map_err(|fault| fault.during(self.step))?;
        if answer.code != 0 {
            return Err(fault_of(&answer, self.purpose, self.room, &self.intake).during(self.step));
        }
        Ok(())
    }

    fn greet(&mut self) -> Result<(), Fault> {
        let FromDevice::VersionExchange { major, minor } = self.link.message(Phase::Greeting)? else {
            return Err(Fault::new(Code::LinkGarbage, "the service did not begin with its version"));
        };
        tracing::debug!(major, minor, "DeviceLink");
        self.device_link = major;
        self.link.send(FromHost::VersionOk { major })?;
        match self.link.message(Phase::Greeting)? {
            FromDevice::Ready => {}
            _ => return Err(Fault::new(Code::LinkGarbage, "the service is not ready after its version")),
        }
        self.link.request(&Request::hello())?;
        let answer = match self.link.message(Phase::Greeting)? {
            FromDevice::Process(dict) => Response::parse(&dict),
            _ => None,
        };
        let answer = answer.ok_or_else(|| Fault::new(Code::LinkGarbage, "the service did not answer Hello"))?;
        if answer.code != 0 {
            let text =
                format!("no common version of mobilebackup2 (DeviceLink {major}.{minor}): {}", answer.description);
            return Err(Fault::new(Code::BackupRefused, text).number(answer.code));
        }
        self.protocol = answer.version;
        Ok(())
    }

    fn serve(&mut self) -> Result<Response, Fault> {
        let mut phase = Phase::Prompt;
        let mut failed_at: Option<Instant> = None;
        loop {
            let message = self.link.message(phase)?;
            self.link.cancel.check()?;
            phase = Phase::Between;
            let answer = match message {
                FromDevice::Process(dict) => match Response::parse(&dict) {
                    Some(answer) => return Ok(answer),
                    None => self.unknown("DLMessageProcessMessage")?,
                },
                FromDevice::Disconnect => {
                    return Err(Fault::new(Code::LinkLost, "the device ended the conversation before its last word"));
                }
                other => self.answer(other)?,
            };
            self.link.send(FromHost::Status(answer))?;
            if self.intake.local.is_some() {
                let since = failed_at.get_or_insert_with(Instant::now);
                if since.elapsed() > self.link.patience.farewell {
                    return Err(Fault::new(Code::LinkSilent, "the device goes on after our disk failed"));
                }
                phase = Phase::Farewell;
            }
        }
    }

    fn answer(&mut self, message: FromDevice) -> Result<Status, Fault> {
        match message {
            FromDevice::DownloadFiles { paths, progress } => {
                let status = send_batch(&mut self.link, self.tree, &paths, &mut self.outgo, self.step)?;
                self.progress(progress);
                Ok(status)
            }
            FromDevice::UploadFiles { progress, .. } => {
                let Some(tree) = self.tree.filter(|tree| tree.is_writable()) else {
                    // The stream that follows has nowhere to go and no end that could be trusted.
                    return Err(Fault::new(Code::BackupHostile, "the device sends files where none are wanted"));
                };
                let (intake, buffer) = (&mut self.intake, &mut self.buffer);
                let status = receive_batch(&mut self.link, tree, intake, buffer, self.step)?;
                self.progress(progress);
                Ok(status)
            }
            FromDevice::FreeDiskSpace => {
                let free = match self.tree.map(WorkTree::free_space) {
                    Some(Ok(free)) => free,
                    Some(Err(err)) => return Ok(self.local(&err)),
                    None => 0,
                };
                self.room.told_free = Some(free);
                Ok(Status::free_space(free))
            }
            FromDevice::PurgeDiskSpace { bytes, urgency } => {
                tracing::debug!(bytes, urgency, "asked to purge");
                self.room.asked_to_purge = Some(bytes);
                Ok(Status::error(DlCode::OTHER, "Operation not supported"))
            }
            FromDevice::ContentsOfDirectory { path } => {
                let Some(tree) = self.tree else { return Ok(Status::listing([])) };
                Ok(match tree.list(tree.place(&path, true)?) {
                    Ok(rows) => Status::listing(rows),
                    Err(err) => self.local(&err),
                })
            }
            FromDevice::CreateDirectory { path } => {
                let made = self.change(&path, true, None, |tree, place, _| tree.make_folder(place))?;
                // The one answer that hosts send without a dictionary.
                Ok(Status { payload: Value::String(EMPTY.into()), ..made })
            }
            FromDevice::RemoveItems { paths, progress } => {
                let mut status = Status::ok();
                for path in &paths {
                    let removed = self.change(path, false, None, |tree, place, _| tree.remove(place))?;
                    status = first_failure(status, removed);
                }
                self.progress(progress);
                Ok(status)
            }
            FromDevice::MoveItems { items, progress } => {
                let mut status = Status::ok();
                for (from, to) in &items {
                    let moved = self.change(from, false, Some(to), |tree, from, to| tree.rename(from, to))?;
                    status = first_failure(status, moved);
                }
                self.progress(progress);
                Ok(status)
            }
            FromDevice::CopyItem { from, to } => {
                self.change(&from, false, Some(&to), |tree, from, to| tree.copy(from, to, 0))
            }
            FromDevice::VersionExchange { .. } => self.unknown("DLMessageVersionExchange"),
            FromDevice::Ready => self.unknown("DLMessageDeviceReady"),
            FromDevice::Unknown { name } => self.unknown(&name),
            FromDevice::Process(_) | FromDevice::Disconnect => self.unknown("a last word"),
        }
    }

    /// One change of the tree, after both paths passed the policy.
    fn change(
        &mut self,
        from: &str,
        top: bool,
        to: Option<&str>,
        act: impl FnOnce(&WorkTree, Place<'_>, Place<'_>) -> io::Result<()>,
    ) -> Result<Status, Fault> {
        self.link.cancel.check()?;
        let Some(tree) = self.tree else { return Ok(Status::error(DlCode::OTHER, "There is no backup here")) };
        let from = tree.place(from, top)?;
        let to = match to {
            Some(to) => tree.place(to, false)?,
            None => from,
        };
        if !tree.is_writable() {
            self.link.tell.tell(Event::Note { text: "the device tried to change the backup; refused".into() });
            return Ok(Status::error(DlCode::OTHER, "This backup is read-only"));
        }
        Ok(match act(tree, from, to) {
            Ok(()) => Status::ok(),
            Err(err) => self.local(&err),
        })
    }

    /// The answer for a failure here; one that is our disk's fault is remembered.
    fn local(&mut self, err: &io::Error) -> Status {
        let (code, ours) = code_of(err);
        if ours {
            let fault = self.tree.map_or_else(|| Fault::disk(err), |tree| tree.fault(err));
            self.intake.local.get_or_insert(fault);
        }
        Status::error(code, err.to_string())
    }

    fn unknown(&mut self, name: &str) -> Result<Status, Fault> {
        self.unknown += 1;
        let name: String = name.chars().take(60).collect();
        if self.unknown > MAX_UNKNOWN {
            return Err(Fault::new(Code::LinkGarbage, format!("too many messages that nobody knows, last {name:?}")));
        }
        self.link.tell.tell(Event::Note { text: format!("the device sent {name:?}, which is not known") });
        Ok(Status::error(DlCode::OTHER, "Operation not supported"))
    }

    fn progress(&mut self, percent: Option<f64>) {
        let Some(percent) = percent.filter(|p| *p > 0.0) else { return };
        let done = percent.clamp(0.0, 100.0) as u64;
        if self.percent != Some(done) {
            self.percent = Some(done);
            let step = self.step;
            self.link.tell.tell(Event::Progress { step, unit: Unit::Percent, done, total: Some(100) });
        }
    }
}

/// The status of a batch is its first failure.
fn first_failure(so_far: Status, next: Status) -> Status {
    if so_far.code == DlCode::OK && next.code != DlCode::OK { next } else { so_far }
}
