//! What a site gives so that the masks can be taken off: of each partner one share, of the seed where the partner's numbers are in the
//! sum and of the pair secret where they are not. Never both: with both, the partner's own numbers could be read.
use crate::{
    check_used,
    deal::{check_deal, check_share, deal_hash},
    open_deal,
    partners::contains,
    Error, Id, Partners, Secrets, Which,
};

/// The shares that one site gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reveal {
    set: u64,
    shares: Vec<[u8; 32]>,
}

impl Reveal {
    /// The partners that a share is given for, by their places.
    pub fn set(&self) -> u64 {
        self.set
    }

    /// The share that is given for the partner at this place.
    pub fn share(&self, place: usize) -> Option<&[u8; 32]> {
        if place >= 64 || !contains(self.set, place) {
            return None;
        }
        let before = self.set & ((1_u64 << place) - 1);
        self.shares.get(before.count_ones() as usize)
    }

    /// As posted: the set, and the shares in order of the partners.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.set.to_le_bytes().to_vec();
        for share in &self.shares {
            bytes.extend_from_slice(share);
        }
        bytes
    }

    /// From what was posted.
    pub fn from_bytes(bytes: &[u8], partners: &Partners) -> Result<Self, Error> {
        let what = "a reveal";
        let Some((set, shares)) = bytes.split_first_chunk::<8>() else {
            return Err(Error::Length { what, found: bytes.len(), expected: 8 });
        };
        let set = u64::from_le_bytes(*set);
        partners.check_set(set)?;
        let expected = 8 + 32 * set.count_ones() as usize;
        if bytes.len() != expected {
            return Err(Error::Length { what, found: bytes.len(), expected });
        }
        Ok(Self { set, shares: shares.as_chunks::<32>().0.to_vec() })
    }
}

/// Which of a partner's secrets is opened, given the set of those whose numbers are in the sum.
fn opened(used: u64, place: usize) -> Which {
    if contains(used, place) {
        Which::Seed
    } else {
        Which::Pair
    }
}

/// Whether these are the deals that the partners agreed on, in their order.
pub fn check_deals<D: AsRef<[u8]>>(partners: &Partners, deals: &[D]) -> Result<(), Error> {
    check_lengths(partners, deals)?;
    for (partner, deal) in partners.partners().iter().zip(deals) {
        if deal_hash(deal.as_ref()) != partner.deal {
            return Err(Error::ForeignDeal { dealer: partner.id });
        }
    }
    Ok(())
}

fn check_lengths<D: AsRef<[u8]>>(partners: &Partners, deals: &[D]) -> Result<(), Error> {
    if deals.len() != partners.count() {
        return Err(Error::DealsMissing { found: deals.len(), partners: partners.count() });
    }
    deals.iter().try_for_each(|deal| check_deal(partners.list(), deal.as_ref()))
}

/// The shares that this site gives for the sum over `used`, and why it gives none of some partners: theirs did not open or were not the
/// ones that they committed to. `deals` are those of the partners, in their order; `minimum` is the least number of sites of the rules.
///
/// Nothing is given for a set that [`check_used`] refuses. That no second set of one pairing is answered, the caller must see to.
pub fn reveal<D: AsRef<[u8]>>(
    secrets: &Secrets,
    own: &Id,
    partners: &Partners,
    used: u64,
    minimum: usize,
    deals: &[D],
) -> Result<(Reveal, Vec<Error>), Error> {
    check_used(partners, own, used, minimum)?;
    check_deals(partners, deals)?;
    let mut reveal = Reveal { set: 0, shares: Vec::with_capacity(partners.count()) };
    let mut missing = Vec::new();
    for (place, (partner, deal)) in partners.partners().iter().zip(deals).enumerate() {
        match open_deal(secrets, own, partners.list(), &partner.id, deal.as_ref()) {
            Ok(shares) => {
                reveal.set |= 1_u64 << place;
                reveal.shares.push(*shares.of(opened(used, place)));
            }
            Err(error) => missing.push(error),
        }
    }
    Ok((reveal, missing))
}

/// Whether each share that `holder` gave is the one that its dealer committed to. `deals` are those of the partners, in their order,
/// and were held to their hashes by [`check_deals`].
pub fn check_reveal<D: AsRef<[u8]>>(
    reveal: &Reveal,
    holder: &Id,
    partners: &Partners,
    used: u64,
    deals: &[D],
) -> Result<(), Error> {
    check_lengths(partners, deals)?;
    partners.check_set(reveal.set)?;
    if !contains(used, partners.place(holder)?) {
        return Err(Error::RevealOutsideSet { who: *holder });
    }
    for (place, (partner, deal)) in partners.partners().iter().zip(deals).enumerate() {
        if let Some(share) = reveal.share(place) {
            check_share(partners.list(), &partner.id, deal.as_ref(), holder, opened(used, place), share)?;
        }
    }
    Ok(())
}
