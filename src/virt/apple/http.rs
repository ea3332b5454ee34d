//! HTTP/1.1 on loopback, a thread a connection: enough for clients that behave and knobs that do not.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const HEAD_CAP: u64 = 64 << 10;
const BODY_CAP: u64 = 64 << 20;
const IDLE: Duration = Duration::from_secs(60);

/// One request, whole.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path with its query.
    pub target: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// By its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// An answer with its body in memory; files go through [`Connection::head`].
pub struct Response {
    pub status: &'static str,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn new(status: &'static str, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Response { status, headers: vec![("Content-Type".into(), kind.into())], body: body.into() }
    }
}

/// The way back of one request.
pub struct Connection {
    out: TcpStream,
}

impl Connection {
    /// Status line and headers; the body is up to the caller.
    pub fn head(&mut self, status: &str, headers: &[(String, String)]) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {status}\r\nServer: herstel-bench\r\nX-Virtual: true\r\n");
        for (key, value) in headers {
            head.push_str(&format!("{key}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.out.write_all(head.as_bytes())
    }

    pub fn send(&mut self, request: &Request, mut response: Response) -> io::Result<()> {
        response.headers.push(("Content-Length".into(), response.body.len().to_string()));
        self.head(response.status, &response.headers)?;
        if request.method != "HEAD" {
            self.out.write_all(&response.body)?;
        }
        Ok(())
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Ends the connection in the middle of whatever was said.
    pub fn cut(&mut self) {
        let _ = self.out.shutdown(Shutdown::Both);
    }
}

/// A server on a free port of 127.0.0.1; ends when dropped.
pub struct Server {
    pub address: SocketAddr,
    ended: Arc<AtomicBool>,
}

/// Serves one request; false closes the connection.
pub type Serve = Arc<dyn Fn(&Request, &mut Connection) -> io::Result<bool> + Send + Sync>;

impl Server {
    pub fn start(serve: Serve) -> io::Result<Server> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let ended = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&ended);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let serve = Arc::clone(&serve);
                std::thread::spawn(move || drop(talk(stream, &serve)));
            }
        });
        Ok(Server { address, ended })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn talk(stream: TcpStream, serve: &Serve) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    let mut connection = Connection { out: stream.try_clone()? };
    let mut input = BufReader::new(stream);
    while let Some(request) = read(&mut input, &mut connection)? {
        let keep = request.header("connection").is_none_or(|v| !v.eq_ignore_ascii_case("close"));
        if !serve(&request, &mut connection)? || !keep {
            break;
        }
    }
    connection.cut();
    Ok(())
}

fn read(input: &mut BufReader<TcpStream>, connection: &mut Connection) -> io::Result<Option<Request>> {
    let bad = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let mut line = String::new();
    let mut head = input.by_ref().take(HEAD_CAP);
    if head.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Err(bad("request line")) };
    let (method, target) = (method.to_owned(), target.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Err(bad("headers end too early"));
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((key, value)) = line.split_once(':') {
            headers.push((key.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let mut request = Request { method, target, headers, body: Vec::new() };
    if request.header("expect").is_some_and(|v| v.eq_ignore_ascii_case("100-continue")) {
        connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let length: u64 = request.header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
    if length > BODY_CAP {
        return Err(bad("body too long"));
    }
    input.by_ref().take(length).read_to_end(&mut request.body)?;
    Ok(Some(request))
}
