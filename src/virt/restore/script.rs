//! What restored does in which order, read from text files.
//!
//! The files follow recordings of real devices line by line, so they can be laid beside them. An update is
//! the same script: lines and actions that only an erase (or only an update) has are marked in it. A
//! script is chosen by the chip, as the ramdisk of a system is built for the chips it runs on.

use super::recovery_os::Piece;
use crate::ids::Cpid;
use std::sync::LazyLock;

/// When a line or an action applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Only {
    Erase,
    Update,
    /// The device has a modem.
    Modem,
    /// A recovery system is installed too.
    Recovery,
    /// The identity that the host sent has a component whose name begins so.
    Has(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fud {
    /// One request for everything (up to iOS 12).
    All,
    /// The list, then each.
    Each,
    /// The list, then these of it.
    These(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Compares the host's tables.
    Host,
    /// One message without percentage, so many times.
    Op(u64, u32),
    /// Percentages from the first to the second.
    Percent(u64, u8, u8),
    /// A data request, on a port of its own if so said.
    Ask(String, bool),
    /// The build identity.
    Identity,
    Fud(Fud),
    /// A list of images of a type, then each of it.
    Images(String),
    Ean,
    /// A component as shipped, in pieces.
    Source(String),
    /// The component of [`super::Faults::personalized`], signed, in pieces.
    Personalized,
    Updater(String),
    /// Baseband firmware: without a nonce first, then with one; on a port if asynchronous.
    Modem {
        first: bool,
        asynchronous: bool,
    },
    Output,
    /// Image there and back before going on; or only begin; or only wait.
    Asr,
    AsrStart,
    AsrAwait,
    /// A round trip through FDR. A failure ends the restore unless tolerated.
    Fdr {
        tolerated: bool,
    },
    /// AsyncWait.
    Wait,
    Attest,
    /// Refuses an update to an older system.
    Downgrade,
    /// Something of the recovery system.
    Recovery(Piece),
    /// The request of [`super::Faults::unknown_data_type`].
    Extra,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Open(u16),
    Close(u16),
    Point(u16, Vec<(Vec<Only>, Act)>),
}

/// A word of the host's tables that this system looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub message: bool,
    pub name: String,
    pub required: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Script {
    pub name: &'static str,
    pub protocol: u64,
    pub needs: Vec<Need>,
    /// Checkpoints that run after a failure.
    pub tail: Vec<u16>,
    pub steps: Vec<Step>,
}

static SCRIPTS: LazyLock<Vec<Script>> = LazyLock::new(|| {
    [
        ("ios10", include_str!("scripts/ios10.txt")),
        ("ios12", include_str!("scripts/ios12.txt")),
        ("ios16", include_str!("scripts/ios16.txt")),
        ("ios18", include_str!("scripts/ios18.txt")),
    ]
    .into_iter()
    .filter_map(|(name, text)| parse(name, text).ok())
    .collect()
});

/// By name, else by chip: A12 and later, A9 to A11, A7 and A8, and what has IMG3.
pub(super) fn choose(name: Option<&str>, cpid: Cpid) -> Option<&'static Script> {
    let by_chip = match cpid.0 {
        0x8000 | 0x8001 | 0x8003 | 0x8010 | 0x8011 | 0x8012 | 0x8015 => "ios16",
        0x8020..0x8700 => "ios18",
        0x8900..0x8960 => "ios10",
        _ => "ios12",
    };
    let wanted = name.unwrap_or(by_chip);
    SCRIPTS.iter().find(|s| s.name == wanted)
}

/// # Errors
/// The first line that is not understood.
fn parse(name: &'static str, text: &str) -> Result<Script, String> {
    let mut script = Script { name, protocol: 15, needs: Vec::new(), tail: Vec::new(), steps: Vec::new() };
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let bad = || format!("{name}: {line:?}");
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["protocol", number] => script.protocol = number.parse().map_err(|_| bad())?,
            ["tail", ids @ ..] => script.tail = ids.iter().map(|i| id(i)).collect::<Option<_>>().ok_or_else(bad)?,
            [kind @ ("need" | "want"), table @ ("data" | "message"), word] => script.needs.push(Need {
                message: *table == "message",
                name: (*word).to_owned(),
                required: *kind == "need",
            }),
            _ => script.steps.extend(steps(line).ok_or_else(bad)?),
        }
    }
    Ok(script)
}

fn id(text: &str) -> Option<u16> {
    u16::from_str_radix(text, 16).ok()
}

fn steps(line: &str) -> Option<Vec<Step>> {
    if let Some(open) = line.strip_prefix('{') {
        return Some(vec![Step::Open(id(open)?)]);
    }
    if let Some(close) = line.strip_prefix('}') {
        return Some(vec![Step::Close(id(close)?)]);
    }
    let Some((point, acts)) = line.split_once(':') else {
        return line.split_whitespace().map(|i| Some(Step::Point(id(i)?, Vec::new()))).collect();
    };
    let acts = acts.split(';').map(|a| act(a.trim())).collect::<Option<_>>()?;
    Some(vec![Step::Point(id(point.trim())?, acts)])
}

