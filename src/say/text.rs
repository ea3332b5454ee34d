//! The keys: every sentence that a person may read, with what goes into it.

/// What happened, and what a person can do about it.
#[derive(Clone, Copy, Debug)]
pub struct Advice {
    pub what: &'static str,
    /// One or two sentences, ending in a full stop.
    pub next: &'static str,
}

#[derive(Clone, Debug)]
pub enum Text {
    FaultStage {
        stage: String,
    },
    FaultDevice {
        device: String,
    },
    FaultDetail {
        detail: String,
    },
    FaultWhose {
        whose: &'static str,
    },
    FaultNext {
        next: &'static str,
    },
    /// Where a code of ours is explained at length.
    FaultMore {
        codes: String,
    },
    /// What a number means that the failure carries.
    FaultNumber {
        number: String,
        means: &'static str,
    },
    ExplainUnknown {
        code: String,
    },
    ExplainFirstAid,
    ExplainMore,
    VirtualBanner,
    NoDevices,
    ListHeader,
    NoAccess,
    /// A model that no table has.
    Guessed {
        like: String,
    },
    UnknownValue,
    Trusted,
    Untrusted,
    TrustLocked,
    TrustPending,
    TrustDenied,
    TrustStale,
    Paired {
        name: String,
    },
    AlreadyPaired {
        name: String,
    },
    Unpaired {
        name: String,
    },
    /// The device had forgotten already; only the record here was left.
    UnpairedHere {
        name: String,
    },
    /// What `pair` is about to need from a person, and for how long it waits.
    PairNeeds {
        seconds: u64,
    },
    /// The record of the old trust is gone.
    PairReset,
    PlanTitle {
        name: String,
    },
    PlanKeeps,
    PlanLoses,
    PlanSteps,
    /// What the plan does, before all else.
    PlanDoes,
    DoesErase,
    DoesUpdate,
    UpdateWarning {
        name: String,
        ecid: String,
    },
    UpdateWord,
    ReportData,
    DataErased,
    DataKept,
    PreflightTitle,
    DryRunCached,
    DryRunMinutes {
        minutes: u64,
    },
    DryRunUnknown,
    DryRunTotal {
        minutes: u64,
    },
    DryRunNeeds,
    DryRunNothing,
    PlanFirmware {
        version: String,
        build: String,
        size: String,
    },
    KeepsBackup,
    KeepsOnDevice,
    KeepsNothing,
    LosesAll,
    /// A backup could be made, and is not wanted.
    LosesAllUnsaved,
    LosesNothing,
    LosesAllButBackup,
    EraseWarning {
        name: String,
        ecid: String,
    },
    EraseTypeToConfirm {
        word: String,
    },
    RestoreBackWarning {
        name: String,
    },
    ConsentWord,
    ConsentRefused,
    /// Asked on a terminal; what is typed is not shown.
    BackupPasswordAsk,
    BackupPasswordAskVerify,
    BackupPasswordChecking,
    BackupSealed,
    /// Made, and encrypted with its manifest: nothing in it could be counted.
    BackupDoneSealed {
        files: u64,
        size: String,
        place: String,
    },
    /// After a backup that is not encrypted.
    BackupPlain,
    BackupPasswordAskOld,
    BackupPasswordAskNew,
    BackupPasswordAskAgain,
    BackupPasswordsDiffer,
    /// What switching it on means, before a password is asked for.
    EncryptionBefore,
    EncryptionForgotten,
    EncryptionLoses,
    EncryptionNowOn,
    EncryptionChanged,
    EncryptionNowOff,
    EncryptionIsOff,
    BackupDone {
        files: u64,
        size: String,
        place: String,
    },
    BackupPartial {
        unread: u64,
    },
    /// No backup can be made; this one from before comes back.
    BackupExisting {
        generation: String,
    },
    BackupNotPossible {
        why: String,
    },
    NoBackups,
    PruneHeader,
    PruneGoes,
    PruneStays,
    PruneHeld,
    PruneDamaged,
    PruneNothing,
    PruneAsk {
        count: usize,
        word: String,
    },
    PruneWord,
    PruneDone {
        count: usize,
    },
    ShowLabels,
    ShowKinds,
    ShowEncrypted {
        encrypted: Option<bool>,
    },
    ShowSealed,
    ExportDone {
        files: u64,
        size: String,
        place: String,
    },
    ExportLinked,
    ShowChecked {
        when: String,
        deep: bool,
        damage: u64,
        first: Option<String>,
    },
    FindingsMore {
        count: u64,
    },
    ProveIntro {
        device: String,
        version: String,
    },
    /// No table has the model of the backup.
    ProveStandIn {
        product: String,
        device: String,
    },
    ProveDone {
        files: u64,
        size: String,
        device: String,
    },
    ProveAbsent {
        what: String,
    },
    ProveOther {
        what: String,
    },
    FirmwareReady {
        version: String,
        build: String,
        place: String,
    },
    FirmwareCached,
    FirmwareFor {
        products: String,
    },
    FirmwareRemote {
        size: String,
    },
    FirmwareHeader,
    FirmwareHere,
    FirmwareNotHere,
    SignedUnsaid,
    SignedYes,
    SignedNo,
    SignedUnknown {
        text: String,
    },
    SignedAsked {
        product: String,
        board: String,
    },
    CachePruneNothing,
    CachePruneAsk {
        count: usize,
        word: String,
    },
    CachePruneDone {
        count: usize,
        size: String,
    },
    RestoreDone {
        version: String,
        build: String,
    },
    PutBackDone {
        files: u64,
    },
    PutBackPlan {
        generation: String,
        device: String,
    },
    PutBackSystem,
    PutBackNoSystem,
    PutBackSettings,
    PutBackKeepsSettings,
    PutBackLeaves,
    PutBackRemoves,
    PutBackCopies,
    /// More than is free now, less than the device holds.
    PutBackTight,
    PutBackRestarts,
    PutBackStays,
    PutBackInSetup,
    ReportTitle,
    ReportSaved {
        place: String,
    },
    ReportDevice,
    ReportResult,
    ReportDuration,
    ReportSteps,
    ReportBackup,
    ReportFiles {
        files: u64,
        size: String,
        place: String,
    },
    ReportFirmware,
    OutcomeOk,
    OutcomePartial,
    OutcomeFailed,
    OutcomeCancelled,
    CancelOnce,
    CancelNow {
        state: String,
    },
    CancelTwice {
        state: String,
    },
    StateSafe,
    StateRecovery,
    StateErased,
    /// So many devices of a batch are being worked on.
    StateBatch {
        running: usize,
    },
    ResumeHint {
        job: String,
    },
    ResumeNothing,
    DemoIntro {
        device: String,
        bus: String,
    },
    DemoBusEmulated,
    DemoBusDirect,
    DemoProof {
        files: u64,
        size: String,
    },
    DemoDone {
        seconds: u64,
    },
    BenchUp {
        place: String,
    },
    BenchUse,
    BenchStops,
    BenchDown,
    Waiting {
        seconds: u64,
    },
    DoctorGood,
    DoctorBad {
        blocking: usize,
        warnings: usize,
    },
    DoctorMore {
        count: usize,
    },
    DoctorWatching {
        seconds: u64,
    },
}
