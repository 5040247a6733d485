//! `pass_result`.

use super::input::text_of;
use super::judge;
use crate::model::definition::check::check_pass_result;

pub fn run(data: &[u8]) {
    let text = text_of(data);
    match check_pass_result(&text) {
        Ok(set) => {
            let shown = set.text();
            judge::line(&shown);
            assert!(shown.len() <= text.len(), "{text:?} became {shown:?}");
            assert_eq!(check_pass_result(&shown).as_ref(), Ok(&set));
            assert!((100..=599).any(|code| set.contains(code)), "{text:?} is empty");
            assert!(!set.contains(99) && !set.contains(600) && !set.contains(0) && !set.contains(u16::MAX));
        }
        Err(message) => judge::sentence(&message, judge::MOST),
    }
}
