//! Coming from `tokio::process`.
#![doc = ""]
#![doc = include_str!("tokio.md")]

// What the links of the page name.
#[cfg(doc)]
use crate::*;
#[cfg(doc)]
use crate::{producer::*, supervisor::*};
