//! Firmware: catalogues, downloads and files that are not what they should be. Nothing unverified is ever in
//! the store, and nothing that was good there is lost.

use super::bench::{Ran, Rig, files};
use super::case::{Case, case};
use herstel::fault::Code;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// No phone is needed to fetch by product type.
const FETCH: &str = "firmware fetch --product iPhone14,5";

/// Files of the store that a restore would use; not downloads under way and not the quarantine.
fn published(rig: &Rig) -> Vec<PathBuf> {
    let inside = |path: &PathBuf| !["incoming", "quarantine"].iter().any(|n| path.starts_with(n));
    files(&rig.store()).into_iter().map(|(path, _)| path).filter(inside).collect()
}

pub fn store_is_empty(rig: &Rig, ran: &Ran) {
    assert_eq!(published(rig), Vec::<PathBuf>::new(), "{ran}");
}

fn in_quarantine(rig: &Rig, ran: &Ran) {
    store_is_empty(rig, ran);
    assert!(!files(&rig.store().join("quarantine")).is_empty(), "nothing is set aside\n{ran}");
}

fn store_is_good(rig: &Rig, _: &Ran) {
    rig.good(&["--json", "firmware", "cache", "verify"]);
    assert!(published(rig).iter().any(|p| p.extension().is_some_and(|e| e == "ipsw")));
}

/// How often the CDN was asked for bytes, and from which byte the last time.
fn asked(rig: &Rig) -> (usize, u64) {
    let memory = rig.bench.apple.memory();
    let ranges: Vec<u64> =
        memory.iter().filter(|m| m["what"] == "cdn").filter_map(|m| m["detail"]["from"].as_u64()).collect();
    (ranges.len(), ranges.last().copied().unwrap_or_default())
}

pub fn damaged(rig: &Rig) -> PathBuf {
    rig.path("damaged.ipsw")
}

/// `damaged.ipsw` becomes a copy of the bench's IPSW, then `change` is let at it.
pub fn ipsw(change: impl Fn(&fs::File, u64)) -> impl Fn(&Rig) {
    move |rig| {
        fs::copy(&rig.bench.firmware[0].path, damaged(rig)).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(damaged(rig)).unwrap();
        change(&file, file.metadata().unwrap().len());
    }
}

fn instead(bytes: &'static [u8]) -> impl Fn(&Rig) {
    move |rig| fs::write(damaged(rig), bytes).unwrap()
}

pub fn cut_in_half(file: &fs::File, length: u64) {
    file.set_len(length / 2).unwrap();
}

/// One bit in the largest run of file data: the middle of the archive is the system image.
pub fn flipped_in_the_middle(file: &fs::File, length: u64) {
    flip(file, length / 2);
}

