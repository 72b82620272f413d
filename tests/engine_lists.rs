//! What `ps` lists and how `ps` and `inspect` print it: docker's filters, templates and lengths; and signals to stop with.

#![allow(
    clippy::unwrap_used,
    reason = "a broken set-up should panic; the helpers of a test program count as no test"
)]

mod common;

use common::device::{Device, on_device};

const LONG: &str = "trap 'exit 4' TERM; trap 'exit 6' USR1; echo up; while :; do sleep 0.05; done";

/// `web` runs, `db` has ended with 3, `old` was never started; in this order.
fn populate(device: &Device) -> String {
    let image = device.registry.name("shop/v1:1");
    let none = "--network=none";
    device.done(&[
        "run",
        "-d",
        none,
        "--name=web",
        "-l",
        "tier=front",
        "-l",
        "a",
        "-v",
        "data:/data",
        &image,
        "sh",
        "-c",
        LONG,
    ]);
    let ended = device.dray(&[
        "run",
        none,
        "--name=db",
        "-l",
        "tier=back",
        &image,
        "sh",
        "-c",
        "exit 3",
    ]);
    assert_eq!(ended.status.code(), Some(3));
    device.done(&["create", "--name=old", "--network=host", &image]);
    image
}

#[test]
fn ps_lists_what_its_filters_say() {
    on_device("lists", |device| {
        let image = populate(device);
        let id = device.inspect("db")["Id"].as_str().unwrap()[..12].to_owned();
        let ancestor = format!("ancestor={image}");
        let of_id = format!("id={id}");
        let of_start = format!("id=^{}", &id[..6]);
        let of_middle = format!("id={}", &id[3..]);
        device.done(&["tag", &image, "own/web:1"]);
        let path = device.host.state.join("volumes/data/_data");
        let of_path = format!("volume={}", path.display());
        for (words, names) in [
            (&[][..], "web"),
            (&["-a"], "old db web"),
            (&["-l"], "old"),
            (&["-n", "2"], "old db"),
            (&["-n", "-1"], "web"),
            (&["--last=9"], "old db web"),
            (&["-f", "status=exited"], "db"),
            (&["-f", "status=exited", "-f", "status=created"], "old db"),
            (&["-a", "-f", "name=b"], "db web"),
            (&["-a", "-f", "name=^web$"], "web"),
            (&["-a", "-f", "name=^b"], ""),
            (&["-f", "label=tier"], "web"),
            (&["-a", "-f", "label=tier"], "db web"),
            (&["-a", "-f", "label=tier=back"], "db"),
            (&["-a", "-f", "label=tier", "-f", "label=a"], "web"),
            (&["-a", "-f", "label=tier", "-f", "exited=3"], "db"),
            (&["-a", "-f", "exited=0"], ""),
            (&["-a", "-f", "health=none"], "old db web"),
            (&["-a", "-f", "network=none"], "db web"),
            (&["-a", "-f", "network=host"], "old"),
            (&["-a", "-f", "volume=data"], "web"),
            (&["-a", "-f", "volume=/data"], "web"),
            (&["-a", "-f", &ancestor], "old db web"),
            (&["-a", "-f", "ancestor=absent"], ""),
            (&["-a", "-f", "ancestor=own/web:1"], "old db web"),
            (&["-a", "-f", "ancestor=own/web"], ""),
            (&["-a", "-f", &of_id], "db"),
            (&["-a", "-f", &of_start], "db"),
            (&["-a", "-f", &of_middle], "db"),
            (&["-a", "-f", "id=zz"], ""),
            // The rows that follow are as Docker Engine 20.10 has them.
            (&["-a", "-f", "name=^(web|db)$"], "db web"),
            (&["-a", "-f", "name=/web"], "web"),
            (&["-a", "-f", "name=^/web$"], "web"),
            (&["-a", "-f", "name=w.b"], "web"),
            (&["-a", "-f", "name=WEB"], ""),
            (&["-a", "-f", "name=web", "-f", "name=old"], "old web"),
            (&["-a", "-f", " NAME = web "], "web"),
            (&["-a", "-f", ""], "old db web"),
            (&["-a", "-f", "before=db"], "web"),
            (&["-a", "-f", "since=db"], "old"),
            (&["-f", "before=old"], "web"),
            (&["-f", "since=web"], ""),
            (&["-a", "-f", "since=web", "-f", "before=old"], "db"),
            (&["-a", "-f", "before=old", "-f", "before=db"], "web"),
            (&["-n", "1", "-f", "before=old"], "db"),
            (&["-f", "exited=3"], ""),
            (&["-a", "-f", "exited=3", "-f", "exited=0"], "db"),
            (&["-a", "-f", "network=6e6f6e65"], "db web"),
            (&["-a", "-f", "network=non"], ""),
            (&["-a", "-f", "volume=dat"], ""),
            // A named volume is known by its name, and not by where it lies.
            (&["-a", "-f", &of_path], ""),
            (&["-a", "-f", "publish=80", "-f", "expose=1-65535/udp"], ""),
        ] {
            let words = [&["ps", "--format={{.Names}}"], words].concat();
            let listed = device.done(&words);
            assert_eq!(listed.stderr, "", "{words:?}");
            let listed: Vec<&str> = listed.stdout.lines().collect();
            assert_eq!(listed.join(" "), names, "{words:?}");
        }
        for (filter, code, said) in [
            ("name", 125, "expected name=value"),
            (
                "bogus=80",
                1,
                "invalid filter \"bogus\": ancestor, before, exited,",
            ),
            ("label!=a", 1, "invalid filter \"label!\": ancestor,"),
            (
                "is-task=true",
                1,
                "filter \"is-task\" is not supported: there is no swarm,",
            ),
            (
                "isolation=default",
                1,
                "filter \"isolation\" is not supported: only Windows has it",
            ),
            ("name=[", 1, "invalid filter \"name=[\": "),
            ("id=(", 1, "invalid filter \"id=(\": "),
            ("before=absent", 1, "no such container: absent"),
            ("since=absent", 1, "no such container: absent"),
            (
                "publish=8080-80",
                1,
                "invalid filter \"publish=8080-80\": invalid range specified for port: 8080-80",
            ),
            (
                "publish=x",
                1,
                "strconv.ParseUint: parsing \"x\": invalid syntax",
            ),
            ("expose=", 1, "empty string specified for ports"),
            ("expose=1/x", 1, "invalid proto: x"),
            ("status=up", 1, "expected one of created, dead, exited,"),
            ("health=well", 1, "expected one of healthy, none,"),
            ("exited=x", 1, "expected an exit code"),
        ] {
            let refused = device.dray(&["ps", "-f", filter]);
            assert_eq!(refused.status.code(), Some(code), "{filter}: {refused:?}");
            assert!(refused.stderr.contains(said), "{filter}: {refused:?}");
        }
        device.done(&["rm", "-f", "web", "db", "old"]);
    });
}

