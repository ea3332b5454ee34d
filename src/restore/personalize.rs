//! A component as the device takes it: the file of the IPSW with the ticket around it.
//!
//! The file goes as shipped; only its fourcc changes where the restore variant of a part shares its file
//! with the installed one. Before it is used its digest is compared with the manifest's: a device would
//! refuse a wrong file without saying why. Properties that the host adds (IM4R) are those that Apple's
//! answer brings for a component (`<component>-TBM`) and, where the identity asks for it, the nonce slots:
//! which of its nonces the ticket is for, told with LLB and the SEP.
//!
//! A restore ramdisk has 150 MB, so nothing is put together in memory: the digest is one pass over the
//! file, the upload another one, with the head of the container before it and the ticket behind.

use super::img3;
use super::ticket::Ticket;
use crate::fault::{Code, Fault};
use crate::firmware::RootImage;
use crate::ids::BuildId;
use crate::wire::img4::der::{self, SEQUENCE, Tag};
use crate::wire::img4::{self, Algorithm, MAX_IMAGE, Property};
use crate::wire::manifest::{BuildIdentity, Component};
use crate::wire::tss::Form;
use plist::{Dictionary, Value};
use sha2::digest::DynDigest;
use std::io::{Cursor, Read};
use std::sync::Arc;

/// A file of the firmware, read from its beginning.
pub struct Source {
    /// In bytes.
    pub length: u64,
    pub reader: Box<dyn Read + Send>,
}

/// Where the files of the firmware come from (an opened IPSW). Calls block.
pub trait Components: Send + Sync {
    /// Called twice for each component.
    ///
    /// # Errors
    /// `firmware-damaged` when it is missing or broken.
    fn open(&self, path: &str) -> Result<Source, Fault>;

    /// Its size in bytes, where that is known without reading it.
    fn size(&self, path: &str) -> Option<u64>;

    /// Files whose path begins so.
    fn listed(&self, _prefix: &str) -> Vec<Listed> {
        Vec::new()
    }

    /// A disk image, to be read by position.
    ///
    /// # Errors
    /// `firmware-damaged` when it is missing or broken.
    fn image(&self, path: &str) -> Result<RootImage, Fault> {
        Err(missing(path))
    }
}

/// A file, unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub path: String,
    /// Kind and permissions as Unix writes them; 0 where the archive does not say.
    pub mode: u32,
}

/// Which of its nonces a device gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    pub ap: u64,
    pub sep: u64,
}

impl Default for Slots {
    /// What a device means that names none.
    fn default() -> Self {
        Slots { ap: 0, sep: 2 }
    }
}

impl Slots {
    /// Of `ApParameters`, as lockdown gives it.
    pub fn read(parameters: &Dictionary) -> Self {
        let slot = |key: &str| parameters.get(key).and_then(Value::as_unsigned_integer);
        let Slots { ap, sep } = Slots::default();
        Slots { ap: slot("ApNonceSlotID").unwrap_or(ap), sep: slot("SepNonceSlotID").unwrap_or(sep) }
    }
}

fn missing(name: &str) -> Fault {
    Fault::new(Code::FirmwareDamaged, format!("the firmware has no {name} for this device"))
}

fn entry<'a>(identity: &'a BuildIdentity, name: &str) -> Result<(&'a Component, &'a str), Fault> {
    let component = identity.component(name).ok_or_else(|| missing(name))?;
    let path = component.path.as_deref().ok_or_else(|| missing(name))?;
    Ok((component, path))
}

pub fn has(identity: &BuildIdentity, name: &str) -> bool {
    entry(identity, name).is_ok()
}

/// Components that iBoot loads with `firmware`, in the manifest's order.
pub fn loaded_by_iboot(identity: &BuildIdentity) -> Vec<String> {
    identity.loaded_by_iboot().filter(|(_, c)| c.path.is_some()).map(|(name, _)| name.to_owned()).collect()
}

