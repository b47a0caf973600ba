//! What a worker checks before it answers, whatever its node says. `minimum` is the least number of sites of the signed rules.
use crate::{partners::contains, Error, Id, KeyList, Partners, Secrets};

/// The fewest sites whose sum is ever opened: of two, each would know the other's numbers.
pub const MIN_SITES: usize = 3;

/// The fewest sites whose sum is opened, where `threshold` shares open a secret.
pub fn least_used(threshold: usize, minimum: usize) -> usize {
    threshold.max(minimum).max(MIN_SITES)
}

/// Before dealing: enough sites gave keys, and the list has this site's own.
pub fn check_key_list(list: &KeyList, secrets: &Secrets, own: &Id, minimum: usize) -> Result<(), Error> {
    let least = minimum.max(MIN_SITES);
    if list.count() < least {
        return Err(Error::TooFewKeys { found: list.count(), least });
    }
    if *list.keys(own)? != secrets.public_keys(list.context(), own) {
        return Err(Error::ForeignKeys);
    }
    Ok(())
}

/// Before masking: enough sites dealt for every secret to be opened if need be, and this site is one of them.
pub fn check_partners(partners: &Partners, own: &Id) -> Result<(), Error> {
    let least = partners.list().threshold();
    if partners.count() < least {
        return Err(Error::TooFewPartners { found: partners.count(), least });
    }
    partners.place(own)?;
    Ok(())
}

/// Before revealing: the set names partners only, this site is in it, and it is large enough.
pub fn check_used(partners: &Partners, own: &Id, used: u64, minimum: usize) -> Result<(), Error> {
    partners.check_set(used)?;
    if !contains(used, partners.place(own)?) {
        return Err(Error::NotInSet);
    }
    let least = least_used(partners.list().threshold(), minimum);
    let found = used.count_ones() as usize;
    if found < least {
        return Err(Error::TooFewInSet { found, least });
    }
    Ok(())
}
