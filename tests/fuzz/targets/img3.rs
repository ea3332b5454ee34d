//! IMG3 and APTicket: any bytes are read without a panic; a Blob only changes the signature, so the digest of what
//! was signed before it stays; a ticket that is written again says the same.
#![no_main]

use herstel::wire::img3::{ApTicket, Header, Img3, blob, ecid_of_blob, personalise};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = (Header::parse(bytes), ecid_of_blob(bytes));
    if let Ok(ticket) = ApTicket::parse(bytes) {
        let written = ticket.build(|_| vec![1; 128], &[]);
        let again = ApTicket::parse(&written).unwrap();
        assert_eq!(again, ticket);
        let padded = ApTicket::padded(bytes);
        assert!(padded.len() % 64 == 0 && padded.starts_with(bytes));
    }
    if let Ok(image) = Img3::parse(bytes) {
        let _ = (image.version(), image.ecid(), image.digest());
        let signed = personalise(bytes, &blob(0x1234, &[3; 128], &[4; 77])).unwrap();
        let parsed = Img3::parse(&signed).unwrap();
        assert_eq!(parsed.ecid(), Some(0x1234));
        assert_eq!(parsed.header.kind, image.header.kind);
        assert_eq!(parsed.version(), image.version());
        let content = |image: &Img3| image.tag(b"DATA").map(|tag| tag.data.to_vec());
        assert_eq!(content(&parsed), content(&image));
        // A second signature takes the place of the first.
        let other = blob(0x5678, &[3; 128], &[4; 77]);
        assert_eq!(personalise(&signed, &other).unwrap().len(), signed.len());
    }
    // A Blob of the server, in front of which its length stands.
    if let Some((length, rest)) = bytes.split_first_chunk::<2>()
        && let Some((given, image)) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
        && let Ok(signed) = personalise(image, given)
    {
        assert_eq!(Img3::parse(&signed).unwrap().ecid(), ecid_of_blob(given));
    }
});
