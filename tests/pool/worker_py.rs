//! The worker in Python that users copy goes on whatever the pool does with what is on its way to it.

use actix_process::Command;
use actix_process::pool::Pool;

use crate::ahead::{Held, answers};
use crate::common::run;
use crate::conformance::has_python;
use crate::workers::{answer, ended};

/// worker.py, which in a job `hold` is late: it reads only when what is there was taken back.
const LATE: &str = r#"
import os, select, sys, time
sys.path.insert(0, sys.argv[1])
import worker

held = None
read = os.read

def is_there():
    return bool(select.select([3], [], [], 0)[0])

def until(holds, seconds):
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.001)
    return holds()

def late(fd, count):
    global held
    if held and is_there():
        with open(held, "a") as file:
            print(os.getpid(), file=file)
        held = None
        until(lambda: not is_there(), 30) or sys.exit("nothing was taken back")
    return read(fd, count)

def answer(job):
    global held
    what, _, rest = job.partition(b" ")
    if what == b"hold" and until(is_there, 0.2):
        held = rest + b".held"
        yield b"looked"
        held = None
    return b""

os.read = late
worker.serve(answer, b"late")
"#;

#[test]
fn it_goes_on_when_what_it_has_seen_is_taken_back() {
    if !has_python() {
        return;
    }
    run(async {
        let workers = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/workers");
        let late = Command::new("python3").args(["-c", LATE, workers]);
        let pool = Pool::new(late).workers(1..=1).start().unwrap();
        let mut held = Held::new(&pool, "hold", 1, &["echo"]).await;
        held.behind.clear();
        assert_eq!(answers(held.holding).await, ["looked"]);
        assert_eq!(answer(&pool, "echo").await, "");
        ended(pool).await;
    });
}
