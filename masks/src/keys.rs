//! A site's secrets for one pairing, what it publishes of them, and the list of what all sites published.
use crate::{
    hash::{hash, public},
    Error, Which,
};
use curve25519_dalek::Scalar;
use rand_core::CryptoRngCore;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// An institution's id on the chain.
pub type Id = [u8; 32];

/// Bytes of what a site publishes: two public keys and a commitment.
pub const KEYS_LEN: usize = 96;

/// Bytes of a site's secrets as they are kept on its disk.
pub const SECRETS_LEN: usize = 128;

/// The most sites that can agree on masks: sets of them are kept in 64 bits.
pub const MAX_SITES: usize = 64;

/// How many shares open a secret that was dealt to `sites` sites: more than two thirds.
pub fn threshold(sites: usize) -> usize {
    2 * sites / 3 + 1
}

/// What a site publishes for one pairing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKeys {
    /// For sealing shares to the site.
    pub seal: [u8; 32],
    /// For masks in common with the site.
    pub pair: [u8; 32],
    /// The commitment to the site's seed.
    pub seed: [u8; 32],
}

impl PublicKeys {
    /// The 96 bytes that go into the chain.
    pub fn to_bytes(&self) -> [u8; KEYS_LEN] {
        let mut bytes = [0; KEYS_LEN];
        bytes[..32].copy_from_slice(&self.seal);
        bytes[32..64].copy_from_slice(&self.pair);
        bytes[64..].copy_from_slice(&self.seed);
        bytes
    }

    /// From the 96 bytes of the chain. Every value of them is a key.
    pub fn from_bytes(bytes: &[u8; KEYS_LEN]) -> Self {
        Self { seal: piece(bytes, 0), pair: piece(bytes, 1), seed: piece(bytes, 2) }
    }
}

/// 32 of some bytes, counted in pieces of 32.
fn piece(bytes: &[u8], place: usize) -> [u8; 32] {
    bytes.as_chunks::<32>().0[place]
}

/// The commitment to a seed.
pub(crate) fn seed_commitment(context: &[u8; 32], who: &Id, seed: &[u8; 32]) -> [u8; 32] {
    hash(&[b"consilium/seed/1", context, who, seed])
}

/// What a site keeps to itself for one pairing. It is overwritten in memory when it is dropped; its file is the caller's matter.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secrets {
    pub(crate) seal: [u8; 32],
    pub(crate) pair: [u8; 32],
    pub(crate) seed: [u8; 32],
    pub(crate) sharing: [u8; 32],
}

impl core::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secrets(secret)")
    }
}

impl Secrets {
    /// Draws secrets for one pairing. The generator must be seeded by the system's random bytes ([`Entropy`](crate::Entropy) of 32 of
    /// them will do), and never by anything that serves twice.
    pub fn draw(rng: &mut impl CryptoRngCore) -> Self {
        let seal = draw_scalar(rng).to_bytes();
        let pair = draw_scalar(rng).to_bytes();
        let seed = draw_scalar(rng).to_bytes();
        let mut sharing = [0; 32];
        rng.fill_bytes(&mut sharing);
        Self { seal, pair, seed, sharing }
    }

    /// Secrets with these values: the secrets of the seal key and of the pair key, the seed, and 32 bytes that the polynomials of the
    /// shares are drawn from.
    pub fn from_parts(seal: [u8; 32], pair: [u8; 32], seed: [u8; 32], sharing: [u8; 32]) -> Result<Self, Error> {
        for (which, secret) in [(Which::Seed, seed), (Which::Pair, pair)] {
            if bool::from(Scalar::from_canonical_bytes(secret).is_none()) {
                return Err(Error::NotAScalar(which));
            }
        }
        Ok(Self { seal, pair, seed, sharing })
    }

    /// As kept in a file: seal, pair, seed, and what the polynomials are drawn from.
    pub fn from_bytes(bytes: &[u8; SECRETS_LEN]) -> Result<Self, Error> {
        Self::from_parts(piece(bytes, 0), piece(bytes, 1), piece(bytes, 2), piece(bytes, 3))
    }

    /// For a file that only the site can read.
    pub fn to_bytes(&self) -> Zeroizing<[u8; SECRETS_LEN]> {
        let mut bytes = Zeroizing::new([0; SECRETS_LEN]);
        for (place, part) in [&self.seal, &self.pair, &self.seed, &self.sharing].into_iter().enumerate() {
            bytes[32 * place..32 * (place + 1)].copy_from_slice(part);
        }
        bytes
    }

    /// What this site publishes.
    pub fn public_keys(&self, context: &[u8; 32], own: &Id) -> PublicKeys {
        PublicKeys {
            seal: public(&self.seal),
            pair: public(&self.pair),
            seed: seed_commitment(context, own, &self.seed),
        }
    }
}

/// A scalar, each as probable as any other up to 2^-250.
pub(crate) fn draw_scalar(rng: &mut impl CryptoRngCore) -> Zeroizing<Scalar> {
    let mut wide = Zeroizing::new([0_u8; 64]);
    rng.fill_bytes(&mut wide[..]);
    Zeroizing::new(Scalar::from_bytes_mod_order_wide(&wide))
}

/// The sites whose keys arrived in time, in ascending order of ids. A site's position in it is where its shares are taken from the
/// polynomials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyList {
    context: [u8; 32],
    sites: Vec<(Id, PublicKeys)>,
    root: [u8; 32],
}