fn act(mut text: &str) -> Option<(Vec<Only>, Act)> {
    let mut only = Vec::new();
    while let Some((condition, rest)) = text.strip_prefix('[').and_then(|t| t.split_once(']')) {
        only.push(match condition {
            "erase" => Only::Erase,
            "update" => Only::Update,
            "modem" => Only::Modem,
            "recovery" => Only::Recovery,
            other => Only::Has(other.strip_prefix("has ")?.to_owned()),
        });
        text = rest.trim();
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let act = match words.as_slice() {
        ["host"] => Act::Host,
        ["op", number] => Act::Op(number.parse().ok()?, 1),
        ["op", number, range] => {
            let number = number.parse().ok()?;
            match range.split_once("..") {
                Some((from, to)) => Act::Percent(number, from.parse().ok()?, to.parse().ok()?),
                None => Act::Op(number, range.strip_prefix('x')?.parse().ok()?),
            }
        }
        ["ask", what] => Act::Ask((*what).to_owned(), false),
        ["ask", what, "port"] => Act::Ask((*what).to_owned(), true),
        ["identity"] => Act::Identity,
        ["fud"] => Act::Fud(Fud::Each),
        ["fud", "all"] => Act::Fud(Fud::All),
        ["fud", names @ ..] => Act::Fud(Fud::These(names.iter().map(|n| (*n).to_owned()).collect())),
        ["images", kind] => Act::Images((*kind).to_owned()),
        ["ean"] => Act::Ean,
        ["source", name] => Act::Source((*name).to_owned()),
        ["personalized"] => Act::Personalized,
        ["updater", name] => Act::Updater((*name).to_owned()),
        ["modem", when @ ("first" | "next")] => Act::Modem { first: *when == "first", asynchronous: false },
        ["modem", when @ ("first" | "next"), "async"] => Act::Modem { first: *when == "first", asynchronous: true },
        ["output"] => Act::Output,
        ["asr"] => Act::Asr,
        ["asr", "start"] => Act::AsrStart,
        ["asr", "await"] => Act::AsrAwait,
        ["fdr"] => Act::Fdr { tolerated: false },
        ["fdr", "tolerated"] => Act::Fdr { tolerated: true },
        ["wait"] => Act::Wait,
        ["attest"] => Act::Attest,
        ["downgrade"] => Act::Downgrade,
        ["extra"] => Act::Extra,
        ["recovery", piece @ ..] => Act::Recovery(Piece::parse(piece)?),
        _ => return None,
    };
    Some((only, act))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_parses_and_its_brackets_close() {
        for (name, text) in [
            ("ios12", include_str!("scripts/ios12.txt")),
            ("ios16", include_str!("scripts/ios16.txt")),
            ("ios18", include_str!("scripts/ios18.txt")),
        ] {
            let script = parse(name, text).unwrap();
            let mut open = Vec::new();
            for step in &script.steps {
                match step {
                    Step::Open(id) => open.push(*id),
                    Step::Close(id) => assert_eq!(open.pop(), Some(*id), "{name}"),
                    Step::Point(..) => {}
                }
            }
            assert!(open.is_empty(), "{name}");
            assert!(script.tail.ends_with(&[0x648]));
        }
    }

    #[test]
    fn the_order_of_iphone_8_plus_is_kept() {
        // Ids of the recording in its order, less those whose lines came with others.
        let recorded = "655 604 68F 608 60B 60D 60E 60F 65C 610 613 67E 609 693 665 614 696 6A3 69F 654 697 615 616 \
            617 618 619 61A 61B 661 61D 64E 61F 68A 621 660 622 65D 160D 658 659 65A 65B 680 675 68C 626 662 677 67A \
            627 69A 69B 652 6A6 6B0 634 67D 1300 1312 130A 1301 1302 1304 130C 1306 1307 1308 130E 130F 130B 1303 \
            1310 131F 1309 130D 1311 1316 1318 1320 635 63C 1501 1500 1503 131A 1319 1504 1314 668 63D 66F 674 65F \
            E00 E01 E04 E05 E03 628 F00 F01 F04 F09 64D 69E 63B 639 65E 688 67B 1600 63F 640 68B 669 6AA 6AB 642 67C \
            1613 647";
        let recorded: Vec<u16> = recorded.split_whitespace().map(|i| id(i).unwrap()).collect();
        let script = choose(Some("ios16"), Cpid(0)).unwrap();
        let completed: Vec<u16> = script
            .steps
            .iter()
            .filter_map(|s| match s {
                Step::Point(id, _) | Step::Close(id) => Some(*id),
                Step::Open(_) => None,
            })
            .collect();
        assert_eq!(completed, recorded);
    }

    #[test]
    fn chips_choose() {
        assert_eq!(choose(None, Cpid(0x7000)).unwrap().name, "ios12");
        assert_eq!(choose(None, Cpid(0x8015)).unwrap().name, "ios16");
        assert_eq!(choose(None, Cpid(0x8110)).unwrap().name, "ios18");
        assert!(parse("x", "655: dance").is_err());
    }
}
