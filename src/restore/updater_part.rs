//! `FirmwareData`: the bytes of the other chips' firmware, in the form that each updater takes.
//!
//! An older updater had nothing but what came beside its ticket; newer ones fetch the files themselves
//! (SourceBootObject: seen in recordings of iOS 16 and 18) and leave `FirmwareData` out of their tags. Where
//! the border lies is inferred. The forms, and how sure they are (no chip has taken any of them from us; "two
//! agree" means two public restore tools, read for the fact):
//!
//! | updater | component | form | certainty |
//! |---|---|---|---|
//! | SE | `SE,Firmware` for chip 0x20211, else `SE,UpdatePayload` | as it is | two tools agree |
//! | Savage | `Savage,{B0,B2,BA}-{Prod,Dev}-Patch` | 16 bytes before it, its size at 4 in little-endian, else zero | one tool; the other sends the head without the file and is taken to be wrong |
//! | Savage with `YonkersDeviceInfo` | the `Yonkers,SysTopPatch…` of its fusing and mask | a dictionary: `YonkersFirmware` | two tools agree |
//! | Rose | `Rap,RTKitOS`, and `rrko` of `Rap,RestoreRTKitOS` at its end | ftab | contents: two agree; offsets moved by the new entry: one, the other writes over the first part |
//! | AppleTypeCRetimer | the same of `Timer,…,<tag>` | ftab | as Rose; one tool made it for the iPad Air 5 |
//! | T200 | `BMU,FirmwareMap` with `fw_map_digest`, its digest in the manifest | binary property list | two agree |
//! | AppleTCON | `Baobab,TCON` | as it is | two agree |
//! | Vinyl, Cryptex1, Centauri, Cellular1, PS190, Ace3, Jasmine | none | ticket only | two agree; nobody sends more |
//!
//! Where there is nothing to insert, an ftab goes as shipped. A table without `rrko` where one belongs is a
//! damaged firmware here; the tools send it without and wait what the chip says.

use crate::fault::{Code, Fault};
use crate::wire::devicelink::guard::binary_plist;
use crate::wire::ftab::Ftab;
use crate::wire::restored;
use plist::{Dictionary, Value};

/// Cap on a firmware map, in bytes; real ones have a few thousand.
const MAP_CAP: usize = 16 << 20;
/// The part of the restore table that the installed system does not have.
const RESTORE_PART: [u8; 4] = *b"rrko";

/// What is sent to one chip: names are components of the build identity.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Plain(String),
    Savage(String),
    Yonkers(String),
    Table {
        system: String,
        restore: Option<String>,
    },
    /// With the map's digest.
    Map(String, Vec<u8>),
}

fn damaged(name: &str, why: impl std::fmt::Display) -> Fault {
    Fault::new(Code::FirmwareDamaged, format!("{name}: {why}"))
}

impl Part {
    /// The components whose files [`Part::make`] wants, in order.
    pub fn components(&self) -> Vec<&str> {
        match self {
            Part::Plain(name) | Part::Savage(name) | Part::Yonkers(name) | Part::Map(name, _) => vec![name],
            Part::Table { system, restore } => {
                [Some(system), restore.as_ref()].into_iter().flatten().map(|n| &**n).collect()
            }
        }
    }

    /// The value of `FirmwareData`.
    ///
    /// # Errors
    /// `firmware-damaged` when a file is not what this chip's firmware looks like.
    pub fn make(&self, files: &[Vec<u8>]) -> Result<Value, Fault> {
        let first = files.first().map(Vec::as_slice).unwrap_or_default();
        let names = self.components();
        if let Some(name) = names.iter().zip(files).find_map(|(name, file)| file.is_empty().then_some(name)) {
            return Err(damaged(name, "is empty"));
        }
        if names.len() != files.len() {
            return Err(Fault::new(Code::Internal, "another number of files than components"));
        }
        Ok(match self {
            Part::Plain(_) => Value::Data(first.to_vec()),
            Part::Savage(name) => Value::Data(headed(name, first)?),
            Part::Yonkers(_) => {
                Dictionary::from_iter([("YonkersFirmware".to_owned(), Value::Data(first.to_vec()))]).into()
            }
            Part::Table { system, restore } => {
                let mut table = Ftab::parse(first).map_err(|why| damaged(system, why))?;
                let (Some(name), Some(file)) = (restore, files.get(1)) else {
                    return Ok(Value::Data(first.to_vec()));
                };
                let other = Ftab::parse(file).map_err(|why| damaged(name, why))?;
                let part = other.part(RESTORE_PART).ok_or_else(|| damaged(name, "has no rrko"))?;
                table.put(RESTORE_PART, part).map_err(|why| damaged(system, why))?;
                Value::Data(table.build().map_err(|why| damaged(system, why))?)
            }
            Part::Map(name, digest) => Value::Data(map(name, first, digest)?),
        })
    }
}

fn headed(name: &str, file: &[u8]) -> Result<Vec<u8>, Fault> {
    let size = u32::try_from(file.len()).map_err(|_| damaged(name, "larger than any patch"))?;
    Ok([&[0; 4][..], &size.to_le_bytes(), &[0; 8], file].concat())
}

