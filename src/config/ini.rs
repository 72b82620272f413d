//! Ini text to settings.

use ::ini::{Ini, ParseOption};

use super::value::{self, Invalid};
use super::{DownloadSettings, RegistrySettings, Settings, StoreSettings};

/// What is wrong with the text, and in which line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) line: usize,
    pub(super) problem: String,
}

/// Every section with its keys; `registry` stands for all sections that name one.
pub(super) const KEYS: &[(&str, &[&str])] = &[
    ("paths", &["state", "run"]),
    (
        "registry",
        &[
            "mirrors",
            "insecure",
            "token_server",
            "ca",
            "client_cert",
            "client_key",
        ],
    ),
    ("log", &["driver", "max-size", "max-file"]),
    ("health", &["stable_s", "timeout_s"]),
    (
        "store",
        &[
            "keep_blobs",
            "max_size",
            "reserve",
            "keep_previous",
            "scrub",
        ],
    ),
    ("network", &["bridge", "subnet", "ip6"]),
    (
        "download",
        &[
            "parallel",
            "retries",
            "deadline",
            "least_rate",
            "rate",
            "budget",
        ],
    ),
    ("proxy", &["http", "https", "no_proxy"]),
    ("credentials", &["folder"]),
    ("artifact", &["device_type"]),
    ("trust", &["artifact_keys"]),
];

impl Settings {
    /// Parses the text of an ini file on top of the defaults.
    pub(super) fn parse(text: &str) -> Result<Settings, Problem> {
        // Values are taken as written: paths and sizes have no use for escapes.
        let option = ParseOption {
            enabled_escape: false,
            ..ParseOption::default()
        };
        let ini = Ini::load_from_str_opt(text, option).map_err(|error| Problem {
            // An error at the end of a line is reported as the next one's column 1.
            line: error.line - usize::from(error.col == 1),
            problem: error.msg.into_owned(),
        })?;
        let mut settings = Settings::default();
        let mut seen = Vec::new();
        for (section, keys) in &ini {
            let at = |key: Option<&str>, problem| Problem {
                line: line_of(text, section, key),
                problem,
            };
            let section = match section {
                Some(section) => Section::parse(section).map_err(|problem| at(None, problem))?,
                None if keys.is_empty() => continue,
                None => {
                    let key = keys.iter().next().map(|(key, _)| key);
                    return Err(at(
                        key,
                        "a key stands before the first [section]".to_owned(),
                    ));
                }
            };
            for (key, value) in keys {
                let key = key.trim();
                if let Some((first, _)) = key.split_once('\n') {
                    // The parser takes a line without "=" for the beginning of the next line's key.
                    let problem = format!("{:?} is not of the form KEY = VALUE", first.trim());
                    return Err(at(Some(first), problem));
                }
                let place = (section.clone(), key.to_owned());
                if seen.contains(&place) {
                    return Err(at(
                        Some(key),
                        format!("key {key:?} is there twice in {section}"),
                    ));
                }
                seen.push(place);
                settings
                    .set(&section, key, value.trim())
                    .map_err(|problem| at(Some(key), problem))?;
            }
        }
        if let Some(problem) = settings.download.contradiction() {
            let line = line_of(text, Some("download"), Some("rate"));
            return Err(Problem { line, problem });
        }
        Ok(settings)
    }

    fn set(&mut self, section: &Section, key: &str, text: &str) -> Result<(), String> {
        let result = match section {
            Section::Registry(host) => {
                let settings = self.registries.entry(host.clone()).or_default();
                settings.set(key, text)
            }
            Section::Plain("store") => self.store.set(key, text),
            Section::Plain("download") => self.download.set(key, text),
            Section::Plain(name) => self.set_plain(name, key, text),
        };
        let result = result.ok_or_else(|| section.knows_no(key))?;
        result.map_err(|Invalid(wanted)| match section {
            // A proxy's URL may have a password in it.
            Section::Plain("proxy") => format!("{key} must be {wanted}"),
            _ => format!("{key} is {text:?}, but must be {wanted}"),
        })
    }

    /// Takes one key of a section with few of them; `None` if there is no such.
    fn set_plain(&mut self, section: &str, key: &str, text: &str) -> Option<Result<(), Invalid>> {
        Some(match (section, key) {
            ("paths", "state") => value::path(text).map(|v| self.paths.state = Some(v)),
            ("paths", "run") => value::path(text).map(|v| self.paths.run = Some(v)),
            ("log", "driver") => value::log_driver(text).map(|v| self.log.driver = v),
            ("log", "max-size") => value::size(text).map(|v| self.log.max_size = v),
            ("log", "max-file") => value::count(text, 1..=1000).map(|v| self.log.max_file = v),
            ("health", "stable_s") => value::seconds(text).map(|v| self.health.stable = v),
            ("health", "timeout_s") => value::seconds(text).map(|v| self.health.timeout = v),
            ("network", "bridge") => value::interface(text).map(|v| self.network.bridge = v),
            ("network", "subnet") => value::subnet4(text).map(|v| self.network.subnet = v),
            ("network", "ip6") => value::subnet6(text).map(|v| self.network.ip6 = v),
            ("proxy", "http") => value::proxy(text).map(|v| self.proxy.http = Some(v)),
            ("proxy", "https") => value::proxy(text).map(|v| self.proxy.https = Some(v)),
            ("proxy", "no_proxy") => {
                self.proxy.no_proxy = Some(text.to_owned());
                Ok(())
            }
            ("artifact", "device_type") => {
                value::device_type(text).map(|v| self.artifact.device_type = Some(v))
            }
            ("trust", "artifact_keys") => {
                value::list(text, value::path).map(|v| self.trust.artifact_keys = v)
            }
            ("credentials", "folder") => {
                value::path(text).map(|v| self.credentials.folder = Some(v))
            }
            _ => return None,
        })
    }
}

