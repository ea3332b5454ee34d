//! The keybag of an encrypted backup: class keys, wrapped with what comes of the backup password.
//!
//! It stands in Manifest.plist as `BackupKeyBag` and is a row of fields: four letters, a big-endian length, a value.
//! The head says how the password becomes a key; from the second `UUID` on, each `UUID` begins one class key. Tags
//! that are not known are stepped over, so that a newer phone's keybag still opens. What is in it comes from a file
//! that anybody may have written: sizes, the number of classes and above all the iterations are capped, because an
//! iteration count is a length in time.

use super::WireError;

/// Largest keybag that is read, in bytes; real ones have about 1.2 KiB.
pub const MAX_BYTES: usize = 64 << 10;
/// Most class keys; real ones have about 10.
pub const MAX_CLASSES: usize = 64;
/// Most iterations of either derivation. Phones ask for 10 million, 2 to 10 seconds of one core.
pub const MAX_ITERATIONS: u32 = 50_000_000;
/// `TYPE` of a backup's keybag.
pub const TYPE_BACKUP: u32 = 1;
/// Bit of `WRAP`: wrapped with a key that only the device has.
pub const WRAP_DEVICE: u32 = 1;
/// Bit of `WRAP`: wrapped with the key that comes of the password.
pub const WRAP_PASSWORD: u32 = 2;
/// Bytes of a wrapped 256-bit key (RFC 3394).
pub const WRAPPED: usize = 40;

const WHAT: &str = "keybag";

/// One derivation of a key: PBKDF2 with this salt and count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rounds {
    pub salt: Vec<u8>,
    /// 1 to [`MAX_ITERATIONS`].
    pub iterations: u32,
}

/// The key of one protection class, wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassKey {
    pub uuid: Vec<u8>,
    /// E.g. 3: readable once the device was unlocked since it was started.
    pub class: u32,
    /// [`WRAP_DEVICE`], [`WRAP_PASSWORD`].
    pub wrap: u32,
    pub key_type: u32,
    /// Empty where the keybag gives none; else [`WRAPPED`] bytes in every sound one.
    pub wrapped: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keybag {
    pub version: u32,
    /// [`TYPE_BACKUP`].
    pub kind: u32,
    pub uuid: Vec<u8>,
    pub hmac_key: Vec<u8>,
    pub wrap: u32,
    /// Of PBKDF2 with SHA-1.
    pub rounds: Rounds,
    /// Since iOS 10.2: of PBKDF2 with SHA-256, done before the other.
    pub first_rounds: Option<Rounds>,
    pub classes: Vec<ClassKey>,
}

/// The fields in their order; the last may be cut.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<([u8; 4], &'a [u8]), WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.0.split_first_chunk::<4>().and_then(|(tag, rest)| {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (value, rest) = rest.split_at_checked(length)?;
            self.0 = rest;
            Some((*tag, value))
        });
        match field {
            Some(field) => Some(Ok(field)),
            None => {
                self.0 = &[];
                Some(Err(WireError::Short { what: WHAT }))
            }
        }
    }
}

fn number(tag: [u8; 4], value: &[u8]) -> Result<u32, WireError> {
    let bytes: [u8; 4] = value.try_into().map_err(|_| {
        WireError::malformed(WHAT, format!("{} has {} bytes", String::from_utf8_lossy(&tag), value.len()))
    })?;
    Ok(u32::from_be_bytes(bytes))
}

fn rounds(what: &str, salt: Option<Vec<u8>>, iterations: Option<u32>) -> Result<Rounds, WireError> {
    let lack = |field: &str| WireError::malformed(WHAT, format!("no {field} of the {what} derivation"));
    let salt = salt.filter(|salt| !salt.is_empty()).ok_or_else(|| lack("salt"))?;
    let iterations = iterations.filter(|count| *count > 0).ok_or_else(|| lack("iterations"))?;
    if iterations > MAX_ITERATIONS {
        let (length, cap) = (iterations.into(), MAX_ITERATIONS.into());
        return Err(WireError::TooLong { what: "iterations of a keybag", length, cap });
    }
    Ok(Rounds { salt, iterations })
}

