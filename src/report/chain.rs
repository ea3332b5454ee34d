//! A journal's lines, tied together: each hash is over the one before it and the bytes of its line.
//!
//! The journal itself stays as it is; the chain is worked out from it. Who has the last hash has all of them: a line that
//! is changed, left out, added or moved makes another last hash. The first hash is over the job's name, so that no
//! job's lines can stand in for another's.

use sha2::{Digest, Sha256};

const HEAD: &[u8] = b"herstel journal 1\n";

/// One hash for each line, in lower-case hex.
pub fn chain(job: &str, lines: &[String]) -> Vec<String> {
    let mut last = Sha256::new_with_prefix(HEAD).chain_update(job).finalize();
    let mut out = Vec::with_capacity(lines.len());
    for line in lines {
        last = Sha256::new().chain_update(last).chain_update(line).finalize();
        out.push(hex(&last));
    }
    out
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Lower case only, so that there is one way to write a number.
pub(super) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |b: &u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    if text.len() != N * 2 {
        return None;
    }
    let bytes: Option<Vec<u8>> = text
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(all: &[&str]) -> Vec<String> {
        all.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn any_other_journal_has_another_last_hash() {
        let whole = lines(&["one", "two", "three"]);
        let last = |job: &str, lines: &[String]| chain(job, lines).pop();
        let good = last("job", &whole);
        assert_eq!(chain("job", &whole).len(), 3);
        for other in [
            &["one", "two"][..],
            &["one", "three", "two"],
            &["one", "two", "three", ""],
            &["onet", "wo", "three"],
            &["", "one", "two", "three"],
            &["one", "two", "thre"],
        ] {
            assert_ne!(last("job", &lines(other)), good, "{other:?}");
        }
        assert_ne!(last("jo", &whole), good);
        assert_eq!(chain("job", &whole)[..2], chain("job", &whole[..2])[..], "a journal that grew keeps its hashes");
    }

    #[test]
    fn hex_has_one_spelling() {
        assert_eq!(unhex::<2>("00ff"), Some([0, 255]));
        for wrong in ["00FF", "00f", "00ff0", "0xff", "", "00f\u{e9}"] {
            assert_eq!(unhex::<2>(wrong), None, "{wrong}");
        }
    }
}
