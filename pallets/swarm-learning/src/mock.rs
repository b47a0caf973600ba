//! A chain of this pallet and a real session pallet, institutions with real keys, and a fake HTTP host.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::{self as pallet_swarm_learning, sr25519, types::institution, *};
use consilium_primitives::{round::Kind, *};
use frame_support::{
    derive_impl, parameter_types,
    traits::{Authorize, Hooks},
};
use sp_core::{crypto::AccountId32, Pair as _};
use sp_runtime::{
    impl_opaque_keys,
    traits::ConvertInto,
    transaction_validity::{TransactionSource, TransactionValidityError, UnknownTransaction},
    BuildStorage,
};
use std::cell::RefCell;

pub type TxExtension = frame_system::AuthorizeCall<Test>;
pub type Extrinsic = sp_runtime::testing::TestXt<RuntimeCall, TxExtension>;
type Block = sp_runtime::generic::Block<
    sp_runtime::generic::Header<u32, sp_runtime::traits::BlakeTwo256>,
    sp_runtime::generic::UncheckedExtrinsic<AccountId32, RuntimeCall, sr25519::AuthoritySignature, TxExtension>,
>;

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Balances: pallet_balances,
        Session: pallet_session,
        Swarm: pallet_swarm_learning,
    }
);

impl_opaque_keys! {
    pub struct SessionKeys {
        pub swarm: Swarm,
    }
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = AccountId32;
    type Lookup = sp_runtime::traits::IdentityLookup<AccountId32>;
    type AccountData = pallet_balances::AccountData<u64>;
    type Block = Block;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type AccountStore = System;
}

pub struct OnlyA;
impl pallet_session::SessionManager<AccountId32> for OnlyA {
    fn new_session(_: u32) -> Option<Vec<AccountId32>> {
        None
    }
    fn new_session_genesis(_: u32) -> Option<Vec<AccountId32>> {
        Some(vec![account(0)])
    }
    fn start_session(_: u32) {}
    fn end_session(_: u32) {}
}

parameter_types! {
    pub const Period: u32 = 1_000_000;
    pub const Offset: u32 = 0;
}

impl pallet_session::Config for Test {
    type RuntimeEvent = RuntimeEvent;
    type ValidatorId = AccountId32;
    type ValidatorIdOf = ConvertInto;
    type ShouldEndSession = pallet_session::PeriodicSessions<Period, Offset>;
    type NextSessionRotation = pallet_session::PeriodicSessions<Period, Offset>;
    type SessionManager = OnlyA;
    type SessionHandler = (Swarm,);
    type Keys = SessionKeys;
    type DisablingStrategy = ();
    type WeightInfo = ();
    type Currency = Balances;
    type KeyDeposit = ();
}

thread_local! {
    static OUTSIDERS: RefCell<Vec<AccountId32>> = const { RefCell::new(Vec::new()) };
    static ROTATED: RefCell<Vec<(AccountId32, AccountId32)>> = const { RefCell::new(Vec::new()) };
    static ASKED: RefCell<u32> = const { RefCell::new(0) };
}

/// Everybody is a participant unless shut out; only the first is a validator.
pub struct Everybody;
impl Membership for Everybody {
    fn signs_for(signer: &AccountId32) -> Option<AccountId32> {
        let rotated = ROTATED.with(|all| all.borrow().clone());
        match rotated.iter().find(|(who, to)| who == signer || to == signer) {
            Some((who, to)) => (to == signer).then(|| who.clone()),
            None => Some(signer.clone()),
        }
    }
    fn is_participant(who: &AccountId32) -> bool {
        ASKED.with(|asked| *asked.borrow_mut() += 1);
        OUTSIDERS.with(|out| !out.borrow().contains(who))
    }
    fn validators() -> u32 {
        1
    }
    fn make_participant(who: &AccountId32, swarm: sr25519::AuthorityId) {
        pallet_session::NextKeys::<Test>::insert(who, SessionKeys { swarm });
    }
}

