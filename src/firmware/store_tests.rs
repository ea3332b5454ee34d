//! The room as a whole: catalogues on loopback, a store on disk, files that are sound and files that are not.

use super::tiny::{self, BUILD, PRODUCT, dict, text};
use super::*;
use crate::event::{Quiet, Teller};
use crate::fault::{Code, Fault};
use crate::ids::{Bdid, Cpid, ProductType};
use crate::net::loopback::{Loopback, answer, cdn};
use crate::net::{Digests, Endpoints, Http, Limits, Sums, hex};
use crate::wire::catalogue::Source;
use crate::wire::manifest::Behaviour;
use sha1::{Digest, Sha1};
use sha2::Sha256;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn put(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn watch() -> impl FnMut(u64) -> bool {
    |_| true
}

#[test]
fn an_ipsw_tells_what_it_is_and_for_whom() {
    let dir = tempfile::tempdir().unwrap();
    let ipsw = Ipsw::open(&put(dir.path(), "a.ipsw", &tiny::ipsw("a"))).unwrap();
    let manifest = ipsw.build_manifest().unwrap();
    assert_eq!(manifest.build.to_string(), BUILD);
    assert!(Arc::ptr_eq(&manifest, &ipsw.clone().build_manifest().unwrap()), "parsed once");
    assert_eq!(ipsw.restore_plist().unwrap().build, Some(BUILD.parse().unwrap()));
    assert!(ipsw.stored("root.dmg").is_some() && ipsw.stored("BuildManifest.plist").is_none());

    let pick = |cpid, bdid, board, behaviour| {
        choice::identity_for(&manifest, Cpid(cpid), Bdid(bdid), board, behaviour).map(|i| i.variant.clone())
    };
    assert_eq!(pick(0x8110, 0x18, Some("D17AP"), Behaviour::Erase).unwrap(), "Customer Erase Install (IPSW)");
    assert_eq!(pick(0x8110, 0x18, None, Behaviour::Update).unwrap(), "Customer Upgrade Install (IPSW)");
    for (cpid, bdid, board) in [(0x8110, 0x0A, None), (0x8101, 0x18, None), (0x8110, 0x18, Some("d16ap"))] {
        let fault = pick(cpid, bdid, board, Behaviour::Erase).unwrap_err();
        assert_eq!(fault.code, Code::FirmwareWrongDevice, "{fault}");
    }
}

#[test]
fn components_are_checked_by_the_digest_of_what_will_be_sent() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = tiny::ipsw("a");
    let check = |bytes: &[u8]| {
        let ipsw = Ipsw::open(&put(dir.path(), "a.ipsw", bytes)).unwrap();
        let manifest = ipsw.build_manifest().unwrap();
        verify_components(&ipsw, &manifest.identities[0], &|| true).unwrap()
    };
    let sound = check(&bytes);
    let verdict = |all: &[Checked], name: &str| all.iter().find(|c| c.component == name).unwrap().verdict.clone();
    for name in ["iBSS", "iBEC", "KernelCache", "RestoreKernelCache", "OS"] {
        assert_eq!(verdict(&sound, name), Verdict::Ok, "{name}");
    }
    assert!(matches!(verdict(&sound, "BasebandFirmware"), Verdict::CannotCheck(_)));

    let image = tiny::root_image();
    let at = (0..bytes.len()).find(|&at| bytes[at..].starts_with(&image[..1000])).unwrap();
    let mut flipped = bytes.clone();
    flipped[at + 123_456] ^= 1;
    let all = check(&flipped);
    assert!(matches!(verdict(&all, "OS"), Verdict::Damaged(_)));
    assert_eq!(verdict(&all, "iBSS"), Verdict::Ok);

    // A sound zip with another boot loader in it: only the manifest knows.
    let path = put(dir.path(), "b.ipsw", &bytes);
    let ipsw = Ipsw::open(&path).unwrap();
    let mut identity = ipsw.build_manifest().unwrap().identities[0].clone();
    let ibss = identity.components.get_mut("iBSS").unwrap();
    ibss.digest.as_mut().unwrap()[0] ^= 1;
    identity.components.get_mut("iBEC").unwrap().path = Some("Firmware/gone".to_owned());
    let all = verify_components(&ipsw, &identity, &|| true).unwrap();
    assert!(matches!(verdict(&all, "iBSS"), Verdict::Mismatch { .. }));
    assert!(matches!(verdict(&all, "iBEC"), Verdict::Damaged(_)));
    assert_eq!(verify_components(&ipsw, &identity, &|| false).unwrap_err().code, Code::Cancelled);
}

