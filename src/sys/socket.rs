//! Pipes and local sockets that keep packet borders, and descriptors passed through them.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use super::process::owned;

/// A pipe, both ends close-on-exec: (read, write).
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends: [RawFd; 2] = [-1; 2];
    // SAFETY: the array has room for the two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((owned(ends[0])?, owned(ends[1])?))
}

/// Two connected packet sockets.
pub fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends: [RawFd; 2] = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the array has room for the two descriptors.
    if unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((owned(ends[0])?, owned(ends[1])?))
}

/// The address of `name` below `dir`, short whatever the length of `dir`'s path.
fn address(dir: BorrowedFd<'_>, name: &str) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    let path = format!("/proc/self/fd/{}/{name}", dir.as_raw_fd());
    // SAFETY: an all-zero sockaddr_un is a valid value.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    if path.len() >= address.sun_path.len() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("socket name {name} is too long"),
        ));
    }
    for (place, byte) in address.sun_path.iter_mut().zip(path.bytes()) {
        *place = byte as libc::c_char;
    }
    Ok((
        address,
        (size_of::<libc::sa_family_t>() + path.len() + 1) as libc::socklen_t,
    ))
}

fn socket(kind: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: socket takes integers and returns a new descriptor or -1.
    owned(unsafe { libc::socket(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0) })
}

fn listen(dir: &Path, name: &str, kind: libc::c_int) -> io::Result<OwnedFd> {
    let folder = std::fs::File::open(dir)?;
    // A socket file of an earlier life would make bind fail.
    let _ = std::fs::remove_file(dir.join(name));
    let socket = socket(kind)?;
    let (address, length) = address(std::os::fd::AsFd::as_fd(&folder), name)?;
    // SAFETY: the address outlives the calls and its length is given.
    let done = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            std::ptr::from_ref(&address).cast(),
            length,
        ) == 0
            && libc::listen(socket.as_raw_fd(), 16) == 0
    };
    if done {
        Ok(socket)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A packet socket that listens at `dir/name`, not blocking.
pub fn listen_packets(dir: &Path, name: &str) -> io::Result<OwnedFd> {
    listen(dir, name, libc::SOCK_SEQPACKET | libc::SOCK_NONBLOCK)
}

/// A stream socket that listens at `dir/name`; what a runtime sends a console to.
pub fn listen_stream(dir: &Path, name: &str) -> io::Result<OwnedFd> {
    listen(dir, name, libc::SOCK_STREAM)
}

/// The next connection, close-on-exec; `None` if there is none now on a socket that does not block.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    // SAFETY: a null address is allowed.
    let fd = unsafe {
        libc::accept4(
            listener.as_raw_fd(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            libc::SOCK_CLOEXEC,
        )
    };
    match owned(fd) {
        Ok(fd) => Ok(Some(fd)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Connects to the packet socket `dir/name`, waiting in line.
pub fn connect_packets(dir: &Path, name: &str) -> io::Result<OwnedFd> {
    connect(dir, name, libc::SOCK_SEQPACKET)
}

/// Connects to the packet socket `dir/name` unless as many wait in line as there may; the socket does not block either.
pub fn connect_packets_now(dir: &Path, name: &str) -> io::Result<OwnedFd> {
    connect(dir, name, libc::SOCK_SEQPACKET | libc::SOCK_NONBLOCK)
}

fn connect(dir: &Path, name: &str, kind: libc::c_int) -> io::Result<OwnedFd> {
    let folder = std::fs::File::open(dir)?;
    let socket = socket(kind)?;
    let (address, length) = address(std::os::fd::AsFd::as_fd(&folder), name)?;
    // SAFETY: the address outlives the call and its length is given.
    let done = unsafe {
        libc::connect(
            socket.as_raw_fd(),
            std::ptr::from_ref(&address).cast(),
            length,
        )
    };
    if done == 0 {
        Ok(socket)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Sends one packet, waiting for room; a peer that has gone is an error, never a signal.
pub fn send(socket: BorrowedFd<'_>, packet: &[u8]) -> io::Result<()> {
    transmit(socket, packet, 0).map(|_| ())
}

/// Sends one packet if there is room for it now; `false` if not.
pub fn send_now(socket: BorrowedFd<'_>, packet: &[u8]) -> io::Result<bool> {
    match transmit(socket, packet, libc::MSG_DONTWAIT) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

fn transmit(socket: BorrowedFd<'_>, packet: &[u8], flags: libc::c_int) -> io::Result<()> {
    loop {
        // SAFETY: the buffer outlives the call and its length is given.
        let sent = unsafe {
            libc::send(
                socket.as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                flags | libc::MSG_NOSIGNAL,
            )
        };
        if sent >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Receives one packet into `buffer`; its length, 0 when the peer has gone. Blocks only if `wait`.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], wait: bool) -> io::Result<Option<usize>> {
    let flags = if wait { 0 } else { libc::MSG_DONTWAIT };
    loop {
        // SAFETY: the buffer outlives the call and its length is given.
        let got = unsafe {
            libc::recv(
                socket.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                flags,
            )
        };
        if got >= 0 {
            return Ok(Some(got as usize));
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock => return Ok(None),
            io::ErrorKind::ConnectionReset => return Ok(Some(0)),
            _ => return Err(error),
        }
    }
}

/// Receives the descriptor that a peer passes with its next message.
pub fn receive_fd(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut data = [0u8; 4096];
    let mut control = [0u64; 8];
    let mut part = libc::iovec {
        iov_base: data.as_mut_ptr().cast(),
        iov_len: data.len(),
    };
    // SAFETY: an all-zero msghdr is a valid value; its pointers outlive the call.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        if libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC) < 0 {
            return Err(io::Error::last_os_error());
        }
        let header = libc::CMSG_FIRSTHDR(&message);
        if header.is_null()
            || (*header).cmsg_level != libc::SOL_SOCKET
            || (*header).cmsg_type != libc::SCM_RIGHTS
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "message carries no descriptor",
            ));
        }
        owned(libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned())
    }
}

/// Makes reads and writes return instead of wait.
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: fcntl on an open descriptor with integer arguments.
    let done = unsafe {
        let flags = libc::fcntl(fd.as_raw_fd(), libc::F_GETFL);
        flags >= 0 && libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) == 0
    };
    if done {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
