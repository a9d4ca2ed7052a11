//! The turns of a protocol's mailbox, which all its children share.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex, Weak};

use actix::Recipient;

use super::message::FromProcess;
use crate::port::mailbox_turns::MailboxTurns;
use crate::sync::lock;

/// The one turns of all children whose protocol is behind `recipient`.
pub(super) fn mailbox_turns_of(recipient: &Recipient<FromProcess>) -> Arc<MailboxTurns> {
    // By the mailbox's address, which no other mailbox has while a child holds this one. Turns
    // that a kept handle keeps longer has no watch and no children.
    static BY_MAILBOX: LazyLock<Mutex<HashMap<u64, Weak<MailboxTurns>>>> =
        LazyLock::new(Mutex::default);
    let mut hasher = DefaultHasher::new();
    recipient.hash(&mut hasher);
    let key = hasher.finish();

    let mut by_mailbox = lock(&BY_MAILBOX);
    if let Some(mailbox_turns) = by_mailbox.get(&key).and_then(Weak::upgrade) {
        return mailbox_turns;
    }
    if by_mailbox.len() == by_mailbox.capacity() {
        by_mailbox.retain(|_, mailbox_turns| mailbox_turns.strong_count() > 0);
    }
    let mailbox_turns = Arc::default();
    by_mailbox.insert(key, Arc::downgrade(&mailbox_turns));
    mailbox_turns
}
