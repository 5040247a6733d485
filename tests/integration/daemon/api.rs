//! A small HTTP client for the control socket, as another program would write it: no code of the daemon.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::harness::Daemon;

/// No answer takes longer.
const LIMIT: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {} {:?}", self.status, String::from_utf8_lossy(&self.body)))
    }

    /// The body as a problem document with this status.
    pub fn problem(&self, status: u16) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{text}");
        assert_eq!(self.content_type, "application/problem+json", "{text}");
        let problem = self.json();
        assert_eq!(problem["status"], Value::from(status));
        assert!(problem["detail"].as_str().is_some_and(|d| !d.is_empty()), "{text}");
        problem
    }
}

fn head(stream: &mut BufReader<UnixStream>) -> io::Result<(u16, Vec<(String, String)>)> {
    let bad = || io::Error::other("no HTTP");
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(bad)?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { return Ok((status, headers)) };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
}

fn send(socket: &Path, method: &str, path: &str, body: Option<&[u8]>) -> io::Result<BufReader<UnixStream>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: skypunch\r\nConnection: close\r\n")?;
    if let Some(body) = body {
        write!(stream, "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len())?;
        // A server that refuses a long body answers before it has read it.
        let _refused_early = stream.write_all(body);
    } else {
        write!(stream, "\r\n")?;
    }
    Ok(BufReader::new(stream))
}

/// The bytes of a chunked body as they come.
pub struct Chunks(BufReader<UnixStream>, usize);

impl Read for Chunks {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.1 == 0 {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            if line.trim().is_empty() && !line.is_empty() {
                line.clear();
                self.0.read_line(&mut line)?; // the line break behind the last chunk
            }
            self.1 = usize::from_str_radix(line.trim(), 16).unwrap_or(0);
            if self.1 == 0 {
                return Ok(0);
            }
        }
        let take = out.len().min(self.1);
        let n = self.0.read(&mut out[..take])?;
        self.1 -= n;
        Ok(n)
    }
}

/// JSON values, one a line, as they come.
pub struct Lines(BufReader<Chunks>);

impl Iterator for Lines {
    type Item = Value;
    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line within the limit");
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}")))
    }
}

/// One request, one answer.
pub fn request(socket: &Path, method: &str, path: &str, body: Option<&[u8]>) -> io::Result<Answer> {
    let mut stream = send(socket, method, path, body)?;
    let (status, headers) = head(&mut stream)?;
    let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let mut body = Vec::new();
    if header("transfer-encoding").as_deref() == Some("chunked") {
        Chunks(stream, 0).read_to_end(&mut body)?;
    } else if let Some(length) = header("content-length").and_then(|v| v.parse().ok()) {
        stream.take(length).read_to_end(&mut body)?;
    }
    Ok(Answer { status, content_type: header("content-type").unwrap_or_default(), body })
}

impl Daemon {
    /// One request; `Err` when nobody answers.
    pub fn try_request(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Answer> {
        let bytes = body.map(|b| b.to_string().into_bytes());
        request(&self.socket, method, path, bytes.as_deref())
    }

    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.try_request(method, path, body).unwrap_or_else(|e| panic!("{method} {path}: {e}"))
    }

    /// The JSON of a good answer.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let answer = self.request(method, path, body);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!((200..300).contains(&answer.status), "{method} {path}: {} {text}", answer.status);
        assert_eq!(answer.content_type, "application/json", "{method} {path}");
        answer.json()
    }

    pub fn get(&self, path: &str) -> Value {
        self.ask("GET", path, None)
    }

    /// The lines of a good streaming answer.
    pub fn lines(&self, method: &str, path: &str) -> Lines {
        let mut stream = send(&self.socket, method, path, None).unwrap();
        let (status, headers) = head(&mut stream).unwrap();
        assert_eq!(status, 200, "{method} {path}");
        assert!(headers.iter().any(|(n, v)| n == "content-type" && v == "application/x-ndjson"), "{headers:?}");
        Lines(BufReader::new(Chunks(stream, 0)))
    }
}
