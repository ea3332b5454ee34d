//! AFC: the person's media and what a host leaves there for the device.
//!
//! The crate's own file handles print and panic when they are dropped after the link broke off, so operations are sent
//! by their codes, each with a limit; the device closes what a lost link left open. A refusal is a value, since "there
//! is no such file" and "somebody else holds the lock" are answers and no failures.

use super::Session;
use super::duties::{PATIENCE, afc_device};
use super::guard::of_link;
use crate::fault::{Code, Fault};
use idevice::IdeviceError;
use idevice::afc::AfcClient;
use idevice::afc::errors::AfcError;
use idevice::afc::opcode::{AfcFopenMode, AfcLockOp, AfcOpcode};
use std::time::Duration;

const PIECE: usize = 64 << 10;
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(200);

pub(super) struct Afc(AfcClient);

type Handle = Vec<u8>;

fn refused(what: &str, path: &str, err: &AfcError) -> Fault {
    Fault::new(Code::ServiceRefused, format!("{what} {path}: {err}"))
}

fn number(value: u64) -> [u8; 8] {
    value.to_le_bytes()
}

impl Afc {
    pub(super) async fn open(session: &mut Session) -> Result<Self, Fault> {
        Afc::over(session, "com.apple.afc", true).await
    }

    /// The same protocol on another folder of the device.
    pub(super) async fn over(session: &mut Session, service: &str, escrow: bool) -> Result<Self, Fault> {
        let stream = session.service(service, escrow).await.map_err(Fault::from)?;
        Ok(Afc(AfcClient::new(afc_device(stream))))
    }

    /// Names in a folder, without the two that every folder has; none where there is no such folder.
    pub(super) async fn names(&mut self, folder: &str) -> Result<Option<Vec<String>>, Fault> {
        let header = [folder.as_bytes(), &[0]].concat();
        let Ok((_, list)) = self.ask(AfcOpcode::ReadDir, header, Vec::new()).await? else { return Ok(None) };
        let names = list.split(|b| *b == 0).filter_map(|name| std::str::from_utf8(name).ok());
        Ok(Some(names.filter(|name| !["", ".", ".."].contains(name)).map(str::to_owned).collect()))
    }

    /// One operation: header and payload of the answer, or the device's refusal.
    async fn ask(
        &mut self,
        operation: AfcOpcode,
        header: Vec<u8>,
        payload: Vec<u8>,
    ) -> Result<Result<(Vec<u8>, Vec<u8>), AfcError>, Fault> {
        let what = format!("AFC {operation:?}");
        match tokio::time::timeout(PATIENCE, self.0.send_op(operation, header, payload)).await {
            Ok(Ok(answer)) => Ok(Ok((answer.header_payload, answer.payload))),
            Ok(Err(IdeviceError::Afc(refusal))) => Ok(Err(refusal)),
            Ok(Err(err)) => Err(match of_link(&err) {
                Some(fault) => Fault { detail: format!("{what}: {}", fault.detail), ..fault },
                None => Fault::new(Code::ServiceRefused, format!("{what}: {err}")),
            }),
            Err(_) => Err(Fault::new(Code::LinkSilent, format!("{what}: no answer in {} s", PATIENCE.as_secs()))),
        }
    }

