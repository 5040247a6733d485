//! `package-files`: manual pages and completions, made out of the command lines themselves when a package is built.
//!
//! ```text
//!  skypunch, skypunchctl (clap) --> DIR/man/*.8, *.1 (a page for each subcommand)
//!                                '-> DIR/completions/*.bash, _*, *.fish
//! ```

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::args::Args;
use super::daemon::Arguments;
use super::exit::{CliError, Exit};

/// The program that operates the daemon; its pages stand in section 1, the daemon's in section 8.
const TOOL: &str = "skypunchctl";

pub(super) fn run(dir: &Path) -> Result<Exit, CliError> {
    write(dir).map_err(|e| CliError::Failed(format!("{} cannot be written: {e}", dir.display())))?;
    Ok(Exit::Done)
}

fn write(dir: &Path) -> io::Result<()> {
    let (man, completions) = (dir.join("man"), dir.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    for mut command in [Arguments::command(), without_hidden(&Args::command())] {
        let name = command.get_name().to_owned();
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            clap_complete::generate_to(shell, &mut command, &name, &completions)?;
        }
        command.build();
        let section = if name == TOOL { "1" } else { "8" };
        pages(&command, &name, section, &man)?;
    }
    Ok(())
}

/// The same command line without what is not meant for people.
fn without_hidden(command: &clap::Command) -> clap::Command {
    let shown: Vec<clap::Command> = command.get_subcommands().filter(|s| !s.is_hide_set()).cloned().collect();
    let mut all = clap::Command::new(TOOL)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .args(command.get_arguments().cloned())
        .subcommands(shown);
    if let Some(about) = command.get_about() {
        all = all.about(about.clone());
    }
    all
}

/// A page for the command and one for each below it: `skypunchctl-edit-target`.
fn pages(command: &clap::Command, name: &str, section: &str, dir: &Path) -> io::Result<()> {
    for below in command.get_subcommands() {
        pages(below, &format!("{name}-{}", below.get_name()), section, dir)?;
    }
    let named = command.clone().disable_help_subcommand(true).display_name(name.to_owned());
    let page = Man::new(named)
        .title(name.to_uppercase())
        .section(section)
        .source(format!("skypunch {}", env!("CARGO_PKG_VERSION")))
        .manual("Skypunch Manual");
    let mut text = Vec::new();
    page.render(&mut text)?;
    closing(name).to_writer(&mut text)?;
    fs::write(dir.join(format!("{name}.{section}")), text)
}

/// What stands at the end of a page.
fn closing(name: &str) -> Roff {
    let mut roff = Roff::new();
    let of_tool = name == TOOL;
    if of_tool || name == "skypunch" {
        roff.control("SH", ["EXIT STATUS"]);
        let codes: &[(&str, &str)] = if of_tool {
            &[
                ("0", "done; for test: PASS"),
                ("1", "it failed; for test: not PASS"),
                ("2", "wrong usage or input"),
                ("3", "the daemon is not reachable"),
                ("4", "no such target, notifier, credential or incident"),
            ]
        } else {
            &[
                ("0", "stopped, and everything is written or kept in state.db"),
                ("1", "stopped before everything was written"),
                ("2", "it does not start as things are: wrong settings, a wrong targets file, missing rights"),
            ]
        };
        list(&mut roff, codes);
        roff.control("SH", ["FILES"]);
        let files = [
            ("/etc/skypunch/skypunch.toml", "settings, each documented; others read ~/.config/skypunch/skypunch.toml"),
            ("/var/lib/skypunch", "state, and the embedded database; others have ~/.local/state/skypunch"),
            ("/run/skypunch/control.sock", "the control socket; others have $XDG_RUNTIME_DIR/skypunch/control.sock"),
            ("/usr/share/doc/skypunch/examples", "an example of a targets file with every key"),
        ];
        list(&mut roff, &files);
    }
    if name == "skypunch" {
        roff.control("SH", ["SIGNALS"]);
        let signals = [
            ("SIGTERM, SIGINT", "stop in order within shutdown.grace; a second one ends at once"),
            ("SIGHUP", "read settings and definitions anew, open the log file anew"),
            ("SIGUSR1", "open the log file anew"),
        ];
        list(&mut roff, &signals);
    }
    roff.control("SH", ["SEE ALSO"]);
    let others: &[(&str, &str)] = match name {
        "skypunch" => &[(TOOL, "(1)")],
        TOOL => &[("skypunch", "(8)")],
        _ if name.starts_with(TOOL) => &[(TOOL, "(1), "), ("skypunch", "(8)")],
        _ => &[("skypunch", "(8), "), (TOOL, "(1)")],
    };
    roff.text(others.iter().flat_map(|(page, rest)| [bold(*page), roman(*rest)]).collect::<Vec<_>>());
    roff
}

fn list(roff: &mut Roff, entries: &[(&str, &str)]) {
    for (term, text) in entries {
        roff.control("TP", []);
        roff.text([bold(*term)]);
        roff.text([roman(*text)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_page_and_every_shell_its_completions() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path()).unwrap();
        let page = |name: &str| fs::read_to_string(dir.path().join("man").join(name)).unwrap();
        for name in ["skypunch.8", "skypunch-check.8", "skypunchctl.1", "skypunchctl-targets.1"] {
            assert!(page(name).contains("SEE ALSO"), "{name}");
        }
        assert!(page("skypunchctl-edit-target.1").contains("frequency"));
        assert!(page("skypunchctl.1").contains("skypunchctl\\-reload(1)"));
        assert!(page("skypunch.8").contains("SIGUSR1"));
        for file in
            ["skypunch.bash", "_skypunch", "skypunch.fish", "skypunchctl.bash", "_skypunchctl", "skypunchctl.fish"]
        {
            let text = fs::read_to_string(dir.path().join("completions").join(file)).unwrap();
            assert!(text.len() > 500 && !text.contains("package-files"), "{file}");
        }
        for file in fs::read_dir(dir.path().join("man")).unwrap() {
            let file = file.unwrap().path();
            assert!(!fs::read_to_string(&file).unwrap().contains("package-files"), "{}", file.display());
        }
    }
}
