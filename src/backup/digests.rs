//! The digest of every file of a generation, taken while it was received.
//!
//! A phone holds up to a million files, so the list never stands in memory. During a run each receipt, move and doubt
//! is a line in one of 64 journals, chosen by a file's own name: a file keeps its name when the phone moves it from
//! `Snapshot/` to its place, so all lines about it meet in one journal. At the end each journal is replayed alone and
//! checked against the files that are really there; a file without a sure digest is read once more. The outcome is
//! `digests.tsv`: SHA-256, size, path, one file per line, beside the folder that the phone knows.
//!
//! A run that was killed leaves journals that may lack their last lines. They are then not believed at all: the mark
//! of an orderly end is missing, and everything is read again at the next end.

use super::Cancel;
use super::tree::{MAX_DEPTH, Place, WorkTree, disk, open_file};
use crate::fault::{Code, Fault};
use crate::wire::devicelink::EntryKind;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

const JOURNALS: usize = 64;
const CLEAN: &str = "clean";
/// Longest line: two paths of 4096 bytes, each byte escaped.
const MAX_LINE: u64 = 20_000;

pub(super) type Sha = [u8; 32];

pub(super) struct DigestBook {
    folder: PathBuf,
    journals: Vec<BufWriter<File>>,
    /// A line could not be written: the journals do not tell all.
    torn: bool,
}

/// What a finished list holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub files: u64,
    /// Files that had to be read again.
    pub reread: u64,
    pub bytes: u64,
}

