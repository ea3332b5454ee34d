//! What is watched and held while a restore runs: the computer stays awake, and usbmuxd's end is noticed.
//!
//! *Awake.* `systemd-inhibit` holds a lock for as long as its command runs. The command is `cat` on a pipe of ours, so
//! the lock ends with us, however we end. `cat` sends one line back: only then the lock is known to be held, and a
//! refusal (no logind, no right) is known too. Without that program the restore goes on, with a note.
//!
//! *usbmuxd.* Its udev rule runs `usbmuxd -x` when a device leaves the bus, which a restore makes it do several times,
//! and a daemon of `-z`, `-s` (systemd's) or `-u` then ends if no other device is there. An open `Listen` connection
//! does **not** keep it: tried with Debian's usbmuxd 1.1.1 in all four ways of starting it; only one without those
//! options stays. So nothing is kept alive here. Ending in recovery mode is normal, and its unit is started again by
//! the device's own arrival; what helps is to notice, to say so, and to name usbmuxd instead of the device when
//! restore mode "never came". A daemon of `-u` does not see arrivals by itself: its udev rule has to start it anew.

use super::kit::Kit;
use crate::event::{Event, Teller};
use crate::fault::{Code, Fault};
use crate::mux::Mux;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

const INHIBIT: &str = "systemd-inhibit";
/// For logind to say yes or no.
const HELD: Duration = Duration::from_secs(5);
/// Between two tries to reach a usbmuxd that went away.
const AGAIN: Duration = Duration::from_millis(500);

/// Ends when it is dropped.
pub struct Vigil {
    mux: Mux,
    watch: JoinHandle<()>,
    _awake: Option<Child>,
}

impl Vigil {
    /// Begins both; on the bench only the second.
    pub async fn begin(kit: &Kit) -> Vigil {
        let awake = if kit.eyes.is_virtual {
            None
        } else {
            match hold(Path::new(INHIBIT)).await {
                Ok(child) => Some(child),
                Err(why) => {
                    let text = format!("this computer may go to sleep during the restore: {why}");
                    kit.tell.tell(Event::Note { text });
                    None
                }
            }
        };
        let mux = kit.eyes.mux.clone();
        let watch = tokio::spawn(watch(mux.clone(), kit.tell.clone()));
        Vigil { mux, watch, _awake: awake }
    }

    /// Where a restore failed because nothing came or a link broke: was it usbmuxd that was not there?
    pub async fn explain(&self, fault: Fault) -> Fault {
        if !matches!(fault.code, Code::NeverCameBack | Code::LinkLost | Code::LinkSilent) {
            return fault;
        }
        match self.mux.devices().await.map_err(Fault::from) {
            Err(away) if away.code == Code::MuxUnreachable => {
                let told = Fault::new(away.code, format!("{}; {}", away.detail, fault.detail));
                Fault { stage: fault.stage, device: fault.device, ..told }
            }
            _ => fault,
        }
    }
}

impl Drop for Vigil {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

async fn watch(mux: Mux, tell: Teller) {
    let mut away = false;
    loop {
        if let Ok(mut events) = mux.watch().await {
            if std::mem::take(&mut away) {
                tell.tell(Event::Note { text: "usbmuxd is back".into() });
            }
            while events.recv().await.is_some() {}
        }
        if !std::mem::replace(&mut away, true) {
            let text = "usbmuxd ended, as its udev rule has it when the last device leaves; it has to be back when the \
                        device is in restore mode (`systemctl start usbmuxd`)";
            tell.tell(Event::Warning { text: text.into() });
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// What holds the lock: `program` with its arguments.
fn inhibitor(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--what=sleep:shutdown", "--mode=block", "--who=herstel", "--why=A device is being restored", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // Ctrl-C on the terminal is for us: the restore may have to go on.
        .process_group(0)
        .kill_on_drop(true);
    command
}

async fn hold(program: &Path) -> Result<Child, String> {
    let mut child = inhibitor(program).spawn().map_err(|err| format!("{}: {err}", program.display()))?;
    let (Some(input), Some(output)) = (child.stdin.as_mut(), child.stdout.take()) else {
        return Err("no pipes".into());
    };
    let echoed = async {
        input.write_all(b"held\n").await?;
        input.flush().await?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).await?;
        Ok::<_, std::io::Error>(line)
    };
    match tokio::time::timeout(HELD, echoed).await {
        Ok(Ok(line)) if line == "held\n" => Ok(child),
        Ok(Ok(_)) => Err(format!("{} refuses", program.display())),
        Ok(Err(err)) => Err(format!("{}: {err}", program.display())),
        Err(_) => Err(format!("{} does not answer", program.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    /// Stands in for `systemd-inhibit`: writes down how it was called, then does what `then` says.
    fn program(folder: &Path, then: &str) -> PathBuf {
        let path = folder.join("inhibit");
        let calls = folder.join("calls");
        std::fs::write(&path, format!("#!/bin/sh\necho \"$@\" > {}\n{then}\n", calls.display())).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[tokio::test]
    async fn the_lock_is_held_as_long_as_the_pipe() {
        let folder = tempfile::tempdir().unwrap();
        // The last argument is the command, as of the real one.
        let run = program(folder.path(), "for last; do :; done; $last; echo over > \"$(dirname \"$0\")/over\"");
        let mut child = hold(&run).await.unwrap();
        let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
        assert!(calls.contains("--what=sleep:shutdown") && calls.trim_end().ends_with("cat"), "{calls}");
        assert!(child.try_wait().unwrap().is_none(), "still there");
        // As when this process ends in whatever way: the pipe closes, and the command ends by itself.
        drop(child.stdin.take());
        assert!(child.wait().await.unwrap().success());
        assert_eq!(std::fs::read_to_string(folder.path().join("over")).unwrap(), "over\n");
    }

    #[tokio::test]
    async fn a_refusal_and_an_absent_program_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let refusing = program(folder.path(), "exit 1");
        let why = hold(&refusing).await.unwrap_err();
        assert!(why.contains("refuses") || why.contains("pipe"), "{why}");
        assert!(hold(&folder.path().join("absent")).await.unwrap_err().contains("absent"));
    }
}
