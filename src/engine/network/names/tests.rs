use super::*;
use std::net::Ipv6Addr;

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

const OWN: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(172, 29, 0, 2)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2)),
];

fn input<'a>(extra_hosts: &'a [String], domainname: &'a str) -> HostsInput<'a> {
    HostsInput {
        hostname: "web",
        domainname,
        addresses: &OWN,
        extra_hosts,
        host_gateway: Ipv4Addr::new(172, 29, 0, 1),
    }
}

#[test]
fn hosts_in_dockers_form() {
    let extra = words(&[
        "db:10.0.0.9",
        "six:fd00::9",
        "seven:[fd00::7]",
        "up:host-gateway",
    ]);
    let rest = "10.0.0.9\tdb\nfd00::9\tsix\nfd00::7\tseven\n172.29.0.1\tup\n";
    for (domain, own) in [
        ("", "172.29.0.2\tweb\nfd00::2\tweb\n"),
        (
            "example.org",
            "172.29.0.2\tweb.example.org web\nfd00::2\tweb.example.org web\n",
        ),
    ] {
        let text = hosts(&input(&extra, domain)).unwrap();
        assert_eq!(text, format!("{LOCAL_NAMES}{rest}{own}"));
    }
    let alone = HostsInput {
        addresses: &[],
        ..input(&[], "")
    };
    assert_eq!(hosts(&alone).unwrap(), LOCAL_NAMES);
}

#[test]
fn extra_hosts_name_what_is_wrong() {
    for text in [
        "db",
        ":10.0.0.9",
        "db:",
        "db:ten",
        "d b:10.0.0.9",
        "a\nb:10.0.0.9",
    ] {
        let error = hosts(&input(&words(&[text]), "")).unwrap_err().to_string();
        let wanted = "needs the form name:address, the address may be host-gateway";
        assert_eq!(error, format!("invalid extra host {text:?}: {wanted}"));
    }
}

#[test]
fn hosts_of_host_are_untouched_but_for_extra_hosts() {
    let files = |hosts: &str| HostFiles {
        hosts: hosts.to_owned(),
        ..HostFiles::default()
    };
    let extra = words(&["me:host-gateway"]);
    for (own, extra, wanted) in [
        ("# mine\n127.0.0.1 x", &[][..], "# mine\n127.0.0.1 x\n"),
        ("127.0.0.1 x\n", &extra, "127.0.0.1 x\n127.0.0.1\tme\n"),
        ("", &extra, "127.0.0.1\tme\n"),
    ] {
        assert_eq!(hosts_of_host(&files(own), extra).unwrap(), wanted);
    }
}

#[test]
fn resolv_conf_keeps_what_a_container_can_reach() {
    let stub = "# managed\nnameserver 127.0.0.53\noptions edns0 trust-ad\nsearch lan\n";
    let resolved = "nameserver 192.168.1.1\nsearch lan\n";
    for (name, own, resolved, wanted) in [
        (
            "comments and options stay",
            "# top\nsearch lan\nnameserver 192.168.1.1\noptions rotate\n",
            "",
            "# top\nsearch lan\nnameserver 192.168.1.1\noptions rotate\n",
        ),
        (
            "loopback and IPv6 servers go",
            "nameserver 127.0.0.1\nnameserver ::1\nnameserver fe80::1%eth0\nnameserver 2001:db8::1\nnameserver 0.0.0.0\nnameserver 10.0.0.1\n",
            "",
            "nameserver 10.0.0.1\n",
        ),
        ("the stub stands for its servers", stub, resolved, resolved),
        (
            "a stub beside another server is just a loopback one",
            "nameserver 127.0.0.53\nnameserver 10.0.0.1\n",
            resolved,
            "nameserver 10.0.0.1\n",
        ),
        (
            "without resolved's list the fallback remains",
            stub,
            "",
            "# managed\noptions edns0 trust-ad\nsearch lan\nnameserver 8.8.8.8\nnameserver 8.8.4.4\n",
        ),
        (
            "no file",
            "",
            "",
            "nameserver 8.8.8.8\nnameserver 8.8.4.4\n",
        ),
        (
            "no newline at the end",
            "nameserver 10.0.0.1",
            "",
            "nameserver 10.0.0.1\n",
        ),
    ] {
        let files = HostFiles {
            resolv_conf: own.to_owned(),
            resolved: resolved.to_owned(),
            ..HostFiles::default()
        };
        let text = resolv_conf(&files, &HostConfig::default(), false);
        assert_eq!(text, wanted, "{name}");
    }
}

