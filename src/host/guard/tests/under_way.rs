//! Starts of which the guard knows only that they are under way.

use super::{FAMILY, Family, all_gone, guard, guard_gone, in_a_system, members};
use crate::Command;

fn family() -> Command {
    Command::new("/bin/sh").args(["-c", FAMILY])
}

#[test]
fn what_a_start_that_is_under_way_has_started_is_killed_and_nobody_else() {
    in_a_system(async {
        let (guard, _told, pid) = guard().await;
        let mut families = Vec::new();
        for generation in 0..4 {
            let (name, value) = guard.announce(generation);
            guard.tell();
            families.push(Family::of(family().env(name, value)).await);
        }
        let plain = Family::spawn().await;
        // One that came and is listed, and one whose start is over.
        guard.add(2, &families[2].process);
        guard.remove(3);
        drop(guard);
        guard_gone(pid).await;
        for family in &families[..3] {
            all_gone(family.group).await;
        }
        assert_eq!(families[3].members(), 2);
        assert_eq!(plain.members(), 2);
    });
}

#[test]
fn a_descendant_in_a_session_of_its_own_is_found_by_the_mark() {
    in_a_system(async {
        let (guard, _told, pid) = guard().await;
        let (name, value) = guard.announce(7);
        guard.tell();
        let script = "setsid sh -c 'sleep 300 & echo $$; wait'";
        let command = Command::new("/bin/sh").args(["-c", script]);
        let command = command.env(name, value);
        let mut output = command.open().await.unwrap().detach();
        let session = output.stdout.find("\n", super::DEADLINE).await.unwrap();
        let session: i32 = String::from_utf8(session.to_vec())
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(members(session), 2);
        drop(guard);
        guard_gone(pid).await;
        all_gone(session).await;
    });
}
