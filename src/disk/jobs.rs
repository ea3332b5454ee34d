//! The folder of jobs: `jobs/<uuid v7>/journal.jsonl`.
//!
//! Version 7 identifiers sort by time, so the newest job is the greatest name and nothing has to be opened
//! to list them. A folder holds the journal and whatever else the job wants to keep beside it (a report,
//! a device's log). What is not named like a job is not ours and is passed over.

use super::atomic::{create_private_folder, sync_folder};
use super::journal::Journal;
use crate::fault::{Code, Fault};
use serde::de::{DeserializeOwned, IgnoredAny};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use uuid::Uuid;

/// A UUID of version 7.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct JobId(Uuid);

impl JobId {
    /// A name that nobody else has.
    pub fn fresh() -> JobId {
        JobId(Uuid::now_v7())
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for JobId {
    type Err = Fault;
    fn from_str(text: &str) -> Result<JobId, Fault> {
        let id = Uuid::try_parse(text).ok().filter(|id| id.get_version_num() == 7);
        id.map(JobId).ok_or_else(|| Fault::new(Code::NoJob, format!("{text:?} is not the name of a job")))
    }
}

/// One job's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFolder {
    pub id: JobId,
    pub path: PathBuf,
}

impl JobFolder {
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal.jsonl")
    }

    /// See [`Journal::open`].
    pub fn open<T: DeserializeOwned>(&self) -> Result<(Journal, Vec<T>), Fault> {
        Journal::open(&self.journal())
    }
}

/// All jobs of this machine.
#[derive(Clone, Debug)]
pub struct Jobs {
    root: PathBuf,
}

impl Jobs {
    pub fn new(root: &Path) -> Jobs {
        Jobs { root: root.to_owned() }
    }

    /// Where a job of this name is, or would be.
    pub fn folder(&self, id: JobId) -> JobFolder {
        JobFolder { id, path: self.root.join(id.to_string()) }
    }

    /// A new job with an empty journal.
    pub fn create(&self) -> Result<(JobFolder, Journal), Fault> {
        self.create_as(JobId::fresh())
    }

    /// The same under a name that was written down before. Whoever did so may have died on the way here: a folder, and
    /// a journal without a whole line in it, are taken over.
    pub fn create_as(&self, id: JobId) -> Result<(JobFolder, Journal), Fault> {
        let folder = self.folder(id);
        create_private_folder(&folder.path)?;
        let path = folder.journal();
        let journal = if path.is_file() {
            let (journal, begun) = Journal::open::<IgnoredAny>(&path)?;
            if !begun.is_empty() {
                return Err(Fault::new(Code::NoJob, format!("job {id} was begun already")));
            }
            journal
        } else {
            Journal::create(&path)?
        };
        sync_folder(&self.root)?;
        Ok((folder, journal))
    }

    /// Newest first. No folder yet means no jobs.
    pub fn list(&self) -> Result<Vec<JobFolder>, Fault> {
        let entries = match fs_err::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Fault::disk(&e)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| Fault::disk(&e))?;
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let folder = JobFolder { id, path: entry.path() };
            if folder.journal().is_file() {
                found.push(folder);
            }
        }
        found.sort_by_key(|job| std::cmp::Reverse(job.id));
        Ok(found)
    }

    /// By its whole name or a beginning that only one job has; [`Code::NoJob`] otherwise.
    pub fn find(&self, name: &str) -> Result<JobFolder, Fault> {
        let wanted = name.to_ascii_lowercase();
        let mut fits: Vec<JobFolder> = self
            .list()?
            .into_iter()
            .filter(|job| !wanted.is_empty() && job.id.to_string().starts_with(&wanted))
            .collect();
        match (fits.pop(), fits.len()) {
            (Some(job), 0) => Ok(job),
            (Some(_), more) => Err(Fault::new(Code::NoJob, format!("{} jobs begin with {name:?}", more + 1))),
            (None, _) => Err(Fault::new(Code::NoJob, format!("no job begins with {name:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_listed_newest_first_and_strangers_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let jobs = Jobs::new(&dir.path().join("jobs"));
        assert!(jobs.list().unwrap().is_empty());
        let (first, mut journal) = jobs.create().unwrap();
        let (second, _) = jobs.create().unwrap();
        std::fs::create_dir(dir.path().join("jobs/lost+found")).unwrap();
        std::fs::create_dir(dir.path().join("jobs/01900000-0000-7000-8000-000000000000")).unwrap();
        let listed: Vec<JobId> = jobs.list().unwrap().iter().map(|j| j.id).collect();
        assert_eq!(listed, [second.id, first.id]);

        journal.append(&"begun", true).unwrap();
        drop(journal);
        assert_eq!(jobs.find(&first.id.to_string()).unwrap().open::<String>().unwrap().1, ["begun"]);
        for bad in ["", "0", "../..", "ffffffff"] {
            assert_eq!(jobs.find(bad).unwrap_err().code, Code::NoJob, "{bad:?}");
        }
    }

    #[test]
    fn a_name_that_was_written_down_is_taken_over_unless_something_was_begun() {
        let dir = tempfile::tempdir().unwrap();
        let jobs = Jobs::new(dir.path());
        let (unmade, unwritten, torn, begun) = (JobId::fresh(), JobId::fresh(), JobId::fresh(), JobId::fresh());
        for id in [unwritten, torn, begun] {
            std::fs::create_dir(jobs.folder(id).path).unwrap();
        }
        std::fs::write(jobs.folder(torn).journal(), "\"beg").unwrap();
        std::fs::write(jobs.folder(begun).journal(), "\"begun\"\n").unwrap();
        for id in [unmade, unwritten, torn] {
            let (folder, mut journal) = jobs.create_as(id).unwrap();
            journal.append(&"mine", true).unwrap();
            drop(journal);
            assert_eq!(folder.open::<String>().unwrap().1, ["mine"]);
        }
        assert_eq!(jobs.create_as(begun).unwrap_err().code, Code::NoJob);
        assert_eq!(jobs.list().unwrap().len(), 4);
    }
}
