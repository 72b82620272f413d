use super::*;

fn parse(text: &str) -> Result<Settings, (usize, String)> {
    Settings::parse(text).map_err(|ini::Problem { line, problem }| (line, problem))
}

const SHIPPED: &str = include_str!("../../module/dist/dray.ini");

/// The shipped file with every setting in force: "#" directly before a word or a bracket removed.
fn uncommented() -> String {
    let setting = |line: &&str| line.starts_with('#') && !line.starts_with("# ");
    SHIPPED
        .lines()
        .filter(setting)
        .map(|line| format!("{}\n", &line[1..]))
        .collect()
}

#[test]
fn the_shipped_file_shows_the_defaults() {
    assert_eq!(parse(SHIPPED), Ok(Settings::default()));
    let mut shown = parse(&uncommented()).unwrap();
    // Paths and registries have no defaults here; what the file shows for them is what `Host` has, and an example.
    let host = Host::os();
    assert_eq!(shown.paths.state.take(), Some(host.state));
    assert_eq!(shown.paths.run.take(), Some(host.run));
    let example = shown.registries.remove("registry.example:5000").unwrap();
    assert_eq!(
        example,
        RegistrySettings {
            insecure: false,
            token_servers: vec!["auth.example".to_owned()],
            mirrors: vec!["mirror.example:5000".to_owned(), "cache.example".to_owned()],
            ca: Some("/etc/dray/registry-ca.pem".into()),
            client_cert: Some("/etc/dray/device.pem".into()),
            client_key: Some("/etc/dray/device.key".into()),
        }
    );
    assert_eq!(shown.credentials.folder.take(), Some(host.credentials));
    let proxy = ProxySettings {
        http: Some("http://proxy.example:3128".to_owned()),
        https: Some("http://proxy.example:3128".to_owned()),
        no_proxy: Some("registry.local,10.0.0.0/8".to_owned()),
    };
    assert_eq!(std::mem::take(&mut shown.proxy), proxy);
    assert_eq!(
        shown.artifact.device_type.take().as_deref(),
        Some("qemux86-64")
    );
    let keys = std::mem::take(&mut shown.trust.artifact_keys);
    assert_eq!(keys, [std::path::PathBuf::from("/etc/dray/artifact.pem")]);
    assert_eq!(shown, Settings::default());
}

#[test]
fn the_shipped_file_shows_and_explains_every_key() {
    for (section, keys) in ini::KEYS {
        let header = if *section == "registry" {
            "#[registry \"".to_owned()
        } else {
            format!("#[{section}]")
        };
        let (_, body) = SHIPPED
            .split_once(&header)
            .unwrap_or_else(|| panic!("{header} is missing"));
        let body = body.split("\n#[").next().unwrap_or_default();
        for key in *keys {
            let lines: Vec<&str> = body.lines().collect();
            let at = lines
                .iter()
                .position(|line| line.starts_with(&format!("#{key} = ")));
            let at = at.unwrap_or_else(|| panic!("{key} is missing in [{section}]"));
            assert!(
                lines[at - 1].starts_with("# "),
                "{key} in [{section}] is not explained"
            );
        }
    }
}

