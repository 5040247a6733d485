//! Text that was stored twice encoded: a client that said latin1 and sent UTF-8, as clients of those days did.

/// What MySQL's latin1 (Windows-1252) has at 0x80 to 0x9f; 0 where it has a control character.
const HIGH: [u32; 32] = [
    0x20ac, 0, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017d, 0, 0,
    0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0, 0x017e, 0x0178,
];

/// The text that was meant, where `text` is UTF-8 that was taken for latin1.
pub(super) fn meant(text: &str) -> Option<String> {
    let byte = |c: char| {
        let code = u32::from(c);
        let high = HIGH.iter().position(|h| *h == code && code != 0).and_then(|i| u8::try_from(0x80 + i).ok());
        high.or_else(|| u8::try_from(code).ok())
    };
    let bytes: Vec<u8> = text.chars().map(byte).collect::<Option<_>>()?;
    String::from_utf8(bytes).ok().filter(|meant| meant != text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn twice_encoded_text_is_known_and_other_text_is_not() {
        assert_eq!(meant("groÃŸe Ãœberwachung â‚¬").as_deref(), Some("große Überwachung €"));
        for plain in ["shop", "große Überwachung €", "Ã", "日本", ""] {
            assert_eq!(meant(plain), None, "{plain}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*|[\u{80}-\u{ff}]{0,9}") {
            let _any = meant(&text);
        }
    }
}
