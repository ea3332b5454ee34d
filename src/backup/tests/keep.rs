//! What becomes of generations: removed in order, exported, held; and what a cut can leave beside them.

use super::fake::{file_id, status_plist};
use super::*;
use crate::fault::Code;
use jiff::Timestamp;
use std::os::unix::fs::MetadataExt;

const LAST: fn(u32) -> Keep = |last| Keep { last: Some(last), days: None };

/// So many generations, and none of them held.
fn made(count: usize) -> (Bench, Vec<String>) {
    let (bench, mut phone) = (Bench::new(), FakePhone::new(8));
    let each = |n: usize| {
        phone.set("HomeDomain", "n", &[n as u8; 30]);
        bench.run(&mut phone).0.unwrap().0.name
    };
    let names = (0..count).map(each).collect();
    (bench, names)
}

impl Bench {
    fn plan(&self, keep: Keep) -> PrunePlan {
        self.vault.plan_prune(&udid(), &keep, Timestamp::now(), &self.tell, &self.cancel).unwrap()
    }

    fn names(&self) -> Vec<String> {
        self.vault.generations(&udid()).unwrap().into_iter().map(|g| g.name).collect()
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.vault.root().join(UDID).join(path)
    }

    fn begin_and_leave(&self) {
        let desk = self.vault.take(&udid()).unwrap();
        desk.begin(false, &self.tell, &self.cancel).unwrap().give_up().unwrap();
    }
}

fn names(standings: &[Standing]) -> Vec<&str> {
    standings.iter().map(|each| each.name.as_str()).collect()
}

#[test]
fn a_prune_keeps_what_is_held_and_what_is_sound() {
    let (bench, all) = made(4);
    assert!(all.is_sorted() && bench.names() == all);
    let held = bench.vault.generation(&udid(), Some(&all[1])).unwrap();
    assert!(held.is_held());
    let plan = bench.plan(LAST(1));
    assert_eq!(names(&plan.goes), [&all[0], &all[2]]);
    assert!(plan.stays[0].held && plan.stays.len() == 2);
    // Somebody begins to read one of them after the plan was made.
    let reader = bench.vault.generation(&udid(), Some(&all[2])).unwrap();
    let before = contents(&reader.path);
    let desk = bench.vault.take(&udid()).unwrap();
    assert_eq!(desk.remove(&plan, &bench.cancel).unwrap(), [all[0].as_str()]);
    assert_eq!(bench.names(), all[1..]);
    assert_eq!(contents(&reader.path), before);
    drop((held, reader));

    // The newest turns out to be damaged: then it is not the one that may stay alone.
    let newest = bench.at("generations").join(&all[3]).join(UDID);
    let id = file_id("HomeDomain", "n");
    std::fs::remove_file(newest.join(&id[..2]).join(&id)).unwrap();
    let plan = bench.plan(LAST(1));
    assert_eq!((names(&plan.goes), names(&plan.stays)), (vec![all[1].as_str()], vec![all[2].as_str(), &all[3]]));
    // And one whose parts cannot be read is none.
    std::fs::write(bench.at("generations").join(&all[2]).join(UDID).join("Status.plist"), b"").unwrap();
    assert_eq!(names(&bench.plan(LAST(1)).goes), Vec::<&str>::new(), "1 is the newest good one");
    let wrong = PrunePlan { goes: plan.stays, stays: vec![] };
    assert_eq!(desk.remove(&wrong, &bench.cancel).unwrap_err().code, Code::Internal);
    assert_eq!(bench.names(), all[1..]);
}

#[test]
fn nobody_can_take_what_is_being_removed() {
    let (bench, all) = made(2);
    let path = bench.at("generations").join(&all[0]);
    let alone = super::super::hold::Hold::alone(&path).unwrap().unwrap();
    assert_eq!(bench.vault.generation(&udid(), Some(&all[0])).unwrap_err().code, Code::BackupNone);
    drop(alone);
    let first = bench.vault.generation(&udid(), Some(&all[0])).unwrap();
    let second = first.clone();
    drop(first);
    assert!(super::super::hold::Hold::alone(&path).unwrap().is_none(), "the clone holds it too");
    drop(second);
    assert!(super::super::hold::Hold::alone(&path).unwrap().is_some());
}

