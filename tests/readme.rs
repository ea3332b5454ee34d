//! The README's transcripts, run as they stand against a bench; its batch file is the one that they use.

use herstel::virt::bench::Bench;
use herstel::virt::spec::{BenchSpec, PhoneSpec};

#[test]
fn the_tour_is_true() {
    let folder = tempfile::Builder::new().prefix("hr-").tempdir_in("/tmp").unwrap();
    let phone = PhoneSpec { model: "iphone13".into(), name: "Anna's iPhone".into(), ..PhoneSpec::default() };
    let spec = BenchSpec { phones: vec![phone], ..BenchSpec::default() };
    let bench = Bench::start(&folder.path().join("b"), spec, 8 << 20).unwrap();
    let cases = trycmd::TestCases::new();
    cases.env("LC_ALL", "C").env("NO_COLOR", "1").timeout(std::time::Duration::from_secs(120));
    for (key, value) in bench.environment(false) {
        cases.env(key.to_string_lossy(), value.to_string_lossy());
    }
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, batch) = readme.split_once("```toml\n").unwrap();
    let config = folder.path().join("config/herstel");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("batch.toml"), batch.split_once("```").unwrap().0).unwrap();
    for (key, name) in [
        ("XDG_CONFIG_HOME", "config"),
        ("XDG_DATA_HOME", "data"),
        ("XDG_CACHE_HOME", "cache"),
        ("XDG_STATE_HOME", "state"),
    ] {
        cases.env(key, folder.path().join(name).to_string_lossy());
    }
    cases.case("README.md").run();
}
