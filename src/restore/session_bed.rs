//! A device in memory, for sessions in virtual time: a script on the device's end of every link.
//!
//! The answers are made from a real IPSW of the bench by the product's own code; only the device, Apple's signing and
//! the web are stand-ins, since what is tested is what a session does when they stop or lie. Time stands still
//! while anything works, and jumps when all wait: a limit of fifteen minutes costs nothing.

use super::answer::{Supplies, Web, WebAnswer};
use super::personalize::{Components, Source};
use super::ports::{Opened, Ports};
use super::session::{Restored, Session};
use super::ticket::{Sign, Ticket};
use crate::event::Recorder;
use crate::facts::models::by_nickname;
use crate::fault::{Code, Fault};
use crate::firmware::{Ipsw, RootImage};
use crate::ids::Ecid;
use crate::mux::{Mux, MuxAddress, MuxError};
use crate::virt::ipsw::IpswSpec;
use crate::virt::phone::offered_system;
use crate::wire::asr;
use crate::wire::img4::{Im4m, Im4mFields};
use crate::wire::manifest::{Behaviour, BuildIdentity};
use crate::wire::restored::{self as wire, FromDevice, RestoreOptions, ToDevice, TypeAnswer};
use crate::wire::tss::Form;
use plist::{Dictionary, Value};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub const ECID: Ecid = Ecid(0x0126_D0E8_1100_0001);
pub const SILENCE: Duration = Duration::from_secs(900);
/// What any session that is left alone may take, all limits after one another.
pub const BOUND: Duration = Duration::from_secs(1300);

struct Firmware {
    identity: Arc<BuildIdentity>,
    ipsw: Ipsw,
    image: Arc<RootImage>,
    _folder: tempfile::TempDir,
}

static FIRMWARE: LazyLock<Firmware> = LazyLock::new(|| {
    let model = by_nickname("iphone13").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (version, build) = offered_system(model);
    let spec = IpswSpec::for_models(&[model], &version.to_string(), &build.to_string(), 1 << 20);
    let ipsw = Ipsw::open(&spec.build(folder.path()).unwrap().path).unwrap();
    let manifest = ipsw.build_manifest().unwrap();
    let identity = manifest.choose(model.cpid, model.bdid.unwrap(), Some(model.board), Behaviour::Erase).unwrap();
    let identity = Arc::new(identity.clone());
    let image = RootImage::open(&ipsw, identity.system_image().unwrap(), folder.path()).unwrap();
    Firmware { identity, ipsw, image: Arc::new(image), _folder: folder }
});

pub fn image() -> Arc<RootImage> {
    Arc::clone(&FIRMWARE.image)
}

struct Files;

impl Components for Files {
    fn open(&self, path: &str) -> Result<Source, Fault> {
        let bytes = FIRMWARE.ipsw.component(path)?;
        Ok(Source { length: bytes.len() as u64, reader: Box::new(Cursor::new(bytes)) })
    }
    fn size(&self, _: &str) -> Option<u64> {
        None
    }
}

/// What a server does when it is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Serves,
    /// Never answers.
    Silent,
    /// Refuses, or is not to be reached.
    Fails(Code),
}

struct Apple(Server);

type Promised<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

impl Apple {
    fn answer<'a, T: Send + 'a>(&self, good: T) -> Promised<'a, T> {
        match self.0 {
            Server::Serves => Box::pin(async move { Ok(good) }),
            Server::Silent => Box::pin(std::future::pending()),
            Server::Fails(code) => Box::pin(async move { Err(Fault::new(code, "the server of the test")) }),
        }
    }
}

impl Sign for Apple {
    fn sign<'a>(&'a self, request: Dictionary) -> Promised<'a, Dictionary> {
        let names = request.keys().filter_map(|k| k.strip_prefix('@')).filter(|n| n.ends_with("Ticket"));
        let ticket = || Value::Data(Im4m::build(&Im4mFields::default(), |_| vec![1; 64], &[]));
        self.answer(names.map(|name| (name.to_owned(), ticket())).collect())
    }
}

impl Web for Apple {
    fn fetch<'a>(&'a self, _: &'a str, _: &'a str, _: &'a [(String, String)], _: Vec<u8>) -> Promised<'a, WebAnswer> {
        self.answer(WebAnswer { status: 200, headers: vec![], body: vec![7; 90] })
    }
}

/// What becomes of a connection to a port.
pub enum Door {
    Opens(DuplexStream),
    /// As long as the device does not listen.
    Refuses,
    /// usbmuxd never says.
    Never,
}

/// The device's ports; a link can be taken from a door once.
#[derive(Default)]
pub struct Doors(Mutex<BTreeMap<u16, Door>>);

impl Doors {
    pub fn set(&self, port: u16, door: Door) {
        self.0.lock().unwrap().insert(port, door);
    }

    /// Opens `port`, and gives the device's end of the link, which holds so many bytes.
    pub fn link(&self, port: u16, holds: usize) -> DuplexStream {
        let (host, device) = tokio::io::duplex(holds);
        self.set(port, Door::Opens(host));
        device
    }
}

impl Ports for Doors {
    fn open(&self, port: u16) -> Opened<'_> {
        let mut doors = self.0.lock().unwrap();
        match doors.remove(&port) {
            Some(Door::Opens(link)) => Box::pin(async move { Ok(Box::new(link) as crate::mux::BoxDuplex) }),
            Some(Door::Never) => Box::pin(std::future::pending()),
            Some(Door::Refuses) => {
                doors.insert(port, Door::Refuses);
                Box::pin(async move { Err(MuxError::Refused(port)) })
            }
            None => Box::pin(async move { Err(MuxError::Refused(port)) }),
        }
    }
}

