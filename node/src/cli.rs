//! The command line.

use crate::{
    found::{Found, InspectChain, InspectRuntime, MakeKeys},
    secrets,
};
use sc_cli::{Cors, RpcMethods};
use sc_network_types::ed25519::Keypair;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

/// The node of one institution in a swarm-learning consortium.
#[derive(Debug, clap::Parser)]
pub struct Cli {
    /// What to do; without a command, run the node.
    #[command(subcommand)]
    pub subcommand: Option<Subcommand>,

    /// Everything a node takes.
    #[clap(flatten)]
    pub run: sc_cli::RunCmd,

    /// This institution's worker.
    #[clap(flatten)]
    pub worker: WorkerParams,

    /// The carrying of blobs between institutions.
    #[clap(flatten)]
    pub courier: CourierParams,

    /// Folder in which the compiled runtime is kept, so that the next start need not compile it. It holds machine code that
    /// this node runs: it is made for its owner alone, and refused where others can write. Nodes of one user may share it.
    /// Without it, `wasm` in the base path, or nothing where that is temporary.
    #[arg(long, value_name = "DIR")]
    pub wasm_cache: Option<PathBuf>,

    /// What the survivors have signed after most validators were lost for good: from its last final block on, finality is
    /// theirs. Needed by them until the chain has taken out the lost, and by nodes that join later; may be given several times.
    #[arg(long, value_name = "FILE")]
    pub recovery: Vec<PathBuf>,

    /// How long votes on finality may take to reach all validators, in milliseconds: half the time of the slowest way between
    /// two of them, at least. Without it 50, above ten validators 100, above 32 250. A block is final after two to six times
    /// that.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u16).range(10..=10_000))]
    pub finality_gossip_ms: Option<u16>,
}

/// How long votes on finality may take to reach everybody, where nobody says so: shorter timers make blocks final sooner, and cost
/// more messages where more vote. A round of votes takes two to six of it.
pub fn gossip_for(voters: usize) -> Duration {
    Duration::from_millis(match voters {
        0..=10 => 50,
        11..=32 => 100,
        _ => 250,
    })
}

/// This institution's worker process.
#[derive(Clone, Debug, clap::Args)]
pub struct WorkerParams {
    /// Address of this institution's ml-worker, for instance http://127.0.0.1:8601; needs --blobs too. Without it this
    /// node does no duty of its institution: it follows the chain, makes blocks if it is a validator's, and carries
    /// what --blobs holds.
    #[arg(long, value_name = "URL", requires = "worker_token_file")]
    pub worker_url: Option<String>,

    /// File with the token that the ml-worker wants, one line.
    #[arg(long, value_name = "FILE", requires = "worker_url")]
    pub worker_token_file: Option<PathBuf>,
}

/// The carrying of blobs between institutions.
#[derive(Clone, Debug, clap::Args)]
pub struct CourierParams {
    /// Folder of the blob store, shared with this institution's ml-worker. Without it the node neither fetches nor
    /// serves model updates.
    #[arg(long, value_name = "DIR")]
    pub blobs: Option<PathBuf>,

    /// MiB of blobs that studies need this node to hold, and of partial downloads, above which the node fetches nothing more.
    #[arg(long, value_name = "MIB", default_value_t = 16384)]
    pub courier_quota_mib: u64,
}

impl Cli {
    /// Whether what is asked for makes sense together.
    ///
    /// # Errors
    /// What does not, for people.
    pub fn check(&self) -> Result<(), String> {
        if self.worker.worker_url.is_some() && self.courier.blobs.is_none() {
            return Err(
                "--worker-url without --blobs: this institution would train and commit, and serve its updates to \
                        nobody; name the blob store that it shares with its ml-worker with --blobs DIR"
                    .into(),
            );
        }
        Ok(())
    }

    /// Where the compiled runtime is kept: what was asked for, or a place below `base`; nowhere if that is gone after this run.
    #[must_use]
    pub fn wasm_cache(&self, base: &Path) -> Option<PathBuf> {
        let shared = &self.run.shared_params;
        let temporary = self.run.tmp || (shared.dev && shared.base_path.is_none());
        self.wasm_cache.clone().or_else(|| (!temporary).then(|| base.join("wasm")))
    }

    /// Makes safe what the SDK leaves open to whoever reaches the RPC port from this machine, a web page in a browser here among
    /// them: methods that read and write the worker's address and token, or change keys, are answered only where they
    /// are asked for in so many words, and browsers are told that no page of another origin may read answers.
    ///
    /// # Errors
    /// What is asked for would answer them to other machines, too; for people.
    pub fn close_rpc(&mut self) -> Result<(), String> {
        let rpc = &mut self.run.rpc_params;
        let safe = |methods: RpcMethods| if methods == RpcMethods::Auto { RpcMethods::Safe } else { methods };
        rpc.rpc_methods = safe(rpc.rpc_methods);
        rpc.rpc_cors.get_or_insert_with(|| Cors::List(Vec::new()));
        let mut open = rpc.rpc_external && !rpc.unsafe_rpc_external && rpc.rpc_methods == RpcMethods::Unsafe;
        for endpoint in &mut rpc.experimental_rpc_endpoint {
            endpoint.rpc_methods = safe(endpoint.rpc_methods);
            endpoint.cors.get_or_insert_with(Vec::new);
            open |= endpoint.rpc_methods == RpcMethods::Unsafe && !endpoint.listen_addr.ip().is_loopback();
        }
        if open {
            return Err(
                "unsafe RPC methods at an address that other machines reach: whoever calls them can take this \
                        institution's voice in every study; let them listen on this machine alone, as in \
                        --experimental-rpc-endpoint listen-addr=127.0.0.1:9944,methods=unsafe, and come by ssh"
                    .into(),
            );
        }
        Ok(())
    }

