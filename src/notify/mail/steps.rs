//! What is told of a dialogue: to whom it is told, what is never told, and what was being done when time ran out.

use std::cell::{Cell, RefCell};
use std::error::Error as _;
use std::io;

use base64::Engine;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::response::Response;

use crate::model::text::{escape_controls, shorten};
use crate::model::trace::Event;
use crate::net::Observer;
use crate::net::dial::words;
use crate::notify::Dialogue;

/// So many characters of a server are kept.
const MOST: usize = 300;

/// So many characters in a row of a secret are too many to be shown.
const SHOWN: usize = 6;

/// The steps of one send.
pub struct Steps<'a> {
    dialogue: &'a dyn Dialogue,
    /// The password, and what it looks like on the wire.
    secrets: RefCell<Vec<Vec<u8>>>,
    doing: RefCell<String>,
    unanswered: Cell<bool>,
}

impl<'a> Steps<'a> {
    /// Nothing is secret yet.
    #[must_use]
    pub fn new(dialogue: &'a dyn Dialogue) -> Steps<'a> {
        Steps { dialogue, secrets: RefCell::default(), doing: RefCell::default(), unanswered: Cell::default() }
    }

    /// From now on nothing is told that repeats a part of these.
    pub fn hide(&self, user: &str, password: &str) {
        let encode = |text: String| base64::engine::general_purpose::STANDARD.encode(text);
        let forms = [password.to_owned(), encode(password.to_owned()), encode(format!("\0{user}\0{password}"))];
        *self.secrets.borrow_mut() = forms.into_iter().map(String::into_bytes).filter(|f| !f.is_empty()).collect();
    }

    /// Tells a step.
    pub fn say(&self, line: &str) {
        self.dialogue.step(&self.safe(line));
    }

    /// What is being done from now on, as the end of "timed out …".
    pub fn doing(&self, what: impl Into<String>) {
        *self.doing.borrow_mut() = what.into();
    }

    /// The mail goes out now (true), or the server has answered it (false).
    pub fn unanswered(&self, yes: bool) {
        self.unanswered.set(yes);
    }

    /// The mail went out, and the server has not answered it.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        self.unanswered.get()
    }

    /// What was being done last.
    #[must_use]
    pub fn done_last(&self) -> String {
        self.safe(&self.doing.borrow())
    }

    /// Text from outside as it may be shown: no secret, no control characters, not long.
    #[must_use]
    pub fn safe(&self, text: &str) -> String {
        if self.secrets.borrow().iter().any(|secret| repeats(text, secret)) {
            let code = text.get(..3).filter(|c| c.bytes().all(|b| b.is_ascii_digit())).unwrap_or_default();
            return format!("{code} (not shown: it repeats a part of the password)").trim_start().to_owned();
        }
        shorten(&escape_controls(text), MOST).into_owned()
    }

    /// An answer of the server.
    #[must_use]
    pub fn answer(&self, response: &Response) -> String {
        let text: Vec<&str> = response.message().collect();
        self.safe(format!("{} {}", response.code(), text.join(" ")).trim_end())
    }

    /// Why lettre gave up, in words.
    #[must_use]
    pub fn trouble(&self, error: &Error) -> String {
        let source = error.source().map_or(String::new(), ToString::to_string);
        if let Some(code) = error.status() {
            return self.safe(format!("{code} {source}").trim_end());
        }
        let io = error.source().and_then(|s| s.downcast_ref::<io::Error>());
        if let Some(io) = io {
            return match io.kind() {
                io::ErrorKind::UnexpectedEof => CLOSED.to_owned(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "the server reset the connection".into(),
                _ => self.safe(&words(io)),
            };
        }
        match error.is_response() {
            true if source == "incomplete response" => CLOSED.to_owned(),
            true => "the server answered with something that is not SMTP".to_owned(),
            false => self.safe(&source),
        }
    }
}

const CLOSED: &str = "the server closed the connection";

impl Observer for Steps<'_> {
    fn event(&self, event: Event) {
        match &event {
            Event::Resolving { host } => self.doing(format!("while resolving {host}")),
            Event::Connecting { address } => self.doing(format!("while connecting to {address}")),
            Event::TlsStarted { server_name } => self.doing(format!("in the TLS handshake with {server_name}")),
            _ => {}
        }
        self.say(&event.to_string());
    }

    fn waits_for(&self, file: Option<&dyn Fn() -> String>) {
        if let Some(file) = file {
            self.doing(format!("while reading {}", file()));
        }
    }
}

/// Whether some characters in a row of the secret are in the text, in whatever case.
fn repeats(text: &str, secret: &[u8]) -> bool {
    let n = secret.len().min(SHOWN);
    secret.windows(n).any(|s| text.as_bytes().windows(n).any(|t| t.eq_ignore_ascii_case(s)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_told_repeats_the_password_or_holds_control_characters() {
        let told = RefCell::new(Vec::new());
        struct Kept<'a>(&'a RefCell<Vec<String>>);
        impl Dialogue for Kept<'_> {
            fn step(&self, line: &str) {
                self.0.borrow_mut().push(line.to_owned());
            }
        }
        let kept = Kept(&told);
        let steps = Steps::new(&kept);
        steps.hide("me", "correct-Horse");
        let encoded = base64::engine::general_purpose::STANDARD.encode("\0me\0correct-Horse");
        for line in ["535 CORRECT-HORSE is wrong".to_owned(), "x rrect-Hor".to_owned(), format!("535 {encoded}")] {
            steps.say(&line);
        }
        steps.say("250 fine\u{1b}[31m");
        steps.say(&"x".repeat(1000));
        let told = told.borrow();
        assert_eq!(told[0], "535 (not shown: it repeats a part of the password)");
        assert!(told[1].starts_with("(not shown") && told[2].starts_with("535 (not shown"));
        assert_eq!(told[3], "250 fine\\u{1b}[31m");
        assert_eq!(told[4].chars().count(), 300);
    }
}
