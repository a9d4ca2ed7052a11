//! Runs the examples of pools and looks at what they print.

use crate::common::example::{example, run};
use crate::common::isolated::skipped;

fn is_here(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[test]
fn convert_says_what_became_of_each_file_in_order() {
    if !is_here("gzip") {
        return skipped("there is no gzip");
    }
    let (printed, said) = run(&mut example("convert"));
    let ends: Vec<(&str, &str)> = printed
        .lines()
        .filter_map(|line| line.split_once(": "))
        .collect();
    let names = ends.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    let expected = [
        "1.txt",
        "2.txt",
        "3.txt",
        "4.txt",
        "5.txt",
        "6.txt",
        "7-poison.txt",
        "8-hang.txt",
        "9.md",
        "a.ppm",
    ];
    assert_eq!(names, expected, "{printed}{said}");
    for (name, end) in &ends[..6] {
        assert!(end.ends_with(" bytes of gz"), "{name}: {end}");
    }
    assert_eq!(ends[6].1, "kills its converter: signal: 11 (SIGSEGV)");
    assert_eq!(ends[7].1, "hangs: its converter was stopped");
}

#[test]
fn convert_leaves_what_it_made_in_the_folder() {
    if !is_here("gzip") {
        return skipped("there is no gzip");
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("text.txt"), "a text\n").unwrap();
    let (printed, _) = run(example("convert").arg(folder.path()));
    let made = folder.path().join("converted");
    let last = format!("they are in {}\n", made.display());
    assert!(printed.ends_with(&last), "{printed}");
    let unpacked = std::process::Command::new("gzip")
        .arg("-dc")
        .arg(made.join("text.txt.gz"))
        .output();
    assert_eq!(unpacked.unwrap().stdout, b"a text\n");
}

#[cfg(feature = "json")]
#[test]
fn model_streams_answers_and_tells_of_the_crash() {
    if !is_here("python3") {
        return skipped("there is no python3");
    }
    let (printed, said) = run(&mut example("model"));
    let answer = "the quick brown fox jumps over the lazy \n";
    assert_eq!(printed.matches(answer).count(), 2, "{printed}{said}");
    let lost = "the model is lost (signal: 6 (SIGABRT)): a word that this model cannot bear\n";
    assert!(printed.contains(lost), "{printed}{said}");
    assert!(printed.ends_with("2 answered, 1 lost\n"), "{printed}{said}");
}
