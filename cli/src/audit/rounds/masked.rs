//! A closed round whose masked files were summed: what of it is there, and whether it is as the chain says.

use super::{sum::Sum, Absent, BlobSource, Finding, Rounds, Verdict, NOT_THERE};
use crate::show::name;
use consilium_primitives::{
    round::{Kind, MaskedRecord, RoundRecord},
    BlobRef, VoidReason,
};

impl<B: BlobSource> Rounds<'_, B> {
    /// All of such a round: what its record shows, its merged file where there is one, and the sum made anew.
    pub(super) fn masked(
        &self,
        record: &RoundRecord,
        masked: &MaskedRecord,
        base: Option<&[u8]>,
        finding: &mut Finding,
    ) -> Option<Vec<u8>> {
        let sum = Sum { history: self.history, record, masked };
        // what the chain ends by itself, or people, nobody attests
        if !matches!(masked.void, Some(VoidReason::Abandoned | VoidReason::Unrecoverable { .. })) {
            self.attested(record, finding);
        }
        sum.record(finding);
        let merged = match masked.void.is_some() || record.kind == Kind::Evaluation {
            true => None,
            false => self.merged(record, finding),
        };
        self.summed(&sum, base, finding);
        merged
    }

    fn summed(&self, sum: &Sum<'_>, base: Option<&[u8]>, finding: &mut Finding) {
        let record = sum.record;
        let files = self.files(record, finding);
        let posted = match sum.posted() {
            Ok(Some(posted)) => posted,
            Ok(None) => {
                let text =
                    "keys, deals and shares of its masks are not there any more, so that it cannot be summed again";
                finding.lower(if self.history.keeps(record) { Verdict::Missing } else { Verdict::Deleted }, text);
                return;
            }
            Err(error) => {
                finding.lower(Verdict::Differs, format!("what was posted for its masks does not hold: {error:#}"));
                return;
            }
        };
        let Some(files) = files else { return };
        let Some((spec, layout)) = self.spec.as_ref().zip(self.layout.as_ref()) else {
            finding.lower(Verdict::Missing, "without the specification no masked file can be read");
            return;
        };
        if record.kind == Kind::Model && base.is_none() {
            let text = "without the model that the round started from, which is not there, it cannot be summed again";
            finding.lower(if self.history.keeps(record) { Verdict::Missing } else { Verdict::Deleted }, text);
            return;
        }
        match sum.again(&posted, &files, base, (spec, layout)) {
            Ok(came) => sum.compare(came, finding),
            Err(error) => finding.lower(Verdict::Differs, format!("its masked files cannot be summed: {error:#}")),
        }
    }

    /// The masked files, in order; none where one is not there, or damaged.
    fn files(&self, record: &RoundRecord, finding: &mut Finding) -> Option<Vec<Vec<u8>>> {
        let len = self.history.info.state.rules.part_len(record.kind);
        let (mut files, mut gone) = (Vec::new(), Vec::new());
        for input in &record.inputs {
            let who = name(&self.history.names, &input.institution);
            match self.file(&BlobRef { root: input.root, len }) {
                Ok(bytes) => files.push(bytes),
                Err(Absent::No(why)) => {
                    if why != NOT_THERE {
                        finding.note(format!("the masked file of {who}, {}, {why}", hex::encode(input.root)));
                    }
                    gone.push(who);
                }
                Err(Absent::Bad(why)) => {
                    let root = hex::encode(input.root);
                    let text = format!("the copy here of the masked file of {who}, {root}, {why}");
                    finding.lower(Verdict::Differs, text);
                }
            }
        }
        if !gone.is_empty() {
            let verdict = match (self.history.left_out, self.history.keeps(record)) {
                (_, false) => Verdict::Deleted,
                (true, true) => Verdict::LeftOut,
                (false, true) => Verdict::Missing,
            };
            finding.lower(verdict, format!("no masked file of {}", gone.join(", ")));
        }
        (files.len() == record.inputs.len()).then_some(files)
    }
}