#[test]
fn lists_are_cut_or_whole_and_templates_are_filled_in() {
    on_device("templates", |device| {
        populate(device);
        let id = device.inspect("web")["Id"].as_str().unwrap().to_owned();
        let cut = device.done(&["ps"]).stdout;
        assert!(cut.contains("\"sh -c trap 'exit 4'…\""), "{cut}");
        let whole = device.done(&["ps", "--no-trunc"]).stdout;
        assert!(
            whole.contains(&format!("\"sh -c {LONG}\"")) && whole.contains(&id),
            "{whole}"
        );
        let (short, web) = (&id[..12], ["ps", "-f", "name=web"]);
        for (words, text) in [
            (
                &["--format", "{{.ID}}\\t{{.Names}}"][..],
                format!("{short}\tweb"),
            ),
            (&["--no-trunc", "--format={{.ID}}"], id.clone()),
            (
                &["--format", "{{.Labels}} {{.Networks}} {{.Mounts}}"],
                "a=,tier=front none data".into(),
            ),
            (&["--format={{json .State}}"], "\"running\"".into()),
            (
                &["--format", "{{.Command}}"],
                "\"sh -c trap 'exit 4'…\"".into(),
            ),
        ] {
            let listed = device.done(&[&web, words].concat());
            assert_eq!(listed.stdout.trim_end(), text, "{words:?}");
        }
        for (template, text) in [
            (
                "{{.State.Status}} {{.State.Running}}",
                "running true\nexited false",
            ),
            ("{{.HostConfig.NetworkMode}}", "none\nnone"),
            (
                "{{range .Mounts}}{{.Name}}:{{.Destination}};{{end}}",
                "data:/data;\n",
            ),
            (
                "{{json .Config.Labels}}",
                "{\"a\":\"\",\"tier\":\"front\"}\n{\"tier\":\"back\"}",
            ),
            ("{{if .State.Running}}up{{end}}", "up\n"),
        ] {
            let shown = device.done(&["inspect", "-f", template, "web", "db"]);
            assert_eq!(shown.stdout, format!("{text}\n"), "{template}");
        }
        let shown = device
            .done(&["inspect", "--format=json", "web", "db"])
            .stdout;
        assert_eq!((shown.lines().count(), &shown[..2]), (1, "[{"), "{shown}");
        for (template, code, said) in [
            (
                "{{.Nothing}}",
                1,
                "template: there is no field .Nothing here",
            ),
            ("{{nonsense .Id}}", 64, "function \"nonsense\" not defined"),
        ] {
            let refused = device.dray(&["inspect", "-f", template, "web"]);
            assert_eq!(refused.status.code(), Some(code), "{template}: {refused:?}");
            assert!(refused.stderr.contains(said), "{template}: {refused:?}");
        }
        device.done(&["rm", "-f", "web", "db", "old"]);
    });
}

