use super::super::journal::{Generation, Health, Service};
use super::*;
use crate::oci::Digest;

fn generation(number: u64, services: &[(&str, Option<&str>)]) -> Generation {
    Generation {
        number,
        artifact: format!("release-{number}"),
        request: None,
        health: Health {
            timeout_s: 120,
            stable_s: 10,
        },
        services: services
            .iter()
            .map(|(id, name)| Service {
                container: (*id).to_owned(),
                name: name.map(str::to_owned),
                image: "docker.io/library/web:1".to_owned(),
                digest: Digest::of(b"web"),
            })
            .collect(),
    }
}

/// A scope's containers and what the engine would do to them; refuses what the engine refuses.
#[derive(Debug, Clone, PartialEq)]
struct Model(Vec<Present>);

impl Model {
    fn new(rows: &[(&str, u64, &str, bool)]) -> Model {
        Model(
            rows.iter()
                .map(|(id, generation, name, running)| Present {
                    id: (*id).to_owned(),
                    generation: *generation,
                    name: (*name).to_owned(),
                    running: *running,
                })
                .collect(),
        )
    }

    fn at(&mut self, id: &str) -> &mut Present {
        self.0.iter_mut().find(|p| p.id == id).unwrap()
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Prepare(ids) => ids
                .iter()
                .for_each(|id| assert!(!self.at(id).running, "{id} runs already")),
            Step::Rename { id, to } => {
                assert!(self.0.iter().all(|p| p.name != *to), "name {to} is taken");
                self.at(id).name = to.clone();
            }
            Step::Stop(ids) => ids.iter().for_each(|id| self.at(id).running = false),
            Step::Replace { old, new } => {
                old.iter().for_each(|id| self.at(id).running = false);
                for id in new {
                    assert!(!self.at(id).running, "{id} runs already");
                    self.at(id).running = true;
                }
            }
            Step::Remove(id) => {
                assert!(!self.at(id).running, "{id} runs");
                self.0.retain(|p| p.id != *id);
            }
        }
    }

    fn after(&self, steps: &[Step]) -> Model {
        let mut model = self.clone();
        steps.iter().for_each(|step| model.apply(step));
        model
    }
}

/// The steps with every point at which a cut can come between them: a replacement that has only stopped, or has started
/// only some, is such a point too.
fn cut_points(steps: &[Step]) -> Vec<Step> {
    steps
        .iter()
        .flat_map(|step| match step {
            Step::Replace { old, new } => {
                let stop = old.iter().map(|id| Step::Stop(vec![id.clone()]));
                let start = new.iter().map(|id| Step::Replace {
                    old: Vec::new(),
                    new: vec![id.clone()],
                });
                stop.chain(start).collect()
            }
            step => vec![step.clone()],
        })
        .collect()
}

/// Committed, candidate and present containers of the cases below.
fn cases() -> Vec<(&'static str, Option<Generation>, Generation, Model)> {
    vec![
        (
            "first install",
            None,
            generation(1, &[("a1", Some("web")), ("b1", None)]),
            Model::new(&[("a1", 1, "web.g1", false), ("b1", 1, "brave_hare", false)]),
        ),
        (
            "same name again",
            Some(generation(1, &[("a1", Some("web"))])),
            generation(2, &[("a2", Some("web"))]),
            Model::new(&[("a1", 1, "web", true), ("a2", 2, "web.g2", false)]),
        ),
        (
            "another set of services",
            Some(generation(1, &[("a1", Some("web")), ("b1", Some("db"))])),
            generation(
                2,
                &[("b2", Some("db")), ("c2", Some("cache")), ("d2", None)],
            ),
            Model::new(&[
                ("a1", 1, "web", true),
                ("b1", 1, "db", true),
                ("b2", 2, "db.g2", false),
                ("c2", 2, "cache.g2", false),
                ("d2", 2, "calm_fox", false),
            ]),
        ),
        (
            "a trial in between that nobody committed",
            Some(generation(1, &[("a1", Some("web"))])),
            generation(3, &[("a3", Some("web"))]),
            Model::new(&[
                ("a1", 1, "web.g1", false),
                ("a2", 2, "web", true),
                ("a3", 3, "web.g3", false),
            ]),
        ),
        (
            "one of two committed containers is down",
            Some(generation(1, &[("a1", Some("web")), ("b1", Some("db"))])),
            generation(2, &[("a2", Some("web")), ("b2", Some("db"))]),
            Model::new(&[
                ("a1", 1, "web", true),
                ("b1", 1, "db", false),
                ("a2", 2, "web.g2", false),
                ("b2", 2, "db.g2", false),
            ]),
        ),
    ]
}

