//! What can be wrong with a backup: one value per kind of damage, told in JSON by its tag and to people in words.

use crate::say::{Found, FoundKind};
use serde::{Deserialize, Serialize};

/// How many findings are kept; more are counted.
pub(super) const MAX_FINDINGS: usize = 10_000;

/// One thing that is not as it should be. Paths are clipped to 200 characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum Finding {
    /// Status.plist, Manifest.plist, Info.plist or Manifest.db is not there.
    FileAbsent {
        file: String,
    },
    PlistDamaged {
        file: String,
        why: String,
    },
    /// The phone did not finish; `state` as Status.plist says it.
    NotFinished {
        state: String,
    },
    ManifestDamaged {
        why: String,
    },
    /// A row whose payload name is none.
    BadFileId {
        file_id: String,
    },
    /// A row whose archived record does not tell a size.
    RecordUnreadable {
        file_id: String,
        domain: String,
        path: String,
    },
    PayloadAbsent {
        file_id: String,
        domain: String,
        path: String,
    },
    /// A folder, a link or a pipe stands in the payload's place.
    NotAFile {
        file_id: String,
        domain: String,
        path: String,
    },
    /// Not as large as the manifest says, nor as it was when it was received.
    PayloadSize {
        file_id: String,
        domain: String,
        path: String,
        expected: u64,
        found: u64,
    },
    /// The keybag of an encrypted backup does not parse, or holds keys that do not open.
    KeybagDamaged {
        why: String,
    },
    /// With the password: the file's key does not open, or its end does not decrypt with it.
    Undecryptable {
        file_id: String,
        domain: String,
        path: String,
    },
    /// Not as large as the manifest says, and yet as the device sent it: it changed while it was read. Databases in
    /// use are often so.
    SizeDiffers {
        file_id: String,
        domain: String,
        path: String,
        expected: u64,
        found: u64,
    },
    /// A file of the digest list is not there any more. `file` is its place in the backup, domain and path are what
    /// the device calls it, where the manifest says that.
    Lost {
        file: String,
        domain: Option<String>,
        path: Option<String>,
    },
    /// The content is not what was received.
    Altered {
        file: String,
        domain: Option<String>,
        path: Option<String>,
    },
    /// So many files of the device are there that the digest list does not name.
    Unlisted {
        files: u64,
    },
    /// The digest list itself cannot be read.
    DigestsDamaged {
        why: String,
    },
    /// Encrypted with its manifest: what belongs to it cannot be said without the password.
    Sealed,
    /// Made before iOS 10: its manifest has another format, which is not read.
    OldManifest,
    /// The phone's `Snapshot` folder is still there.
    SnapshotLeft,
    /// There is no list of digests to compare with.
    NoDigests,
}

impl Finding {
    /// Is the backup damaged by it? Else it is a remark.
    pub fn is_damage(&self) -> bool {
        match self {
            Finding::Sealed | Finding::OldManifest | Finding::SnapshotLeft | Finding::NoDigests => false,
            Finding::SizeDiffers { .. } => false,
            Finding::FileAbsent { file } => file != "Info.plist",
            _ => true,
        }
    }

    /// Its word in JSON, e.g. `payload-absent`.
    pub fn tag(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        value.get("finding").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    }

    /// For people: see [`crate::say::found`].
    pub fn words(&self) -> Found {
        use FoundKind as K;
        let plain = |kind, what: &str| Found { kind, what: what.to_owned(), why: String::new(), expected: 0, found: 0 };
        let because = |kind, what: &str, why: &str| Found { why: why.to_owned(), ..plain(kind, what) };
        let of = |kind, domain: &str, path: &str| plain(kind, &format!("{domain}/{path}"));
        let named = |kind, file: &str, domain: &Option<String>, path: &Option<String>| match (domain, path) {
            (Some(domain), Some(path)) => of(kind, domain, path),
            _ => plain(kind, file),
        };
        match self {
            Finding::FileAbsent { file } => plain(K::FileAbsent, file),
            Finding::PlistDamaged { file, why } => because(K::PlistDamaged, file, why),
            Finding::NotFinished { state } => plain(K::NotFinished, state),
            Finding::ManifestDamaged { why } => because(K::ManifestDamaged, "Manifest.db", why),
            Finding::BadFileId { file_id } => plain(K::BadFileId, file_id),
            Finding::RecordUnreadable { domain, path, .. } => of(K::RecordUnreadable, domain, path),
            Finding::PayloadAbsent { domain, path, .. } => of(K::PayloadAbsent, domain, path),
            Finding::NotAFile { domain, path, .. } => of(K::NotAFile, domain, path),
            Finding::PayloadSize { domain, path, expected, found, .. } => {
                Found { expected: *expected, found: *found, ..of(K::PayloadSize, domain, path) }
            }
            Finding::KeybagDamaged { why } => because(K::KeybagDamaged, "Manifest.plist", why),
            Finding::Undecryptable { domain, path, .. } => of(K::Undecryptable, domain, path),
            Finding::SizeDiffers { domain, path, expected, found, .. } => {
                Found { expected: *expected, found: *found, ..of(K::SizeDiffers, domain, path) }
            }
            Finding::Lost { file, domain, path } => named(K::Lost, file, domain, path),
            Finding::Altered { file, domain, path } => named(K::Altered, file, domain, path),
            Finding::Unlisted { files } => Found { found: *files, ..plain(K::Unlisted, "") },
            Finding::DigestsDamaged { why } => because(K::DigestsDamaged, "digests.tsv", why),
            Finding::Sealed => plain(K::Sealed, "Manifest.db"),
            Finding::OldManifest => plain(K::OldManifest, "Manifest.mbdb"),
            Finding::SnapshotLeft => plain(K::SnapshotLeft, "Snapshot"),
            Finding::NoDigests => plain(K::NoDigests, "digests.tsv"),
        }
    }
}

pub(super) fn clip(text: &str) -> String {
    text.chars().take(200).collect()
}

/// The outcome.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Verdict {
    pub findings: Vec<Finding>,
    /// Findings beyond the ten thousand that are kept.
    pub more: u64,
    /// Payloads that were looked at.
    pub files: u64,
    /// Their bytes on disk.
    pub bytes: u64,
    pub encrypted: bool,
    /// Files whose content was compared.
    pub compared: u64,
}

impl Verdict {
    pub fn damage(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.is_damage())
    }

    /// Nothing is damaged. What is beyond the findings that are kept may be.
    pub fn is_sound(&self) -> bool {
        self.more == 0 && self.damage().next().is_none()
    }

    pub(super) fn add(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }

    /// The payload of finding number `at` had `size` bytes when it was received. Is that what it has?
    pub(super) fn as_received(&mut self, at: usize, size: u64) {
        let Some(finding) = self.findings.get_mut(at) else { return };
        if let Finding::PayloadSize { file_id, domain, path, expected, found } = finding
            && *found == size
        {
            let text = std::mem::take;
            let (file_id, domain, path) = (text(file_id), text(domain), text(path));
            *finding = Finding::SizeDiffers { file_id, domain, path, expected: *expected, found: size };
        }
    }
}
