//! The chain that a consortium of hospitals owns together: Aura and GRANDPA, the institutions, their studies.
//!
//! There is no token economy. Who signs for an institution is let in, within its quota, and nobody else, so there are no
//! fees, and nobody has money ([`money`]). Nobody is root: what concerns all is decided by motions of the institutions.
#![cfg_attr(not(feature = "std"), no_std)]
#![recursion_limit = "256"]
#![allow(missing_docs)] // items the macros generate

extern crate alloc;

mod apis;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarks;
mod genesis_config_presets;
mod money;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use codec::{Decode, Encode};
use consilium_primitives::InstitutionId;
use frame_support::{
    derive_impl, parameter_types,
    traits::{ConstBool, ConstU32, ConstU64, Contains},
    weights::{constants::WEIGHT_REF_TIME_PER_MILLIS, Weight},
};
use frame_system::limits::{BlockLength, BlockWeights};
use sp_consensus_aura::sr25519::AuthorityId as AuraId;
use sp_runtime::{
    generic, impl_opaque_keys,
    traits::{AccountIdLookup, BlakeTwo256, ConvertInto, Hash as _, IdentifyAccount, Verify},
    MultiAddress, MultiSignature, Perbill,
};
use sp_version::RuntimeVersion;

#[cfg(feature = "std")]
pub use apis::RuntimeApi;
pub use genesis_config_presets::{get_preset, preset_names};

/// Opaque types for the parts of the node that know nothing of the runtime.
pub mod opaque {
    use super::*;
    pub use sp_runtime::OpaqueExtrinsic as UncheckedExtrinsic;

    /// Header.
    pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
    /// Block.
    pub type Block = generic::Block<Header, UncheckedExtrinsic>;
}

impl_opaque_keys! {
    /// What a node signs with: blocks, finality, votes.
    pub struct SessionKeys {
        pub aura: Aura,
        pub grandpa: Grandpa,
        pub swarm: SwarmLearning,
    }
}

#[sp_version::runtime_version]
pub const VERSION: RuntimeVersion = RuntimeVersion {
    spec_name: alloc::borrow::Cow::Borrowed("consilium"),
    impl_name: alloc::borrow::Cow::Borrowed("consilium"),
    authoring_version: 1,
    spec_version: 10,
    impl_version: 1,
    apis: apis::RUNTIME_API_VERSIONS,
    transaction_version: 2,
    system_version: 1,
};

pub use consilium_primitives::{BlockNumber, SLOT_MILLIS};

pub type Signature = MultiSignature;
pub type AccountId = <<Signature as Verify>::Signer as IdentifyAccount>::AccountId;
pub type Balance = u128;
pub type Nonce = u32;
pub type Hash = sp_core::H256;
pub type Address = MultiAddress<AccountId, ()>;
pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
pub type Block = generic::Block<Header, UncheckedExtrinsic>;

/// Votes are authorised by [`frame_system::AuthorizeCall`]; nothing is paid for, and who signs has a quota.
pub type TxExtension = (
    frame_system::AuthorizeCall<Runtime>,
    frame_system::CheckNonZeroSender<Runtime>,
    frame_system::CheckSpecVersion<Runtime>,
    frame_system::CheckTxVersion<Runtime>,
    frame_system::CheckGenesis<Runtime>,
    frame_system::CheckEra<Runtime>,
    pallet_consortium::CheckQuota<Runtime>,
    frame_system::CheckWeight<Runtime>,
    frame_metadata_hash_extension::CheckMetadataHash<Runtime>,
    frame_system::WeightReclaim<Runtime>,
);

pub type UncheckedExtrinsic = generic::UncheckedExtrinsic<Address, RuntimeCall, Signature, TxExtension>;

pub type Executive =
    frame_executive::Executive<Runtime, Block, frame_system::ChainContext<Runtime>, Runtime, AllPalletsWithSystem>;

