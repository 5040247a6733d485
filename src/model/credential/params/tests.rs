use proptest::prelude::*;

use super::*;
use crate::model::params;

fn read(text: &str) -> Result<Login, String> {
    Login::from_params(params::parse(text).unwrap())
}

fn with(rest: &str) -> Login {
    read(&format!("auth_url=https://keystone.example:5000/v3,{rest}")).unwrap()
}

fn by_name(name: &str, domain: Domain) -> Owned {
    Owned::Name { name: name.into(), domain }
}

fn default_domain() -> Domain {
    Domain::Name("Default".into())
}

const USER: &str = "username=probe,user_domain_name=Default,password=hunter2";

fn password() -> Identity {
    Identity::Password { user: by_name("probe", default_domain()), password: Secret::new("hunter2") }
}

#[test]
fn every_form_of_password_and_scope() {
    let demo = by_name("demo", default_domain());
    for (rest, scope) in [
        ("", Scope::Default),
        (",scope=unscoped", Scope::Unscoped),
        (",project_name=demo,project_domain_name=Default", Scope::Project(demo.clone())),
        (",project_name=demo,project_domain_id=default", Scope::Project(by_name("demo", Domain::Id("default".into())))),
        (",project_id=6be5", Scope::Project(Owned::Id("6be5".into()))),
        // As openrc files of Horizon have it.
        (",project_id=6be5,project_name=demo,project_domain_id=default", Scope::Project(Owned::Id("6be5".into()))),
        (",domain_name=Default", Scope::Domain(default_domain())),
        (",domain_id=default", Scope::Domain(Domain::Id("default".into()))),
        (",system_scope=all", Scope::System),
    ] {
        let login = with(&format!("{USER}{rest}"));
        assert_eq!((&login.identity, &login.scope, login.api), (&password(), &scope, Api::V3), "{rest}");
        assert_eq!(login.auth_url.as_str(), "https://keystone.example:5000/v3");
    }
    let login = with("username=probe,project_name=demo,default_domain_name=Default,password=hunter2");
    assert_eq!((login.identity, login.scope), (password(), Scope::Project(demo)));
    let login = with("user_id=7ff6,password=${file:/run/p}");
    let user = Owned::Id("7ff6".into());
    assert_eq!(login.identity, Identity::Password { user, password: Secret::new("${file:/run/p}") });
}

#[test]
fn application_credentials_by_id_and_by_name() {
    let secret = Secret::new("${env:SECRET}");
    let login = with("application_credential_id=abc,application_credential_secret=${env:SECRET}");
    assert_eq!(login.identity, Identity::ApplicationCredentialId { id: "abc".into(), secret: secret.clone() });
    assert_eq!(login.scope, Scope::Default);
    let login = with(
        "application_credential_name=sky,username=probe,user_domain_id=default,application_credential_secret=${env:SECRET}",
    );
    let user = by_name("probe", Domain::Id("default".into()));
    assert_eq!(login.identity, Identity::ApplicationCredentialName { name: "sky".into(), user, secret });
}

#[test]
fn what_stands_around_it() {
    let login = with(&format!(
        "{USER},region_name=RegionOne,interface=\"internalURL, public\",cacert=/etc/ca.pem,verify=False,\
         tls_server_name=keystone.test"
    ));
    assert_eq!(login.region.as_deref(), Some("RegionOne"));
    assert_eq!(login.interfaces, ["internal", "public"]);
    let tls =
        TlsOptions { ca: Some("/etc/ca.pem".into()), skip_verify: true, server_name: Some("keystone.test".into()) };
    assert_eq!(login.tls, tls);
    let plain = with(USER);
    assert_eq!((plain.region, plain.interfaces, plain.tls), (None, Vec::new(), TlsOptions::default()));
}

