//! The client of the control socket: one method a route.
//!
//! ```text
//!  Client::targets(..) -> awc -> UnixConnector -> control.sock
//!            '<- Ok(types of api) | NotReachable | PermissionDenied | OnlyReads | Refused(ProblemDetails) | TimedOut | Protocol
//! ```
//!
//! A fresh connection per request: requests are rare, and a daemon that was restarted meanwhile is met as it is now.

mod backup;
mod connect;
mod credentials;
mod lines;
mod notifiers;

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use awc::http::Method;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use self::backup::BackupLines;
use self::connect::{CONNECT_LIMIT, http};
pub use self::lines::Lines;
use super::api::{
    ApplyReport, ApplyRequest, Exported, HistoryQuery, HistoryRow, IncidentDetail, IncidentQuery, IncidentSummary,
    ProblemDetails, Reloaded, Removed, Status, Stopping, TargetDetail, TargetFilter, TargetRef, TargetSummary,
    TestLine, WatchLine, WatchQuery,
};
use crate::model::text::shorten;

/// From the request to the end of the answer; a reload of 100,000 targets takes a few seconds. Streams have no limit.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// A daemon that takes longer to say how it is hangs, and who asks wants to know that soon.
const STATUS_LIMIT: Duration = Duration::from_secs(10);
/// 100,000 targets make an answer of some 30 MB.
const MAX_ANSWER_BYTES: usize = 512 * 1024 * 1024;
/// A longer line of a stream is no line.
const MAX_LINE_BYTES: usize = 4 * 1024 * 1024;

/// Why a request got no good answer. `Display` does not repeat the source.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens on the socket.
    #[error(
        "skypunch cannot be reached at {}: start it with `skypunchctl start`, or name its socket with --socket",
        socket.display()
    )]
    NotReachable {
        /// The socket.
        socket: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The socket belongs to somebody else.
    #[error("you may not use {}: ask for membership in the group that owns it, or use sudo", socket.display())]
    PermissionDenied {
        /// The socket.
        socket: PathBuf,
    },
    /// Only the read-only socket can be reached, and more was asked for than reading.
    #[error(
        "you may only look: {} is for root and its group, and {}, which you may use, only reads; ask for membership in \
         the group that owns the first, or use sudo", socket.display(), read_only.display()
    )]
    OnlyReads {
        /// The control socket.
        socket: PathBuf,
        /// The one that can be reached.
        read_only: PathBuf,
    },
    /// The daemon said no.
    #[error("{}", .0.detail)]
    Refused(Box<ProblemDetails>),
    /// The daemon took too long.
    #[error("skypunch did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// What came is not what was asked for.
    #[error("what answers at {} does not speak as skypunch {} does ({doing})", socket.display(), env!("CARGO_PKG_VERSION"))]
    Protocol {
        /// The socket.
        socket: PathBuf,
        /// Method and path, or what was being read.
        doing: String,
        /// What is wrong.
        source: Box<dyn std::error::Error>,
    },
}

/// Speaks to one daemon. Lives on an actix runtime.
#[derive(Clone)]
pub struct Client {
    http: awc::Client,
    socket: PathBuf,
    /// The read-only socket, for whoever may not use the other one.
    read_only: Option<(awc::Client, PathBuf)>,
}

type Body = Pin<Box<dyn Stream<Item = Result<Bytes, awc::error::PayloadError>>>>;

