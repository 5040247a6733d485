//! Whom a TLS client trusts: the system's authorities, or the certificates of a file that a person names.
//!
//! ```text
//!  tls_ca --> looked at within RECENT? --yes--> as it was then
//!                      no \--> on another thread: the same file as before? --yes--> what was made of it
//!                                                                          no \--> read, parse
//! ```
//!
//! A file is trusted in two ways: its certificates may issue others, and a server may show one of them as its own.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::Observer;
use super::dial::words;
use super::files::Readings;
use super::tls::TlsError;
use crate::clock::Clock;
use crate::model::text::{escape_controls, quoted};
use crate::model::time::Mono;
use crate::secret::FoundFile;

/// For so long a file is not looked at again.
const RECENT: Duration = Duration::from_secs(2);

/// A longer file holds something else.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Whom to trust.
#[derive(Debug)]
pub struct Trust {
    /// Judges a chain by the authorities.
    pub authorities: Arc<dyn ServerCertVerifier>,
    /// The certificates of the file: a server that shows one of them is trusted as it is.
    given: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// Whether a person has named this very certificate.
    #[must_use]
    pub fn gives(&self, certificate: &CertificateDer<'_>) -> bool {
        self.given.iter().any(|given| given == certificate)
    }

    fn new(roots: Arc<RootCertStore>, given: Vec<CertificateDer<'static>>) -> Result<Trust, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let authorities =
            WebPkiServerVerifier::builder_with_provider(roots, provider).build().map_err(|e| e.to_string())?;
        Ok(Trust { authorities, given })
    }
}

/// What was made of a file, or why nothing; in words.
type Made = Result<Arc<Trust>, String>;

/// Whom the targets of one arbiter trust.
#[derive(Debug)]
pub struct Trusts {
    clock: Clock,
    system: OnceCell<Arc<Trust>>,
    /// What was found in each file, and when.
    files: RefCell<HashMap<String, (Mono, Made)>>,
}

impl Trusts {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(clock: Clock) -> Trusts {
        Trusts { clock, system: OnceCell::new(), files: RefCell::default() }
    }

    /// The system's authorities.
    ///
    /// # Errors
    /// When there are none.
    pub fn of_system(&self) -> Result<Arc<Trust>, TlsError> {
        if let Some(trust) = self.system.get() {
            return Ok(Arc::clone(trust));
        }
        let trust = Trust::new(system_authorities()?, Vec::new())
            .map_err(|e| TlsError::Authorities(format!("the certificate authorities cannot be used: {e}")))?;
        Ok(Arc::clone(self.system.get_or_init(|| Arc::new(trust))))
    }

    /// The certificates of a PEM file. `observer` is told while the file keeps us waiting.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub async fn of_file(&self, path: &str, observer: &dyn Observer) -> Result<Arc<Trust>, TlsError> {
        let usable = |made: Made| made.map_err(|why| unusable(path, &why));
        if let Some((at, made)) = self.files.borrow().get(path)
            && self.clock.now().since(*at) < RECENT
        {
            return usable(made.clone());
        }
        observer.waits_for(Some(&|| format!("the file of certificate authorities {}", quoted(path))));
        let owned = path.to_owned();
        let made = READINGS.read(path.to_owned(), move || look(&owned)).await;
        observer.waits_for(None);
        let made = made.map_err(|e| TlsError::NoThread(quoted(path), e))?;
        self.files.borrow_mut().insert(path.to_owned(), (self.clock.now(), made.clone()));
        usable(made)
    }

    /// What was found in that file last.
    pub fn last_of_file(&self, path: &str) -> Option<Arc<Trust>> {
        self.files.borrow().get(path).and_then(|(_, made)| made.clone().ok())
    }
}

static READINGS: Readings<String, Made> = Readings::new();

/// What tells whether a file is still the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State([i64; 4], [u64; 3]);

impl State {
    fn of(meta: &std::fs::Metadata) -> State {
        State([meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()], [meta.dev(), meta.ino(), meta.len()])
    }
}

