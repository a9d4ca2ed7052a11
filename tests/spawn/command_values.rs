//! A command is a value: its methods give it back, a reference stands for a clone, and it tells what it has.

use crate::common;

use std::collections::BTreeSet;
use std::path::Path;

use actix::Actor;
use actix_process::{Command, Fd, FdMap, NoProtocol, ProcessSupervisor, Spawn};
use common::helper::helper;
use common::{in_time, run};

/// The methods of a file that take what they belong to by value, each with the line before it.
fn methods_by_value(file: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/command");
    let text = std::fs::read_to_string(path.join(file)).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let method = |pair: &[&str]| {
        let name = pair[1].strip_prefix("pub fn ")?;
        let (name, arguments) = name.split_once('(')?;
        let by_value = arguments.starts_with("self") || arguments.starts_with("mut self");
        let name = name.split('<').next().unwrap_or(name);
        by_value.then(|| (name.to_owned(), pair[0].to_owned()))
    };
    lines.windows(2).filter_map(method).collect()
}

#[test]
fn each_method_says_how_to_keep_what_it_gives_back() {
    let mut seen = BTreeSet::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/command");
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap().file_name().into_string().unwrap();
        let value = match &*file {
            "fd_map.rs" => "map",
            _ => "command",
        };
        for (name, before) in methods_by_value(&file) {
            let told = format!("`{value} = {value}.{name}(..)`\"]");
            assert!(
                before.starts_with("#[must_use = \"") && before.ends_with(&told),
                "{file}: before {name} stands {before}"
            );
            seen.insert(name);
        }
    }
    assert!(seen.len() > 40, "only these were found: {seen:?}");
    for name in ["arg", "args", "uid", "set", "when", "timeout"] {
        assert!(seen.contains(name), "{name} was not found");
    }
}

#[test]
fn when_changes_a_command_if_its_condition_holds() {
    let made = |verbose, dir: Option<&str>| {
        Command::new("make")
            .when(verbose, |command| command.arg("-v"))
            .when(dir.is_some(), |command| {
                command.current_dir(dir.unwrap_or_default())
            })
            .arg("all")
    };
    assert!(made(true, None).get_args().eq(["-v", "all"]));
    assert!(made(false, None).get_args().eq(["all"]));
    assert_eq!(made(true, None).get_current_dir(), None);
    let there = made(false, Some("/tmp"));
    assert_eq!(there.get_current_dir(), Some(Path::new("/tmp")));
}

#[test]
fn a_reference_to_a_command_will_do_where_a_command_will() {
    run(async {
        let command = helper(["exit", "7"]);
        let supervisor = ProcessSupervisor::new().start();
        let kept = Spawn::new(&command, NoProtocol);
        let given = Spawn::new(Command::from(&command), NoProtocol);
        for spawn in [kept, given, Spawn::new(command, NoProtocol)] {
            let process = in_time(supervisor.send(spawn)).await.unwrap().unwrap();
            assert_eq!(in_time(process.ended()).await.code(), Some(7));
        }
    });
}

#[test]
fn a_clone_of_a_command_is_a_command_of_its_own() {
    let base = Command::new("ls").arg("-l");
    let all = Command::from(&base).arg("-a").env("TERM", "dumb");
    assert!(base.get_args().eq(["-l"]));
    assert_eq!(base.get_envs().len(), 0);
    assert!(all.get_args().eq(["-l", "-a"]));
}

#[test]
fn a_map_of_descriptors_is_built_by_value() {
    let map = FdMap::stdio().set(3, Fd::write()).set(1, Fd::null());
    let numbers: BTreeSet<i32> = map.iter().map(|(n, _)| n).collect();
    assert_eq!(numbers, BTreeSet::from([0, 1, 2, 3]));
    assert!(map.get(3).is_some_and(Fd::is_write));
    assert!(map.get(1).is_some_and(|fd| !fd.is_read()));
}

#[test]
fn the_getters_are_stds() {
    let ours = Command::new("/bin/ls")
        .arg0("list")
        .env("LOST", "x")
        .env_clear()
        .args(["-l", "-a"])
        .env("TERM", "dumb")
        .env_remove("TZ")
        .env("TERM", "vt100")
        .current_dir("/tmp");
    let mut stds = std::process::Command::new("/bin/ls");
    stds.env("LOST", "x")
        .env_clear()
        .args(["-l", "-a"])
        .env("TERM", "dumb")
        .env_remove("TZ")
        .env("TERM", "vt100")
        .current_dir("/tmp");
    assert_eq!(ours.get_program(), stds.get_program());
    assert!(ours.get_args().eq(stds.get_args()));
    assert_eq!(ours.get_args().len(), 2);
    assert_eq!(ours.get_current_dir(), stds.get_current_dir());
    // After a clear std tells of no removals, which mean nothing then.
    let set = |(_, value): &(_, Option<_>)| value.is_some();
    assert!(ours.get_envs().filter(set).eq(stds.get_envs().filter(set)));
    let (ours, mut stds) = (
        Command::new("a").env_remove("TZ").env("A", "1"),
        std::process::Command::new("a"),
    );
    stds.env_remove("TZ").env("A", "1");
    assert!(ours.get_envs().eq(stds.get_envs()));
    assert_eq!(ours.get_current_dir(), None);
}

#[test]
fn debug_of_a_command_shows_no_argument_and_no_value() {
    let command = Command::new("login").arg("hunter2").env("KEY", "swordfish");
    let shown = format!("{command:?}");
    assert!(shown.contains("login") && shown.contains("KEY"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!shown.contains("swordfish"), "{shown}");
}

#[test]
fn a_command_tells_whether_it_says_by_what_its_child_is_held() {
    let child = || Command::new("true");
    let somewhere = || std::fs::File::open("/").unwrap().into();
    for plain in [child(), child().process_group(0), child().setsid(true)] {
        assert!(!plain.is_contained(), "{plain:?}");
    }
    for held in [
        child().contained(),
        child().contained_by_cgroup(),
        child().cgroup(somewhere()),
    ] {
        assert!(held.is_contained(), "{held:?}");
    }
}
