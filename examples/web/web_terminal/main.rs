//! Bash in a browser: on a terminal, over a WebSocket.
//!
//! `npm ci --prefix examples/web/web_terminal` once, for xterm.js; then
//! `cargo run -p web --bin web_terminal`. `#NAME` at the end of the address is another session.
//! The environment variable PORT chooses the port, IDLE the seconds without a viewer that end a session, PATIENCE the seconds
//! that a viewer may hang.
//!
//! **Whoever reaches the port has your shell**: any user of this machine does. So the server listens on the loopback only,
//! and gives pages of other sites no socket. To reach it from elsewhere, use `ssh -L 8080:127.0.0.1:8080`.
//!
//! A session outlives its pages. A page that is loaded again, or twice, shows the last 256 KiB; a full-screen program that
//! has shown more draws itself anew when the window changes. Bash waits for the slowest of its viewers, and other sessions
//! wait for none of them. A viewer for which bash waits, and which has shown nothing for PATIENCE, is sent away.

mod session;

use std::collections::HashMap;
use std::future::ready;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_process::Bytes;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, Route, error, get, rt, web};
use futures::future::join_all;
use futures::{StreamExt, stream};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::JoinHandle;

use session::{Act, session};

const MOST_SESSIONS: usize = 16;
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/web_terminal");

/// Where what viewers do goes, and the task that does it.
type Running = (Sender<(usize, Act)>, JoinHandle<()>);

struct Sessions {
    all: Mutex<HashMap<String, Running>>,
    /// That of `main`, where the sessions run: those of the server's workers end before bash does.
    runtime: Handle,
}

impl Sessions {
    fn get_or_start(&self, name: String) -> Option<Sender<(usize, Act)>> {
        let mut all = self.all.lock().unwrap();
        all.retain(|_, (acts, _)| !acts.is_closed());
        if !all.contains_key(&name) && all.len() < MOST_SESSIONS {
            let (acts, receiver) = channel(64);
            let running = self.runtime.spawn(session(receiver));
            all.insert(name.clone(), (acts, running));
        }
        all.get(&name).map(|(acts, _)| acts.clone())
    }

    async fn stop(&self) {
        let all = std::mem::take(&mut *self.all.lock().unwrap());
        let stops = all.into_values().map(|(acts, running)| async move {
            // Fails when it has ended by itself.
            let _ = acts.send((0, Act::Stop)).await;
            let _ = running.await;
        });
        join_all(stops).await;
    }
}

#[get("/sessions/{name}")]
async fn attach(
    request: HttpRequest,
    body: web::Payload,
    name: web::Path<String>,
    sessions: web::Data<Sessions>,
) -> actix_web::Result<HttpResponse> {
    // A browser connects a page of any site to any address, and says which site it is.
    let port = request.app_config().local_addr().port();
    let ours = ["127.0.0.1", "localhost"].map(|host| format!("http://{host}:{port}"));
    let origin = request.headers().get("Origin");
    if !origin.is_some_and(|origin| ours.iter().any(|ours| origin == ours.as_str())) {
        return Err(error::ErrorForbidden("a page of another site"));
    }
    let (response, socket, messages) = actix_ws::handle(&request, body)?;
    let session = sessions.get_or_start(name.into_inner());
    let session = session.ok_or_else(|| error::ErrorServiceUnavailable("too many sessions"))?;
    static VIEWERS: AtomicUsize = AtomicUsize::new(0);
    let viewer = VIEWERS.fetch_add(1, Ordering::Relaxed);
    let said = messages.take_while(|message| ready(message.is_ok()));
    let said = said.filter_map(|message| ready(message.ok().map(Act::Say)));
    let mut acts = stream::iter([Act::Join(socket)])
        .chain(said)
        .chain(stream::iter([Act::Leave]));
    rt::spawn(async move {
        while let Some(act) = acts.next().await {
            // Fails when bash is ending, of which the viewer is told.
            let _ = session.send((viewer, act)).await;
        }
    });
    Ok(response)
}

fn serve(kind: &'static str, content: &Bytes) -> Route {
    let content = content.clone();
    web::get().to(move || {
        // Else a page of another site could show this one as a part of itself, and have its user type into it.
        let alone = ("X-Frame-Options", "DENY");
        let mut answer = HttpResponse::Ok();
        ready(
            answer
                .content_type(kind)
                .insert_header(alone)
                .body(content.clone()),
        )
    })
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let read = |file| match std::fs::read(format!("{HERE}/{file}")) {
        Ok(content) => Ok(Bytes::from(content)),
        Err(error) => Err(format!(
            "{file}: {error}\nType this first: npm ci --prefix {HERE}"
        )),
    };
    let page = read("page.html")?;
    let xterm = read("node_modules/@xterm/xterm/lib/xterm.js")?;
    let fit = read("node_modules/@xterm/addon-fit/lib/addon-fit.js")?;
    let style = read("node_modules/@xterm/xterm/css/xterm.css")?;
    let (all, runtime) = (Mutex::default(), Handle::current());
    let sessions = web::Data::new(Sessions { all, runtime });
    let stopped = sessions.clone();
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        stopped.stop().await;
    };
    let app = move || {
        let app = App::new().app_data(sessions.clone()).service(attach);
        let app = app.route("/", serve("text/html; charset=utf-8", &page));
        let app = app.route("/xterm.js", serve("text/javascript", &xterm));
        let app = app.route("/xterm.css", serve("text/css", &style));
        app.route("/fit.js", serve("text/javascript", &fit))
    };
    let port = std::env::var("PORT").map_or(Ok(8080), |port| port.parse())?;
    let server = HttpServer::new(app)
        .shutdown_signal(stop)
        .shutdown_timeout(1);
    let server = server.bind(("127.0.0.1", port))?;
    println!("open http://{}/", server.addrs()[0]);
    Ok(server.run().await?)
}
