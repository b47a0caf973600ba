//! What the chain hashes and counts of masked sums, and what sites and auditors do, is the same: two pieces of code, since nothing
//! of this crate runs inside the chain.
use consilium_masks::{
    deal_hash, reveal, threshold, Entropy, Id, KeyList, Kind, Pairing, Partner, Partners, Reveal, Secrets, Sharing,
    Which, MAX_SITES, MIN_SITES, PART_LEN,
};
use consilium_primitives::{
    ids::{Hash, InstitutionId},
    kinds::{Kind as ChainKind, MaskKeys},
    masks,
};

fn id(site: usize) -> Id {
    [2 * site as u8 + 1; 32]
}

fn hash(bytes: &[u8; 32]) -> Hash {
    Hash::from(*bytes)
}

#[test]
fn contexts_thresholds_and_lengths_are_those_of_the_chain() {
    let (genesis, agreement) = ([1; 32], [2; 32]);
    let kinds = [
        (Kind::Statistics, ChainKind::Statistics),
        (Kind::Model, ChainKind::Model),
        (Kind::Evaluation, ChainKind::Evaluation),
    ];
    for (kind, chains) in kinds {
        let pairing =
            Pairing { genesis: &genesis, study: 7, agreement: &agreement, kind, round: 0x0102_0304, pairing: 9 };
        let chains = masks::context(&hash(&genesis), 7, &hash(&agreement), chains, 0x0102_0304, 9);
        assert_eq!(hash(&pairing.context()), chains);
    }
    for sites in 1..=MAX_SITES {
        assert_eq!(threshold(sites), masks::threshold(sites as u32) as usize);
        assert_eq!(PART_LEN * sites, masks::deal_len(sites as u32) as usize);
    }
    assert_eq!(MIN_SITES, masks::LEAST as usize);
}

/// Five gave keys, four of them dealt, and all of these are in the set.
#[test]
fn roots_commitments_and_reveals_are_those_of_the_chain() {
    let context = [5; 32];
    let secrets: Vec<Secrets> = (0..5_u8).map(|site| Secrets::draw(&mut Entropy::new(&[7; 32], &[site]))).collect();
    let keys: Vec<_> = (0..5).map(|site| (id(site), secrets[site].public_keys(&context, &id(site)))).collect();
    let chains: Vec<_> = keys
        .iter()
        .map(|(id, keys)| {
            let chains = MaskKeys { seal: hash(&keys.seal), pair: hash(&keys.pair), seed: hash(&keys.seed) };
            assert_eq!(chains.bytes(), keys.to_bytes());
            (InstitutionId(*id), chains)
        })
        .collect();
    let list = KeyList::new(context, keys).unwrap();
    let keys_root = masks::keys_root(&hash(&context), &chains);
    assert_eq!(hash(list.root()), keys_root);

    let dealt = [0, 1, 3, 4];
    let deals: Vec<Vec<u8>> = dealt
        .iter()
        .map(|site| Sharing::new(&secrets[*site], &list).deal(&secrets[*site], &id(*site), &list).unwrap())
        .collect();
    let partners: Vec<Partner> = dealt
        .iter()
        .zip(&deals)
        .map(|(site, deal)| Partner { id: id(*site), deal: deal_hash(deal), weight: 100 + *site as u32 })
        .collect();
    let chains: Vec<_> = partners
        .iter()
        .map(|partner| masks::Partner {
            institution: InstitutionId(partner.id),
            deal: hash(&partner.deal),
            weight: partner.weight,
        })
        .collect();
    let partners = Partners::new(list, partners).unwrap();
    assert_eq!(hash(partners.root()), masks::partners_root(&keys_root, 0b1_1011, &chains));

    let used = partners.set_of(&[id(0), id(1), id(3), id(4)]).unwrap();
    let (made, _) = reveal(&secrets[3], &id(3), &partners, used, 3, &deals).unwrap();
    let bytes = made.to_bytes();
    let chains = masks::shares(&bytes, 4).unwrap();
    assert_eq!(bytes.len(), masks::reveal_len(4) as usize);
    assert_eq!(chains.len(), 4);
    for (place, share) in chains {
        let place = place as usize;
        assert_eq!(made.share(place).map(|share| &share[..]), Some(share));
        // in the deal, the holder's part is the fourth: site 3 gave keys, as did all before it
        let start = PART_LEN * 3;
        let dealer = InstitutionId(partners.partners()[place].id);
        let said = masks::commitment(&keys_root, &dealer, &InstitutionId(id(3)), Which::Seed as u8, share);
        assert_eq!(said.as_bytes(), &deals[place][start..start + 32]);
    }

    // what is no reveal here is none there
    let mut beyond = bytes.clone();
    beyond[0] = 0b1_0111;
    for changed in [&bytes[..bytes.len() - 1], &beyond[..], &bytes[..7]] {
        assert!(Reveal::from_bytes(changed, &partners).is_err());
        assert!(masks::shares(changed, 4).is_none());
    }
}
