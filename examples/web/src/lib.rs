//! The recipes of actix-process. `cargo test --doc` there runs those that need no web server, and here all.
#![doc = ""]
#![doc = include_str!("../../../src/recipes/recipes.md")]
