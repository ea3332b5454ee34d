//! Lines of the board for a screen of some size.
//!
//! One row is one line; what a person has to do stands below it in lines of its own, for it is a sentence. On a narrow
//! screen columns go, the least needed first: bar, mode, time; with 80 columns the steps are whole, and there is no bar. Numbers stay in their columns, so that an eye that came
//! back finds them.

use super::{Board, Doing, Need, Row, Sort};
use crate::device::Trust;
use crate::event::batch::Wants;
use crate::ids::Ecid;
use crate::say::board::{Board as Say, board as say};
use crate::say::{self, Lang, Text, cut, padded, width};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub columns: usize,
    pub rows: usize,
}

/// How strongly a line is shown; none of it is colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    Plain,
    Strong,
    /// For a person to act on.
    Urgent,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub text: String,
    pub weight: Weight,
}

/// Around the rows.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub lang: Lang,
    pub is_virtual: bool,
}

/// Head, columns and foot.
const AROUND: usize = 3;
/// Lines that one row may take below its first.
const BELOW: usize = 6;
const MARK: usize = 2;
const STATION: usize = 3;
const MODE: usize = 8;
const PERCENT: usize = 5;
const TIME: usize = 6;
const BAR: usize = 10;
const GAP: usize = 2;
/// Of a column with words, where there is room for it.
const NARROWEST: usize = 12;

/// Which columns there is room for, and how wide the two with words are.
struct Columns {
    device: usize,
    step: usize,
    mode: bool,
    time: bool,
    bar: bool,
}

impl Columns {
    /// The step gets what the widest one needed so far, up to a bit more than half; a name what it needs of the rest.
    fn of(columns: usize, names: usize, steps: usize) -> Columns {
        let (time, mode, bar) = (columns >= 50, columns >= 62, columns >= 92);
        let mut fixed = MARK + STATION + GAP + PERCENT + GAP;
        fixed += if time { TIME + GAP } else { 0 };
        fixed += if mode { MODE + GAP } else { 0 };
        fixed += if bar { BAR + 1 } else { 0 };
        let words = columns.saturating_sub(fixed + GAP);
        let device = names.max(NARROWEST).min(words - steps.max(NARROWEST).min(words * 11 / 20));
        Columns { device, step: words - device, mode, time, bar }
    }

    fn line(&self, cells: &Cells) -> String {
        let mut out = format!("{}{:>STATION$}{:GAP$}", padded(cells.mark, MARK), cells.station, "");
        let mut put = |text: &str, wide: usize| {
            out.push_str(&padded(text, wide));
            out.push_str(&" ".repeat(GAP));
        };
        put(&cells.device, self.device);
        if self.mode {
            put(&cells.mode, MODE);
        }
        put(&cells.step, self.step);
        if self.bar {
            out.push_str(&format!("{} ", padded(&cells.bar, BAR)));
        }
        out.push_str(&format!("{:>PERCENT$}", cells.percent));
        if self.time {
            out.push_str(&format!("{:GAP$}{:>TIME$}", "", cells.time));
        }
        out.trim_end().to_owned()
    }

    /// The names above; the one of progress stands over bar and number.
    fn head(&self, lang: Lang) -> String {
        let names = say(lang, &Say::Columns);
        let mut names = names.split('|');
        let mut next = || names.next().unwrap_or_default().to_owned();
        let (station, device, mode, step, progress, time) = (next(), next(), next(), next(), next(), next());
        let (bar, percent) = if self.bar { (progress, String::new()) } else { (String::new(), "%".into()) };
        self.line(&Cells { mark: "", station, device, mode, step, bar, percent, time })
    }
}

struct Cells<'a> {
    mark: &'a str,
    station: String,
    device: String,
    mode: String,
    step: String,
    bar: String,
    percent: String,
    time: String,
}

