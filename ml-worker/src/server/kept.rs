//! A site's rows as its duties need them: read, split and scaled once, and kept from one duty to the next as long as the
//! file stays as it is.
//!
//! What is kept is bounded. The rows that were used last stay; those of other agreements stay beside them as long as all
//! together take no more than a quarter of the memory that was available when the worker started. They go after an hour in
//! which no duty has used them, and at once where people put the site on hold.

use super::{
    job::{other, JobError},
    leave::Permit,
    Worker,
};
use crate::{
    data::{
        all_known, far_from_common, hash_data, read_file, shared_columns, statistics_of, DataError, Prepared, Read,
        Reading, Split, Table,
    },
    random::key,
    site::group_key,
};
use consilium_aggregation::Statistics;
use consilium_primitives::{DutyKind, DutyOrder, FailureCode, Hash};
use consilium_study::{StudySpec, Transform};
use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Rows that no duty has used for so long are let go.
const UNUSED: Duration = Duration::from_secs(3600);
/// A file that was changed so short a time ago may be changed once more within the same tick of its file system's clock.
const SETTLED: Duration = Duration::from_secs(2);

/// What tells that a file was touched: any write to it, and whatever is put in its place, shows in one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// `None` where a further change might not show.
    fn of(path: &Path) -> io::Result<Option<Self>> {
        let m = fs::metadata(path)?;
        let stamp = Self {
            device: m.dev(),
            inode: m.ino(),
            length: m.len(),
            modified: (m.mtime(), m.mtime_nsec()),
            changed: (m.ctime(), m.ctime_nsec()),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let last = stamp.modified.max(stamp.changed).0;
        let settled = u64::try_from(last).is_ok_and(|last| last.saturating_add(SETTLED.as_secs()) < now.as_secs());
        Ok(settled.then_some(stamp))
    }
}

/// One study's rows.
pub(super) struct Kept {
    agreement: Hash,
    spec: Hash,
    /// By which statistics they are scaled.
    statistics: Option<Hash>,
    path: PathBuf,
    hash: Hash,
    /// That of the file, where nothing else than hashing it anew must tell whether it has changed. Pictures are hashed each
    /// time.
    stamp: Option<Stamp>,
    rows: Arc<Prepared>,
}

/// Rows of a duty, and what it took to get them.
pub(super) struct Got {
    pub rows: Arc<Prepared>,
    /// Tells these rows, and how they are shuffled, from all others.
    pub name: Hash,
    /// Whether they were kept from an earlier duty.
    pub kept: bool,
    pub reading: Duration,
    pub preparing: Duration,
}

impl Worker {
    /// Lets go what has not been used for long; all of it where the site is on hold.
    pub(super) fn let_go(&self) {
        self.kept.lock().let_go(if self.home.held() { Duration::ZERO } else { UNUSED });
        self.rest_trainers();
    }

    /// What `sites.toml` says of a study's file, and how it is read.
    fn file(&self, order: &DutyOrder) -> Result<(PathBuf, Reading), JobError> {
        let agreement = &order.duty.agreement;
        let mut leave = self.leave.lock();
        leave.look();
        let path = match leave.of(agreement, order.duty.round) {
            Permit::Given(path) => path,
            Permit::Wait => return Err(JobError::Missing("the agreement's entry in sites.toml")),
            Permit::Refused => return Err(refused().into()),
        };
        let mut how = Reading { folder: Some(self.home.folder().join("working-copies")), ..Reading::default() };
        if let Some(mebibytes) = leave.settings(agreement).and_then(|settings| settings.memory_mib) {
            how.allowance = mebibytes.saturating_mul(1 << 20);
        }
        Ok((path, how))
    }

    /// This site's table for a study, its split and its file's hash; the split is made on the first call and kept.
    pub(super) fn table(
        &self,
        order: &DutyOrder,
        spec: &StudySpec,
        (path, how): (&Path, &Reading),
    ) -> Result<(Table, Split, Hash), JobError> {
        let agreement = &order.duty.agreement;
        // read once: what is hashed is what is trained on
        let Read { hash: found, table } = read_file(path, &spec.data, &group_key(&self.secret, &order.spec.0), how)?;
        let known = self.home.data(agreement)?;
        if known.is_some_and(|known| known != found) {
            let what = match spec.data.pictures {
                Some(_) if spec.data.files() => "or a file that it names, is no longer the file",
                Some(_) => "or a picture that it names, is no longer the file",
                None => "is no longer the file",
            };
            let message = format!(
                "{what} this study began with; put that back, or accept this one with `ml-worker \
                 accept-data --dir {} --sites {} --agreement {}`",
                self.home.folder().display(),
                self.leave.lock().file().display(),
                hex::encode(agreement)
            );
            return Err(DataError::new(FailureCode::DataChanged, message).of(path).into());
        }
        let table = table?;
        if known.is_none() {
            self.home.put_data(agreement, &found)?;
        }
        let mut split = self.home.split(agreement)?.unwrap_or_default();
        if !split.knows(&table) {
            tracing::warn!(
                "{}: none of its rows is among those that this study trained or validated on before; is it the right \
                 file?",
                path.display()
            );
        }
        let before = split.clone();
        split.extend(&table, spec.evaluation.validation_share);
        if split != before {
            self.home.put_split(agreement, &split, &self.secret)?;
        }
        Ok((table, split, found))
    }