impl Client {
    /// A client of the daemon that listens on `socket`; connects at the first request.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Client {
        let socket = socket.into();
        Client { http: http(&socket), socket, read_only: None }
    }

    /// The same, which reads from the read-only socket where the other one cannot be used.
    #[must_use]
    pub fn or_read_only(mut self, socket: Option<PathBuf>) -> Client {
        self.read_only = socket.map(|socket| (http(&socket), socket));
        self
    }

    /// The socket that it speaks to.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// `GET /v1/status`.
    ///
    /// # Errors
    /// See [`ClientError`]; so with every method.
    pub async fn status(&self) -> Result<Status, ClientError> {
        within(STATUS_LIMIT, self.json(Method::GET, "/v1/status", &(), None::<&()>)).await
    }

    /// `POST /v1/reload`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn reload(&self) -> Result<Reloaded, ClientError> {
        self.json(Method::POST, "/v1/reload", &(), None::<&()>).await
    }

    /// `POST /v1/stop`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn stop(&self) -> Result<Stopping, ClientError> {
        self.json(Method::POST, "/v1/stop", &(), None::<&()>).await
    }

    /// `GET /v1/targets`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn targets(&self, filter: &TargetFilter) -> Result<Vec<TargetSummary>, ClientError> {
        self.json(Method::GET, "/v1/targets", filter, None::<&()>).await
    }

    /// `GET /v1/targets/{ref}`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn target(&self, target: &TargetRef) -> Result<TargetDetail, ClientError> {
        self.json(Method::GET, &target_path(target, ""), &(), None::<&()>).await
    }

    /// `POST /v1/targets`: adds a target from the keys that differ from their defaults.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn add(&self, keys: &Map<String, Value>) -> Result<TargetDetail, ClientError> {
        self.json(Method::POST, "/v1/targets", &(), Some(keys)).await
    }

    /// `PATCH /v1/targets/{ref}`: sets keys; null sets the default.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn edit(&self, target: &TargetRef, keys: &Map<String, Value>) -> Result<TargetDetail, ClientError> {
        self.json(Method::PATCH, &target_path(target, ""), &(), Some(keys)).await
    }

    /// `DELETE /v1/targets/{ref}`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn remove(&self, target: &TargetRef) -> Result<Removed, ClientError> {
        self.json(Method::DELETE, &target_path(target, ""), &(), None::<&()>).await
    }

    /// `POST /v1/targets/{ref}/enable` or `/disable`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set_enabled(&self, target: &TargetRef, enabled: bool) -> Result<TargetDetail, ClientError> {
        let verb = if enabled { "/enable" } else { "/disable" };
        self.json(Method::POST, &target_path(target, verb), &(), None::<&()>).await
    }

    /// `POST /v1/targets/{ref}/test`: probes now and tells each step as it happens.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn test(&self, target: &TargetRef) -> Result<Lines<TestLine>, ClientError> {
        self.lines(Method::POST, &target_path(target, "/test"), &()).await
    }

    /// `POST /v1/apply`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn apply(&self, request: &ApplyRequest) -> Result<ApplyReport, ClientError> {
        self.json(Method::POST, "/v1/apply", &(), Some(request)).await
    }

    /// `GET /v1/export`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn export(&self) -> Result<Exported, ClientError> {
        self.json(Method::GET, "/v1/export", &(), None::<&()>).await
    }

    /// `GET /v1/incidents`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn incidents(&self, query: &IncidentQuery) -> Result<Vec<IncidentSummary>, ClientError> {
        self.json(Method::GET, "/v1/incidents", query, None::<&()>).await
    }

    /// `GET /v1/incidents/{id}`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn incident(&self, id: i64) -> Result<IncidentDetail, ClientError> {
        self.json(Method::GET, &format!("/v1/incidents/{id}"), &(), None::<&()>).await
    }

    /// `GET /v1/targets/{ref}/history`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn history(&self, target: &TargetRef, query: &HistoryQuery) -> Result<Vec<HistoryRow>, ClientError> {
        self.json(Method::GET, &target_path(target, "/history"), query, None::<&()>).await
    }

    /// `GET /v1/watch`: results as they come, until the daemon stops.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn watch(&self, query: &WatchQuery) -> Result<Lines<WatchLine>, ClientError> {
        self.lines(Method::GET, "/v1/watch", query).await
    }

    async fn json<Q: Serialize, B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &Q,
        body: Option<&B>,
    ) -> Result<T, ClientError> {
        let doing = format!("{method} {path}");
        let answer = async {
            let stream = self.request(method, path, query, body).await?;
            let bytes = read_all(stream).await.map_err(|e| self.protocol(&doing, e))?;
            serde_json::from_slice(&bytes).map_err(|e| self.protocol(&doing, e))
        };
        within(ANSWER_LIMIT, answer).await
    }

    /// An answer that is text.
    async fn whole_text<Q: Serialize>(&self, method: Method, path: &str, query: &Q) -> Result<String, ClientError> {
        let doing = format!("{method} {path}");
        let answer = async {
            let stream = self.request(method, path, query, None::<&()>).await?;
            let bytes = read_all(stream).await.map_err(|e| self.protocol(&doing, e))?;
            String::from_utf8(bytes).map_err(|e| self.protocol(&doing, e))
        };
        within(ANSWER_LIMIT, answer).await
    }

    async fn lines<Q: Serialize, T>(&self, method: Method, path: &str, query: &Q) -> Result<Lines<T>, ClientError> {
        let doing = format!("{method} {path}");
        let body = within(ANSWER_LIMIT, self.request(method, path, query, None::<&()>)).await?;
        Ok(Lines {
            client: self.clone(),
            doing,
            body,
            buffer: BytesMut::new(),
            ended: false,
            kind: std::marker::PhantomData,
        })
    }

    /// Sends a request; the body of a good answer, or the daemon's refusal.
    async fn request<Q: Serialize, B: Serialize>(
        &self,
        method: Method,
        path: &str,
        query: &Q,
        body: Option<&B>,
    ) -> Result<Body, ClientError> {
        let doing = format!("{method} {path}");
        let body = body.map(serde_json::to_vec).transpose().map_err(|e| self.protocol(&doing, e))?;
        // awc writes a lone `?` for a query without conditions: leave it out.
        let url = format!("http://skypunch{path}");
        let send = async |http: &awc::Client| {
            let bare = http.request(method.clone(), &url);
            let with_query = http.request(method.clone(), &url).query(query).map_err(|e| self.protocol(&doing, e))?;
            let has_query = with_query.get_uri().query().is_some_and(|q| !q.is_empty());
            let request = if has_query { with_query } else { bare }.no_decompress().force_close();
            let sent = match body.clone() {
                Some(json) => request.content_type("application/json").send_body(json).await,
                None => request.send().await,
            };
            sent.map_err(|e| self.send_error(&doing, e))
        };
        let answer = match (send(&self.http).await, &self.read_only) {
            (Err(e), Some((http, read_only))) if matches!(e, ClientError::PermissionDenied { .. }) => {
                if method != Method::GET {
                    return Err(self.only_reads(read_only, e));
                }
                // Who may use neither hears of the one that is for everything.
                send(http).await.map_err(|other| if may_not(&other) { e } else { other })?
            }
            (answer, _) => answer?,
        };
        let status = answer.status();
        let stream: Body = Box::pin(answer);
        if status.is_success() {
            return Ok(stream);
        }
        let bytes = read_all(stream).await.map_err(|e| self.protocol(&doing, e))?;
        let details = serde_json::from_slice::<ProblemDetails>(&bytes)
            .unwrap_or_else(|_| ProblemDetails::new(status.as_u16(), format!("{doing} was answered with {status}")));
        Err(ClientError::Refused(Box::new(details)))
    }

    /// Why a change was not even tried.
    fn only_reads(&self, read_only: &Path, denied: ClientError) -> ClientError {
        match std::os::unix::net::UnixStream::connect(read_only) {
            Ok(_) => ClientError::OnlyReads { socket: self.socket.clone(), read_only: read_only.to_owned() },
            Err(_) => denied,
        }
    }

    fn protocol(&self, doing: &str, source: impl Into<Box<dyn std::error::Error>>) -> ClientError {
        ClientError::Protocol {
            socket: self.socket.clone(),
            doing: shorten(doing, 200).into_owned(),
            source: source.into(),
        }
    }

    fn send_error(&self, doing: &str, error: awc::error::SendRequestError) -> ClientError {
        use awc::error::{ConnectError, SendRequestError};
        let socket = self.socket.clone();
        match error {
            SendRequestError::Connect(ConnectError::Io(e)) if e.kind() == io::ErrorKind::PermissionDenied => {
                ClientError::PermissionDenied { socket }
            }
            SendRequestError::Connect(ConnectError::Io(source)) => ClientError::NotReachable { socket, source },
            SendRequestError::Connect(ConnectError::Timeout) => ClientError::TimedOut(CONNECT_LIMIT),
            // awc's errors are not `Send` and some are not `Error` all the way down: their text is kept.
            other => self.protocol(doing, other.to_string()),
        }
    }
}

