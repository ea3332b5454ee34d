//! What a job is about to do, written down before it does it.
//!
//! One JSON object a line, only ever appended, in one `write` each. A line counts when its newline is
//! there: what follows the last newline is a torn line of a process that died while writing. It is ignored
//! by readers and cut off before the next append, because it never happened. After a power cut a tail can
//! also be zero bytes, which JSON text never holds; that is torn as well. Anything else that does not parse
//! is damage in the middle: then nothing after it can be believed, and the journal is refused as a whole.
//!
//! An open journal is locked, so that one job is continued by one process.

use super::atomic::{folder_of, private_options, sync_folder};
use crate::fault::{Code, Fault};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::TryLockError;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// A job writes kilobytes; beyond this it is not a journal of ours.
const MAX_JOURNAL: u64 = 256 << 20;

/// An open journal: append only, locked.
#[derive(Debug)]
pub struct Journal {
    file: fs_err::File,
    /// Where the last whole line ends.
    end: u64,
    broken: bool,
}

impl Journal {
    /// Begins an empty journal (0600). An existing file is an error.
    pub fn create(path: &Path) -> Result<Journal, Fault> {
        let file =
            private_options().read(true).append(true).create_new(true).open(path).map_err(|e| Fault::disk(&e))?;
        lock(&file)?;
        file.sync_all().map_err(|e| Fault::disk(&e))?;
        sync_folder(folder_of(path))?;
        Ok(Journal { file, end: 0, broken: false })
    }

    /// Opens a journal to go on with it: all its entries in order, with the torn tail cut off.
    pub fn open<T: DeserializeOwned>(path: &Path) -> Result<(Journal, Vec<T>), Fault> {
        let file = private_options().read(true).append(true).open(path).map_err(|e| Fault::disk(&e))?;
        lock(&file)?;
        let mut journal = Journal { file, end: 0, broken: false };
        let bytes = whole(&mut journal.file)?;
        let (entries, end) = parse(path, &bytes)?;
        if end < bytes.len() {
            let file = &journal.file;
            file.set_len(end as u64).and_then(|()| file.sync_all()).map_err(|e| Fault::disk(&e))?;
        }
        journal.end = end as u64;
        Ok((journal, entries))
    }

    /// Adds one entry; with `sync` it is on the medium when this returns. A failed append leaves the
    /// journal as it was before.
    pub fn append<T: Serialize>(&mut self, entry: &T, sync: bool) -> Result<(), Fault> {
        if self.broken {
            return Err(Fault::new(Code::DiskError, "the journal could not be brought back to its last whole line"));
        }
        let mut line = serde_json::to_vec(entry).map_err(|e| Fault::new(Code::Internal, format!("journal: {e}")))?;
        line.push(b'\n');
        let length = line.len() as u64;
        if self.end + length > MAX_JOURNAL {
            return Err(Fault::new(Code::DiskError, format!("a journal may not grow beyond {MAX_JOURNAL} bytes")));
        }
        if let Err(e) = self.file.write_all(&line) {
            self.broken = self.file.set_len(self.end).is_err();
            return Err(Fault::disk(&e));
        }
        self.end += length;
        if sync {
            self.file.sync_data().map_err(|e| Fault::disk(&e))?;
        }
        Ok(())
    }
}

/// Reads a journal that another process may be writing: its whole lines as of now.
pub fn read_journal<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, Fault> {
    let mut file = fs_err::File::open(path).map_err(|e| Fault::disk(&e))?;
    let bytes = whole(&mut file)?;
    Ok(parse(path, &bytes)?.0)
}

/// The whole lines of a journal as they are on the disk, without their ends: for whoever needs the bytes.
pub fn journal_lines(path: &Path) -> Result<Vec<String>, Fault> {
    let mut file = fs_err::File::open(path).map_err(|e| Fault::disk(&e))?;
    let bytes = whole(&mut file)?;
    let (_, end) = parse::<serde::de::IgnoredAny>(path, &bytes)?;
    let text = bytes.get(..end).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let text = text.ok_or_else(|| damaged(path, 0, "not UTF-8"))?;
    Ok(text.split_terminator('\n').map(str::to_owned).collect())
}

impl Drop for Journal {
    /// Given back by word, as in `lock`: a child that is being started holds a copy of the descriptor for a moment.
    fn drop(&mut self) {
        let _ = self.file.file().unlock();
    }
}

