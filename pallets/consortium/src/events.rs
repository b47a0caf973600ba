//! What the pallet tells.

use frame_support::pallet_macros::pallet_section;

/// The events of the pallet.
#[pallet_section]
mod events {
    /// What happened.
    #[pallet::event]
    #[pallet::generate_deposit(pub(crate) fn deposit_event)]
    pub enum Event<T: Config> {
        /// The consortium admitted an institution.
        Admitted {
            /// The institution.
            institution: T::AccountId,
            /// Its name.
            name: Name,
            /// Is to make blocks.
            validator: bool,
            /// May take part in studies.
            participant: bool,
        },
        /// The consortium set an institution's flags.
        FlagsSet {
            /// The institution.
            institution: T::AccountId,
            /// Is to make blocks.
            validator: bool,
            /// May take part in studies.
            participant: bool,
        },
        /// The consortium suspended an institution.
        Suspended {
            /// The institution.
            institution: T::AccountId,
        },
        /// The consortium reinstated an institution.
        Reinstated {
            /// The institution.
            institution: T::AccountId,
        },
        /// The consortium removed an institution.
        Removed {
            /// The institution.
            institution: T::AccountId,
        },
        /// An institution left the consortium.
        Left {
            /// The institution.
            institution: T::AccountId,
        },
        /// An institution changed what it says about itself.
        ProfileSet {
            /// The institution.
            institution: T::AccountId,
        },
        /// An institution claimed the peer id of its node.
        PeerIdSet {
            /// The institution.
            institution: T::AccountId,
            /// The peer id.
            peer_id: PeerId,
        },
        /// An institution replaced its session keys.
        KeysRotated {
            /// The institution.
            institution: T::AccountId,
        },
        /// An institution is signed for by another account from now on.
        AccountRotated {
            /// The institution.
            institution: T::AccountId,
            /// The account that signs for it.
            account: T::AccountId,
        },
        /// A validator's node said that it is in step with the chain: from now on it stands.
        Ready {
            /// The institution.
            institution: T::AccountId,
        },
        /// An institution that was removed or has left is needed no more, neither for finality nor for a merge that runs.
        Gone {
            /// The institution.
            institution: T::AccountId,
        },
        /// An institution said where its node can be reached.
        AddressesSet {
            /// The institution.
            institution: T::AccountId,
        },
        /// A motion was put to the vote.
        Proposed {
            /// Its number.
            motion: u32,
            /// Who proposed it.
            proposer: T::AccountId,
        },
        /// An institution voted.
        Voted {
            /// The motion.
            motion: u32,
            /// The institution.
            institution: T::AccountId,
            /// For it.
            aye: bool,
        },
        /// A motion was decided, and done.
        Passed {
            /// The motion.
            motion: u32,
        },
        /// A motion was decided, and could not be done any more.
        Failed {
            /// The motion.
            motion: u32,
            /// Why.
            error: DispatchError,
        },
        /// A motion can no longer pass.
        Rejected {
            /// The motion.
            motion: u32,
        },
        /// A motion was not decided in time.
        Expired {
            /// The motion.
            motion: u32,
        },
        /// Those who remained took out those who were lost.
        Recovered {
            /// The last block that was final before.
            last_final: u32,
            /// Who was taken out.
            lost: Vec<T::AccountId>,
        },
        /// A new set of validators was handed over for a session.
        ValidatorsPlanned {
            /// The session that it is for.
            session: SessionIndex,
            /// Number of validators.
            validators: u32,
        },
    }
}