/// The whole screen: never more lines than it has, and none that is too long. Scrolling that went too far is taken
/// back in the board itself.
pub fn frame(board: &mut Board, setting: Setting, size: Size, now: Duration) -> Vec<Line> {
    let steps = board.rows().map(|row| width(&doing(setting.lang, row))).max().unwrap_or(0);
    board.widest = board.widest.max(steps);
    let names = board.rows().map(|row| width(&device(row))).max().unwrap_or(0);
    let columns = Columns::of(size.columns, names, board.widest);
    let rows = board.sorted();
    let is_picked = |row: &Row| board.picked.as_ref() == Some(&row.key);
    let block = |row: &&Row| block(row, &columns, setting.lang, size.columns, now, is_picked(row));
    let blocks: Vec<Vec<Line>> = rows.iter().map(block).collect();
    let room = size.rows.saturating_sub(AROUND).max(1);
    let fits = |from: usize| {
        let mut left = room;
        let whole = |lines: &&Vec<Line>| {
            let fits = lines.len() <= left;
            left = left.saturating_sub(lines.len());
            fits
        };
        blocks.iter().skip(from).take_while(whole).count()
    };
    let last = (0..blocks.len()).find(|from| from + fits(*from) >= blocks.len()).unwrap_or(0);
    let picked = board.picked.as_ref().and_then(|key| rows.iter().position(|row| row.key == *key));
    let mut top = board.top.min(last);
    if let Some(at) = picked {
        top = (top.min(at)..=at).find(|from| from + fits(*from) > at).unwrap_or(at);
    }
    let shown = fits(top).max(usize::from(!blocks.is_empty()));
    let part = (shown < blocks.len()).then(|| Say::Part { from: top + 1, to: top + shown, of: blocks.len() });
    let mut out = vec![head(board, setting, size.columns)];
    out.push(Line { text: cut(&columns.head(setting.lang), size.columns), weight: Weight::Strong });
    if blocks.is_empty() {
        out.push(plain(&format!("  {}", say(setting.lang, &Say::Nothing)), size.columns));
    }
    out.extend(blocks.into_iter().skip(top).take(shown).flatten().take(room));
    let foot = foot(board, setting, size.columns, part);
    board.top = top;
    // The foot stays where it is, whatever the rows do.
    out.resize_with(size.rows.saturating_sub(1).max(out.len()), || plain("", 0));
    out.push(foot);
    out.truncate(size.rows.max(1));
    out
}

fn plain(text: &str, columns: usize) -> Line {
    Line { text: cut(text, columns), weight: Weight::Plain }
}

fn head(board: &Board, setting: Setting, columns: usize) -> Line {
    let count = |wanted: &dyn Fn(&Row) -> bool| board.rows().filter(|row| wanted(row)).count();
    let told = [
        (true, Say::Total { rows: count(&|_| true) }),
        (false, Say::NeedsPerson { count: count(&|row| row.need.is_some()) }),
        (false, Say::Failures { count: count(&|row| matches!(row.doing, Doing::Failed(_))) }),
        (false, Say::Working { count: count(&|row| matches!(row.doing, Doing::Working(_)) && row.need.is_none()) }),
        (false, Say::Finished { count: count(&|row| matches!(row.doing, Doing::Done)) }),
    ];
    let some = told.iter().filter(|(always, what)| {
        let none = matches!(
            what,
            Say::NeedsPerson { count: 0 }
                | Say::Failures { count: 0 }
                | Say::Working { count: 0 }
                | Say::Finished { count: 0 }
        );
        *always || !none
    });
    let words: Vec<String> = some.map(|(_, what)| say(setting.lang, what)).collect();
    let mark = if setting.is_virtual { "[virtual] " } else { "" };
    Line { text: cut(&format!("{mark}{}", words.join("  ")), columns), weight: Weight::Strong }
}

fn foot(board: &Board, setting: Setting, columns: usize, part: Option<Say>) -> Line {
    if let Some(notice) = &board.notice {
        return Line { text: cut(notice, columns), weight: Weight::Urgent };
    }
    let part = part.map(|part| format!("  {}", say(setting.lang, &part))).unwrap_or_default();
    let waits = board.picked.as_ref().and_then(|key| board.get(key)).filter(|row| row.waits());
    let (long, short) = match (board.picks, waits) {
        (_, Some(row)) => (Say::PickDone { name: cut(&device(row), 24) }, Say::PickKeysShort),
        (true, None) => (Say::PickKeys, Say::PickKeysShort),
        (false, None) => (Say::Keys, Say::KeysShort),
    };
    let long = say(setting.lang, &long);
    let fits = width(&long) + width(&part) <= columns;
    let keys = if fits { long } else { say(setting.lang, &short) };
    // Which rows these are matters more than the keys.
    let keys = cut(&keys, columns.saturating_sub(width(&part)));
    plain(&format!("{keys}{part}"), columns)
}

