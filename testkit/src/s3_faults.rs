//! What buckets do to requests, at random from a seed: answers that fail, come late, are short, wrong or another object's, and puts
//! that are not what their answers say.
//!
//! Promises: signed requests reach the store as they were signed (Host included); what is drawn depends on the seed and the order
//! of requests. Never: makes a fault that a store which keeps its promises to others could not make.

use std::collections::VecDeque;
use std::time::Duration;

use crate::dice::Dice;
use crate::http::Head;

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum S3Fault {
    /// This status, not asking the store.
    Status(u16),
    /// An answer after this time.
    Delay(Duration),
    /// No answer for this time, then the end of the connection.
    Hang(Duration),
    /// The first half of the body, then the end.
    Truncate,
    /// One bit of the body is another one.
    Flip,
    /// The body of another object.
    Swap,
    /// A put is answered with 200 and thrown away.
    Discard,
    /// It is done, and the answer is 500.
    DoneAnd500,
    /// It is done, and the connection ends.
    DoneAndCut,
    /// Somebody else was faster with the same object: it is done, and the answer is 412.
    Race,
}

/// Bodies that are remembered, to be given for others.
const REMEMBERED: usize = 8;

/// Draws faults.
#[derive(Debug)]
pub struct S3Faults {
    dice: Dice,
    /// Of a thousand requests so many meet a fault.
    per_mille: u64,
    orders: VecDeque<(String, S3Fault)>,
    bodies: VecDeque<(String, Vec<u8>)>,
    met: Vec<(S3Fault, String)>,
}

impl S3Faults {
    /// None but on order.
    pub fn new(dice: Dice) -> S3Faults {
        S3Faults {
            dice,
            per_mille: 0,
            orders: VecDeque::new(),
            bodies: VecDeque::new(),
            met: Vec::new(),
        }
    }

    /// From now on so many of a thousand requests meet a fault; 0 ends it.
    pub fn at_random(&mut self, per_mille: u64) {
        self.per_mille = per_mille;
    }

    /// The next `times` requests whose line contains `part` meet this one.
    pub fn order(&mut self, part: &str, fault: S3Fault, times: usize) {
        let order = (part.to_owned(), fault);
        self.orders.extend(std::iter::repeat_n(order, times));
    }

    /// What was met so far, with the request lines; forgets it.
    pub fn take_met(&mut self) -> Vec<(S3Fault, String)> {
        std::mem::take(&mut self.met)
    }

    /// For the next request.
    pub(crate) fn meet(&mut self, head: &Head) -> Option<S3Fault> {
        let fault = self.draw(head)?;
        self.met.push((fault, head.first.clone()));
        Some(fault)
    }

    fn draw(&mut self, head: &Head) -> Option<S3Fault> {
        let ordered = self
            .orders
            .iter()
            .position(|(part, _)| head.first.contains(part));
        if let Some(at) = ordered {
            return self.orders.remove(at).map(|(_, fault)| fault);
        }
        if self.dice.draw() % 1000 >= self.per_mille {
            return None;
        }
        let short = Duration::from_millis(self.dice.draw() % 2000);
        let mut faults = vec![
            S3Fault::Status(403),
            S3Fault::Status(404),
            S3Fault::Status(500),
            S3Fault::Status(503),
            S3Fault::Delay(short),
            S3Fault::Hang(short * 3),
        ];
        match head.first.split(' ').next() {
            Some("GET") => faults.extend([S3Fault::Truncate, S3Fault::Flip, S3Fault::Swap]),
            Some("PUT") => faults.extend([
                S3Fault::Discard,
                S3Fault::DoneAnd500,
                S3Fault::DoneAndCut,
                S3Fault::Race,
            ]),
            _ => {}
        }
        let at = self.dice.draw() % faults.len() as u64;
        faults.get(usize::try_from(at).unwrap_or(0)).copied()
    }

    /// Keeps a body, and gives one of another object of at least this length, cut to it.
    pub(crate) fn swap(&mut self, line: &str, body: &[u8]) -> Option<Vec<u8>> {
        let object = line.split(' ').nth(1).unwrap_or_default();
        let other = self
            .bodies
            .iter()
            .find(|(of, other)| of != object && other.len() >= body.len());
        other.map(|(_, other)| other.iter().take(body.len()).copied().collect())
    }

    /// Remembers a body.
    pub(crate) fn remember(&mut self, line: &str, body: &[u8]) {
        let object = line.split(' ').nth(1).unwrap_or_default();
        if body.is_empty() || self.bodies.iter().any(|(of, _)| of == object) {
            return;
        }
        self.bodies.push_back((object.to_owned(), body.to_owned()));
        if self.bodies.len() > REMEMBERED {
            self.bodies.pop_front();
        }
    }

    /// Another bit each time.
    pub(crate) fn flip(&mut self, body: &mut [u8]) {
        let length = body.len().max(1) as u64;
        let at = usize::try_from(self.dice.draw() % length).unwrap_or(0);
        let bit = self.dice.draw() % 8;
        if let Some(byte) = body.get_mut(at) {
            *byte ^= 1 << bit;
        }
    }
}
