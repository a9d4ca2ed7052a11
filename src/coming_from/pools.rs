//! Coming from ampoule, `ProcessPoolExecutor`, php-fpm, gunicorn, Celery or poolboy.
#![doc = ""]
#![doc = include_str!("pools.md")]

// What the links of the page name.
#[cfg(doc)]
use crate::Command;
#[cfg(doc)]
use crate::pool::*;
