//! What a host asks of mobilebackup2, and the answer that ends it.
//!
//! All travel as the dictionary of a `DLMessageProcessMessage`. The restore options are written only where they
//! differ from what the device does by itself, as idevicebackup2 leaves them out; `preserve_settings` keeps the
//! settings that are on the device now, which is the opposite of what a flag called "settings" suggests.

use plist::{Dictionary, Value};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// A backup password: never printed, gone from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl Password {
    pub fn new(text: impl Into<String>) -> Self {
        Password(Zeroizing::new(text.into()))
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// How a device is to take a backup back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreOptions {
    /// Restart the device at the end.
    pub reboot: bool,
    /// Copy the whole backup to the device before anything is applied; needs room for both.
    pub copy_first: bool,
    /// Keep the settings that are on the device now.
    pub preserve_settings: bool,
    /// Restore files outside the person's data too.
    pub system_files: bool,
    /// Remove what is on the device and not in the backup.
    pub remove_others: bool,
    /// Of an encrypted backup.
    pub password: Option<Password>,
}

impl Default for RestoreOptions {
    /// What brings a freshly restored phone back to what it was: system files and settings from the backup, nothing
    /// copied twice, nothing removed, a restart at the end.
    fn default() -> Self {
        RestoreOptions {
            reboot: true,
            copy_first: false,
            preserve_settings: false,
            system_files: true,
            remove_others: false,
            password: None,
        }
    }
}

/// A request by its message name.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    Hello { versions: Vec<f64> },
    Backup { target: String, source: Option<String>, full: bool },
    Restore { target: String, source: Option<String>, options: RestoreOptions },
    ChangePassword { target: String, old: Option<Password>, new: Option<Password> },
    Other { name: String, target: Option<String>, source: Option<String> },
}

impl Request {
    /// The versions of mobilebackup2 that the field offers.
    pub fn hello() -> Self {
        Request::Hello { versions: vec![2.0, 2.1] }
    }

    pub fn name(&self) -> &str {
        match self {
            Request::Hello { .. } => "Hello",
            Request::Backup { .. } => "Backup",
            Request::Restore { .. } => "Restore",
            Request::ChangePassword { .. } => "ChangePassword",
            Request::Other { name, .. } => name,
        }
    }

    pub fn build(&self) -> Dictionary {
        let mut dict = Dictionary::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                dict.insert(key.into(), value);
            }
        };
        put("MessageName", Some(self.name().into()));
        let text = |t: &Option<String>| t.as_deref().map(Value::from);
        let secret = |p: &Option<Password>| p.as_ref().map(|p| Value::from(p.reveal()));
        match self {
            Request::Hello { versions } => {
                let versions = versions.iter().map(|v| Value::Real(*v)).collect();
                put("SupportedProtocolVersions", Some(Value::Array(versions)));
            }
            Request::Backup { target, source, full } => {
                put("TargetIdentifier", Some(target.as_str().into()));
                put("SourceIdentifier", text(source));
                let mut options = Dictionary::new();
                options.insert("ForceFullBackup".into(), true.into());
                put("Options", full.then_some(Value::Dictionary(options)));
            }
            Request::Restore { target, source, options } => {
                put("TargetIdentifier", Some(target.as_str().into()));
                put("SourceIdentifier", text(source));
                put("Options", Some(Value::Dictionary(build_options(options))));
            }
            Request::ChangePassword { target, old, new } => {
                put("TargetIdentifier", Some(target.as_str().into()));
                put("OldPassword", secret(old));
                put("NewPassword", secret(new));
            }
            Request::Other { target, source, .. } => {
                put("TargetIdentifier", text(target));
                put("SourceIdentifier", text(source));
            }
        }
        dict
    }

    /// None where there is no `MessageName`. What a known request lacks is read as its default.
    pub fn parse(dict: &Dictionary) -> Option<Self> {
        let name = dict.get("MessageName")?.as_string()?;
        let text = |key: &str| dict.get(key).and_then(Value::as_string).map(str::to_owned);
        let target = text("TargetIdentifier");
        let source = text("SourceIdentifier");
        let options = dict.get("Options").and_then(Value::as_dictionary);
        Some(match name {
            "Hello" => Request::Hello {
                versions: dict
                    .get("SupportedProtocolVersions")
                    .and_then(Value::as_array)
                    .map(|list| list.iter().filter_map(number).collect())
                    .unwrap_or_default(),
            },
            "Backup" => Request::Backup {
                target: target.unwrap_or_default(),
                source,
                full: options.is_some_and(|o| flag(o, "ForceFullBackup", false)),
            },
            "Restore" => Request::Restore {
                target: target.unwrap_or_default(),
                source,
                options: options.map(parse_options).unwrap_or_else(|| parse_options(&Dictionary::new())),
            },
            "ChangePassword" => Request::ChangePassword {
                target: target.unwrap_or_default(),
                old: text("OldPassword").map(Password::new),
                new: text("NewPassword").map(Password::new),
            },
            _ => Request::Other { name: name.to_owned(), target, source },
        })
    }
}

