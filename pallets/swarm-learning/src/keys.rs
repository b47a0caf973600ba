//! The key that signs votes: sr25519, in application [`KEY_TYPE`](crate::KEY_TYPE).

mod app {
    use sp_application_crypto::{app_crypto, sr25519};
    app_crypto!(sr25519, crate::KEY_TYPE);
}
sp_application_crypto::with_pair! {
    /// Key pair of a `swarm` key.
    pub type AuthorityPair = app::Pair;
}
/// Signature of a vote.
pub type AuthoritySignature = app::Signature;
/// Public part of a `swarm` key.
pub type AuthorityId = app::Public;
