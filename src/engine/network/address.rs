//! Addresses of networks, of either version of IP: the pools they come from, and who can have which.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::Subnet;

/// What pools are made of.
pub trait Address: Copy + Eq + fmt::Display + FromStr + Into<IpAddr> {
    /// Its length.
    const BITS: u8;
    /// Its version.
    const KIND: &str;
    /// A network, for messages.
    const EXAMPLE: &str;
    /// Whether the last address of a network means everybody on it.
    const HAS_BROADCAST: bool;
    /// The address as a number.
    fn number(self) -> u128;
    /// The address of this number.
    fn numbered(number: u128) -> Self;
    /// The address, if it is of this version.
    fn of(address: IpAddr) -> Option<Self>;
}

impl Address for Ipv4Addr {
    const BITS: u8 = 32;
    const KIND: &str = "IPv4";
    const EXAMPLE: &str = "10.5.0.0/24";
    const HAS_BROADCAST: bool = true;

    fn number(self) -> u128 {
        self.to_bits().into()
    }

    fn numbered(number: u128) -> Ipv4Addr {
        Ipv4Addr::from_bits(number as u32)
    }

    fn of(address: IpAddr) -> Option<Ipv4Addr> {
        match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }
}

impl Address for Ipv6Addr {
    const BITS: u8 = 128;
    const KIND: &str = "IPv6";
    const EXAMPLE: &str = "fd00:5::/64";
    const HAS_BROADCAST: bool = false;

    fn number(self) -> u128 {
        self.to_bits()
    }

    fn numbered(number: u128) -> Ipv6Addr {
        Ipv6Addr::from_bits(number)
    }

    fn of(address: IpAddr) -> Option<Ipv6Addr> {
        match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(address),
        }
    }
}

/// The addresses of a bridge and its containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool<A = Ipv4Addr> {
    /// The network address.
    pub base: A,
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

impl<A: Address> Pool<A> {
    /// The bridge's own address, which containers have as their default route: the first of the network.
    pub fn gateway(&self) -> A {
        A::numbered(self.base.number() + 1)
    }

    /// Whether this network and `address/prefix` share an address.
    pub fn overlaps(&self, address: A, prefix: u8) -> bool {
        let shorter = mask::<A>(self.prefix.min(prefix));
        address.number() & shorter == self.base.number() & shorter
    }

    /// Whether an interface can have the address: it lies in the network and is neither its first one, nor, with IPv4,
    /// its last one.
    pub fn has_host(&self, address: A) -> bool {
        let (base, rest) = (self.base.number(), rest::<A>(self.prefix));
        let part = address.number() & rest;
        let means_all = A::HAS_BROADCAST && part == rest;
        address.number() & !rest == base && part != 0 && !means_all
    }

    /// Whether all of `other` lies in this network.
    pub fn covers(&self, other: Pool<A>) -> bool {
        other.prefix >= self.prefix && self.overlaps(other.base, other.prefix)
    }

    /// The lowest address of `range` that an interface can have and that is not `taken`.
    pub fn free(&self, range: Pool<A>, taken: impl Fn(A) -> bool) -> Option<A> {
        let base = range.base.number();
        (base..=base | rest::<A>(range.prefix))
            .map(A::numbered)
            .find(|address| self.has_host(*address) && !taken(*address))
    }
}

/// The bits behind the first `prefix` ones.
fn rest<A: Address>(prefix: u8) -> u128 {
    let all = u128::MAX >> (128 - A::BITS);
    all.checked_shr(prefix.into()).unwrap_or(0)
}

/// The netmask of `prefix` bits as a number.
fn mask<A: Address>(prefix: u8) -> u128 {
    !rest::<A>(prefix) & rest::<A>(0)
}

/// The addresses of a network in one version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses<A> {
    /// All of them.
    pub subnet: Pool<A>,
    /// The host's.
    pub gateway: A,
    /// Those that containers get unless they choose.
    pub range: Option<Pool<A>>,
}

