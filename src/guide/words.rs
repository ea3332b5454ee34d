//! What the coach says at a moment, in a person's language.

use super::Ending;
use super::keys::{Key, Layout};
use super::miss::{Miss, Next};
use super::recipe::{Aim, Deed, Recipe, Step, Until};
use super::view::{View, What};
use crate::facts::models::{Buttons, Connector, ImageFormat, Model};
use crate::ids::Mode;
use crate::say::{self, Coach, Lang, coach};

/// A moment in lines: what it is about, what to do now, what comes next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    pub head: String,
    pub now: String,
    pub also: Option<String>,
    pub next: Option<String>,
}

pub fn keys(lang: Lang, layout: Layout, keys: &[Key]) -> String {
    let words: Vec<&str> = keys.iter().map(|k| layout.word(*k)).collect();
    say::keys(lang, &words)
}

pub fn title(lang: Lang, aim: Aim) -> String {
    coach(
        lang,
        &match aim {
            Aim::Restart => Coach::TitleRestart,
            Aim::Off => Coach::TitleOff,
            Aim::Recovery => Coach::TitleRecovery,
            Aim::Dfu => Coach::TitleDfu,
            Aim::Exit => Coach::TitleExit,
        },
    )
}

/// What is good to know before the first step.
pub fn hints(lang: Lang, recipe: &Recipe, model: Option<&Model>) -> Vec<String> {
    let mut hints = Vec::new();
    // Reports are of A7 to A11; later phones with Lightning are not named in them.
    let breaks = |m: &Model| {
        let old = matches!(m.buttons, Buttons::Home | Buttons::VolumeDown) || m.cpid.0 == 0x8015;
        m.connector == Connector::Lightning && m.image == ImageFormat::Img4 && old
    };
    if recipe.aim == Aim::Dfu && model.is_some_and(breaks) {
        hints.push(Coach::HintLightning);
    }
    if recipe.aim == Aim::Dfu {
        hints.push(Coach::HintScreenFacts);
    }
    if recipe.layout.buttons == Buttons::ThreeStepTop {
        hints.push(Coach::HintPad);
    }
    if !recipe.sure {
        hints.push(Coach::HintUnsure);
    }
    hints.iter().map(|h| coach(lang, h)).collect()
}

/// What to do in a step; `after`: whether the screen was black already (recovery past the logo, or DFU).
pub fn instruction(lang: Lang, recipe: &Recipe, step: &Step, seconds: u32) -> String {
    let keys = keys(lang, recipe.layout, &step.keys);
    let text = match (step.deed, step.until) {
        (Deed::CableOut, _) => Coach::CableOut,
        (Deed::CableIn, _) => Coach::CableIn { keys },
        (Deed::Slide, _) => Coach::Slide,
        (Deed::Reset, _) => Coach::ResetNow { keys },
        (Deed::None, Until::Tap) => Coach::Tap { keys },
        (Deed::None, Until::Black { .. }) => Coach::HoldBlack { keys, seconds },
        (Deed::None, Until::For(long)) if recipe.aim == Aim::Dfu && long > 10.0 => Coach::HoldDark { keys },
        (Deed::None, Until::For(_)) => Coach::HoldFor { keys, seconds },
        (Deed::None, Until::Proof { .. } | Until::Gone { .. }) if step.keys.is_empty() => match recipe.aim {
            Aim::Dfu => Coach::Verdict,
            _ => Coach::Boots,
        },
        (Deed::None, Until::Proof { .. } | Until::Gone { .. }) => Coach::HoldPicture { keys },
    };
    coach(lang, &text)
}

/// Seconds that a step is said to take.
pub fn nominal(until: Until) -> u32 {
    (match until {
        Until::Tap => 1.0,
        Until::For(seconds) => seconds,
        Until::Black { nominal, .. } => nominal,
        Until::Gone { .. } => 0.0,
        Until::Proof { limit } => limit,
    }) as u32
}

