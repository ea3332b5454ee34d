//! What a polite host does around a backup: the sync lock on AFC, notifications, the list of apps.
//!
//! The protocols are `idevice`'s; every call gets a limit here, since the crate has none.

use super::guard::{Framing, Guarded, of_link};
use super::{BoxDuplex, LABEL, Session};
use crate::fault::{Code, Fault};
use idevice::afc::AfcClient;
use idevice::afc::opcode::{AfcFopenMode, AfcLockOp, AfcOpcode};
use idevice::installation_proxy::InstallationProxyClient;
use idevice::notification_proxy::NotificationProxyClient;
use idevice::springboardservices::SpringBoardServicesClient;
use idevice::{Idevice, IdeviceError};
use plist::Value;
use std::future::Future;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(15);
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(200);
const LOCK_FILE: &str = "/com.apple.itunes.lock_sync";

fn device(stream: BoxDuplex) -> Idevice {
    Idevice::new(Box::new(Guarded::new(stream, Framing::Plist)), LABEL)
}

fn afc_device(stream: BoxDuplex) -> Idevice {
    Idevice::new(Box::new(Guarded::new(stream, Framing::Afc)), LABEL)
}

async fn bounded<T>(what: &str, work: impl Future<Output = Result<T, IdeviceError>>) -> Result<T, Fault> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(err)) => Err(match of_link(&err) {
            Some(fault) => Fault { detail: format!("{what}: {}", fault.detail), ..fault },
            None => Fault::new(Code::ServiceRefused, format!("{what}: {err}")),
        }),
        Err(_) => Err(Fault::new(Code::LinkSilent, format!("{what}: no answer in {} s", PATIENCE.as_secs()))),
    }
}

/// Posts one notification on a connection of its own, as iTunes does.
pub async fn post_notice(session: &mut Session, name: &str) -> Result<(), Fault> {
    let stream = session.service("com.apple.mobile.notification_proxy", false).await.map_err(Fault::from)?;
    let mut client = NotificationProxyClient::new(device(stream));
    bounded("notification_proxy", client.post_notification(name.to_owned())).await
}

/// Listens for notifications: the passcode prompt of a backup among them.
pub struct Notices(NotificationProxyClient);

impl Notices {
    pub const PASSCODE_ASKED: &str = "com.apple.LocalAuthentication.ui.presented";
    pub const PASSCODE_GONE: &str = "com.apple.LocalAuthentication.ui.dismissed";
    pub const CANCELLED: &str = "com.apple.itunes-client.syncCancelRequest";

    pub async fn open(session: &mut Session) -> Result<Self, Fault> {
        let stream = session.service("com.apple.mobile.notification_proxy", false).await.map_err(Fault::from)?;
        let mut client = NotificationProxyClient::new(device(stream));
        let names = [Self::PASSCODE_ASKED, Self::PASSCODE_GONE, Self::CANCELLED];
        bounded("notification_proxy", client.observe_notifications(&names)).await?;
        Ok(Notices(client))
    }

    /// The next notification; waits as long as the caller does.
    pub async fn next(&mut self) -> Result<String, Fault> {
        match self.0.receive_notification().await {
            Ok(name) => Ok(name),
            Err(err) => Err(of_link(&err).unwrap_or_else(|| Fault::new(Code::LinkLost, err.to_string()))),
        }
    }
}

/// One open file on AFC. The crate's own handles print and panic when they are dropped after the link broke
/// off, so operations are sent by their codes; the device closes what a lost link left open.
struct AfcFile {
    afc: AfcClient,
    handle: Vec<u8>,
}

impl AfcFile {
    async fn open(mut afc: AfcClient, path: &str, mode: AfcFopenMode) -> Result<Self, Fault> {
        let mut header = (mode as u64).to_le_bytes().to_vec();
        header.extend_from_slice(path.as_bytes());
        header.push(0);
        let answer = bounded("AFC open", afc.send_op(AfcOpcode::FileOpen, header, Vec::new())).await?;
        let handle = answer.header_payload.get(..8).map(<[u8]>::to_vec);
        let handle = handle.ok_or_else(|| Fault::new(Code::LinkGarbage, "AFC open without a handle"))?;
        Ok(AfcFile { afc, handle })
    }

    async fn lock(&mut self, how: AfcLockOp) -> Result<(), Fault> {
        let mut header = self.handle.clone();
        header.extend_from_slice(&(how as u64).to_le_bytes());
        bounded("AFC lock", self.afc.send_op(AfcOpcode::FileLock, header, Vec::new())).await.map(drop)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        for piece in bytes.chunks(64 << 10) {
            let work = self.afc.send_op(AfcOpcode::Write, self.handle.clone(), piece.to_vec());
            bounded("AFC write", work).await?;
        }
        Ok(())
    }

