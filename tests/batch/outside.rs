//! What a batch tells the outside: hooks and webhooks, good ones, hanging ones and a server that is down.

use super::{QUICK, file, herstel, phases, phones, told};
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
    answering(listener, "204 No Content\r\n".into())
}

/// The same with an answer of its own; an empty one never comes.
fn answering(listener: TcpListener, answer: String) -> Receiver<Post> {
    let mut held = Vec::new();
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
            match answer.as_str() {
                "" => held.push(stream),
                answer => drop(write!(stream, "HTTP/1.1 {answer}content-length: 0\r\nconnection: close\r\n\r\n")),
            }
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

/// Each in its own batch: what it answers, and that nothing of it reaches the devices.
#[test]
fn servers_that_fail_send_elsewhere_or_never_answer_hold_nothing_up() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let moved = format!("307 Temporary Redirect\r\nlocation: http://{}/\r\n", elsewhere.local_addr().unwrap());
    let taken = server(elsewhere);
    let rig = phones(&[""]);
    fs::write(rig.path("secret"), "key").unwrap();
    let mut hooks = String::new();
    let answers = ["500 Internal Server Error\r\n".to_owned(), moved, String::new()];
    let servers: Vec<(String, Receiver<Post>)> = answers
        .into_iter()
        .map(|answer| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/", listener.local_addr().unwrap());
            hooks += &format!("[[webhook]]\nurl = \"{url}\"\nsecret_file = \"secret\"\n");
            (url, answering(listener, answer))
        })
        .collect();
    let ran = herstel(&rig, &["batch", &file(&rig, &format!("{QUICK}{hooks}")), "--yes-erase-all", "--json"]);
    assert_eq!((ran.code, phases(&ran)), (Some(0), vec!["done".to_owned()]), "{ran}");
    for (url, posts) in &servers {
        let warned = told(&ran, "warning").iter().filter(|w| w["text"].as_str().unwrap().contains(url)).count();
        assert_eq!(warned, 1, "{url} is told of once\n{ran}");
        let attempts: Vec<Post> = posts.try_iter().collect();
        assert!((1..=3).contains(&attempts.len()), "{} attempts at {url}\n{ran}", attempts.len());
        assert!(attempts.iter().all(|post| post.header("x-herstel-event") == "attached"), "then it is left alone");
    }
    assert!(taken.try_recv().is_err(), "a signed message goes to nobody else");
    let batch = fs::read_dir(rig.path("state/herstel/batches")).unwrap().next().unwrap().unwrap().path();
    let kept = fs::read_to_string(batch.join("webhooks.jsonl")).unwrap();
    assert_eq!(kept.lines().filter(|line| line.starts_with("{\"keep\"")).count(), 6, "both messages for each\n{kept}");
    assert!(!kept.contains("\"sent\"") && !kept.contains("open sesame"));
}

#[test]
fn hooks_that_fail_or_print_without_end_are_told_of_and_cut_short() {
    let rig = phones(&["", ""]);
    let (fails, prints) = (rig.path("fails"), rig.path("prints"));
    program(&fails, "echo out of paper >&2; exit 7");
    program(&prints, "yes | head -c 4000000; yes >&2");
    let more = format!(
        "{QUICK}[hooks]\nattached = [\"{}\"]\nfinished = [\"{}\"]\nfailed = [\"/nowhere/hook\"]\nseconds = 2\n",
        fails.display(),
        prints.display()
    );
    let ran = herstel(&rig, &["batch", &file(&rig, &more), "--yes-erase-all", "--json"]);
    assert_eq!((ran.code, phases(&ran)), (Some(0), vec!["done".to_owned(); 2]), "{ran}");
    let warned =
        |what: &str| told(&ran, "warning").iter().filter(|w| w["text"].as_str().unwrap().contains(what)).count();
    assert_eq!((warned("fails: exit status: 7"), warned("prints: ended after 2 s")), (2, 2), "{ran}");
    let batch = fs::read_dir(rig.path("state/herstel/batches")).unwrap().next().unwrap().unwrap().path();
    let log = fs::read_to_string(batch.join("hooks.log")).unwrap();
    assert!(log.contains("out of paper") && log.len() < 200_000, "{} bytes are kept", log.len());
}
