//! What can be wrong with keys, shares and sets, each by name.
use crate::Id;

/// Which of a site's two secrets a share belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Which {
    /// The seed of the mask that the site adds for itself. Opened where the site's numbers are in the sum.
    Seed = 0,
    /// The secret of the masks that the site has in common with others. Opened where the site's numbers are missing.
    Pair = 1,
}

impl core::fmt::Display for Which {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Seed => "seed",
            Self::Pair => "pair secret",
        })
    }
}

/// Why masks could not be agreed on, opened or taken off. Institutions are named by the first eight bytes of their id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More sites than a mask of 64 bits has places for, or none.
    #[error("{found} sites cannot agree on masks: from 1 to 64 can")]
    Count {
        /// How many were given.
        found: usize,
    },
    /// A list is out of order, or names somebody twice.
    #[error("{} stands in the wrong place of the list: it must be in ascending order of ids, each once", short(.who))]
    Order {
        /// Who stands after somebody with the same or a higher id.
        who: Id,
    },
    /// Somebody whose keys are not in the list.
    #[error("{} is not in the list of keys of this pairing", short(.who))]
    NotInKeyList {
        /// Who is missing.
        who: Id,
    },
    /// Somebody who is not a partner of the pairing.
    #[error("{} is not a partner of this pairing", short(.who))]
    NotAPartner {
        /// Who is missing.
        who: Id,
    },
    /// A set has bits for places that nobody has.
    #[error("the set {set:#x} names more than the {partners} partners of this pairing")]
    SetTooLong {
        /// The set.
        set: u64,
        /// How many partners there are.
        partners: usize,
    },
    /// This site's numbers are not in the set that is to be opened, so it opens nothing.
    #[error("this site's numbers are not in the set that is to be opened, so it opens nothing")]
    NotInSet,
    /// The keys in the list are not those that this site published.
    #[error("the list of keys has other keys for this site than those that it published")]
    ForeignKeys,
    /// Fewer sites gave keys than may agree on masks.
    #[error("only {found} sites gave keys, and this study needs {least}")]
    TooFewKeys {
        /// How many gave keys.
        found: usize,
        /// How many are needed.
        least: usize,
    },
    /// Fewer sites dealt shares than are needed to open a secret.
    #[error("only {found} sites dealt shares, and {least} are needed to open a secret")]
    TooFewPartners {
        /// How many dealt.
        found: usize,
        /// How many are needed.
        least: usize,
    },
    /// A sum over fewer sites than may be opened.
    #[error("a sum over {found} sites is not opened: {least} are needed")]
    TooFewInSet {
        /// How many are in the set.
        found: usize,
        /// How many are needed.
        least: usize,
    },
    /// Bytes of the wrong length.
    #[error("{what} has {found} bytes, and must have {expected}")]
    Length {
        /// What has the wrong length.
        what: &'static str,
        /// How long it is.
        found: usize,
        /// How long it must be.
        expected: usize,
    },
    /// Bytes that are not a scalar below the order of the field.
    #[error("the stored {0} is not a scalar in canonical bytes: the file with this site's secrets is damaged")]
    NotAScalar(
        /// Which secret.
        Which,
    ),
    /// Deals were not given for every partner, in their order.
    #[error("{found} deals were given for {partners} partners")]
    DealsMissing {
        /// How many were given.
        found: usize,
        /// How many partners there are.
        partners: usize,
    },
    /// A deal is not the one that the partners agreed on.
    #[error("the deal of {} is not the one that was agreed on: its hash differs", short(.dealer))]
    ForeignDeal {
        /// Whose deal.
        dealer: Id,
    },
    /// The sealed shares do not open with this site's key.
    #[error("what {} sealed for this site does not open with this site's key", short(.dealer))]
    Sealed {
        /// Who sealed it.
        dealer: Id,
    },
    /// A share is not the one that its dealer committed to.
    #[error("{}'s share of the {which} of {} is not the one that was dealt", short(.holder), short(.dealer))]
    WrongShare {
        /// Whose secret it is a share of.
        dealer: Id,
        /// Who has it or gave it.
        holder: Id,
        /// Of which secret.
        which: Which,
    },
    /// A reveal of a site whose numbers are not in the sum.
    #[error("{} is not in the set that is to be opened, and revealed shares", short(.who))]
    RevealOutsideSet {
        /// Who revealed.
        who: Id,
    },
    /// Two reveals of one site.
    #[error("{} revealed twice", short(.who))]
    RevealedTwice {
        /// Who did.
        who: Id,
    },
    /// Fewer shares were given than are needed to open secrets.
    #[error("fewer than {threshold} shares were given of the secrets of {}", names(.whose))]
    Unrecoverable {
        /// Whose secrets stay closed.
        whose: Vec<Id>,
        /// How many shares are needed.
        threshold: usize,
    },
    /// Shares that are right, each by itself, do not give the secret that was committed to: the dealer dealt them so.
    #[error("the shares that {} dealt do not give the secret that was committed to", names(.who))]
    BadDeal {
        /// Who dealt them.
        who: Vec<Id>,
    },
}

/// The first eight bytes of an id.
fn short(id: &Id) -> String {
    id[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn names(ids: &[Id]) -> String {
    ids.iter().map(short).collect::<Vec<_>>().join(", ")
}
