//! Why the network cannot do something, in docker's words where it has some; each line says what a person can do.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use super::address::Pool;
use super::names::NamesError;
use super::ports::PortError;
use crate::sys::netlink::NetlinkError;

/// Why something about the network failed.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Ports cannot be published.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A container's name files cannot be made.
    #[error(transparent)]
    Names(#[from] NamesError),
    /// The kernel refused a change.
    #[error(transparent)]
    Kernel(#[from] NetlinkError),
    /// The kernel cannot translate addresses.
    #[error(
        "network mode bridge needs nf_tables with NAT, which this kernel lacks (CONFIG_NFT_NAT, NFT_MASQ, NFT_CT, NFT_FIB_IPV4); use --network host, or none: {0}"
    )]
    NoNat(NetlinkError),
    /// The kernel lets only one subsystem translate addresses, and it is iptables.
    #[error(
        "network mode bridge needs NAT, which iptables has for itself on this kernel; remove its nat rules, or use --network host: {0}"
    )]
    NatBusy(NetlinkError),
    /// The kernel has no bridges, or no pairs of interfaces.
    #[error(
        "network mode bridge needs bridge and veth interfaces, which this kernel lacks (CONFIG_BRIDGE, CONFIG_VETH); use --network host, or none: {0}"
    )]
    NoBridge(NetlinkError),
    /// The kernel cannot keep the ports of a bridge apart.
    #[error(
        "network {0} was made with enable_icc=false, which needs a kernel that can isolate the ports of a bridge (4.18); make one network for each container"
    )]
    NoIsolation(String),
    /// A network with IPv6 on a kernel without.
    #[error(
        "network {0} needs IPv6, which is missing or switched off in this kernel; make it without --ipv6"
    )]
    NoIpv6(String),
    /// The kernel cannot translate IPv6 addresses.
    #[error(
        "IPv6 on a network needs nf_tables with NAT for IPv6, which this kernel lacks (CONFIG_NF_TABLES_IPV6, NFT_NAT, NFT_FIB_IPV6); make the network without --ipv6: {0}"
    )]
    NoNatV6(NetlinkError),
    /// The settings ask for IPv6.
    #[error("IPv6 addresses on bridge {0} are not supported; set ip6 = no in [network]")]
    Ip6(String),
    /// An interface that is not ours has the bridge's name.
    #[error("interface {bridge} exists and belongs to {owner}; choose another bridge in [network]")]
    Foreign {
        /// The interface's name.
        bridge: String,
        /// The note on it.
        owner: String,
    },
    /// The host is in the subnet already.
    #[error(
        "subnet {pool} of the container network overlaps {address}/{prefix} of interface {link}; choose another subnet in [network]"
    )]
    Overlap {
        /// The container network.
        pool: String,
        /// The host's address.
        address: IpAddr,
        /// Its prefix.
        prefix: u8,
        /// The interface that has it.
        link: String,
    },
    /// All addresses are leased.
    #[error("no address of subnet {0} is free; choose a larger one in [network]")]
    Full(Pool),
    /// All addresses of a user-defined network are leased.
    #[error("no address of {range} is free on network {network}; make a larger network")]
    NetworkFull {
        /// The network.
        network: String,
        /// Where its containers' addresses come from.
        range: String,
    },
    /// A container insists on an address that it cannot have.
    #[error("address {address} cannot be had on network {network}: {reason}")]
    Address {
        /// The address.
        address: IpAddr,
        /// The network.
        network: String,
        /// Why not.
        reason: String,
    },
    /// A container on too many networks.
    #[error("container {0:.12} is on sixteen networks already; disconnect it from one")]
    TooMany(String),
    /// No network has this name or id.
    #[error("network {0} not found; dray network create makes one")]
    NotFound(String),
    /// Several ids start so.
    #[error("network id {0} is ambiguous: several networks start with it")]
    Ambiguous(String),
    /// The name is another network's.
    #[error("network with name {0} already exists")]
    Exists(String),
    /// Not a name for a network.
    #[error(
        "invalid network name {0:?}: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, at most 255 of them, and no name that \
         --network gives a meaning"
    )]
    Name(String),
    /// The name of a network that is always there.
    #[error("operation is not permitted on predefined {0} network; choose another name")]
    Predefined(String),
    /// A network that is always there.
    #[error("{0} is a pre-defined network and cannot be removed")]
    BuiltIn(String),
    /// Containers are on the network.
    #[error("network {network} has active endpoints: {}; stop or disconnect them first", holders.join(", "))]
    InUse {
        /// The network.
        network: String,
        /// Names of the containers.
        holders: Vec<String>,
    },
    /// The container is on the network.
    #[error("endpoint with name {container} already exists in network {network}")]
    Joined {
        /// Its name.
        container: String,
        /// The network.
        network: String,
    },
    /// `none` goes together with no other network.
    #[error(
        "container cannot be connected to multiple networks with one of the networks in private (none) mode; `dray network \
         disconnect {network} {container}` comes first"
    )]
    Private {
        /// Its name.
        container: String,
        /// A network that it is on.
        network: String,
    },
    /// The container is not on the network.
    #[error("container {container} is not connected to network {network}")]
    NotJoined {
        /// Its name.
        container: String,
        /// The network.
        network: String,
    },
    /// A part of a network's description that makes no sense.
    #[error("invalid {option} {value:?}: {reason}")]
    Wish {
        /// Which part.
        option: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two networks in one subnet.
    #[error("subnet {pool} overlaps {other} of network {network}; choose another one")]
    Networks {
        /// What was asked for.
        pool: String,
        /// What exists.
        other: String,
        /// The network that has it.
        network: String,
    },
    /// Every subnet that would be chosen by itself is taken.
    #[error("no subnet is left that collides with nothing; choose one with --subnet")]
    NoSubnet,
    /// No subnet can be drawn.
    #[error("failed to read random numbers: {0}")]
    Random(io::Error),
    /// A container's hosts file cannot be kept up to date.
    #[error("failed to write names to {}: {source}", path.display())]
    Peers {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An id that could name a file elsewhere.
    #[error("invalid container id {0:?}")]
    Id(String),
    /// A container without a lease.
    #[error("container {0:.12} is not attached to a network")]
    NotAttached(String),
    /// The process to attach is gone or cannot be looked at.
    #[error("failed to open the network namespace of process {pid}: {source}")]
    Process {
        /// The process.
        pid: i32,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The process to attach has no namespace of its own.
    #[error("process {0} is in the host's network namespace, which gets no container interface")]
    HostNamespace(i32),
    /// An interface was removed by somebody else while it was set up.
    #[error("interface {0} vanished while it was set up")]
    Vanished(String),
    /// A parameter cannot be read or set.
    #[error("failed to set {name}: {source}")]
    Parameter {
        /// The parameter as `sysctl` names it.
        name: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A state file cannot be read or written.
    #[error("failed to access network state {}: {source}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A network that cannot be read.
    #[error("network {name} is damaged: {error}; `dray network rm {name}` removes it")]
    Damaged {
        /// Its name.
        name: String,
        /// What is wrong with it.
        error: Box<NetworkError>,
    },
    /// A state file makes no sense.
    #[error("failed to understand network state {}: {source}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A state file of a newer program.
    #[error("network state {} has version {version}, newer than this program knows", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

impl NetworkError {
    /// Whether one state file cannot be read or understood: no obstacle for the others.
    pub(super) fn is_about_file(&self) -> bool {
        matches!(
            self,
            NetworkError::State { .. } | NetworkError::Record { .. } | NetworkError::Newer { .. }
        )
    }
}
