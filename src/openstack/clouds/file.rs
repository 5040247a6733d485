//! The text of clouds.yaml and its like, and what one cloud in it says.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Found, shown};
use crate::model::text::quoted;
use crate::secret::Secret;

/// Which file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// clouds.yaml, secure.yaml: `clouds:`.
    Clouds,
    /// clouds-public.yaml: `public-clouds:`.
    Public,
}

#[derive(serde::Deserialize)]
struct File {
    clouds: Option<BTreeMap<String, Option<Cloud>>>,
    #[serde(rename = "public-clouds")]
    public: Option<BTreeMap<String, Option<Cloud>>>,
}

/// What a cloud says, as far as it is about logging in. Other keys are those of other tools.
#[derive(Clone, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Cloud {
    pub(super) auth: Option<BTreeMap<String, Option<String>>>,
    pub(super) auth_type: Option<String>,
    pub(super) region_name: Option<Words>,
    pub(super) interface: Option<Words>,
    pub(super) endpoint_type: Option<Words>,
    pub(super) cacert: Option<String>,
    pub(super) cert: Option<String>,
    pub(super) verify: Option<String>,
    pub(super) insecure: Option<String>,
    pub(super) identity_api_version: Option<String>,
    pub(super) regions: Option<Vec<Region>>,
    pub(super) profile: Option<String>,
    /// What `profile` was called once.
    pub(super) cloud: Option<String>,
}

/// One word or a list of them.
#[derive(Clone, Default)]
pub(super) struct Words(pub(super) Vec<String>);

/// One entry of `regions`.
#[derive(Clone)]
pub(super) struct Region {
    name: String,
    values: Option<Box<Cloud>>,
}

/// All clouds of a file. A secret in it never gets into an error.
pub(super) fn parse(found: &Found, kind: Kind) -> Result<BTreeMap<String, Cloud>, String> {
    let key = match kind {
        Kind::Clouds => "clouds",
        Kind::Public => "public-clouds",
    };
    let options = serde_saphyr::options! { with_snippet: false };
    let file: Option<File> = serde_saphyr::from_str_with_options(found.text.expose(), options).map_err(|e| {
        // The library's own words may quote the text, which holds passwords.
        let place = e.location().map_or(String::new(), |l| format!(", line {}, column {}", l.line(), l.column()));
        format!(
            "{}{place}: this is not YAML as `{key}:` has it: often a tab, a quote that does not end, wrong indentation, a \
             key given twice, or a list where one value belongs",
            shown(&found.path)
        )
    })?;
    let all = file.and_then(|f| match kind {
        Kind::Clouds => f.clouds,
        Kind::Public => f.public,
    });
    let all = all.ok_or_else(|| format!("{} has no `{key}:`", shown(&found.path)))?;
    Ok(all.into_iter().map(|(name, cloud)| (name, cloud.unwrap_or_default())).collect())
}

impl Cloud {
    /// The profile of clouds-public.yaml that lies under it.
    pub(super) fn profile(&self) -> Option<&str> {
        self.profile.as_deref().or(self.cloud.as_deref())
    }

    /// Whatever `over` says counts; of `auth` every key by itself.
    pub(super) fn lay_over(&mut self, over: Cloud) {
        fn put<T>(slot: &mut Option<T>, value: Option<T>) {
            if value.is_some() {
                *slot = value;
            }
        }
        match (&mut self.auth, over.auth) {
            (Some(auth), Some(more)) => auth.extend(more),
            (auth, more) => put(auth, more),
        }
        put(&mut self.auth_type, over.auth_type);
        put(&mut self.region_name, over.region_name);
        put(&mut self.interface, over.interface);
        put(&mut self.endpoint_type, over.endpoint_type);
        put(&mut self.cacert, over.cacert);
        put(&mut self.cert, over.cert);
        put(&mut self.verify, over.verify);
        put(&mut self.insecure, over.insecure);
        put(&mut self.identity_api_version, over.identity_api_version);
        put(&mut self.regions, over.regions);
        put(&mut self.profile, over.profile);
        put(&mut self.cloud, over.cloud);
    }

    /// `regions` comes before `region_name`, and of several the first counts, with its `values`.
    pub(super) fn take_first_region(&mut self) {
        if let Some(first) = self.regions.take().and_then(|all| all.into_iter().next()) {
            if let Some(values) = first.values {
                self.lay_over(*values);
            }
            self.region_name = Some(Words(vec![first.name]));
        }
    }

