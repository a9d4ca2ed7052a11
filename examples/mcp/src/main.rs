//! A session with an MCP server over its standard input and output, by the `rmcp` crate: lists its tools and calls one.
//!
//! `cargo run -p mcp`: talks with `mcp-server-time`, which must be in PATH (`pip install
//! mcp-server-time`). After `--` another program may be named: `/venv/bin/mcp-server-time`.
//! `-- mcp-server-time --kill`: the server is killed while it owes an answer.

use std::process::ExitCode;
use std::time::Duration;

use actix_process::{Command, Fd, Ladder, ProcessHandle, Signal};
use rmcp::ServiceExt;
use rmcp::model::CallToolRequestParams;
use serde_json::json;

type Error = Box<dyn std::error::Error>;

const SECOND: Duration = Duration::from_secs(1);

/// A client's error, with what became of the server if that is why. A server that is alive has five seconds to end.
async fn explained(process: &ProcessHandle, error: impl Into<Error>) -> Error {
    let error = error.into();
    if let Err(unkillable) = process.stop(Ladder::eof(5 * SECOND).kill()).await {
        return format!("{error}: {unkillable}").into();
    }
    process.ended().await;
    match process.failure() {
        Some(failure) => format!("{error}: {failure}").into(),
        None => error,
    }
}

async fn run(program: &str, kill: bool) -> Result<(), Error> {
    let server = Command::new(program).args(["--local-timezone", "UTC"]);
    let server = server.stderr(Fd::tail(4096)).open().await?;
    let process = server.process.clone();
    let client = match ().serve(server.io()).await {
        Ok(client) => client,
        Err(error) => return Err(explained(&process, error).await),
    };
    match client.list_all_tools().await {
        Ok(tools) => tools
            .iter()
            .for_each(|tool| println!("tool: {}", tool.name)),
        Err(error) => return Err(explained(&process, error).await),
    }
    let arguments =
        json!({"source_timezone": "UTC", "time": "12:30", "target_timezone": "Asia/Tokyo"});
    let mut call = CallToolRequestParams::new("convert_time");
    call.arguments = arguments.as_object().cloned();
    if kill {
        // It reads nothing from here on, so it cannot answer before it is killed.
        process.signal_group(Signal::STOP)?;
    }
    let killing = async { kill.then(|| process.kill()) };
    let (answer, _) = futures::join!(client.call_tool(call), killing);
    match answer {
        Ok(answer) => {
            let text = answer
                .content
                .iter()
                .filter_map(|content| content.as_text());
            text.for_each(|text| println!("{}", text.text));
        }
        Err(error) => return Err(explained(&process, error).await),
    }
    // The order that MCP wants. It reaches the server behind a wrapper (`npx`, `uvx`), too.
    let ladder = Ladder::eof(10 * SECOND).term(2 * SECOND).kill();
    let stopped = process.stop(ladder).await?;
    println!("the end: {}, by {:?}", stopped.status, stopped.by);
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let count = words.len();
    words.retain(|word| word != "--kill");
    let program = words.first().map_or("mcp-server-time", String::as_str);
    match run(program, words.len() < count).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
