//! A manual page.

use anyhow::Context as _;
use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

/// A manual page, below its name.
#[derive(Debug)]
pub struct Page {
    /// Its name, such as `dray-run`.
    pub name: String,
    /// Section of the manual.
    pub section: &'static str,
    /// One line.
    pub about: String,
    /// What follows, in this order.
    pub parts: Vec<Part>,
}

/// What stands under one heading.
#[derive(Debug)]
pub struct Part {
    /// The heading, in any case.
    pub title: String,
    /// One below the other.
    pub blocks: Vec<Block>,
}

/// A piece of a manual page.
#[derive(Debug)]
pub enum Block {
    /// A paragraph.
    Prose(String),
    /// Lines that stay as they are.
    Lines(Vec<String>),
    /// Terms, each with what it means.
    Terms(Vec<(String, String)>),
    /// A heading below that of the part.
    Heading(String),
    /// The options of this command that have this heading, and without one its arguments too.
    Options(Box<Command>, Option<&'static str>),
}

impl Part {
    /// One with a single block.
    pub fn new(title: &str, block: Block) -> Part {
        Part {
            title: title.to_owned(),
            blocks: vec![block],
        }
    }

    /// One that is left out.
    pub fn none(title: &str) -> Part {
        Part {
            title: title.to_owned(),
            blocks: Vec::new(),
        }
    }
}

impl Page {
    /// Where it goes, and its text.
    pub fn file(&self) -> anyhow::Result<super::File> {
        let Page { name, section, .. } = self;
        let title = name.to_uppercase();
        let version = env!("CARGO_PKG_VERSION");
        // Without a date, which would be another one each time.
        let mut text = format!(".TH {title} {section} \"\" \"dray {version}\" dray\n");
        let mut roff = Roff::new();
        // Names of pages and options are not to be torn apart.
        roff.control("nh", []);
        roff.control("ad", ["l"]);
        roff.control("SH", ["NAME"]);
        roff.text([roman(format!("{name} - {}", self.about))]);
        for part in self.parts.iter().filter(|part| !part.blocks.is_empty()) {
            roff.control("SH", [part.title.to_uppercase().as_str()]);
            let mut is_first = true;
            for block in &part.blocks {
                match block {
                    Block::Options(command, heading) => {
                        text += &body(&std::mem::take(&mut roff));
                        text += &options(command, *heading)
                            .with_context(|| format!("the options of {name}"))?;
                    }
                    block => simple(&mut roff, block, is_first),
                }
                is_first = matches!(block, Block::Heading(_));
            }
        }
        text += &body(&roff);
        let file = format!("{}{}", preamble(), portable(&text));
        Ok((format!("man{section}/{name}.{section}"), file.into_bytes()))
    }
}

/// A page that is another one under a further name.
pub fn link(name: &str, page: &str) -> super::File {
    let text = format!(".so man1/{page}.1\n");
    (format!("man1/{name}.1"), text.into_bytes())
}

fn simple(roff: &mut Roff, block: &Block, is_first: bool) {
    if !is_first && matches!(block, Block::Prose(_) | Block::Lines(_)) {
        roff.control("PP", []);
    }
    match block {
        Block::Prose(text) => {
            roff.text(marked(text));
        }
        Block::Lines(lines) => {
            roff.control("nf", []);
            for line in lines {
                roff.text([roman(line.as_str())]);
            }
            roff.control("fi", []);
        }
        Block::Terms(terms) => {
            for (term, meaning) in terms {
                roff.control("TP", []);
                roff.text([bold(term.as_str())]);
                roff.text(marked(meaning));
            }
        }
        Block::Heading(heading) => {
            // As a line of its own, which may have any signs in it.
            roff.control("SS", []);
            roff.text([roman(heading.as_str())]);
        }
        Block::Options(..) => {}
    }
}

/// What stands between backticks in bold.
fn marked(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate();
    let parts = parts.filter(|(_, part)| !part.is_empty());
    parts
        .map(|(at, part)| match at % 2 {
            0 => roman(part),
            _ => bold(part),
        })
        .collect()
}

fn options(command: &Command, heading: Option<&str>) -> anyhow::Result<String> {
    // An argument of which nothing is said stands in the synopsis.
    let said = command
        .get_arguments()
        .filter(|arg| !arg.is_positional() || arg.get_help().is_some());
    let own = said.filter(|arg| arg.get_help_heading() == heading);
    // Theirs is the heading, which would be a section there.
    let own = own.cloned().map(|arg| values(arg).help_heading(None));
    let bare = Command::new("options")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(own);
    let mut text = Vec::new();
    Man::new(bare).render_options_section(&mut text)?;
    let text = String::from_utf8(text)?;
    let (_, list) = text
        .split_once(".SH OPTIONS\n")
        .with_context(|| format!("clap_mangen wrote no section of options: {text:?}"))?;
    Ok(list.to_owned())
}

/// The values that an option may have as a part of what is said of it, and not as a list of their own.
fn values(arg: Arg) -> Arg {
    let values = arg.get_possible_values();
    if values.is_empty() || arg.is_hide_possible_values_set() {
        return arg;
    }
    let values = values.iter().map(|value| match value.get_help() {
        Some(help) => format!("{} ({help})", value.get_name()),
        None => value.get_name().to_owned(),
    });
    let values: Vec<String> = values.collect();
    let help = arg.get_help().map(ToString::to_string);
    let help = help.unwrap_or_default();
    arg.hide_possible_values(true)
        .help(format!("{help}: {}", values.join(", ")))
}

/// Begins a page: how apostrophes are written.
fn preamble() -> String {
    Roff::new().render()
}

fn body(roff: &Roff) -> String {
    let text = roff.render();
    let preamble = preamble();
    text.strip_prefix(&preamble).unwrap_or(&text).to_owned()
}

/// As every roff shows it, whatever it takes its input for: accents of ASCII are those of typesetting otherwise.
fn portable(text: &str) -> String {
    let mut portable = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '`' => portable.push_str("\\(ga"),
            '^' => portable.push_str("\\(ha"),
            '~' => portable.push_str("\\(ti"),
            ascii if ascii.is_ascii() => portable.push(ascii),
            other => portable.push_str(&format!("\\[u{:04X}]", u32::from(other))),
        }
    }
    portable
}
