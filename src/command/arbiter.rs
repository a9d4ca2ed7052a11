//! The arbiter that a command names for its child's actors.

use actix::{Arbiter, ArbiterHandle};

use super::Command;

/// An [`Arbiter`] or its [`ArbiterHandle`], as an argument of [`Command::on`]. Sealed.
pub trait ToArbiterHandle: sealed::SealedArbiter {
    /// The arbiter's handle.
    fn to_arbiter_handle(&self) -> ArbiterHandle;
}

mod sealed {
    pub trait SealedArbiter {}
}

impl sealed::SealedArbiter for Arbiter {}
impl ToArbiterHandle for Arbiter {
    fn to_arbiter_handle(&self) -> ArbiterHandle {
        self.handle()
    }
}

impl sealed::SealedArbiter for ArbiterHandle {}
impl ToArbiterHandle for ArbiterHandle {
    fn to_arbiter_handle(&self) -> ArbiterHandle {
        self.clone()
    }
}

impl Command {
    /// The arbiter where the child's actors live, in place of the one where the spawn is asked for.
    ///
    /// For a child that is to outlive the asking arbiter, for example a worker of a server under
    /// `#[actix_web::main]`: when an arbiter stops, the children whose actors live on it follow their
    /// [`on_orphaned`](Self::on_orphaned). The child still belongs to the supervisor of the System that asks:
    /// when that supervisor ends, the child follows its `on_orphaned`.
    ///
    /// The arbiter reads and writes the child's pipes and reaps the child. An arbiter that is blocked holds up
    /// all of that, and the spawn as well.
    ///
    /// A spawn fails with [`SpawnStep::Register`](crate::SpawnStep::Register), and makes no child, if the arbiter has
    /// stopped.
    ///
    /// ```
    /// use actix::System;
    /// use actix_process::{Command, NoProtocol};
    ///
    /// # System::new().block_on(async {
    /// let main = System::current().arbiter().clone();
    /// let process = Command::new("true").on(&main).spawn(NoProtocol).await?;
    /// # process.ended().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[must_use = "a command is changed by value: `command = command.on(..)`"]
    pub fn on(self, arbiter: &impl ToArbiterHandle) -> Self {
        let arbiter = arbiter.to_arbiter_handle();
        self.edit(|spec| spec.arbiter = Some(arbiter))
    }
}
