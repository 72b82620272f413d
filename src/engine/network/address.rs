//! Addresses of the bridge network: the pool they come from, and the hardware address that follows from each.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::Subnet;

/// The addresses of a bridge and its containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// The network address.
    pub base: Ipv4Addr,
    /// Length of the network part in bits.
    pub prefix: u8,
}

impl From<Subnet<Ipv4Addr>> for Pool {
    fn from(subnet: Subnet<Ipv4Addr>) -> Pool {
        Pool {
            base: subnet.address,
            prefix: subnet.prefix,
        }
    }
}

impl Pool {
    /// The bridge's own address, which containers have as their default route: the first of the network.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base.to_bits() + 1)
    }

    /// Whether this network and `address/prefix` share an address.
    pub fn overlaps(&self, address: Ipv4Addr, prefix: u8) -> bool {
        let shorter = mask(self.prefix.min(prefix));
        address.to_bits() & shorter == self.base.to_bits() & shorter
    }

    /// Whether an interface can have the address: it lies in the network and is neither its first nor its last one.
    pub fn has_host(&self, address: Ipv4Addr) -> bool {
        let (base, rest) = (self.base.to_bits(), !mask(self.prefix));
        let part = address.to_bits() & rest;
        address.to_bits() & !rest == base && part != 0 && part != rest
    }

    /// Whether all of `other` lies in this network.
    pub fn covers(&self, other: Pool) -> bool {
        other.prefix >= self.prefix && self.overlaps(other.base, other.prefix)
    }

    /// The lowest address of `range` that an interface can have and that is not `taken`.
    pub fn free(&self, range: Pool, taken: impl Fn(Ipv4Addr) -> bool) -> Option<Ipv4Addr> {
        let base = range.base.to_bits();
        (base..=base | !mask(range.prefix))
            .map(Ipv4Addr::from_bits)
            .find(|address| self.has_host(*address) && !taken(*address))
    }
}

/// The netmask of `prefix` bits as a number.
fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// It has another form.
    #[error("not an IPv4 network such as 10.5.0.0/24")]
    Form,
    /// An address inside the network instead of its first one.
    #[error("the network of that address is {0}")]
    HostBits(Pool),
}

impl FromStr for Pool {
    type Err = PoolError;

    fn from_str(text: &str) -> Result<Pool, PoolError> {
        let (address, prefix) = text.split_once('/').ok_or(PoolError::Form)?;
        let address: Ipv4Addr = address.parse().map_err(|_| PoolError::Form)?;
        let digits = prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|p| digits && *p <= 32);
        let prefix = prefix.ok_or(PoolError::Form)?;
        let base = Ipv4Addr::from_bits(address.to_bits() & mask(prefix));
        let pool = Pool { base, prefix };
        if base == address {
            Ok(pool)
        } else {
            Err(PoolError::HostBits(pool))
        }
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

/// A hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

/// Why a text is no hardware address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a unicast hardware address such as 02:42:ac:1d:00:02")]
pub struct MacError(String);

impl From<Ipv4Addr> for Mac {
    /// Follows from the address, as Docker's do: a container that takes over an address needs no new ARP entry anywhere.
    fn from(address: Ipv4Addr) -> Mac {
        let [a, b, c, d] = address.octets();
        Mac([0x02, 0x42, a, b, c, d])
    }
}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Mac, MacError> {
        let wrong = || MacError(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        // The kernel refuses group addresses and the null address for an interface.
        if parts.next().is_some() || bytes[0] & 1 != 0 || bytes == [0; 6] {
            return Err(wrong());
        }
        Ok(Mac(bytes))
    }
}

impl TryFrom<String> for Mac {
    type Error = MacError;

    fn try_from(text: String) -> Result<Mac, MacError> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(base: &str, prefix: u8) -> Pool {
        Pool {
            base: base.parse().unwrap(),
            prefix,
        }
    }

    #[test]
    fn addresses_leave_out_network_gateway_and_broadcast() {
        let pool = pool("10.1.2.8", 29);
        assert_eq!(pool.gateway().to_string(), "10.1.2.9");
        let mut taken = Vec::new();
        while let Some(address) = pool.free(pool, |a| a == pool.gateway() || taken.contains(&a)) {
            taken.push(address);
        }
        let taken: Vec<String> = taken.iter().map(Ipv4Addr::to_string).collect();
        assert_eq!(
            taken,
            [
                "10.1.2.10",
                "10.1.2.11",
                "10.1.2.12",
                "10.1.2.13",
                "10.1.2.14"
            ]
        );
    }

    #[test]
    fn networks_are_read_with_their_mistakes() {
        for (text, wanted) in [
            ("10.5.0.0/24", Ok(pool("10.5.0.0", 24))),
            ("0.0.0.0/0", Ok(pool("0.0.0.0", 0))),
            (
                "10.5.0.1/24",
                Err(PoolError::HostBits(pool("10.5.0.0", 24))),
            ),
            ("10.5.0.0", Err(PoolError::Form)),
            ("10.5.0.0/33", Err(PoolError::Form)),
            ("10.5.0.0/+8", Err(PoolError::Form)),
            ("fd00::/64", Err(PoolError::Form)),
        ] {
            assert_eq!(text.parse::<Pool>(), wanted, "{text}");
        }
    }

    #[test]
    fn a_range_is_part_of_its_network() {
        let whole = pool("10.5.0.0", 24);
        assert!(whole.covers(pool("10.5.0.128", 25)) && whole.covers(whole));
        assert!(!whole.covers(pool("10.5.0.0", 23)) && !whole.covers(pool("10.5.1.0", 25)));
        let free = whole.free(pool("10.5.0.252", 30), |a| a.octets()[3] == 252);
        assert_eq!(free, Some(Ipv4Addr::new(10, 5, 0, 253)));
        assert_eq!(whole.free(pool("10.5.0.255", 32), |_| false), None);
        assert!(!whole.has_host(whole.base) && whole.has_host(whole.gateway()));
    }

    #[test]
    fn overlap_is_symmetric_in_size() {
        for (address, prefix, wanted) in [
            ("172.29.4.0", 24, true),
            ("172.16.0.0", 12, true),
            ("172.28.0.0", 16, false),
            ("10.0.0.5", 32, false),
            ("0.0.0.0", 0, true),
        ] {
            let overlaps = pool("172.29.0.0", 16).overlaps(address.parse().unwrap(), prefix);
            assert_eq!(overlaps, wanted, "{address}/{prefix}");
        }
    }

    #[test]
    fn hardware_addresses() {
        let mac = Mac::from(Ipv4Addr::new(172, 29, 0, 2));
        assert_eq!(mac.to_string(), "02:42:ac:1d:00:02");
        assert_eq!("02-42-AC-1D-00-02".parse(), Ok(mac));
        for wrong in [
            "",
            "02:42:ac:1d:00",
            "02:42:ac:1d:00:02:03",
            "2:42:ac:1d:0:2",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
            "0g:42:ac:1d:00:02",
        ] {
            assert!(wrong.parse::<Mac>().is_err(), "{wrong}");
        }
    }
}
