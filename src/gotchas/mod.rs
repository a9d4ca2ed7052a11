//! The traps of child processes: what happens elsewhere, and what happens here.
#![doc = ""]
#![doc = include_str!("gotchas.md")]

// What the links of the page name.
#[cfg(doc)]
use crate::*;
#[cfg(doc)]
use crate::{producer::*, supervisor::*};
