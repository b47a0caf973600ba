//! `consilium`: see the library of this package.

fn main() -> std::process::ExitCode {
    consilium_cli::program(consilium_program::version!())
}
