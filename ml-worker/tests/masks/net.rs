//! Four workers, and what the chain would tell them.

use super::support::{below, entry, file, Lab};
use codec::Encode;
use consilium_aggregation::masked::MaskedLayout;
use consilium_primitives::{
    duty::PROTOCOL_VERSION,
    masks::{context, keys_root, partners_root, DEALT},
    round::Kind,
    rules::masked_inputs_root,
    Attested, BlobRef, Duty, DutyKind, DutyOrder, DutyOutput, DutyRequest, DutyState, FailureCode, Hash, InstitutionId,
    MaskKeys, MaskOrder, Masked, MergeInput, Partner, StudyRules,
};
use consilium_study::StudySpec;
use std::{
    fs,
    time::{Duration, Instant},
};

/// Weights of the four.
pub const WEIGHTS: [u32; 4] = [200, 110, 75, 70];

/// Four sites, and the chain as they see it.
pub struct Net {
    pub labs: Vec<Lab>,
    pub spec: StudySpec,
    pub rules: StudyRules,
    pub agreement: Hash,
    pub base: Hash,
    pub round: u32,
    pub pairing: u32,
}

/// Who is there at each step, by place.
#[derive(Clone, Copy)]
pub struct There {
    pub keys: &'static [usize],
    pub deals: &'static [usize],
    pub files: &'static [usize],
    pub reveals: &'static [usize],
}

pub const ALL: &[usize] = &[0, 1, 2, 3];
pub const WITHOUT_D: &[usize] = &[0, 1, 2];
pub const FOUR: There = There { keys: ALL, deals: ALL, files: ALL, reveals: ALL };

/// What came of a pairing.
pub struct Sum {
    pub outputs: Vec<DutyOutput>,
    pub inputs: Vec<MergeInput>,
}

impl Net {
    pub fn new(spec: StudySpec, range_log2: i8) -> Self {
        let mut rules = file().rules(2_000, 4).unwrap();
        let columns = spec.data.statistics_columns();
        rules.statistics_len = spec.statistics_len().unwrap();
        rules.update_len = MaskedLayout::model(&spec.layout().unwrap()).unwrap().file_len();
        rules.merged_len = spec.merged_len(0).unwrap();
        rules.masked = Some(Masked {
            range_log2,
            statistics_len: if columns > 0 { MaskedLayout::statistics(columns).unwrap().file_len() } else { 0 },
            figures_len: MaskedLayout::figures().unwrap().file_len(),
        });
        Self::agreed(spec, rules, "")
    }

    /// Of a study with these rules; `says`: what sites write about it beside where their rows are.
    pub fn agreed(spec: StudySpec, rules: StudyRules, says: &str) -> Self {
        let mut signed = (Hash::zero(), InstitutionId([1; 32]), &rules).encode();
        signed.extend(spec.canonical().unwrap());
        let agreement = Hash::from(sp_crypto_hashing::blake2_256(&signed));
        let labs: Vec<Lab> = (0..4).map(|n| Lab::new(n, spec.clone())).collect();
        for lab in &labs {
            fs::write(lab.dir.path().join("sites.toml"), format!("{}{says}", entry(&agreement))).unwrap();
        }
        let mut net = Self { labs, spec, rules, agreement, base: Hash::zero(), round: 1, pairing: 0 };
        for n in 0..4 {
            let mut init = net.order(n, DutyKind::Init, Hash::zero());
            (init.duty.round, init.base, init.output_len) = (0, None, net.rules.merged_len);
            match net.until(n, &init, None) {
                (DutyOutput::Root(root), _) => net.base = root,
                other => panic!("{other:?}"),
            }
        }
        net
    }

    pub fn order(&self, n: usize, kind: DutyKind, base: Hash) -> DutyOrder {
        DutyOrder {
            duty: Duty {
                kind,
                genesis: Hash::zero(),
                study: 0,
                agreement: self.agreement,
                round: self.round,
                institution: self.labs[n].id,
                base,
                statistics: Hash::zero(),
            },
            spec: self.spec.hash().unwrap(),
            base: Some(BlobRef { root: self.base, len: self.rules.merged_len }),
            statistics: None,
            inputs: Vec::new(),
            merge: None,
            output_len: 0,
            attested: Vec::new(),
            committed_before: false,
        }
    }

    /// The work whose result is masked, as it is asked of a site.
    pub fn work(&self, n: usize, kind: Kind) -> DutyOrder {
        match kind {
            Kind::Model => self.order(n, DutyKind::Train, self.base),
            Kind::Evaluation => self.order(n, DutyKind::Evaluate, self.base),
            Kind::Statistics => {
                let order = self.order(n, DutyKind::Statistics, Hash::zero());
                DutyOrder { base: None, duty: Duty { round: 0, ..order.duty }, ..order }
            }
        }
    }

