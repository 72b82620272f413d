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

    /// The lowest address that a container can have and that is not `taken`: neither network, gateway nor broadcast.
    pub fn free(&self, taken: impl Fn(Ipv4Addr) -> bool) -> Option<Ipv4Addr> {
        let base = self.base.to_bits();
        (base + 2..base | !mask(self.prefix))
            .map(Ipv4Addr::from_bits)
            .find(|address| !taken(*address))
    }
}

/// The netmask of `prefix` bits as a number.
fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
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
        while let Some(address) = pool.free(|a| taken.contains(&a)) {
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
