//! Bad input on the link, beside a good generation: whatever comes, that one stays as it is to the last byte, and the
//! run ends with one clear fault and its exit code.
//!
//! Paths and lengths are also in `hostile.rs`, one by one and in every message; here each kind of input meets a vault
//! that has something to lose.

use super::fake::Script;
use super::*;
use crate::fault::Code;
use crate::wire::devicelink::frame::{FrameCode, Head, build_name};
use crate::wire::devicelink::{FromDevice, encode};

/// A message of its length word and this list.
fn list(body: Vec<u8>) -> Vec<u8> {
    [(body.len() as u32).to_be_bytes().as_slice(), &body].concat()
}

/// A binary list of `levels` arrays; each names the next one `width` times.
fn tower(levels: u16, width: u8) -> Vec<u8> {
    let mut bytes = b"bplist00".to_vec();
    let mut offsets = vec![];
    for level in 0..levels {
        offsets.push(bytes.len() as u32);
        if level + 1 == levels {
            bytes.push(0x09);
        } else {
            bytes.push(0xA0 | width);
            (0..width).for_each(|_| bytes.extend((level + 1).to_be_bytes()));
        }
    }
    let table = bytes.len() as u64;
    bytes.extend(offsets.iter().flat_map(|o| o.to_be_bytes()));
    bytes.extend([0, 0, 0, 0, 0, 0, 4, 2]);
    for word in [u64::from(levels), 0, table] {
        bytes.extend(word.to_be_bytes());
    }
    bytes
}

/// An array whose only item is that array.
fn itself() -> Vec<u8> {
    let mut bytes = b"bplist00".to_vec();
    bytes.extend([0xA1, 0, 8, 0, 0, 0, 0, 0, 0, 1, 1]);
    for word in [1_u64, 0, 10] {
        bytes.extend(word.to_be_bytes());
    }
    bytes
}

/// One object that claims to be longer than anything.
fn long_object(kind: u8) -> Vec<u8> {
    let mut bytes = b"bplist00".to_vec();
    bytes.extend([kind | 0x0F, 0x13]);
    bytes.extend(u64::MAX.to_be_bytes());
    let table = bytes.len() as u64;
    bytes.extend([8, 0, 0, 0, 0, 0, 0, 1, 1]);
    for word in [1, 0, table] {
        bytes.extend(word.to_be_bytes());
    }
    bytes
}

#[test]
fn whatever_comes_the_good_generation_stays_to_the_last_byte() {
    let upload =
        || encode(FromDevice::UploadFiles { progress: None, bytes: u64::MAX, callbacks: None }.build()).unwrap();
    let named = |name: &[u8]| {
        let mut raw = upload();
        raw.extend(build_name("/.ba/x").unwrap());
        raw.extend((name.len() as u32).to_be_bytes());
        raw.extend(name);
        raw.extend(Head { code: FrameCode::Data, payload: 4 }.build());
        raw.extend(b"evil");
        raw
    };
    let framed = |head: [u8; 5]| [named(format!("{UDID}/x").as_bytes()), head.to_vec()].concat();
    let (hostile, absurd, garbage) = (Code::BackupHostile, Code::LinkAbsurd, Code::LinkGarbage);
    let rows: Vec<(&str, Vec<u8>, Code)> = vec![
        ("a name with ..", named(format!("{UDID}/../../x").as_bytes()), hostile),
        ("an absolute name", named(b"/etc/cron.d/x"), hostile),
        ("an empty name", named(b""), garbage),
        ("a name with a NUL", named(format!("{UDID}/a\0b").as_bytes()), hostile),
        ("a name in another device's folder", named(b"00008110-00AABBCCDDEEFF01/x"), hostile),
        ("a name of 5,000 characters", named(format!("{UDID}/{}", "a".repeat(5000)).as_bytes()), absurd),
        ("a name of 4 GiB", [upload(), vec![0xFF; 4]].concat(), absurd),
        ("a frame of 4 GiB", framed([0xFF, 0xFF, 0xFF, 0xFF, 0x0C]), absurd),
        ("a frame without a code", framed([0; 5]), garbage),
        ("an error text of 4 GiB", framed([0xFF, 0xFF, 0xFF, 0xFF, 0x0B]), absurd),
        ("a message of 4 GiB", vec![0xFF; 64], absurd),
        ("a message of nothing", vec![0; 64], garbage),
        ("a list of 60,000 levels", list(tower(60_000, 1)), absurd),
        ("a list that unfolds without end", list(tower(60, 14)), absurd),
        ("a list with itself in it", list(itself()), absurd),
        ("a text longer than its list", list(long_object(0x50)), garbage),
        ("an array longer than its list", list(long_object(0xA0)), garbage),
        ("a text that is no list", list(b"<html><body>Sign in".to_vec()), garbage),
    ];
    let bench = Bench::new();
    std::fs::write(bench.dir.path().join("secret"), "untouched").unwrap();
    let mut phone = FakePhone::new(6);
    let good = bench.run(&mut phone).0.unwrap().0;
    let before = contents(&good.path);
    phone.set("HomeDomain", "new", b"new");
    for (what, raw, code) in rows {
        phone.script = Script { raw: Some(raw), ..Script::default() };
        let (done, seen) = bench.run_with(&mut phone, impatience());
        let fault = done.unwrap_err();
        assert_eq!((fault.code, fault.code.exit()), (code, 1), "{what}: {fault}");
        assert_eq!(fault.stage.as_deref(), Some("backup"), "{what}");
        assert!(seen.disconnected, "{what}: the phone hears goodbye");
        assert!(contents(&good.path) == before, "{what}: the good generation changed");
        assert_eq!(bench.vault.generation(&udid(), None).unwrap().name, good.name, "{what}");
        assert_eq!(std::fs::read(bench.dir.path().join("secret")).unwrap(), b"untouched", "{what}");
    }
    phone.script = Script::default();
    assert!(bench.run(&mut phone).0.unwrap().1.is_sound(), "and the next run succeeds");
}

/// Links that somebody put into a work tree lead nowhere.
#[test]
fn links_in_the_tree_are_not_followed() {
    let bench = Bench::new();
    let outside = bench.dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "untouched").unwrap();
    let mut phone = FakePhone::new(6);
    let good = bench.run(&mut phone).0.unwrap().0;
    let before = contents(&good.path);
    let desk = bench.vault.take(&udid()).unwrap();
    let work = desk.begin(false, &bench.tell, &Cancel::new()).unwrap();
    let folder = work.tree().root().join(UDID);
    for (link, to) in [("Snapshot", outside.clone()), ("Manifest.plist", outside.join("secret"))] {
        let _ = std::fs::remove_file(folder.join(link));
        std::os::unix::fs::symlink(to, folder.join(link)).unwrap();
    }
    let (mut host, thread) = phone.serve();
    let options = BackupOptions { full: false, patience: impatience() };
    let done = backup(&mut host, &udid(), work.tree(), &options, &bench.tell, &bench.cancel);
    drop(host);
    // The phone may have stumbled over a refusal that it does not know.
    let _ = thread.join();
    drop(done);
    drop(work);
    drop(desk);
    assert_eq!(std::fs::read(outside.join("secret")).unwrap(), b"untouched");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1, "nothing was written through the link");
    assert!(contents(&good.path) == before);
    // An interrupted tree is gone on with once, links and all; then it is made anew.
    let _ = bench.run(&mut phone);
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    assert!(bench.run(&mut phone).0.unwrap().1.is_sound());
}
