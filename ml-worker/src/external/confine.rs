//! How a trainer is started so that it can do no more than train.
//!
//! In each confined form it sees a folder of its own, in which `code`, `rows` and `in` are not its to write, has no network, and
//! is no user who owns anything on this machine. Under bubblewrap it sees nothing else but the system's programs; as a user of
//! its own it also sees what every user of this machine may read.

use super::ExternalError;
use crate::site::{Confinement, TrainerSettings};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

/// Where a confined trainer's folder stands for it.
const UNDER_BUBBLEWRAP: &str = "/trainer";
const AS_OWN_USER: &str = "/mnt";
/// Where in it the site's own files are seen.
pub(super) const FILES: &str = "files";
/// What a shell does in a namespace before it starts a trainer as another user: folder, place, folders of files, `--`, command.
///
/// The shell stays, first of its processes and root's: a change of user would make the trainer forget that it is to end with
/// `unshare`; the shell does not forget, and with it ends whatever it started.
const OWN_USER: &str = "mount -t proc proc /proc; at=$2; mount --bind \"$1\" \"$at\"; shift 2; n=0
while [ \"$1\" != -- ]; do
  mount --bind \"$1\" \"$at/files/$n\"; mount -o remount,bind,ro \"$at/files/$n\"; n=$((n + 1)); shift
done
shift; mount -t tmpfs -o mode=1777 tmpfs /tmp; cd \"$at\"; \"$@\" || exit $?; exit 0";
/// What the system's programs need.
const SYSTEM: [&str; 10] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/localtime",
];

/// A form that this machine has, with what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    form: Confinement,
    /// User and group, by number, where the worker is root.
    owner: Option<(u32, u32)>,
}

fn refuse(problem: impl Into<String>) -> ExternalError {
    ExternalError::Refused(problem.into())
}

/// Whether a program is there.
fn program(name: &str) -> bool {
    ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin"]
        .iter()
        .any(|folder| Path::new(folder).join(name).is_file())
}

/// User and group of a name in `/etc/passwd`, or of a number.
fn user(name: &str) -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next() == Some(name);
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        found.then_some((uid, gid))
    });
    named.or_else(|| name.parse().ok().map(|number| (number, number)))
}

impl Place {
    /// The form that the site asks for; where it asks for none, bubblewrap, else a user of its own.
    ///
    /// # Errors
    /// This machine does not have it; what to do.
    pub fn of(settings: &TrainerSettings) -> Result<Self, ExternalError> {
        let root = fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
        let form = match settings.confine {
            Some(form) => form,
            None if program("bwrap") => Confinement::Bubblewrap,
            None if root && settings.user.is_some() => Confinement::OwnUser,
            None => {
                return Err(refuse(
                    "trainer.confine: bubblewrap is not on this machine: install it (package bubblewrap), or run this worker as \
                     root and name a user (user = \"consilium-trainer\")",
                ))
            }
        };
        if form == Confinement::Nothing {
            return Ok(Self { form, owner: None });
        }
        if form == Confinement::Bubblewrap && !program("bwrap") {
            return Err(refuse("trainer.confine: bubblewrap is not on this machine; install the package bubblewrap"));
        }
        if form == Confinement::OwnUser && !root {
            return Err(refuse(
                "trainer.confine: only a worker that runs as root can start a trainer as another user; use bubblewrap",
            ));
        }
        for needed in ["prlimit", "setpriv", "unshare", "mount"] {
            if !program(needed) {
                return Err(refuse(format!("trainer.confine: {needed} is not on this machine; install util-linux")));
            }
        }
        let owner = match (&settings.user, root) {
            (_, false) => None,
            (None, true) => {
                return Err(refuse("trainer.user: this worker runs as root; name the user that the trainer runs as"))
            }
            (Some(name), true) => match user(name) {
                Some(owner) if owner.0 != 0 && owner.1 != 0 => Some(owner),
                Some(_) => {
                    return Err(refuse(format!("trainer.user: {name} is root; name a user that owns nothing here")))
                }
                None => return Err(refuse(format!("trainer.user: there is no user {name} on this machine"))),
            },
        };
        Ok(Self { form, owner })
    }

