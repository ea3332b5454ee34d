//! The batch file: which devices, what is to be done with each, and how patient to be.
//!
//! ```toml
//! ownership = "organisation"     # or "owner", "on-behalf": who may decide about these devices
//! limit = 8                      # so many at once
//! password_file = "backup.key"   # for rows that put an encrypted backup back; here or in a [[device]]
//!
//! [[device]]
//! ecid = "0x1A2B3C4D5E6F"        # or udid = "…", or station = 3
//! action = "restore-erase"       # or "recover", "restore-update", "backup"
//!
//! [watch]                        # with --watch: what is done with each device that is plugged in
//! action = "restore-erase"
//! stations = [1, 2, 3]
//! ```
//! A mistake in here costs somebody's data, so nothing is guessed: a key that is not known, a word of another type, the
//! same device twice, a station that nobody taught are refused before anything is looked at, with the line and with
//! what is allowed there. Paths are made absolute when the file is read, for a batch may be resumed from elsewhere.

use super::strict::{self, Wrong};
use super::webhook::Topic;
use crate::event::batch::Action;
use crate::fault::{Code, Fault};
use crate::ids::{BuildId, Ecid, Udid};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// A shop's file has dozens of rows.
pub const MAX_FILE: u64 = 1 << 20;
const MAX_ROWS: usize = 1000;
pub const MAX_LIMIT: u32 = 64;
const LIMIT: u32 = 8;
const MAX_TRIES: u32 = 10;
const MAX_STATION: u32 = 999;

/// On whose word the devices are worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ownership {
    Owner,
    OnBehalf,
    Organisation,
}

/// How a row finds its device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pin {
    Ecid(Ecid),
    Udid(Udid),
    /// Whatever is there when its turn comes; from then on that device and no other.
    Station(u32),
}

impl Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pin::Ecid(ecid) => ecid.fmt(f),
            Pin::Udid(udid) => udid.fmt(f),
            Pin::Station(station) => write!(f, "station {station}"),
        }
    }
}

/// What is done with a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub action: Action,
    /// Before an erase, where one can be made.
    pub backup: bool,
    pub ownership: Option<Ownership>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipsw: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<PathBuf>,
    /// Holds the password of the backup that is made and put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub pin: Pin,
    #[serde(flatten)]
    pub task: Task,
    /// Of the file, for messages.
    pub line: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    #[serde(flatten)]
    pub task: Task,
    /// Empty: every station and every port.
    pub stations: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Of one device, the first included.
    pub tries: u32,
    /// How long a person is waited for; then the row is left for one.
    pub person_seconds: u64,
    /// Before a second try after trouble with the network; doubled for each further one.
    pub network_seconds: u64,
    /// Between two starts.
    pub stagger_seconds: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { tries: 3, person_seconds: 900, network_seconds: 30, stagger_seconds: 3 }
    }
}

/// Programs that are run when something happens: argv, never a shell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hooks {
    pub attached: Vec<String>,
    pub needs_person: Vec<String>,
    pub finished: Vec<String>,
    pub failed: Vec<String>,
    /// One run may take so long; then it is ended.
    pub seconds: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    pub url: String,
    /// Its bytes, without white space at the end, are the key.
    pub secret_file: PathBuf,
    /// Empty: all.
    #[serde(default)]
    pub events: Vec<Topic>,
}

/// The file, checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchFile {
    pub limit: u32,
    pub rows: Vec<Asked>,
    pub watch: Option<Watch>,
    pub retry: Retry,
    pub hooks: Hooks,
    pub webhooks: Vec<Webhook>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    limit: Option<Spanned<i64>>,
    ownership: Option<Ownership>,
    ipsw: Option<PathBuf>,
    build: Option<BuildId>,
    password_file: Option<PathBuf>,
    password: Option<Spanned<IgnoredAny>>,
    #[serde(default)]
    device: Vec<Spanned<RawDevice>>,
    watch: Option<Spanned<RawWatch>>,
    #[serde(default)]
    retry: Option<Spanned<Retry>>,
    #[serde(default)]
    hooks: Option<Spanned<Hooks>>,
    #[serde(default)]
    webhook: Vec<Spanned<Webhook>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDevice {
    ecid: Option<Ecid>,
    udid: Option<Udid>,
    station: Option<i64>,
    action: Action,
    backup: Option<bool>,
    ownership: Option<Ownership>,
    ipsw: Option<PathBuf>,
    build: Option<BuildId>,
    ticket: Option<PathBuf>,
    password_file: Option<PathBuf>,
    password: Option<Spanned<IgnoredAny>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWatch {
    action: Action,
    backup: Option<bool>,
    ownership: Option<Ownership>,
    ipsw: Option<PathBuf>,
    build: Option<BuildId>,
    password_file: Option<PathBuf>,
    password: Option<Spanned<IgnoredAny>>,
    #[serde(default)]
    stations: Vec<i64>,
}

struct Reader<'a> {
    name: &'a str,
    text: &'a str,
    folder: &'a Path,
    taught: &'a dyn Fn(u32) -> bool,
}