#[test]
fn images_and_volumes_are_chosen_and_printed_as_asked_for() {
    on_device("images", |device| {
        let [one, two] = ["v1", "v2"].map(|name| device.registry.name(&format!("shop/{name}:1")));
        for name in [&one, &two] {
            device.done(&["pull", "-q", name]);
        }
        let (first, _) = one.rsplit_once(':').unwrap();
        let wrong = format!("{first}:7");
        for (words, count) in [
            (&[][..], 2),
            (&["-a"], 2),
            (&[first], 1),
            (&[&one], 1),
            (&[&wrong], 0),
            (&["absent"], 0),
        ] {
            let listed =
                device.done(&[&["images", "--format={{.Repository}}:{{.Tag}}"], words].concat());
            assert_eq!(
                listed.stdout.lines().count(),
                count,
                "{words:?}: {listed:?}"
            );
            assert!(
                count == 2 || listed.stdout.lines().all(|line| line == one),
                "{listed:?}"
            );
            let ids = device.done(&[&["images", "-q"], words].concat());
            assert_eq!(ids.stdout.lines().count(), count, "{words:?}: {ids:?}");
        }
        images_are_chosen(device, &one, &two);
        let id = device.done(&["images", "-q", &one]).stdout;
        let short = device.done(&["images", "--format={{.ID}}", &one]).stdout;
        assert_eq!(id, short);

        // A volume that is called as an image is.
        let volume = id.trim_end();
        device.done(&["volume", "create", "--label=a=b", volume]);
        let path = device.host.state.join("volumes").join(volume).join("_data");
        let path = format!("{}\n", path.display());
        for (words, text) in [
            (
                &["volume", "ls", "--format={{.Mountpoint}}"][..],
                path.as_str(),
            ),
            (
                &["volume", "inspect", "-f", "{{.Mountpoint}}", volume],
                &path,
            ),
            (
                &["volume", "inspect", "-f", "{{json .Labels}}", volume],
                "{\"a\":\"b\"}\n",
            ),
            (
                &["inspect", "--type=volume", "-f", "{{.Mountpoint}}", volume],
                &path,
            ),
            (
                &["inspect", "-f", "{{.RepoTags}}", volume],
                &format!("[{one}]\n"),
            ),
            (
                &["inspect", "--type", "image", "-f", "{{.Os}}", volume],
                "linux\n",
            ),
        ] {
            assert_eq!(device.done(words).stdout, text, "{words:?}");
        }
        for (kind, said) in [
            ("container", format!("no such container: {volume}")),
            ("image", "no such image: nothing".to_owned()),
            ("volume", "get nothing: no such volume".to_owned()),
        ] {
            let thing = if kind == "container" {
                volume
            } else {
                "nothing"
            };
            let refused = device.dray(&["inspect", "--type", kind, thing]);
            assert_eq!(refused.status.code(), Some(1), "{kind}: {refused:?}");
            assert!(refused.stderr.contains(&said), "{kind}: {refused:?}");
        }
        device.done(&["volume", "rm", volume]);
    });
}