fn map(name: &str, file: &[u8], digest: &[u8]) -> Result<Vec<u8>, Fault> {
    if file.len() > MAP_CAP {
        return Err(damaged(name, "larger than any map"));
    }
    let mut map = if file.starts_with(b"bplist") {
        let value = binary_plist(file).map_err(|why| damaged(name, why))?;
        value.into_dictionary().ok_or_else(|| damaged(name, "is no dictionary"))?
    } else {
        restored::parse_any(file).map_err(|why| damaged(name, why))?
    };
    map.insert("fw_map_digest".into(), Value::Data(digest.to_vec()));
    let mut bytes = Vec::new();
    Value::Dictionary(map).to_writer_binary(&mut bytes).map_err(|why| damaged(name, why))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ftab::empty;

    fn data(part: &Part, files: &[Vec<u8>]) -> Vec<u8> {
        part.make(files).unwrap().into_data().unwrap()
    }

    fn table(parts: &[([u8; 4], &[u8])]) -> Vec<u8> {
        let mut table = empty(*b"rkos");
        parts.iter().for_each(|(tag, part)| table.put(*tag, part).unwrap());
        table.build().unwrap()
    }

    #[test]
    fn a_savage_patch_has_its_size_before_it() {
        let patch = vec![0xAB; 0x1234];
        let sent = data(&Part::Savage("p".into()), std::slice::from_ref(&patch));
        assert_eq!(sent[..16], [0, 0, 0, 0, 0x34, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(sent[16..], patch);
    }

    #[test]
    fn a_yonkers_patch_has_a_name() {
        let sent = Part::Yonkers("p".into()).make(&[vec![1, 2]]).unwrap();
        assert_eq!(sent.as_dictionary().unwrap().get("YonkersFirmware"), Some(&Value::Data(vec![1, 2])));
    }

    #[test]
    fn the_restore_part_of_a_table_joins_the_system() {
        let system = table(&[(*b"rkos", b"system"), (*b"sbd1", b"dsp")]);
        let restore = table(&[(*b"xxxx", b"other"), (*b"rrko", b"restore system")]);
        let part = Part::Table { system: "Rap,RTKitOS".into(), restore: Some("Rap,RestoreRTKitOS".into()) };
        assert_eq!(part.components(), ["Rap,RTKitOS", "Rap,RestoreRTKitOS"]);
        let sent = data(&part, &[system.clone(), restore]);
        assert_eq!(sent, table(&[(*b"rkos", b"system"), (*b"sbd1", b"dsp"), (*b"rrko", b"restore system")]));
        let code = |files: &[Vec<u8>]| part.make(files).unwrap_err().code;
        assert_eq!(code(&[system.clone(), system.clone()]), Code::FirmwareDamaged, "no rrko");
        assert_eq!(code(&[system.clone(), b"no table".to_vec()]), Code::FirmwareDamaged);
        assert_eq!(code(&[vec![], system.clone()]), Code::FirmwareDamaged);
        assert_eq!(code(std::slice::from_ref(&system)), Code::Internal);
        let alone = Part::Table { system: "Rap,RTKitOS".into(), restore: None };
        assert_eq!(data(&alone, std::slice::from_ref(&system)), system);
        assert_eq!(alone.make(&[system[..70].to_vec()]).unwrap_err().code, Code::FirmwareDamaged);
    }

    #[test]
    fn a_firmware_map_is_binary_and_knows_its_digest() {
        let part = Part::Map("BMU,FirmwareMap".into(), vec![7; 48]);
        let mut map = Dictionary::new();
        map.insert("fw".into(), Value::Data(vec![1; 9]));
        let (mut xml, mut binary) = (Vec::new(), Vec::new());
        plist::to_writer_xml(&mut xml, &map).unwrap();
        plist::to_writer_binary(&mut binary, &map).unwrap();
        map.insert("fw_map_digest".into(), Value::Data(vec![7; 48]));
        for file in [xml, binary] {
            let sent = data(&part, &[file]);
            assert!(sent.starts_with(b"bplist00"));
            assert_eq!(plist::from_bytes::<Dictionary>(&sent).unwrap(), map);
        }
        let deep = format!("<plist>{}{}</plist>", "<array>".repeat(9000), "</array>".repeat(9000)).into_bytes();
        for bad in [b"bplist00".to_vec(), b"<plist><array/></plist>".to_vec(), deep, vec![0; MAP_CAP + 1]] {
            assert_eq!(part.make(&[bad]).unwrap_err().code, Code::FirmwareDamaged);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_file_panics(one in proptest::collection::vec(proptest::num::u8::ANY, 0..160), cut in 0..120_usize) {
            let whole = table(&[(*b"rkos", b"system"), (*b"rrko", b"restore")]);
            let cut = whole[..cut.min(whole.len())].to_vec();
            for part in [
                Part::Table { system: "a".into(), restore: Some("b".into()) },
                Part::Table { system: "a".into(), restore: None },
                Part::Map("m".into(), vec![]),
                Part::Savage("s".into()),
            ] {
                let _ = part.make(&[one.clone(), cut.clone()]);
                let _ = part.make(&[cut.clone(), one.clone()]);
                let _ = part.make(&[[&b"bplist00"[..], &one].concat()]);
                let _ = part.make(std::slice::from_ref(&cut));
            }
        }
    }
}
