//! The direct stream against a real TLS server on the other end of a socket pair.

use super::address::Socket;
use super::certificates::tests::record_of_a_new_device;
use super::direct::Direct;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

type Server = StreamOwned<ServerConnection, UnixStream>;

fn record() -> &'static super::PairRecord {
    static RECORD: OnceLock<super::PairRecord> = OnceLock::new();
    RECORD.get_or_init(record_of_a_new_device)
}

/// What a server does with the stream, and what comes of it here.
fn pair<T: Send + 'static>(
    version: &'static SupportedProtocolVersion,
    serve: impl FnOnce(Server) -> T + Send + 'static,
) -> (Direct, thread::JoinHandle<T>) {
    let (near, far) = UnixStream::pair().unwrap();
    let (key, certificate) = record().host_keys();
    let certificate = CertificateDer::from_pem_slice(&certificate).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let served = thread::spawn(move || {
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), far);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        serve(stream)
    });
    (Direct::secure(Socket::Unix(near), record().tls(true).unwrap(), LONG).unwrap(), served)
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 251) as u8).collect()
}

fn read_in(stream: &mut impl Read, piece: usize) -> Vec<u8> {
    let (mut all, mut buffer) = (vec![], vec![0; piece]);
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => return all,
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
}

#[test]
fn what_is_sent_arrives_however_it_is_cut_and_the_end_is_an_end() {
    for version in [&TLS12, &TLS13] {
        for piece in [1, 5, 4096, 16 << 10, 100_000, 1 << 20] {
            let length = if piece == 1 { 40_000 } else { 3_000_001 };
            let (mut direct, served) = pair(version, move |mut server| {
                let mut heard = vec![0; length];
                server.read_exact(&mut heard).unwrap();
                server.write_all(&heard).unwrap();
                server.conn.send_close_notify();
                server.flush().unwrap();
                heard
            });
            direct.set_limit(Some(LONG)).unwrap();
            for part in pattern(length).chunks(piece) {
                direct.write_all(part).unwrap();
            }
            direct.flush().unwrap();
            assert!(read_in(&mut direct, piece) == pattern(length), "{version:?}, pieces of {piece}");
            assert_eq!(direct.read(&mut [0; 9]).unwrap(), 0);
            assert!(served.join().unwrap() == pattern(length));
        }
    }
}

#[test]
fn a_stream_that_is_cut_without_a_word_ends_after_what_came() {
    let (mut direct, served) = pair(&TLS13, |mut server| server.write_all(b"last words").unwrap());
    served.join().unwrap();
    assert_eq!(read_in(&mut direct, 64), b"last words");
}

#[test]
fn a_read_that_ran_out_of_time_has_lost_nothing() {
    let (go_on, wait) = channel();
    let (mut direct, served) = pair(&TLS13, move |mut server| {
        let mut bytes = vec![];
        server.conn.writer().write_all(&pattern(10_000)).unwrap();
        while server.conn.wants_write() {
            server.conn.write_tls(&mut bytes).unwrap();
        }
        // One record in three parts, each after the reader gave up once.
        for part in bytes.chunks(bytes.len().div_ceil(3)) {
            wait.recv().unwrap();
            server.sock.write_all(part).unwrap();
        }
    });
    direct.set_limit(Some(Duration::from_millis(20))).unwrap();
    let (mut all, mut waits) = (vec![], 0);
    let mut buffer = [0; 4096];
    while all.len() < 10_000 {
        match direct.read(&mut buffer) {
            Ok(0) => panic!("ended after {} bytes", all.len()),
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(err) => {
                assert!(matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{err}");
                waits += 1;
                let _ = go_on.send(());
            }
        }
    }
    assert!(waits >= 3, "{waits}");
    assert!(all == pattern(10_000));
    served.join().unwrap();
}

#[test]
fn a_write_that_ran_out_of_time_goes_on_where_it_was() {
    let (go_on, wait) = channel::<()>();
    let length = 8 << 20;
    let (mut direct, served) = pair(&TLS13, move |mut server| {
        wait.recv().unwrap();
        let mut heard = vec![0; length];
        server.read_exact(&mut heard).unwrap();
        heard
    });
    direct.set_limit(Some(Duration::from_millis(20))).unwrap();
    let all = pattern(length);
    let (mut done, mut waits) = (0, 0);
    let mut late = |err: std::io::Error| {
        assert!(matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{err}");
        waits += 1;
        let _ = go_on.send(());
    };
    while done < length {
        match direct.write(&all[done..]) {
            Ok(count) => done += count,
            Err(err) => late(err),
        }
    }
    while let Err(err) = direct.flush() {
        late(err);
    }
    assert!(waits >= 1, "the socket took 8 MiB at once");
    assert!(served.join().unwrap() == all);
}

#[test]
fn a_device_that_does_not_shake_hands_is_given_up() {
    let (near, _far) = UnixStream::pair().unwrap();
    let shaken = Direct::secure(Socket::Unix(near), record().tls(true).unwrap(), Duration::from_millis(50));
    let err = shaken.err().unwrap();
    assert!(matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{err}");
    let (near, mut far) = UnixStream::pair().unwrap();
    far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    let shaken = Direct::secure(Socket::Unix(near), record().tls(true).unwrap(), LONG);
    assert_eq!(shaken.err().unwrap().kind(), ErrorKind::InvalidData);
}

#[test]
fn without_tls_it_is_the_socket() {
    let (near, mut far) = UnixStream::pair().unwrap();
    let mut direct = Direct::plain(Socket::Unix(near));
    direct.set_limit(Some(Duration::from_millis(20))).unwrap();
    assert!(direct.read(&mut [0; 4]).is_err());
    far.write_all(b"plain").unwrap();
    let mut heard = [0; 5];
    direct.read_exact(&mut heard).unwrap();
    direct.write_all(&heard).unwrap();
    far.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"plain");
}
