//! TSS: what Apple's signing server is asked, and what it answers.
//!
//! A request is one property list: flags that name the wanted ticket (`@ApImg4Ticket`), facts of the device,
//! keys of the build identity, and a dictionary per component with its digest. An answer is
//! `STATUS=n&MESSAGE=text&REQUEST_STRING=<plist>`. Decisions:
//! - Which keys a request copies is data, one list per ticket; the server refuses both too little and,
//!   for accessory chips, wrongly typed fields, so hex strings of the manifest become integers.
//! - Only 0 is "signed" and only 94 is "not signed". Everything else is unknown and shows code and text:
//!   69 has the text of 94 but is also seen for requests that merely lack a field.

mod ap;
mod peripheral;
#[cfg(test)]
mod peripheral_tests;

pub use ap::{ApRequest, Form};
pub use peripheral::{Peripheral, device_generated, wants_firmware};

use super::WireError;
use super::manifest::{BuildIdentity, xml};
use plist::{Dictionary, Value};

/// What the request claims to come from.
const VERSION: &str = "libauthinstall-1104.0.9";
/// Answers stay under 200 KB.
pub const MAX_REPLY: usize = 16 << 20;

/// The first keys of every request. `uuid` in upper case.
fn preamble(uuid: &str) -> Dictionary {
    let texts = [("@HostPlatformInfo", "mac"), ("@VersionInfo", VERSION), ("@UUID", uuid)];
    texts.into_iter().map(|(key, text)| (key.to_owned(), Value::String(text.to_owned()))).collect()
}

/// Copies identity keys that are there; hex strings become integers where the key is a number.
fn copy(request: &mut Dictionary, from: &Dictionary, keys: &[&str]) {
    for key in keys {
        if let Some(value) = from.get(key) {
            request.insert((*key).to_owned(), typed(value));
        }
    }
}

/// `"0x8110"` becomes a number; other texts (versions, names) stay.
fn typed(value: &Value) -> Value {
    match value {
        Value::String(text) if text.starts_with("0x") => {
            xml::number(value).map_or_else(|| value.clone(), |n| Value::Integer(n.into()))
        }
        other => other.clone(),
    }
}

/// The chip, the board and the build: in every request about the application processor.
fn identity_keys(request: &mut Dictionary, identity: &BuildIdentity) {
    copy(request, &identity.raw, &["UniqueBuildID", "ApChipID", "ApBoardID", "ApSecurityDomain"]);
}

/// The body of the POST.
///
/// # Errors
/// When a value has no XML form (a UID): nothing here makes one.
pub fn encode(request: &Dictionary) -> Result<Vec<u8>, WireError> {
    let mut out = Vec::new();
    Value::Dictionary(request.clone())
        .to_writer_xml(&mut out)
        .map_err(|err| WireError::malformed("TSS request", err.to_string()))?;
    Ok(out)
}

/// Is this build signed for this device?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Signed,
    /// STATUS 94.
    NotSigned,
    /// Neither yes nor no.
    Unknown {
        code: i64,
        text: String,
    },
}

#[derive(Clone, Debug)]
pub struct Reply {
    pub status: i64,
    pub message: String,
    /// The tickets; there only with status 0.
    pub body: Option<Dictionary>,
}

impl Reply {
    /// # Errors
    /// When the bytes are no answer of TSS (a web page, nothing, no STATUS), or its property list breaks off.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        const WHAT: &str = "TSS answer";
        if bytes.len() > MAX_REPLY {
            return Err(WireError::TooLong { what: WHAT, length: bytes.len() as u64, cap: MAX_REPLY as u64 });
        }
        let bytes = xml::trimmed(bytes);
        if bytes.is_empty() {
            return Err(WireError::Short { what: WHAT });
        }
        if xml::looks_like_html(bytes) {
            return Err(WireError::malformed(WHAT, "an HTML page (a login portal, a filter or an error page)"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| WireError::malformed(WHAT, "no text"))?;
        let (head, body) = match text.split_once("REQUEST_STRING=") {
            Some((head, body)) => (head, Some(body)),
            None => (text, None),
        };
        let field = |name: &str| head.split('&').find_map(|part| part.strip_prefix(name)).map(str::trim);
        let status = field("STATUS=")
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| WireError::malformed(WHAT, "no STATUS"))?;
        let message = field("MESSAGE=").unwrap_or_default().chars().take(400).collect();
        // A refusal is one whatever else came with it.
        let body = body.filter(|_| status == 0);
        let body = body.map(|xml_text| xml::dictionary(WHAT, xml_text.as_bytes(), MAX_REPLY)).transpose()?;
        Ok(Reply { status, message, body })
    }

