//! `demo --scenario`: the four situations of a forgotten passcode, each from the questions to a phone that works.
//!
//! Nothing is acted but what people do at the phone's screen: the programs are those that people run, and at the end
//! the phone itself is asked what it holds, what it runs, and how often it was erased.

use super::demo_stage::Stage;
use super::list::say_line;
use crate::cli::show::print_line;
use crate::cli::show::wrap::COLUMNS;
use crate::event::Outcome;
use crate::fault::{Code, Fault};
use crate::ids::Version;
use crate::say::scenario::{Line, Scenario, line};
use crate::say::{self, Lang};
use crate::virt::phone::{Phone, Stage as Boot};
use crate::virt::spec::{BenchSpec, PasscodeSpec, PhoneSpec, TrustSpec};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Seconds of a phone in one of ours: fast, and a busy machine keeps within the windows of the keys.
pub const PACE: u32 = 8;
/// A phone of the bench is back long before.
const BACK: Duration = Duration::from_secs(120);

/// A phone for each of the wanted situations, in their order.
pub fn bench(wanted: &[Scenario]) -> BenchSpec {
    let phone = |scenario: &Scenario| {
        let spec = |model: &str, name: &str, version: &str| PhoneSpec {
            model: model.to_owned(),
            name: name.to_owned(),
            version: version.parse::<Version>().ok(),
            find_my: true,
            passcode: PasscodeSpec::Unlocked,
            trust: TrustSpec::Untrusted,
            ..PhoneSpec::default()
        };
        match scenario {
            Scenario::BackupAndPassword => spec("iphone13", "Anna's iPhone", "17.4"),
            Scenario::TrustedComputer => PhoneSpec { find_my: false, ..spec("iphone8", "Bert's iPhone", "15.6") },
            Scenario::NoBackup => spec("iPhone9,1", "Cees's iPhone", "15.7.1"),
            Scenario::AccountLost => spec("iphone13", "Daan's iPhone", "26.0"),
        }
    };
    BenchSpec { phones: wanted.iter().map(phone).collect(), pace: Some(f64::from(PACE)), ..BenchSpec::default() }
}

/// Plays the wanted situations on a bench made for them.
pub async fn play(stage: &Stage<'_>, wanted: &[Scenario]) -> Result<Outcome, Fault> {
    for (scenario, phone) in wanted.iter().zip(&stage.bench.phones) {
        let act = Act { stage, phone, ecid: phone.ecid.to_string() };
        say_line("");
        act.say(&Line::Title(*scenario));
        act.say(&Line::Situation(*scenario));
        match scenario {
            Scenario::BackupAndPassword => act.backup_and_password().await?,
            Scenario::TrustedComputer => act.trusted_computer().await?,
            Scenario::NoBackup => act.no_backup().await?,
            Scenario::AccountLost => act.account_lost().await?,
        }
        if stage.common.json {
            print_line(&json!({
                "schema": 1, "event": "scenario", "virtual": true, "scenario": scenario.as_str(), "ecid": phone.ecid,
                "version": phone.state().version, "files": phone.files.user_file_count(),
            }));
        }
    }
    Ok(Outcome::Ok)
}

struct Act<'a> {
    stage: &'a Stage<'a>,
    phone: &'a Arc<Phone>,
    ecid: String,
}

fn wrong(what: impl Into<String>) -> Fault {
    Fault::new(Code::RestoreFailed, what)
}

