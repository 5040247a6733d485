//! What an identity service answers: to a login, to the question for its versions; and what its catalog leads to.

use url::Url;

use super::input::{CANARY, Fields};
use super::judge;
use crate::model::catalog::CatalogQuery;
use crate::model::credential::Api;
use crate::model::notifier::any_type;
use crate::model::targets_file::parse;
use crate::openstack::answer::judge as judged;
use crate::openstack::discover::{discover, nothing};
use crate::openstack::discovery::base;
use crate::openstack::error::{Answer, IdentityError};

pub fn run(data: &[u8]) {
    let mut fields = Fields::of(data);
    let api = if fields.number() & 1 == 0 { Api::V3 } else { Api::V2 };
    let status = u16::try_from(fields.number()).unwrap_or(201);
    let headers = fields.text().replace('~', CANARY);
    let headers: Vec<(String, String)> = headers
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let body = fields.text().replace('~', CANARY);
    let (query, interface, region) = (fields.text(), fields.option(), fields.option());
    let Ok(url) = Url::parse("https://keystone.example:5000/v3/auth/tokens") else { return };
    let leaks = |text: &str| text.contains(CANARY);
    let answer = Answer { url: &url, status, headers: &headers, body: body.as_bytes(), leaks: &leaks };
    match judged(api, &answer, 7, true) {
        Ok(token) => {
            assert!(!token.value.expose().is_empty() && token.value.expose().bytes().all(|b| b.is_ascii_graphic()));
            assert!(!token.lifetime.is_zero());
            let Some(catalog) = &token.catalog else { panic!("no catalog, though it was asked for") };
            if let Ok(query) = Url::parse(&query).map_err(|_| String::new()).and_then(|u| CatalogQuery::parse(&u)) {
                match catalog.find(&query, region.as_deref(), &[]) {
                    Ok(found) => {
                        assert!(matches!(found.scheme(), "http" | "https") && found.host().is_some());
                        assert!(found.username().is_empty() && found.password().is_none());
                    }
                    Err(why) => clean(&why),
                }
            }
            let file = discover(catalog, "cloud", interface.as_deref(), region.as_deref());
            assert!(!file.chars().any(|c| c != '\n' && crate::model::text::is_hidden(c)), "{file:?}");
            assert!(parse(&file, &any_type).is_ok(), "{:?}\n{file}", parse(&file, &any_type));
            nothing(catalog, interface.as_deref(), region.as_deref()).iter().for_each(|why| clean(why));
        }
        Err(why) => refused(&why),
    }
    match base(&answer) {
        Ok(base) => {
            assert_eq!(base.scheme(), "https", "{base}");
            assert!(base.host().is_some() && base.username().is_empty() && base.password().is_none());
            assert!(base.query().is_none() && base.fragment().is_none(), "{base}");
        }
        Err(why) => refused(&why),
    }
}

fn refused(error: &IdentityError) {
    judge::sentence(&error.sentence, judge::MOST);
}

/// A catalog repeats nothing that was sent, and may hold any text: clean and bounded is what counts.
fn clean(text: &str) {
    assert!(!text.chars().any(crate::model::text::is_hidden), "{text:?}");
    assert!(text.chars().count() <= judge::MOST, "{} characters: {text}", text.chars().count());
}
