//! What commands print on standard output. All of them print through [`out!`]: where the reader has gone away
//! (`consilium study 0 | head -1`) a `println!` would be a panic.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
    process::exit,
};

/// Exit code of a command whose reader has gone away: what a shell says of one that SIGPIPE has ended.
const NOBODY_READS: i32 = 141;

/// Prints a line, as `println!` does. Where nobody reads any more the program ends without a word, with 141; where it cannot be
/// written otherwise, with 1 and the reason. Processes that it has started are killed by the kernel then.
macro_rules! out {
    ($($part:tt)*) => { $crate::out::put(format_args!("{}\n", format_args!($($part)*))) };
}

/// Prints a text as it is.
pub fn put(what: impl Display) {
    let Err(error) = write!(io::stdout().lock(), "{what}") else { return };
    if error.kind() == ErrorKind::BrokenPipe {
        exit(NOBODY_READS);
    }
    // nothing can be done for who cannot be told
    let _ = writeln!(io::stderr(), "error: cannot write to standard output: {error}");
    exit(1);
}