impl Keybag {
    /// # Errors
    /// [`WireError::Short`] when cut, [`WireError::TooLong`] beyond a cap, [`WireError::Malformed`] for a field that
    /// is absent or no number.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > MAX_BYTES {
            return Err(WireError::TooLong { what: WHAT, length: bytes.len() as u64, cap: MAX_BYTES as u64 });
        }
        let (mut version, mut kind, mut wrap, mut uuid, mut hmac_key) = (0, None, 0, None, vec![]);
        let (mut salt, mut iterations, mut first_salt, mut first_iterations) = (None, None, None, None);
        let mut classes: Vec<(ClassKey, bool)> = vec![];
        for field in Fields(bytes) {
            let (tag, value) = field?;
            let Some((class, named)) = classes.last_mut() else {
                match &tag {
                    b"VERS" => version = number(tag, value)?,
                    b"TYPE" => kind = Some(number(tag, value)?),
                    b"WRAP" => wrap = number(tag, value)?,
                    b"HMCK" => hmac_key = value.to_vec(),
                    b"SALT" => salt = Some(value.to_vec()),
                    b"ITER" => iterations = Some(number(tag, value)?),
                    b"DPSL" => first_salt = Some(value.to_vec()),
                    b"DPIC" => first_iterations = Some(number(tag, value)?),
                    b"UUID" if uuid.is_none() => uuid = Some(value.to_vec()),
                    b"UUID" => classes.push((ClassKey::begin(value), false)),
                    _ => {}
                }
                continue;
            };
            match &tag {
                b"CLAS" => (class.class, *named) = (number(tag, value)?, true),
                b"WRAP" => class.wrap = number(tag, value)?,
                b"KTYP" => class.key_type = number(tag, value)?,
                b"WPKY" => class.wrapped = value.to_vec(),
                b"UUID" if classes.len() >= MAX_CLASSES => {
                    let (length, cap) = (classes.len() as u64 + 1, MAX_CLASSES as u64);
                    return Err(WireError::TooLong { what: "class keys of a keybag", length, cap });
                }
                b"UUID" => classes.push((ClassKey::begin(value), false)),
                _ => {}
            }
        }
        if classes.iter().any(|(_, named)| !named) {
            return Err(WireError::malformed(WHAT, "a key without a class"));
        }
        let first_rounds = match (first_salt, first_iterations) {
            (None, None) => None,
            (salt, iterations) => Some(rounds("first", salt, iterations)?),
        };
        Ok(Keybag {
            version,
            kind: kind.ok_or_else(|| WireError::malformed(WHAT, "no TYPE"))?,
            uuid: uuid.ok_or_else(|| WireError::malformed(WHAT, "no UUID"))?,
            hmac_key,
            wrap,
            rounds: rounds("last", salt, iterations)?,
            first_rounds,
            classes: classes.into_iter().map(|(class, _)| class).collect(),
        })
    }

    /// The fields in the order of real ones.
    pub fn build(&self) -> Vec<u8> {
        let mut bytes = vec![];
        let mut put = |tag: &[u8; 4], value: &[u8]| {
            bytes.extend_from_slice(tag);
            bytes.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(value);
        };
        put(b"VERS", &self.version.to_be_bytes());
        put(b"TYPE", &self.kind.to_be_bytes());
        put(b"UUID", &self.uuid);
        put(b"HMCK", &self.hmac_key);
        put(b"WRAP", &self.wrap.to_be_bytes());
        put(b"SALT", &self.rounds.salt);
        put(b"ITER", &self.rounds.iterations.to_be_bytes());
        if let Some(first) = &self.first_rounds {
            put(b"DPWT", &1u32.to_be_bytes());
            put(b"DPIC", &first.iterations.to_be_bytes());
            put(b"DPSL", &first.salt);
        }
        for class in &self.classes {
            put(b"UUID", &class.uuid);
            put(b"CLAS", &class.class.to_be_bytes());
            put(b"WRAP", &class.wrap.to_be_bytes());
            put(b"KTYP", &class.key_type.to_be_bytes());
            put(b"WPKY", &class.wrapped);
        }
        bytes
    }
}

