//! What the numbers and words of restored are called, as data files that can be read without Rust.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The `DataType` words.
pub mod data {
    pub const BASEBAND_BOOT_DATA: &str = "BasebandBootData";
    pub const BASEBAND_DATA: &str = "BasebandData";
    pub const BASEBAND_UPDATER_OUTPUT_DATA: &str = "BasebandUpdaterOutputData";
    pub const BOOTABILITY_BUNDLE: &str = "BootabilityBundle";
    pub const BOOTABILITY_BUNDLE_V2: &str = "BootabilityBundleV2";
    pub const BUILD_IDENTITY_DICT: &str = "BuildIdentityDict";
    pub const BUILD_IDENTITY_DICT_V2: &str = "BuildIdentityDictV2";
    pub const DEVICE_RESTORE_INFO_PREFLIGHT: &str = "DeviceRestoreInfoPreflight";
    pub const DEVICE_TREE: &str = "DeviceTree";
    pub const EAN_DATA: &str = "EANData";
    pub const FDR_TRUST_DATA: &str = "FDRTrustData";
    pub const FIRMWARE_UPDATER_DATA: &str = "FirmwareUpdaterData";
    pub const FIRMWARE_UPDATER_DATA_V2: &str = "FirmwareUpdaterDataV2";
    pub const FIRMWARE_UPDATER_DATA_V3: &str = "FirmwareUpdaterDataV3";
    pub const FIRMWARE_UPDATER_PREFLIGHT: &str = "FirmwareUpdaterPreflight";
    pub const FUD_DATA: &str = "FUDData";
    pub const HOST_SYSTEM_TIME: &str = "HostSystemTime";
    pub const KERNEL_CACHE: &str = "KernelCache";
    pub const NOR_DATA: &str = "NORData";
    pub const PERSONALIZED_BOOT_OBJECT_V3: &str = "PersonalizedBootObjectV3";
    pub const PERSONALIZED_DATA: &str = "PersonalizedData";
    pub const RECEIPT_MANIFEST: &str = "ReceiptManifest";
    pub const RECOVERY_OS_ASR_IMAGE: &str = "RecoveryOSASRImage";
    pub const RECOVERY_OS_FILE_ASSET_IMAGE: &str = "RecoveryOSFileAssetImage";
    pub const RECOVERY_OS_IBOOT_FW_FILES_IMAGES: &str = "RecoveryOSIBootFWFilesImages";
    pub const RECOVERY_OS_IMAGE: &str = "RecoveryOSImage";
    pub const RECOVERY_OS_ROOT_TICKET_DATA: &str = "RecoveryOSRootTicketData";
    pub const RECOVERY_OS_VERSION_DATA: &str = "RecoveryOSVersionData";
    pub const ROOT_TICKET: &str = "RootTicket";
    pub const SOURCE_BOOT_OBJECT_V3: &str = "SourceBootObjectV3";
    pub const SOURCE_BOOT_OBJECT_V4: &str = "SourceBootObjectV4";
    pub const SOURCE_BOOT_OBJECT_V5: &str = "SourceBootObjectV5";
    pub const STREAMED_IMAGE_DECRYPTION_KEY: &str = "StreamedImageDecryptionKey";
    pub const SYSTEM_IMAGE_CANONICAL_METADATA: &str = "SystemImageCanonicalMetadata";
    pub const SYSTEM_IMAGE_DATA: &str = "SystemImageData";
    pub const SYSTEM_IMAGE_ROOT_HASH: &str = "SystemImageRootHash";
    pub const URL_ASSET: &str = "URLAsset";
}

/// Operations that code names.
pub mod operation {
    pub const RESTORE_IMAGE: u64 = 13;
    pub const VERIFY: u64 = 14;
    pub const FLASH_FIRMWARE: u64 = 18;
    pub const BASEBAND: u64 = 19;
    pub const SEALING: u64 = 77;
}

static OPERATIONS: LazyLock<BTreeMap<u64, &'static str>> =
    LazyLock::new(|| rows(include_str!("operations.tsv")).filter_map(|(n, t)| Some((n.parse().ok()?, t))).collect());
static CHECKPOINTS: LazyLock<BTreeMap<u16, &'static str>> = LazyLock::new(|| {
    rows(include_str!("checkpoints.tsv")).filter_map(|(n, t)| Some((u16::from_str_radix(n, 16).ok()?, t))).collect()
});
static DATA_TYPES: LazyLock<Vec<(&'static str, bool)>> = LazyLock::new(|| support(include_str!("data_types.tsv")));
static MESSAGE_TYPES: LazyLock<Vec<(&'static str, bool)>> =
    LazyLock::new(|| support(include_str!("message_types.tsv")));

fn rows(table: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    table.lines().filter_map(|line| line.split_once('\t'))
}

fn support(table: &'static str) -> Vec<(&'static str, bool)> {
    rows(table).map(|(name, kind)| (name, kind.starts_with("optional"))).collect()
}

/// An operation of a ProgressMsg by today's number. Protocols before 14 count one lower above 35.
pub fn operation_today(operation: u64, protocol: u64) -> u64 {
    if protocol < 14 && operation > 35 { operation.saturating_add(1) } else { operation }
}

/// What an operation of a ProgressMsg does, in English.
pub fn operation_name(operation: u64, protocol: u64) -> Option<&'static str> {
    OPERATIONS.get(&operation_today(operation, protocol)).copied()
}

/// The device's own name of a checkpoint.
pub fn checkpoint(id: u16) -> Option<&'static str> {
    CHECKPOINTS.get(&id).copied()
}

/// The id of a checkpoint's name; of several ids the lowest.
pub fn checkpoint_id(name: &str) -> Option<u16> {
    CHECKPOINTS.iter().find(|(_, n)| **n == name).map(|(id, _)| *id)
}

/// (name, value in the table): true is optional or asynchronous, false is plain.
///
/// Beside types that are answered the file has: a `gate`, which a system demands of its host and never asks a
/// phone's for (it would be refused); a `word` of the messages; a `key` that is only asked for inside another
/// type. What else would be refused is not in it, so that no device counts on it.
pub fn data_types() -> &'static [(&'static str, bool)] {
    &DATA_TYPES
}

/// The words of [`data_types`] that are no types with an answer.
pub fn never_asked() -> impl Iterator<Item = &'static str> {
    let asked = |kind: &str| matches!(kind, "required" | "optional");
    rows(include_str!("data_types.tsv")).filter(move |(_, kind)| !asked(kind)).map(|(name, _)| name)
}

/// (name, value in the table): true is optional or asynchronous, false is plain.
pub fn message_types() -> &'static [(&'static str, bool)] {
    &MESSAGE_TYPES
}
