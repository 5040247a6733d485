//! How a person talks to the daemon: HTTP/1.1 and JSON over a Unix socket.
//!
//! ```text
//!  skypunchctl --client--> control.sock --routes--> supervisor (changes), board and store (reads)
//!        '------------- api: the types of every body -------------'
//! ```
//!
//! [`api`] and [`client`] know the model and nothing else of the daemon.

pub mod api;
pub mod client;
