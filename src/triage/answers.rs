//! What is known of a case: each answer with where it comes from.
//!
//! What the device proves goes before what a person says, since the screen of a locked device is easily misread; where
//! the two disagree the person is told. What the device only suggests answers nothing: it is shown beside the question.
//! Of what a person says twice the last word counts; what a person says in one breath may not contradict itself.

use crate::event::{Choice, Clue, Question};
use crate::ids::Version;
use serde::Serialize;
use std::collections::BTreeMap;

/// Who gave an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Person,
    Device(Clue),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub choice: Choice,
    pub source: Source,
}

/// Something that was read of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Reading {
    pub question: Question,
    pub answer: Choice,
    pub from: Clue,
    /// Else it only suggests.
    pub proves: bool,
}

/// A person's word against the device's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conflict {
    pub question: &'static str,
    pub said: String,
    pub read: String,
    pub from: Clue,
}

/// Why answers are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    #[error("no question is called {0:?}, but: {all}", all = listed(Question::ALL.iter().map(|q| q.as_str())))]
    NoSuchQuestion(String),
    #[error("{question} is not answered with {answer:?}, but with one of: {}", listed(.choices.iter().map(|c| c.as_str())))]
    NoSuchAnswer { question: &'static str, answer: String, choices: &'static [Choice] },
    #[error("{0} = {1} and {2} = {3} cannot both be true")]
    Contradiction(&'static str, &'static str, &'static str, &'static str),
}

fn listed<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

/// What cannot be true of one device at one time.
const CONTRADICTIONS: &[(Question, Choice, Question, Choice)] = &[
    (Question::Problem, Choice::AccountLost, Question::Password, Choice::Yes),
    (Question::Problem, Choice::AsksForAccount, Question::FindMy, Choice::Off),
    (Question::Problem, Choice::DoesNotStart, Question::Online, Choice::Yes),
    (Question::Problem, Choice::UpdateFailed, Question::Online, Choice::Yes),
    (Question::Problem, Choice::DoesNotStart, Question::Unlocked, Choice::Yes),
    (Question::Problem, Choice::UpdateFailed, Question::Unlocked, Choice::Yes),
    (Question::Managed, Choice::No, Question::WhoseAccount, Choice::Organisation),
];

/// # Errors
/// A word that is no answer to this question.
pub fn answer(question: Question, word: &str) -> Result<Choice, BadAnswer> {
    let choices = question.choices();
    choices.iter().copied().find(|choice| choice.as_str() == word).ok_or_else(|| BadAnswer::NoSuchAnswer {
        question: question.as_str(),
        answer: word.chars().take(40).collect(),
        choices,
    })
}

/// All that is known.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    version: Option<Version>,
    known: BTreeMap<Question, Answer>,
    hints: Vec<Reading>,
    conflicts: Vec<Conflict>,
}

impl Answers {
    /// What the device tells; a version that a person names is only taken where the device tells none.
    pub fn new(read: Option<Version>, said: Option<Version>, readings: &[Reading]) -> Self {
        let mut answers = Answers::default();
        if let (Some(read), Some(said)) = (&read, &said)
            && read != said
        {
            let (said, read) = (said.to_string(), read.to_string());
            answers.conflicts.push(Conflict { question: "version", said, read, from: Clue::Version });
        }
        answers.version = read.or(said);
        for reading in readings {
            if reading.proves {
                let proven = Answer { choice: reading.answer, source: Source::Device(reading.from) };
                answers.known.entry(reading.question).or_insert(proven);
            } else {
                answers.hints.push(*reading);
            }
        }
        answers
    }

    pub fn version(&self) -> Option<&Version> {
        self.version.as_ref()
    }

    pub fn get(&self, question: Question) -> Option<Choice> {
        self.known.get(&question).map(|answer| answer.choice)
    }

    pub fn source(&self, question: Question) -> Option<Source> {
        self.known.get(&question).map(|answer| answer.source)
    }

    /// In the order of the questions.
    pub fn all(&self) -> impl Iterator<Item = (Question, &Answer)> {
        self.known.iter().map(|(question, answer)| (*question, answer))
    }

    /// What the device suggests.
    pub fn hint(&self, question: Question) -> Option<&Reading> {
        self.hints.iter().find(|hint| hint.question == question)
    }

    pub fn hints(&self) -> &[Reading] {
        &self.hints
    }

