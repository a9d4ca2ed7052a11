//! What is refused of services and the names they give, and in what time.

use std::time::{Duration, Instant};

use super::*;
use crate::monitor::core::Precondition;
use crate::monitor::restart::Restart;
use crate::monitor::service::When;

fn service(id: &str, after: &[&str], with: &[&str]) -> Policy {
    let condition = |id: &&str| Precondition {
        id: (*id).into(),
        when: When::Ready,
    };
    Policy {
        id: id.into(),
        kinship: Kinship::Always,
        restart: Restart::default(),
        launch_within: Duration::from_secs(1),
        idle_stop: Duration::from_secs(1),
        essential: false,
        after: after.iter().map(condition).collect(),
        with: with.iter().map(|id| (*id).into()).collect(),
    }
}

fn of(kinship: Kinship) -> Policy {
    Policy {
        kinship,
        ..service("a", &[], &[])
    }
}

#[track_caller]
fn refused(old: &[Policy], new: &[Policy], text: &str) {
    let error = check(old.iter(), new).unwrap_err();
    assert_eq!(error.to_string(), text);
}

#[test]
fn services_may_name_each_other_in_any_order_of_the_batch_and_those_that_are_there() {
    let old = [service("db", &[], &[])];
    let new = [
        service("web", &["api", "db"], &[]),
        service("api", &["db"], &["web"]),
        service("twice", &["db", "db"], &[]),
    ];
    check(old.iter(), &new).unwrap();
}

#[test]
fn an_id_that_nobody_has_is_refused() {
    let new = [service("a", &["b"], &[])];
    refused(&[], &new, "service `a`: after: no service has the id \"b\"");
    let new = [service("a", &[], &["b\n"])];
    refused(
        &[],
        &new,
        "service `a`: with: no service has the id \"b\\n\"",
    );
}

#[test]
fn an_id_that_another_service_has_is_refused() {
    let text = "service `a`: id: another service has this id";
    let a = || service("a", &[], &[]);
    refused(&[], &[a(), service("b", &[], &[]), a()], text);
    refused(&[a()], &[service("b", &[], &[]), a()], text);
}

#[test]
fn an_id_that_is_none_is_refused() {
    refused(&[], &[service("", &[], &[])], "service ``: id: is empty");
}

#[test]
fn a_service_does_not_name_itself() {
    let new = [service("a", &["a"], &[])];
    refused(&[], &new, "service `a`: after: is the service itself");
    let new = [service("a", &[], &["a"])];
    refused(&[], &new, "service `a`: with: is the service itself");
}

#[test]
fn a_circle_is_printed_without_the_way_to_it() {
    let new = [service("a", &["b"], &[]), service("b", &["a"], &[])];
    refused(&[], &new, "service `a`: after: a circle: a after b after a");
    let new = [
        service("to", &["c"], &[]),
        service("c", &["leaf", "d"], &[]),
        service("leaf", &[], &[]),
        service("d", &["e"], &[]),
        service("e", &["leaf", "c"], &[]),
    ];
    refused(
        &[],
        &new,
        "service `c`: after: a circle: c after d after e after c",
    );
}

#[test]
fn only_after_makes_a_circle() {
    // All for one, and one after the other that goes with it.
    let new = [
        service("a", &[], &["b"]),
        service("b", &["a"], &["a", "c"]),
        service("c", &["a", "b"], &["a"]),
    ];
    check([].iter(), &new).unwrap();
    // Two ways to the same one.
    let new = [
        service("a", &["b", "c"], &[]),
        service("b", &["d"], &[]),
        service("c", &["d"], &[]),
        service("d", &[], &[]),
    ];
    check([].iter(), &new).unwrap();
}

#[test]
fn a_keyed_service_is_no_dependency_and_has_room_for_one() {
    let lsp = of(Kinship::Keyed { at_most: 1 });
    let problem = "\"a\" is keyed: it has any number of instances";
    for (new, field) in [
        (service("b", &["a"], &[]), "after"),
        (service("b", &[], &["a"]), "with"),
    ] {
        let text = format!("service `b`: {field}: {problem}");
        refused(std::slice::from_ref(&lsp), &[new], &text);
    }
    let none = of(Kinship::Keyed { at_most: 0 });
    refused(&[], &[none], "service `a`: at_most: is 0");
}

#[test]
fn only_what_is_always_wanted_is_essential() {
    for kinship in [Kinship::OnDemand, Kinship::Keyed { at_most: 1 }] {
        let mut policy = of(kinship);
        policy.essential = true;
        let error = check([].iter(), &[policy]).unwrap_err();
        assert!(error.to_string().starts_with("service `a`: essential: "));
    }
}

#[test]
fn a_chain_or_a_circle_of_ten_thousand_is_checked_in_one_pass() {
    let began = Instant::now();
    let id = |n: usize| format!("s{n}");
    for backwards in [false, true] {
        let mut new: Vec<Policy> = (0..10_000)
            .map(|n| match n {
                0 => service(&id(n), &[], &[]),
                _ => service(&id(n), &[&id(n - 1)], &[]),
            })
            .collect();
        if backwards {
            new.reverse();
        }
        check([].iter(), &new).unwrap();
        let first = if backwards {
            new.last_mut()
        } else {
            new.first_mut()
        };
        let last = service("x", &["s9999"], &[]).after;
        first.unwrap().after = last;
        let error = check([].iter(), &new).unwrap_err();
        assert_eq!(error.to_string().matches(" after ").count(), 10_000);
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}
