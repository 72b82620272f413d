SUMMARY = "Updates and runs a device's containers"
DESCRIPTION = "Mender update module 'docker', daemonless container engine and digest-pinned image store in one program"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

inherit bash-completion cargo cargo-update-recipe-crates externalsrc pkgconfig qemu systemd update-rc.d

require dray-crates.inc

EXTERNALSRC = "${DRAY_SOURCE}"

# libcontainer does not compile for 32-bit ARM yet.
COMPATIBLE_HOST = "(x86_64|aarch64).*-linux"

# The device program and the workstation program are one package with two features.
DEPENDS:class-target = "libseccomp"
CARGO_BUILD_FLAGS:append:class-target = " --no-default-features ${@bb.utils.contains('PACKAGECONFIG', 'docs', '--features docs --bin dray --bin dray-docs', '--features device --bin dray', d)}"
CARGO_BUILD_FLAGS:append:class-native = " --no-default-features --features artifact-gen --bin docker-artifact-gen"
CARGO_BUILD_FLAGS:append:class-nativesdk = " --no-default-features --features artifact-gen --bin docker-artifact-gen"

# Manual pages and completions are written by a program that has the parsers of the other two, hence their libraries, which
# the build host lacks: it is run as the machine's own.
PACKAGECONFIG ??= ""
PACKAGECONFIG:class-target ??= "${@bb.utils.contains('MACHINE_FEATURES', 'qemu-usermode', 'docs', '', d)}"
PACKAGECONFIG[docs] = ",,qemu-native"

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

do_install:append:class-target() {
    if ${@bb.utils.contains('PACKAGECONFIG', 'docs', 'true', 'false', d)}; then
        docs=${B}/docs
        rm -rf $docs
        ${@qemu_wrapper_cmdline(d, d.getVar('STAGING_DIR_HOST'), [d.expand('${STAGING_DIR_HOST}${libdir}'), d.expand('${STAGING_DIR_HOST}${base_libdir}')])} ${D}${bindir}/dray-docs $docs
        rm ${D}${bindir}/dray-docs
        install -d ${D}${mandir}/man1
        install -m 0644 $docs/man1/dray*.1 ${D}${mandir}/man1/
        install -D -m 0644 $docs/man5/dray.ini.5 ${D}${mandir}/man5/dray.ini.5
        install -D -m 0644 $docs/completions/bash/dray ${D}${datadir}/bash-completion/completions/dray
        install -D -m 0644 $docs/completions/zsh/_dray ${D}${datadir}/zsh/site-functions/_dray
        install -D -m 0644 $docs/completions/fish/dray.fish ${D}${datadir}/fish/vendor_completions.d/dray.fish
    fi
}

# Root filesystems of Mender images are replaced as a whole; containers and images outlive them on the data partition.
do_install:append:class-target:mender-image() {
    sed -i -e 's|^#\[paths\]|[paths]|' -e 's|^#state = .*|state = /data/dray|' ${D}${sysconfdir}/dray/dray.ini
}

FILES:${PN} += "${datadir}/mender/modules/v3/docker"
# Beside dray-doc and dray-bash-completion, which the classes make.
PACKAGES =+ "${PN}-zsh-completion ${PN}-fish-completion"
FILES:${PN}-zsh-completion = "${datadir}/zsh"
FILES:${PN}-fish-completion = "${datadir}/fish"
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
