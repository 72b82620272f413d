//! Terminals: new ones, their size, and raw mode for as long as a guard lives.

use std::ffi::CString;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::process::owned;
use super::propagation;

/// A new terminal where `multiplexer` makes them: the side that shows it, and its own.
pub fn pair(multiplexer: &Path) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = libc::O_NOCTTY | libc::O_CLOEXEC;
    let mut options = OpenOptions::new();
    let shows = options.read(true).write(true).custom_flags(flags);
    let shows = shows.open(multiplexer)?;
    let locked: libc::c_int = 0;
    // SAFETY: the number outlives the call, which reads it.
    if unsafe { libc::ioctl(shows.as_raw_fd(), libc::TIOCSPTLCK, &locked) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: takes an integer and returns a new descriptor or -1.
    let own = unsafe { libc::ioctl(shows.as_raw_fd(), libc::TIOCGPTPEER, libc::O_RDWR | flags) };
    Ok((shows.into(), owned(own)?))
}

/// Makes the terminal that this process has as its input the one that controls it. The process leads a session without one.
pub fn take_control() -> io::Result<()> {
    // SAFETY: integers only.
    match unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Shows the terminal that this process has as its input as `/dev/console`, unless it has no name in here, or others would see
/// it there too.
pub fn show_at_console() -> io::Result<()> {
    const CONSOLE: &str = "/dev/console";
    let Ok(name) = std::fs::read_link("/proc/self/fd/0") else {
        return Ok(());
    };
    let mut options = OpenOptions::new();
    // What is there already is as good, and in a folder that takes nothing there is none.
    drop(options.write(true).create_new(true).open(CONSOLE));
    if !name.exists() || propagation::sharing(Path::new(CONSOLE)).map_or(true, |at| at.shared) {
        return Ok(());
    }
    let (name, console) = (
        CString::new(name.as_os_str().as_bytes())?,
        CString::new(CONSOLE)?,
    );
    // SAFETY: all strings outlive the call; a bind takes neither type nor data.
    let done = unsafe {
        libc::mount(
            name.as_ptr(),
            console.as_ptr(),
            std::ptr::null(),
            libc::MS_BIND,
            std::ptr::null(),
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

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
