//! One printable page: the outline with the keys of each step, and the words beside it.

use super::keys::{Key, Layout};
use super::outline::{Place, body, places};
use super::recipe::Recipe;
use super::words;
use crate::facts::models::Model;
use crate::say::{Coach, Lang, coach, wrapped};
use std::fmt::Write;

/// Millimetres of a portrait A4 page.
const PAGE: (f32, f32) = (210.0, 297.0);
const MARGIN: f32 = 18.0;

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The sheet as SVG, A4, black on white with one colour that prints grey.
pub fn svg(lang: Lang, recipe: &Recipe, model: Option<&Model>, name: &str) -> String {
    let (wide, high) = PAGE;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide}mm\" height=\"{high}mm\" viewBox=\"0 0 {wide} {high}\" \
         font-family=\"sans-serif\" fill=\"#000\">\n<rect width=\"{wide}\" height=\"{high}\" fill=\"#fff\"/>\n"
    );
    let line = |out: &mut String, y: f32, size: f32, weight: &str, text: &str| {
        let text = escaped(text);
        let _ =
            writeln!(out, "<text x=\"{MARGIN}\" y=\"{y}\" font-size=\"{size}\" font-weight=\"{weight}\">{text}</text>");
    };
    line(&mut out, 26.0, 9.0, "bold", &words::title(lang, recipe.aim));
    line(&mut out, 35.0, 6.0, "normal", name);
    let mut y = 43.0;
    for hint in words::hints(lang, recipe, model) {
        for part in wrapped(&hint, 88) {
            line(&mut out, y, 4.0, "normal", &part);
            y += 5.5;
        }
    }
    y += 3.0;
    let row = ((high - 22.0 - y) / recipe.steps.len().max(1) as f32).min(44.0);
    for (number, step) in recipe.steps.iter().enumerate() {
        device(&mut out, recipe.layout, &step.keys, (MARGIN + 4.0, y + 4.0), row - 8.0);
        let _ = writeln!(
            out,
            "<text x=\"64\" y=\"{}\" font-size=\"8\" font-weight=\"bold\">{}</text>",
            y + 10.0,
            number + 1
        );
        let said = words::instruction(lang, recipe, step, words::nominal(step.until));
        for (i, part) in wrapped(&said, 44).iter().enumerate() {
            let at = y + 10.0 + 6.5 * i as f32;
            let _ = writeln!(out, "<text x=\"74\" y=\"{at}\" font-size=\"5\">{}</text>", escaped(part));
        }
        y += row;
    }
    line(&mut out, high - 12.0, 3.5, "normal", &coach(lang, &Coach::PaperFoot));
    out.push_str("</svg>\n");
    out
}

/// One device, `room` millimetres high, its upper left corner at `at`.
fn device(out: &mut String, layout: Layout, down: &[Key], at: (f32, f32), room: f32) {
    let (width, height) = body(layout.look);
    let scale = room / height;
    let (w, h, (x, y)) = (width * scale, height * scale, at);
    let _ = writeln!(
        out,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" rx=\"{:.1}\" fill=\"none\" stroke=\"#000\" \
         stroke-width=\"0.7\"/>",
        w * 0.12
    );
    for (key, place) in places(layout) {
        let pressed = down.contains(key);
        let (fill, thick) = if pressed { ("#d00", 2.6) } else { ("#999", 1.2) };
        let long = h * 0.1;
        let (kx, ky, kw, kh) = match *place {
            Place::Left(share) => (x - thick, y + share * h - long / 2.0, thick, long),
            Place::Right(share) => (x + w, y + share * h - long / 2.0, thick, long),
            Place::Top(share) => (x + share * w - long / 2.0, y - thick, long, thick),
            Place::Front(across, low) => {
                let r = if pressed { h * 0.05 } else { h * 0.035 };
                (x + across * w - r, y + low * h - r, 2.0 * r, 2.0 * r)
            }
        };
        let round = kw.min(kh) / 2.0;
        let _ = writeln!(
            out,
            "<rect x=\"{kx:.1}\" y=\"{ky:.1}\" width=\"{kw:.1}\" height=\"{kh:.1}\" rx=\"{round:.1}\" fill=\"{fill}\"/>"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::models;
    use crate::guide::{Aim, Start, recipe};

    #[test]
    fn every_sheet_is_well_formed_and_marks_the_pressed_keys() {
        for model in models::all() {
            for (aim, lang) in Aim::ALL.iter().flat_map(|a| [(*a, Lang::En), (*a, Lang::Nl)]) {
                let Some(recipe) = recipe(Layout::of(model), aim, Start::On) else { continue };
                let sheet = svg(lang, &recipe, Some(model), "Anna & <Bram>'s");
                let pressed: usize = recipe.steps.iter().map(|s| s.keys.len()).sum();
                assert_eq!(sheet.matches("#d00").count(), pressed, "{}", model.name);
                assert!(sheet.contains("Anna &amp; &lt;Bram&gt;") && sheet.ends_with("</svg>\n"));
                assert_eq!(sheet.matches("<text").count(), sheet.matches("</text>").count());
            }
        }
    }
}
