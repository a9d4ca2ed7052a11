//! Jobs and answers that are values: `PoolHandle::submit_json`.

use std::collections::HashMap;
use std::time::Duration;

use actix_process::Command;
use actix_process::pool::{Framing, Job, JobError, Pool};

use crate::common::{in_time, run};

/// Workers that answer a job with itself.
fn echoes() -> [Pool; 3] {
    let lines = "import sys, json\nfor line in sys.stdin:\n job = json.loads(line)\n print(json.dumps({'id': job['id'], 'ok': job['job']}), flush=True)";
    // `echo` and a blank are the beginning of the job.
    let frames = "import sys; sys.argv = [sys.argv[1]]\ntext = open(sys.argv[0]).read().replace('what == b\"echo\"', 'True').replace('return rest', 'return job')\nexec(compile(text, 'worker', 'exec'))";
    let worker = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/workers/worker.py");
    [
        Pool::new(Command::new("python3").args(["-c", frames, worker])),
        Pool::new(Command::new("python3").args(["-c", lines])).framing(Framing::JsonLines),
        Pool::one_shot(Command::new("cat")),
    ]
}

#[test]
fn a_value_is_a_job_and_an_answer_with_each_framing() {
    run(async {
        for pool in echoes() {
            let pool = pool.workers(1..=1).start().unwrap();
            let value: HashMap<String, Vec<Option<f64>>> =
                [("a\n\u{e9}".to_owned(), vec![Some(1.5), None])].into();
            let answer: HashMap<String, Vec<Option<f64>>> =
                in_time(pool.submit_json(&value)).await.unwrap();
            assert_eq!(answer, value);
            in_time(pool.drain(Duration::from_secs(20))).await;
        }
    });
}

#[test]
fn a_wrong_answer_is_told_without_its_content() {
    run(async {
        for pool in echoes() {
            let pool = pool.workers(1..=1).start().unwrap();
            let answer: Result<u32, _> = in_time(pool.submit_json("secret")).await;
            let Err(JobError::Protocol { what, .. }) = answer else {
                panic!("{answer:?}")
            };
            assert!(
                what.starts_with("the JSON of the answer is of another type"),
                "{what}"
            );
            assert!(!what.contains("secret"), "{what}");
            in_time(pool.drain(Duration::from_secs(20))).await;
        }
        let pool = Pool::one_shot(Command::new("sh").args(["-c", "printf '[1, secret'"]));
        let pool = pool.start().unwrap();
        let answer: Result<Vec<u32>, _> = in_time(pool.submit_json(&1)).await;
        let Err(JobError::Protocol { what, .. }) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(
            &*what,
            "the JSON of the answer is wrong at line 1, column 5"
        );
        in_time(pool.drain(Duration::from_secs(20))).await;
    });
}

#[test]
fn a_value_without_json_is_told_as_the_fault_of_the_job() {
    let value: HashMap<(u8, u8), u8> = [((1, 2), 3)].into();
    let error = Job::json(&value).unwrap_err();
    assert_eq!(error.to_string(), "the value of the job has no JSON");
}

#[test]
fn the_error_of_a_worker_of_lines_is_json() {
    run(async {
        let script = "import sys, json\nfor line in sys.stdin:\n print(json.dumps({'id': json.loads(line)['id'], 'error': {'code': 5}}), flush=True)";
        let pool = Pool::new(Command::new("python3").args(["-c", script]));
        let pool = pool.framing(Framing::JsonLines).start().unwrap();
        let answer: Result<u32, _> = in_time(pool.submit_json(&1)).await;
        let Err(JobError::Remote(error)) = answer else {
            panic!("{answer:?}")
        };
        let error: serde_json::Value = serde_json::from_slice(&error).unwrap();
        assert_eq!(error["code"], 5);
        in_time(pool.drain(Duration::from_secs(20))).await;
    });
}