#[test]
fn the_names_of_skypunch_0_3() {
    let old = |endpoint: &str| read(&format!("user=probe,password=hunter2,osauthendpoint={endpoint},tenantid=t-demo"));
    let login = old("http://127.0.0.1:5000/v2.0/tokens").unwrap();
    assert_eq!((login.api, login.auth_url.as_str()), (Api::V2, "http://127.0.0.1:5000/v2.0/tokens"));
    let password = Secret::new("hunter2");
    let v2 = Identity::V2 { user: "probe".into(), password: password.clone(), tenant_id: "t-demo".into() };
    assert_eq!((&login.identity, &login.scope), (&v2, &Scope::Default));
    assert!(login.warning().unwrap().contains("2018"));
    for endpoint in ["http://127.0.0.1:5000/v3", "http://127.0.0.1:5000", "http://127.0.0.1:5000/v3/auth/tokens"] {
        let login = old(endpoint).unwrap();
        let user = by_name("probe", Domain::Id("default".into()));
        assert_eq!(login.identity, Identity::Password { user, password: password.clone() });
        assert_eq!((login.scope.clone(), login.api), (Scope::Project(Owned::Id("t-demo".into())), Api::V3));
        assert!(!login.auth_url.as_str().contains("tokens") && login.warning().is_none());
    }
    assert!(old("http://127.0.0.1:5000/v2.0").unwrap_err().contains("/v2.0/tokens"));
}

#[test]
fn errors_name_the_parameter_and_what_to_write_and_never_a_value() {
    const URL: &str = "auth_url=http://k/v3";
    let app = "application_credential_id=hunter2,application_credential_secret=hunter2";
    for (text, parts) in [
        // The names of 0.3.0.
        ("user=hunter2,password=hunter2,tenantid=t", &["`osauthendpoint` is missing", "`tenantid`"][..]),
        ("user=hunter2", &["`password`, `osauthendpoint` and `tenantid` are missing"]),
        ("tenantid=t,osauthendpoint=http://k,user=u,passwrd=hunter2", &["`passwrd`", "did you mean `password`?"]),
        ("user=u,auth_url=http://k", &["`user` is a name of skypunch 0.3.0 and `auth_url` is not"]),
        ("user=u,password=p,osauthendpoint=hunter2,tenantid=t", &["`osauthendpoint` is not a URL"]),
        // Where.
        (USER, &["`auth_url` is missing"]),
        ("", &["`auth_url` is missing"]),
        ("auth_url=hunter2", &["`auth_url` is not a URL"]),
        ("auth_url=ftp://hunter2/", &["`auth_url`", "http://"]),
        ("auth_url=http://me:hunter2@k/", &["`auth_url` holds a user or password"]),
        ("auth_url=http://k/?hunter2", &["`auth_url`", "`?`"]),
        ("auth_url=http://k:0/", &["port 0"]),
        ("auth_url=http://k/v2.0,username=u", &["`auth_url`", "v2.0", "`osauthendpoint`"]),
        ("auth_url=${env:HUNTER2}", &["`auth_url` is a reference", "password and application_credential_secret"]),
        // As whom.
        ("$URL,password=hunter2", &["`username` (or `user_id`) is missing"]),
        ("$URL,username=hunter2,user_domain_name=D", &["`password` is missing", "${file:/path}"]),
        ("$URL,username=hunter2,password=hunter2", &["`user_domain_name` (or `user_domain_id`) is missing"]),
        ("$URL,user_id=u,password=", &["`password` is empty"]),
        ("$URL,user_id=\"a\nb\",password=hunter2", &["`user_id`", "control character"]),
        ("$URL,application_credential_id=hunter2", &["`application_credential_secret` is missing"]),
        ("$URL,application_credential_secret=hunter2", &["`application_credential_id` is missing"]),
        ("$URL,application_credential_name=n,application_credential_secret=hunter2", &["`username`"]),
        (
            "$URL,application_credential_name=n,application_credential_secret=hunter2,username=u",
            &["`user_domain_name`"],
        ),
        ("$URL,$APP,password=hunter2", &["`password` and `application_credential_id`"]),
        // For what.
        ("$URL,$APP,project_id=hunter2", &["`project_id` must not be sent with an application credential", "401"]),
        ("$URL,$APP,scope=unscoped", &["`scope` must not be sent"]),
        ("$URL,$APP,system_scope=all", &["`system_scope` must not be sent"]),
        ("$URL,$USER,project_name=hunter2", &["`project_domain_name` (or `project_domain_id`) is missing"]),
        ("$URL,$USER,project_domain_name=hunter2", &["`project_domain_name` is given without a project"]),
        (
            "$URL,$USER,project_id=a,domain_id=hunter2",
            &["`project_id` and `domain_id` are two scopes", "user_domain_name"],
        ),
        ("$URL,$USER,system_scope=all,scope=unscoped", &["`system_scope` and `scope` are two scopes"]),
        ("$URL,$USER,system_scope=hunter2", &["`system_scope` can only be all"]),
        ("$URL,$USER,scope=hunter2", &["`scope` can only be unscoped"]),
        // Around it.
        ("$URL,$USER,verify=hunter2", &["`verify` is neither true nor false"]),
        ("$URL,$USER,interface=hunter2", &["`interface`", "public, internal and admin"]),
        ("$URL,$USER,cacert=hunter2", &["`cacert` is not an absolute path"]),
        ("$URL,$USER,tls_server_name=hunter2/x", &["`tls_server_name` is not a host name"]),
        ("$URL,$USER,project_nam=hunter2", &["`project_nam` is not known", "did you mean `project_name`?"]),
        ("$URL,$USER,colour=hunter2", &["`colour` is not known", "it takes `auth_url`, "]),
        ("$URL,$USER,!hunter2=x", &["part 5, which does not begin with a name,"]),
    ] {
        let text = text.replace("$URL", URL).replace("$USER", USER).replace("$APP", app);
        let message = read(&text).unwrap_err();
        for part in parts {
            assert!(message.contains(part), "{text}: {message} should hold {part}");
        }
        assert!(!message.to_lowercase().contains("hunter2"), "{message}");
    }
    let twice = vec![("auth_url".to_owned(), Secret::new("http://k")); 2];
    assert_eq!(Login::from_params(twice).unwrap_err(), "`auth_url` is given twice");
}

