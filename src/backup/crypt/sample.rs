//! Encrypted backups made for tests, as phones make them but with few iterations.

use crate::backup::Password;
use crate::backup::mbfile::archive_with_key;
use crate::backup::tests::{file_id, status_plist};
use crate::wire::keybag::{ClassKey, Keybag, Rounds, TYPE_BACKUP, WRAP_DEVICE, WRAP_PASSWORD};
use crate::wire::seal::{Key, Keys, Sealing, stored_size};
use plist::{Dictionary, Value};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub const PASSWORD: &str = "correct horse, Größe 7";
pub const DOMAIN: &str = "CameraRollDomain";
/// Sizes of the contents: none, and around every border of a block and of a piece.
pub const SIZES: [usize; 9] = [0, 1, 15, 16, 17, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 1 << 20];
/// The class of the n-th content.
const CLASSES: [u32; 4] = [1, 2, 3, 4];
/// Its key is wrapped with the device's key as well.
pub const DEVICE_CLASS: u32 = 11;

/// A keybag and the keys in it.
pub struct Lock {
    pub keybag: Keybag,
    keys: Keys,
}

pub fn encrypt(key: &[u8; 32], plain: &[u8], pad: bool) -> Vec<u8> {
    let (mut bytes, size) = (plain.to_vec(), plain.len() as u64);
    if pad {
        bytes.resize(stored_size(size) as usize, 0);
    }
    Sealing::new(&Key::new(key)).unwrap().seal_payload(&mut bytes, 0, size).unwrap();
    bytes
}

impl Lock {
    pub fn new(password: &str) -> Self {
        Self::with(password, true)
    }

    /// `double` as since iOS 10.2.
    pub fn with(password: &str, double: bool) -> Self {
        let rounds = |salt: u8, iterations| Rounds { salt: vec![salt; 20], iterations };
        let classes: Vec<u32> = CLASSES.into_iter().chain([DEVICE_CLASS]).collect();
        let class = |class: &u32| ClassKey {
            uuid: vec![*class as u8; 16],
            class: *class,
            wrap: WRAP_PASSWORD | if *class == DEVICE_CLASS { WRAP_DEVICE } else { 0 },
            key_type: 0,
            wrapped: vec![],
        };
        let mut keybag = Keybag {
            version: 4,
            kind: TYPE_BACKUP,
            uuid: vec![0xAB; 16],
            hmac_key: vec![0xCD; 40],
            wrap: 0,
            rounds: rounds(0x5A, 3),
            first_rounds: double.then(|| rounds(0xD5, 7)),
            classes: classes.iter().map(class).collect(),
        };
        let keys = Keys::new(classes.iter().map(|class| (*class, Key::new(&[*class as u8 ^ 0xC3; 32]))).collect());
        keys.lock(&mut keybag, &Password::new(password)).unwrap();
        Lock { keybag, keys }
    }

    /// The class, then the key wrapped with that class's.
    pub fn wrapped(&self, class: u32, plain: &[u8; 32]) -> Vec<u8> {
        self.keys.wrapped(class, &Key::new(plain)).unwrap()
    }
}

/// A folder named by a UDID with an encrypted backup in it.
pub struct Sample {
    pub dir: TempDir,
    pub folder: PathBuf,
    pub lock: Lock,
    pub password: Password,
}

pub fn name(size: usize) -> String {
    format!("Media/DCIM/{size}.JPG")
}

pub fn content(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i * 31 + size + i / 251) as u8).collect()
}

pub fn put(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

impl Sample {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("00008110-00126D0E81100001");
        let sample = Sample { dir, folder, lock: Lock::new(PASSWORD), password: Password::new(PASSWORD) };
        let path = sample.dir.path().join("plain.db");
        let db = rusqlite::Connection::open(&path).unwrap();
        db.execute_batch(
            "CREATE TABLE Files (fileID TEXT PRIMARY KEY, domain TEXT, relativePath TEXT, flags INTEGER, file BLOB);
             CREATE TABLE Properties (key TEXT PRIMARY KEY, value BLOB);",
        )
        .unwrap();
        for (n, size) in SIZES.into_iter().enumerate() {
            let key = [n as u8 + 1; 32];
            let wrapped = sample.lock.wrapped(CLASSES[n % CLASSES.len()], &key);
            put(&sample.payload(size), &encrypt(&key, &content(size), true));
            let blob = archive_with_key(&name(size), size as u64, Some(&wrapped));
            let id = file_id(DOMAIN, &name(size));
            db.execute("INSERT INTO Files VALUES (?1, ?2, ?3, 1, ?4)", (id, DOMAIN, name(size), blob)).unwrap();
        }
        db.close().unwrap();
        sample.seal(&std::fs::read(&path).unwrap(), true);
        std::fs::remove_file(&path).unwrap();
        put(&sample.folder.join("Status.plist"), &status_plist("finished"));
        put(&sample.folder.join("Info.plist"), b"<plist version=\"1.0\"><dict/></plist>");
        sample
    }

    /// Where the payload of the content with `size` bytes lies.
    pub fn payload(&self, size: usize) -> PathBuf {
        let id = file_id(DOMAIN, &name(size));
        self.folder.join(&id[..2]).join(id)
    }

    /// Writes Manifest.db from its plain bytes, and Manifest.plist.
    pub fn seal(&self, db: &[u8], pad: bool) {
        let key = [0xEE; 32];
        put(&self.folder.join("Manifest.db"), &encrypt(&key, db, pad));
        self.write_list(&self.lock.keybag.build(), Some(self.lock.wrapped(4, &key)));
    }

    pub fn write_list(&self, keybag: &[u8], manifest_key: Option<Vec<u8>>) {
        let mut list = Dictionary::new();
        list.insert("IsEncrypted".into(), true.into());
        list.insert("Version".into(), "10.0".into());
        let mut lockdown = Dictionary::new();
        lockdown.insert("ProductVersion".into(), "26.7.1".into());
        list.insert("Lockdown".into(), Value::Dictionary(lockdown));
        list.insert("BackupKeyBag".into(), Value::Data(keybag.to_vec()));
        if let Some(key) = manifest_key {
            list.insert("ManifestKey".into(), Value::Data(key));
        }
        let mut bytes = vec![];
        Value::Dictionary(list).to_writer_binary(&mut bytes).unwrap();
        put(&self.folder.join("Manifest.plist"), &bytes);
    }

    pub fn scratch(&self) -> PathBuf {
        self.dir.path().join("scratch")
    }
}
