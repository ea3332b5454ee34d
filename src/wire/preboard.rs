//! `com.apple.preboardservice_v2`: keeping the data readable over an update.
//!
//! The keys of the person's data hang on the passcode and on the system that runs. Before an update the device asks
//! its passcode once more and seals those keys into a *stashbag* that the new system can open by itself. The host
//! sends `CreateStashbag` with a [local ticket](super::img4::local_ticket), and, once Apple has signed the real one,
//! `CommitStashbag` with that. Messages are framed as lockdown's, in binary property lists.
//!
//! Known are the words and their order, from two open tools; nobody published a recording. Unknown are the texts of
//! errors, whether an `Error` can follow a dialog that the person cancelled, how long the device itself waits, and
//! what else may stand in an answer. So an answer with none of the known words is passed on as such, and it is the
//! one who waits who decides.

use plist::{Dictionary, Value};

pub const SERVICE: &str = "com.apple.preboardservice_v2";
/// Characters of a device's own words that are kept.
const WORDS: usize = 400;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// With the local ticket.
    Create(Vec<u8>),
    /// With the ticket that Apple signed.
    Commit(Vec<u8>),
    Other(String),
}

impl Command {
    pub fn parse(message: &Value) -> Command {
        let field = |key: &str| message.as_dictionary().and_then(|d| d.get(key));
        let manifest = || field("Manifest").and_then(Value::as_data).map(<[u8]>::to_vec).unwrap_or_default();
        match field("Command").and_then(Value::as_string).unwrap_or_default() {
            "CreateStashbag" => Command::Create(manifest()),
            "CommitStashbag" => Command::Commit(manifest()),
            other => Command::Other(other.chars().take(WORDS).collect()),
        }
    }

    pub fn body(&self) -> Value {
        let (name, manifest) = match self {
            Command::Create(manifest) => ("CreateStashbag", Some(manifest)),
            Command::Commit(manifest) => ("CommitStashbag", Some(manifest)),
            Command::Other(name) => (name.as_str(), None),
        };
        let mut body = Dictionary::new();
        body.insert("Command".into(), name.into());
        if let Some(manifest) = manifest {
            body.insert("Manifest".into(), Value::Data(manifest.clone()));
        }
        body.into()
    }
}

/// What a device says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// No stashbag is needed: there is no passcode, or nothing to keep.
    Skip,
    /// The passcode is asked on the screen now.
    ShowDialog,
    /// The dialog is gone and the stashbag made.
    HideDialog,
    /// Nobody entered it.
    Timeout,
    Error(String),
    /// The answer to a commit.
    Committed,
    /// Its keys, for the log.
    Other(String),
}

impl Answer {
    /// An error counts first, whatever else is in the answer.
    pub fn parse(message: &Value) -> Answer {
        let none = Dictionary::new();
        let fields = message.as_dictionary().unwrap_or(&none);
        let set = |key: &str| fields.get(key).and_then(Value::as_boolean) == Some(true);
        if let Some(error) = fields.get("Error").filter(|e| e.as_boolean() != Some(false)) {
            let text = fields.get("ErrorString").and_then(Value::as_string).or(error.as_string());
            return Answer::Error(text.unwrap_or("an error without words").chars().take(WORDS).collect());
        }
        match () {
            () if set("Skip") => Answer::Skip,
            () if set("Timeout") => Answer::Timeout,
            () if set("StashbagCommitComplete") => Answer::Committed,
            () if set("HideDialog") => Answer::HideDialog,
            () if set("ShowDialog") => Answer::ShowDialog,
            () => Answer::Other(
                fields.keys().map(String::as_str).collect::<Vec<_>>().join(" ").chars().take(WORDS).collect(),
            ),
        }
    }

    pub fn body(&self) -> Value {
        let mut body = Dictionary::new();
        let mut set = |key: &str, value: Value| body.insert(key.to_owned(), value);
        match self {
            Answer::Skip => set("Skip", true.into()),
            Answer::ShowDialog => set("ShowDialog", true.into()),
            Answer::HideDialog => set("HideDialog", true.into()),
            Answer::Timeout => set("Timeout", true.into()),
            Answer::Committed => set("StashbagCommitComplete", true.into()),
            Answer::Error(text) => {
                set("Error", true.into());
                set("ErrorString", text.as_str().into())
            }
            Answer::Other(key) => set(key, true.into()),
        };
        body.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_read_what_the_other_wrote() {
        for command in [Command::Create(vec![1, 2]), Command::Commit(vec![3]), Command::Other("Dance".into())] {
            assert_eq!(Command::parse(&command.body()), command);
        }
        use Answer::{Committed, Error, HideDialog, Other, ShowDialog, Skip, Timeout};
        for answer in [Skip, ShowDialog, HideDialog, Timeout, Committed, Error("no".into()), Other("Hm".into())] {
            assert_eq!(Answer::parse(&answer.body()), answer);
        }
    }

    #[test]
    fn an_error_is_one_whatever_stands_beside_it() {
        let message = |pairs: &[(&str, Value)]| -> Value {
            Dictionary::from_iter(pairs.iter().map(|(k, v)| ((*k).to_owned(), v.clone()))).into()
        };
        let error = Answer::parse(&message(&[("HideDialog", true.into()), ("Error", 5.into())]));
        assert_eq!(error, Answer::Error("an error without words".into()));
        let error = Answer::parse(&message(&[("Error", "kept".into())]));
        assert_eq!(error, Answer::Error("kept".into()));
        // A word that is there and false says nothing.
        assert_eq!(
            Answer::parse(&message(&[("Skip", false.into()), ("Error", false.into())])),
            Answer::Other("Skip Error".into())
        );
        assert_eq!(Answer::parse(&Value::from("x")), Answer::Other(String::new()));
        let long = Answer::parse(&message(&[("Error", true.into()), ("ErrorString", "é".repeat(9000).into())]));
        assert!(matches!(long, Answer::Error(text) if text.chars().count() == WORDS));
    }
}
