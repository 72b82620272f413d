//! What log lines say about their container: its tag, and the labels and variables that an option names.

use std::collections::{BTreeMap, BTreeSet};

use regex_lite::Regex;
use std::path::PathBuf;

use crate::api::LogConfig;
use crate::engine::record::Record;
use crate::host::Host;
use crate::runargs::logging;

/// Digits of an id's short form.
const SHORT: usize = 12;

/// A container, as far as its log lines may name it.
#[derive(Debug, Clone, Default)]
pub struct About {
    id: String,
    name: String,
    image_id: String,
    image_name: String,
    labels: BTreeMap<String, String>,
    env: Vec<String>,
    /// The device's bundles of certificate authorities, for a receiver that is reached through TLS.
    pub(super) ca_bundles: Vec<PathBuf>,
}

impl About {
    /// What there is to say about a container.
    pub fn of(record: &Record, host: &Host) -> About {
        let config = &record.body.config;
        About {
            id: record.id.clone(),
            name: record.name.clone(),
            image_id: record.image.to_string(),
            image_name: config.image.clone(),
            labels: config.labels.clone(),
            env: config.env.clone(),
            ca_bundles: host.ca_bundles.clone(),
        }
    }

    /// The tag that a template makes.
    pub(super) fn tag(&self, template: &str) -> Result<String, String> {
        logging::expand_tag(template, |field| self.field(field))
    }

    fn field(&self, name: &str) -> String {
        let digits = self
            .image_id
            .split_once(':')
            .map_or(self.image_id.as_str(), |(_, digits)| digits);
        match name {
            ".ID" => short(&self.id),
            ".FullID" => self.id.clone(),
            ".Name" => self.name.clone(),
            ".ImageID" => short(digits),
            ".ImageFullID" => self.image_id.clone(),
            ".ImageName" => self.image_name.clone(),
            // Docker's own word: receivers filter by it.
            _ => "docker".to_owned(),
        }
    }

    /// Labels and variables that the options `labels` and `env` name, or `labels-regex` and `env-regex` match, and the
    /// container has.
    pub(super) fn attributes(&self, config: &LogConfig) -> BTreeMap<String, String> {
        let wanted = |option: &str| config.config.get(option).map_or("", String::as_str);
        let variable = |name: &str| {
            let pairs = self.env.iter().filter_map(|entry| entry.split_once('='));
            pairs
                .rev()
                .find(|pair| pair.0 == name)
                .map(|pair| pair.1.to_owned())
        };
        // One that is no expression has been refused when the container was made.
        let matching = |option: &str| {
            let text = config.config.get(option).filter(|text| !text.is_empty());
            text.and_then(|text| Regex::new(text).ok())
        };
        let names = |option: &str, matching: Option<Regex>, all: Vec<&str>| -> BTreeSet<String> {
            let matched = all.into_iter().filter(|name| {
                let expression = matching.as_ref();
                expression.is_some_and(|expression| expression.is_match(name))
            });
            let named = wanted(option).split(',').chain(matched);
            named.map(str::to_owned).collect()
        };
        let all = self.labels.keys().map(String::as_str).collect();
        let labels = names("labels", matching("labels-regex"), all);
        let labels = labels
            .into_iter()
            .filter_map(|name| Some((name.clone(), self.labels.get(&name)?.clone())));
        let all = self.env.iter().filter_map(|entry| entry.split_once('='));
        let variables = names(
            "env",
            matching("env-regex"),
            all.map(|pair| pair.0).collect(),
        );
        let variables = variables
            .into_iter()
            .filter_map(|name| Some((name.clone(), variable(&name)?)));
        labels.chain(variables).collect()
    }
}

fn short(id: &str) -> String {
    id.chars().take(SHORT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_attributes() {
        let about = About {
            id: "0123456789abcdef".repeat(4),
            name: "web".into(),
            image_id: format!("sha256:{}", "fedcba9876543210".repeat(4)),
            image_name: "shop/web:1".into(),
            labels: [("a".to_owned(), "1".to_owned())].into(),
            ca_bundles: Vec::new(),
            env: vec!["X=old".into(), "X=y=z".into(), "BARE".into()],
        };
        for (template, tag) in [
            ("{{.ID}}", "0123456789ab"),
            (
                "{{.ImageName}}/{{.Name}}/{{.ImageID}}",
                "shop/web:1/web/fedcba987654",
            ),
            ("{{.DaemonName}}", "docker"),
        ] {
            assert_eq!(about.tag(template).unwrap(), tag);
        }
        assert_eq!(about.tag("{{.FullID}}").unwrap().len(), 64);
        assert_eq!(about.tag("{{.ImageFullID}}").unwrap().len(), 71);
        let config = LogConfig {
            driver: String::new(),
            config: [("labels", "a,absent"), ("env", "X,BARE,absent")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
        };
        let expected = [("X", "y=z"), ("a", "1")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(about.attributes(&config), expected.into());
        let config = LogConfig {
            driver: String::new(),
            config: [("labels-regex", "^[ab]$"), ("env-regex", "X|BARE")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
        };
        let expected = [("X", "y=z"), ("a", "1")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(about.attributes(&config), expected.into());
    }
}
