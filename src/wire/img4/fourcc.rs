//! Which fourcc a component of a BuildManifest carries.
//!
//! A manifest names the type itself (`Img4PayloadType`) only where it differs from the file's; this table is
//! for the rest, and for tickets. Sources: facts (restore.md 1.7), the names agree in three projects.

/// Component and fourcc, one pair a line of people who read tickets: by subject.
const TABLE: &str = "
    iBSS ibss  iBEC ibec  iBoot ibot  LLB illb  iBootData ibdt  iBootDataStage1 ibd1  iBootTest itst  CFELoader cfel
    DeviceTree dtre  KernelCache krnl  StaticTrustCache trst  LoadableTrustCache ltrs  EngineeringTrustCache dtrs
    SEP sepi  SystemVolume isys  Ap,SystemVolumeCanonicalMetadata msys  SystemLocker lckr  OSRamdisk osrd
    RestoreDeviceTree rdtr  RestoreKernelCache rkrn  RestoreLogo rlgo  RestoreRamDisk rdsk  RestoreSEP rsep
    RestoreTrustCache rtsc  RestoreANS rans  RestoreDCP rdcp  RestoreExtDCP recp  RestoreRTP rrtp
    Ap,RestoreANE1 ran1  Ap,RestoreANE2 ran2  Ap,RestoreANE3 ran3  Ap,RestoreCIO rcio  Ap,RestoreDCP2 rdc2
    Ap,RestoreTMU rtmu  Ap,RestoreSecureM3Firmware rsm3  Ap,RestoreSecurePageTableMonitor rspt
    Ap,RestoreTrustedExecutionMonitor rtrx  Ap,RestorecL4 rxcl
    AppleLogo logo  RecoveryMode recm  NeedService nsrv  Liquid liqd  BatteryCharging glyC  BatteryCharging0 chg0
    BatteryCharging1 chg1  BatteryFull batF  BatteryLow0 bat0  BatteryLow1 bat1  BatteryPlugin glyP
    LowPowerWallet0 lpw0  LowPowerWallet1 lpw1  LowPowerWallet2 lpw2  Ap,rOSLogo1 rlg1  Ap,rOSLogo2 rlg2
    ANE anef  Ap,ANE1 ane1  Ap,ANE2 ane2  Ap,ANE3 ane3  ANS ansf  AOP aopf  AVE avef  GFX gfxf  ISP ispf  PMP pmpf
    SIO siof  DCP dcpf  ExtDCP edcp  Ap,DCP2 dcp2  Ap,CIO ciof  Ap,TMU tmuf  RTP rtpf  Ap,Scorpius scpf  MtpFirmware mtpf
    Multitouch mtfw  InputDevice ipdf  LeapHaptics lphp  Ap,HapticAssets hpas  AudioCodecFirmware acfw
    Ap,AudioBootChime aubt  Ap,AudioAccessibilityBootChime auac  Ap,AudioPowerAttachChime aupr
    Alamo almo  Dali dali  CrownFirmware crwn  Hamm hamf  Homer homr  PEHammer hmmr  PERTOS pert  PHLEET phlt  RBM rmbt
    SCE scef  SCE1Firmware sc1f  WCHFirmwareUpdater wchf  MacEFI mefi  ACIBT acib  ACIBTLPEM lpbt  ACIWIFI aciw
    Rap,SoftwareBinaryDsp1 sbd1  Rap,RTKitOS rkos  Rap,RestoreRTKitOS rrko  ftap ftap  ftsp ftsp  rfta rfta  rfts rfts
    Ap,LocalBoot lobo  Ap,LocalPolicy lpol  Ap,NextStageIM4MHash nsih  Ap,RecoveryOSPolicyNonceHash ronh
    Ap,VolumeUUID vuid  Ap,BootabilityBrainTrustCache trbb  PersonalizedDMG pdmg  Diags diag
    Cryptex1,SystemOS csos  Cryptex1,SystemVolume csys  Cryptex1,SystemTrustCache trcs
    Cryptex1,AppOS caos  Cryptex1,AppVolume casy  Cryptex1,AppTrustCache trca
";

/// Components whose file carries the fourcc of the installed variant and must be renamed before it is sent.
const RENAMED: [&str; 14] = [
    "RestoreKernelCache",
    "RestoreDeviceTree",
    "RestoreSEP",
    "RestoreLogo",
    "RestoreTrustCache",
    "RestoreDCP",
    "Ap,DCP2",
    "Ap,RestoreDCP2",
    "Ap,RestoreTMU",
    "Ap,RestoreCIO",
    "Ap,RestoreSecureM3Firmware",
    "Ap,RestoreSecurePageTableMonitor",
    "Ap,RestoreTrustedExecutionMonitor",
    "Ap,RestorecL4",
];

/// The fourcc of a component in tickets and containers; none for a name that is not in the table.
pub fn fourcc(component: &str) -> Option<[u8; 4]> {
    if component == "OS" {
        return Some(*b"OS\0\0");
    }
    let mut words = TABLE.split_whitespace();
    while let (Some(name), Some(code)) = (words.next(), words.next()) {
        if name == component {
            return code.as_bytes().try_into().ok();
        }
    }
    None
}

/// The fourcc that replaces the file's own when this component is sent; none where the file goes as shipped.
pub fn restore_fourcc(component: &str) -> Option<[u8; 4]> {
    RENAMED.contains(&component).then(|| fourcc(component)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_table_is_pairs_of_a_name_and_four_letters() {
        let words: Vec<&str> = TABLE.split_whitespace().collect();
        assert_eq!(words.len() % 2, 0);
        let mut names = HashSet::new();
        let mut codes = HashSet::new();
        for pair in words.chunks(2) {
            assert_eq!(pair[1].len(), 4, "{pair:?}");
            assert!(names.insert(pair[0]) && codes.insert(pair[1]), "{pair:?}");
        }
        assert!(RENAMED.iter().all(|name| restore_fourcc(name).is_some()));
    }

    #[test]
    fn shared_files_are_renamed_and_others_are_not() {
        assert_eq!(restore_fourcc("RestoreKernelCache"), Some(*b"rkrn"));
        assert_eq!(restore_fourcc("RestoreSEP"), Some(*b"rsep"));
        assert_eq!(restore_fourcc("RestoreRamDisk"), None);
        assert_eq!(restore_fourcc("iBSS"), None);
        assert_eq!(fourcc("iBSS"), Some(*b"ibss"));
        assert_eq!(fourcc("OS"), Some(*b"OS\0\0"));
        assert_eq!(fourcc("Unheard"), None);
    }
}
