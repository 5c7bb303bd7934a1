//! Values of settings that are one of a few words, and networks.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;

/// A network; a single address is one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network(pub(crate) IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let network = text
            .parse()
            .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
        network
            .map(Network)
            .map_err(|_| "no network: write 192.0.2.0/24, 2001:db8::/32 or an address".to_owned())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<$name, String> {
                match text {
                    $($word => Ok($name::$variant),)+
                    _ => Err(format!("{text:?} is none of {}", [$($word),+].join(", "))),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($name::$variant => $word),+ })
            }
        }
    };
}

words! {
    /// Who may have an account.
    Accounts {
        /// Only accounts that were added.
        Listed = "listed",
        /// The first delivery or login makes the account.
        Create = "create",
    }
}

words! {
    /// Whether something is so.
    Truth {
        /// It is.
        True = "true",
        /// It is not.
        False = "false",
    }
}

words! {
    /// For whom attachments of the same content are stored once.
    Dedup {
        /// For all accounts of a shard.
        Shard = "shard",
        /// For each account by itself.
        Account = "account",
    }
}

words! {
    /// How a line of the log looks.
    LogFormat {
        /// For people.
        Text = "text",
        /// A JSON object a line.
        Json = "json",
    }
}
