//! The device's time zone.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds that local time is ahead of UTC at `time`.
pub fn offset(time: SystemTime) -> io::Result<i64> {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let seconds = libc::time_t::try_from(seconds.as_secs()).map_err(io::Error::other)?;
    // SAFETY: an all-zero tm is a valid value; both outlive the call.
    unsafe {
        let mut local: libc::tm = std::mem::zeroed();
        if libc::localtime_r(&seconds, &mut local).is_null() {
            return Err(io::Error::last_os_error());
        }
        #[allow(clippy::useless_conversion, reason = "32 bits where pointers have 32")]
        Ok(local.tm_gmtoff.into())
    }
}
