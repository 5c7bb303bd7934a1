//! Connections that deliver until the server is gone.

use std::sync::Mutex;

use coldpost_testkit::Must;
use coldpost_testkit::dice::Dice;
use coldpost_testkit::lmtp::Lmtp;

use crate::mail::message;
use crate::{Server, USERS};

/// A message and what is known about it.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    /// Its name.
    pub(crate) id: String,
    /// To whom.
    pub(crate) users: Vec<&'static str>,
    /// All recipients were accepted; otherwise no answer came.
    pub(crate) acknowledged: bool,
}

/// Delivers one after the other to one to three users; what is tried is written down before it is sent.
pub(crate) fn deliver(
    server: &Server,
    name: &str,
    mut dice: Dice,
    tried: &Mutex<Vec<Delivery>>,
    over: &Mutex<bool>,
) {
    let Ok(mut lmtp) = Lmtp::try_connect(server.lmtp) else {
        return;
    };
    for number in 0.. {
        if *over.lock().must("the end of the load") {
            return;
        }
        let id = format!("{name}-{number}");
        let mut users = USERS.to_vec();
        let first = dice.index(users.len());
        users.rotate_left(first);
        users.truncate(1 + dice.index(3));
        let delivery = Delivery {
            id: id.clone(),
            users: users.clone(),
            acknowledged: false,
        };
        tried.lock().must("the deliveries").push(delivery);
        let Ok(replies) = lmtp.try_deliver("a@example.org", &users, &message(&id)) else {
            return;
        };
        for reply in &replies {
            assert!(reply.is_ok(), "{id} to {users:?}: {reply:?}");
        }
        let mut tried = tried.lock().must("the deliveries");
        let mine = tried.iter_mut().rev().find(|delivery| delivery.id == id);
        mine.must("the delivery that was written down").acknowledged = true;
    }
}
