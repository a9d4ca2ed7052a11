//! Maps of descriptors at random, each held against a model of what the child shall have.

use crate::common;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use actix::prelude::*;
use actix_process::{Fd, FdMap};
use common::census::{Census, open_fds};
use common::eventually;
use common::helper::helper;
use common::isolated::isolated;
use common::streams::bytes;
use common::trace::{history, spawned};
use nix::libc;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use tempfile::TempDir;

/// What the parent has open, besides what it needs itself.
const PARENTS: [i32; 14] = [30, 31, 32, 33, 34, 35, 36, 37, 100, 101, 250, 298, 299, 300];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mapping {
    Inherit(i32),
    Null,
    Moved,
    Shared,
    Read,
    Stream,
    Write,
    SameAs(i32),
}

/// A map, in the order in which it is given.
type Map = Vec<(i32, Mapping)>;

fn mappings() -> impl Strategy<Value = Mapping> {
    let others = [
        Mapping::Null,
        Mapping::Moved,
        Mapping::Shared,
        Mapping::Read,
        Mapping::Stream,
        Mapping::Write,
    ];
    prop_oneof![
        2 => select(&PARENTS[..]).prop_map(Mapping::Inherit),
        3 => select(others.to_vec()),
    ]
}

/// Up to some twenty descriptors of all kinds, a cycle of 2 to 5 of the parent's (2 is a swap)
/// in most maps, and some that are the same as another.
fn maps() -> impl Strategy<Value = Map> {
    let number = prop_oneof![
        3 => select(&PARENTS[..]),
        2 => 0..13_i32,
        1 => 0..=300_i32,
    ];
    let any = prop::collection::btree_map(number, mappings(), 0..20);
    let cycle = prop_oneof![
        1 => Just(Vec::new()),
        4 => subsequence(&PARENTS[..], 2..=5).prop_shuffle(),
    ];
    let same = prop::collection::vec(
        (
            0..=300_i32,
            proptest::arbitrary::any::<prop::sample::Index>(),
        ),
        0..4,
    );
    let all = (any, cycle, same).prop_map(|(mut map, cycle, same)| {
        for (at, target) in cycle.iter().enumerate() {
            map.insert(*target, Mapping::Inherit(cycle[(at + 1) % cycle.len()]));
        }
        for (n, index) in same {
            if !map.is_empty() && !map.contains_key(&n) {
                let numbers: Vec<i32> = map.keys().copied().collect();
                map.insert(n, Mapping::SameAs(*index.get(&numbers)));
            }
        }
        map.into_iter().collect::<Vec<_>>()
    });
    all.prop_shuffle()
}

/// Where the files are that can be told apart.
struct Files {
    dir: TempDir,
    shared: Arc<OwnedFd>,
}

impl Files {
    /// Opens all of `PARENTS`: every second one close-on-exec, every third one not blocking.
    fn arranged() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shared = Arc::new(File::create(dir.path().join("shared")).unwrap().into());
        let files = Self { dir, shared };
        for n in PARENTS {
            let file = File::create(files.path(&format!("parent {n}"))).unwrap();
            let flags = if n % 2 == 0 { libc::O_CLOEXEC } else { 0 };
            // SAFETY: integers; the number is free, since this process runs nothing else.
            let placed = unsafe { libc::dup3(file.as_raw_fd(), n, flags) };
            assert_eq!(placed, n);
            if is_nonblocking(n) {
                // SAFETY: integers.
                let set = unsafe { libc::fcntl(n, libc::F_SETFL, libc::O_NONBLOCK) };
                assert_eq!(set, 0);
            }
        }
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    fn read(&self, name: &str) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn fd(&self, n: i32, mapping: Mapping) -> Fd {
        match mapping {
            Mapping::Inherit(source) => Fd::inherit(source),
            Mapping::Null => Fd::null(),
            Mapping::Moved => File::create(self.path(&format!("moved {n}")))
                .unwrap()
                .into(),
            Mapping::Shared => Fd::share(Arc::clone(&self.shared)),
            Mapping::Read => Fd::read(),
            Mapping::Stream => Fd::stream(),
            Mapping::Write => Fd::write(),
            Mapping::SameAs(other) => Fd::same_as(other),
        }
    }

    /// A line of the child's listing.
    fn line(&self, n: i32, map: &Map) -> String {
        format!("{n} {}", self.what(n, map))
    }

    fn what(&self, n: i32, map: &Map) -> String {
        let (_, mapping) = map.iter().find(|(number, _)| *number == n).unwrap();
        let (what, mode) = match *mapping {
            Mapping::SameAs(other) => return self.what(other, map),
            Mapping::Inherit(source) => {
                let nonblocking = if is_nonblocking(source) { "non" } else { "" };
                (self.path(&format!("parent {source}")), nonblocking)
            }
            Mapping::Null => ("/dev/null".into(), ""),
            Mapping::Moved => (self.path(&format!("moved {n}")), ""),
            Mapping::Shared => (self.path("shared"), ""),
            Mapping::Read | Mapping::Stream | Mapping::Write => ("pipe".into(), ""),
        };
        format!("{} {mode}blocking", what.display())
    }
}

fn is_nonblocking(n: i32) -> bool {
    n % 3 == 0
}