fn build_options(options: &RestoreOptions) -> Dictionary {
    let mut dict = Dictionary::new();
    if !options.reboot {
        dict.insert("RestoreShouldReboot".into(), false.into());
    }
    if !options.copy_first {
        dict.insert("RestoreDontCopyBackup".into(), true.into());
    }
    dict.insert("RestorePreserveSettings".into(), options.preserve_settings.into());
    if options.system_files {
        dict.insert("RestoreSystemFiles".into(), true.into());
    }
    if options.remove_others {
        dict.insert("RemoveItemsNotRestored".into(), true.into());
    }
    if let Some(password) = &options.password {
        dict.insert("Password".into(), password.reveal().into());
    }
    dict
}

fn parse_options(dict: &Dictionary) -> RestoreOptions {
    RestoreOptions {
        reboot: flag(dict, "RestoreShouldReboot", true),
        copy_first: !flag(dict, "RestoreDontCopyBackup", false),
        preserve_settings: flag(dict, "RestorePreserveSettings", true),
        system_files: flag(dict, "RestoreSystemFiles", false),
        remove_others: flag(dict, "RemoveItemsNotRestored", false),
        password: dict.get("Password").and_then(Value::as_string).map(Password::new),
    }
}

fn flag(dict: &Dictionary, key: &str, absent: bool) -> bool {
    match dict.get(key) {
        Some(Value::Boolean(set)) => *set,
        Some(Value::Integer(int)) => int.as_signed() != Some(0),
        _ => absent,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Real(real) => Some(*real),
        Value::Integer(int) => int.as_signed().map(|i| i as f64),
        _ => None,
    }
}

/// Overwrites the passwords of a request that has been sent.
pub fn scrub(dict: &mut Dictionary) {
    for key in ["Password", "OldPassword", "NewPassword"] {
        if let Some(Value::String(secret)) = dict.get_mut(key) {
            secret.zeroize();
        }
    }
    if let Some(Value::Dictionary(options)) = dict.get_mut("Options") {
        scrub(options);
    }
}

/// The answer of mobilebackup2 to Hello, and at the end of an operation. `code` 0 is success; the others are of
/// Apple's MBErrorDomain.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response {
    pub code: i64,
    pub description: String,
    /// Only in the answer to Hello.
    pub version: Option<f64>,
    pub content: Option<Value>,
}

impl Response {
    pub fn ok() -> Self {
        Response::default()
    }

    pub fn error(code: i64, description: impl Into<String>) -> Self {
        Response { code, description: description.into(), ..Response::default() }
    }

    pub fn build(self) -> Dictionary {
        let mut dict = Dictionary::new();
        dict.insert("MessageName".into(), "Response".into());
        dict.insert("ErrorCode".into(), Value::Integer(self.code.into()));
        if self.code != 0 || !self.description.is_empty() {
            dict.insert("ErrorDescription".into(), self.description.into());
        }
        if let Some(version) = self.version {
            dict.insert("ProtocolVersion".into(), Value::Real(version));
        }
        if let Some(content) = self.content {
            dict.insert("Content".into(), content);
        }
        dict
    }

    /// None where there is no `ErrorCode`: then it is not the end of anything.
    pub fn parse(dict: &Dictionary) -> Option<Self> {
        let code = dict.get("ErrorCode")?;
        Some(Response {
            code: code.as_signed_integer().or_else(|| code.as_unsigned_integer().map(|u| u as i64))?,
            description: dict.get("ErrorDescription").and_then(Value::as_string).unwrap_or_default().to_owned(),
            version: dict.get("ProtocolVersion").and_then(number),
            content: dict.get("Content").cloned(),
        })
    }
}
