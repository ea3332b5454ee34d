//! The error text of a checkpoint: `[0]D(text)[1]D(text)…`, a chain of causes, outermost first.
//!
//! The letters say which texts of the device's error object a link shows (D its description, LD the localised one
//! too). Texts hold brackets of their own, so a link ends where the next number begins, or at the end.

/// Most links that are read, and bytes that are kept of each.
const LINKS: usize = 16;
const TEXT: usize = 1024;

/// The texts of the chain; a text of another shape is one link.
pub fn texts(error: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut rest = error.trim();
    while texts.len() < LINKS {
        let Some(link) = rest.strip_prefix(&format!("[{}]", texts.len())) else { break };
        let letters = link.bytes().take_while(u8::is_ascii_uppercase).count();
        let Some(inner) = link.get(letters..).and_then(|l| l.strip_prefix('(')) else { break };
        let next = format!(")[{}]", texts.len() + 1);
        let (text, after) = match inner.find(&next) {
            Some(end) => (inner.get(..end), inner.get(end + 1..)),
            None => (Some(inner.strip_suffix(')').unwrap_or(inner)), Some("")),
        };
        texts.push(cut(text.unwrap_or_default()));
        rest = after.unwrap_or_default();
    }
    if texts.is_empty() && !error.trim().is_empty() {
        texts.push(cut(error.trim()));
    }
    texts
}

fn cut(text: &str) -> String {
    let end = (0..=text.len().min(TEXT)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn chains_of_the_field() {
        let seal = "[0]D(failed to seal system volume.)[1]D(img4_firmware_execute failed)";
        assert_eq!(texts(seal), ["failed to seal system volume.", "img4_firmware_execute failed"]);
        assert_eq!(texts("[0]LD(a (b) [3])[1]D(c)"), ["a (b) [3]", "c"]);
        assert_eq!(texts("[0]D(cut short"), ["cut short"]);
        assert_eq!(texts(" no chain "), ["no chain"]);
        assert_eq!(texts("[0]x(no letters)"), ["[0]x(no letters)"]);
        assert!(texts("").is_empty());
    }

    proptest! {
        #[test]
        fn a_chain_survives_and_nothing_panics(links in prop::collection::vec("[a-z (.é]{1,40}", 1..6), noise in ".{0,200}") {
            let chain: String = links.iter().enumerate().map(|(i, l)| format!("[{i}]D({l})")).collect();
            prop_assert_eq!(texts(&chain), links);
            let found = texts(&noise);
            prop_assert!(found.len() <= LINKS && found.iter().all(|t| t.len() <= TEXT));
        }
    }
}
