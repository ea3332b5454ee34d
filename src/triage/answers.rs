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

/// What a question may be answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Choice {
    Owner,
    OnBehalf,
    Organisation,
    Found,
    ReportedMissing,
    ForgottenCode,
    DoesNotStart,
    AsksForAccount,
    AccountLost,
    Yes,
    No,
    Unknown,
    Here,
    Elsewhere,
    On,
    Off,
    Own,
    PreviousOwner,
    NobodyReachable,
}

impl Choice {
    pub const ALL: [Choice; 19] = [
        Choice::Owner,
        Choice::OnBehalf,
        Choice::Organisation,
        Choice::Found,
        Choice::ReportedMissing,
        Choice::ForgottenCode,
        Choice::DoesNotStart,
        Choice::AsksForAccount,
        Choice::AccountLost,
        Choice::Yes,
        Choice::No,
        Choice::Unknown,
        Choice::Here,
        Choice::Elsewhere,
        Choice::On,
        Choice::Off,
        Choice::Own,
        Choice::PreviousOwner,
        Choice::NobodyReachable,
    ];

    /// The word of JSON and of a file of answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Choice::Owner => "owner",
            Choice::OnBehalf => "on-behalf",
            Choice::Organisation => "organisation",
            Choice::Found => "found",
            Choice::ReportedMissing => "reported-missing",
            Choice::ForgottenCode => "forgotten-code",
            Choice::DoesNotStart => "does-not-start",
            Choice::AsksForAccount => "asks-for-account",
            Choice::AccountLost => "account-lost",
            Choice::Yes => "yes",
            Choice::No => "no",
            Choice::Unknown => "unknown",
            Choice::Here => "here",
            Choice::Elsewhere => "elsewhere",
            Choice::On => "on",
            Choice::Off => "off",
            Choice::Own => "own",
            Choice::PreviousOwner => "previous-owner",
            Choice::NobodyReachable => "nobody-reachable",
        }
    }
}

const YES_NO: &[Choice] = &[Choice::Yes, Choice::No];
const YES_NO_UNKNOWN: &[Choice] = &[Choice::Yes, Choice::No, Choice::Unknown];

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
    pub fn choices(self) -> &'static [Choice] {
        match self {
            Question::Ownership => {
                &[Choice::Owner, Choice::OnBehalf, Choice::Organisation, Choice::Found, Choice::ReportedMissing]
            }
            Question::Problem => {
                &[Choice::ForgottenCode, Choice::DoesNotStart, Choice::AsksForAccount, Choice::AccountLost]
            }
            Question::Managed | Question::Backup => YES_NO_UNKNOWN,
            Question::PreviousCode | Question::Unlocked | Question::Password | Question::Online => YES_NO,
            Question::Trusted => &[Choice::Here, Choice::Elsewhere, Choice::No],
            Question::FindMy => &[Choice::On, Choice::Off, Choice::Unknown],
            Question::WhoseAccount => {
                &[Choice::Own, Choice::PreviousOwner, Choice::Organisation, Choice::NobodyReachable]
            }
        }
    }
}

impl Question {
    /// # Errors
    /// A word that is no answer to this question.
    pub fn answer(self, word: &str) -> Result<Choice, BadAnswer> {
        let choices = self.choices();
        choices.iter().copied().find(|choice| choice.as_str() == word).ok_or_else(|| BadAnswer::NoSuchAnswer {
            question: self.as_str(),
            answer: word.chars().take(40).collect(),
            choices,
        })
    }
}

/// How well an answer is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Person,
    /// Read from the device: from where, and whether it proves or only suggests.
    Device {
        from: &'static str,
        proves: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub choice: Choice,
    pub source: Source,
}

/// A person's word against the device's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub question: Question,
    pub said: Choice,
    pub read: Choice,
    pub from: &'static str,
}

/// Why an answer is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    #[error("no question is called {0:?}")]
    NoSuchQuestion(String),
    #[error("{question:?} is not answered with {answer:?}, but with one of: {}", listed(.choices))]
    NoSuchAnswer { question: &'static str, answer: String, choices: &'static [Choice] },
}

fn listed(choices: &[Choice]) -> String {
    choices.iter().map(|choice| choice.as_str()).collect::<Vec<_>>().join(", ")
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

    pub fn get(&self, question: Question) -> Option<Choice> {
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
    /// What is no answer to this question.
    pub fn say(&mut self, question: Question, choice: Choice, source: Source) -> Result<(), BadAnswer> {
        question.answer(choice.as_str())?;
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
        if let Some((said, read, from)) = word.filter(|(said, read, _)| said != read && *said != Choice::Unknown) {
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
            let mut said = [(Choice::Off, Source::Person), (Choice::On, READ)];
            if device_first {
                said.reverse();
            }
            for (choice, source) in said {
                answers.say(Question::FindMy, choice, source).unwrap();
            }
            assert_eq!(answers.get(Question::FindMy), Some(Choice::On));
            let told =
                Conflict { question: Question::FindMy, said: Choice::Off, read: Choice::On, from: "com.apple.fmip" };
            assert_eq!(answers.conflicts(), [told]);
        }
    }

    #[test]
    fn a_hint_is_only_a_hint_and_not_knowing_is_no_contradiction() {
        let mut answers = Answers::default();
        answers.say(Question::Problem, Choice::DoesNotStart, HINT).unwrap();
        answers.say(Question::Problem, Choice::ForgottenCode, Source::Person).unwrap();
        answers.say(Question::Problem, Choice::DoesNotStart, HINT).unwrap();
        assert_eq!(answers.get(Question::Problem), Some(Choice::ForgottenCode));
        answers.say(Question::FindMy, Choice::Unknown, Source::Person).unwrap();
        answers.say(Question::FindMy, Choice::On, READ).unwrap();
        assert_eq!((answers.get(Question::FindMy), answers.conflicts()), (Some(Choice::On), &[][..]));
    }

    #[test]
    fn what_is_no_answer_is_named_with_those_that_are() {
        let error = Question::Password.answer("maybe").unwrap_err();
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
