//! Values of settings: each is read from text, so a file, the environment and `config show` speak one language.

use std::fmt;
use std::str::FromStr;

use bytesize::ByteSize;
use coldpost_engine::settings::MinFree;
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// A setting that is written as text; numbers and truth values of TOML are taken as the text that they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value<T>(pub(crate) T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value<T>, D::Error> {
        Ok(Value(
            deserializer
                .deserialize_any(Scalar)?
                .parse()
                .map_err(de::Error::custom)?,
        ))
    }
}

impl<T: fmt::Display> Serialize for Value<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole<T>(pub(crate) T);

impl<T: FromStr> FromStr for Whole<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Whole<T>, String> {
        let wrong = |_| format!("{text:?} is no whole number: write digits only, as in 100");
        text.parse().map(Whole).map_err(wrong)
    }
}

impl<T: fmt::Display> fmt::Display for Whole<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Any scalar as its text.
struct Scalar;

impl Visitor<'_> for Scalar {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a single value")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_bool<E>(self, value: bool) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_i64<E>(self, value: i64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_u64<E>(self, value: u64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_f64<E>(self, value: f64) -> Result<String, E> {
        Ok(value.to_string())
    }
}

/// A list: of TOML, or in the environment separated by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<List<T>, D::Error> {
        let texts = deserializer.deserialize_any(Texts)?;
        let parse = |text: &String| {
            text.parse()
                .map_err(|error| de::Error::custom(format!("{text:?}: {error}")))
        };
        Ok(List(
            texts.iter().map(parse).collect::<Result<_, D::Error>>()?,
        ))
    }
}

impl<T: fmt::Display> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ToString::to_string))
    }
}

struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_str<E>(self, text: &str) -> Result<Vec<String>, E> {
        Ok(text
            .split(',')
            .map(|item| item.trim().to_owned())
            .filter(|item| !item.is_empty())
            .collect())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<String>, A::Error> {
        let mut texts = Vec::new();
        while let Some(Value(text)) = seq.next_element::<Value<String>>()? {
            texts.push(text);
        }
        Ok(texts)
    }
}

/// A number of bytes: `50MiB`, `1.5 GiB`, `500MB`, `4096`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) u64);

impl Size {
    /// So many KiB.
    pub(crate) const fn kib(count: u64) -> Size {
        Size(count * 1024)
    }

    /// So many MiB.
    pub(crate) const fn mib(count: u64) -> Size {
        Size(count * 1024 * 1024)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let wrong = || format!("{text:?} is no size: write a number with KiB, MiB, GiB or TiB");
        text.parse()
            .map(|ByteSize(bytes)| Size(bytes))
            .map_err(|_| wrong())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [
            (1 << 40, "TiB"),
            (1 << 30, "GiB"),
            (1 << 20, "MiB"),
            (1 << 10, "KiB"),
        ];
        match units
            .into_iter()
            .find(|(unit, _)| self.0 > 0 && self.0.is_multiple_of(*unit))
        {
            Some((unit, name)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Free disk: a size, or a share such as `5%`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Free(pub(crate) MinFree);

impl FromStr for Free {
    type Err = String;

    fn from_str(text: &str) -> Result<Free, String> {
        let Some(number) = text.trim().strip_suffix('%') else {
            return text.parse().map(|Size(bytes)| Free(MinFree::Bytes(bytes)));
        };
        match number.trim().parse::<f64>() {
            Ok(percent) if (0.0..100.0).contains(&percent) => Ok(Free(MinFree::Percent(percent))),
            _ => Err(format!(
                "{text:?} is no share of a disk: write 0% to 99% or a size such as 2GiB"
            )),
        }
    }
}

impl fmt::Display for Free {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            MinFree::Bytes(bytes) => Size(bytes).fmt(f),
            MinFree::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// A secret: it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Secret, String> {
        if text.is_empty() {
            return Err("an empty text is no secret; leave the key out".to_owned());
        }
        Ok(Secret(text.to_owned()))
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_have_units_and_are_shown_as_they_are_written() {
        for (text, bytes, shown) in [
            ("50MiB", 50 << 20, "50MiB"),
            ("1.5 GiB", 3 << 29, "1536MiB"),
            ("500MB", 500_000_000, "500000000"),
            ("4096", 4096, "4KiB"),
            ("0", 0, "0"),
        ] {
            let size: Size = text.parse().expect("right");
            assert_eq!((size.0, size.to_string().as_str()), (bytes, shown));
        }
        for wrong in ["50 parrots", "", "MiB", "-1", "5s", "5%"] {
            assert!(
                wrong
                    .parse::<Size>()
                    .expect_err("wrong")
                    .contains("KiB, MiB"),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn free_disk_is_a_share_or_a_size() {
        assert_eq!("5%".parse(), Ok(Free(MinFree::Percent(5.0))));
        assert_eq!("2GiB".parse(), Ok(Free(MinFree::Bytes(2 << 30))));
        for wrong in ["100%", "-1%", "%", "NaN%", "five"] {
            assert!(wrong.parse::<Free>().is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn a_size_comes_back_from_its_text(bytes in 0u64..1 << 50) {
            prop_assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
            let whole = Size(bytes & !0x3ff);
            prop_assert_eq!(whole.to_string().parse(), Ok(whole));
        }
    }
}
