//! Something shown again and again until the reader has enough.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use super::{Failure, signals};
use crate::exit::Exit;

/// Shows what `look` answers, every `every`, until SIGINT or SIGTERM comes or nobody reads any more. On a terminal each answer
/// takes the place of the one before, cut to the size of the window; elsewhere they follow each other.
///
/// # Errors
/// When the output cannot be written.
pub(super) async fn show(every: Duration, look: impl AsyncFn() -> String) -> Result<Exit, Failure> {
    let mut screen = Screen::open();
    let ended = signals::interrupted()?;
    tokio::pin!(ended);
    loop {
        let text = tokio::select! {
            text = look() => text,
            () = &mut ended => return Ok(Exit::Ok),
        };
        match screen.draw(&text) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Ok),
            drawn => drawn.map_err(|e| {
                Failure::new(Exit::Io, anyhow::Error::new(e).context("cannot write to standard output"))
            })?,
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = &mut ended => return Ok(Exit::Ok),
        }
    }
}

/// The terminal's second screen, so that what stood on the first is there again at the end.
struct Screen {
    terminal: bool,
}

impl Screen {
    fn open() -> Self {
        let terminal = io::stdout().is_terminal();
        if terminal {
            // Xterm's private modes: the alternate screen, no cursor. Should it fail, drawing will fail too.
            let _ = io::stdout().write_all(b"\x1b[?1049h\x1b[?25l");
        }
        Self { terminal }
    }

    fn draw(&mut self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.terminal {
            let (rows, columns) = console::Term::stdout().size();
            // Home; each line clears what is left of the older one; below the last everything is cleared.
            out.write_all(b"\x1b[H")?;
            out.write_all(fit(text, rows.into(), columns.into()).as_bytes())?;
            out.write_all(b"\x1b[J")?;
        } else {
            out.write_all(text.as_bytes())?;
        }
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.terminal {
            let mut out = io::stdout();
            let _ = out.write_all(b"\x1b[?25h\x1b[?1049l").and_then(|()| out.flush());
        }
    }
}

/// The part of the text that a window of this size holds.
fn fit(text: &str, rows: usize, columns: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let shown = if lines.len() > rows { rows.saturating_sub(1) } else { lines.len() };
    let mut out: Vec<String> = lines.iter().take(shown).map(|line| cut(line, columns)).collect();
    if shown < lines.len() {
        out.push(cut(&format!("… {} more lines; the window is too small", lines.len() - shown), columns));
    }
    out.iter().map(|line| format!("{line}\x1b[K")).collect::<Vec<_>>().join("\n")
}

fn cut(line: &str, columns: usize) -> String {
    if line.chars().count() <= columns {
        return line.to_owned();
    }
    line.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_cut_and_said_so() {
        assert_eq!(fit("ab\ncdef\n", 5, 3), "ab\x1b[K\ncd…\x1b[K");
        assert_eq!(fit("a\nb\nc\nd", 2, 80), "a\x1b[K\n… 3 more lines; the window is too small\x1b[K");
    }
}
