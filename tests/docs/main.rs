//! The documents, the examples, and what the compiler says.

#[path = "../common/mod.rs"]
mod common;

mod common_is_used;
mod compile_fail;
mod examples;
mod examples_servers;
mod examples_terminal;
mod examples_tools;
mod layers;
mod pages;
mod readme;
mod readme_pieces;
mod tests_readme;
mod type_names;
