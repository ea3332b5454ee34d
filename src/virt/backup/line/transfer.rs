//! Files as raw frames, in both directions.
//!
//! Contents are made straight into the output buffer and handed on straight from the input buffer: a
//! frame is never a value of its own. Only batches of the person's files count for the faults.

use super::{Halt, Line};
use crate::virt::backup::Content;
use crate::virt::backup::manifest::stored;
use crate::wire::devicelink::frame::{self, DEVICE_FRAME, FrameCode, HEAD, Head, LIST_END, MAX_ERROR_TEXT};
use crate::wire::devicelink::{FromDevice, Status};
use crate::wire::seal::{Key, Sealing};
use std::io;

/// One file on its way to the host.
pub(in crate::virt::backup) struct Outgoing {
    pub device_path: String,
    pub host_path: String,
    /// None: the phone cannot read it.
    pub content: Result<Content, String>,
    /// It is encrypted with this on its way.
    pub key: Option<Key>,
    /// The fault: so many bytes of its end are left out.
    pub lacks: u64,
}

/// What a download brings, in order.
pub(in crate::virt::backup) enum Got<'a> {
    Name(&'a str),
    Data(&'a [u8]),
    End,
    Failed(String),
}

impl Line {
    /// UploadFiles: the phone sends. `callbacks` marks a batch of the person's files.
    pub fn upload(
        &mut self,
        progress: f64,
        total: u64,
        callbacks: Option<u64>,
        files: &[Outgoing],
    ) -> Result<Status, Halt> {
        self.send(FromDevice::UploadFiles { progress: Some(progress), bytes: total, callbacks })?;
        for file in files {
            if callbacks.is_some() {
                self.begin_file()?;
            }
            self.put(&frame::build_name(&file.device_path)?)?;
            self.put(&(file.host_path.len() as u32).to_be_bytes())?;
            self.put(file.host_path.as_bytes())?;
            match &file.content {
                Ok(content) => self.upload_content(content, file, callbacks.is_some())?,
                Err(text) => {
                    let head = Head { code: FrameCode::DeviceError, payload: text.len() as u32 };
                    self.put(&head.build())?;
                    self.put(text.as_bytes())?;
                }
            }
        }
        self.put(&LIST_END)?;
        self.status()
    }

    fn upload_content(&mut self, content: &Content, file: &Outgoing, persons: bool) -> Result<(), Halt> {
        let mut sealing = file.key.as_ref().map(Sealing::new).transpose().map_err(io::Error::other)?;
        let total = stored(content.size(), sealing.is_some());
        let mut done = 0;
        while done < total {
            let mut length = (total - done).min(DEVICE_FRAME as u64) as usize;
            let whole = length;
            if done + whole as u64 == total {
                length -= file.lacks.min(length as u64) as usize;
            }
            let mut head = Head { code: FrameCode::Data, payload: length as u32 }.build();
            if persons
                && let Some(absurd) = self.faults.absurd_frame_length.take()
                && let Some(word) = head.first_chunk_mut::<4>()
            {
                *word = absurd.to_be_bytes();
            }
            if self.out.len() - self.out_end < HEAD + whole {
                self.flush()?;
            }
            self.put(&head)?;
            let out = &mut self.out[self.out_end..self.out_end + whole];
            let plain = (content.size() - done.min(content.size())).min(whole as u64) as usize;
            content.read_at(done.min(content.size()), &mut out[..plain])?;
            if let Some(sealing) = &mut sealing {
                sealing.seal_payload(out, done, content.size()).map_err(io::Error::other)?;
            }
            self.out_end += length;
            done += whole as u64;
            if persons {
                self.count_bytes(length, true)?;
            }
        }
        Ok(self.put(&Head { code: FrameCode::End, payload: 0 }.build())?)
    }

    /// DownloadFiles: the host sends. Gives the host's closing status.
    pub fn download(
        &mut self,
        paths: Vec<String>,
        progress: f64,
        persons: bool,
        mut sink: impl FnMut(Got<'_>) -> io::Result<()>,
    ) -> Result<Status, Halt> {
        self.send(FromDevice::DownloadFiles { paths, progress: Some(progress) })?;
        let mut word = self.word()?;
        while let Some(length) = frame::name_length(word)? {
            if persons {
                self.begin_file()?;
            }
            let mut name = vec![0; length];
            self.take(&mut name)?;
            sink(Got::Name(&String::from_utf8_lossy(&name)))?;
            self.download_content(persons, &mut sink)?;
            word = self.word()?;
        }
        self.status()
    }

    fn download_content(
        &mut self,
        persons: bool,
        sink: &mut impl FnMut(Got<'_>) -> io::Result<()>,
    ) -> Result<(), Halt> {
        loop {
            let mut head = [0; HEAD];
            self.take(&mut head)?;
            let head = Head::parse(head)?;
            if head.code != FrameCode::Data {
                let mut text = vec![0; (head.payload as usize).min(MAX_ERROR_TEXT)];
                self.take(&mut text)?;
                self.skip(head.payload as usize - text.len())?;
                let text = String::from_utf8_lossy(&text).trim_end_matches('\0').to_owned();
                sink(if head.code == FrameCode::End { Got::End } else { Got::Failed(text) })?;
                return Ok(());
            }
            let mut left = head.payload as usize;
            while left > 0 {
                let ready = self.waiting()?;
                let length = ready.len().min(left);
                sink(Got::Data(&ready[..length]))?;
                self.at += length;
                left -= length;
                if persons {
                    self.count_bytes(length, false)?;
                }
            }
        }
    }

    fn skip(&mut self, mut left: usize) -> io::Result<()> {
        while left > 0 {
            let length = self.waiting()?.len().min(left);
            self.at += length;
            left -= length;
        }
        Ok(())
    }
}
