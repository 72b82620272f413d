//! What a name stands for is only ever replaced by something whole.

use std::io;
use std::os::fd::BorrowedFd;

use crate::sys::beneath;
use crate::sys::process::random;

/// Has `make` make something under a spare name in `to`, which then becomes `new`: whoever fails or is killed on the way
/// leaves alone what has that name now. A file that something is mounted on, such as a container's `/etc/hosts`, cannot be
/// replaced and is written to instead.
pub fn replace<T>(
    to: BorrowedFd<'_>,
    new: &[u8],
    make: impl FnOnce(&[u8]) -> io::Result<T>,
) -> io::Result<T> {
    let drawn = u64::from_ne_bytes(random()?);
    let spare = format!(".dray-cp-{drawn:016x}");
    let spare = spare.as_bytes();
    let made = make(spare).and_then(|made| {
        match beneath::is_mount_point(to, new)? {
            true => {
                write_over(to, spare, new)?;
                beneath::unlink(to, spare)?;
            }
            false => beneath::rename(to, spare, new)?,
        }
        Ok(made)
    });
    made.map_err(|error| clear(to, spare, error))
}

/// Copies the file `spare` into the file `new`, which stays what it is.
fn write_over(to: BorrowedFd<'_>, spare: &[u8], new: &[u8]) -> io::Result<()> {
    let mut from = beneath::open_file_in_root(to, spare)
        .map_err(|_| io::Error::other("something is mounted there, which only a file replaces"))?;
    let mut file = beneath::open_to_write(to, new)?;
    file.set_len(0)?;
    io::copy(&mut from, &mut file).map(drop)
}

fn clear(to: BorrowedFd<'_>, spare: &[u8], error: io::Error) -> io::Error {
    // On a filesystem that is read-only, even the removal of what is not there fails otherwise.
    let gone = match beneath::status_if_present(to, spare) {
        Ok(None) => Ok(()),
        Ok(Some(_)) => beneath::unlink(to, spare),
        Err(unknown) => Err(unknown),
    };
    match gone {
        Ok(()) => error,
        Err(left) => {
            let spare = String::from_utf8_lossy(spare);
            io::Error::other(format!("{error}; and {spare} stays there: {left}"))
        }
    }
}
