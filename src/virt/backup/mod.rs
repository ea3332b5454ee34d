//! The phone's side of backups: what the phone holds, the mobilebackup2 agent and AFC.
//!
//! The agent speaks the whole session as devices were seen to: it asks the host for the previous state,
//! scans, checks for space, uploads into `Snapshot`, moves, removes, and reads the result back before it
//! believes in it. A restore checks every byte it gets and replaces the phone's data only when all of it
//! was right. With a backup password everything is encrypted with keys of the phone ([`Lockbox`]), and
//! what only an encrypted backup carries comes with it. Faults are knobs on the link ([`Faults`]), so that
//! each is one `if` where the bytes are made.

mod afc;
mod afc_packet;
mod agent;
mod content;
mod files;
mod furnish;
mod held;
mod intake;
mod line;
mod lockbox;
mod manifest;
mod mbfile;
mod putback;
mod save;
#[cfg(test)]
mod tests;

pub use afc::{serve_afc, serve_crash_reports};
pub use agent::serve_mobilebackup2;
pub use content::{Content, Look, Made};
pub use files::{Entry, Kind, Listed, PhoneFiles};
pub use furnish::{APPS, file_id};
pub use lockbox::Lockbox;
pub use mbfile::MbFile;

use serde::{Deserialize, Serialize};

/// What this server can be told to do wrong.
///
/// Files are counted from 1 over one session, in both directions, and only the person's files count, not
/// Status.plist and its like; bytes likewise count only the contents of these files.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Major number of the DeviceLink version exchange; none: 400, or 300 before iOS 14.
    pub dl_version: Option<u32>,
    /// The link is cut when this file begins.
    pub cut_at_file: Option<u32>,
    /// The link is cut after so many bytes, in the middle of a frame.
    pub cut_at_byte: Option<u64>,
    /// The phone neither sends nor reads any more when this file begins.
    pub silent_at_file: Option<u32>,
    /// Noise stands where the names of this file should be.
    pub garbage_at_file: Option<u32>,
    /// The length word of the first data frame.
    pub absurd_frame_length: Option<u32>,
    /// The length word of the first request after Hello.
    pub absurd_message_length: Option<u32>,
    /// A host path that the phone asks the host to work on, beside its own.
    pub hostile_path: Option<String>,
    /// In which message the hostile path travels.
    pub hostile_in: HostileIn,
    /// Every Nth file cannot be read: an error frame (0x0B) instead of contents, and no row in the manifest.
    pub file_error_every: Option<u32>,
    /// A session that went well ends with this error.
    pub final_error: Option<FinalError>,
    /// The progress number goes back now and then, as real ones do.
    pub extra_progress_backwards: bool,
    /// Milliseconds of real time before the first file.
    pub silence_before_first_file_ms: u64,
    /// What the phone believes that it will upload, in bytes: absurd estimates are seen in the field.
    pub free_space_claim: Option<u64>,
    /// The phone asks the host to purge so many bytes although there is room, and goes on whatever the answer.
    pub purge_request: Option<u64>,
    /// In a restore the phone asks for this path too, and fails with 205 when the host has no such file.
    pub restore_missing_path: Option<String>,
    /// In a restore a payload of another size than the manifest says is taken as it comes: whoever backed up a file
    /// that was just growing gets back what was read of it.
    pub takes_other_sizes: bool,
    /// The keybag claims so many iterations of its first derivation.
    pub keybag_iterations: Option<u32>,
    /// The manifest gives this file's key under another class than the one it is wrapped with; files are counted as
    /// the manifest names them, from 1.
    pub wrong_wrap_at_file: Option<u32>,
    /// The payload of this file lacks its last 5 bytes, and the phone does not notice.
    pub truncated_payload_at_file: Option<u32>,
    /// A change of the backup password is agreed to and not done.
    pub password_ignored: bool,
}

/// Which message a hostile path travels in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostileIn {
    #[default]
    Upload,
    CreateDirectory,
    /// As the destination of a move.
    MoveTo,
    /// As the source of a move.
    MoveFrom,
    Remove,
    List,
    Copy,
}

/// How a session ends that should have ended well.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinalError {
    /// Of MBErrorDomain, e.g. 104.
    pub code: i64,
    pub text: String,
}
