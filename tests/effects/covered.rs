//! No supported option without a test that sees its effect.

use std::collections::BTreeSet;
use std::path::Path;

use dray::runargs::{Row as OptionRow, describe};

use super::{Row, confine, files, identity, life, limits, names};

const TABLES: [&[Row]; 6] = [
    confine::ROWS,
    files::ROWS,
    identity::ROWS,
    life::ROWS,
    limits::ROWS,
    names::ROWS,
];

/// Options whose effect takes more than a look from inside: the file below `tests`, and the test function in it.
#[rustfmt::skip]
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("annotation", "effects/identity.rs", "labels_and_annotations_are_kept_with_it"),
    ("attach", "engine_terminal.rs", "the_foreground_shows_what_is_attached"),
    ("blkio-weight", "engine_limits.rs", "one_block_device_gets_a_weight_of_its_own"),
    ("blkio-weight-device", "engine_limits.rs", "one_block_device_gets_a_weight_of_its_own"),
    ("cgroup-parent", "engine_limits.rs", "a_container_is_below_the_group_that_it_is_told"),
    ("cidfile", "engine_limits.rs", "how_a_container_is_made"),
    ("cpu-rt-period", "engine_limits.rs", "real_time_budgets_are_given_and_come_back"),
    ("cpu-rt-runtime", "engine_limits.rs", "real_time_budgets_are_given_and_come_back"),
    ("cpu-shares", "engine_limits.rs", "every_limit_is_in_the_kernel"),
    ("detach", "effects/life.rs", "a_container_is_left_or_kept_or_removed_as_asked"),
    ("detach-keys", "effects/life.rs", "a_terminal_is_left_with_the_keys_of_one_s_choice"),
    ("device-read-bps", "engine_limits.rs", "block_devices_are_limited"),
    ("device-read-iops", "engine_limits.rs", "block_devices_are_limited"),
    ("device-write-bps", "engine_limits.rs", "block_devices_are_limited"),
    ("device-write-iops", "engine_limits.rs", "block_devices_are_limited"),
    ("entrypoint", "effects/identity.rs", "entry_point_and_command_are_combined_as_docker_does"),
    ("expose", "effects/life.rs", "ports_are_published_one_by_one_or_all_together"),
    ("health-cmd", "engine_restart.rs", "health_is_judged_as_docker_does"),
    ("health-interval", "engine_restart.rs", "health_is_judged_as_docker_does"),
    ("health-retries", "engine_restart.rs", "health_is_judged_as_docker_does"),
    ("health-start-interval", "engine_restart.rs", "failures_do_not_count_in_the_start_period"),
    ("health-start-period", "engine_restart.rs", "failures_do_not_count_in_the_start_period"),
    ("health-timeout", "engine_restart.rs", "failures_do_not_count_in_the_start_period"),
    ("help", "help.rs", "run_names_every_option_of_dockers_with_its_meaning_or_the_reason_against_it"),
    ("interactive", "engine.rs", "input_and_terminal"),
    ("label", "effects/identity.rs", "labels_and_annotations_are_kept_with_it"),
    ("label-file", "effects/identity.rs", "labels_and_annotations_are_kept_with_it"),
    ("link", "engine_network/defined.rs", "names_on_a_network_come_and_go"),
    ("log-driver", "engine.rs", "logs_are_bounded_and_drivers_differ"),
    ("log-opt", "engine.rs", "logs_are_bounded_and_drivers_differ"),
    ("memory", "effects/limits.rs", "memory_that_is_not_there_ends_the_container_and_is_said"),
    ("memory-reservation", "engine_limits.rs", "every_limit_is_in_the_kernel"),
    ("memory-swap", "engine_limits.rs", "every_limit_is_in_the_kernel"),
    ("memory-swappiness", "engine_limits.rs", "settings_of_version_1_are_set_there_and_said_to_be_left_out_elsewhere"),
    ("name", "engine.rs", "a_container_s_life"),
    ("no-healthcheck", "effects/life.rs", "an_image_s_health_check_is_left_out_where_it_is_not_wanted"),
    ("oom-kill-disable", "engine_limits.rs", "settings_of_version_1_are_set_there_and_said_to_be_left_out_elsewhere"),
    ("platform", "effects/life.rs", "a_platform_chooses_among_an_index_s_images"),
    ("publish", "effects/life.rs", "ports_are_published_one_by_one_or_all_together"),
    ("publish-all", "effects/life.rs", "ports_are_published_one_by_one_or_all_together"),
    ("pull", "engine_limits.rs", "how_a_container_is_made"),
    ("quiet", "effects/life.rs", "quiet_says_nothing_of_the_pull"),
    ("restart", "engine.rs", "policies_restart_and_stop_ends_them"),
    ("rm", "effects/life.rs", "a_container_is_left_or_kept_or_removed_as_asked"),
    ("sig-proxy", "effects/life.rs", "signals_reach_the_container_through_run_unless_told_otherwise"),
    ("stop-signal", "effects/life.rs", "a_container_is_stopped_by_its_own_signal_and_in_its_own_time"),
    ("stop-timeout", "effects/life.rs", "a_container_is_stopped_by_its_own_signal_and_in_its_own_time"),
    ("volumes-from", "engine_volumes.rs", "volumes_of_another_container_are_taken_over"),
];

fn option(name: &str) -> OptionRow {
    describe()
        .find(|row| row.name == name)
        .unwrap_or_else(|| panic!("docker run has no --{name}"))
}

/// Whether a text has the option, by its name or its letter.
fn names(text: &str, option: &OptionRow) -> bool {
    let starts = |flag: &str, ends: &[char]| {
        let mut after = text
            .match_indices(flag)
            .map(|(at, _)| &text[at + flag.len()..]);
        after.any(|rest| rest.is_empty() || rest.starts_with(ends))
    };
    let long = starts(&format!("--{}", option.name), &['"', '=', ' ']);
    long || option
        .short
        .is_some_and(|letter| starts(&format!("-{letter}"), &['"', ' ']))
}

#[test]
fn every_supported_option_s_effect_is_seen() {
    let mut seen = BTreeSet::new();
    for (name, words, ..) in TABLES.into_iter().flatten() {
        assert!(
            names(words, &option(name)),
            "the row of --{name} does not give it: {words}"
        );
        seen.insert(*name);
    }
    for (name, file, function) in ELSEWHERE {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests")
            .join(file);
        let source =
            std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"));
        let start = source.find(&format!("#[test]\nfn {function}()"));
        let start = start.or(source.find(&format!("mounts\"]\nfn {function}()")));
        let start = start.unwrap_or_else(|| panic!("{file} has no test {function} for --{name}"));
        let body = &source[start..];
        let body = &body[..body.find("\n}\n").unwrap()];
        assert!(
            names(body, &option(name)),
            "{function} of {file} does not give --{name}"
        );
        assert!(seen.insert(name), "--{name} has rows too");
    }
    let (supported, refused): (Vec<_>, Vec<_>) = describe().partition(|row| row.refused.is_none());
    let missing: Vec<&str> = supported
        .iter()
        .map(|row| row.name)
        .filter(|name| !seen.contains(name))
        .collect();
    assert!(
        missing.is_empty(),
        "options whose effect no test sees: {missing:?}"
    );
    let idle: Vec<&str> = refused
        .iter()
        .map(|row| row.name)
        .filter(|name| seen.contains(name))
        .collect();
    assert!(
        idle.is_empty(),
        "refused options with a test of their effect: {idle:?}"
    );
}
