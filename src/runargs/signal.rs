//! Signals by name or number, as Docker's daemon reads them.

/// Linux's signals by name, without `SIG`; the same numbers on all machines that dray is built for.
const NAMES: [(&str, i32); 36] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
    ("RTMIN", RTMIN),
    ("RTMAX", RTMAX),
];

/// First and last real-time signal of programs (the C library keeps two below for itself).
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// `TERM`, `SIGTERM`, `sigterm`, `15`, `RTMIN+3`, `RTMAX-2`; `None` if there is no such signal.
pub fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return Some(number).filter(|number| (1..=RTMAX).contains(number));
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some(*number);
    }
    let offset = |digits: &str| digits.parse::<i32>().ok().filter(|n| (1..=15).contains(n));
    if let Some(digits) = name.strip_prefix("RTMIN+") {
        return offset(digits).map(|n| RTMIN + n);
    }
    // The two halves meet between RTMIN+15 and RTMAX-14.
    let digits = name.strip_prefix("RTMAX-")?;
    offset(digits).filter(|n| *n < 15).map(|n| RTMAX - n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_numbers() {
        for (text, expected) in [
            ("TERM", Some(15)),
            ("SIGTERM", Some(15)),
            ("sigusr1", Some(10)),
            ("9", Some(9)),
            ("64", Some(64)),
            ("RTMIN", Some(34)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMIN+15", Some(49)),
            ("RTMAX-14", Some(50)),
            ("RTMAX-2", Some(62)),
            ("0", None),
            ("65", None),
            ("-9", None),
            ("SIGSIGTERM", None),
            ("NOPE", None),
            ("RTMIN+16", None),
            ("RTMAX-15", None),
            ("", None),
            ("RTMIN+0", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }
}
