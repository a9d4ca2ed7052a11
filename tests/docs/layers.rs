//! The folders of `src` are the layers: an import points to a folder below, files of a folder form no circle, and what is above
//! the public surface uses only that.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the lowest to the highest. A file that lies in `src` itself is vocabulary, below all of them.
const LAYERS: [&str; 16] = [
    "codec",
    "sys",
    "port",
    "threads",
    "command",
    "tree",
    "child",
    "handle",
    "actors",
    "protocol",
    "spawn",
    "supervisor",
    "open",
    "collect",
    "stream",
    "slots",
];

/// They see what a user of the crate sees, and what is below them here.
const ABOVE_THE_SURFACE: [&str; 7] = [
    "host",
    "monitor",
    "pool",
    "nats",
    "coming_from",
    "recipes",
    "gotchas",
];

/// Of the kernel's layer, what they share with it: a worker takes the descriptors that it was started with, a pool has pipes of its own to it, and a copy of
/// the process leaves a guard alone.
const SHARED_WITH_ALL: [&[&str]; 4] = [
    &["sys", "copy"],
    &["sys", "inherited"],
    &["sys", "io"],
    &["sys", "sigpipe"],
];

/// Macros are exported from the root, whatever file they are in.
const EXPORTED_MACROS: [&str; 1] = ["process_protocol"];

/// They import names for their links only.
const DOCUMENTATION: [&str; 3] = ["coming_from", "recipes", "gotchas"];

/// Files of `src` itself that may import from everywhere.
const ROOTS: [&str; 2] = ["lib", "testing"];

/// A place in a file that names another module.
struct Import {
    place: String,
    /// The module that names it, as a path of names.
    from: Vec<String>,
    /// What is named, from the root of the crate.
    to: Vec<String>,
}

/// All modules below `src`, by path, and what they name.
struct Sources {
    modules: BTreeSet<Vec<String>>,
    imports: Vec<Import>,
    /// The public modules of `lib.rs`.
    public: BTreeSet<String>,
    /// Imports that cannot be told apart.
    grouped: Vec<String>,
}

impl Sources {
    fn read(src: &Path) -> Self {
        let mut sources = Self {
            modules: BTreeSet::new(),
            imports: Vec::new(),
            public: BTreeSet::new(),
            grouped: Vec::new(),
        };
        let mut files = Vec::new();
        list(src, &mut files);
        assert!(!files.is_empty(), "no sources in {}", src.display());
        for file in &files {
            sources.modules.insert(module_of(src, file));
        }
        for file in &files {
            sources.scan(src, file);
        }
        sources
    }

