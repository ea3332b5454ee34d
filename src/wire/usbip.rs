//! USB/IP: transfers as packets, between a kernel's virtual host controller and whoever is the device.
//!
//! Only the part after the import: the controller submits and unlinks, the device's side answers. Each packet
//! is a header of 48 bytes, big-endian (the setup bytes inside are as USB has them, little-endian), and the
//! data of the transfer where there is any. There is no packet for a bus reset, none for a claim and none for
//! an address: the controller keeps those to itself.
//!
//! Not here: isochronous transfers, which no phone of ours is asked for, and the import over TCP.

use super::WireError;

/// Bytes of every header.
pub const HEADER: usize = 48;
/// Cap on the data of one transfer, in bytes: usbfs takes no more at once.
pub const BUFFER_CAP: u32 = 16 << 20;
/// `URB_ZERO_PACKET`: end a transfer of whole packets with an empty one.
pub const ZERO_PACKET: u32 = 0x40;

/// Error numbers of Linux, as they stand (negative) in [`Answer`]'s status.
pub const EPIPE: i32 = -32;
pub const ECONNRESET: i32 = -104;
pub const ESHUTDOWN: i32 = -108;

const CMD_SUBMIT: u32 = 1;
const CMD_UNLINK: u32 = 2;
const RET_SUBMIT: u32 = 3;
const RET_UNLINK: u32 = 4;

/// `number_of_packets` of what is not isochronous: either is in use.
const NO_PACKETS: [u32; 2] = [0, u32::MAX];

const WHAT: &str = "USB/IP packet";

/// One transfer to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submit {
    /// The transfer's name until it is answered.
    pub sequence: u32,
    /// To the host.
    pub incoming: bool,
    /// 0 to 15, without the direction bit.
    pub endpoint: u8,
    /// `URB_…` flags.
    pub flags: u32,
    /// Bytes that are sent, or room for bytes that come.
    pub length: u32,
    /// Of a control request; zeros otherwise.
    pub setup: [u8; 8],
}

/// What the controller says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Submit(Submit),
    /// Give the transfer `target` up.
    Unlink {
        sequence: u32,
        target: u32,
    },
}

impl Command {
    /// # Errors
    /// An unknown command, an endpoint that cannot be, isochronous packets, a length over [`BUFFER_CAP`].
    pub fn parse(header: &[u8; HEADER]) -> Result<Command, WireError> {
        let sequence = word(header, 4);
        match word(header, 0) {
            CMD_SUBMIT => {
                let length = word(header, 24);
                if length > BUFFER_CAP {
                    return Err(WireError::TooLong { what: WHAT, length: length.into(), cap: BUFFER_CAP.into() });
                }
                if !NO_PACKETS.contains(&word(header, 32)) {
                    return Err(WireError::malformed(WHAT, "an isochronous transfer"));
                }
                let endpoint = u8::try_from(word(header, 16)).ok().filter(|e| *e < 16);
                let mut setup = [0; 8];
                setup.copy_from_slice(&header[40..48]);
                Ok(Command::Submit(Submit {
                    sequence,
                    incoming: word(header, 12) != 0,
                    endpoint: endpoint.ok_or_else(|| WireError::malformed(WHAT, "an endpoint over 15"))?,
                    flags: word(header, 20),
                    length,
                    setup,
                }))
            }
            CMD_UNLINK => Ok(Command::Unlink { sequence, target: word(header, 20) }),
            other => Err(WireError::malformed(WHAT, format!("command {other:#x}"))),
        }
    }

    /// Bytes of data that follow the header.
    pub fn body(&self) -> usize {
        match self {
            Command::Submit(submit) if !submit.incoming => submit.length as usize,
            _ => 0,
        }
    }

    pub fn to_bytes(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        match self {
            Command::Submit(s) => {
                let words = [CMD_SUBMIT, s.sequence, 0, s.incoming.into(), s.endpoint.into(), s.flags, s.length];
                put(&mut header, &words);
                header[40..].copy_from_slice(&s.setup);
            }
            Command::Unlink { sequence, target } => put(&mut header, &[CMD_UNLINK, *sequence, 0, 0, 0, *target]),
        }
        header
    }
}

/// What the device's side says. `status` is 0 or a negative error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `actual` bytes were moved; those of an incoming transfer follow the header.
    Submit { sequence: u32, status: i32, actual: u32 },
    /// [`ECONNRESET`]: given up, and no other answer follows; 0: it was answered before.
    Unlink { sequence: u32, status: i32 },
}

