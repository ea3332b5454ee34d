//! The files of this computer, read with a cap.
//!
//! Everything is found below one folder: `/`, or a tree that a test made. Nothing in it is trusted. A file may be
//! larger than memory, a pipe that never ends, a link to itself, or bytes of no text; a folder may have a million
//! entries. What this user may not read is told apart from what is not there, with the reason.

use rustix::fs::OFlags;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Of one file, unless said otherwise.
const CAP: u64 = 128 << 10;
/// Of one folder.
const ENTRIES: usize = 8192;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen<T> {
    Is(T),
    Absent,
    /// Why it cannot be read.
    Refused(String),
}

impl<T> Seen<T> {
    pub fn is(self) -> Option<T> {
        match self {
            Seen::Is(value) => Some(value),
            _ => None,
        }
    }

    pub fn refused(&self) -> Option<&str> {
        match self {
            Seen::Refused(why) => Some(why),
            _ => None,
        }
    }

    fn failed(err: &std::io::Error) -> Seen<T> {
        match err.kind() {
            // A part of the path that is a file where a folder should be.
            ErrorKind::NotFound | ErrorKind::NotADirectory => Seen::Absent,
            _ => Seen::Refused(err.to_string()),
        }
    }
}

/// Owner, group and mode of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
    pub size: u64,
    pub changed: i64,
}

impl From<&Metadata> for Stat {
    fn from(of: &Metadata) -> Stat {
        Stat { uid: of.uid(), gid: of.gid(), mode: of.mode() & 0o7777, size: of.size(), changed: of.mtime() }
    }
}

#[derive(Clone, Debug)]
pub struct Root(PathBuf);

impl Root {
    pub fn new(folder: &Path) -> Root {
        Root(folder.to_owned())
    }

    fn path(&self, at: &str) -> PathBuf {
        self.0.join(at.trim_start_matches('/'))
    }

    /// The beginning of a file as text.
    pub fn text(&self, at: &str) -> Seen<String> {
        self.text_of(at, CAP)
    }

    /// As [`Root::text`], of at most `cap` bytes. Bytes of no text become marks.
    pub fn text_of(&self, at: &str, cap: u64) -> Seen<String> {
        // A pipe or a terminal must not hold us up.
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(self.path(at));
        let file = match opened {
            Ok(file) => file,
            Err(err) => return Seen::failed(&err),
        };
        match file.metadata() {
            Ok(of) if !of.is_file() => return Seen::Refused("not a file".into()),
            Ok(_) => {}
            Err(err) => return Seen::failed(&err),
        }
        let mut bytes = Vec::new();
        match file.take(cap).read_to_end(&mut bytes) {
            Ok(_) => Seen::Is(String::from_utf8_lossy(&bytes).into_owned()),
            Err(err) => Seen::failed(&err),
        }
    }

    /// A file of one value, as sysfs has them: trimmed, and short.
    pub fn word(&self, at: &str) -> Option<String> {
        let text = self.text_of(at, 4096).is()?;
        let text = clean(text.trim_matches(|c: char| c.is_whitespace() || c == '\0'));
        (!text.is_empty()).then_some(text)
    }

    pub fn number(&self, at: &str) -> Option<u64> {
        self.word(at)?.parse().ok()
    }

    /// The names in a folder, sorted; those that are no text are left out.
    pub fn names(&self, at: &str) -> Seen<Vec<String>> {
        let entries = match std::fs::read_dir(self.path(at)) {
            Ok(entries) => entries,
            Err(err) => return Seen::failed(&err),
        };
        let names = entries.take(ENTRIES).flatten().filter_map(|e| e.file_name().into_string().ok());
        let mut names: Vec<String> = names.collect();
        names.sort();
        Seen::Is(names)
    }

    /// The same, where a refusal makes no difference.
    pub fn list(&self, at: &str) -> Vec<String> {
        self.names(at).is().unwrap_or_default()
    }

    pub fn exists(&self, at: &str) -> bool {
        std::fs::symlink_metadata(self.path(at)).is_ok()
    }

    /// Follows links.
    pub fn stat(&self, at: &str) -> Seen<Stat> {
        match std::fs::metadata(self.path(at)) {
            Ok(of) => Seen::Is(Stat::from(&of)),
            Err(err) => Seen::failed(&err),
        }
    }

    /// Where a link points to, as it is written.
    pub fn link(&self, at: &str) -> Seen<String> {
        match std::fs::read_link(self.path(at)) {
            Ok(to) => Seen::Is(to.to_string_lossy().into_owned()),
            Err(err) => Seen::failed(&err),
        }
    }

    /// An extended attribute; none where there is none, or no file system that has them.
    pub fn attribute(&self, at: &str, name: &str) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 4096];
        let read = rustix::fs::getxattr(self.path(at), name, &mut bytes[..]).ok()?;
        bytes.truncate(read);
        Some(bytes)
    }

    /// The first of these programs that is installed.
    pub fn program(&self, name: &str) -> Option<String> {
        let folders =
            ["usr/sbin", "usr/bin", "usr/local/sbin", "usr/local/bin", "sbin", "bin", "run/current-system/sw/bin"];
        folders.iter().map(|f| format!("{f}/{name}")).find(|p| self.exists(p)).map(|p| format!("/{p}"))
    }
}

/// What comes from outside goes to a terminal without control characters, and short.
pub fn clean(text: &str) -> String {
    const LONGEST: usize = 160;
    let kept = text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c });
    let mut kept: String = kept.collect();
    if text.chars().nth(LONGEST).is_some() {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_is_absent_and_what_cannot_be_read_are_two_things() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        std::fs::write(folder.path().join("is"), "  480\n").unwrap();
        symlink("round", folder.path().join("round")).unwrap();
        assert_eq!(root.number("/is"), Some(480));
        assert_eq!(root.text("none"), Seen::Absent);
        assert_eq!(root.text("is/below"), Seen::Absent);
        assert!(root.text("round").refused().is_some(), "a link to itself");
        assert!(root.names("round").refused().is_some());
        assert_eq!(root.text(""), Seen::Refused("not a file".into()));
        assert_eq!(root.link("round"), Seen::Is("round".into()));
    }

    #[test]
    fn pipes_do_not_hold_it_up_and_large_files_are_not_taken_whole() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        assert_eq!(root.text("pipe"), Seen::Refused("not a file".into()));
        File::create(folder.path().join("large")).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(root.text("large").is().map(|t| t.len()), Some(CAP as usize));
        assert_eq!(root.word("large"), None, "nothing but zeroes");
        std::fs::write(folder.path().join("bytes"), b"\xFF\x1B[2J\x07iPhone").unwrap();
        let word = root.word("bytes").unwrap();
        assert!(word.ends_with("iPhone") && !word.contains('\x1B'), "{word:?}");
        assert!(clean(&"é".repeat(1000)).chars().count() == 161);
    }
}
