#!/bin/sh
# The limits and the confinement of containers where only the unified control groups are: Debian's kernel in an emulated
# machine, since a machine that has bound its controllers to the older hierarchies cannot hand them over.
#
#   tests/unified.sh [TEST...]      as root, a quarter of an hour: everything is emulated, KVM is not asked for
#
# The test programs of this tree run in it as they are, from a disk that holds them, dray, and the few programs that they
# call. A TEST is `program` or `program filter`; without any, those below. WORK keeps what was made, the console's log too.
set -eu
cd "$(dirname "$0")/.."

[ "$(id -u)" = 0 ] || { echo "unified: files of other owners and device nodes are made: run as root" >&2; exit 2; }
if [ $# -eq 0 ]; then
    set -- "engine_limits" "effects limits::" "effects confine::" "effects files::" \
        "engine_isolation groups" "engine_isolation devices_open" "engine_isolation namespaces" \
        "effects life::an_image_s_health" "engine a_container_s_life" "engine limits_are"
fi

made=${WORK:-$(mktemp -d)}
[ -n "${WORK:-}" ] || trap 'rm -rf "$made"' EXIT
mkdir -p "$made"

echo "== packages"
for program in qemu-system-x86_64 depmod cpio mke2fs; do
    command -v $program >/dev/null && continue
    apt-get -qq install -y --no-install-recommends qemu-system-x86 kmod cpio e2fsprogs >/dev/null
done
if [ ! -d "$made/kernel" ]; then
    version=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: linux-image-//p')
    (cd "$made" && apt-get -qq download "linux-image-$version" && dpkg -x linux-image-*.deb kernel)
fi
version=$(ls "$made/kernel/lib/modules")
depmod -b "$made/kernel" "$version"

echo "== test programs"
programs=$(for test in "$@"; do echo "--test ${test%% *}"; done | sort -u)
# Words, not one.
list=$(cargo test --locked --features failpoints --no-run $programs 2>&1) || { echo "$list" >&2; exit 1; }
program() {
    echo "$list" | sed -n "s|.*Executable tests/$1[./].*(\(.*\))|\1|p"
}

# A file at the same place, with what it is linked to.
root=$made/root
take() {
    for file in "$@"; do
        mkdir -p "$root$(dirname "$file")"
        cp -L "$file" "$root$file"
        ldd "$file" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do
            [ -e "$root$library" ] || { mkdir -p "$root$(dirname "$library")" && cp -L "$library" "$root$library"; }
        done
    done
}

rm -rf "$root"
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/tmp" "$root/etc" "$root/var"
for name in ip nft mount umount mknod mkfifo setsid findmnt find; do take "$(command -v $name)"; done
take /bin/busybox "$(dirname "$(program "${1%% *}")")/../dray"
/bin/busybox --list | while read -r name; do
    [ -e "$root/bin/$name" ] || ln -s busybox "$root/bin/$name"
done
for name in group hosts nsswitch.conf passwd resolv.conf; do cp -L "/etc/$name" "$root/etc/$name"; done
folder=$PWD
mkdir -p "$root$folder"
for test in "$@"; do
    file=$(program "${test%% *}")
    [ -e "$root$file" ] || take "$file"
done

cat >"$root/init" <<END
#!/bin/busybox sh
# The emulated machine's first process.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /run
ip link set lo up
echo "controllers: \$(cat /sys/fs/cgroup/cgroup.controllers)"
# A group that hands controllers to its children may hold no process itself, except for the first one of all.
for controller in \$(cat /sys/fs/cgroup/cgroup.controllers); do
    echo "+\$controller" >/sys/fs/cgroup/cgroup.subtree_control
done
mkswap /dev/vdb >/dev/null && swapon /dev/vdb
cd $folder
bad=0
run() {
    echo "== \$*"
    "\$@" --include-ignored --test-threads 1 || bad=1
}
$(for test in "$@"; do
    filter=${test#"${test%% *}"}
    echo "run $(program "${test%% *}")$filter"
done)
[ \$bad = 0 ] && echo "unified: all good" || echo "unified: failures"
poweroff -f
END
chmod 755 "$root/init"

echo "== disk, initial file system"
disk=$made/disk.img
rm -f "$disk"
truncate -s 3G "$disk"
mke2fs -q -t ext4 -d "$root" "$disk"
rm -f "$made/swap.img"
truncate -s 256M "$made/swap.img"

start=$made/initial
rm -rf "$start"
mkdir -p "$start/bin" "$start/modules" "$start/proc" "$start/sys" "$start/dev" "$start/root"
cp /bin/busybox "$start/bin/busybox"
: >"$start/modules/order"
for module in virtio_pci virtio_blk overlay veth bridge nf_tables nft_chain_nat nft_masq nft_nat nft_ct nft_fib_inet loop bfq; do
    modprobe -d "$made/kernel" -S "$version" --show-depends $module 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | while read -r module; do
    name=$(basename "$module")
    [ -e "$start/modules/$name" ] && continue
    cp "$module" "$start/modules/$name"
    echo "$name" >>"$start/modules/order"
done
cat >"$start/init" <<'END'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs devtmpfs /dev
while read -r module; do
    case $module in loop.ko) $b insmod /modules/loop.ko max_loop=8 ;; *) $b insmod "/modules/$module" ;; esac
done </modules/order
$b mount -t ext4 /dev/vda /root
for place in proc sys dev; do $b mount --move /$place /root/$place; done
exec $b switch_root /root /init
END
chmod 755 "$start/init"
(cd "$start" && find . | cpio -o -H newc --quiet | gzip -1) >"$made/initial.gz"

echo "== the machine"
log=$made/console
nice qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -M q35 -m 1536 -nographic -nodefaults -serial stdio \
    -kernel "$made/kernel/boot/vmlinuz-$version" -initrd "$made/initial.gz" \
    -append 'console=ttyS0 panic=-1 loglevel=3 cgroup_no_v1=all' -no-reboot \
    -drive "file=$disk,if=virtio,format=raw,cache=unsafe" -drive "file=$made/swap.img,if=virtio,format=raw,cache=unsafe" \
    </dev/null 2>&1 | tee "$log"
grep -q '^unified: all good' "$log"
