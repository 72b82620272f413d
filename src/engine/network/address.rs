//! Addresses of the bridge network: the subnet, who has which address of it, and the hardware address that follows
//! from it.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Smallest and largest prefix a bridge network may have: below 8 it would swallow foreign networks, above 29 there is
/// hardly room for a deployment that runs old and new containers side by side.
const PREFIXES: std::ops::RangeInclusive<u8> = 8..=29;

/// An IPv4 network in its canonical form: no bits set beyond the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    base: Ipv4Addr,
    prefix: u8,
}

/// Why a text is no subnet for a bridge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubnetError {
    /// Not of the form address/prefix.
    #[error("{0:?} is not a subnet such as 172.29.0.0/16")]
    Form(String),
    /// Too many or too few addresses.
    #[error("subnet {0:?} needs a prefix from /8 to /29")]
    Prefix(String),
    /// Address bits beyond the prefix.
    #[error("subnet {text:?} has bits set beyond its prefix: {base}/{prefix} is meant?")]
    HostBits {
        /// What was given.
        text: String,
        /// What it would be without these bits.
        base: Ipv4Addr,
        /// The prefix given.
        prefix: u8,
    },
    /// Not an address range that hosts can have.
    #[error("subnet {0:?} is not a range of unicast addresses")]
    Unusable(String),
}

impl Subnet {
    /// The network address.
    pub fn base(&self) -> Ipv4Addr {
        self.base
    }

    /// Length of the network part in bits.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The bridge's own address, which containers have as their default route: the first of the network.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base.to_bits() + 1)
    }

    /// Whether `address` lies in this network.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.prefix) == self.base.to_bits()
    }

    /// Whether this network and `address/prefix` share an address.
    pub fn overlaps(&self, address: Ipv4Addr, prefix: u8) -> bool {
        let shorter = mask(self.prefix.min(prefix));
        address.to_bits() & shorter == self.base.to_bits() & shorter
    }

    /// Addresses that containers can have, lowest first: all but network, gateway and broadcast.
    pub fn hosts(&self) -> impl Iterator<Item = Ipv4Addr> {
        let base = self.base.to_bits();
        (base + 2..base | !mask(self.prefix)).map(Ipv4Addr::from_bits)
    }
}

/// The netmask of `prefix` bits as a number.
pub(super) fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Subnet, SubnetError> {
        let form = || SubnetError::Form(text.to_owned());
        let (base, prefix) = text.split_once('/').ok_or_else(form)?;
        let base: Ipv4Addr = base.parse().map_err(|_| form())?;
        let prefix: u8 = prefix.parse().map_err(|_| form())?;
        if !PREFIXES.contains(&prefix) {
            return Err(SubnetError::Prefix(text.to_owned()));
        }
        let network = Ipv4Addr::from_bits(base.to_bits() & mask(prefix));
        if network != base {
            return Err(SubnetError::HostBits {
                text: text.to_owned(),
                base: network,
                prefix,
            });
        }
        if base.octets()[0] == 0 || base.is_loopback() || base.octets()[0] >= 224 {
            return Err(SubnetError::Unusable(text.to_owned()));
        }
        Ok(Subnet { base, prefix })
    }
}

impl fmt::Display for Subnet {
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

    #[test]
    fn subnets_are_canonical() {
        for (text, wanted) in [
            ("172.29.0.0/16", Ok("172.29.0.0/16")),
            ("10.0.0.0/8", Ok("10.0.0.0/8")),
            ("192.168.7.248/29", Ok("192.168.7.248/29")),
            (
                "172.29.0.0",
                Err("\"172.29.0.0\" is not a subnet such as 172.29.0.0/16"),
            ),
            (
                "fd00::/8",
                Err("\"fd00::/8\" is not a subnet such as 172.29.0.0/16"),
            ),
            (
                "172.29.0.0/x",
                Err("\"172.29.0.0/x\" is not a subnet such as 172.29.0.0/16"),
            ),
            (
                "172.29.0.0/30",
                Err("subnet \"172.29.0.0/30\" needs a prefix from /8 to /29"),
            ),
            (
                "0.0.0.0/0",
                Err("subnet \"0.0.0.0/0\" needs a prefix from /8 to /29"),
            ),
            (
                "172.29.0.1/16",
                Err(
                    "subnet \"172.29.0.1/16\" has bits set beyond its prefix: 172.29.0.0/16 is meant?",
                ),
            ),
            (
                "127.0.0.0/8",
                Err("subnet \"127.0.0.0/8\" is not a range of unicast addresses"),
            ),
            (
                "224.0.0.0/8",
                Err("subnet \"224.0.0.0/8\" is not a range of unicast addresses"),
            ),
        ] {
            let parsed = text
                .parse::<Subnet>()
                .map(|s| s.to_string())
                .map_err(|e| e.to_string());
            assert_eq!(
                parsed,
                wanted.map(str::to_owned).map_err(str::to_owned),
                "{text}"
            );
        }
    }

    #[test]
    fn hosts_leave_out_network_gateway_and_broadcast() {
        let subnet: Subnet = "10.1.2.8/29".parse().unwrap();
        let hosts: Vec<String> = subnet.hosts().map(|a| a.to_string()).collect();
        assert_eq!(subnet.gateway().to_string(), "10.1.2.9");
        assert_eq!(
            hosts,
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
        let subnet: Subnet = "172.29.0.0/16".parse().unwrap();
        for (address, prefix, wanted) in [
            ("172.29.4.0", 24, true),
            ("172.16.0.0", 12, true),
            ("172.28.0.0", 16, false),
            ("10.0.0.5", 32, false),
            ("0.0.0.0", 0, true),
        ] {
            assert_eq!(
                subnet.overlaps(address.parse().unwrap(), prefix),
                wanted,
                "{address}/{prefix}"
            );
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