/// What a kill leaves between two steps, made by hand at each of them.
#[test]
fn leftovers_of_a_kill_are_never_generations_and_go() {
    let (bench, all) = made(3);
    let untouched: Vec<_> = all[1..].iter().map(|name| contents(&bench.at("generations").join(name))).collect();
    // In the middle of a removal.
    std::fs::rename(bench.at("generations").join(&all[0]), bench.at(&format!("trash-{}", all[0]))).unwrap();
    std::fs::remove_file(bench.at(&format!("trash-{}", all[0])).join("generation.json")).unwrap();
    // In the middle of a clone; before the link was moved; with the new link made.
    std::fs::create_dir_all(bench.at("cloning").join(UDID)).unwrap();
    std::fs::remove_file(bench.at("latest")).unwrap();
    for (link, to) in [("latest", &all[1]), ("latest.new", &all[2])] {
        std::os::unix::fs::symlink(format!("generations/{to}"), bench.at(link)).unwrap();
    }
    assert_eq!(bench.names(), all[1..]);
    bench.begin_and_leave();
    let left: Vec<_> = std::fs::read_dir(bench.at("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "generations, latest, lock: {left:?}");
    assert_eq!(std::fs::read_link(bench.at("latest")).unwrap(), std::path::Path::new("generations").join(&all[2]));
    let now: Vec<_> = all[1..].iter().map(|name| contents(&bench.at("generations").join(name))).collect();
    assert!(now == untouched);
}

#[test]
fn a_tree_that_was_left_by_a_power_cut_is_not_gone_on_with() {
    let (bench, _) = made(1);
    let leave = |edit: fn(&mut serde_json::Value)| {
        let desk = bench.vault.take(&udid()).unwrap();
        let work = desk.begin(false, &bench.tell, &bench.cancel).unwrap();
        let resumed = work.is_resumed();
        // A file of its own: the one that is there may be a name of the generation's.
        let status = work.tree().root().join(UDID).join("Status.plist");
        std::fs::remove_file(&status).unwrap();
        std::fs::write(&status, status_plist("moving")).unwrap();
        let path = work.tree().root().join("work.json");
        // As a kill leaves it: nothing is closed.
        drop(work);
        let mut state: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        edit(&mut state);
        std::fs::write(&path, state.to_string()).unwrap();
        resumed
    };
    assert!(!leave(|_| {}));
    assert!(leave(|state| state["resumes"] = 0.into()), "killed, and the same boot");
    assert!(leave(|state| (state["resumes"], state["boot"]) = (0.into(), "another".into())));
    assert!(!leave(|state| {
        (state["boot"], state["settled"]) = ("another".into(), true.into());
    }));
    assert!(leave(|_| {}), "written to the medium before the boot");
}

#[test]
fn an_export_is_the_backup_and_shares_no_inode() {
    let (bench, all) = made(2);
    let generation = bench.vault.generation(&udid(), None).unwrap();
    let to = bench.dir.path().join("out/side");
    let exported = export(&generation, &to, false, &bench.tell, &bench.cancel).unwrap();
    assert_eq!(exported.path, to.join(UDID));
    assert!(contents(&exported.path) == contents(&generation.folder()));
    assert!(exported.verdict.compared > 8 && matches!(exported.how, How::Copy | How::Reflink));
    let inode = |folder: &Path| folder.join("Manifest.db").metadata().unwrap().ino();
    assert_ne!(inode(&exported.path), inode(&generation.folder()));
    let count = || std::fs::read_dir(&to).unwrap().count();
    assert_eq!(count(), 1, "nothing else is left there");

    let again = export(&generation, &to, false, &bench.tell, &bench.cancel).unwrap_err();
    assert_eq!(again.code, Code::DiskError);
    let linked = bench.dir.path().join("linked");
    let exported = export(&generation, &linked, true, &bench.tell, &bench.cancel).unwrap();
    assert!(exported.how != How::Link || inode(&exported.path) == inode(&generation.folder()));

    // A bit that flipped in the vault does not go out as good.
    let older = bench.vault.generation(&udid(), Some(&all[0])).unwrap();
    let id = file_id("HomeDomain", "n");
    std::fs::write(older.folder().join(&id[..2]).join(&id), [9; 30]).unwrap();
    let rotten = bench.dir.path().join("rotten");
    let fault = export(&older, &rotten, false, &bench.tell, &bench.cancel).unwrap_err();
    assert_eq!(fault.code, Code::BackupDamaged);
    assert_eq!(std::fs::read_dir(&rotten).unwrap().count(), 0);
    bench.cancel.ask();
    assert_eq!(export(&older, &rotten, false, &bench.tell, &bench.cancel).unwrap_err().code, Code::Cancelled);
    assert_eq!(std::fs::read_dir(&rotten).unwrap().count(), 0);
}

#[test]
fn a_tally_counts_by_kind_of_domain() {
    let (bench, mut phone) = (Bench::new(), FakePhone::new(3));
    phone.set("AppDomain-com.example.one", "Documents/a", &[1; 100]);
    phone.set("AppDomain-com.example.two", "Documents/b", &[1; 5000]);
    let generation = bench.run(&mut phone).0.unwrap().0;
    let tally = Tally::of(&generation).unwrap();
    let kinds: Vec<_> = tally.kinds.iter().map(|k| (k.kind.as_str(), k.files, k.bytes)).collect();
    assert_eq!(kinds, [("AppDomain", 2, 5100), ("CameraRollDomain", 3, 37 + 74)]);
    assert_eq!((tally.folders, tally.links), (1, 0));
    let record = generation.record.unwrap();
    assert!(record.begun.unwrap() <= record.made);
}
