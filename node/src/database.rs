//! What a database says that was made with other settings, for people.

use sc_service::error::Error as ServiceError;
use sp_blockchain::Error as ChainError;
use std::path::Path;

/// The SDK's word for a database that keeps other states than its node is to keep.
const OTHER_STATES: &str = "Incompatible pruning modes";

/// An error of the start; starting again does not mend a database that was made to keep other states.
pub fn explained(error: ServiceError, base: &Path) -> sc_cli::Error {
    match &error {
        ServiceError::Client(ChainError::StateDatabase(text)) if text.starts_with(OTHER_STATES) => {
            sc_cli::Error::Input(format!(
                "--state-pruning, `pruning` in consilium.toml: which states of old blocks are kept is settled when a database is \
                 made, and the one that is there was made otherwise ({text}): go back to the former setting, or delete {}, and \
                 the chain is fetched anew",
                base.join("chains").display()
            ))
        }
        _ => sc_cli::Error::Service(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_other_states_is_an_error_of_configuration_and_no_other_is() {
        let text = format!("{OTHER_STATES} [stored: ArchiveCanonical; requested: ArchiveAll]");
        let base = Path::new("/srv/st-mary/node");
        let told = explained(ChainError::StateDatabase(text.clone()).into(), base);
        assert!(matches!(&told, sc_cli::Error::Input(said) if said.contains(&text) && said.contains("node/chains")));
        let other = explained(ChainError::StateDatabase("Block already exists".into()).into(), base);
        assert!(matches!(other, sc_cli::Error::Service(_)));
    }
}
