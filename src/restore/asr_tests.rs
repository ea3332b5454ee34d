//! ASR with devices that ask for everything they may, and with such that keep silent, cut or babble.

use super::asr::serve;
use crate::event::Quiet;
use crate::fault::{Code, Fault};
use crate::firmware::{Ipsw, RootImage};
use crate::wire::asr::{CHECKSUM, CHUNK, FromDevice, PacketInfo, message_length};
use sha1::{Digest, Sha1};
use std::io::{Cursor, Write};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

const SIZE: usize = 9 * CHUNK + 4321;

struct Device {
    link: DuplexStream,
    content: Vec<u8>,
    host: JoinHandle<Result<(), Fault>>,
    _folder: TempDir,
}

impl Device {
    fn new() -> Device {
        let folder = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..SIZE as u32).map(|i| (i / 7) as u8).collect();
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("x.dmg", SimpleFileOptions::DEFAULT.compression_method(CompressionMethod::Stored)).unwrap();
        zip.write_all(&content).unwrap();
        let path = folder.path().join("x.ipsw");
        std::fs::write(&path, zip.finish().unwrap().into_inner()).unwrap();
        let image = RootImage::open(&Ipsw::open(&path).unwrap(), "x.dmg", folder.path()).unwrap();
        // Small enough that every write is taken in several parts.
        let (ours, link) = duplex(50_001);
        let host = tokio::spawn(async move { serve(Box::new(ours), Arc::new(image), &Quiet).await });
        Device { link, content, host, _folder: folder }
    }

    async fn say(&mut self, message: &FromDevice) {
        self.link.write_all(&message.build()).await.unwrap();
    }

    async fn initiate(&mut self, checksum_chunks: bool) {
        self.say(&FromDevice::Initiate { checksum_chunks }).await;
        let mut answer = Vec::new();
        while message_length(&answer).unwrap().is_none() {
            answer.push(self.link.read_u8().await.unwrap());
        }
        let wanted = PacketInfo { size: SIZE as u64, checksum_chunks };
        assert_eq!(PacketInfo::parse(&answer).unwrap(), wanted);
    }

    async fn out_of_band(&mut self, offset: usize, length: usize) {
        self.say(&FromDevice::OobData { length: length as u64, offset: offset as u64 }).await;
        let mut bytes = vec![0; length];
        self.link.read_exact(&mut bytes).await.unwrap();
        assert!(bytes == self.content[offset..offset + length], "{length} at {offset}");
    }

    async fn payload(mut self, checksums: bool) {
        self.say(&FromDevice::Payload).await;
        let mut got = Vec::new();
        self.link.read_to_end(&mut got).await.unwrap();
        let mut wanted = Vec::new();
        for chunk in self.content.chunks(CHUNK) {
            wanted.extend_from_slice(chunk);
            wanted.extend(checksums.then(|| Sha1::digest(chunk)).iter().flatten());
        }
        assert_eq!(got.len(), SIZE + if checksums { 10 * CHECKSUM } else { 0 });
        assert!(got == wanted);
        self.host.await.unwrap().unwrap();
    }

    /// How the host ends, and in how much time.
    async fn ends(self) -> Fault {
        let began = tokio::time::Instant::now();
        let fault = self.host.await.unwrap().unwrap_err();
        assert!(began.elapsed() <= Duration::from_secs(6 * 60), "{}", fault.detail);
        assert_eq!(fault.stage.as_deref(), Some("send-image"), "{}", fault.detail);
        fault
    }
}

#[tokio::test]
async fn the_whole_image_with_and_without_digests() {
    for checksums in [true, false] {
        let mut device = Device::new();
        device.initiate(checksums).await;
        device.payload(checksums).await;
    }
}

#[tokio::test]
async fn the_last_of_two_wishes_counts() {
    for (first, second) in [(false, true), (true, false)] {
        let mut device = Device::new();
        device.initiate(first).await;
        device.out_of_band(0, 53).await;
        device.initiate(second).await;
        device.payload(second).await;
    }
}

#[tokio::test]
async fn reads_anywhere_in_the_image_and_in_any_length() {
    let mut device = Device::new();
    device.initiate(true).await;
    for (offset, length) in [(0, 1), (SIZE - 512, 512), (SIZE - 512, 512), (5, 700_000), (0, SIZE), (SIZE, 0)] {
        device.out_of_band(offset, length).await;
    }
    // Two questions in one write.
    let ask = FromDevice::OobData { length: 3, offset: 9 }.build();
    device.link.write_all(&[&ask[..], &ask[..]].concat()).await.unwrap();
    let mut bytes = [0; 6];
    device.link.read_exact(&mut bytes).await.unwrap();
    assert_eq!(bytes, [1, 1, 1, 1, 1, 1]);
    device.payload(true).await;
}