fn flip(file: &fs::File, at: u64) {
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

/// Renames an entry, in its local header and in the directory, to a name of the same length.
fn renamed(from: &'static [u8], to: &'static [u8]) -> impl Fn(&fs::File, u64) {
    assert_eq!(from.len(), to.len());
    move |file, length| {
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        let found: Vec<usize> =
            bytes.windows(from.len()).enumerate().filter(|(_, w)| *w == from).map(|(i, _)| i).collect();
        assert!(found.len() >= 2, "{} is not in the archive", String::from_utf8_lossy(from));
        for at in found {
            file.write_all_at(to, at as u64).unwrap();
        }
    }
}

/// The end record claims a directory far away.
fn directory_elsewhere(file: &fs::File, length: u64) {
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let end = bytes.windows(4).rposition(|w| w == b"PK\x05\x06").unwrap();
    file.write_all_at(&[0xEE; 8], end as u64 + 12).unwrap();
}

pub fn cases() -> Vec<Case> {
    let mut all = downloads();
    all.extend(local_files());
    all
}

fn downloads() -> Vec<Case> {
    vec![
        case("fetch: the CDN cuts once; it goes on where it stopped")
            .apple("cdn_cut_at = 3000000")
            .run(FETCH)
            .after(store_is_good)
            .after(|rig, ran| assert_eq!(asked(rig), (2, 3_000_000), "{ran}")),
        case("fetch: cut, and ranges are ignored")
            .apple("cdn_cut_at = 3000000\ncdn_ignore_range = true")
            .run(FETCH)
            .after(store_is_good),
        case("fetch: cut, and the ETag is another one each time")
            .apple("cdn_cut_at = 3000000\ncdn_etag_changes = true")
            .run(FETCH)
            .after(store_is_good),
        case("fetch: one bit is flipped on the way")
            .apple("cdn_flip_bit_at = 4000000")
            .run(FETCH)
            .fails(7, Code::FirmwareDigest, "fetch")
            .after(in_quarantine),
        case("fetch: the first byte is wrong")
            .apple("cdn_flip_bit_at = 0")
            .run(FETCH)
            .fails(1, Code::DownloadNotFirmware, "fetch")
            .after(store_is_empty),
        case("fetch: a sign-in page")
            .apple("cdn_html = true")
            .run(FETCH)
            .fails(1, Code::DownloadNotFirmware, "fetch")
            .after(store_is_empty),
        case("fetch: half of the length is claimed")
            .apple("cdn_wrong_length = true")
            .run(FETCH)
            .waits_shortened(20)
            .fails(1, Code::DownloadFailed, "fetch")
            .after(store_is_empty),
        case("fetch: the CDN falls silent")
            .apple("cdn_stall_at = 3000000")
            .run(FETCH)
            .waits_shortened(30)
            .fails(1, Code::DownloadStalled, "fetch")
            .after(store_is_empty),
        case("fetch: sent to a stranger")
            .apple("cdn_redirect_to = 'https://firmware.example/x.ipsw'")
            .run(FETCH)
            .fails(1, Code::HostNotAllowed, "fetch")
            .after(store_is_empty),
        case("fetch: sent to a file of this machine")
            .apple("cdn_redirect_to = 'file:///etc/passwd'")
            .run(FETCH)
            .fails(1, Code::HostNotAllowed, "fetch")
            .after(store_is_empty),
        case("fetch: the catalogues are wrong about the SHA-1")
            .apple("catalogue_wrong_sha1 = true")
            .run(FETCH)
            .fails(7, Code::FirmwareDigest, "fetch")
            .after(in_quarantine),
        case("fetch: sign-in pages for catalogues").apple("catalogue_html = true").run(FETCH).fails(
            1,
            Code::CatalogueInvalid,
            "catalogue",
        ),
        case("fetch: half of each catalogue").apple("catalogue_truncated = true").run(FETCH).fails(
            1,
            Code::CatalogueInvalid,
            "catalogue",
        ),
        case("fetch: empty catalogues").apple("catalogue_empty = true").run(FETCH).fails(
            1,
            Code::CatalogueInvalid,
            "catalogue",
        ),
        case("fetch: no catalogue answers").apple("catalogue_down = true").run(FETCH).fails(
            1,
            Code::CatalogueUnreachable,
            "catalogue",
        ),
        case("fetch: a product that nobody makes").run("firmware fetch --product iPhone99,9").fails(
            1,
            Code::NoFirmware,
            "catalogue",
        ),
        case("fetch: a product that is a path").run("firmware fetch --product ../../etc/passwd").fails(
            1,
            Code::NoFirmware,
            "catalogue",
        ),
        case("fetch: a build that is not offered").run("firmware fetch --product iPhone14,5 --build 1A1").fails(
            1,
            Code::NoFirmware,
            "catalogue",
        ),
        case("fetch: a build that is none").run("firmware fetch --product iPhone14,5 --build ../..").fails(
            2,
            Code::Usage,
            "catalogue",
        ),
        case("fetch: the disk fills up")
            .before(|rig| {
                let incoming = rig.store().join("incoming");
                fs::create_dir_all(&incoming).unwrap();
                let part = incoming.join(format!("{}.ipsw.part", rig.bench.firmware[0].sha1));
                std::os::unix::fs::symlink("/dev/full", part).unwrap();
            })
            .run(FETCH)
            .fails(6, Code::DiskFull, "fetch")
            .after(store_is_empty),
        case("fetch: the store is below a file")
            .before(|rig| {
                fs::create_dir_all(rig.store().parent().unwrap()).unwrap();
                fs::write(rig.store(), "a file").unwrap();
            })
            .run(FETCH)
            .fails(1, Code::DiskError, "fetch"),
        case("fetch: what is in the store has rotted")
            .before(|rig| {
                rig.good(&["--json", "firmware", "fetch", "--product", "iPhone14,5"]);
                let stored = files(&rig.store()).into_iter().find(|(p, _)| p.extension().is_some_and(|e| e == "ipsw"));
                let path = rig.store().join(stored.expect("a stored IPSW").0);
                let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
                flip(&file, file.metadata().unwrap().len() / 2);
            })
            .run(FETCH)
            .after(store_is_good),
    ]
}

fn local_files() -> Vec<Case> {
    let verify = |name| case(name).run("firmware verify {dir}/damaged.ipsw");
    let broken = |name| verify(name).fails(7, Code::FirmwareDamaged, "verify-firmware");
    vec![
        broken("verify: half an IPSW").before(ipsw(cut_in_half)),
        broken("verify: an empty file").before(instead(b"")),
        broken("verify: a web page").before(instead(b"<!DOCTYPE html><html><body>404</body></html>")),
        broken("verify: only the end record of a zip")
            .before(instead(b"PK\x05\x06\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\0")),
        broken("verify: the directory is said to be elsewhere").before(ipsw(directory_elsewhere)),
        broken("verify: a hostile path in the archive")
            .before(ipsw(renamed(b"BuildManifest.plist", b"../../../etc/passwd"))),
        broken("verify: no manifest").before(ipsw(renamed(b"BuildManifest.plist", b"BuildManifest.plost"))),
        verify("verify: one bit of the system image is flipped").before(ipsw(flipped_in_the_middle)).fails(
            7,
            Code::FirmwareDigest,
            "verify-firmware",
        ),
        verify("verify: no such file").fails(1, Code::DiskError, "verify-firmware"),
        verify("verify: a folder").before(|rig| fs::create_dir(damaged(rig)).unwrap()).fails(
            1,
            Code::DiskError,
            "verify-firmware",
        ),
        case("add: half an IPSW")
            .before(ipsw(cut_in_half))
            .run("firmware add {dir}/damaged.ipsw")
            .fails(7, Code::FirmwareDamaged, "verify-firmware")
            .after(store_is_empty),
        case("add: a web page")
            .before(instead(b"<!DOCTYPE html>"))
            .run("firmware add {dir}/damaged.ipsw")
            .fails(7, Code::FirmwareDamaged, "verify-firmware")
            .after(store_is_empty),
        case("cache: a stored IPSW has rotted")
            .before(|rig| {
                rig.good(&["--json", "firmware", "add", &rig.bench.firmware[0].path.display().to_string()]);
                let stored = files(&rig.store()).into_iter().find(|(p, _)| p.extension().is_some_and(|e| e == "ipsw"));
                // The store may have linked it: a file of its own first.
                let path = rig.store().join(stored.expect("a stored IPSW").0);
                let bytes = fs::read(&path).unwrap();
                fs::remove_file(&path).unwrap();
                fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
            })
            .run("firmware cache verify")
            .fails(7, Code::FirmwareDigest, "verify-firmware")
            .after(in_quarantine),
    ]
}
