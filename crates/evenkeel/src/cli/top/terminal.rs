//! The screen that is painted over and over, and the keys that leave it.
//!
//! Plain escape codes that every terminal since the VT100 understands: a screen of its own, no cursor, and both given
//! back however the program ends.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::Result;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::cli::local::on_interrupt;

/// Where the output is no terminal.
const SIZE_DEFAULT: (usize, usize) = (200, 1_000);

/// The screen, as long as it lives.
pub(super) struct Terminal {
    is_terminal: bool,
    /// What the keyboard did before.
    before: Option<Termios>,
    left: Receiver<()>,
}

impl Terminal {
    /// Takes the screen.
    pub(super) fn open() -> Result<Self> {
        let (leave, left) = channel();
        let interrupted = leave.clone();
        on_interrupt(move || {
            // Whoever waited for it may have gone.
            let _ = interrupted.send(());
        })?;
        let is_terminal = std::io::stdout().is_terminal();
        let before = (is_terminal && std::io::stdin().is_terminal())
            .then(|| by_key(leave))
            .flatten();
        if is_terminal {
            write("\x1b[?1049h\x1b[?25l")?;
        }
        Ok(Self {
            is_terminal,
            before,
            left,
        })
    }

    /// Shows a page, cut off at the edges.
    pub(super) fn show(&self, page: &str) -> Result<()> {
        if !self.is_terminal {
            return write(&format!("{page}\n"));
        }
        let (width, height) = size();
        write(&painted(page, width, height))
    }

    /// Waits; tells whether the user has left meanwhile.
    pub(super) fn is_left_within(&self, time: Duration) -> bool {
        self.left.recv_timeout(time).is_ok()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.is_terminal {
            // There is nobody to tell if it fails.
            let _ = write("\x1b[?25h\x1b[?1049l");
        }
        if let Some(before) = &self.before {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// Lets a single `q` leave; gives what the keyboard did before.
fn by_key(leave: Sender<()>) -> Option<Termios> {
    let before = tcgetattr(std::io::stdin()).ok()?;
    let mut single = before.clone();
    // Ctrl-C stays a signal.
    single.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
    tcsetattr(std::io::stdin(), OptionalActions::Now, &single).ok()?;
    let reads = std::thread::Builder::new().name("keys".to_owned());
    let started = reads.spawn(move || {
        let keys = std::io::stdin().lock().bytes();
        for key in keys.map_while(Result::ok) {
            if matches!(key, b'q' | b'Q') {
                let _ = leave.send(());
                return;
            }
        }
    });
    // Without the thread Ctrl-C is left.
    drop(started);
    Some(before)
}

fn size() -> (usize, usize) {
    match tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            (usize::from(size.ws_col), usize::from(size.ws_row))
        }
        _ => SIZE_DEFAULT,
    }
}

/// A page over the one before: each line is cleared behind its end, and everything below the last.
fn painted(page: &str, width: usize, height: usize) -> String {
    let mut out = "\x1b[H".to_owned();
    for (at, line) in page.lines().take(height.max(1)).enumerate() {
        if at > 0 {
            out.push_str("\r\n");
        }
        out.extend(line.chars().take(width));
        out.push_str("\x1b[K");
    }
    out.push_str("\x1b[J");
    out
}

fn write(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_cut_off_at_the_edges_and_clears_what_was_there() {
        assert_eq!(
            painted("abcdef\ngh\nij", 4, 2),
            "\x1b[Habcd\x1b[K\r\ngh\x1b[K\x1b[J"
        );
        assert_eq!(painted("", 80, 24), "\x1b[H\x1b[J");
    }
}
