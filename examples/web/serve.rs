//! A web server whose work is done by pools of processes: `POST /convert` gives the body to a process of its own and answers with what it writes,
//! `POST /chat` gives it to a worker in Python that stays, and streams the answer.
//!
//! `cargo run -p web --bin serve`, then with the ADDRESS that it prints
//! `curl --data-binary @FILE ADDRESS/convert | gunzip` or `curl -N -d '{"prompt":"hello","words":20}' ADDRESS/chat`.
//! `-- PORT PROGRAM ARGUMENTS...` chooses the port and the converter.
//!
//! - A queue that is full is 503 with `Retry-After`, a job that takes too long 504, one whose process dies 502, a body that is too large 413.
//! - A client that leaves cancels its job: a converter is stopped, a model is told and goes on with the next job.
//! - SIGTERM and SIGINT let the requests end that are there, 30 seconds at most; then the pools are drained.

use std::time::Duration;

use actix_process::Command;
use actix_process::pool::{Job, JobError, Pool, PoolHandle};
use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{App, HttpResponse, HttpServer, ResponseError, post, web};

/// The largest body of a request.
const LARGEST: usize = 16 << 20;

#[derive(Clone)]
struct Pools {
    converters: PoolHandle,
    models: PoolHandle,
}

impl Pools {
    fn start(converter: Command) -> Result<Self, Box<dyn std::error::Error>> {
        let converters = Pool::one_shot(converter).name("convert").workers(1..=2);
        let converters = converters
            .queue(8)
            .job_timeout(Duration::from_secs(5))
            .start()?;
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../workers/model.py");
        let models = Pool::new(Command::new("python3").arg(model))
            .name("chat")
            .workers(1..=2);
        let models = models
            .queue(8)
            .job_timeout(Duration::from_secs(60))
            .start()?;
        Ok(Self { converters, models })
    }

    async fn drain(self) {
        let time = Duration::from_secs(10);
        futures::join!(self.converters.drain(time), self.models.drain(time));
    }
}

/// What a client is told of a job without an answer.
#[derive(Debug)]
struct NoAnswer(JobError);

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.0)
    }
}

impl ResponseError for NoAnswer {
    fn status_code(&self) -> StatusCode {
        match self.0 {
            JobError::QueueFull { .. } | JobError::PoolDown { .. } | JobError::ShuttingDown => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            JobError::Timeout { .. } | JobError::Expired => StatusCode::GATEWAY_TIMEOUT,
            JobError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            JobError::Remote(_) | JobError::Failed { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((RETRY_AFTER, "1"));
        }
        response.body(self.to_string())
    }
}

#[post("/convert")]
async fn convert(body: web::Bytes, pools: web::Data<Pools>) -> Result<HttpResponse, NoAnswer> {
    let converted = pools
        .converters
        .submit(Job::new(body))
        .await
        .map_err(NoAnswer)?;
    Ok(HttpResponse::Ok().body(converted))
}

#[post("/chat")]
async fn chat(body: web::Bytes, pools: web::Data<Pools>) -> Result<HttpResponse, NoAnswer> {
    // What goes wrong before the first word is a status; what goes wrong later breaks the answer off.
    let words = pools
        .models
        .stream(Job::new(body))
        .await
        .map_err(NoAnswer)?;
    Ok(HttpResponse::Ok().streaming(words))
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let port: u16 = args.next().map_or(Ok(0), |port| port.parse())?;
    let converter = match args.next() {
        Some(program) => Command::new(program).args(args),
        None => Command::new("gzip"),
    };
    let pools = Pools::start(converter)?;
    let data = web::Data::new(pools.clone());
    let app = move || {
        let limit = web::PayloadConfig::new(LARGEST);
        App::new()
            .app_data(data.clone())
            .app_data(limit)
            .service(convert)
            .service(chat)
    };
    let server = HttpServer::new(app)
        .workers(1)
        .shutdown_timeout(30)
        .bind(("127.0.0.1", port))?;
    for address in server.addrs() {
        println!("listening on {address}");
    }
    server.run().await?;
    pools.drain().await;
    println!("drained");
    Ok(())
}
