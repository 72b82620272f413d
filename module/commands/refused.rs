//! Docker's options that a word takes nowhere else: refused by name, with the reason and what to do instead.

/// Word (none for what stands before it), its options with their letters, the reason.
pub const OPTIONS: &[(&str, &str, &str)] = &[
    (
        "",
        "config context/c host/H tls tlscacert tlscert tlskey tlsverify",
        "there is no daemon to talk to; run dray on the device itself",
    ),
    (
        "",
        "debug/D log-level/l",
        "what went wrong is said on stderr in any case; leave it out",
    ),
    (
        "commit",
        "author/a change/c message/m pause/p",
        "images are made elsewhere, on a workstation; `dray commit` alone keeps what `dray install` installed",
    ),
    ("history", "platform", ONE_PLATFORM),
    (
        "images",
        "tree",
        "an image is for one platform here and has no branches; leave it out",
    ),
    ("inspect", "platform", ONE_PLATFORM),
    (
        "network connect",
        "driver-opt",
        "an interface has no options here; give them to network create",
    ),
    (
        "network connect",
        "gw-priority",
        "the way outside is the network that was named first; connect the others after it",
    ),
    (
        "network connect",
        "link-local-ip",
        "addresses that no router passes on are the kernel's to give; use --ip or --ip6",
    ),
    (
        "network create",
        "attachable ingress scope",
        "there is no swarm: each network is this device's own, and every container can be put on it; leave it out",
    ),
    (
        "network create",
        "config-from config-only",
        "a network is no pattern for others; give each its options",
    ),
    (
        "network create",
        "aux-address",
        "addresses are kept free by --ip-range: containers get theirs from it alone",
    ),
    (
        "network create",
        "ipam-driver ipam-opt",
        "addresses are given out by dray itself; use --subnet, --gateway and --ip-range",
    ),
    (
        "network inspect",
        "verbose/v",
        "there is no swarm to tell more about; leave it out",
    ),
    (
        "pull",
        "all-tags/a",
        "a device has room for the images that it runs, pull them by name",
    ),
    (
        "rmi",
        "no-prune",
        "an image has no parents that could stay; leave it out",
    ),
    ("rmi", "platform", ONE_PLATFORM),
    (
        "start",
        "checkpoint checkpoint-dir",
        "processes are not kept on disk; use stop and start",
    ),
    (
        "volume create",
        "availability group limit-bytes required-bytes scope secret sharing topology-preferred topology-required type",
        CLUSTER,
    ),
    ("volume ls", "cluster", CLUSTER),
    ("volume", "update", CLUSTER),
];

const ONE_PLATFORM: &str = "an image is for one platform here; leave it out";
const CLUSTER: &str = "there is no swarm, and no volumes of a cluster; leave it out";

/// The full name of an option of this word, given by its name or letter, and why it is refused; or a word of this group. Nothing
/// if docker has none of that name.
pub fn reason(word: &str, given: &str) -> Option<(&'static str, &'static str)> {
    // Its value may stand with it.
    let given = given.split('=').next().unwrap_or(given);
    let own = OPTIONS.iter().filter(|(of, ..)| *of == word);
    let mut all = own.flat_map(|(_, options, reason)| {
        let names = options.split(' ');
        names.map(move |option| (option.split_once('/').unwrap_or((option, "")), *reason))
    });
    let found =
        all.find(
            |((name, letter), _)| match (given.strip_prefix("--"), given.strip_prefix('-')) {
                (Some(long), _) => *name == long,
                (None, Some(short)) => *letter == short,
                (None, None) => *name == given,
            },
        );
    found.map(|((name, _), reason)| (name, reason))
}
