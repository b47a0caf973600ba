//! Shamir's sharing of a secret over the scalar field of Curve25519: a polynomial whose constant term is the secret, evaluated at each
//! site's position. As many values as it has coefficients give the secret; fewer give nothing.
use crate::keys::draw_scalar;
use curve25519_dalek::Scalar;
use rand_core::CryptoRngCore;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A polynomial, its constant term first.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Polynomial(Vec<Scalar>);

impl Polynomial {
    /// A polynomial with this constant term and `threshold − 1` random coefficients.
    pub(crate) fn draw(secret: &[u8; 32], threshold: usize, rng: &mut impl CryptoRngCore) -> Self {
        // with its room from the beginning, so that it never moves and leaves a copy behind
        let mut coefficients = Vec::with_capacity(threshold);
        coefficients.push(Scalar::from_bytes_mod_order(*secret));
        for _ in 1..threshold {
            coefficients.push(*draw_scalar(rng));
        }
        Self(coefficients)
    }

    /// The value at a position, from 1: a share.
    pub(crate) fn share(&self, position: usize) -> Zeroizing<[u8; 32]> {
        let x = Scalar::from(position as u64);
        let value = self
            .0
            .iter()
            .rev()
            .fold(Zeroizing::new(Scalar::ZERO), |sum, coefficient| Zeroizing::new(*sum * x + *coefficient));
        Zeroizing::new(value.to_bytes())
    }
}

/// What the shares at these positions are multiplied with to give the secret. The same for all secrets that the same sites give shares
/// of, so it is made once. Positions are from 1, and none stands twice.
pub(crate) fn lagrange(positions: &[usize]) -> Vec<Scalar> {
    let x: Vec<Scalar> = positions.iter().map(|position| Scalar::from(*position as u64)).collect();
    let others = |i: usize| x.iter().enumerate().filter(move |(k, _)| *k != i).map(|(_, x)| *x);
    let mut below: Vec<Scalar> = (0..x.len()).map(|i| others(i).map(|other| other - x[i]).product()).collect();
    Scalar::batch_invert(&mut below);
    below.iter().enumerate().map(|(i, inverse)| others(i).product::<Scalar>() * inverse).collect()
}

/// The secret that these shares give. Share bytes count modulo the order of the field.
pub(crate) fn reconstruct<'a>(coefficients: &[Scalar], shares: impl IntoIterator<Item = &'a [u8; 32]>) -> [u8; 32] {
    coefficients
        .iter()
        .zip(shares)
        .map(|(c, share)| c * Scalar::from_bytes_mod_order(*share))
        .sum::<Scalar>()
        .to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{threshold, Entropy};

    fn shares(secret: &[u8; 32], threshold: usize, sites: usize) -> Vec<[u8; 32]> {
        let polynomial = Polynomial::draw(secret, threshold, &mut Entropy::new(&[1; 32], b"test"));
        (1..=sites).map(|position| *polynomial.share(position)).collect()
    }

    fn together(positions: &[usize], shares: &[[u8; 32]]) -> [u8; 32] {
        reconstruct(&lagrange(positions), positions.iter().map(|position| &shares[position - 1]))
    }

    /// All 35 choices of four, and all 35 of three, out of seven sites; the order in which they are given does not matter.
    #[test]
    fn any_threshold_of_shares_give_the_secret_and_one_fewer_do_not() {
        let secret = Scalar::from(123_456_789_u64).invert().to_bytes();
        let shares = shares(&secret, 4, 7);
        for set in 0_u32..128 {
            let positions: Vec<usize> = (1..=7).filter(|position| (set >> (position - 1)) & 1 == 1).collect();
            match positions.len() {
                0 => {}
                1..=3 => assert_ne!(together(&positions, &shares), secret, "{positions:?}"),
                _ => assert_eq!(together(&positions, &shares), secret, "{positions:?}"),
            }
        }
        assert_eq!(together(&[6, 2, 7, 1], &shares), secret);
    }

    #[test]
    fn shares_of_64_sites_give_the_secret() {
        let secret = [5; 32];
        let shares = shares(&secret, threshold(64), 64);
        let last: Vec<usize> = (22..=64).collect();
        assert_eq!(last.len(), 43);
        assert_eq!(together(&last, &shares), secret);
        assert_ne!(together(&last[1..], &shares), secret);
    }

    /// 7 + 3x + 2x², by hand.
    #[test]
    fn a_polynomial_is_evaluated_from_its_constant_term() {
        let polynomial = Polynomial([7_u64, 3, 2].map(Scalar::from).to_vec());
        assert_eq!(*polynomial.share(1), Scalar::from(12_u64).to_bytes());
        assert_eq!(*polynomial.share(5), Scalar::from(72_u64).to_bytes());
    }

    #[test]
    fn a_polynomial_is_overwritten() {
        fn overwritten_when_dropped<T: ZeroizeOnDrop>(_: &T) {}
        let mut polynomial = Polynomial([7_u64, 3].map(Scalar::from).to_vec());
        overwritten_when_dropped(&polynomial);
        polynomial.zeroize();
        assert!(polynomial.0.is_empty());
    }
}
