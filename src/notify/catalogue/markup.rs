//! Kinds of text that a receiver shows, and how anything from outside is made harmless in each.
//!
//! | markup | who reads it |
//! |---|---|
//! | `plain` | no markup at all |
//! | `html` | Telegram, Matrix, Pushover: the few tags that all of them know |
//! | `slack` | Slack's mrkdwn: `&`, `<`, `>` are entities, so no mention and no link can be smuggled in |
//! | `markdown` | CommonMark and its relatives: Mattermost, Rocket.Chat, Zulip, Gotify, adaptive cards |
//! | `discord` | Markdown, where `@` mentions |
//! | `googlechat` | mrkdwn without entities |

use std::fmt::Write;

use serde::Deserialize;

/// A kind of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Markup {
    #[default]
    Plain,
    Html,
    Slack,
    Markdown,
    Discord,
    GoogleChat,
}

impl Markup {
    pub(super) const ALL: [Markup; 6] =
        [Markup::Plain, Markup::Html, Markup::Slack, Markup::Markdown, Markup::Discord, Markup::GoogleChat];

    pub(super) fn name(self) -> &'static str {
        match self {
            Markup::Plain => "plain",
            Markup::Html => "html",
            Markup::Slack => "slack",
            Markup::Markdown => "markdown",
            Markup::Discord => "discord",
            Markup::GoogleChat => "googlechat",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Markup> {
        Markup::ALL.into_iter().find(|m| m.name() == name)
    }

    /// The text, so that it shows as it is and does nothing.
    pub(super) fn escape(self, text: &str) -> String {
        match self {
            Markup::Plain => text.to_owned(),
            Markup::Html => replaced(text, html),
            // Slack demands these three and no others.
            Markup::Slack => replaced(text, |c| html(c).filter(|_| c != '"' && c != '\'')),
            Markup::Markdown | Markup::Discord => markdown(text),
            // There is no way to escape here: look-alikes instead of the characters that make mentions and links.
            Markup::GoogleChat => replaced(text, |c| match c {
                '<' => Some("‹"),
                '>' => Some("›"),
                _ => None,
            }),
        }
    }

    pub(super) fn bold(self, text: &str) -> String {
        let inner = self.escape(text);
        match self {
            Markup::Plain => inner,
            Markup::Html => format!("<b>{inner}</b>"),
            Markup::Slack | Markup::GoogleChat => format!("*{}*", inner.replace('*', "·")),
            Markup::Markdown | Markup::Discord => format!("**{inner}**"),
        }
    }

    /// A short piece of fixed-width text.
    pub(super) fn code(self, text: &str) -> String {
        match self {
            Markup::Plain => text.to_owned(),
            Markup::Html => format!("<code>{}</code>", self.escape(text)),
            _ => format!("`{}`", self.verbatim(text).replace(['\n', '\r'], " ")),
        }
    }

    /// Lines of fixed-width text.
    pub(super) fn pre(self, text: &str) -> String {
        match self {
            Markup::Plain => text.to_owned(),
            Markup::Html => format!("<pre>{}</pre>", self.escape(text)),
            _ => format!("```\n{}\n```", self.verbatim(text)),
        }
    }

    /// Within code, Markdown knows no escapes: only its end must not stand there.
    fn verbatim(self, text: &str) -> String {
        let text = text.replace('`', "'");
        match self {
            Markup::Slack | Markup::GoogleChat => self.escape(&text),
            Markup::Discord => text.replace('@', "@\u{200b}"),
            _ => text,
        }
    }

    /// A link that shows its own address.
    pub(super) fn link(self, url: &str) -> String {
        // What could end the link early is percent-encoded, as it should have been.
        let mut bare = String::with_capacity(url.len());
        for c in url.chars() {
            if matches!(c, '<' | '>' | '|' | '"' | '\'' | '`' | ' ') || c.is_control() {
                let mut bytes = [0; 4];
                for b in c.encode_utf8(&mut bytes).bytes() {
                    let _infallible = write!(bare, "%{b:02X}");
                }
            } else {
                bare.push(c);
            }
        }
        match self {
            Markup::Plain => bare,
            Markup::Html => format!("<a href=\"{0}\">{0}</a>", self.escape(&bare)),
            Markup::Slack => format!("<{}>", self.escape(&bare)),
            Markup::Markdown | Markup::Discord => format!("<{bare}>"),
            Markup::GoogleChat => format!("<{bare}|{bare}>"),
        }
    }
}

fn html(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        _ => None,
    }
}

fn replaced(text: &str, with: impl Fn(char) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match with(c) {
            Some(other) => out.push_str(other),
            None => out.push(c),
        }
    }
    out
}

/// A backslash before what would mean something; a `@` that reaches nobody.
fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut before = '\n';
    for c in text.chars() {
        // A `#`, `-` or `+` means something at the start of a line only; `_` within a word means nothing.
        let special = matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '~' | '|')
            || (matches!(c, '#' | '-' | '+') && before == '\n');
        if special {
            out.push('\\');
        }
        out.push(c);
        if c == '@' {
            out.push('\u{200b}');
        }
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const NASTY: &str = "<!channel> & @everyone *b* _i_ `c` [x](http://y) </b>";

    #[test]
    fn nothing_from_outside_means_anything() {
        assert_eq!(Markup::Html.escape(NASTY), "&lt;!channel&gt; &amp; @everyone *b* _i_ `c` [x](http://y) &lt;/b&gt;");
        assert!(Markup::Slack.escape(NASTY).starts_with("&lt;!channel&gt; &amp; @everyone"));
        assert!(!Markup::GoogleChat.escape("<users/all>").contains(['<', '>']));
        let discord = Markup::Discord.escape(NASTY);
        assert!(!discord.contains("@everyone") && discord.contains("\\*b\\*") && discord.contains("\\[x\\]"));
        assert_eq!(Markup::Markdown.escape("# a\n- b a-b"), "\\# a\n\\- b a-b");
    }

    #[test]
    fn code_and_links_cannot_be_left() {
        assert_eq!(Markup::Discord.code("a`b @here"), "`a'b @\u{200b}here`");
        assert!(!Markup::Markdown.pre("x\n```\ny").trim_matches('`').contains("```"));
        assert_eq!(Markup::Slack.link("http://a/?x=1&y=<z|w>"), "<http://a/?x=1&amp;y=%3Cz%7Cw%3E>");
        assert_eq!(Markup::Html.link("http://a/\"x"), "<a href=\"http://a/%22x\">http://a/%22x</a>");
        assert_eq!(Markup::Plain.code("`x`"), "`x`");
    }

    #[test]
    fn bold_text_ends_where_it_ends() {
        assert_eq!(Markup::Slack.bold("a*b"), "*a·b*");
        assert_eq!(Markup::Html.bold("a<b"), "<b>a&lt;b</b>");
        assert_eq!(Markup::Markdown.bold("a*b"), "**a\\*b**");
    }
}