    pub fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }

    /// Takes a person's answer; tells the conflict if the device proves otherwise, whose word then stays.
    ///
    /// # Errors
    /// What is no answer to this question, or cannot be true beside another answer of the person; nothing is taken then.
    pub fn say(&mut self, question: Question, choice: Choice) -> Result<Option<Conflict>, BadAnswer> {
        answer(question, choice.as_str())?;
        if let Some(Answer { choice: read, source: Source::Device(from) }) = self.known.get(&question) {
            let (from, read) = (*from, *read);
            if choice == read || choice == Choice::Unknown {
                return Ok(None);
            }
            let (said, read) = (choice.as_str().to_owned(), read.as_str().to_owned());
            let conflict = Conflict { question: question.as_str(), said, read, from };
            self.conflicts.push(conflict.clone());
            return Ok(Some(conflict));
        }
        let said =
            |q: Question, c: Choice| (q == question && c == choice) || (q != question && self.said(q) == Some(c));
        for (one, this, other, that) in CONTRADICTIONS.iter().copied() {
            if said(one, this) && said(other, that) {
                return Err(BadAnswer::Contradiction(one.as_str(), this.as_str(), other.as_str(), that.as_str()));
            }
        }
        self.known.insert(question, Answer { choice, source: Source::Person });
        Ok(None)
    }

    fn said(&self, question: Question) -> Option<Choice> {
        self.known.get(&question).filter(|known| known.source == Source::Person).map(|known| known.choice)
    }

    /// Takes a person's answer back.
    pub fn unsay(&mut self, question: Question) {
        self.known.retain(|known, answer| *known != question || answer.source != Source::Person);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(question: Question, answer: Choice, from: Clue, proves: bool) -> Reading {
        Reading { question, answer, from, proves }
    }

    #[test]
    fn the_device_is_believed_and_the_person_is_told() {
        let on = read(Question::FindMy, Choice::On, Clue::FindMyAssociated, true);
        let mut answers = Answers::new(None, None, &[on]);
        let told = answers.say(Question::FindMy, Choice::Off).unwrap().unwrap();
        assert_eq!((told.said.as_str(), told.read.as_str(), told.from), ("off", "on", Clue::FindMyAssociated));
        assert_eq!((answers.get(Question::FindMy), answers.conflicts()), (Some(Choice::On), &[told][..]));
        for agrees in [Choice::On, Choice::Unknown] {
            assert_eq!(answers.say(Question::FindMy, agrees), Ok(None));
        }
        assert_eq!(answers.conflicts().len(), 1);
        answers.unsay(Question::FindMy);
        assert_eq!(answers.get(Question::FindMy), Some(Choice::On), "what is proven stays");
    }

    #[test]
    fn a_hint_answers_nothing() {
        let hint = read(Question::Problem, Choice::DoesNotStart, Clue::StopsInRecovery, false);
        let mut answers = Answers::new(None, None, &[hint]);
        assert_eq!((answers.get(Question::Problem), answers.hint(Question::Problem)), (None, Some(&hint)));
        assert_eq!(answers.say(Question::Problem, Choice::ForgottenCode), Ok(None));
        assert_eq!(answers.get(Question::Problem), Some(Choice::ForgottenCode));
        answers.unsay(Question::Problem);
        assert_eq!(answers.get(Question::Problem), None);
    }

    #[test]
    fn the_version_that_was_read_counts() {
        let version = |text: &str| text.parse::<Version>().ok();
        let answers = Answers::new(version("16.5"), version("15.1"), &[]);
        assert_eq!(answers.version(), version("16.5").as_ref());
        let told = &answers.conflicts()[0];
        assert_eq!((told.question, told.said.as_str(), told.read.as_str()), ("version", "15.1", "16.5"));
        assert_eq!(Answers::new(None, version("15.1"), &[]).version(), version("15.1").as_ref());
        assert!(Answers::new(version("15.1"), version("15.1"), &[]).conflicts().is_empty());
    }

    #[test]
    fn what_cannot_be_true_together_is_refused_in_either_order() {
        for (one, this, other, that) in CONTRADICTIONS.iter().copied() {
            for (first, second) in [((one, this), (other, that)), ((other, that), (one, this))] {
                let mut answers = Answers::default();
                answers.say(first.0, first.1).unwrap();
                let error = answers.say(second.0, second.1).unwrap_err();
                assert!(matches!(error, BadAnswer::Contradiction(..)), "{error}");
                assert_eq!(answers.get(second.0), None);
            }
        }
    }

    #[test]
    fn the_device_against_a_person_is_a_conflict_and_no_contradiction() {
        let locked = read(Question::Unlocked, Choice::Yes, Clue::TrustsThisComputer, true);
        let mut answers = Answers::new(None, None, &[locked]);
        assert_eq!(answers.say(Question::Problem, Choice::DoesNotStart), Ok(None));
    }

    #[test]
    fn what_is_no_answer_is_named_with_those_that_are() {
        let error = answer(Question::Password, "maybe").unwrap_err();
        assert_eq!(error.to_string(), r#"password is not answered with "maybe", but with one of: yes, no"#);
        let error = BadAnswer::NoSuchQuestion("age".into()).to_string();
        assert!(error.starts_with(r#"no question is called "age", but: ownership, problem"#), "{error}");
    }
}
