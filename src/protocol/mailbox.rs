//! The turns of a protocol's mailbox, which all its children share.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex, Weak};

use actix::Recipient;

use super::message::FromProcess;
use crate::port::mailbox_turns::Inbox;
use crate::sync::lock;

/// The one inbox of all children whose protocol is behind `recipient`.
pub(super) fn inbox_of(recipient: &Recipient<FromProcess>) -> Arc<Inbox> {
    // By the mailbox's address, which no other mailbox has while a child holds this one. An inbox
    // that a kept handle keeps longer has no watch and no children.
    static INBOXES: LazyLock<Mutex<HashMap<u64, Weak<Inbox>>>> = LazyLock::new(Mutex::default);
    let mut hasher = DefaultHasher::new();
    recipient.hash(&mut hasher);
    let key = hasher.finish();

    let mut inboxes = lock(&INBOXES);
    if let Some(inbox) = inboxes.get(&key).and_then(Weak::upgrade) {
        return inbox;
    }
    if inboxes.len() == inboxes.capacity() {
        inboxes.retain(|_, inbox| inbox.strong_count() > 0);
    }
    let inbox = Arc::default();
    inboxes.insert(key, Arc::downgrade(&inbox));
    inbox
}
