//! Whether services can be added to those that are there: ids, and the order in which they start.

use std::collections::{HashMap, HashSet};

use super::core::{Kinship, Policy};
use super::spec_error::{SpecError, SpecProblem, check_id};

/// The first thing that is wrong with `new`, as an addition to `old`.
pub(super) fn check<'a>(
    old: impl Iterator<Item = &'a Policy>,
    new: &'a [Policy],
) -> Result<(), SpecError> {
    let mut all: HashMap<&str, &Policy> = old.map(|policy| (&*policy.id, policy)).collect();
    for policy in new {
        let refused = |problem: SpecProblem| problem.of(&policy.id);
        check_id(&policy.id).map_err(refused)?;
        if all.insert(&policy.id, policy).is_some() {
            return Err(refused(SpecProblem::new(
                "id",
                "another service has this id",
            )));
        }
    }
    for policy in new {
        check_names(policy, &all).map_err(|problem| problem.of(&policy.id))?;
    }
    if let Some(circle) = circle(new, &all) {
        let first = circle.first().copied().unwrap_or_default();
        let problem = format!("a circle: {}", circle.join(" after "));
        return Err(SpecProblem::new("after", problem).of(first));
    }
    Ok(())
}

fn check_names(policy: &Policy, all: &HashMap<&str, &Policy>) -> Result<(), SpecProblem> {
    let after = policy.after.iter().map(|after| ("after", &after.id));
    let with = policy.with.iter().map(|id| ("with", id));
    for (field, id) in after.chain(with) {
        let problem = |text: String| Err(SpecProblem::new(field, text));
        let Some(other) = all.get(&**id) else {
            return problem(format!("no service has the id {id:?}"));
        };
        if other.id == policy.id {
            return problem("is the service itself".to_owned());
        }
        if matches!(other.kinship, Kinship::Keyed { .. }) {
            return problem(format!("{id:?} is keyed: it has any number of instances"));
        }
    }
    if policy.essential && policy.kinship != Kinship::Always {
        let problem = "a service on demand may end: its end is none of the whole";
        return Err(SpecProblem::new("essential", problem));
    }
    if matches!(policy.kinship, Kinship::Keyed { at_most: 0 }) {
        return Err(SpecProblem::new("at_most", "is 0"));
    }
    Ok(())
}

/// The ids on a way by `after` that comes back to its beginning. Each service is looked at once. Those that were there before are
/// in no circle, since they name none of the new ones.
fn circle<'a>(new: &'a [Policy], all: &HashMap<&str, &'a Policy>) -> Option<Vec<&'a str>> {
    let mut seen = HashSet::new();
    let mut on_the_way = HashSet::new();
    for start in new {
        if !seen.insert(&*start.id) {
            continue;
        }
        on_the_way.insert(&*start.id);
        let mut way: Vec<(&Policy, usize)> = vec![(start, 0)];
        while let Some((policy, next)) = way.last_mut() {
            let Some(after) = policy.after.get(*next) else {
                on_the_way.remove(&*policy.id);
                way.pop();
                continue;
            };
            *next += 1;
            if on_the_way.contains(&*after.id) {
                let ids = way.iter().map(|(policy, _)| &*policy.id);
                let circle = ids.skip_while(|id| **id != *after.id);
                return Some(circle.chain([&*after.id]).collect());
            }
            if seen.insert(&*after.id)
                && let Some(other) = all.get(&*after.id)
            {
                on_the_way.insert(&*after.id);
                way.push((other, 0));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
