//! A file in FileData pieces, read while it is sent.

use super::link::Sender;
use super::personalize::Source;
use crate::fault::{Code, Fault};
use crate::wire::restored::FILE_DATA_PIECE;
use plist::{Dictionary, Value};

/// Pieces in memory at a time.
const PER_READ: u64 = 64;

/// All of it, then FileDataDone.
pub(super) async fn send(sender: &Sender, mut source: Source) -> Result<(), Fault> {
    let mut left = source.length;
    while left > 0 {
        let wanted = left.min(PER_READ * FILE_DATA_PIECE as u64);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; wanted as usize];
            let read = source.reader.read_exact(&mut bytes);
            (source, read.map(|()| bytes))
        });
        let (back, bytes) = read.await.map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
        let bytes = bytes.map_err(|e| Fault::new(Code::FirmwareDamaged, e.to_string()))?;
        source = back;
        left -= wanted;
        for piece in bytes.chunks(FILE_DATA_PIECE) {
            sender.send(&Dictionary::from_iter([("FileData".to_owned(), Value::Data(piece.to_vec()))])).await?;
        }
    }
    sender.send(&Dictionary::from_iter([("FileDataDone".to_owned(), Value::Boolean(true))])).await
}

#[cfg(test)]
mod tests {
    use super::super::link;
    use super::*;
    use crate::wire::restored::{FROM_HOST_CAP, length, parse};
    use std::io::{Cursor, Read};
    use std::time::Duration;
    use tokio::io::AsyncReadExt;

    async fn sent(length_said: u64, bytes: Vec<u8>) -> (Result<(), Code>, Vec<usize>, Vec<u8>) {
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let (sender, _messages) = link::split(Box::new(ours), Duration::from_secs(60));
        let reader: Box<dyn Read + Send> = Box::new(Cursor::new(bytes));
        let sending = tokio::spawn(async move {
            let sent = send(&sender, Source { length: length_said, reader }).await;
            sender.close().await;
            sent.map_err(|fault| fault.code)
        });
        let (mut sizes, mut all) = (Vec::new(), Vec::new());
        let mut prefix = [0; 4];
        while theirs.read_exact(&mut prefix).await.is_ok() {
            let mut body = vec![0; length(prefix, FROM_HOST_CAP).unwrap()];
            theirs.read_exact(&mut body).await.unwrap();
            let piece = parse(&body).unwrap();
            if piece.get("FileDataDone").and_then(Value::as_boolean) == Some(true) {
                break;
            }
            let data = piece["FileData"].as_data().unwrap();
            sizes.push(data.len());
            all.extend_from_slice(data);
        }
        (sending.await.unwrap(), sizes, all)
    }

    #[tokio::test]
    async fn pieces_make_the_file_and_a_short_file_is_a_fault() {
        let bytes: Vec<u8> = (0..1_200_001_u32).map(|n| (n >> 3) as u8).collect();
        let (outcome, sizes, all) = sent(bytes.len() as u64, bytes.clone()).await;
        assert_eq!((outcome, all == bytes), (Ok(()), true));
        let (last, full) = sizes.split_last().unwrap();
        assert!(full.iter().all(|size| *size == FILE_DATA_PIECE) && *last == bytes.len() % FILE_DATA_PIECE);
        let (outcome, sizes, _) = sent(0, Vec::new()).await;
        assert_eq!((outcome, sizes.len()), (Ok(()), 0));
        let (outcome, ..) = sent(20_000, vec![1; 15_000]).await;
        assert_eq!(outcome, Err(Code::FirmwareDamaged));
    }
}
