//! A mail server of the tests' own: keeps every mail in the order of acceptance, and can hold or put off its answer.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mail_parser::{HeaderForm, MessageParser};

use super::harness::{SOON, wait_for};

/// What is answered to a mail that came whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// 250, after so long; it counts as arrived before.
    Accept(Duration),
    /// Nothing, ever; it counts as arrived.
    Hold,
    /// 451; it does not count.
    Later,
}

/// A mail that arrived.
#[derive(Debug, Clone)]
pub struct Mail {
    pub message_id: String,
    /// Message-IDs, oldest first.
    pub references: Vec<String>,
    pub in_reply_to: Option<String>,
    pub subject: String,
    pub to: String,
    /// `X-Skypunch-Event`.
    pub event: String,
    /// `X-Skypunch-Incident`; a digest has none.
    pub incident: Option<String>,
    pub text: String,
    /// Its bytes, as they came over the wire, dots undone.
    pub raw: Vec<u8>,
}

impl Mail {
    /// Reads the bytes of a mail.
    pub fn read(raw: &[u8]) -> Mail {
        let mail = MessageParser::default().parse(raw).unwrap();
        let ids = |value: &mail_parser::HeaderValue<'_>| {
            let ids = value.as_text_list().unwrap_or_default();
            ids.iter().map(|id| id.clone().into_owned()).collect::<Vec<_>>()
        };
        let header = |name: &'static str| {
            let found = mail.header_as(name, HeaderForm::Text);
            found.first().and_then(|h| h.as_text().map(str::to_owned))
        };
        Mail {
            message_id: mail.message_id().unwrap().to_owned(),
            references: ids(mail.references()),
            in_reply_to: ids(mail.in_reply_to()).pop(),
            subject: mail.subject().unwrap().to_owned(),
            to: mail.to().unwrap().first().unwrap().address().unwrap().to_owned(),
            event: header("X-Skypunch-Event").unwrap(),
            incident: header("X-Skypunch-Incident"),
            text: mail.body_text(0).unwrap().into_owned(),
            raw: raw.to_vec(),
        }
    }
}

struct Inner {
    mails: Vec<Mail>,
    put_off: usize,
    fate: Box<dyn FnMut() -> Fate + Send>,
    held: Vec<TcpStream>,
}

/// The server; its threads end with the test program.
pub struct MailServer {
    pub port: u16,
    inner: Arc<Mutex<Inner>>,
}

impl MailServer {
    /// A server that accepts at once.
    pub fn start() -> MailServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let fate = Box::new(|| Fate::Accept(Duration::ZERO));
        let inner = Arc::new(Mutex::new(Inner { mails: Vec::new(), put_off: 0, fate, held: Vec::new() }));
        let shared = Arc::clone(&inner);
        std::thread::spawn(move || {
            for tcp in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                // A client that is killed is what this is for.
                std::thread::spawn(move || drop(serve(tcp, &shared)));
            }
        });
        MailServer { port, inner }
    }

    /// The params of a notifier that sends here.
    pub fn params(&self) -> String {
        format!("server=127.0.0.1:{},security=none", self.port)
    }

    /// Each mail is asked for its fate from now on.
    pub fn fate(&self, fate: impl FnMut() -> Fate + Send + 'static) {
        self.inner.lock().unwrap().fate = Box::new(fate);
    }

    /// Those that arrived, in that order.
    pub fn mails(&self) -> Vec<Mail> {
        self.inner.lock().unwrap().mails.clone()
    }

    /// How many were answered with 451.
    pub fn put_off(&self) -> usize {
        self.inner.lock().unwrap().put_off
    }

    /// Waits until so many have arrived.
    pub fn wait(&self, n: usize) -> Vec<Mail> {
        wait_for(&format!("{n} mails"), SOON, || Some(self.mails()).filter(|m| m.len() >= n))
    }
}

fn serve(tcp: TcpStream, inner: &Mutex<Inner>) -> std::io::Result<()> {
    let mut input = BufReader::new(tcp.try_clone()?);
    let mut out = tcp;
    let mut line = Vec::new();
    out.write_all(b"220 tests ESMTP\r\n")?;
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let word = line.split(|b| b" \r\n".contains(b)).next().unwrap_or_default().to_ascii_uppercase();
        let answer: &[u8] = match word.as_slice() {
            b"EHLO" => b"250-tests\r\n250 8BITMIME\r\n",
            b"DATA" => b"354 go on\r\n",
            b"QUIT" => b"221 bye\r\n",
            _ => b"250 2.1.0 ok\r\n",
        };
        out.write_all(answer)?;
        if word != b"DATA" {
            continue;
        }
        let mut raw = Vec::new();
        loop {
            line.clear();
            if input.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            match line.as_slice() {
                b".\r\n" => break,
                [b'.', rest @ ..] => raw.extend_from_slice(rest),
                all => raw.extend_from_slice(all),
            }
        }
        let mut shared = inner.lock().unwrap();
        let fate = (shared.fate)();
        if fate == Fate::Later {
            shared.put_off += 1;
            drop(shared);
            out.write_all(b"451 4.3.0 come again\r\n")?;
            continue;
        }
        shared.mails.push(Mail::read(&raw));
        let Fate::Accept(pause) = fate else {
            shared.held.push(out);
            return Ok(());
        };
        drop(shared);
        std::thread::sleep(pause);
        out.write_all(b"250 2.0.0 accepted\r\n")?;
    }
}