    fn scan(&mut self, src: &Path, file: &Path) {
        let from = module_of(src, file);
        let text = fs::read_to_string(file).unwrap();
        let name = file.strip_prefix(src).unwrap().display().to_string();
        let mut in_tests = false;
        for (index, line) in text.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            in_tests |= line == "mod tests {";
            if from.is_empty()
                && let Some(module) = line.trim().strip_prefix("pub mod ")
            {
                self.public.insert(module.trim_end_matches(';').to_owned());
            }
            // `pub use handle::producer;`
            if from.is_empty()
                && let Some((_, name)) = line.trim().rsplit_once("::")
                && line.starts_with("pub use ")
                && name.starts_with(char::is_lowercase)
            {
                self.public.insert(name.trim_end_matches(';').to_owned());
            }
            for (start, word) in [("crate::", 0), ("super::", 1)] {
                for (at, _) in line.match_indices(start) {
                    if line[..at].ends_with(|c: char| c.is_alphanumeric() || "_$:".contains(c)) {
                        continue;
                    }
                    let mut rest = &line[at + start.len()..];
                    let mut to = match word {
                        0 => Vec::new(),
                        // Of the tests in a file that is the file.
                        _ if in_tests => from.clone(),
                        _ => parent(&from),
                    };
                    while let Some(further) = rest.strip_prefix("super::") {
                        to.pop();
                        rest = further;
                    }
                    let told_apart = |name: &str| name == "tests" || DOCUMENTATION.contains(&name);
                    let may_group = from.iter().any(|name| told_apart(name));
                    if rest.starts_with('{') && word == 0 && !may_group {
                        self.grouped.push(format!(
                            "{name}:{} groups imports from the root: one line each",
                            index + 1
                        ));
                    }
                    to.extend(path_at(rest));
                    self.imports.push(Import {
                        place: format!("{name}:{}", index + 1),
                        from: from.clone(),
                        to,
                    });
                }
            }
        }
    }

    /// The module in which what is named stands.
    fn home(&self, path: &[String]) -> Vec<String> {
        (0..=path.len())
            .rev()
            .map(|length| path[..length].to_vec())
            .find(|module| module.is_empty() || self.modules.contains(module))
            .unwrap_or_default()
    }

    fn violations(&self) -> Vec<String> {
        let mut found = self.grouped.clone();
        let mut arrows: BTreeMap<Vec<String>, BTreeMap<Vec<String>, &str>> = BTreeMap::new();
        for import in &self.imports {
            let (Some(from), Some(to)) = (import.from.first(), import.to.first()) else {
                continue;
            };
            if ROOTS.contains(&from.as_str()) {
                continue;
            }
            if ABOVE_THE_SURFACE.contains(&from.as_str()) {
                let exported = to.starts_with(char::is_uppercase)
                    || self.public.contains(to)
                    || EXPORTED_MACROS.contains(&to.as_str());
                let home = self.home(&import.to);
                let is_below = ABOVE_THE_SURFACE.contains(&to.as_str()) && rank(to) < rank(from);
                let is_shared = SHARED_WITH_ALL.iter().any(|shared| home == **shared);
                if from != to && !is_below && !is_shared && (!exported || home.len() > 1) {
                    let (place, home) = (&import.place, home.join("::"));
                    found.push(format!(
                        "{place} uses `{home}`, which lib.rs does not export"
                    ));
                }
            }
            let home = self.home(&import.to);
            let Some(folder) = home.first() else {
                if !ABOVE_THE_SURFACE.contains(&from.as_str())
                    && !import.from.contains(&"tests".to_owned())
                {
                    found.push(format!("{} imports `{to}` by way of lib.rs", import.place));
                }
                continue;
            };
            if rank(folder) > rank(from) {
                found.push(format!(
                    "{} imports `{folder}`, which is above `{from}`",
                    import.place
                ));
            }
            if rank(from) > 0
                && folder == from
                && home != import.from
                && !self.are_kin(&home, &import.from)
            {
                arrows
                    .entry(import.from.clone())
                    .or_default()
                    .entry(home)
                    .or_insert(&import.place);
            }
        }
        for (from, targets) in &arrows {
            for (to, place) in targets {
                if reaches(&arrows, to, from) {
                    found.push(format!(
                        "{place} imports `{}`, which imports it back",
                        to.join("::")
                    ));
                }
            }
        }
        found
    }

    /// Whether one is the other's parent: these are one idea in several files.
    fn are_kin(&self, one: &[String], other: &[String]) -> bool {
        one.starts_with(other) || other.starts_with(one)
    }
}

/// What `super` is in this module.
fn parent(module: &[String]) -> Vec<String> {
    module[..module.len().saturating_sub(1)].to_vec()
}

fn reaches(
    arrows: &BTreeMap<Vec<String>, BTreeMap<Vec<String>, &str>>,
    from: &Vec<String>,
    to: &Vec<String>,
) -> bool {
    let mut seen = BTreeSet::new();
    let mut next = vec![from];
    while let Some(module) = next.pop() {
        if module == to {
            return true;
        }
        if seen.insert(module)
            && let Some(targets) = arrows.get(module)
        {
            next.extend(targets.keys());
        }
    }
    false
}

/// Vocabulary is 0.
fn rank(folder: &str) -> usize {
    let all = LAYERS.iter().chain(&["testing"]).chain(&ABOVE_THE_SURFACE);
    all.enumerate()
        .find_map(|(index, layer)| (*layer == folder).then_some(index + 1))
        .unwrap_or_default()
}

