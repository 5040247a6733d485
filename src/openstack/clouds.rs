//! Logins that stand where OpenStack's own tools look for them: clouds.yaml and secure.yaml, or the `OS_*` environment.
//!
//! ```text
//!  $OS_CLIENT_CONFIG_FILE, ./, ~/.config/openstack/, /etc/xdg/openstack/, /etc/openstack/     clouds.yaml | .yml | .json
//!     clouds-public.yaml (profile)  <--  clouds.yaml  <--  regions[0].values  <--  secure.yaml    the later wins
//!                                             '--> parameters --> Login::from_params
//!  cloud:NAME     that entry          cloud:envvars     OS_AUTH_URL, OS_USERNAME, …
//! ```
//!
//! The search order is openstacksdk's: of each kind the first file that is there counts, alone. `./` is the folder in
//! which skypunch was started: `/` under a service manager that says nothing else, and `~` is the home of skypunch's
//! user, if it has one. For a daemon /etc/openstack/clouds.yaml is the place. Unlike openstacksdk a file that is there and
//! cannot be read is an error, and is not passed over in silence.

mod environment;
mod file;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use self::file::{Cloud, Kind};
use crate::model::credential::{Login, NamedCloud};
use crate::model::text::{escape_controls, nearest, quoted, shorten};
use crate::secret::{Secret, read_regular};

/// The name under which the environment is a cloud, unless `OS_CLOUD_NAME` says another.
pub const ENVIRONMENT: &str = "envvars";

/// A longer file than this is no clouds.yaml.
const MAX_BYTES: u64 = 1024 * 1024;

/// What was found in the places where OpenStack's tools look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// clouds.yaml.
    pub clouds: Option<Found>,
    /// secure.yaml: what it says of a cloud comes before what clouds.yaml says.
    pub secure: Option<Found>,
    /// clouds-public.yaml: the profiles that clouds may name.
    pub public: Option<Found>,
    /// Where a clouds.yaml was looked for.
    pub looked: Vec<PathBuf>,
    /// The variables that begin with `OS_`, and `HOME`.
    pub environment: BTreeMap<String, Secret>,
}

/// A file that was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub path: PathBuf,
    /// Its text, which holds passwords.
    pub text: Secret,
}

/// The login of a cloud, or of the environment.
///
/// # Errors
/// One sentence for people, with the file it is about; it holds no value of a file.
pub fn login(cloud: &str, sources: &Sources) -> Result<Login, String> {
    let (params, place) = params(cloud, sources)?;
    Login::from_params(params).map_err(|why| format!("{place}: {why}"))
}

/// A sentence for each of these clouds that cannot be used, as seen from this process. Waits for the disks.
#[must_use]
pub fn unusable(named: &[NamedCloud]) -> Vec<String> {
    if named.is_empty() {
        return Vec::new();
    }
    let sources = read(environment());
    let why = |n: &NamedCloud| match &sources {
        Ok(sources) => login(&n.cloud, sources).err(),
        Err(why) => Some(why.clone()),
    };
    named.iter().filter_map(|n| Some(n.unusable(&why(n)?))).collect()
}

/// The parameters of a cloud under the names that [`Login::from_params`] knows, and where they come from, for people.
fn params(cloud: &str, sources: &Sources) -> Result<(Vec<(String, Secret)>, String), String> {
    let own = sources.environment.get("OS_CLOUD_NAME").map_or(ENVIRONMENT, Secret::expose);
    let (found, place) = if cloud == own {
        (environment::cloud(&sources.environment)?, "the OS_* environment".to_owned())
    } else {
        from_files(cloud, sources)?
    };
    let home = sources.environment.get("HOME").map(Secret::expose);
    let params = found.into_params(home).map_err(|why| format!("{place}: {why}"))?;
    Ok((params, place))
}