    /// Where unsafe methods are answered after [`Cli::close_rpc`].
    #[must_use]
    pub fn unsafe_rpc(&self) -> bool {
        let rpc = &self.run.rpc_params;
        let endpoints = &rpc.experimental_rpc_endpoint;
        let asked = |methods: RpcMethods| methods == RpcMethods::Unsafe;
        endpoints.iter().any(|endpoint| asked(endpoint.rpc_methods)) || (endpoints.is_empty() && asked(rpc.rpc_methods))
    }
}

/// Commands about keys.
#[derive(Debug, clap::Subcommand)]
#[allow(clippy::enum_variant_names)] // commands are named after them, as the SDK names its own
pub enum Key {
    /// Make a random node key, write it to a file that only its owner can read or to stdout, and its peer id to stderr.
    GenerateNodeKey(GenerateNodeKey),

    /// Make a random account.
    Generate(sc_cli::GenerateCmd),

    /// Show the public key and the address of a secret.
    Inspect(sc_cli::InspectKeyCmd),

    /// Read a node key from a file or stdin and print its peer id.
    InspectNodeKey(sc_cli::InspectNodeKeyCmd),

    /// Put a key into a node's keystore.
    Insert(sc_cli::InsertKeyCmd),
}

/// What the SDK's command of this name does, but for the mode of the file, and that it replaces none.
#[derive(Debug, clap::Args)]
pub struct GenerateNodeKey {
    /// File for the key; it must not be there yet. Without it the key is printed.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Write 32 bytes instead of 64 hexadecimal digits.
    #[arg(long)]
    pub bin: bool,
}

impl GenerateNodeKey {
    /// Makes the key.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn run(&self) -> Result<(), String> {
        let pair = Keypair::generate();
        let secret = pair.secret().to_bytes();
        let bytes = if self.bin { secret.to_vec() } else { hex::encode(secret).into_bytes() };
        match &self.file {
            Some(file) => secrets::write_new(file, &bytes)?,
            None => io::stdout().lock().write_all(&bytes).map_err(|error| format!("stdout: {error}"))?,
        }
        eprintln!("{}", pair.public().to_peer_id());
        Ok(())
    }
}

/// Commands.
#[derive(Debug, clap::Subcommand)]
pub enum Subcommand {
    /// Make, insert and show keys.
    #[command(subcommand)]
    Key(Key),

    /// Make session keys for an account, and prove to others that this node has them.
    MakeKeys(MakeKeys),

    /// Make a chain's specification from its founders' cards; `consilium found` shows the result to people.
    Found(Box<Found>),

    /// Print what a compiled runtime says of itself, as JSON.
    InspectRuntime(InspectRuntime),

    /// Print the genesis hash of a chain's specification and what it holds, as JSON.
    InspectChain(InspectChain),

    /// Print a chain's specification.
    ExportChainSpec(sc_cli::ExportChainSpecCmd),

    /// Delete a chain's database.
    PurgeChain(sc_cli::PurgeChainCmd),

    /// Write manual pages and the shells' completions, as packages have them.
    #[command(hide = true)]
    Manuals(consilium_program::Manuals),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use sc_cli::CliConfiguration;
    use std::os::unix::fs::PermissionsExt;

    /// Commands of the node that `docs/site.md` shows, each in words.
    fn of_docs() -> Vec<Vec<String>> {
        let text = include_str!("../../docs/site.md").replace("\\\n", " ");
        let commands = text.lines().flat_map(|line| line.split(" && ")).map(str::trim);
        let ours = commands.filter(|command| command.starts_with("consilium-node "));
        ours.map(|command| command.split_whitespace().map(str::to_owned).collect()).collect()
    }

    /// A command line as the node takes it.
    fn closed(words: &[&str]) -> Result<Cli, String> {
        let mut cli = Cli::try_parse_from([&["consilium-node"][..], words].concat()).expect("it parses");
        cli.close_rpc().map(|()| cli)
    }

    fn methods(cli: &Cli) -> Vec<RpcMethods> {
        cli.run.rpc_addr(9944).expect("addresses").expect("some").iter().map(|endpoint| endpoint.rpc_methods).collect()
    }

