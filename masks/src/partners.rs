//! The sites that dealt shares: theirs are the masks of a pairing.
use crate::{hash::hash, keys::check_order, Error, Id, KeyList};

/// One site that dealt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partner {
    /// Who it is.
    pub id: Id,
    /// The hash of its deal ([`deal_hash`](crate::deal_hash)).
    pub deal: [u8; 32],
    /// Its weight in the sum.
    pub weight: u32,
}

/// The partners of a pairing, in ascending order of ids, and the keys of all who gave any.
///
/// Sets of partners are a `u64`: bit 0 stands for the first partner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partners {
    list: KeyList,
    partners: Vec<Partner>,
    root: [u8; 32],
}

impl Partners {
    /// These partners, all of them in the list of keys.
    pub fn new(list: KeyList, partners: Vec<Partner>) -> Result<Self, Error> {
        if partners.is_empty() {
            return Err(Error::Count { found: 0 });
        }
        check_order(partners.iter().map(|partner| &partner.id))?;
        let mut mask = 0_u64;
        let mut bytes = Vec::with_capacity(68 * partners.len());
        for partner in &partners {
            mask |= 1_u64 << list.place(&partner.id)?;
            bytes.extend_from_slice(&partner.id);
            bytes.extend_from_slice(&partner.deal);
            bytes.extend_from_slice(&partner.weight.to_le_bytes());
        }
        let root = hash(&[b"consilium/partners/1", list.root(), &mask.to_le_bytes(), &bytes]);
        Ok(Self { list, partners, root })
    }

    /// The keys that the pairing began with.
    pub fn list(&self) -> &KeyList {
        &self.list
    }

    /// What stands for the partners in all that is derived from them.
    pub fn root(&self) -> &[u8; 32] {
        &self.root
    }

    /// The partners.
    pub fn partners(&self) -> &[Partner] {
        &self.partners
    }

    /// How many partners there are.
    pub fn count(&self) -> usize {
        self.partners.len()
    }

    /// A partner's place, from 0: its bit in sets.
    pub fn place(&self, who: &Id) -> Result<usize, Error> {
        self.partners.binary_search_by(|partner| partner.id.cmp(who)).map_err(|_| Error::NotAPartner { who: *who })
    }

    /// The set of these partners. Somebody who is none is refused by name.
    pub fn set_of<'a>(&self, ids: impl IntoIterator<Item = &'a Id>) -> Result<u64, Error> {
        let mut set = 0;
        for id in ids {
            set |= 1_u64 << self.place(id)?;
        }
        Ok(set)
    }

    /// The set of all partners.
    pub fn all(&self) -> u64 {
        // 64 partners fill the set, and a shift by 64 is none
        u64::MAX >> (64 - self.partners.len())
    }

    /// Whether a set names partners only.
    pub fn check_set(&self, set: u64) -> Result<(), Error> {
        if set & !self.all() != 0 {
            return Err(Error::SetTooLong { set, partners: self.count() });
        }
        Ok(())
    }

    /// The partners in a set, in their order.
    pub fn of_set(&self, set: u64) -> impl Iterator<Item = &Partner> {
        self.partners.iter().enumerate().filter(move |(place, _)| contains(set, *place)).map(|(_, partner)| partner)
    }
}

/// Whether a set has a bit for this place.
pub(crate) fn contains(set: u64, place: usize) -> bool {
    (set >> place) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PublicKeys;

    fn partners(ids: &[u8]) -> Result<Partners, Error> {
        let keys = PublicKeys { seal: [0; 32], pair: [0; 32], seed: [0; 32] };
        let list = KeyList::new([0; 32], (1..=64).map(|id| ([id; 32], keys)).collect()).unwrap();
        Partners::new(list, ids.iter().map(|id| Partner { id: [*id; 32], deal: [0; 32], weight: 1 }).collect())
    }

    #[test]
    fn partners_are_in_order_and_have_given_keys() {
        assert_eq!(partners(&[]), Err(Error::Count { found: 0 }));
        assert_eq!(partners(&[2, 1]), Err(Error::Order { who: [1; 32] }));
        assert_eq!(partners(&[2, 2]), Err(Error::Order { who: [2; 32] }));
        assert_eq!(partners(&[1, 65]), Err(Error::NotInKeyList { who: [65; 32] }));
    }

    #[test]
    fn sets_are_counted_among_the_partners() {
        let some = partners(&[2, 5, 7]).unwrap();
        assert_eq!(some.all(), 0b111);
        let set = some.set_of(&[[2; 32], [7; 32]]).unwrap();
        assert_eq!(set, 0b101);
        assert_eq!(some.of_set(set).map(|partner| partner.id[0]).collect::<Vec<_>>(), [2, 7]);
        assert_eq!(some.set_of(&[[2; 32], [3; 32]]), Err(Error::NotAPartner { who: [3; 32] }));
        assert_eq!(some.check_set(0b111), Ok(()));
        assert_eq!(some.check_set(0b1000), Err(Error::SetTooLong { set: 0b1000, partners: 3 }));

        let all = partners(&(1..=64).collect::<Vec<u8>>()).unwrap();
        assert_eq!(all.all(), u64::MAX);
        assert_eq!(all.set_of(all.partners().iter().map(|partner| &partner.id)), Ok(u64::MAX));
        assert_eq!(all.check_set(u64::MAX), Ok(()));
    }

    /// Another weight or another set of partners makes other masks, so that nothing of one serves the other.
    #[test]
    fn the_root_depends_on_weights_and_deals() {
        let some = partners(&[2, 5, 7]).unwrap();
        let mut other = some.partners().to_vec();
        other[1].weight += 1;
        assert_ne!(Partners::new(some.list().clone(), other).unwrap().root(), some.root());
        let mut other = some.partners().to_vec();
        other[2].deal[31] ^= 1;
        assert_ne!(Partners::new(some.list().clone(), other).unwrap().root(), some.root());
        assert_ne!(partners(&[2, 5]).unwrap().root(), some.root());
    }
}