#[test]
fn a_file_that_a_person_brings_is_stored_once_and_found_by_either_digest() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(&dir.path().join("firmware"));
    assert!(store.list().unwrap().is_empty());
    let bytes = tiny::ipsw("a");
    let file = put(dir.path(), "iPhone14,5_27.0.1.ipsw", &bytes);
    let stored = store.add(&file, &mut watch()).unwrap();
    assert_eq!(stored.record.name, "iPhone14,5_27.0.1.ipsw");
    assert_eq!(stored.record.products, [ProductType::new(PRODUCT)]);
    assert!(stored.path.parent().unwrap().ends_with(hex(&Sha256::digest(&bytes))));
    let again = put(dir.path(), "other name.ipsw", &bytes);
    assert_eq!(store.add(&again, &mut watch()).unwrap(), stored);
    assert_eq!(store.list().unwrap(), std::slice::from_ref(&stored));

    let sha1 = Some(Sha1::digest(&bytes).into());
    let sha256 = Some(Sha256::digest(&bytes).into());
    assert_eq!(store.find(&Digests { sha1, sha256: None }).unwrap(), Some(stored.clone()));
    assert_eq!(store.find(&Digests { sha1, sha256 }).unwrap(), Some(stored.clone()));
    assert_eq!(store.find(&Digests { sha1: Some([0; 20]), sha256 }).unwrap(), None, "both must fit");
    assert_eq!(store.find(&Digests::default()).unwrap(), None);

    store.remove(&stored).unwrap();
    assert!(store.list().unwrap().is_empty() && file.exists(), "the person's file stays");
    let fault = store.add(&put(dir.path(), "x.ipsw", b"no zip"), &mut watch()).unwrap_err();
    assert_eq!(fault.code, Code::FirmwareDamaged);
}

#[test]
fn a_stored_file_that_changed_goes_to_quarantine() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(&dir.path().join("firmware"));
    let file = put(dir.path(), "a.ipsw", &tiny::ipsw("a"));
    let stored = store.add(&file, &mut watch()).unwrap();

    let hashed = AtomicBool::new(false);
    let mut spy = |_| {
        hashed.store(true, Ordering::SeqCst);
        true
    };
    let stored = store.check(stored, Check::IfChanged, &mut spy).unwrap();
    assert!(!hashed.load(Ordering::SeqCst), "unchanged, so believed");
    let stored = store.check(stored, Check::Always, &mut spy).unwrap();
    assert!(hashed.load(Ordering::SeqCst));

    // Touched, but the same: hashed again and believed again.
    let touch = std::fs::File::options().write(true).open(&stored.path).unwrap();
    touch.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let before = stored.record.clone();
    let stored = store.check(stored, Check::IfChanged, &mut watch()).unwrap();
    assert_ne!(stored.record.looks, before.looks);

    let mut bytes = std::fs::read(&stored.path).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&stored.path, &bytes).unwrap();
    let fault = store.check(stored.clone(), Check::IfChanged, &mut watch()).unwrap_err();
    assert_eq!(fault.code, Code::FirmwareDigest);
    assert!(store.list().unwrap().is_empty() && !stored.path.exists());
    assert!(store.quarantine().join("a.ipsw").exists());
}

#[test]
fn hostile_names_and_records_stay_in_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("firmware");
    let store = Store::new(&root);
    let bytes = tiny::ipsw("a");
    let sums =
        Sums { sha1: Sha1::digest(&bytes).into(), sha256: Sha256::digest(&bytes).into(), size: bytes.len() as u64 };
    for name in ["../../evil.ipsw", "..", "", "a/b\\c\0d.ipsw", "record.json", ".hidden"] {
        let stored = store.adopt(&put(dir.path(), "in", &bytes), name, &sums, None).unwrap();
        assert_eq!(stored.path.parent().unwrap(), root.join(hex(&sums.sha256)), "{name:?}");
        assert!(stored.record.name.ends_with(".ipsw"));
        store.remove(&stored).unwrap();
    }
    let stored = store.adopt(&put(dir.path(), "in", &bytes), "a.ipsw", &sums, None).unwrap();
    let record = stored.path.with_file_name("record.json");
    let text = std::fs::read_to_string(&record).unwrap();
    for bad in
        [text.replace("a.ipsw", "../../in"), text.replace(&hex(&sums.sha256), &"0".repeat(64)), text[..50].to_owned()]
    {
        std::fs::write(&record, bad).unwrap();
        assert!(store.list().unwrap().is_empty());
    }
}

