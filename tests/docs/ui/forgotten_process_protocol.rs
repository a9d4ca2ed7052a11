use actix::prelude::*;
use actix_process::{Command, ProcessProtocol};

struct Wc;

impl Actor for Wc {
    type Context = Context<Self>;
}

impl ProcessProtocol for Wc {}

fn main() {
    let _ = Command::new("wc").spawn(Wc.start());
    let _ = Command::new("wc").spawn(&Wc.start());
}