impl ClassKey {
    fn begin(uuid: &[u8]) -> Self {
        ClassKey { uuid: uuid.to_vec(), class: 0, wrap: 0, key_type: 0, wrapped: vec![] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn class(class: u32) -> ClassKey {
        let wrapped = vec![class as u8; WRAPPED];
        ClassKey { uuid: vec![class as u8; 16], class, wrap: WRAP_PASSWORD, key_type: 0, wrapped }
    }

    fn sample() -> Keybag {
        Keybag {
            version: 5,
            kind: TYPE_BACKUP,
            uuid: vec![7; 16],
            hmac_key: vec![8; 40],
            wrap: 0,
            rounds: Rounds { salt: vec![1; 20], iterations: 10_000 },
            first_rounds: Some(Rounds { salt: vec![2; 20], iterations: 10_000_000 }),
            classes: vec![class(1), class(3), class(11)],
        }
    }

    fn field(tag: &[u8; 4], value: &[u8]) -> Vec<u8> {
        [&tag[..], &(value.len() as u32).to_be_bytes(), value].concat()
    }

    #[test]
    fn unknown_tags_are_stepped_over_wherever_they_stand() {
        let strange = field(b"ZZZZ", b"something new");
        let bytes = sample().build();
        let second = bytes.windows(4).rposition(|w| w == b"CLAS").unwrap();
        let (head, tail) = bytes.split_at(second);
        let with = [&strange, head, &strange, tail, &strange].concat();
        assert_eq!(Keybag::parse(&with).unwrap(), sample());
    }

    #[test]
    fn every_cut_is_seen_or_loses_whole_fields_only() {
        let bytes = sample().build();
        let borders: Vec<usize> = Fields(&bytes)
            .scan(0, |at, f| {
                *at += 8 + f.unwrap().1.len();
                Some(*at)
            })
            .collect();
        assert_eq!(borders.last(), Some(&bytes.len()));
        for cut in 0..bytes.len() {
            let parsed = Keybag::parse(&bytes[..cut]);
            if cut > 0 && !borders.contains(&cut) {
                assert_eq!(parsed, Err(WireError::Short { what: WHAT }), "{cut}");
            } else if let Ok(parsed) = parsed {
                assert!(parsed.classes.len() < 3 || parsed.classes[2].wrapped.is_empty(), "{cut}");
            }
        }
    }

    #[test]
    fn hostile_lengths_and_counts_are_refused() {
        let long = [&b"VERS"[..], &[0xFF; 4], &[0; 20]].concat();
        assert_eq!(Keybag::parse(&long), Err(WireError::Short { what: WHAT }));
        assert!(matches!(Keybag::parse(&vec![0; MAX_BYTES + 1]), Err(WireError::TooLong { .. })));
        let many = Keybag { classes: vec![class(3); MAX_CLASSES + 1], ..sample() };
        assert!(matches!(Keybag::parse(&many.build()), Err(WireError::TooLong { length: 65, cap: 64, .. })));
        for count in [MAX_ITERATIONS + 1, u32::MAX] {
            let slow = Rounds { salt: vec![1], iterations: count };
            for slow in [Keybag { rounds: slow.clone(), ..sample() }, Keybag { first_rounds: Some(slow), ..sample() }] {
                assert!(matches!(Keybag::parse(&slow.build()), Err(WireError::TooLong { .. })));
            }
        }
        let never = Rounds { salt: vec![1], iterations: 0 };
        assert!(Keybag::parse(&Keybag { rounds: never, ..sample() }.build()).is_err());
        assert!(Keybag::parse(&field(b"VERS", b"five bytes")).is_err());
        assert!(Keybag::parse(b"").is_err());
    }

    fn some_rounds() -> impl Strategy<Value = Rounds> {
        (vec(any::<u8>(), 1..40), 1..=MAX_ITERATIONS).prop_map(|(salt, iterations)| Rounds { salt, iterations })
    }

    fn some_class() -> impl Strategy<Value = ClassKey> {
        (vec(any::<u8>(), 0..20), any::<[u32; 3]>(), vec(any::<u8>(), 0..50))
            .prop_map(|(uuid, [class, wrap, key_type], wrapped)| ClassKey { uuid, class, wrap, key_type, wrapped })
    }

    proptest! {
        #[test]
        fn what_is_built_is_read_again(
            numbers in any::<[u32; 3]>(),
            (uuid, hmac_key) in (vec(any::<u8>(), 0..20), vec(any::<u8>(), 0..50)),
            (rounds, first_rounds) in (some_rounds(), proptest::option::of(some_rounds())),
            classes in vec(some_class(), 0..12),
        ) {
            let [version, kind, wrap] = numbers;
            let keybag = Keybag { version, kind, uuid, hmac_key, wrap, rounds, first_rounds, classes };
            prop_assert_eq!(Keybag::parse(&keybag.build()), Ok(keybag));
        }

        #[test]
        fn no_bytes_panic(bytes in vec(any::<u8>(), 0..300), at in 0..400usize, byte in any::<u8>()) {
            let _ = Keybag::parse(&bytes);
            let mut bytes = sample().build();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            if let Ok(keybag) = Keybag::parse(&bytes) {
                prop_assert_eq!(Keybag::parse(&keybag.build()), Ok(keybag));
            }
        }
    }
}