impl DigestBook {
    /// Opens the journals in `folder`. Journals of an earlier run are continued when that run ended in an orderly
    /// way, else forgotten; with none, the list `base` of the generation that was cloned is the start.
    pub(super) fn open(folder: &Path, base: Option<&Path>) -> Result<Self, Fault> {
        let clean = folder.join(CLEAN);
        let known = match std::fs::remove_file(&clean) {
            Ok(()) => true,
            Err(_) => {
                match std::fs::remove_dir_all(folder) {
                    Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(disk(folder, err)),
                    _ => {}
                }
                std::fs::create_dir_all(folder).map_err(|e| disk(folder, e))?;
                false
            }
        };
        let open = |at: usize| {
            let path = folder.join(format!("{at:02}"));
            let file = File::options().append(true).create(true).open(&path).map_err(|e| disk(&path, e))?;
            Ok(BufWriter::with_capacity(8 << 10, file))
        };
        let journals = (0..JOURNALS).map(open).collect::<Result<_, Fault>>()?;
        let mut book = DigestBook { folder: folder.to_owned(), journals, torn: false };
        if let Some(base) = base.filter(|_| !known) {
            match List::open(base) {
                Ok(mut list) => {
                    while let Some(row) = list.next_row()? {
                        book.received(&row.path, row.size, &row.sha).map_err(|e| disk(folder, e))?;
                    }
                }
                // A generation without a list costs a reading, no more.
                Err(fault) if fault.code == Code::BackupNone => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(book)
    }

    fn journal(&mut self, path: &str) -> io::Result<&mut BufWriter<File>> {
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3));
        self.journals.get_mut((hash >> 20) as usize % JOURNALS).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn received(&mut self, path: &str, size: u64, sha: &Sha) -> io::Result<()> {
        let journal = self.journal(path)?;
        let done = write!(journal, "R\t").and_then(|()| write_row(journal, sha, size, path));
        self.sure(done)
    }

    fn sure(&mut self, done: io::Result<()>) -> io::Result<()> {
        self.torn |= done.is_err();
        done
    }

    pub(super) fn moved(&mut self, from: &str, to: &str) -> io::Result<()> {
        let name = |path: &str| path.rsplit_once('/').map_or(0, |(folder, _)| folder.len());
        if from.get(name(from)..) != to.get(name(to)..) {
            return self.unknown(to);
        }
        let journal = self.journal(to)?;
        let done = writeln!(journal, "M\t{}\t{}", escape(from), escape(to));
        self.sure(done)
    }

    /// The content at `path` was not seen by us.
    pub(super) fn unknown(&mut self, path: &str) -> io::Result<()> {
        let journal = self.journal(path)?;
        let done = writeln!(journal, "U\t{}", escape(path));
        self.sure(done)
    }

    /// Ends the run in an orderly way; the next one may continue.
    pub(super) fn close(mut self) -> io::Result<()> {
        if self.torn {
            return Err(io::Error::other("a line is missing"));
        }
        for journal in &mut self.journals {
            journal.flush()?;
        }
        File::create(self.folder.join(CLEAN)).map(drop)
    }

    /// Writes the list of all files that are in the tree now to `out`, and removes the journals. `vouched` hears of
    /// each file whose digest was taken while it was received, with its size then.
    pub(super) fn finish(
        mut self,
        tree: &WorkTree,
        out: &Path,
        vouched: &mut dyn FnMut(&str, u64),
        cancel: &Cancel,
    ) -> Result<Tally, Fault> {
        let folder = self.folder.clone();
        let failed = |e| disk(&folder, e);
        walk(tree, tree.udid(), 0, &mut |path| {
            cancel.check()?;
            let journal = self.journal(path).map_err(failed)?;
            writeln!(journal, "F\t{}", escape(path)).map_err(failed)
        })?;
        let mut list = BufWriter::with_capacity(256 << 10, File::create(out).map_err(|e| disk(out, e))?);
        let mut tally = Tally::default();
        for (at, journal) in std::mem::take(&mut self.journals).into_iter().enumerate() {
            journal.into_inner().map_err(|e| failed(e.into_error()))?;
            let path = folder.join(format!("{at:02}"));
            replay(&path, tree, &mut list, &mut tally, vouched, cancel)?;
        }
        list.into_inner().map_err(|e| disk(out, e.into_error()))?;
        std::fs::remove_dir_all(&folder).map_err(failed)?;
        Ok(tally)
    }
}

fn replay(
    path: &Path,
    tree: &WorkTree,
    list: &mut impl Write,
    tally: &mut Tally,
    vouched: &mut dyn FnMut(&str, u64),
    cancel: &Cancel,
) -> Result<(), Fault> {
    let mut lines = Lines::open(path)?;
    let mut known: HashMap<String, (u64, Sha)> = HashMap::new();
    while let Some(line) = lines.next_line()? {
        let (kind, rest) = line.split_once('\t').unwrap_or((line, ""));
        match kind {
            "R" => {
                if let Some(row) = read_row(rest) {
                    known.insert(row.path, (row.size, row.sha));
                }
            }
            "M" => {
                let (from, to) = rest.split_once('\t').unwrap_or((rest, ""));
                match known.remove(&unescape(from)) {
                    Some(entry) => known.insert(unescape(to), entry),
                    None => known.remove(&unescape(to)),
                };
            }
            "U" => drop(known.remove(&unescape(rest))),
            "F" => {
                cancel.check()?;
                let file = unescape(rest);
                let (size, sha) = match known.remove(&file) {
                    Some(entry) => {
                        vouched(&file, entry.0);
                        entry
                    }
                    None => {
                        tally.reread += 1;
                        let (mut file, size) = tree.read(Place(&file)).map_err(|e| disk(Path::new(&file), e))?;
                        (size, digest_of(&mut file, cancel)?)
                    }
                };
                tally.files += 1;
                tally.bytes += size;
                write_row(list, &sha, size, &file).map_err(|e| Fault::disk(&e))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// SHA-256 of all that `file` still holds.
pub(super) fn digest_of(file: &mut impl Read, cancel: &Cancel) -> Result<Sha, Fault> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; 256 << 10];
    loop {
        cancel.check()?;
        match file.read(&mut piece) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(count) => hash.update(piece.get(..count).unwrap_or_default()),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(Fault::disk(&err)),
        }
    }
}

/// Every regular file below `folder`, as paths that begin with the device's folder.
pub(super) fn walk(
    tree: &WorkTree,
    folder: &str,
    depth: usize,
    each: &mut dyn FnMut(&str) -> Result<(), Fault>,
) -> Result<(), Fault> {
    if depth > MAX_DEPTH {
        return Err(Fault::new(Code::BackupHostile, format!("{folder:?} is nested too deep")));
    }
    for (name, kind) in tree.names(Place(folder)).map_err(|e| disk(&tree.root().join(folder), e))? {
        let path = format!("{folder}/{name}");
        match kind {
            EntryKind::Regular => each(&path)?,
            EntryKind::Directory => walk(tree, &path, depth + 1, each)?,
            EntryKind::Other => {}
        }
    }
    Ok(())
}

/// One row of a finished list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub path: String,
    pub size: u64,
    pub sha: Sha,
}

/// A finished list, read row by row.
pub(super) struct List(Lines);

impl List {
    /// # Errors
    /// [`Code::BackupNone`] when there is none.
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        Lines::open(path).map(List)
    }

