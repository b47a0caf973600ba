//! Secrets of studies that nobody asks about any more. A study that was completed says so by its last duty; one that was aborted asks
//! for nothing: its secrets are overwritten once it has asked for nothing for longer than a pause can last.

use super::{
    super::{records::OWN, study::studies_below},
    Home, StudyKey,
};
use anyhow::{Context, Result};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::{Duration, SystemTime},
};

/// The file whose time says when something of the study was asked for last.
const ASKED: &str = "asked";
/// The longest time for which a study that may still go on asks for nothing: its longest pause, 14 days, and a day.
const UNASKED: Duration = Duration::from_secs(15 * 86_400);
/// It is noted no oftener.
const NOTED: Duration = Duration::from_secs(3_600);

impl Home {
    /// Notes that something of a study was asked for, where it has pairings: its secrets may still be needed.
    ///
    /// # Errors
    /// What the file system says.
    pub fn note_asked(&self, study: &StudyKey) -> Result<()> {
        let folder = self.masks(study);
        if !folder.is_dir() {
            return Ok(());
        }
        let path = folder.join(ASKED);
        let noted = || match since(&path)? {
            Some(since) if since < NOTED => Ok(()),
            _ => touch(&path),
        };
        noted().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Overwrites the secrets of all pairings of studies that have asked for nothing for so long that they have ended. Gives how many
    /// studies these were.
    ///
    /// # Errors
    /// What the file system says.
    pub fn forget_unasked(&self) -> Result<usize> {
        let mut forgotten = 0;
        for study in studies_below(self)? {
            let folder = self.masks(&study);
            if !folder.is_dir() {
                continue;
            }
            let path = folder.join(ASKED);
            match since(&path).with_context(|| format!("cannot read {}", path.display()))? {
                Some(since) if since >= UNASKED => {}
                Some(_) => continue,
                // its time begins now
                None => {
                    touch(&path).with_context(|| format!("cannot write {}", path.display()))?;
                    continue;
                }
            }
            match self.forget_all(&study) {
                Ok(there) => forgotten += usize::from(there),
                // the others' all the same
                Err(error) => tracing::error!("{error:#}"),
            }
        }
        Ok(forgotten)
    }

    /// Overwrites the secrets of all pairings of a study; says whether there were any.
    fn forget_all(&self, study: &StudyKey) -> Result<bool> {
        let mut there = false;
        for number in self.pairings(study)? {
            there |= self.pairing(study, number)?.is_some_and(|pairing| pairing.secrets.is_some());
            self.forget_secrets(study, number)?;
        }
        Ok(there)
    }
}

/// How long ago a file was written; none where there is none. One of the future was written now.
fn since(path: &Path) -> io::Result<Option<Duration>> {
    match fs::metadata(path).and_then(|data| data.modified()) {
        Ok(at) => Ok(Some(at.elapsed().unwrap_or_default())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn touch(path: &Path) -> io::Result<()> {
    let file = File::options().write(true).create(true).truncate(false).mode(OWN).open(path)?;
    file.set_modified(SystemTime::now())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::Pairing, *};
    use consilium_primitives::Hash;
    use zeroize::Zeroizing;

    const STUDY: StudyKey = StudyKey { agreement: Hash::repeat_byte(7), study: 3 };

    fn begin(home: &Home, study: &StudyKey) {
        let secrets = Some(Zeroizing::new([5; super::super::SECRETS]));
        let pairing =
            Pairing { number: 1, context: [1; 32], keys: [2; super::super::KEYS], secrets, answered: Vec::new() };
        home.begin_pairing(study, &pairing).unwrap();
    }

    fn secret(home: &Home, study: &StudyKey) -> bool {
        home.pairing(study, 1).unwrap().unwrap().secrets.is_some()
    }

    #[test]
    fn of_a_study_that_asks_for_nothing_any_more_no_secret_stays() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(&dir.path().join("home")).unwrap();
        // two studies of one agreement: one of them was aborted
        let other = StudyKey { study: 4, ..STUDY };
        home.note_asked(&STUDY).unwrap();
        assert!(!home.masks(&STUDY).exists(), "a study without masks has nothing of them");
        for study in [&STUDY, &other] {
            begin(&home, study);
            home.note_asked(study).unwrap();
        }
        assert_eq!(home.forget_unasked().unwrap(), 0);
        let ago = |study: &StudyKey, ago: Duration| {
            let file = File::options().write(true).open(home.masks(study).join(ASKED)).unwrap();
            file.set_modified(SystemTime::now() - ago).unwrap();
        };
        let longest_pause = Duration::from_secs(14 * 86_400 + 3_600);
        [&STUDY, &other].into_iter().for_each(|study| ago(study, longest_pause));
        assert_eq!(home.forget_unasked().unwrap(), 0);
        assert!(secret(&home, &STUDY) && secret(&home, &other));
        [&STUDY, &other].into_iter().for_each(|study| ago(study, UNASKED));
        // of one, something is asked for all the same
        home.note_asked(&other).unwrap();
        assert_eq!(home.forget_unasked().unwrap(), 1);
        assert!(!secret(&home, &STUDY) && secret(&home, &other));
        assert_eq!(home.forget_unasked().unwrap(), 0, "once");
        // where no time is noted, it begins
        fs::remove_file(home.masks(&other).join(ASKED)).unwrap();
        assert_eq!(home.forget_unasked().unwrap(), 0);
        assert!(secret(&home, &other) && home.masks(&other).join(ASKED).is_file());
    }
}