pub fn size(identity: &BuildIdentity, components: &Arc<dyn Components>, name: &str) -> Option<u64> {
    components.size(identity.path(name)?)
}

/// The build's train, e.g. 20 for iOS 16.
pub fn train(identity: &BuildIdentity) -> Option<u32> {
    let build: BuildId = identity.info().get("BuildNumber")?.as_string()?.parse().ok()?;
    Some(build.train)
}

/// A component ready to be sent.
pub struct Personalised {
    /// Bytes of the container.
    pub length: u64,
    pub image: Box<dyn Read + Send>,
    /// The iBoot version that the file carries, e.g. `iBoot-8422.142.2`; none where it carries another text.
    pub version: Option<String>,
}

/// Opens component `name`, checks it and puts the ticket around it, on a blocking thread.
///
/// # Errors
/// `firmware-damaged` when it is missing or no IM4P (IMG3), `firmware-digest` when it is not what the manifest says,
/// `tss-invalid-answer` when its IMG3 Blob is none, or half of what is to be added to it.
pub async fn component_in(
    identity: &BuildIdentity,
    components: &Arc<dyn Components>,
    ticket: &Arc<Ticket>,
    slots: Slots,
    name: &str,
) -> Result<Personalised, Fault> {
    let (component, path) = entry(identity, name)?;
    let im4r = properties(identity, ticket, slots, name)?;
    let (name, path) = (name.to_owned(), path.to_owned());
    let (components, ticket) = (Arc::clone(components), Arc::clone(ticket));
    let (digest, fourcc) = (component.digest.clone(), fourcc(component, &name));
    tokio::task::spawn_blocking(move || {
        if ticket.form == Form::Img3 {
            return img3::component(&name, components.open(&path)?, img3::blob(&ticket, &name));
        }
        let head = Head::read(&name, components.open(&path)?)?;
        let version = Some(head.version.clone()).filter(|v| v.starts_with("iBoot-"));
        let length = head.length;
        check(&name, head.with(fourcc), digest.as_deref())?;
        let again = Again::Later(Box::new(move || Ok(Head::read(&name, components.open(&path)?)?.with(fourcc))));
        Ok(wrap(length, Box::new(again), &ticket.der, &im4r, version))
    })
    .await
    .map_err(|e| Fault::new(Code::Internal, e.to_string()))?
}

/// A file that is opened when the first of it is wanted: of those that wait for their turn nothing is in memory.
enum Again {
    Later(Box<dyn FnOnce() -> Result<Box<dyn Read + Send>, Fault> + Send>),
    Open(Box<dyn Read + Send>),
    Lost,
}

impl Read for Again {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut reader = match std::mem::replace(self, Again::Lost) {
            Again::Later(open) => open().map_err(std::io::Error::other)?,
            Again::Open(reader) => reader,
            Again::Lost => return Err(std::io::Error::other("the file could not be opened again")),
        };
        let count = reader.read(buffer);
        *self = Again::Open(reader);
        count
    }
}

/// The fourcc that the component is sent with, where it differs from the file's.
pub fn fourcc(component: &Component, name: &str) -> Option<[u8; 4]> {
    component.payload_type.or_else(|| img4::restore_fourcc(name))
}

/// The begin of an IM4P: enough to know where its fourcc is.
struct Head {
    length: u64,
    fourcc_at: u64,
    version: String,
    reader: Box<dyn Read + Send>,
}

impl Head {
    /// Enough for two lengths, three words and a version.
    const ENOUGH: u64 = 512;

    fn read(name: &str, mut source: Source) -> Result<Head, Fault> {
        let damaged = |why: &str| Fault::new(Code::FirmwareDamaged, format!("{name}: {why}"));
        if source.length > MAX_IMAGE as u64 {
            return Err(damaged("larger than any component"));
        }
        let mut first = Vec::new();
        source.reader.by_ref().take(Self::ENOUGH).read_to_end(&mut first).map_err(|e| damaged(&e.to_string()))?;
        let (fourcc_at, version) = im4p_head(&first, source.length).ok_or_else(|| damaged("not an IM4P"))?;
        let reader = Box::new(Cursor::new(first).chain(source.reader));
        Ok(Head { length: source.length, fourcc_at, version, reader })
    }

