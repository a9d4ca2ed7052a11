//! `tests/README.md` names each file of tests, and each is a module of its program.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const PAGE: &str = include_str!("../README.md");

/// The rows of the page, by folder: what stands between backquotes before the second bar.
fn rows() -> BTreeSet<String> {
    let mut folder = "";
    let mut rows = BTreeSet::new();
    for line in PAGE.lines() {
        if let Some(heading) = line.strip_prefix("### `") {
            folder = heading.split('`').next().unwrap();
        } else if let Some(row) = line.strip_prefix("| `") {
            let files = row.split('|').next().unwrap();
            let names = files
                .split('`')
                .filter(|name| !name.trim_matches([',', ' ']).is_empty());
            rows.extend(names.map(|name| format!("{folder}/{name}")));
        }
    }
    rows
}

#[test]
fn each_file_of_tests_has_its_line_and_is_compiled() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let paths = || {
        fs::read_dir(&root)
            .unwrap()
            .map(|entry| entry.unwrap().path())
    };
    let programs = paths().filter(|path| path.extension().is_some_and(|end| end == "rs"));
    let programs: Vec<_> = programs
        .map(|path| path.file_name().unwrap().to_owned())
        .collect();
    let programs: BTreeSet<_> = programs.into_iter().collect();
    assert_eq!(
        programs,
        ["allocators.rs", "renamed_actix.rs"].map(Into::into).into(),
        "a test is a module of a program that is a folder"
    );
    let mut files = BTreeSet::new();
    for folder in paths().filter(|path| path.join("main.rs").exists()) {
        let main = fs::read_to_string(folder.join("main.rs")).unwrap();
        let program = folder.file_name().unwrap().to_str().unwrap();
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let is_module =
                path.extension().is_some_and(|end| end == "rs") || path.join("mod.rs").exists();
            if is_module && name != "main" {
                assert!(
                    main.lines().any(|line| line == format!("mod {name};")),
                    "main.rs lacks {program}/{name}"
                );
                files.insert(format!("{program}/{name}"));
            }
        }
    }
    assert_eq!(rows(), files);
}
