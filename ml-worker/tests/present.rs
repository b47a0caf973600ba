//! What a site says of itself while a study waits for sites; and the initial model, which it can make again.
#![allow(clippy::unwrap_used)]

mod support;

use consilium_primitives::{
    duty::{held_bit, HELD_BASE, OLDER_PROTOCOL},
    round::Kind,
    Attested, DutyKind, DutyOrder, DutyOutput, DutyRequest, DutyState, Hash,
};
use std::fs;
use support::{root, unscaled, Door, Lab};

/// Whether it is there is asked of a site: in a study whose rounds from 0 on came to these models, of which it needs the last.
fn asked(lab: &Lab, models: &[Hash]) -> DutyOrder {
    let newest = models.len() as u32 - 1;
    let order = lab.order(DutyKind::Present, newest, models.last().copied(), None);
    let attested = (0..).zip(models).map(|(round, root)| attested(round, *root)).collect();
    DutyOrder { attested, output_len: lab.spec.merged_len(0).unwrap(), ..order }
}

fn attested(round: u32, root: Hash) -> Attested {
    Attested { kind: Kind::Model, round, inputs_root: Hash::repeat_byte(round as u8), root }
}

fn present(held: u16) -> DutyState {
    DutyState::Done(DutyOutput::Present { held })
}

#[test]
fn a_site_says_at_once_that_it_is_there_and_which_models_it_has_now() {
    let lab = Lab::new(0, unscaled(1));
    let initial = root(lab.done(&lab.order(DutyKind::Init, 0, None, None)));
    let (one, two) = (lab.zeros(), Hash::repeat_byte(9));
    let order = asked(&lab, &[initial, one, two]);
    let before = held_bit(2, 0) | held_bit(2, 1);
    assert_eq!(lab.ask(&order), present(before));
    // what it needs has come, and another one is gone
    fs::rename(lab.blob(&one), lab.dir.path().join("one")).unwrap();
    assert_eq!(lab.ask(&order), present(held_bit(2, 0)), "what was said before is not remembered");
    let order = asked(&lab, &[initial]);
    assert_eq!(lab.ask(&order), present(HELD_BASE | held_bit(0, 0)));
    // a file of another length is not that model
    fs::write(lab.blob(&initial), b"short").unwrap();
    assert_eq!(lab.ask(&order), present(0));
}

#[test]
fn a_site_whose_people_have_put_it_on_hold_is_not_there() {
    let lab = Lab::new(0, unscaled(1));
    let order = asked(&lab, &[Hash::repeat_byte(9)]);
    assert_eq!(lab.ask(&order), present(0));
    lab.home().set_held(true).unwrap();
    assert_eq!(lab.ask(&order), DutyState::Held);
}

#[test]
fn an_initial_model_that_is_gone_is_made_again_where_training_stands_on_it() {
    let lab = Lab::new(0, unscaled(1));
    let initial = root(lab.done(&lab.order(DutyKind::Init, 0, None, None)));
    let bytes = fs::read(lab.blob(&initial)).unwrap();
    fs::remove_file(lab.blob(&initial)).unwrap();
    // round 7 of a study that has fallen back to it
    let train = lab.order(DutyKind::Train, 7, Some(initial), None);
    assert_eq!(lab.ask(&train), DutyState::Queued, "that it is the initial one must be said");
    let train = DutyOrder { attested: vec![Attested { inputs_root: Hash::zero(), ..attested(0, initial) }], ..train };
    lab.done(&train);
    assert_eq!(fs::read(lab.blob(&initial)).unwrap(), bytes);
}

#[test]
fn messages_of_the_version_before_are_answered_in_it() {
    let lab = Lab::new(0, unscaled(1));
    let order = lab.order(DutyKind::Init, 0, None, None);
    let specs = vec![lab.spec.canonical().unwrap()];
    let reply = lab.worker.answer(&DutyRequest {
        version: OLDER_PROTOCOL,
        specs,
        orders: vec![order],
        ahead: vec![],
        masked: vec![],
    });
    assert_eq!((reply.version, reply.answers.len()), (OLDER_PROTOCOL, 1));
}