fn lock(file: &fs_err::File) -> Result<(), Fault> {
    match file.file().try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            Err(Fault::new(Code::Locked, format!("{} is in use by another Herstel", file.path().display())))
        }
        Err(TryLockError::Error(e)) => Err(Fault::disk(&e)),
    }
}

fn whole(file: &mut fs_err::File) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))
        .and_then(|_| file.take(MAX_JOURNAL + 1).read_to_end(&mut bytes))
        .map_err(|e| Fault::disk(&e))?;
    if bytes.len() as u64 > MAX_JOURNAL {
        return Err(damaged(file.path(), 0, "too long to be a journal"));
    }
    Ok(bytes)
}

/// The entries, and where the last whole line ends.
fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<(Vec<T>, usize), Fault> {
    let mut entries = Vec::new();
    let mut end = 0;
    while let Some(length) = bytes[end..].iter().position(|&b| b == b'\n') {
        let line = &bytes[end..end + length];
        let last = end + length + 1 == bytes.len();
        match serde_json::from_slice(line) {
            Ok(entry) => entries.push(entry),
            Err(_) if last && line.contains(&0) => break,
            Err(e) => return Err(damaged(path, entries.len() + 1, &e.to_string())),
        }
        end += length + 1;
    }
    Ok((entries, end))
}

fn damaged(path: &Path, line: usize, why: &str) -> Fault {
    Fault::new(Code::JournalDamaged, format!("{} line {line}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    struct Entry {
        n: u32,
        text: String,
    }

    fn entries(count: u32) -> Vec<Entry> {
        (0..count).map(|n| Entry { n, text: format!("naïve {n}\n\0end") }).collect()
    }

    #[test]
    fn torn_at_every_byte_it_reads_what_was_whole_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let all = entries(4);
        let mut journal = Journal::create(&path).unwrap();
        for entry in &all {
            journal.append(entry, true).unwrap();
        }
        drop(journal);
        let bytes = std::fs::read(&path).unwrap();
        for cut in 0..=bytes.len() {
            let whole = bytes[..cut].iter().filter(|&&b| b == b'\n').count();
            std::fs::write(&path, &bytes[..cut]).unwrap();
            assert_eq!(read_journal::<Entry>(&path).unwrap(), all[..whole], "cut at {cut}");
            let lines: String = journal_lines(&path).unwrap().iter().map(|line| format!("{line}\n")).collect();
            assert!(bytes.starts_with(lines.as_bytes()) && lines.lines().count() == whole);
            let (mut journal, seen) = Journal::open::<Entry>(&path).unwrap();
            assert_eq!(seen, all[..whole]);
            journal.append(&all[3], false).unwrap();
            drop(journal);
            let mut expected = all[..whole].to_vec();
            expected.push(all[3].clone());
            assert_eq!(read_journal::<Entry>(&path).unwrap(), expected, "appended after a cut at {cut}");
        }
    }

    #[test]
    fn a_damaged_middle_is_refused_and_a_tail_of_zeros_is_torn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let mut journal = Journal::create(&path).unwrap();
        for entry in entries(3) {
            journal.append(&entry, false).unwrap();
        }
        drop(journal);
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[3] = b'}';
        std::fs::write(&path, &bad).unwrap();
        let fault = read_journal::<Entry>(&path).unwrap_err();
        assert_eq!(fault.code, Code::JournalDamaged);
        assert!(fault.detail.contains("line 1"), "{fault}");
        assert_eq!(Journal::open::<Entry>(&path).unwrap_err().code, Code::JournalDamaged);
        assert_eq!(std::fs::read(&path).unwrap(), bad, "a damaged journal is evidence and stays as it is");

        for tail in [&[0u8; 512][..], b"\0\0\0\0\n", b"{\"n\":"] {
            let mut zeros = good.clone();
            zeros.extend_from_slice(tail);
            std::fs::write(&path, &zeros).unwrap();
            assert_eq!(Journal::open::<Entry>(&path).unwrap().1, entries(3));
            assert_eq!(std::fs::read(&path).unwrap(), good);
        }
    }

    #[test]
    fn one_job_is_continued_by_one_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let journal = Journal::create(&path).unwrap();
        assert_eq!(Journal::open::<Entry>(&path).unwrap_err().code, Code::Locked);
        assert!(read_journal::<Entry>(&path).unwrap().is_empty(), "but anybody may look");
        drop(journal);
        Journal::open::<Entry>(&path).unwrap();
    }
}
