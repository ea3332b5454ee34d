//! The known defects of the tools before us, and for each the test that shows that we have none of it.
//!
//! The numbers are those of the list that the project works from: B1 to B25 are defects of the crate that our
//! connections are built on, seen in its code or reproduced. Where another file shows it, the table names the test; the
//! rest is shown here. [`every_defect_has_a_test_that_exists`] holds the table to the sources.

use super::fake::UDID;
use super::*;
use crate::fault::Code;
use crate::mux::LockdownError;
use crate::wire::devicelink::frame::{FrameCode, Head, LIST_END, build_name};
use crate::wire::devicelink::request::Response;
use crate::wire::devicelink::{DlCode, FromDevice, FromHost, Status, decode, encode};
use std::io::{Cursor, Read, Write};
use std::path::PathBuf;

/// A file below `src`, and a test in it.
type Shown = (&'static str, &'static str);

/// Number, what goes wrong elsewhere, and where it is shown that it does not here.
const TABLE: &[(&str, &str, &[Shown])] = &[
    (
        "B1",
        "\"..\", \"/\" and \"\" are the backup's root, and other devices' folders are within reach",
        &[
            ("backup/tests/hostile.rs", "no_path_leads_out"),
            ("backup/tests/hostile.rs", "the_folder_of_the_device_is_not_removed_or_replaced"),
        ],
    ),
    (
        "B2",
        "an upload removes what is in its place, whole folders too",
        &[(HERE, "an_upload_does_not_take_a_folder_away")],
    ),
    (
        "B3",
        "a wrong old password ends well",
        &[("backup/tests/walk.rs", "a_wrong_password_is_a_failure_and_a_right_one_is_not")],
    ),
    (
        "B4",
        "a file that the device could not read is an empty file that counts",
        &[
            ("backup/tests/hostile.rs", "files_that_the_phone_cannot_read_are_told_and_the_rest_is_kept"),
            ("backup/tests/hostile.rs", "a_file_that_fails_in_the_middle_is_never_taken_for_whole"),
        ],
    ),
    (
        "B5",
        "memory is taken by a length from the wire",
        &[
            (HERE, "no_buffer_is_as_large_as_a_length_from_the_wire"),
            ("backup/tests/hostile.rs", "absurd_lengths_and_garbage_end_the_run_without_the_memory_they_claim"),
        ],
    ),
    (
        "B6",
        "a copied folder is empty",
        &[
            (HERE, "a_folder_is_copied_whole_and_moved_over_another_one"),
            ("backup/tree.rs", "a_new_content_is_a_new_inode_and_the_other_link_keeps_the_old_one"),
        ],
    ),
    (
        "B7",
        "a folder cannot be moved over one that holds files",
        &[
            (HERE, "a_folder_is_copied_whole_and_moved_over_another_one"),
            ("backup/tree.rs", "a_move_replaces_a_whole_folder_and_a_removal_takes_one"),
        ],
    ),
    ("B8", "an empty path is a panic", &[("backup/tests/hostile.rs", "no_path_leads_out")]),
    (
        "B9",
        "a folder that cannot be listed is an empty one",
        &[(HERE, "failures_here_have_the_codes_that_devices_know")],
    ),
    (
        "B10",
        "services are started without the escrow bag",
        &[("backup/tests/duties.rs", "what_itunes_keeps_on_a_phone_is_in_info_plist_and_the_sync_is_announced")],
    ),
    (
        "B11",
        "every last word is a failure, code 0 too",
        &[("backup/tests/walk.rs", "a_first_backup_becomes_a_generation_that_other_tools_can_use")],
    ),
    (
        "B12",
        "a panic where no UDID is known",
        &[("backup/tests/duties.rs", "a_generation_of_another_phone_is_put_back")],
    ),
    (
        "B13",
        "every failure is -1, and its text is lost",
        &[
            (HERE, "failures_here_have_the_codes_that_devices_know"),
            ("backup/tests/hostile.rs", "a_full_disk_is_read_to_the_end_answered_and_reported_as_what_it_is"),
        ],
    ),
    (
        "B14",
        "a failure of the own disk leaves the stream in the middle",
        &[
            (HERE, "an_upload_does_not_take_a_folder_away"),
            ("backup/tests/hostile.rs", "a_full_disk_is_read_to_the_end_answered_and_reported_as_what_it_is"),
        ],
    ),
    ("B15", "errors of closing a file are lost", &[("backup/tests/cut.rs", "no_cut_costs_a_generation")]),
    (
        "B16",
        "no limit, no cancel, no goodbye",
        &[
            ("backup/tests/hostile.rs", "silence_ends_and_is_remarked"),
            ("backup/tests/hostile.rs", "a_wish_to_stop_is_heard_in_a_silence_and_the_phone_hears_goodbye"),
        ],
    ),
    (
        "B17",
        "passwords and keys are in the log",
        &[("wire/devicelink/tests.rs", "requests_survive_and_passwords_do_not_print")],
    ),
    // B18 is a way to unpack a backup on the device, which is not used: it is read on the host.
    (
        "B18",
        "the password of an Unback is in the wrong place",
        &[("backup/tests/sound.rs", "rows_are_shown_and_a_file_comes_out_whatever_its_name")],
    ),
    ("B19", "over Wi-Fi anybody may answer", &[("mux/tls.rs", "over_wi_fi_only_the_paired_certificate_passes")]),
    (
        "B20",
        "the name of a file on the device is thrown away",
        &[("backup/tests/hostile.rs", "files_that_the_phone_cannot_read_are_told_and_the_rest_is_kept")],
    ),
    ("B21", "UNIX:/path is no address", &[("mux/address.rs", "both_spellings_of_a_socket_and_a_host")]),
    (
        "B22",
        "no pairing with a dead Wi-Fi chip",
        &[("mux/tests.rs", "a_phone_without_a_wifi_address_pairs_and_its_record_works")],
    ),
    ("B23", "\"no record\" is no answer but a failure without a name", &[(HERE, "no_record_is_an_answer")]),
    (
        "B24",
        "refusals of lockdown are texts",
        &[(HERE, "refusals_of_lockdown_have_codes"), ("wire/lockdown.rs", "every_refusal_is_read_back")],
    ),
    // B25 is speed: `scripts/bench backup` counts it.
    (
        "B25",
        "a detour over other threads for each file",
        &[("backup/tests/walk.rs", "a_first_backup_becomes_a_generation_that_other_tools_can_use")],
    ),
];
const HERE: &str = "backup/tests/defects.rs";