impl BatchFile {
    /// Reads a file's text. `folder` is where its relative paths begin; `taught` tells whether a station is known.
    ///
    /// # Errors
    /// [`Code::ConfigInvalid`] with the line and what is allowed there.
    pub fn parse(name: &str, text: &str, folder: &Path, taught: &dyn Fn(u32) -> bool) -> Result<BatchFile, Fault> {
        let reader = Reader { name, text, folder, taught };
        let raw: RawFile = strict::read(text).map_err(|all| reader.all_bad(&all))?;
        reader.check(raw)
    }
}

impl Reader<'_> {
    fn line(&self, at: usize) -> u32 {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        u32::try_from(before.iter().filter(|b| **b == b'\n').count() + 1).unwrap_or(u32::MAX)
    }

    fn bad(&self, at: usize, why: impl Display) -> Fault {
        Fault::new(Code::ConfigInvalid, format!("{} line {}: {why}", self.name, self.line(at)))
    }

    fn all_bad(&self, all: &[Wrong]) -> Fault {
        let each = all.iter().map(|wrong| format!("line {}: {}", self.line(wrong.at), wrong.why));
        Fault::new(Code::ConfigInvalid, format!("{} {}", self.name, each.collect::<Vec<_>>().join("; ")))
    }

    fn check(&self, raw: RawFile) -> Result<BatchFile, Fault> {
        let limit = match raw.limit {
            None => LIMIT,
            Some(limit) => match u32::try_from(*limit.get_ref()) {
                Ok(n @ 1..=MAX_LIMIT) => n,
                _ => {
                    let why = format!("limit = {}; allowed is 1 to {MAX_LIMIT}", limit.get_ref());
                    return Err(self.bad(limit.span().start, why));
                }
            },
        };
        if raw.device.len() > MAX_ROWS {
            return Err(self.bad(0, format!("{} devices; allowed are {MAX_ROWS}", raw.device.len())));
        }
        if raw.device.is_empty() && raw.watch.is_none() {
            return Err(self.bad(0, "neither a [[device]] nor [watch]: there is nothing to do"));
        }
        self.no_password(raw.password.as_ref())?;
        let defaults = Defaults {
            ownership: raw.ownership,
            ipsw: raw.ipsw.as_deref(),
            build: raw.build.as_ref(),
            password_file: raw.password_file.as_deref(),
        };
        let mut rows: Vec<Asked> = Vec::with_capacity(raw.device.len());
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        for device in raw.device {
            let at = device.span().start;
            let row = self.row(at, device.into_inner(), &defaults)?;
            for key in keys(&row.pin) {
                if let Some(first) = seen.insert(key.clone(), row.line) {
                    return Err(self.bad(at, format!("{key} is in this file already, at line {first}")));
                }
            }
            rows.push(row);
        }
        let watch = match raw.watch {
            None => None,
            Some(watch) => Some(self.watch(watch.span().start, watch.into_inner(), &defaults)?),
        };
        let retry = match raw.retry {
            None => Retry::default(),
            Some(retry) => self.retry(retry.span().start, *retry.get_ref())?,
        };
        let hooks = match raw.hooks {
            None => Hooks::default(),
            Some(hooks) => self.hooks(hooks.span().start, hooks.into_inner())?,
        };
        let webhooks = raw.webhook.into_iter().map(|w| self.webhook(w.span().start, w.into_inner()));
        Ok(BatchFile { limit, rows, watch, retry, hooks, webhooks: webhooks.collect::<Result<_, _>>()? })
    }

    /// The file is kept, and copied into the journal: what is in it is no secret.
    fn no_password(&self, password: Option<&Spanned<IgnoredAny>>) -> Result<(), Fault> {
        let Some(password) = password else { return Ok(()) };
        let why = "a password is not written here, where others read it: put it into a file that only you can read, \
                   and name that with password_file";
        Err(self.bad(password.span().start, why))
    }

    fn row(&self, at: usize, raw: RawDevice, defaults: &Defaults<'_>) -> Result<Asked, Fault> {
        self.no_password(raw.password.as_ref())?;
        let pin = match (raw.ecid, raw.udid, raw.station) {
            (Some(ecid), None, None) => Pin::Ecid(ecid),
            (None, Some(udid), None) => Pin::Udid(udid),
            (None, None, Some(station)) => Pin::Station(self.station(at, station)?),
            _ => return Err(self.bad(at, "a device has one of ecid, udid and station, and no other of them")),
        };
        let own = Own {
            backup: raw.backup,
            ownership: raw.ownership,
            ipsw: raw.ipsw,
            build: raw.build,
            password_file: raw.password_file,
        };
        let task = self.task(at, raw.action, own, raw.ticket, defaults)?;
        if task.ticket.is_some() && !matches!(pin, Pin::Ecid(_)) {
            return Err(self.bad(at, "a ticket is for one ECID: name the device by its ecid"));
        }
        Ok(Asked { pin, task, line: self.line(at) })
    }

    fn watch(&self, at: usize, raw: RawWatch, defaults: &Defaults<'_>) -> Result<Watch, Fault> {
        self.no_password(raw.password.as_ref())?;
        let own = Own {
            backup: raw.backup,
            ownership: raw.ownership,
            ipsw: raw.ipsw,
            build: raw.build,
            password_file: raw.password_file,
        };
        let task = self.task(at, raw.action, own, None, defaults)?;
        let mut stations = raw.stations.iter().map(|s| self.station(at, *s)).collect::<Result<Vec<_>, _>>()?;
        stations.sort_unstable();
        stations.dedup();
        if task.action.erases() && stations.is_empty() {
            let why = "an erase of whatever is plugged in needs its stations by number: stations = [1, 2]";
            return Err(self.bad(at, why));
        }
        Ok(Watch { task, stations })
    }

    fn station(&self, at: usize, number: i64) -> Result<u32, Fault> {
        let station = u32::try_from(number).ok().filter(|n| (1..=MAX_STATION).contains(n));
        let station =
            station.ok_or_else(|| self.bad(at, format!("station {number}; allowed is 1 to {MAX_STATION}")))?;
        if !(self.taught)(station) {
            let why = format!("station {station} is not known here: teach it first, with `herstel stations teach`");
            return Err(self.bad(at, why));
        }
        Ok(station)
    }

    fn task(
        &self,
        at: usize,
        action: Action,
        own: Own,
        ticket: Option<PathBuf>,
        defaults: &Defaults<'_>,
    ) -> Result<Task, Fault> {
        let Defaults { ipsw, build, .. } = *defaults;
        let ownership = own.ownership.or(defaults.ownership);
        if action.erases() && ownership.is_none() {
            let why =
                "an erase needs ownership = \"owner\", \"on-behalf\" or \"organisation\", here or for the whole file";
            return Err(self.bad(at, why));
        }
        if own.backup == Some(true) && action != Action::Recover && action != Action::Backup {
            return Err(self.bad(at, "backup = true goes with action = \"recover\" only"));
        }
        let backup = own.backup.unwrap_or(matches!(action, Action::Recover | Action::Backup));
        let puts_back = action == Action::Recover && backup;
        if own.password_file.is_some() && !puts_back {
            let why = "password_file goes with action = \"recover\" and a backup: nothing else opens one";
            return Err(self.bad(at, why));
        }
        let has_own = own.ipsw.is_some() || own.build.is_some();
        if own.ipsw.is_some() && own.build.is_some() {
            return Err(self.bad(at, "ipsw or build, not both"));
        }
        let absolute = |path: PathBuf| self.folder.join(path);
        Ok(Task {
            action,
            backup,
            ownership,
            ipsw: own.ipsw.or_else(|| ipsw.filter(|_| !has_own).map(Path::to_owned)).map(absolute),
            build: own.build.or_else(|| build.filter(|_| !has_own && ipsw.is_none()).cloned()),
            ticket: ticket.map(absolute),
            password_file: own
                .password_file
                .or_else(|| defaults.password_file.filter(|_| puts_back).map(Path::to_owned))
                .map(absolute),
        })
    }

    fn retry(&self, at: usize, retry: Retry) -> Result<Retry, Fault> {
        if !(1..=MAX_TRIES).contains(&retry.tries) {
            return Err(self.bad(at, format!("tries = {}; allowed is 1 to {MAX_TRIES}", retry.tries)));
        }
        for (name, seconds, most) in [
            ("person_seconds", retry.person_seconds, 86_400),
            ("network_seconds", retry.network_seconds, 3600),
            ("stagger_seconds", retry.stagger_seconds, 600),
        ] {
            if seconds > most {
                return Err(self.bad(at, format!("{name} = {seconds}; allowed is 0 to {most}")));
            }
        }
        Ok(retry)
    }

    fn hooks(&self, at: usize, hooks: Hooks) -> Result<Hooks, Fault> {
        if hooks.seconds.is_some_and(|s| !(1..=3600).contains(&s)) {
            return Err(self.bad(at, "seconds; allowed is 1 to 3600"));
        }
        for argv in [&hooks.attached, &hooks.needs_person, &hooks.finished, &hooks.failed] {
            if argv.first().is_some_and(|program| program.is_empty()) {
                return Err(self.bad(at, "a hook is a list: the program first, then its arguments"));
            }
        }
        Ok(hooks)
    }

    fn webhook(&self, at: usize, webhook: Webhook) -> Result<Webhook, Fault> {
        let url = reqwest_free(&webhook.url);
        if !url {
            return Err(self.bad(at, format!("{:?} begins neither with https:// nor with http://", webhook.url)));
        }
        Ok(Webhook { secret_file: self.folder.join(&webhook.secret_file), ..webhook })
    }
}

