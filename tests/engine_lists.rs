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
            (&["-a", "-f", &of_id], "db"),
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
                "publish=80",
                1,
                "invalid filter \"publish\": ancestor, exited, health,",
            ),
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
        let refused = device.dray(&["stop", "--signal=NONE", "web"]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(refused.stderr.contains("is not a signal"), "{refused:?}");
        device.done(&["rm", "-f", "web", "db", "old"]);
    });
}
