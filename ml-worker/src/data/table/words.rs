//! What is wrong with a cell or a row, in words, and what can be done about it.

use crate::data::table::{cell::What, header::Plan};
use consilium_study::{DataSpec, Missing, Outcome, Task};

impl What {
    /// In words; never with what stands in the cell.
    pub fn words(self, plan: &Plan, spec: &DataSpec) -> String {
        match self {
            Self::Cells(found) => {
                let hint = match found == plan.cells + 1 {
                    true => {
                        "where every row is so, it begins with a row name that the header does not name, as R's write.table \
                         writes it (export with row.names = FALSE), or ends with a separator"
                    }
                    false => "is a separator or a quotation mark missing?",
                };
                format!("has {found} cells, the header has {}; {hint}", plan.cells)
            }
            Self::NotUtf8 => "is not UTF-8 text".into(),
            Self::NotNumber => "is not a number".into(),
            Self::Thousands => "is not a number; write it without separators between thousands".into(),
            Self::Decimal => "is not a number: it has another decimal mark than the study takes in such a file (data.decimal)".into(),
            Self::NotFinite => "is not a finite number".into(),
            Self::Missing => match spec.missing {
                Missing::DropRow => {
                    "is empty; a study may leave such a row out of training (data.missing), but what is \
                                     to be predicted needs all its values"
                        .into()
                }
                Missing::Refuse | Missing::Mean => {
                    "is empty, and the study refuses missing values (data.missing)".into()
                }
            },
            Self::Log1p => "is at or below -1, of which the study takes ln(1 + x) (data.transform)".into(),
            Self::Level => "is none of the levels that the study declares for it (data.categorical)".into(),
            Self::Label => match spec.task() {
                Task::Classes(_) => format!("is none of the study's classes {:?}", spec.classes),
                Task::Events(_) => match &spec.outcome {
                    Some(Outcome::TimeToEvent { happened, censored, .. }) => {
                        format!("is neither {happened:?}, which stands for the event, nor {censored:?}, which stands for none")
                    }
                    _ => "does not say whether there was an event".into(),
                },
                Task::Binary | Task::Labels(_) | Task::Value => format!(
                    "is neither the positive value {:?} nor the negative value {:?}",
                    spec.positive, spec.negative
                ),
            },
            Self::Outcome => "is empty (or NA); every row needs its outcome".into(),
            Self::Negative => "is below 0, and is the time that a row was followed".into(),
            Self::Group => "is empty (or NA); every row needs its group".into(),
            Self::Picture => "is empty; every row needs its picture".into(),
            Self::Mark => "has another decimal mark than the numbers before it".into(),
            Self::Doubtful => "has three digits behind a comma and at most three before, as all numbers of this column that \
                               have a comma, and no other number of the file says whether that is a decimal mark or a mark \
                               between thousands"
                .into(),
            Self::Point => "has three digits behind a point and at most three before, as all numbers of this column that have \
                            a point, while all others are whole and below 1000: if it is a mark between thousands, the \
                            numbers are read wrong"
                .into(),
            Self::Blank => "has nothing in any cell; take the line out".into(),
        }
    }

    /// What can be done about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Cells(_) => "export the table again, with quotation marks around cells that hold the separator",
            Self::NotUtf8 => "save the table as CSV in UTF-8",
            Self::NotNumber => "write a number, or leave the cell empty where it is unknown",
            Self::Thousands => "write numbers without separators between thousands",
            Self::Decimal => "write all numbers with that one, or agree on a study without data.decimal",
            Self::NotFinite => "correct the number, or leave the cell empty where it is unknown",
            Self::Missing => "fill in the cells, or agree on data.missing \"mean\" or \"drop_row\"",
            Self::Log1p => "correct the numbers, or agree on another data.transform",
            Self::Level => "correct the cells, or agree on more levels, or on one that all others count as (other)",
            Self::Label => "correct the cells, or agree on other values of the label",
            Self::Outcome => "fill in the cells, or take the rows out",
            Self::Negative => "correct the cells",
            Self::Group => "name the group in every row, or agree on a study without groups",
            Self::Picture => "name a file in every row, or take the row out",
            Self::Mark => "write all numbers with the same decimal mark",
            Self::Doubtful => {
                "write thousands without a mark; if it is the decimal mark, write a point, or agree on data.decimal \"comma\""
            }
            Self::Point => "write thousands without a mark; if it is the decimal mark, nothing is to be done",
            Self::Blank => "take the line out",
        }
    }
}
