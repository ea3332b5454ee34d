//! A QR code as SVG that we draw ourselves: square modules, nothing to load, a page may hold it.

use qrcode::{Color, EcLevel, QrCode};
use std::fmt::Write;

/// Modules of white around it, as readers want.
const QUIET: usize = 4;
/// Bytes on a label; more would print too fine for a hand-held reader.
const MOST: usize = 300;

/// None for a text that is empty or too long for a label.
pub(super) fn svg(text: &str) -> Option<String> {
    if text.is_empty() || text.len() > MOST {
        return None;
    }
    let code = QrCode::with_error_correction_level(text.as_bytes(), EcLevel::M).ok()?;
    let (width, colors) = (code.width(), code.to_colors());
    let side = width + 2 * QUIET;
    let mut path = String::new();
    for (at, _) in colors.iter().enumerate().filter(|(_, color)| **color == Color::Dark) {
        let (x, y) = (at % width + QUIET, at / width + QUIET);
        let _ = write!(path, "M{x} {y}h1v1h-1z");
    }
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"qr\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/><path d=\"{path}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The modules are where the crate has them, and nothing of the text gets into the markup.
    #[test]
    fn modules_are_drawn_where_they_are() {
        let text = "S/N <x>&\"\nECID 0x1";
        let drawn = svg(text).unwrap();
        let code = QrCode::with_error_correction_level(text, EcLevel::M).unwrap();
        let dark = code.to_colors().iter().filter(|c| **c == Color::Dark).count();
        assert_eq!(drawn.matches("h1v1h-1z").count(), dark);
        // The corner of the finder pattern.
        assert!(drawn.contains("M4 4h1") && drawn.contains("M10 4h1") && !drawn.contains("M11 4h1"));
        assert!(!drawn.contains("S/N") && !drawn.contains("&"));
        assert_eq!((svg(""), svg(&"x".repeat(301))), (None, None));
        assert!(svg(&"\u{fc}".repeat(150)).is_some());
    }
}
