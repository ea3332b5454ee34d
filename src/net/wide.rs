//! One file over several connections.
//!
//! A CDN gives one connection only a part of a line; so once a server has answered a range with a range, some tasks
//! fetch pieces side by side ([`super::pieces`]) and write each byte where it belongs. Digests need order: a thread
//! follows the gapless beginning of the file and hashes what is on the disk, still warm, so that they are ready with
//! the last byte. What a piece has is noted after each write in a map beside the part: after a kill nothing is fetched
//! twice, and after a crash of the machine what was synced counts, as for a plain part.
//!
//! A server that says "too many" loses a connection, never the download. Attempts in vain are counted over all
//! connections together: a line that is down is down for all.

use super::attempt::{Lost, Next, Run, Trouble};
use super::part::{Part, Validators};
use super::pieces::{Pieces, Span};
use crate::event::{Event, Step, Unit};
use crate::fault::{Code, Fault};
use futures_util::future::join_all;
use reqwest::{Response, StatusCode};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Gathered before it is written.
const BUFFER: usize = 512 << 10;
/// Between two looks at the medium.
const SYNC_EVERY: u64 = 256 << 20;

/// What the thread that hashes hears.
enum Word {
    /// So many bytes are here without a gap.
    Frontier(u64),
    /// Time to write everything to the medium, after which this is certain.
    Sync(Pieces),
}

struct State {
    pieces: Pieces,
    /// Attempts in a row that brought nothing, of all connections.
    vain: usize,
    connections: usize,
    received: u64,
    synced: u64,
    told: Option<Instant>,
    ended: Option<Trouble>,
}

/// What the connections share.
struct Wide<'r, 'a> {
    run: &'r Run<'a>,
    validators: Validators,
    size: u64,
    file: Arc<File>,
    map: Arc<File>,
    words: mpsc::UnboundedSender<Word>,
    stop: CancellationToken,
    state: Mutex<State>,
}

/// Fetches what is missing of `part`, whose first piece `response` brings; the file has `size` bytes.
pub(super) async fn fetch(
    run: &mut Run<'_>,
    mut part: Part,
    response: Response,
    size: u64,
) -> (Result<Part, Fault>, Result<(), Trouble>) {
    let opened = match part.widen(size, run.http.limits().piece) {
        Ok(opened) => opened,
        Err(fault) => return (Ok(part), Err(Trouble::Stop(fault))),
    };
    let (words, mut heard) = mpsc::unbounded_channel();
    let wide = Wide {
        run,
        validators: part.validators.clone(),
        size,
        file: opened.file,
        map: opened.map,
        words,
        stop: run.cancel.child_token(),
        state: Mutex::new(State {
            synced: opened.pieces.here(),
            pieces: opened.pieces,
            vain: 0,
            connections: run.http.limits().connections.max(1),
            received: 0,
            told: None,
            ended: None,
        }),
    };
    let follower = tokio::task::spawn_blocking(move || {
        let mut ended = Ok(());
        while let Some(word) = heard.blocking_recv() {
            ended = match word {
                Word::Frontier(bytes) => part.follow(bytes),
                Word::Sync(pieces) => part.save_pieces(pieces),
            };
            if ended.is_err() {
                break;
            }
        }
        (part, ended)
    });
    let Some(first) = wide.state().pieces.take() else {
        return (Err(Fault::new(Code::Internal, "a whole file is fetched")), Ok(()));
    };
    let count = wide.state().connections;
    let mut given = Some((first, response));
    join_all((0..count).map(|_| wide.connection(given.take()))).await;
    let mut state = wide.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    if state.ended.is_none() && !state.pieces.is_whole() {
        let why = format!("{}: {} of {size} bytes came", run.url, state.pieces.here());
        state.ended = Some(Trouble::Again(Fault::new(Code::DownloadFailed, why), None));
    }
    let _ = wide.words.send(Word::Sync(state.pieces));
    drop(wide.words);
    run.received += state.received;
    let ended = state.ended.map_or(Ok(()), Err);
    match follower.await {
        Ok((part, Ok(()))) => (Ok(part), ended),
        Ok((part, Err(fault))) => (Ok(part), Err(Trouble::Stop(fault))),
        Err(e) => (Err(Fault::new(Code::Internal, format!("the hashing thread died: {e}"))), ended),
    }
}

