//! A hand-made HTTP server on loopback for the tests of this room and of `firmware`.
//!
//! Every connection serves one request and closes, so that a cut is a cut. What it does is a closure over
//! the number of the request; what it was asked is remembered.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The first byte of `Range: bytes=N-`.
    pub fn from(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

pub struct Loopback {
    pub root: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Loopback {
    /// `serve` gets the number of the request from 0, the request, and the socket to answer on.
    pub fn start(serve: impl Fn(usize, &Asked, &mut TcpStream) + Send + Sync + 'static) -> Loopback {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let root = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (memory, serve) = (asked.clone(), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (memory, serve) = (memory.clone(), serve.clone());
                std::thread::spawn(move || {
                    let Some((request, mut stream)) = read(stream) else { return };
                    let number = {
                        let mut memory = memory.lock().unwrap();
                        memory.push(request.clone());
                        memory.len() - 1
                    };
                    serve(number, &request, &mut stream);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        Loopback { root, asked }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn url(&self, path: &str) -> reqwest::Url {
        format!("{}/{path}", self.root).parse().unwrap()
    }
}

fn read(stream: TcpStream) -> Option<(Asked, TcpStream)> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let mut asked = Asked { method: words.next()?.into(), path: words.next()?.into(), ..Asked::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        asked.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = asked.header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    reader.take(length).read_to_end(&mut asked.body).ok()?;
    Some((asked, stream))
}

/// Head with `Connection: close` and, unless `headers` has one, the length of `body`.
pub fn answer(out: &mut TcpStream, status: &str, headers: &[(&str, &str)], body: &[u8]) {
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("content-length")) {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let _ = out.write_all(head.as_bytes());
    let _ = out.write_all(body);
}

/// Serves `file` as a CDN does, sending at most `most` bytes of the body.
pub fn cdn(asked: &Asked, out: &mut TcpStream, file: &[u8], etag: &str, most: usize) {
    let quoted = format!("\"{etag}\"");
    let fresh = asked.header("if-range").is_none_or(|v| v == quoted);
    match asked.from().filter(|_| fresh) {
        Some(from) if from >= file.len() => {
            answer(out, "416 Range Not Satisfiable", &[("Content-Range", &format!("bytes */{}", file.len()))], b"");
        }
        Some(from) => {
            let range = format!("bytes {from}-{}/{}", file.len() - 1, file.len());
            let rest = &file[from..];
            let length = rest.len().to_string();
            let headers = [("ETag", quoted.as_str()), ("Content-Range", &range), ("Content-Length", &length)];
            answer(out, "206 Partial Content", &headers, &rest[..rest.len().min(most)]);
        }
        None => {
            let length = file.len().to_string();
            let headers = [("ETag", quoted.as_str()), ("Content-Length", &length), ("Accept-Ranges", "bytes")];
            answer(out, "200 OK", &headers, &file[..file.len().min(most)]);
        }
    }
}
