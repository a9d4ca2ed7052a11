//! How much of something a test takes.

/// `all` where ACTIX_PROCESS_ALL is set, as `.ci/run` does, else `fewer`.
pub fn amount(all: usize, fewer: usize) -> usize {
    match std::env::var_os("ACTIX_PROCESS_ALL") {
        Some(_) => all,
        None => fewer,
    }
}
