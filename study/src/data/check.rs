//! What a study's data part must hold so that sites can read their tables by it.

use crate::{
    data::{
        same_value, BadRows, DataSpec, Features, MissingLabels, Orientation, Outcome, PictureKind, Scaling, Task,
        Transform, Window, MAX_LEVELS,
    },
    error::{wrong, SpecError},
};

impl DataSpec {
    /// Names of columns and values of labels are compared as tables are read: without the blanks around them.
    pub(crate) fn check(&self) -> Result<(), SpecError> {
        self.check_features()?;
        self.check_labels()?;
        self.check_missing()?;
        let mut taken: Vec<(&str, &str)> =
            self.features.columns.iter().map(|n| ("features.columns", n.trim())).collect();
        taken.extend(self.categorical.iter().map(|c| ("categorical", c.column.trim())));
        taken.extend(self.pictures.iter().map(|p| ("pictures.column", p.column.trim())));
        taken.extend(self.group.iter().map(|g| ("group", g.trim())));
        taken.extend(self.id.iter().map(|id| ("id", id.trim())));
        let which = match (&self.outcome, self.labels.is_empty()) {
            (Some(_), _) => "outcome",
            (None, true) => "label",
            (None, false) => "labels",
        };
        taken.extend(self.label_columns().into_iter().map(|name| (which, name)));
        if let Some((place, _)) = taken.iter().find(|(_, name)| name.is_empty()) {
            let problem = match *place {
                "features.columns" => "must name at least one column, and no column without a name",
                "group" | "id" => "must name a column, or be left out",
                _ => "must name a column",
            };
            return Err(wrong(format!("data.{place}"), problem));
        }
        taken.sort_by_key(|(_, name)| *name);
        if let Some(pair) = taken.windows(2).find(|pair| pair[0].1 == pair[1].1) {
            let ((a, name), (b, _)) = (pair[0], pair[1]);
            if a == b {
                return Err(wrong(format!("data.{a}"), format!("names the column {name:?} twice")));
            }
            let problem = match (a, b) {
                ("features.columns", "label" | "group") => "names the label or the group column too".to_owned(),
                _ => format!("names the column {name:?}, which data.{b} names too"),
            };
            return Err(wrong(format!("data.{a}"), problem));
        }
        if let BadRows::Skip { at_most } = self.bad_rows {
            if !(at_most > 0.0 && at_most <= 0.5) {
                return Err(wrong("data.bad_rows.skip.at_most", format!("{at_most} must be above 0, and at most 0.5")));
            }
        }
        Ok(())
    }

