use actix::prelude::*;
use actix_process::{Command, FromProcess};

struct Wc;

impl Actor for Wc {
    type Context = SyncContext<Self>;
}

impl Handler<FromProcess> for Wc {
    type Result = ();

    fn handle(&mut self, _: FromProcess, _: &mut Self::Context) {}
}

fn main() {
    let wc = SyncArbiter::start(2, || Wc);
    let _ = Command::new("wc").spawn(&wc);
}
