//! What programs have children for, each in a few lines: fifteen recipes.
#![doc = ""]
#![doc = include_str!("recipes.md")]

// What the links of the page name.
#[cfg(doc)]
use crate::*;
