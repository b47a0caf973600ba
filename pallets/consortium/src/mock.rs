//! A runtime with this pallet and the real session pallet.

use crate as pallet_consortium;
use crate::{peer_id_of, OnDeparture};
use codec::Encode;
use frame_support::{
    derive_impl, parameter_types,
    traits::{ConstU32, ConstU64},
};
use pallet_session::TestSessionHandler;
use sp_core::{ed25519, Pair, H256};
use sp_runtime::{
    impl_opaque_keys,
    testing::UintAuthorityId,
    traits::{ConvertInto, IdentityLookup},
    BuildStorage,
};

impl_opaque_keys! {
    pub struct SessionKeys {
        pub dummy: UintAuthorityId,
    }
}

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Balances: pallet_balances,
        Consortium: pallet_consortium,
        Session: pallet_session,
    }
);

type Block = frame_system::mocking::MockBlock<Test>;
pub type TxExtension = frame_system::AuthorizeCall<Test>;
pub type Extrinsic = sp_runtime::testing::TestXt<RuntimeCall, TxExtension>;

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
    type AccountId = u64;
    type Lookup = IdentityLookup<u64>;
    type AccountData = pallet_balances::AccountData<u64>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type AccountStore = System;
}

impl pallet_session::Config for Test {
    type RuntimeEvent = RuntimeEvent;
    type ValidatorId = u64;
    type ValidatorIdOf = ConvertInto;
    type ShouldEndSession = Consortium;
    type NextSessionRotation = Consortium;
    type SessionManager = Consortium;
    type SessionHandler = TestSessionHandler;
    type Keys = SessionKeys;
    type DisablingStrategy = ();
    type WeightInfo = ();
    type Currency = Balances;
    type KeyDeposit = ConstU64<0>;
}

parameter_types! {
    pub static Departed: Vec<u64> = Vec::new();
    pub static Serving: Vec<u64> = Vec::new();
}

/// Remembers who departed, and that the change was stored by then.
pub struct RememberDeparted;

impl OnDeparture<u64> for RememberDeparted {
    fn departed(who: &u64) {
        assert!(!<Consortium as crate::Institutions<u64>>::is_participant(who));
        Departed::mutate(|departed| departed.push(*who));
    }

    fn serving() -> Vec<u64> {
        Serving::get()
    }
}

parameter_types! {
    pub static Rescued: Option<(u32, u32)> = None;
    pub static Forcing: bool = false;
}

/// Remembers what finality was told.
pub struct RememberStalled;

impl crate::NoteStalled for RememberStalled {
    fn note_stalled(delay: u32, best_final: u32) -> frame_support::dispatch::DispatchResult {
        Rescued::set(Some((delay, best_final)));
        Ok(())
    }

    fn pending() -> bool {
        Forcing::get()
    }
}

parameter_types! {
    pub static Author: Option<(u64, u64)> = None;
}

/// Says what a test has it say of blocks; an account's signature is its number and what it has signed.
pub struct Told;

impl crate::Witness<u64> for Told {
    fn author() -> Option<(u64, u64)> {
        Author::get()
    }

    fn has_signed(who: &u64, said: &[u8], signature: &[u8; 64]) -> bool {
        *signature == sign(*who, said)
    }
}

/// The signature of an account.
pub fn sign(who: u64, said: &[u8]) -> [u8; 64] {
    let mut signature = [0; 64];
    signature[..8].copy_from_slice(&who.to_le_bytes());
    signature[32..].copy_from_slice(said);
    signature
}

/// What is not counted here, in place of a runtime's new code.
pub struct Remarks;

impl frame_support::traits::Contains<RuntimeCall> for Remarks {
    fn contains(call: &RuntimeCall) -> bool {
        matches!(call, RuntimeCall::System(frame_system::Call::remark { .. }))
    }
}

