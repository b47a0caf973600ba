//! `consilium units`: two systemd services and a slice, which start what `consilium up` starts, each shut in as far as it can be.

use super::{arguments, checks::check_loopback, whole};
use crate::{
    institution::folder::SiteSettings,
    programs::{write_new, Programs},
};
use anyhow::{ensure, Context, Result};
use clap::Args;
use consilium_founding::EXIT_CONFIGURATION;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What `units` takes.
#[derive(Args)]
pub struct Options {
    /// The institution's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// User that runs the node, and whose group both share
    #[arg(long, default_value = "consilium", value_parser = user)]
    user: String,
    /// User that runs the worker. Left out: the node's
    #[arg(long, value_parser = user)]
    worker_user: Option<String>,
    /// Folder to write the three files to. Left out: they are printed
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Let the node answer JSON-RPC at an address that other machines reach
    #[arg(long)]
    i_know: bool,
    /// Folder of `consilium-node` and `ml-worker`. Left out: that of this program
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

/// A name that a system gives to users.
fn user(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let good = !text.is_empty() && text.len() <= 32 && text.chars().all(plain) && !text.starts_with('-');
    good.then(|| text.to_owned()).ok_or_else(|| format!("{text}: no name of a user"))
}

/// A word as systemd reads it in a list of words.
fn word(text: &str) -> String {
    let text = text.replace('%', "%%");
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@:,./=+-%[]".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A command line as systemd reads it.
fn command(program: &Path, arguments: &[String]) -> String {
    // in a command line, and there alone, a dollar sign is a variable's
    let words = arguments.iter().map(|argument| word(&argument.replace('$', "$$")));
    [word(&program.to_string_lossy())].into_iter().chain(words).collect::<Vec<_>>().join(" \\\n    ")
}

/// What one of the two services has of its own.
struct Service<'a> {
    what: &'a str,
    user: &'a str,
    command: String,
    writes: [&'a str; 2],
    own: String,
}

/// The text of a service.
fn service(dir: &Path, group: &str, service: &Service) -> String {
    let writes: Vec<String> = service.writes.iter().map(|name| word(&dir.join(name).to_string_lossy())).collect();
    let Service { what, user, command, own, .. } = service;
    format!(
        "[Unit]\n\
         Description=Consilium: {what} of the institution in {dir}\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         ExecStart={command}\n\
         User={user}\n\
         Group={group}\n\
         UMask=0027\n\
         Slice=consilium.slice\n\
         # what is configured wrongly ends with this code, and starting it again does not help\n\
         RestartPreventExitStatus={EXIT_CONFIGURATION}\n\
         Restart=always\n\
         RestartSec=5\n\
         TimeoutStopSec=30\n\
         LimitNOFILE=16384\n\
         {own}\
         ReadWritePaths={writes}\n\
         ProtectSystem=strict\n\
         ProtectHome=read-only\n\
         PrivateTmp=yes\n\
         NoNewPrivileges=yes\n\
         CapabilityBoundingSet=\n\
         ProtectKernelTunables=yes\n\
         ProtectKernelModules=yes\n\
         ProtectKernelLogs=yes\n\
         ProtectControlGroups=yes\n\
         ProtectClock=yes\n\
         ProtectHostname=yes\n\
         RestrictNamespaces=yes\n\
         RestrictRealtime=yes\n\
         RestrictSUIDSGID=yes\n\
         LockPersonality=yes\n\
         SystemCallArchitectures=native\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        dir = dir.to_string_lossy().replace('%', "%%"),
        writes = writes.join(" "),
    )
}

/// The three files, by name.
fn files(
    dir: &Path,
    settings: &SiteSettings,
    programs: &Programs,
    (user, worker_user): (&str, &str),
) -> [(&'static str, String); 3] {
    let node = Service {
        what: "node",
        user,
        command: command(&programs.node, &arguments::node(dir, settings)),
        writes: ["node", "blobs"],
        own: "CPUWeight=200\nMemoryMax=4G\nPrivateDevices=yes\n\
              RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK\n"
            .into(),
    };
    let worker = Service {
        what: "worker",
        user: worker_user,
        command: command(&programs.worker, &arguments::worker(dir, settings)),
        writes: ["worker", "blobs"],
        own: format!(
            "CPUWeight=50\nNice={}\nMemoryMax=75%\n\
             # it reads patients' rows, and reaches nothing but this machine\n\
             IPAddressDeny=any\nIPAddressAllow=localhost\nRestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\n",
            settings.nice
        ),
    };
    let slice = "[Unit]\nDescription=Consilium: node and worker\n\n[Slice]\nCPUAccounting=yes\nMemoryAccounting=yes\n";
    [
        ("consilium-node.service", service(dir, user, &node)),
        ("consilium-worker.service", service(dir, user, &worker)),
        ("consilium.slice", slice.into()),
    ]
}

/// Prints or writes the units.
///
/// # Errors
/// The folder is none of an institution, or a file is there already.
pub fn run(options: &Options) -> Result<()> {
    let dir = whole(&options.dir)?;
    let settings = SiteSettings::read(&dir)?;
    check_loopback(&settings, options.i_know)?;
    ensure!(
        !dir.to_string_lossy().contains(['\n', '\t', '\'']),
        "{}: systemd cannot be told of a folder with such a name",
        dir.display()
    );
    let mut programs = Programs::find(options.bin_dir.as_deref())?;
    for program in [&mut programs.node, &mut programs.worker] {
        *program = fs::canonicalize(&program).with_context(|| program.display().to_string())?;
    }
    let worker_user = options.worker_user.as_deref().unwrap_or(&options.user);
    for (name, text) in files(&dir, &settings, &programs, (&options.user, worker_user)) {
        match &options.out {
            Some(out) => {
                let file = out.join(name);
                write_new(&file, text.as_bytes(), 0o644)?;
                out!("{}", file.display());
            }
            None => out!("# {name}\n{text}"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::up::arguments::tests::settings;

    fn all(users: (&str, &str)) -> [(&'static str, String); 3] {
        let programs =
            Programs { node: "/opt/consilium/consilium-node".into(), worker: "/opt/consilium/ml-worker".into() };
        files(Path::new("/srv/st-mary"), &settings(), &programs, users)
    }

    #[test]
    fn the_units_are_these() {
        let golden = include_str!("units.golden");
        let text: String =
            all(("consilium", "consilium-worker")).iter().map(|(name, text)| format!("# {name}\n{text}\n")).collect();
        assert!(text == golden, "{text}");
    }

    #[test]
    fn units_start_what_up_starts() {
        let [(_, node), (_, worker), _] = all(("a", "a"));
        let command = |unit: &str| {
            let line = unit.replace(" \\\n    ", " ");
            let line = line.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap().to_owned();
            line.split(' ').skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        let dir = Path::new("/srv/st-mary");
        assert_eq!(command(&node), arguments::node(dir, &settings()));
        assert_eq!(command(&worker), arguments::worker(dir, &settings()));
    }

    #[test]
    fn words_are_as_systemd_reads_them() {
        for (text, wanted) in [
            ("/srv/st-mary", "/srv/st-mary"),
            ("/srv/St. Mary", "\"/srv/St. Mary\""),
            ("a\"b\\c", "\"a\\\"b\\\\c\""),
            ("50%", "50%%"),
            ("", "\"\""),
        ] {
            assert_eq!(word(text), wanted);
        }
        assert_eq!(command(Path::new("/x"), &["$HOME".into()]), "/x \\\n    \"$$HOME\"");
        assert!(
            user("consilium-worker").is_ok() && user("root; rm").is_err() && user("").is_err() && user("-x").is_err()
        );
    }
}