impl KeyList {
    /// The list of these sites.
    pub fn new(context: [u8; 32], sites: Vec<(Id, PublicKeys)>) -> Result<Self, Error> {
        if sites.is_empty() || sites.len() > MAX_SITES {
            return Err(Error::Count { found: sites.len() });
        }
        check_order(sites.iter().map(|(id, _)| id))?;
        let keys: Vec<_> = sites.iter().map(|(_, keys)| keys.to_bytes()).collect();
        let mut parts: Vec<&[u8]> = vec![&b"consilium/keys/1"[..], &context[..]];
        for ((id, _), keys) in sites.iter().zip(&keys) {
            parts.push(id);
            parts.push(keys);
        }
        let root = hash(&parts);
        Ok(Self { context, sites, root })
    }

    /// The pairing's name.
    pub fn context(&self) -> &[u8; 32] {
        &self.context
    }

    /// What stands for the list in all that is derived from it.
    pub fn root(&self) -> &[u8; 32] {
        &self.root
    }

    /// The sites and their keys.
    pub fn sites(&self) -> &[(Id, PublicKeys)] {
        &self.sites
    }

    /// How many sites there are.
    pub fn count(&self) -> usize {
        self.sites.len()
    }

    /// How many shares open a secret.
    pub fn threshold(&self) -> usize {
        threshold(self.sites.len())
    }

    /// A site's place, from 0; its position in the polynomials is one more.
    pub fn place(&self, who: &Id) -> Result<usize, Error> {
        self.sites.binary_search_by(|(id, _)| id.cmp(who)).map_err(|_| Error::NotInKeyList { who: *who })
    }

    /// A site's keys.
    pub fn keys(&self, who: &Id) -> Result<&PublicKeys, Error> {
        Ok(&self.sites[self.place(who)?].1)
    }
}

/// Ascending, and nobody twice.
pub(crate) fn check_order<'a>(ids: impl Iterator<Item = &'a Id>) -> Result<(), Error> {
    let mut last: Option<&Id> = None;
    for id in ids {
        if last.is_some_and(|last| last >= id) {
            return Err(Error::Order { who: *id });
        }
        last = Some(id);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Entropy;

    fn some(byte: u8) -> Secrets {
        Secrets::draw(&mut Entropy::new(&[byte; 32], b"test"))
    }

    #[test]
    fn the_threshold_is_more_than_two_thirds() {
        assert_eq!([3, 4, 5, 6, 7, 8, 16, 32, 64].map(threshold), [3, 3, 4, 5, 5, 6, 11, 22, 43]);
    }

    #[test]
    fn secrets_return_from_their_file() {
        let secrets = some(1);
        let again = Secrets::from_bytes(&secrets.to_bytes()).unwrap();
        assert_eq!(secrets.to_bytes(), again.to_bytes());
        assert_ne!(secrets.to_bytes(), some(2).to_bytes());
        assert_ne!(secrets.seal, secrets.pair);
    }

    /// The seed and the pair secret are constant terms of polynomials; what is above the order of the field would come back as another.
    #[test]
    fn a_secret_above_the_order_is_refused() {
        let mut bytes = some(1).to_bytes();
        bytes[95] = 0xff;
        assert_eq!(Secrets::from_bytes(&bytes).unwrap_err(), Error::NotAScalar(Which::Seed));
        let mut bytes = some(1).to_bytes();
        bytes[63] = 0xff;
        assert_eq!(Secrets::from_bytes(&bytes).unwrap_err(), Error::NotAScalar(Which::Pair));
    }

    #[test]
    fn secrets_are_overwritten() {
        fn overwritten_when_dropped<T: ZeroizeOnDrop>(_: &T) {}
        let mut secrets = some(1);
        overwritten_when_dropped(&secrets);
        secrets.zeroize();
        assert_eq!(*secrets.to_bytes(), [0; SECRETS_LEN]);
    }

    #[test]
    fn keys_return_from_their_bytes_and_nothing_secret_is_printed() {
        let secrets = some(1);
        let keys = secrets.public_keys(&[1; 32], &[2; 32]);
        assert_eq!(PublicKeys::from_bytes(&keys.to_bytes()), keys);
        assert_ne!(keys.seed, secrets.public_keys(&[1; 32], &[3; 32]).seed);
        assert_ne!(keys.seed, secrets.public_keys(&[3; 32], &[2; 32]).seed);
        assert_eq!(format!("{secrets:?}"), "Secrets(secret)");
    }

    #[test]
    fn a_list_is_in_order_and_names_nobody_twice() {
        let keys = some(1).public_keys(&[0; 32], &[1; 32]);
        let list = |ids: &[u8]| KeyList::new([0; 32], ids.iter().map(|id| ([*id; 32], keys)).collect());
        let three = list(&[1, 5, 9]).unwrap();
        assert_eq!((three.count(), three.threshold(), three.place(&[5; 32])), (3, 3, Ok(1)));
        assert_eq!(three.place(&[6; 32]), Err(Error::NotInKeyList { who: [6; 32] }));
        assert_eq!(list(&[1, 9, 5]), Err(Error::Order { who: [5; 32] }));
        assert_eq!(list(&[1, 5, 5]), Err(Error::Order { who: [5; 32] }));
        assert_eq!(list(&[]), Err(Error::Count { found: 0 }));
        let many: Vec<u8> = (0..65).collect();
        assert_eq!(list(&many), Err(Error::Count { found: 65 }));
        assert!(list(&many[..64]).is_ok());
    }
}
