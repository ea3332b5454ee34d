//! How many columns of a terminal a text takes.
//!
//! East Asian letters and pictures take two, marks on letters none. It is counted letter by letter: a picture that is
//! put together of several may turn out narrower on the screen, never wider, so a line that fits does fit.

use unicode_width::UnicodeWidthChar;

pub fn width(text: &str) -> usize {
    let mut last = 0;
    let one = |c: char| {
        // Asks for the picture of a letter that has both: that takes two.
        let wide = match c {
            '\u{fe0f}' if last == 1 => 1,
            c => UnicodeWidthChar::width(c).unwrap_or(0),
        };
        last = wide;
        wide
    };
    text.chars().map(one).sum()
}

/// The beginning of `text` that fits; an ellipsis tells that there was more.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        out.push(c);
        if width(&out) >= columns {
            out.pop();
            break;
        }
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// [`cut`], and blanks behind it up to `columns`.
pub fn padded(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    let blanks = columns.saturating_sub(width(&text));
    format!("{text}{:blanks$}", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_two_columns_and_of_none() {
        for (text, columns) in [
            ("iPhone", 6),
            ("アンナのiPhone", 14),
            ("Ame\u{301}lie", 6),
            ("📱 x", 4),
            ("❤\u{fe0f}", 2),
            ("", 0),
            ("한국", 4),
        ] {
            assert_eq!(width(text), columns, "{text}");
        }
    }

    #[test]
    fn a_cut_text_fits_whatever_it_is_made_of() {
        assert_eq!(cut("Anna's iPhone", 13), "Anna's iPhone");
        assert_eq!(cut("Anna's iPhone", 9), "Anna's i…");
        assert_eq!(cut("Anna's iPhone", 8), "Anna's …");
        for text in ["アンナのiPhone", "📱📱📱📱", "Ame\u{301}lie Ame\u{301}lie", "x"] {
            for columns in 0..20 {
                assert!(width(&cut(text, columns)) <= columns, "{text} {columns}");
                assert_eq!(width(&padded(text, columns)), columns, "{text} {columns}");
            }
        }
    }
}