    async fn close(mut self) -> Result<(), Fault> {
        let work = self.afc.send_op(AfcOpcode::FileClose, self.handle.clone(), Vec::new());
        bounded("AFC close", work).await.map(drop)
    }
}

/// The sync lock on AFC: while it is held, no other host syncs and the device does not change its media.
pub struct SyncLock(AfcFile);

impl SyncLock {
    /// Takes the lock: tries for 10 s while another program holds it.
    pub async fn take(session: &mut Session) -> Result<Self, Fault> {
        post_notice(session, "com.apple.itunes-mobdev.syncWillStart").await?;
        let stream = session.service("com.apple.afc", true).await.map_err(Fault::from)?;
        let mut file = AfcFile::open(AfcClient::new(afc_device(stream)), LOCK_FILE, AfcFopenMode::Rw).await?;
        post_notice(session, "com.apple.itunes-mobdev.syncLockRequest").await?;
        let mut tries = 0;
        loop {
            match file.lock(AfcLockOp::ExclusiveLock).await {
                Ok(()) => break,
                Err(refused) if refused.code == Code::ServiceRefused && tries < LOCK_TRIES => {
                    tries += 1;
                    tokio::time::sleep(LOCK_PAUSE).await;
                }
                Err(refused) if refused.code == Code::ServiceRefused => {
                    return Err(Fault::new(Code::Locked, format!("the sync lock: {}", refused.detail)));
                }
                Err(lost) => return Err(lost),
            }
        }
        post_notice(session, "com.apple.itunes-mobdev.syncDidStart").await?;
        Ok(SyncLock(file))
    }

    /// Gives the lock back and says so.
    pub async fn release(self, session: &mut Session) -> Result<(), Fault> {
        let SyncLock(mut file) = self;
        file.lock(AfcLockOp::Unlock).await?;
        file.close().await?;
        post_notice(session, "com.apple.itunes-mobdev.syncDidFinish").await
    }
}

/// An app as a backup's Info.plist names it, so that a restore re-installs it.
pub struct AppInfo {
    pub bundle: String,
    pub metadata: Option<Vec<u8>>,
    pub sinf: Option<Vec<u8>>,
    pub icon: Option<Vec<u8>>,
}

/// The person's apps with what a restore needs of them. A missing icon is no failure.
pub async fn apps(session: &mut Session) -> Result<Vec<AppInfo>, Fault> {
    let stream = session.service("com.apple.mobile.installation_proxy", false).await.map_err(Fault::from)?;
    let mut client = InstallationProxyClient::new(device(stream));
    let mut options = plist::Dictionary::new();
    options.insert("ApplicationType".into(), "User".into());
    let wanted = ["CFBundleIdentifier", "ApplicationSINF", "iTunesMetadata"];
    options.insert("ReturnAttributes".into(), Value::Array(wanted.iter().map(|w| Value::from(*w)).collect()));
    let list = bounded("installation_proxy", client.browse(Some(Value::Dictionary(options)))).await?;
    let stream = session.service("com.apple.springboardservices", false).await.map_err(Fault::from)?;
    let mut icons = SpringBoardServicesClient::new(device(stream));
    let mut apps = Vec::new();
    for entry in list.into_iter().take(5_000) {
        let Some(mut entry) = entry.into_dictionary() else { continue };
        let Some(bundle) = entry.get("CFBundleIdentifier").and_then(Value::as_string).map(str::to_owned) else {
            continue;
        };
        let mut data = |key: &str| entry.remove(key).and_then(Value::into_data);
        let (metadata, sinf) = (data("iTunesMetadata"), data("ApplicationSINF"));
        let icon = bounded("springboardservices", icons.get_icon_pngdata(bundle.clone())).await.ok();
        apps.push(AppInfo { bundle, metadata, sinf, icon });
    }
    Ok(apps)
}

/// Writes `/iTunesRestore/RestoreApplications.plist`: the apps that a restored device installs anew.
pub async fn put_restore_applications(session: &mut Session, plist: &[u8]) -> Result<(), Fault> {
    const FOLDER: &str = "/iTunesRestore";
    let stream = session.service("com.apple.afc", true).await.map_err(Fault::from)?;
    let mut afc = AfcClient::new(afc_device(stream));
    // It may exist already.
    let _ = bounded("AFC folder", afc.mk_dir(FOLDER)).await;
    let path = format!("{FOLDER}/RestoreApplications.plist");
    let mut file = AfcFile::open(afc, &path, AfcFopenMode::WrOnly).await?;
    file.write(plist).await?;
    file.close().await
}
