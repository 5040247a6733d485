//! A full configuration, in which every secret is a canary, among servers that give everything back.

use super::canary_search::{CANARIES, DATABASE};
use super::canary_servers::{self as servers, Sent};
use super::database::Database;
use super::harness::{Place, Setup, file};

/// The servers around the daemon, and what it knows of.
pub struct World {
    pub sent: Sent,
    /// The origin's port.
    pub echo: u16,
    keystone: u16,
    /// Kind and name of each definition.
    pub names: Vec<(&'static str, &'static str)>,
}

impl World {
    pub fn start() -> World {
        let sent = Sent::default();
        let (echo, keystone) = (servers::echo("origin", &sent), servers::keystone(CANARIES[13], &sent));
        World { sent, echo, keystone, names: Vec::new() }
    }

    /// Params of a login at this path of the identity service.
    pub fn login(&self, path: &str, password: &str) -> String {
        format!(
            "auth_url=http://127.0.0.1:{}{path},username=probe,user_domain_name=D,password={password},project_name=p,\
             project_domain_name=D",
            self.keystone
        )
    }

    /// Definitions as people write them, with everything that can be secret.
    pub fn define(&mut self, place: &Place) {
        let (sent, at) = (&self.sent, |path: &str| format!("http://127.0.0.1:{}{path}", self.echo));
        let mut targets = Vec::new();
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let mut target =
            |name: &'static str, url: String, authn: &str, parms: &str, headers: &str, credential: &str| {
                let null = |t: &str| if t.is_empty() { "NULL".into() } else { quoted(t) };
                targets.push(format!(
                    "({}, {}, 500, 400, {}, {}, {}, {}, 1)",
                    quoted(name),
                    quoted(&url),
                    quoted(authn),
                    null(parms),
                    null(headers),
                    null(credential)
                ));
                self.names.push(("targets", name));
            };
        let c = |i: usize| CANARIES[i];
        let secret_headers = format!("X-Api-Key: {}\nCookie: session={}", c(2), c(3));
        let basic = format!("user=ann,password={}", c(0));
        let bearer = format!("token={}", c(1));
        for (name, path) in [
            ("basic-reason", "/reason"),
            ("basic-headers", "/headers"),
            ("basic-garbage", "/garbage"),
            ("basic-location", "/location"),
            ("basic-cookie", "/cookie"),
            ("basic-short", "/short"),
            ("basic-body", "/body"),
        ] {
            target(name, at(path), "BASIC", &basic, &secret_headers, "");
        }
        for (name, path) in [("bearer-reason", "/reason"), ("bearer-location", "/location"), ("bearer-body", "/body")] {
            target(name, at(path), "BEARER", &bearer, "", "");
        }
        target("authorization", at("/reason"), "NONE", "", &format!("Authorization: Own {}", c(4)), "");
        let by_file = format!("token=${{file:{}}}", place.path("secrets/token").display());
        target("by-file", at("/reason"), "BEARER", &by_file, "", "");
        target("by-env", at("/headers"), "BASIC", "user=ann,password=${env:SKY_TEST_CANARY}", "", "");
        target("by-cred", at("/garbage"), "BEARER", "token=${cred:probe}", "", "");
        target("userinfo", format!("http://ann:{}@127.0.0.1:{}/", c(8), self.echo), "NONE", "", "", "");
        target(
            "wrong-row",
            "nonsense".into(),
            "BASIC",
            &format!("pasword={}", c(9)),
            &format!("X-Api-Key {}", c(9)),
            "",
        );
        let login = |path: &str, secret: &str| {
            format!(
                "auth_url=http://127.0.0.1:{}{path},username=probe,user_domain_name=D,{secret},project_name=p,project_domain_name=D",
                self.keystone
            )
        };
        target("own-login", at("/reason"), "OPENSTACK", &login("/bad/v3", &format!("password={}", c(10))), "", "");
        target("by-credential", at("/headers"), "OPENSTACK", "", "", "refused");
        target("by-application", at("/headers"), "OPENSTACK", "", "", "application");
        for (name, path) in [("token-reason", "/reason"), ("token-body", "/garbage"), ("token-location", "/location")] {
            target(name, at(path), "OPENSTACK", "", "", "granted");
        }
        target("by-cloud", at("/reason"), "OPENSTACK", "", "", "cloud:lab");
        place.db.sql(&format!(
            "INSERT INTO targets (name, url, frequency_ms, timeout_ms, authn, authn_parms, headers, credential, enabled) VALUES {}",
            targets.join(",")
        ));
        let refused = login("/bad/v3", &format!("password={}", c(11)));
        let granted = login("/good/v3", &format!("password={}", c(11)));
        let application = format!(
            "auth_url=http://127.0.0.1:{}/bad/v3,application_credential_id=a,application_credential_secret={}",
            self.keystone,
            c(12)
        );
        let credentials = [("refused", refused), ("granted", granted), ("application", application)];
        let rows: Vec<String> =
            credentials.iter().map(|(n, p)| format!("({}, 'OPENSTACK', {})", quoted(n), quoted(p))).collect();
        place.db.sql(&format!("INSERT INTO credentials (name, type, params) VALUES {}", rows.join(",")));
        self.names.extend(credentials.iter().map(|(n, _)| ("credentials", *n)));
        self.names.push(("credentials", "cloud:lab"));
        let mail = |lets_in, password: &str, name| {
            let port = servers::mail(name, sent, lets_in);
            format!(
                "server=127.0.0.1:{port},security=none,auth=plain,from=sky@example.com,user=ops,password={password}"
            )
        };
        let hook = |name, takes| format!("http://127.0.0.1:{}", servers::receiver(name, sent, takes));
        let path = |base: String, path: &str| format!("{base}/hooks/{path}?key={}", c(18));
        let signed = format!("secret={},token={}", c(19), c(20));
        let notifiers = [
            ("mail-taken", "SMTP", "ops@example.com".into(), mail(true, c(15), "mail-taken")),
            ("mail-refused", "SMTP", "ops@example.com".into(), mail(false, c(16), "mail-refused")),
            ("hook-taken", "WEBHOOK", path(hook("hook-taken", true), c(17)), signed.clone()),
            ("hook-refused", "WEBHOOK", path(hook("hook-refused", false), c(17)), signed),
            ("slack-refused", "SLACK", format!("{}/services/{}", hook("slack-refused", false), c(21)), String::new()),
            (
                "telegram-refused",
                "TELEGRAM",
                "12345".into(),
                format!("token={},url={}", c(22), hook("telegram-refused", false)),
            ),
            ("gotify-refused", "GOTIFY", hook("gotify-refused", false), format!("token={}", c(23))),
            (
                "matrix-refused",
                "MATRIX",
                "!a:example.org".into(),
                format!("token={},server={}", c(24), hook("matrix-refused", false)),
            ),
            ("pagerduty-refused", "PAGERDUTY", c(25).into(), format!("url={}", hook("pagerduty-refused", false))),
            ("wrong-params", "SMTP", "ops@example.com".into(), format!("pasword={}", c(9))),
        ];
        let rows: Vec<String> = notifiers
            .iter()
            .map(|(n, t, a, p)| format!("({}, {}, {}, {})", quoted(n), quoted(t), quoted(a), quoted(p)))
            .collect();
        place.db.sql(&format!("INSERT INTO notifiers (name, type, address, params) VALUES {}", rows.join(",")));
        self.names.extend(notifiers.iter().map(|(n, ..)| ("notifiers", *n)));
    }
}