#[tokio::test]
async fn reads_outside_the_image_are_refused() {
    let size = SIZE as u64;
    for (offset, length) in [(size, 1), (size - 3, 4), (u64::MAX, 2), (0, u64::MAX), (0, size + 1), (1 << 62, 1 << 20)]
    {
        let mut device = Device::new();
        device.initiate(true).await;
        device.say(&FromDevice::OobData { length, offset }).await;
        let code = device.ends().await.code;
        assert!(matches!(code, Code::AsrFailed | Code::LinkAbsurd), "{length} at {offset}: {code:?}");
    }
}

/// How far a device comes before it goes wrong.
#[derive(Clone, Copy, Debug)]
enum At {
    Start,
    HalfAMessage,
    AfterInitiate,
    HalfAnAnswer,
    AfterRead,
    HalfThePayload,
}

async fn reach(at: At) -> Device {
    let mut device = Device::new();
    match at {
        At::Start => {}
        At::HalfAMessage => device.link.write_all(b"<plist version=\"1.0\"><di").await.unwrap(),
        At::AfterInitiate => device.initiate(true).await,
        At::HalfAnAnswer => {
            device.initiate(true).await;
            device.say(&FromDevice::OobData { length: 600_000, offset: 0 }).await;
            device.link.read_exact(&mut [0; 70_000]).await.unwrap();
        }
        At::AfterRead => {
            device.initiate(true).await;
            device.out_of_band(1, 2).await;
        }
        At::HalfThePayload => {
            device.initiate(true).await;
            device.say(&FromDevice::Payload).await;
            device.link.read_exact(&mut vec![0; 3 * CHUNK]).await.unwrap();
        }
    }
    device
}

const STAGES: [At; 6] =
    [At::Start, At::HalfAMessage, At::AfterInitiate, At::HalfAnAnswer, At::AfterRead, At::HalfThePayload];

#[tokio::test(start_paused = true)]
async fn silence_ends_in_time_wherever_it_begins() {
    for at in STAGES {
        let Device { link, content, host, _folder } = reach(at).await;
        // The link stays open, but nobody reads or writes.
        let (idle, _) = duplex(1);
        let fault = Device { link: idle, content, host, _folder }.ends().await;
        assert_eq!(fault.code, Code::AsrFailed, "{at:?} {}", fault.detail);
        assert!(fault.detail.contains("nothing"), "{at:?} {}", fault.detail);
        drop(link);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_ends_at_once_wherever_it_comes() {
    for at in STAGES {
        let Device { link, content, host, _folder } = reach(at).await;
        drop(link);
        let began = tokio::time::Instant::now();
        let (idle, _) = duplex(1);
        let fault = Device { link: idle, content, host, _folder }.ends().await;
        assert_eq!(fault.code, Code::AsrFailed, "{at:?} {}", fault.detail);
        assert!(began.elapsed() < Duration::from_secs(1), "{at:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn garbage_is_named_as_such() {
    let endless = [b'x'; 70_000];
    let initiate = FromDevice::Initiate { checksum_chunks: true }.build();
    let unknown = String::from_utf8(initiate.clone()).unwrap().replace("Initiate", "Dance");
    let negative = FromDevice::OobData { length: 1, offset: 1 }.build();
    let negative = String::from_utf8(negative).unwrap().replace("<integer>1<", "<integer>-1<");
    for bytes in [
        &endless[..],
        b"</plist>\n",
        b"<plist version=\"1.0\"><array/></plist>\n",
        &[0xFF; 40],
        unknown.as_bytes(),
        negative.as_bytes(),
        &FromDevice::Payload.build(),
    ] {
        for begun in [false, true] {
            let payload_is_fine = begun && bytes == FromDevice::Payload.build();
            if payload_is_fine {
                continue;
            }
            let mut device = Device::new();
            if begun {
                device.initiate(true).await;
            }
            // The host may have let go before the last byte.
            let _ = device.link.write_all(bytes).await;
            let fault = device.ends().await;
            let fits = matches!(fault.code, Code::AsrFailed | Code::LinkGarbage | Code::LinkAbsurd);
            assert!(fits, "{begun} {:?} {}", fault.code, fault.detail);
        }
    }
}
