use proptest::prelude::*;

use super::*;
use crate::model::credential::{Domain, Identity, Owned, Scope};

fn found(path: &str, text: &str) -> Option<Found> {
    Some(Found { path: path.into(), text: Secret::new(text) })
}

fn only(text: &str) -> Sources {
    Sources { clouds: found("/etc/openstack/clouds.yaml", text), ..Sources::default() }
}

fn environment(all: &[(&str, &str)]) -> BTreeMap<String, Secret> {
    all.iter().map(|(n, v)| ((*n).to_owned(), Secret::new(*v))).collect()
}

const CLOUDS: &str = r#"
# As Horizon gives it out, and a few by hand.
clouds:
  openstack:
    auth:
      auth_url: http://127.0.0.1:5000/v3
      username: "probe"
      password: 007
      project_id: 12345678901234567890123456789012
      project_name: "demo"
      user_domain_name: "Default"
    region_name: "RegionOne"
    interface: "public"
    identity_api_version: 3
    volume_api_version: 3
  app:
    auth_type: v3applicationcredential
    auth: &app
      auth_url: https://keystone.test/identity
      application-credential-id: ac1
      application_credential_secret: ${file:/run/secret}
    regions:
    - name: Two
      values:
        interface: [internal, public]
    - One
    cacert: ~/ca.pem
    verify: no
  old:
    auth: { <<: *app, application-credential-id: ac2 }
    cloud: vendor
  strange:
    auth_type: v3oidcpassword
    auth: {}
  empty:
"#;

#[test]
fn a_cloud_becomes_a_login() {
    let login = login("openstack", &only(CLOUDS)).unwrap();
    let user = Owned::Name { name: "probe".into(), domain: Domain::Name("Default".into()) };
    assert_eq!(login.identity, Identity::Password { user, password: Secret::new("007") });
    assert_eq!(login.scope, Scope::Project(Owned::Id("12345678901234567890123456789012".into())));
    assert_eq!((login.region.as_deref(), login.interfaces.join(" ").as_str()), (Some("RegionOne"), "public"));
}

#[test]
fn regions_lists_home_and_secure_yaml() {
    let secure = "clouds:\n  app:\n    auth:\n      application_credential_secret: other\n  elsewhere:\n    auth: {}\n";
    let sources = Sources {
        secure: found("/etc/openstack/secure.yaml", secure),
        environment: environment(&[("HOME", "/root/")]),
        ..only(CLOUDS)
    };
    let login = login("app", &sources).unwrap();
    let secret = Secret::new("other");
    assert_eq!(login.identity, Identity::ApplicationCredentialId { id: "ac1".into(), secret });
    assert_eq!((login.region.as_deref(), login.interfaces.join(" ").as_str()), (Some("Two"), "internal public"));
    assert_eq!((login.tls.ca.as_deref(), login.tls.skip_verify), (Some("/root/ca.pem"), true));
}

#[test]
fn a_profile_lies_under_its_cloud() {
    let public = "public-clouds:\n  vendor:\n    auth: { auth_url: 'https://vendor.test/v3', application_credential_id: x }\n    region_name: V\n";
    let text = "clouds:\n  mine:\n    profile: vendor\n    auth: { application_credential_id: y, application_credential_secret: z }\n";
    let with = Sources { public: found("/etc/openstack/clouds-public.yaml", public), ..only(text) };
    let found = login("mine", &with).unwrap();
    assert_eq!((found.auth_url.as_str(), found.region.as_deref()), ("https://vendor.test/v3", Some("V")));
    assert_eq!(found.identity, Identity::ApplicationCredentialId { id: "y".into(), secret: Secret::new("z") });
    let said = login("mine", &only(text)).unwrap_err();
    assert!(said.contains("profile `vendor` is not known, and there is no clouds-public.yaml"), "{said}");
    let said =
        login("old", &Sources { clouds: only(CLOUDS).clouds, public: with.public.clone(), ..Sources::default() });
    assert_eq!(said.unwrap().region.as_deref(), Some("V"));
}

#[test]
fn the_environment_is_a_cloud_of_its_own() {
    let openrc = [
        ("OS_AUTH_URL", "http://127.0.0.1:5000/v3"),
        ("OS_USERNAME", "probe"),
        ("OS_PASSWORD", "hunter2"),
        ("OS_TENANT_NAME", "demo"),
        ("OS_PROJECT_DOMAIN_ID", "default"),
        ("OS_USER_DOMAIN_NAME", "Default"),
        ("OS_PROJECT_ID", ""),
        ("OS_ENDPOINT_TYPE", "internalURL"),
        ("OS_REGION_NAME", "RegionOne"),
        ("OS_INSECURE", "true"),
        ("OS_LOG_LEVEL", "3"),
    ];
    let sources = Sources { environment: environment(&openrc), ..Sources::default() };
    let found = login("envvars", &sources).unwrap();
    let project = Owned::Name { name: "demo".into(), domain: Domain::Id("default".into()) };
    assert_eq!((found.scope, found.interfaces.join(" ").as_str()), (Scope::Project(project), "internal"));
    assert!(found.tls.skip_verify && found.region.as_deref() == Some("RegionOne"));

    let renamed =
        Sources { environment: environment(&[("OS_CLOUD_NAME", "shell"), ("OS_AUTH_URL", "x")]), ..Sources::default() };
    assert!(login("shell", &renamed).unwrap_err().starts_with("the OS_* environment: `auth_url`"), "{renamed:?}");
    let selectors =
        Sources { environment: environment(&[("OS_CLOUD", "a"), ("OS_PASSWORD", "")]), ..Sources::default() };
    assert!(login("envvars", &selectors).unwrap_err().contains("the environment holds no login"));
}

