//! Start order: each service after those it depends on; pure.

use std::collections::BTreeSet;

use super::{PayloadError, Service};

/// Puts each service after its dependencies and otherwise keeps the artifact's order.
///
/// Refuses duplicate names, dependencies that do not exist, and cycles.
pub(super) fn by_dependency(services: Vec<Service>) -> Result<Vec<Service>, PayloadError> {
    check_names(&services)?;
    let mut waiting = services;
    let mut ordered: Vec<Service> = Vec::with_capacity(waiting.len());
    let mut up: BTreeSet<String> = BTreeSet::new();
    while !waiting.is_empty() {
        let ready = |s: &Service| s.depends_on.iter().all(|name| up.contains(name));
        let Some(next) = waiting.iter().position(ready) else {
            return Err(cycle(&waiting));
        };
        let service = waiting.remove(next);
        up.extend(service.name.clone());
        ordered.push(service);
    }
    Ok(ordered)
}

fn check_names(services: &[Service]) -> Result<(), PayloadError> {
    let refuse = |index: usize, field: &str, problem: String| {
        let key = format!("dray.services[{index}].{field}");
        Err(PayloadError::Value { key, problem })
    };
    for (index, service) in services.iter().enumerate() {
        if let Some(name) = &service.name
            && services[..index]
                .iter()
                .any(|s| s.name.as_ref() == Some(name))
        {
            return refuse(index, "name", format!("{name:?} is used twice"));
        }
        for wanted in &service.depends_on {
            if !services.iter().any(|s| s.name.as_ref() == Some(wanted)) {
                let wanted: String = wanted.chars().take(super::MAX_NAME).collect();
                return refuse(
                    index,
                    "depends_on",
                    format!("there is no service {wanted:?}"),
                );
            }
        }
    }
    Ok(())
}

fn cycle(waiting: &[Service]) -> PayloadError {
    let names: Vec<&str> = waiting.iter().filter_map(|s| s.name.as_deref()).collect();
    PayloadError::Value {
        key: "dray.services".to_owned(),
        problem: format!(
            "services depend on each other in a circle: {}",
            names.join(", ")
        ),
    }
}
