//! Hooks: programs of the shop that are run when something happens.
//!
//! The first word is the program and the rest are its arguments, as they stand in the file: no shell reads them. It gets
//! one JSON object on standard input. It has so many seconds, then it and all that it started is ended; what it prints
//! is kept up to a cap and read to its end beyond that, so that it is never stuck on a full pipe. However it ends, the
//! batch goes on.

use rustix::process::{Pid, Signal, kill_process_group};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// Of each of its two outputs.
const OUTPUT: usize = 16 << 10;
const AFTER: Duration = Duration::from_secs(2);

/// What a hook did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// None: it went well.
    pub trouble: Option<String>,
    pub output: String,
}

/// Runs one to its end or to its limit.
pub async fn run(argv: &[String], body: &str, limit: Duration) -> Ran {
    let Some((program, arguments)) = argv.split_first() else {
        return Ran { trouble: None, output: String::new() };
    };
    let failed = |why: String| Ran { trouble: Some(format!("{program}: {why}")), output: String::new() };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own: what it starts is ended with it, and Ctrl-C is not for it.
        .process_group(0)
        .kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(err) => return failed(err.to_string()),
    };
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let (input, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let line = format!("{body}\n");
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let work = async {
        let write = async {
            if let Some(mut input) = input {
                // One that does not read is no failure.
                let _ = input.write_all(line.as_bytes()).await;
            }
        };
        let (status, (), (), ()) = tokio::join!(child.wait(), write, read(out, &mut said), read(err, &mut complained));
        status
    };
    let trouble = match tokio::time::timeout(limit, work).await {
        Ok(Ok(status)) if status.success() => None,
        Ok(Ok(status)) => Some(format!("{program}: {status}")),
        Ok(Err(err)) => Some(format!("{program}: {err}")),
        Err(_) => {
            if let Some(group) = group {
                let _ = kill_process_group(group, Signal::KILL);
            }
            let _ = child.start_kill();
            let _ = tokio::time::timeout(AFTER, child.wait()).await;
            Some(format!("{program}: ended after {} s, its limit", limit.as_secs_f64()))
        }
    };
    said.extend_from_slice(&complained);
    Ran { trouble, output: String::from_utf8_lossy(&said).into_owned() }
}

async fn read(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        let room = OUTPUT.saturating_sub(kept.len());
        kept.extend_from_slice(buffer.get(..count.min(room)).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[tokio::test]
    async fn it_gets_the_event_and_its_words_are_kept() {
        let ran = run(&argv(&["/bin/cat"]), "{\"a\":1}", Duration::from_secs(30)).await;
        assert_eq!(ran, Ran { trouble: None, output: "{\"a\":1}\n".into() });
        let ran = run(&argv(&["/bin/echo", "$HOME; ls"]), "{}", Duration::from_secs(30)).await;
        assert_eq!(ran.output, "$HOME; ls\n", "no shell reads it");
    }

    #[tokio::test]
    async fn failures_are_told() {
        let limit = Duration::from_secs(30);
        let ran = run(&argv(&["/bin/sh", "-c", "echo no >&2; exit 3"]), "{}", limit).await;
        assert!(ran.trouble.unwrap().contains("3") && ran.output == "no\n");
        assert!(run(&argv(&["/nonexistent/hook"]), "{}", limit).await.trouble.is_some());
        assert_eq!(run(&[], "{}", limit).await.trouble, None);
    }

    #[tokio::test]
    async fn one_that_hangs_is_ended_with_its_children_and_one_that_floods_is_read() {
        let hang = argv(&["/bin/sh", "-c", "sleep 1000 & sleep 1000"]);
        let ran = run(&hang, "{}", Duration::from_millis(300)).await;
        assert!(ran.trouble.unwrap().contains("limit"));
        let flood = argv(&["/bin/sh", "-c", "head -c 1000000 /dev/zero"]);
        let ran = run(&flood, &"x".repeat(200_000), Duration::from_secs(30)).await;
        assert_eq!((ran.trouble, ran.output.len()), (None, OUTPUT));
    }
}
