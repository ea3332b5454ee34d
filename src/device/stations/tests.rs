//! Stations on a computer that is made up, its buses counted anew, and files that a person got wrong.

use super::*;
use crate::disk::root::Root;
use crate::usb::topology::DEVICES;
use std::fs;
use std::os::unix::fs::symlink;

fn port(text: &str) -> PortPath {
    PortPath::new(text)
}

/// A computer whose buses are these controllers.
fn computer(buses: &[(u32, &str)]) -> (tempfile::TempDir, Topology) {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join(DEVICES);
    fs::create_dir_all(&list).unwrap();
    for (bus, controller) in buses {
        let real = folder.path().join(format!("sys/devices/{controller}/usb{bus}"));
        fs::create_dir_all(&real).unwrap();
        fs::write(real.join("speed"), "480\n").unwrap();
        symlink(format!("../../../devices/{controller}/usb{bus}"), list.join(format!("usb{bus}"))).unwrap();
    }
    let topology = Topology::of(Root::new(folder.path()));
    (folder, topology)
}

#[test]
fn a_station_stays_where_it_is_when_the_buses_are_counted_anew() {
    let (_a, before) = computer(&[(1, "pci0/a"), (2, "pci0/b")]);
    let (_b, after) = computer(&[(1, "pci0/b"), (2, "pci0/a")]);
    let mut stations = Stations::default();
    stations.set(&before, 1, port("1-4"), Some("left".into())).unwrap();
    stations.set(&before, 2, port("2-4"), None).unwrap();
    let stations = Stations::parse(&stations.text().unwrap()).unwrap();
    let number = |topology: &Topology, path: &str| stations.at(topology, &port(path)).map(|s| s.number);
    assert_eq!((number(&before, "1-4"), number(&before, "2-4")), (Some(1), Some(2)));
    assert_eq!((number(&after, "1-4"), number(&after, "2-4")), (Some(2), Some(1)), "the path alone would mix them up");
    assert_eq!((number(&after, "1-4.1"), number(&after, "3-4")), (None, None));
    assert_eq!(stations.port_of(&after, 1), Some(port("2-4")));
    assert_eq!(stations.port_of(&after, 9), None);
    // Without a kernel's word the path of the day has to do.
    assert_eq!(number(&Topology::unknown(), "1-4"), Some(1));
    assert_eq!(stations.port_of(&Topology::unknown(), 1), Some(port("1-4")));
    let (_c, less) = computer(&[(1, "pci0/b")]);
    assert_eq!(stations.port_of(&less, 1), None, "its controller was taken out, and 1-4 is another's");
}

#[test]
fn a_number_and_a_port_are_there_once() {
    let none = Topology::unknown();
    let mut stations = Stations::default();
    stations.set(&none, 2, port("1-2"), Some("shelf".into())).unwrap();
    stations.set(&none, 1, port("1-1"), None).unwrap();
    assert_eq!(stations.free(1), Some(3));
    let gone = stations.set(&none, 2, port("1-1"), None).unwrap();
    assert_eq!(gone.iter().map(|s| s.number).collect::<Vec<_>>(), [1, 2], "number and port were taken");
    assert_eq!(stations.get(2).and_then(|s| s.label.as_deref()), Some("shelf"), "a label stays with its number");
    assert_eq!((stations.iter().count(), stations.free(1)), (1, Some(1)));
    for (number, path) in [(0, "1-1"), (1000, "1-1"), (3, "usb1"), (3, "../../etc")] {
        assert_eq!(stations.set(&none, number, port(path), None).unwrap_err().code, Code::Usage, "{number} {path}");
    }
    assert!(stations.set(&none, 3, port("1-3"), Some("\u{1b}[2J".into())).is_err());
    assert_eq!(stations.forget(7), None);
}

#[test]
fn files_that_are_wrong_are_refused_with_the_line() {
    let good = "[[station]]\nnumber = 1\nport = \"1-1\"\n";
    for (more, says) in [
        ("colour = \"red\"\n", "line 4: unknown field `colour`"),
        ("[[bench]]\n", "line 4: unknown field `bench`"),
        ("[[station]]\nnumber = 1\nport = \"1-2\"\n", "line 4: station 1 is there twice"),
        ("[[station]]\nnumber = 2\nport = \"1-1\"\n", "line 4: station 2 is there at the port of station 1"),
        ("[[station]]\nnumber = 2000\nport = \"1-2\"\n", "line 4: station 2000: numbers go"),
        ("[[station]]\nnumber = -1\nport = \"1-2\"\n", "line 5: "),
        ("[[station]]\nnumber = 2\n", "line 4: missing field `port`"),
        ("[[station]]\nnumber = 2\nport = \"left\"\n", "line 4: \"left\" is no USB port"),
        ("chain = \"1\"\n", "line 1: controller and chain belong together"),
        ("controller = \"a\\nb\"\nchain = \"1\"\n", "is no place of a controller"),
        ("controller = \"pci0\"\nchain = \"1-1\"\n", "is no chain"),
        ("number = 3\n", "line 4: duplicate key"),
        ("[station\n", "line 4: "),
    ] {
        let err = Stations::parse(&format!("{good}{more}")).unwrap_err();
        assert!(err.contains(says) && !err.contains('\n'), "{more:?}: {err}");
    }
    assert_eq!(Stations::parse("").unwrap(), Stations::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stations.toml");
    assert!(Stations::read(&path).unwrap().is_empty());
    fs::write(&path, format!("# {}\n", "x".repeat(70_000))).unwrap();
    let fault = Stations::read(&path).unwrap_err();
    assert!(fault.code == Code::ConfigInvalid && fault.detail.contains("stations.toml: longer than"), "{fault}");
    fs::write(&path, b"\xFF").unwrap();
    assert_eq!(Stations::read(&path).unwrap_err().code, Code::ConfigInvalid);
}

#[test]
fn a_change_is_whole_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let book = Book::new(folder.path().join("config/stations.toml"), &folder.path().join("locks"));
    let none = Topology::unknown();
    book.change(|s| s.set(&none, 3, port("1-3"), Some("bij het raam".into()))).unwrap();
    let before = book.read().unwrap();
    assert_eq!(before.get(3).unwrap().label.as_deref(), Some("bij het raam"));
    let failed = book.change(|stations| {
        stations.forget(3);
        Err::<(), _>(Fault::new(Code::Usage, "no"))
    });
    assert!(failed.is_err() && book.read().unwrap() == before);
    book.change(|_| {
        assert_eq!(book.change(|_| Ok(())).unwrap_err().code, Code::Locked, "one at a time");
        Ok(())
    })
    .unwrap();
    assert_eq!(book.read().unwrap(), before);
}