/// The patterns' rows are as Docker Engine 20.10 has them.
fn images_are_chosen(device: &Device, one: &str, two: &str) {
    for name in ["busybox:latest", "foo/bar:1"] {
        device.done(&["tag", one, name]);
    }
    let registry = one.split_once('/').unwrap().0;
    let digest = device.inspect(one)["Digest"].as_str().unwrap().to_owned();
    let of = |text: &str| text.replace("REG", registry).replace("DIGEST", &digest);
    let all = "REG/shop/v1:1 REG/shop/v2:1 busybox:latest foo/bar:1";
    for (filters, wanted) in [
        (&["reference=busybox"][..], "busybox:latest"),
        (&["reference=busy*"], "busybox:latest"),
        (&["reference=*/*"], "foo/bar:1"),
        (&["reference=*:latest"], "busybox:latest"),
        (&["reference=docker.io/library/busybox:*"], ""),
        (&["reference=docker.io/library/busybox"], ""),
        (&["reference=library/busybox"], ""),
        (&["reference=*"], "busybox:latest"),
        (&["reference=foo/*"], "foo/bar:1"),
        (&["reference=foo/*:1"], "foo/bar:1"),
        (&["reference=REG/*/*"], "REG/shop/v1:1 REG/shop/v2:1"),
        (&["reference=*/*/*"], "REG/shop/v1:1 REG/shop/v2:1"),
        (&["reference=*/*/v[2-9]"], "REG/shop/v2:1"),
        (&["reference=b[a-u]sybox"], "busybox:latest"),
        (&["reference=bus[^a]box"], "busybox:latest"),
        (&["reference=?usybox:latest"], "busybox:latest"),
        (&["reference=busybo\\x"], "busybox:latest"),
        (&["reference=busybox@sha256:*"], "busybox:latest"),
        (&["reference=busybox:1"], ""),
        (&["reference=BUSY*"], ""),
        (&["reference="], ""),
        (
            &["reference=busybox", "reference=foo/*"],
            "busybox:latest foo/bar:1",
        ),
        (&["reference=busybox", "dangling=true"], ""),
        (&["reference=busybox", "dangling=false"], "busybox:latest"),
        (&["dangling=false", "dangling=0"], all),
        (&["label!=nothing"], all),
        (&["label=nothing"], ""),
        (&["until=0s"], all),
        (&["until=2100-01-01"], all),
        (&["until=2100-01-01", "until=1970-01-01T00:00:00Z"], ""),
        (&["before=REG/shop/v1:1", "since=REG/shop/v1:1"], ""),
        (&["since=busybox"], ""),
    ] {
        let filters: Vec<String> = filters.iter().map(|filter| of(filter)).collect();
        let mut words = vec!["images", "--format={{.Repository}}:{{.Tag}}"];
        words.extend(filters.iter().flat_map(|filter| ["--filter", filter]));
        let listed = device.done(&words).stdout;
        let mut listed: Vec<&str> = listed.lines().collect();
        listed.sort_unstable();
        assert_eq!(listed.join(" "), of(wanted), "{filters:?}");
    }
    for (name, wanted) in [
        ("busy*", "busybox"),
        ("busybox:lat*", "busybox"),
        ("busybox:1", ""),
        ("docker.io/busybox", ""),
        ("busybox@DIGEST", "busybox"),
        ("*/*", "foo/bar"),
        ("*", "busybox"),
    ] {
        let listed = device.done(&["images", "--format={{.Repository}}", &of(name)]);
        assert_eq!(listed.stdout.trim_end(), wanted, "{name}");
    }
    for (words, said) in [
        (
            ["-f", "reference=["],
            "invalid reference \"[\": syntax error in pattern",
        ),
        (
            ["busybox[", "-a"],
            "invalid reference \"busybox[\": syntax error in pattern",
        ),
        (["-f", "before=absent"], "no such image: absent"),
        (["-f", "since=absent"], "no such image: absent"),
        (["-f", "until=x"], "\"x\" is no time"),
        (["-f", "dangling=maybe"], "expected true or false"),
        (
            ["-f", "bogus=1"],
            "invalid filter \"bogus\": before, dangling,",
        ),
    ] {
        let refused = device.dray(&[&["images"], &words[..]].concat());
        assert_eq!(refused.status.code(), Some(1), "{words:?}: {refused:?}");
        assert!(refused.stderr.contains(said), "{words:?}: {refused:?}");
    }
    let both = ["images", "-f", "dangling=true", "-f", "dangling=false"];
    let refused = device.dray(&both);
    assert!(refused.stderr.contains("it cannot be both"), "{refused:?}");
    device.done(&["rmi", "busybox", "foo/bar:1"]);
    device.done(&["images", two]);
}

