//! The bytes of `docs/duty-protocol.md`, made without our code, are those that node and worker write and read.
#![allow(clippy::unwrap_used)]

use codec::{DecodeAll, Encode};
use consilium_primitives::{
    duty::Ahead, round::Kind, Attested, BlobRef, Duty, DutyAnswer, DutyKind, DutyOrder, DutyOutput, DutyReply,
    DutyRequest, DutyState, FailureCode, Hash, InstitutionId, Merge, MergeInput, MergeRule, Weighting,
};
use std::{collections::BTreeMap, fs, path::Path};

const ALDER: InstitutionId = InstitutionId([0xa1; 32]);
const BIRCH: InstitutionId = InstitutionId([0xb1; 32]);

fn hash(byte: u8) -> Hash {
    Hash::repeat_byte(byte)
}

/// The page's examples by their headings.
fn examples() -> BTreeMap<String, Vec<u8>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/duty-protocol.md");
    let text = fs::read_to_string(page).unwrap();
    let example = |part: &str| {
        let (title, rest) = part.split_once('\n').unwrap();
        let digits = rest.split_once("```hex\n").unwrap().1.split_once("```").unwrap().0;
        (title.to_owned(), hex::decode(digits.split_whitespace().collect::<String>()).unwrap())
    };
    text.split("\n### ").skip(1).map(example).collect()
}

fn duty(kind: DutyKind, base: Hash, statistics: Hash) -> Duty {
    let (genesis, agreement) = (hash(0x11), hash(0x22));
    Duty { kind, genesis, study: 7, agreement, round: 3, institution: ALDER, base, statistics }
}

fn order(duty: Duty, output_len: u64) -> DutyOrder {
    DutyOrder {
        duty,
        spec: hash(0x33),
        base: Some(BlobRef { root: hash(0x44), len: 1_000 }),
        statistics: Some(BlobRef { root: hash(0x55), len: 400 }),
        inputs: Vec::new(),
        merge: None,
        output_len,
        attested: vec![Attested { kind: Kind::Model, round: 2, inputs_root: hash(0x88), root: hash(0x44) }],
        committed_before: duty.kind == DutyKind::Train,
    }
}

fn request(order: DutyOrder, ahead: Option<Ahead>) -> DutyRequest {
    DutyRequest { version: 6, specs: Vec::new(), orders: vec![order], ahead: vec![ahead], masked: Vec::new() }
}

fn reply(duty: &Duty, state: DutyState) -> DutyReply {
    DutyReply { version: 6, answers: vec![DutyAnswer { duty: duty.hash(), state }], posts: Vec::new() }
}

#[test]
fn the_page_s_bytes_are_what_both_programs_write_and_read() {
    let train = duty(DutyKind::Train, hash(0x44), hash(0x55));
    let merge = duty(DutyKind::Merge, hash(0x88), Hash::zero());
    let input = |institution, duty, root, weight| MergeInput {
        institution,
        duty: hash(duty),
        blob: BlobRef { root: hash(root), len: 1_200 },
        weight,
    };
    let merging = DutyOrder {
        inputs: vec![input(ALDER, 0x0a, 0x66, 130), input(BIRCH, 0x0b, 0x77, 120)],
        merge: Some(Merge::by(MergeRule::Mean(Weighting::Samples))),
        ..order(merge, 1_000)
    };
    let asked = request(order(train, 1_200), None);
    let merged = request(merging, Some(Ahead::Train { len: 1_200 }));
    let update = DutyOutput::Update { root: hash(0x66), metric: Some(431_200) };
    let replies = [
        ("The worker lacks the specification", reply(&train, DutyState::NeedSpec)),
        ("A quarter of it is done", reply(&train, DutyState::Running { done: 250_000 })),
        ("The update is there", reply(&train, DutyState::Done(update))),
        ("The site does not allow it", reply(&train, DutyState::Failed(FailureCode::Refused))),
        ("The second input is not here yet", reply(&merge, DutyState::Inputs { have: 1, invalid: 0 })),
    ];
    let examples = examples();
    let mut compared = 1;
    assert_eq!(examples["The name of that duty"], train.hash().as_bytes());
    assert_eq!(train.encode().len(), 169, "as the page says");
    for (title, request) in [("A training is asked for", asked), ("A merge is asked for, and what follows it", merged)]
    {
        assert_eq!(hex::encode(&examples[title]), hex::encode(request.encode()), "{title}");
        assert_eq!(DutyRequest::decode_all(&mut &examples[title][..]).unwrap(), request);
        compared += 1;
    }
    for (title, reply) in replies {
        assert_eq!(hex::encode(&examples[title]), hex::encode(reply.encode()), "{title}");
        assert_eq!(DutyReply::decode_all(&mut &examples[title][..]).unwrap(), reply);
        compared += 1;
    }
    assert_eq!(compared, examples.len(), "examples that nothing is compared with: {:?}", examples.keys());
}
