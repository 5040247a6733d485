//! Tokens as probes get them in the daemon: a registry of so many credentials, each with a token at hand.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use skypunch::actors::arbiter::{Local, Records};
use skypunch::actors::identity::{Identities, LocalTokens};
use skypunch::actors::supervisor::Died;
use skypunch::board::Board;
use skypunch::clock::Clock;
use skypunch::config::LogResults;
use skypunch::logging::ResultLog;
use skypunch::model::catalog::{Catalog, CatalogEndpoint};
use skypunch::model::credential::CredentialDefinition;
use skypunch::model::target::Target;
use skypunch::model::token::{Holder, Token};
use skypunch::probe::{HttpProber, ProbeSettings, Prober};
use skypunch::secret::{Secret, SecretPolicy};
use slog::{Discard, Logger, o};

/// Whom nobody sends anything here.
struct Nobody;

impl Actor for Nobody {
    type Context = Context<Self>;
}

impl Handler<Records> for Nobody {
    type Result = ();
    fn handle(&mut self, _: Records, _: &mut Self::Context) {}
}

impl Handler<Died> for Nobody {
    type Result = ();
    fn handle(&mut self, _: Died, _: &mut Self::Context) {}
}

/// The name of a credential; all are as long.
pub fn name(n: usize) -> String {
    format!("mycloud-{n:06}")
}

/// The tokens of so many credentials, which the targets use; each has logged in an instant ago. With a catalog of 100
/// endpoints, of which the image service is at `address`, if there is one.
pub fn local_tokens(credentials: usize, targets: &[Target], clock: &Clock, address: Option<&str>) -> LocalTokens {
    let params = "auth_url=http://127.0.0.1:9/v3,username=probe,user_domain_name=Default,password=x,project_id=p";
    let rows = (0..credentials).map(|n| CredentialDefinition {
        id: i64::try_from(n).unwrap() + 1,
        name: name(n),
        params: Some(Secret::new(params)),
        ..CredentialDefinition::default()
    });
    let board = Arc::new(Board::default());
    board.credentials.replace(rows.collect());
    let (log, nobody, secrets) = (Logger::root(Discard, o!()), Nobody.start(), SecretPolicy::default());
    let prober = HttpProber::new(ProbeSettings::default(), secrets.clone(), clock.clone()).unwrap();
    let results = ResultLog::new(log.clone(), LogResults::None);
    let sink = || nobody.clone().recipient::<Records>();
    let prober = Prober::Http(Rc::new(prober));
    Local::new(prober, clock.clone(), board.clone(), sink(), results, nobody.clone().recipient(), 1).install();
    let arbiters = vec![Arbiter::current()];
    let timeout = Duration::from_secs(10);
    let identities = Identities::new(board, clock.clone(), log, arbiters, sink(), secrets, timeout, HashMap::default());
    identities.definitions_changed();
    let catalog = address.map(|address| Arc::new(catalog(address)));
    for target in targets {
        let slot = identities.slot(&identities.key(target).unwrap()).unwrap();
        let mut data = slot.handle.lock();
        data.catalog = catalog.is_some();
        data.keeper.logged_in(clock.now(), Arc::new(token(catalog.clone())));
    }
    LocalTokens::new(identities)
}

/// As long as a Fernet token of Keystone.
fn token(catalog: Option<Arc<Catalog>>) -> Token {
    Token {
        value: Secret::new(format!("gAAAA{}", "BrApJY5bivsDiIrAsJws2W_".repeat(8))),
        serial: 1,
        lifetime: Duration::from_secs(3600),
        catalog,
        holder: Holder::default(),
    }
}

fn catalog(address: &str) -> Catalog {
    let endpoint = |service_type: String, url: String| CatalogEndpoint {
        service_name: service_type.clone(),
        service_type,
        interface: "public".into(),
        region: "RegionOne".into(),
        url,
    };
    let mut endpoints: Vec<_> =
        (0..99).map(|i| endpoint(format!("service-{i}"), format!("http://127.0.0.1:9/{i}"))).collect();
    endpoints.push(endpoint("image".into(), format!("http://{address}")));
    Catalog { endpoints }
}