/// As docker's client 28.2.2: `json` is short for `{{json .}}`, and what `-q` means beside a format depends on the list.
#[test]
fn json_is_a_template_and_quiet_is_as_there() {
    on_device("shapes", |device| {
        let image = populate(device);
        device.done(&["tag", &image, "own/web:1"]);
        let id = device.inspect("web")["Id"].as_str().unwrap()[..12].to_owned();
        let image_id = device.done(&["images", "-q", "own/web"]).stdout;
        let network = "6e6f6e650000\n";
        for (words, members, quiet) in [
            (
                &["ps", "-f", "name=web"][..],
                &[
                    ("ID", id.as_str()),
                    ("Command", "\"sh -c trap 'exit 4'…\""),
                    ("LocalVolumes", "1"),
                    ("Size", "B (virtual "),
                ][..],
                format!("{id}\n"),
            ),
            (
                &["images", "own/web"],
                &[
                    ("ID", image_id.trim_end()),
                    ("Containers", "N/A"),
                    ("CreatedSince", " years ago"),
                    ("Size", "B"),
                ],
                image_id.clone(),
            ),
            (
                &["volume", "ls"],
                &[("Name", "data"), ("Driver", "local"), ("Size", "N/A")],
                "data\n".to_owned(),
            ),
            (
                &["network", "ls", "-f", "name=none"],
                &[("ID", network.trim_end()), ("Internal", "false")],
                network.to_owned(),
            ),
        ] {
            let of = |more: &[&str]| device.dray(&[words, more].concat());
            let json = of(&["--format=json"]).stdout;
            assert_eq!(of(&["--format={{json .}}"]).stdout, json, "{words:?}");
            assert_eq!(json.lines().count(), 1, "{json}");
            let line: serde_json::Value = serde_json::from_str(&json).unwrap();
            for (name, wanted) in members {
                let value = line[name].as_str().unwrap();
                assert!(value.contains(wanted), "{name}: {json}");
            }
            let is_ps = words[0] == "ps";
            for (format, as_asked) in [
                ("--format=", &quiet),
                ("--format=table", &quiet),
                ("--format=json", &json),
                ("--format={{json .}}", &json),
                ("--format=x", &"x\n".to_owned()),
                ("--format=table x", &"x\nx\n".to_owned()),
            ] {
                let said = of(&["-q", format]);
                let is_ignored = is_ps && !format.ends_with(['=', 'e']);
                let wanted = if is_ps { &quiet } else { as_asked };
                assert_eq!(&said.stdout, wanted, "{words:?} {format}");
                let warning =
                    "WARNING: Ignoring custom format, because both --format and --quiet are set.\n";
                let warning = if is_ignored { warning } else { "" };
                assert_eq!(said.stderr, warning, "{words:?} {format}");
            }
        }
        device.done(&["rmi", "own/web:1"]);
        device.done(&["rm", "-f", "web", "db", "old"]);
    });
}