    /// As [`table`](Self::table), where it is.
    pub(super) fn table_of(&self, order: &DutyOrder, spec: &StudySpec) -> Result<(Table, Split, PathBuf), JobError> {
        let (path, how) = self.file(order)?;
        let (table, split, _) = self.table(order, spec, (&path, &how))?;
        Ok((table, split, path))
    }

    /// A study's rows, split and scaled.
    pub(super) fn rows(&self, order: &DutyOrder, spec: &StudySpec) -> Result<Got, JobError> {
        let began = Instant::now();
        let scaled = spec.data.statistics_columns() > 0;
        let statistics = match (scaled, &order.statistics) {
            (true, None) => return Err(JobError::Missing("the study's statistics")),
            (true, Some(blob)) => Some(*blob),
            (false, _) => None,
        };
        let root = statistics.map(|blob| blob.root);
        let (path, how) = self.file(order)?;
        let got = |rows, hash: Hash, kept, reading| Got {
            rows,
            kept,
            name: key("consilium/rows/1", &[&self.secret, &hash.0, &root.unwrap_or_default().0]).into(),
            reading,
            preparing: began.elapsed().saturating_sub(reading),
        };
        // several duties wait for each other where there are pictures: they would all need the same memory
        let _pictures = spec.data.pictures.is_some().then(|| self.pictures.lock());
        if let Some((rows, hash)) = self.still(order, spec, (&path, root))? {
            return Ok(got(rows, hash, true, began.elapsed()));
        }
        let statistics = match statistics {
            None => None,
            Some(blob) => {
                let bytes = self.blobs.read(&blob)?.ok_or(JobError::Missing("the study's statistics"))?;
                let statistics = Statistics::decode(&bytes, spec.data.statistics_columns(), None).map_err(other)?;
                all_known(&statistics, spec)?;
                Some(statistics)
            }
        };
        let stamp = match spec.data.pictures {
            None => Stamp::of(&path).ok().flatten(),
            Some(_) => None,
        };
        let (table, split, hash) = self.table(order, spec, (&path, &how))?;
        let reading = began.elapsed();
        if let Some(common) =
            statistics.as_ref().filter(|_| order.duty.kind == DutyKind::Train && order.duty.round <= 1)
        {
            other_units(spec, (&table, &split, &path), common)?;
        }
        let rows = Arc::new(Prepared::new(spec, &table, &split, statistics.as_ref()).map_err(|e| e.of(&path))?);
        let numbers = [&rows.training, &rows.validation].map(|rows| (rows.len() * rows.width()) as u64);
        // what lies on disk stays there
        let bytes = if table.on_disk() { 0 } else { numbers.iter().sum::<u64>() * size_of::<f32>() as u64 };
        let kept = Kept {
            agreement: order.duty.agreement,
            spec: order.spec,
            statistics: root,
            stamp: stamp.filter(|before| matches!(Stamp::of(&path), Ok(Some(after)) if after == *before)),
            path,
            hash,
            rows: rows.clone(),
        };
        self.kept.lock().put(bytes, kept);
        Ok(got(rows, hash, false, reading))
    }

    /// The rows that are kept of a study, if its file is still the one they were made of. If not, room is made for others,
    /// before anyone looks how much memory there is.
    fn still(
        &self,
        order: &DutyOrder,
        spec: &StudySpec,
        (path, statistics): (&Path, Option<Hash>),
    ) -> Result<Option<(Arc<Prepared>, Hash)>, JobError> {
        let agreement = order.duty.agreement;
        let fits = |kept: &Kept| {
            kept.agreement == agreement && kept.spec == order.spec && kept.path == path && kept.statistics == statistics
        };
        let there = self.kept.lock().find(fits).map(|kept| (kept.hash, kept.stamp));
        if let Some((hash, stamp)) = there {
            let now = if spec.data.pictures.is_some() { None } else { Stamp::of(path).ok().flatten() };
            let same = now.is_some() && now == stamp || hash_data(path, &spec.data)? == hash;
            if same && self.home.data(&agreement)? == Some(hash) {
                if let Some(kept) = self.kept.lock().take(|kept| fits(kept) && kept.hash == hash) {
                    kept.stamp = now;
                    return Ok(Some((kept.rows.clone(), hash)));
                }
            }
        }
        let mut shelf = self.kept.lock();
        shelf.remove(|kept| kept.agreement == agreement);
        shelf.make_room();
        Ok(None)
    }
}

/// Says which columns' means lie as far from those of all sites as another unit would put them.
fn other_units(
    spec: &StudySpec,
    (table, split, path): (&Table, &Split, &Path),
    common: &Statistics,
) -> Result<(), JobError> {
    if spec.data.transform == Transform::Rank {
        return Ok(());
    }
    let own = statistics_of(table, &split.rows(table).0).map_err(|e| e.of(path))?;
    let names = shared_columns(&spec.data, &table.features);
    for (column, off) in far_from_common(&own, common) {
        let name = names.get(column).map_or("", String::as_str);
        tracing::warn!(
            "{}: column {name:?}: its mean lies {off:.0} of its own deviations from the mean of all sites; is it in the \
             same unit everywhere?",
            path.display()
        );
    }
    Ok(())
}

/// What a duty of an agreement says that is no longer in `sites.toml`.
pub(super) fn refused() -> DataError {
    DataError::new(FailureCode::Refused, "the agreement is no longer in sites.toml")
}

/// Bytes of rows that are kept of all studies together.
pub(super) fn most() -> u64 {
    // of the memory that is available, half may be used for a table
    Reading::default().allowance / 2
}
