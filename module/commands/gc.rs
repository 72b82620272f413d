//! `dray gc`: removes what nobody needs.

use std::process::ExitCode;

use clap::Args;
use dray::images::Collected;
use serde_json::json;

use super::images::warn_of_damage;
use super::{Context, Format, table};

#[derive(Debug, Args)]
pub struct Words {
    /// Only say what would be removed
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// `dray gc`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let engine = context.engine()?;
    let collected = match warn_of_damage(&engine)? {
        // What it is about may be all that keeps an image.
        true => {
            eprintln!("dray: warning: nothing is removed until that is put right");
            Collected::default()
        }
        false if words.dry_run => engine.images().collectable(&engine.layers_in_use()?)?,
        false => engine.images().collect(&engine.layers_in_use()?)?,
    };
    if words.format == Format::Json {
        let object = json!({
            "Layers": collected.layers, "Damaged": collected.damaged, "Blobs": collected.blobs,
            "Partial": collected.partial, "Bytes": collected.bytes,
        });
        println!("{object}");
    } else {
        let verb = if words.dry_run {
            "would remove"
        } else {
            "removed"
        };
        for (what, all) in [
            ("layer", &collected.layers),
            ("replaced damaged layer", &collected.damaged),
            ("blob", &collected.blobs),
            ("partial download", &collected.partial),
        ] {
            all.iter()
                .for_each(|digest| println!("{verb} {what} {digest}"));
        }
        let what = if words.dry_run {
            "reclaimable"
        } else {
            "reclaimed"
        };
        println!("Total {what} space: {}", table::size(collected.bytes));
    }
    Ok(ExitCode::SUCCESS)
}