/// What holds for every row that does not say otherwise.
struct Defaults<'a> {
    ownership: Option<Ownership>,
    ipsw: Option<&'a Path>,
    build: Option<&'a BuildId>,
    password_file: Option<&'a Path>,
}

struct Own {
    backup: Option<bool>,
    ownership: Option<Ownership>,
    ipsw: Option<PathBuf>,
    build: Option<BuildId>,
    password_file: Option<PathBuf>,
}

/// Looks only at its head: `net` parses it whole when it is used.
fn reqwest_free(url: &str) -> bool {
    ["https://", "http://"].iter().any(|head| url.strip_prefix(head).is_some_and(|rest| !rest.is_empty()))
}

/// A UDID of the new form holds the ECID: the same device by two names is found by it.
fn keys(pin: &Pin) -> Vec<String> {
    match pin {
        Pin::Ecid(ecid) => vec![ecid.to_string()],
        Pin::Udid(udid) => match udid.ecid() {
            Some(ecid) => vec![ecid.to_string()],
            None => vec![udid.to_string()],
        },
        Pin::Station(station) => vec![format!("station {station}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BatchFile, Fault> {
        BatchFile::parse("b.toml", text, Path::new("/shop"), &|station| station <= 4)
    }

    const GOOD: &str = "ownership = \"owner\"\n[[device]]\necid = \"0x1A\"\naction = \"restore-erase\"\n";

    #[test]
    fn a_sound_file() {
        let text = format!(
            "limit = 3\nbuild = \"24A446\"\n{GOOD}[[device]]\nstation = 2\naction = \"recover\"\nbackup = false\n\
             [[device]]\nudid = \"00008110-000000000000001B\"\naction = \"restore-update\"\nipsw = \"x.ipsw\"\n\
             [watch]\naction = \"restore-update\"\n[retry]\ntries = 2\n[hooks]\nfailed = [\"/bin/mail\", \"me\"]\n\
             [[webhook]]\nurl = \"https://shop.example/hook\"\nsecret_file = \"secret\"\nevents = [\"failed\"]\n"
        );
        let file = parse(&text).unwrap();
        assert_eq!((file.limit, file.rows.len(), file.retry.tries), (3, 3, 2));
        assert_eq!(file.rows[0].pin, Pin::Ecid(Ecid(0x1A)));
        assert_eq!(file.rows[0].task.build, "24A446".parse().ok());
        assert_eq!((file.rows[1].task.backup, file.rows[0].task.backup), (false, false));
        assert_eq!(file.rows[2].task.ipsw.as_deref(), Some(Path::new("/shop/x.ipsw")));
        assert_eq!(file.rows[2].task.build, None, "an own file stands instead of the build of all");
        assert_eq!(file.webhooks[0].secret_file, Path::new("/shop/secret"));
        let again: BatchFile = serde_json::from_str(&serde_json::to_string(&file).unwrap()).unwrap();
        assert_eq!(again, file, "the journal keeps it whole");
        assert_eq!(parse(GOOD).unwrap().limit, 8);
        let text = "ownership = \"owner\"\npassword_file = \"all\"\n[[device]]\necid = \"1\"\naction = \"recover\"\n\
                    [[device]]\necid = \"2\"\naction = \"recover\"\npassword_file = \"/own\"\n\
                    [[device]]\necid = \"3\"\naction = \"restore-erase\"\n\
                    [[device]]\necid = \"4\"\naction = \"recover\"\nbackup = false\n";
        let files: Vec<_> = parse(text).unwrap().rows.into_iter().map(|row| row.task.password_file).collect();
        assert_eq!(files, [Some("/shop/all".into()), Some("/own".into()), None, None], "where one is put back");
    }

    #[test]
    fn every_mistake_is_named_with_its_line_and_what_is_allowed() {
        let device = |more: &str| format!("{GOOD}[[device]]\n{more}\n");
        for (text, line, says) in [
            (format!("{GOOD}colour = 1\n"), 5, "unknown field `colour`"),
            (format!("limits = 2\n{GOOD}colour = 1\n"), 1, "; line 6: unknown field `colour`"),
            (format!("limits = 2\n{GOOD}"), 1, "unknown field `limits`"),
            (format!("limit = 0\n{GOOD}"), 1, "1 to 64"),
            (format!("limit = 65\n{GOOD}"), 1, "1 to 64"),
            (format!("limit = -1\n{GOOD}"), 1, "1 to 64"),
            (format!("limit = \"8\"\n{GOOD}"), 1, "invalid type"),
            (device("ecid = \"26\"\naction = \"recover\""), 5, "0x1A is in this file already, at line 2"),
            (device("udid = \"00008110-000000000000001A\"\naction = \"backup\""), 5, "already, at line 2"),
            (device("station = 5\naction = \"recover\""), 5, "station 5 is not known here"),
            (device("station = 0\naction = \"recover\""), 5, "1 to 999"),
            (device("action = \"recover\""), 5, "one of ecid, udid and station"),
            (device("ecid = \"0x1B\"\nstation = 1\naction = \"recover\""), 5, "no other of them"),
            (device("ecid = \"0x1B\"\naction = \"wipe\""), 7, "unknown variant `wipe`, expected one of `recover`"),
            (device("ecid = 27\naction = \"recover\""), 6, "invalid type: integer"),
            (device("ecid = \"anna\"\naction = \"recover\""), 6, "not an ECID"),
            (device("ecid = \"0x1B\""), 5, "missing field `action`"),
            (device("ecid = \"0x1B\"\naction = \"restore-erase\"\nbackup = true"), 5, "recover"),
            (device("station = 1\naction = \"recover\"\nticket = \"t\""), 5, "one ECID"),
            ("[[device]]\necid = \"0x1A\"\naction = \"recover\"\n".into(), 1, "ownership"),
            ("limit = 2\n".into(), 1, "nothing to do"),
            (format!("password = \"hunter2\"\n{GOOD}"), 1, "name that with password_file"),
            (
                device("ecid = \"0x1B\"\naction = \"recover\"\npassword = [\"hunter2\"]"),
                8,
                "name that with password_file",
            ),
            (device("ecid = \"0x1B\"\naction = \"restore-erase\"\npassword_file = \"p\""), 5, "nothing else opens one"),
            (format!("{GOOD}[watch]\naction = \"recover\"\n"), 5, "stations by number"),
            (format!("{GOOD}[retry]\ntries = 99\n"), 5, "1 to 10"),
            (format!("{GOOD}[hooks]\nfailed = \"mail me\"\n"), 6, "expected a sequence"),
            (format!("{GOOD}[[webhook]]\nurl = \"ftp://x\"\nsecret_file = \"s\"\n"), 5, "https://"),
            (format!("{GOOD}["), 5, ""),
        ] {
            let fault = parse(&text).expect_err(&text);
            assert_eq!(fault.code, Code::ConfigInvalid);
            let head = format!("b.toml line {line}: ");
            assert!(fault.detail.starts_with(&head) && fault.detail.contains(says), "{text}\n-> {}", fault.detail);
            assert!(!fault.detail.contains("hunter2"), "{}", fault.detail);
        }
    }
}
