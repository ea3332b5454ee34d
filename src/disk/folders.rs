//! Where Herstel keeps things.
//!
//! The four roots follow XDG, but they are found elsewhere (`cli` asks `etcetera`, the bench and the tests
//! give a temporary folder) and come in as values. What can be fetched again lives under `cache`; what a
//! person would miss (backups) under `data`; what a job needs to go on (journals, locks) under `state`.
//! Nothing is created here: whoever writes creates, with the rights the content needs.

use etcetera::BaseStrategy;
use std::path::{Path, PathBuf};

const OURS: &str = "herstel";

/// Roots of everything on disk; each already ends in `herstel`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    pub config: PathBuf,
    pub data: PathBuf,
    pub cache: PathBuf,
    pub state: PathBuf,
}

impl Folders {
    /// From the XDG base folders that `base` names.
    pub fn of(base: &impl BaseStrategy) -> Folders {
        let data = base.data_dir().join(OURS);
        Folders {
            config: base.config_dir().join(OURS),
            cache: base.cache_dir().join(OURS),
            state: base.state_dir().map_or_else(|| data.join("state"), |s| s.join(OURS)),
            data,
        }
    }

    /// Everything under one folder: tests, the bench, a shop that keeps all on one disk.
    pub fn under(root: &Path) -> Folders {
        Folders {
            config: root.join("config"),
            data: root.join("data"),
            cache: root.join("cache"),
            state: root.join("state"),
        }
    }

    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// A person's own rows of the device table.
    pub fn device_table(&self) -> PathBuf {
        self.config.join("devices.tsv")
    }

    /// Which USB port is which station; those of a bench are kept apart, as its ports have the names of real ones.
    pub fn stations(&self, is_virtual: bool) -> PathBuf {
        self.config.join(if is_virtual { "stations-virtual.toml" } else { "stations.toml" })
    }

    /// What the button coach saw, in milliseconds: JSON lines.
    pub fn coach_log(&self) -> PathBuf {
        self.state.join("coach.jsonl")
    }

    /// Devices that were refused, since they are not the person's: JSON lines.
    pub fn refusals(&self) -> PathBuf {
        self.state.join("refused.jsonl")
    }

    /// Generations of backups, a folder per device.
    pub fn vault(&self) -> PathBuf {
        self.data.join("vault")
    }

    /// The content-addressed store of IPSWs.
    pub fn firmware(&self) -> PathBuf {
        self.cache.join("firmware")
    }

    /// Last good copies of catalogue documents.
    pub fn catalogue(&self) -> PathBuf {
        self.cache.join("catalogue")
    }

    /// Files that are gone when the command ends.
    pub fn scratch(&self) -> PathBuf {
        self.cache.join("scratch")
    }

    pub fn jobs(&self) -> PathBuf {
        self.state.join("jobs")
    }

    /// Journals of batches; their devices' own are in `jobs`.
    pub fn batches(&self) -> PathBuf {
        self.state.join("batches")
    }

    /// Tickets that Apple signed, for a resumed restore: `<ecid>-<build>-<kind>-<nonce>-<question>.plist`.
    pub fn tickets(&self) -> PathBuf {
        self.state.join("tickets")
    }

    /// The seed of the key that signs certificates, in hex.
    pub fn signing_key(&self) -> PathBuf {
        self.state.join("signing-key")
    }

    /// Lock files that belong to no other folder, e.g. one per device.
    pub fn locks(&self) -> PathBuf {
        self.state.join("locks")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_stays_under_the_given_root() {
        let root = Path::new("/somewhere");
        let folders = Folders::under(root);
        for path in [
            folders.config_file(),
            folders.device_table(),
            folders.stations(false),
            folders.stations(true),
            folders.vault(),
            folders.firmware(),
            folders.catalogue(),
            folders.scratch(),
            folders.jobs(),
            folders.batches(),
            folders.tickets(),
            folders.signing_key(),
            folders.locks(),
        ] {
            assert!(path.starts_with(root), "{}", path.display());
        }
    }
}