#[test]
fn what_is_missing_or_not_supported_is_named() {
    let nothing = Sources { looked: places("clouds", &BTreeMap::new()), ..Sources::default() };
    for (cloud, sources, words) in [
        (
            "x",
            nothing,
            "there is no clouds.yaml; looked for ./clouds.yaml, ./clouds.yml, ./clouds.json, /etc/xdg/openstack/clouds.yaml",
        ),
        (
            "opnstack",
            only(CLOUDS),
            "/etc/openstack/clouds.yaml has no cloud `opnstack` (did you mean `openstack`?); it has app, empty, old, openstack, strange",
        ),
        ("x", only("clouds: {}"), "it has no cloud at all"),
        ("x", only(""), "has no `clouds:`"),
        ("x", only("cluods:\n  x: {}"), "has no `clouds:`"),
        ("empty", only(CLOUDS), "cloud `empty` of /etc/openstack/clouds.yaml: `auth_url` is missing"),
        ("strange", only(CLOUDS), "auth_type `v3oidcpassword` is not supported: write password or"),
        ("old", only(CLOUDS), "profile `vendor` is not known"),
        ("a", only("clouds: {a: {auth_type: v2password}}"), "left Keystone in 2018"),
        ("a", only("clouds: {a: {identity_api_version: 2.0}}"), "left Keystone in 2018"),
        ("a", only("clouds: {a: {verify: perhaps}}"), "`verify` is neither true nor false"),
        ("a", only("clouds: {a: {cert: /x.pem}}"), "client certificate"),
        ("a", only("clouds: {a: {auth: {auth_url: 'http://h/v3', trust_id: hunter2}}}"), "`trust_id` is not known"),
    ] {
        let said = login(cloud, &sources).unwrap_err();
        assert!(said.contains(words), "{said} should hold {words}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn bad_yaml_has_its_file_and_line_and_shows_no_value() {
    for (text, place) in [
        ("clouds:\n  a:\n\tauth: hunter2", "line 3"),
        ("clouds:\n  a:\n    auth:\n      password: [hunter2]\n", "line 4"),
        ("clouds:\n  a:\n    auth: hunter2\n", "line 3"),
        ("clouds:\n  a:\n    auth:\n      password: \"hunter2\n", "line "),
        ("- hunter2", "line 1"),
    ] {
        let said = login("a", &only(text)).unwrap_err();
        assert!(said.starts_with(&format!("/etc/openstack/clouds.yaml, {place}")), "{text}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn files_are_looked_for_in_openstacks_order_and_read() {
    let variables =
        environment(&[("OS_CLIENT_CONFIG_FILE", "/x/c.yaml"), ("HOME", "/home/me"), ("XDG_CONFIG_HOME", "/conf")]);
    let all: Vec<String> =
        places("clouds", &variables).iter().map(|p| shown(p)).filter(|p| p.ends_with(".yaml")).collect();
    assert_eq!(
        all,
        [
            "/x/c.yaml",
            "./clouds.yaml",
            "/conf/openstack/clouds.yaml",
            "/home/me/.config/openstack/clouds.yaml",
            "/etc/xdg/openstack/clouds.yaml",
            "/etc/openstack/clouds.yaml"
        ]
    );

    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".config/openstack");
    std::fs::create_dir_all(&folder).unwrap();
    let variables = || {
        [
            ("HOME".to_owned(), home.path().display().to_string()),
            ("OS_PASSWORD".to_owned(), "x".into()),
            ("PATH".into(), "y".into()),
        ]
    };
    std::fs::write(folder.join("clouds.yml"), CLOUDS).unwrap();
    let sources = read(variables()).unwrap();
    assert_eq!(sources.clouds.as_ref().map(|f| f.path.clone()), Some(folder.join("clouds.yml")));
    assert_eq!(sources.environment.keys().map(String::as_str).collect::<Vec<_>>(), ["HOME", "OS_PASSWORD"]);
    assert!(login("openstack", &sources).is_ok());

    // A folder of that name comes first, and cannot be read.
    std::fs::create_dir(folder.join("clouds.yaml")).unwrap();
    let said = read(variables()).unwrap_err();
    assert!(said.contains("clouds.yaml cannot be read: it is a directory"), "{said}");
}

proptest! {
    #[test]
    fn never_panics_and_never_shows_a_password(text in "(clouds:\n)?( {0,6}(a|auth|password|regions|- |hunter2)?:? ?(hunter2|\\[|\\{|\"|'|\t|&x|\\*x)?\n){0,8}") {
        if let Err(said) = login("a", &only(&text)) {
            let names = said.split("it has ").next().unwrap_or_default();
            prop_assert!(!names.contains("hunter2") || said.contains("is not known"), "{}", said);
        }
    }
}
