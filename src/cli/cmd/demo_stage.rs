//! The programs of a demo: this very program started again, pointed at the bench by its environment.

use crate::cli::args::Common;
use crate::cli::show::print_line;
use crate::event::{Event, Request};
use crate::fault::{Code, Fault};
use crate::say::Lang;
use crate::virt::bench::Bench;
use crate::virt::phone::Phone;
use crate::virt::usb::person::Person;
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

pub struct Stage<'a> {
    pub common: &'a Common,
    pub lang: Lang,
    pub bench: &'a Bench,
    pub folder: &'a Path,
    /// How much faster than real phones the bench's phones and their person are, where somebody presses keys.
    pub haste: Option<u32>,
}

impl Stage<'_> {
    fn command(&self, arguments: &[&str]) -> Result<Command, Fault> {
        let program = std::env::current_exe().map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
        let mut command = Command::new(program);
        command.args(arguments).args(["--lang", if self.lang == Lang::Nl { "nl" } else { "en" }]);
        for _ in 0..self.common.verbose {
            command.arg("-v");
        }
        command.envs(self.bench.environment(true));
        for (key, name) in [
            ("XDG_DATA_HOME", "data"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_STATE_HOME", "state"),
            ("XDG_CONFIG_HOME", "config"),
        ] {
            command.env(key, self.folder.join(name));
        }
        if let Some(haste) = self.haste {
            command.env("HERSTEL_BENCH_HASTE", haste.to_string());
        }
        Ok(command)
    }

    /// Runs it to its end; its exit code. It has nobody to ask: questions are answered by files here.
    pub async fn run(&self, arguments: &[&str]) -> Result<i32, Fault> {
        self.run_with(arguments, Stdio::null()).await
    }

    /// The same with the person's terminal, for what shows itself as a screen.
    pub async fn run_shown(&self, arguments: &[&str]) -> Result<i32, Fault> {
        self.run_with(arguments, Stdio::inherit()).await
    }

    async fn run_with(&self, arguments: &[&str], input: Stdio) -> Result<i32, Fault> {
        let mut command = self.command(arguments)?;
        if self.common.json {
            command.arg("--json");
        }
        let child = command.stdin(input).spawn();
        self.end(child.map_err(|e| Fault::new(Code::Internal, e.to_string()))?).await
    }

    /// The same with somebody at the phone who presses what is asked.
    pub async fn coached(&self, arguments: &[&str], phone: &Arc<Phone>) -> Result<i32, Fault> {
        let internal = |e: std::io::Error| Fault::new(Code::Internal, e.to_string());
        let mut command = self.command(arguments)?;
        let mut child = command.arg("--json").stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(internal)?;
        let (asks, heard) = std::sync::mpsc::channel::<Request>();
        let mut person = Person::new(phone);
        let person = std::thread::spawn(move || heard.iter().try_for_each(|request| person.hear(&request)));
        if let Some(out) = child.stdout.take() {
            let mut lines = BufReader::new(out).lines();
            while let Some(line) = lines.next_line().await.map_err(internal)? {
                let Ok(value) = serde_json::from_str::<Value>(&line) else { continue };
                if self.common.json {
                    print_line(&value);
                }
                if let Ok(Event::Ask { request }) = serde_json::from_value(value) {
                    // A person who is gone has said why; the child ends by itself.
                    let _ = asks.send(request);
                }
            }
        }
        drop(asks);
        let code = self.end(child).await?;
        let pressed = tokio::task::spawn_blocking(move || person.join()).await;
        match pressed {
            Ok(Ok(Ok(()))) => Ok(code),
            other => Err(Fault::new(Code::Internal, format!("the bench's hands: {other:?}"))),
        }
    }

    async fn end(&self, mut child: Child) -> Result<i32, Fault> {
        // Ctrl-C reaches the child by itself: it asks, and we wait for what it decides.
        let ended = loop {
            tokio::select! {
                ended = child.wait() => break ended,
                _ = tokio::signal::ctrl_c() => {}
            }
        };
        let ended = ended.map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
        Ok(ended.code().unwrap_or(1))
    }
}