impl Wide<'_, '_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One connection's work: piece after piece until nothing is left to begin.
    async fn connection(&self, mut given: Option<(Span, Response)>) {
        while !self.stop.is_cancelled() {
            let (span, response) = match given.take() {
                Some((span, response)) => (span, Some(response)),
                None => match self.state().pieces.take() {
                    Some(span) => (span, None),
                    None => return,
                },
            };
            let had = self.state().received;
            let ended = self.piece(span, response).await;
            self.state().pieces.release(span.index);
            let Err(trouble) = ended else { continue };
            let Some(pause) = self.after(trouble, had) else { return };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// How long to wait before going on; none ends this connection, and all of them when that is the end.
    fn after(&self, trouble: Trouble, had: u64) -> Option<Duration> {
        let limits = self.run.http.limits();
        let mut state = self.state();
        let (fault, wish) = match trouble {
            Trouble::Again(fault, wish) => (fault, wish),
            last => {
                state.ended.get_or_insert(last);
                self.stop.cancel();
                return None;
            }
        };
        if state.received > had {
            state.vain = 0;
        } else {
            state.vain += 1;
            // Each connection may fail once for the same reason.
            if state.vain >= limits.attempts.max(1) * state.connections {
                state.ended.get_or_insert(Trouble::Stop(fault));
                self.stop.cancel();
                return None;
            }
            if wish.is_some() && state.connections > 1 {
                // The others go on, and come back for the piece.
                state.connections -= 1;
                let text = format!("{}; going on over {} connections", fault.detail, state.connections);
                self.run.tell.tell(Event::Warning { text });
                return None;
            }
        }
        let text = format!("{}; going on, {} of {} bytes are here", fault.detail, state.pieces.here(), self.size);
        self.run.tell.tell(Event::Warning { text });
        let grown = u32::try_from(state.vain / state.connections.max(1)).unwrap_or(u32::MAX).min(5);
        let pause = limits.pause * (1 << grown);
        Some(wish.map_or(pause, |wish| wish.max(pause)))
    }

    async fn piece(&self, span: Span, given: Option<Response>) -> Result<(), Trouble> {
        let mut response = match given {
            // It was judged before it came here.
            Some(response) => response,
            None => {
                let response = self.run.ask(&self.validators, span.from, Some(span.to), &self.stop).await?;
                self.run.judge(&response, span.from, &self.validators, Some(self.size))?;
                if response.status() != StatusCode::PARTIAL_CONTENT {
                    // The whole file would come again.
                    let why = format!("{}: no range from byte {} on", self.run.url, span.from);
                    return Err(Trouble::Again(Fault::new(Code::DownloadFailed, why), None));
                }
                response
            }
        };
        let mut next = Next::new(self.run.http.limits().stall);
        let mut buffer = Vec::with_capacity(BUFFER);
        let mut at = span.from;
        let ended = loop {
            let chunk = tokio::select! {
                chunk = next.chunk(&mut response) => chunk,
                () = self.stop.cancelled() => break Err(Trouble::Stop(Fault::cancelled())),
            };
            let mut rest = match chunk {
                Ok(Some(ref chunk)) => &chunk[..],
                Ok(None) => break Ok(()),
                Err(why) => break Err(self.run.lost(why, at + buffer.len() as u64)),
            };
            self.state().received += rest.len() as u64;
            if at + (buffer.len() + rest.len()) as u64 > span.to {
                let why = format!("{}: more bytes than were asked for", self.run.url);
                break Err(Trouble::Stop(Fault::new(Code::DownloadFailed, why)));
            }
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(BUFFER - buffer.len()));
                buffer.extend_from_slice(now);
                rest = later;
                if buffer.len() == BUFFER {
                    self.put(span.index, &mut at, &mut buffer).await?;
                }
            }
            if at + buffer.len() as u64 == span.to {
                break Ok(());
            }
        };
        self.put(span.index, &mut at, &mut buffer).await?;
        ended?;
        if at < span.to {
            return Err(self.run.lost(Lost::Cut("the answer ended early".into()), at));
        }
        Ok(())
    }

    /// Writes what was gathered, notes it, and says how far the beginning reaches.
    async fn put(&self, index: usize, at: &mut u64, buffer: &mut Vec<u8>) -> Result<(), Trouble> {
        if buffer.is_empty() {
            return Ok(());
        }
        if *at == 0 {
            self.run.sniff(buffer)?;
        }
        let (file, map, offset, bytes) = (self.file.clone(), self.map.clone(), *at, std::mem::take(buffer));
        let count = bytes.len() as u64;
        let done = self.state().pieces.filled(index) + count;
        let written = tokio::task::spawn_blocking(move || {
            file.write_all_at(&bytes, offset)?;
            // Only what is written is noted, so a kill between the two costs a reading, not a hole.
            map.write_all_at(&done.to_le_bytes(), index as u64 * 8)?;
            Ok::<_, std::io::Error>(bytes)
        });
        let written = written.await.map_err(|e| Trouble::Stop(Fault::new(Code::Internal, e.to_string())))?;
        *buffer = written.map_err(|e| Trouble::Stop(Fault::disk(&e)))?;
        buffer.clear();
        *at += count;
        let mut state = self.state();
        state.pieces.add(index, count);
        let _ = self.words.send(Word::Frontier(state.pieces.frontier()));
        let here = state.pieces.here();
        if here - state.synced >= SYNC_EVERY {
            state.synced = here;
            let _ = self.words.send(Word::Sync(state.pieces.clone()));
        }
        if here == self.size || state.told.is_none_or(|t| t.elapsed() >= super::fetch::TELL_EVERY) {
            state.told = Some(Instant::now());
            let (step, unit) = (Step::Fetch, Unit::Bytes);
            self.run.tell.tell(Event::Progress { step, unit, done: here, total: Some(self.size) });
        }
        Ok(())
    }
}
