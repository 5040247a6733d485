//! Files of the catalogue of providers, their templates among them.

use super::input::text_of;
use super::judge;
use super::webhook::sample;
use crate::model::time::UtcMs;
use crate::notify::catalogue::{Input, Provider};
use crate::secret::Secret;

pub fn run(data: &[u8]) {
    match Provider::parse("fuzz.toml", &text_of(data)) {
        Ok(provider) => {
            judge::line(&provider.info().name);
            judge::line(&provider.info().title);
            let address = Secret::new("https://hook.example/x");
            let input = Input {
                message: sample(),
                address: &address,
                params: &[],
                saved: &[],
                templates: &[],
                now: UtcMs(1_795_316_832_000),
            };
            match provider.requests(&input) {
                Ok(requests) => requests.iter().for_each(super::webhook::one_request),
                Err(why) => judge::sentence(&why.to_string(), judge::MOST),
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                judge::sentence(&problem.to_string(), judge::MOST);
            }
        }
    }
}
