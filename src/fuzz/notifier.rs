//! A notifier's type, address, params and templates.

use std::sync::LazyLock;

use super::input::{CANARY, Fields};
use super::judge;
use crate::model::definition::Problem;
use crate::model::notifier::{Notifier, NotifierDefinition};
use crate::notify::catalogue::Catalogue;
use crate::notify::channel::{check, with_mail};
use crate::notify::mail::Account;
use crate::secret::Secret;

/// All types.
pub static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| with_mail(Catalogue::load(None).0));

/// Their names.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| CATALOGUE.describe().into_iter().map(|i| i.name).collect());

pub fn run(data: &[u8]) {
    let mut fields = Fields::of(data);
    let kind = fields.text();
    let kind = match kind.parse::<usize>() {
        Ok(n) => NAMES[n % NAMES.len()].clone(),
        Err(_) => kind,
    };
    let definition = NotifierDefinition {
        name: "fuzz".into(),
        kind,
        address: fields.text(),
        params: fields.option().map(|p| Secret::new(secrets(&p))),
        events: fields.option(),
        match_tags: fields.option(),
        match_name: fields.option(),
        match_tenant: fields.option(),
        templates: fields.option(),
        ..NotifierDefinition::default()
    };
    judge::no_secret(&format!("{definition:?}"));
    match definition.validate(&|n: &Notifier| types(n)) {
        Ok(notifier) => {
            judge::no_secret(&format!("{notifier:?}"));
            if notifier.kind.eq_ignore_ascii_case("SMTP") {
                let Ok(account) = Account::read(&notifier.address, &notifier.params) else {
                    panic!("an account that was taken is refused");
                };
                assert!(!account.to.is_empty() && account.port > 0);
                judge::line(&account.host.to_string());
            }
        }
        Err(problems) => judge::problems(&problems),
    }
}

fn types(notifier: &Notifier) -> Vec<Problem> {
    check(&CATALOGUE, notifier)
}

/// The params with secrets as the values of what is secret.
fn secrets(params: &str) -> String {
    ["password", "token", "secret", "key"]
        .iter()
        .fold(params.to_owned(), |text, name| text.replace(&format!("{name}=~"), &format!("{name}={CANARY}")))
}