#[frame_support::runtime]
mod runtime {
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeSlashReason,
        RuntimeLockId,
        RuntimeTask,
        RuntimeViewFunction
    )]
    pub struct Runtime;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;
    #[runtime::pallet_index(1)]
    pub type Timestamp = pallet_timestamp;
    // 2 was the pallet of balances, before version 7
    #[runtime::pallet_index(3)]
    pub type Consortium = pallet_consortium;
    #[runtime::pallet_index(4)]
    pub type Session = pallet_session;
    #[runtime::pallet_index(5)]
    pub type Aura = pallet_aura;
    #[runtime::pallet_index(6)]
    pub type Grandpa = pallet_grandpa;
    #[runtime::pallet_index(7)]
    pub type SwarmLearning = pallet_swarm_learning;
}

const NORMAL: Perbill = Perbill::from_percent(75);
/// Half of a slot, so that slow nodes keep up: a new runtime, the dearest that can be called, weighs a third of one.
const MAX_BLOCK_WEIGHT: Weight =
    Weight::from_parts(WEIGHT_REF_TIME_PER_MILLIS.saturating_mul(SLOT_MILLIS / 2), u64::MAX);
const MAX_BLOCK_LENGTH: u32 = 2 * 1024 * 1024;

parameter_types! {
    // what is signed for 2,048 blocks, seventeen minutes, finds the hash that it names
    pub const BlockHashCount: BlockNumber = 4096;
    pub const Version: RuntimeVersion = VERSION;
    pub const SS58Prefix: u8 = 42;
    pub RuntimeBlockWeights: BlockWeights = BlockWeights::with_sensible_defaults(MAX_BLOCK_WEIGHT, NORMAL);
    pub RuntimeBlockLength: BlockLength = BlockLength::builder()
        .max_length(MAX_BLOCK_LENGTH)
        .modify_max_length_for_class(frame_support::dispatch::DispatchClass::Normal, |max| *max = NORMAL * MAX_BLOCK_LENGTH)
        .build();
}

/// What may be called. Session keys are replaced by
/// `consortium.rotate_keys`, which ends the session soon, or go with their institution, and are never purged: a validator
/// without keys makes no blocks, and a chain whose last one did so would stand. Finality is helped on by a motion alone. Of
/// the system's calls, the one that applies a runtime that was decided.
pub struct Allowed;
impl Contains<RuntimeCall> for Allowed {
    fn contains(call: &RuntimeCall) -> bool {
        match call {
            RuntimeCall::System(call) => matches!(call, frame_system::Call::apply_authorized_upgrade { .. }),
            RuntimeCall::Timestamp(_) | RuntimeCall::Consortium(_) | RuntimeCall::SwarmLearning(_) => true,
            RuntimeCall::Session(_) | RuntimeCall::Grandpa(_) => false,
        }
    }
}

#[derive_impl(frame_system::config_preludes::SolochainDefaultConfig)]
impl frame_system::Config for Runtime {
    type BaseCallFilter = Allowed;
    type Block = Block;
    type BlockWeights = RuntimeBlockWeights;
    type BlockLength = RuntimeBlockLength;
    type AccountId = AccountId;
    type Lookup = AccountIdLookup<AccountId, ()>;
    type Nonce = Nonce;
    type Hash = Hash;
    type BlockHashCount = BlockHashCount;
    type DbWeight = frame_support::weights::constants::ParityDbWeight;
    type Version = Version;
    type AccountData = ();
    type SingleBlockMigrations = money::ForgetBalances;
    type SS58Prefix = SS58Prefix;
    type MaxConsumers = ConstU32<16>;
}

impl pallet_timestamp::Config for Runtime {
    type Moment = u64;
    type OnTimestampSet = Aura;
    type MinimumPeriod = ConstU64<{ SLOT_MILLIS / 2 }>;
    type WeightInfo = ();
}

