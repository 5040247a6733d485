//! What the origin knows of tokens: each new one is shown to Keystone once, and is good until its time is over.
//!
//! ```text
//!  request --X-Auth-Token--> known? --no--> GET /v3/auth/tokens at Keystone --200--> good for so many seconds
//!                              '--yes, and young--> 200       all else: 401
//! ```

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use skypunch::clock::Clock;
use skypunch::model::time::Mono;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

/// Keystone, as an origin uses it.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Its port on the loopback address.
    pub port: u16,
    /// How long its tokens live.
    pub life: Duration,
}

/// A token: until when it is good, once Keystone was asked.
type Known = Rc<OnceCell<Option<Mono>>>;

/// The tokens that were shown.
pub struct Tokens {
    clock: Clock,
    known: RefCell<HashMap<Vec<u8>, Known>>,
}

impl Tokens {
    /// None yet.
    pub fn new(clock: Clock) -> Tokens {
        Tokens { clock, known: RefCell::default() }
    }

    /// Whether the token of this request is good.
    pub async fn accepts(&self, head: &[u8], identity: Identity) -> bool {
        let Some(token) = token(head) else { return false };
        let known = Rc::clone(self.known.borrow_mut().entry(token.to_vec()).or_default());
        let until = known
            .get_or_init(async || {
                // Its life began before it came here, so it is over before that.
                let until = self.clock.now() + identity.life;
                ask(token, identity.port).await.unwrap_or(false).then_some(until)
            })
            .await;
        until.is_some_and(|until| self.clock.now() < until)
    }
}

/// The value of `x-auth-token`.
fn token(head: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"\r\nx-auth-token: ";
    let start = head.windows(NAME.len()).position(|w| w == NAME)? + NAME.len();
    let value = &head[start..];
    value.split(|b| *b == b'\r').next()
}

/// Shows a token to Keystone; a token may ask for itself.
async fn ask(token: &[u8], port: u16) -> std::io::Result<bool> {
    let mut tcp = TcpStream::connect(("127.0.0.1", port)).await?;
    let text = String::from_utf8_lossy(token);
    let head = "GET /v3/auth/tokens?nocatalog HTTP/1.1\r\nHost: keystone\r\nConnection: close";
    tcp.write_all(format!("{head}\r\nX-Auth-Token: {text}\r\nX-Subject-Token: {text}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.1 200"))
}