    /// The whole file, with another fourcc where one is given.
    fn with(self, fourcc: Option<[u8; 4]>) -> Box<dyn Read + Send> {
        match fourcc {
            None => self.reader,
            Some(fourcc) => Box::new(Renamed { reader: self.reader, fourcc, fourcc_at: self.fourcc_at, at: 0 }),
        }
    }
}

/// Position of the fourcc, and the version text, of an IM4P of `length` bytes that begins with `first`.
fn im4p_head(first: &[u8], length: u64) -> Option<(u64, String)> {
    let (sequence, rest) = (first.first()?, first.get(1..)?);
    let (content, used) = der_length(rest)?;
    let start = 1 + used;
    let words = first.get(start..)?;
    if *sequence != 0x30 || content + start as u64 != length || words.get(..8)? != b"\x16\x04IM4P\x16\x04" {
        return None;
    }
    let text = words.get(12..)?;
    let (text_length, used) = der_length(text.get(1..)?)?;
    let end = 1 + used + usize::try_from(text_length).ok()?;
    let version = text.get(1 + used..end.min(text.len()))?;
    let version =
        if text.first() == Some(&0x16) { String::from_utf8_lossy(version).into_owned() } else { String::new() };
    Some((start as u64 + 8, version))
}

/// A DER length of at most four bytes, and how many bytes it took.
fn der_length(bytes: &[u8]) -> Option<(u64, usize)> {
    match *bytes.first()? {
        short @ 0..=0x7F => Some((short.into(), 1)),
        long @ 0x81..=0x84 => {
            let count = usize::from(long & 0x7F);
            let value = bytes.get(1..=count)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
            Some((value, 1 + count))
        }
        _ => None,
    }
}

/// Reads a file with four bytes of it replaced.
struct Renamed {
    reader: Box<dyn Read + Send>,
    fourcc: [u8; 4],
    fourcc_at: u64,
    at: u64,
}

impl Read for Renamed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.reader.read(buffer)?;
        for (position, byte) in (self.fourcc_at..).zip(self.fourcc) {
            let inside = position.checked_sub(self.at).and_then(|i| usize::try_from(i).ok()).filter(|i| *i < n);
            if let Some(place) = inside.and_then(|i| buffer.get_mut(i)) {
                *place = byte;
            }
        }
        self.at += n as u64;
        Ok(n)
    }
}

/// The IMG4 around an IM4P of `length` bytes.
fn wrap(
    length: u64,
    im4p: Box<dyn Read + Send>,
    im4m: &[u8],
    properties: &[([u8; 4], Property)],
    version: Option<String>,
) -> Personalised {
    let mut magic = Vec::new();
    der::text(&mut magic, b"IMG4");
    let mut tail = Vec::new();
    der::element(&mut tail, Tag::context(0), im4m);
    if !properties.is_empty() {
        der::element(&mut tail, Tag::context(1), &img4::im4r(properties));
    }
    let content = magic.len() as u64 + length + tail.len() as u64;
    let mut head = Vec::new();
    der::head(&mut head, SEQUENCE, content as usize);
    head.extend_from_slice(&magic);
    let whole = head.len() as u64 + length + tail.len() as u64;
    Personalised { length: whole, image: Box::new(Cursor::new(head).chain(im4p).chain(Cursor::new(tail))), version }
}

