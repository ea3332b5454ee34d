//! Built files, judged by the rooms that read Apple's.

use super::*;
use crate::facts::models::by_nickname;
use crate::firmware::{Ipsw, RootImage as Served, Verdict, verify_components};
use crate::virt::phone::offered_system;
use crate::wire::img4::{Im4p, fourcc};
use crate::wire::manifest::{Behaviour, BuildManifest};
use crate::wire::tss::{ApRequest, Form};
use std::collections::BTreeMap;

const SIZE: u64 = (4 << 20) + 512;

fn built(model: &str, folder: &Path) -> (&'static Model, BuiltIpsw) {
    let model = by_nickname(model).unwrap();
    let (version, build) = offered_system(model);
    let spec = IpswSpec::for_models(&[model], &version.to_string(), &build.to_string(), SIZE);
    (model, spec.build(folder).unwrap())
}

#[test]
fn every_component_has_the_digest_that_the_manifest_says() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["iphone13", "iphone8", "iphone5s", "ipad-pro-m4", "iphone7", "d22ap", "d221ap", "iphone12", "iphone16"]
    {
        let (model, built) = built(name, folder.path());
        let ipsw = Ipsw::open(&built.path).unwrap();
        let manifest = ipsw.build_manifest().unwrap();
        assert_eq!(manifest.supported_products, std::slice::from_ref(&model.product));
        assert!(ipsw.restore_plist().unwrap().fits(model.cpid, model.bdid.unwrap()));
        for behaviour in [Behaviour::Erase, Behaviour::Update] {
            let identity = manifest.choose(model.cpid, model.bdid.unwrap(), Some(model.board), behaviour).unwrap();
            let checked = verify_components(&ipsw, identity, &|| true).unwrap();
            let mut sound = 0;
            for part in &checked {
                match &part.verdict {
                    Verdict::Ok => sound += 1,
                    Verdict::CannotCheck(_) if part.component.contains(',') || part.component == "BasebandFirmware" => {
                    }
                    bad => panic!("{name}: {} {}: {bad:?}", part.component, part.path),
                }
            }
            assert!(sound > 15, "{name}: {sound}");
        }
    }
}

#[test]
fn phones_since_the_iphone_16_have_a_recovery_system_with_its_own_image() {
    let folder = tempfile::tempdir().unwrap();
    for (name, has) in [("iphone16", true), ("iphone17", true), ("iphone13", false), ("ipad-pro-m4", false)] {
        let (model, built) = built(name, folder.path());
        let ipsw = Ipsw::open(&built.path).unwrap();
        let manifest = ipsw.build_manifest().unwrap();
        for behaviour in [Behaviour::Erase, Behaviour::Update] {
            let identity = manifest.choose(model.cpid, model.bdid.unwrap(), Some(model.board), behaviour).unwrap();
            assert_eq!((identity.recovery.is_some(), identity.lacks_recovery()), (has, false), "{name}");
            let Some(recovery) = &identity.recovery else { continue };
            assert_ne!(recovery.unique_build_id, identity.unique_build_id);
            let (main, own) = (identity.component("KernelCache").unwrap(), recovery.component("KernelCache").unwrap());
            assert_ne!(main.digest, own.digest);
            let image = recovery.system_image().unwrap();
            assert!(ipsw.stored(image).is_some() && Some(image) != identity.system_image());
            let checked = verify_components(&ipsw, identity, &|| true).unwrap();
            let own: Vec<_> = checked.iter().filter(|c| c.component.starts_with("RecoveryOS ")).collect();
            assert!(own.len() > 4 && own.iter().all(|c| c.verdict == Verdict::Ok), "{own:?}");
        }
    }
}

