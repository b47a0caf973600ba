//! What a site deals to all sites of the key list: commitments to their shares, and the shares, sealed to each.
use crate::{
    hash::{agree, derive, hash},
    shamir::Polynomial,
    Entropy, Error, Id, KeyList, Secrets, Which,
};
use chacha20poly1305::{AeadInPlace, ChaCha20Poly1305, KeyInit, Nonce};
use rand_core::CryptoRngCore;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a deal that are for one site: two commitments and the sealed shares.
pub const PART_LEN: usize = 144;

/// Bytes of two sealed shares with their tag.
pub const SEALED_LEN: usize = 80;

/// The hash of a deal, by which partners are agreed on.
pub fn deal_hash(deal: &[u8]) -> [u8; 32] {
    hash(&[deal])
}

/// Whether a deal has a part for each site of the list.
pub fn check_deal(list: &KeyList, deal: &[u8]) -> Result<(), Error> {
    let expected = PART_LEN * list.count();
    if deal.len() != expected {
        return Err(Error::Length { what: "a deal", found: deal.len(), expected });
    }
    Ok(())
}

/// One site's two shares of another's secrets.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Shares {
    /// The share of the seed.
    pub seed: [u8; 32],
    /// The share of the pair secret.
    pub pair: [u8; 32],
}

impl core::fmt::Debug for Shares {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Shares(secret)")
    }
}

impl Shares {
    /// The share of one of the two secrets.
    pub fn of(&self, which: Which) -> &[u8; 32] {
        match which {
            Which::Seed => &self.seed,
            Which::Pair => &self.pair,
        }
    }
}

/// The two polynomials that a site's shares are values of. Their constant terms are its secrets.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Sharing {
    seed: Polynomial,
    pair: Polynomial,
}

impl core::fmt::Debug for Sharing {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Sharing(secret)")
    }
}

impl Sharing {
    /// The polynomials that follow from a site's secrets for this list. They are the same at every call, so that a worker that is
    /// started again deals the same bytes, and others for another list.
    pub fn new(secrets: &Secrets, list: &KeyList) -> Self {
        let label = [&b"consilium/sharing/1"[..], &list.root()[..]].concat();
        Self::draw(secrets, list, &mut Entropy::new(&secrets.sharing, &label))
    }

    /// Polynomials with coefficients of the caller's generator: first those of the seed's, then those of the pair secret's, 64 bytes
    /// for each.
    pub fn draw(secrets: &Secrets, list: &KeyList, rng: &mut impl CryptoRngCore) -> Self {
        let seed = Polynomial::draw(&secrets.seed, list.threshold(), rng);
        let pair = Polynomial::draw(&secrets.pair, list.threshold(), rng);
        Self { seed, pair }
    }

    /// The shares of the site at a place of the list, from 0.
    pub fn shares(&self, place: usize) -> Shares {
        Shares { seed: *self.seed.share(place + 1), pair: *self.pair.share(place + 1) }
    }

    /// The deal: 144 bytes for each site of the list, in its order.
    pub fn deal(&self, secrets: &Secrets, own: &Id, list: &KeyList) -> Result<Vec<u8>, Error> {
        list.place(own)?;
        let mut deal = Vec::with_capacity(PART_LEN * list.count());
        for (place, (holder, keys)) in list.sites().iter().enumerate() {
            let shares = self.shares(place);
            for which in [Which::Seed, Which::Pair] {
                deal.extend_from_slice(&commitment(list, own, holder, which, shares.of(which)));
            }
            if holder == own {
                // its own shares follow from its own secrets
                deal.extend_from_slice(&[0; SEALED_LEN]);
            } else {
                deal.extend_from_slice(&seal(&secrets.seal, &keys.seal, &[list.root(), own, holder], &shares));
            }
        }
        Ok(deal)
    }
}