impl pallet_consortium::Config for Test {
    type Stalled = RememberStalled;
    type Witness = Told;
    type ReadyKey = UintAuthorityId;
    type Unmetered = Remarks;
    type OnDeparture = RememberDeparted;
    type WeightInfo = crate::weights::Measured<Test>;
    type MaxInstitutions = ConstU32<8>;
    type MinValidators = ConstU32<2>;
    #[cfg(any(feature = "runtime-benchmarks", test))]
    type BenchmarkHelper = RegisterKeys;
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

#[cfg(any(feature = "runtime-benchmarks", test))]
pub struct RegisterKeys;

#[cfg(any(feature = "runtime-benchmarks", test))]
impl crate::BenchmarkHelper<u64, UintAuthorityId> for RegisterKeys {
    fn register_keys(who: &u64) {
        Self::register_ready_key(who, UintAuthorityId(*who));
    }
    fn register_ready_key(who: &u64, key: UintAuthorityId) {
        pallet_session::NextKeys::<Test>::insert(who, SessionKeys { dummy: key });
    }
    fn generate_keys(who: &u64) -> (Vec<u8>, Vec<u8>) {
        keys_of(*who, 1_000 + *who)
    }
}

/// Institutions at genesis: 1, 2 and 3 validate and participate, 4 participates only.
pub fn genesis_institutions() -> Vec<(u64, Vec<u8>, bool, bool)> {
    vec![
        (3, b"Hospital C".to_vec(), true, true),
        (1, b"Hospital A".to_vec(), true, true),
        (2, b"Hospital B".to_vec(), true, true),
        (4, b"Laboratory D".to_vec(), false, true),
    ]
}

/// The externalities of a chain with this genesis; session keys for `keyed`.
pub fn ext_with(
    institutions: Vec<(u64, Vec<u8>, bool, bool)>,
    peer_ids: Vec<(u64, Vec<u8>)>,
    keyed: &[u64],
) -> sp_io::TestExternalities {
    let keys = keyed.iter().map(|who| (*who, *who, SessionKeys { dummy: UintAuthorityId(*who) })).collect();
    let storage = RuntimeGenesisConfig {
        consortium: pallet_consortium::GenesisConfig { institutions, peer_ids, ..Default::default() },
        session: pallet_session::GenesisConfig { keys, ..Default::default() },
        ..Default::default()
    }
    .build_storage()
    .expect("the genesis of the mock builds");
    let mut ext = sp_io::TestExternalities::new(storage);
    ext.execute_with(|| {
        Departed::take();
        Serving::take();
        Author::take();
        System::set_block_number(1);
    });
    ext
}

/// Runs `test` on the usual chain, then checks the pallet's invariants.
pub fn run(test: impl FnOnce()) {
    run_with(genesis_institutions(), vec![], &[1, 2, 3], test);
}

/// Runs `test` on a chain with this genesis, then checks the pallet's invariants.
pub fn run_with(
    institutions: Vec<(u64, Vec<u8>, bool, bool)>,
    peer_ids: Vec<(u64, Vec<u8>)>,
    keyed: &[u64],
    test: impl FnOnce(),
) {
    ext_with(institutions, peer_ids, keyed).execute_with(|| {
        test();
        Consortium::do_try_state().expect("the invariants hold after the test");
    });
}

/// The externalities of the benchmarks: with a keystore, which makes and uses their node keys.
#[cfg(any(feature = "runtime-benchmarks", test))]
pub fn new_bench_ext() -> sp_io::TestExternalities {
    let mut ext = ext_with(vec![], vec![], &[]);
    ext.register_extension(sp_keystore::KeystoreExt::new(sp_keystore::testing::MemoryKeystore::new()));
    ext
}

/// Runs the hooks up to the first block of the `n`-th next session.
pub fn advance_sessions(n: u32) {
    let target = Session::current_index() + n;
    while Session::current_index() < target {
        next_block();
    }
}

/// Runs the hooks of one block more, without those of offchain workers.
pub fn next_block() {
    System::run_to_block::<AllPalletsWithSystem>(System::block_number() + 1);
}

/// Session keys with a proof for `who`, encoded.
pub fn keys_of(who: u64, key: u64) -> (Vec<u8>, Vec<u8>) {
    let key = UintAuthorityId(key);
    let proof = sp_runtime::RuntimeAppPublic::sign(&key, &who.encode()).expect("test keys sign").encode();
    (SessionKeys { dummy: key }.encode(), proof)
}

/// Registers session keys for an institution, as its admission does.
pub fn register_keys(who: u64) {
    let (keys, proof) = keys_of(who, who);
    Consortium::set_session_keys(&who, &keys, proof).expect("keys are accepted");
}

/// The node of `who` says that it is in step.
pub fn step_in(who: u64) {
    let since =
        pallet_consortium::pallet::Institutions::<Test>::get(who).and_then(|it| it.waits_since).expect("it waits");
    Consortium::do_ready(who, since).expect("its node is waited for");
}

/// A node key that depends on `seed` only.
pub fn node_key(seed: u8) -> ed25519::Pair {
    ed25519::Pair::from_seed(&[seed; 32])
}

/// The node's claim to belong to `institution` on the chain with this genesis, as arguments of `set_peer_id`.
pub fn claim_on(genesis: H256, node: &ed25519::Pair, institution: u64) -> ([u8; 32], [u8; 64]) {
    let key = node.public().0;
    let claim = crate::peer_id_claim(genesis.as_bytes(), &institution, &peer_id_of(&key));
    (key, node.sign(&claim).0)
}

/// The node's claim to belong to `institution` on this chain.
pub fn claim(node: &ed25519::Pair, institution: u64) -> ([u8; 32], [u8; 64]) {
    claim_on(System::block_hash(0), node, institution)
}
