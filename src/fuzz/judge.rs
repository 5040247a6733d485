//! What holds of everything that a person is shown.

use super::input::CANARY;
use crate::model::definition::Problem;
use crate::model::text::is_hidden;

/// What is wrong with one thing is said in no more characters.
pub const MOST: usize = 2_000;

/// One clean line for people: it says something, holds no control character and no secret, and is no longer than `most`
/// characters.
pub fn sentence(text: &str, most: usize) {
    assert!(!text.trim().is_empty(), "nothing is said");
    line(text);
    assert!(text.chars().count() <= most, "{} characters, at most {most}: {text}", text.chars().count());
}

/// One clean line without a secret, however long.
pub fn line(text: &str) {
    assert!(!text.chars().any(is_hidden), "a hidden character: {text:?}");
    no_secret(text);
}

/// No secret of the input.
pub fn no_secret(text: &str) {
    assert!(!text.contains(CANARY), "a secret is shown: {text:?}");
}

/// There are some, and each is a sentence.
pub fn problems(problems: &[Problem]) {
    assert!(!problems.is_empty(), "refused without a reason");
    for problem in problems {
        sentence(&problem.to_string(), MOST);
    }
}