    /// Gives the trainer the folders that it may write.
    pub fn give(&self, folder: &Path) -> std::io::Result<()> {
        let Some((user, group)) = self.owner else { return Ok(()) };
        std::os::unix::fs::chown(folder, Some(user), Some(group))
    }

    /// Where a trainer sees the folder of the site's files that is the so-manieth of those it sees.
    pub fn files(&self, number: usize, root: &Path) -> PathBuf {
        match self.form {
            Confinement::Nothing => root.to_path_buf(),
            Confinement::Bubblewrap | Confinement::OwnUser => PathBuf::from(format!("{FILES}/{number}")),
        }
    }

    /// The command that starts a trainer on this folder, with these folders of the site's files to read.
    pub fn command(
        &self,
        (folder, roots): (&Path, &[PathBuf]),
        settings: &TrainerSettings,
        gpu: Option<usize>,
    ) -> Command {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        // a brake on what multiplies faster than the watch looks: threads count, too
        let threads = u64::from(settings.processes) * 4 + cores * 4;
        let limits = ["prlimit".to_owned(), "--core=0".into(), format!("--data={}", settings.memory_mib << 20)];
        let mut line: Vec<String> = Vec::new();
        let mut add = |words: &[&str]| line.extend(words.iter().map(|word| (*word).to_owned()));
        let inside = match self.form {
            Confinement::Nothing => folder.to_path_buf(),
            Confinement::Bubblewrap => PathBuf::from(UNDER_BUBBLEWRAP),
            Confinement::OwnUser => PathBuf::from(AS_OWN_USER),
        };
        let shown = |path: &Path| path.display().to_string();
        match self.form {
            Confinement::Nothing => {}
            Confinement::Bubblewrap => {
                let new_user = if self.owner.is_none() { "--unshare-user" } else { "--unshare-pid" };
                let kept: [&[&str]; 3] =
                    [&["--cap-add", "CAP_SETUID"], &["--cap-add", "CAP_SETGID"], &["--cap-add", "CAP_SETPCAP"]];
                add(&["bwrap", new_user, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]);
                add(&["--unshare-cgroup-try", "--die-with-parent", "--new-session"]);
                if self.owner.is_some() {
                    kept.iter().for_each(|words| add(words));
                }
                // bubblewrap makes the folders above what it shows its own alone
                let above = settings
                    .read
                    .iter()
                    .flat_map(|path| path.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev());
                for folder in above.filter(|above| *above != Path::new("/")).chain([Path::new("/etc")]) {
                    add(&["--perms", "0755", "--dir", &shown(folder)]);
                }
                for path in SYSTEM {
                    add(&["--ro-bind-try", path, path]);
                }
                add(&["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]);
                for path in &settings.read {
                    add(&["--ro-bind", &shown(path), &shown(path)]);
                }
                if gpu.is_some() {
                    for device in devices() {
                        add(&["--dev-bind-try", &device, &device]);
                    }
                    add(&["--ro-bind-try", "/sys", "/sys"]);
                }
                add(&["--ro-bind", &shown(folder), UNDER_BUBBLEWRAP]);
                for (number, root) in roots.iter().enumerate() {
                    add(&["--ro-bind", &shown(root), &format!("{UNDER_BUBBLEWRAP}/{FILES}/{number}")]);
                }
                for own in ["out", "state"] {
                    add(&["--bind", &shown(&folder.join(own)), &format!("{UNDER_BUBBLEWRAP}/{own}")]);
                }
                add(&["--chdir", UNDER_BUBBLEWRAP, "--"]);
            }
            Confinement::OwnUser => {
                add(&["unshare", "--net", "--pid", "--ipc", "--uts", "--mount", "--propagation", "private"]);
                add(&["--fork", "--kill-child=KILL", "--", "sh", "-euc"]);
                add(&[OWN_USER, "sh", &shown(folder), AS_OWN_USER]);
                roots.iter().for_each(|root| add(&[&shown(root)]));
                add(&["--"]);
            }
        }
        if self.form != Confinement::Nothing {
            line.extend(limits);
            if let Some((user, group)) = self.owner {
                line.extend([format!("--nproc={threads}"), "--".into(), "setpriv".into()]);
                line.extend([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".into()]);
                line.extend(["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all", "--"].map(String::from));
            } else {
                line.push("--".into());
            }
        }
        line.extend(settings.command.iter().cloned());
        let mut command = Command::new(line.first().map_or("", String::as_str));
        command.args(&line[1.min(line.len())..]).current_dir(folder).env_clear();
        let home = inside.join("state");
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin").env("HOME", home).env("LANG", "C.UTF-8");
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("CONSILIUM_TRAINER", "1");
        command.env("CUDA_VISIBLE_DEVICES", gpu.map(|number| number.to_string()).unwrap_or_default());
        command
    }

    /// How many processes of this form stand between the worker and the trainer, one below the other. Not by their names: a
    /// trainer may call its own so.
    pub fn between(&self) -> usize {
        match self.form {
            Confinement::Nothing => 0,
            // each with the first process of a namespace below it
            Confinement::Bubblewrap | Confinement::OwnUser => 2,
        }
    }
}

/// The devices of NVIDIA's driver.
fn devices() -> Vec<String> {
    let entries = fs::read_dir("/dev").into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.path().display().to_string());
    names.filter(|name| name.starts_with("/dev/nvidia")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::site::Confinement::{Bubblewrap, Nothing, OwnUser};

    fn settings(more: &str) -> Result<TrainerSettings, toml::de::Error> {
        toml::from_str(&format!(
            "code = \"ab\"\ncommand = [\"python3\", \"code/trainer.py\"]\nread = [\"/opt/venv\"]\n{more}"
        ))
    }

    /// The words of a command, and which GPUs it sees.
    fn started(form: Confinement, gpu: Option<usize>) -> (Vec<String>, String) {
        let place = Place { form, owner: None };
        let command = place.command((Path::new("/own"), &[]), &settings("").unwrap(), gpu);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words = words.map(|word| word.to_str().unwrap().to_owned()).collect();
        let seen = command.get_envs().find(|(name, _)| *name == "CUDA_VISIBLE_DEVICES").unwrap().1.unwrap();
        (words, seen.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_trainer_sees_the_gpu_that_its_site_allows_and_else_none() {
        for form in [Bubblewrap, OwnUser, Nothing] {
            assert_eq!(started(form, None).1, "", "{form:?}");
            assert_eq!(started(form, Some(1)).1, "1", "{form:?}");
        }
        // what a driver needs is there only where a GPU is
        let needed =
            |gpu| started(Bubblewrap, gpu).0.windows(3).any(|words| words == ["--ro-bind-try", "/sys", "/sys"]);
        assert!(needed(Some(0)) && !needed(None));
    }

    #[test]
    fn each_confined_form_is_without_network_and_the_other_must_be_asked_for_in_so_many_words() {
        let words = |form| started(form, None).0;
        assert!(words(Bubblewrap).contains(&"--unshare-net".to_owned()));
        assert!(words(Bubblewrap).windows(3).any(|words| words == ["--ro-bind", "/own", UNDER_BUBBLEWRAP]));
        assert_eq!(words(OwnUser)[..2], ["unshare", "--net"]);
        assert_eq!(words(Nothing), ["python3", "code/trainer.py"]);
        for form in ["none", "nothing", "None", "own-user", ""] {
            assert!(settings(&format!("confine = {form:?}")).is_err(), "{form}");
        }
        let whole = settings("confine = \"none: this code may do whatever the worker may\"").unwrap();
        assert_eq!((whole.confine, settings("").unwrap().confine), (Some(Nothing), None));
    }
}