/// What was made of each usable file, for all arbiters.
type Kept = HashMap<String, (State, Arc<Trust>)>;

/// Where files of authorities may lie that not everybody on this machine may read.
static CLOSED_FOLDERS: OnceLock<Vec<PathBuf>> = OnceLock::new();

/// Lets files of authorities lie in these folders though not everybody may read them. Once, at the start of the program.
pub fn allow_authorities_in(folders: Vec<PathBuf>) {
    // Said already: it stays with that.
    let _said = CLOSED_FOLDERS.set(folders);
}

/// Finds a file of authorities, if it may be read for whoever names it. Targets, credentials and notifiers name one, and
/// whoever may write these is not to read by our rights what is closed to others.
fn find(path: &str) -> Result<FoundFile, String> {
    let found = FoundFile::at(Path::new(path)).map_err(|e| in_words(&e))?;
    let allowed = CLOSED_FOLDERS.get().is_some_and(|folders| found.is_below(folders));
    if allowed || found.is_public() {
        return Ok(found);
    }
    Err("not everybody on this machine may read it, and it is not in a folder of [secrets]: let everybody read it \
         (chmod o+r, and o+x on its folders; the certificate of an authority is no secret), or add its folder to \
         secrets.folders"
        .to_owned())
}

fn in_words(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(_) => words(error),
        None => error.to_string(), // our own words
    }
}

/// Looks at a file, and reads it if it is not as it was; waits for its disk.
fn look(path: &str) -> Made {
    static KEPT: Mutex<Option<Kept>> = Mutex::new(None);
    // Held for looking things up only, never while a disk is waited for.
    let kept = || KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let found = find(path)?;
    let state = State::of(&found.meta);
    if let Some((known, trust)) = kept().get_or_insert_default().get(path)
        && *known == state
    {
        return Ok(Arc::clone(trust));
    }
    let made = read(&found);
    match &made {
        Ok(trust) => kept().get_or_insert_default().insert(path.to_owned(), (state, Arc::clone(trust))),
        Err(_) => kept().get_or_insert_default().remove(path),
    };
    made
}

fn read(found: &FoundFile) -> Result<Arc<Trust>, String> {
    let text = found.read(MAX_FILE_BYTES).map_err(|e| in_words(&e))?;
    let (mut roots, mut given) = (RootCertStore::empty(), Vec::new());
    for certificate in CertificateDer::pem_slice_iter(&text) {
        // The reader's words hold lines of the file.
        let certificate = certificate.map_err(|_| "it is no PEM file".to_owned())?;
        roots.add(certificate.clone()).map_err(|e| escape_controls(&e.to_string()).into_owned())?;
        given.push(certificate);
    }
    if given.is_empty() {
        return Err("it holds no certificate".to_owned());
    }
    Ok(Arc::new(Trust::new(Arc::new(roots), given)?))
}

fn unusable(path: &str, why: &str) -> TlsError {
    TlsError::Authorities(format!(
        "the file of certificate authorities {} cannot be used: {why}; write the path of a readable PEM file into tls_ca",
        quoted(path)
    ))
}

/// The system's authorities, read once for the whole process.
fn system_authorities() -> Result<Arc<RootCertStore>, TlsError> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    if roots.is_empty() {
        return Err(TlsError::Authorities(
            "this machine has no certificate authorities: install ca-certificates, or name a PEM file in tls_ca".into(),
        ));
    }
    Ok(Arc::clone(roots))
}

/// For tests: `path` is on a disk that does not answer until `answer` gets a message or is dropped.
#[cfg(test)]
pub(crate) async fn hang(path: &str, answer: std::sync::mpsc::Receiver<()>) {
    let job = move || answer.recv().map_err(|e| e.to_string()).and(Err("nothing".to_owned()));
    let started = tokio::time::timeout(Duration::ZERO, READINGS.read(path.to_owned(), job)).await;
    assert!(started.is_err());
}
