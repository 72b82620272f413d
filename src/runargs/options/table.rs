//! The table of all options; every row on one line, so that it can be read as a table.

use super::super::value::{boolean, bytes, cpus, duration, integer};
use super::super::{
    address, block, device, endpoint, environment, keys, labels, mount, network, sysctl, ulimit,
};
use super::{Opt, Setter, Support};

const WINDOWS: &str = "it exists for Windows containers only; leave it out";
const LINK_LOCAL: &str = "a container has one address on each network; leave it out";

const fn yes(name: &'static str, kind: &'static str, sets: &'static str, set: Setter) -> Opt {
    Opt {
        name,
        short: None,
        kind,
        sets,
        support: Support::Yes(set),
    }
}

const fn short(
    letter: char,
    name: &'static str,
    kind: &'static str,
    sets: &'static str,
    set: Setter,
) -> Opt {
    Opt {
        name,
        short: Some(letter),
        kind,
        sets,
        support: Support::Yes(set),
    }
}

const fn no(
    name: &'static str,
    kind: &'static str,
    sets: &'static str,
    reason: &'static str,
) -> Opt {
    Opt {
        name,
        short: None,
        kind,
        sets,
        support: Support::No(reason),
    }
}

/// A stream to attach to, as Docker's client reads it.
fn stream(text: &str) -> Result<&'static str, String> {
    let known = ["stdin", "stdout", "stderr"];
    let named = known
        .into_iter()
        .find(|name| text.eq_ignore_ascii_case(name));
    named.ok_or_else(|| "valid streams are STDIN, STDOUT and STDERR".to_owned())
}

/// Appends the value as it is.
macro_rules! push {
    ($($field:tt)+) => {
        |draft, value| {
            draft.$($field)+.push(value.to_owned());
            Ok(())
        }
    };
}

/// Keeps the last value as it is.
macro_rules! text {
    ($($field:tt)+) => {
        |draft, value| {
            draft.$($field)+ = value.to_owned();
            Ok(())
        }
    };
}

/// Keeps the last value, read by a function.
macro_rules! read {
    ($reader:expr, $($field:tt)+) => {
        |draft, value| {
            draft.$($field)+ = $reader(value)?;
            Ok(())
        }
    };
}