#[test]
fn what_boots_carries_its_fourcc_and_flags() {
    let folder = tempfile::tempdir().unwrap();
    let (model, built) = built("iphone13", folder.path());
    let ipsw = Ipsw::open(&built.path).unwrap();
    let manifest = ipsw.build_manifest().unwrap();
    let identity = manifest.choose(model.cpid, model.bdid.unwrap(), None, Behaviour::Erase).unwrap();
    for (name, component) in &identity.components {
        let path = component.path.as_deref().unwrap();
        let bytes = if name == "OS" { continue } else { ipsw.component(path).unwrap() };
        let Ok(im4p) = Im4p::parse(&bytes) else {
            assert!(name.contains(',') || name == "BasebandFirmware", "{name}");
            continue;
        };
        let sent = component.payload_type.unwrap_or(im4p.fourcc);
        assert_eq!(Some(sent), fourcc(name), "{name}");
    }
    let flagged = |flag: fn(&crate::wire::manifest::Flags) -> bool| {
        identity.components.iter().filter(|(_, c)| flag(&c.flags)).map(|(n, _)| n.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(flagged(|f| f.iboot_ean), ["SIO"]);
    assert_eq!(flagged(|f| f.iboot_non_essential), ["AVE"]);
    assert!(flagged(|f| f.fud_firmware).contains(&"Ap,SystemVolumeCanonicalMetadata"));
    assert!(flagged(|f| f.firmware_payload).contains(&"LLB"));
    let loaded: Vec<&str> = identity.loaded_by_iboot().map(|(name, _)| name).collect();
    let wanted = ["ANE", "AOP", "AVE", "GFX", "ISP", "PMP", "RestoreANS", "RestoreDCP", "RestoreTrustCache", "SIO"];
    assert_eq!(loaded, wanted);
    let request = ApRequest {
        form: Form::Img4,
        ecid: 1,
        ap_nonce: Some(vec![1; 32]),
        sep_nonce: Some(vec![2; 20]),
        production: true,
        security_mode: true,
        in_rom_dfu: Some(false),
        uuid: "U".into(),
    };
    let request = request.build(identity);
    let ibss = request.get("iBSS").and_then(plist::Value::as_dictionary).unwrap();
    assert_eq!(ibss.get("EPRO"), Some(&plist::Value::Boolean(true)));
    assert!(!request.contains_key("Rap,RTKitOS") && !request.contains_key("Cryptex1,SystemOS"));
}

#[test]
fn the_root_image_is_stored_and_comes_out_whole() {
    let folder = tempfile::tempdir().unwrap();
    for (name, encrypted) in [("iphone13", true), ("iphone8", false)] {
        let (model, built) = built(name, folder.path());
        let ipsw = Ipsw::open(&built.path).unwrap();
        let manifest = ipsw.build_manifest().unwrap();
        let identity = manifest.choose(model.cpid, model.bdid.unwrap(), None, Behaviour::Erase).unwrap();
        let path = identity.system_image().unwrap();
        assert_eq!(path.ends_with(".dmg.aea"), encrypted);
        assert_eq!(ipsw.stored(path).unwrap().size, SIZE);
        let image = Served::open(&ipsw, path, folder.path()).unwrap();
        let mut head = vec![0; 4096];
        image.read_at(0, &mut head).unwrap();
        let text = String::from_utf8_lossy(&head).into_owned();
        assert!(text.contains(&format!("<string>{}</string>", built.build)));
        assert_eq!(text.contains("com.apple.wkms.fcs-key-url\0https://wkms-public.apple.com/fcs-keys/"), encrypted);
        let names: Vec<&str> = ipsw.names().collect();
        assert!(names.len() > 20 && names.contains(&"Restore.plist"));
    }
}

#[test]
fn the_same_specification_is_built_once_and_always_the_same() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_, first) = built("iphone8", one.path());
    let made = std::fs::metadata(&first.path).unwrap().modified().unwrap();
    let (_, again) = built("iphone8", one.path());
    assert_eq!(std::fs::metadata(&again.path).unwrap().modified().unwrap(), made);
    let (_, elsewhere) = built("iphone8", two.path());
    assert_eq!((&first.sha1, &first.sha256, first.size), (&elsewhere.sha1, &elsewhere.sha256, elsewhere.size));
    assert_eq!(first.name, "iPhone10,1_16.7.16_20H392_Restore.ipsw");
    assert_eq!(std::fs::read_dir(one.path()).unwrap().count(), 1, "nothing is left of the building");
    assert!(IpswSpec::for_models(&[], "1.0", "1A1", 0).build(one.path()).is_err());
}

#[test]
fn one_file_serves_several_boards() {
    let folder = tempfile::tempdir().unwrap();
    let models = [by_nickname("n71ap").unwrap(), by_nickname("n71map").unwrap()];
    let built = IpswSpec::for_models(&models, "15.8.8", "19H422", SIZE).build(folder.path()).unwrap();
    assert_eq!(built.products.len(), 1);
    let manifest = BuildManifest::parse(&built.manifest).unwrap();
    assert_eq!(manifest.identities.len(), 6);
    let mut boards = BTreeMap::new();
    for model in models {
        let identity = manifest.choose(model.cpid, model.bdid.unwrap(), Some(model.board), Behaviour::Update).unwrap();
        boards.insert(identity.device_class.clone(), identity.unique_build_id.clone());
    }
    assert_eq!(boards.len(), 2);
}
