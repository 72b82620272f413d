//! Who runs what, where, with which environment and marks.

use serde_json::json;

use super::common::device::on_device;
use super::{Row, check, dray, push, words};

#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    ("env", "-e 'A=1 2' -e B= -e KNOWN -e UNKNOWN -e A=3", "env | grep -E '^(A|B|KNOWN|UNKNOWN|IMAGE)=' | sort",
        "A=3\nB=\nIMAGE=yes\nKNOWN=known value"),
    ("env", "--env IMAGE=no --env TERM=own -t", "echo $IMAGE $TERM", "no own"),
    ("env", "-e B=1 -e A=2 -e IMAGE=3", "tr '\\0' '\\n' </proc/1/environ | cut -d= -f1 | tr '\\n' ' '; test -f /.dockerenv",
        "PATH HOSTNAME B A IMAGE HOME"),
    ("user", "-u bob", "echo own >/dev/stderr; echo too >/dev/stdout", "own\ntoo"),
    ("user", "-t -u bob", "echo own >/dev/stderr", "own"),
    ("env", "-e IMAGE", "echo [$IMAGE]", "[]"),
    ("env", "-e 'A=ä\\\"$x'", "echo \"$A\"", "ä\\\"$x"),
    ("env-file", "--env-file {dir}/odd.env",
        "for name in BOM LEAD TAB KNOWN UNKNOWN EQ TWICE SPACE LAST; do eval \"echo \\\"$name=[\\$$name]\\\"\"; done",
        "BOM=[1]\nLEAD=[two ]\nTAB=[\"quoted\"]\nKNOWN=[known value]\nUNKNOWN=[]\n\
            EQ=[=]\nTWICE=[2]\nSPACE=[a  b]\nLAST=[no newline]"),
    ("env-file", "--env-file {dir}/odd.env --env-file {dir}/more.env -e EQ=own", "echo $TWICE $EQ", "3 own"),
    ("env-file", "--env-file {dir}/more.env -e TWICE", "echo $TWICE", "3"),
    ("env-file", "--env-file {dir}/empty.env", "echo $IMAGE", "yes"),
    ("user", "-u bob", "id -u; id -g; id -G; echo $HOME", "1000\n1000\n1000 63\n/home/bob"),
    ("user", "-u 1000", "id -u; id -g; id -G; echo $HOME", "1000\n1000\n1000 63\n/home/bob"),
    ("user", "-u 1234:44", "id -u; id -g; id -G; echo $HOME", "1234\n44\n44\n/"),
    ("user", "-u 1234", "id -u; id -g; id -G", "1234\n0\n0"),
    ("user", "-u bob:video", "id -u; id -g; id -G; echo $HOME", "1000\n44\n44\n/home/bob"),
    ("user", "-u 1000:audio", "id -u; id -g; id -G", "1000\n63\n63"),
    ("user", "-u bob:77", "id -u; id -g; id -G", "1000\n77\n77"),
    ("user", "-u :video", "id -u; id -g", "0\n44"),
    ("user", "-u 12", "id -u; id -g; echo $HOME", "12\n0\n/"),
    ("group-add", "-u bob --group-add video --group-add 77 --group-add bob", "id -G", "1000 44 63 77"),
    ("group-add", "-u 5:6 --group-add audio", "id -G", "6 63"),
    ("workdir", "-w /made/up", "pwd; stat -c '%u %g %a' /made/up", "/made/up\n0 0 755"),
    ("workdir", "-w /data/../tmp -u bob", "pwd; touch x && echo written", "/tmp\nwritten"),
    ("hostname", "-h box", "hostname; cat /etc/hostname; echo $HOSTNAME", "box\nbox\nbox"),
    ("hostname", "-h box.example.org", "hostname; cat /etc/hostname", "box.example.org\nbox.example.org"),
    ("domainname", "--domainname example.org -h box", "hostname; cat /proc/sys/kernel/domainname", "box\nexample.org"),
    ("domainname", "--domainname example.org -h box --network bridge", "tail -n 1 /etc/hosts",
        "172.29.0.2\tbox.example.org box"),
    ("isolation", "--isolation default", "echo ran", "ran"),
    ("runtime", "--runtime io.containerd.runc.v2", "echo ran", "ran"),
    ("disable-content-trust", "--disable-content-trust", "echo ran", "ran"),
];