/// The device's end.
pub struct Device {
    pub control: DuplexStream,
    pub doors: Arc<Doors>,
}

impl Device {
    pub async fn say(&mut self, message: &FromDevice) {
        self.write(&wire::frame(&message.build())).await;
    }

    /// The host may be gone by then: that is for the test's end to judge.
    pub async fn write(&mut self, bytes: &[u8]) {
        let _ = self.control.write_all(bytes).await;
    }

    pub async fn hear(&mut self) -> Option<Dictionary> {
        hear(&mut self.control).await
    }

    /// To the running restore.
    pub async fn greet(&mut self) {
        while let Some(request) = self.hear().await {
            let mut answer = Dictionary::new();
            match ToDevice::parse(&request) {
                ToDevice::QueryType => {
                    let kind = wire::TYPE.to_owned();
                    let protocol = wire::PROTOCOL_VERSION;
                    answer = TypeAnswer { kind, protocol, hardware_model: None, serial: None }.build();
                }
                ToDevice::QueryValue { .. } => {
                    let info = Dictionary::from_iter([("UniqueChipID", Value::from(ECID.0))]);
                    answer.insert("HardwareInfo".into(), info.into());
                }
                _ => return,
            }
            self.write(&wire::frame(&answer)).await;
        }
    }

    /// Takes the image on `link` up to its last byte but one; whoever reads that has it all.
    pub async fn take_image(&self, link: &mut DuplexStream) -> usize {
        link.write_all(&asr::FromDevice::Initiate { checksum_chunks: true }.build()).await.unwrap();
        let mut info = Vec::new();
        while asr::message_length(&info).unwrap().is_none() {
            info.push(link.read_u8().await.unwrap());
        }
        link.write_all(&asr::FromDevice::Payload.build()).await.unwrap();
        let size = image().size() as usize;
        let mut all = vec![0; size + size.div_ceil(asr::CHUNK) * asr::CHECKSUM - 1];
        link.read_exact(&mut all).await.unwrap();
        all.len() + 1
    }
}

/// One message from the host; none when it closed.
pub async fn hear(link: &mut DuplexStream) -> Option<Dictionary> {
    let mut prefix = [0; 4];
    link.read_exact(&mut prefix).await.ok()?;
    let mut body = vec![0; wire::length(prefix, wire::FROM_HOST_CAP).unwrap()];
    link.read_exact(&mut body).await.ok()?;
    Some(wire::parse_any(&body).unwrap())
}

/// How a session ended, and after how long by its own clock.
pub struct Ended {
    pub result: Result<Restored, Fault>,
    pub took: Duration,
    pub recorder: Arc<Recorder>,
}

impl Ended {
    pub fn fault(&self) -> &Fault {
        match &self.result {
            Ok(_) => panic!("it was to fail"),
            Err(fault) => fault,
        }
    }
}

/// Runs a session against a script, in virtual time. The script gives its links back, so that they stay open to the
/// end of the session; whatever happens, the session ends within the bound, and so does everything that it started.
pub fn run<T>(server: Server, script: impl AsyncFnOnce(Device) -> T) -> Ended {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        LazyLock::force(&FIRMWARE);
        let doors = Arc::new(Doors::default());
        // Longer than any answer: a thread that waits for room would hold up the clock.
        let control = doors.link(wire::PORT, 64 << 20);
        let recorder = Arc::new(Recorder::default());
        let apple = Arc::new(Apple(server));
        let supplies = Supplies {
            ecid: ECID,
            identity: Arc::clone(&FIRMWARE.identity),
            components: Arc::new(Files),
            ticket: Arc::new(Ticket {
                form: Form::Img4,
                der: Im4m::build(&Im4mFields::default(), |_| vec![1; 64], &[]),
                response: Dictionary::new(),
                ap_nonce: vec![],
                sep_nonce: None,
            }),
            recovery: Default::default(),
            slots: Default::default(),
            sign: Arc::clone(&apple) as Arc<dyn Sign>,
            web: apple,
        };
        let session = Session {
            mux: Mux::new(MuxAddress::Unix("/nowhere".into())),
            device: 1,
            supplies: Arc::new(supplies),
            image: image(),
            options: RestoreOptions::new(true, "U"),
            allowed: |_| false,
            tell: Arc::clone(&recorder) as _,
            silence: SILENCE,
        };
        // True while the trust channel is served.
        let serving = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&serving);
        let trust = |ended: CancellationToken| {
            flag.store(true, Ordering::SeqCst);
            async move {
                ended.cancelled().await;
                flag.store(false, Ordering::SeqCst);
            }
        };
        let began = Instant::now();
        let both = async {
            let timed = async {
                let result = session.conduct(Arc::clone(&doors) as _, trust).await;
                (result, began.elapsed())
            };
            let script = script(Device { control, doors: Arc::clone(&doors) });
            // The script's links live until the session is over, and all that it started.
            let ((result, took), _links) = tokio::join!(timed, script);
            tokio::time::sleep(Duration::from_secs(5)).await;
            let alive = tokio::runtime::Handle::current().metrics().num_alive_tasks();
            assert_eq!(alive, 0, "tasks are left behind");
            (result, took)
        };
        let (result, took) = tokio::time::timeout(2 * BOUND, both).await.expect("it hangs");
        assert!(took <= BOUND, "it took {took:?}");
        assert!(!serving.load(Ordering::SeqCst), "the trust channel was not stopped");
        Ended { result, took, recorder }
    })
}
