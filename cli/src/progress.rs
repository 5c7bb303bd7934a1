//! A progress bar on standard error for what takes longer than two seconds.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work shorter than this shows no bar.
const PATIENCE: Duration = Duration::from_secs(2);

/// Progress in bytes.
pub(crate) struct Progress {
    begun: Instant,
    bar: ProgressBar,
}

impl Progress {
    /// Begins now; shows nothing yet. Nothing at all when standard error is no terminal.
    pub(crate) fn new() -> Progress {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let style =
            ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
        bar.set_style(style.expect("the template is right"));
        Progress {
            begun: Instant::now(),
            bar,
        }
    }

    /// Progress in messages.
    pub(crate) fn of_messages() -> Progress {
        let progress = Progress::new();
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} messages {per_sec} {eta}");
        progress
            .bar
            .set_style(style.expect("the template is right"));
        progress
    }

    /// Progress in lines, of a number that nobody knows.
    pub(crate) fn of_lines() -> Progress {
        let progress = Progress::new();
        let style = ProgressStyle::with_template("{pos} lines {per_sec}");
        progress
            .bar
            .set_style(style.expect("the template is right"));
        progress
    }

    /// Progress in words.
    pub(crate) fn of_stages() -> Progress {
        let progress = Progress::new();
        let style = ProgressStyle::with_template("{msg}");
        progress
            .bar
            .set_style(style.expect("the template is right"));
        progress
    }

    /// What goes on now.
    pub(crate) fn at_stage(&self, what: String) {
        self.show();
        self.bar.set_message(what);
    }

    /// So many lines.
    pub(crate) fn at_line(&self, done: u64) {
        self.show();
        self.bar.set_position(done);
    }

    /// So many of so many.
    pub(crate) fn at(&self, done: u64, total: u64) {
        self.show();
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    fn show(&self) {
        if self.bar.is_hidden() && self.begun.elapsed() > PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    /// Runs `say` with the bar out of its way.
    pub(crate) fn aside(&self, say: impl FnOnce()) {
        self.bar.suspend(say);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
