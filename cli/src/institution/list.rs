//! `consilium institutions`: who there is, and what each does.

use crate::{
    options::{Asked, Format},
    plain::seen,
    show::print_json,
};
use anyhow::Result;
use consilium_primitives::InstitutionId;
use pallet_consortium::Institution;
use serde_json::{json, Value};
use sp_core::crypto::AccountId32;

/// Prints all institutions.
///
/// # Errors
/// The node does not answer.
pub async fn run(asked: &Asked) -> Result<()> {
    let chain = asked.chain().await?;
    let at = chain.best().await?;
    let here = chain.consortium(at).await?;
    let list = here.institutions.iter().map(|(who, it)| (who, it, here.validators.contains(who)));
    if asked.connection.format == Format::Json {
        let list: Vec<Value> = list.map(|(who, it, makes)| institution_json(who, it, makes)).collect();
        return print_json(&json!(list));
    }
    for (who, it, makes) in list {
        out!("{}", institution_line(who, it, makes));
    }
    Ok(())
}

/// An institution's id, as all of these print it.
fn id_of(who: &AccountId32) -> String {
    InstitutionId(who.clone().into()).to_string()
}

fn peer_of(it: &Institution) -> Option<String> {
    it.peer_id.as_ref().map(|peer| bs58::encode(peer).into_string())
}

/// An institution for programs. The flags are those that it has, also while it is suspended.
fn institution_json(who: &AccountId32, it: &Institution, makes_blocks: bool) -> Value {
    json!({
        "id": id_of(who),
        "name": String::from_utf8_lossy(&it.name),
        "profile": String::from_utf8_lossy(&it.profile),
        "peer_id": peer_of(it),
        "validator": it.validator,
        "participant": it.participant,
        "suspended": it.suspended,
        "makes_blocks": makes_blocks,
    })
}

/// An institution in a line.
fn institution_line(who: &AccountId32, it: &Institution, makes_blocks: bool) -> String {
    let mut roles = match (it.validator, it.participant) {
        (true, true) => "validator, participant",
        (true, false) => "validator",
        (false, true) => "participant",
        (false, false) => "no role",
    }
    .to_owned();
    match (it.suspended, makes_blocks) {
        (true, true) => roles.push_str(", SUSPENDED, in the set of validators for a few blocks more"),
        (true, false) => roles.push_str(", SUSPENDED: no part in any of it until it is reinstated"),
        (false, false) if it.validator => roles.push_str(", makes no blocks yet"),
        _ => {}
    }
    let peer = peer_of(it).unwrap_or_else(|| "no peer id yet".into());
    format!("{} {} · {roles} · {peer}", seen(&String::from_utf8_lossy(&it.name)), id_of(who))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::motions::tally::tests::consortium;

    #[test]
    fn who_is_suspended_is_said_to_be_and_keeps_its_flags() {
        let here = consortium(&["hill"]);
        let (who, mut it) = here.institutions.into_iter().next().unwrap();
        let line = institution_line(&who, &it, true);
        assert!(line.starts_with("hill 0x0101") && line.contains("validator, participant · no peer id"), "{line}");
        assert!(institution_line(&who, &it, false).contains("makes no blocks yet"));
        (it.suspended, it.participant) = (true, false);
        let line = institution_line(&who, &it, false);
        assert!(line.contains("validator, SUSPENDED") && !line.contains("blocks yet"), "{line}");
        let document = institution_json(&who, &it, false);
        for (field, value) in
            [("validator", true), ("participant", false), ("suspended", true), ("makes_blocks", false)]
        {
            assert_eq!(document[field], value, "{field}");
        }
    }
}
