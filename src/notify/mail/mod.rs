//! Mail: a notifier of type `SMTP`.
//!
//! ```text
//!  address, params --params--> Account (checked)            model::message::Message
//!                                  |                                 | view: the sentences
//!                                  |                                 | render: subject, text, HTML from etc/notifiers/mail
//!                                  |                                 | compose: headers and parts
//!  transport: deadline, recipients +<--------------------------------'
//!      | pool: sessions that wait for a next mail
//!      | session: one dialogue with a server, spoken by lettre
//!      '-- wire: our connection (net: resolver, dial, TLS) as lettre wants it
//! ```
//!
//! Everything above `transport` is pure.

mod address;
mod compose;
mod params;
mod pool;
mod render;
pub mod samples;
mod session;
mod steps;
mod transport;
mod view;
mod wire;
mod wrap;

pub use params::{ADDRESS_HELP, Account, Login, Security, check, params};
pub use render::{Rendered, check_templates, render};
pub use transport::Mailer;

/// The bytes of a mail, for fuzzing.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn composed(
    message: &crate::model::message::Message,
    rendered: &Rendered,
    now: crate::model::time::UtcMs,
) -> Result<Vec<u8>, String> {
    let params = [("server".to_owned(), crate::secret::Secret::new("mx.example.com"))];
    let account = Account::read("ops@example.com", &params).map_err(|problems| format!("{problems:?}"))?;
    let from = compose::sender(&account, None, &message.host)?;
    compose::compose(&account, &from, message, rendered, now)
}
