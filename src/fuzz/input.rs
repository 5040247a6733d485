//! What a body makes of its bytes.

/// The bytes as a row of fields. They are parted by 0xff, which no UTF-8 text holds.
pub struct Fields<'a>(std::slice::Split<'a, u8, fn(&u8) -> bool>);

impl<'a> Fields<'a> {
    /// The fields of `bytes`.
    pub fn of(bytes: &'a [u8]) -> Fields<'a> {
        Fields(bytes.split(|b| *b == 0xff))
    }

    /// The next one; empty behind the last.
    pub fn bytes(&mut self) -> &'a [u8] {
        self.0.next().unwrap_or_default()
    }

    /// The next one as text.
    pub fn text(&mut self) -> String {
        text_of(self.bytes())
    }

    /// The next one as text, where it is not empty.
    pub fn option(&mut self) -> Option<String> {
        Some(self.text()).filter(|t| !t.is_empty())
    }

    /// The next one as a number: in digits, else made of its bytes.
    pub fn number(&mut self) -> i64 {
        let bytes = self.bytes();
        let digits = std::str::from_utf8(bytes).ok().and_then(|t| t.trim().parse().ok());
        digits.unwrap_or_else(|| bytes.iter().take(8).fold(0, |n: i64, b| n.wrapping_shl(8) | i64::from(*b)))
    }

    /// All that are left, as texts.
    pub fn rest(self) -> Vec<String> {
        self.0.map(text_of).collect()
    }
}

/// Bytes as text, in which no secret stands by chance: libFuzzer finds out what is compared with what.
pub fn text_of(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    while text.contains(CANARY) {
        text = text.replace(CANARY, "");
    }
    text
}

/// Stands for `~` in fields that hold secrets. It looks like no name, so that it may be shown nowhere.
pub const CANARY: &str = "Qz7.9zQ!x";

/// The text with a secret for every `~`.
pub fn with_secrets(text: &str) -> String {
    text.replace('~', CANARY)
}
