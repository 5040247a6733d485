//! Rows of skypunch 0.3.0: what is brought over is what the targets table takes.

use super::input::Fields;
use super::judge;
use crate::import::legacy::{NOTIFIER_COLUMNS, OldRow, TARGET_COLUMNS, bring};
use crate::model::defined::Defined as _;
use crate::model::notifier::any_type;

pub fn run(data: &[u8]) {
    let mut fields = Fields::of(data);
    // `\0` alone stands for NULL.
    let mut row = |columns: &[&'static str]| {
        let value = |text: String| Some(text).filter(|t| t != "\0");
        OldRow(columns.iter().map(|column| (*column, value(fields.text()))).collect())
    };
    let brought = bring(&[row(&TARGET_COLUMNS)], &[row(&NOTIFIER_COLUMNS)], &any_type);
    for target in &brought.targets {
        assert!(target.imported_count() >= 0);
        let problems = target.definition.validate().err().unwrap_or_default();
        assert!(problems.is_empty(), "{problems:?}");
    }
    for notifier in &brought.notifiers {
        let problems = notifier.definition.problems(&any_type);
        assert!(problems.is_empty(), "{problems:?}");
    }
    for attention in &brought.attention {
        judge::sentence(&attention.why, judge::MOST);
    }
}