    async fn handle(&mut self, path: &str, mode: AfcFopenMode) -> Result<Result<Handle, AfcError>, Fault> {
        let header = [number(mode as u64).as_slice(), path.as_bytes(), &[0]].concat();
        let (header, _) = match self.ask(AfcOpcode::FileOpen, header, Vec::new()).await? {
            Ok(answer) => answer,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let handle = header.get(..8).map(<[u8]>::to_vec);
        handle.map(Ok).ok_or_else(|| Fault::new(Code::LinkGarbage, "AFC open without a handle"))
    }

    async fn close(&mut self, handle: Handle) -> Result<(), Fault> {
        self.ask(AfcOpcode::FileClose, handle, Vec::new()).await.map(drop)
    }

    /// A whole file; none where there is none that may be read, or when it is larger than `cap`.
    pub(super) async fn read(&mut self, path: &str, cap: usize) -> Result<Option<Vec<u8>>, Fault> {
        let Ok(handle) = self.handle(path, AfcFopenMode::RdOnly).await? else { return Ok(None) };
        let mut bytes = Vec::new();
        let whole = loop {
            let header = [handle.as_slice(), &number(PIECE as u64)].concat();
            match self.ask(AfcOpcode::Read, header, Vec::new()).await? {
                Ok((_, piece)) if piece.is_empty() => break true,
                Ok((_, piece)) if bytes.len() + piece.len() > cap => break false,
                Ok((_, piece)) => bytes.extend(piece),
                Err(_) => break false,
            }
        };
        self.close(handle).await?;
        Ok(Some(bytes).filter(|_| whole))
    }

    pub(super) async fn write(&mut self, path: &str, bytes: &[u8]) -> Result<(), Fault> {
        let handle = self.handle(path, AfcFopenMode::WrOnly).await?.map_err(|err| refused("opening", path, &err))?;
        for piece in bytes.chunks(PIECE) {
            let written = self.ask(AfcOpcode::Write, handle.clone(), piece.to_vec()).await?;
            written.map_err(|err| refused("writing", path, &err))?;
        }
        self.close(handle).await
    }

    /// It may exist already.
    pub(super) async fn make_folder(&mut self, path: &str) -> Result<(), Fault> {
        let path = [path.as_bytes(), &[0]].concat();
        self.ask(AfcOpcode::MakeDir, path, Vec::new()).await.map(drop)
    }

    /// It may be gone already.
    pub(super) async fn remove(&mut self, path: &str) -> Result<(), Fault> {
        let header = [path.as_bytes(), &[0]].concat();
        match self.ask(AfcOpcode::RemovePath, header, Vec::new()).await? {
            Ok(_) | Err(AfcError::ObjectNotFound) => Ok(()),
            Err(err) => Err(refused("removing", path, &err)),
        }
    }

    /// Bytes that are free for the person's data; none where the device does not say.
    pub(super) async fn free_bytes(&mut self) -> Result<Option<u64>, Fault> {
        let Ok((_, list)) = self.ask(AfcOpcode::GetDevInfo, Vec::new(), Vec::new()).await? else { return Ok(None) };
        let mut words = list.split(|b| *b == 0);
        words.find(|word| *word == b"FSFreeBytes");
        Ok(words.next().and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()))
    }

    /// Opens a file and locks it for this host alone; tries for 10 s while another one holds it.
    pub(super) async fn lock(
        &mut self,
        path: &str,
        opened: impl AsyncFnOnce() -> Result<(), Fault>,
    ) -> Result<Handle, Fault> {
        let handle = self.handle(path, AfcFopenMode::Rw).await?.map_err(|err| refused("opening", path, &err))?;
        opened().await?;
        for attempt in 0..=LOCK_TRIES {
            let header = [handle.as_slice(), &number(AfcLockOp::ExclusiveLock as u64)].concat();
            match self.ask(AfcOpcode::FileLock, header, Vec::new()).await? {
                Ok(_) => return Ok(handle),
                Err(AfcError::OpWouldBlock) if attempt < LOCK_TRIES => tokio::time::sleep(LOCK_PAUSE).await,
                Err(err) => {
                    self.close(handle).await?;
                    return Err(match err {
                        AfcError::OpWouldBlock => Fault::new(Code::Locked, format!("another host holds {path}")),
                        err => refused("locking", path, &err),
                    });
                }
            }
        }
        Err(Fault::new(Code::Locked, format!("another host holds {path}")))
    }

    pub(super) async fn unlock(&mut self, handle: Handle) -> Result<(), Fault> {
        let header = [handle.as_slice(), &number(AfcLockOp::Unlock as u64)].concat();
        self.ask(AfcOpcode::FileLock, header, Vec::new())
            .await?
            .map_err(|err| refused("unlocking", "the file", &err))?;
        self.close(handle).await
    }
}
