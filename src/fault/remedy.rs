//! What helps, where a fault's code alone does not tell.
//!
//! A device ends a backup with one of thirty numbers; many of them are one [`super::Code`] for a script and
//! different advice for a person. The numbers are a table (`facts/backup_errors.tsv`), the words are in `say`.

use super::words::words;

words! {
    /// What a person can do about it, as a stable word.
    Remedy {
        /// Protected data was closed: unlock and repeat.
        Unlock = "unlock",
        /// Something of an earlier run is left on the device.
        RestartDevice = "restart-device",
        /// It is still getting its own data back from iCloud.
        WaitForCloud = "wait-for-icloud",
        /// The device cannot read or write its own storage.
        DeviceStorage = "device-storage",
        /// It stumbled over a file of its own.
        DeviceFile = "device-file",
        /// Files on the device that cannot be read.
        UnreadableFiles = "unreadable-files",
        /// The remains of an earlier run lie in the folder here.
        SnapshotLeft = "snapshot-left",
        /// Room on this computer, as the device counts it.
        HostRoom = "host-room",
        /// Room on the device.
        DeviceRoom = "device-room",
        /// Somebody stopped it on the device.
        StoppedThere = "stopped-on-device",
        /// The backup is of a newer system.
        UpdateDevice = "update-device",
        /// The older backup here is of a kind that the device does not go on with.
        BackupVersion = "backup-version",
        /// The backup is not whole: look before it is put back.
        VerifyBackup = "verify-backup",
        /// The older backup here is not whole: make a fresh one.
        StartFresh = "start-fresh",
        /// The password of the backup.
        Password = "backup-password",
        /// The password that the device has now.
        OldPassword = "old-password",
        /// The device wants an encrypted backup.
        PasswordDemanded = "encryption-demanded",
        Passcode = "passcode",
        FindMy = "find-my",
        Setup = "finish-setup",
        /// Room on the device for a newer system beside the data.
        UpdateRoom = "update-room",
        /// Nobody knows what this number means.
        Unknown = "unknown",
    }
}