/// How often it was read whether somebody is a participant.
pub fn asked_for_membership() -> u32 {
    ASKED.with(|asked| *asked.borrow())
}

/// From now on another account signs for an institution.
pub fn rotate_account(who: AccountId32, to: AccountId32) {
    ROTATED.with(|all| all.borrow_mut().push((who, to)));
}

pub fn shut_out(who: AccountId32) {
    OUTSIDERS.with(|out| out.borrow_mut().push(who));
}

impl Config for Test {
    type Membership = Everybody;
    type WeightInfo = crate::weights::Measured<Test>;
}

impl<C> frame_system::offchain::CreateTransactionBase<C> for Test
where
    RuntimeCall: From<C>,
{
    type RuntimeCall = RuntimeCall;
    type Extrinsic = Extrinsic;
}
impl<C> frame_system::offchain::CreateTransaction<C> for Test
where
    RuntimeCall: From<C>,
{
    type Extension = TxExtension;
    fn create_transaction(call: RuntimeCall, extension: Self::Extension) -> Extrinsic {
        Extrinsic::new_transaction(call, extension)
    }
}
impl<C> frame_system::offchain::CreateAuthorizedTransaction<C> for Test
where
    RuntimeCall: From<C>,
{
    fn create_extension() -> Self::Extension {
        TxExtension::new()
    }
}

/// The n-th institution's account.
pub fn account(n: u8) -> AccountId32 {
    AccountId32::from([n + 1; 32])
}

pub fn id(n: u8) -> InstitutionId {
    institution(&account(n))
}

/// The n-th institution's `swarm` key; `generation` counts rotations.
pub fn pair(n: u8, generation: u8) -> sr25519::AuthorityPair {
    sr25519::AuthorityPair::from_seed(&[[n + 1; 16], [generation; 16]].concat().try_into().unwrap())
}

/// Six institutions with keys; the first alone is a validator. Block 1.
pub fn chain() -> sp_io::TestExternalities {
    OUTSIDERS.with(|out| out.borrow_mut().clear());
    ROTATED.with(|all| all.borrow_mut().clear());
    let mut storage = frame_system::GenesisConfig::<Test>::default().build_storage().unwrap();
    let keys = (0..6).map(|n| (account(n), account(n), SessionKeys { swarm: pair(n, 0).public() })).collect();
    pallet_session::GenesisConfig::<Test> { keys, non_authority_keys: vec![] }
        .assimilate_storage(&mut storage)
        .unwrap();
    let mut ext = sp_io::TestExternalities::from(storage);
    ext.execute_with(|| {
        // a genesis hash of its own: the mock's default is zero
        frame_system::BlockHash::<Test>::insert(0, sp_core::H256::repeat_byte(0x99));
        System::set_block_number(1);
    });
    ext
}

/// The chain of the benchmarks: with a keystore that makes their keys.
pub fn bench_chain() -> sp_io::TestExternalities {
    let mut ext = chain();
    ext.register_extension(sp_keystore::KeystoreExt::new(sp_keystore::testing::MemoryKeystore::new()));
    ext
}

/// Runs a test, and checks the pallet's invariants after it.
pub fn run(test: impl FnOnce()) {
    chain().execute_with(|| {
        test();
        Swarm::do_try_state().unwrap();
    });
}

pub fn rules() -> StudyRules {
    StudyRules {
        training_blocks: 10,
        transfer_blocks: 2,
        enrolment_blocks: 50,
        auto_start: true,
        min_participants: 2,
        rule_min: 0,
        max_rounds: 2,
        max_share: 500_000,
        strict: false,
        on_stall: OnStall::Pause,
        keep_updates: 2,
        invited: Default::default(),
        merge: Merge::by(MergeRule::Mean(Weighting::Samples)),
        update_len: 1000,
        merged_len: 900,
        statistics_len: 0,
        target: None,
        patience: 0,
        masked: None,
        privacy: None,
    }
}

