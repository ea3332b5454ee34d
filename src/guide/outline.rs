//! The device as an outline, with the keys to press marked: one table of places for terminal and paper.

use super::keys::{Key, Layout, Look};

/// Where a key sits, as a share of the edge from the top or from the left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    Left(f32),
    Right(f32),
    Top(f32),
    /// On the front: across, down.
    Front(f32, f32),
}

/// Width and height of the body, in the same unit.
pub fn body(look: Look) -> (f32, f32) {
    match look {
        Look::PhoneTop | Look::PhoneSide | Look::PhoneFull => (7.0, 14.5),
        Look::PadHome | Look::PadFull => (12.0, 16.0),
        Look::PadEdge => (11.0, 16.0),
        Look::Remote => (4.5, 14.0),
    }
}

/// The keys that this device has, pressed or not.
pub fn places(layout: Layout) -> &'static [(Key, Place)] {
    use Key::{Home, Menu, Play, Power, RemoteDown, VolumeDown, VolumeFar, VolumeNear, VolumeUp};
    use Place::{Front, Left, Right, Top};
    const HOME: (Key, Place) = (Home, Front(0.5, 0.92));
    match layout.look {
        Look::PhoneTop => &[(Power, Top(0.8)), (VolumeUp, Left(0.25)), (VolumeDown, Left(0.4)), HOME],
        Look::PhoneSide => &[(Power, Right(0.25)), (VolumeUp, Left(0.25)), (VolumeDown, Left(0.4)), HOME],
        Look::PhoneFull => &[(Power, Right(0.35)), (VolumeUp, Left(0.25)), (VolumeDown, Left(0.42))],
        Look::PadHome => &[(Power, Top(0.88)), (VolumeUp, Right(0.15)), (VolumeDown, Right(0.3)), HOME],
        Look::PadFull => &[(Power, Top(0.88)), (VolumeNear, Right(0.15)), (VolumeFar, Right(0.3))],
        Look::PadEdge => &[(Power, Top(0.88)), (VolumeNear, Top(0.3)), (VolumeFar, Top(0.12))],
        Look::Remote if layout.remote_home => {
            &[(Menu, Front(0.3, 0.3)), (Home, Front(0.7, 0.3)), (Play, Front(0.3, 0.6))]
        }
        Look::Remote => &[(RemoteDown, Front(0.5, 0.35)), (Menu, Front(0.3, 0.5)), (Play, Front(0.7, 0.5))],
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Plain,
    /// A key that is not pressed now.
    Key,
    /// Pressed now.
    Down,
    /// Pressed in the next step.
    Soon,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub sign: char,
    pub mark: Mark,
}

/// Rows of cells, all of the same length.
pub type Drawing = Vec<Vec<Cell>>;

/// Columns on each side and rows above, for keys on edges and their arrows.
const SIDE: usize = 3;
const ABOVE: usize = 2;
const ROWS: usize = 10;

