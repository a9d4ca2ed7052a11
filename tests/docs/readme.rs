//! README.md and the pages of `coming_from` say what is so: their pieces of Rust are compiled and run here, and what
//! they call ours exists.

use std::collections::BTreeSet;
use std::path::Path;

use crate::readme_names::{CALLBACKS, FIELDS, FUNCTIONS, METHODS, TYPES, VARIANTS};

const README: &str = include_str!("../../README.md");
const TWISTED: &str = include_str!("../../src/coming_from/twisted.md");
const TOKIO: &str = include_str!("../../src/coming_from/tokio.md");
const MANAGERS: &str = include_str!("../../src/coming_from/managers.md");
const POOLS: &str = include_str!("../../src/coming_from/pools.md");
const PAGES: [&str; 5] = [README, TWISTED, TOKIO, MANAGERS, POOLS];
const PIECES: &str = include_str!("readme_pieces.rs");

/// A line of a page, and whether it is inside a code block, and of which language.
fn lines(page: &'static str) -> impl Iterator<Item = (Option<&'static str>, &'static str)> {
    let mut block = None;
    page.lines().filter_map(move |line| {
        if let Some(language) = line.strip_prefix("```") {
            block = match block {
                None => Some(language),
                Some(_) => None,
            };
            return None;
        }
        Some((block, line))
    })
}

/// A page's blocks of Rust, without the lines that rustdoc does not show.
fn rust_blocks(page: &'static str) -> Vec<String> {
    let shown = |block: &str| {
        let lines = block.lines().filter(|line| !line.starts_with("# "));
        lines.map(|line| format!("{line}\n")).collect()
    };
    page.split("\n```")
        .filter_map(|part| part.strip_prefix("rust\n"))
        .map(shown)
        .collect()
}

/// The lines that matter, without their indentation and line breaks.
fn squeezed(code: &str) -> String {
    code.split_whitespace().collect()
}

#[test]
fn every_piece_of_rust_is_compiled_and_run_here() {
    let here = squeezed(PIECES);
    let mut count = 0;
    for piece in PAGES.into_iter().flat_map(rust_blocks) {
        assert!(here.contains(&squeezed(&piece)), "not in here:\n{piece}");
        count += 1;
    }
    assert_eq!(
        count, 13,
        "the pages have other pieces of Rust than they had"
    );
}

#[test]
fn the_two_commands_are_there() {
    let shell = lines(README).filter(|(block, _)| *block == Some("sh"));
    let shell: Vec<&str> = shell.map(|(_, line)| line).collect();
    for command in ["cargo run --example wc -- README.md", "cargo test"] {
        let given = |line: &&str| line.split('#').next().unwrap().trim() == command;
        assert!(shell.iter().any(given), "no `{command}` in {shell:?}");
    }
}

#[test]
fn its_files_exist() {
    for (_, line) in lines(README) {
        for target in line.split("](").skip(1) {
            let path = target.split(')').next().unwrap();
            let root = Path::new(env!("CARGO_MANIFEST_DIR"));
            assert!(root.join(path).exists(), "{path} is not there");
        }
    }
}

/// The programs in a folder: a file, or a folder of one program or crate; of `web` those that it holds.
fn examples(folder: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut examples = Vec::new();
    for entry in std::fs::read_dir(root.join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let name = format!("{folder}/{name}");
        if name == "examples/web" {
            examples.extend(self::examples(&name));
        } else if ["main.rs", "src/main.rs"].map(|main| path.join(main).exists()) != [false; 2]
            || name.ends_with(".rs")
        {
            examples.push(name);
        }
    }
    examples
}

#[test]
fn every_example_is_named() {
    let examples = examples("examples");
    assert!(examples.contains(&"examples/web/http.rs".to_owned()));
    for name in examples {
        assert!(README.contains(&format!("({name})")), "{name}");
    }
}

/// Every name in backticks that the tables' middle column, or any text outside of code, gives as
/// ours.
#[test]
fn every_name_that_is_ours_exists() {
    let known: BTreeSet<&str> = [FUNCTIONS, METHODS, CALLBACKS, VARIANTS, FIELDS, TYPES]
        .into_iter()
        .flatten()
        .copied()
        .collect();
    let mut seen = 0;
    let mut middle_is_ours = false;
    let pages = PAGES.into_iter().flat_map(lines);
    for (_, line) in pages.filter(|(block, _)| block.is_none()) {
        match line.split('|').collect::<Vec<_>>()[..] {
            ["", _, " actix-process " | " you call ", _, ""] => middle_is_ours = true,
            ["", _, middle, _, ""] if middle_is_ours => {
                for name in names(middle) {
                    assert!(known.contains(name), "{name} does not exist: {line}");
                    seen += 1;
                }
            }
            _ => middle_is_ours &= line.starts_with('|'),
        }
        for name in names(line) {
            let Some((owner, _)) = name.split_once("::") else {
                continue;
            };
            if TYPES.contains(&owner) {
                assert!(known.contains(name), "{name} does not exist: {line}");
            }
        }
    }
    assert!(seen > 330, "only {seen} names found: the tables changed");
}

/// What the line has in backticks, up to arguments and braces.
fn names(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.map(|code| code.split(['(', '{', '!', ' ']).next().unwrap_or(code))
}

/// A builder method by value is what a user of std's or tokio's `Command` meets first.
#[test]
fn coming_from_tokio_begins_with_the_builder_by_value() {
    let first = lines(TOKIO)
        .filter(|(_, line)| line.starts_with('|'))
        .nth(2);
    assert!(first.unwrap().1.contains("[`Command::when`]"), "{first:?}");
}

#[test]
fn every_table_row_has_its_columns() {
    let pages = PAGES.into_iter().flat_map(lines);
    for (_, line) in pages.filter(|(_, line)| line.starts_with('|')) {
        let columns = line.split('|').count();
        assert_eq!(columns, 5, "three columns: {line}");
    }
}
