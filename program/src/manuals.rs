//! Manual pages and completions, from what the command line itself says.

use clap::{Args, Command};
use clap_complete::{generate_to, Shell};
use std::{fs, io, path::PathBuf};

/// What the hidden command `manuals` takes, with which packages are made.
#[derive(Args, Clone, Debug)]
pub struct Manuals {
    /// Folder to write to; its parts are named as in /usr/share
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Where a distribution's packages put what a shell completes with, below `/usr/share`.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash-completion/completions"),
    (Shell::Zsh, "zsh/vendor-completions"),
    (Shell::Fish, "fish/vendor_completions.d"),
];

impl Manuals {
    /// Writes a manual page of the program and of each of its commands, and completions for bash, zsh and fish.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn write(&self, mut command: Command) -> io::Result<()> {
        let name = command.get_name().to_owned();
        let pages = self.out.join("man/man1");
        fs::create_dir_all(&pages)?;
        clap_mangen::generate_to(command.clone(), pages)?;
        for (shell, folder) in COMPLETIONS {
            let folder = self.out.join(folder);
            fs::create_dir_all(&folder)?;
            let file = generate_to(shell, &mut command, &name, &folder)?;
            if shell == Shell::Bash {
                // bash looks for a file that has the program's name
                fs::rename(file, folder.join(&name))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Arg;

    #[test]
    fn each_command_has_a_page_and_each_shell_its_completions() {
        let dir = tempfile::tempdir().unwrap();
        let command = Command::new("tool")
            .version("1.2.3")
            .subcommand(Command::new("look").about("Looks").arg(Arg::new("far").long("far").help("How far")))
            .subcommand(Command::new("manuals").hide(true));
        let manuals = Manuals { out: dir.path().to_owned() };
        manuals.write(command).unwrap();
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(read("man/man1/tool.1").contains("1.2.3"));
        assert!(read("man/man1/tool-look.1").contains("How far"));
        assert!(!dir.path().join("man/man1/tool-manuals.1").exists());
        for file in
            ["bash-completion/completions/tool", "zsh/vendor-completions/_tool", "fish/vendor_completions.d/tool.fish"]
        {
            assert!(read(file).contains("far"), "{file}");
        }
    }
}