    fn check_features(&self) -> Result<(), SpecError> {
        let Features { columns, others } = &self.features;
        if let Some(pictures) = &self.pictures {
            if !columns.is_empty() || others.is_some() || !self.categorical.is_empty() {
                return Err(wrong("data.pictures", "take the place of features: name no feature columns beside them"));
            }
            if self.orientation == Orientation::Columns {
                return Err(wrong("data.orientation", "a table of pictures has a row for each: leave it out"));
            }
            if self.scaling != Scaling::None || self.transform != Transform::None {
                return Err(wrong("data.scaling", "pictures are scaled by their own mean and deviation: set \"none\""));
            }
            if pictures.kind == PictureKind::Files {
                if !pictures.without_pixels() {
                    return Err(wrong(
                        "data.pictures",
                        "files are read by the study's own trainer: leave out height, width, channels, mean and deviation",
                    ));
                }
                return Ok(());
            }
            for (field, side) in [("height", pictures.height), ("width", pictures.width)] {
                if !(1..=4_096).contains(&side) {
                    return Err(wrong(format!("data.pictures.{field}"), format!("{side} must lie between 1 and 4096")));
                }
            }
            match (pictures.channels, pictures.kind) {
                (1, _) | (3, PictureKind::Picture) => {}
                (3, PictureKind::Dicom(_)) => {
                    return Err(wrong("data.pictures.channels", "DICOM is read as grey: leave it out"));
                }
                (other, _) => {
                    return Err(wrong(
                        "data.pictures.channels",
                        format!("{other} must be 1 (grey) or 3 (red, green and blue)"),
                    ));
                }
            }
            if !pictures.mean.is_finite() || !pictures.deviation.is_finite() || pictures.deviation <= 0.0 {
                return Err(wrong("data.pictures.deviation", "must be above 0, and mean and deviation finite"));
            }
            if let PictureKind::Dicom(Window::Fixed { center, width }) = pictures.kind {
                if !(center.is_finite() && width >= 1.0 && width.is_finite()) {
                    return Err(wrong(
                        "data.pictures.kind.dicom",
                        "a window needs a finite center, and a width of at least 1",
                    ));
                }
            }
            return Ok(());
        }
        if let Some(others) = others {
            if !columns.is_empty() {
                return Err(wrong("data.features", "name either columns or others, not both"));
            }
            if others.count == 0
                || others.hash.len() != 64
                || !others.hash.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
            {
                return Err(wrong(
                    "data.features.others",
                    "needs a count above 0, and a hash of 64 lower-case hexadecimal digits; `ml-worker columns` prints both",
                ));
            }
        } else if columns.is_empty() && self.categorical.is_empty() {
            return Err(wrong("data.features.columns", "must name at least one column, and no column without a name"));
        }
        if self.numeric() == 0 && (self.scaling != Scaling::None || self.transform != Transform::None) {
            return Err(wrong(
                "data.scaling",
                "there is no numeric column to scale or transform: set both to \"none\"",
            ));
        }
        self.check_fixed()?;
        for categorical in &self.categorical {
            let mut levels: Vec<&str> = categorical.levels.iter().map(|level| level.trim()).collect();
            levels.sort_unstable();
            let twice = levels.windows(2).any(|pair| pair[0] == pair[1]);
            if levels.len() < 2 || levels.len() > MAX_LEVELS || twice || levels.contains(&"") {
                return Err(wrong(
                    "data.categorical",
                    format!(
                        "the levels of {:?} must be 2 to {MAX_LEVELS} different texts, none empty",
                        categorical.column
                    ),
                ));
            }
            if let Some(other) = categorical.other.as_deref().map(str::trim).filter(|other| !levels.contains(other)) {
                return Err(wrong(
                    "data.categorical",
                    format!(
                        "other values of {:?} are to count as {other:?} (other), which must be one of its levels: add it to them",
                        categorical.column
                    ),
                ));
            }
        }
        Ok(())
    }

    /// An agreed scale names each numeric column once, and nothing else.
    fn check_fixed(&self) -> Result<(), SpecError> {
        let Scaling::Fixed(by_name) = &self.scaling else { return Ok(()) };
        let field = "data.scaling.fixed";
        if self.features.others.is_some() {
            return Err(wrong(field, "names each column: name the features in data.features.columns, not as others"));
        }
        for (name, (centre, deviation)) in by_name {
            let at = format!("{field}.{name}");
            if !self.features.columns.iter().any(|column| column.trim() == name.trim()) {
                return Err(wrong(at, "is no numeric feature of data.features.columns: leave it out"));
            }
            if !(centre.is_finite() && *deviation > 0.0 && deviation.is_finite()) {
                return Err(wrong(at, "must be [centre, deviation], both finite, and the deviation above 0"));
            }
            if by_name.keys().filter(|other| other.trim() == name.trim()).count() > 1 {
                return Err(wrong(at, "is named twice"));
            }
        }
        match self.features.columns.iter().find(|column| self.scaling.agreed([column.as_str()].into_iter()).is_none()) {
            Some(column) => {
                Err(wrong(field, format!("says nothing of the column {column:?}: add [centre, deviation]")))
            }
            None => Ok(()),
        }
    }

