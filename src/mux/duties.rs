//! What a polite host does around a backup: the sync lock on AFC, notifications, the list of apps.
//!
//! The protocols are `idevice`'s; every call gets a limit here, since the crate has none.

use super::afc::Afc;
use super::guard::{Framing, Guarded, of_link};
use super::{BoxDuplex, LABEL, Session};
use crate::fault::{Code, Fault};
use idevice::installation_proxy::InstallationProxyClient;
use idevice::notification_proxy::NotificationProxyClient;
use idevice::springboardservices::SpringBoardServicesClient;
use idevice::{Idevice, IdeviceError};
use plist::Value;
use std::future::Future;
use std::time::Duration;

pub(super) const PATIENCE: Duration = Duration::from_secs(15);
const LOCK_FILE: &str = "/com.apple.itunes.lock_sync";

fn device(stream: BoxDuplex) -> Idevice {
    Idevice::new(Box::new(Guarded::new(stream, Framing::Plist)), LABEL)
}

pub(super) fn afc_device(stream: BoxDuplex) -> Idevice {
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

/// Posts one notification on a connection of its own, as iTunes does. The goodbye is waited for: it is the only sign that
/// the device took the notification, and without it two of them could change places.
pub async fn post_notice(session: &mut Session, name: &str) -> Result<(), Fault> {
    let stream = session.service("com.apple.mobile.notification_proxy", false).await.map_err(Fault::from)?;
    let mut client = NotificationProxyClient::new(device(stream));
    bounded("notification_proxy", client.post_notification(name.to_owned())).await?;
    bounded("notification_proxy", client.shutdown()).await
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
pub struct SyncLock {
    afc: Afc,
    handle: Vec<u8>,
}

impl SyncLock {
    /// Takes the lock: tries for 10 s while another program holds it.
    pub async fn take(session: &mut Session) -> Result<Self, Fault> {
        post_notice(session, "com.apple.itunes-mobdev.syncWillStart").await?;
        let mut afc = Afc::open(session).await?;
        let request = async || post_notice(session, "com.apple.itunes-mobdev.syncLockRequest").await;
        let handle = afc.lock(LOCK_FILE, request).await?;
        post_notice(session, "com.apple.itunes-mobdev.syncDidStart").await?;
        Ok(SyncLock { afc, handle })
    }

    /// Gives the lock back and says so.
    pub async fn release(self, session: &mut Session) -> Result<(), Fault> {
        let SyncLock { mut afc, handle } = self;
        afc.unlock(handle).await?;
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

/// Most bytes of icons that one backup carries, and of what the apps tell of themselves: with the caps on iTunes's own
/// files they keep Info.plist below what its readers take (`backup/plists.rs`).
const ALL_ICONS: usize = 4 << 20;
const ICON: usize = 256 << 10;
const ALL_METADATA: usize = 8 << 20;

/// The person's apps with what a restore needs of them. A missing icon is no failure.
pub async fn apps(session: &mut Session) -> Result<Vec<AppInfo>, Fault> {
    let stream = session.service("com.apple.mobile.installation_proxy", false).await.map_err(Fault::from)?;
    let mut client = InstallationProxyClient::new(device(stream));
    let mut options = plist::Dictionary::new();
    options.insert("ApplicationType".into(), "User".into());
    let wanted = ["CFBundleIdentifier", "ApplicationSINF", "iTunesMetadata", "PlaceholderIcon"];
    options.insert("ReturnAttributes".into(), Value::Array(wanted.iter().map(|w| Value::from(*w)).collect()));
    let list = bounded("installation_proxy", client.browse(Some(Value::Dictionary(options)))).await?;
    let mut icons = Icons::open(session).await;
    let mut apps = Vec::new();
    let mut left = ALL_METADATA;
    for entry in list.into_iter().take(5_000) {
        let Some(mut entry) = entry.into_dictionary() else { continue };
        let Some(bundle) = entry.get("CFBundleIdentifier").and_then(Value::as_string).map(str::to_owned) else {
            continue;
        };
        let mut data = |key: &str| entry.remove(key).and_then(Value::into_data);
        let (mut metadata, sinf, icon) = (data("iTunesMetadata"), data("ApplicationSINF"), data("PlaceholderIcon"));
        let told = [&metadata, &sinf].into_iter().flatten().map(Vec::len).sum::<usize>();
        match left.checked_sub(told) {
            Some(rest) => left = rest,
            None => metadata = None,
        }
        // An app that a restore cannot ask for needs no picture.
        let icon = match icon {
            None if metadata.is_some() && sinf.is_some() => icons.of(&bundle).await,
            icon => icons.fits(icon),
        };
        apps.push(AppInfo { bundle, metadata, sinf, icon });
    }
    Ok(apps)
}

/// The home screen's icons, while there is room for them.
struct Icons {
    screen: Option<SpringBoardServicesClient>,
    left: usize,
}

impl Icons {
    async fn open(session: &mut Session) -> Self {
        let stream = session.service("com.apple.springboardservices", false).await;
        if let Err(err) = &stream {
            tracing::info!(%err, "no icons");
        }
        let screen = stream.ok().map(|stream| SpringBoardServicesClient::new(device(stream)));
        Icons { screen, left: ALL_ICONS }
    }

    async fn of(&mut self, bundle: &str) -> Option<Vec<u8>> {
        let screen = self.screen.as_mut().filter(|_| self.left > 0)?;
        match bounded("springboardservices", screen.get_icon_pngdata(bundle.to_owned())).await {
            Ok(icon) => self.fits(Some(icon)),
            Err(fault) => {
                // After silence an answer could come late, for another app.
                if fault.code != Code::ServiceRefused {
                    self.screen = None;
                }
                None
            }
        }
    }

    fn fits(&mut self, icon: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let icon = icon.filter(|icon| icon.len() <= ICON.min(self.left))?;
        self.left -= icon.len();
        Some(icon)
    }
}

/// What iTunes keeps on a device and a backup's Info.plist carries: name and content of each file that is there.
#[derive(Clone, Debug, Default)]
pub struct MediaFiles {
    /// In `/iTunes_Control/iTunes`.
    pub itunes: Vec<(String, Vec<u8>)>,
    /// `/Books/iBooksData2.plist`.
    pub ibooks: Option<Vec<u8>>,
}

const ITUNES_FILES: [&str; 11] = [
    "ApertureAlbumPrefs",
    "IC-Info.sidb",
    "IC-Info.sidv",
    "PhotosFolderAlbums",
    "PhotosFolderName",
    "PhotosFolderPrefs",
    "VoiceMemos.plist",
    "iPhotoAlbumPrefs",
    "iTunesApplicationIDs",
    "iTunesPrefs",
    "iTunesPrefs.plist",
];
/// A larger one is left out; real ones are a few KiB.
const MEDIA_FILE: usize = 256 << 10;

/// Reads those files; most phones have few or none of them.
pub async fn media_files(session: &mut Session) -> Result<MediaFiles, Fault> {
    let mut afc = Afc::open(session).await?;
    let mut found = MediaFiles::default();
    for name in ITUNES_FILES {
        if let Some(bytes) = afc.read(&format!("/iTunes_Control/iTunes/{name}"), MEDIA_FILE).await? {
            found.itunes.push((name.to_owned(), bytes));
        }
    }
    found.ibooks = afc.read("/Books/iBooksData2.plist", MEDIA_FILE).await?;
    Ok(found)
}

/// Bytes that are free on the device for the person's data, as AFC tells it.
pub async fn free_bytes(session: &mut Session) -> Result<Option<u64>, Fault> {
    Afc::open(session).await?.free_bytes().await
}

const RESTORE_FOLDER: &str = "/iTunesRestore";
const RESTORE_APPLICATIONS: &str = "/iTunesRestore/RestoreApplications.plist";

/// Writes `/iTunesRestore/RestoreApplications.plist`: the apps that a restored device installs anew.
pub async fn put_restore_applications(session: &mut Session, plist: &[u8]) -> Result<(), Fault> {
    let mut afc = Afc::open(session).await?;
    afc.make_folder(RESTORE_FOLDER).await?;
    afc.write(RESTORE_APPLICATIONS, plist).await
}

/// Takes it away again: left behind by a restore that failed, it would make the device install apps nobody asked for.
pub async fn remove_restore_applications(session: &mut Session) -> Result<(), Fault> {
    Afc::open(session).await?.remove(RESTORE_APPLICATIONS).await
}
