//! Times masked merges and masking beside the plain merge of as many files: `bench/masked_speed.py` runs it.
//!
//! `masked_speed FOLDER INPUTS NUMBERS REPEAT` makes so many updates of so many numbers in the folder, masks them, and prints one
//! line of JSON: seconds of each part, and seconds of processor time, one list entry a repetition. In every repetition each part
//! has its turn.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use consilium_aggregation::{
    blob::blob_ref,
    hash_file,
    masked::{mask_update, merge_masked, Figures, MaskedRound, OwnUpdate, Scale},
    merge_files, InputFile, Layout, ModelFile, TensorShape,
};
use consilium_masks::{
    deal_hash, mask_streams, reveal, threshold, unmask_streams, Entropy, Id, KeyList, Kind, Opened, Pairing, Partner,
    Partners, Secrets, Sharing, Streams,
};
use consilium_primitives::{BlobRef, Hash, Merge, MergeRule, Weighting};
use nix::time::{clock_gettime, ClockId};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

const MINIMUM: usize = 3;

fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = |state: &mut u64| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 40) as f32 / (1u32 << 24) as f32 - 0.5
    };
    (0..len).map(|_| step(&mut state) * 0.04).collect()
}

/// What all threads of this process have used of processors.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into()
}

fn id(site: usize) -> Id {
    [site as u8 + 1; 32]
}

fn secrets(site: usize) -> Secrets {
    Secrets::draw(&mut Entropy::new(&[7; 32], &[site as u8]))
}

fn context() -> [u8; 32] {
    let (genesis, agreement) = ([1; 32], [2; 32]);
    Pairing { genesis: &genesis, study: 1, agreement: &agreement, kind: Kind::Model, round: 1, pairing: 1 }.context()
}

/// Sites that have dealt.
struct Sites {
    list: KeyList,
    partners: Partners,
    deals: Vec<Vec<u8>>,
}

impl Sites {
    fn new(count: usize) -> Self {
        let context = context();
        let keys = (0..count).map(|site| (id(site), secrets(site).public_keys(&context, &id(site)))).collect();
        let list = KeyList::new(context, keys).unwrap();
        let deals: Vec<Vec<u8>> = (0..count).map(|site| deal(site, &list)).collect();
        let partner = |(site, deal): (usize, &Vec<u8>)| Partner { id: id(site), deal: deal_hash(deal), weight: 1 };
        let partners = Partners::new(list.clone(), deals.iter().enumerate().map(partner).collect()).unwrap();
        Self { list, partners, deals }
    }

    fn used(&self, count: usize) -> u64 {
        let ids: Vec<Id> = (0..count).map(id).collect();
        self.partners.set_of(&ids).unwrap()
    }

    fn opened(&self, used: usize) -> Opened {
        let set = self.used(used);
        let holders = 0..threshold(self.partners.count());
        let reveals: Vec<_> = holders
            .map(|site| {
                (id(site), reveal(&secrets(site), &id(site), &self.partners, set, MINIMUM, &self.deals).unwrap().0)
            })
            .collect();
        Opened::new(&self.partners, set, &reveals).unwrap()
    }

    /// All that one site does for a pairing beside masking and merging: keys, its deal, its reveal, and from other sites' reveals the
    /// masks that are to be taken off.
    fn one_site(&self, reveals: &[(Id, consilium_masks::Reveal)], set: u64) {
        let own = secrets(0);
        std::hint::black_box(own.public_keys(&context(), &id(0)));
        std::hint::black_box(deal(0, &self.list));
        std::hint::black_box(mask_streams(&own, &id(0), &self.partners).unwrap());
        std::hint::black_box(reveal(&own, &id(0), &self.partners, set, MINIMUM, &self.deals).unwrap());
        let opened = Opened::new(&self.partners, set, reveals).unwrap();
        std::hint::black_box(unmask_streams(&self.partners, &opened).unwrap());
    }
}

fn deal(site: usize, list: &KeyList) -> Vec<u8> {
    let secrets = secrets(site);
    Sharing::new(&secrets, list).deal(&secrets, &id(site), list).unwrap()
}

/// A file to write to, which was not there.
fn fresh(path: &Path) -> File {
    let _ = fs::remove_file(path);
    File::options().read(true).write(true).create_new(true).open(path).unwrap()
}

/// A masked round: its files are made, and can be merged.
struct Masked<'a> {
    round: MaskedRound<'a>,
    inputs: Vec<InputFile>,
    streams: Streams,
}

