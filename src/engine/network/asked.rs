//! What people ask for when they make a network.

use super::address::Pool;

/// What somebody asks for in one version of IP.
#[derive(Debug, Clone)]
pub struct Asked<A> {
    /// The network's addresses; chosen if absent.
    pub subnet: Option<Pool<A>>,
    /// The host's address; the first of the subnet if absent.
    pub gateway: Option<A>,
    /// The part of the subnet that containers get.
    pub range: Option<Pool<A>>,
}

// Not derived: that would ask for an address that is one by default.
impl<A> Default for Asked<A> {
    fn default() -> Asked<A> {
        Asked {
            subnet: None,
            gateway: None,
            range: None,
        }
    }
}
