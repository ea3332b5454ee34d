//! The coach on a screen: the outline with the keys to press beside what to do now, redrawn in place; or
//! one line a step, for pipes, narrow terminals and screen readers.

use crate::cli::args::ScreenArgs;
use crate::guide::outline::{Drawing, Mark, draw};
use crate::guide::words::{self, Lines};
use crate::guide::{Recipe, View, What};
use crate::say::{self, Coach, Lang};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};

/// Columns that the words take beside the outline.
const WORDS: usize = 48;

pub struct CoachScreen {
    lang: Lang,
    mark: &'static str,
    tries: u32,
    /// A person sits at the keyboard.
    by_hand: bool,
    bell: bool,
    color: bool,
    bar: Option<ProgressBar>,
    said: String,
    announced: bool,
}

impl CoachScreen {
    pub fn new(lang: Lang, is_virtual: bool, tries: u32, by_hand: bool, args: &ScreenArgs) -> CoachScreen {
        let terminal = std::io::stderr().is_terminal();
        let wide = rustix::termios::tcgetwinsize(std::io::stderr()).is_ok_and(|s| s.ws_col >= 78 && s.ws_row >= 18);
        let no_color = args.no_color || crate::cli::context::env("NO_COLOR").is_some();
        let bar = (terminal && wide && !args.plain).then(|| {
            let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style)
        });
        CoachScreen {
            lang,
            mark: if is_virtual { "[virtual] " } else { "" },
            tries,
            by_hand,
            bell: terminal && !args.no_bell,
            color: terminal && !no_color,
            bar,
            said: String::new(),
            announced: false,
        }
    }

    /// A line that stays.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(format!("{}{text}", self.mark)),
            None => drop(writeln!(std::io::stderr().lock(), "{}{text}", self.mark)),
        }
    }

    /// A remark that stays, in lines that fit.
    pub fn lines(&self, text: &str) {
        let room = if self.bar.is_some() { 76 - self.mark.len() } else { 200 };
        say::wrapped(text, room).iter().for_each(|line| self.line(&format!("  {line}")));
    }

    pub fn ring(&self) {
        if self.bell {
            let _ = std::io::stderr().lock().write_all(b"\x07");
        }
    }

    pub fn view(&mut self, recipe: &Recipe, view: &View) {
        let lines = words::lines(self.lang, recipe, view, self.tries, self.by_hand);
        match &self.bar {
            Some(bar) => bar.set_message(self.frame(recipe, view, &lines)),
            None => self.say(view, &lines),
        }
    }

    /// One line for each thing that is new; seconds are said at the beginning of a step only.
    fn say(&mut self, view: &View, lines: &Lines) {
        let place = match &view.what {
            What::Step { index, .. } => format!("{} {index}", view.attempt),
            What::Ready { .. } => format!("{} ready", view.attempt),
            What::Waiting { wake, .. } => format!("{} waiting {wake}", view.attempt),
            What::Over => return,
        };
        if self.said != place {
            let also = lines.also.iter().map(|t| format!("{t} ")).collect::<String>();
            let also = if also.is_empty() { also } else { format!("{}. ", also.trim_end()) };
            self.line(&format!("{}: {also}{}", lines.head, lines.now));
            (self.said, self.announced) = (place, false);
        } else if let Some(next) = lines.next.as_ref().filter(|_| !self.announced) {
            // In the last second, once; a tap is over before it could be read.
            if matches!(&view.what, What::Step { until, .. } if words::nominal(*until) > 2) {
                self.line(&format!("  {next}"));
                self.announced = true;
            }
        }
    }

    fn frame(&self, recipe: &Recipe, view: &View, lines: &Lines) -> String {
        let (down, soon, center) = match &view.what {
            What::Step { keys, soon, left, .. } => {
                (keys.as_slice(), soon.as_deref().unwrap_or_default(), left.map(|l| l.to_string()).unwrap_or_default())
            }
            What::Ready { first, left } => (&[][..], first.as_slice(), left.to_string()),
            What::Waiting { first, .. } => (&[][..], first.as_slice(), String::new()),
            What::Over => (&[][..], &[][..], String::new()),
        };
        let drawing = draw(recipe.layout, down, soon, &center);
        let mut right = vec![String::new(), self.paint("2", &format!("{}{}", self.mark, lines.head)), String::new()];
        if let Some(also) = &lines.also {
            right.extend(wrapped(also).into_iter().map(|l| self.paint("1;36", &l)));
        }
        right.extend(wrapped(&lines.now).into_iter().map(|l| self.paint("1", &l)));
        right.push(String::new());
        if let Some(next) = &lines.next {
            right.extend(wrapped(next).into_iter().map(|l| self.paint("33", &l)));
        }
        if self.by_hand {
            right.resize(right.len().max(drawing.len() - 2), String::new());
            right.extend(wrapped(&say::coach(self.lang, &Coach::Controls)).into_iter().map(|l| self.paint("2", &l)));
        }
        let rows = drawing.len().max(right.len());
        let row = |n: usize| {
            let left = drawing.get(n).map(|_| self.row(&drawing, n)).unwrap_or_default();
            format!(" {left}  {}", right.get(n).map(String::as_str).unwrap_or_default()).trim_end().to_owned()
        };
        (0..rows).map(row).collect::<Vec<_>>().join("\n")
    }

    fn row(&self, drawing: &Drawing, number: usize) -> String {
        let cells = drawing.get(number).map(Vec::as_slice).unwrap_or_default();
        let paint = |mark: Mark, sign: char| match mark {
            Mark::Down => self.paint("1;31", &sign.to_string()),
            Mark::Soon => self.paint("33", &sign.to_string()),
            Mark::Key => self.paint("2", &sign.to_string()),
            Mark::Plain => sign.to_string(),
        };
        cells.iter().map(|c| paint(c.mark, c.sign)).collect()
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color && !text.trim().is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl Drop for CoachScreen {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn wrapped(text: &str) -> Vec<String> {
    crate::say::wrapped(text, WORDS)
}