/// Draws the device; `center` stands in the middle of its screen.
pub fn draw(layout: Layout, down: &[Key], soon: &[Key], center: &str) -> Drawing {
    let (width, height) = body(layout.look);
    // A sign is about twice as high as it is wide.
    let columns = ((width / height) * ROWS as f32 * 2.1).round() as usize;
    let (wide, high) = (columns + 2 * SIDE, ROWS + ABOVE + 1);
    let mut rows = vec![vec![Cell { sign: ' ', mark: Mark::Plain }; wide]; high];
    let (left, right, top, bottom) = (SIDE, SIDE + columns - 1, ABOVE, ABOVE + ROWS - 1);
    let mut put = |row: usize, column: usize, sign: char, mark: Mark| {
        if let Some(cell) = rows.get_mut(row).and_then(|r| r.get_mut(column)) {
            *cell = Cell { sign, mark };
        }
    };
    for column in left + 1..right {
        put(top, column, '─', Mark::Plain);
        put(bottom, column, '─', Mark::Plain);
    }
    for row in top + 1..bottom {
        put(row, left, '│', Mark::Plain);
        put(row, right, '│', Mark::Plain);
    }
    for (row, column, sign) in [(top, left, '╭'), (top, right, '╮'), (bottom, left, '╰'), (bottom, right, '╯')]
    {
        put(row, column, sign, Mark::Plain);
    }
    put(bottom + 1, (left + right) / 2, '╹', Mark::Plain);
    let middle = (top + bottom) / 2;
    let start = ((left + right) / 2 + 1).saturating_sub(center.chars().count().div_ceil(2));
    for (i, sign) in center.chars().take(columns.saturating_sub(2)).enumerate() {
        put(middle, start.max(left + 1) + i, sign, Mark::Plain);
    }
    for (key, place) in places(layout) {
        let mark = match key {
            key if down.contains(key) => Mark::Down,
            key if soon.contains(key) => Mark::Soon,
            _ => Mark::Key,
        };
        let along = |share: f32, from: usize, to: usize| from + (share * (to - from) as f32).round() as usize;
        let (block, arrow) = match mark {
            Mark::Down => ('█', true),
            Mark::Soon => ('▓', true),
            _ => ('▒', false),
        };
        match *place {
            Place::Left(share) => {
                let row = along(share, top, bottom);
                put(row, left - 1, block, mark);
                put(row, left - 2, if arrow { '▶' } else { ' ' }, mark);
            }
            Place::Right(share) => {
                let row = along(share, top, bottom);
                put(row, right + 1, block, mark);
                put(row, right + 2, if arrow { '◀' } else { ' ' }, mark);
            }
            Place::Top(share) => {
                let column = along(share, left, right);
                put(top - 1, column, block, mark);
                put(top - 2, column, if arrow { '▼' } else { ' ' }, mark);
            }
            Place::Front(across, low) => {
                let (row, column) = (along(low, top, bottom), along(across, left, right));
                put(row, column, block, mark);
                put(row, column - 1, if arrow { '▶' } else { '(' }, mark);
                put(row, column + 1, if arrow { '◀' } else { ')' }, mark);
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::models;
    use crate::guide::{Aim, Start, recipe};

    fn text(drawing: &Drawing) -> String {
        drawing.iter().map(|row| row.iter().map(|c| c.sign).collect::<String>() + "\n").collect()
    }

    #[test]
    fn every_key_of_every_recipe_is_on_the_drawing() {
        for model in models::all() {
            let layout = Layout::of(model);
            for (aim, start) in Aim::ALL.iter().flat_map(|a| [Start::On, Start::Off, Start::Assisted].map(|s| (*a, s)))
            {
                for step in recipe(layout, aim, start).into_iter().flat_map(|r| r.steps) {
                    let drawing = draw(layout, &step.keys, &[], "10");
                    let down = drawing.iter().flatten().filter(|c| c.mark == Mark::Down && c.sign == '█').count();
                    assert_eq!(down, step.keys.len(), "{} {:?}\n{}", model.name, step.keys, text(&drawing));
                    assert!(drawing.iter().all(|row| row.len() <= 26), "leaves room for words in 80 columns");
                    assert!(text(&drawing).contains("10"));
                }
            }
        }
    }

    #[test]
    fn a_phone_without_home() {
        let layout = Layout::of(models::by_nickname("iphone13").unwrap());
        let shown = text(&draw(layout, &[Key::Power, Key::VolumeDown], &[], "5"));
        let wanted = "
   ╭────────╮
   │        │
  ▒│        │
   │        │█◀
 ▶█│   5    │
   │        │
   │        │
   │        │
   │        │
   ╰────────╯
       ╹
";
        let trim = |s: &str| s.lines().map(str::trim_end).filter(|l| !l.is_empty()).collect::<Vec<_>>().join("\n");
        assert_eq!(trim(&shown), trim(wanted), "\n{shown}");
    }
}
