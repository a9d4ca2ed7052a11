//! A web server whose answers come from children: `GET /run/NAME` streams what a program prints, `POST /convert/NAME` pipes
//! the body of the request through a program.
//!
//! `cargo run -p web --bin http`, then with the address that it prints `curl -N ADDRESS/run/clock` or
//! `curl --data-binary @FILE ADDRESS/convert/gzip`. `-- PORT NAME=SCRIPT...` chooses the port and has other programs: who starts
//! the server decides what runs, and a request only names it.
//!
//! - A client that leaves kills the child and all that it has started.
//! - A child that fails breaks its answer off, so that no client takes what came for the whole; the reason is logged.
//! - Nothing is collected: a slow client holds up the child, and the child the client that sends.
//! - SIGTERM gives the answers 5 seconds to end; then what still runs is killed.

use std::collections::HashMap;
use std::time::Duration;

use actix_process::{Command, StreamCommand};
use actix_web::{App, HttpResponse, HttpServer, Result, error, get, post, web};
use futures::TryStreamExt;

const MINUTE: Duration = Duration::from_secs(60);

const DEFAULT: [&str; 3] = [
    "clock=while date; do sleep 1; done",
    "gzip=exec gzip",
    "upper=exec tr a-z A-Z",
];

/// What a request may name.
struct Programs(HashMap<String, Command>);

impl Programs {
    /// Each word is `NAME=SCRIPT`, for a shell.
    fn of(words: impl IntoIterator<Item = String>) -> std::io::Result<Self> {
        let program = |word: String| {
            let (name, script) = word.split_once('=')?;
            Some((name.to_owned(), Command::new("sh").args(["-c", script])))
        };
        let programs = words.into_iter().map(program).collect::<Option<_>>();
        programs
            .map(Self)
            .ok_or_else(|| std::io::Error::other("a program is NAME=SCRIPT"))
    }

    fn find(&self, name: &str) -> Result<StreamCommand> {
        let program = self.0.get(name);
        let program = program.ok_or_else(|| error::ErrorNotFound("no such program\n"))?;
        // For clients that hang, stop sending, or leave while bytes of them wait for a child that takes none: no server
        // notices those.
        Ok(program.stream().timeout(60 * MINUTE).idle_timeout(MINUTE))
    }
}

#[get("/run/{name}")]
async fn run(name: web::Path<String>, programs: web::Data<Programs>) -> Result<HttpResponse> {
    let output = programs.find(&name)?.start().await;
    let output = output.map_err(error::ErrorInternalServerError)?;
    let logged = output.inspect_err(move |failure| eprintln!("{name}: {failure}"));
    Ok(HttpResponse::Ok().streaming(logged))
}

#[post("/convert/{name}")]
async fn convert(
    name: web::Path<String>,
    programs: web::Data<Programs>,
    body: web::Payload,
) -> Result<HttpResponse> {
    let output = programs.find(&name)?.input(body).start().await;
    let output = output.map_err(error::ErrorInternalServerError)?;
    let logged = output.inspect_err(move |failure| eprintln!("{name}: {failure}"));
    Ok(HttpResponse::Ok().streaming(logged))
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1).peekable();
    let port = args.next().map_or(Ok(0), |port| port.parse());
    let port = port.map_err(std::io::Error::other)?;
    let programs = match args.peek() {
        Some(_) => Programs::of(args)?,
        None => Programs::of(DEFAULT.map(str::to_owned))?,
    };
    let programs = web::Data::new(programs);
    let app = move || {
        App::new()
            .app_data(programs.clone())
            .service(run)
            .service(convert)
    };
    let server = HttpServer::new(app)
        // Otherwise a client that has left is taken for one that sends no more, until its child has something to say.
        .h1_allow_half_closed(false)
        .shutdown_timeout(5)
        .bind(("127.0.0.1", port))?;
    for address in server.addrs() {
        println!("listening on {address}");
    }
    server.run().await
}