impl pallet_session::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type ValidatorId = AccountId;
    type ValidatorIdOf = ConvertInto;
    type ShouldEndSession = Consortium;
    type NextSessionRotation = Consortium;
    type SessionManager = Consortium;
    type SessionHandler = (Aura, Grandpa, SwarmLearning);
    type Keys = SessionKeys;
    type DisablingStrategy = ();
    type WeightInfo = ();
    type Currency = money::NoMoney;
    type KeyDeposit = frame_support::traits::ConstU128<0>;
}

impl pallet_aura::Config for Runtime {
    type AuthorityId = AuraId;
    type DisabledValidators = ();
    type MaxAuthorities = ConstU32<64>;
    type AllowMultipleBlocksPerSlot = ConstBool<false>;
    type SlotDuration = ConstU64<SLOT_MILLIS>;
}

impl pallet_grandpa::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = ();
    type MaxAuthorities = ConstU32<64>;
    type MaxNominators = ConstU32<0>;
    type MaxSetIdSessionEntries = ConstU64<0>;
    type KeyOwnerProof = sp_core::Void;
    type EquivocationReportSystem = ();
}

/// No study waits for an institution that has left.
pub struct TellStudies;
impl pallet_consortium::OnDeparture<AccountId> for TellStudies {
    fn departed(who: &AccountId) {
        SwarmLearning::departed(who);
    }

    fn serving() -> Vec<AccountId> {
        SwarmLearning::serving().into_iter().map(|who| AccountId::from(who.0)).collect()
    }

    fn weight() -> Weight {
        // at most: a withdrawal from every study that runs, none of which looks back over rounds, and one look at each
        let one =
            <<Runtime as pallet_swarm_learning::Config>::WeightInfo as pallet_swarm_learning::WeightInfo>::withdraw();
        let look = <Runtime as frame_system::Config>::DbWeight::get().reads(1);
        one.saturating_add(look).saturating_mul(u64::from(pallet_swarm_learning::MAX_RUNNING))
    }
}

/// Finality goes on by GRANDPA's own call, which asks for root: only a motion speaks for it here.
pub struct Finality;
impl pallet_consortium::NoteStalled for Finality {
    fn note_stalled(delay: BlockNumber, best_final: BlockNumber) -> Result<(), sp_runtime::DispatchError> {
        Grandpa::note_stalled(frame_system::RawOrigin::Root.into(), delay, best_final)
    }

    fn pending() -> bool {
        pallet_grandpa::PendingChange::<Runtime>::exists()
    }
}

/// Who makes blocks, by their headers, and what accounts have signed.
pub struct Seen;
impl pallet_consortium::Witness<AccountId> for Seen {
    fn author() -> Option<(AccountId, u64)> {
        let digest = System::digest();
        let slot = digest.logs().iter().filter_map(|log| log.as_pre_runtime()).find_map(|(engine, mut data)| {
            (engine == sp_consensus_aura::AURA_ENGINE_ID).then(|| sp_consensus_aura::Slot::decode(&mut data).ok())?
        })?;
        let validators = Session::validators();
        let count = u64::try_from(validators.len()).ok()?;
        let turn = slot.checked_rem(count)?;
        Some((validators.get(usize::try_from(turn).ok()?)?.clone(), *slot))
    }

    fn has_signed(who: &AccountId, said: &[u8], signature: &[u8; 64]) -> bool {
        MultiSignature::from(sp_core::sr25519::Signature::from_raw(*signature)).verify(said, who)
    }
}

/// The runtime that was decided is far longer than any quota; whoever sends it does so for all.
pub struct DecidedRuntime;
impl Contains<RuntimeCall> for DecidedRuntime {
    fn contains(call: &RuntimeCall) -> bool {
        let RuntimeCall::System(frame_system::Call::apply_authorized_upgrade { code }) = call else { return false };
        System::authorized_upgrade().is_some_and(|decided| {
            // its fields are the system's own; the hash comes first
            decided.encode().starts_with(BlakeTwo256::hash(code).as_ref())
        })
    }
}

