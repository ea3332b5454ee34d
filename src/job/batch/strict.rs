//! TOML into a value, with every key that is wrong named at once.
//!
//! Serde stops at the first key that it does not know, or that holds a word of another type. Who mends a file wants to
//! mend it once: such a key is noted and taken out, and the rest is read again until nothing more is found.

use serde::de::DeserializeOwned;
use std::ops::Range;
use toml::de::{DeTable, DeValue, Deserializer};

/// Beyond this it is another kind of file.
const MOST: usize = 40;

/// What is wrong at a byte of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub at: usize,
    pub why: String,
}

/// # Errors
/// Everything that is wrong, as far as it can be told, in the order of the text; never empty.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Vec<Wrong>> {
    let wrong = |e: &toml::de::Error| Wrong { at: e.span().map_or(0, |s| s.start), why: e.message().to_owned() };
    let mut table = DeTable::parse(text).map_err(|e| vec![wrong(&e)])?;
    let mut all = Vec::new();
    loop {
        match T::deserialize(Deserializer::from(table.clone())) {
            Ok(value) if all.is_empty() => return Ok(value),
            Ok(_) => break,
            Err(e) => {
                // What is missing may have been taken out.
                if all.is_empty() || !e.message().starts_with("missing field") {
                    all.push(wrong(&e));
                }
                if all.len() >= MOST || !e.span().is_some_and(|span| take_out(table.get_mut(), &span)) {
                    break;
                }
            }
        }
    }
    all.sort_by_key(|wrong| wrong.at);
    Err(all)
}

/// The key that is there, or whose value is.
fn take_out(table: &mut DeTable<'_>, span: &Range<usize>) -> bool {
    let found = table.iter().find(|(key, value)| key.span() == *span || value.span() == *span);
    match found.map(|(key, _)| key.clone()) {
        Some(key) => table.remove(&key).is_some(),
        None => table.iter_mut().any(|(_, value)| take_out_of(value.get_mut(), span)),
    }
}

fn take_out_of(value: &mut DeValue<'_>, span: &Range<usize>) -> bool {
    match value {
        DeValue::Table(table) => take_out(table, span),
        DeValue::Array(list) => list.iter_mut().any(|value| take_out_of(value.get_mut(), span)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        a: u32,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[serde(default)]
        list: Vec<Inner>,
        one: Option<Inner>,
    }

    fn wrong(text: &str) -> Vec<(usize, String)> {
        let all = read::<Outer>(text).unwrap_err();
        all.into_iter().map(|w| (w.at, w.why.split(',').next().unwrap_or_default().to_owned())).collect()
    }

    #[test]
    fn every_unknown_key_is_named_in_the_order_of_the_text() {
        assert_eq!(read::<Outer>("one = { a = 1 }"), Ok(Outer { list: vec![], one: Some(Inner { a: 1 }) }));
        let text = "z = 1\n[[list]]\na = 1\nb = 2\n[[list]]\nb = 3\na = 1\n[one]\nq = { a = 1 }\na = 4\n";
        let at = |what: &str| text.find(what).unwrap();
        let unknown = |name: &str| format!("unknown field `{name}`");
        let all =
            [(0, unknown("z")), (at("b = 2"), unknown("b")), (at("b = 3"), unknown("b")), (at("q ="), unknown("q"))];
        assert_eq!(wrong(text), all);
    }

    #[test]
    fn words_of_another_type_are_told_beside_them() {
        let all = wrong("z = 1\n[one]\nb = 2\na = \"x\"\n");
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(all[2].1.starts_with("invalid type"), "{all:?}");
        assert_eq!(wrong("one = ").len(), 1);
        assert_eq!(wrong("[[list]]\n[[list]]\nb = 1\n").len(), 1, "a key that is missing is told alone");
        let many: String = (0..100).map(|n| format!("k{n} = 1\n")).collect();
        assert_eq!(wrong(&many).len(), MOST);
    }
}
