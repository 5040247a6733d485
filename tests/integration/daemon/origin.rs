//! What is probed: a small HTTP server that counts requests, and can be told to fail, to hold, to stop, to come again.

use std::collections::{HashMap, VecDeque};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use skypunch::clock::Clock;

use super::harness::{free_port, listen};

/// How a path is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// With this status.
    Status(u16),
    /// Never; the connection stays open.
    Hold,
    /// With 500 and 200 in turns.
    Flips,
}

#[derive(Default)]
struct Shared {
    counts: HashMap<String, u64>,
    arrivals: Vec<(String, i64)>,
    answers: HashMap<String, Answer>,
    scripts: HashMap<String, VecDeque<u16>>,
    heads: HashMap<String, String>,
    held: Vec<TcpStream>,
}

/// The server; stops with its owner.
pub struct Origin {
    port: u16,
    shared: Arc<Mutex<Shared>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Origin {
    /// A server that answers everything with 200.
    pub fn start() -> Origin {
        let mut origin =
            Origin { port: free_port(), shared: Arc::default(), stop: Arc::default(), threads: Vec::new() };
        origin.restart();
        origin
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Requests that came for a path so far.
    pub fn count(&self, path: &str) -> u64 {
        self.shared.lock().unwrap().counts.get(path).copied().unwrap_or(0)
    }

    /// Requests that came for any path so far.
    pub fn total(&self) -> u64 {
        self.shared.lock().unwrap().counts.values().sum()
    }

    /// Every request that came so far: its path, and when it was read, in milliseconds since 1970; in that order.
    pub fn arrivals(&self) -> Vec<(String, i64)> {
        self.shared.lock().unwrap().arrivals.clone()
    }

    /// Answers a path so from now on.
    pub fn answer(&self, path: &str, answer: Answer) {
        self.shared.lock().unwrap().answers.insert(path.into(), answer);
    }

    /// Answers the next requests for a path with these, then as before.
    pub fn script(&self, path: &str, statuses: &[u16]) {
        self.shared.lock().unwrap().scripts.insert(path.into(), statuses.iter().copied().collect());
    }

    /// The last request's line and headers for a path.
    pub fn head(&self, path: &str) -> String {
        self.shared.lock().unwrap().heads.get(path).cloned().unwrap_or_default()
    }

    /// Closes the connections that were held.
    pub fn release(&self) {
        self.shared.lock().unwrap().held.clear();
    }

    /// Nobody listens any more; connections that were held are closed.
    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes it up; nobody listens when it was stopped before.
        let _woken = TcpStream::connect(("127.0.0.1", self.port));
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        self.release();
    }

    /// Listens again, on the same port.
    pub fn restart(&mut self) {
        self.stop = Arc::default();
        let listener = listen(self.port);
        let (shared, stop) = (Arc::clone(&self.shared), Arc::clone(&self.stop));
        self.threads.push(std::thread::spawn(move || serve(&listener, &shared, &stop)));
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(listener: &TcpListener, shared: &Mutex<Shared>, stop: &AtomicBool) {
    loop {
        let (stream, _) = listener.accept().unwrap();
        if stop.load(Ordering::SeqCst) {
            return;
        }
        // A caller that goes away is its own affair.
        drop(answer(stream, shared));
    }
}

fn answer(mut stream: TcpStream, shared: &Mutex<Shared>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => head.extend_from_slice(&buffer[..n]),
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or("").to_owned();
    let status = {
        let mut shared = shared.lock().unwrap();
        let seen = shared.counts.entry(path.clone()).or_default();
        *seen += 1;
        let count = *seen;
        shared.arrivals.push((path.clone(), Clock::system().utc_now().0));
        shared.heads.insert(path.clone(), head);
        let scripted = shared.scripts.get_mut(&path).and_then(VecDeque::pop_front);
        match scripted.map(Answer::Status).or_else(|| shared.answers.get(&path).copied()) {
            Some(Answer::Hold) => {
                shared.held.push(stream);
                return Ok(());
            }
            Some(Answer::Status(status)) => status,
            Some(Answer::Flips) => [500, 200][usize::from(count.is_multiple_of(2))],
            None => 200,
        }
    };
    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n");
    stream.write_all(answer.as_bytes())
}