#[test]
fn a_container_is_who_and_what_it_is_told_to_be() {
    on_device("identity", |device| {
        let image = push(device, "tools", json!({}));
        let odd = b"\xef\xbb\xbfBOM=1\r\n# A=comment\n\n  LEAD=two \n\tTAB=\"quoted\"\nKNOWN\nUNKNOWN\nEQ==\n\
                    TWICE=1\nTWICE=2\n\
                    SPACE=a  b\nLAST=no newline";
        for (name, content) in [
            ("odd.env", &odd[..]),
            ("more.env", b"TWICE=3\n"),
            ("empty.env", b""),
        ] {
            std::fs::write(device.join(name), content).unwrap();
        }
        check(device, &image, ROWS);
    });
}

#[test]
fn entry_point_and_command_are_combined_as_docker_does() {
    on_device("entrypoint", |device| {
        let image = push(
            device,
            "entry",
            json!({"Entrypoint": ["/bin/echo", "entry"], "Cmd": ["command"]}),
        );
        for (options, command, expected) in [
            ("", &[][..], "entry command\n"),
            ("", &["own"], "entry own\n"),
            ("--entrypoint /bin/hostname -h box", &[], "box\n"),
            ("--entrypoint echo", &["a", "b"], "a b\n"),
            ("--entrypoint=''", &["/bin/echo", "reset"], "reset\n"),
        ] {
            let options = words(device, options);
            let options = options.iter().map(String::as_str);
            let all: Vec<&str> = ["run", "--rm", "--network=none"]
                .into_iter()
                .chain(options)
                .chain([&image[..]])
                .collect();
            let called = dray(device, &[&all[..], command].concat());
            assert_eq!(
                (called.stdout.as_str(), called.stderr.as_str()),
                (expected, ""),
                "{all:?}"
            );
        }
        let reset = ["run", "--rm", "--network=none", "--entrypoint=", &image];
        let called = dray(device, &reset);
        assert_eq!(called.status.code(), Some(125), "{called:?}");
        assert!(called.stderr.contains("no command specified"), "{called:?}");
    });
}

#[test]
fn labels_and_annotations_are_kept_with_it() {
    on_device("marks", |device| {
        let image = push(
            device,
            "tools",
            json!({"Labels": {"image": "theirs", "both": "theirs"}}),
        );
        let file = device.join("labels");
        std::fs::write(
            &file,
            "\u{feff}first=1\r\n# no=label\n  spaced= x \ndropped\ntwice=file",
        )
        .unwrap();
        let options = words(
            device,
            "--label-file {dir}/labels -l twice=own --label both=ours -l bare -l 'text=a b=c' --annotation key=value",
        );
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        device.done(
            &[
                &["create", "--name=marked"],
                &options[..],
                &[&image, "true"],
            ]
            .concat(),
        );
        let info = device.inspect("marked");
        let labels = json!({
            "first": "1", "spaced": " x ", "twice": "own", "both": "ours", "bare": "", "text": "a b=c", "image": "theirs",
        });
        assert_eq!(info["Config"]["Labels"], labels);
        assert_eq!(info["HostConfig"]["Annotations"], json!({"key": "value"}));
        let found = device
            .done(&["ps", "-aq", "--no-trunc", "--filter", "label=text=a b=c"])
            .stdout;
        assert_eq!(found.trim(), info["Id"].as_str().unwrap());
        device.done(&["rm", "marked"]);
    });
}
