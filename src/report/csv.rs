//! Comma-separated lines, as RFC 4180 has them, for whoever opens them in a spreadsheet.
//!
//! A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, and what a device is called is a
//! stranger's text: such a cell gets an apostrophe before it, which spreadsheets show as text. Numbers of ours are
//! never negative, so nothing real is hit by it.

use crate::say::plain_char;

/// A cell is cut after so many characters; no spreadsheet holds more than 32,767.
const CELL: usize = 1_000;

/// One line with its end.
pub fn line<T: AsRef<str>>(cells: &[T]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell_of(cell.as_ref())).collect();
    cells.join(",") + "\r\n"
}

fn cell_of(text: &str) -> String {
    let mut clean: String = text.chars().take(CELL).map(plain_char).collect();
    if clean.trim_start().starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']) {
        clean.insert(0, '\'');
    }
    if clean.contains([',', '"', ';']) || clean.starts_with(['\'', ' ']) || clean.ends_with(' ') {
        clean = format!("\"{}\"", clean.replace('"', "\"\""));
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A reader of our own, by the letter of the standard.
    fn read(line: &str) -> Vec<String> {
        let mut cells = vec![String::new()];
        let mut quoted = false;
        let mut chars = line.strip_suffix("\r\n").unwrap().chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '"' if quoted && chars.peek() == Some(&'"') => {
                    chars.next();
                    cells.last_mut().unwrap().push('"');
                }
                '"' => quoted = !quoted,
                ',' if !quoted => cells.push(String::new()),
                c => cells.last_mut().unwrap().push(c),
            }
        }
        assert!(!quoted);
        cells
    }

    #[test]
    fn formulas_become_text() {
        for formula in ["=1+1", "+1", "-1", "@x", " =1", "\t=1", "\r=1", "\u{ff1d}1"] {
            let cell = read(&line(&[formula])).remove(0);
            assert!(cell.starts_with(['\'', '?']), "{formula:?}: {cell:?}");
        }
        assert_eq!(line(&["a", "x,\"y\"", "0x12"]), "a,\"x,\"\"y\"\"\",0x12\r\n");
        assert_eq!(read(&line(&["x".repeat(5 << 20)]))[0].len(), CELL);
    }

    proptest! {
        #[test]
        fn any_cells_come_back_as_many_and_none_is_a_formula(cells in prop::collection::vec(".{0,40}", 1..6)) {
            let written = line(&cells);
            prop_assert_eq!(written.matches(['\r', '\n']).count(), 2);
            let back = read(&written);
            prop_assert_eq!(back.len(), cells.len());
            for (cell, of) in back.iter().zip(&cells) {
                prop_assert!(!cell.trim_start().starts_with(['=', '+', '-', '@']), "{:?}", cell);
                let plain: String = of.chars().map(plain_char).collect();
                let quoted = format!("'{plain}");
                prop_assert!(cell == &plain || cell == &quoted);
            }
        }
    }
}
