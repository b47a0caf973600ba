//! The chain's database, as a node's configuration names it, and what it says when something is wrong with it, for people.

mod store;

use futures::future;
use sc_service::{error::Error as ServiceError, Configuration, DatabaseSource};
use sp_blockchain::Error as ChainError;
use std::{future::Future, path::Path, sync::Arc};
use store::{Opened, Pace, Store};

/// The SDK's word for a database that keeps other states than its node is to keep.
const OTHER_STATES: &str = "Incompatible pruning modes";

/// Opens the database at the path that the configuration names, and puts it there in the path's place. What comes back ends when nothing can
/// be written any more, which the log has said by then: a node that goes on would do so from memory alone.
///
/// # Errors
/// It cannot be opened.
pub fn open(config: &mut Configuration) -> Result<impl Future<Output = ()> + Send + 'static, ServiceError> {
    let path = match &config.database {
        DatabaseSource::ParityDb { path } | DatabaseSource::Auto { paritydb_path: path, .. } => path.clone(),
        other => {
            return Err(ServiceError::Other(format!(
                "--database: a chain is kept in paritydb, not in {other}: leave --database out"
            )))
        }
    };
    let Opened { store, fresh, failed } =
        Store::open(&path, Pace::default()).map_err(|error| unopened(&error, &path))?;
    config.database = DatabaseSource::Custom { db: Arc::new(store), require_create_flag: fresh };
    Ok(async move {
        if failed.await.is_err() {
            // it was closed in good order
            future::pending::<()>().await;
        }
    })
}

/// Why a database cannot be opened.
fn unopened(error: &parity_db::Error, path: &Path) -> ServiceError {
    let path = path.display();
    let text = match error {
        parity_db::Error::Locked(_) => format!(
            "the database at {path} is in use: a node with this --base-path runs already; end that one first, or give this one a folder \
             of its own"
        ),
        error => format!(
            "the database at {path} cannot be opened ({error}): see whether its disk is full or failing, and who owns that folder; if \
             neither is wrong, delete it, and the chain is fetched anew"
        ),
    };
    ChainError::Backend(text).into()
}

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
    use super::store::{unread, unwritten};
    use super::*;

    /// A text as the page for operators shows it: each blank and each end of a line is one blank.
    fn plain(text: &str) -> String {
        text.replace("\n> ", " ").split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_page_of_mistakes_has_what_a_node_says_of_its_database() {
        let page = plain(include_str!("../../docs/errors.md"));
        let (dir, why) = (Path::new("DIR"), parity_db::Error::Corruption("WHY".into()));
        let locked = parity_db::Error::Locked(std::io::Error::other("WHY"));
        let text = format!("{OTHER_STATES} WHY");
        let other = match explained(ChainError::StateDatabase(text.clone()).into(), Path::new("node")) {
            sc_cli::Error::Input(said) => said.replace(&text, "WHY"),
            other => panic!("{other}"),
        };
        // what the SDK puts before it is not on the page
        let begins = "the database at";
        let of = |error: &parity_db::Error| {
            let said = unopened(error, dir).to_string();
            said[said.find(begins).unwrap()..].to_owned()
        };
        for said in [of(&locked), of(&why), unread(dir, &why), unwritten(dir, &why), other] {
            let said = plain(&said.replace(&why.to_string(), "WHY"));
            assert!(page.contains(&said), "{said}");
        }
    }

    #[test]
    fn a_database_that_another_node_has_is_said_to_be_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Store::open(dir.path(), Pace::default()).unwrap();
        let Err(error) = Store::open(dir.path(), Pace::default()) else { panic!("opened twice") };
        let told = unopened(&error, dir.path()).to_string();
        assert!(told.contains("is in use") && told.contains(&dir.path().display().to_string()), "{told}");
    }

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
