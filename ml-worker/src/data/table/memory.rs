//! How much memory this process may still take: what the machine has available, or a limit that it was given, as
//! containers and services are.
//!
//! By hand, since `sysinfo` looks at the root of the tree of limits alone: that is a container's own, but not that of a
//! service (systemd's `MemoryMax`), nor of a container that sees the machine's tree.

use std::{fs, path::Path};

/// Bytes, as the files below `root` say (`/`, but in tests); none where nothing is said.
pub fn available(root: &Path) -> Option<u64> {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let machine = of_machine(&read("proc/meminfo"));
    let groups = read("proc/self/cgroup");
    let limits = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, group) = (parts.next()?, parts.next()?, parts.next()?);
        let first = match controllers {
            "" => Group { files: ["memory.max", "memory.current", "inactive_file"], place: "sys/fs/cgroup" },
            _ if controllers.split(',').any(|controller| controller == "memory") => Group {
                files: ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"],
                place: "sys/fs/cgroup/memory",
            },
            _ => return None,
        };
        first.left(root, group)
    });
    limits.chain(machine).min()
}

/// What `/proc/meminfo` calls available.
fn of_machine(text: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// Groups of processes with limits, of the second version or of the first.
struct Group {
    /// The limit, what is used, and the line of `memory.stat` that says how much of it are files that can be dropped.
    files: [&'static str; 3],
    place: &'static str,
}

impl Group {
    /// What is left of the narrowest limit, of the group itself and of all above it.
    fn left(&self, root: &Path, group: &str) -> Option<u64> {
        let top = root.join(self.place);
        let own = top.join(group.trim_start_matches('/'));
        own.ancestors().take_while(|folder| folder.starts_with(&top)).filter_map(|folder| self.of(folder)).min()
    }

    fn of(&self, folder: &Path) -> Option<u64> {
        let [limit, used, files] = self.files;
        let number = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
        // "max" is no number
        let (limit, used) = (number(limit)?, number(used)?);
        let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let dropped = stat.lines().find_map(|line| line.strip_prefix(files)?.trim().parse::<u64>().ok());
        Some(limit.saturating_sub(used.saturating_sub(dropped.unwrap_or(0))))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Files below a root of their own.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal: 999 kB\nMemAvailable:   4194304 kB\nX: 1 kB\n");

    #[test]
    fn memory_is_what_the_machine_has_or_a_limit_leaves() {
        let of = |files: &[(&str, &str)]| available(root(files).path());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("proc/meminfo", "MemTotal:  9 kB\n")]), None);
        assert_eq!(of(&[MACHINE]), Some(4 << 30));
        // a container that sees its own group as the root
        let own = ("proc/self/cgroup", "0::/\n");
        let limit = ("sys/fs/cgroup/memory.max", "1073741824\n");
        let used = ("sys/fs/cgroup/memory.current", "536870912\n");
        let stat = ("sys/fs/cgroup/memory.stat", "anon 1\ninactive_file 268435456\nactive_file 7\n");
        assert_eq!(of(&[MACHINE, own, limit, used]), Some(512 << 20));
        assert_eq!(of(&[MACHINE, own, limit, used, stat]), Some(768 << 20));
        assert_eq!(of(&[MACHINE, own, ("sys/fs/cgroup/memory.max", "max\n"), used]), Some(4 << 30));
        // a service below a slice: the narrower of both
        let service = ("proc/self/cgroup", "0::/system.slice/worker.service\n");
        let files = [
            ("sys/fs/cgroup/system.slice/memory.max", "2147483648"),
            ("sys/fs/cgroup/system.slice/memory.current", "2147483648"),
            ("sys/fs/cgroup/system.slice/worker.service/memory.max", "1073741824"),
            ("sys/fs/cgroup/system.slice/worker.service/memory.current", "0"),
        ];
        assert_eq!(of(&[&[MACHINE, service][..], &files[2..]].concat()), Some(1 << 30));
        assert_eq!(of(&[&[MACHINE, service][..], &files].concat()), Some(0));
        // the first version, where the group's path is the machine's and not to be seen
        let first = ("proc/self/cgroup", "12:cpu,cpuacct:/docker/a\n5:memory:/docker/a\n1:name=systemd:/docker/a\n");
        let files = [
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "1073741824"),
            ("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 1048576\n"),
        ];
        assert_eq!(of(&[&[MACHINE, first][..], &files].concat()), Some(1 << 20));
        assert!(available(Path::new("/")).unwrap() > 1 << 20);
    }
}
