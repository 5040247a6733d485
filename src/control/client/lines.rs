//! Answers that come line by line.

use bytes::BytesMut;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use super::{Body, Client, ClientError, MAX_LINE_BYTES};

/// A stream of JSON values, one a line, as they arrive.
pub struct Lines<T> {
    pub(super) client: Client,
    pub(super) doing: String,
    pub(super) body: Body,
    pub(super) buffer: BytesMut,
    pub(super) ended: bool,
    pub(super) kind: std::marker::PhantomData<T>,
}

impl<T: DeserializeOwned> Lines<T> {
    /// The next value; `None` when the daemon has ended the stream.
    ///
    /// # Errors
    /// A cut connection, or a line that is not such a value; the stream has ended then.
    pub async fn next(&mut self) -> Option<Result<T, ClientError>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line = self.buffer.split_to(end + 1);
                if line.trim_ascii().is_empty() {
                    continue; // a sign of life
                }
                return Some(self.parse(&line));
            }
            if self.ended {
                let rest = self.buffer.split();
                return if rest.trim_ascii().is_empty() { None } else { Some(self.parse(&rest)) };
            }
            match self.body.next().await {
                Some(Ok(chunk)) if self.buffer.len() + chunk.len() <= MAX_LINE_BYTES => {
                    self.buffer.extend_from_slice(&chunk);
                }
                Some(Ok(_)) => return Some(self.fail(format!("a line is longer than {MAX_LINE_BYTES} bytes"))),
                Some(Err(e)) => return Some(self.fail(e.to_string())),
                None => self.ended = true,
            }
        }
    }

    fn parse(&mut self, line: &[u8]) -> Result<T, ClientError> {
        match serde_json::from_slice(line) {
            Ok(value) => Ok(value),
            Err(e) => self.fail(e.to_string()),
        }
    }

    fn fail<V>(&mut self, what: String) -> Result<V, ClientError> {
        self.ended = true;
        self.buffer.clear();
        Err(self.client.protocol(&self.doing, what))
    }
}
