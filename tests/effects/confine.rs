//! What a container may do and see: capabilities, system calls, devices, namespaces, kernel settings.

use serde_json::json;

use super::common::device::{on_device, run};
use super::{Row, check, push};

/// All but those that other rows have.
const LIMITS: &str = "sed -n -E '/open files|address|core|locked/!s/^Max (.*[a-z]) +([0-9]+) +([0-9]+) .*/\\1 \\2 \\3/p' \
    /proc/self/limits | sort";

const CAPS: &str =
    "grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status | awk '{ print $2 }' | tr '\\n' ' '";

#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    // Inheritable, permitted, effective, bounding, ambient.
    ("cap-add", "--cap-add NET_ADMIN", CAPS,
        "0000000000000000 00000000a80435fb 00000000a80435fb 00000000a80435fb 0000000000000000"),
    ("cap-add", "--cap-add cap_net_admin -u bob", CAPS,
        "0000000000000000 0000000000000000 0000000000000000 00000000a80435fb 0000000000000000"),
    ("cap-add", "--cap-drop ALL --cap-add NET_RAW", CAPS,
        "0000000000000000 0000000000002000 0000000000002000 0000000000002000 0000000000000000"),
    ("cap-add", "--cap-add ALL", CAPS, "{caps}"),
    ("cap-drop", "--cap-drop ALL", CAPS,
        "0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000"),
    ("cap-drop", "--cap-drop CHOWN --cap-drop cap_mknod", CAPS,
        "0000000000000000 00000000a00425fa 00000000a00425fa 00000000a00425fa 0000000000000000"),
    ("cap-drop", "--cap-drop MKNOD", "mknod /tmp/x c 1 3 || echo none", "mknod: /tmp/x: Operation not permitted\nnone"),
    ("privileged", "--privileged", CAPS, "{caps}"),
    ("privileged", "--privileged",
        "grep -h Seccomp: /proc/self/status; grep -c . /proc/timer_list >/dev/null && echo unmasked",
        "Seccomp:\t0\nunmasked"),
    ("privileged", "--privileged",
        "for place in /sys /proc/sys; do grep -q \" $place .* ro,\" /proc/mounts && echo ro || echo rw; done; \
            echo 1 >/proc/sys/net/ipv4/ip_forward && cat /proc/sys/net/ipv4/ip_forward",
        "rw\nrw\n1"),
    ("privileged", "--privileged",
        "head -c 0 /dev/loop-control && ls -d /dev/loop0; mount -t tmpfs none /tmp && echo mounted",
        "/dev/loop0\nmounted"),
    ("privileged", "--privileged=false",
        "grep -h Seccomp: /proc/self/status; ls /dev/loop-control; grep -c . /proc/timer_list",
        "Seccomp:\t2\nls: /dev/loop-control: No such file or directory\n0"),
    ("security-opt", "--security-opt seccomp=unconfined", "grep -h Seccomp: /proc/self/status", "Seccomp:\t0"),
    ("security-opt", "--security-opt seccomp=builtin --privileged", "grep -h Seccomp: /proc/self/status",
        "Seccomp:\t2"),
    ("security-opt", "--security-opt seccomp={dir}/profile.json", "mkdir /tmp/x",
        "mkdir: can't create directory '/tmp/x': Function not implemented"),
    ("security-opt", "--security-opt no-new-privileges", "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1"),
    ("security-opt", "--security-opt no-new-privileges:true -u bob",
        "grep NoNewPrivs /proc/self/status; grep -h Seccomp: /proc/self/status", "NoNewPrivs:\t1\nSeccomp:\t2"),
    ("security-opt", "--security-opt no-new-privileges=false", "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t0"),
    ("security-opt", "--security-opt apparmor=unconfined --security-opt label=disable",
        "grep -h Seccomp: /proc/self/status", "Seccomp:\t2"),
    ("security-opt", "--security-opt systempaths=unconfined",
        "grep -c ' /proc/' /proc/mounts; grep -c . /proc/timer_list >/dev/null && echo unmasked", "0\nunmasked"),
    ("security-opt", "--security-opt writable-cgroups=true",
        "mkdir /sys/fs/cgroup/pids/sub 2>/dev/null || mkdir /sys/fs/cgroup/sub && echo made", "made"),
    ("device", "--device /dev/full:/dev/voll", "stat -c '%F %t %T %a %u %g' /dev/voll; echo x >/dev/voll",
        "character special file 1 7 666 0 0\nsh: write error: No space left on device"),
    ("device", "--device /dev/loop-control:/dev/own/control:r --cap-drop MKNOD",
        "head -c 0 /dev/own/control && echo read; echo >/dev/own/control",
        "read\nsh: can't create /dev/own/control: Operation not permitted"),
    ("device", "--device /dev/null:/dev/own/deep/null", "stat -c %a /dev/own /dev/own/deep", "755\n755"),
    ("device", "--device /dev/loop-control:r", "mknod /tmp/x c 10 237; head -c 0 /tmp/x && echo read; echo >/tmp/x",
        "read\nsh: can't create /tmp/x: Operation not permitted"),
    ("device", "--device /dev/loop-control:m", "mknod /tmp/x c 10 237 && head -c 0 /tmp/x",
        "head: /tmp/x: Operation not permitted"),
    ("device", "--device /dev/pts", "test -c /dev/pts/ptmx && echo there", "there"),
    ("device", "--device {dir}/nodes:/dev/own", "cd /dev/own; stat -c '%n %F %t %T %a' one below/two",
        "one character special file 1 3 620\nbelow/two character special file 1 5 640"),
    ("device-cgroup-rule", "--device-cgroup-rule 'c 10:237 rwm'",
        "mknod /tmp/x c 10 237 && head -c 0 /tmp/x && echo read", "read"),
    ("device-cgroup-rule", "--device-cgroup-rule 'c 10:* rm'",
        "mknod /tmp/x c 10 237 && head -c 0 /tmp/x && echo read; echo >/tmp/x",
        "read\nsh: can't create /tmp/x: Operation not permitted"),
    ("device-cgroup-rule", "--device-cgroup-rule 'b 10:237 rwm'", "mknod /tmp/x c 10 237 && head -c 0 /tmp/x",
        "head: /tmp/x: Operation not permitted"),
    ("pid", "--pid host", "readlink /proc/self/ns/pid", "{ns/pid}"),
    ("uts", "--uts host", "readlink /proc/self/ns/uts", "{ns/uts}"),
    ("ipc", "--ipc host", "readlink /proc/self/ns/ipc", "{ns/ipc}"),
    ("ipc", "--ipc none", "echo >/dev/shm/x", "sh: can't create /dev/shm/x: nonexistent directory"),
    ("ipc", "--ipc private", "touch /dev/shm/x && ls /dev/shm", "x"),
    ("cgroupns", "--cgroupns host", "readlink /proc/self/ns/cgroup", "{ns/cgroup}"),
    ("userns", "--userns host", "readlink /proc/self/ns/user", "{ns/user}"),
    ("net", "--net host", "readlink /proc/self/ns/net", "{ns/net}"),
    ("network", "--network host", "readlink /proc/self/ns/net", "{ns/net}"),
    ("network", "--network none", "ls /sys/class/net", "lo"),
    ("sysctl",
        "--sysctl net.ipv4.ip_default_ttl=99 --sysctl kernel.msgmax=9000 --sysctl fs.mqueue.msg_max=20 \
            --sysctl kernel.shm_rmid_forced=1",
        "cd /proc/sys; cat net/ipv4/ip_default_ttl kernel/msgmax fs/mqueue/msg_max kernel/shm_rmid_forced",
        "99\n9000\n20\n1"),
    ("sysctl", "--sysctl net.ipv4.ping_group_range='5 6'", "cat /proc/sys/net/ipv4/ping_group_range", "5\t6"),
    ("ulimit", "--ulimit nofile=100:200 --ulimit core=0:-1 --ulimit memlock=65536",
        "ulimit -n; ulimit -H -n; ulimit -c; ulimit -H -c; ulimit -l", "100\n200\n0\nunlimited\n64"),
    ("ulimit",
        "--ulimit cpu=100 --ulimit data=1000000000 --ulimit fsize=9000000 --ulimit locks=7 --ulimit msgqueue=81920 \
            --ulimit nice=0 --ulimit nproc=1000:2000 --ulimit rss=8000000 --ulimit rtprio=0 --ulimit rttime=10000 \
            --ulimit sigpending=77 --ulimit stack=8000000",
        LIMITS,
        "cpu time 100 100\ndata size 1000000000 1000000000\nfile locks 7 7\nfile size 9000000 9000000\n\
            msgqueue size 81920 81920\nnice priority 0 0\npending signals 77 77\nprocesses 1000 2000\nrealtime priority 0 0\n\
            realtime timeout 10000 10000\nresident set 8000000 8000000\nstack size 8000000 8000000"),
    // Less than dray itself lives on.
    ("ulimit", "--ulimit stack=131072", "ulimit -s; ulimit -H -s", "128\n128"),
    ("ulimit", "--ulimit stack=65536:262144 -u bob", "ulimit -s; ulimit -H -s", "64\n256"),
    ("ulimit", "--ulimit stack=131072:-1 --init", "ulimit -s; ulimit -H -s", "128\nunlimited"),
    ("ulimit", "--ulimit stack=-1", "ulimit -s; ulimit -H -s", "unlimited\nunlimited"),
    ("oom-score-adj", "--oom-score-adj 321", "cat /proc/1/oom_score_adj /proc/self/oom_score_adj", "321\n321"),
    ("init", "--init", "echo $$; ps -o ppid,comm | grep -c '^ *1 sh$'", "2\n1"),
    // An orphan is nobody's zombie.
    ("init", "--init", "sh -c 'sleep 0 & exec true'; while ps -o stat,args | grep -q '^Z'; do :; done; echo reaped",
        "reaped"),
    ("init", "--init=false", "echo $$", "1"),
];

#[test]
fn a_container_may_do_what_it_is_given() {
    on_device("confine", |device| {
        let image = push(device, "tools", json!({}));
        let profile = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 }],
        });
        std::fs::write(device.join("profile.json"), profile.to_string()).unwrap();
        let nodes = device.join("nodes");
        std::fs::create_dir_all(nodes.join("below")).unwrap();
        for (node, mode, minor) in [("one", "620", "3"), ("below/two", "640", "5")] {
            run(
                "mknod",
                &[
                    "-m",
                    mode,
                    nodes.join(node).to_str().unwrap(),
                    "c",
                    "1",
                    minor,
                ],
            );
        }
        check(device, &image, ROWS);
    });
}
