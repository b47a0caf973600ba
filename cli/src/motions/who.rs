//! Institutions by name or account, as people type them.

use crate::{chain::consortium::Consortium, plain::seen};
use anyhow::{bail, Result};
use sp_core::crypto::{AccountId32, Ss58Codec};

impl Consortium {
    /// An institution's name; of one that is none any more, that it has departed, or its account where no name is known.
    pub fn name(&self, who: &AccountId32) -> String {
        match self.departed.get(who).filter(|_| !self.institutions.contains_key(who)) {
            Some(name) => format!("{} (departed)", seen(name)),
            None => self.bare_name(who),
        }
    }

    /// An institution's name, also of one that is none any more; its account where no name is known.
    pub fn bare_name(&self, who: &AccountId32) -> String {
        let name = self.institutions.get(who).map(|it| String::from_utf8_lossy(&it.name).into_owned());
        name.as_ref().or_else(|| self.departed.get(who)).map_or_else(|| who.to_ss58check(), |name| seen(name))
    }

    /// Names of institutions, with commas.
    pub fn names<'a>(&self, all: impl IntoIterator<Item = &'a AccountId32>) -> String {
        let names: Vec<String> = all.into_iter().map(|who| self.name(who)).collect();
        if names.is_empty() {
            "nobody".into()
        } else {
            names.join(", ")
        }
    }

    /// The institution of this name or account; a beginning that no other has is enough.
    ///
    /// # Errors
    /// There is none, or several; the text lists them.
    pub fn find(&self, text: &str) -> Result<AccountId32> {
        let wanted = text.to_lowercase();
        let exact: Vec<&AccountId32> = self
            .institutions
            .iter()
            .filter(|(who, it)| it.name.as_slice() == text.as_bytes() || who.to_ss58check() == text)
            .map(|(who, _)| who)
            .collect();
        let begins = |who: &AccountId32, name: &[u8]| {
            let account: &[u8; 32] = who.as_ref();
            String::from_utf8_lossy(name).to_lowercase().starts_with(&wanted)
                || who.to_ss58check().starts_with(text)
                || (wanted.starts_with("0x") && format!("0x{}", hex::encode(account)).starts_with(&wanted))
        };
        let found = if exact.is_empty() && !text.is_empty() {
            self.institutions.iter().filter(|(who, it)| begins(who, &it.name)).map(|(who, _)| who).collect()
        } else {
            exact
        };
        let line = |who: &AccountId32| format!("\n  {}  {}", self.name(who), who.to_ss58check());
        match found[..] {
            [one] => Ok(one.clone()),
            [] => {
                let all: String = self.institutions.keys().map(line).collect();
                bail!("{text:?}: no institution has this name or account, or one that begins so; there are:{all}")
            }
            _ => {
                let several: String = found.into_iter().map(line).collect();
                bail!("{text:?}: could be one of several; write more of the name, or the account:{several}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tally::tests::consortium;
    use super::*;

    #[test]
    fn who_has_departed_is_named_where_the_name_is_known() {
        let mut here = consortium(&["North"]);
        let (north, gone) = (AccountId32::from([1; 32]), AccountId32::from([9; 32]));
        assert_eq!(here.name(&gone), gone.to_ss58check());
        here.departed = [(gone.clone(), "Hill\u{1b}".into()), (north.clone(), "another".into())].into();
        assert_eq!(here.name(&gone), "Hill\\u{1b} (departed)");
        assert_eq!(here.bare_name(&gone), "Hill\\u{1b}");
        // it was admitted again since
        assert_eq!((here.name(&north), here.bare_name(&north)), ("North".into(), "North".into()));
    }

    #[test]
    fn a_unique_beginning_is_enough_and_an_ambiguous_one_lists_whom_it_could_mean() {
        let here = consortium(&["North", "Northern", "South"]);
        let account = |n: u8| AccountId32::from([n; 32]);
        assert_eq!(here.find("North").unwrap(), account(1), "the whole name of one");
        assert_eq!(here.find("northe").unwrap(), account(2));
        assert_eq!(here.find("s").unwrap(), account(3));
        assert_eq!(here.find(&account(2).to_ss58check()).unwrap(), account(2));
        assert_eq!(here.find("0x0303").unwrap(), account(3));
        let several = here.find("nor").unwrap_err().to_string();
        assert!(several.contains("North ") && several.contains("Northern") && !several.contains("South"), "{several}");
        assert!(several.contains(&account(1).to_ss58check()), "{several}");
        for none in ["East", "", "0x", "5"] {
            let error = here.find(none).unwrap_err().to_string();
            assert!(error.contains("South"), "{error}");
        }
    }
}
