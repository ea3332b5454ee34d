//! The records of a zip: its end, its directory, its local headers; zip64 included.
//!
//! Only parsing and checking, one record at a time; what the entries mean together is `archive`'s. Every
//! number is checked before it is used, every length against a cap before anything is allocated.

use super::archive::{Entry, Method, Shared};
use crate::fault::Fault;

const MAX_ENTRIES: u64 = 1 << 16;
const MAX_DIRECTORY: u64 = 64 << 20;
const MAX_SIZE: u64 = 64 << 30;
/// The most that one byte of deflate can become.
const MAX_RATIO: u64 = 1032;

const LOCAL: u32 = 0x0403_4B50;
const CENTRAL: u32 = 0x0201_4B50;
const END: u32 = 0x0605_4B50;
const END64: u32 = 0x0606_4B50;
const LOCATOR64: u32 = 0x0706_4B50;
const END_LENGTH: u64 = 22;
const LOCATOR_LENGTH: u64 = 20;
/// Who made an entry: then its attributes begin with a mode.
const UNIX: u16 = 3;
pub(super) struct Directory {
    pub offset: u64,
    pub size: u64,
    pub count: u64,
}

/// Finds the central directory from the end of the file, zip64 included.
pub(super) fn find_directory(shared: &Shared, length: u64) -> Result<Directory, Fault> {
    let cut = || shared.damaged("is not a whole zip: its end is missing");
    let tail_length = length.min(END_LENGTH + u64::from(u16::MAX));
    let mut tail = vec![0; usize::try_from(tail_length).unwrap_or(0)];
    shared.read_exact_at(length - tail_length, &mut tail)?;
    let last = tail.len().checked_sub(END_LENGTH as usize).ok_or_else(cut)?;
    let at = (0..=last)
        .rev()
        .find(|&at| {
            let mut end = Bytes(&tail[at..]);
            let comment = || Some(usize::from(Bytes(tail.get(at + 20..)?).u16()?));
            end.u32() == Some(END) && comment() == Some(last - at)
        })
        .ok_or_else(cut)?;
    let end = length - tail_length + at as u64;
    let parse = || {
        let mut record = Bytes(tail.get(at + 4..)?);
        let disks = (record.u16()?, record.u16()?);
        let counts = (record.u16()?, record.u16()?);
        let (size, offset) = (record.u32()?, record.u32()?);
        Some((disks, counts, size, offset))
    };
    let (disks, counts, size, offset) = parse().ok_or_else(cut)?;
    let mut directory = Directory { offset: offset.into(), size: size.into(), count: counts.1.into() };
    let mut before = end;
    let mut locator = [0; LOCATOR_LENGTH as usize];
    if let Some(place) = end.checked_sub(LOCATOR_LENGTH) {
        shared.read_exact_at(place, &mut locator)?;
    }
    if Bytes(&locator).u32() == Some(LOCATOR64) {
        let bad = || shared.damaged("has a wrong zip64 record");
        let place = Bytes(&locator[8..]).u64().ok_or_else(bad)?;
        let record_end = place.checked_add(56).filter(|&e| e <= end - LOCATOR_LENGTH).ok_or_else(bad)?;
        let mut record = [0; 56];
        shared.read_exact_at(record_end - 56, &mut record)?;
        let number = |at: usize| record.get(at..).and_then(|r| Bytes(r).u64());
        let (Some(LARGE), Some(count), Some(size64), Some(offset64)) =
            (Bytes(&record).u32().map(u64::from), number(32), number(40), number(48))
        else {
            return Err(bad());
        };
        const LARGE: u64 = END64 as u64;
        let agrees = |small: u64, limit: u64, large: u64| small == limit || small == large;
        if !agrees(directory.count, 0xFFFF, count)
            || !agrees(directory.size, 0xFFFF_FFFF, size64)
            || !agrees(directory.offset, 0xFFFF_FFFF, offset64)
        {
            return Err(shared.damaged("has two directories that contradict each other"));
        }
        directory = Directory { offset: offset64, size: size64, count };
        before = place;
    } else if disks != (0, 0) || counts.0 != counts.1 {
        return Err(shared.damaged("is one disk of several"));
    }
    let fits = directory.offset.checked_add(directory.size).is_some_and(|e| e <= before);
    if !fits {
        return Err(shared.damaged("has a directory beyond its end"));
    }
    if directory.count > MAX_ENTRIES || directory.size > MAX_DIRECTORY || directory.count * 46 > directory.size {
        return Err(
            shared.damaged(format!("has an absurd directory: {} entries in {} bytes", directory.count, directory.size))
        );
    }
    Ok(directory)
}

