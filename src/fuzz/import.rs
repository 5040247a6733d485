//! Files of other monitors: whatever they hold, the targets file that is made of them is one that `apply` takes.

use std::collections::BTreeMap;

use super::input::Fields;
use super::judge;
use crate::import::draft::Found;
use crate::import::legacy::source::{from_config, from_url};
use crate::import::{gatus, kuma, modules, prometheus, tree};
use crate::model::notifier::any_type;
use crate::model::targets_file::parse;
use crate::model::text::is_hidden;

pub fn run(data: &[u8]) {
    let mut fields = Fields::of(data);
    let (what, first, second) = (fields.bytes().first().copied().unwrap_or(b'g'), fields.text(), fields.text());
    if what == b'c' {
        for place in [from_config(&first), from_url(&first)] {
            place.err().iter().for_each(|why| judge::sentence(why, judge::MOST));
        }
        return;
    }
    let read = |text: &str| match tree::read(text, "f.yml") {
        Ok(value) => Some(value),
        Err(why) => {
            judge::sentence(&why, judge::MOST);
            None
        }
    };
    let Some(first) = read(&first) else { return };
    let second = if second.is_empty() { None } else { read(&second) };
    let (mut known, mut found) = (BTreeMap::new(), Found::default());
    let result = match what {
        b'k' => kuma::map(first).map(|f| found = f),
        b'p' => {
            let blackbox = second.clone().map(|s| modules::read(s, &mut known, &mut found.notes));
            blackbox.into_iter().filter_map(Result::err).for_each(|why| judge::sentence(&why, judge::MOST));
            let mut files = |_: &str| Ok(second.iter().map(|s| ("f".to_owned(), s.clone())).collect());
            prometheus::map_config(first, &known, &mut files, &mut found)
        }
        b's' => prometheus::map_file_sd(first, Some("m"), &known, &mut found),
        _ => gatus::map([Some(first), second].into_iter().flatten().collect()).map(|f| found = f),
    };
    if let Err(why) = result {
        judge::sentence(&why, judge::MOST);
    }
    let text = found.write("f.yml");
    // Values stay what they were, in escapes; comments are words of ours.
    assert!(!text.chars().any(|c| is_hidden(c) && !matches!(c, '\n' | '\t')), "{text:?}");
    text.lines().filter(|line| line.starts_with('#')).for_each(judge::line);
    assert!(parse(&text, &any_type).is_ok(), "{:?}\n{text}", parse(&text, &any_type));
}
