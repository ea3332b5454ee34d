use super::*;
use std::io::{Write};
use std::time::{Instant, Duration};
use zip::write::SimpleFileOptions;
use sha1::Digest;
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = s.rsplit(") ").next().unwrap().split(' ').collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}
fn user() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = s.rsplit(") ").next().unwrap().split(' ').collect();
    f[11].parse::<f64>().unwrap() / 100.0
}
fn rss() -> String { std::fs::read_to_string("/proc/self/status").unwrap().lines().filter(|l| l.starts_with("VmHWM")).collect() }
#[test]
fn image_speed() {
    let dir = std::path::Path::new("/tmp/w/bench_fw"); std::fs::create_dir_all(dir).unwrap();
    let path = dir.join("big.ipsw");
    if !path.exists() {
        let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
        zip.start_file("root.dmg", SimpleFileOptions::DEFAULT.compression_method(zip::CompressionMethod::Stored).large_file(true)).unwrap();
        let mut block = vec![0u8; 1<<20];
        for i in 0..1024u32 { for (j, b) in block.iter_mut().enumerate() { *b = (j as u32 ^ i.wrapping_mul(7919)) as u8; } zip.write_all(&block).unwrap(); }
        zip.finish().unwrap();
    }
    let ipsw = Ipsw::open(&path).unwrap();
    let image = RootImage::open(&ipsw, "root.dmg", dir).unwrap();
    for n in 0..4 {
        let (t, c) = (Instant::now(), cpu());
        let mut r = image.reader(); let mut total = 0u64; let mut x = 0u8;
        while let Some(chunk) = r.next().unwrap() { if n > 0 || true { x ^= chunk.sha1()[0]; } total += chunk.bytes.len() as u64; }
        println!("walk {n}: {:.2} GB/s cpu {:.2} {x}", total as f64 / 1e9 / t.elapsed().as_secs_f64(), cpu() - c);
    }
    let (t,c) = (Instant::now(), cpu());
    let mut f = fs_err::File::open(&path).unwrap();
    crate::net::hash_file(&mut f, std::fs::metadata(&path).unwrap().len(), &mut |_| true).unwrap();
    println!("hash_file {:.2} GB/s cpu {:.2}", 1.074 / t.elapsed().as_secs_f64(), cpu() - c);
    let bytes = std::fs::read(&path).unwrap();
    let (t,c) = (Instant::now(), cpu());
    let a = sha1::Sha1::digest(&bytes); let b = sha2::Sha256::digest(&bytes);
    println!("bare {:.2} GB/s cpu {:.2} {:?}", 1.074 / t.elapsed().as_secs_f64(), cpu() - c, (a[0], b[0]));
    println!("{}", rss());
}
#[tokio::test]
async fn fetch_speed() {
    use crate::net::*;
    let port: u16 = std::fs::read_to_string("/tmp/w/bench_fw/port").unwrap().trim().parse().unwrap();
    let e = Endpoints::new(Some(&format!("http://127.0.0.1:{port}/")), None, None, None).unwrap();
    let http = Http::new(&e, Limits::default());
    let tell: crate::event::Teller = std::sync::Arc::new(crate::event::Quiet);
    let c0 = cpu();
    let bytes = std::fs::read("/tmp/w/bench_fw/big.ipsw").unwrap();
    println!("read cpu {:.2}", cpu()-c0);
    println!("fetch {}", std::fs::read_to_string("/proc/self/io").unwrap().replace("\n"," "));
    let st = std::fs::read_to_string("/proc/self/stat").unwrap(); let f: Vec<&str> = st.rsplit(") ").next().unwrap().split(' ').collect();
    println!("fetch minflt {} majflt {}", f[7], f[9]);
    let c = cpu();
    let a: [u8;20] = sha1::Sha1::digest(&bytes).into(); let b: [u8;32] = sha2::Sha256::digest(&bytes).into();
    println!("bare cpu {:.2} user {:.2}", cpu() - c, user());
    drop(bytes);
    let w = Wanted { url: format!("http://127.0.0.1:{port}/big.ipsw").parse().unwrap(), size: None, digests: Digests { sha1: Some(a), sha256: Some(b) }, magic: b"PK", cap: 1<<40 };
    for _ in 0..3 {
    let dir = tempfile::tempdir_in("/tmp/w/bench_fw").unwrap();
    let place = Place { target: dir.path().join("x"), quarantine: dir.path().join("q") };
    let cancel = tokio_util::sync::CancellationToken::new();
    let turn = Turn::wait(&place.target, &tell, &cancel).await.unwrap();
    let (t,c,u) = (Instant::now(), cpu(), user());
    let f = fetch(&http, &w, &place, &turn, &tell, &cancel).await.unwrap();
    println!("fetch {:.2} s cpu {:.2} received {} user {:.2}", t.elapsed().as_secs_f64(), cpu() - c, f.received, user() - u);
    }
    println!("fetch {}", std::fs::read_to_string("/proc/self/io").unwrap().replace("\n"," "));
    let st = std::fs::read_to_string("/proc/self/stat").unwrap(); let f: Vec<&str> = st.rsplit(") ").next().unwrap().split(' ').collect();
    println!("fetch minflt {} majflt {}", f[7], f[9]);
    println!("fetch {}", std::fs::read_to_string("/proc/self/status").unwrap().lines().filter(|l| l.contains("ctxt")).collect::<Vec<_>>().join(" "));
    let _ = Duration::ZERO;
}
#[test]
fn real_lists() {
    let d = std::path::Path::new("/work/shared/data");
    use crate::wire::catalogue::*;
    let mut all = apple_versions(&std::fs::read(d.join("versionplist/RECONSTRUCTED_version.plist")).unwrap()).unwrap().offers;
    for f in std::fs::read_dir(d.join("appledb")).unwrap() { let p = f.unwrap().path(); if p.extension().is_some_and(|e| e == "json") { match appledb(&std::fs::read(&p).unwrap()) { Ok(o) => all.extend(o.offers), Err(e) => println!("{}: {e}", p.display()) } } }
    let c = Catalogue::merge(all);
    println!("{} firmwares, {} disagreements", c.firmwares.len(), c.disagreements.len());
    for x in c.disagreements.iter().take(10) { println!("{x:?}"); }
    for p in ["iPhone14,5", "iPhone10,1", "iPhone6,1", "iPad8,1", "iPhone11,2"] { let p = crate::ids::ProductType::new(p); println!("{p}: {:?}", c.newest(&p).map(|f| (f.build.to_string(), f.sha1.clone().map(|s| s.from), f.sha256.clone().map(|s| s.from), f.size.clone(), f.file_name().to_owned()))); }
    let h = crate::net::Hosts::new(&crate::net::Endpoints::new(None,None,None,None).unwrap());
    for f in &c.firmwares { h.firmware(&f.url.value.parse().unwrap()).unwrap(); }
}
