//! `tailwater`: arguments → configuration → run → exit code.

use std::process::ExitCode;

// Builders grow by doubling; glibc's allocator keeps the pieces, and the memory curve would not stay flat.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tailwater::cli::main(std::env::args_os()).into()
}