fn may_not(error: &ClientError) -> bool {
    matches!(error, ClientError::PermissionDenied { .. } | ClientError::NotReachable { .. })
}

fn target_path(target: &TargetRef, rest: &str) -> String {
    format!("/v1/targets/{}{rest}", target.segment())
}

async fn within<T>(limit: Duration, answer: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    tokio::time::timeout(limit, answer).await.unwrap_or(Err(ClientError::TimedOut(limit)))
}

async fn read_all(mut body: Body) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut all = Vec::new();
    while let Some(chunk) = body.next().await {
        all.extend_from_slice(&chunk.map_err(|e| e.to_string())?);
        if all.len() > MAX_ANSWER_BYTES {
            return Err(format!("the answer is longer than {MAX_ANSWER_BYTES} bytes").into());
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use awc::error::{ConnectError as Connect, SendRequestError};

    #[test]
    fn each_way_of_not_connecting_has_its_error() {
        let client = Client::new("/run/x/control.sock");
        let of = |kind: io::ErrorKind| client.send_error("GET /", SendRequestError::Connect(Connect::Io(kind.into())));
        assert!(matches!(of(io::ErrorKind::NotFound), ClientError::NotReachable { .. }));
        assert!(matches!(of(io::ErrorKind::ConnectionRefused), ClientError::NotReachable { .. }));
        let denied = of(io::ErrorKind::PermissionDenied);
        assert_eq!(
            denied.to_string(),
            "you may not use /run/x/control.sock: ask for membership in the group that owns it, or use sudo"
        );
    }
}
