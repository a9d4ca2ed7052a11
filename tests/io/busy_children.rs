//! What a child that writes without pause keeps hot fits half of the smallest second-level cache, on any machine.

use crate::common;

use std::collections::BTreeSet;
use std::fs::File;

use actix::prelude::*;
use actix_process::{Bytes, ProcessHandle, ProcessProtocol, process_protocol};
use common::helper::helper;
use common::isolated::isolated;
use common::{in_time, run};
use nix::fcntl::{FcntlArg, fcntl};
use tokio::sync::oneshot;

const HOT: usize = 256 * 1024;
const MUCH: usize = 64_000_000;

/// Writes down where the data was, once the child has shown itself busy.
struct Places {
    count: usize,
    pages: BTreeSet<usize>,
    all_came: Option<oneshot::Sender<BTreeSet<usize>>>,
}

impl Actor for Places {
    type Context = Context<Self>;
}

impl ProcessProtocol for Places {
    fn out_received(&mut self, _: &ProcessHandle, data: Bytes, _: &mut Context<Self>) {
        self.count += data.len();
        // Smaller ones are copies, for which there is no place of ours.
        if self.count > MUCH / 2 && data.len() > 16 * 1024 {
            let begin = data.as_ptr() as usize / 4096;
            self.pages.extend(begin..begin + data.len().div_ceil(4096));
        }
        if self.count >= MUCH
            && let Some(all_came) = self.all_came.take()
        {
            let _ = all_came.send(std::mem::take(&mut self.pages));
        }
    }
}
process_protocol!(Places);

fn pipe_size(process: &ProcessHandle, wanted: Option<i32>) -> usize {
    let pid = process.pid().expect("the child lives");
    let output = format!("/proc/{pid}/fd/1");
    let output = File::options().write(true).open(output).unwrap();
    if let Some(size) = wanted {
        fcntl(&output, FcntlArg::F_SETPIPE_SZ(size)).unwrap();
    }
    let size = fcntl(&output, FcntlArg::F_GETPIPE_SZ).unwrap();
    size.try_into().unwrap()
}

/// Spawns a child that writes [`MUCH`] into its pipe, which is made one of this size before: the size of the pipe
/// then, and of the buffers that were kept busy.
async fn hot(wanted: Option<i32>) -> (usize, usize) {
    let (all_came, pages) = oneshot::channel();
    let places = Places {
        count: 0,
        pages: BTreeSet::new(),
        all_came: Some(all_came),
    };
    let child = helper(["take", "0", "1", "pour", &MUCH.to_string(), "pause"]);
    let process = child.spawn(places.start()).await.unwrap();
    pipe_size(&process, wanted);
    process.write(".").unwrap();
    let pages = in_time(pages).await.unwrap();
    let pipe = pipe_size(&process, None);
    assert!(process.kill());
    in_time(process.ended()).await;
    (pipe, pages.len() * 4096)
}

#[test]
fn what_a_busy_child_keeps_hot_fits_half_of_the_smallest_cache() {
    isolated(|| {
        run(async {
            let (pipe, buffers) = hot(None).await;
            assert!(pipe > 64 * 1024, "the pipe did not grow: {pipe}");
            assert!(buffers >= 64 * 1024, "what came was in {buffers} bytes");
            assert!(pipe + buffers <= HOT, "{pipe} and {buffers} bytes");
        });
    });
}

#[test]
fn a_pipe_that_its_child_has_made_larger_is_left_so() {
    isolated(|| {
        run(async {
            let (pipe, _) = hot(Some(524_288)).await;
            assert_eq!(pipe, 524_288);
        });
    });
}
