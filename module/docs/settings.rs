//! The page of `dray.ini`, out of the file that is installed, which its own test compares with the parser.

use anyhow::bail;

use crate::File;
use crate::page::{Block, Page, Part};

const SHIPPED: &str = include_str!("../dist/dray.ini");

/// The page.
pub fn page() -> anyhow::Result<File> {
    let mut parts = Vec::new();
    let mut blocks = Vec::new();
    let mut said = Vec::new();
    for line in SHIPPED.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            said.push(comment);
        } else if let Some(section) = line.strip_prefix("#[") {
            blocks.push(Block::Heading(format!("[{section}")));
            explain(&mut blocks, &mut said);
        } else if let Some(key) = line.strip_prefix('#') {
            let meaning = said.join(" ");
            said.clear();
            blocks.push(Block::Terms(vec![(key.to_owned(), meaning)]));
        } else if !line.is_empty() {
            bail!("dray.ini sets something: {line:?}");
        } else if parts.is_empty() {
            let mut head = vec![Block::Prose(
                "/etc/dray/dray.ini, or the file that $DRAY_CONFIG names.".to_owned(),
            )];
            explain(&mut head, &mut said);
            parts.push(Part {
                title: "Description".to_owned(),
                blocks: head,
            });
        }
    }
    parts.push(Part {
        title: "Settings".to_owned(),
        blocks,
    });
    parts.push(Part::new(
        "See also",
        Block::Prose("`dray`(1), `docker-artifact-gen`(1)".to_owned()),
    ));
    let page = Page {
        name: "dray.ini".to_owned(),
        section: "5",
        about: "settings of dray".to_owned(),
        parts,
    };
    page.file()
}

/// What was said so far as a paragraph.
fn explain(blocks: &mut Vec<Block>, said: &mut Vec<&str>) {
    if !said.is_empty() {
        blocks.push(Block::Prose(said.join(" ")));
        said.clear();
    }
}