    /// Values that stand for nothing must be told from those that stand for something.
    fn check_missing(&self) -> Result<(), SpecError> {
        let of = self.missing_values_of.iter().map(|(column, values)| (Some(column), values));
        for (column, values) in std::iter::once((None, &self.missing_values)).chain(of) {
            let place = match column {
                None => "data.missing_values".to_owned(),
                Some(column) => format!("data.missing_values_of.{column}"),
            };
            if values.len() > MAX_LEVELS || values.iter().any(|value| value.trim().is_empty()) {
                return Err(wrong(
                    place,
                    format!(
                        "must be at most {MAX_LEVELS} texts or numbers, none empty: an empty cell is missing anyway"
                    ),
                ));
            }
            let Some(column) = column else { continue };
            let named = |name: &String| name.trim() == column.trim();
            let feature = self.features.columns.iter().any(named) || self.categorical.iter().any(|c| named(&c.column));
            if values.is_empty() || !(feature || self.features.others.is_some()) {
                return Err(wrong(place, "must name a feature column, and at least one value"));
            }
        }
        for categorical in &self.categorical {
            let codes = self.missing_in(&categorical.column);
            if let Some(level) =
                categorical.levels.iter().find(|level| codes.iter().any(|code| same_value(level, code)))
            {
                return Err(wrong(
                    "data.missing_values",
                    format!("{level:?} is a level of {:?} too; it cannot be both", categorical.column),
                ));
            }
        }
        Ok(())
    }

    fn check_labels(&self) -> Result<(), SpecError> {
        let distinct = |field: &str, values: &[String], least: usize| {
            let pair = values.iter().enumerate().any(|(n, a)| values[..n].iter().any(|b| same_value(a, b)));
            if values.len() < least || values.len() > MAX_LEVELS || pair || values.iter().any(|v| v.trim().is_empty()) {
                return Err(wrong(
                    format!("data.{field}"),
                    format!("must be {least} to {MAX_LEVELS} different texts or numbers, none empty"),
                ));
            }
            Ok(())
        };
        if self.missing_labels == MissingLabels::Mask {
            if self.labels.is_empty() {
                return Err(wrong(
                    "data.missing_labels",
                    "is for several labels (data.labels): a row without its one label teaches nothing",
                ));
            }
            let codes = || self.missing_values.iter();
            if let Some(value) =
                [&self.positive, &self.negative].into_iter().find(|v| codes().any(|code| same_value(code, v)))
            {
                return Err(wrong(
                    "data.missing_values",
                    format!("{value:?} is a value of the labels too; it cannot be both"),
                ));
            }
        }
        if let Some(outcome) = &self.outcome {
            let label = [&self.label, &self.positive, &self.negative].iter().any(|text| !text.is_empty());
            if label || !self.labels.is_empty() || !self.classes.is_empty() {
                return Err(wrong("data.outcome", "stands in place of label, labels, classes, positive and negative"));
            }
            if let Outcome::TimeToEvent { happened, censored, .. } = outcome {
                let codes = || self.missing_values.iter();
                if let Some(value) = [happened, censored].into_iter().find(|v| codes().any(|code| same_value(code, v)))
                {
                    return Err(wrong(
                        "data.missing_values",
                        format!("{value:?} is a value of the outcome too; it cannot be both"),
                    ));
                }
            }
            return outcome.check();
        }
        match self.task() {
            Task::Classes(_) => {
                if !self.labels.is_empty() || !self.positive.is_empty() || !self.negative.is_empty() {
                    return Err(wrong("data.classes", "stand in place of labels, positive and negative"));
                }
                return distinct("classes", &self.classes, 3);
            }
            Task::Labels(_) => {
                if !self.label.is_empty() {
                    return Err(wrong("data.labels", "stand in place of label"));
                }
                distinct("labels", &self.labels, 2)?;
            }
            Task::Binary | Task::Value | Task::Events(_) => {}
        }
        if self.positive.trim().is_empty() || same_value(&self.positive, &self.negative) {
            return Err(wrong("data.positive", "must be another text or number than data.negative, and not empty"));
        }
        if self.negative.trim().is_empty() {
            return Err(wrong("data.negative", "must not be empty"));
        }
        Ok(())
    }
}
