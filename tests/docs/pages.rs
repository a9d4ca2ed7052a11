//! The pages `recipes` and `gotchas` of the documentation. `cargo test --doc` compiles and runs the recipes (those of web
//! servers in `examples/web`), and rustdoc checks the links; this holds that each part is there, and says what it must.

const RECIPES: &str = include_str!("../../src/recipes/recipes.md");
const GOTCHAS: &str = include_str!("../../src/gotchas/gotchas.md");

/// So many jobs there are, and the lines that a recipe shows.
const JOBS: usize = 13;
const SHOWN: std::ops::RangeInclusive<usize> = 5..=15;

/// A browser is needed to run it.
const NOT_RUN: [usize; 1] = [4];

/// What a recipe says, and its piece of Rust: how rustdoc treats it, and the lines that it shows.
struct Recipe {
    number: usize,
    text: String,
    pieces: Vec<(String, Vec<String>)>,
}

fn recipes(page: &str) -> Vec<Recipe> {
    let mut recipes: Vec<Recipe> = Vec::new();
    let mut in_code = false;
    for line in page.lines() {
        let Some(recipe) = recipes.last_mut().filter(|_| in_code) else {
            let number = line.strip_prefix("# ").and_then(|title| {
                let (number, _) = title.split_once(". ")?;
                number.parse().ok()
            });
            match (number, recipes.last_mut(), line.strip_prefix("```")) {
                (Some(number), _, _) => recipes.push(Recipe {
                    number,
                    text: String::new(),
                    pieces: Vec::new(),
                }),
                (None, Some(recipe), Some(how)) => {
                    recipe.pieces.push((how.to_owned(), Vec::new()));
                    in_code = true;
                }
                (None, Some(recipe), None) => recipe.text += &format!("{line}\n"),
                (None, None, _) => {}
            }
            continue;
        };
        if line == "```" {
            in_code = false;
        } else if line != "#" && !line.starts_with("# ") {
            recipe.pieces.last_mut().unwrap().1.push(line.to_owned());
        }
    }
    recipes
}

#[test]
fn each_job_has_a_recipe_that_is_compiled() {
    let recipes = recipes(RECIPES);
    let numbers: Vec<usize> = recipes.iter().map(|recipe| recipe.number).collect();
    assert_eq!(numbers, (1..=JOBS).collect::<Vec<_>>());
    for Recipe { number, pieces, .. } in recipes {
        let [(how, lines)] = &pieces[..] else {
            panic!("recipe {number} has {} pieces of code", pieces.len());
        };
        let right = match NOT_RUN.contains(&number) {
            true => "rust,no_run",
            false => "rust",
        };
        assert_eq!(how, right, "recipe {number}");
        let count = lines.iter().filter(|line| !line.is_empty()).count();
        assert!(SHOWN.contains(&count), "recipe {number} is {count} lines");
    }
}

#[test]
fn the_recipes_of_web_servers_are_run_by_the_crate_that_has_one() {
    let blocks = RECIPES.split("```rust").skip(1);
    let of_servers = blocks.filter_map(|rest| {
        let block = rest.split("```").next().unwrap();
        let first = block.lines().nth(1);
        let left = first == Some("# #[cfg(feature = \"web\")] {");
        assert_eq!(left, block.contains("actix_web"), "{block}");
        left.then_some(())
    });
    assert_eq!(of_servers.count(), 3);
    let there = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/web/src/lib.rs");
    let there = std::fs::read_to_string(there).unwrap();
    assert!(there.contains("include_str!(\"../../../src/recipes/recipes.md\")"));
}

#[test]
fn each_recipe_says_what_it_does_not_do() {
    for recipe in recipes(RECIPES) {
        let last = recipe.text.trim().rsplit("\n\n").next().unwrap();
        let says = last.starts_with("It does not ") || last.starts_with("It is no ");
        assert!(says, "recipe {} ends with: {last}", recipe.number);
    }
}

#[test]
fn the_table_of_contents_leads_to_each_recipe() {
    let anchor = |title: &str| {
        let kept = title.chars().filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            _ => c.is_alphanumeric().then(|| c.to_ascii_lowercase()),
        });
        format!("(#{})", kept.collect::<String>())
    };
    let titles = RECIPES.lines().filter_map(|line| line.strip_prefix("# "));
    let titles = titles.filter(|title| title.starts_with(|c: char| c.is_ascii_digit()));
    let anchors: Vec<String> = titles.map(anchor).collect();
    assert_eq!(anchors.len(), JOBS);
    for (index, anchor) in anchors.iter().enumerate() {
        let row = format!("{}. [", index + 1);
        let mut rows = RECIPES.lines().filter(|line| line.starts_with(&row));
        let row = rows.next().unwrap_or_default();
        assert!(row.contains(anchor), "no {anchor} in: {row}");
    }
}

/// The entries, each on one line.
fn entries(page: &str) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    for line in page.lines() {
        match (line.strip_prefix("- "), line.strip_prefix("  ")) {
            (Some(first), _) => entries.push(first.to_owned()),
            (None, Some(more)) => {
                let entry = entries.last_mut().unwrap();
                entry.push(' ');
                entry.push_str(more);
            }
            (None, None) => {}
        }
    }
    entries
}

/// What is wrong with an entry, if anything is.
fn fault_of(entry: &str) -> Option<&str> {
    let Some((title, rest)) = entry
        .strip_prefix("**")
        .and_then(|rest| rest.split_once("** "))
    else {
        return Some("it has no title");
    };
    if !title.ends_with('.') {
        return Some("its title is no sentence");
    }
    let Some((_, here)) = rest
        .strip_prefix("Elsewhere")
        .and_then(|rest| rest.split_once(". Here"))
    else {
        return Some("it does not say what happens elsewhere, and then here");
    };
    // A link that rustdoc resolves, or the number of a delivery rule.
    let leads = here.contains("[`") || here.contains("](") || here.contains("rule");
    (!leads).then_some("what happens here has no place where it is promised")
}

#[test]
fn each_of_the_gotchas_says_what_happens_elsewhere_and_here() {
    let entries = entries(GOTCHAS);
    assert!(entries.len() > 70, "only {} of them", entries.len());
    for entry in &entries {
        assert_eq!(fault_of(entry), None, "{entry}");
    }
    let groups: Vec<&str> = GOTCHAS
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .collect();
    let expected = [
        "Starting",
        "Streams and pipes",
        "Ending and signals",
        "Trees",
        "Terminals",
        "Identity and limits",
        "Hosts",
    ];
    assert_eq!(groups, expected);
}

/// The numbers that the page names after "rule" or "rules".
fn rules_named(page: &str) -> Vec<usize> {
    let words: Vec<&str> = page.split_whitespace().collect();
    let mut named = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if !matches!(*word, "rule" | "rules") {
            continue;
        }
        for word in &words[at + 1..] {
            match word.trim_end_matches(['.', ',', ';', ':']).parse() {
                Ok(number) => named.push(number),
                Err(_) if *word == "and" => {}
                Err(_) => break,
            }
        }
    }
    named
}

#[test]
fn the_rules_that_the_gotchas_name_are_there() {
    let lib = include_str!("../../src/lib.rs");
    let named = rules_named(GOTCHAS);
    assert!(named.len() > 5, "{named:?}");
    for rule in named {
        assert!(lib.contains(&format!("\n//! {rule}. ")), "no rule {rule}");
    }
}
