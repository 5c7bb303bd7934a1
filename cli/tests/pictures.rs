//! Sessions that change one mailbox at the same time: what each was told adds up to what a fresh session sees.
//!
//! Promises: the seed is printed. A client learns of changes from untagged answers alone; where the server announces QRESYNC it also
//! reconnects by that.

#[path = "pictures/session.rs"]
mod session;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::{Daemon, Options, tool};

use session::Session;

/// Sessions at the same time.
const SESSIONS: usize = 8;
/// Whose mailbox it is.
const USER: &str = "many@example.org";

#[test]
fn no_session_ends_with_another_picture_than_a_fresh_one() {
    let (rounds, steps) = if tool::long() { (200, 60) } else { (8, 20) };
    let daemon = Daemon::start(Options::new(env!("CARGO_BIN_EXE_coldpost")));
    let mut dice = Dice::from_env();
    let mut sessions: Vec<Session> = (0..SESSIONS)
        .map(|number| Session::begin(&daemon, USER, number, dice.fork()))
        .collect();
    for round in 0..rounds {
        std::thread::scope(|scope| {
            for session in &mut sessions {
                scope.spawn(move || (0..steps).for_each(|_| session.step()));
            }
        });
        let fresh = session::fresh(&daemon, USER);
        for session in &mut sessions {
            session.catch_up();
            let differences = session.picture().differences(&fresh);
            assert!(
                differences.is_empty(),
                "round {round}, this session or a fresh one:\n{differences}\nits last steps:\n{}",
                session.steps()
            );
        }
    }
    let done = sessions.iter().fold([0; 4], |all, session| {
        let own = session.counts();
        [0, 1, 2, 3].map(|at| all[at] + own[at])
    });
    println!("appended, expunged, stored, reconnected: {done:?}");
    assert!(
        done.iter().all(|count| *count > 0),
        "{done:?}: a step was never taken"
    );
}
