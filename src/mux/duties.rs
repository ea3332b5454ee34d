//! What a polite host does around a backup: the sync lock on AFC, notifications, the list of apps.
//!
//! The protocols are `idevice`'s; every call gets a limit here, since the crate has none.

use super::guard::{Framing, Guarded, of_link};
use super::{BoxDuplex, LABEL, Session};
use crate::fault::{Code, Fault};
use idevice::afc::opcode::{AfcFopenMode, AfcLockOp};
use idevice::afc::{AfcClient, file::OwnedFileDescriptor};
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

/// The sync lock on AFC: while it is held, no other host syncs and the device does not change its media.
pub struct SyncLock(OwnedFileDescriptor);

impl SyncLock {
    /// Takes the lock: tries for 10 s while another program holds it.
    pub async fn take(session: &mut Session) -> Result<Self, Fault> {
        post_notice(session, "com.apple.itunes-mobdev.syncWillStart").await?;
        let stream = session.service("com.apple.afc", true).await.map_err(Fault::from)?;
        let afc = AfcClient::new(afc_device(stream));
        let mut file = bounded("AFC open", afc.open_owned(LOCK_FILE, AfcFopenMode::Rw)).await?;
        post_notice(session, "com.apple.itunes-mobdev.syncLockRequest").await?;
        let mut tries = 0;
        loop {
            match bounded("AFC lock", file.lock(AfcLockOp::ExclusiveLock)).await {
                Ok(()) => break,
                Err(_) if tries < LOCK_TRIES => {
                    tries += 1;
                    tokio::time::sleep(LOCK_PAUSE).await;
                }
                Err(err) => return Err(Fault::new(Code::Locked, format!("the sync lock: {}", err.detail))),
            }
        }
        post_notice(session, "com.apple.itunes-mobdev.syncDidStart").await?;
        Ok(SyncLock(file))
    }

    /// Gives the lock back and says so.
    pub async fn release(self, session: &mut Session) -> Result<(), Fault> {
        let SyncLock(mut file) = self;
        bounded("AFC unlock", file.lock(AfcLockOp::Unlock)).await?;
        bounded("AFC close", file.close()).await?;
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
    let mut file = bounded("AFC open", afc.open(path, AfcFopenMode::WrOnly)).await?;
    bounded("AFC write", file.write_entire(plist)).await?;
    bounded("AFC close", file.close()).await
}
