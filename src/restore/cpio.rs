//! The old portable cpio archive, in which a bootability bundle goes to a device.
//!
//! A head of octal numbers, the name with a NUL, the bytes; no padding. Folders come before what is in
//! them, whether the firmware lists them or not. Everything belongs to root.

use std::collections::BTreeSet;

const FILE: u32 = 0o100_644;
const FOLDER: u32 = 0o040_755;
const KIND: u32 = 0o170_000;

#[derive(Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    folders: BTreeSet<String>,
    entries: u32,
}

impl Archive {
    /// Bytes so far.
    pub fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        // Device, inode, mode, user, group, links, device of its own, time, length of the name, of the content.
        let head = format!(
            "070707{:06o}{:06o}{:06o}{:06o}{:06o}{:06o}{:06o}{:011o}{:06o}{:011o}",
            0,
            self.entries,
            mode & 0o177_777,
            0,
            0,
            1,
            0,
            0,
            name.len() + 1,
            content.len()
        );
        self.bytes.extend_from_slice(head.as_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.bytes.extend_from_slice(content);
    }

    pub fn folder(&mut self, name: &str) {
        self.folders_of(name);
        if self.folders.insert(name.to_owned()) {
            self.entry(name, FOLDER, &[]);
        }
    }

    fn folders_of(&mut self, name: &str) {
        let ends: Vec<usize> = name.match_indices('/').map(|(at, _)| at).collect();
        for parent in ends.into_iter().filter_map(|at| name.get(..at)) {
            if self.folders.insert(parent.to_owned()) {
                self.entry(parent, FOLDER, &[]);
            }
        }
    }

    /// A file, or a link with its target as content, as `mode` says (0: not known).
    pub fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.folders_of(name);
        self.entry(name, if mode & KIND == 0 { FILE } else { mode }, content);
    }

    pub fn end(mut self) -> Vec<u8> {
        self.entries = 0;
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_folders_before_their_files() {
        let mut archive = Archive::default();
        archive.file("a/b/c.plist", 0, b"hello");
        archive.file("a/run", 0o100_755, b"x");
        archive.folder("a");
        let bytes = archive.end();
        let mut rest = bytes.as_slice();
        let mut seen = Vec::new();
        while !rest.is_empty() {
            let octal = |at: usize, width: usize| {
                usize::from_str_radix(std::str::from_utf8(&rest[at..at + width]).unwrap(), 8).unwrap()
            };
            assert_eq!(&rest[..6], b"070707");
            let (mode, name, length) = (octal(18, 6), octal(59, 6), octal(65, 11));
            let text = std::str::from_utf8(&rest[76..76 + name - 1]).unwrap();
            assert_eq!(rest[76 + name - 1], 0);
            seen.push((text.to_owned(), mode, rest[76 + name..76 + name + length].to_vec()));
            rest = &rest[76 + name + length..];
        }
        let wanted = [
            ("a", 0o040_755, &b""[..]),
            ("a/b", 0o040_755, b""),
            ("a/b/c.plist", 0o100_644, b"hello"),
            ("a/run", 0o100_755, b"x"),
            ("TRAILER!!!", 0, b""),
        ];
        assert_eq!(seen, wanted.map(|(name, mode, content)| (name.to_owned(), mode, content.to_vec())));
    }
}