/// The names that follow, up to one that is no module's nor a type's.
fn path_at(text: &str) -> Vec<String> {
    text.split("::")
        .map_while(|name| {
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
            let (name, last) = (&name[..end.unwrap_or(name.len())], end.is_some());
            (!name.is_empty()).then_some((name.to_owned(), last))
        })
        .scan(false, |ended, (name, last)| {
            let goes_on = !*ended;
            *ended = last;
            goes_on.then_some(name)
        })
        .collect()
}

pub(crate) fn module_of(src: &Path, file: &Path) -> Vec<String> {
    let relative = file.strip_prefix(src).unwrap().with_extension("");
    let mut names: Vec<String> = relative
        .iter()
        .map(|name| name.to_str().unwrap().to_owned())
        .collect();
    if names
        .last()
        .is_some_and(|name| name == "mod" || name == "lib")
    {
        names.pop();
    }
    names
}

pub(crate) fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

#[test]
fn imports_point_down_and_files_of_a_folder_form_no_circle() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let found = Sources::read(&src).violations();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_folder_is_a_layer() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(src).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            assert!(rank(&name) > 0, "the folder {name} is no layer");
        }
    }
}

#[test]
fn a_wrong_import_is_told_with_its_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in [
        ("lib.rs", "pub mod supervisor;\nmod sys;\n"),
        ("error.rs", "use crate::sys::io;\n"),
        ("sys/mod.rs", "mod io;\nmod tty;\n"),
        (
            "sys/io.rs",
            "// use crate::spawn::plan;\nuse super::tty::open;\n",
        ),
        (
            "sys/tty.rs",
            "use super::io::read;\nfn f() { crate::spawn::plan::make() }\n",
        ),
        ("spawn/mod.rs", "mod plan;\n"),
        (
            "spawn/plan.rs",
            "use crate::sys::io::read;\nuse crate::Command;\n",
        ),
        (
            "spawn/job/deep.rs",
            "use super::super::super::supervisor::List;\nuse super::super::plan::make;\n",
        ),
        ("supervisor/mod.rs", "pub(crate) mod system;\n"),
        ("supervisor/system.rs", "\n"),
        (
            "pool/mod.rs",
            "use crate::{Command};\nuse crate::supervisor::List;\nuse crate::sys::tty;\n",
        ),
        (
            "pool/worker.rs",
            "use crate::supervisor::system::start;\nuse super::super::sys::tty;\n",
        ),
    ] {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let found = Sources::read(folder.path()).violations();
    assert_eq!(
        found,
        [
            "pool/mod.rs:1 groups imports from the root: one line each",
            "error.rs:1 imports `sys`, which is above `error`",
            "pool/mod.rs:3 uses `sys::tty`, which lib.rs does not export",
            "pool/worker.rs:1 uses `supervisor::system`, which lib.rs does not export",
            "pool/worker.rs:2 uses `sys::tty`, which lib.rs does not export",
            "spawn/job/deep.rs:1 imports `supervisor`, which is above `spawn`",
            "spawn/plan.rs:2 imports `Command` by way of lib.rs",
            "sys/tty.rs:2 imports `spawn`, which is above `sys`",
            "sys/io.rs:2 imports `sys::tty`, which imports it back",
            "sys/tty.rs:1 imports `sys::io`, which imports it back",
        ]
    );
}

/// The list of ARCHITECTURE.md is this one, and its text names each file of `src` itself.
#[test]
fn the_architecture_page_has_the_layers_and_the_vocabulary() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let (_, section) = page.split_once("\n## Layers\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let (text, list) = section.split_once("```text\n").unwrap();
    let mut listed: Vec<&str> = list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .take_while(|word| *word != "(src)")
        .collect();
    listed.reverse();
    let above = ABOVE_THE_SURFACE
        .iter()
        .filter(|layer| !DOCUMENTATION.contains(layer) && root.join("src").join(layer).exists());
    let expected: Vec<&str> = LAYERS.iter().chain(above).copied().collect();
    assert_eq!(listed, expected);
    let words: BTreeSet<&str> = text
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    for entry in fs::read_dir(root.join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if path.is_file() {
            assert!(words.contains(name), "the page does not name {name}.rs");
        }
    }
}
