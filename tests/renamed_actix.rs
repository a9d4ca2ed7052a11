//! `process_protocol!` in a crate that has `actix` by another name. A program of its own: what `::actix` is
//! there is said in its root.

extern crate actix as engine;
// By this name there is another crate.
#[expect(unused_extern_crates, reason = "what is called so must not matter")]
extern crate bytes as actix;

use actix_process::{Command, ExitStatus, ProcessHandle, ProcessProtocol, process_protocol};
use engine::{Actor, ActorContext, Context};

struct Whole;
struct Part<T>(T);

impl Actor for Whole {
    type Context = Context<Self>;
}

impl<T: Unpin + 'static> Actor for Part<T> {
    type Context = Context<Self>;
}

impl ProcessProtocol for Whole {
    fn process_ended(&mut self, _: &ProcessHandle, _: ExitStatus, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

impl<T: Unpin + 'static> ProcessProtocol for Part<T> {
    fn process_ended(&mut self, _: &ProcessHandle, _: ExitStatus, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

process_protocol!(Whole);
process_protocol!(impl<T: Unpin + 'static> for Part<T>);

#[test]
fn an_actor_is_a_protocol_whatever_its_crate_calls_actix() {
    engine::System::new().block_on(async {
        let (whole, part) = (Whole.start(), Part(1).start());
        let one = Command::new("true").spawn(&whole).await.unwrap();
        let other = Command::new("true").spawn(&part).await.unwrap();
        assert!(one.ended().await.success());
        assert!(other.ended().await.success());
    });
}