fn block(row: &Row, columns: &Columns, lang: Lang, wide: usize, now: Duration, picked: bool) -> Vec<Line> {
    let mark = format!("{}{}", padded(mark(row), 1), if picked { "»" } else { "" });
    let cells = Cells {
        mark: &mark,
        station: row.station.map(|s| s.to_string()).unwrap_or_default(),
        device: device(row),
        mode: row.mode.map(|m| m.to_string()).unwrap_or_default(),
        step: doing(lang, row),
        bar: row.percent.filter(|_| matches!(row.doing, Doing::Working(_))).map(bar).unwrap_or_default(),
        percent: percent(row).map(|p| format!("{p} %")).unwrap_or_default(),
        time: row.began.map(|began| clock(row.ended.unwrap_or(now).saturating_sub(began))).unwrap_or_default(),
    };
    let weight =
        if row.need.is_some() || matches!(row.doing, Doing::Failed(_)) { Weight::Strong } else { Weight::Plain };
    let weight = if picked { Weight::Urgent } else { weight };
    let mut out = vec![Line { text: cut(&columns.line(&cells), wide), weight }];
    let (sign, words, weight) = match (&row.need, row.doing) {
        (Some(need), _) => (">> ", needed(lang, need, row.ecid), Weight::Urgent),
        (None, Doing::Failed(code)) => ("-> ", say::fault(lang, code).what.to_owned(), Weight::Plain),
        _ => return out,
    };
    let indent = " ".repeat(MARK + STATION + GAP);
    let room = wide.saturating_sub(width(&indent) + sign.len()).max(1);
    let lines = say::wrapped(&clean(&words), room);
    for (at, line) in lines.iter().take(BELOW).enumerate() {
        let more = at + 1 == BELOW && lines.len() > BELOW;
        let line = if more { cut(&format!("{line} {}", "…".repeat(room)), room) } else { line.clone() };
        let sign = if at == 0 { sign.to_owned() } else { " ".repeat(sign.len()) };
        out.push(Line { text: cut(&format!("{indent}{sign}{line}"), wide), weight });
    }
    out
}

/// A letter that says it without colour.
fn mark(row: &Row) -> &'static str {
    match row.doing {
        _ if row.need.is_some() => "!",
        Doing::Failed(_) => "✗",
        Doing::Partly | Doing::Cancelled => "~",
        Doing::Done => "✓",
        Doing::Working(_) => ">",
        Doing::Empty | Doing::Here(_) | Doing::Queued | Doing::Retry => "",
    }
}

pub(super) fn device(row: &Row) -> String {
    let title = row.title.clone().or_else(|| row.ecid.map(|e| e.to_string()));
    clean(&title.unwrap_or_default())
}

fn clean(text: &str) -> String {
    text.chars().map(say::plain_char).collect()
}

pub(super) fn needed(lang: Lang, need: &Need, ecid: Option<Ecid>) -> String {
    match need {
        Need::Ask(request) => say::request(lang, request),
        Need::Wants { wants: Wants::Remedy, remedy: Some(remedy), .. } => {
            say::on_bench(say::remedy(lang, *remedy).next, ecid)
        }
        Need::Remedy(code) | Need::Wants { wants: Wants::Remedy, code: Some(code), .. } => {
            say::on_bench(say::fault(lang, *code).next, ecid)
        }
        Need::Wants { wants, presses, .. } => say::wanted(lang, *wants, presses, ecid),
        Need::Stranger(ecid) => say(lang, &Say::Stranger { ecid: ecid.to_string() }),
    }
}

pub(super) fn doing(lang: Lang, row: &Row) -> String {
    let trust = |trust: Trust| say::text(lang, &crate::cli::cmd::list::trust_text(trust));
    match row.doing {
        Doing::Empty => say(lang, &Say::Empty),
        Doing::Here(Some(known)) => trust(known),
        Doing::Here(None) if row.need == Some(Need::Remedy(crate::fault::Code::UsbNoAccess)) => {
            say::text(lang, &Text::NoAccess)
        }
        Doing::Here(None) => String::new(),
        Doing::Queued => say(lang, &Say::Queued),
        Doing::Working(step) => say::step(lang, step).to_owned(),
        Doing::Retry => say(lang, &Say::Retry),
        Doing::Done => say(lang, &Say::Done),
        Doing::Partly => say(lang, &Say::Partly),
        Doing::Failed(code) => format!("{}: {code}", say(lang, &Say::Failed)),
        Doing::Cancelled => say(lang, &Say::Cancelled),
    }
}

/// Of a row that is at work.
pub(super) fn percent(row: &Row) -> Option<u8> {
    row.percent.filter(|_| matches!(row.doing, Doing::Working(_)))
}

fn bar(percent: u8) -> String {
    let inside = BAR - 2;
    let full = usize::from(percent.min(100)) * inside / 100;
    format!("[{}{}]", "=".repeat(full), " ".repeat(inside - full))
}

/// `4:12`, `1h02m`, `3d04h`: never wider than its column.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{:02}", seconds % 60),
        (0, _) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{}d{:02}h", days.min(99), hours % 24),
    }
}

impl Sort {
    #[cfg(test)]
    pub const ALL: [Sort; 4] = [Sort::Station, Sort::Device, Sort::Progress, Sort::Attention];
}