/// One record of the central directory; `data` is not known yet.
pub(super) fn central(rest: &mut Bytes<'_>) -> Result<(String, Entry), &'static str> {
    const CUT: &str = "the directory is cut off";
    if rest.u32() != Some(CENTRAL) {
        return Err("the directory is damaged");
    }
    let mut fields = || -> Option<_> {
        let host = rest.u16()? >> 8;
        rest.skip(2)?;
        let (flags, method) = (rest.u16()?, rest.u16()?);
        rest.skip(4)?;
        let (crc, compressed, size) = (rest.u32()?, u64::from(rest.u32()?), u64::from(rest.u32()?));
        let (name, extra, comment) = (rest.u16()?, rest.u16()?, rest.u16()?);
        let disk = rest.u16()?;
        rest.skip(2)?;
        let attributes = rest.u32()?;
        let mode = if host == UNIX { attributes >> 16 } else { 0 };
        let header = u64::from(rest.u32()?);
        let (name, extra) = (rest.take(name.into())?, rest.take(extra.into())?);
        rest.skip(comment.into())?;
        Some((flags, method, crc, compressed, size, disk, mode, header, name, extra))
    };
    let (flags, method, crc, mut compressed, mut size, _, mode, mut header, name, extra) = fields().ok_or(CUT)?;
    let mut extras = Bytes(extra);
    while let (Some(id), Some(length)) = (extras.u16(), extras.u16()) {
        let mut field = Bytes(extras.take(length.into()).ok_or("an extra field is cut off")?);
        if id != 1 {
            continue;
        }
        for value in [&mut size, &mut compressed, &mut header] {
            if *value == 0xFFFF_FFFF {
                *value = field.u64().ok_or("a zip64 field is cut off")?;
            }
        }
    }
    let method = match method {
        0 => Method::Stored,
        8 => Method::Deflated,
        other => Method::Other(other),
    };
    let absurd = match method {
        Method::Stored => size != compressed,
        Method::Deflated => size > compressed.saturating_mul(MAX_RATIO) + 64,
        Method::Other(_) => false,
    };
    if absurd || size > MAX_SIZE || compressed > MAX_SIZE {
        return Err("an entry has an absurd size");
    }
    let name = std::str::from_utf8(name).map_err(|_| "a name is not UTF-8")?.to_owned();
    Ok((name, Entry { method, crc, compressed, size, mode, encrypted: flags & 1 != 0, header, data: 0 }))
}

/// Checks an entry's local header and gives where the data begins.
pub(super) fn local(shared: &Shared, name: &str, entry: &Entry, directory: u64) -> Result<u64, &'static str> {
    const BEYOND: &str = "lies beyond the directory";
    let head_end = entry.header.checked_add(30 + name.len() as u64).filter(|&e| e <= directory).ok_or(BEYOND)?;
    let mut head = vec![0; 30 + name.len()];
    shared.read_exact_at(entry.header, &mut head).map_err(|_| BEYOND)?;
    let mut fields = Bytes(&head);
    let parse = || {
        let signature = fields.u32()?;
        fields.skip(4)?;
        let method = fields.u16()?;
        fields.skip(16)?;
        Some((signature, method, usize::from(fields.u16()?), u64::from(fields.u16()?), fields.0))
    };
    let mut parse = parse;
    let (signature, method, name_length, extra, found) = parse().ok_or(BEYOND)?;
    let same_method = match entry.method {
        Method::Stored => method == 0,
        Method::Deflated => method == 8,
        Method::Other(other) => method == other,
    };
    if signature != LOCAL || name_length != name.len() || found != name.as_bytes() || !same_method {
        return Err("its local header contradicts the directory");
    }
    let data = head_end + extra;
    match data.checked_add(entry.compressed) {
        Some(end) if end <= directory => Ok(data),
        _ => Err(BEYOND),
    }
}

/// A name that stays inside the archive.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    let path = name.strip_suffix('/').unwrap_or(name);
    let drive = path.as_bytes().get(1) == Some(&b':');
    let hostile = path.split('/').any(|part| matches!(part, "" | "." | ".."));
    if hostile || drive || path.contains(['\\', '\0']) || name.len() > 1024 {
        return Err("is not a name that an IPSW may hold");
    }
    Ok(())
}

/// A local header that says what the index says, so that the crate inflates exactly that.
pub(super) fn header_for(entry: &Entry) -> Vec<u8> {
    let mut head = Vec::with_capacity(51);
    head.extend_from_slice(&LOCAL.to_le_bytes());
    head.extend_from_slice(&45u16.to_le_bytes());
    head.extend_from_slice(&[0, 0]);
    head.extend_from_slice(&8u16.to_le_bytes());
    head.extend_from_slice(&[0, 0, 0x21, 0]);
    head.extend_from_slice(&entry.crc.to_le_bytes());
    head.extend_from_slice(&[0xFF; 8]);
    head.extend_from_slice(&1u16.to_le_bytes());
    head.extend_from_slice(&20u16.to_le_bytes());
    head.push(b'x');
    head.extend_from_slice(&[1, 0, 16, 0]);
    head.extend_from_slice(&entry.size.to_le_bytes());
    head.extend_from_slice(&entry.compressed.to_le_bytes());
    head
}

/// Little-endian numbers from a slice; none at its end.
pub(super) struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }
    fn skip(&mut self, count: usize) -> Option<()> {
        self.take(count).map(|_| ())
    }
    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }
    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }
    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
}
