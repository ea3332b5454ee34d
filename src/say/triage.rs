//! The texts of triage: a question with its reason, and a plan with all that a person wants to know before it.

use super::{Lang, triage_en, triage_nl};
use crate::event::{Choice, Clue, Question, WayOut};

/// A question, and why it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub question: &'static str,
    pub why: &'static str,
}

/// A plan as people read it.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    pub title: &'static str,
    pub kept: &'static str,
    pub lost: &'static str,
    /// What to have at hand.
    pub needs: &'static [&'static str],
    pub steps: &'static [&'static str],
}

pub fn asked(lang: Lang, question: Question) -> Asked {
    match lang {
        Lang::En => triage_en::asked(question),
        Lang::Nl => triage_nl::asked(question),
    }
}

/// What a question is about, in a word or two.
pub fn subject(lang: Lang, question: Question) -> &'static str {
    match lang {
        Lang::En => triage_en::subject(question),
        Lang::Nl => triage_nl::subject(question),
    }
}

pub fn choice(lang: Lang, choice: Choice) -> &'static str {
    match lang {
        Lang::En => triage_en::choice(choice),
        Lang::Nl => triage_nl::choice(choice),
    }
}

pub fn told(lang: Lang, way: WayOut) -> Told {
    match lang {
        Lang::En => triage_en::told(way),
        Lang::Nl => triage_nl::told(way),
    }
}

/// What was read of the device, and where.
pub fn clue(lang: Lang, clue: Clue) -> &'static str {
    match lang {
        Lang::En => triage_en::clue(clue),
        Lang::Nl => triage_nl::clue(clue),
    }
}

/// Heads and short sentences around questions and plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label<'a> {
    Kept,
    Lost,
    Takes,
    AtHand,
    Steps,
    Command,
    Known,
    Said,
    Proven,
    Question,
    Answer,
    Source,
    Device,
    System,
    Why,
    /// The device suggests this answer.
    Suggests {
        answer: &'a str,
        clue: &'a str,
    },
    /// The account that the lock belongs to.
    Account {
        masked: &'a str,
    },
    /// Find My is on: an erase ends at the lock of this account.
    LockFollows {
        masked: Option<&'a str>,
    },
    /// A person and the device disagree.
    Disagrees {
        question: &'a str,
        said: &'a str,
        read: &'a str,
        clue: &'a str,
    },
    /// The prompt under the choices; `hinted` is what Enter takes.
    Prompt {
        hinted: Option<usize>,
    },
    NoSuchNumber {
        most: usize,
    },
    NoDevice,
    Minutes {
        from: u32,
        to: u32,
    },
    OthersDecide,
    Unanswered,
    /// A refusal was written down.
    Refused {
        place: &'a str,
    },
    /// Before the questions.
    Intro,
    /// `recover` goes on with this plan.
    GoesOn,
    AsksConsent,
    Footer,
}

pub fn label(lang: Lang, label: Label<'_>) -> String {
    match lang {
        Lang::En => triage_en::label(label),
        Lang::Nl => triage_nl::label(label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_said_in_both_languages() {
        for question in Question::ALL.iter().copied() {
            let (en, nl) = (asked(Lang::En, question), asked(Lang::Nl, question));
            assert!(en.question != nl.question && en.why != nl.why, "{question:?}");
            assert_ne!(subject(Lang::En, question), subject(Lang::Nl, question));
            for asked in [en, nl] {
                assert!(asked.question.contains('?') && asked.why.ends_with('.'), "{question:?}");
            }
        }
        for each in Choice::ALL.iter().copied() {
            assert_ne!(choice(Lang::En, each), choice(Lang::Nl, each));
        }
        for each in Clue::ALL.iter().copied() {
            let (en, nl) = (clue(Lang::En, each), clue(Lang::Nl, each));
            assert!(en != nl && en.len() > 10 && nl.len() > 10, "{each:?}");
        }
        for plan in WayOut::ALL.iter().copied() {
            let (en, nl) = (told(Lang::En, plan), told(Lang::Nl, plan));
            assert!(en.title != nl.title && en.kept != nl.kept && en.lost != nl.lost, "{plan:?}");
            assert_eq!((en.steps.len(), en.needs.len()), (nl.steps.len(), nl.needs.len()), "{plan:?}");
            assert!(en.steps.iter().zip(nl.steps).all(|(en, nl)| en != nl), "{plan:?}");
        }
    }

    #[test]
    fn nothing_promises_a_way_round_a_lock() {
        for plan in WayOut::ALL.iter().copied() {
            for lang in [Lang::En, Lang::Nl] {
                let told = told(lang, plan);
                let all = [told.title, told.kept, told.lost].into_iter().chain(told.steps.iter().copied());
                for text in all {
                    let text = text.to_lowercase();
                    assert!(!["jailbreak", "hack", "crack"].iter().any(|word| text.contains(word)), "{plan:?}: {text}");
                }
            }
        }
    }
}
