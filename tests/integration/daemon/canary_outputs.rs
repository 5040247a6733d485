//! What else the daemon and its tool write, to be searched for canaries: the log in each format, `watch`, and what `apply`
//! says of files that are full of secrets.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use super::canary_search::{CANARIES, Leaks};
use super::canary_world::World;
use super::harness::{Place, SOON, Setup, file, wait_for, wait_until};

/// A daemon that logs so, until all targets have failed once more.
pub fn look_at_the_log(leaks: &mut Leaks, place: &Place, setup: &Setup, format: &str) {
    let mut setup = setup.clone();
    setup.extra = setup.extra.replace("[log]\n", &format!("[log]\nformat = \"{format}\"\n"));
    setup.log = place.path(&format!("log-{format}"));
    let journal = (format == "journald").then(|| Journal::begin(place, &mut setup));
    let mut daemon = setup.start();
    let written = || match &journal {
        Some(journal) => journal.text(),
        None => daemon.log(),
    };
    // What shows that it is that format.
    let mark = match format {
        "json" => "\"level\":\"ERROR\"",
        "journald" => "SKYPUNCH_TARGET=basic-reason\n",
        _ => "basic-reason",
    };
    let all = [mark, "basic-garbage", "basic-short", "bearer-body", "by-env", "own-login", "by-cloud"];
    wait_until(&format!("all is logged as {format}"), SOON * 2, || {
        let text = written();
        all.iter().all(|words| text.contains(words))
    });
    daemon.terminate();
    leaks.look(
        &format!("the log, {format}"),
        match &journal {
            Some(journal) => journal.text() + &daemon.log(),
            None => daemon.log(),
        },
    );
}

/// journald's socket, in a mount namespace of the daemon's own.
struct Journal(Arc<Mutex<Vec<u8>>>);

impl Journal {
    fn begin(place: &Place, setup: &mut Setup) -> Journal {
        let folder = place.path("journal");
        std::fs::create_dir(&folder).unwrap();
        let socket = UnixDatagram::bind(folder.join("socket")).unwrap();
        let got = Arc::<Mutex<Vec<u8>>>::default();
        let journal = Journal(Arc::clone(&got));
        // Its thread ends with the test program.
        std::thread::spawn(move || {
            let mut entry = vec![0; 1 << 18];
            while let Ok(n) = socket.recv(&mut entry) {
                got.lock().unwrap().extend_from_slice(&entry[..n]);
            }
        });
        let mounts = format!(
            "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && mount --bind '{}' /run/systemd/journal && exec \"$@\"",
            folder.display()
        );
        setup.wrapper = ["unshare", "--mount", "sh", "-c", mounts.as_str(), "sh"].map(str::to_owned).to_vec();
        journal
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// `skypunchctl watch`, as long as it is looked on.
pub struct Watch(Child, PathBuf);

impl Watch {
    pub fn begin(place: &Place, setup: &Setup, output: &str) -> Watch {
        let path = place.path(&format!("watched-{output}"));
        let out = std::fs::File::create(&path).unwrap();
        let mut tool = Command::new(env!("CARGO_BIN_EXE_skypunchctl"));
        tool.args(["--socket", setup.socket.to_str().unwrap(), "--output", output, "watch"]).stdin(Stdio::null());
        Watch(tool.stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap(), path)
    }

    pub fn look(mut self, leaks: &mut Leaks) {
        let all =
            ["basic-reason", "basic-garbage", "bearer-location", "by-env", "own-login", "by-application", "by-cloud"];
        let text = wait_for("watch shows them", SOON * 2, || {
            let text = std::fs::read_to_string(&self.1).unwrap();
            all.iter().all(|name| text.contains(name)).then_some(text)
        });
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        leaks.look(&format!("skypunchctl watch, {}", self.1.display()), text);
    }
}

/// Targets files with secrets in each place where there may be one.
pub struct TargetsFiles {
    pub changed: String,
    /// What is wrong is a value.
    pub wrong: String,
    /// What is wrong is the TOML.
    pub torn: String,
    pub exported: String,
}

impl TargetsFiles {
    pub fn write(place: &Place, world: &World) -> TargetsFiles {
        let c = |i: usize| CANARIES[i];
        let own = world.login("/bad/v3", c(10));
        let definitions = |tags: &str, parms: &str, params: &str| {
            format!(
                "[[target]]\nname = 'basic-body'\nurl = 'http://127.0.0.1:{port}/body'\nfrequency = '500ms'\n\
                 timeout = '400ms'\nauthn = 'BASIC'\nauthn_parms = '{parms}'\ntags = {tags}\n\
                 headers = ['X-Api-Key: {}', 'Cookie: session={}']\nbody = 'one'\n\
                 [[target]]\nname = 'own-login'\nurl = 'http://127.0.0.1:{port}/reason'\nfrequency = '500ms'\n\
                 timeout = '400ms'\nauthn = 'OPENSTACK'\nauthn_parms = '{own}'\n\
                 [[notifier]]\nname = 'hook-taken'\ntype = 'WEBHOOK'\naddress = 'http://127.0.0.1:1/hooks/{}?key={}'\n\
                 params = '{params}'\n\
                 [[credential]]\nname = 'refused'\ntype = 'OPENSTACK'\nparams = '{}'\n",
                c(2),
                c(3),
                c(17),
                c(18),
                world.login("/bad/v3", c(11)),
                port = world.echo,
            )
        };
        let (basic, signed) = (format!("user=ann,password={}", c(0)), format!("secret={},token={}", c(19), c(20)));
        TargetsFiles {
            changed: file(place, "changed.toml", definitions("['new']", &basic, &signed)),
            wrong: file(
                place,
                "wrong.toml",
                definitions("7", &format!("user=ann,pasword={}", c(0)), &format!("sekret={}", c(19)))
                    .replace("X-Api-Key: ", "X-Api-Key "),
            ),
            torn: file(place, "torn.toml", definitions("['new']", &format!("{}'{}", c(0), c(1)), &signed)),
            exported: place.path("exported.toml").display().to_string(),
        }
    }
}