/// A cloud of clouds.yaml, with all that is laid under and over it.
fn from_files(name: &str, sources: &Sources) -> Result<(Cloud, String), String> {
    let Some(main) = &sources.clouds else {
        let looked: Vec<String> = sources.looked.iter().map(|p| shown(p)).collect();
        return Err(format!("cloud {}: there is no clouds.yaml; looked for {}", quoted(name), looked.join(", ")));
    };
    let place = format!("cloud {} of {}", quoted(name), shown(&main.path));
    let mut all = file::parse(main, Kind::Clouds)?;
    let Some(own) = all.remove(name) else {
        let names: Vec<&str> = all.keys().map(String::as_str).collect();
        let hint =
            nearest(name, names.iter().copied()).map_or(String::new(), |n| format!(" (did you mean {}?)", quoted(n)));
        let has = if names.is_empty() { "no cloud at all".to_owned() } else { names.join(", ") };
        let has = escape_controls(&has);
        return Err(format!(
            "{} has no cloud {}{hint}; it has {}",
            shown(&main.path),
            quoted(name),
            shorten(&has, 500)
        ));
    };
    let mut cloud = match own.profile() {
        None => Cloud::default(),
        Some(profile) => {
            let public = sources.public.as_ref().map(|p| file::parse(p, Kind::Public)).transpose()?;
            public.and_then(|mut all| all.remove(profile)).ok_or_else(|| {
                let lacks = |p: &Found| format!("{} lacks it", shown(&p.path));
                let why = sources.public.as_ref().map_or("there is no clouds-public.yaml".to_owned(), lacks);
                let profile = quoted(profile);
                format!(
                    "{place}: profile {profile} is not known, and {why}: write auth_url and so on into the cloud itself"
                )
            })?
        }
    };
    cloud.lay_over(own);
    if let Some(secure) = &sources.secure
        && let Some(over) = file::parse(secure, Kind::Clouds)?.remove(name)
    {
        cloud.lay_over(over);
    }
    cloud.take_first_region();
    Ok((cloud, place))
}

/// A path as a sentence shows it.
fn shown(path: &Path) -> String {
    escape_controls(&path.to_string_lossy()).into_owned()
}

/// Every place where a file of that stem (`clouds`, `secure`, `clouds-public`) may be, in the order in which it is looked
/// for.
#[must_use]
pub fn places(stem: &str, environment: &BTreeMap<String, Secret>) -> Vec<PathBuf> {
    let variable = |name: &str| environment.get(name).map(Secret::expose).filter(|v| !v.is_empty());
    let said = match stem {
        "clouds" => variable("OS_CLIENT_CONFIG_FILE"),
        "secure" => variable("OS_CLIENT_SECURE_FILE"),
        _ => None,
    };
    let mut folders = vec![PathBuf::from(".")];
    folders.extend(variable("XDG_CONFIG_HOME").map(|d| Path::new(d).join("openstack")));
    folders.extend(variable("HOME").map(|d| Path::new(d).join(".config/openstack")));
    folders.extend([PathBuf::from("/etc/xdg/openstack"), PathBuf::from("/etc/openstack")]);
    let mut places: Vec<PathBuf> = said.map(PathBuf::from).into_iter().collect();
    for folder in folders {
        places.extend(["yaml", "yml", "json"].iter().map(|suffix| folder.join(format!("{stem}.{suffix}"))));
    }
    places
}

/// The variables of this process that are text.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Looks for the files and reads them; `environment` is usually [`environment()`]. Waits for their disks: not for an arbiter's thread.
///
/// # Errors
/// A file that is there and cannot be read.
pub fn read(environment: impl IntoIterator<Item = (String, String)>) -> Result<Sources, String> {
    let wanted = |name: &str| name.starts_with("OS_") || matches!(name, "HOME" | "XDG_CONFIG_HOME");
    let environment: BTreeMap<String, Secret> =
        environment.into_iter().filter(|(name, _)| wanted(name)).map(|(n, v)| (n, Secret::new(v))).collect();
    let looked = places("clouds", &environment);
    Ok(Sources {
        clouds: first(&looked)?,
        secure: first(&places("secure", &environment))?,
        public: first(&places("clouds-public", &environment))?,
        looked,
        environment,
    })
}

/// The first of these files that is there.
fn first(places: &[PathBuf]) -> Result<Option<Found>, String> {
    for path in places {
        match read_regular(path, MAX_BYTES) {
            Ok((bytes, _)) => {
                let text = String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8 text", shown(path)))?;
                return Ok(Some(Found { path: path.clone(), text: Secret::new(text) }));
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(e) => return Err(format!("{} cannot be read: {e}", shown(path))),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
