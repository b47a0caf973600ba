//! One pairing of a masked study as this site answers for it, whatever its node says: to one list of keys, one set of partners and one
//! set of files, of which it is one. What it answers is on its disk before.

use crate::{
    random::key,
    site::{Answered, Home, Pairing, Source, StudyKey, Summed},
};
use consilium_masks::{
    check_key_list, check_partners, check_used, deal_hash, open_deal, Entropy, Error, Id, KeyList, Partner, Partners,
    PublicKeys, Secrets, Sharing, Which, PART_LEN,
};
use consilium_primitives::Hash;
use zeroize::Zeroizing;

/// Why nothing is answered.
#[derive(Debug, thiserror::Error)]
pub(in crate::server) enum Unanswered {
    /// It is asked for what it must never do.
    #[error("{0}")]
    Refused(String),
    /// It cannot answer, and says nothing: others hold its shares.
    #[error("{0}")]
    Silent(String),
    /// A fault of this machine.
    #[error("{0:#}")]
    Fault(#[from] anyhow::Error),
}

fn refused<T>(why: impl ToString) -> Result<T, Unanswered> {
    Err(Unanswered::Refused(why.to_string()))
}

fn silent<T>(why: impl ToString) -> Result<T, Unanswered> {
    Err(Unanswered::Silent(why.to_string()))
}

/// What a site without a pairing's secrets says to its own people.
const RESTORED: &str =
    "the secrets of this pairing are not in this worker's folder, which may have been put back from an earlier day: \
                        this site sits this sum out, and the others hold its shares";

/// Why the same numbers are not put into a second sum.
const AGAIN: &str =
    "the difference of two sums over different sites shows whoever is in one of them alone, and this update, trained on the same model \
     by steps over all of this site's rows, or the same one,";

/// What stands for the sites of a sum, with their weights: sums over one such set tell the same.
fn set<'a>(partners: impl IntoIterator<Item = &'a Partner>) -> Hash {
    let named = partners.into_iter().flat_map(|partner| [&partner.id[..], &partner.weight.to_le_bytes()].concat());
    key("consilium/summed/1", &[&named.collect::<Vec<u8>>()]).into()
}

/// Why numbers that are in one sum are not put into another one.
fn in_another(summed: &Summed) -> String {
    let other = summed.pairing;
    if summed.set == Summed::UNSEEN {
        return format!("{AGAIN} may be in the sum of pairing {other}: this site has not seen of which sites that was");
    }
    format!("{AGAIN} is in the sum of pairing {other}, which was opened, and that one was of other sites or weights")
}

/// A pairing, as a site is asked about it.
#[derive(Clone, Copy)]
pub(in crate::server) struct Pair<'a> {
    pub home: &'a Home,
    pub study: StudyKey,
    /// Its number.
    pub number: u32,
    /// What its keys are bound to.
    pub context: [u8; 32],
    /// This institution.
    pub own: Id,
    /// The least number of sites, as signed.
    pub minimum: usize,
}

/// What a file of this pairing may be made with.
pub(in crate::server) struct Maskable {
    pub secrets: Secrets,
    /// The file that was made before: another one is never given.
    pub before: Option<Hash>,
}

