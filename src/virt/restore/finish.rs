//! Both endings: the phone becomes the new system, or it falls back to recovery.

use super::super::phone::{Phone, Stage};
use super::super::spec::{PasscodeSpec, TrustSpec};
use crate::ids::{BuildId, Version};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// The system that was installed, as far as anything that the host sent names it.
#[derive(Clone, Debug, Default)]
pub(super) struct Installed {
    pub version: Option<Version>,
    pub build: Option<BuildId>,
}

/// Becomes the new system and boots it.
pub(super) fn to_new_system(phone: &Arc<Phone>, system: &Installed, erase: bool) {
    let stash = phone.state().stash.take();
    let has_passcode = phone.state().passcode != PasscodeSpec::None;
    if !erase && has_passcode {
        let what = if stash.as_ref().is_some_and(|s| s.committed) { "stashbag.opened" } else { "stashbag.missing" };
        phone.remember(what, json!({}));
    }
    {
        let mut state = phone.state();
        if let Some(version) = &system.version {
            state.version = version.clone();
        }
        if let Some(build) = &system.build {
            state.build = build.clone();
        }
        // Pairing does not outlive a restore: the phone has a new identity.
        state.trust = TrustSpec::Untrusted;
        state.nvram.insert("auto-boot".into(), "true".into());
        state.nvram.remove("restored-exit-status");
        state.nvram.remove("boot-args");
        if erase {
            state.forget(phone.first_name());
        } else if has_passcode {
            // With a stashbag the new system opens the data by itself and shows the lock screen of a phone that was
            // unlocked before; without one it asks the passcode first. From memory of such phones, not recorded.
            let opened = stash.is_some_and(|stash| stash.committed);
            state.passcode = if opened { PasscodeSpec::Locked } else { PasscodeSpec::BeforeFirstUnlock };
        }
    }
    if erase {
        phone.files.erase();
        phone.remember("files.erased", json!({}));
    }
    let (version, build) =
        (system.version.as_ref().map(Version::to_string), system.build.as_ref().map(BuildId::to_string));
    phone.remember("restore.finished", json!({ "version": version, "build": build, "erase": erase }));
    phone.reenumerate(Stage::Normal, Duration::from_secs(10));
}

/// Leaves what a failed run leaves, and reboots into iBoot.
pub(super) fn to_recovery(phone: &Arc<Phone>) {
    {
        let mut state = phone.state();
        state.nvram.insert("auto-boot".into(), "false".into());
        state.nvram.insert("restored-exit-status".into(), "0x100".into());
        state.nvram.insert("restore-outcome".into(), "initial_engine_no_return".into());
    }
    phone.reenumerate(Stage::Recovery, Duration::from_secs(5));
}

/// A reboot on request: where auto-boot says.
pub(super) fn reboot(phone: &Arc<Phone>) {
    let automatic = phone.state().nvram.get("auto-boot").is_none_or(|v| v != "false");
    phone.reenumerate(if automatic { Stage::Normal } else { Stage::Recovery }, Duration::from_secs(5));
}
