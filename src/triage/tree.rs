//! The tree: from questions to one plan, as rows of `tree.tsv`.
//!
//! The rows are data, so that a person who knows the subject can read them against the advice they come from. What code
//! adds is that they make sense: a test walks every way and holds that each ends in one plan, that nothing is asked
//! twice, and that no way reaches an erase before it was said whose device this is.

use super::answers::{Answers, answer};
use crate::event::{Choice, Question, WayOut};
use crate::ids::Version;
use std::sync::OnceLock;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    pub node: &'static str,
    pub question: Question,
    pub answer: Choice,
    /// On systems from this version.
    pub since: Option<Version>,
    /// On systems below this version.
    pub before: Option<Version>,
    pub to: To,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    Node(&'static str),
    WayOut(WayOut),
}

/// Where the tree stands with what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    Ask(Question),
    WayOut(WayOut),
}

/// All rows in order.
pub fn ways() -> &'static [Way] {
    static WAYS: OnceLock<Vec<Way>> = OnceLock::new();
    WAYS.get_or_init(|| rows().filter_map(way).collect())
}

fn rows() -> impl Iterator<Item = &'static str> {
    include_str!("tree.tsv").lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn way(row: &'static str) -> Option<Way> {
    let mut fields = row.split('\t');
    let mut next = || fields.next();
    let (node, question) = (next()?, Question::named(next()?)?);
    let answer = answer(question, next()?).ok()?;
    let (since, before, to) = (Version::bound(next()?)?, Version::bound(next()?)?, next()?);
    let to = match to.strip_prefix('!') {
        Some(plan) => To::WayOut(WayOut::named(plan)?),
        None => To::Node(to),
    };
    Some(Way { node, question, answer, since, before, to })
}

/// Walks as far as the answers lead.
pub fn stand(answers: &Answers) -> Stand {
    walk(answers).1
}

/// The same, and which answers led there.
pub fn walk(answers: &Answers) -> (Vec<Question>, Stand) {
    // A tree with a node that leads nowhere does not pass its tests; the careful end stands for it.
    const LOST: Stand = Stand::WayOut(WayOut::NotYours);
    let mut node = "start";
    let mut trail = Vec::new();
    loop {
        let here = || ways().iter().filter(|way| way.node == node);
        let Some(question) = here().next().map(|way| way.question) else { return (trail, LOST) };
        let Some(known) = answers.get(question) else { return (trail, Stand::Ask(question)) };
        trail.push(question);
        match here().find(|way| way.answer == known && fits(way, answers.version())).map(|way| way.to) {
            Some(To::Node(next)) => node = next,
            Some(To::WayOut(way)) => return (trail, Stand::WayOut(way)),
            None => return (trail, LOST),
        }
    }
}

fn fits(way: &Way, version: Option<&Version>) -> bool {
    let Some(version) = version else { return way.before.is_none() };
    version.within(way.since.as_ref(), way.before.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Every way through the tree for one system: what was answered on it, and where it ends.
    fn walks(version: Option<&str>) -> Vec<(Vec<(Question, Choice)>, WayOut)> {
        let mut open: Vec<Vec<(Question, Choice)>> = vec![vec![]];
        let mut done = vec![];
        while let Some(said) = open.pop() {
            let mut answers = Answers::new(version.and_then(|v| v.parse().ok()), None, &[]);
            for (question, choice) in &said {
                answers.say(*question, *choice).unwrap();
            }
            match walk(&answers) {
                (trail, Stand::WayOut(plan)) => {
                    assert_eq!(trail, said.iter().map(|(question, _)| *question).collect::<Vec<_>>());
                    done.push((said, plan));
                }
                (_, Stand::Ask(question)) => {
                    assert!(said.iter().all(|(asked, _)| *asked != question), "{question:?} twice after {said:?}");
                    for choice in question.choices() {
                        let mut more = said.clone();
                        more.push((question, *choice));
                        open.push(more);
                    }
                }
            }
        }
        done
    }

    const SYSTEMS: [Option<&str>; 9] = [
        None,
        Some("6.1.3"),
        Some("7.1.2"),
        Some("12.5.7"),
        Some("15.1"),
        Some("15.7.1"),
        Some("16.0"),
        Some("17.0"),
        Some("27.0.1"),
    ];

    #[test]
    fn each_row_is_understood_and_each_node_reached() {
        assert_eq!(rows().count(), ways().len(), "a row that is no way");
        for way in ways() {
            if let To::Node(node) = way.to {
                assert!(ways().iter().any(|other| other.node == node), "{node} has no rows");
            }
            let reached = way.node == "start" || ways().iter().any(|other| other.to == To::Node(way.node));
            assert!(reached, "{} is reached from nowhere", way.node);
            let questions = ways().iter().filter(|other| other.node == way.node).map(|other| other.question);
            assert_eq!(questions.collect::<BTreeSet<_>>().len(), 1, "{} asks two things", way.node);
        }
        for (node, question) in ways().iter().map(|way| (way.node, way.question)).collect::<BTreeSet<_>>() {
            for choice in question.choices() {
                let open = |way: &Way| way.node == node && way.answer == *choice && way.since.is_none();
                assert!(ways().iter().any(|way| open(way) && way.before.is_none()), "{node} has no way for {choice:?}");
            }
        }
    }

    #[test]
    fn every_way_ends_in_one_plan_and_every_plan_has_a_way() {
        let mut plans = BTreeSet::new();
        for version in SYSTEMS {
            let walks = walks(version);
            assert!(walks.len() > 20, "{version:?}: {}", walks.len());
            plans.extend(walks.iter().map(|(_, plan)| *plan));
        }
        assert_eq!(plans.into_iter().collect::<Vec<_>>(), {
            let mut all = WayOut::ALL.to_vec();
            all.sort();
            all
        });
    }

    #[test]
    fn nothing_is_erased_without_an_owner() {
        for version in SYSTEMS {
            for (said, plan) in walks(version) {
                assert_eq!(said[0].0, Question::Ownership);
                if plan.erases() {
                    assert!(
                        matches!(said[0].1, Choice::Owner | Choice::OnBehalf | Choice::Organisation),
                        "{plan:?} after {said:?}"
                    );
                    assert!(!said.contains(&(Question::Managed, Choice::Yes)), "{plan:?} after {said:?}");
                }
                if matches!(said[0].1, Choice::Found | Choice::ReportedMissing) {
                    assert_eq!((plan, said.len()), (WayOut::NotYours, 1));
                }
            }
        }
    }

    #[test]
    fn an_erase_that_ends_at_a_lock_is_not_advised() {
        for (said, plan) in SYSTEMS.into_iter().skip(2).flat_map(walks) {
            let knows = said.contains(&(Question::Password, Choice::Yes));
            let off = said.contains(&(Question::FindMy, Choice::Off));
            assert!(!plan.erases() || knows || off, "{plan:?} after {said:?}");
        }
    }
}
