//! What programs have children for, each in a few lines: thirteen recipes.
#![doc = ""]
#![doc = include_str!("recipes.md")]

// The recipes that need a web server are compiled and run by the crate `examples/web`, which has the feature `web`.

// What the links of the page name.
#[cfg(doc)]
use crate::*;
