//! `module/dist/install.sh` on a copy of this machine: every step in a mount namespace whose writes vanish with it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

/// Overlays whose upper layers lie on a tmpfs that only this namespace sees.
const COPY: &str = r#"
mount -t tmpfs tmpfs /mnt
for dir in usr etc var; do
    mkdir -p /mnt/$dir/upper /mnt/$dir/work
    mount -t overlay overlay -o lowerdir=/$dir,upperdir=/mnt/$dir/upper,workdir=/mnt/$dir/work /$dir
done
mount -t tmpfs tmpfs /run
module=/usr/share/mender/modules/v3/docker
before=$(sha256sum <$module)
same() { [ "$1" = "$2" ] || { echo "expected [$2], found [$1]: $3" >&2; exit 1; }; }
must() { "$@" || { echo "not so: $*" >&2; exit 1; }; }
refuses() { if "$@"; then echo "was taken: $*" >&2; exit 1; fi; }
gone() { refuses test -e "$1"; refuses test -L "$1"; }
ours() {
    must test -f $module; refuses test -L $module; must test -x $module
    same "$(sha256sum <$module)" "$(sha256sum <"$binary")" "module is our binary"
    same "$(readlink /usr/bin/dray)" $module "dray leads to it"
}
"#;

/// Runs shell lines after [`COPY`]; `$binary` is dray, `$install` the script.
fn on_a_copy(steps: &str) -> String {
    let script = format!("binary=$1 install=$2\n{COPY}\n{steps}");
    let root = env!("CARGO_MANIFEST_DIR");
    let output = Command::new("unshare")
        .args([
            "-m",
            "sh",
            "-euc",
            &script,
            "sh",
            env!("CARGO_BIN_EXE_dray"),
        ])
        .arg(format!("{root}/module/dist/install.sh"))
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}{errors}");
    printed
}

#[test]
#[ignore = "needs root: mounts over /usr, /etc and /var in a mount namespace"]
fn debians_module_gives_way_and_comes_back() {
    let printed = on_a_copy(
        r#"
        "$install" "$binary"; ours
        same "$(sha256sum </usr/share/dray/docker.distrib)" "$before" "upstream's module is kept"
        same "$(dpkg-divert --truename $module)" /usr/share/dray/docker.distrib "diversion"
        cmp "${install%/*}/dray.ini" /etc/dray/dray.ini
        must test -L /etc/systemd/system/multi-user.target.wants/dray-boot.service
        must test -L /etc/systemd/system/multi-user.target.wants/dray-names.path
        # Again, as an update of dray: nothing changes hands.
        "$install" "$binary"; ours
        same "$(sha256sum </usr/share/dray/docker.distrib)" "$before" "upstream's module is kept"
        # An upgrade of Debian's package puts its file beside ours.
        mkdir -p /mnt/deb/DEBIAN /mnt/deb/usr/share/mender/modules/v3
        printf 'Package: mender-client\nVersion: 99\nArchitecture: all\nMaintainer: x\nDescription: x\n' >/mnt/deb/DEBIAN/control
        echo "version 99" >/mnt/deb$module
        dpkg-deb --build /mnt/deb /mnt/client.deb >/dev/null
        dpkg --force-depends -i /mnt/client.deb >/dev/null 2>&1; ours
        same "$(cat /usr/share/dray/docker.distrib)" "version 99" "the upgrade's module is kept"
        "$install" --uninstall
        same "$(cat $module)" "version 99" "the package has its path back"
        same "$(dpkg-divert --list '*mender*')" "" "no diversion left"
        gone /usr/bin/dray; gone /usr/share/dray; gone /etc/dray; gone /etc/systemd/system/dray-boot.service
        gone /etc/systemd/system/multi-user.target.wants/dray-boot.service; gone /etc/systemd/system/dray-scrub.timer
        gone /etc/systemd/system/timers.target.wants/dray-scrub.timer; gone /etc/systemd/system/dray-names.path
        gone /etc/systemd/system/multi-user.target.wants/dray-names.path; gone /etc/systemd/system/dray-names.service
        "#,
    );
    let installed = "installed: /usr/share/mender/modules/v3/docker, /usr/bin/dray -> /usr/share/mender/modules/v3/docker\n";
    let removed = "removed; /var/lib/dray is left as it is\n";
    assert_eq!(printed, format!("{installed}{installed}{removed}"));
}

#[test]
#[ignore = "needs root: mounts over /usr, /etc and /var in a mount namespace"]
fn a_changed_configuration_stays_and_a_foreign_dray_is_not_replaced() {
    on_a_copy(
        r#"
        "$install" "$binary" >/dev/null
        echo "[log]" >/etc/dray/dray.ini
        "$install" "$binary" >/dev/null
        "$install" --uninstall >/dev/null
        same "$(cat /etc/dray/dray.ini)" "[log]" "the device's own configuration"
        same "$(sha256sum <$module)" "$before" "Debian's module is back"
        echo foreign >/usr/bin/dray
        refuses "$install" "$binary" 2>/mnt/err
        same "$(cat /mnt/err)" "install: /usr/bin/dray exists and is not ours" "refusal"
        same "$(sha256sum <$module)" "$before" "nothing was touched"
        refuses "$install" --uninstall 2>/mnt/err
        same "$(cat /mnt/err)" "install: /usr/bin/dray does not lead to $module: not installed by this script" "refusal"
        refuses "$install" /nonexistent 2>/mnt/err
        same "$(cat /mnt/err)" "install: /nonexistent is not a file; build it with tests/build-static.sh" "refusal"
        "#,
    );
}

#[test]
#[ignore = "needs root: mounts over /usr, /etc and /var in a mount namespace"]
fn an_image_gets_files_only() {
    on_a_copy(
        r#"
        mkdir /mnt/image
        DESTDIR=/mnt/image "$install" "$binary" >/dev/null
        same "$(cd /mnt/image && find . -type f -o -type l | sort | tr '\n' ' ')" \
            "./etc/dray/dray.ini ./usr/bin/dray ./usr/lib/systemd/system/dray-boot.service ./usr/lib/systemd/system/dray-names.path ./usr/lib/systemd/system/dray-names.service ./usr/lib/systemd/system/dray-scrub.service ./usr/lib/systemd/system/dray-scrub.timer ./usr/share/mender/modules/v3/docker " "files"
        same "$(sha256sum <$module)" "$before" "this machine's module is untouched"
        same "$(dpkg-divert --list '*mender*')" "" "no diversion"
        "#,
    );
}

#[test]
#[ignore = "needs root: mounts over /usr, /etc and /var in a mount namespace"]
fn the_init_scripts_are_what_their_systems_take() {
    on_a_copy(
        r#"
        dist=${install%/*}
        units="dray-boot.service dray-names.path dray-names.service dray-scrub.service dray-scrub.timer"
        for unit in $units; do install -m 0644 "$dist/$unit" /etc/systemd/system/; done
        ln -s /bin/true /usr/bin/dray
        for unit in $units; do systemd-analyze verify "/etc/systemd/system/$unit"; done
        sh -n "$dist/dray-boot.sysv"; sh -n "$dist/dray-boot.openrc"
        install -m 0755 "$dist/dray-boot.sysv" /etc/init.d/dray-boot
        /etc/init.d/dray-boot start; /etc/init.d/dray-boot stop
        refuses /etc/init.d/dray-boot nonsense 2>/dev/null
        "#,
    );
}
