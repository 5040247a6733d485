//! Values of secrets: a reference to a file is read away from the arbiter's thread ([`files`](super::files)).
//!
//! One list of running readings for probes and channels: a file that hangs holds one thread, whoever needs it.

use std::io;
use std::sync::Arc;

use super::files::Readings;
use crate::secret::{Secret, SecretError, SecretPolicy};

/// The files with secrets that are being read, each under its policy.
static READINGS: Readings<(Arc<SecretPolicy>, Secret), Result<Secret, String>> = Readings::new();

/// A secret's value, or why it has none, with its cause. Waits for a file for as long as that takes: the caller has a
/// deadline.
///
/// # Errors
/// When no thread can be started that reads the file.
pub async fn resolve(policy: &Arc<SecretPolicy>, secret: &Secret) -> io::Result<Result<Secret, String>> {
    if secret.file().is_none() {
        return Ok(policy.resolve(secret).map_err(|e| words(&e)));
    }
    let key = (Arc::clone(policy), secret.clone());
    let (policy, secret) = key.clone();
    READINGS.read(key, move || policy.resolve(&secret).map_err(|e| words(&e))).await
}

fn words(e: &SecretError) -> String {
    match std::error::Error::source(e) {
        Some(source) => format!("{e}: {source}"),
        None => e.to_string(),
    }
}

/// For tests: the file of `secret` is on a disk that does not answer until `answer` gets a message or is dropped.
#[cfg(test)]
pub(crate) async fn hang(policy: &Arc<SecretPolicy>, secret: &Secret, answer: std::sync::mpsc::Receiver<()>) {
    let job = move || answer.recv().map_err(|e| e.to_string()).and(Err("nothing".to_owned()));
    let key = (Arc::clone(policy), secret.clone());
    let started = tokio::time::timeout(std::time::Duration::ZERO, READINGS.read(key, job)).await;
    assert!(started.is_err());
}
