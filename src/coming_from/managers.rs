//! Coming from supervisord, systemd, OTP or procmon.
#![doc = ""]
#![doc = include_str!("managers.md")]

// What the links of the page name.
#[cfg(doc)]
use crate::monitor::*;
#[cfg(doc)]
use crate::{Command, Ladder};
