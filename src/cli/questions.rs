//! Triage with a person, or with a file of answers: what the device tells is taken, the rest is asked, until the tree
//! ends in a plan. Used by `triage`, and by `recover` before it makes its own plan.

use super::cmd::list::say_line;
use super::context::Context;
use super::keyboard::{self, Echo};
use super::show::wrap::COLUMNS;
use crate::backup::Vault;
use crate::device::{Device, Eyes, intake};
use crate::event::{Choice, Question, WayOut};
use crate::fault::{Code, Fault};
use crate::ids::Version;
use crate::report::way_out::Case;
use crate::say::triage::{Label, asked, choice, clue, label, subject};
use crate::say::{self, Lang};
use crate::triage::plans::commands;
use crate::triage::{Answers, BadAnswer, Clues, Conflict, Stand, answer, clues, stand};
use serde_json::{Map, Value, json};
use std::io::{IsTerminal, Read};
use std::path::Path;

/// Longest file of answers, in bytes.
const FILE_CAP: u64 = 64 << 10;

/// Where the questions ended.
pub struct Triaged {
    pub case: Case,
    pub clues: Clues,
    pub answers: Answers,
    pub stand: Stand,
}

/// What a file of answers says.
#[derive(Debug, Default)]
struct Said {
    version: Option<Version>,
    answers: Vec<(Question, Choice)>,
}

/// Reads the device, takes the file, asks the rest where there is a terminal.
pub async fn triage(
    context: &Context,
    eyes: &Eyes,
    device: Option<&Device>,
    vault: &Path,
    file: Option<&Path>,
) -> Result<Triaged, Fault> {
    let said = file.map(read).transpose()?.unwrap_or_default();
    let clues = match device {
        Some(device) => look(context, eyes, device, vault).await,
        None => Clues::default(),
    };
    let case = Case {
        title: device.map(|device| device.who().title()),
        ecid: device.and_then(|device| device.who().ecid),
        is_virtual: device.is_some_and(|device| device.is_virtual),
    };
    let mut answers = Answers::new(clues.version.clone(), said.version, &clues.readings);
    for (question, choice) in said.answers {
        answers.say(question, choice).map_err(invalid)?;
    }
    for conflict in answers.conflicts() {
        tell(context.lang, conflict);
    }
    let stand = match stand(&answers) {
        Stand::Ask(_) if std::io::stdin().is_terminal() => Stand::WayOut(ask(context, &clues, &mut answers)?),
        stand => stand,
    };
    Ok(Triaged { case, clues, answers, stand })
}

/// What the device tells; one that tells little is asked about instead.
pub async fn look(context: &Context, eyes: &Eyes, device: &Device, vault: &Path) -> Clues {
    let sheet = match intake(eyes, device).await {
        Ok(sheet) => sheet.facts,
        Err(fault) => {
            say_line(&format!("! {} ({})", say::fault(context.lang, fault.code).what, fault.detail));
            Map::new()
        }
    };
    let udid = device.who().udid.as_ref();
    let newest = udid.and_then(|udid| Vault::new(vault).generation(udid, None).ok());
    clues(device, &sheet, newest.map(|generation| generation.name))
}

fn invalid(error: BadAnswer) -> Fault {
    Fault::new(Code::AnswersInvalid, error.to_string())
}

fn read(path: &Path) -> Result<Said, Fault> {
    let mut text = String::new();
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let read = if path == Path::new("-") {
        std::io::stdin().take(FILE_CAP + 1).read_to_string(&mut text)
    } else {
        let file = fs_err::File::open(path).map_err(|e| Fault::disk(&e))?;
        file.take(FILE_CAP + 1).read_to_string(&mut text)
    };
    let bad = |why: String| Fault::new(Code::AnswersInvalid, format!("{name}: {why}"));
    read.map_err(|e| bad(e.to_string()))?;
    if text.len() as u64 > FILE_CAP {
        return Err(bad(format!("longer than {FILE_CAP} bytes")));
    }
    parse(&text).map_err(bad)
}

/// `question = "answer"` in lines; `true` and `false` stand for yes and no.
fn parse(text: &str) -> Result<Said, String> {
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| e.to_string().trim_end().to_owned())?;
    let mut said = Said::default();
    for (key, value) in &table {
        let word = match value {
            toml::Value::String(word) => word.as_str(),
            toml::Value::Boolean(true) => "yes",
            toml::Value::Boolean(false) => "no",
            _ => return Err(format!("{key:?} is neither a text nor true or false")),
        };
        if key == "version" {
            said.version = Some(word.parse().map_err(|e| format!("version: {e}"))?);
            continue;
        }
        let unknown = || BadAnswer::NoSuchQuestion(key.chars().take(40).collect()).to_string();
        let question = Question::named(key).ok_or_else(unknown)?;
        said.answers.push((question, answer(question, word).map_err(|e| e.to_string())?));
    }
    said.answers.sort_by_key(|(question, _)| *question);
    Ok(said)
}

fn tell(lang: Lang, conflict: &Conflict) {
    let in_words = |word: &str| Choice::named(word).map_or_else(|| word.to_owned(), |c| choice(lang, c).to_owned());
    let about = Question::named(conflict.question).map(|question| subject(lang, question).to_owned());
    let about = about.unwrap_or_else(|| label(lang, Label::System));
    let (said, read, clue) = (in_words(&conflict.said), in_words(&conflict.read), clue(lang, conflict.from));
    wrap(&format!("! {}", label(lang, Label::Disagrees { question: &about, said: &said, read: &read, clue })), "");
}