    pub fn mask(&self, n: usize, kind: Kind) -> MaskOrder {
        MaskOrder {
            kind,
            pairing: self.pairing,
            proposer: InstitutionId([1; 32]),
            rules: self.rules.clone(),
            work: self.work(n, kind).duty.hash(),
            keys: Vec::new(),
            keys_root: Hash::zero(),
            partners: Vec::new(),
            partners_root: Hash::zero(),
            fixed_at: 0,
            dealt: Vec::new(),
            reveals: Vec::new(),
        }
    }

    /// What a site answers now, and the bytes that go with it.
    pub fn ask(&self, n: usize, order: &DutyOrder, masked: Option<&MaskOrder>) -> (DutyState, Vec<u8>) {
        let request = DutyRequest {
            version: PROTOCOL_VERSION,
            specs: vec![self.spec.canonical().unwrap()],
            orders: vec![order.clone()],
            ahead: vec![],
            masked: vec![masked.cloned()],
        };
        let mut reply = self.labs[n].worker.answer(&request).unwrap();
        (reply.answers[0].state, reply.posts.pop().unwrap_or_default())
    }

    /// What it answers in the end.
    pub fn until(&self, n: usize, order: &DutyOrder, masked: Option<&MaskOrder>) -> (DutyOutput, Vec<u8>) {
        let end = Instant::now() + Duration::from_secs(120);
        loop {
            match self.ask(n, order, masked) {
                (DutyState::Done(output), post) => return (output, post),
                (DutyState::Failed(code), _) => panic!("{:?}: {code:?}", order.duty.kind),
                (state, _) => assert!(Instant::now() < end, "{:?}: still {state:?}", order.duty.kind),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn failed(&self, n: usize, order: &DutyOrder, masked: &MaskOrder) -> FailureCode {
        let end = Instant::now() + Duration::from_secs(120);
        loop {
            match self.ask(n, order, Some(masked)) {
                (DutyState::Failed(code), _) => return code,
                (state, _) => assert!(Instant::now() < end, "{:?}: still {state:?}", order.duty.kind),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// An order of a sum: of its round, and standing on what its kind stands on.
    pub fn of(&self, n: usize, kind: Kind, duty: DutyKind, base: Hash) -> DutyOrder {
        let work = self.work(n, kind);
        DutyOrder { duty: Duty { kind: duty, base, ..work.duty }, ..work }
    }

    pub fn len(&self, kind: Kind) -> u64 {
        self.rules.part_len(kind)
    }

    /// The list of keys of those that are there, and their deals.
    pub fn pair(&mut self, kind: Kind, there: There) -> (Vec<MaskOrder>, Vec<Vec<u8>>) {
        self.pairing += 1;
        let round = self.work(0, kind).duty.round;
        let context = context(&Hash::zero(), 0, &self.agreement, kind, round, self.pairing);
        let mut keys: Vec<(InstitutionId, MaskKeys)> = Vec::new();
        for n in there.keys {
            let order = DutyOrder { base: None, ..self.of(*n, kind, DutyKind::Keys, context) };
            match self.ask(*n, &order, Some(&self.mask(*n, kind))) {
                // in the call that asks for it
                (DutyState::Done(DutyOutput::Keys(own)), _) => keys.push((self.labs[*n].id, own)),
                other => panic!("{other:?}"),
            }
        }
        let keys_root = keys_root(&context, &keys);
        let listed = |n: usize| MaskOrder { keys: keys.clone(), keys_root, ..self.mask(n, kind) };
        let (mut deals, mut partners, mut places) = (Vec::new(), Vec::new(), 0u64);
        for n in there.deals {
            let order = DutyOrder { base: None, ..self.of(*n, kind, DutyKind::Deal, keys_root) };
            let (state, deal) = self.ask(*n, &order, Some(&listed(*n)));
            assert_eq!((state, deal.len()), (DutyState::Done(DutyOutput::Posted), DEALT as usize * keys.len()));
            let hash = Hash::from(sp_crypto_hashing::blake2_256(&deal));
            let id = self.labs[*n].id;
            places |= 1 << keys.iter().position(|(listed, _)| *listed == id).unwrap();
            partners.push(Partner { institution: id, deal: hash, weight: WEIGHTS[*n] });
            deals.push(deal);
        }
        let partners_root = partners_root(&keys_root, places, &partners);
        let paired = |n| MaskOrder { partners: partners.clone(), partners_root, ..listed(n) };
        ((0..4).map(paired).collect(), deals)
    }

    pub fn mask_duty(&self, n: usize, kind: Kind, masked: &MaskOrder) -> DutyOrder {
        let order = self.of(n, kind, DutyKind::Mask, masked.partners_root);
        DutyOrder { output_len: self.len(kind), ..order }
    }

    /// Masked files of those that commit any; everybody gets all.
    pub fn commit(&self, kind: Kind, there: There, masked: &[MaskOrder]) -> Vec<MergeInput> {
        let mut inputs = Vec::new();
        for n in there.files {
            let order = self.mask_duty(*n, kind, &masked[*n]);
            match self.until(*n, &order, Some(&masked[*n])) {
                (DutyOutput::Update { root, metric: None }, _) => inputs.push(MergeInput {
                    institution: self.labs[*n].id,
                    duty: order.duty.hash(),
                    blob: BlobRef { root, len: self.len(kind) },
                    weight: WEIGHTS[*n],
                }),
                other => panic!("{other:?}"),
            }
        }
        for (from, input) in there.files.iter().zip(&inputs) {
            let bytes = fs::read(self.labs[*from].blob(&input.blob.root)).unwrap();
            assert_eq!(bytes.len() as u64, input.blob.len);
            self.labs.iter().for_each(|lab| fs::write(lab.blob(&input.blob.root), &bytes).unwrap());
        }
        inputs
    }

    pub fn with_inputs(
        &self,
        n: usize,
        kind: Kind,
        duty: DutyKind,
        inputs: &[MergeInput],
        masked: &MaskOrder,
    ) -> DutyOrder {
        let listed: Vec<_> = inputs.iter().map(|i| (i.institution, i.blob.root, i.weight)).collect();
        let base = if kind == Kind::Statistics { Hash::zero() } else { self.base };
        let root = masked_inputs_root(&listed, &self.rules.merge, base, masked.partners_root);
        DutyOrder { inputs: inputs.to_vec(), ..self.of(n, kind, duty, root) }
    }

    /// Gathers, reveals and sums; gives what each of those that are in the sum says.
    pub fn sum(
        &self,
        kind: Kind,
        there: There,
        masked: &[MaskOrder],
        deals: &[Vec<u8>],
        inputs: Vec<MergeInput>,
    ) -> Sum {
        let mut reveals = Vec::new();
        for n in there.files {
            let gather = self.with_inputs(*n, kind, DutyKind::Gather, &inputs, &masked[*n]);
            // its order names no model, but what is attested
            let model =
                Attested { kind: Kind::Model, round: self.round - 1, inputs_root: Hash::zero(), root: self.base };
            let gather = DutyOrder { base: None, attested: vec![model], ..gather };
            assert_eq!(self.until(*n, &gather, Some(&masked[*n])).0, DutyOutput::Held);
        }
        for n in there.reveals {
            let reveal = self.with_inputs(*n, kind, DutyKind::Reveal, &inputs, &masked[*n]);
            let reveal = DutyOrder { base: None, ..reveal };
            let place = masked[*n].keys.iter().position(|(id, _)| *id == self.labs[*n].id).unwrap();
            let part = |deal: &Vec<u8>| deal[DEALT as usize * place..DEALT as usize * (place + 1)].to_vec();
            let order = MaskOrder { fixed_at: 9, dealt: deals.iter().map(part).collect(), ..masked[*n].clone() };
            let (state, bytes) = self.ask(*n, &reveal, Some(&order));
            assert_eq!(state, DutyState::Done(DutyOutput::Posted));
            assert_eq!(self.ask(*n, &reveal, Some(&order)).1, bytes, "the same bytes");
            reveals.push((self.labs[*n].id, bytes));
        }
        let outputs = there.files.iter().map(|n| {
            let duty = if kind == Kind::Statistics { DutyKind::MergeStatistics } else { DutyKind::Merge };
            let order = self.with_inputs(*n, kind, duty, &inputs, &masked[*n]);
            let order = DutyOrder { merge: Some(self.rules.merge.clone()), ..order };
            let masked = MaskOrder { fixed_at: 9, reveals: reveals.clone(), ..masked[*n].clone() };
            self.until(*n, &order, Some(&masked)).0
        });
        let outputs = outputs.collect();
        Sum { outputs, inputs }
    }

    /// All of it; who is lost does nothing more.
    pub fn play(&mut self, kind: Kind, there: There) -> Sum {
        for n in 0..4 {
            assert_eq!(self.until(n, &self.work(n, kind), Some(&self.mask(n, kind))), (DutyOutput::Held, Vec::new()));
        }
        let (masked, deals) = self.pair(kind, there);
        let inputs = self.commit(kind, there, &masked);
        self.sum(kind, there, &masked, &deals, inputs)
    }

    /// What a site has trained: it lies in its worker's folder alone.
    pub fn trained(&self, n: usize) -> Vec<u8> {
        let home = self.labs[n].dir.path().join("home");
        let files = below(&home);
        let mut found = files.iter().filter(|path| path.to_string_lossy().contains("/masks/trained-"));
        fs::read(found.next().unwrap()).unwrap()
    }

    pub fn numbers(&self, bytes: &[u8]) -> Vec<f64> {
        let layout = self.spec.layout().unwrap();
        let start = bytes.len() - 4 * layout.elements();
        let (numbers, _) = bytes[start..].as_chunks::<4>();
        numbers.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect()
    }
}
