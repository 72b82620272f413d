//! What Docker's inspect has for everything that nobody asked for: a script that reads a field always finds it.

use serde_json::Value;

use crate::engine::EngineError;

/// `Config`, in Docker's order.
pub(super) const CONFIG: &str = r#"{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,
"AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":null,"Image":"","Volumes":null,
"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":{}}"#;

/// `HostConfig`.
pub(super) const HOST: &str = r#"{"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"","Config":{}},
"NetworkMode":"bridge","PortBindings":{},"RestartPolicy":{"Name":"no","MaximumRetryCount":0},"AutoRemove":false,
"VolumeDriver":"","VolumesFrom":null,"ConsoleSize":[0,0],"CapAdd":null,"CapDrop":null,"CgroupnsMode":"","Dns":[],
"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,"GroupAdd":null,"IpcMode":"private","Cgroup":"","Links":null,
"OomScoreAdj":0,"PidMode":"","Privileged":false,"PublishAllPorts":false,"ReadonlyRootfs":false,"SecurityOpt":null,
"UTSMode":"","UsernsMode":"","ShmSize":67108864,"Runtime":"runc","Isolation":"","CpuShares":0,"Memory":0,"NanoCpus":0,
"CgroupParent":"","BlkioWeight":0,"BlkioWeightDevice":[],"BlkioDeviceReadBps":[],"BlkioDeviceWriteBps":[],
"BlkioDeviceReadIOps":[],"BlkioDeviceWriteIOps":[],"CpuPeriod":0,"CpuQuota":0,"CpuRealtimePeriod":0,
"CpuRealtimeRuntime":0,"CpusetCpus":"","CpusetMems":"","Devices":[],"DeviceCgroupRules":null,"DeviceRequests":null,
"MemoryReservation":0,"MemorySwap":0,"MemorySwappiness":null,"OomKillDisable":null,"PidsLimit":null,"Ulimits":[],
"CpuCount":0,"CpuPercent":0,"IOMaximumIOps":0,"IOMaximumBandwidth":0,"MaskedPaths":null,"ReadonlyPaths":null}"#;

/// One of `NetworkSettings.Networks`.
pub(super) const ENDPOINT: &str = r#"{"IPAMConfig":null,"Links":null,"Aliases":null,"MacAddress":"","DriverOpts":null,
"GwPriority":0,"NetworkID":"","EndpointID":"","Gateway":"","IPAddress":"","IPPrefixLen":0,"IPv6Gateway":"",
"GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"DNSNames":null}"#;

/// `NetworkSettings`.
pub(super) const NETWORKS: &str = r#"{"Bridge":"","SandboxID":"","SandboxKey":"","Ports":{},"HairpinMode":false,
"LinkLocalIPv6Address":"","LinkLocalIPv6PrefixLen":0,"SecondaryIPAddresses":null,"SecondaryIPv6Addresses":null,
"EndpointID":"","Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"IPAddress":"","IPPrefixLen":0,
"IPv6Gateway":"","MacAddress":"","Networks":{}}"#;

/// What was asked for in the place of what these documents say.
pub(super) fn over(zero: &str, given: Value) -> Result<Value, EngineError> {
    let zero = serde_json::from_str(zero);
    let mut document = zero.map_err(|e| EngineError::system("write JSON")(e.into()))?;
    lay(&mut document, given);
    Ok(document)
}

fn lay(document: &mut Value, given: Value) {
    match (document, given) {
        (Value::Object(document), Value::Object(given)) => {
            for (name, value) in given {
                lay(document.entry(name).or_insert(Value::Null), value);
            }
        }
        (document, given) => *document = given,
    }
}