impl<A: Address> Addresses<A> {
    /// Where containers' addresses come from.
    pub fn range(&self) -> Pool<A> {
        self.range.unwrap_or(self.subnet)
    }

    /// Why no container of this network can have the address, whoever else is on it.
    pub fn unusable(&self, address: A) -> Option<String> {
        if !self.subnet.has_host(address) {
            return Some(format!("it is none of subnet {}", self.subnet));
        }
        (address == self.gateway).then(|| "the network's gateway has it".to_owned())
    }
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// It has another form.
    #[error("not an {0} network such as {1}")]
    Form(&'static str, &'static str),
    /// An address inside the network instead of its first one.
    #[error("the network of that address is {0}")]
    HostBits(String),
}

impl<A: Address> FromStr for Pool<A> {
    type Err = PoolError;

    fn from_str(text: &str) -> Result<Pool<A>, PoolError> {
        let (address, pool) = read(text)?;
        if pool.base == address {
            Ok(pool)
        } else {
            Err(PoolError::HostBits(pool.to_string()))
        }
    }
}

/// A network that is named by any of its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within<A>(pub Pool<A>);

impl<A: Address> FromStr for Within<A> {
    type Err = PoolError;

    fn from_str(text: &str) -> Result<Within<A>, PoolError> {
        read(text).map(|(_, pool)| Within(pool))
    }
}

/// An address and the network that it is in.
fn read<A: Address>(text: &str) -> Result<(A, Pool<A>), PoolError> {
    let form = || PoolError::Form(A::KIND, A::EXAMPLE);
    let (address, prefix) = text.split_once('/').ok_or_else(form)?;
    let address: A = address.parse().map_err(|_| form())?;
    let digits = prefix.bytes().all(|b| b.is_ascii_digit());
    let prefix = prefix.parse().ok().filter(|p| digits && *p <= A::BITS);
    let prefix = prefix.ok_or_else(form)?;
    let base = A::numbered(address.number() & mask::<A>(prefix));
    Ok((address, Pool { base, prefix }))
}

impl<A: Address> fmt::Display for Pool<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
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
                Err(PoolError::HostBits("10.5.0.0/24".to_owned())),
            ),
            ("10.5.0.0", Err(PoolError::Form("IPv4", "10.5.0.0/24"))),
            ("10.5.0.0/33", Err(PoolError::Form("IPv4", "10.5.0.0/24"))),
            ("10.5.0.0/+8", Err(PoolError::Form("IPv4", "10.5.0.0/24"))),
            ("fd00::/64", Err(PoolError::Form("IPv4", "10.5.0.0/24"))),
        ] {
            assert_eq!(text.parse::<Pool>(), wanted, "{text}");
            let within = text.parse::<Within<Ipv4Addr>>().map(|within| within.0);
            match wanted {
                Err(PoolError::HostBits(_)) => assert_eq!(within, Ok(pool("10.5.0.0", 24))),
                wanted => assert_eq!(within, wanted, "{text}"),
            }
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
    fn networks_of_ipv6_have_no_last_address_of_their_own() {
        let pool: Pool<Ipv6Addr> = "fd00:5::/126".parse().unwrap();
        assert_eq!(pool.gateway().to_string(), "fd00:5::1");
        assert_eq!(
            pool.free(pool, |a| a.segments()[7] < 3),
            Some("fd00:5::3".parse().unwrap())
        );
        assert_eq!(pool.free(pool, |a| a.segments()[7] < 4), None);
        assert!(!pool.has_host(pool.base));
        let whole: Pool<Ipv6Addr> = "::/0".parse().unwrap();
        assert!(whole.covers(pool) && !pool.covers(whole));
        for (text, wanted) in [
            ("fd00::1/64", PoolError::HostBits("fd00::/64".to_owned())),
            ("fd00::/129", PoolError::Form("IPv6", "fd00:5::/64")),
            ("10.5.0.0/24", PoolError::Form("IPv6", "fd00:5::/64")),
        ] {
            assert_eq!(text.parse::<Pool<Ipv6Addr>>(), Err(wanted), "{text}");
        }
    }
}