#[test]
fn servers_with_ipv6_addresses_are_for_containers_with_one() {
    let files = HostFiles {
        resolv_conf: "nameserver ::1\nnameserver fe80::1\nnameserver fe80::1%eth0\n\
                      nameserver 2001:db8::1\nnameserver 10.0.0.1\n"
            .to_owned(),
        ..HostFiles::default()
    };
    let text = resolv_conf(&files, &HostConfig::default(), true);
    assert_eq!(text, "nameserver 2001:db8::1\nnameserver 10.0.0.1\n");
}

#[test]
fn dns_options_replace_their_list_only() {
    let files = HostFiles {
        resolv_conf: "# gone\nnameserver 127.0.0.1\nnameserver 10.0.0.1\nsearch old\nsearch a b\noptions ndots:2\n"
            .to_owned(),
        ..HostFiles::default()
    };
    for (dns, search, options, wanted, wanted_of_host) in [
        (
            &["1.1.1.1", "127.0.0.1"][..],
            &[][..],
            &[][..],
            "search a b\nnameserver 1.1.1.1\nnameserver 127.0.0.1\noptions ndots:2\n",
            "search a b\nnameserver 1.1.1.1\nnameserver 127.0.0.1\noptions ndots:2\n",
        ),
        (
            &[],
            &["example.org"],
            &["rotate", "timeout:1"],
            "search example.org\nnameserver 10.0.0.1\noptions rotate timeout:1\n",
            "search example.org\nnameserver 127.0.0.1\nnameserver 10.0.0.1\noptions rotate timeout:1\n",
        ),
        (
            &[],
            &["."],
            &[],
            "nameserver 10.0.0.1\noptions ndots:2\n",
            "nameserver 127.0.0.1\nnameserver 10.0.0.1\noptions ndots:2\n",
        ),
    ] {
        let config = HostConfig {
            dns: words(dns),
            dns_search: words(search),
            dns_options: words(options),
            ..HostConfig::default()
        };
        assert_eq!(resolv_conf(&files, &config, false), wanted);
        assert_eq!(resolv_conf_of_host(&files, &config), wanted_of_host);
    }
    let untouched = resolv_conf_of_host(&files, &HostConfig::default());
    assert_eq!(untouched, files.resolv_conf);
}

#[test]
fn the_hosts_own_files_may_be_missing() {
    let dir = std::env::temp_dir().join(format!("dray-names-{}", std::process::id()));
    let host = Host::at(&dir);
    assert_eq!(HostFiles::read(&host).unwrap(), HostFiles::default());
    fs::create_dir_all(&host.etc).unwrap();
    crate::sys::fs::replace(&host.etc.join("hosts"), 0o644, b"127.0.0.1 x \xff\n").unwrap();
    let files = HostFiles::read(&host).unwrap();
    assert_eq!(files.hosts, "127.0.0.1 x \u{fffd}\n");
    fs::create_dir(host.etc.join("resolv.conf")).unwrap();
    let error = HostFiles::read(&host).unwrap_err().to_string();
    let path = host.etc.join("resolv.conf");
    fs::remove_dir_all(&dir).unwrap();
    assert_eq!(
        error,
        format!(
            "failed to read {}: Is a directory (os error 21)",
            path.display()
        )
    );
}
