//! What can be verified inside an IPSW.
//!
//! The whole file is verified by the catalogue's digest; this looks inside, for the file that a person
//! brought and no catalogue knows, and to say before a restore begins what a device would refuse in the
//! middle of it. The manifest's digest of a component covers its IM4P as it will be sent, so after the fourcc
//! became `Img4PayloadType`: two components may share a file and differ in digest.
//!
//! Not everything can be checked. IMG3 digests leave the signature area out; baseband files have digests of
//! their parts only; that the digest of a raw image is the plain one of its file is likely and
//! unconfirmed, so there a match is believed and a difference is not called damage.

use super::ipsw::Ipsw;
use crate::fault::{Code, Fault};
use crate::net::hex;
use crate::wire::img4::{Algorithm, MAX_IMAGE, digest_with_fourcc, restore_fourcc};
use crate::wire::manifest::{BuildIdentity, Component};
use sha2::Digest;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The digest of the manifest.
    Ok,
    /// Another digest; lower-case hex.
    Mismatch {
        found: String,
        wanted: String,
    },
    /// Not in the archive, or its zip entry is damaged.
    Damaged(String),
    CannotCheck(&'static str),
}

/// One component of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    pub component: String,
    pub path: String,
    pub verdict: Verdict,
}

/// What checks came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub ok: u64,
    pub unchecked: u64,
    /// Which part of which board, and what is wrong with it.
    pub wrong: Vec<String>,
}

impl Tally {
    pub fn of(board: &str, checked: Vec<Checked>) -> Tally {
        let mut tally = Tally::default();
        for part in checked {
            let wrong = match part.verdict {
                Verdict::Ok => {
                    tally.ok += 1;
                    continue;
                }
                Verdict::CannotCheck(_) => {
                    tally.unchecked += 1;
                    continue;
                }
                Verdict::Mismatch { found, wanted } => format!("its digest is {found}, not {wanted}"),
                Verdict::Damaged(why) => why,
            };
            tally.wrong.push(format!("{board} {}: {wrong}", part.component));
        }
        tally
    }
}

/// Checks every component that has a path, in the order of their files; each file is read once. Then those of
/// the recovery system beside it that are not among them. `go_on` is asked between files and pieces of large
/// ones.
pub fn verify_components(
    ipsw: &Ipsw,
    identity: &BuildIdentity,
    go_on: &dyn Fn() -> bool,
) -> Result<Vec<Checked>, Fault> {
    let mut all = of_one(ipsw, &identity.components, &|_, _| true, go_on)?;
    if let Some(recovery) = &identity.recovery {
        let same = |name: &str, component: &Component| identity.component(name).is_some_and(|c| c.raw == component.raw);
        let more = of_one(ipsw, &recovery.components, &|name, component| !same(name, component), go_on)?;
        all.extend(more.into_iter().map(|c| Checked { component: format!("RecoveryOS {}", c.component), ..c }));
    }
    Ok(all)
}

fn of_one(
    ipsw: &Ipsw,
    components: &BTreeMap<String, Component>,
    wanted: &dyn Fn(&str, &Component) -> bool,
    go_on: &dyn Fn() -> bool,
) -> Result<Vec<Checked>, Fault> {
    let mut by_path: BTreeMap<&str, Vec<(&str, &Component)>> = BTreeMap::new();
    for (name, component) in components.iter().filter(|(name, component)| wanted(name, component)) {
        if let Some(path) = component.path.as_deref() {
            by_path.entry(path).or_default().push((name, component));
        }
    }
    let mut all = Vec::new();
    for (path, components) in by_path {
        let verdicts = match file(ipsw, path, &components, go_on) {
            Ok(verdicts) => verdicts,
            Err(fault) if fault.code == Code::FirmwareDamaged => {
                vec![Verdict::Damaged(fault.detail); components.len()]
            }
            Err(fault) => return Err(fault),
        };
        all.extend(components.iter().zip(verdicts).map(|((name, _), verdict)| Checked {
            component: (*name).to_owned(),
            path: path.to_owned(),
            verdict,
        }));
    }
    Ok(all)
}

/// One verdict per component of one file.
fn file(
    ipsw: &Ipsw,
    path: &str,
    components: &[(&str, &Component)],
    go_on: &dyn Fn() -> bool,
) -> Result<Vec<Verdict>, Fault> {
    let size = ipsw.entry(path).map_or(0, |e| e.size);
    let raw = components.iter().any(|(_, c)| c.hash_method.is_some() || c.flags.personalize == Some(false));
    if raw || size > MAX_IMAGE as u64 {
        return raw_file(ipsw, path, components, go_on);
    }
    if !go_on() {
        return Err(Fault::cancelled());
    }
    let bytes = ipsw.read(path, MAX_IMAGE as u64)?;
    Ok(components.iter().map(|(name, component)| image4(name, component, &bytes)).collect())
}

fn image4(name: &str, component: &Component, bytes: &[u8]) -> Verdict {
    let Some(wanted) = &component.digest else { return Verdict::CannotCheck("the manifest has no digest") };
    let Some(algorithm) = Algorithm::by_length(wanted.len()) else {
        return Verdict::CannotCheck("a digest of unknown length");
    };
    if bytes.starts_with(b"3gmI") {
        return Verdict::CannotCheck("IMG3: the digest does not cover the whole file");
    }
    let Ok(found) = digest_with_fourcc(bytes, component.payload_type, algorithm) else {
        let plain = algorithm.digest(&[bytes]);
        return if plain == *wanted { Verdict::Ok } else { Verdict::CannotCheck("not an IM4P") };
    };
    let renamed = || restore_fourcc(name).and_then(|f| digest_with_fourcc(bytes, Some(f), algorithm).ok());
    if found == *wanted || (component.payload_type.is_none() && renamed().is_some_and(|d| d == *wanted)) {
        Verdict::Ok
    } else {
        Verdict::Mismatch { found: hex(&found), wanted: hex(wanted) }
    }
}

fn raw_file(
    ipsw: &Ipsw,
    path: &str,
    components: &[(&str, &Component)],
    go_on: &dyn Fn() -> bool,
) -> Result<Vec<Verdict>, Fault> {
    let wants = |bytes: usize| components.iter().any(|(_, c)| c.digest.as_ref().is_some_and(|d| d.len() == bytes));
    let mut sha1 = wants(20).then(sha1::Sha1::new);
    let mut sha256 = wants(32).then(sha2::Sha256::new);
    let mut sha384 = wants(48).then(sha2::Sha384::new);
    ipsw.stream(path, &mut |bytes| {
        if let Some(digest) = &mut sha1 {
            digest.update(bytes);
        }
        if let Some(digest) = &mut sha256 {
            digest.update(bytes);
        }
        if let Some(digest) = &mut sha384 {
            digest.update(bytes);
        }
        if go_on() { Ok(()) } else { Err(Fault::cancelled()) }
    })?;
    let found: Vec<Vec<u8>> = [
        sha1.map(|d| d.finalize().to_vec()),
        sha256.map(|d| d.finalize().to_vec()),
        sha384.map(|d| d.finalize().to_vec()),
    ]
    .into_iter()
    .flatten()
    .collect();
    Ok(components
        .iter()
        .map(|(_, component)| match &component.digest {
            None => Verdict::CannotCheck("the manifest has no digest"),
            Some(wanted) if found.contains(wanted) => Verdict::Ok,
            Some(_) => Verdict::CannotCheck("the plain digest differs; what this digest covers is not known"),
        })
        .collect())
}
