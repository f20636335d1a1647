//! How requests for content travel among hosts: one request and one answer on a stream of their own,
//! each as long as the stream. Not here: what they say (`obscuro_protocol::gossip`).

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::request_response::Codec;
use obscuro_protocol::{
    gossip::{Found, Wanted},
    limits::CONTENT_BYTES_MAX,
    wire::WireError,
};
use std::io;

/// The protocol of content; nodes of all networks speak it.
pub const PROTOCOL: &str = "/obscuro/content/1";

/// See above.
#[derive(Clone, Default)]
pub struct ContentCodec;

impl Codec for ContentCodec {
    type Protocol = &'static str;
    type Request = Wanted;
    type Response = Found;

    async fn read_request<T>(&mut self, _: &&'static str, io: &mut T) -> io::Result<Wanted>
    where
        T: AsyncRead + Unpin + Send,
    {
        Wanted::decode(&read(io, Wanted::BYTES_MAX).await?).map_err(invalid)
    }

    async fn read_response<T>(&mut self, _: &&'static str, io: &mut T) -> io::Result<Found>
    where
        T: AsyncRead + Unpin + Send,
    {
        let bytes = read(io, CONTENT_BYTES_MAX).await?;
        Found::decode(&bytes).map_err(|error| match error {
            WireError::TooLong { .. } => invalid(error),
            // A peer that gave up halfway, or a link that did: nothing of it was believed.
            _ => io::Error::new(io::ErrorKind::UnexpectedEof, error),
        })
    }

    async fn write_request<T>(
        &mut self,
        _: &&'static str,
        io: &mut T,
        wanted: Wanted,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&wanted.encode()).await
    }

    async fn write_response<T>(
        &mut self,
        _: &&'static str,
        io: &mut T,
        found: Found,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&found.encode()).await
    }
}

/// All of a stream, and one byte more than allowed if there is one: decoding refuses it.
async fn read<T: AsyncRead + Unpin + Send>(io: &mut T, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io.take(limit as u64 + 1).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

fn invalid(error: WireError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{executor::block_on, io::Cursor};

    /// Only what no honest peer can send is held against one: streams end early, too.
    #[test]
    fn an_answer_cut_short_is_not_a_lie() {
        let whole = Found::Content(vec![7; 100].into()).encode();
        let endless = vec![7; CONTENT_BYTES_MAX + 1];
        let cases = [
            (&[][..], Some(io::ErrorKind::UnexpectedEof)),
            (&whole[..whole.len() / 2], Some(io::ErrorKind::UnexpectedEof)),
            (&endless, Some(io::ErrorKind::InvalidData)),
            (&whole, None),
        ];
        for (sent, expected) in cases {
            let mut stream = Cursor::new(sent);
            let answer = block_on(ContentCodec.read_response(&PROTOCOL, &mut stream));
            assert_eq!(answer.err().map(|error| error.kind()), expected, "{} bytes", sent.len());
        }
    }
}
