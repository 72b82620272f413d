//! Run arguments over an image's defaults, by Docker's rules.

use std::collections::HashSet;

use crate::api::{CreateBody, Empty};
use crate::oci::{Healthcheck, ImageConfig, ImageDefaults};

/// The configuration that the container gets: what the body says, and the image's defaults for the rest.
pub fn merge(body: &CreateBody, image: &ImageConfig) -> CreateBody {
    over(body, &image.config)
}

fn over(body: &CreateBody, image: &ImageDefaults) -> CreateBody {
    let mut merged = body.clone();
    let config = &mut merged.config;
    let or_default = |own: &mut String, default: &String| {
        if own.is_empty() {
            own.clone_from(default);
        }
    };
    or_default(&mut config.user, &image.user);
    or_default(&mut config.working_dir, &image.working_dir);
    for port in &image.exposed_ports {
        config.exposed_ports.insert(port.clone(), Empty {});
    }
    for volume in &image.volumes {
        config.volumes.insert(volume.clone(), Empty {});
    }
    for (name, value) in &image.labels {
        let label = config.labels.entry(name.clone());
        label.or_insert_with(|| value.clone());
    }
    merge_environment(&mut config.env, &image.env);
    // A given entry point, `[""]` included, is never combined with the image's command.
    if config.entrypoint.as_ref().is_none_or(Vec::is_empty) {
        if config.cmd.as_ref().is_none_or(Vec::is_empty) && !image.cmd.is_empty() {
            config.cmd = Some(image.cmd.clone());
        }
        if config.entrypoint.is_none() && !image.entrypoint.is_empty() {
            config.entrypoint = Some(image.entrypoint.clone());
        }
    }
    if config.stop_signal.as_ref().is_none_or(String::is_empty) && !image.stop_signal.is_empty() {
        config.stop_signal = Some(image.stop_signal.clone());
    }
    if config.shell.is_empty() {
        config.shell.clone_from(&image.shell);
    }
    config.healthcheck = merge_health(config.healthcheck.take(), image.healthcheck.as_ref());
    merged
}

/// The image's variables that the container does not name, after the container's own.
fn merge_environment(env: &mut Vec<String>, image: &[String]) {
    let name = |entry: &String| {
        entry
            .split_once('=')
            .map_or(entry.as_str(), |(name, _)| name)
            .to_owned()
    };
    let known: HashSet<String> = env.iter().map(name).collect();
    env.extend(
        image
            .iter()
            .filter(|entry| !known.contains(&name(entry)))
            .cloned(),
    );
}

fn merge_health(own: Option<Healthcheck>, image: Option<&Healthcheck>) -> Option<Healthcheck> {
    let (mut own, image) = match (own, image) {
        (Some(own), Some(image)) => (own, image),
        (own, image) => return own.or_else(|| image.cloned()),
    };
    if own.test.is_empty() {
        own.test.clone_from(&image.test);
    }
    for (own, default) in [
        (&mut own.interval, image.interval),
        (&mut own.timeout, image.timeout),
        (&mut own.start_period, image.start_period),
        (&mut own.start_interval, image.start_interval),
        (&mut own.retries, image.retries),
    ] {
        if *own == 0 {
            *own = default;
        }
    }
    Some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn image() -> ImageDefaults {
        ImageDefaults {
            user: "app".to_owned(),
            env: words("PATH=/image A=1"),
            entrypoint: words("/entry -x"),
            cmd: words("serve"),
            working_dir: "/srv".to_owned(),
            labels: [
                ("a".to_owned(), "image".to_owned()),
                ("b".to_owned(), "image".to_owned()),
            ]
            .into(),
            stop_signal: "SIGQUIT".to_owned(),
            exposed_ports: ["80/tcp".to_owned()].into(),
            volumes: ["/data".to_owned()].into(),
            healthcheck: Some(Healthcheck {
                test: words("CMD probe"),
                interval: 5,
                retries: 2,
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn takes_the_images_defaults() {
        let merged = over(&CreateBody::default(), &image()).config;
        assert_eq!(merged.user, "app");
        assert_eq!(merged.env, ["PATH=/image", "A=1"]);
        assert_eq!(merged.entrypoint.unwrap(), ["/entry", "-x"]);
        assert_eq!(merged.cmd.unwrap(), ["serve"]);
        assert_eq!(merged.working_dir, "/srv");
        assert_eq!(merged.stop_signal.unwrap(), "SIGQUIT");
        assert_eq!(merged.exposed_ports.keys().collect::<Vec<_>>(), ["80/tcp"]);
        assert_eq!(merged.volumes.keys().collect::<Vec<_>>(), ["/data"]);
        assert_eq!(merged.healthcheck.unwrap().retries, 2);
    }

    #[test]
    fn lets_the_body_win() {
        let mut body = CreateBody::default();
        body.config.user = "0".to_owned();
        body.config.env = words("A=2 PATH");
        body.config.labels = [("a".to_owned(), "own".to_owned())].into();
        body.config.stop_signal = Some("SIGINT".to_owned());
        body.config.healthcheck = Some(Healthcheck {
            interval: 7,
            ..Default::default()
        });
        let merged = over(&body, &image()).config;
        assert_eq!(merged.user, "0");
        assert_eq!(merged.env, ["A=2", "PATH"]);
        assert_eq!(merged.labels["a"], "own");
        assert_eq!(merged.labels["b"], "image");
        assert_eq!(merged.stop_signal.unwrap(), "SIGINT");
        let health = merged.healthcheck.unwrap();
        assert_eq!(
            (health.test, health.interval, health.retries),
            (words("CMD probe"), 7, 2)
        );
    }

    #[test]
    fn combines_entry_point_and_command_as_docker_does() {
        let own = |text: &str| Some(words(text)).filter(|words| !words.is_empty());
        for (entrypoint, cmd, expected) in [
            (None, None, (own("/entry -x"), own("serve"))),
            (None, own("other y"), (own("/entry -x"), own("other y"))),
            (own("/mine"), None, (own("/mine"), None)),
            (own("/mine"), own("arg"), (own("/mine"), own("arg"))),
            (
                Some(vec![String::new()]),
                None,
                (Some(vec![String::new()]), None),
            ),
            (
                Some(vec![String::new()]),
                own("arg"),
                (Some(vec![String::new()]), own("arg")),
            ),
        ] {
            let mut body = CreateBody::default();
            body.config.entrypoint = entrypoint;
            body.config.cmd = cmd;
            let merged = over(&body, &image()).config;
            assert_eq!((merged.entrypoint, merged.cmd), expected);
        }
    }
}