/// Everything that this process has open, with its flags.
fn own_fds() -> Vec<(i32, String, [i32; 2])> {
    let with_flags = |(fd, what)| {
        // SAFETY: reads flags of a number.
        let flags = [libc::F_GETFD, libc::F_GETFL].map(|ask| unsafe { libc::fcntl(fd, ask) });
        (fd, what, flags)
    };
    open_fds().into_iter().map(with_flags).collect()
}

/// Which of the child's pipes are of this kind.
fn of(map: &Map, mapping: Mapping) -> impl Iterator<Item = i32> {
    let entries = map.iter();
    entries.filter_map(move |(n, w)| (*w == mapping).then_some(*n))
}

/// Spawns a child with `map`, lets it tell what it has, and uses every pipe.
async fn check(files: &Files, map: &Map) {
    let path = |name: String| files.path(&name).to_str().unwrap().to_owned();
    let mut actions = vec!["list".to_owned(), path("list".to_owned())];
    for n in of(map, Mapping::Read).chain(of(map, Mapping::Stream)) {
        actions.extend(["tell".to_owned(), n.to_string(), format!("from {n}")]);
    }
    for n in of(map, Mapping::Write) {
        let stored = path(format!("stored {n}"));
        actions.extend(["store".to_owned(), n.to_string(), stored]);
    }
    let before = own_fds();
    let fds: FdMap = map
        .iter()
        .map(|(n, mapping)| (*n, files.fd(*n, *mapping)))
        .collect();
    let (trace, process) = spawned(helper(&actions).fds(fds)).await;
    for n in of(map, Mapping::Write) {
        process.write_to_child(n, format!("to {n}")).unwrap();
        process.close_child_fd(n);
    }
    let history = trace.ended(&process).await;
    assert!(history.status().success(), "{}", history.status());

    let pipes = [Mapping::Read, Mapping::Stream, Mapping::Write].map(|mapping| of(map, mapping));
    let piped: Vec<i32> = pipes.into_iter().flatten().collect();
    history.assert_rules(&piped);
    let mut wanted = map.clone();
    wanted.sort_by_key(|(n, _)| *n);
    let wanted: Vec<String> = wanted.iter().map(|(n, _)| files.line(*n, map)).collect();
    let listed = files.read("list");
    assert_eq!(
        listed.lines().map(without_inode).collect::<Vec<_>>(),
        wanted
    );
    for n in of(map, Mapping::Read) {
        assert_eq!(history.text(n), format!("from {n}\n"));
    }
    for n in of(map, Mapping::Stream) {
        assert_eq!(history.text(n), "");
        let taken = bytes(process.take_stream(n).unwrap()).await;
        assert_eq!(String::from_utf8(taken).unwrap(), format!("from {n}\n"));
    }
    for n in of(map, Mapping::Write) {
        assert_eq!(files.read(&format!("stored {n}")), format!("to {n}"));
    }
    eventually(
        "the parent's descriptors to be as before",
        || (own_fds() == before).then_some(()),
        || format!("{:?}, before {before:?}", own_fds()),
    )
    .await;
}

fn without_inode(line: &str) -> String {
    match (line.find(":["), line.find(']')) {
        (Some(begin), Some(end)) => format!("{}{}", &line[..begin], &line[end + 1..]),
        _ => line.to_owned(),
    }
}

/// What makes maps hard, by name: to see that the maps have it.
fn traits(map: &Map) -> BTreeSet<&'static str> {
    let mappings: BTreeMap<i32, Mapping> = map.iter().copied().collect();
    let sources: Vec<i32> = map
        .iter()
        .filter_map(|(_, mapping)| match mapping {
            Mapping::Inherit(source) => Some(*source),
            _ => None,
        })
        .collect();
    let next = |n: i32| match mappings.get(&n) {
        Some(Mapping::Inherit(source)) => Some(*source),
        _ => None,
    };
    let mut found = BTreeSet::new();
    for (n, mapping) in map {
        match next(*n) {
            Some(source) if source == *n => found.insert("kept"),
            Some(source) if next(source) == Some(*n) => found.insert("swap"),
            Some(source) if next(source).and_then(next) == Some(*n) => found.insert("cycle"),
            _ => false,
        };
        if sources.iter().filter(|source| *source == n).count() > 1 {
            found.insert("duplicate");
        }
        if sources.contains(n) && !matches!(mapping, Mapping::Inherit(_)) {
            found.insert("another kind on a source");
        }
        if matches!(mapping, Mapping::SameAs(_)) {
            found.insert("the same as another");
        }
        if *n <= 2 {
            found.insert("a standard descriptor");
        }
    }
    found
}

#[test]
fn twenty_random_maps_come_out_as_the_model_has_them() {
    isolated(|| {
        let files = Files::arranged();
        let system = System::new();
        // What stays open for good is open before the first map is looked at.
        system.block_on(async {
            history(&helper(["exit", "0"])).await;
            Census::quiet().await;
        });
        let config = ProptestConfig {
            cases: 20,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        // The same maps in every run.
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let seen = RefCell::new(BTreeMap::new());
        let result = runner.run(&maps(), |map| {
            system.block_on(check(&files, &map));
            for what in traits(&map) {
                *seen.borrow_mut().entry(what).or_insert(0) += 1;
            }
            Ok(())
        });
        if let Err(error) = result {
            panic!("{error}");
        }
        assert_eq!(seen.borrow().len(), 7, "not all is tried: {seen:?}");
    });
}
