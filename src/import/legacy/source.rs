//! Where the old database is, as the command line or `skypunch.config` of 0.3.0 says.

use configparser::ini::Ini;

use crate::secret::Secret;

/// Where to read, and with which password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldPlace {
    /// `mysql://user@host:port/database`, without a password.
    pub url: String,
    /// The password or a reference to it, where one was written.
    pub password: Option<Secret>,
}

/// Reads `--from URL`. A password may stand in it as a reference only: what stands on a command line is seen by everybody
/// on the machine.
///
/// # Errors
/// A sentence that shows no password.
pub fn from_url(text: &str) -> Result<OldPlace, String> {
    let text = text.trim();
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err("--from is no URL: write mysql://USER@HOST:3306/skypunch".into());
    };
    // The last @ that can stand before the host: a password in clear may hold any.
    let Some((login, place)) = rest.rsplit_once('@') else {
        return Err("--from names no user: write mysql://USER@HOST:3306/skypunch".into());
    };
    let (user, password) = match login.split_once(':') {
        None => (login, None),
        Some((user, reference)) if reference.starts_with("${") && reference.ends_with('}') => {
            (user, Some(Secret::new(reference)))
        }
        Some(_) => {
            return Err(
                "--from holds a password, which everybody on this machine can read there: leave it out to be asked, or \
                 write a reference, --from 'mysql://USER:${file:/path}@HOST/skypunch' (or ${env:NAME}); --password-stdin \
                 reads it from standard input, --from-config takes it from the old skypunch.config"
                    .into(),
            );
        }
    };
    Ok(OldPlace { url: format!("{scheme}://{user}@{place}"), password })
}

/// Reads `skypunch.config` of 0.3.0: `[database]` Location, port, User, Password, DBName.
///
/// # Errors
/// A sentence that shows no password.
pub fn from_config(text: &str) -> Result<OldPlace, String> {
    let mut ini = Ini::new();
    // The Python module of those days knew comments behind a value, but only `;` after a blank.
    ini.set_inline_comment_symbols(Some(&[]));
    ini.read(text.to_owned())
        .map_err(|_| "is no skypunch.config: write [database] and lines such as Location: HOST")?;
    let get = |key: &str| {
        let value = ini.get("database", key)?;
        let value = value.split_once(" ;").map_or(value.as_str(), |(before, _)| before).trim().to_owned();
        Some(value.replace("%%", "%")).filter(|v| !v.is_empty())
    };
    let need = |key: &str| get(key).ok_or_else(|| format!("has no {key} in [database]"));
    let (host, user, name) = (need("Location")?, need("User")?, need("DBName")?);
    let port = get("port").unwrap_or_else(|| "3306".into());
    if port.parse::<u16>().is_err() {
        return Err(format!("has the port {}, which is none", crate::model::text::quoted(&port)));
    }
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let encoded = crate::model::reference::encode_segment;
    let url = format!("mysql://{}@{host}:{port}/{}", encoded(&user), encoded(&name));
    Ok(OldPlace { url, password: get("Password").map(Secret::new) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_password_stands_in_a_url_as_a_reference_only() {
        let place = from_url("mysql://u:${file:/a/b}@h:3307/skypunch").unwrap();
        assert_eq!(
            (place.url.as_str(), place.password.unwrap().expose()),
            ("mysql://u@h:3307/skypunch", "${file:/a/b}")
        );
        assert_eq!(from_url("mysql://u@h/d").unwrap(), OldPlace { url: "mysql://u@h/d".into(), password: None });
        for text in
            ["mysql://u:hunter2@h/d", "mysql://u:hun/ter2@x@h/d", "mysql://u:@h/d", "mysql://u:hunter2${env:A}@h/d"]
        {
            let error = from_url(text).unwrap_err();
            assert!(error.contains("holds a password") && !error.contains("unter2"), "{error}");
        }
        assert!(from_url("skypunch").unwrap_err().contains("is no URL"));
        assert!(from_url("mysql://h/d").unwrap_err().contains("names no user"));
    }

    #[test]
    fn the_old_config_is_read_as_python_read_it() {
        let text = "[settings]\nMainLoopTov: 1\nLogFilePath: ./skypunch.log\n\n[database]\nLocation: localhost\nport: 3306\n\
                    User: sky;p\nPassword = hunter#2%% ; the old one\nDBName: skypunch\n";
        let place = from_config(text).unwrap();
        assert_eq!(place.url, "mysql://sky%3Bp@localhost:3306/skypunch");
        assert_eq!(place.password.unwrap().expose(), "hunter#2%");
        for (text, part) in [
            ("", "has no Location"),
            ("[database]\nLocation: h\nUser: u\n", "has no DBName"),
            ("[database]\nLocation: h\nUser: u\nDBName: d\nport: x\n", "`x`, which is none"),
            ("[database\nPassword: hunter2", "is no skypunch.config"),
        ] {
            let error = from_config(text).unwrap_err();
            assert!(error.contains(part) && !error.contains("hunter2"), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*|(\\[database\\]\n)?([a-zA-Z]{0,8}[:=][^\n]{0,9}\n){0,6}") {
            let _any = (from_url(&text), from_config(&text));
        }
    }
}
