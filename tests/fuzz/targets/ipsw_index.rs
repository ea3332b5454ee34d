//! IPSWs: any bytes are opened without a panic; what was opened is read within its bounds, and no name leaves it.
#![no_main]

use herstel::firmware::Ipsw;
use std::path::PathBuf;
use std::sync::LazyLock;

/// In memory where there is such a folder: the file is written again for each input.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("herstel-fuzz-{}.ipsw", std::process::id()))
});

const CAP: u64 = 1 << 20;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).unwrap();
    let Ok(ipsw) = Ipsw::open(&FILE) else { return };
    let names: Vec<String> = ipsw.names().map(str::to_owned).collect();
    let mut packed = 0;
    for name in names {
        assert!(!name.starts_with('/') && !name.split('/').any(|part| matches!(part, "" | "." | "..")), "{name:?}");
        let entry = ipsw.entry(&name).unwrap();
        packed += entry.compressed;
        if let Some(stored) = ipsw.stored(&name) {
            assert_eq!(stored.size, entry.size);
            let mut byte = [0];
            let last = stored.read_at(stored.size.saturating_sub(1), &mut byte);
            assert_eq!(last.unwrap() as u64, stored.size.min(1));
        }
        match ipsw.read(&name, CAP) {
            Ok(content) => assert_eq!(content.len() as u64, entry.size),
            Err(fault) => assert!(!fault.detail.is_empty()),
        }
    }
    assert!(packed <= bytes.len() as u64, "entries overlap");
    let _ = ipsw.build_manifest();
    let _ = ipsw.restore_plist();
});