/// The commitment to a share.
pub(crate) fn commitment(list: &KeyList, dealer: &Id, holder: &Id, which: Which, share: &[u8; 32]) -> [u8; 32] {
    hash(&[b"consilium/share/1", list.root(), dealer, holder, &[which as u8], share])
}

/// Whether a share is the one that a deal commits to. The deal has a part for each site of the list.
pub(crate) fn check_share(
    list: &KeyList,
    dealer: &Id,
    deal: &[u8],
    holder: &Id,
    which: Which,
    share: &[u8; 32],
) -> Result<(), Error> {
    let start = PART_LEN * list.place(holder)? + 32 * which as usize;
    if deal[start..start + 32] != commitment(list, dealer, holder, which, share) {
        return Err(Error::WrongShare { dealer: *dealer, holder: *holder, which });
    }
    Ok(())
}

/// Opens what `dealer` dealt to this site, and checks it against the deal's commitments. One's own deal is opened like any other.
pub fn open_deal(secrets: &Secrets, own: &Id, list: &KeyList, dealer: &Id, deal: &[u8]) -> Result<Shares, Error> {
    check_deal(list, deal)?;
    let place = list.place(own)?;
    let keys = list.keys(dealer)?;
    let shares = if dealer == own {
        Sharing::new(secrets, list).shares(place)
    } else {
        let end = PART_LEN * (place + 1);
        let sealed = &deal[end - SEALED_LEN..end];
        unseal(&secrets.seal, &keys.seal, &[list.root(), dealer, own], sealed)
            .ok_or(Error::Sealed { dealer: *dealer })?
    };
    for which in [Which::Seed, Which::Pair] {
        check_share(list, dealer, deal, own, which, shares.of(which))?;
    }
    Ok(shares)
}

/// The key and the bytes that a seal is bound to: the root of the key list, the dealer and the holder. The key serves once, so the
/// nonce is zero.
fn sealing(secret: &[u8; 32], public: &[u8; 32], parties: &[&[u8; 32]; 3]) -> (ChaCha20Poly1305, [u8; 96]) {
    let mut bound = [0; 96];
    for (place, party) in parties.iter().enumerate() {
        bound[32 * place..32 * (place + 1)].copy_from_slice(*party);
    }
    let common = agree(secret, public);
    let key = derive(b"consilium/seal/1", &common[..], &[&bound]);
    (ChaCha20Poly1305::new((&*key).into()), bound)
}

fn seal(secret: &[u8; 32], public: &[u8; 32], parties: &[&[u8; 32]; 3], shares: &Shares) -> [u8; SEALED_LEN] {
    let (cipher, bound) = sealing(secret, public, parties);
    let mut plain = Zeroizing::new([0_u8; 64]);
    plain[..32].copy_from_slice(&shares.seed);
    plain[32..].copy_from_slice(&shares.pair);
    let tag = cipher
        .encrypt_in_place_detached(&Nonce::default(), &bound, &mut plain[..])
        .expect("ChaCha20-Poly1305 seals up to 256 GB, and 64 bytes are given");
    let mut sealed = [0; SEALED_LEN];
    sealed[..64].copy_from_slice(&plain[..]);
    sealed[64..].copy_from_slice(&tag);
    sealed
}

fn unseal(secret: &[u8; 32], public: &[u8; 32], parties: &[&[u8; 32]; 3], sealed: &[u8]) -> Option<Shares> {
    let (cipher, bound) = sealing(secret, public, parties);
    let (shares, tag) = sealed.split_at_checked(64)?;
    let tag: [u8; 16] = tag.try_into().ok()?;
    let mut plain = Zeroizing::new([0_u8; 64]);
    plain.copy_from_slice(shares);
    cipher.decrypt_in_place_detached(&Nonce::default(), &bound, &mut plain[..], (&tag).into()).ok()?;
    let mut shares = Shares { seed: [0; 32], pair: [0; 32] };
    shares.seed.copy_from_slice(&plain[..32]);
    shares.pair.copy_from_slice(&plain[32..]);
    Some(shares)
}
