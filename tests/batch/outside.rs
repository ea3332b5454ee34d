//! What a batch tells the outside: hooks and webhooks, good ones, hanging ones and a server that is down.

use super::{QUICK, file, herstel, phases, phones};
use crate::bench::Rig;
use herstel::job::batch::signature;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

/// One POST as it came: headers in lower case, and the body.
struct Post {
    headers: Vec<(String, String)>,
    body: String,
}

impl Post {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

/// Takes everything that is posted.
fn server(listener: TcpListener) -> Receiver<Post> {
    let (sender, posts) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut stream = stream;
            let mut headers = Vec::new();
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
                if let Some((name, value)) = line.split_once(':') {
                    headers.push((name.to_lowercase(), value.trim().to_owned()));
                }
                line.clear();
            }
            let length = headers.iter().find(|(n, _)| n == "content-length").and_then(|(_, v)| v.parse().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            if reader.read_exact(&mut body).is_err() {
                continue;
            }
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
            if sender.send(Post { headers, body: String::from_utf8(body).unwrap() }).is_err() {
                return;
            }
        }
    });
    posts
}

/// A hook that adds what it is given to a file.
fn hook(rig: &Rig, name: &str, then: &str) -> String {
    let path = rig.path(name);
    program(&path, &format!("cat >> {}\n{then}", rig.path("told.jsonl").display()));
    path.display().to_string()
}

/// A program of the shell.
pub fn program(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn hooks_and_webhooks_hear_of_it_and_hold_nothing_up() {
    let rig = phones(&[""]);
    let (good, hangs) = (hook(&rig, "good", ""), hook(&rig, "hangs", "sleep 1000"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let posts = server(listener);
    fs::write(rig.path("secret"), "open sesame\n").unwrap();
    let more = format!(
        "{QUICK}[hooks]\nattached = [\"{hangs}\"]\nfinished = [\"{good}\"]\nseconds = 1\n\
         [[webhook]]\nurl = \"{url}\"\nsecret_file = \"secret\"\nevents = [\"finished\"]\n"
    );
    let ran = herstel(&rig, &["batch", &file(&rig, &more), "--yes-erase-all", "--json"]);
    assert_eq!((ran.code, phases(&ran)), (Some(0), vec!["done".to_owned()]), "{ran}");
    let warned = ran
        .events("batch")
        .into_iter()
        .any(|e| e["what"] == "warning" && e["text"].as_str().is_some_and(|text| text.contains("hangs: ended after")));
    assert!(warned, "a hook that hangs is told of\n{ran}");
    let told = fs::read_to_string(rig.path("told.jsonl")).unwrap();
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let topics: Vec<_> = told.iter().map(|line| line["topic"].as_str().unwrap()).collect();
    assert_eq!(topics, ["attached", "finished"], "{ran}");
    assert_eq!((&told[1]["ecid"], &told[1]["phase"]), (&rig.phone().ecid.to_string().into(), &"done".into()));

    let post = posts.recv_timeout(std::time::Duration::from_secs(30)).expect("one webhook");
    let timestamp: i64 = post.header("x-herstel-timestamp").parse().unwrap();
    assert_eq!(post.header("x-herstel-signature"), signature(b"open sesame", timestamp, &post.body));
    assert_eq!(serde_json::from_str::<Value>(&post.body).unwrap(), told[1], "hooks and webhooks are told the same");
    assert!(posts.try_recv().is_err(), "only what was asked for, and once");
}

#[test]
fn a_server_that_is_down_gets_it_at_the_resume() {
    let rig = phones(&["[phone.faults.restore]\namr_error = 1110\nonce = true"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody listens there now.
    drop(listener);
    fs::write(rig.path("secret"), "key").unwrap();
    let more = format!("{QUICK}[[webhook]]\nurl = \"http://{address}/\"\nsecret_file = \"secret\"\n");
    let ran = herstel(&rig, &["batch", &file(&rig, &more), "--yes-erase-all", "--json"]);
    assert_eq!(ran.code, Some(4), "{ran}");
    let warnings = ran.events("batch").into_iter().filter(|e| e["what"] == "warning").count();
    assert_eq!(warnings, 1, "told once\n{ran}");
    let posts = server(TcpListener::bind(address).unwrap());
    let ran = herstel(&rig, &["batch", "--resume", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    let topics: Vec<String> = posts.try_iter().map(|post| post.header("x-herstel-event").to_owned()).collect();
    let counted = |topic: &str| topics.iter().filter(|t| *t == topic).count();
    // What was kept, then what came: attached, needs_person, failed; attached, finished.
    assert_eq!(topics.first().map(String::as_str), Some("attached"), "in their order: {topics:?}");
    assert_eq!((counted("needs_person"), counted("failed"), counted("finished")), (1, 1, 1), "{topics:?}");
}