/// The account of the database, with a password that is a canary, and the settings with all kinds of references.
pub fn setup(place: &Place) -> Setup {
    let c = |i: usize| CANARIES[i];
    for (folder, name, content) in
        [("secrets", "token", c(5)), ("secrets", "db", c(DATABASE)), ("given", "probe", c(7))]
    {
        std::fs::create_dir_all(place.path(folder)).unwrap();
        file(place, &format!("{folder}/{name}"), content);
    }
    let mut setup = place.setup();
    let allowed = place.path("secrets").display().to_string();
    setup = setup.extra(&format!(
        "[log]\nlevel = \"trace\"\n[secrets]\nfolders = [{allowed:?}]\nenvironment = [\"SKY_TEST_CANARY\"]\n\
         [notify]\nflap_changes = 0\n[http]\nlisten = \"127.0.0.1:{}\"\n",
        super::harness::free_port()
    ));
    if let Database::Mariadb(server, name) = &place.db {
        let user = format!("c{}", name.rsplit('_').next().unwrap());
        let user = format!("{user}_{}", std::process::id());
        place.db.sql(&format!("CREATE USER '{user}'@'%' IDENTIFIED BY '{}'", c(DATABASE)));
        place.db.sql(&format!("GRANT ALL ON {name}.* TO '{user}'@'%'"));
        setup.database = format!("mysql://{user}@127.0.0.1:{}/{name}", server.port);
        let password = format!("${{file:{}}}", place.path("secrets/db").display());
        setup.environment.push(("SKYPUNCH__DATABASE__PASSWORD".into(), password));
    }
    let clouds = format!(
        "clouds:\n  lab:\n    auth:\n      auth_url: http://127.0.0.1:1/v3\n      username: u\n      user_domain_name: D\n      \
         password: {}\n      project_name: p\n      project_domain_name: D\n",
        c(14)
    );
    let clouds = file(place, "clouds.yaml", clouds);
    for (name, value) in [
        ("SKY_TEST_CANARY", c(6).to_owned()),
        ("CREDENTIALS_DIRECTORY", place.path("given").display().to_string()),
        ("OS_CLIENT_CONFIG_FILE", clouds),
    ] {
        setup.environment.push((name.into(), value));
    }
    setup
}
