//! The journal of a batch, and what it adds up to.
//!
//! Each job writes its own journal as always; this one says which rows there are, which job is whose, how each try
//! ended and which rows are over. After a SIGKILL or a power cut `recall` makes the rows of the queue again from the two
//! kinds of journals and nothing else: a try whose job ended well while nobody wrote that down here is done, one that
//! failed there is a miss here, one that was cut is begun again, by its job, from where its own journal stands.

use super::file::{BatchFile, Pin, Task};
use super::policy::Miss;
use super::queue::Row;
use crate::event::Outcome;
use crate::event::batch::Phase;
use crate::fault::{Code, Fault};
use crate::ids::{Ecid, Udid};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a person agreed to, for the whole of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    /// These may be erased.
    pub devices: Vec<Ecid>,
    /// So may these, whose ECID was not known then.
    pub udids: Vec<Udid>,
    /// Whatever is at these may be erased.
    pub stations: Vec<u32>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Record {
    Batch {
        /// Version of the tool.
        tool: String,
        /// The file's name; its contents follow, so that nobody needs it again.
        name: String,
        file: Box<BatchFile>,
        agreed: Agreed,
        watch: bool,
        #[serde(rename = "virtual")]
        is_virtual: bool,
    },
    /// A row that came by watching.
    Row {
        row: u32,
        ecid: Ecid,
        station: Option<u32>,
    },
    /// Of a station or UDID: this device and no other from now on.
    Bound {
        row: u32,
        ecid: Ecid,
    },
    Began {
        row: u32,
        ecid: Ecid,
        tries: u32,
    },
    /// This job works for the row, or is about to.
    Job {
        row: u32,
        job: String,
    },
    Missed {
        row: u32,
        miss: Miss,
        fault: Fault,
    },
    Ended {
        row: u32,
        phase: Phase,
    },
    /// A person wants this row tried again, though it had failed.
    Again {
        row: u32,
    },
    Resumed,
    Over {
        outcome: Outcome,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    pub at: Timestamp,
    #[serde(flatten)]
    pub record: Record,
}

impl Entry {
    pub fn now(record: Record) -> Entry {
        Entry { at: Timestamp::now(), record }
    }
}

/// How the journal of a job ends.
#[derive(Clone, Debug)]
pub enum JobEnd {
    Over(Outcome),
    Failed(Fault),
    /// Cut, or cancelled.
    Open,
}

/// A row as the journals tell it.
#[derive(Clone, Debug)]
pub struct Recalled {
    pub pin: Pin,
    pub task: Task,
    pub ecid: Option<Ecid>,
    pub station: Option<u32>,
    pub tries: u32,
    pub misses: Vec<Miss>,
    pub last: Option<Fault>,
    pub job: Option<String>,
    pub phase: Phase,
    /// Its last try failed, and nothing was decided since.
    pub owes: bool,
    /// Its job came to an end and nobody was there to say so.
    pub unsaid: bool,
}

impl Recalled {
    fn new(pin: Pin, task: Task) -> Recalled {
        Recalled {
            pin,
            task,
            ecid: None,
            station: None,
            tries: 0,
            misses: Vec::new(),
            last: None,
            job: None,
            phase: Phase::Queued,
            owes: false,
            unsaid: false,
        }
    }

    /// As if nothing was tried; its job goes on from where it stands.
    pub fn again(&mut self) {
        (self.phase, self.tries, self.owes) = (Phase::Queued, 0, false);
        self.misses.clear();
    }

    pub fn agreed_station(&self) -> Option<u32> {
        match self.pin {
            Pin::Station(station) => Some(station),
            _ => self.station,
        }
    }

    pub fn row(&self) -> Row {
        let mut row =
            Row::recalled(self.pin.clone(), self.ecid, self.tries, self.misses.clone(), self.phase, self.owes);
        row.station = self.station.or(row.station);
        row
    }
}

#[derive(Clone, Debug)]
pub struct Story {
    pub name: String,
    pub file: BatchFile,
    pub agreed: Agreed,
    pub watch: bool,
    pub rows: Vec<Recalled>,
    pub over: Option<Outcome>,
}

impl Story {
    /// Nothing is left to do or to say.
    pub fn is_over(&self) -> bool {
        self.rows.iter().all(|row| row.phase.is_end() && !row.unsaid)
    }
}

/// The rows of a file, before anything happened.
pub fn fresh(file: &BatchFile) -> Vec<Recalled> {
    file.rows.iter().map(|asked| Recalled::new(asked.pin.clone(), asked.task.clone())).collect()
}

/// `end` tells how a job ended that a try worked on since then.
///
/// # Errors
/// `journal-damaged` when it does not begin with a batch, or speaks of a row that is not there.
pub fn recall(entries: &[Entry], end: &dyn Fn(&str, Timestamp) -> JobEnd) -> Result<Story, Fault> {
    let damaged = |why: &str| Fault::new(Code::JournalDamaged, format!("the journal of the batch {why}"));
    let Some((Entry { record: Record::Batch { name, file, agreed, watch, .. }, .. }, rest)) = entries.split_first()
    else {
        return Err(damaged("does not begin with a batch"));
    };
    let (name, file) = (name.clone(), (**file).clone());
    let mut rows = fresh(&file);
    let mut running: Vec<Option<Timestamp>> = vec![None; rows.len()];
    let mut over = None;
    for entry in rest {
        let number = match &entry.record {
            Record::Row { row, ecid, station } => {
                let task = file.watch.as_ref().map(|watch| watch.task.clone());
                let task = task.ok_or_else(|| damaged("has a watched row and watches nothing"))?;
                let mut fresh = Recalled::new(Pin::Ecid(*ecid), task);
                (fresh.ecid, fresh.station) = (Some(*ecid), *station);
                rows.push(fresh);
                running.push(None);
                *row
            }
            Record::Bound { row, .. }
            | Record::Began { row, .. }
            | Record::Job { row, .. }
            | Record::Missed { row, .. }
            | Record::Ended { row, .. }
            | Record::Again { row } => *row,
            Record::Resumed => continue,
            Record::Over { outcome } => {
                over = Some(*outcome);
                continue;
            }
            Record::Batch { .. } => return Err(damaged("begins twice")),
        };
        let at = usize::try_from(number).ok().and_then(|n| n.checked_sub(1));
        let slot = at.and_then(|at| Some((rows.get_mut(at)?, running.get_mut(at)?)));
        let Some((row, runs)) = slot else { return Err(damaged("speaks of a row that is not there")) };
        match &entry.record {
            Record::Bound { ecid, .. } => row.ecid = Some(*ecid),
            Record::Began { ecid, tries, .. } => {
                (row.ecid, row.tries, row.owes, row.phase) = (Some(*ecid), *tries, false, Phase::Queued);
                *runs = Some(entry.at);
            }
            Record::Job { job, .. } => row.job = Some(job.clone()),
            Record::Missed { miss, fault, .. } => {
                row.misses.push(miss.clone());
                row.last = Some(fault.clone());
                (row.owes, *runs) = (true, None);
            }
            Record::Ended { phase, .. } => {
                row.phase = *phase;
                (row.owes, *runs) = (false, None);
            }
            Record::Again { .. } => row.again(),
            _ => {}
        }
    }
    for (row, runs) in rows.iter_mut().zip(running) {
        if let Some(since) = runs {
            cut(row, &|job| end(job, since));
        }
        // Who resumes has done what was asked, or wants it asked again.
        if matches!(row.phase, Phase::LeftForPerson | Phase::Cancelled) {
            (row.phase, row.owes) = (Phase::Queued, false);
        }
    }
    Ok(Story { name, file, agreed: agreed.clone(), watch: *watch, rows, over })
}

/// A try that was under way when the process died: its own journal knows.
fn cut(row: &mut Recalled, end: &dyn Fn(&str) -> JobEnd) {
    match row.job.as_deref().map(end) {
        Some(JobEnd::Over(Outcome::Partial)) => row.phase = Phase::Partly,
        Some(JobEnd::Over(_)) => row.phase = Phase::Done,
        Some(JobEnd::Failed(fault)) => {
            row.misses.push(Miss::of(&fault));
            row.last = Some(fault);
            row.owes = true;
        }
        // The same try goes on.
        Some(JobEnd::Open) | None => {
            row.tries = row.tries.saturating_sub(1);
            return;
        }
    }
    row.unsaid = true;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn entries(records: Vec<Record>) -> Vec<Entry> {
        let text = "ownership = \"owner\"\n[[device]]\necid = \"1\"\naction = \"restore-erase\"\n\
                    [[device]]\nstation = 2\naction = \"restore-erase\"\n";
        let file = BatchFile::parse("b", text, Path::new("/"), &|_| true).unwrap();
        let batch = Record::Batch {
            tool: "0".into(),
            name: "b".into(),
            file: Box::new(file),
            agreed: Agreed::default(),
            watch: false,
            is_virtual: true,
        };
        std::iter::once(batch).chain(records).map(Entry::now).collect()
    }

    fn began() -> Vec<Record> {
        vec![Record::Began { row: 1, ecid: Ecid(1), tries: 1 }, Record::Job { row: 1, job: "j".into() }]
    }

    fn phase_of(end: JobEnd) -> (Phase, bool, u32) {
        let open = matches!(end, JobEnd::Open);
        let story = recall(&entries(began()), &move |_, _| end.clone()).unwrap();
        assert_eq!(story.rows[0].unsaid, !open);
        (story.rows[0].phase, story.rows[0].owes, story.rows[0].tries)
    }

    #[test]
    fn a_cut_try_is_what_its_own_journal_says() {
        assert_eq!(phase_of(JobEnd::Open), (Phase::Queued, false, 0), "the same try again");
        assert_eq!(phase_of(JobEnd::Over(Outcome::Ok)), (Phase::Done, false, 1));
        assert_eq!(phase_of(JobEnd::Over(Outcome::Partial)), (Phase::Partly, false, 1));
        assert_eq!(phase_of(JobEnd::Failed(Fault::new(Code::LinkLost, "x"))), (Phase::Queued, true, 1));
    }

    /// A kill between the second try's record here and its first word in the job: the job still ends as before.
    #[test]
    fn the_end_of_the_try_before_is_not_that_of_this_one() {
        let fault = Fault::new(Code::LinkLost, "x");
        let mut records = began();
        records.push(Record::Missed { row: 1, miss: Miss::of(&fault), fault: fault.clone() });
        records.push(Record::Began { row: 1, ecid: Ecid(1), tries: 2 });
        let entries = entries(records);
        let (missed, again) = (entries[3].at, entries[4].at);
        let end = move |_: &str, since| match missed >= since {
            true => JobEnd::Failed(fault.clone()),
            false => JobEnd::Open,
        };
        assert!(missed < again);
        let row = recall(&entries, &end).unwrap().rows.swap_remove(0);
        assert_eq!((row.misses.len(), row.tries, row.owes, row.unsaid), (1, 1, false, false));
    }

    #[test]
    fn what_was_written_down_is_not_asked_again() {
        let never = |_: &str, _| panic!("it is written down");
        let fault = Fault::new(Code::LinkLost, "x");
        let mut records = began();
        records.push(Record::Missed { row: 1, miss: Miss::of(&fault), fault });
        let story = recall(&entries(records.clone()), &never).unwrap();
        assert!(story.rows[0].owes && story.rows[0].misses.len() == 1 && story.rows[1].ecid.is_none());
        records.extend([Record::Ended { row: 1, phase: Phase::Failed }, Record::Bound { row: 2, ecid: Ecid(5) }]);
        let story = recall(&entries(records.clone()), &never).unwrap();
        assert_eq!((story.rows[0].phase, story.rows[1].ecid), (Phase::Failed, Some(Ecid(5))));
        records.push(Record::Ended { row: 2, phase: Phase::LeftForPerson });
        let story = recall(&entries(records), &never).unwrap();
        assert_eq!(story.rows[1].phase, Phase::Queued, "whoever resumes wants it asked again");
    }

    #[test]
    fn what_is_tried_again_begins_with_no_tries_and_keeps_its_job() {
        let fault = Fault::new(Code::LinkLost, "x");
        let mut records = began();
        records.push(Record::Missed { row: 1, miss: Miss::of(&fault), fault });
        records.extend([Record::Ended { row: 1, phase: Phase::Failed }, Record::Over { outcome: Outcome::Failed }]);
        records.push(Record::Again { row: 1 });
        let story = recall(&entries(records.clone()), &|_, _| JobEnd::Open).unwrap();
        let row = &story.rows[0];
        assert_eq!((row.phase, row.tries, row.misses.len(), row.job.as_deref()), (Phase::Queued, 0, 0, Some("j")));
        assert!(row.last.is_some(), "why it failed is still known");
        records
            .extend([Record::Began { row: 1, ecid: Ecid(1), tries: 1 }, Record::Ended { row: 1, phase: Phase::Done }]);
        let story = recall(&entries(records), &|_, _| JobEnd::Open).unwrap();
        assert_eq!(story.rows[0].phase, Phase::Done);
    }

    #[test]
    fn nonsense_is_damage() {
        let open = |_: &str, _| JobEnd::Open;
        for records in [
            vec![Record::Ended { row: 3, phase: Phase::Done }],
            vec![Record::Ended { row: 0, phase: Phase::Done }],
            vec![Record::Row { row: 3, ecid: Ecid(9), station: None }],
        ] {
            assert_eq!(recall(&entries(records), &open).unwrap_err().code, Code::JournalDamaged);
        }
        assert_eq!(recall(&[], &open).unwrap_err().code, Code::JournalDamaged);
    }

    #[test]
    fn records_survive_json() {
        let fault = Fault::new(Code::LinkLost, "x");
        let mut records = began();
        records.push(Record::Missed { row: 1, miss: Miss::of(&fault), fault });
        records.extend([Record::Resumed, Record::Over { outcome: Outcome::Ok }]);
        for entry in entries(records) {
            let text = serde_json::to_string(&entry).unwrap();
            let again: Entry = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_string(&again).unwrap(), text);
        }
    }
}
