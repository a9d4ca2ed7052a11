//! The documents, the examples, and what the compiler says.

#[path = "../common/mod.rs"]
mod common;

mod compile_fail;
mod examples;
mod examples_terminal;
mod examples_tools;
mod examples_web_terminal;
mod layers;
mod readme;
mod readme_pieces;
mod tests_readme;