pub fn spec_of(study: StudyId) -> Spec {
    format!("{{\"version\":1,\"study\":{study}}}").into_bytes().try_into().unwrap()
}

pub fn spec() -> Spec {
    spec_of(0)
}

pub fn signed(n: u8) -> RuntimeOrigin {
    RuntimeOrigin::signed(account(n))
}

/// Each in an agreement of its own.
pub fn register(n: u8, rules: StudyRules) -> frame_support::dispatch::DispatchResult {
    Swarm::register(signed(n), Box::new(rules), spec_of(NextStudy::<Test>::get()))
}

pub fn enrol(n: u8, study: StudyId, samples: u32) -> frame_support::dispatch::DispatchResult {
    Swarm::enrol(signed(n), study, Studies::<Test>::get(study).map(|s| s.agreement).unwrap_or_default(), samples)
}

/// A registered study with these institutions in it, started.
pub fn started(rules: StudyRules, who: &[u8]) -> StudyId {
    let study = NextStudy::<Test>::get();
    register(0, rules).unwrap();
    for n in who {
        enrol(*n, study, 100 + u32::from(*n)).unwrap();
    }
    Swarm::start(signed(0), study).unwrap();
    study
}

pub fn info(study: StudyId) -> StudyInfo {
    Studies::<Test>::get(study).unwrap()
}

/// Whether its result is for the institution's own worker alone: to be masked, not to be told.
pub fn is_work(asked: &crate::orders::Asked) -> bool {
    asked.masked.as_ref().is_some_and(|masked| masked.work == asked.order.duty.hash())
}

/// The vote of an institution on its open duty.
pub fn ballot(n: u8, study: StudyId, body: VoteBody) -> Vote {
    let asked =
        Swarm::asked(&id(n)).into_iter().find(|a| a.order.duty.study == study && !is_work(a)).expect("a duty is open");
    let duty = asked.order.duty;
    let (round, attempt, resumed, kind) = (duty.round, asked.attempt, asked.resumed, duty.kind);
    Vote { study, round, attempt, resumed, kind, institution: id(n), duty: duty.hash(), body }
}

pub fn sign(vote: &Vote, pair: &sr25519::AuthorityPair) -> sr25519::AuthoritySignature {
    pair.sign(&vote.payload(&crate::types::genesis::<Test>(), &info(vote.study).agreement))
}

/// What the pool says of a vote.
pub fn pool_says(vote: Vote, signature: sr25519::AuthoritySignature) -> Result<(), TransactionValidityError> {
    let call = RuntimeCall::Swarm(Call::vote { vote, signature });
    call.authorize(TransactionSource::External).expect("votes are authorized calls").map(|_| ())
}

/// What the pool says of a vote that nothing asks for yet.
pub fn not_yet() -> Result<(), TransactionValidityError> {
    Err(UnknownTransaction::Custom(crate::types::NOT_YET).into())
}

/// Sends a vote as the pool and a block would take it.
pub fn send(n: u8, vote: Vote) -> Result<(), TransactionValidityError> {
    let signature = sign(&vote, &pair(n, 0));
    pool_says(vote, signature.clone())?;
    Swarm::vote(frame_system::RawOrigin::Authorized.into(), vote, signature)
        .expect("what the pool lets in, the call takes");
    Ok(())
}

pub fn answer(n: u8, study: StudyId, body: VoteBody) {
    send(n, ballot(n, study, body)).unwrap();
}

pub fn to_block(target: u32) {
    while System::block_number() < target {
        let next = System::block_number() + 1;
        System::set_block_number(next);
        Swarm::on_initialize(next);
    }
}

pub fn hash(byte: u8) -> Hash {
    Hash::repeat_byte(byte)
}

pub fn update(byte: u8, metric: Option<u32>) -> VoteBody {
    VoteBody::Update { root: hash(byte), len: 1000, metric }
}

pub fn record(study: StudyId, round: u32) -> consilium_primitives::round::RoundRecord {
    History::<Test>::get(study, (Kind::Model, round)).expect("the round is closed")
}