fn check(name: &str, mut im4p: Box<dyn Read + Send>, digest: Option<&[u8]>) -> Result<(), Fault> {
    let Some((wanted, algorithm)) = digest.and_then(|d| Some((d, Algorithm::by_length(d.len())?))) else {
        return Ok(());
    };
    let mut hash: Box<dyn DynDigest> = match algorithm {
        Algorithm::Sha1 => Box::new(sha1::Sha1::default()),
        Algorithm::Sha256 => Box::new(sha2::Sha256::default()),
        Algorithm::Sha384 => Box::new(sha2::Sha384::default()),
    };
    let mut piece = vec![0; 1 << 18];
    loop {
        match im4p.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => hash.update(piece.get(..n).unwrap_or_default()),
            Err(err) if err.kind() == std::io::ErrorKind::Interrupted => {}
            Err(err) => return Err(Fault::new(Code::FirmwareDamaged, format!("{name}: {err}"))),
        }
    }
    if *hash.finalize() != *wanted {
        return Err(Fault::new(Code::FirmwareDigest, format!("{name} is not the file that the manifest names")));
    }
    Ok(())
}

/// [`component_in`] for what boots the ramdisk: none of that tells a slot.
///
/// # Errors
/// The same.
pub async fn component(
    identity: &BuildIdentity,
    components: &Arc<dyn Components>,
    ticket: &Arc<Ticket>,
    name: &str,
) -> Result<Personalised, Fault> {
    component_in(identity, components, ticket, Slots::default(), name).await
}

