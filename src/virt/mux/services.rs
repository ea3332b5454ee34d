//! What StartService can start.

use super::{activation, apps, diagnostics, notices, preboard, profiles};
use crate::virt::backup;
use crate::virt::phone::Phone;
use crate::virt::stream::BoxStream;
use crate::wire::preboard::SERVICE;
use std::sync::Arc;

/// Serves one connection until either side leaves.
pub(super) type Serve = fn(Arc<Phone>, BoxStream);

const INSECURE_NOTIFICATIONS: &str = "com.apple.mobile.insecure_notification_proxy";

pub(super) fn service(name: &str) -> Option<Serve> {
    Some(match name {
        "com.apple.mobilebackup2" => backup::serve_mobilebackup2,
        "com.apple.afc" => backup::serve_afc,
        "com.apple.crashreportcopymobile" => backup::serve_crash_reports,
        "com.apple.crashreportmover" => move_crash_reports,
        "com.apple.mobile.notification_proxy" | INSECURE_NOTIFICATIONS => notices::serve,
        "com.apple.mobile.installation_proxy" => apps::serve_installation,
        "com.apple.springboardservices" => apps::serve_springboard,
        "com.apple.mobile.diagnostics_relay" => diagnostics::serve,
        "com.apple.mobile.MCInstall" => profiles::serve,
        "com.apple.mobileactivationd" => activation::serve,
        SERVICE => preboard::serve,
        _ => return None,
    })
}

/// Started without a session and spoken to without TLS: usbmuxd waits on it for the trust dialog.
pub(super) fn is_insecure(name: &str) -> bool {
    name == INSECURE_NOTIFICATIONS
}

/// Reads what is protected while the screen is locked, unless an escrow bag opens it.
pub(super) fn needs_unlock(name: &str) -> bool {
    matches!(name, "com.apple.mobilebackup2" | "com.apple.afc")
}

/// All reports are in their folder already.
fn move_crash_reports(_: Arc<Phone>, mut stream: BoxStream) {
    let told = stream.write_all(b"ping\0").and_then(|()| stream.flush());
    if told.is_ok() {
        stay_silent(stream);
    }
}

/// Takes all and says nothing, until the host gives up.
pub(super) fn stay_silent(mut stream: BoxStream) {
    let mut buffer = [0; 4096];
    while let Ok(1..) = stream.read(&mut buffer) {}
}
