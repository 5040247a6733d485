//! A tiny HTTP client of the tests' own: one request, one answer, one connection, with a limit.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde_json::Value;
use url::Url;

/// Long enough for any answer that comes at all, on a busy machine too.
pub const LIMIT: Duration = Duration::from_secs(120);

/// What a server said.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().filter_map(|line| line.split_once(':'));
        headers.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// Sends a request, with a JSON body when there is one, and reads the whole answer.
///
/// # Panics
/// Without an answer.
pub fn send(method: &str, url: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
    try_send(method, url, headers, body, LIMIT).unwrap_or_else(|e| panic!("{method} {url}: {e}"))
}

/// The same; no answer is an error. `limit` is for each wait on the connection.
pub fn try_send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
    limit: Duration,
) -> io::Result<Answer> {
    let url = Url::parse(url).unwrap();
    let (host, port) = (url.host_str().unwrap(), url.port_or_known_default().unwrap());
    let address = (host, port).to_socket_addrs()?.next().unwrap();
    let mut tcp = TcpStream::connect_timeout(&address, limit)?;
    tcp.set_read_timeout(Some(limit))?;
    tcp.set_write_timeout(Some(limit))?;
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    // HTTP/1.0: the answer's end is the connection's, and nothing comes in chunks.
    let mut request = format!("{method} {target} HTTP/1.0\r\nHost: {host}:{port}\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    let body = body.map(Value::to_string).unwrap_or_default();
    if !body.is_empty() {
        request.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    tcp.write_all(format!("{request}\r\n{body}").as_bytes())?;
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let broken = || io::Error::new(io::ErrorKind::UnexpectedEof, format!("no whole answer: {answer:?}"));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(broken)?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(broken)?;
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}
