//! What can be asked of a [`Monitor`] by messages to its address: the same as by the methods of
//! [`MonitorHandle`](super::MonitorHandle), which say what each does and how it is answered.
//!
//! ```
//! use actix_process::Command;
//! use actix_process::monitor::{Monitor, Service, messages};
//!
//! # actix::System::new().block_on(async {
//! let service = Service::new("sleep", Command::new("sleep").arg("60"));
//! let monitor = Monitor::new().service(service).start()?;
//! let name = "sleep".into();
//! monitor.addr().send(messages::Stop { name }).await??;
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix::{AsyncContext, Context, Handler, Message, ResponseFuture};
use tokio::sync::oneshot;

use super::Monitor;
use super::access::{Access, ask_at};
use super::actor::Ask;
use super::core::Request;
use super::error::MonitorError;
use super::events::Events as EventStream;
use super::lease;
use super::name::ServiceName;
use super::output::{Follow as LineStream, Since};
use super::service::{Service, checked};
use super::shutdown_report::ShutdownReport;
use super::status;
use crate::Bytes;
use crate::PtySize;
use crate::Signal as SignalNumber;

/// What comes of a request.
type Done<T> = ResponseFuture<Result<T, MonitorError>>;

/// [`MonitorHandle::add_all`](super::MonitorHandle::add_all).
#[derive(Debug, Message)]
#[rtype(result = "Result<(), MonitorError>")]
#[expect(clippy::exhaustive_structs, reason = "a message that users write down")]
pub struct Add {
    /// All of them, or none.
    pub services: Vec<Service>,
}

impl Handler<Add> for Monitor {
    type Result = Done<()>;

