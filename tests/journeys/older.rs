//! A phone that nobody can back up any more, and a backup of it from before: `recover` erases it and puts that one
//! back, after the owner has signed in where the phone is locked to an account.

use super::*;

fn answers(rig: &Rig) -> String {
    let file = rig.path("answers.toml");
    let lines = "ownership = 'owner'\nproblem = 'forgotten-code'\nmanaged = 'no'\nprevious-code = 'no'\n\
                 password = 'yes'\nonline = 'no'\n";
    fs::write(&file, lines).unwrap();
    file.display().to_string()
}

#[test]
fn an_older_backup_comes_back_when_no_new_one_can_be_made() {
    let rig = one("iphone13", "passcode = \"unlocked\"\nfind_my = true\nversion = \"17.4\"");
    let phone = rig.phone();
    let ecid = phone.ecid.to_string();
    exits(&rig, &["pair"], 0);
    exits(&rig, &["backup"], 0);
    let before = phone.files.digest_of_user_data();
    phone.lock_screen();
    let file = answers(&rig);
    let asked = exits(&rig, &["triage", "--json", "--answers", &file], 0);
    let plan = line_with(&asked, "triage")["triage"]["plan"].clone();
    assert_eq!(
        (&plan["name"], &plan["commands"]),
        (&json!("restore-and-put-back"), &json!([format!("herstel recover -d {ecid}")]))
    );

    let stopped = exits(&rig, &["recover", "--json", "--answers", &file, "--yes-erase", &ecid], 4);
    assert_eq!(stopped.code_of_fault(), Some(Code::FindMyOn), "{stopped}");
    let plan = event(&stopped, "plan")["plan"].clone();
    assert_eq!((&plan["backup"], &plan["put_back"]), (&json!("existing"), &json!(true)));
    assert!(stopped.err.contains("is put back; what came after it is lost"), "{stopped}");
    assert_eq!(phone.files.user_file_count(), 0);

    assert!(soon(|| phone.sign_in()), "Activation Lock asks for the account");
    exits(&rig, &["resume"], 0);
    is_new(&rig, 1, "an older backup");
    assert_eq!(phone.files.digest_of_user_data(), before);
}

#[test]
fn a_backup_that_is_damaged_stops_it_before_the_erase() {
    let rig = one("iphone13", "passcode = \"unlocked\"\nversion = \"17.4\"");
    let phone = rig.phone();
    let ecid = phone.ecid.to_string();
    exits(&rig, &["pair"], 0);
    exits(&rig, &["backup"], 0);
    phone.lock_screen();
    let manifest = bench::files(&rig.vault()).into_iter().map(|(path, _)| path);
    let manifest = manifest.into_iter().find(|path| path.ends_with("Manifest.db")).unwrap();
    let manifest = if manifest.is_absolute() { manifest } else { rig.vault().join(manifest) };
    fs::write(&manifest, b"not a database").unwrap();
    let file = answers(&rig);
    let before = phone.files.digest_of_user_data();
    let stopped = exits(&rig, &["recover", "--json", "--answers", &file, "--yes-erase", &ecid], 7);
    let code = stopped.code_of_fault().unwrap();
    assert!(matches!(code, Code::BackupDamaged | Code::BackupUnverified), "{stopped}");
    assert_eq!((phone.remembered("files.erased"), phone.files.digest_of_user_data()), (0, before));
}
