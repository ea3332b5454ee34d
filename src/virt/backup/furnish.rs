//! How a virtual phone is furnished: a fresh system, and a person's data on it.
//!
//! Domain names, owners and the rule which domains carry digests are those seen in manifests of real
//! phones; the files themselves are invented. `photos` x `photo_bytes` are camera pictures, `small_files`
//! belong to an app, and around them stand one or more files in each kind of domain, an empty file, a
//! link and empty directories, because each of them has broken some backup tool.

use super::files::{CRASHES, PhoneFiles, UNSAVED_MEDIA};
use crate::virt::spec::PhoneSpec;
use sha1::{Digest, Sha1};

/// Apps that hold data; the bench's installation_proxy lists them too.
pub const APPS: [&str; 3] = ["org.example.notes", "org.example.maps", "org.example.photobook"];

/// What a fresh system has: domain, path, size.
const SYSTEM: [(&str, &str, u64); 6] = [
    ("HomeDomain", "Library/Preferences/com.apple.springboard.plist", 2_310),
    ("HomeDomain", "Library/Preferences/.GlobalPreferences.plist", 1_204),
    ("RootDomain", "Library/Caches/locationd/clients.plist", 6_871),
    ("SystemPreferencesDomain", "SystemConfiguration/preferences.plist", 3_544),
    ("WirelessDomain", "Library/Preferences/com.apple.commcenter.plist", 4_018),
    ("KeychainDomain", "TrustStore.sqlite3", 16_384),
];

/// What belongs to any person: domain, path, size.
const PERSON: [(&str, &str, u64); 17] = [
    ("HomeDomain", "Library/SMS/sms.db", 1_482_752),
    ("HomeDomain", "Library/SMS/Attachments/3f/15/IMG_2203.JPG", 388_110),
    ("HomeDomain", "Library/AddressBook/AddressBook.sqlitedb", 430_080),
    ("HomeDomain", "Library/CallHistoryDB/CallHistory.storedata", 118_784),
    ("HomeDomain", "Library/Notes/notes.sqlite", 262_144),
    ("HomeDomain", "Library/Calendar/Calendar.sqlitedb", 249_856),
    ("HomeDomain", "Library/Safari/Bookmarks.db", 98_304),
    ("HomeDomain", "Library/SpringBoard/IconState.plist", 5_122),
    ("HomeDomain", "Library/Mail/Envelope Index empty", 0),
    ("WirelessDomain", "Library/Databases/CellularUsage.db", 45_056),
    ("KeyboardDomain", "Library/Keyboard/nl-dynamic.lm/dynamic-lexicon.dat", 65_537),
    ("MediaDomain", "Media/Recordings/20250301 101502.m4a", 802_113),
    ("MediaDomain", "Media/Recordings/AssetManifest.plist", 181),
    ("HomeKitDomain", "Library/homed/datastore.sqlite", 32_768),
    ("AppDomain-org.example.maps", "Documents/Kaart \u{e9}\u{e9}n.gpx", 23_456),
    ("AppDomainGroup-group.org.example.photobook", "Library/Preferences/group.plist", 413),
    ("SysSharedContainerDomain-systemgroup.com.apple.bluetooth", "Library/Database/ledevices.db", 16_384),
];

/// What only an encrypted backup carries: domain, path, size.
const SECRET: [(&str, &str, u64); 2] =
    [("KeychainDomain", "keychain-backup.plist", 31_204), ("HealthDomain", "Health/healthdb_secure.sqlite", 524_289)];

/// Is this left out of backups that are not encrypted?
pub(super) fn is_secret(domain: &str, path: &str) -> bool {
    domain == "HealthDomain" || SECRET.iter().any(|(d, p, _)| *d == domain && *p == path)
}

/// Domains whose files carry a digest in the manifest; it is all or nothing per domain.
const WITH_DIGEST: [&str; 11] = [
    "HomeDomain",
    "RootDomain",
    "SystemPreferencesDomain",
    "ManagedPreferencesDomain",
    "DatabaseDomain",
    "KeyboardDomain",
    "WirelessDomain",
    "HealthDomain",
    "HomeKitDomain",
    "InstallDomain",
    "KeychainDomain",
];

pub(super) fn carries_digest(domain: &str) -> bool {
    WITH_DIGEST.contains(&domain)
}

