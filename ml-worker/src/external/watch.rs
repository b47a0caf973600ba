//! What a trainer takes: its processes, and their memory, looked at from outside.

use std::{collections::HashMap, fs};

/// A process and all below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tree {
    /// Their numbers with their names, those nearest to the root first.
    pub processes: Vec<(i32, String)>,
    /// Bytes of memory that they hold together; what they share is counted for each.
    pub memory: u64,
}

/// One line of `/proc/N/stat`: name, parent, pages that it holds.
fn stat(text: &str) -> Option<(String, i32, u64)> {
    // a name may hold blanks and brackets
    let (begin, rest) = text.rsplit_once(')')?;
    let name = begin.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some((name, fields.get(1)?.parse().ok()?, fields.get(21)?.parse().ok()?))
}

impl Tree {
    /// What is running now of `root` and all that it started; of what has lost its parent, what the system gave a parent within.
    pub fn of(root: i32) -> Self {
        const PAGE: u64 = 4096;
        let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
        let mut known = HashMap::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(number) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            // one that has ended meanwhile is none
            let Some((name, parent, pages)) =
                fs::read_to_string(entry.path().join("stat")).ok().and_then(|text| stat(&text))
            else {
                continue;
            };
            children.entry(parent).or_default().push(number);
            known.insert(number, (name, pages));
        }
        let (mut tree, mut line) = (Self::default(), vec![root]);
        while let Some(number) = line.pop() {
            if let Some((name, pages)) = known.remove(&number) {
                tree.processes.push((number, name));
                tree.memory += pages * PAGE;
                line.extend(children.remove(&number).into_iter().flatten());
            }
        }
        tree
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_tree_is_a_process_with_its_children_whatever_they_are_called() {
        let text = "77 (a b) c) S 12 77 77 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 5 9999 321 18446744073709551615 1 1";
        assert_eq!(stat(text), Some(("a b) c".into(), 12, 321)));
        let mut child = std::process::Command::new("sh").args(["-c", "sleep 20 & sleep 20"]).spawn().unwrap();
        let root = i32::try_from(child.id()).unwrap();
        let began = std::time::Instant::now();
        while Tree::of(root).processes.iter().filter(|(_, name)| name == "sleep").count() < 2 {
            assert!(began.elapsed().as_secs() < 20, "{:?}", Tree::of(root));
        }
        let tree = Tree::of(root);
        assert_eq!((tree.processes.len(), tree.processes[0].0), (3, root));
        assert!(tree.memory > 0);
        for (number, _) in tree.processes.iter().skip(1) {
            super::super::process::signal(*number, libc::SIGKILL);
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
