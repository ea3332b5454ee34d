//! A phone with IMG3, from each mode to the new system.

use super::bench::Rig;
use super::{exits, is_new};

#[test]
fn an_iphone_5_is_restored_from_every_mode() {
    for mode in ["normal", "recovery", "dfu"] {
        let rig = Rig::new(&format!("pace = 25.0\n[[phone]]\nmodel = \"iPhone5,2\"\nmode = \"{mode}\"\nphotos = 4\n"));
        let ecid = rig.phone().ecid.to_string();
        let ran = exits(&rig, &["restore", "--erase", "--yes-erase", &ecid, "--json"], 0);
        assert_eq!(rig.phone().remembered("restore.finished"), 1, "{mode}\n{ran}");
        assert_eq!(rig.phone().remembered("boot.refused"), 0, "{mode}\n{ran}");
        is_new(&rig, 1, mode);
    }
}
