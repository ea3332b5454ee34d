//! Long sentences on a terminal: broken between words, the rest below the beginning of the text.
//!
//! To a pipe a line goes as it is, for whoever reads it there looks for whole sentences.

/// What every terminal has.
pub const COLUMNS: usize = 80;

/// `line` in pieces of at most `columns`, where its words allow it. A label at its head (`  next    `) stays
/// alone in its column.
pub fn wrapped(line: &str, columns: usize) -> Vec<String> {
    let label = line.strip_prefix("  ").and_then(|rest| rest.find("  ").map(|at| at + 2));
    let text = label.map_or(0, |end| {
        let after = line.get(end..).unwrap_or_default();
        end + (after.len() - after.trim_start().len())
    });
    let (head, text) = line.split_at_checked(text).unwrap_or(("", line));
    let indent = head.chars().count();
    let mut out = vec![head.to_owned()];
    let mut width = indent;
    for word in text.split(' ') {
        let length = word.chars().count();
        let begins = width == indent;
        if !begins && width + 1 + length > columns {
            out.push(" ".repeat(indent));
            width = indent;
        } else if !begins {
            out.last_mut().into_iter().for_each(|last| last.push(' '));
            width += 1;
        }
        out.last_mut().into_iter().for_each(|last| last.push_str(word));
        width += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Code, Fault, Standing};
    use crate::say::{self, Lang};

    #[test]
    fn the_rest_stands_below_the_text() {
        assert_eq!(wrapped("  next    one two three", 17), ["  next    one two", "          three"]);
        assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
        assert_eq!(wrapped("", 8), [""]);
        assert_eq!(
            wrapped("  detail  aaaaaaaaaaaaaaaaaaaa", 12),
            ["  detail  aaaaaaaaaaaaaaaaaaaa"],
            "a word is never cut"
        );
    }

    #[test]
    fn every_fault_fits_and_loses_no_word() {
        for lang in [Lang::En, Lang::Nl] {
            for &code in Code::ALL {
                let standing = Standing {
                    operation: Some(36),
                    percent: Some(100),
                    checkpoint: Some(0x132C),
                    checkpoint_name: Some("await_update_update_veridian".into()),
                    errors: vec!["ramrod firmware update failed".into()],
                    status: Some(53),
                    ..Standing::default()
                };
                for line in say::whole_fault(lang, &Fault::new(code, "é à ü").standing(standing)) {
                    let pieces = wrapped(&line, COLUMNS);
                    assert!(pieces.iter().all(|p| p.chars().count() <= COLUMNS), "{pieces:#?}");
                    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
                    assert_eq!(words(&pieces.join(" ")), words(&line));
                }
            }
        }
    }
}