    pub fn verdict(&self) -> Verdict {
        match self.status {
            0 => Verdict::Signed,
            94 => Verdict::NotSigned,
            code => Verdict::Unknown { code, text: self.message.clone() },
        }
    }

    /// A ticket of the answer, e.g. `ApImg4Ticket`, `BBTicket`, `Rap,Ticket`.
    pub fn ticket(&self, name: &str) -> Option<&[u8]> {
        self.body.as_ref()?.get(name)?.as_data()
    }
}

/// Builds an answer as TSS writes it; the bench's side.
///
/// # Errors
/// When the tickets have no XML form.
pub fn reply(status: i64, message: &str, body: Option<&Dictionary>) -> Result<Vec<u8>, WireError> {
    let mut out = format!("STATUS={status}&MESSAGE={message}").into_bytes();
    if let Some(body) = body {
        out.extend_from_slice(b"&REQUEST_STRING=");
        out.extend(encode(body)?);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers_are_told_apart() {
        let body: Dictionary = [("ApImg4Ticket".to_owned(), Value::Data(b"test".to_vec()))].into_iter().collect();
        let signed = Reply::parse(&reply(0, "SUCCESS", Some(&body)).unwrap()).unwrap();
        assert_eq!((signed.verdict(), signed.ticket("ApImg4Ticket")), (Verdict::Signed, Some(&b"test"[..])));
        let no = Reply::parse(b"STATUS=94&MESSAGE=This device isn't eligible for the requested build.").unwrap();
        assert_eq!(no.verdict(), Verdict::NotSigned);
        assert!(no.message.starts_with("This device isn't"));
        let maybe = Reply::parse(b"STATUS=69&MESSAGE=This device isn't eligible for the requested build.").unwrap();
        assert!(matches!(maybe.verdict(), Verdict::Unknown { code: 69, .. }));
        assert!(Reply::parse(b"STATUS=0&MESSAGE=SUCCESS").unwrap().body.is_none());
        for bad in [
            &b""[..],
            b"<html>login</html>",
            b"MESSAGE=x",
            b"STATUS=zero",
            b"STATUS=0&MESSAGE=SUCCESS&REQUEST_STRING=<?xml",
        ] {
            assert!(Reply::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_ampersand_in_the_property_list_is_no_separator() {
        let body: Dictionary = [("a&STATUS=9".to_owned(), Value::String("b&MESSAGE=c".into()))].into_iter().collect();
        let parsed = Reply::parse(&reply(0, "SUCCESS", Some(&body)).unwrap()).unwrap();
        assert_eq!((parsed.status, parsed.body), (0, Some(body)));
    }

    proptest! {
        #[test]
        fn no_answer_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), tail in ".{0,80}") {
            let _ = Reply::parse(&bytes);
            let _ = Reply::parse(format!("STATUS=0&MESSAGE=SUCCESS&REQUEST_STRING={tail}").as_bytes());
        }
    }

    #[test]
    fn a_refusal_with_a_ticket_is_a_refusal() {
        for body in ["<plist version=\"1.0\"><dict><key>ApImg4Ticket</key><data>AAAA</data></dict></plist>", "<plist"] {
            let answer = format!("STATUS=94&MESSAGE=no&REQUEST_STRING={body}");
            let reply = Reply::parse(answer.as_bytes()).unwrap();
            assert_eq!((reply.verdict(), reply.ticket("ApImg4Ticket")), (Verdict::NotSigned, None));
            assert!(
                Reply::parse(answer.replace("94", "0").as_bytes()).is_ok_and(|r| r.body.is_some())
                    == body.ends_with('>')
            );
        }
    }

    #[test]
    fn real_answers_are_read() {
        let Some(folder) = option_env!("HERSTEL_TEST_DATA") else { return };
        let mut seen = 0;
        for entry in std::fs::read_dir(std::path::Path::new(folder).join("tss")).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            let digits = name.strip_prefix("status").and_then(|n| n.split(['_', '.']).next()?.parse::<i64>().ok());
            let Some(status) = digits else {
                continue;
            };
            let reply = Reply::parse(std::fs::read(entry.path()).unwrap().trim_ascii_end()).unwrap();
            assert_eq!(reply.status, status, "{name}");
            assert!(!reply.message.is_empty(), "{name}");
            assert_eq!(reply.body.is_some(), name.contains("ticket"), "{name}");
            seen += 1;
        }
        assert!(seen >= 6);
    }
}
