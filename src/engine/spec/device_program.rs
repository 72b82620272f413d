//! The device rules of a runtime configuration as a program for unified control groups.

use serde_json::Value;

use crate::sys::bpf::{Instruction as I, Register as R};

/// What the kernel asks about: permission bits above, kind of device below.
const ACCESS_AND_KIND: i16 = 0;
const MAJOR: i16 = 4;
const MINOR: i16 = 8;

/// Kinds of devices.
const BLOCK: i32 = 1;
const CHAR: i32 = 2;

/// Permission bits.
const ALL: i32 = 7;

/// What every container may do beyond its rules, as on version 1: make any node, and open the nodes that the runtime makes
/// (kind, major, minor; `None` is any).
const ALWAYS: [(i32, Option<i32>, Option<i32>, i32); 6] = [
    (CHAR, None, None, 1),
    (BLOCK, None, None, 1),
    (CHAR, Some(1), Some(7), ALL),    // full
    (CHAR, Some(136), None, ALL),     // terminals
    (CHAR, Some(5), Some(2), ALL),    // ptmx
    (CHAR, Some(10), Some(200), ALL), // net/tun
];

struct Rule {
    allow: bool,
    kind: Option<i32>,
    major: Option<i32>,
    minor: Option<i32>,
    access: i32,
}

/// The program for `linux.resources.devices` of `config`; `None` if the rules let everything through.
pub fn device_program(config: &Value) -> Option<Vec<I>> {
    let listed = config["linux"]["resources"]["devices"].as_array();
    let mut rules: Vec<Rule> = listed.into_iter().flatten().map(rule).collect();
    if rules
        .last()
        .is_none_or(|last| last.allow && last.is_for_all())
    {
        return None;
    }
    rules.extend(ALWAYS.map(|(kind, major, minor, access)| Rule {
        allow: true,
        kind: Some(kind),
        major,
        minor,
        access,
    }));
    let mut program = vec![
        I::load(R::A, ACCESS_AND_KIND),
        I::load(R::C, MAJOR),
        I::load(R::D, MINOR),
        I::copy(R::B, R::A),
        I::and(R::A, 0xffff),
        I::shift_right(R::B, 16),
    ];
    // Later rules overrule earlier ones, so the last one that applies answers.
    for rule in rules.iter().rev() {
        program.extend(compiled(rule));
        if rule.is_for_all() {
            // The kernel refuses a program with instructions that are never reached.
            return Some(program);
        }
    }
    program.extend([I::set(R::Answer, 0), I::exit()]);
    Some(program)
}

impl Rule {
    /// Whatever is asked, this rule answers.
    fn is_for_all(&self) -> bool {
        self.kind.is_none() && self.major.is_none() && self.minor.is_none() && self.access == ALL
    }
}

fn rule(value: &Value) -> Rule {
    let number = |key: &str| {
        value[key]
            .as_i64()
            .and_then(|n| i32::try_from(n).ok())
            .filter(|n| *n >= 0)
    };
    let access = value["access"].as_str().unwrap_or("rwm");
    let bit = |letter: char, bit: i32| if access.contains(letter) { bit } else { 0 };
    Rule {
        allow: value["allow"] == true,
        kind: match value["type"].as_str() {
            Some("b") => Some(BLOCK),
            Some("c") => Some(CHAR),
            _ => None,
        },
        major: number("major"),
        minor: number("minor"),
        access: bit('m', 1) | bit('r', 2) | bit('w', 4),
    }
}

/// Tests, each of which skips to the end of the rule, then the answer.
fn compiled(rule: &Rule) -> Vec<I> {
    let mut tests: Vec<Vec<I>> = Vec::new();
    for (register, wanted) in [(R::A, rule.kind), (R::C, rule.major), (R::D, rule.minor)] {
        tests.extend(wanted.map(|value| vec![I::skip_unless(register, value)]));
    }
    let asked = [I::copy(R::Context, R::B), I::and(R::Context, rule.access)];
    match rule.allow {
        _ if rule.access == ALL => {}
        // Everything that is asked for has to be allowed,
        true => tests.push(vec![
            asked[0],
            asked[1],
            I::skip_unless_equal(R::Context, R::B),
        ]),
        // while anything that is denied is enough.
        false => tests.push(vec![asked[0], asked[1], I::skip_if(R::Context, 0)]),
    }
    let mut rest: i16 = 2;
    let mut program = vec![I::exit(), I::set(R::Answer, rule.allow.into())];
    for mut test in tests.into_iter().rev() {
        if let Some(jump) = test.last_mut() {
            *jump = jump.skipping(rest);
        }
        rest += test.len() as i16;
        program.extend(test.into_iter().rev());
    }
    program.reverse();
    program
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Runs a program as the kernel would, on a question: kind, major, minor, access.
    fn answer(program: &[I], question: (i32, i32, i32, i32)) -> bool {
        let (kind, major, minor, access) = question;
        let context = [access << 16 | kind, major, minor];
        let mut registers = [0i64; 6];
        let mut next = 0;
        // A program that ends executes each instruction at most once: it only jumps forward.
        for _ in 0..program.len() {
            let (code, to, from, offset, immediate) = program[next].parts();
            next += 1;
            let value = i64::from(immediate);
            match code {
                0x61 => registers[to] = context[usize::from(offset.unsigned_abs()) / 4].into(),
                0xbf => registers[to] = registers[from],
                0xb7 => registers[to] = value,
                0x57 => registers[to] &= value,
                0x77 => registers[to] >>= value,
                0x55 if registers[to] != value => next += usize::from(offset.unsigned_abs()),
                0x15 if registers[to] == value => next += usize::from(offset.unsigned_abs()),
                0x5d if registers[to] != registers[from] => {
                    next += usize::from(offset.unsigned_abs())
                }
                0x55 | 0x15 | 0x5d => {}
                0x95 => return registers[0] == 1,
                other => panic!("unknown instruction {other:#x}"),
            }
        }
        panic!("the program does not end");
    }

    #[test]
    fn decides_as_version_1_would() {
        let config = json!({ "linux": { "resources": { "devices": [
            { "allow": false, "access": "rwm" },
            { "allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm" },
            { "allow": true, "type": "c", "major": 188, "access": "rw" },
            { "allow": true, "type": "b", "major": 8, "minor": 1, "access": "r" },
            { "allow": false, "type": "c", "major": 188, "minor": 9, "access": "w" },
        ] } } });
        let program = device_program(&config).unwrap();
        let (m, r, w) = (1, 2, 4);
        for (question, expected) in [
            ((CHAR, 1, 3, r | w), true),
            ((BLOCK, 1, 3, r), false),
            ((CHAR, 188, 0, r | w), true),
            ((CHAR, 188, 9, r), true),
            ((CHAR, 188, 9, r | w), false),
            ((BLOCK, 8, 1, r), true),
            ((BLOCK, 8, 1, w), false),
            ((BLOCK, 8, 1, r | w), false),
            ((BLOCK, 8, 2, r), false),
            ((BLOCK, 8, 2, m), true),
            ((CHAR, 136, 5, r | w), true),
            ((CHAR, 10, 200, r | w), true),
            ((CHAR, 10, 229, r), false),
        ] {
            assert_eq!(answer(&program, question), expected, "{question:?}");
        }
    }

    #[test]
    fn is_not_needed_where_everything_is_allowed() {
        let config = json!({ "linux": { "resources": { "devices": [{ "allow": true, "access": "rwm" }] } } });
        assert_eq!(device_program(&config), None);
        assert_eq!(device_program(&json!({})), None);
    }
}
