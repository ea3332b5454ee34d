//! Backups: a phone that vanishes, lies or refuses half way, and a disk that is full. What was there before
//! is there afterwards, whole.

use super::bench::{Ran, Rig, copy_folder, files};
use super::case::{Case, case, generations};
use herstel::fault::Code;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A vault with one good generation of the table's phone, made once.
fn good_vault() -> &'static Path {
    static VAULT: OnceLock<PathBuf> = OnceLock::new();
    VAULT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bad_input-vault");
        let _ = fs::remove_dir_all(&folder);
        let rig = Rig::new(
            "pace = 100.0\n[[phone]]\nmodel = 'iphone13'\ntrust = 'trusted'\nphotos = 4\nphoto_bytes = 60000\nsmall_files = 40",
        );
        rig.good(&["--json", "backup"]);
        copy_folder(&rig.vault(), &folder);
        folder
    })
}

pub fn with_generation(rig: &Rig) {
    copy_folder(good_vault(), &rig.vault());
}

/// The generation from before is read again, every file of it.
pub fn generation_is_sound(rig: &Rig, _: &Ran) {
    let ran = rig.good(&["--json", "backups", "verify", "--deep"]);
    assert!(generations(rig).len() > 40, "{ran}");
}

/// Files of other people, on the way out of the work tree.
const BYSTANDERS: [&str; 4] = ["data/herstel/vault/kept", "data/herstel/kept", "data/kept", "kept"];

fn bystanders(rig: &Rig) {
    for name in BYSTANDERS {
        let path = rig.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "mine").unwrap();
    }
}

fn nothing_outside(rig: &Rig, ran: &Ran) {
    for name in BYSTANDERS {
        assert_eq!(fs::read_to_string(rig.path(name)).unwrap_or_default(), "mine", "{name} was touched\n{ran}");
    }
    let escaped: Vec<_> =
        files(&rig.path("")).into_iter().filter(|(p, _)| p.to_string_lossy().contains("escaped")).collect();
    assert!(escaped.is_empty() && !Path::new("/tmp/escaped").exists(), "{escaped:?}\n{ran}");
}

/// The program on a vault that is a disk of 3 MB, in a mount namespace of its own.
fn on_a_small_disk(rig: &Rig, args: &[String]) -> std::process::Command {
    let vault = rig.path("small");
    fs::create_dir_all(&vault).unwrap();
    let script = "mount -t tmpfs -o size=3m none \"$1\" || exit 99; shift; exec \"$@\"";
    let mut all: Vec<String> = ["-rm", "sh", "-c", script, "sh"].into_iter().map(str::to_owned).collect();
    all.push(vault.display().to_string());
    all.push(env!("CARGO_BIN_EXE_herstel").to_owned());
    all.extend(args.iter().cloned());
    rig.outside("unshare", &all, false)
}

/// Containers may forbid namespaces of one's own; the disk cannot be made small there.
pub fn namespaces() -> bool {
    std::process::Command::new("unshare")
        .args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"])
        .output()
        .is_ok_and(|o| o.status.success())
}

/// A fault of the link or of the phone in the middle of a full backup beside an older generation.
fn breaks(name: &'static str, fault: &str, code: Code) -> Case {
    case(name)
        .phone(&format!("faults.{fault}"))
        .before(with_generation)
        .run("backup --full")
        .fails(i32::from(code.exit()), code, "backup")
        .after(generation_is_sound)
}

fn hostile(name: &'static str, way: &str, path: &str) -> Case {
    let phone = format!("faults.backup.hostile_path = '{path}'\nfaults.backup.hostile_in = '{way}'");
    case(name)
        .phone(&phone)
        .before(bystanders)
        .run("backup")
        .fails(1, Code::BackupHostile, "backup")
        .after(nothing_outside)
}