impl Answer {
    /// # Errors
    /// What is no answer, or claims more bytes than [`BUFFER_CAP`].
    pub fn parse(header: &[u8; HEADER]) -> Result<Answer, WireError> {
        let (sequence, status) = (word(header, 4), i32::from_be_bytes(word(header, 20).to_be_bytes()));
        match word(header, 0) {
            RET_SUBMIT => match word(header, 24) {
                actual if actual > BUFFER_CAP => {
                    Err(WireError::TooLong { what: WHAT, length: actual.into(), cap: BUFFER_CAP.into() })
                }
                actual => Ok(Answer::Submit { sequence, status, actual }),
            },
            RET_UNLINK => Ok(Answer::Unlink { sequence, status }),
            other => Err(WireError::malformed(WHAT, format!("answer {other:#x}"))),
        }
    }

    pub fn to_bytes(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        match *self {
            Answer::Submit { sequence, status, actual } => {
                put(&mut header, &[RET_SUBMIT, sequence, 0, 0, 0, status.cast_unsigned(), actual]);
            }
            Answer::Unlink { sequence, status } => {
                put(&mut header, &[RET_UNLINK, sequence, 0, 0, 0, status.cast_unsigned()]);
            }
        }
        header
    }
}

/// `at` is one of ours and inside the header.
fn word(header: &[u8; HEADER], at: usize) -> u32 {
    header.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes)
}

fn put(header: &mut [u8; HEADER], words: &[u32]) {
    for (place, word) in header.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> [u8; HEADER] {
        let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
        let bytes: Vec<u8> = digits.chunks(2).map(|c| u8::from_str_radix(&String::from_iter(c), 16).unwrap()).collect();
        bytes.try_into().unwrap()
    }

    /// Put together by hand from the field table of the kernel's documentation.
    #[test]
    fn a_submit_is_read_field_by_field() {
        let header = hex("00000001 00000d05 0001000f 00000001 00000000 00000200 00000040 \
                          00000000 00000000 00000000 80060001 00004000");
        let command = Command::parse(&header).unwrap();
        let setup = [0x80, 6, 0, 1, 0, 0, 0x40, 0];
        let wanted = Submit { sequence: 0xd05, incoming: true, endpoint: 0, flags: 0x200, length: 64, setup };
        assert_eq!((command, command.body()), (Command::Submit(wanted), 0));
    }

    #[test]
    fn answers_are_written_field_by_field() {
        let stall = Answer::Submit { sequence: 7, status: EPIPE, actual: 0 };
        assert_eq!(
            stall.to_bytes(),
            hex("00000003 00000007 00000000 00000000 00000000 ffffffe0 00000000 \
                 00000000 00000000 00000000 00000000 00000000")
        );
        let unlinked = Answer::Unlink { sequence: 8, status: ECONNRESET };
        assert_eq!(unlinked.to_bytes()[..24], hex(&format!("00000004 00000008 {:024} ffffff98 {:048}", 0, 0))[..24]);
    }

    #[test]
    fn packets_survive_the_way_there_and_back() {
        let out = Submit { sequence: 1, incoming: false, endpoint: 4, flags: ZERO_PACKET, length: 512, setup: [0; 8] };
        for command in [Command::Submit(out), Command::Unlink { sequence: 9, target: 1 }] {
            assert_eq!(Command::parse(&command.to_bytes()), Ok(command));
        }
        assert_eq!(Command::Submit(out).body(), 512);
        for answer in
            [Answer::Submit { sequence: 3, status: 0, actual: 512 }, Answer::Unlink { sequence: 4, status: 0 }]
        {
            assert_eq!(Answer::parse(&answer.to_bytes()), Ok(answer));
        }
    }

    #[test]
    fn what_no_controller_sends_is_refused() {
        let good = Submit { sequence: 1, incoming: false, endpoint: 4, flags: 0, length: 1, setup: [0; 8] };
        let with = |at: usize, word: u32| {
            let mut header = Command::Submit(good).to_bytes();
            header[at..at + 4].copy_from_slice(&word.to_be_bytes());
            Command::parse(&header)
        };
        assert!(matches!(with(24, BUFFER_CAP + 1), Err(WireError::TooLong { .. })));
        assert!(matches!(with(24, u32::MAX), Err(WireError::TooLong { .. })));
        assert!(matches!(with(32, 8), Err(WireError::Malformed { .. })));
        assert!(matches!(with(16, 16), Err(WireError::Malformed { .. })));
        assert!(matches!(with(0, RET_SUBMIT), Err(WireError::Malformed { .. })));
        assert!(with(32, u32::MAX).is_ok());
        assert!(Answer::parse(&Command::Submit(good).to_bytes()).is_err());
    }
}
