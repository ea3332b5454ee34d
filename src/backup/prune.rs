//! Old generations are removed.
//!
//! What may go is [`retention`]'s word; here is what it needs to know, and the removal. A generation counts as good
//! when its parts can be read and its phone finished it. Before anything goes, the newest good one is verified, and
//! one that fails is not good after all: on the day of a prune somebody relies on exactly that one.

use super::hold::Hold;
use super::publish::objection;
use super::retention::{Keep, Standing, retention};
use super::vault::{Desk, Generation, Vault};
use super::verify::{Depth, verify};
use super::{Cancel, plists};
use crate::event::Tell;
use crate::fault::{Code, Fault};
use crate::ids::Udid;
use jiff::Timestamp;

/// What a prune would do. Oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrunePlan {
    pub goes: Vec<Standing>,
    pub stays: Vec<Standing>,
}

impl Vault {
    /// What a prune of the device's generations would remove and keep. Changes nothing.
    ///
    /// # Errors
    /// Disk faults and cancel.
    pub fn plan_prune(
        &self,
        udid: &Udid,
        keep: &Keep,
        now: Timestamp,
        tell: &dyn Tell,
        cancel: &Cancel,
    ) -> Result<PrunePlan, Fault> {
        let generations = self.generations(udid)?;
        let mut all = vec![];
        for generation in &generations {
            all.extend(standing(generation)?);
        }
        let sure = |name: &str| match generations.iter().find(|g| g.name == name) {
            Some(generation) => is_sound(generation, tell, cancel),
            None => Ok(false),
        };
        loop {
            let goes = retention(&all, now, keep);
            // Nothing goes: nothing has to be sure.
            let unsure = all.iter_mut().rev().find(|each| each.good).filter(|_| !goes.is_empty());
            match unsure {
                Some(newest) if !sure(&newest.name)? => newest.good = false,
                _ => {
                    let (goes, stays) = all.into_iter().partition(|each| goes.contains(&each.name));
                    return Ok(PrunePlan { goes, stays });
                }
            }
        }
    }
}

impl Desk {
    /// Removes generations that were planned to go, except such as somebody began to read since. The names of those
    /// that went. What a cut leaves of a removal is not seen as a generation, and the next run removes it.
    ///
    /// # Errors
    /// Disk faults, cancel between two of them; [`Code::Internal`] for the last good one.
    pub fn remove(&self, plan: &PrunePlan, cancel: &Cancel) -> Result<Vec<String>, Fault> {
        self.tidy()?;
        let mut gone = vec![];
        for each in &plan.goes {
            cancel.check()?;
            if !plan.stays.iter().any(|other| other.good && other.name > each.name) {
                return Err(Fault::new(Code::Internal, "a plan that removes the newest good backup"));
            }
            let path = self.folder.join("generations").join(&each.name);
            let Some(_alone) = Hold::alone(&path)? else { continue };
            self.discard(&path)?;
            gone.push(each.name.clone());
        }
        Ok(gone)
    }
}

/// None for a folder that is no generation any more.
fn standing(generation: &Generation) -> Result<Option<Standing>, Fault> {
    let Some(made) = generation.made() else { return Ok(None) };
    let held = Hold::alone(&generation.path)?.is_none();
    let bytes = generation.record.as_ref().map_or(0, |record| record.stored_bytes);
    Ok(Some(Standing { name: generation.name.clone(), made, good: looks_good(generation), held, bytes }))
}

fn looks_good(generation: &Generation) -> bool {
    let folder = generation.folder();
    let finished = plists::read(&folder.join("Status.plist"));
    let finished = finished.is_ok_and(|status| plists::snapshot_state(&status) == Some("finished"));
    let manifest = ["Manifest.db", "Manifest.mbdb"]
        .iter()
        .any(|name| folder.join(name).symlink_metadata().is_ok_and(|meta| meta.is_file() && meta.len() > 0));
    finished && manifest && generation.record.is_some() && plists::read(&folder.join("Manifest.plist")).is_ok()
}

fn is_sound(generation: &Generation, tell: &dyn Tell, cancel: &Cancel) -> Result<bool, Fault> {
    let record = generation.record.as_ref();
    let (failed, count) = record.map(|record| (record.failed.as_slice(), record.failed_count)).unwrap_or_default();
    match verify(&generation.folder(), Depth::Listed(&generation.digests()), tell, cancel) {
        Ok(verdict) => Ok(objection(&verdict, failed, count).is_none()),
        // What cannot be read is no good; a person's wish to stop is one.
        Err(fault) if fault.code == Code::Cancelled => Err(fault),
        Err(_) => Ok(false),
    }
}
