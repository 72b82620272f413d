//! Terminals: their size, and raw mode for as long as a guard lives.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Rows and columns of a terminal; `None` if it is none.
pub fn size(terminal: BorrowedFd<'_>) -> Option<(u16, u16)> {
    // SAFETY: an all-zero winsize is a valid value and outlives the call.
    unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        (libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &mut size) == 0)
            .then_some((size.ws_row, size.ws_col))
    }
}

/// Gives a terminal another size.
pub fn set_size(terminal: BorrowedFd<'_>, rows: u16, columns: u16) -> io::Result<()> {
    let size = libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the size outlives the call.
    match unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &size) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A terminal that passes every key on; it gets its old settings back on drop.
pub struct Raw {
    terminal: OwnedFd,
    before: libc::termios,
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Raw({:?})", self.terminal)
    }
}

impl Raw {
    /// Makes `terminal` raw.
    pub fn new(terminal: BorrowedFd<'_>) -> io::Result<Raw> {
        let terminal = terminal.try_clone_to_owned()?;
        // SAFETY: an all-zero termios is a valid value; all pointers outlive their calls.
        unsafe {
            let mut before: libc::termios = std::mem::zeroed();
            if libc::tcgetattr(terminal.as_raw_fd(), &mut before) != 0 {
                return Err(io::Error::last_os_error());
            }
            let mut raw = before;
            libc::cfmakeraw(&mut raw);
            if libc::tcsetattr(terminal.as_raw_fd(), libc::TCSANOW, &raw) != 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Raw { terminal, before })
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: the settings outlive the call. If the terminal has gone there is nothing to restore.
        unsafe { libc::tcsetattr(self.terminal.as_raw_fd(), libc::TCSANOW, &self.before) };
    }
}
