//! `--blkio-weight`, `--blkio-weight-device` and the `--device-…-bps` and `--device-…-iops` options.

use super::value::bytes;
use crate::api::{ThrottleDevice, WeightDevice};

/// What Docker takes for a weight; 0 stands for none.
pub(super) const WEIGHTS: std::ops::RangeInclusive<i64> = 10..=1000;

/// A number of 16 bits; whether it is a weight is asked later, as in Docker.
pub(super) fn weight(text: &str) -> Result<i64, String> {
    let failed = |what: &str| format!("strconv.ParseUint: parsing {text:?}: {what}");
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(failed("invalid syntax"));
    }
    let number: u16 = text.parse().map_err(|_| failed("value out of range"))?;
    Ok(number.into())
}

/// `path:weight`
pub(super) fn device_weight(text: &str) -> Result<WeightDevice, String> {
    let (path, number) = split(text)?;
    let weight = weight(number).ok();
    match weight.filter(|weight| *weight == 0 || WEIGHTS.contains(weight)) {
        Some(weight) => Ok(WeightDevice {
            path: path.to_owned(),
            weight: weight as u16,
        }),
        None => Err(format!("invalid weight for device: {text}")),
    }
}

/// `path:rate` in bytes a second, with a unit.
pub(super) fn bytes_a_second(text: &str) -> Result<ThrottleDevice, String> {
    let (path, rate) = split(text)?;
    match bytes(rate).ok().and_then(|rate| rate.try_into().ok()) {
        Some(rate) => Ok(ThrottleDevice {
            path: path.to_owned(),
            rate,
        }),
        None => Err(format!(
            "invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must be a \
             positive integer. Unit is optional and can be kb, mb, or gb"
        )),
    }
}

/// `path:rate` in operations a second.
pub(super) fn operations(text: &str) -> Result<ThrottleDevice, String> {
    let (path, rate) = split(text)?;
    match rate.parse() {
        Ok(rate) if !rate_is_signed(text) => Ok(ThrottleDevice {
            path: path.to_owned(),
            rate,
        }),
        _ => Err(format!(
            "invalid rate for device: {text}. The correct format is <device-path>:<number>. Number must be a positive \
             integer"
        )),
    }
}

fn rate_is_signed(text: &str) -> bool {
    text.contains(":+")
}

fn split(text: &str) -> Result<(&str, &str), String> {
    let parts = text.split_once(':').filter(|(path, _)| !path.is_empty());
    let (path, number) = parts.ok_or_else(|| format!("bad format: {text}"))?;
    match path.starts_with("/dev/") {
        true => Ok((path, number)),
        false => Err(format!("bad format for device path: {text}")),
    }
}
