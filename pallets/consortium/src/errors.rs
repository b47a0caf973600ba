//! What the pallet refuses.

use frame_support::pallet_macros::pallet_section;

/// The errors of the pallet.
#[pallet_section]
mod errors {
    /// Why a call was refused, and what to do.
    #[pallet::error]
    pub enum Error<T> {
        /// The account is no institution of this consortium. Check the account, or have it admitted first.
        NotAnInstitution,
        /// The account is an institution already. Change its flags, or reinstate it.
        AlreadyAdmitted,
        /// The consortium is full. Remove an institution first.
        TooManyInstitutions,
        /// The name is empty, not UTF-8, or has control or format characters. Give it as 1 to 64 bytes of plain text.
        InvalidName,
        /// The profile is not UTF-8 or has control or format characters. Give it as plain text; line feeds are allowed.
        InvalidProfile,
        /// The institution has no session keys, without which a validator makes no blocks.
        ///
        /// Let it register some with `rotate_keys`, then set the flag.
        NoSessionKeys,
        /// Fewer validators with session keys would remain than the chain needs: make another one a validator first.
        TooFewValidators,
        /// The institution is suspended already. Reinstate or remove it.
        AlreadySuspended,
        /// The institution is not suspended, so there is nothing to reinstate.
        NotSuspended,
        /// The node key did not sign this peer id for this institution on this chain. Let the node sign it again.
        InvalidPeerIdSignature,
        /// Another institution has claimed this peer id. Give this node a node key of its own.
        PeerIdTaken,
        /// An address is not `/dns`, `/ip4` or `/ip6` with `/tcp` and a port, or is private and the founding forbids that.
        InvalidAddress,
        /// The session keys are not those of this runtime. Let the node's own `make-keys` write them.
        InvalidSessionKeys,
        /// The account belongs to this or another institution already. Take one that does not.
        AccountTaken,
        /// The institution was removed or has left, and its node is still needed: wait for two sessions, or the running merge.
        StillLeaving,
        /// Too many institutions were removed within fourteen days. Wait.
        TooManyRemoved,
        /// The institution does not wait for its node, or since another block. Let the node say so itself.
        NotWaiting,
        /// A suspended institution neither proposes nor votes. Have it reinstated first.
        NoVoice,
        /// The institution has three motions open already. Wait for one to be decided.
        TooManyMotions,
        /// There is no open motion of this number.
        NoSuchMotion,
        /// The motion's time is over. Propose it again.
        MotionExpired,
        /// The motion can still be voted on.
        MotionOpen,
        /// More voices than a consortium can have.
        TooManyVoices,
        /// A threshold is half or less, or one of four institutions could hold it up for ever.
        UnsoundThresholds,
        /// The delay of a new runtime is shorter than agreed at founding.
        DelayTooShort,
        /// Another runtime is decided already. Cancel that first.
        UpgradePending,
        /// No runtime is pending, so there is nothing to cancel.
        NothingPending,
        /// The block is in the future: it cannot be final.
        NotFinalYet,
        /// A rescue waits 20 seconds at least and an hour at most, in blocks.
        ///
        /// Others must see it, and it holds up every other change of finality's voters.
        RescueDelay,
        /// The last change of the validators is not in force yet, or a rescue is under way. Try again in half a minute.
        StillSettling,
        /// The recovery is for another chain, or its last final block is, where this one still knows its hash. Make it anew.
        OtherChain,
        /// A recovery from this block, or from a later one, was made already.
        RecoveredAlready,
        /// The lost are not named in ascending order, or none of them is in the active set of validators.
        NotLost,
        /// With those who remain finality goes on: let them suspend, remove, or rescue by motions.
        NotNeeded,
        /// Not every validator that remains has signed the recovery, or less than two thirds of the institutions.
        TooFewConsents,
        /// Who consents is named twice, out of order, suspended, lost or no institution, or has not signed this.
        InvalidConsent,
        /// One of the lost has made a block within the time of silence that was agreed at founding. Wait.
        StillHeard,
        /// The recovery's last final block is more than fourteen days of blocks ago. Make it anew.
        RecoveryTooOld,
    }
}