pub fn lines(lang: Lang, recipe: &Recipe, view: &View, tries: u32, by_hand: bool) -> Lines {
    let name = |list: &[Key]| keys(lang, recipe.layout, list);
    let attempt = coach(lang, &Coach::Try { attempt: view.attempt, tries });
    let title = title(lang, view.aim);
    let mut lines = Lines { head: format!("{title} - {attempt}"), ..Lines::default() };
    match &view.what {
        What::Waiting { wake: true, .. } => lines.now = coach(lang, &Coach::Wake { power: name(&[Key::Power]) }),
        What::Waiting { first, .. } | What::Ready { first, .. } if first.is_empty() => {
            lines.now = coach(lang, &Coach::CableOut);
        }
        What::Waiting { first, .. } => {
            let keys = name(first);
            lines.now = coach(lang, &if by_hand { Coach::PressEnter { keys } } else { Coach::StartsSoon { keys } });
        }
        What::Ready { left, first } => lines.now = coach(lang, &Coach::Ready { keys: name(first), left: *left }),
        What::Step { index, let_go, keys: now, until, deed, left, soon } => {
            let step = Step { keys: now.clone(), until: *until, deed: *deed };
            let number = coach(lang, &Coach::Step { number: index + 1, of: view.of });
            lines.head = format!("{title} - {attempt} - {number}");
            let over = if matches!(until, Until::Black { .. }) { 0 } else { nominal(*until) };
            lines.now = instruction(lang, recipe, &step, left.unwrap_or(over));
            if !let_go.is_empty() && !now.is_empty() {
                lines.also = Some(coach(lang, &Coach::LetGo { keys: name(let_go) }));
            }
            lines.next = soon.as_ref().map(|next| match next.is_empty() {
                true => coach(lang, &Coach::SoonLetGo),
                false => coach(lang, &Coach::Soon { keys: name(next) }),
            });
        }
        What::Over => {}
    }
    lines
}

/// What went wrong and what the next try does.
pub fn miss(lang: Lang, recipe: &Recipe, miss: Miss, next: Option<Next>) -> Vec<String> {
    let taps = recipe.layout.taps().is_some();
    let what = match miss {
        Miss::NeverReset => Coach::MissNeverReset { taps },
        Miss::WentTooFar => Coach::MissWentTooFar,
        Miss::LetGoEarly => Coach::MissLetGoEarly,
        Miss::ReachedRecovery => Coach::MissReachedRecovery,
        Miss::ReachedDfu => Coach::MissReachedDfu,
        Miss::Dark => Coach::MissDark,
        Miss::CameBack => Coach::MissCameBack,
        Miss::StillOn => Coach::MissStillOn,
        Miss::Loop => Coach::MissLoop,
        Miss::NoReset => Coach::MissNoReset,
        Miss::Elsewhere(mode) => Coach::MissElsewhere { mode: mode.to_string() },
    };
    let power = keys(lang, recipe.layout, &[Key::Power]);
    let then = next.and_then(|next| match next {
        Next::Again => Some(Coach::NextAgain),
        Next::Shift(by) if by < 0 => Some(Coach::NextSooner),
        Next::Shift(_) => Some(Coach::NextLater),
        Next::Wake => Some(Coach::NextWake { power }),
        Next::Assisted => Some(Coach::NextAssisted),
        Next::ByHand => Some(Coach::NextByHand),
        Next::Stop => None,
    });
    [Some(what), Some(Coach::LetGoAll), then].into_iter().flatten().map(|t| coach(lang, &t)).collect()
}

pub fn ending(lang: Lang, ending: &Ending) -> Option<String> {
    let text = match ending {
        Ending::Reached(Mode::Dfu) => Coach::ReachedDfu,
        Ending::Reached(Mode::Recovery) => Coach::ReachedRecovery,
        Ending::Reached(_) => Coach::ReachedNormal,
        Ending::Off => Coach::ReachedOff,
        Ending::Missed(_) => return None,
    };
    Some(coach(lang, &text))
}
