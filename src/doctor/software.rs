//! What the package manager knows of libimobiledevice and usbmuxd.
//!
//! Herstel speaks to phones by itself; the distribution's library matters to other tools only.

use super::Diagnosis;
use super::host::Host;
use crate::disk::root::{Root, Seen, clean};
use crate::event::{Cause, Exam, Verdict};

/// dpkg's list of a large machine has some ten megabytes.
const LIST: u64 = 32 << 20;
/// The first release that goes along with iOS 17 and later.
const ENOUGH: (u32, u32) = (1, 4);
const NAMES: [&str; 6] = [
    "usbmuxd",
    "libimobiledevice6",
    "libimobiledevice-1.0-6",
    "libimobiledevice",
    "libimobiledevice-utils",
    "libimobiledevice-1_0-6",
];

#[derive(Clone, Debug, Default)]
pub(super) struct Packages {
    /// Name, version, and the list that it stands in.
    pub found: Vec<(String, String, String)>,
    pub refused: Option<String>,
    /// `libimobiledevice-1.0.so.6` and its like.
    pub library: Option<String>,
}

impl Packages {
    pub fn read(root: &Root) -> Packages {
        let mut out = Packages::default();
        const DPKG: &str = "var/lib/dpkg/status";
        match root.text_of(DPKG, LIST) {
            Seen::Is(text) => out.dpkg(&text, DPKG),
            Seen::Absent => {}
            Seen::Refused(why) => out.refused = Some(format!("/{DPKG}: {why}")),
        }
        // pacman: a folder for each, `name-version-release`.
        const PACMAN: &str = "var/lib/pacman/local";
        for folder in root.list(PACMAN) {
            let mut parts = folder.rsplitn(3, '-');
            let (Some(_release), Some(version), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
                continue;
            };
            if NAMES.contains(&name) {
                out.found.push((name.to_owned(), clean(version), format!("/{PACMAN}/{folder}")));
            }
        }
        let folders =
            ["usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib64", "usr/lib", "usr/local/lib"];
        out.library = folders.iter().find_map(|folder| {
            let name =
                root.list(folder).into_iter().find(|n| n.starts_with("libimobiledevice") && n.contains(".so."))?;
            Some(format!("/{folder}/{}", clean(&name)))
        });
        out
    }

    fn dpkg(&mut self, text: &str, from: &str) {
        let mut name = None;
        let mut installed = true;
        for line in text.lines() {
            if let Some(package) = line.strip_prefix("Package: ") {
                name = NAMES.contains(&package).then(|| package.to_owned());
                installed = true;
            } else if let (Some(status), Some(_)) = (line.strip_prefix("Status: "), &name) {
                installed = status.ends_with(" installed");
            } else if let Some(version) = line.strip_prefix("Version: ")
                && let Some(name) = name.take()
                && installed
            {
                self.found.push((name, clean(version), format!("/{from}")));
            }
        }
    }

    pub fn version_of(&self, name: &str) -> Option<&str> {
        self.found.iter().find(|(n, ..)| n == name).map(|(_, version, _)| version.as_str())
    }
}

/// `1:1.3.0-6+b3` is 1.3.
fn release(version: &str) -> Option<(u32, u32)> {
    let version = version.split_once(':').map_or(version, |(_, v)| v);
    let mut parts = version.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

pub(super) fn library(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::Libimobiledevice);
    let packages = &host.packages;
    for (name, version, place) in packages.found.iter().filter(|(name, ..)| name != "usbmuxd") {
        out.see(place, format!("{name} {version}"));
        match release(version) {
            Some(release) if release < ENOUGH => out.found(Verdict::Warning, Cause::OldLibrary),
            Some(_) => {}
            None => out.found(Verdict::Unknown, Cause::Unreadable),
        }
    }
    if !out.evidence.is_empty() {
        return out;
    }
    if let Some(why) = &packages.refused {
        out.see("packages", why);
        return out.with(Verdict::Unknown, Cause::Unreadable);
    }
    match &packages.library {
        // Its file name does not tell the release.
        Some(library) => out.seen(library, "its release is not known").with(Verdict::Unknown, Cause::Unreadable),
        None => out.seen("libimobiledevice", "not installed; Herstel does not need it").absent(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_as_packagers_write_them() {
        assert_eq!(release("1.3.0-6+b3"), Some((1, 3)));
        assert_eq!(release("2:1.4.0"), Some((1, 4)));
        assert_eq!(release("git20240101"), None);
        assert_eq!(release(""), None);
    }

    #[test]
    fn a_package_that_was_removed_does_not_count() {
        let mut packages = Packages::default();
        let text = "Package: libimobiledevice6\nStatus: deinstall ok config-files\nVersion: 1.2.0-1\n\n\
                    Package: usbmuxd\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.1.1-2\n\n\
                    Package: other\nVersion: 9\n";
        packages.dpkg(text, "x");
        assert_eq!(packages.found, [("usbmuxd".to_owned(), "1.1.1-2".to_owned(), "/x".to_owned())]);
    }
}
