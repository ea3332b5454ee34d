//! What a person did, said by a script: lines of a file, of a named pipe or of standard input.
//!
//! `done 3` means that what row 3 of a batch waits for was done. Each line is heard when it comes; one that is none is
//! told and left. A named pipe stays open when a writer leaves, so that every `echo done 3 > pipe` is heard.

use crate::fault::{Code, Fault};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use tokio::sync::mpsc::Sender;

/// Longer than any order.
const MAX_LINE: usize = 64;

/// Where orders come from; nothing is read before [`Orders::hear`], for a question on the terminal comes first.
pub struct Orders(Box<dyn Read + Send>);

impl Orders {
    /// # Errors
    /// A file that cannot be read.
    pub fn open(path: &Path) -> Result<Orders, Fault> {
        if path == Path::new("-") {
            return Ok(Orders(Box::new(std::io::stdin())));
        }
        match open(path) {
            Ok(file) => Ok(Orders(Box::new(file))),
            Err(err) => Err(Fault::new(Code::Usage, format!("--orders {}: {err}", path.display()))),
        }
    }

    /// Until the file ends or nobody listens; `strange` is told of what is none.
    pub fn hear(self, said: Sender<u32>, strange: impl Fn(&str) + Send + 'static) {
        // A read that blocks for ever ends with the process.
        std::thread::spawn(move || read(self.0, &said, &strange));
    }
}

/// A pipe is opened for writing too: that does not wait for a writer, and never ends.
fn open(path: &Path) -> std::io::Result<File> {
    let pipe = std::fs::metadata(path)?.file_type().is_fifo();
    File::options().read(true).write(pipe).open(path)
}

fn read(mut source: impl Read, said: &Sender<u32>, strange: &dyn Fn(&str)) {
    let mut line = Vec::with_capacity(MAX_LINE);
    let mut byte = [0];
    loop {
        match source.read(&mut byte) {
            Ok(1) if byte != *b"\n" => {
                // One byte more than an order may have: it is none then.
                if line.len() <= MAX_LINE {
                    let _ = line.write(&byte);
                }
                continue;
            }
            Ok(1) => {}
            Err(err) if err.kind() == std::io::ErrorKind::Interrupted => continue,
            Ok(_) | Err(_) if line.is_empty() => return,
            Ok(_) | Err(_) => {}
        }
        let long = line.len() > MAX_LINE;
        let text = String::from_utf8_lossy(&line).trim().to_owned();
        line.clear();
        match order(&text).filter(|_| !long) {
            Some(row) if said.blocking_send(row).is_err() => return,
            None if !text.is_empty() => strange(&text),
            _ => {}
        }
    }
}

fn order(text: &str) -> Option<u32> {
    text.strip_prefix("done ")?.trim().parse().ok().filter(|row| *row > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    fn heard(text: &str) -> (Vec<u32>, Vec<String>) {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(64);
        let strange = Arc::new(Mutex::new(Vec::new()));
        read(text.as_bytes(), &sender, &|line| strange.lock().unwrap().push(line.to_owned()));
        drop(sender);
        let rows = std::iter::from_fn(|| receiver.blocking_recv()).collect();
        (rows, strange.lock().unwrap().clone())
    }

    #[test]
    fn orders_are_lines() {
        assert_eq!(heard("done 3\r\n\n  done   12 \ndone 1"), (vec![3, 12, 1], vec![]), "the last without an end");
        let (rows, strange) = heard("done\ndone 0\ndone -1\ndone 99999999999\nerase 3\nDone 3\n");
        assert!(rows.is_empty() && strange.len() == 6, "{rows:?} {strange:?}");
        let (rows, strange) = heard(&format!("done 1{}2\ndone 5\n", " ".repeat(1 << 20)));
        assert_eq!((rows, strange), (vec![5], vec!["done 1".to_owned()]), "half a line is no order");
    }

    #[test]
    fn a_pipe_outlives_those_who_write_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("orders");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        let (sender, mut receiver) = tokio::sync::mpsc::channel(64);
        Orders::open(&pipe).unwrap().hear(sender, |_| {});
        for row in [2, 4] {
            File::options().write(true).open(&pipe).unwrap().write_all(format!("done {row}\n").as_bytes()).unwrap();
            assert_eq!(receiver.blocking_recv(), Some(row));
        }
        assert_eq!(Orders::open(&dir.path().join("absent")).err().map(|fault| fault.code), Some(Code::Usage));
    }
}