/// As moby: a container is shown with the name that it was made with for as long as that stands for its image.
#[test]
fn an_image_whose_name_has_moved_on_is_shown_by_its_id() {
    on_device("moved", |device| {
        let [one, two] = ["v1", "v2"].map(|name| device.registry.name(&format!("shop/{name}:1")));
        for image in [&one, &two] {
            device.done(&["pull", "-q", image]);
        }
        device.done(&["tag", &one, "own/web:1"]);
        let id = device.inspect("own/web:1")["Id"]
            .as_str()
            .unwrap()
            .to_owned();
        let short = id["sha256:".len()..][..12].to_owned();
        device.done(&["create", "--name=named", "--network=none", "own/web:1"]);
        device.done(&["create", "--name=of-id", "--network=none", &short]);
        let shown = |words: &[&str]| {
            let said = device.done(&[&["ps", "-a"], words].concat()).stdout;
            said.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let images = |words: &[&str]| shown(&[&["--format={{.Image}}"], words].concat());
        assert_eq!(images(&[]), [short.as_str(), "own/web:1"]);
        device.done(&["tag", &two, "own/web:1"]);
        assert_eq!(images(&[]), [short.as_str(), &short]);
        assert_eq!(images(&["--no-trunc"]), [short.as_str(), &id]);
        let table = shown(&["-f", "name=named"]);
        assert!(table[1].contains(&format!("   {short}   ")), "{table:?}");
        let config = device.inspect("named")["Config"]["Image"].clone();
        assert_eq!(config, "own/web:1");
        device.done(&["tag", &one, "own/web:1"]);
        assert_eq!(images(&["-f", "name=named"]), ["own/web:1"]);
        device.done(&["rmi", "own/web:1"]);
        assert_eq!(images(&["-f", "name=named"]), [short.as_str()]);
        device.done(&["rm", "named", "of-id"]);
    });
}

/// As moby's image store of containerd: `-f` takes the last name of what a stopped container has, not of what one runs from.
#[test]
fn an_image_that_is_used_loses_names_by_force_unless_it_runs() {
    on_device("forced", |device| {
        let image = device.registry.name("shop/v1:1");
        let words = ["--network=none", "--name=web", &image];
        device.done(&[&["create"], &words[..]].concat());
        device.done(&["tag", &image, "own/web:1"]);
        let id = device.done(&["images", "-q", "own/web"]).stdout;
        let id = id.trim_end();
        let named = || device.done(&["images", "--format={{.Repository}}"]).stdout;
        for runs in [false, true] {
            for word in [&image, id] {
                device.done(&["tag", &image, "own/web:1"]);
                if runs {
                    device.done(&["rm", "-f", "web"]);
                    let line = ["sleep", "1000"];
                    device.done(&[&["run", "-d"], &words[..], &line].concat());
                }
                // One name of two goes in any case.
                device.done(&["rmi", "-f", "own/web:1"]);
                let said = device.dray(&["rmi", "-f", word]);
                if runs {
                    let container = device.inspect("web")["Id"].as_str().unwrap()[..12].to_owned();
                    assert_eq!(said.status.code(), Some(1), "{word}: {said:?}");
                    let wanted = format!(
                        "dray: conflict: unable to delete {word} (cannot be forced) - image is being used by running \
                         container {container}; stop web first\n"
                    );
                    assert_eq!(said.stderr, wanted);
                    assert_eq!(named().lines().count(), 1, "{word}");
                    continue;
                }
                assert_eq!(said.status.code(), Some(0), "{word}: {said:?}");
                assert_eq!(said.stdout, format!("Untagged: {image}\n"), "{word}");
                assert_eq!(named(), "<none>\n", "{word}");
                // What the container needs stays, and it starts.
                device.done(&["start", "web"]);
                device.done(&["stop", "-t0", "web"]);
                device.done(&["pull", "-q", &image]);
            }
        }
        // With several names, an id means all of them.
        device.done(&["tag", &image, "own/web:1"]);
        let said = device.dray(&["rmi", "-f", id]);
        assert!(said.stderr.contains("(cannot be forced)"), "{said:?}");
        assert_eq!(named().lines().count(), 2, "{said:?}");
        device.done(&["rm", "-f", "web"]);
    });
}

/// Each field that docker's client 28.2.2 has in these lists, and what it writes above it.
#[test]
fn tables_have_dockers_headings() {
    on_device("headings", |device| {
        let image = populate(device);
        device.done(&["volume", "create", "spare"]);
        let one = ["ps", "-n", "1"];
        let stats = ["stats", "--no-stream", "web"];
        for (words, fields, headings) in [
            (
                &one[..],
                "ID Names Image Command CreatedAt RunningFor Ports State Status Size Labels Mounts LocalVolumes Networks",
                "CONTAINER ID|NAMES|IMAGE|COMMAND|CREATED AT|CREATED|PORTS|STATE|STATUS|SIZE|LABELS|MOUNTS|LOCAL VOLUMES|NETWORKS",
            ),
            (
                &["images"],
                "ID Repository Tag Digest CreatedSince CreatedAt Size Containers SharedSize UniqueSize VirtualSize",
                "IMAGE ID|REPOSITORY|TAG|DIGEST|CREATED|CREATED AT|SIZE|CONTAINERS|SHARED SIZE|UNIQUE SIZE|SIZE",
            ),
            (
                &["network", "ls"],
                "ID Name Driver Scope IPv6 IPv4 Internal Labels CreatedAt",
                "NETWORK ID|NAME|DRIVER|SCOPE|IPV6|IPV4|INTERNAL|LABELS|CREATED AT",
            ),
            (
                &["volume", "ls"],
                "Name Driver Scope Mountpoint Labels Links Size Status Group Availability",
                "VOLUME NAME|DRIVER|SCOPE|MOUNTPOINT|LABELS|LINKS|SIZE|STATUS|GROUP|AVAILABILITY",
            ),
            (
                &stats,
                "ID Container Name CPUPerc MemUsage NetIO BlockIO MemPerc PIDs",
                "CONTAINER ID|CONTAINER|NAME|CPU %|MEM USAGE / LIMIT|NET I/O|BLOCK I/O|MEM %|PIDS",
            ),
            (
                &["history", &image],
                "ID CreatedSince CreatedAt CreatedBy Size Comment",
                "IMAGE|CREATED|CREATED AT|CREATED BY|SIZE|COMMENT",
            ),
        ] {
            let columns: Vec<String> = fields.split(' ').map(|f| format!("{{{{.{f}}}}}")).collect();
            let format = format!("--format=table {}", columns.join("|"));
            let printed = device.done(&[words, &[&format]].concat()).stdout;
            let lines: Vec<&str> = printed.lines().collect();
            assert_eq!(lines[0], headings, "{words:?}");
            // The test images say nothing of how they were made.
            assert!(
                lines.len() > 1 || words[0] == "history",
                "{words:?}: {printed}"
            );
            // Every field is there for each line: none is missing, or the word would have failed.
            let bars = |line: &&str| line.matches('|').count() == columns.len() - 1;
            assert!(lines.iter().all(bars), "{words:?}: {printed}");
        }
        for (words, heading) in [
            (&["ps", "--format=table {{.Label \"a.b_c\"}}"][..], "b c"),
            (
                &["ps", "--format=table {{upper .ID}} {{json .Names}} x"],
                "CONTAINER ID NAMES x",
            ),
            (
                &["network", "ls", "--format=table {{.Label \"foo\"}}"],
                "foo",
            ),
            // These make no lists, and docker takes the word as it is.
            (&["info", "--format=table {{.OSType}}"], "table linux"),
            (
                &["inspect", "web", "--format=table {{.Name}}"],
                "table /web",
            ),
        ] {
            let printed = device.done(words).stdout;
            assert_eq!(printed.lines().next(), Some(heading), "{words:?}");
        }
        let size = device.done(&[
            "ps",
            "-f",
            "name=web",
            "--format={{.Size}} {{.LocalVolumes}}",
        ]);
        assert!(size.stdout.contains(" (virtual "), "{size:?}");
        assert!(size.stdout.ends_with(") 1\n"), "{size:?}");
        device.done(&["volume", "rm", "spare"]);
        device.done(&["rm", "-f", "web", "db", "old"]);
    });
}

#[test]
fn a_container_is_stopped_by_the_signal_that_is_given() {
    on_device("signal", |device| {
        populate(device);
        let ended = || device.inspect("web")["State"]["ExitCode"].clone();
        let begun = std::time::Instant::now();
        let up = || {
            assert!(begun.elapsed().as_secs() < 60);
            device.done(&["logs", "web"]).stdout.lines().count()
        };
        while up() < 1 {}
        device.done(&["stop", "-s", "USR1", "web"]);
        assert_eq!(ended(), 6);
        device.done(&["start", "web"]);
        while up() < 2 {}
        device.done(&["stop", "web"]);
        assert_eq!(ended(), 4);
        device.done(&["start", "web"]);
        while up() < 3 {}
        device.done(&["restart", "--signal=SIGUSR1", "web"]);
        while up() < 4 {}
        assert_eq!(device.inspect("web")["State"]["Running"], true);
        for words in [["stop", "--signal=NONE"], ["kill", "-s99"], ["kill", "-s0"]] {
            let refused = device.dray(&[&words[..], &["web"]].concat());
            assert_eq!(refused.status.code(), Some(1), "{refused:?}");
            let said = "is not a signal: use a name such as TERM, or a number from 1 to 64";
            assert!(refused.stderr.contains(said), "{refused:?}");
        }
        device.done(&["rm", "-f", "web", "db", "old"]);
    });
}
