//! What a backup holds, by kinds of domains: the numbers of a summary.
//!
//! A domain is a phone's word. Those of apps carry the bundle identifier after a dash, and there are hundreds of
//! them; the part before the dash is the kind, e.g. `AppDomain`, `AppDomainGroup`, `CameraRollDomain`. Kinds beyond a
//! cap are counted together, so that a hostile manifest does not fill the memory.

use super::browse::{Filter, RowKind, browse};
use super::plists;
use super::vault::Generation;
use crate::fault::Fault;
use plist::Value;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

const MAX_KINDS: usize = 256;
const OTHERS: &str = "others";

/// The files of one kind of domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kind {
    pub kind: String,
    pub files: u64,
    /// Of their contents, where the manifest says it.
    pub bytes: u64,
}

/// What a generation holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// The largest first.
    pub kinds: Vec<Kind>,
    pub folders: u64,
    pub links: u64,
}

impl Tally {
    /// Counts the rows of an unencrypted backup.
    ///
    /// # Errors
    /// As [`browse`]: [`crate::fault::Code::BackupPassword`] for an encrypted one.
    pub fn of(generation: &Generation) -> Result<Self, Fault> {
        let mut tally = Tally::default();
        let mut kinds: BTreeMap<String, Kind> = BTreeMap::new();
        browse(&generation.folder(), &Filter::default(), |row| {
            match row.kind {
                RowKind::File => {
                    let name = row.domain.split('-').next().unwrap_or_default();
                    let name = if kinds.len() < MAX_KINDS || kinds.contains_key(name) { name } else { OTHERS };
                    let kind = kinds.entry(name.to_owned()).or_default();
                    kind.files += 1;
                    kind.bytes = kind.bytes.saturating_add(row.size.unwrap_or(0));
                }
                RowKind::Folder => tally.folders += 1,
                RowKind::Link => tally.links += 1,
            }
            ControlFlow::Continue(())
        })?;
        tally.kinds = kinds.into_iter().map(|(kind, sums)| Kind { kind, ..sums }).collect();
        tally.kinds.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.kind.cmp(&b.kind)));
        Ok(tally)
    }
}

impl Generation {
    /// Bundle identifiers of the apps that the device had, as Info.plist names them, or else Manifest.plist. Sorted.
    pub fn apps(&self) -> Vec<String> {
        let info = plists::read(&self.folder().join("Info.plist")).unwrap_or_default();
        let listed = info.get("Installed Applications").and_then(Value::as_array);
        let mut apps: Vec<String> = match listed {
            Some(listed) => listed.iter().filter_map(Value::as_string).map(str::to_owned).collect(),
            None => {
                let manifest = plists::read(&self.folder().join("Manifest.plist")).unwrap_or_default();
                let apps = manifest.get("Applications").and_then(Value::as_dictionary).cloned().unwrap_or_default();
                apps.into_iter().map(|(bundle, _)| bundle).collect()
            }
        };
        apps.sort_unstable();
        apps
    }
}
