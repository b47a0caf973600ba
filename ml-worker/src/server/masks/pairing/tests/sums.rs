//! What of a site is in one sum is in no second one that tells anything more.

use super::*;

/// Finality is broken: on one side of a fork the sum of one pairing was opened, on the other side the same update is under the masks of
/// another pairing, and was so before.
#[test]
fn shares_are_given_for_one_sum_of_an_update_whichever_fork_asks_and_stay_so_after_a_restart() {
    let others = sites(4);
    let late = Site::new(1);
    let four = [&late, &others[1], &others[2], &others[3]];
    let (before, after) = (All::of(&four, 5), All::of(&four, 6));
    late.mask(5, &before.partners).unwrap();
    late.mask(6, &after.partners).unwrap();
    late.reveal(5, &before, 0b0111).unwrap();
    for used in [0b1111, 0b1011, 0b1101] {
        is_refused(late.reveal(6, &after, used), "the sum of pairing 5");
        let again = late.again();
        let asked = late.pair(&again, 6).reveal(&after.partners, (used, &late.file()), &after.dealt_to(&late.id));
        is_refused(asked, "the sum of pairing 5");
    }
    assert!(late.home.pairing(&STUDY, 6).unwrap().unwrap().opened().is_none(), "no share was given");
    // over the same sites with the same weights a second sum tells nothing more
    late.reveal(6, &after, 0b0111).unwrap();
}

/// A void round is followed by another one on the same model, as is a round that falls back to an earlier model: where each step is over all
/// rows, its update is the same one.
#[test]
fn an_update_that_comes_out_the_same_on_the_same_model_is_in_no_second_sum_of_other_sites() {
    let sites = sites(5);
    let all: Vec<_> = sites.iter().collect();
    let one = &sites[0];
    let made = |n: u8, model: Option<u8>| Source { work: Hash::repeat_byte(n), again: model.map(Hash::repeat_byte) };
    let first = All::of(&all[..4], 1);
    one.mask_of(1, &first.partners, made(1, Some(9))).unwrap();
    one.reveal(1, &first, 0b1111).unwrap();
    // the next round, with one site less: the difference would be that site's
    let less = All::of(&all[..3], 2);
    is_refused(one.mask_of(2, &less.partners, made(2, Some(9))), "the sum of pairing 1");
    // one more, or another weight
    let more = All::of(&all, 3);
    is_refused(one.mask_of(3, &more.partners, made(2, Some(9))), "other sites or weights");
    // another model, or training whose order is drawn anew: another update
    one.mask_of(3, &more.partners, made(3, Some(8))).unwrap();
    let drawn = All::of(&all, 4);
    one.mask_of(4, &drawn.partners, made(4, None)).unwrap();
    // the same sites: the same sum. Where one of them is left out afterwards, no share is given
    let again = All::of(&all[..4], 5);
    one.mask_of(5, &again.partners, made(5, Some(9))).unwrap();
    is_refused(one.reveal(5, &again, 0b0111), "the sum of pairing 1");
    one.reveal(5, &again, 0b1111).unwrap();
    // many rounds later, when the files of those pairings are gone, and after a restart
    for number in 6..20 {
        let pairing = All::of(&all, number);
        one.mask_of(number, &pairing.partners, made(number as u8, None)).unwrap();
        one.reveal(number, &pairing, 0b11111).unwrap();
    }
    assert!(one.home.pairing(&STUDY, 5).unwrap().is_none());
    let late = All::of(&all, 20);
    let home = one.again();
    is_refused(one.pair(&home, 20).may_mask(&late.partners, &DUTY, &made(20, Some(9))), "the sum of pairing");
    is_refused(one.pair(&home, 20).may_mask(&late.partners, &DUTY, &made(1, None)), "the sum of pairing 1");
}

#[test]
fn a_sum_that_others_have_opened_counts_for_whoever_is_in_it() {
    let sites = sites(4);
    let all = All::of(&sites.iter().collect::<Vec<_>>(), 1);
    let one = &sites[3];
    let model = Some(Hash::repeat_byte(9));
    one.mask_of(1, &all.partners, Source { work: Hash::repeat_byte(1), again: model }).unwrap();
    let pair = one.pair(&one.home, 1);
    // a file that is not its own stands for it: none of its numbers is in the sum
    pair.note_sum(&all.partners, (0b1111, &Hash::repeat_byte(0xff))).unwrap();
    assert!(one.home.summed(&STUDY).unwrap().is_empty());
    pair.note_sum(&all.partners, (0b1111, &one.file())).unwrap();
    let few = All::of(&sites[..].iter().skip(1).collect::<Vec<_>>(), 2);
    is_refused(
        one.mask_of(2, &few.partners, Source { work: Hash::repeat_byte(2), again: model }),
        "the sum of pairing 1",
    );
}

/// Others have opened a sum with this site's file in it, which could not be used, while this site was away. Back, it is asked for the
/// same numbers by the next round, and knows nothing of that sum.
#[test]
fn what_was_masked_in_a_round_whose_sum_a_site_has_not_seen_is_in_no_second_one() {
    let sites = sites(4);
    let all: Vec<_> = sites.iter().collect();
    let one = &sites[0];
    let made = |n: u8, model: Option<u8>| Source { work: Hash::repeat_byte(n), again: model.map(Hash::repeat_byte) };
    let first = All::of(&all, 1);
    one.mask_of(1, &first.partners, made(1, Some(9))).unwrap();
    // that round goes on with a new pairing: nothing was opened, and the same update is masked anew
    let anew = All::of(&all[..3], 2);
    one.mask_of(2, &anew.partners, made(1, Some(9))).unwrap();
    // the next round, for whichever sites, and after a restart
    for (number, count) in [(3, 4), (4, 3)] {
        let next = All::of(&all[..count], number);
        is_refused(one.mask_of(number, &next.partners, made(2, Some(9))), "may be in the sum of pairing 1");
        let home = one.again();
        is_refused(
            one.pair(&home, number).may_mask(&next.partners, &DUTY, &made(2, Some(9))),
            "may be in the sum of pairing 1",
        );
    }
    // it goes on with another model, and with training whose order is drawn anew
    let other = All::of(&all, 5);
    one.mask_of(5, &other.partners, made(3, Some(8))).unwrap();
    one.reveal(5, &other, 0b1111).unwrap();
    for number in 6..20 {
        let pairing = All::of(&all, number);
        one.mask_of(number, &pairing.partners, made(number as u8, None)).unwrap();
        one.reveal(number, &pairing, 0b1111).unwrap();
    }
    // back on the first model when the files of those pairings are gone
    assert!(one.home.pairing(&STUDY, 1).unwrap().is_none());
    let late = All::of(&all, 20);
    is_refused(one.mask_of(20, &late.partners, made(20, Some(9))), "may be in the sum of pairing 1");
}
