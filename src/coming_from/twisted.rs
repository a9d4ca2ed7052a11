//! Coming from Twisted's `spawnProcess`, `ProcessProtocol` and `twisted.internet.utils`.
#![doc = ""]
#![doc = include_str!("twisted.md")]

// What the links of the page name.
#[cfg(doc)]
use crate::*;
#[cfg(doc)]
use crate::{producer::*, supervisor::*};
