//! A controller's end of the line, driven by hand: no kernel is needed.

use super::*;
use crate::virt::phone::Stage;
use crate::virt::spec::{ModeSpec, PhoneSpec};
use crate::wire::dfu;

const LIMIT: Duration = Duration::from_secs(20);

/// A controller's end, driven by hand.
struct Controller {
    link: UnixStream,
    next: u32,
    line: Arc<Line>,
}

fn attached(mode: ModeSpec) -> (Arc<Phone>, Controller) {
    let spec = PhoneSpec { mode, photos: 0, ..PhoneSpec::default() };
    let phone = Phone::new(spec, 0, 100.0).unwrap();
    let model = Model::of(&phone);
    let generation = model.identity().unwrap().generation;
    let (ours, link) = UnixStream::pair().unwrap();
    link.set_read_timeout(Some(LIMIT)).unwrap();
    let line = Line::open(model, generation, ours).unwrap();
    (phone, Controller { link, next: 1, line })
}

impl Controller {
    fn send(&mut self, command: Command, data: &[u8]) {
        self.link.write_all(&[&command.to_bytes()[..], data].concat()).unwrap();
    }

    fn submit(&mut self, endpoint: u8, incoming: bool, setup: [u8; 8], length: u32, data: &[u8]) -> u32 {
        let sequence = self.next;
        self.next += 1;
        self.send(Command::Submit(Submit { sequence, incoming, endpoint, flags: 0, length, setup }), data);
        sequence
    }

    fn header(&mut self) -> Answer {
        let mut header = [0; HEADER];
        self.link.read_exact(&mut header).unwrap();
        Answer::parse(&header).unwrap()
    }

    /// Status and data of a control request.
    fn control(&mut self, setup: [u8; 8], data: &[u8]) -> (i32, Vec<u8>) {
        let incoming = setup[0] & 0x80 != 0;
        let length = u32::from(u16::from_le_bytes([setup[6], setup[7]]));
        let sequence = self.submit(0, incoming, setup, length, data);
        let Answer::Submit { sequence: answered, status, actual } = self.header() else { panic!("an unlink") };
        assert_eq!(answered, sequence);
        let mut bytes = vec![0; if incoming { actual as usize } else { 0 }];
        self.link.read_exact(&mut bytes).unwrap();
        (status, bytes)
    }

    fn ended(&mut self) -> bool {
        self.link.read(&mut [0]).unwrap() == 0
    }
}

#[test]
fn a_kernel_enumerates() {
    let (_phone, mut kernel) = attached(ModeSpec::Recovery);
    let (status, device) = kernel.control(AFTER_RESET, &[]);
    assert_eq!((status, device.len(), &device[8..12]), (0, 18, &[0xAC, 0x05, 0x81, 0x12][..]));
    assert_eq!(kernel.control([0x80, 6, 0, 2, 0, 0, 9, 0], &[]).1.len(), 9);
    assert_eq!(kernel.control([0x00, 9, 1, 0, 0, 0, 0, 0], &[]), (0, vec![]));
    let stalled = kernel.control([0x80, 6, 0, 15, 0, 0, 5, 0], &[]);
    assert_eq!(stalled, (EPIPE, vec![]));
}

#[test]
fn a_silent_endpoint_stays_pending_until_it_is_given_up() {
    let (_phone, mut kernel) = attached(ModeSpec::Recovery);
    let pending = kernel.submit(1, true, [0; 8], 512, &[]);
    assert_eq!(kernel.control([0x80, 0, 0, 0, 0, 0, 2, 0], &[]), (0, vec![0, 0]), "others go on");
    kernel.send(Command::Unlink { sequence: 90, target: pending }, &[]);
    assert_eq!(kernel.header(), Answer::Unlink { sequence: 90, status: ECONNRESET });
    kernel.send(Command::Unlink { sequence: 91, target: pending }, &[]);
    assert_eq!(kernel.header(), Answer::Unlink { sequence: 91, status: 0 });
}

#[test]
fn a_reset_is_seen_in_what_follows_it() {
    let (phone, mut kernel) = attached(ModeSpec::Dfu);
    let changes = phone.watch();
    let image = [7; 3000];
    for packet in dfu::packets(&image) {
        let [low, high] = (packet.data.len() as u16).to_le_bytes();
        let setup = [dfu::TYPE_OUT, dfu::DNLOAD, packet.index as u8, 0, 0, 0, low, high];
        assert_eq!(kernel.control(setup, &packet.data).0, 0);
        assert_eq!(kernel.control([dfu::TYPE_IN, dfu::GETSTATUS, 0, 0, 0, 0, 6, 0], &[]).0, 0);
    }
    // Somebody's own look at the descriptor is no reset.
    assert_eq!(kernel.control([0x80, 6, 0, 1, 0, 0, 18, 0], &[]).1.len(), 18);
    for _ in 0..2 {
        kernel.control([dfu::TYPE_IN, dfu::GETSTATUS, 0, 0, 0, 0, 6, 0], &[]);
    }
    assert_eq!(phone.remembered("dfu.image"), 0);
    assert_eq!(kernel.control(AFTER_RESET, &[]).0, ESHUTDOWN);
    assert_eq!(phone.remembered("dfu.image"), 1);
    let line = Arc::clone(&kernel.line);
    let unplugger = std::thread::spawn(move || line.unplug());
    // The kernel tries again, and is refused rather than left waiting.
    assert_eq!(kernel.control(AFTER_RESET, &[]).0, ESHUTDOWN);
    assert_eq!(kernel.control(AFTER_RESET, &[]).0, ESHUTDOWN);
    unplugger.join().unwrap();
    assert!(kernel.ended());
    assert_eq!(changes.recv_timeout(LIMIT).unwrap().to, Stage::Away);
}

#[test]
fn a_command_is_acknowledged_before_the_phone_leaves() {
    let (phone, mut kernel) = attached(ModeSpec::Recovery);
    let changes = phone.watch();
    let line = Arc::clone(&kernel.line);
    let unplugger = std::thread::spawn(move || {
        assert_eq!(changes.recv_timeout(LIMIT).unwrap().to, Stage::Away);
        line.unplug();
    });
    assert_eq!(kernel.control([0x40, 0, 0, 0, 0, 0, 7, 0], b"reboot\0").0, 0);
    unplugger.join().unwrap();
    assert!(kernel.ended());
}

#[test]
fn nonsense_ends_the_line() {
    let (_phone, mut kernel) = attached(ModeSpec::Recovery);
    kernel.link.write_all(&[0xFF; HEADER]).unwrap();
    assert!(kernel.ended());
}

#[test]
fn more_phones_than_ports_are_refused_and_so_is_a_machine_without_a_controller() {
    let phones: Vec<Arc<Phone>> = (0..9)
        .map(|place| Phone::new(PhoneSpec { photos: 0, ..PhoneSpec::default() }, place, 100.0).unwrap())
        .collect();
    assert_eq!(Vhci::start(&phones).err().unwrap().kind(), io::ErrorKind::InvalidInput);
    let err = explained(&io::Error::from(io::ErrorKind::NotFound));
    assert!(err.to_string().contains("vhci-hcd"), "{err}");
}