#[test]
fn what_is_written_back_is_read_as_the_same() {
    let old = "user=u,password=p,osauthendpoint=http://k:5000/v2.0/tokens,tenantid=t,region_name=R";
    let url = "auth_url=https://k/identity/v3";
    for text in [
        old.to_owned(),
        old.replace("/v2.0/tokens", ""),
        format!("{url},{USER},project_name=\"a,b\",project_domain_id=d,interface=\"admin,public\",verify=false"),
        format!("{url},{USER},system_scope=all,cacert=/ca.pem,tls_server_name=x.test"),
        format!("{url},{USER},scope=unscoped"),
        format!("{url},{USER},domain_name=D"),
        format!("{url},{USER},domain_id=D"),
        format!("{url},user_id=u,password=\"a,\\\"b\",project_id=p"),
        format!("{url},application_credential_id=i,application_credential_secret=s"),
        format!("{url},application_credential_name=n,user_id=u,application_credential_secret=${{cred:s}}"),
    ] {
        let login = read(&text).unwrap();
        assert_eq!(Login::from_params(login.to_params()).unwrap(), login, "{text}");
    }
}

proptest! {
    #[test]
    fn never_panics_and_never_shows_a_value(
        names in proptest::collection::vec(proptest::sample::select([NEW.as_slice(), &AROUND, &OLD].concat()), 0..8),
        value in "(http://)?[A-Z0-9]{12,30}",
    ) {
        let params: Vec<(String, Secret)> =
            names.into_iter().map(|n| (n.to_owned(), Secret::new(value.as_str()))).collect();
        if let Err(message) = Login::from_params(params) {
            prop_assert!(!message.contains(value.trim_start_matches("http://")), "{}", message);
        }
    }
}