    fn handle(&mut self, message: Add, ctx: &mut Context<Self>) -> Self::Result {
        match checked(message.services) {
            Ok(specs) => Box::pin(ask_at(&ctx.address(), |tell| Ask::Add(specs, tell))),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

/// A message with a name, that is a request of the core.
macro_rules! by_name {
    ($($(#[$doc:meta])* $message:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Message)]
        #[rtype(result = "Result<(), MonitorError>")]
        #[expect(clippy::exhaustive_structs, reason = "a message that users write down")]
        pub struct $message {
            /// The service.
            pub name: ServiceName,
        }

        impl Handler<$message> for Monitor {
            type Result = Done<()>;

            fn handle(&mut self, message: $message, ctx: &mut Context<Self>) -> Self::Result {
                let ask = |tell| Ask::Request(message.name, Request::$message, tell);
                Box::pin(ask_at(&ctx.address(), ask))
            }
        }
    )*};
}

by_name! {
    /// [`MonitorHandle::remove`](super::MonitorHandle::remove).
    Remove;
    /// [`MonitorHandle::start`](super::MonitorHandle::start).
    Start;
    /// [`MonitorHandle::ready`](super::MonitorHandle::ready).
    Ready;
    /// [`MonitorHandle::stop`](super::MonitorHandle::stop).
    Stop;
    /// [`MonitorHandle::restart`](super::MonitorHandle::restart).
    Restart;
    /// [`MonitorHandle::restart_now`](super::MonitorHandle::restart_now).
    RestartNow;
}

/// A message with a name and something else.
macro_rules! with_value {
    ($($(#[$doc:meta])* $message:ident { $(#[$of:meta])* $field:ident: $type:ty };)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Message)]
        #[rtype(result = "Result<(), MonitorError>")]
        #[expect(clippy::exhaustive_structs, reason = "a message that users write down")]
        pub struct $message {
            /// The service.
            pub name: ServiceName,
            $(#[$of])*
            pub $field: $type,
        }

        impl Handler<$message> for Monitor {
            type Result = Done<()>;

            fn handle(&mut self, message: $message, ctx: &mut Context<Self>) -> Self::Result {
                let ask = move |tell| Ask::$message(message.name, message.$field, tell);
                Box::pin(ask_at(&ctx.address(), ask))
            }
        }
    )*};
}

with_value! {
    /// [`MonitorHandle::signal`](super::MonitorHandle::signal).
    #[derive(Debug)]
    Signal {
        /// The signal.
        signal: SignalNumber
    };
    /// [`MonitorHandle::write`](super::MonitorHandle::write).
    Write {
        /// What is written.
        data: Bytes
    };
    /// [`MonitorHandle::resize`](super::MonitorHandle::resize).
    #[derive(Debug)]
    Resize {
        /// The size of its terminal.
        size: PtySize
    };
}

/// Of the data only how much it is.
impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Write")
            .field("name", &self.name)
            .field("data", &self.data.len())
            .finish()
    }
}

/// A message of nothing else.
macro_rules! bare {
    ($($(#[$doc:meta])* $message:ident: $ask:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Message)]
        #[rtype(result = "Result<(), MonitorError>")]
        #[expect(clippy::exhaustive_structs, reason = "a message that users write down")]
        pub struct $message;

        impl Handler<$message> for Monitor {
            type Result = Done<()>;

            fn handle(&mut self, _: $message, ctx: &mut Context<Self>) -> Self::Result {
                Box::pin(ask_at(&ctx.address(), Ask::$ask))
            }
        }
    )*};
}

bare! {
    /// [`MonitorHandle::all_ready`](super::MonitorHandle::all_ready).
    AllReady: AllReady;
    /// [`MonitorHandle::reopen_files`](super::MonitorHandle::reopen_files).
    ReopenFiles: Reopen;
}

/// [`MonitorHandle::all`](super::MonitorHandle::all), and
/// [`all_with_usage`](super::MonitorHandle::all_with_usage); or of one service.
#[derive(Debug, Clone, Default, Message)]
#[rtype(result = "Result<Vec<status::Status>, MonitorError>")]
#[expect(clippy::exhaustive_structs, reason = "a message that users write down")]
pub struct Status {
    /// Of this one only.
    pub name: Option<ServiceName>,
    /// With what their processes use.
    pub usage: bool,
}

impl Handler<Status> for Monitor {
    type Result = Done<Vec<status::Status>>;

    fn handle(&mut self, message: Status, ctx: &mut Context<Self>) -> Self::Result {
        let ask = move |tell| Ask::Status(message.name, message.usage, tell);
        Box::pin(ask_at(&ctx.address(), ask))
    }
}

/// [`MonitorHandle::events`](super::MonitorHandle::events).
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<EventStream, MonitorError>")]
#[expect(clippy::exhaustive_structs, reason = "a message that users write down")]
pub struct Events;

impl Handler<Events> for Monitor {
    type Result = Result<EventStream, MonitorError>;

    fn handle(&mut self, _: Events, _: &mut Context<Self>) -> Self::Result {
        let engine = self.engine.as_ref().ok_or(MonitorError::Ended)?;
        Ok(EventStream::new(engine.shared().subscribe()))
    }
}

/// [`MonitorHandle::follow`](super::MonitorHandle::follow).
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<LineStream, MonitorError>")]
#[expect(clippy::exhaustive_structs, reason = "a message that users write down")]
pub struct Follow {
    /// The service.
    pub name: ServiceName,
    /// From which line on.
    pub since: Since,
}

impl Handler<Follow> for Monitor {
    type Result = Result<LineStream, MonitorError>;

    fn handle(&mut self, message: Follow, _: &mut Context<Self>) -> Self::Result {
        let engine = self.engine.as_ref().ok_or(MonitorError::Ended)?;
        Ok(engine.shared().output(&message.name).follow(message.since))
    }
}

/// [`MonitorHandle::lease`](super::MonitorHandle::lease), and [`lease_key`](super::MonitorHandle::lease_key). This
/// lease does not keep the monitor running when its last handle is dropped.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<lease::Lease, MonitorError>")]
#[expect(clippy::exhaustive_structs, reason = "a message that users write down")]
pub struct Lease {
    /// The service, with the key of a keyed one.
    pub name: ServiceName,
}

impl Handler<Lease> for Monitor {
    type Result = Done<lease::Lease>;

    fn handle(&mut self, message: Lease, ctx: &mut Context<Self>) -> Self::Result {
        let shared = self
            .engine
            .as_ref()
            .map(|engine| Arc::clone(engine.shared()));
        let address = ctx.address();
        Box::pin(async move {
            let shared = shared.ok_or(MonitorError::Ended)?;
            lease::Lease::take(Access { address, shared }, message.name).await
        })
    }
}

/// [`MonitorHandle::shutdown`](super::MonitorHandle::shutdown).
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<ShutdownReport, MonitorError>")]
#[expect(clippy::exhaustive_structs, reason = "a message that users write down")]
pub struct Shutdown {
    /// When what is left is killed.
    pub deadline: Duration,
}

impl Handler<Shutdown> for Monitor {
    type Result = Done<ShutdownReport>;

    fn handle(&mut self, message: Shutdown, ctx: &mut Context<Self>) -> Self::Result {
        let (tell, told) = oneshot::channel();
        ctx.address().do_send(Ask::Shutdown(message.deadline, tell));
        let closed = self.engine.as_ref().map(|engine| engine.shared().closed());
        Box::pin(async move {
            match (told.await, closed) {
                (Ok(report), _) => Ok(report),
                // The monitor ended before it came to this request.
                (Err(_), Some(closed)) => Ok(closed.await),
                (Err(_), None) => Err(MonitorError::Ended),
            }
        })
    }
}
