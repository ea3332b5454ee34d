//! Chips with a little system of their own, and firmware in a form of its own: Rose, the battery's, the
//! display's, the USB-C retimer.

use super::content::{ftab, noise};
use super::era::Era;
use super::parts::{Digested, Parts, Rules};
use plist::{Dictionary, Value};

/// The number that the retimer's components and keys carry.
const RETIMER: u32 = 1;

/// What the identity says about them.
pub(super) fn keys(era: &Era<'_>) -> Dictionary {
    let mut keys: Vec<(String, Value)> = Vec::new();
    let mut add = |prefix: &str, tail: &str, list: &[(&str, Value)]| {
        keys.extend(list.iter().map(|(key, value)| (format!("{prefix},{key}{tail}"), value.clone())));
    };
    let board = [("BoardID", Value::from(2u64)), ("ChipID", "0x1001".into()), ("SecurityDomain", "0x01".into())];
    if era.has_rose() {
        add("Rap", "", &board);
    }
    if era.has_veridian() {
        add("BMU", "", &board[..2]);
    }
    if era.has_tcon() {
        add("Baobab", "", &board);
        add("Baobab", "", &[("ManifestEpoch", Value::from(1u64))]);
    }
    if era.has_retimer() {
        add("Timer", &format!(",{RETIMER}"), &board);
    }
    keys.into_iter().collect()
}

impl Parts<'_> {
    pub(super) fn accessories(&mut self) {
        if self.era.has_rose() {
            let name = |what: &str| format!("Rap,{what}");
            self.tables("Firmware/Rose/r1p1", &["rkos", "sbd1"], &name);
        }
        if self.era.has_veridian() {
            let path = "Firmware/Veridian/map.plist";
            let map = [("cells", Value::Data(noise(path, 6_000))), ("version", Value::from(7u64))];
            let map: Dictionary = map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            let mut bytes = Vec::new();
            if plist::to_writer_xml(&mut bytes, &map).is_ok() {
                self.raw(path, || bytes);
                let part = self.add("BMU,FirmwareMap", path, &[]);
                (part.digested, part.trusted) = (Digested::Bare, None);
            }
        }
        if self.era.has_tcon() {
            self.patch("Baobab,TCON", "Firmware/TCON/tcon.fw").rules = Rules::Raw;
        }
        if self.era.has_retimer() {
            let name = |what: &str| format!("Timer,{what},{RETIMER}");
            self.tables("Firmware/Retimer", &["rkos"], &name);
        }
    }

    /// One table for the system and one for the restore; each component's digest is that of its part.
    fn tables(&mut self, folder: &str, tags: &[&str], name: &dyn Fn(&str) -> String) {
        let algorithm = self.era.algorithm();
        let (table, restore) = (format!("{folder}/ftab.bin"), format!("{folder}/rfta.bin"));
        let word = |tag: &str| tag.as_bytes().try_into().unwrap_or(*b"none");
        let bytes = |tag: &str| noise(&format!("{folder} {tag}"), 90_000);
        self.raw(&table, || ftab(*b"rkos", &tags.iter().map(|tag| (word(tag), bytes(tag))).collect::<Vec<_>>()));
        self.raw(&restore, || ftab(*b"rkos", &[(*b"rrko", bytes("rrko"))]));
        for (what, tag, path) in
            [("RTKitOS", "rkos", &table), ("SoftwareBinaryDsp1", "sbd1", &table), ("RestoreRTKitOS", "rrko", &restore)]
        {
            if path == &restore || tags.contains(&tag) {
                let part = self.add(&name(what), path, &["IsFTAB"]);
                part.digested = Digested::None;
                part.digest = Some(algorithm.digest(&[&bytes(tag)]));
            }
        }
    }
}