impl StoreSettings {
    /// Takes one key of the section; `None` if there is no such.
    fn set(&mut self, key: &str, text: &str) -> Option<Result<(), Invalid>> {
        Some(match key {
            "keep_blobs" => value::boolean(text).map(|v| self.keep_blobs = v),
            "max_size" => value::limit(text).map(|v| self.max_size = v),
            "reserve" => value::size(text).map(|v| self.reserve = v),
            "keep_previous" => value::boolean(text).map(|v| self.keep_previous = v),
            "scrub" => value::interval(text).map(|v| self.scrub = v),
            _ => return None,
        })
    }
}

impl DownloadSettings {
    /// What the keys say against each other.
    fn contradiction(&self) -> Option<String> {
        let (rate, least) = (self.rate?, self.least_rate);
        (rate < least).then(|| {
            format!(
                "rate is {rate} bytes a second, less than least_rate, {least}: every connection would be too slow"
            )
        })
    }

    /// Takes one key of the section; `None` if there is no such.
    fn set(&mut self, key: &str, text: &str) -> Option<Result<(), Invalid>> {
        Some(match key {
            "parallel" => value::count(text, 1..=32).map(|v| self.parallel = v as usize),
            "retries" => value::count(text, 1..=1000).map(|v| self.retries = v),
            "deadline" => value::duration(text).map(|v| self.deadline = v),
            "least_rate" => value::size(text).map(|v| self.least_rate = v),
            "rate" => value::rate(text).map(|v| self.rate = v),
            "budget" => value::limit(text).map(|v| self.budget = v),
            _ => return None,
        })
    }
}

impl RegistrySettings {
    /// Takes one key of the section; `None` if there is no such.
    fn set(&mut self, key: &str, text: &str) -> Option<Result<(), Invalid>> {
        Some(match key {
            "mirrors" => value::list(text, value::mirror).map(|v| self.mirrors = v),
            "insecure" => value::boolean(text).map(|v| self.insecure = v),
            "token_server" => value::list(text, value::host).map(|v| self.token_servers = v),
            "ca" => value::path(text).map(|v| self.ca = Some(v)),
            "client_cert" => value::path(text).map(|v| self.client_cert = Some(v)),
            "client_key" => value::path(text).map(|v| self.client_key = Some(v)),
            _ => return None,
        })
    }
}

/// A section's name, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Section {
    Plain(&'static str),
    Registry(String),
}

impl Section {
    fn parse(name: &str) -> Result<Section, String> {
        if let Some(host) = name
            .strip_prefix("registry")
            .filter(|rest| rest.starts_with([' ', '\t', '"']))
        {
            return value::registry(host.trim())
                .map(Section::Registry)
                .map_err(|Invalid(wanted)| format!("section [{name}] must be {wanted}"));
        }
        match KEYS.iter().find(|(known, _)| *known == name) {
            Some(("registry", _)) => {
                Err("section [registry] must name one: [registry \"HOST[:PORT]\"]".to_owned())
            }
            Some((known, _)) => Ok(Section::Plain(known)),
            None => {
                let known: Vec<_> = KEYS.iter().map(|(known, _)| *known).collect();
                Err(format!(
                    "unknown section [{name}]; known are {}",
                    known.join(", ")
                ))
            }
        }
    }

    fn knows_no(&self, key: &str) -> String {
        let known = self.keys().join(", ");
        format!("unknown key {key:?} in {self}; known are {known}")
    }

    fn keys(&self) -> &'static [&'static str] {
        let name = match self {
            Section::Plain(name) => name,
            Section::Registry(_) => "registry",
        };
        KEYS.iter()
            .find(|(known, _)| *known == name)
            .map_or(&[], |(_, keys)| keys)
    }
}

impl std::fmt::Display for Section {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Section::Plain(name) => write!(f, "[{name}]"),
            Section::Registry(host) => write!(f, "[registry \"{host}\"]"),
        }
    }
}

/// Where a section or the last occurrence of a key in it stands; the parser does not keep that. For messages only.
fn line_of(text: &str, section: Option<&str>, key: Option<&str>) -> usize {
    let mut current: Option<&str> = None;
    let mut found = 1;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            current = Some(header.trim_end_matches(']').trim());
            if current == section {
                found = number;
            }
        } else if current == section
            && let Some(key) = key
            // A key that spans lines (a line without "=") is found by its first one.
            && key.lines().next().is_some_and(|first| {
                line.split(['=', ':']).next().is_some_and(|word| word.trim() == first.trim())
            })
        {
            found = number;
        }
    }
    found
}