/// Catalogues and CDN of one build. `cut` bytes a request, `flip` a bit of the file.
fn apple(file: Vec<u8>, sha1: [u8; 20], cut: usize, flip: bool) -> Loopback {
    let size = file.len();
    let sha256 = hex(&Sha256::digest(&file));
    let mut served = file;
    if flip {
        served[4000] ^= 8;
    }
    Loopback::start(move |_, asked, out| {
        let root = format!("http://{}", asked.header("host").unwrap_or_default());
        let url = format!("{root}/27FCS/{PRODUCT}_27.0.1_{BUILD}.ipsw");
        let json = [("Content-Type", "application/json")];
        match asked.path.split('?').next().unwrap_or_default() {
            "/version" => {
                let restore = dict([
                    ("BuildVersion", text(BUILD)),
                    ("ProductVersion", text("27.0.1")),
                    ("FirmwareURL", text(&url)),
                    ("FirmwareSHA1", text(&hex(&sha1).to_uppercase())),
                ]);
                let builds = dict([(BUILD, dict([("Restore", restore)]))]);
                let products = dict([("MobileDeviceSoftwareVersions", dict([(PRODUCT, builds)]))]);
                let list = dict([("MobileDeviceSoftwareVersionsByVersion", dict([("17", products)]))]);
                answer(out, "200 OK", &[("Content-Type", "application/xml")], &tiny::xml(&list));
            }
            "/db/ios/iOS;24A446.json" => {
                let page = serde_json::json!({ "osStr": "iOS", "version": "27.0.1", "build": BUILD, "sources": [
                    { "type": "ipsw", "deviceMap": [PRODUCT], "links": [{ "url": url, "active": true }], "size": size,
                      "hashes": { "sha1": hex(&sha1), "sha2-256": sha256 } }]});
                answer(out, "200 OK", &json, page.to_string().as_bytes());
            }
            "/me/v4/device/iPhone14,5" => {
                answer(out, "200 OK", &[("Content-Type", "text/html")], b"<html>cloud</html>")
            }
            path if path.ends_with(".ipsw") => cdn(asked, out, &served, "a", cut),
            _ => answer(out, "404 Not Found", &[], b""),
        }
    })
}

struct Shop {
    http: Http,
    endpoints: Endpoints,
    store: Store,
    tell: Teller,
    copies: PathBuf,
}

fn shop(server: &Loopback, dir: &Path) -> Shop {
    let at = |path: &str| format!("{}{path}", server.root);
    let endpoints = Endpoints::new(Some(&at("/version")), Some(&at("/db")), Some(&at("/me")), None).unwrap();
    let limits = Limits { attempts: 2, pause: Duration::from_millis(1), ..Limits::default() };
    Shop {
        http: Http::new(&endpoints, limits),
        endpoints,
        store: Store::new(&dir.join("firmware")),
        tell: Arc::new(Quiet),
        copies: dir.join("catalogue"),
    }
}

impl Shop {
    async fn gather(&self, product: &str) -> Result<Gathered, Fault> {
        gather(&self.http, &self.endpoints, &self.copies, &ProductType::new(product), &self.tell).await
    }

    async fn fetch(&self, firmware: &Firmware) -> Result<Stored, Fault> {
        fetch(&self.http, &self.store, firmware, &self.tell, &CancellationToken::new()).await
    }
}