    /// # Errors
    /// [`Code::BackupDamaged`] for a line that is no row.
    pub(super) fn next_row(&mut self) -> Result<Option<Row>, Fault> {
        let Some(line) = self.0.next_line()? else { return Ok(None) };
        match read_row(line) {
            Some(row) => Ok(Some(row)),
            None => Err(Fault::new(Code::BackupDamaged, "the list of digests has a line that is none")),
        }
    }
}

struct Lines {
    file: BufReader<File>,
    line: Vec<u8>,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, Fault> {
        match open_file(path) {
            Ok(file) => Ok(Lines { file: BufReader::with_capacity(64 << 10, file), line: vec![] }),
            Err(err) if err.kind() == io::ErrorKind::NotFound => {
                Err(Fault::new(Code::BackupNone, format!("{} is not there", path.display())))
            }
            Err(err) if err.kind() == io::ErrorKind::InvalidData => {
                Err(Fault::new(Code::BackupDamaged, format!("{} {err}", path.display())))
            }
            Err(err) => Err(disk(path, err)),
        }
    }

    fn next_line(&mut self) -> Result<Option<&str>, Fault> {
        self.line.clear();
        let read = (&mut self.file).take(MAX_LINE).read_until(b'\n', &mut self.line).map_err(|e| Fault::disk(&e))?;
        if read == 0 {
            return Ok(None);
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        Ok(Some(std::str::from_utf8(line).unwrap_or("")))
    }
}

fn write_row(out: &mut impl Write, sha: &Sha, size: u64, path: &str) -> io::Result<()> {
    let mut hex = [0u8; 64];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(sha) {
        if let [high, low] = pair {
            *high = b"0123456789abcdef"[usize::from(byte >> 4)];
            *low = b"0123456789abcdef"[usize::from(byte & 15)];
        }
    }
    out.write_all(&hex)?;
    writeln!(out, "\t{size}\t{}", escape(path))
}

fn read_row(line: &str) -> Option<Row> {
    let mut parts = line.splitn(3, '\t');
    let (hex, size, path) = (parts.next()?, parts.next()?, parts.next()?);
    if hex.len() != 64 || !hex.is_ascii() || path.is_empty() {
        return None;
    }
    let mut sha = [0; 32];
    for (at, byte) in sha.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(Row { path: unescape(path), size: size.parse().ok()?, sha })
}

fn escape(path: &str) -> std::borrow::Cow<'_, str> {
    if path.contains(['\\', '\t', '\n']) {
        path.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").into()
    } else {
        path.into()
    }
}

fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut path = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        path.push(match c {
            '\\' => match chars.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some(other) => other,
                None => '\\',
            },
            c => c,
        });
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha(text: &str) -> Sha {
        Sha256::digest(text).into()
    }

    #[test]
    fn the_list_tells_what_is_there_now_however_it_came() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("U/ab")).unwrap();
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        put("U/ab/kept", "kept");
        put("U/ab/moved", "new");
        put("U/renamed", "other");
        put("U/odd\tname\n", "odd");
        let tree = WorkTree::open(dir.path(), "U").unwrap();
        let base = dir.path().join("base.tsv");
        let mut rows = vec![];
        for (path, text) in [("U/ab/kept", "kept"), ("U/ab/moved", "old"), ("U/gone", "gone"), ("U/renamed", "old!")] {
            write_row(&mut rows, &sha(text), text.len() as u64, path).unwrap();
        }
        std::fs::write(&base, rows).unwrap();

        let folder = dir.path().join("book");
        let mut book = DigestBook::open(&folder, Some(&base)).unwrap();
        book.received("U/Snapshot/ab/moved", 3, &sha("new")).unwrap();
        book.moved("U/Snapshot/ab/moved", "U/ab/moved").unwrap();
        book.received("U/odd\tname\n", 3, &sha("odd")).unwrap();
        book.close().unwrap();
        // A second run goes on where the first ended.
        let mut book = DigestBook::open(&folder, Some(&base)).unwrap();
        book.moved("U/other", "U/renamed").unwrap();
        let out = dir.path().join("digests.tsv");
        let tally = book.finish(&tree, &out, &mut |_, _| {}, &Cancel::new()).unwrap();
        assert_eq!(tally, Tally { files: 4, reread: 1, bytes: 15 });

        let mut list = List::open(&out).unwrap();
        let mut found = vec![];
        while let Some(row) = list.next_row().unwrap() {
            found.push((row.path, row.sha));
        }
        found.sort();
        let expected = [("U/ab/kept", "kept"), ("U/ab/moved", "new"), ("U/odd\tname\n", "odd"), ("U/renamed", "other")];
        assert_eq!(found, expected.map(|(path, text)| (path.to_owned(), sha(text))));
        assert!(!folder.exists());
    }

    /// A file `U/a` that says "now", and a book that knows it as "then".
    fn an_outdated_book() -> (tempfile::TempDir, PathBuf, DigestBook) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("U")).unwrap();
        std::fs::write(dir.path().join("U/a"), "now").unwrap();
        let folder = dir.path().join("book");
        let mut book = DigestBook::open(&folder, None).unwrap();
        book.received("U/a", 4, &sha("then")).unwrap();
        (dir, folder, book)
    }

    #[test]
    fn journals_that_lost_a_line_are_not_believed() {
        let (dir, folder, mut book) = an_outdated_book();
        // The disk is full while the next line is written, and has room again at the end.
        let at = (0..JOURNALS).find(|at| !book.journals[*at].buffer().is_empty()).unwrap();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let whole = std::mem::replace(&mut book.journals[at], BufWriter::with_capacity(0, full));
        assert!(book.received("U/a", 3, &sha("now")).is_err());
        book.journals[at] = whole;
        assert!(book.close().is_err());
        let book = DigestBook::open(&folder, None).unwrap();
        let tree = WorkTree::open(dir.path(), "U").unwrap();
        let out = dir.path().join("out.tsv");
        assert_eq!(book.finish(&tree, &out, &mut |_, _| {}, &Cancel::new()).unwrap().reread, 1);
        assert_eq!(List::open(&out).unwrap().next_row().unwrap().unwrap().sha, sha("now"));
    }

    #[test]
    fn journals_of_a_killed_run_are_not_believed() {
        let (dir, folder, mut book) = an_outdated_book();
        for journal in &mut book.journals {
            journal.flush().unwrap();
        }
        drop(book);
        let book = DigestBook::open(&folder, None).unwrap();
        let tree = WorkTree::open(dir.path(), "U").unwrap();
        let out = dir.path().join("out.tsv");
        assert_eq!(book.finish(&tree, &out, &mut |_, _| {}, &Cancel::new()).unwrap().reread, 1);
        assert_eq!(List::open(&out).unwrap().next_row().unwrap().unwrap().sha, sha("now"));
    }
}
