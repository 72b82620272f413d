//! Networks as docker shows them: those that were made, and those that are always there.

use dray::engine::Engine;
use dray::engine::network::defined::Definition;
use dray::engine::network::{DEFAULT, is_bridge};

/// What there is besides bridges.
const WITHOUT_BRIDGE: [(&str, &str); 2] = [("host", "host"), ("none", "null")];

/// One network.
#[derive(Debug)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// 64 hexadecimal digits.
    pub id: String,
    /// `bridge`, `host` or `null`.
    pub driver: &'static str,
    /// How it was made; absent for one that is always there.
    pub definition: Option<Definition>,
}

impl Shown {
    /// One that is always there has its name as its id, written as hexadecimal digits.
    fn built_in(name: &str, driver: &'static str) -> Shown {
        let digits: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
        Shown {
            name: name.to_owned(),
            id: format!("{digits:0<64}"),
            driver,
            definition: None,
        }
    }

    fn defined(definition: Definition) -> Shown {
        Shown {
            name: definition.name.clone(),
            id: definition.id.clone(),
            driver: DEFAULT,
            definition: Some(definition),
        }
    }

    /// As lists show it.
    pub fn short_id(&self) -> &str {
        &self.id[..12]
    }
}

/// Every network, by name.
pub fn all(engine: &Engine) -> anyhow::Result<Vec<Shown>> {
    let mut all = vec![Shown::built_in(DEFAULT, DEFAULT)];
    all.extend(WITHOUT_BRIDGE.map(|(name, driver)| Shown::built_in(name, driver)));
    all.extend(
        engine
            .network()
            .defined()
            .list()?
            .into_iter()
            .map(Shown::defined),
    );
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// The one of this name or id.
pub fn find(engine: &Engine, word: &str) -> anyhow::Result<Shown> {
    if is_bridge(word) && !word.is_empty() {
        return Ok(Shown::built_in(DEFAULT, DEFAULT));
    }
    if let Some((name, driver)) = WITHOUT_BRIDGE.iter().find(|(name, _)| *name == word) {
        return Ok(Shown::built_in(name, driver));
    }
    Ok(Shown::defined(engine.network().defined().find(word)?))
}
