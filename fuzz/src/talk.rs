//! A client of one connection: sends all it has, takes all that comes, and looks whether that is in whole lines.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Bytes that the pipe to the server holds; which of them an input gets is decided by its length, so that it is cut in different places.
const PIPES: [usize; 4] = [61, 512, 4_096, 65_536];

/// The two ends of a connection for this input.
pub(crate) fn pipe(input: &[u8]) -> (DuplexStream, DuplexStream) {
    tokio::io::duplex(PIPES[input.len() % PIPES.len()])
}

/// Sends `input` and the end of it; gives the bytes that were taken and all that was said.
pub(crate) async fn talk(client: DuplexStream, input: &[u8]) -> (usize, Vec<u8>) {
    let (mut reader, mut writer) = tokio::io::split(client);
    let send = async {
        let mut taken = 0;
        while let Some(rest) = input.get(taken..).filter(|rest| !rest.is_empty()) {
            // A server that closed hears nothing more.
            match writer.write(rest).await {
                Ok(more) if more > 0 => taken += more,
                _ => break,
            }
        }
        let _ = writer.shutdown().await;
        taken
    };
    let mut said = Vec::new();
    let (taken, read) = tokio::join!(send, reader.read_to_end(&mut said));
    read.expect("a pipe in memory does not fail");
    (taken, said)
}