#[test]
fn every_defect_has_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (at, (number, what, shown)) in TABLE.iter().enumerate() {
        assert_eq!(*number, format!("B{}", at + 1));
        assert!(!shown.is_empty(), "{number}: {what}");
        for (file, test) in *shown {
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            let at = text.find(&format!("fn {test}()")).unwrap_or_else(|| panic!("{number}: no {test} in {file}"));
            let before = &text[at.saturating_sub(120)..at];
            assert!(before.contains("test]") || before.contains("test("), "{number}: {test} is no test");
        }
    }
    assert_eq!(TABLE.len(), 25);
}

// -- a phone that says what it is told to, and what came of it --

struct Said {
    to_host: Cursor<Vec<u8>>,
    from_host: Vec<u8>,
    /// The largest buffer that was offered for reading.
    largest: usize,
}

impl Read for Said {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.largest = self.largest.max(buffer.len());
        self.to_host.read(buffer)
    }
}

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.from_host.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Wire for Said {
    fn set_limit(&mut self, _: Option<Duration>) -> std::io::Result<()> {
        Ok(())
    }
}

struct Came {
    dir: TempDir,
    done: Result<Received, Fault>,
    answers: Vec<Status>,
    largest: usize,
}

impl Came {
    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(UDID).join(path)
    }
}

fn message(message: FromDevice) -> Vec<u8> {
    encode(message.build()).unwrap()
}

/// A tree with `full/kept` and `file`, and a phone that says exactly this after its greeting.
fn says(pieces: &[Vec<u8>]) -> Came {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join(UDID);
    std::fs::create_dir_all(folder.join("full/deep")).unwrap();
    for name in ["full/kept", "full/deep/er", "file"] {
        std::fs::write(folder.join(name), name).unwrap();
    }
    let hello = Response { version: Some(2.1), ..Response::ok() }.build();
    let mut words = message(FromDevice::VersionExchange { major: 400, minor: 0 });
    words.extend(message(FromDevice::Ready));
    words.extend(message(FromDevice::Process(hello)));
    words.extend(pieces.concat());
    let mut wire = Said { to_host: Cursor::new(words), from_host: vec![], largest: 0 };
    let tree = WorkTree::open(dir.path(), UDID).unwrap();
    let options = BackupOptions { full: false, patience: patience() };
    let done = backup(&mut wire, &udid(), &tree, &options, &crate::event::Quiet, &Cancel::new());
    let mut answers = vec![];
    let mut rest = wire.from_host.as_slice();
    while let Some((word, body)) = rest.split_first_chunk::<4>() {
        let (one, next) = body.split_at(u32::from_be_bytes(*word) as usize);
        if let FromHost::Status(status) = FromHost::parse(decode(one).unwrap()).unwrap() {
            answers.push(status);
        }
        rest = next;
    }
    Came { dir, done, answers, largest: wire.largest }
}

fn at(path: &str) -> String {
    format!("{UDID}/{path}")
}

fn end() -> Vec<u8> {
    message(FromDevice::Process(Response::ok().build()))
}

fn upload(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = message(FromDevice::UploadFiles { progress: None, bytes: 0, callbacks: None });
    for (path, content) in files {
        bytes.extend(build_name("/.ba/x").unwrap());
        bytes.extend(build_name(&at(path)).unwrap());
        bytes.extend(Head { code: FrameCode::Data, payload: content.len() as u32 }.build());
        bytes.extend(*content);
        bytes.extend(Head { code: FrameCode::End, payload: 0 }.build());
    }
    bytes.extend(LIST_END);
    bytes
}

