//! Networks as docker shows them: those that were made, and those that are always there.

use dray::engine::Engine;
use dray::engine::network::defined::Definition;
use dray::engine::network::{DEFAULT, id_of_built_in};

/// What there is without having been made, and its driver.
const ALWAYS: [(&str, &str); 3] = [(DEFAULT, DEFAULT), ("host", "host"), ("none", "null")];

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
    /// One that is always there.
    fn built_in(name: &str, driver: &'static str) -> Shown {
        Shown {
            name: name.to_owned(),
            id: id_of_built_in(name),
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
    let made = engine.network().defined().list()?;
    let mut all: Vec<Shown> = made.into_iter().map(Shown::defined).collect();
    for (name, driver) in ALWAYS {
        let place = all.partition_point(|other| *other.name < *name);
        all.insert(place, Shown::built_in(name, driver));
    }
    Ok(all)
}

/// The one of this name or id.
pub fn find(engine: &Engine, word: &str) -> anyhow::Result<Shown> {
    let name = if word == "default" { DEFAULT } else { word };
    if let Some((name, driver)) = ALWAYS.iter().find(|(known, _)| *known == name) {
        return Ok(Shown::built_in(name, driver));
    }
    Ok(Shown::defined(engine.network().defined().find(word)?))
}
