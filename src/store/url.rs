//! Where the database is.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use super::error::StoreError;
use crate::model::text::{escape_controls, quoted};
use crate::secret::{Secret, rest_of_password};

const HOW: &str = "write sqlite:///path/to/file.db or mysql://user@host:port/database";

/// A parsed `[database] url`. `Display` and `Debug` never show the password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(pub(super) Place);

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Place {
    Sqlite(PathBuf),
    Mysql { user: String, password: Option<Secret>, host: String, port: u16, database: String, socket: Option<String> },
}

impl DatabaseUrl {
    /// Reads `sqlite:///var/lib/x.db`, `sqlite://relative.db` or `mysql://user:password@host:3306/database`
    /// (`mariadb://` means the same; `?socket=/path` goes through a Unix socket).
    ///
    /// # Errors
    /// [`StoreError::Setting`] with what to write instead; never with the password.
    pub fn parse(text: &str) -> Result<DatabaseUrl, StoreError> {
        let wrong = |what: &str| StoreError::Setting(format!("the database URL {what}: {HOW}"));
        if let Some(path) = text.strip_prefix("sqlite://") {
            if path.is_empty() || path.ends_with('/') {
                return Err(wrong("names no file"));
            }
            if path.contains(['?', '#', '\0']) || path == ":memory:" {
                return Err(wrong("must be a plain path to a file, without `?`, `#` or `:memory:`"));
            }
            return Ok(DatabaseUrl(Place::Sqlite(PathBuf::from(path))));
        }
        let scheme = text.split(':').next().unwrap_or_default();
        if !matches!(scheme, "mysql" | "mariadb") {
            return Err(wrong(&format!("begins with {}, which is no known kind", quoted(scheme))));
        }
        let url = Url::parse(text).map_err(|e| wrong(&format!("cannot be read ({e})")))?;
        if let Some(what) = rest_of_password(&url) {
            return Err(StoreError::Setting(format!("the database URL {what}")));
        }
        let user = decode(url.username()).ok_or_else(|| wrong("has a user name that is not UTF-8"))?;
        let password = match url.password() {
            None => None,
            Some(p) => Some(Secret::new(decode(p).ok_or_else(|| wrong("has a password that is not UTF-8"))?)),
        };
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        if user.is_empty() || host.is_empty() {
            return Err(wrong("names no user or no host"));
        }
        let database = decode(url.path().trim_start_matches('/')).unwrap_or_default();
        if database.is_empty() || database.contains('/') {
            return Err(wrong("names no database"));
        }
        let mut socket = None;
        for (key, value) in url.query_pairs() {
            match key.as_ref() {
                "socket" => socket = Some(value.into_owned()),
                other => {
                    return Err(StoreError::Setting(format!(
                        "the database URL has the parameter {}, which is not known: only `socket` is; TLS is set by [database] tls and tls_ca",
                        quoted(other)
                    )));
                }
            }
        }
        Ok(DatabaseUrl(Place::Mysql { user, password, host, port: url.port().unwrap_or(3306), database, socket }))
    }

    /// The same with a password that was given apart from the URL; SQLite has none.
    #[must_use]
    pub fn with_password(mut self, secret: Secret) -> DatabaseUrl {
        if let Place::Mysql { password, .. } = &mut self.0 {
            *password = Some(secret);
        }
        self
    }

    /// The file of a SQLite database.
    #[must_use]
    pub fn sqlite_file(&self) -> Option<&std::path::Path> {
        match &self.0 {
            Place::Sqlite(path) => Some(path),
            Place::Mysql { .. } => None,
        }
    }

    /// The database on its server.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        match &self.0 {
            Place::Sqlite(_) => None,
            Place::Mysql { database, .. } => Some(database),
        }
    }

    /// Whether it is a local SQLite file.
    #[must_use]
    pub fn is_sqlite(&self) -> bool {
        matches!(self.0, Place::Sqlite(_))
    }
}

/// Percent-decodes; `None` when the bytes are no UTF-8.
fn decode(text: &str) -> Option<String> {
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = match &self.0 {
            Place::Sqlite(path) => format!("sqlite://{}", path.display()),
            Place::Mysql { user, host, port, database, socket, .. } => {
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                let socket = socket.as_ref().map_or(String::new(), |s| format!("?socket={s}"));
                format!("mysql://{user}@{host}:{port}/{database}{socket}")
            }
        };
        f.write_str(&escape_controls(&shown))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_read_and_no_password_is_shown() {
        let cases = [
            ("sqlite:///var/lib/x.db", "sqlite:///var/lib/x.db"),
            ("sqlite://x.db", "sqlite://x.db"),
            ("mysql://me:s%3Acret@db.example/sky", "mysql://me@db.example:3306/sky"),
            ("mariadb://me@[::1]:3307/sky?socket=/run/m.sock", "mysql://me@[::1]:3307/sky?socket=/run/m.sock"),
        ];
        for (text, shown) in cases {
            let url = DatabaseUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?}").contains("cret"));
        }
        let url = DatabaseUrl::parse("mysql://me:a%3Ab@h/d").unwrap();
        assert!(matches!(&url.0, Place::Mysql { password: Some(p), .. } if p.expose() == "a:b"));
        let url = url.with_password(Secret::new("other"));
        assert!(matches!(&url.0, Place::Mysql { password: Some(p), .. } if p.expose() == "other"));
    }

    #[test]
    fn wrong_urls_say_what_to_write_and_hold_no_password() {
        for (text, part) in [
            ("sqlite://", "names no file"),
            ("sqlite://x.db?mode=ro", "plain path"),
            ("postgres://me:hunter2@h/d", "`postgres`, which is no known kind"),
            ("mysql://h/d", "no user"),
            ("mysql://me:hunter2@h", "names no database"),
            ("mysql://me:hunter2@h:99999/d", "invalid port"),
            ("mysql://me:hunter2@h/d?ssl-mode=REQUIRED", "`ssl-mode`"),
            ("mysql://me:12/3?hunter2@h/d", "has an `@` or `#` after the host: in a password, write @ as %40"),
            ("hunter2", "no known kind"),
        ] {
            let error = DatabaseUrl::parse(text).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
            assert!(text == "hunter2" || !error.to_string().contains("hunter2"), "{error}");
            assert!(!error.is_away());
        }
    }

    #[test]
    fn what_is_decoded_is_shown_on_one_line() {
        let url = DatabaseUrl::parse("mysql://me%1b[2J@h/d?socket=/x%0Ay").unwrap();
        assert_eq!(url.to_string(), "mysql://me\\u{1b}[2J@h:3306/d?socket=/x\\ny");
    }
}