#[test]
fn every_value_arrives() {
    let settings = parse(
        "; a remark\n\
         [paths]\nstate = /data/dray\nrun=/tmp/dray run\n\
         [registry \"localhost:5000\"]\ninsecure = yes\n\
         [registry \"[fd00::1]:5000\"]\ninsecure = true\n\
         [registry \"docker.io\"]\ntoken_server = \"auth.example:8443\"\n\
         mirrors = https://m.example:5000/, [fd00::2]:5000, n.example\n\
         ca = /c/ca.pem\nclient_cert = /c/c.pem\nclient_key = /c/k.pem\n\
         [log]\ndriver = local\nmax-size = 1g\nmax-file = 7\n\
         [health]\nstable_s = 0\ntimeout_s = 86400\n\
         [store]\nkeep_blobs = on\nmax_size = 2g\nreserve = 1m\nkeep_previous = yes\nscrub = 30d\n\
         [network]\nbridge = br-x.1\nsubnet = 10.9.0.0/24\nip6 = fd00:d7a7::/64\n\
         [download]\nparallel = 1\nretries = 5\ndeadline = 90m\nleast_rate = 1k\nrate = 500k\nbudget = 3g\n\
         [proxy]\nhttp = http://p:1\nhttps = http://u:s@p:2\nno_proxy = a,b\n\
         [credentials]\nfolder = /c/d\n\
         [artifact]\ndevice_type = qemu\n\
         [trust]\nartifact_keys = /k/a.pem, /k/b.pem\n",
    )
    .unwrap();
    let insecure = || RegistrySettings {
        insecure: true,
        ..RegistrySettings::default()
    };
    let expected = Settings {
        paths: PathSettings {
            state: Some("/data/dray".into()),
            run: Some("/tmp/dray run".into()),
        },
        registries: BTreeMap::from([
            ("localhost:5000".to_owned(), insecure()),
            ("[fd00::1]:5000".to_owned(), insecure()),
            (
                "docker.io".to_owned(),
                RegistrySettings {
                    insecure: false,
                    token_servers: vec!["auth.example:8443".to_owned()],
                    mirrors: ["m.example:5000", "[fd00::2]:5000", "n.example"]
                        .map(str::to_owned)
                        .to_vec(),
                    ca: Some("/c/ca.pem".into()),
                    client_cert: Some("/c/c.pem".into()),
                    client_key: Some("/c/k.pem".into()),
                },
            ),
        ]),
        log: LogSettings {
            driver: LogDriver::Local,
            max_size: 1 << 30,
            max_file: 7,
        },
        health: HealthSettings {
            stable: Duration::ZERO,
            timeout: Duration::from_secs(86400),
        },
        store: StoreSettings {
            keep_blobs: true,
            max_size: Some(2 << 30),
            reserve: 1 << 20,
            keep_previous: true,
            scrub: Some(Duration::from_secs(30 * 24 * 60 * 60)),
        },
        network: NetworkSettings {
            bridge: "br-x.1".to_owned(),
            subnet: Subnet {
                address: Ipv4Addr::new(10, 9, 0, 0),
                prefix: 24,
            },
            ip6: Some(Subnet {
                address: "fd00:d7a7::".parse().unwrap(),
                prefix: 64,
            }),
        },
        download: DownloadSettings {
            parallel: 1,
            retries: 5,
            deadline: Duration::from_secs(5400),
            least_rate: 1024,
            rate: Some(500 << 10),
            budget: Some(3 << 30),
        },
        proxy: ProxySettings {
            http: Some("http://p:1".to_owned()),
            https: Some("http://u:s@p:2".to_owned()),
            no_proxy: Some("a,b".to_owned()),
        },
        credentials: CredentialSettings {
            folder: Some("/c/d".into()),
        },
        artifact: ArtifactSettings {
            device_type: Some("qemu".to_owned()),
        },
        trust: TrustSettings {
            artifact_keys: vec!["/k/a.pem".into(), "/k/b.pem".into()],
        },
    };
    assert_eq!(settings, expected);
    assert!(settings.is_insecure("localhost:5000") && !settings.is_insecure("localhost"));
    assert_eq!(settings.token_servers("docker.io"), ["auth.example:8443"]);
    assert_eq!(settings.mirrors("docker.io").len(), 3);
    assert!(settings.mirrors("elsewhere").is_empty());
    let moved = settings.apply(Host::at(std::path::Path::new("/x")));
    assert_eq!(
        (moved.state, moved.run),
        ("/data/dray".into(), "/tmp/dray run".into())
    );
}