impl<'a> Masked<'a> {
    /// Of the sites whose updates are there, and so many more that are lost.
    fn new(name: &str, round: MaskedRound<'a>, plain: &[InputFile], lost: usize) -> Self {
        let count = plain.len() + lost;
        let sites = Sites::new(count);
        let round = MaskedRound { total: (1..=count as u64).sum(), ..round };
        let inputs = plain.iter().enumerate().map(|(site, update)| {
            let path = update.path.with_extension(name);
            let streams = mask_streams(&secrets(site), &id(site), &sites.partners).unwrap();
            let own = OwnUpdate {
                path: &update.path,
                duty: &update.duty,
                weight: update.weight,
                figures: Figures::of(500_000, 30),
            };
            let masked = mask_update(&round, &own, &streams, &update.duty, (&fresh(&path), &path)).unwrap();
            InputFile { path, blob: masked.blob, ..update.clone() }
        });
        let inputs = inputs.collect();
        let streams = unmask_streams(&sites.partners, &sites.opened(plain.len())).unwrap();
        Self { round, inputs, streams }
    }

    fn merge(&self, path: &Path) -> BlobRef {
        merge_masked(&self.round, &self.inputs, &self.streams, (&fresh(path), path)).unwrap().blob
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, inputs, numbers, repeat] = &arguments[..] else {
        eprintln!("masked_speed FOLDER INPUTS NUMBERS REPEAT");
        std::process::exit(2);
    };
    let folder = PathBuf::from(folder);
    let [inputs, numbers, repeat] = [inputs, numbers, repeat].map(|n| n.parse::<usize>().expect("a number"));
    let layout = Layout::new(vec![TensorShape::new("w", [numbers])]).unwrap();
    let base = noise(77, numbers);
    let base_path = folder.join("base");
    let bytes = ModelFile { layout: layout.clone(), duty: None, data: base.clone() }.encode().unwrap();
    fs::write(&base_path, bytes).unwrap();
    let plain: Vec<InputFile> = (0..inputs)
        .map(|site| {
            let duty = Hash::repeat_byte(site as u8);
            let step = noise(site as u64 + 1, numbers);
            let data = base.iter().zip(step).map(|(w, d)| w + 0.1 * d).collect();
            let bytes = ModelFile { layout: layout.clone(), duty: Some(duty), data }.encode().unwrap();
            let path = folder.join(format!("{site}.update"));
            fs::write(&path, &bytes).unwrap();
            InputFile { path, blob: blob_ref(&bytes), duty, weight: site as u32 + 1 }
        })
        .collect();
    let mean = Merge::by(MergeRule::Mean(Weighting::Samples));
    let round =
        MaskedRound { merge: &mean, scale: Scale::new(2), noised: None, total: 0, base: &base_path, layout: &layout };
    let whole = Masked::new("masked", round, &plain, 0);
    let lost = Masked::new("lost", round, &plain, 1);
    let sites = Sites::new(inputs);
    let set = sites.used(inputs);
    let reveals: Vec<_> = (0..threshold(inputs))
        .map(|site| {
            (id(site), reveal(&secrets(site), &id(site), &sites.partners, set, MINIMUM, &sites.deals).unwrap().0)
        })
        .collect();
    let own_streams = mask_streams(&secrets(0), &id(0), &sites.partners).unwrap();
    let mut seconds: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut processor: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut timed = |name, work: &mut dyn FnMut()| {
        let (began, used) = (Instant::now(), processor_time());
        work();
        seconds.entry(name).or_default().push(began.elapsed().as_secs_f64());
        processor.entry(name).or_default().push((processor_time() - used).as_secs_f64());
    };
    let out = folder.join("merged");
    for _ in 0..repeat {
        timed("plain", &mut || {
            std::hint::black_box(merge_files(&mean, &plain, &base_path, &layout, (&fresh(&out), &out)).unwrap());
        });
        timed("masked", &mut || {
            std::hint::black_box(whole.merge(&out));
        });
        timed("one_lost", &mut || {
            std::hint::black_box(lost.merge(&out));
        });
        timed("mask", &mut || {
            let own =
                OwnUpdate { path: &plain[0].path, duty: &plain[0].duty, weight: 1, figures: Figures::of(500_000, 30) };
            let to = (&fresh(&out), out.as_path());
            std::hint::black_box(mask_update(&whole.round, &own, &own_streams, &plain[0].duty, to).unwrap());
        });
        timed("pairing", &mut || sites.one_site(&reveals, set));
    }
    // what was timed is what it should be: both merges of one round are near each other
    merge_files(&mean, &plain, &base_path, &layout, (&fresh(&out), &out)).unwrap();
    let model = |path: &Path| ModelFile::decode_merged(&fs::read(path).unwrap(), &layout).unwrap().data;
    let expected = model(&out);
    assert_eq!(whole.merge(&out).root, hash_file(&out).unwrap());
    let largest = model(&out).iter().zip(&expected).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(largest < 1e-6, "the masked merge differs from the mean by {largest}");
    println!("{}", serde_json::json!({ "seconds": seconds, "processor": processor }));
}
