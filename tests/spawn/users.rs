//! Whose groups a child has, by passwd and group files that the test makes: in a mount namespace of
//! its own, as root.

use crate::common;

use std::fs;

use actix_process::Command;
use common::mounts::isolated_with_mounts;
use common::report::{status, told};
use common::run;
use nix::mount::{MsFlags, mount};

/// The user has a group by passwd, and two that only the group file knows; root has one more, too.
const PASSWD: &str = "root:x:0:0::/:/bin/sh\nimogen:x:4242:4300::/:/bin/sh\n";
const GROUP: &str = "\
root:x:0:
imogen:x:4300:
carpenters:x:4301:somebody,imogen
sailors:x:4302:imogen
wardens:x:4310:root
";

/// The groups of this process itself, which no child with another identity may keep.
const OURS: [u32; 2] = [51, 52];

/// Runs `test` where those files are in force.
fn with_users<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    isolated_with_mounts(|| {
        let nothing = None::<&str>;
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in [("passwd", PASSWD), ("group", GROUP)] {
            let made = dir.path().join(file);
            fs::write(&made, text).unwrap();
            let place = format!("/etc/{file}");
            mount(Some(&made), &*place, nothing, MsFlags::MS_BIND, nothing).unwrap();
        }
        nix::unistd::setgroups(&OURS.map(nix::unistd::Gid::from_raw)).unwrap();
        run(test());
        assert_eq!(
            groups(&fs::read_to_string("/proc/self/status").unwrap()),
            OURS
        );
    });
}

fn groups(status: &str) -> Vec<u32> {
    let line = status.lines().find_map(|l| l.strip_prefix("Groups:"));
    let numbers = line.unwrap().split_whitespace();
    numbers.map(|number| number.parse().unwrap()).collect()
}

/// Holds the uid, the gid and the groups of a child against these.
async fn assert_is(child: Command, (uid, gid): (u32, u32), groups: &str) {
    for (key, id) in [("Uid:", uid), ("Gid:", gid)] {
        assert_eq!(
            told(child.clone(), key).await,
            format!("{id} {id} {id} {id}")
        );
    }
    assert_eq!(told(child, "Groups:").await, groups);
}

#[test]
fn a_user_brings_all_groups_of_the_group_file() {
    with_users(|| async {
        let all = "4300 4301 4302";
        assert_is(status().user("imogen"), (4242, 4300), all).await;
        assert_is(status().uid(4242), (4242, 4300), all).await;
    });
}

#[test]
fn another_group_for_a_user_replaces_the_one_of_passwd() {
    with_users(|| async {
        let child = status().user("imogen").gid(7);
        assert_is(child, (4242, 7), "7 4301 4302").await;
    });
}

#[test]
fn a_list_of_groups_replaces_those_of_the_group_file() {
    with_users(|| async {
        let child = || status().user("imogen");
        assert_is(child().groups([9, 8]), (4242, 4300), "8 9").await;
        assert_is(child().groups([]), (4242, 4300), "").await;
    });
}

#[test]
fn a_group_alone_does_not_keep_the_parents_groups() {
    with_users(|| async {
        assert_is(status().gid(7), (0, 7), "7 4310").await;
    });
}

#[test]
fn groups_can_be_given_up_without_another_user() {
    with_users(|| async {
        assert_is(status().groups([]), (0, 0), "").await;
        assert_is(status().groups([3]), (0, 0), "3").await;
        // None of it was asked for.
        assert_is(status(), (0, 0), "51 52").await;
    });
}
