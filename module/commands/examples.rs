//! An example for each word, at the end of its help.

use clap::Command;

/// Words, those of groups with their group, and lines of what to write after the program's name.
pub const EXAMPLES: &[(&str, &[&str])] = &[
    ("start", &["start web", "start -a job"]),
    ("stop", &["stop web", "stop -t 30 web db"]),
    ("restart", &["restart web"]),
    ("kill", &["kill web", "kill -s HUP web"]),
    ("rm", &["rm web", "rm -fv web"]),
    ("rename", &["rename web old-web"]),
    ("wait", &["wait job"]),
    ("pause", &["pause web"]),
    ("unpause", &["unpause web"]),
    ("exec", &["exec web ls /srv", "exec -it -u 0 web sh"]),
    ("attach", &["attach --detach-keys ctrl-x web"]),
    ("cp", &["cp web:/etc/app.conf .", "cp data/. web:/srv/data"]),
    (
        "ps",
        &[
            "ps -a --filter status=exited --filter name=^web",
            "ps --format 'table {{.Names}}\\t{{.Status}}\\t{{.Ports}}'",
        ],
    ),
    ("top", &["top web", "top web -o pid,args"]),
    ("port", &["port web", "port web 80/tcp"]),
    ("stats", &["stats --no-stream", "stats web db"]),
    ("logs", &["logs -f --tail 100 web", "logs --since 10m web"]),
    (
        "inspect",
        &[
            "inspect web",
            "inspect -f '{{.State.Status}} {{.State.ExitCode}}' web",
            "inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' web",
            "inspect -f '{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}' web",
        ],
    ),
    (
        "network create",
        &["network create --subnet 10.5.0.0/24 front"],
    ),
    ("network ls", &["network ls --filter type=custom"]),
    ("network inspect", &["network inspect front"]),
    ("network rm", &["network rm front"]),
    ("network prune", &["network prune -f --filter until=24h"]),
    (
        "network connect",
        &["network connect --ip 10.5.0.7 --alias db front web"],
    ),
    ("network disconnect", &["network disconnect front web"]),
    ("network reload", &["network reload"]),
    (
        "images",
        &[
            "images --filter dangling=true",
            "images --filter reference=nginx:1.27",
        ],
    ),
    (
        "pull",
        &["pull nginx:1.27", "pull --platform linux/arm64 nginx"],
    ),
    ("load", &["load -i images.tar", "load < images.tar.gz"]),
    ("save", &["save -o images.tar nginx:1.27 own/web:stable"]),
    (
        "import",
        &["import -c 'CMD [\"/init\"]' rootfs.tar own/base:1"],
    ),
    ("history", &["history --no-trunc nginx:1.27"]),
    (
        "login",
        &["login -u device --password-stdin registry.example < token"],
    ),
    ("logout", &["logout registry.example"]),
    ("rmi", &["rmi nginx:1.27"]),
    ("tag", &["tag nginx:1.27 own/web:stable"]),
    ("volume create", &["volume create --label tier=back data"]),
    ("volume ls", &["volume ls --filter dangling=true"]),
    ("volume inspect", &["volume inspect data"]),
    ("volume rm", &["volume rm data"]),
    ("volume prune", &["volume prune -f"]),
    ("gc", &["gc -n"]),
    (
        "verify",
        &[
            "verify",
            "verify --full --repair",
            "verify --full nginx:1.27",
        ],
    ),
    ("scrub", &["scrub"]),
    (
        "container prune",
        &["container prune -f --filter until=24h"],
    ),
    ("image prune", &["image prune -af"]),
    ("system df", &["system df -v"]),
    (
        "system prune",
        &[
            "system prune -af --volumes",
            "system prune --filter until=24h",
        ],
    ),
    ("version", &["version -f '{{.Server.Version}}'"]),
    ("info", &["info -f '{{.Warnings}}'"]),
    (
        "install",
        &[
            "install release-7.mender",
            "install https://updates.example/release-7.mender",
            "install - < release-7.mender",
        ],
    ),
    ("commit", &["commit"]),
    ("rollback", &["rollback"]),
    ("show-artifact", &["show-artifact"]),
    ("show-provides", &["show-provides --format json"]),
    ("boot", &["boot"]),
];

/// Of the words that docker run's own parser reads.
pub const OF_RUN: [(&str, &str); 3] = [
    (
        "run",
        "run -d --name web --restart unless-stopped -p 8080:80 -v data:/srv nginx:1.27",
    ),
    ("create", "create --name web -p 8080:80 nginx:1.27"),
    ("explain", "explain -m 64m --read-only nginx:1.27 nginx -t"),
];

/// `command` with an example for each word.
pub fn added(command: Command, group: &str) -> Command {
    command.mut_subcommands(|word| {
        let name = format!("{group}{}", word.get_name());
        let word = match EXAMPLES.iter().find(|(known, _)| *known == name) {
            Some((_, lines)) => word.after_help(shown(lines)),
            None => word,
        };
        added(word, &format!("{name} "))
    })
}

/// The example for one of the words that clap does not read.
pub fn of_run(word: &str) -> String {
    let line = OF_RUN.iter().find(|(known, _)| *known == word);
    line.map_or_else(String::new, |(_, line)| shown(&[line]))
}

fn shown(lines: &[&str]) -> String {
    let title = if lines.len() == 1 {
        "Example"
    } else {
        "Examples"
    };
    let lines: String = lines
        .iter()
        .map(|line| format!("\n  dray {line}"))
        .collect();
    format!("{title}:{lines}")
}
