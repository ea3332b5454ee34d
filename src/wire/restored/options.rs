//! `RestoreOptions` of StartRestore: what a host tells the device before anything is erased.
//!
//! Most keys have one value that every tool sends. What differs is a field here: whether the file systems
//! are made anew, what the build identity brings (padding, SEP capacity), what the phone said about its
//! modem, and how much of the protocol this host speaks. A device refuses a host whose tables lack a
//! required word, so the tables are data files next to this one, and are sent whole.

use super::names;
use plist::{Dictionary, Value};

/// Partition sizes in GB, and MB of padding, for identities that bring none.
const PADDING: &[(&str, u64)] = &[
    ("8", 80),
    ("16", 160),
    ("32", 320),
    ("64", 640),
    ("128", 1280),
    ("256", 1280),
    ("512", 1280),
    ("768", 1280),
    ("1024", 1280),
];

/// Boot arguments that the ramdisk was started with.
pub const BOOT_ARGS: &str = "rd=md0 nand-enable-reformat=1 -progress";

/// What a recovery system that is installed beside the main one adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverySystem {
    /// `Info.Variant` of its identity.
    pub variant: String,
    /// Bytes of everything that goes onto its volume.
    pub bytes: u64,
}

impl RecoverySystem {
    /// Of its volume at first and at most, in MiB: what goes onto it, and room.
    pub fn megabytes(&self) -> (u64, u64) {
        let whole = self.bytes.div_ceil(1 << 20);
        (whole.saturating_mul(105) / 100 + 25, whole.saturating_mul(125) / 100 + 25)
    }
}

/// The options of an iOS or iPadOS restore.
#[derive(Clone, Debug, PartialEq)]
pub struct RestoreOptions {
    /// False is an update that keeps the person's data.
    pub erase: bool,
    /// Upper-case UUID of this attempt.
    pub uuid: String,
    /// `FirmwarePreflightInfo` of lockdown, when the phone was reached in normal mode.
    pub baseband_state: Option<Dictionary>,
    pub boot_args: Option<String>,
    /// `Info.SystemPartitionPadding` of the identity.
    pub padding: Option<Dictionary>,
    /// `Manifest.SEP.Info.RequiredCapacity` of the identity.
    pub sep_capacity: Option<String>,
    /// The tables of words this host knows. Devices up to iOS 15 do not look at them.
    pub tables: bool,
    /// From the iPhone 16 on.
    pub recovery: Option<RecoverySystem>,
    /// Whatever else a special case needs; wins over the keys above.
    pub extra: Dictionary,
}

impl RestoreOptions {
    pub fn new(erase: bool, uuid: impl Into<String>) -> Self {
        RestoreOptions {
            erase,
            uuid: uuid.into(),
            baseband_state: None,
            boot_args: Some(BOOT_ARGS.to_owned()),
            padding: None,
            sep_capacity: None,
            tables: true,
            recovery: None,
            extra: Dictionary::new(),
        }
    }

    pub fn build(&self) -> Dictionary {
        let mut m = Dictionary::new();
        let mut put = |key: &str, value: Value| {
            m.insert(key.to_owned(), value);
        };
        put("AutoBootDelay", Value::from(0u64));
        put("BootImageType", "User".into());
        put("CreateFilesystemPartitions", self.erase.into());
        put("DFUFileType", "RELEASE".into());
        put("DataImage", false.into());
        put("FirmwareDirectory", ".".into());
        put("FlashNOR", true.into());
        put("HostHasFixFor99053849", true.into());
        put("InstallDiags", false.into());
        put("KernelCacheType", "Release".into());
        put("NORImageType", "production".into());
        put("PersonalizedDuringPreflight", true.into());
        put("RestoreBundlePath", "/tmp/Per2.tmp".into());
        put("RootToInstall", false.into());
        put("SystemImage", true.into());
        put("SystemImageFormat", "AEAWrappedDiskImage".into());
        put("SystemImageType", "User".into());
        put("UUID", self.uuid.as_str().into());
        put("UpdateBaseband", true.into());
        put("WaitForDeviceConnectionToFinishStateMachine", false.into());
        if let Some(arguments) = &self.boot_args {
            put("RestoreBootArgs", arguments.as_str().into());
        }
        if let Some(state) = &self.baseband_state {
            let mut state = state.clone();
            state.remove("FusingStatus");
            state.remove("PkHash");
            if let Some(nonce) = state.get("Nonce") {
                put("BasebandNonce", nonce.clone());
            }
            put("BBUpdaterState", state.into());
        }
        let padding = self.padding.clone().unwrap_or_else(|| {
            PADDING.iter().map(|(gigabytes, megabytes)| ((*gigabytes).to_owned(), Value::from(*megabytes))).collect()
        });
        put("SystemPartitionPadding", padding.into());
        if let Some(capacity) = &self.sep_capacity {
            put("TZ0RequiredCapacity", capacity.as_str().into());
        }
        if self.tables {
            put("SupportedDataTypes", table(names::data_types()).into());
            put("SupportedMessageTypes", table(names::message_types()).into());
            let asynchronous = [
                (names::data::BASEBAND_DATA, false),
                (names::data::RECOVERY_OS_ASR_IMAGE, false),
                (names::data::STREAMED_IMAGE_DECRYPTION_KEY, false),
                (names::data::SYSTEM_IMAGE_DATA, false),
                (names::data::URL_ASSET, true),
            ];
            put("SupportedAsyncDataTypes", table(&asynchronous).into());
        }
        if let Some(recovery) = &self.recovery {
            let (at_first, at_most) = recovery.megabytes();
            put("InstallRecoveryOS", true.into());
            put("RecoveryOSBundlePath", "/tmp/Per2.tmp".into());
            put("AuthInstallRecoveryOSVariant", recovery.variant.as_str().into());
            put("recoveryOSPartitionSize", at_first.into());
            put("recoveryOSMaxPartitionSize", at_most.into());
        }
        for (key, value) in &self.extra {
            m.insert(key.clone(), value.clone());
        }
        m
    }
}

fn table(words: &[(&str, bool)]) -> Dictionary {
    words.iter().map(|(word, optional)| ((*word).to_owned(), Value::Boolean(*optional))).collect()
}