impl Pair<'_> {
    /// This site's public keys: always the same. `random`: 32 of the system's random bytes, which serve nothing else.
    pub fn keys(&self, random: impl FnOnce() -> anyhow::Result<[u8; 32]>) -> Result<PublicKeys, Unanswered> {
        if let Some(pairing) = self.home.pairing(&self.study, self.number)? {
            self.same_context(&pairing)?;
            return Ok(PublicKeys::from_bytes(&pairing.keys));
        }
        if !self.home.may_begin(&self.study, self.number)? {
            return refused(format!("pairing {} is over: this site has begun a later one", self.number));
        }
        let random = Zeroizing::new(random()?);
        let secrets = Secrets::draw(&mut Entropy::new(&random, b"consilium/pairing/1"));
        let keys = secrets.public_keys(&self.context, &self.own);
        self.home.begin_pairing(
            &self.study,
            &Pairing {
                number: self.number,
                context: self.context,
                keys: keys.to_bytes(),
                secrets: Some(secrets.to_bytes()),
                answered: Vec::new(),
            },
        )?;
        Ok(keys)
    }

    /// This site's deal to those in the list: always the same, and to no other list.
    pub fn deal(&self, list: &KeyList) -> Result<Vec<u8>, Unanswered> {
        let (pairing, secrets) = self.open(list)?;
        match check_key_list(list, &secrets, &self.own, self.minimum) {
            Ok(()) => {}
            Err(error @ (Error::ForeignKeys | Error::NotInKeyList { .. })) => {
                return silent(format!("{error}; {RESTORED}"));
            }
            Err(error) => return refused(error),
        }
        if pairing.keys_root().is_none() {
            self.home.answer_pairing(&self.study, self.number, &Answered::Dealt { keys_root: *list.root() })?;
        }
        self.own_deal(list, &secrets)
    }

    /// Whether a file for these partners may be made out of this, and with what.
    pub fn may_mask(&self, partners: &Partners, duty: &Hash, source: &Source) -> Result<Maskable, Unanswered> {
        let (pairing, secrets) = self.open(partners.list())?;
        if pairing.keys_root().is_none() {
            return silent(RESTORED);
        }
        if let Err(error) = check_partners(partners, &self.own) {
            return refused(error);
        }
        let deal = deal_hash(&self.own_deal(partners.list(), &secrets)?);
        if partners.partners().iter().any(|partner| partner.id == self.own && partner.deal != deal) {
            return refused("the deal that stands for this site among the partners is not the one that it made");
        }
        if pairing.partners_root().is_some_and(|first| first != *partners.root()) {
            return refused("this site has masked an update for other partners of the same pairing");
        }
        if pairing.masked().is_some_and(|(first, _)| first != *duty) {
            return refused("this site has masked another update in the same pairing");
        }
        self.note_unseen(source)?;
        let set = set(partners.partners());
        for summed in self.others_with(source)? {
            let other = summed.pairing;
            if summed.source.work == source.work {
                return refused(format!("its update is in the sum of pairing {other}, which was opened"));
            }
            if summed.set != set {
                return refused(in_another(&summed));
            }
        }
        Ok(Maskable { secrets, before: pairing.masked().map(|(_, file)| file) })
    }

    /// Notes the file that was made, before anybody hears of it.
    pub fn masked(&self, partners: &Partners, duty: Hash, source: Source, file: Hash) -> Result<(), Unanswered> {
        let answered = Answered::Masked { partners_root: *partners.root(), duty, source, file };
        Ok(self.home.answer_pairing(&self.study, self.number, &answered)?)
    }

    /// The shares that this site gives for the sum over a set: always the same, and for no other set. `own`: the file that stands for
    /// this site in it. `dealt`: each partner's part for this site, in their order. Afterwards its own secrets of this pairing, and of
    /// all before, are gone.
    pub fn reveal(
        &self,
        partners: &Partners,
        (used, own): (u64, &Hash),
        dealt: &[Vec<u8>],
    ) -> Result<Vec<u8>, Unanswered> {
        let Some(pairing) = self.home.pairing(&self.study, self.number)? else { return silent(RESTORED) };
        self.same_context(&pairing)?;
        match (pairing.keys_root(), pairing.partners_root()) {
            (Some(list), Some(first)) if list == *partners.list().root() && first == *partners.root() => {}
            (Some(_), Some(_)) => {
                return refused("this site has masked an update for other partners of the same pairing")
            }
            _ => return silent(RESTORED),
        }
        if let Err(error) = check_used(partners, &self.own, used, self.minimum) {
            return refused(error);
        }
        if pairing.masked().is_none_or(|(_, file)| file != *own) {
            return refused("the file that stands for this site in the set is not the one that it made");
        }
        if let Some((first, bytes)) = pairing.opened() {
            if first != used {
                return refused("this site has opened another set of the same pairing");
            }
            let bytes = bytes.to_vec();
            // where the power was cut right after the first time
            self.forget()?;
            return Ok(bytes);
        }
        let secrets = self.secrets(&pairing)?;
        let bytes = self.shares(partners, used, &secrets, dealt)?;
        if let Some(source) = pairing.source() {
            let set = set(partners.of_set(used));
            if let Some(summed) = self.others_with(&source)?.into_iter().find(|summed| summed.set != set) {
                return refused(in_another(&summed));
            }
            // before anybody has a share: with it, others may open the sum
            self.home.add_summed(&self.study, &Summed { pairing: self.number, source, set })?;
        }
        self.home.answer_pairing(&self.study, self.number, &Answered::Opened { used, bytes: bytes.clone() })?;
        self.forget()?;
        Ok(bytes)
    }

    /// Notes that the sum over a set was opened, whoever gave the shares. `own`: the file that stands for this site in it.
    pub fn note_sum(&self, partners: &Partners, (used, own): (u64, &Hash)) -> anyhow::Result<()> {
        let Some(pairing) = self.home.pairing(&self.study, self.number)? else { return Ok(()) };
        let in_it = pairing.masked().is_some_and(|(_, file)| file == *own);
        let Some(source) = pairing.source().filter(|_| in_it) else { return Ok(()) };
        let set = set(partners.of_set(used));
        self.home.add_summed(&self.study, &Summed { pairing: self.number, source, set })
    }

    /// Notes of what this site has masked in other rounds that it may be in sums, where it has seen none: who is away when others open
    /// one is not asked for it. It matters only where training gives the same on the same model. Of one round there is one sum.
    fn note_unseen(&self, source: &Source) -> anyhow::Result<()> {
        if source.again.is_none() {
            return Ok(());
        }
        let seen = self.home.summed(&self.study)?;
        for number in self.home.pairings(&self.study)? {
            let before = self.home.pairing(&self.study, number)?.and_then(|pairing| pairing.source());
            let Some(before) = before.filter(|before| before.again.is_some() && before.work != source.work) else {
                continue;
            };
            if !seen.iter().any(|summed| summed.source.work == before.work) {
                let unseen = Summed { pairing: number, source: before, set: Summed::UNSEEN };
                self.home.add_summed(&self.study, &unseen)?;
            }
        }
        Ok(())
    }

    /// The sums of other pairings that have the same numbers of this site in them, and were opened.
    fn others_with(&self, source: &Source) -> anyhow::Result<Vec<Summed>> {
        let mut summed = self.home.summed(&self.study)?;
        summed.retain(|summed| summed.pairing != self.number && summed.source.same_as(source));
        Ok(summed)
    }

    /// Overwrites the secrets of this pairing and of all before.
    fn forget(&self) -> Result<(), Unanswered> {
        self.home.forget_secrets(&self.study, self.number)?;
        Ok(self.home.close_pairings(&self.study, self.number)?)
    }

    fn same_context(&self, pairing: &Pairing) -> Result<(), Unanswered> {
        if pairing.context == self.context {
            return Ok(());
        }
        refused(format!(
            "pairing {} has begun here for something else: another round, or another kind of sum",
            self.number
        ))
    }

    fn secrets(&self, pairing: &Pairing) -> Result<Secrets, Unanswered> {
        let Some(secrets) = &pairing.secrets else {
            return silent("the secrets of this pairing were overwritten: its sum was opened, or it is over");
        };
        Secrets::from_bytes(secrets).map_err(|error| Unanswered::Fault(error.into()))
    }

    /// What this site has of the pairing, which is one with this list of keys.
    fn open(&self, list: &KeyList) -> Result<(Pairing, Secrets), Unanswered> {
        let Some(pairing) = self.home.pairing(&self.study, self.number)? else { return silent(RESTORED) };
        self.same_context(&pairing)?;
        if pairing.keys_root().is_some_and(|first| first != *list.root()) {
            return refused("this site has dealt shares to another list of keys of the same pairing");
        }
        let secrets = self.secrets(&pairing)?;
        Ok((pairing, secrets))
    }

    fn own_deal(&self, list: &KeyList, secrets: &Secrets) -> Result<Vec<u8>, Unanswered> {
        let deal = Sharing::new(secrets, list).deal(secrets, &self.own, list);
        deal.map_err(|error| Unanswered::Fault(error.into()))
    }

    /// What is posted: of each partner the share of its seed, where its file is in the set, or of its pair secret; never both. What was not
    /// sealed as it must be is left out.
    fn shares(
        &self,
        partners: &Partners,
        used: u64,
        secrets: &Secrets,
        dealt: &[Vec<u8>],
    ) -> Result<Vec<u8>, Unanswered> {
        let list = partners.list();
        let place = list.place(&self.own).map_err(|error| Unanswered::Fault(error.into()))?;
        if dealt.len() != partners.count() {
            return Err(anyhow::anyhow!("{} parts of deals for {} partners", dealt.len(), partners.count()).into());
        }
        let (mut given, mut shares) = (0u64, Vec::new());
        for (bit, (partner, part)) in partners.partners().iter().zip(dealt).enumerate() {
            // of a deal only the own part is looked at
            let mut deal = vec![0; PART_LEN * list.count()];
            if part.len() == PART_LEN {
                deal[PART_LEN * place..PART_LEN * (place + 1)].copy_from_slice(part);
            }
            match open_deal(secrets, &self.own, list, &partner.id, &deal) {
                Ok(both) => {
                    let bit = 1u64 << bit;
                    given |= bit;
                    shares.extend_from_slice(both.of(if used & bit != 0 { Which::Seed } else { Which::Pair }));
                }
                Err(error) => tracing::warn!("study {}, pairing {}: {error}", self.study.study, self.number),
            }
        }
        Ok([&given.to_le_bytes()[..], &shares].concat())
    }
}

#[cfg(test)]
mod tests;
