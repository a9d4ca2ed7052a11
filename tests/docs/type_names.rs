//! Each type of `src` has a name of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::layers::{list, module_of};

/// Of the supervisor and of a monitor: each is named in its own module only, and neither is in the root.
const NAMES_OF_TWO: [&str; 1] = ["ShutdownReport"];

/// Where each type of `src` is written down, outside of tests, if its name has more than one such place.
fn types_of_one_name(src: &Path) -> Vec<String> {
    let mut files = Vec::new();
    list(src, &mut files);
    let mut types: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in &files {
        let relative = file.strip_prefix(src).unwrap();
        let module = module_of(src, file);
        if module.iter().any(|name| name == "tests") {
            continue;
        }
        // What is asked for by a message is named after what it gives: `messages::Status`.
        if module.last().is_some_and(|name| name == "messages") {
            continue;
        }
        let text = fs::read_to_string(file).unwrap();
        let lines = text.lines().take_while(|line| *line != "mod tests {");
        for (index, line) in lines.enumerate() {
            if let Some(name) = type_in(line) {
                let place = format!("{}:{}", relative.display(), index + 1);
                types.entry(name.to_owned()).or_default().push(place);
            }
        }
    }
    assert!(!types.is_empty(), "no types in {}", src.display());
    types.retain(|name, places| places.len() > 1 && !NAMES_OF_TWO.contains(&name.as_str()));
    types
        .iter()
        .map(|(name, places)| format!("{name}: {}", places.join(", ")))
        .collect()
}

/// The type that a line begins. An indented `type` belongs to a trait.
fn type_in(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().skip_while(|word| {
        word.starts_with("pub") || ["(crate)", "in", "unsafe", "const"].contains(word)
    });
    match words.next()? {
        "struct" | "enum" | "trait" | "union" => {}
        "type" if !line.starts_with(' ') => {}
        _ => return None,
    }
    let name = words.next()?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
    Some(&name[..end.unwrap_or(name.len())])
}

#[test]
fn no_two_types_have_one_name() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let found = types_of_one_name(&src);
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn types_of_one_name_are_told_with_their_places() {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in [
        (
            "a.rs",
            "/// struct Doc\nstruct State {\n}\npub enum Step<T> {}\n",
        ),
        (
            "b/mod.rs",
            "pub(crate) struct State;\nimpl Actor for State {\n    type Context = ();\n}\n",
        ),
        (
            "c.rs",
            "type Step = u8;\nimpl Actor for Step {\n    type Context = ();\n}\nstruct Doc;\nmod tests {\n    struct State;\n}\n",
        ),
        ("b/tests.rs", "trait Step {}\n"),
    ] {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    assert_eq!(
        types_of_one_name(folder.path()),
        ["State: a.rs:2, b/mod.rs:1", "Step: a.rs:4, c.rs:1"]
    );
}