#[tokio::test]
async fn from_a_product_type_to_a_verified_file() {
    let file = tiny::ipsw("a");
    let server = apple(file.clone(), Sha1::digest(&file).into(), 40_000, false);
    let dir = tempfile::tempdir().unwrap();
    let shop = shop(&server, dir.path());
    let gathered = shop.gather(PRODUCT).await.unwrap();
    let asked = |source| gathered.asked.iter().find(|a| a.source == source).unwrap();
    assert_eq!(asked(Source::Ipswme).fault.as_ref().unwrap().code, Code::CatalogueInvalid);
    assert!(asked(Source::Apple).fault.is_none() && asked(Source::Appledb).fault.is_none());
    let firmware = gathered.catalogue.newest(&ProductType::new(PRODUCT)).unwrap();
    assert_eq!(firmware.sha256.as_ref().unwrap().from, [Source::Appledb]);
    assert_eq!(firmware.size.as_ref().unwrap().value, file.len() as u64);

    let (first, second) = tokio::join!(shop.fetch(firmware), shop.fetch(firmware));
    let stored = first.unwrap();
    assert_eq!(stored, second.unwrap());
    assert_eq!(std::fs::read(&stored.path).unwrap(), file);
    assert_eq!(stored.record.name, "iPhone14,5_27.0.1_24A446.ipsw");
    assert_eq!(stored.record.build.as_ref().unwrap().to_string(), BUILD);
    let sent: usize = server
        .asked()
        .iter()
        .filter(|a| a.path.ends_with(".ipsw"))
        .map(|a| (file.len() - a.from().unwrap_or(0)).min(40_000))
        .sum();
    assert_eq!(sent, file.len(), "one download for both, no byte twice");
    let before = server.asked().len();
    assert_eq!(shop.fetch(firmware).await.unwrap(), stored);
    assert_eq!(server.asked().len(), before, "and none for the third");
    let manifest = Ipsw::open(&stored.path).unwrap().build_manifest().unwrap();
    let identity = choice::identity_for(&manifest, Cpid(0x8110), Bdid(0x18), None, Behaviour::Erase).unwrap();
    assert_eq!(identity.device_class, "d17ap");
}

#[tokio::test]
async fn a_flipped_bit_or_a_lying_catalogue_never_reaches_the_store() {
    let file = tiny::ipsw("a");
    for (sha1, flip) in [(Sha1::digest(&file).into(), true), ([0x11; 20], false)] {
        let server = apple(file.clone(), sha1, usize::MAX, flip);
        let dir = tempfile::tempdir().unwrap();
        let shop = shop(&server, dir.path());
        let gathered = shop.gather(PRODUCT).await.unwrap();
        let firmware = gathered.catalogue.newest(&ProductType::new(PRODUCT)).unwrap();
        let fault = shop.fetch(firmware).await.unwrap_err();
        assert_eq!((fault.code, fault.code.exit()), (Code::FirmwareDigest, 7));
        assert_eq!(fault.stage.as_deref(), Some("fetch"));
        assert!(shop.store.list().unwrap().is_empty());
        assert_eq!(std::fs::read_dir(shop.store.quarantine()).unwrap().count(), 1);
        let mut blind = firmware.clone();
        (blind.sha1, blind.sha256) = (None, None);
        assert_eq!(shop.fetch(&blind).await.unwrap_err().code, Code::CatalogueInvalid);
    }
}

#[tokio::test]
async fn a_rotten_stored_file_is_fetched_anew() {
    let file = tiny::ipsw("a");
    let server = apple(file.clone(), Sha1::digest(&file).into(), usize::MAX, false);
    let dir = tempfile::tempdir().unwrap();
    let shop = shop(&server, dir.path());
    let gathered = shop.gather(PRODUCT).await.unwrap();
    let firmware = gathered.catalogue.newest(&ProductType::new(PRODUCT)).unwrap();
    let stored = shop.fetch(firmware).await.unwrap();
    std::fs::write(&stored.path, b"PK\x03\x04 rotten").unwrap();
    let stored = shop.fetch(firmware).await.unwrap();
    assert_eq!(std::fs::read(&stored.path).unwrap(), file);
}

#[tokio::test]
async fn an_unknown_product_and_a_dead_network_are_told_apart() {
    let file = tiny::ipsw("a");
    let server = apple(file.clone(), Sha1::digest(&file).into(), usize::MAX, false);
    let dir = tempfile::tempdir().unwrap();
    let alive = shop(&server, dir.path());
    assert_eq!(alive.gather("iPhone1,1").await.unwrap_err().code, Code::NoFirmware);
    for hostile in ["../../x", "", "iPhone14,5?x=", "a b"] {
        assert_eq!(alive.gather(hostile).await.unwrap_err().code, Code::NoFirmware);
    }
    let dead = Loopback::start(|_, _, _| {});
    let fault = shop(&dead, &dir.path().join("2")).gather(PRODUCT).await.unwrap_err();
    assert_eq!(fault.code, Code::CatalogueUnreachable);
}
