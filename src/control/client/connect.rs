//! Connections over a Unix socket.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use actix_rt::net::UnixStream;
use actix_service::Service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use awc::http::Uri;

/// A Unix socket connects at once or not at all, unless its queue of waiting callers is full.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A client whose connections all go to this socket.
pub(super) fn http(socket: &Path) -> awc::Client {
    let connector = awc::Connector::new().connector(UnixConnector(socket.to_owned())).limit(0);
    awc::Client::builder().disable_timeout().disable_redirects().connector(connector).finish()
}

/// Connects to the socket, whatever the URL's host is.
#[derive(Debug, Clone)]
struct UnixConnector(PathBuf);

impl Service<ConnectInfo<Uri>> for UnixConnector {
    type Response = Connection<Uri, UnixStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>>>>;

    actix_service::always_ready!();

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        let socket = self.0.clone();
        Box::pin(async move {
            match tokio::time::timeout(CONNECT_LIMIT, UnixStream::connect(&socket)).await {
                Ok(Ok(stream)) => Ok(Connection::new(info.request().clone(), stream)),
                Ok(Err(e)) => Err(ConnectError::Io(e)),
                Err(_) => Err(ConnectError::Io(io::ErrorKind::TimedOut.into())),
            }
        })
    }
}