#[rustfmt::skip]
pub(super) const OPTIONS: &[Opt] = &[
    yes("add-host", "list", "HostConfig.ExtraHosts", |d, v| {
        d.host().extra_hosts.push(address::extra_host(v)?);
        Ok(())
    }),
    yes("annotation", "map", "HostConfig.Annotations", |d, v| {
        let (key, value) = v.split_once('=').unwrap_or((v, ""));
        d.host().annotations.insert(key.to_owned(), value.to_owned());
        Ok(())
    }),
    short('a', "attach", "list", "AttachStdin, AttachStdout, AttachStderr", |d, v| {
        d.attach.insert(stream(v)?);
        Ok(())
    }),
    yes("blkio-weight", "uint16", "HostConfig.BlkioWeight", read!(block::weight, host().blkio_weight)),
    yes("blkio-weight-device", "list", "HostConfig.BlkioWeightDevice", |d, v| {
        d.host().blkio_weight_device.push(block::device_weight(v)?);
        Ok(())
    }),
    yes("cap-add", "list", "HostConfig.CapAdd", push!(host().cap_add)),
    yes("cap-drop", "list", "HostConfig.CapDrop", push!(host().cap_drop)),
    yes("cgroup-parent", "string", "HostConfig.CgroupParent", text!(host().cgroup_parent)),
    yes("cgroupns", "string", "HostConfig.CgroupnsMode", text!(host().cgroupns_mode)),
    yes("cidfile", "string", "HostConfig.ContainerIDFile", text!(host().container_id_file)),
    no("cpu-count", "int", "HostConfig.CpuCount", WINDOWS),
    no("cpu-percent", "int", "HostConfig.CpuPercent", WINDOWS),
    yes("cpu-period", "int", "HostConfig.CpuPeriod", read!(integer, host().cpu_period)),
    yes("cpu-quota", "int", "HostConfig.CpuQuota", read!(integer, host().cpu_quota)),
    yes("cpu-rt-period", "int", "HostConfig.CpuRealtimePeriod", read!(integer, host().cpu_realtime_period)),
    yes("cpu-rt-runtime", "int", "HostConfig.CpuRealtimeRuntime", read!(integer, host().cpu_realtime_runtime)),
    short('c', "cpu-shares", "int", "HostConfig.CpuShares", read!(integer, host().cpu_shares)),
    yes("cpus", "decimal", "HostConfig.NanoCpus", read!(cpus, host().nano_cpus)),
    yes("cpuset-cpus", "string", "HostConfig.CpusetCpus", text!(host().cpuset_cpus)),
    yes("cpuset-mems", "string", "HostConfig.CpusetMems", text!(host().cpuset_mems)),
    short('d', "detach", "", "the client does not wait", read!(boolean, args.detach)),
    yes("detach-keys", "string", "keys that leave the container running", |d, v| {
        keys::parse(v)?;
        d.args.detach_keys = Some(v.to_owned());
        Ok(())
    }),
    yes("device", "list", "HostConfig.Devices", |d, v| {
        d.devices.push(device::parse(v)?);
        Ok(())
    }),
    yes("device-cgroup-rule", "list", "HostConfig.DeviceCgroupRules", |d, v| {
        d.host().device_cgroup_rules.push(device::rule(v)?);
        Ok(())
    }),
    yes("device-read-bps", "list", "HostConfig.BlkioDeviceReadBps", |d, v| {
        d.host().blkio_device_read_bps.push(block::bytes_a_second(v)?);
        Ok(())
    }),
    yes("device-read-iops", "list", "HostConfig.BlkioDeviceReadIOps", |d, v| {
        d.host().blkio_device_read_iops.push(block::operations(v)?);
        Ok(())
    }),
    yes("device-write-bps", "list", "HostConfig.BlkioDeviceWriteBps", |d, v| {
        d.host().blkio_device_write_bps.push(block::bytes_a_second(v)?);
        Ok(())
    }),
    yes("device-write-iops", "list", "HostConfig.BlkioDeviceWriteIOps", |d, v| {
        d.host().blkio_device_write_iops.push(block::operations(v)?);
        Ok(())
    }),
    yes("disable-content-trust", "", "no signatures of Docker's Notary", |_, v| match boolean(v)? {
        true => Ok(()),
        false => Err("Docker Content Trust is not supported by dray; pin the image by digest instead".to_owned()),
    }),
    yes("dns", "list", "HostConfig.Dns", |d, v| {
        d.host().dns.push(address::ip(v)?);
        Ok(())
    }),
    yes("dns-opt", "list", "HostConfig.DnsOptions", push!(host().dns_options)),
    yes("dns-option", "list", "HostConfig.DnsOptions", push!(host().dns_options)),
    yes("dns-search", "list", "HostConfig.DnsSearch", |d, v| {
        d.host().dns_search.push(address::search_domain(v)?);
        Ok(())
    }),
    yes("domainname", "string", "Domainname", text!(config().domainname)),
    yes("entrypoint", "string", "Entrypoint", |d, v| {
        d.config().entrypoint = Some(vec![v.to_owned()]);
        Ok(())
    }),
    short('e', "env", "list", "Env", |d, v| {
        let variable = environment::variable(v, &d.outside)?;
        d.env.push(variable);
        Ok(())
    }),
    yes("env-file", "list", "Env", push!(env_files)),
    yes("expose", "list", "ExposedPorts", push!(expose)),
    no("gpus", "gpu-request", "HostConfig.DeviceRequests", "there are no GPU drivers behind it; give the device nodes with --device"),
    yes("group-add", "list", "HostConfig.GroupAdd", push!(host().group_add)),
    yes("health-cmd", "string", "Healthcheck.Test", text!(health.command)),
    yes("health-interval", "duration", "Healthcheck.Interval", read!(duration, health.check.interval)),
    yes("health-retries", "int", "Healthcheck.Retries", read!(integer, health.check.retries)),
    yes("health-start-interval", "duration", "Healthcheck.StartInterval", read!(duration, health.check.start_interval)),
    yes("health-start-period", "duration", "Healthcheck.StartPeriod", read!(duration, health.check.start_period)),
    yes("health-timeout", "duration", "Healthcheck.Timeout", read!(duration, health.check.timeout)),
    yes("help", "", "usage", read!(boolean, help)),
    short('h', "hostname", "string", "Hostname", text!(config().hostname)),
    yes("init", "", "HostConfig.Init", |d, v| {
        d.host().init = Some(boolean(v)?);
        Ok(())
    }),
    short('i', "interactive", "", "OpenStdin, AttachStdin", read!(boolean, config().open_stdin)),
    no("io-maxbandwidth", "bytes", "HostConfig.IOMaximumBandwidth", WINDOWS),
    no("io-maxiops", "uint", "HostConfig.IOMaximumIOps", WINDOWS),
    yes("ip", "string", "NetworkingConfig", text!(own.address)),
    yes("ip6", "string", "NetworkingConfig", text!(own.address_v6)),
    yes("ipc", "string", "HostConfig.IpcMode", text!(host().ipc_mode)),
    yes("isolation", "string", "HostConfig.Isolation", text!(host().isolation)),
    no("kernel-memory", "bytes", "HostConfig.KernelMemory", "Linux no longer has this limit; use --memory"),
    short('l', "label", "list", "Labels", |d, v| {
        d.labels.push(labels::label(v)?);
        Ok(())
    }),
    yes("label-file", "list", "Labels", push!(label_files)),
    yes("link", "list", "HostConfig.Links, NetworkingConfig; the alias is a name, the linked container's variables are not set", |d, v| {
        d.own.links.push(endpoint::link(v)?);
        Ok(())
    }),
    no("link-local-ip", "list", "NetworkingConfig", LINK_LOCAL),
    yes("log-driver", "string", "HostConfig.LogConfig.Type", text!(host().log_config.driver)),
    yes("log-opt", "list", "HostConfig.LogConfig.Config", push!(log_options)),
    yes("mac-address", "string", "NetworkingConfig", text!(own.mac)),
    short('m', "memory", "bytes", "HostConfig.Memory", read!(bytes, host().memory)),
    yes("memory-reservation", "bytes", "HostConfig.MemoryReservation", read!(bytes, host().memory_reservation)),
    yes("memory-swap", "bytes", "HostConfig.MemorySwap", |d, v| {
        d.host().memory_swap = if v == "-1" { -1 } else { bytes(v)? };
        Ok(())
    }),
    yes("memory-swappiness", "int", "HostConfig.MemorySwappiness", |d, v| {
        d.host().memory_swappiness = Some(integer(v)?);
        Ok(())
    }),
    yes("mount", "mount", "HostConfig.Mounts", |d, v| {
        let mount = mount::parse(v, &d.outside)?;
        d.host().mounts.push(mount);
        Ok(())
    }),
    yes("name", "string", "the container's name", |d, v| {
        // As inspect shows it.
        let name = v.strip_prefix('/').filter(|name| !name.is_empty());
        d.args.name = Some(name.unwrap_or(v).to_owned()).filter(|name| !name.is_empty());
        Ok(())
    }),
    yes("net", "network", "HostConfig.NetworkMode", |d, v| {
        d.networks.push(network::parse(v)?);
        Ok(())
    }),
    yes("net-alias", "list", "NetworkingConfig", push!(own.aliases)),
    yes("network", "network", "HostConfig.NetworkMode", |d, v| {
        d.networks.push(network::parse(v)?);
        Ok(())
    }),
    yes("network-alias", "list", "NetworkingConfig", push!(own.aliases)),
    yes("no-healthcheck", "", "Healthcheck.Test", read!(boolean, health.none)),
    yes("oom-kill-disable", "", "HostConfig.OomKillDisable", |d, v| {
        d.host().oom_kill_disable = Some(boolean(v)?).filter(|disable| *disable);
        Ok(())
    }),
    yes("oom-score-adj", "int", "HostConfig.OomScoreAdj", read!(integer, host().oom_score_adj)),
    yes("pid", "string", "HostConfig.PidMode", text!(host().pid_mode)),
    yes("pids-limit", "int", "HostConfig.PidsLimit", |d, v| {
        d.host().pids_limit = Some(integer(v)?).filter(|limit| *limit != 0);
        Ok(())
    }),
    yes("platform", "string", "which image of an index", |d, v| {
        d.args.platform = Some(v.to_owned()).filter(|platform| !platform.is_empty());
        Ok(())
    }),
    yes("privileged", "", "HostConfig.Privileged", read!(boolean, host().privileged)),
    short('p', "publish", "list", "HostConfig.PortBindings, ExposedPorts", push!(publish)),
    short('P', "publish-all", "", "HostConfig.PublishAllPorts", read!(boolean, host().publish_all_ports)),
    yes("pull", "string", "when the image is pulled", text!(pull)),
    short('q', "quiet", "", "no pull progress", read!(boolean, args.quiet)),
    yes("read-only", "", "HostConfig.ReadonlyRootfs", read!(boolean, host().readonly_rootfs)),
    yes("restart", "string", "HostConfig.RestartPolicy", text!(restart)),
    yes("rm", "", "HostConfig.AutoRemove", read!(boolean, host().auto_remove)),
    yes("runtime", "string", "HostConfig.Runtime", text!(host().runtime)),
    yes("security-opt", "list", "HostConfig.SecurityOpt", push!(host().security_opt)),
    yes("shm-size", "bytes", "HostConfig.ShmSize", read!(bytes, host().shm_size)),
    yes("sig-proxy", "", "signals reach the container", read!(boolean, args.sig_proxy)),
    yes("stop-signal", "string", "StopSignal", |d, v| {
        d.config().stop_signal = Some(v.to_owned()).filter(|signal| !signal.is_empty());
        Ok(())
    }),
    yes("stop-timeout", "int", "StopTimeout", |d, v| {
        d.config().stop_timeout = Some(integer(v)?);
        Ok(())
    }),
    no("storage-opt", "list", "HostConfig.StorageOpt", "a container's writable layer has no limits of its own; leave it out"),
    yes("sysctl", "map", "HostConfig.Sysctls", |d, v| {
        let (key, value) = sysctl::parse(v)?;
        d.host().sysctls.insert(key, value);
        Ok(())
    }),
    yes("tmpfs", "list", "HostConfig.Tmpfs", |d, v| {
        let (target, options) = v.split_once(':').unwrap_or((v, ""));
        d.host().tmpfs.insert(target.to_owned(), options.to_owned());
        Ok(())
    }),
    short('t', "tty", "", "Tty", read!(boolean, config().tty)),
    yes("ulimit", "ulimit", "HostConfig.Ulimits", |d, v| {
        let limit = ulimit::parse(v)?;
        d.ulimits.insert(limit.name.clone(), limit);
        Ok(())
    }),
    no("use-api-socket", "", "HostConfig.Mounts", "there is no Docker API behind dray; leave it out"),
    short('u', "user", "string", "User", text!(config().user)),
    yes("userns", "string", "HostConfig.UsernsMode", text!(host().userns_mode)),
    yes("uts", "string", "HostConfig.UTSMode", text!(host().uts_mode)),
    short('v', "volume", "list", "HostConfig.Binds, Volumes", push!(volumes)),
    yes("volume-driver", "string", "HostConfig.VolumeDriver", text!(host().volume_driver)),
    yes("volumes-from", "list", "HostConfig.VolumesFrom", push!(host().volumes_from)),
    short('w', "workdir", "string", "WorkingDir", text!(config().working_dir)),
];