impl Act<'_> {
    async fn backup_and_password(&self) -> Result<(), Fault> {
        self.say(&Line::MadeBackup);
        self.run(&["pair"], 0).await?;
        self.run(&["backup"], 0).await?;
        let before = self.files();
        self.phone.lock_screen();
        self.say(&Line::Forgotten);
        self.triage(&[("online", "yes")], "erase-on-device").await?;
        self.say(&Line::OwnerErases);
        let moves = self.phone.watch();
        self.phone.erase_on_screen();
        let back = tokio::task::spawn_blocking(move || {
            loop {
                match moves.recv_timeout(BACK) {
                    Ok(change) if change.to == Boot::Normal => return true,
                    Ok(_) => {}
                    Err(_) => return false,
                }
            }
        });
        if !back.await.unwrap_or(false) {
            return Err(wrong("the phone did not come back from its erase"));
        }
        self.run(&["pair"], 0).await?;
        self.run(&["backups", "restore", "--yes-restore", &self.ecid], 0).await?;
        self.is_back(before)
    }

    async fn trusted_computer(&self) -> Result<(), Fault> {
        self.run(&["pair"], 0).await?;
        let before = self.files();
        self.phone.lock_screen();
        self.say(&Line::Forgotten);
        let answers = self.answers(&[], "back-up-and-restore").await?;
        self.run(&["recover", "--answers", &answers, "--yes-erase", &self.ecid], 0).await?;
        self.is_back(before)?;
        self.works()
    }

    async fn no_backup(&self) -> Result<(), Fault> {
        self.phone.lock_screen();
        self.say(&Line::Forgotten);
        self.erase_with_keys().await
    }

    async fn account_lost(&self) -> Result<(), Fault> {
        self.phone.lock_screen();
        let before = self.files();
        self.say(&Line::Forgotten);
        self.triage(&[("backup", "no"), ("password", "no"), ("find-my", "on")], "recover-account").await?;
        if self.files() != before || self.phone.remembered("files.erased") > 0 {
            return Err(wrong("the phone was changed while its account was lost"));
        }
        self.say(&Line::NothingErased);
        self.say(&Line::DaysLater);
        self.erase_with_keys().await
    }

    /// The way of a phone that trusts nobody: its keys, an erase, and the account at its lock.
    async fn erase_with_keys(&self) -> Result<(), Fault> {
        let answers = self.answers(&[("backup", "no")], "restore-without-backup").await?;
        self.say(&Line::Hands);
        let arguments = ["recover", "--by-hand", "--answers", &answers, "--yes-erase", &self.ecid, "-d", &self.ecid];
        self.runs(&arguments);
        self.ended(self.stage.coached(&arguments, self.phone).await?, 0)?;
        if !self.phone.sign_in() {
            return Err(wrong("Activation Lock did not ask for its account"));
        }
        self.say(&Line::OwnerSignsIn);
        self.works()
    }

    async fn run(&self, arguments: &[&str], wanted: i32) -> Result<(), Fault> {
        let mut all = arguments.to_vec();
        all.extend(["-d", &self.ecid]);
        self.runs(&all);
        self.ended(self.stage.run(&all).await?, wanted)
    }

    /// The command as people would type it, in a folder of their own.
    fn runs(&self, arguments: &[&str]) {
        let folder = format!("{}/", self.stage.folder.display());
        let shown: Vec<&str> = arguments.iter().map(|a| a.strip_prefix(&folder).unwrap_or(a)).collect();
        self.say(&Line::Runs(&format!("herstel {}", shown.join(" "))));
    }

    fn ended(&self, code: i32, wanted: i32) -> Result<(), Fault> {
        if code == wanted { Ok(()) } else { Err(wrong(format!("it ended with exit code {code} instead of {wanted}"))) }
    }

    /// The questions with these answers, shown with the plan that they end in.
    async fn triage(&self, more: &[(&str, &str)], plan: &str) -> Result<(), Fault> {
        self.answers(more, plan).await.map(|_| ())
    }

    /// The same; gives the file of answers.
    async fn answers(&self, more: &[(&str, &str)], plan: &str) -> Result<String, Fault> {
        let always = [
            ("ownership", "owner"),
            ("problem", "forgotten-code"),
            ("managed", "no"),
            ("previous-code", "no"),
            ("trusted", "no"),
            ("password", "yes"),
        ];
        let changed = |key: &str| more.iter().any(|(other, _)| *other == key);
        let lines = always.iter().filter(|(key, _)| !changed(key)).chain(more);
        let read = plan != "restore-without-backup" && plan != "recover-account";
        // What the device proves is not said against it.
        let lines = lines.filter(|(key, _)| !(read && *key == "trusted"));
        let text: String = lines.map(|(key, answer)| format!("{key} = \"{answer}\"\n")).collect();
        let file = self.stage.folder.join("answers.toml");
        fs_err::write(&file, &text).map_err(|e| Fault::disk(&e))?;
        text.lines().for_each(|line| say_line(&format!("    {line}")));
        let file = file.display().to_string();
        self.run(&["triage", "--answers", &file], 0).await?;
        Ok(file)
    }

    fn files(&self) -> (usize, String) {
        (self.phone.files.user_file_count(), self.phone.files.digest_of_user_data())
    }

    fn is_back(&self, before: (usize, String)) -> Result<(), Fault> {
        let after = self.files();
        if after != before || self.phone.state().is_locked() {
            return Err(wrong(format!("{} files before, {} after, or other contents", before.0, after.0)));
        }
        self.say(&Line::Back { files: after.0 as u64 });
        Ok(())
    }

    fn works(&self) -> Result<(), Fault> {
        let erased = self.phone.remembered("files.erased");
        let state = self.phone.state();
        if erased != 1 || !state.activated || state.is_locked() {
            return Err(wrong(format!("erased {erased} times, activated: {}", state.activated)));
        }
        let version = state.version.to_string();
        drop(state);
        self.say(&Line::Works { version: &version });
        Ok(())
    }

    fn say(&self, text: &Line<'_>) {
        let lang: Lang = self.stage.lang;
        say::wrapped(&line(lang, text), COLUMNS).iter().for_each(|line| say_line(line));
    }
}