impl pallet_consortium::Config for Runtime {
    type Stalled = Finality;
    type Witness = Seen;
    type ReadyKey = pallet_swarm_learning::sr25519::AuthorityId;
    type Unmetered = DecidedRuntime;
    type OnDeparture = TellStudies;
    type MinValidators = ConstU32<1>;
    type MaxInstitutions = ConstU32<64>;
    type WeightInfo = pallet_consortium::weights::Measured<Runtime>;
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = benchmarks::RegisterKeys;
}

/// Who belongs to the consortium, for the studies.
pub struct Members;
impl pallet_swarm_learning::Membership for Members {
    fn signs_for(signer: &AccountId) -> Option<AccountId> {
        Consortium::signs_for(signer)
    }
    fn is_participant(who: &AccountId) -> bool {
        <Consortium as pallet_consortium::Institutions<_>>::is_participant(who)
    }
    fn validators() -> u32 {
        Session::validators().len() as u32
    }
    #[cfg(feature = "runtime-benchmarks")]
    fn make_participant(who: &AccountId, swarm: pallet_swarm_learning::sr25519::AuthorityId) {
        // the others' keys play no part in a vote
        let mut keys = benchmarks::unspendable_keys(who);
        keys.swarm = swarm;
        pallet_session::NextKeys::<Runtime>::insert(who, keys);
        let name = b"benchmark".to_vec().try_into().unwrap_or_default();
        assert!(Consortium::benchmark_admit(who.clone(), name).is_ok());
    }
}

impl pallet_swarm_learning::Config for Runtime {
    type Membership = Members;
    type WeightInfo = pallet_swarm_learning::weights::Measured<Runtime>;
}

impl<C> frame_system::offchain::CreateTransactionBase<C> for Runtime
where
    RuntimeCall: From<C>,
{
    type RuntimeCall = RuntimeCall;
    type Extrinsic = UncheckedExtrinsic;
}

impl<C> frame_system::offchain::CreateTransaction<C> for Runtime
where
    RuntimeCall: From<C>,
{
    type Extension = TxExtension;

    fn create_transaction(call: RuntimeCall, extension: TxExtension) -> UncheckedExtrinsic {
        UncheckedExtrinsic::new_transaction(call, extension)
    }
}

impl<C> frame_system::offchain::CreateAuthorizedTransaction<C> for Runtime
where
    RuntimeCall: From<C>,
{
    fn create_extension() -> TxExtension {
        (
            frame_system::AuthorizeCall::new(),
            frame_system::CheckNonZeroSender::new(),
            frame_system::CheckSpecVersion::new(),
            frame_system::CheckTxVersion::new(),
            frame_system::CheckGenesis::new(),
            frame_system::CheckEra::from(generic::Era::Immortal),
            pallet_consortium::CheckQuota::from(0),
            frame_system::CheckWeight::new(),
            frame_metadata_hash_extension::CheckMetadataHash::new(false),
            frame_system::WeightReclaim::new(),
        )
    }
}

/// All institutions, for the node; and those that have left or were removed, as long as the validators or a merge that runs need them:
/// what they have made for it, they still give away. Who is to be cut off at once is not among them.
fn institutions() -> Vec<consilium_primitives::InstitutionNotice> {
    let leaving = Consortium::members().into_iter().filter(|member| member.leaving && !member.at_once);
    let leaving = leaving.map(|member| consilium_primitives::InstitutionNotice {
        id: InstitutionId(*member.account.as_ref()),
        validator: false,
        participant: false,
        name: member.name,
        peer_id: member.peer_ids.into_iter().next(),
    });
    let notice = |(account, it): (AccountId, pallet_consortium::Institution)| consilium_primitives::InstitutionNotice {
        id: InstitutionId(*account.as_ref()),
        validator: it.is_active_validator(),
        participant: it.is_active_participant(),
        name: it.name,
        peer_id: it.peer_id.map(|id| id.into_inner()),
    };
    <Consortium as pallet_consortium::Institutions<_>>::all().into_iter().map(notice).chain(leaving).collect()
}