fn wrap(text: &str, indent: &str) {
    for line in say::wrapped(text, COLUMNS.saturating_sub(indent.len())) {
        say_line(&format!("{indent}{line}"));
    }
}

/// Question by question, with a way back.
fn ask(context: &Context, clues: &Clues, answers: &mut Answers) -> Result<WayOut, Fault> {
    let lang = context.lang;
    wrap(&label(lang, Label::Intro), "");
    let mut asked: Vec<Question> = Vec::new();
    loop {
        let question = match stand(answers) {
            Stand::WayOut(way) => return Ok(way),
            Stand::Ask(question) => question,
        };
        show(lang, asked.len() + 1, question, clues, answers);
        let choices = question.choices();
        let hinted = answers.hint(question).and_then(|hint| choices.iter().position(|c| *c == hint.answer));
        match reply(context, choices.len(), hinted)? {
            Reply::Back => {
                if let Some(last) = asked.pop() {
                    answers.unsay(last);
                }
            }
            Reply::Number(number) => {
                let Some(choice) = choices.get(number) else { continue };
                match answers.say(question, *choice) {
                    Ok(_) => asked.push(question),
                    Err(error) => wrap(&format!("! {error}"), ""),
                }
            }
        }
    }
}

fn show(lang: Lang, number: usize, question: Question, clues: &Clues, answers: &Answers) {
    let words = asked(lang, question);
    say_line("");
    wrap(&format!("{number}. {}", words.question), "");
    wrap(words.why, "   ");
    if let Some(hint) = answers.hint(question) {
        wrap(&label(lang, Label::Suggests { answer: choice(lang, hint.answer), clue: clue(lang, hint.from) }), "   ");
    }
    if let (Question::WhoseAccount, Some(masked)) = (question, &clues.account) {
        wrap(&label(lang, Label::Account { masked }), "   ");
    }
    for (at, each) in question.choices().iter().enumerate() {
        say_line(&format!("     {}  {}", at + 1, choice(lang, *each)));
    }
}

enum Reply {
    /// From 0.
    Number(usize),
    Back,
}

fn reply(context: &Context, most: usize, hinted: Option<usize>) -> Result<Reply, Fault> {
    let prompt = format!("   {}", label(context.lang, Label::Prompt { hinted: hinted.map(|at| at + 1) }));
    loop {
        let line = keyboard::line(&prompt, Echo::Shown, &|| context.cancel.is_cancelled());
        let line = line.map_err(|e| Fault::new(Code::NotATerminal, e.to_string()))?;
        let Some(line) = line.filter(|_| !context.cancel.is_cancelled()) else { return Err(Fault::cancelled()) };
        let word = String::from_utf8_lossy(&line).trim().to_lowercase();
        match (word.as_str(), hinted) {
            ("", Some(at)) => return Ok(Reply::Number(at)),
            ("b", _) => return Ok(Reply::Back),
            ("q", _) => return Err(Fault::cancelled()),
            (number, _) => match number.parse::<usize>() {
                Ok(number) if (1..=most).contains(&number) => return Ok(Reply::Number(number - 1)),
                _ => wrap(&label(context.lang, Label::NoSuchNumber { most }), "   "),
            },
        }
    }
}

impl Triaged {
    /// The shape is frozen in `tests/schema/v1/`.
    pub fn json(&self) -> Value {
        let answers = self.answers.all().map(|(question, answer)| {
            let from = match answer.source {
                crate::triage::Source::Person => "person",
                crate::triage::Source::Device(clue) => clue.as_str(),
            };
            json!({ "question": question, "answer": answer.choice, "from": from })
        });
        let (ask, plan) = match self.stand {
            Stand::Ask(question) => (json!({ "question": question, "choices": question.choices() }), Value::Null),
            Stand::WayOut(way) => {
                let cost = way.cost();
                let commands = commands(way, self.case.ecid, &self.answers);
                let plan = json!({
                    "name": way, "data": cost.data, "erases": way.erases(), "minutes": cost.minutes,
                    "commands": commands,
                });
                (Value::Null, plan)
            }
        };
        json!({
            "ecid": self.case.ecid,
            "version": self.answers.version(),
            "account": self.clues.account,
            "answers": answers.collect::<Vec<_>>(),
            "hints": self.answers.hints(),
            "conflicts": self.answers.conflicts(),
            "ask": ask,
            "plan": plan,
            "virtual": self.case.is_virtual,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_answers_is_read_in_the_order_of_the_questions() {
        let said = parse("password = true\nfind-my = \"on\"\nversion = \"15.1\"\nownership = \"owner\"\n").unwrap();
        let wanted =
            [(Question::Ownership, Choice::Owner), (Question::FindMy, Choice::On), (Question::Password, Choice::Yes)];
        assert_eq!((said.answers.as_slice(), said.version), (&wanted[..], "15.1".parse().ok()));
        assert!(parse("").unwrap().answers.is_empty());
    }

    #[test]
    fn what_is_no_file_of_answers_says_where() {
        for (text, says) in [
            ("colour = \"red\"", "no question is called \"colour\""),
            ("backup = \"maybe\"", "yes, no, unknown"),
            ("backup = 3", "neither a text"),
            ("find-my = true", "on, off, unknown"),
            ("version = \"new\"", "version: "),
            ("backup = \"yes\"\nbackup = \"no\"", "duplicate key"),
            ("backup", "line 1"),
            ("[backup]\nx = 1", "neither a text"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