    /// The parameters of a login.
    ///
    /// # Errors
    /// What is asked for and not supported.
    pub(super) fn into_params(self, home: Option<&str>) -> Result<Vec<(String, Secret)>, String> {
        const HOW: &str = "write password or v3applicationcredential";
        match self.auth_type.as_deref().map_or("password", str::trim) {
            "" | "password" | "v3password" | "v3applicationcredential" => {}
            "v2password" | "v2token" => {
                return Err("auth_type v2password is Identity v2.0, which left Keystone in 2018: write \
                 it as authn_parms or a credential with user, password, osauthendpoint and tenantid"
                    .into());
            }
            other => return Err(format!("auth_type {} is not supported: {HOW}", quoted(other))),
        }
        if self.identity_api_version.as_deref().is_some_and(|v| v.trim().starts_with('2')) {
            return Err("identity_api_version 2 left Keystone in 2018: leave it out for v3".into());
        }
        if self.cert.is_some() {
            return Err("`cert` asks for a client certificate, which skypunch does not send: leave it out".into());
        }
        let mut params: Vec<(String, Secret)> = Vec::new();
        for (name, value) in self.auth.unwrap_or_default() {
            let name = known_as(&name.replace('-', "_"));
            // Files and shells say `nothing` with an empty text as well.
            if let Some(value) = value.filter(|v| !v.is_empty())
                && !params.iter().any(|(n, _)| *n == name)
            {
                params.push((name, Secret::new(value)));
            }
        }
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value.filter(|v| !v.is_empty()) {
                params.push((name.to_owned(), Secret::new(value)));
            }
        };
        // A list of regions in one text is an old form: the first counts.
        let region = self.region_name.and_then(|w| w.0.into_iter().next());
        put("region_name", region.and_then(|r| r.split(',').next().map(|r| r.trim().to_owned())));
        put("interface", self.interface.or(self.endpoint_type).map(|w| w.0.join(",")));
        put("cacert", self.cacert.map(|path| at_home(&path, home)));
        let insecure = is(self.insecure.as_deref(), "insecure")? == Some(true);
        let verify = is(self.verify.as_deref(), "verify")? != Some(false);
        put("verify", (insecure || !verify).then(|| "false".to_owned()));
        Ok(params)
    }
}

/// The present name of a parameter that had another.
fn known_as(name: &str) -> String {
    match name {
        "tenant_name" | "tenant" | "project" => "project_name",
        "tenant_id" => "project_id",
        "user_name" => "username",
        name => name,
    }
    .to_owned()
}

fn at_home(path: &str, home: Option<&str>) -> String {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => format!("{}/{rest}", home.trim_end_matches('/')),
        _ => path.to_owned(),
    }
}

fn is(text: Option<&str>, name: &str) -> Result<Option<bool>, String> {
    match text.map(|t| t.trim().to_ascii_lowercase()).as_deref() {
        None | Some("") => Ok(None),
        Some("true" | "yes" | "on" | "1") => Ok(Some(true)),
        Some("false" | "no" | "off" | "0") => Ok(Some(false)),
        Some(_) => Err(format!("`{name}` is neither true nor false: write one of them")),
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Words, D::Error> {
        struct Words_;
        impl<'de> Visitor<'de> for Words_ {
            type Value = Words;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word or a list of words")
            }
            fn visit_str<E: de::Error>(self, word: &str) -> Result<Words, E> {
                Ok(Words(vec![word.to_owned()]))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Words, E> {
                Ok(Words(vec![number.to_string()]))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Words, E> {
                Ok(Words(vec![number.to_string()]))
            }
            fn visit_unit<E: de::Error>(self) -> Result<Words, E> {
                Ok(Words::default())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Words, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = list.next_element::<String>()? {
                    words.push(word);
                }
                Ok(Words(words))
            }
        }
        deserializer.deserialize_any(Words_)
    }
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Region, D::Error> {
        #[derive(serde::Deserialize)]
        struct Whole {
            name: String,
            values: Option<Box<Cloud>>,
        }
        struct Region_;
        impl<'de> Visitor<'de> for Region_ {
            type Value = Region;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a region's name, or name and values")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Region, E> {
                Ok(Region { name: name.to_owned(), values: None })
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Region, E> {
                Ok(Region { name: number.to_string(), values: None })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Region, A::Error> {
                let Whole { name, values } = Deserialize::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Region { name, values })
            }
        }
        deserializer.deserialize_any(Region_)
    }
}