pub fn cases() -> Vec<Case> {
    let mut all = vec![
        breaks("backup: the link is cut where a file begins", "backup.cut_at_file = 5", Code::LinkLost),
        breaks("backup: the link is cut inside a file", "backup.cut_at_byte = 100000", Code::LinkLost),
        breaks("backup: the link is cut before the first file", "mux.service_cut_after_bytes = 3000", Code::LinkLost),
        breaks("backup: usbmuxd dies", "mux.mux_vanish_after_connects = 5", Code::MuxUnreachable),
        breaks("backup: noise instead of a file name", "backup.garbage_at_file = 7", Code::LinkAbsurd),
        breaks("backup: a frame of 4 GiB", "backup.absurd_frame_length = 4294967295", Code::LinkAbsurd),
        breaks("backup: a message of 2 GiB", "backup.absurd_message_length = 2147483647", Code::LinkAbsurd),
        case("backup: DeviceLink 9999 goes on as the one that is known")
            .phone("faults.backup.dl_version = 9999")
            .run("backup")
            .vault_may_grow()
            .after(|rig, _| drop(rig.good(&["--json", "backups", "verify", "--deep"]))),
        breaks(
            "backup: the phone wants more room than there is",
            "backup.free_space_claim = 9000000000000000000",
            Code::DiskFull,
        ),
        breaks("backup: the phone falls silent where a file begins", "backup.silent_at_file = 7", Code::LinkSilent)
            .waits_shortened(60),
        breaks("backup: services never say a word", "mux.service_silent = true", Code::LinkSilent).waits(),
        breaks("backup: no passcode", "backup.final_error = { code = 208, text = 'nobody' }", Code::BackupPasscode),
        breaks("backup: the phone gives up", "backup.final_error = { code = 13, text = 'x' }", Code::BackupRefused),
        breaks(
            "backup: the service is not offered",
            "mux.start_service_error = 'InvalidService'",
            Code::ServiceRefused,
        ),
        case("backup: never trusted").phone("trust = 'untrusted'").run("backup").fails(4, Code::NotTrusted, "backup"),
        case("backup: trusted no longer").phone("trust = 'stale'").run("backup").fails(4, Code::PairingStale, "backup"),
        case("backup: TLS breaks").phone("faults.mux.tls_refused = true").run("backup").fails(
            4,
            Code::PairingStale,
            "backup",
        ),
        case("backup: locked since it was started").phone("passcode = 'before-first-unlock'").run("backup").fails(
            4,
            Code::DeviceLocked,
            "backup",
        ),
        case("backup: in DFU").phone("mode = 'dfu'").run("backup").fails(4, Code::WrongMode, "backup"),
        case("backup: a profile demands encryption").phone("requires_encryption = true").run("backup").fails(
            4,
            Code::EncryptionRequired,
            "backup",
        ),
        case("backup: a keybag that would cost hours")
            .phone("backup_password = 'x'\nfaults.backup.keybag_iterations = 4000000000")
            .before(with_generation)
            .run("backup --full")
            .fails(7, Code::BackupUnverified, "verify-backup")
            .after(generation_is_sound),
        case("encrypt: the phone agrees and does nothing")
            .phone("faults.backup.password_ignored = true")
            .before(|rig| fs::write(rig.path("new"), "Größe 7").unwrap())
            .run("backups encrypt on --new-password-file {dir}/new")
            .fails(1, Code::EncryptionUnclear, "encrypt"),
        case("encrypt: the phone fails")
            .phone("faults.backup.final_error = { code = 1, text = 'no' }")
            .before(|rig| fs::write(rig.path("new"), "Größe 7").unwrap())
            .run("backups encrypt on --new-password-file {dir}/new")
            .fails(1, Code::BackupRefused, "encrypt"),
        case("encrypt: nobody can be asked").run("backups encrypt on").fails(2, Code::NotATerminal, "encrypt"),
        case("encrypt: a profile forbids to switch it off")
            .phone("backup_password = 'x'\nrequires_encryption = true")
            .run("backups encrypt off --password-file {dir}/none")
            .fails(4, Code::EncryptionRequired, "encrypt"),
        case("backup: every seventh file cannot be read")
            .phone("faults.backup.file_error_every = 7")
            .run("backup")
            .vault_may_grow()
            .fails(3, Code::BackupIncomplete, "backup")
            .after(|rig, ran| {
                assert!(ran.events("backup")[0]["unread"].as_u64() > Some(2), "{ran}");
                rig.good(&["--json", "backups", "verify", "--deep"]);
            }),
        case("backup: the phone thinks for a while and its progress goes back")
            .phone("faults.backup.silence_before_first_file_ms = 1500\nfaults.backup.extra_progress_backwards = true")
            .run("backup")
            .vault_may_grow()
            .after(|rig, _| drop(rig.good(&["--json", "backups", "verify", "--deep"]))),
        case("backup: a vault below a file")
            .before(|rig| fs::write(rig.path("file"), "x").unwrap())
            .run("backup --vault {dir}/file/vault")
            .fails(1, Code::DiskError, "backup"),
        hostile("backup: uploads out of the vault", "upload", "../../../escaped"),
        hostile("backup: uploads to an absolute path", "upload", "/tmp/escaped"),
        hostile("backup: makes a folder outside", "create-directory", "../../../escaped"),
        hostile("backup: moves a file out", "move-to", "../../../escaped"),
        hostile("backup: takes a file from outside", "move-from", "../../kept"),
        hostile("backup: removes a file outside", "remove", "../../kept"),
        hostile("backup: lists a folder outside", "list", "../../../../"),
        hostile("backup: copies a file from outside", "copy", "../../kept"),
    ];
    if namespaces() {
        all.push(case("backup: a disk of 3 MB").around(on_a_small_disk).run("backup --vault {dir}/small").fails(
            6,
            Code::DiskFull,
            "backup",
        ));
    } else {
        println!("skipped: no mount namespaces here, so no small disk");
    }
    all
}

