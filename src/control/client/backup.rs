//! The route of backups.

use awc::http::Method;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::{ANSWER_LIMIT, Body, Client, ClientError, within};
use crate::control::api::BackupQuery;
use crate::model::backup::MAX_LINE;

/// A backup as it comes, line by line.
pub struct BackupLines {
    client: Client,
    body: Body,
    buffer: BytesMut,
    ended: bool,
}

const DOING: &str = "GET /v1/backup";

impl Client {
    /// `GET /v1/backup`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn backup(&self, query: &BackupQuery) -> Result<BackupLines, ClientError> {
        let body = within(ANSWER_LIMIT, self.request(Method::GET, "/v1/backup", query, None::<&()>)).await?;
        Ok(BackupLines { client: self.clone(), body, buffer: BytesMut::new(), ended: false })
    }
}

impl BackupLines {
    /// The next line with its line break, or what is left; `None` when the daemon has ended the stream.
    ///
    /// # Errors
    /// A cut connection.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let mut seen = 0;
        loop {
            if let Some(end) = self.buffer[seen..].iter().position(|b| *b == b'\n') {
                return Ok(Some(self.buffer.split_to(seen + end + 1).freeze()));
            }
            seen = self.buffer.len();
            if self.ended {
                return Ok((seen > 0).then(|| self.buffer.split().freeze()));
            }
            match self.body.next().await {
                Some(Ok(chunk)) if seen + chunk.len() <= MAX_LINE => self.buffer.extend_from_slice(&chunk),
                Some(Ok(_)) => return Err(self.client.protocol(DOING, "a line is too long")),
                Some(Err(e)) => return Err(self.client.protocol(DOING, e.to_string())),
                None => self.ended = true,
            }
        }
    }
}
