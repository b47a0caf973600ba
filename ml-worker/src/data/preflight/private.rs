//! What a private study means for these rows.

use crate::data::{preflight::Report, table::Table};
use consilium_privacy::{words, Unit};
use consilium_study::StudySpec;
use std::collections::HashMap;

/// Says whether δ is small enough for so many records or patients, and what becomes of patients with several rows.
pub(super) fn private(spec: &StudySpec, table: &Table, training: &[usize], report: &mut Report) {
    let Some(privacy) = &spec.privacy else { return };
    let mut rows = HashMap::<&[u8; 32], usize>::new();
    for row in training {
        *rows.entry(&table.groups[*row]).or_default() += 1;
    }
    let most = rows.values().copied().max().unwrap_or(0);
    let units = match privacy.unit() {
        Unit::Record => training.len(),
        Unit::Patient => rows.len(),
    };
    if let Err(error) = privacy.small_enough(units as u64) {
        report.problem(error.to_string(), true);
    }
    match privacy.unit() {
        // without a column of patients, equal rows count as one group
        Unit::Record if spec.data.group.is_some() && most > 1 => report.problem(
            format!(
                "one patient has {most} training rows: what is promised, {}, is for one row; of that patient it is about {most} times as \
                 much, at a far larger δ. If patients are to be covered, agree on privacy.unit = \"patient\"",
                words::epsilon(u64::from(privacy.epsilon_micro()))
            ),
            false,
        ),
        Unit::Patient if most > privacy.rows_per_patient() as usize => {
            let allowed = privacy.rows_per_patient() as usize;
            let patients = rows.values().filter(|rows| **rows > allowed).count();
            report.problem(
                format!(
                    "{patients} patients have more than {allowed} training rows, the most {most}: of each of them {allowed} are drawn by \
                     this site's secret, once for the study (privacy.rows_per_patient)"
                ),
                false,
            );
        }
        Unit::Record | Unit::Patient => {}
    }
}
