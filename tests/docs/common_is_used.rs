//! Every helper in `tests/common` is used. Each program compiles all of them and uses a part, so the compiler cannot tell.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// The lines of code below `folder`, without comments.
fn lines_below(folder: &Path, lines: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            lines_below(&path, lines);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.lines().filter(|line| !line.trim().starts_with("//"));
            lines.extend(code.map(str::to_owned));
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// What a line defines that others may use.
fn defined(line: &str) -> Option<&str> {
    let rest = match line.trim_start().strip_prefix("pub ") {
        Some(rest) => rest,
        // The rest of what is private is of traits, which others call.
        None => line.strip_suffix('{').filter(|it| it.starts_with("fn "))?,
    };
    let kinds = ["fn", "struct", "enum", "mod", "const", "static", "type"];
    let mut words = words(rest).skip_while(|word| !kinds.contains(word));
    let kind = words.next()?;
    words.find(|word| *word != kind && *word != "fn")
}

/// Every word of a line that neither defines it nor implements it.
fn used(lines: &[String]) -> HashSet<&str> {
    let lines = lines.iter().filter(|line| !line.starts_with("impl"));
    let of_line = |line| {
        let defined = defined(line);
        words(line).filter(move |word| defined != Some(*word))
    };
    lines.flat_map(|line| of_line(line)).collect()
}

fn unused(common: &[String], all: &[String]) -> Vec<String> {
    let names = common.iter().filter_map(|line| defined(line));
    let used = used(all);
    let unused = names.filter(|name| !used.contains(name));
    unused.map(str::to_owned).collect()
}

#[test]
fn some_test_uses_every_helper() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let (mut common, mut all) = (Vec::new(), Vec::new());
    lines_below(&tests.join("common"), &mut common);
    lines_below(&tests, &mut all);
    // The tests of the examples that are crates of their own.
    lines_below(&tests.with_file_name("examples"), &mut all);
    assert!(common.iter().filter_map(|line| defined(line)).count() > 100);
    assert_eq!(unused(&common, &all), Vec::<String>::new());
}

#[test]
fn a_helper_that_no_test_uses_is_told() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let common = lines(
        "pub mod gone;\npub async fn waits() {\npub const MOST: u8 = 1;\nfn used() {\npub struct Idle {\n\
         impl Idle {\n    pub fn method(&self) {\n    fn of_a_trait(&self) {\nfn lonely() {",
    );
    let mut all = common.clone();
    all.extend(lines("use common::MOST;\n    used();"));
    let expected = ["gone", "waits", "Idle", "method", "lonely"];
    assert_eq!(unused(&common, &all), expected);
}
