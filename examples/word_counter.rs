//! The worker of the example `parent`: answers each line with the number of its words.
//!
//! `cargo build --examples && cargo run --example parent`, or by hand:
//! `echo one two three | cargo run --example word_counter`

use std::io::{self, BufRead, Write};

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut total = 0;
    for line in io::stdin().lock().lines() {
        let words = line?.split_whitespace().count();
        total += words;
        writeln!(out, "{words}")?;
        // A pipe is not flushed at each line's end, and the parent waits for the answer.
        out.flush()?;
    }
    writeln!(out, "total {total}")
}