/// Restored only when the host asks for system files.
pub(super) fn is_system_domain(domain: &str) -> bool {
    const SYSTEM_DOMAINS: [&str; 8] = [
        "RootDomain",
        "SystemPreferencesDomain",
        "ManagedPreferencesDomain",
        "WirelessDomain",
        "KeychainDomain",
        "DatabaseDomain",
        "InstallDomain",
        "MobileDeviceDomain",
    ];
    SYSTEM_DOMAINS.contains(&domain) || domain.starts_with("SysContainer") || domain.starts_with("SysSharedContainer")
}

/// Files that every fresh system has and that are nobody's data.
pub(super) fn is_systems(domain: &str, path: &str) -> bool {
    SYSTEM.iter().any(|(d, p, _)| *d == domain && *p == path)
}

/// User and group, as real manifests have them.
pub(super) fn owner(domain: &str) -> (i64, i64) {
    match domain {
        "RootDomain" | "SystemPreferencesDomain" | "DatabaseDomain" | "MobileDeviceDomain" => (0, 0),
        "WirelessDomain" => (25, 25),
        "KeychainDomain" => (64, 0),
        _ if domain.starts_with("SysSharedContainerDomain") => (-2, -2),
        _ => (501, 501),
    }
}

/// The name of a file's payload in a backup: SHA-1 of `domain-path`.
pub fn file_id(domain: &str, path: &str) -> [u8; 20] {
    let mut sha1 = Sha1::new();
    sha1.update(domain.as_bytes());
    sha1.update(b"-");
    sha1.update(path.as_bytes());
    sha1.finalize().into()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

pub(super) fn fresh_system(files: &PhoneFiles) {
    for (domain, path, size) in SYSTEM {
        files.put_made(domain, path, size);
    }
    for (domain, path) in [
        ("CameraRollDomain", "Media/DCIM"),
        ("CameraRollDomain", "Media/PhotoData"),
        ("MediaDomain", "Media/Recordings"),
        ("TonesDomain", ""),
        ("MobileDeviceDomain", "ProvisioningProfiles"),
        ("DatabaseDomain", ""),
        (CRASHES, ""),
        (UNSAVED_MEDIA, "Airlock"),
        (UNSAVED_MEDIA, "Books"),
        (UNSAVED_MEDIA, "Downloads"),
        (UNSAVED_MEDIA, "iTunes_Control/iTunes"),
    ] {
        files.make_directory(domain, path);
    }
}

pub(super) fn person(files: &PhoneFiles, spec: &PhoneSpec) {
    for name in &spec.crash_reports {
        files.put_made(CRASHES, name, 4_096);
    }
    for (domain, path, size) in PERSON.into_iter().chain(SECRET) {
        files.put_made(domain, path, size);
    }
    for app in APPS {
        let domain = format!("AppDomain-{app}");
        files.put_made(&domain, &format!("Library/Preferences/{app}.plist"), 377);
        files.make_directory(&domain, "Documents");
        files.make_directory(&format!("AppDomainPlugin-{app}.widget"), "");
    }
    let target =
        "/var/mobile/Containers/Data/Application/2D4D1445-0000-4000-8000-941C77FBE73B/Library/WebKit/IndexedDB";
    files.put_link("AppDomain-org.example.notes", "Library/WebKit/IndexedDB/v0", target);
    for number in 1..=spec.photos {
        let folder = 100 + (number - 1) / 999;
        let path = format!("Media/DCIM/{folder}APPLE/IMG_{:04}.JPG", (number - 1) % 9999 + 1);
        files.put_made("CameraRollDomain", &path, spec.photo_bytes);
    }
    for number in 0..spec.small_files {
        let path = format!("Documents/pages/{:03}/page-{number:06}.note", number / 1000);
        files.put_made("AppDomain-org.example.notes", &path, 4096);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_ids_are_those_of_real_manifests() {
        assert_eq!(
            hex(&file_id("AppDomain-ch.icoaching.typewise", "Library/Cookies/Cookies.binarycookies")),
            "14cba36499f91a10ab77753fc7c5b36ce587320e"
        );
        assert_eq!(hex(&file_id("KeychainDomain", "")), "99ca4cf9b3ab77ae82d8c06cc1441806565308fd");
    }
}
