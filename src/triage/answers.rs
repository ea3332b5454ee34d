//! What is known of a case: each answer with where it comes from.
//!
//! Evidence that was read from the device goes before what a person says, since the screen of a locked device is easily
//! misread; where the two disagree the person is told. What a person says twice, the last word counts.

use crate::ids::Version;
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Question {
    /// May this person decide about the device?
    Ownership,
    Problem,
    Managed,
    /// Was the passcode changed in the last 72 hours, and the old one is known?
    PreviousCode,
    /// Does a computer have its trust from before?
    Trusted,
    /// Was it unlocked since it was last started?
    Unlocked,
    Backup,
    FindMy,
    /// Is the password of the Apple Account on it known?
    Password,
    /// Has it a network, and shows it a way to erase itself?
    Online,
    /// Whose account does it ask for after an erase?
    WhoseAccount,
}

const YES_NO: &[&str] = &["yes", "no"];
const YES_NO_UNKNOWN: &[&str] = &["yes", "no", "unknown"];

impl Question {
    pub const ALL: [Question; 11] = [
        Question::Ownership,
        Question::Problem,
        Question::Managed,
        Question::PreviousCode,
        Question::Trusted,
        Question::Unlocked,
        Question::Backup,
        Question::FindMy,
        Question::Password,
        Question::Online,
        Question::WhoseAccount,
    ];

    /// Its key in JSON and in a file of answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Question::Ownership => "ownership",
            Question::Problem => "problem",
            Question::Managed => "managed",
            Question::PreviousCode => "previous-code",
            Question::Trusted => "trusted",
            Question::Unlocked => "unlocked",
            Question::Backup => "backup",
            Question::FindMy => "find-my",
            Question::Password => "password",
            Question::Online => "online",
            Question::WhoseAccount => "whose-account",
        }
    }

    pub fn named(name: &str) -> Option<Question> {
        Question::ALL.into_iter().find(|question| question.as_str() == name)
    }

    /// What may be answered; words of JSON and of a file of answers.
    pub fn choices(self) -> &'static [&'static str] {
        match self {
            Question::Ownership => &["owner", "on-behalf", "organisation", "found", "reported-missing"],
            Question::Problem => &["forgotten-code", "does-not-start", "asks-for-account", "account-lost"],
            Question::Managed | Question::Backup => YES_NO_UNKNOWN,
            Question::PreviousCode | Question::Unlocked | Question::Password | Question::Online => YES_NO,
            Question::Trusted => &["here", "elsewhere", "no"],
            Question::FindMy => &["on", "off", "unknown"],
            Question::WhoseAccount => &["own", "previous-owner", "organisation", "nobody-reachable"],
        }
    }
}

/// How well an answer is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Person,
    /// Read from the device: from where, and whether it proves or only suggests.
    Device { from: &'static str, proves: bool },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub choice: &'static str,
    pub source: Source,
}

/// A person's word against the device's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub question: Question,
    pub said: &'static str,
    pub read: &'static str,
    pub from: &'static str,
}

/// Why an answer is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    #[error("no question is called {0:?}")]
    NoSuchQuestion(String),
    #[error("{question:?} is not answered with {answer:?}, but with one of: {}", .choices.join(", "))]
    NoSuchAnswer { question: &'static str, answer: String, choices: &'static [&'static str] },
}

/// All that is known.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    version: Option<Version>,
    known: BTreeMap<Question, Answer>,
    conflicts: Vec<Conflict>,
}

impl Answers {
    pub fn new(version: Option<Version>) -> Self {
        Answers { version, ..Answers::default() }
    }

    pub fn version(&self) -> Option<&Version> {
        self.version.as_ref()
    }

    pub fn get(&self, question: Question) -> Option<&'static str> {
        self.known.get(&question).map(|answer| answer.choice)
    }

    /// In the order of the questions.
    pub fn all(&self) -> impl Iterator<Item = (Question, &Answer)> {
        self.known.iter().map(|(question, answer)| (*question, answer))
    }

    pub fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }

    /// Takes an answer. What the device proves stays, whoever says otherwise and whenever.
    ///
    /// # Errors
    /// A word that is no answer to this question.
    pub fn say(&mut self, question: Question, choice: &str, source: Source) -> Result<(), BadAnswer> {
        let choices = question.choices();
        let choice = choices.iter().copied().find(|known| *known == choice).ok_or_else(|| BadAnswer::NoSuchAnswer {
            question: question.as_str(),
            answer: choice.chars().take(40).collect(),
            choices,
        })?;
        let new = Answer { choice, source };
        let Some(old) = self.known.get(&question) else {
            self.known.insert(question, new);
            return Ok(());
        };
        let (stays, word) = match (&old.source, &new.source) {
            (Source::Device { proves: true, from }, Source::Person) => (true, Some((new.choice, old.choice, *from))),
            (Source::Person, Source::Device { proves: true, from }) => (false, Some((old.choice, new.choice, *from))),
            (Source::Device { proves: true, .. }, _) | (Source::Person, Source::Device { .. }) => (true, None),
            _ => (false, None),
        };
        if let Some((said, read, from)) = word.filter(|(said, read, _)| said != read && *said != "unknown") {
            self.conflicts.push(Conflict { question, said, read, from });
        }
        if !stays {
            self.known.insert(question, new);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Source = Source::Device { from: "com.apple.fmip", proves: true };
    const HINT: Source = Source::Device { from: "auto-boot", proves: false };

    #[test]
    fn the_device_is_believed_and_the_person_is_told() {
        for device_first in [true, false] {
            let mut answers = Answers::default();
            let mut said = [("off", Source::Person), ("on", READ)];
            if device_first {
                said.reverse();
            }
            for (choice, source) in said {
                answers.say(Question::FindMy, choice, source).unwrap();
            }
            assert_eq!(answers.get(Question::FindMy), Some("on"));
            let told = Conflict { question: Question::FindMy, said: "off", read: "on", from: "com.apple.fmip" };
            assert_eq!(answers.conflicts(), [told]);
        }
    }

    #[test]
    fn a_hint_is_only_a_hint_and_not_knowing_is_no_contradiction() {
        let mut answers = Answers::default();
        answers.say(Question::Problem, "does-not-start", HINT).unwrap();
        answers.say(Question::Problem, "forgotten-code", Source::Person).unwrap();
        answers.say(Question::Problem, "does-not-start", HINT).unwrap();
        assert_eq!(answers.get(Question::Problem), Some("forgotten-code"));
        answers.say(Question::FindMy, "unknown", Source::Person).unwrap();
        answers.say(Question::FindMy, "on", READ).unwrap();
        assert_eq!((answers.get(Question::FindMy), answers.conflicts()), (Some("on"), &[][..]));
    }

    #[test]
    fn what_is_no_answer_is_named_with_those_that_are() {
        let error = Answers::default().say(Question::Password, "maybe", Source::Person).unwrap_err();
        assert_eq!(error.to_string(), r#""password" is not answered with "maybe", but with one of: yes, no"#);
    }

    #[test]
    fn every_question_has_a_key_of_its_own() {
        for question in Question::ALL {
            assert_eq!(Question::named(question.as_str()), Some(question));
            assert!(question.choices().len() > 1);
        }
    }
}