    #[test]
    fn a_site_that_is_started_as_its_page_says_answers_safe_methods_only() {
        let commands = of_docs();
        let nodes: Vec<_> = commands.iter().filter(|words| words.iter().any(|word| word == "--base-path")).collect();
        assert!(!nodes.is_empty());
        for words in nodes {
            let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
            let cli = closed(&words).expect("nothing is open");
            assert!(methods(&cli).iter().all(|methods| *methods == RpcMethods::Safe), "{words:?}");
            assert_eq!(cli.run.rpc_cors(false).expect("a list"), Some(Vec::new()));
            assert!(!cli.unsafe_rpc());
        }
    }

    #[test]
    fn unsafe_methods_are_answered_where_they_are_asked_for_and_nowhere_else() {
        let endpoint = |more: &str| ["--experimental-rpc-endpoint".to_owned(), format!("listen-addr={more}")];
        let with = |more: [String; 2]| closed(&more.each_ref().map(String::as_str));
        for words in [&[][..], &["--dev"], &["--alice"], &["--rpc-methods", "auto"], &["--unsafe-rpc-external"]] {
            let cli = closed(words).expect("nothing is open");
            assert!(methods(&cli).iter().all(|methods| *methods == RpcMethods::Safe) && !cli.unsafe_rpc(), "{words:?}");
            // a page of another origin reads nothing, in development neither
            assert_eq!(cli.run.rpc_cors(true).expect("a list"), Some(Vec::new()));
        }
        let cli = with(endpoint("127.0.0.1:9944")).expect("nothing is open");
        assert_eq!((methods(&cli), cli.unsafe_rpc()), (vec![RpcMethods::Safe], false));
        let cli = closed(&["--rpc-methods", "unsafe", "--rpc-cors", "https://here.example"]).expect("on this machine");
        assert!(methods(&cli).iter().all(|methods| *methods == RpcMethods::Unsafe) && cli.unsafe_rpc());
        assert_eq!(cli.run.rpc_cors(false).expect("a list"), Some(vec!["https://here.example".to_owned()]));
        let cli = with(endpoint("[::1]:9944,methods=unsafe")).expect("on this machine");
        assert!(cli.unsafe_rpc());
        // to other machines: not by one word
        for refused in
            [closed(&["--rpc-external", "--rpc-methods", "unsafe"]), with(endpoint("0.0.0.0:1,methods=unsafe"))]
        {
            assert!(refused.is_err_and(|text| text.contains("other machines") && text.contains("127.0.0.1")));
        }
        assert!(closed(&["--unsafe-rpc-external", "--rpc-methods", "unsafe"]).is_ok_and(|cli| cli.unsafe_rpc()));
    }

    #[test]
    fn a_new_node_key_is_its_owners_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let parsed = Cli::try_parse_from(["consilium-node", "key", "generate-node-key", "--file", "node.key"])
            .expect("it parses");
        let Some(Subcommand::Key(Key::GenerateNodeKey(mut make))) = parsed.subcommand else {
            panic!("another command")
        };
        let file = dir.path().join(make.file.expect("a file"));
        make.file = Some(file.clone());
        assert_eq!(make.run(), Ok(()));
        assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        // as the SDK reads it
        let text = std::fs::read_to_string(&file).expect("text");
        let secret = sc_network::config::Secret::<sc_network::config::ed25519::SecretKey>::File(file.clone());
        let read = sc_network::config::NodeKeyConfig::Ed25519(secret).into_keypair().expect("a key");
        assert_eq!(hex::encode(read.secret().to_bytes()), text);
        assert!(make.run().is_err_and(|text| text.contains("not overwritten")));
    }

    #[test]
    fn the_compiled_runtime_is_kept_where_a_next_start_finds_it() {
        let kept = |words: &[&str]| {
            let cli = Cli::try_parse_from([&["consilium-node"][..], words].concat()).expect("it parses");
            cli.wasm_cache(Path::new("base"))
        };
        assert_eq!(kept(&[]), Some("base/wasm".into()));
        assert_eq!(kept(&["--dev", "--base-path", "base"]), Some("base/wasm".into()));
        assert_eq!((kept(&["--dev"]), kept(&["--tmp"])), (None, None));
        assert_eq!(kept(&["--dev", "--wasm-cache", "here"]), Some("here".into()));
    }

    #[test]
    fn a_worker_without_a_blob_store_is_refused_with_the_reason() {
        let check =
            |more: &[&str]| Cli::try_parse_from([&["consilium-node"][..], more].concat()).map(|cli| cli.check());
        let worker = ["--worker-url", "http://127.0.0.1:8601", "--worker-token-file", "token"];
        let refused = check(&worker).expect("it parses");
        assert!(refused.is_err_and(|text| text.contains("--blobs DIR") && text.contains("serve its updates to nobody")));
        assert_eq!(check(&[&worker[..], &["--blobs", "blobs"]].concat()).expect("it parses"), Ok(()));
        assert_eq!(check(&["--blobs", "blobs"]).expect("it parses"), Ok(()));
        assert_eq!(check(&[]).expect("it parses"), Ok(()));
    }
}
