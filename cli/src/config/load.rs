//! Reads the settings: defaults, file, environment, arguments, each over the one before.

use std::ffi::OsString;
use std::path::Path;

use figment::providers::Serialized;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::Config;
use crate::failure::Failure;

/// What the names of environment variables begin with; `__` stands between section and key.
const PREFIX: &str = "COLDPOST_";

impl Config {
    /// Reads `file` (if any), the variables that begin with `COLDPOST_`, and the data directory that was typed.
    ///
    /// # Errors
    /// A file that cannot be read; an unknown key; a value that is none.
    pub(crate) fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        data: Option<&Path>,
    ) -> Result<Config, Failure> {
        let Some(file) = file else {
            return Config::read(None, environment, data);
        };
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::Usage(format!("{name} cannot be read: {error}")))?;
        Config::read(Some((&name, &text)), environment, data)
    }

    /// The same with the name and the text of a file that was read.
    ///
    /// # Errors
    /// An unknown key; a value that is none.
    pub(crate) fn read(
        file: Option<(&str, &str)>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        data: Option<&Path>,
    ) -> Result<Config, Failure> {
        let mut figment = Figment::new();
        if let Some((name, text)) = file {
            let wrong = |error| Failure::Usage(format!("{name}: {error}"));
            no_dates(&toml::from_str(text).map_err(wrong)?, name)?;
            let values = toml::from_str(text).map_err(wrong)?;
            let name = name.to_owned();
            figment = figment.merge(Layer { name, values }.known()?);
        }
        let variables = Layer {
            name: "the environment".to_owned(),
            values: variables(environment)?,
        };
        figment = figment.merge(variables.known()?);
        if let Some(data) = data {
            figment = figment.merge(Serialized::default("data", data));
        }
        figment
            .extract()
            .map_err(|error: figment::Error| explain(&error))
    }

    /// Every key that is known, as `section.key`.
    pub(crate) fn keys() -> Vec<String> {
        let mut keys = Vec::new();
        if let Ok(serde_json::Value::Object(sections)) = serde_json::to_value(Config::default()) {
            for (section, value) in sections {
                match value {
                    serde_json::Value::Object(inner) => {
                        keys.extend(inner.keys().map(|key| format!("{section}.{key}")))
                    }
                    _ => keys.push(section),
                }
            }
        }
        keys
    }
}

/// Values from one place, with the name that errors give it.
struct Layer {
    name: String,
    values: Dict,
}

impl Layer {
    /// Itself, when it has no key that is unknown.
    fn known(self) -> Result<Layer, Failure> {
        let keys = Config::keys();
        let given = self.values.iter().flat_map(|(section, value)| match value {
            Value::Dict(_, inner) => inner.keys().map(|key| format!("{section}.{key}")).collect(),
            _ => vec![section.clone()],
        });
        match given.into_iter().find(|key| !keys.contains(key)) {
            None => Ok(self),
            Some(unknown) => {
                let near =
                    nearest(&unknown, &keys).map(|key| format!("; the nearest known key is {key}"));
                let near = near.unwrap_or_default();
                Err(Failure::Usage(format!(
                    "{unknown} (in {}) is no setting of this version{near}",
                    self.name
                )))
            }
        }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// A date of TOML is no value of any setting; to what reads the values it is a table with a strange name.
fn no_dates(table: &toml::Table, file: &str) -> Result<(), Failure> {
    match table.iter().find_map(|(key, value)| date_in(key, value)) {
        None => Ok(()),
        Some(key) => Err(Failure::Usage(format!(
            "{key} (in {file}): a date is no value here; write text in quotes"
        ))),
    }
}

/// The key of the first date in `value`, which is that of `key`.
fn date_in(key: &str, value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::Datetime(_) => Some(key.to_owned()),
        toml::Value::Array(values) => values.iter().find_map(|value| date_in(key, value)),
        toml::Value::Table(table) => {
            let mut inner = table.iter();
            inner.find_map(|(inner, value)| date_in(&format!("{key}.{inner}"), value))
        }
        _ => None,
    }
}

/// The variables of ours as settings. Their values stay text: a password of digits is no number.
fn variables(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Dict, Failure> {
    let mut values = Dict::new();
    for (name, value) in environment {
        let Some(name) = name.to_str() else { continue };
        let Some(key) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let value = value
            .into_string()
            .map_err(|_| Failure::Usage(format!("{name} is no text in UTF-8")))?;
        let key = key.to_ascii_lowercase();
        match key.split_once("__") {
            None => drop(values.insert(key, value.into())),
            Some((section, key)) => {
                let section = values
                    .entry(section.to_owned())
                    .or_insert_with(|| Dict::new().into());
                if let Value::Dict(_, inner) = section {
                    inner.insert(key.to_owned(), value.into());
                }
            }
        }
    }
    Ok(values)
}

/// The key that was probably meant: the same name in another section, else the most similar one.
fn nearest<'k>(unknown: &str, keys: &'k [String]) -> Option<&'k str> {
    let name = |key: &str| key.rsplit('.').next().map(str::to_owned);
    let likeness = |key: &String| {
        let same_name = f64::from(u8::from(name(key) == name(unknown)));
        same_name + strsim::jaro_winkler(key, unknown)
    };
    keys.iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .map(String::as_str)
}

fn explain(error: &figment::Error) -> Failure {
    let key = error.path.join(".");
    let source = error
        .metadata
        .as_ref()
        .map(|metadata| format!(" (in {})", metadata.name))
        .unwrap_or_default();
    Failure::Usage(format!("{key}{source}: {}", error.kind))
}
