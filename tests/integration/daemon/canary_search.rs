//! The canaries, and the search for them in every encoding.

use std::collections::BTreeSet;

/// All of them. The core of letters and digits survives every encoding of text; what follows it is there to be encoded.
pub const CANARIES: [&str; 27] = [
    "CnryBasic7Xq1/+&z",
    "CnryBearer7Xq2/+&z",
    "CnryHeader7Xq3/+&z",
    "CnryCookie7Xq4/+&z",
    "CnryAuthzn7Xq5/+&z",
    "CnryFromFile7Xq6/+&z",
    "CnryFromEnv7Xq7/+&z",
    "CnryFromCred7Xq8/+&z",
    "CnryUserinfo7Xq9",
    "CnryWrongRow7XqA",
    "CnryOwnLogin7XqB/+&z",
    "CnryCredential7XqC/+&z",
    "CnryApplication7XqD/+&z",
    "CnryToken7XqE",
    "CnryCloudsYaml7XqF",
    "CnryMailOne7XqG/+&z",
    "CnryMailTwo7XqH/+&z",
    "CnryHookPath7XqI",
    "CnryHookQuery7XqJ",
    "CnryHookSign7XqK/+&z",
    "CnryHookToken7XqL",
    "CnrySlackPath7XqM",
    "CnryTelegram7XqN",
    "CnryGotify7XqO",
    "CnryMatrix7XqP",
    "CnryPagerduty7XqQ",
    "CnryDatabase7XqR/+&z",
];
pub const BASIC: usize = 0;
pub const DATABASE: usize = 26;

fn core(canary: &str) -> &str {
    canary.split('/').next().unwrap()
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The characters of base64 that stand for this text alone, wherever it begins within a triple.
fn base64_parts(text: &str) -> Vec<String> {
    (0..3)
        .map(|before| {
            let bits: Vec<u8> = text.bytes().flat_map(|b| (0..8).rev().map(move |i| b >> i & 1)).collect();
            // The first character that holds bits of this text only.
            let skip = [0, 4, 2][before];
            let whole = bits[skip..].chunks_exact(6);
            whole.map(|c| char::from(ALPHABET[usize::from(c.iter().fold(0u8, |n, b| n << 1 | b))])).collect()
        })
        .collect()
}

/// The text of base64, as far as it is one.
pub fn unbase64(text: &str) -> String {
    let bits: Vec<u8> = text
        .bytes()
        .filter_map(|b| ALPHABET.iter().position(|a| *a == b))
        .flat_map(|n| (0..6).rev().map(move |i| (n >> i & 1) as u8))
        .collect();
    let bytes: Vec<u8> = bits.chunks_exact(8).map(|c| c.iter().fold(0u8, |n, b| n << 1 | b)).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The canaries in a text: as they are, in base64, in hex; line ends of quoted-printable and of folded headers are undone.
pub fn found(text: &[u8]) -> BTreeSet<&'static str> {
    let plain = String::from_utf8_lossy(text);
    let unfolded = plain.replace("=\r\n", "").replace("=\n", "");
    let joined: String = plain.chars().filter(|c| !c.is_whitespace()).collect();
    let lower = joined.to_lowercase();
    let in_it = |canary: &str| {
        let core = core(canary);
        let hex: String = core.bytes().map(|b| format!("{b:02x}")).collect();
        let spelled = core.to_lowercase();
        unfolded.contains(core)
            || lower.contains(&spelled)
            || lower.contains(&hex)
            || base64_parts(core).iter().any(|part| joined.contains(part.as_str()))
    };
    CANARIES.into_iter().filter(|c| in_it(c)).collect()
}

#[test]
fn canaries_are_found_in_every_encoding() {
    let canary = CANARIES[BASIC];
    for text in [
        format!("x{canary}y"),
        format!("x{}y", canary.to_uppercase()),
        "user CnryBasi=\r\nc7Xq1 there".into(),
        "a: CnryBasic7\r\n Xq1".into(),
        "QW5uOkNucnlCYXNpYzdYcTEvKyZ6".into(), // Ann:…
        "Q25yeUJhc2ljN1hxMS8rJno=".into(),
        "eENucnlCYXNpYzdYcTE=".into(),
        "436e72794261736963375871312f".into(),
        "CnryBasic7Xq1%2F%2B%26z".into(),
    ] {
        assert_eq!(found(text.as_bytes()), BTreeSet::from([canary]), "{text}");
    }
    assert!(found(b"nothing of that kind, CnryBasic8").is_empty());
    assert_eq!(unbase64("QW5uOkNu"), "Ann:Cn");
}

/// What leaks, with where; all of it is told at the end.
#[derive(Default)]
pub struct Leaks(pub Vec<String>);

impl Leaks {
    pub fn look(&mut self, place: &str, text: impl AsRef<[u8]>) {
        self.look_but(place, text, &[]);
    }

    /// `own` may be there.
    pub fn look_but(&mut self, place: &str, text: impl AsRef<[u8]>, own: &[&str]) {
        let text = text.as_ref();
        for canary in found(text).into_iter().filter(|c| !own.contains(c)) {
            let shown = String::from_utf8_lossy(text);
            let lines: Vec<&str> = shown.lines().filter(|l| !found(l.as_bytes()).is_empty()).take(2).collect();
            let lines: Vec<String> = lines.iter().map(|l| l.chars().take(400).collect()).collect();
            self.0.push(format!("{place}: {canary}: {lines:?}"));
        }
    }
}
