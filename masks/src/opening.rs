//! Putting secrets together from the shares that were revealed, and which masks a site puts on and everybody takes off.
use crate::{
    hash::public,
    keys::seed_commitment,
    pair_key,
    partners::contains,
    self_key,
    shamir::{lagrange, reconstruct},
    Error, Id, Partners, Reveal, Secrets, Sign, Streams,
};
use curve25519_dalek::Scalar;
use std::collections::BTreeMap;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// One secret of each partner: the seed of whose numbers are in the sum, the pair secret of the others.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Opened {
    used: u64,
    secrets: Vec<[u8; 32]>,
}

impl core::fmt::Debug for Opened {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Opened({:#x} of {})", self.used, self.secrets.len())
    }
}

impl Opened {
    /// Puts the secrets together from what the sites of `used` revealed, and checks each against what its owner published. Each share
    /// must have been checked by [`check_reveal`](crate::check_reveal): then a secret that does not fit is its dealer's fault.
    ///
    /// Of each secret, the shares of the first sites in order of ids that gave one are taken. So everybody who has the same reveals
    /// comes to the same end, even where a dealer dealt shares that do not fit each other.
    pub fn new(partners: &Partners, used: u64, reveals: &[(Id, Reveal)]) -> Result<Self, Error> {
        partners.check_set(used)?;
        let list = partners.list();
        let mut given: Vec<(usize, &Reveal)> = Vec::with_capacity(reveals.len());
        for (who, reveal) in reveals {
            if !contains(used, partners.place(who)?) {
                return Err(Error::RevealOutsideSet { who: *who });
            }
            let place = list.place(who)?;
            if given.iter().any(|(other, _)| *other == place) {
                return Err(Error::RevealedTwice { who: *who });
            }
            given.push((place, reveal));
        }
        given.sort_by_key(|(place, _)| *place);

        let threshold = list.threshold();
        let mut coefficients: BTreeMap<Vec<usize>, Vec<Scalar>> = BTreeMap::new();
        let mut opened = Self { used, secrets: Vec::with_capacity(partners.count()) };
        let (mut unrecoverable, mut bad) = (Vec::new(), Vec::new());
        for (place, partner) in partners.partners().iter().enumerate() {
            let (positions, shares): (Vec<usize>, Vec<&[u8; 32]>) = given
                .iter()
                .filter_map(|(holder, reveal)| Some((holder + 1, reveal.share(place)?)))
                .take(threshold)
                .unzip();
            if positions.len() < threshold {
                unrecoverable.push(partner.id);
                continue;
            }
            let coefficients = coefficients.entry(positions).or_insert_with_key(|positions| lagrange(positions));
            let secret = reconstruct(coefficients, shares);
            let keys = list.keys(&partner.id)?;
            let fits = if contains(used, place) {
                seed_commitment(list.context(), &partner.id, &secret) == keys.seed
            } else {
                public(&secret) == keys.pair
            };
            if !fits {
                bad.push(partner.id);
            }
            opened.secrets.push(secret);
        }
        if !unrecoverable.is_empty() {
            return Err(Error::Unrecoverable { whose: unrecoverable, threshold });
        }
        if !bad.is_empty() {
            return Err(Error::BadDeal { who: bad });
        }
        Ok(opened)
    }

    /// The set whose sum can be read.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// The secret of the partner at this place: the seed where it is in the set, the pair secret where it is not.
    pub fn secret(&self, place: usize) -> Option<&[u8; 32]> {
        self.secrets.get(place)
    }
}

/// The masks that this site puts on its numbers: its own, and one in common with every other partner.
pub fn mask_streams(secrets: &Secrets, own: &Id, partners: &Partners) -> Result<Streams, Error> {
    partners.place(own)?;
    let root = partners.root();
    let mut keys = Vec::with_capacity(partners.count());
    keys.push((self_key(&secrets.seed, own, root), Sign::Add));
    for other in partners.partners().iter().filter(|other| other.id != *own) {
        let public = &partners.list().keys(&other.id)?.pair;
        keys.push((pair_key(&secrets.pair, public, own, &other.id, root), Sign::of_pair(own, &other.id)));
    }
    Ok(Streams::new(keys))
}

/// The masks that are left on the sum of the numbers of all sites in the set, each with the sign that takes it off: everybody's own, and
/// what was in common with partners whose numbers are missing.
pub fn unmask_streams(partners: &Partners, opened: &Opened) -> Result<Streams, Error> {
    let root = partners.root();
    let mut keys = Vec::new();
    for (place, (partner, secret)) in partners.partners().iter().zip(&opened.secrets).enumerate() {
        if contains(opened.used, place) {
            keys.push((self_key(secret, &partner.id, root), Sign::Subtract));
            continue;
        }
        for other in partners.of_set(opened.used) {
            let public = &partners.list().keys(&other.id)?.pair;
            let key = pair_key(secret, public, &other.id, &partner.id, root);
            keys.push((key, Sign::of_pair(&other.id, &partner.id).opposite()));
        }
    }
    Ok(Streams::new(keys))
}