#[test]
fn mistakes_are_named_with_their_line() {
    for (text, line, problem) in [
        (
            "[logs]\n",
            1,
            "unknown section [logs]; known are paths, registry, log, health, store, network, download, proxy, credentials, artifact, trust",
        ),
        (
            "\n[log]\nmax_size = 1m\n",
            3,
            "unknown key \"max_size\" in [log]; known are driver, max-size, max-file",
        ),
        (
            "driver = local\n",
            1,
            "a key stands before the first [section]",
        ),
        (
            "[log]\ndriver = syslog\n",
            2,
            "driver is \"syslog\", but must be json-file, local or none",
        ),
        (
            "[log]\nmax-size = 10q\n",
            2,
            "max-size is \"10q\", but must be a size such as 512k, 10m or 1g, and more than 0",
        ),
        (
            "[log]\nmax-size = 0\n",
            2,
            "max-size is \"0\", but must be a size such as 512k, 10m or 1g, and more than 0",
        ),
        (
            "[log]\nmax-size = 99999999999g\n",
            2,
            "max-size is \"99999999999g\", but must be a size such as 512k, 10m or 1g, and more than 0",
        ),
        (
            "[log]\nmax-size =\n",
            2,
            "max-size is \"\", but must be a size such as 512k, 10m or 1g, and more than 0",
        ),
        (
            "[log]\nmax-file = 0\n",
            2,
            "max-file is \"0\", but must be a number from 1 to 1000",
        ),
        (
            "[log]\n\ndriver = local\ndriver = none\n",
            4,
            "key \"driver\" is there twice in [log]",
        ),
        (
            "[log]\ndriver = local\n[store]\n[log]\ndriver = none\n",
            5,
            "key \"driver\" is there twice in [log]",
        ),
        (
            "[registry]\ninsecure = yes\n",
            1,
            "section [registry] must name one: [registry \"HOST[:PORT]\"]",
        ),
        (
            "[registry hub.example]\ninsecure = yes\n",
            1,
            "section [registry hub.example] must be [registry \"HOST[:PORT]\"], with the host as image names spell it",
        ),
        (
            "[registry \"hub\"]\ninsecure = yes\n",
            1,
            "section [registry \"hub\"] must be [registry \"HOST[:PORT]\"], with the host as image names spell it",
        ),
        (
            "[registry \"https://hub.example\"]\n",
            1,
            "section [registry \"https://hub.example\"] must be [registry \"HOST[:PORT]\"], with the host as image names spell it",
        ),
        (
            "[registry \"a.b\"]\ninsecure = perhaps\n",
            2,
            "insecure is \"perhaps\", but must be yes or no",
        ),
        (
            "[paths]\nstate = var/lib\n",
            2,
            "state is \"var/lib\", but must be an absolute path below / without ..",
        ),
        (
            "[paths]\nstate = /\n",
            2,
            "state is \"/\", but must be an absolute path below / without ..",
        ),
        (
            "[paths]\nrun = /run/../etc\n",
            2,
            "run is \"/run/../etc\", but must be an absolute path below / without ..",
        ),
        (
            "[health]\nstable_s = 10s\n",
            2,
            "stable_s is \"10s\", but must be a number of seconds from 0 to 86400",
        ),
        (
            "[network]\nbridge = a/b\n",
            2,
            "bridge is \"a/b\", but must be an interface name: up to 15 of A-Z a-z 0-9 _ . -",
        ),
        (
            "[network]\nbridge = sixteen-letters-\n",
            2,
            "bridge is \"sixteen-letters-\", but must be an interface name: up to 15 of A-Z a-z 0-9 _ . -",
        ),
        (
            "[network]\nsubnet = 172.29.0.1/16\n",
            2,
            "subnet is \"172.29.0.1/16\", but must be an IPv4 network such as 172.29.0.0/16, from /8 to /29",
        ),
        (
            "[network]\nsubnet = 0.0.0.0/0\n",
            2,
            "subnet is \"0.0.0.0/0\", but must be an IPv4 network such as 172.29.0.0/16, from /8 to /29",
        ),
        (
            "[network]\nsubnet = 10.0.0.0/33\n",
            2,
            "subnet is \"10.0.0.0/33\", but must be an IPv4 network such as 172.29.0.0/16, from /8 to /29",
        ),
        (
            "[network]\nip6 = yes\n",
            2,
            "ip6 is \"yes\", but must be no, or an IPv6 network such as fd00:d7a7::/64, from /16 to /112",
        ),
        (
            "[network]\nip6 = ::/0\n",
            2,
            "ip6 is \"::/0\", but must be no, or an IPv6 network such as fd00:d7a7::/64, from /16 to /112",
        ),
        (
            "[download]\nparallel = 33\n",
            2,
            "parallel is \"33\", but must be a number from 1 to 32",
        ),
        (
            "[registry \"a.b\"]\nmirrors = http://m.example\n",
            2,
            "mirrors is \"http://m.example\", but must be https://HOST[:PORT] of mirrors, separated by commas (one without https has insecure = yes in its own section)",
        ),
        (
            "[registry \"a.b\"]\nmirror = m.example\n",
            2,
            "unknown key \"mirror\" in [registry \"a.b\"]; known are mirrors, insecure, token_server, ca, client_cert, client_key",
        ),
        (
            "[proxy]\nhttp = user:secret@proxy\n",
            2,
            "http must be http://HOST:PORT of a proxy",
        ),
        (
            "[proxy]\nhttps = http://127.0.0.1:notaport\n",
            2,
            "https must be http://HOST:PORT of a proxy",
        ),
        (
            "[proxy]\nhttps = http://user:pass@:3128\n",
            2,
            "https must be http://HOST:PORT of a proxy",
        ),
        (
            "[download]\nparallel = 2\nrate = 100\n",
            3,
            "rate is 100 bytes a second, less than least_rate, 256: every connection would be too slow",
        ),
        (
            "[download]\nrate = 1k\nleast_rate = 2k\n",
            2,
            "rate is 1024 bytes a second, less than least_rate, 2048: every connection would be too slow",
        ),
        (
            "[download]\ndeadline = 8d\n",
            2,
            "deadline is \"8d\", but must be a time such as 90s, 30m or 3h, up to a week",
        ),
        (
            "[download]\ndeadline = 169h\n",
            2,
            "deadline is \"169h\", but must be a time such as 90s, 30m or 3h, up to a week",
        ),
        (
            "[download]\nrate = fast\n",
            2,
            "rate is \"fast\", but must be no, or bytes a second such as 500k or 2m",
        ),
        (
            "[artifact]\ndevice_type = a b\n",
            2,
            "device_type is \"a b\", but must be one word, of at most 256 letters, digits and signs",
        ),
        (
            "[trust]\nartifact_keys = /k/a.pem,\n",
            2,
            "artifact_keys is \"/k/a.pem,\", but must be an absolute path below / without ..",
        ),
        (
            "[log]\nnonsense\ndriver = local\n",
            2,
            "\"nonsense\" is not of the form KEY = VALUE",
        ),
    ] {
        assert_eq!(parse(text), Err((line, problem.to_owned())), "{text}");
    }
    // Where the parser itself gives up, it knows the line.
    for (text, line) in [("[log]\n= local\n", 2), ("[log\ndriver = local\n", 1)] {
        assert_eq!(parse(text).unwrap_err().0, line, "{text}");
    }
}

#[test]
fn files() {
    let dir = std::env::temp_dir().join(format!("dray-config-{}", std::process::id()));
    let host = Host::at(&dir);
    let refused = Settings::load(&host).unwrap_err().to_string();
    let path = host.config.display();
    assert_eq!(
        refused,
        format!("failed to read settings {path}: No such file or directory (os error 2)")
    );
    std::fs::create_dir_all(host.config.parent().unwrap()).unwrap();
    crate::sys::fs::replace(&host.config, 0o600, b"[log]\ndriver=x\n").unwrap();
    let refused = Settings::load(&host).unwrap_err().to_string();
    assert_eq!(
        refused,
        format!(
            "failed to read settings {}, line 2: driver is \"x\", but must be json-file, local or none",
            host.config.display()
        )
    );
    crate::sys::fs::replace(&host.config, 0o600, b"[log]\ndriver=\xff\n").unwrap();
    let refused = Settings::load(&host).unwrap_err().to_string();
    assert!(
        refused.ends_with("stream did not contain valid UTF-8"),
        "{refused}"
    );
    std::fs::remove_dir_all(&dir).unwrap();
}