fn running(model: &Model) -> Vec<(&str, &str)> {
    model
        .0
        .iter()
        .filter(|p| p.running)
        .map(|p| (p.id.as_str(), p.name.as_str()))
        .collect()
}

fn wanted(target: Option<&Generation>, model: &Model) -> Vec<(String, String)> {
    let Some(target) = target else {
        return Vec::new();
    };
    target
        .services
        .iter()
        .map(|s| {
            let as_created = || {
                model
                    .0
                    .iter()
                    .find(|p| p.id == s.container)
                    .unwrap()
                    .name
                    .clone()
            };
            (
                s.container.clone(),
                s.name.clone().unwrap_or_else(as_created),
            )
        })
        .collect()
}

fn owned(pairs: Vec<(&str, &str)>) -> Vec<(String, String)> {
    pairs
        .into_iter()
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .collect()
}

#[test]
fn a_switch_prepares_before_it_stops_and_moves_names_before_the_gap() {
    let (_, _, candidate, model) = cases().remove(1);
    let ids = |id: &str| vec![id.to_owned()];
    let rename = |id: &str, to: &str| Step::Rename {
        id: id.to_owned(),
        to: to.to_owned(),
    };
    assert_eq!(
        switch(&model.0, &candidate),
        [
            Step::Prepare(ids("a2")),
            rename("a1", "web.g1"),
            rename("a2", "web"),
            Step::Replace {
                old: ids("a1"),
                new: ids("a2")
            },
        ]
    );
}

#[test]
fn a_switch_ends_with_exactly_the_candidate_running_under_its_names() {
    for (case, _, candidate, model) in cases() {
        let after = model.after(&switch(&model.0, &candidate));
        assert_eq!(
            owned(running(&after)),
            wanted(Some(&candidate), &after),
            "{case}"
        );
        assert_eq!(
            after.0.len(),
            model.0.len(),
            "{case}: a switch removes nothing"
        );
    }
}

#[test]
fn after_a_cut_at_any_step_a_switch_can_be_made_again_or_undone() {
    for (case, committed, candidate, model) in cases() {
        let steps = cut_points(&switch(&model.0, &candidate));
        for cut in 0..=steps.len() {
            let torn = model.after(&steps[..cut]);

            let again = torn.after(&switch(&torn.0, &candidate));
            assert_eq!(
                owned(running(&again)),
                wanted(Some(&candidate), &again),
                "{case}, cut {cut}, again"
            );

            let undo = cut_points(&restore(&torn.0, committed.as_ref()));
            for second in 0..=undo.len() {
                let twice = torn.after(&undo[..second]);
                let back = twice.after(&restore(&twice.0, committed.as_ref()));
                let target = committed.as_ref();
                assert_eq!(
                    owned(running(&back)),
                    wanted(target, &back),
                    "{case}, cut {cut}, rollback cut {second}"
                );
                let left = target.map_or(0, |t| t.services.len());
                assert_eq!(
                    back.0.len(),
                    left,
                    "{case}, cut {cut}, rollback cut {second}: leftovers"
                );
            }
        }
    }
}

#[test]
fn restoring_what_runs_already_changes_nothing() {
    for (case, _, candidate, model) in cases() {
        let mut after = model.after(&switch(&model.0, &candidate));
        after.0.retain(|p| p.generation == candidate.number);
        assert_eq!(restore(&after.0, Some(&candidate)), [], "{case}");
    }
}

#[test]
fn discard_takes_only_generations_that_are_not_kept() {
    let model = Model::new(&[
        ("a1", 1, "web.g1", false),
        ("a2", 2, "web", true),
        ("a3", 3, "web.g3", false),
        ("b3", 3, "db.g3", true),
    ]);
    assert_eq!(
        discard(&model.0, &[1, 2]),
        [
            Step::Stop(vec!["b3".to_owned()]),
            Step::Remove("a3".to_owned()),
            Step::Remove("b3".to_owned()),
        ]
    );
    assert_eq!(discard(&model.0, &[1, 2, 3]), []);
}
