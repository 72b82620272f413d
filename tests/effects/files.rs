//! Mounts: volumes, temporary ones, and what of the root may be written.

use serde_json::json;

use super::common::device::on_device;
use super::{Row, check, push};

/// Writes to a few places, and says where that went through.
const WRITE: &str = "for place in / /tmp /data /dev/shm /etc/hosts; do \
    test -d $place && file=$place/new || file=$place; \
    (echo >$file) 2>/dev/null && echo $place; done";

#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    ("read-only", "--read-only", WRITE, "/dev/shm"),
    ("read-only", "--read-only --tmpfs /tmp -v {dir}/bound:/data", WRITE, "/tmp\n/data\n/dev/shm"),
    ("read-only", "--read-only=false", WRITE, "/\n/tmp\n/data\n/dev/shm\n/etc/hosts"),
    ("shm-size", "--shm-size 1m", "df -k /dev/shm | awk 'NR == 2 { print $2 }'", "1024"),
    ("shm-size", "--shm-size 0", "df -k /dev/shm | awk 'NR == 2 { print $2 }'", "65536"),
    ("tmpfs", "--tmpfs /t",
        "stat -f -c %T /t; stat -c %a /t; grep ' /t ' /proc/mounts | grep -c 'rw,nosuid,nodev,noexec'",
        "tmpfs\n1777\n1"),
    ("tmpfs", "--tmpfs /t:size=64k,mode=700,uid=7,gid=8",
        "stat -c '%a %u %g' /t; df -k /t | awk 'NR == 2 { print $2 }'; head -c 100000 /dev/zero >/t/x || wc -c </t/x",
        "700 7 8\n64\nhead: standard output: I/O error\n65536"),
    ("tmpfs", "--tmpfs /t:exec,suid,dev,ro",
        "grep ' /t ' /proc/mounts | cut -d' ' -f4 | grep -c -E 'noexec|nosuid|nodev'; touch /t/x",
        "0\ntouch: /t/x: Read-only file system"),
    ("tmpfs", "--tmpfs /t:nr_inodes=3,noexec", "cat /bin/true >/t/a; chmod 755 /t/a; /t/a; touch /t/b /t/c",
        "sh: /t/a: Permission denied\ntouch: /t/c: No space left on device"),
    // What the image has below it is covered; who may write there stays.
    ("tmpfs", "--tmpfs /data", "ls /data; stat -c %a /data", "2750"),
    ("tmpfs", "--tmpfs /dev/shm:size=1m", "stat -c %a /dev/shm", "1777"),
    ("tmpfs", "--tmpfs /data:mode=700", "stat -c %a /data", "700"),
    ("volume", "-v {dir}/bound:/data", "cat /data/file; touch /data/new && rm /data/new && echo written",
        "from the host\nwritten"),
    ("volume", "-v {dir}/bound:/data:ro", "cat /data/file; touch /data/new",
        "from the host\ntouch: /data/new: Read-only file system"),
    ("volume", "-v {dir}/bound/file:/etc/passwd:ro", "cat /etc/passwd", "from the host"),
    ("volume", "-v {dir}/made:/data", "ls -A /data; stat -c '%u %g %a' /data", "0 0 755"),
    // The runtime makes nodes and links in /dev; what is bound there is the host's all the same, and stays as it is.
    ("volume", "-v /dev:/dev", "stat -c '%F %t:%T' /dev/ptmx /dev/null",
        "character special file 5:2\ncharacter special file 1:3"),
    ("volume", "-v /dev/:/dev/:ro", "touch /dev/new", "touch: /dev/new: Read-only file system"),
    ("volume", "-t -v /dev:/dev", "test -t 0 && test -t 1 && echo terminal", "terminal"),
    ("volume", "-v /dev:/dev -v {dir}/bound:/dev/shm", "cat /dev/shm/file; test -c /dev/full && echo node", "from the host\nnode"),
    ("volume", "-v /dev/null:/dev/null -v /dev/zero:/dev/zero --device /dev/zero", "stat -c %t:%T /dev/null /dev/zero", "1:3\n1:5"),
    ("volume", "-v {dir}/bound:/dev/made/here -v {dir}/bound/file:/dev/made/too:ro",
        "cat /dev/made/here/file /dev/made/too; stat -c %a /dev/made; echo >/dev/made/too",
        "from the host\nfrom the host\n755\nsh: can't create /dev/made/too: Read-only file system"),
    ("mount", "--mount type=volume,src=shared,dst=/dev/shm", "stat -f -c %T /dev/shm; mount | grep -c ' /dev/shm '", "ext2/ext3\n1"),
    ("volume", "-v new:/data", "cat /data/kept; echo; stat -c '%a %u %g' /data; echo >/data/own",
        "from the image\n2750 70 71"),
    ("volume", "-v new:/data", "ls /data", "kept\nown"),
    ("volume", "-v bare:/data:nocopy", "ls /data", ""),
    ("volume", "-v /data", "ls /data", "kept"),
    ("volume-driver", "--volume-driver local -v named:/data", "ls /data", "kept"),
    ("mount", "--mount type=bind,src={dir}/bound,dst=/data,readonly", "cat /data/file; touch /data/new",
        "from the host\ntouch: /data/new: Read-only file system"),
    ("mount", "--mount type=volume,src=new,dst=/data", "ls /data", "kept\nown"),
    ("mount", "--mount type=tmpfs,dst=/data,tmpfs-size=64k,tmpfs-mode=0700",
        "stat -c %a /data; df -k /data | awk 'NR == 2 { print $2 }'", "700\n64"),
];

#[test]
fn a_container_finds_and_writes_what_is_mounted() {
    on_device("files", |device| {
        let image = push(device, "tools", json!({}));
        let bound = device.join("bound");
        std::fs::create_dir(&bound).unwrap();
        std::fs::write(bound.join("file"), "from the host\n").unwrap();
        check(device, &image, ROWS);
        assert!(device.join("made").is_dir(), "-v makes its source");
        let volumes = device.done(&["volume", "ls", "-q"]).stdout;
        assert_eq!(
            volumes, "bare\nnamed\nnew\nshared\n",
            "anonymous ones go with their container"
        );
    });
}
