//! Exit codes, and the errors that lead to them.

use std::io;
use std::process::ExitCode;

use crate::control::client::ClientError;
use crate::model::text::escape_controls;

/// The exit codes of `skypunchctl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; for `test`: PASS.
    Done = 0,
    /// It failed; for `test`: not PASS.
    Failed = 1,
    /// Wrong usage or input.
    Input = 2,
    /// The daemon is not reachable.
    NotReachable = 3,
    /// No such thing.
    NoSuch = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a command could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Wrong input: a sentence for each thing that is wrong.
    #[error("{}", .0.join("\n"))]
    Input(Vec<String>),
    /// It was tried and did not succeed.
    #[error("{0}")]
    Failed(String),
    /// The daemon did not answer, or said no.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The daemon does not answer, and more is known of why.
    #[error("{0}")]
    NotRunning(String),
    /// The output cannot be written.
    #[error("the output cannot be written")]
    Output(#[source] io::Error),
    /// The reader of the output has gone: nothing to tell anybody.
    #[error("the reader of the output has gone")]
    BrokenPipe,
}

impl CliError {
    /// Wrong input with one sentence.
    pub fn input(sentence: impl Into<String>) -> CliError {
        CliError::Input(vec![sentence.into()])
    }

    /// The same where a target was named by digits: not found, it may have been meant as a name.
    #[must_use]
    pub fn about_digits(mut self) -> CliError {
        if let CliError::Client(ClientError::Refused(details)) = &mut self
            && details.status == 404
        {
            details.detail.push_str("; a name of digits is written name:123");
        }
        self
    }

    /// The exit code for it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            CliError::Input(_) => Exit::Input,
            CliError::NotRunning(_) => Exit::NotReachable,
            CliError::BrokenPipe => Exit::Done,
            CliError::Failed(_) | CliError::Output(_) => Exit::Failed,
            CliError::Client(e) => match e {
                ClientError::NotReachable { .. } | ClientError::PermissionDenied { .. } | ClientError::TimedOut(_) => {
                    Exit::NotReachable
                }
                ClientError::Refused(details) => match details.status {
                    404 => Exit::NoSuch,
                    400 | 409 | 413 | 422 => Exit::Input,
                    _ => Exit::Failed,
                },
                ClientError::OnlyReads { .. } | ClientError::Protocol { .. } => Exit::Failed,
            },
        }
    }

    /// The text for standard error: the error, its causes, and what is wrong field by field. Free of control characters.
    #[must_use]
    pub fn render(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        match self {
            CliError::Input(sentences) => lines.extend(sentences.iter().cloned()),
            CliError::Failed(text) => lines.extend(text.lines().map(str::to_owned)),
            CliError::Client(ClientError::Refused(details)) => {
                lines.push(details.detail.clone());
                lines.extend(details.problems.iter().map(|p| format!("  {p}")));
                lines.extend(details.candidates.iter().map(|c| format!("  {c}")));
            }
            other => {
                let mut text = other.to_string();
                let mut cause = std::error::Error::source(other);
                while let Some(e) = cause {
                    text.push_str(": ");
                    text.push_str(&e.to_string());
                    cause = e.source();
                }
                lines.push(text);
            }
        }
        let lines: Vec<String> = lines.iter().map(|l| escape_controls(l).into_owned()).collect();
        format!("skypunchctl: {}", lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::ProblemDetails;
    use crate::model::definition::Problem;

    fn refused(status: u16) -> CliError {
        CliError::Client(ClientError::Refused(Box::new(ProblemDetails::new(status, "no"))))
    }

    #[test]
    fn every_kind_of_error_has_its_code() {
        let socket = std::path::PathBuf::from("/s");
        let gone = ClientError::NotReachable { socket: socket.clone(), source: io::ErrorKind::NotFound.into() };
        assert_eq!(CliError::from(gone).exit(), Exit::NotReachable);
        let only_reads = ClientError::OnlyReads { socket: socket.clone(), read_only: "/r".into() };
        assert_eq!(CliError::from(only_reads).exit(), Exit::Failed);
        assert_eq!(CliError::from(ClientError::PermissionDenied { socket }).exit(), Exit::NotReachable);
        let codes =
            [(404, Exit::NoSuch), (409, Exit::Input), (422, Exit::Input), (403, Exit::Failed), (503, Exit::Failed)];
        for (status, exit) in codes {
            assert_eq!(refused(status).exit(), exit, "{status}");
        }
        assert_eq!(CliError::input("x").exit(), Exit::Input);
        assert_eq!(CliError::BrokenPipe.exit(), Exit::Done);
    }

    #[test]
    fn the_text_tells_causes_and_fields_and_holds_no_control_character() {
        let gone = ClientError::NotReachable { socket: "/s".into(), source: io::Error::other("no\u{1b}[2J") };
        assert_eq!(
            CliError::from(gone).render(),
            "skypunchctl: skypunch cannot be reached at /s: start it with `skypunchctl start`, or name its socket with \
             --socket: no\\u{1b}[2J"
        );
        let details = ProblemDetails::new(422, "the target is wrong")
            .with_problems(vec![Problem { field: "url".into(), message: "is empty".into() }]);
        let text = CliError::Client(ClientError::Refused(Box::new(details))).render();
        assert_eq!(text, "skypunchctl: the target is wrong\n  url: is empty");
    }

    #[test]
    fn digits_that_are_no_id_may_have_been_a_name() {
        let hint = "; a name of digits is written name:123";
        assert!(refused(404).about_digits().render().ends_with(hint));
        assert!(!refused(409).about_digits().render().contains(hint));
    }
}
