SUMMARY = "Updates and runs a device's containers"
DESCRIPTION = "Mender update module 'docker', daemonless container engine and digest-pinned image store in one program"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

inherit cargo cargo-update-recipe-crates pkgconfig systemd update-rc.d externalsrc

require dray-crates.inc

EXTERNALSRC = "${DRAY_SOURCE}"

# libcontainer does not compile for 32-bit ARM yet.
COMPATIBLE_HOST = "(x86_64|aarch64).*-linux"

# The device program and the workstation program are one package with two features.
DEPENDS:class-target = "libseccomp"
CARGO_BUILD_FLAGS:append:class-target = " --no-default-features --features device --bin dray"
CARGO_BUILD_FLAGS:append:class-native = " --no-default-features --features artifact-gen --bin docker-artifact-gen"
CARGO_BUILD_FLAGS:append:class-nativesdk = " --no-default-features --features artifact-gen --bin docker-artifact-gen"

SYSTEMD_SERVICE:${PN} = "dray-boot.service dray-names.path dray-scrub.timer"
INITSCRIPT_NAME = "dray-boot"
# Early: it needs local disks only, and Mender's client must find deployments settled.
INITSCRIPT_PARAMS = "start 90 2 3 4 5 . stop 10 0 1 6 ."

# The real file lies in Mender's folder and the command is the link: a client since 5.1 refuses a module that leads out.
do_install:append:class-target() {
    install -d ${D}${datadir}/mender/modules/v3
    mv ${D}${bindir}/dray ${D}${datadir}/mender/modules/v3/docker
    ln -rs ${D}${datadir}/mender/modules/v3/docker ${D}${bindir}/dray
    install -D -m 0644 ${S}/module/dist/dray.ini ${D}${sysconfdir}/dray/dray.ini
    install -D -m 0644 ${S}/module/dist/dray-boot.service ${D}${systemd_system_unitdir}/dray-boot.service
    install -m 0644 ${S}/module/dist/dray-names.path ${S}/module/dist/dray-names.service ${D}${systemd_system_unitdir}/
    install -m 0644 ${S}/module/dist/dray-scrub.service ${S}/module/dist/dray-scrub.timer ${D}${systemd_system_unitdir}/
    install -D -m 0755 ${S}/module/dist/dray-boot.sysv ${D}${sysconfdir}/init.d/dray-boot
}

# Root filesystems of Mender images are replaced as a whole; containers and images outlive them on the data partition.
do_install:append:class-target:mender-image() {
    sed -i -e 's|^#\[paths\]|[paths]|' -e 's|^#state = .*|state = /data/dray|' ${D}${sysconfdir}/dray/dray.ini
}

FILES:${PN} += "${datadir}/mender/modules/v3/docker"
CONFFILES:${PN} = "${sysconfdir}/dray/dray.ini"

# What the containers need of the kernel, where it is built as modules.
RRECOMMENDS:${PN}:class-target = "\
    kernel-module-overlay \
    kernel-module-veth \
    kernel-module-bridge \
    kernel-module-nf-tables \
    kernel-module-nft-chain-nat \
    kernel-module-nft-nat \
    kernel-module-nft-masq \
    kernel-module-nft-ct \
    ca-certificates \
"

BBCLASSEXTEND = "native nativesdk"
