//! Tables for people.

use std::time::SystemTime;

/// Prints rows under a heading, each column as wide as its widest cell.
pub fn print<const N: usize>(heading: [&str; N], rows: &[[String; N]]) {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.to_vec()).collect();
    print_all(&heading, &rows);
}

/// As [`print`], with as many columns as there are.
pub fn print_all(heading: &[&str], rows: &[Vec<String>]) {
    let heading: Vec<String> = heading.iter().map(|&name| name.to_owned()).collect();
    let mut widths = vec![0; heading.len()];
    for row in rows.iter().chain([&heading]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    line(&heading, &widths);
    rows.iter().for_each(|row| line(row, &widths));
}

fn line(cells: &[String], widths: &[usize]) {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:width$}"))
        .collect();
    println!("{}", padded.join("   ").trim_end());
}

/// `2026-11-23 14:22:54 +0000 UTC`, as docker's lists say times.
pub fn moment(time: &str) -> String {
    match dray::engine::parse_time(time).map(dray::engine::format_time) {
        Some(time) => format!("{} {} +0000 UTC", &time[..10], &time[11..19]),
        None => "N/A".to_owned(),
    }
}

/// `2 hours ago`, of a time as images say it.
pub fn age(created: &str, now: SystemTime) -> String {
    let age = dray::engine::parse_time(created).and_then(|time| now.duration_since(time).ok());
    age.map_or_else(
        || "N/A".to_owned(),
        |age| format!("{} ago", span(age.as_secs())),
    )
}

/// `1.23MB`, decimal units, as docker prints sizes.
pub fn size(bytes: u64) -> String {
    scaled(bytes, 1000.0, ["B", "kB", "MB", "GB", "TB"])
}

/// `1.23MB`, with the three digits that docker shows of images.
pub fn short_size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut units = ["B", "kB", "MB", "GB", "TB"].iter();
    let mut unit = units.next();
    while value >= 1000.0
        && let Some(larger) = units.next()
    {
        value /= 1000.0;
        unit = Some(larger);
    }
    let digits = match value {
        0.0..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    format!("{text}{}", unit.unwrap_or(&"TB"))
}

/// `1.23MiB`, binary units, as docker prints memory.
pub fn binary_size(bytes: u64) -> String {
    scaled(bytes, 1024.0, ["B", "KiB", "MiB", "GiB", "TiB"])
}

fn scaled(bytes: u64, base: f64, units: [&str; 5]) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= base && unit < units.len() - 1 {
        value /= base;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes}B")
    } else {
        format!("{value:.3}")
            .trim_end_matches('0')
            .trim_end_matches('.')
            .chars()
            .take(5)
            .collect::<String>()
            .trim_end_matches('.')
            .to_owned()
            + units[unit]
    }
}

/// `5 minutes`, as docker prints spans: hours are rounded, larger units are cut.
pub fn span(seconds: u64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match (seconds, minutes, hours) {
        (0, ..) => "Less than a second".into(),
        (1, ..) => "1 second".into(),
        (2..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".into(),
        (_, 2..60, _) => format!("{minutes} minutes"),
        (.., 1) => "About an hour".into(),
        (.., 2..48) => format!("{hours} hours"),
        (.., 48..336) => format!("{} days", hours / 24),
        (.., 336..1440) => format!("{} weeks", hours / 24 / 7),
        (.., 1440..17_520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (1234, "1.234kB"),
            (82_345_678, "82.34MB"),
            (1_000_000_000, "1GB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(binary_size(1_610_612_736), "1.5GiB");
        for (bytes, text) in [
            (0, "0B"),
            (5, "5B"),
            (999, "999B"),
            (1_982_259, "1.98MB"),
            (82_345_678, "82.3MB"),
            (240_000_000, "240MB"),
            (1_000_000_000, "1GB"),
        ] {
            assert_eq!(short_size(bytes), text);
        }
    }

    /// The boundaries of go-units' HumanDuration.
    #[test]
    fn spans() {
        const HOUR: u64 = 3600;
        const DAY: u64 = 24 * HOUR;
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (2, "2 seconds"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (HOUR - 1, "59 minutes"),
            (HOUR, "About an hour"),
            (HOUR + 1799, "About an hour"),
            (HOUR + 1800, "2 hours"),
            (47 * HOUR + 1799, "47 hours"),
            (47 * HOUR + 1800, "2 days"),
            (14 * DAY - 1801, "13 days"),
            (14 * DAY - 1800, "2 weeks"),
            (60 * DAY - 1801, "8 weeks"),
            (60 * DAY - 1800, "2 months"),
            (365 * DAY, "12 months"),
            (730 * DAY - 1801, "24 months"),
            // Docker's too: it rounds to find the unit and cuts to count.
            (730 * DAY - 1800, "1 years"),
            (730 * DAY, "2 years"),
            (1095 * DAY, "3 years"),
        ] {
            assert_eq!(span(seconds), text, "{seconds}");
        }
    }
}