// -- putting back --

fn newest(rig: &Rig) -> PathBuf {
    let udid = rig.phone().udid.clone();
    herstel::backup::Vault::new(rig.vault()).generation(&udid, None).unwrap().folder()
}

/// The payload of one photo in the newest generation.
fn payload(rig: &Rig) -> PathBuf {
    with_generation(rig);
    let folder = newest(rig);
    let photo = files(&folder).into_iter().find(|(p, size)| p.components().count() == 2 && *size == 60_000);
    folder.join(photo.expect("a photo of 60000 bytes").0)
}

fn truncated_payload(rig: &Rig) {
    fs::OpenOptions::new().write(true).open(payload(rig)).unwrap().set_len(100).unwrap();
}

/// The length stays: only the digest tells.
fn flipped_bit(rig: &Rig) {
    let path = payload(rig);
    let mut bytes = fs::read(&path).unwrap();
    bytes[31_000] ^= 4;
    fs::write(&path, bytes).unwrap();
}

fn spoiled(file: &'static str, bytes: &'static [u8]) -> impl Fn(&Rig) {
    move |rig| {
        with_generation(rig);
        let path = newest(rig).join(file);
        assert!(path.is_file(), "{}", path.display());
        fs::write(path, bytes).unwrap();
    }
}

const BACK: &str = "backups restore --yes-restore {ecid}";

/// A restore of the good generation that fails: the phone keeps what it had, and so does the vault.
fn back(name: &'static str, phone: &str, code: Code) -> Case {
    case(name)
        .phone(phone)
        .before(with_generation)
        .run(BACK)
        .fails(i32::from(code.exit()), code, "put-back")
        .after(generation_is_sound)
}

pub fn put_back_cases() -> Vec<Case> {
    let damaged = |name| case(name).run(BACK).fails(7, Code::BackupDamaged, "put-back");
    vec![
        back("put back: Find My is on", "find_my = true", Code::FindMyOn),
        back("put back: the link is cut inside a file", "faults.backup.cut_at_byte = 100000", Code::LinkLost),
        back("put back: the link is cut where a file begins", "faults.backup.cut_at_file = 9", Code::LinkLost),
        back(
            "put back: the phone wants a file that is not in the backup",
            "faults.backup.restore_missing_path = '00008110-00126D0E81100001/00/00'",
            Code::BackupDamaged,
        ),
        back(
            "put back: the phone wants a file from outside the backup",
            "faults.backup.restore_missing_path = '../../../../etc/passwd'",
            Code::BackupHostile,
        ),
        back("put back: the phone runs an older system", "version = '15.8.7'\nbuild = '19H411'", Code::BackupNewer),
        back("put back: absurd length", "faults.backup.absurd_message_length = 2147483647", Code::LinkAbsurd),
        back("put back: the phone falls silent", "faults.backup.silent_at_file = 7", Code::LinkSilent)
            .waits_shortened(60),
        case("put back: there is no backup").run(BACK).fails(1, Code::BackupNone, "put-back"),
        case("put back: consent for another phone")
            .before(with_generation)
            .run("backups restore --yes-restore 0x1")
            .fails(2, Code::ConsentMismatch, "put-back"),
        case("put back: nobody agreed").before(with_generation).run("backups restore").fails(
            4,
            Code::ConsentMissing,
            "put-back",
        ),
        damaged("put back: a file of the backup is cut short").before(truncated_payload),
        damaged("put back: Manifest.db is noise").before(spoiled("Manifest.db", b"no database at all")),
        damaged("put back: Status.plist is noise").before(spoiled("Status.plist", b"<?xml?><plist><dict><key>")),
        case("verify: a file of the backup is cut short").before(truncated_payload).run("backups verify").fails(
            7,
            Code::BackupDamaged,
            "verify-backup",
        ),
        case("verify: one bit of a file is flipped").before(flipped_bit).run("backups verify --deep").fails(
            7,
            Code::BackupDamaged,
            "verify-backup",
        ),
        case("verify: Manifest.db is noise")
            .before(spoiled("Manifest.db", b"no database at all"))
            .run("backups verify")
            .fails(7, Code::BackupDamaged, "verify-backup"),
    ]
}