/// What the host adds to a component, in the field's order: the slot, then Apple's two.
///
/// # Errors
/// `tss-invalid-answer` when only one of Apple's two is there.
pub fn properties(
    identity: &BuildIdentity,
    ticket: &Ticket,
    slots: Slots,
    name: &str,
) -> Result<Vec<([u8; 4], Property)>, Fault> {
    let mut list = Vec::new();
    if identity.info().get("RequiresNonceSlot").and_then(Value::as_boolean) == Some(true) {
        match name {
            "SEP" | "SepStage1" => list.push((*b"snid", Property::Int(slots.sep))),
            "LLB" => list.push((*b"anid", Property::Int(slots.ap))),
            _ => {}
        }
    }
    if let Some(tbm) = ticket.response.get(&format!("{name}-TBM")).and_then(Value::as_dictionary) {
        for fourcc in [*b"ucon", *b"ucer"] {
            let key = img4::word(fourcc);
            let bytes = tbm.get(&key).and_then(Value::as_data).filter(|bytes| !bytes.is_empty());
            let bytes = bytes.ok_or_else(|| Fault::new(Code::TssInvalid, format!("{name}-TBM has no {key}")))?;
            list.push((fourcc, Property::Bytes(bytes.to_vec())));
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::super::rig::dict;
    use super::*;

    fn identity(slots: bool) -> BuildIdentity {
        BuildIdentity {
            cpid: crate::ids::Cpid(0x8140),
            bdid: crate::ids::Bdid(4),
            security_domain: Some(1),
            unique_build_id: vec![],
            device_class: "d47ap".into(),
            variant: String::new(),
            behaviour: None,
            components: Default::default(),
            recovery: None,
            raw: dict([(
                "Info",
                dict([("RequiresNonceSlot", Value::Boolean(slots)), ("BuildNumber", Value::String("22A3354".into()))])
                    .into(),
            )]),
        }
    }

    fn ticket() -> Ticket {
        let tbm = dict([("ucon", Value::Data(vec![1; 8])), ("ucer", Value::Data(vec![2; 9]))]);
        let response = dict([("RestoreSEP-TBM", tbm.into())]);
        Ticket { form: Form::Img4, der: vec![0x30, 0], response, ap_nonce: vec![1; 32], sep_nonce: None }
    }

    #[test]
    fn the_host_adds_what_apple_and_the_identity_say() {
        let of = |slots, name| properties(&identity(slots), &ticket(), Slots::default(), name).unwrap();
        let tbm = [(*b"ucon", Property::Bytes(vec![1; 8])), (*b"ucer", Property::Bytes(vec![2; 9]))];
        assert_eq!(of(false, "RestoreSEP"), tbm);
        assert_eq!(of(true, "SEP"), [(*b"snid", Property::Int(2))]);
        assert_eq!(of(true, "LLB"), [(*b"anid", Property::Int(0))]);
        assert_eq!(of(false, "SEP"), []);
        assert_eq!(of(true, "iBEC"), []);
        assert_eq!(of(true, "SepStage1"), of(true, "SEP"));
        let told = dict([("ApNonceSlotID", Value::from(1u64)), ("SepNonceSlotID", Value::from(5u64))]);
        let slots = Slots::read(&told);
        let told = |name| properties(&identity(true), &ticket(), slots, name).unwrap();
        assert_eq!(told("SEP"), [(*b"snid", Property::Int(5))]);
        assert_eq!(told("LLB"), [(*b"anid", Property::Int(1))]);
        assert_eq!(Slots::read(&Dictionary::new()), Slots { ap: 0, sep: 2 });
        let mut half = ticket();
        let tbm = half.response.get_mut("RestoreSEP-TBM").and_then(Value::as_dictionary_mut).unwrap();
        tbm.remove("ucer");
        let fault = properties(&identity(true), &half, slots, "RestoreSEP").unwrap_err();
        assert_eq!(fault.code, Code::TssInvalid);
        assert_eq!(train(&identity(true)), Some(22));
    }

    fn source(bytes: &[u8]) -> Source {
        Source { length: bytes.len() as u64, reader: Box::new(Cursor::new(bytes.to_vec())) }
    }

    #[test]
    fn the_stream_is_what_stitching_gives() {
        for (size, properties) in [(10, true), (300, false), (70_000, true), (1_000_000, false)] {
            let im4p = img4::Im4p::build(*b"sepi", "iBoot-1.2", &vec![5; size], None);
            let list = if properties { properties_of(&identity(false)) } else { vec![] };
            let im4r = properties.then(|| img4::im4r(&list));
            for fourcc in [None, Some(*b"rsep")] {
                let head = Head::read("x", source(&im4p)).unwrap();
                assert_eq!(head.version, "iBoot-1.2");
                let mut ready = wrap(im4p.len() as u64, head.with(fourcc), &[0x30, 0], &list, None);
                let mut got = Vec::new();
                ready.image.read_to_end(&mut got).unwrap();
                assert_eq!(got.len() as u64, ready.length);
                assert_eq!(got, img4::stitch(&im4p, fourcc, &[0x30, 0], im4r.as_deref()).unwrap());
            }
        }
    }

    fn properties_of(identity: &BuildIdentity) -> Vec<([u8; 4], Property)> {
        properties(identity, &ticket(), Slots::default(), "RestoreSEP").unwrap()
    }

    #[test]
    fn a_file_must_be_the_one_of_the_manifest() {
        let im4p = img4::Im4p::build(*b"krnl", "", &[5; 300], None);
        let digest = img4::digest_with_fourcc(&im4p, Some(*b"rkrn"), Algorithm::Sha384).unwrap();
        let check = |fourcc, digest: Option<&[u8]>| {
            check("k", Head::read("k", source(&im4p)).unwrap().with(fourcc), digest).map_err(|f| f.code)
        };
        check(Some(*b"rkrn"), Some(&digest)).unwrap();
        check(None, None).unwrap();
        assert_eq!(check(None, Some(&digest)), Err(Code::FirmwareDigest));
        let cut = Head::read("k", source(&im4p[..200]));
        assert_eq!(cut.err().unwrap().code, Code::FirmwareDamaged);
    }

    proptest::proptest! {
        #[test]
        fn no_head_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64), claims in 0..80u64) {
            let _ = im4p_head(&bytes, claims);
            let real = [&[0x30, 0x82][..], &bytes].concat();
            let _ = im4p_head(&real, claims);
        }
    }
}
