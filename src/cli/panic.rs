//! A panic is a mistake of ours: it ends the process with a short apology and its own exit code.

use std::panic;

use crate::exit::Exit;

/// Replaces the panic hook. The process ends at once, whichever thread panicked: all state lies in the lake and the
/// warehouse, so a restart is safe, and a process that lost one of its threads would look alive and stand still.
///
/// The panic's message is not shown, because it may hold values of rows; `RUST_BACKTRACE=1` shows it.
pub(super) fn install() {
    let standard = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        eprintln!("error: Tailwater made a mistake at {place} and stopped; nothing that was committed is lost");
        eprintln!("hint: restart it; please report this with the place named above (RUST_BACKTRACE=1 shows more)");
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|v| v != "0") {
            standard(info);
        }
        std::process::exit(i32::from(Exit::Internal.code()));
    }));
}
