use actix::prelude::*;
use actix_process::{Command, ProcessProtocol, process_protocol};

struct Wc;

impl Actor for Wc {
    type Context = Context<Self>;
}

impl ProcessProtocol for Wc {}
process_protocol!(Wc);

fn main() {
    let _ = Command::new("wc").spawn(Wc.start());
    let _ = Command::new("wc").spawn(&Wc.start());
}
