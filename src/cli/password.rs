//! Backup passwords: from a file, a descriptor or a prompt, and never from an argument or a variable, which other
//! programs could read. What held one is cleared.

use super::args::{NewPasswordArgs, PasswordArgs};
use super::context::Context;
use super::keyboard::{self, Echo};
use crate::backup::Password;
use crate::fault::{Code, Fault};
use crate::say::{self, Text};
use std::io::{IsTerminal, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Most bytes of a password.
const MAX: usize = 4096;

/// How often two different passwords may be typed.
const TRIES: u32 = 3;

/// The password that the options give.
///
/// # Errors
/// [`Code::Usage`] for what cannot be one, disk faults.
fn given(args: &PasswordArgs) -> Result<Option<Password>, Fault> {
    match (&args.password_file, args.password_fd) {
        (Some(file), _) => read(file).map(Some),
        (None, Some(number)) => read(&PathBuf::from(format!("/dev/fd/{number}"))).map(Some),
        (None, None) => Ok(None),
    }
}

/// The password that the options give, else the one that a person types after `question`; none without a terminal and
/// for an empty line.
///
/// # Errors
/// As [`given`]; cancel.
pub fn given_or_asked(context: &Context, args: &PasswordArgs, question: &Text) -> Result<Option<Password>, Fault> {
    if let Some(password) = given(args)? {
        return Ok(Some(password));
    }
    typed(context, question)
}

/// A new password: from the options, else typed twice on the terminal.
///
/// # Errors
/// As [`given`]; [`Code::NotATerminal`] where nobody can be asked, [`Code::Usage`] for an empty line and for passwords
/// that differ three times, cancel.
pub fn chosen(context: &Context, args: &NewPasswordArgs) -> Result<Password, Fault> {
    let NewPasswordArgs { new_password_file, new_password_fd } = args.clone();
    let from = PasswordArgs { password_file: new_password_file, password_fd: new_password_fd };
    if let Some(password) = given(&from)? {
        return Ok(password);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Fault::new(Code::NotATerminal, "the new backup password: --new-password-file gives it"));
    }
    for _ in 0..TRIES {
        let first = typed(context, &Text::BackupPasswordAskNew)?;
        let first = first.ok_or_else(|| Fault::new(Code::Usage, "the new backup password is empty"))?;
        if typed(context, &Text::BackupPasswordAskAgain)?.as_ref() == Some(&first) {
            return Ok(first);
        }
        eprintln!("{}", say::text(context.lang, &Text::BackupPasswordsDiffer));
    }
    Err(Fault::new(Code::Usage, "two different passwords, three times"))
}

/// What a person types after `question`; none without a terminal and for an empty line.
fn typed(context: &Context, question: &Text) -> Result<Option<Password>, Fault> {
    let question = say::text(context.lang, question);
    let line = keyboard::line(&question, Echo::Hidden, &|| context.cancel.is_cancelled());
    let line = line.map_err(|e| Fault::new(Code::NotATerminal, e.to_string()))?;
    if context.cancel.is_cancelled() {
        return Err(Fault::cancelled());
    }
    match line {
        Some(line) if !line.is_empty() => password(&line, "what was typed").map(Some),
        _ => Ok(None),
    }
}

/// A password in a file that is read again and again.
pub struct Kept {
    pub password: Password,
    /// Others on this computer can read it too.
    pub open: bool,
}

/// # Errors
/// As [`given`]; [`Code::Usage`] for what is no file: a pipe gives its password once.
pub fn kept(path: &Path) -> Result<Kept, Fault> {
    let meta = fs_err::metadata(path).map_err(|e| Fault::disk(&e))?;
    if !meta.is_file() {
        return Err(Fault::new(Code::Usage, format!("the password: {} is no file", path.display())));
    }
    Ok(Kept { password: read(path)?, open: meta.permissions().mode() & 0o077 != 0 })
}

fn read(path: &Path) -> Result<Password, Fault> {
    let file = fs_err::File::open(path).map_err(|e| Fault::disk(&e))?;
    // Room from the start: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX + 1));
    file.take(MAX as u64 + 1).read_to_end(&mut bytes).map_err(|e| Fault::disk(&e))?;
    password(&bytes, &path.display().to_string())
}

/// Line ends around it are no part of it.
fn password(bytes: &[u8], from: &str) -> Result<Password, Fault> {
    let refuse = |why: &str| Err(Fault::new(Code::Usage, format!("the password: {from} {why}")));
    if bytes.len() > MAX {
        return refuse("is longer than any password");
    }
    match std::str::from_utf8(bytes).map(|text| text.trim_end_matches(['\r', '\n'])) {
        Ok("") => refuse("is empty"),
        Ok(text) => Ok(Password::new(text)),
        Err(_) => refuse("is no UTF-8"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;

    #[test]
    fn passwords_come_from_files_and_descriptors() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let args = PasswordArgs { password_file: Some(file.path().to_owned()), password_fd: None };
        let code = |args: &PasswordArgs| given(args).unwrap_err().code;
        assert_eq!(code(&args), Code::Usage, "empty");
        file.write_all(" Größe 7 \r\n".as_bytes()).unwrap();
        assert_eq!(given(&args).unwrap().unwrap().reveal(), " Größe 7 ", "only the line's end goes");
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"piped\n").unwrap();
        drop(writer);
        let number = u32::try_from(reader.as_raw_fd()).unwrap();
        let piped = PasswordArgs { password_file: None, password_fd: Some(number) };
        assert_eq!(given(&piped).unwrap().unwrap().reveal(), "piped");
        assert_eq!(code(&PasswordArgs { password_fd: Some(999_999), ..piped }), Code::DiskError);
        file.write_all(&[0xFF]).unwrap();
        assert_eq!(code(&args), Code::Usage, "no text");
        file.write_all(&[b'x'; MAX]).unwrap();
        assert_eq!(code(&args), Code::Usage, "too long");
        assert_eq!(given(&PasswordArgs::default()).unwrap(), None);
    }
}