fn codes(came: &Came) -> Vec<i64> {
    came.answers.iter().map(|status| status.code.0).collect()
}

#[test]
fn an_upload_does_not_take_a_folder_away() {
    let came = says(&[upload(&[("full", b"a file"), ("after", b"it")]), upload(&[("next", b"batch")]), end()]);
    assert_eq!(came.done.as_ref().map(|r| r.files).map_err(Fault::to_string), Ok(2));
    assert_eq!(codes(&came), [DlCode::IS_DIRECTORY.0, 0], "told, and still in step");
    assert_eq!(std::fs::read(came.at("full/kept")).unwrap(), b"full/kept");
    assert_eq!(std::fs::read(came.at("after")).unwrap(), b"it");
    assert_eq!(std::fs::read(came.at("next")).unwrap(), b"batch");
}

#[test]
fn no_buffer_is_as_large_as_a_length_from_the_wire() {
    let begin = message(FromDevice::UploadFiles { progress: None, bytes: u64::MAX, callbacks: None });
    let names = [build_name("/.ba/x").unwrap(), build_name(&at("x")).unwrap()].concat();
    let frame = |length: u32| [length.to_be_bytes().as_slice(), &[FrameCode::Data.byte()], b"abc"].concat();
    for (pieces, code) in [
        (vec![begin.clone(), names.clone(), frame(1 << 30)], Code::LinkLost),
        (vec![begin.clone(), names, frame(u32::MAX)], Code::LinkAbsurd),
        (vec![begin, vec![0xFF; 4], vec![b'a'; 50]], Code::LinkAbsurd),
        (vec![vec![0xFF; 4], vec![b'a'; 50]], Code::LinkAbsurd),
    ] {
        let came = says(&pieces);
        assert_eq!(came.done.unwrap_err().code, code);
        assert!(came.largest <= 1 << 20, "{} bytes for a length that somebody claimed", came.largest);
    }
}

#[test]
fn a_folder_is_copied_whole_and_moved_over_another_one() {
    let came = says(&[
        message(FromDevice::CopyItem { from: at("full"), to: at("copy") }),
        message(FromDevice::CopyItem { from: at("full"), to: at("Snapshot") }),
        message(FromDevice::RemoveItems { paths: vec![at("Snapshot/kept"), at("none")], progress: None }),
        message(FromDevice::MoveItems { items: vec![(at("Snapshot"), at("full"))], progress: None }),
        end(),
    ]);
    assert!(came.done.is_ok() && codes(&came) == [0; 4], "{:?}", codes(&came));
    for name in ["copy/kept", "copy/deep/er", "full/deep/er"] {
        assert!(came.at(name).is_file(), "{name}");
    }
    assert!(!came.at("full/kept").exists() && !came.at("Snapshot").exists(), "the older one made way");
}

#[test]
fn failures_here_have_the_codes_that_devices_know() {
    let came = says(&[
        message(FromDevice::ContentsOfDirectory { path: at("file") }),
        message(FromDevice::ContentsOfDirectory { path: at("none") }),
        message(FromDevice::CreateDirectory { path: at("file") }),
        message(FromDevice::CreateDirectory { path: at("file/below") }),
        message(FromDevice::MoveItems { items: vec![(at("none"), at("there"))], progress: None }),
        upload(&[("file/below", b"x")]),
        end(),
    ]);
    assert!(came.done.is_ok());
    assert_eq!(codes(&came), [-8, 0, -7, -7, -6, -8]);
    let texts = came.answers.iter().filter(|status| status.code != DlCode::OK).filter_map(|s| s.text.clone());
    assert!(texts.clone().count() == 5 && texts.clone().all(|text| text.len() > 8), "each says why");
}

#[tokio::test]
async fn no_record_is_an_answer() {
    use crate::virt::mux::{HostRecords, Muxd};
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("usbmuxd");
    let phone = crate::virt::phone::Phone::new(crate::virt::spec::PhoneSpec::default(), 0, 100.0).unwrap();
    let _muxd = Muxd::start(&socket, vec![phone.clone()], std::sync::Arc::new(HostRecords::new())).unwrap();
    let mux = crate::mux::Mux::new(crate::mux::MuxAddress::Unix(socket));
    assert!(mux.pair_record(&phone.udid).await.unwrap().is_none());
}

#[test]
fn refusals_of_lockdown_have_codes() {
    for (word, code) in [
        ("EscrowLocked", Code::DeviceLocked),
        ("PasswordProtected", Code::DeviceLocked),
        ("InvalidService", Code::ServiceRefused),
        ("ServiceProhibited", Code::ServiceRefused),
        ("FMiPProtected", Code::FindMyOn),
        ("MCProtected", Code::PairingForbidden),
        ("InvalidHostID", Code::PairingStale),
        ("A word of next year", Code::LockdownRefused),
    ] {
        let fault = Fault::from(LockdownError::Refused(word.into()));
        assert_eq!(fault.code, code, "{word}");
        assert!(fault.detail.contains(word));
    }
}
