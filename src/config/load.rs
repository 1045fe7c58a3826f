//! Reading the settings from where they are.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use figment::{
    Figment, Metadata, Profile, Provider,
    error::{Actual, Kind},
    providers::{Format, Serialized, Toml},
    value::{Dict, Map, Value},
};
use serde::{Deserialize, Deserializer, de};

use super::{Config, called};

/// The file that is read where none is named.
const FILE: &str = "tidewell.toml";

/// Why the settings can't be used; the message names the setting, what it was and what it must be.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub(super) String);

impl Config {
    /// Reads the settings of this process. `file` is the one named on the command line; without it `TIDEWELL_CONFIG` is, and
    /// without that `tidewell.toml` in the current folder, which may be missing.
    pub fn load(file: Option<&Path>) -> Result<Self, Error> {
        Self::load_from(file, variable_of_process)
    }

    pub(super) fn load_from(file: Option<&Path>, variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let named = file.map(Path::to_owned).or_else(|| variable("TIDEWELL_CONFIG").map(PathBuf::from));
        let path = named.clone().unwrap_or_else(|| PathBuf::from(FILE));
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => String::new(),
            read => {
                read.map_err(|error| Error(format!("the settings in {} can't be read: {error}", path.display())))?
            }
        };
        let defaults = Serialized::defaults(Self::default());
        let default_values = defaults.data().map_err(|error| explain(&error, &path))?.remove(&Profile::Default);
        let environment = Environment::read(&default_values.unwrap_or_default(), variable);
        let config: Self = Figment::from(defaults)
            .merge(Toml::string(&text))
            .merge(environment)
            .extract()
            .map_err(|error| explain(&error, &path))?;
        config.check()?;
        Ok(config)
    }
}

/// The variable that a setting is read from.
pub(super) fn variable(name: &str) -> String {
    let capitals = name.to_uppercase();
    if capitals.starts_with("ATHENA_") { capitals } else { format!("TIDEWELL_{capitals}") }
}

#[expect(clippy::disallowed_methods, reason = "this is the place that reads the settings")]
fn variable_of_process(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// The user's home, where the machine's cache is unless a setting says otherwise.
pub fn home_folder() -> Option<PathBuf> {
    variable_of_process("HOME").map(PathBuf::from)
}

/// The settings found in the environment: those that exist, and no other variable.
struct Environment(Dict);

impl Environment {
    const NAME: &str = "the environment";

    fn read(defaults: &Dict, value_of: impl Fn(&str) -> Option<String>) -> Self {
        let found = defaults.iter().filter_map(|(name, default)| {
            let text = value_of(&variable(name))?;
            Some((name.clone(), typed(text, default)))
        });
        Self(found.collect())
    }
}

/// A variable's text as what the default is; where it can't be read as such it stays a text, and is complained about as one.
fn typed(text: String, default: &Value) -> Value {
    match default {
        Value::Bool(..) => text.parse::<bool>().map(Value::from).unwrap_or_else(|_| Value::from(text)),
        Value::Num(..) => text.parse::<i64>().map(Value::from).unwrap_or_else(|_| Value::from(text)),
        _ => Value::from(text),
    }
}

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named(Self::NAME)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.0.clone()))
    }
}

fn explain(error: &figment::Error, file: &Path) -> Error {
    let environment = error.metadata.as_ref().is_some_and(|metadata| metadata.name == Environment::NAME);
    let place = if environment { String::new() } else { format!("{}: ", file.display()) };
    let setting = called(&error.path.join("."));
    Error(match &error.kind {
        Kind::UnknownField(name, _) => {
            format!("{place}there is no setting {name:?}: tidewell.toml.example lists those that exist")
        }
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            format!("{place}{setting} is {}, and must be {}", shown(found), wanted(expected))
        }
        Kind::UnknownVariant(found, expected) => {
            format!("{place}{setting} is {found:?}, and must be {}", expected.join(" or "))
        }
        _ => format!("{place}{error}"),
    })
}

fn shown(found: &Actual) -> String {
    match found {
        Actual::Str(text) => format!("{text:?}"),
        Actual::Signed(number) => number.to_string(),
        Actual::Unsigned(number) => number.to_string(),
        Actual::Bool(truth) => truth.to_string(),
        other => other.to_string(),
    }
}

fn wanted(expected: &str) -> &str {
    match expected {
        "u32" => "a whole number, 0 or more",
        "a boolean" => "true or false",
        "a string" => "a text in quotes",
        other => other,
    }
}

/// An address to listen on.
pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let expected = "an IP address and a port, such as 127.0.0.1:8700";
    text.parse().map_err(|_| de::Error::invalid_value(de::Unexpected::Str(&text), &expected))
}

/// Addresses and networks with commas between; the empty text holds none.
pub(super) mod networks {
    use std::net::IpAddr;

    use ipnet::IpNet;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(in crate::config) fn serialize<S: Serializer>(networks: &[IpNet], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&networks.iter().map(IpNet::to_string).collect::<Vec<_>>().join(","))
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
        let text = String::deserialize(from)?;
        let named = text.split(',').map(str::trim).filter(|one| !one.is_empty());
        let expected = "addresses or networks with commas between, such as 10.1.0.0/16,fd00::7";
        let refused = || de::Error::invalid_value(de::Unexpected::Str(&text), &expected);
        named
            .map(|one| one.parse().or_else(|_| one.parse::<IpAddr>().map(IpNet::from)).map_err(|_| refused()))
            .collect()
    }
}

/// An address that the empty text leaves out.
pub(super) mod optional_address {
    use std::net::SocketAddr;

    use serde::{Deserialize, Deserializer, Serializer, de::IntoDeserializer};

    pub(in crate::config) fn serialize<S: Serializer>(value: &Option<SocketAddr>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&value.map_or_else(String::new, |address| address.to_string()))
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
        let text = String::deserialize(from)?;
        if text.is_empty() { Ok(None) } else { super::address(text.into_deserializer()).map(Some) }
    }
}

/// Texts of which the empty one means "not set".
pub(super) mod optional_text {
    use std::path::PathBuf;

    use serde::{Deserialize, Deserializer, Serializer};

    /// What such a setting may be kept as.
    pub(in crate::config) trait Text: Sized + From<String> {
        fn text(&self) -> &str;
    }

    impl Text for String {
        fn text(&self) -> &str {
            self
        }
    }

    impl Text for PathBuf {
        fn text(&self) -> &str {
            self.to_str().unwrap_or_default()
        }
    }

    pub(in crate::config) fn serialize<T: Text, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(value.as_ref().map_or("", T::text))
    }

    pub(in crate::config) fn deserialize<'de, T: Text, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
        let text = String::deserialize(from)?;
        Ok((!text.is_empty()).then(|| T::from(text)))
    }
}
