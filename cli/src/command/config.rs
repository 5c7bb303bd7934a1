//! `coldpost config show`: every setting with the value that counts; secrets hidden.

use crate::config::Config;
use crate::failure::Failure;
use crate::output::Output;

/// Shows the settings as TOML that could stand in a file.
///
/// # Errors
/// When standard output does not take them.
pub(crate) fn show(config: &Config, output: Output) -> Result<(), Failure> {
    let text = toml::to_string(config)
        .map_err(|error| Failure::of("the settings cannot be shown", &error))?;
    output.say(config, text.trim_end())
}
