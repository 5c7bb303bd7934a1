//! What a server answered: the tagged line, the untagged responses before it, and FETCH responses taken apart.

use std::fmt;

use crate::must::Must;
use crate::sexp::{self, Value};

/// How a command ended and what came before that.
#[derive(Clone)]
pub struct Reply {
    /// `OK`, `NO` or `BAD`.
    pub status: String,
    /// What follows the status in the tagged line.
    pub text: String,
    /// Untagged responses without `* ` and the last CRLF, literals in place.
    pub untagged: Vec<Vec<u8>>,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.untagged {
            writeln!(
                f,
                "* {}",
                String::from_utf8_lossy(&line[..line.len().min(400)])
            )?;
        }
        write!(f, "{} {}", self.status, self.text)
    }
}

impl Reply {
    /// Whether it ended with OK.
    pub fn is_ok(&self) -> bool {
        self.status == "OK"
    }

    /// Itself, if it ended with OK.
    ///
    /// # Panics
    /// With the whole answer otherwise.
    #[track_caller]
    pub fn ok(self) -> Reply {
        assert!(self.is_ok(), "the command failed: {self:?}");
        self
    }

    /// The words of a response code in the tagged line: `code("APPENDUID")` gives `["7", "12"]`.
    pub fn code(&self, name: &str) -> Option<Vec<String>> {
        let inside = self.text.strip_prefix('[')?.split_once(']')?.0;
        let mut words = inside.split(' ').map(str::to_owned);
        (words.next()?.eq_ignore_ascii_case(name)).then(|| words.collect())
    }

    /// Untagged responses as text that begin with `word` (`SEARCH`, `LIST`), without it.
    pub fn lines(&self, word: &str) -> Vec<String> {
        let text = self
            .untagged
            .iter()
            .map(|line| String::from_utf8_lossy(line).into_owned());
        text.filter_map(|line| line.strip_prefix(word).map(|rest| rest.trim().to_owned()))
            .collect()
    }

    /// The number before `word`, as in `12 EXISTS`; the last one.
    pub fn number(&self, word: &str) -> Option<u64> {
        let text = self
            .untagged
            .iter()
            .map(|line| String::from_utf8_lossy(line).into_owned());
        text.filter_map(|line| line.strip_suffix(word)?.trim().parse().ok())
            .next_back()
    }

    /// The value in an untagged `OK [NAME value]`.
    pub fn ok_code(&self, name: &str) -> Option<String> {
        let start = format!("OK [{name} ");
        let text = self
            .untagged
            .iter()
            .map(|line| String::from_utf8_lossy(line).into_owned());
        text.filter_map(|line| Some(line.strip_prefix(&start)?.split_once(']')?.0.to_owned()))
            .next_back()
    }

    /// The numbers of all SEARCH responses.
    pub fn search(&self) -> Vec<u32> {
        self.lines("SEARCH")
            .iter()
            .flat_map(|line| {
                line.split(' ')
                    .filter_map(|word| word.parse().ok())
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// All FETCH responses.
    pub fn fetches(&self) -> Vec<Fetch> {
        self.untagged
            .iter()
            .filter_map(|line| Fetch::parse(line))
            .collect()
    }
}

/// One FETCH response.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// The sequence number.
    pub seq: u32,
    /// Names and values in order.
    pub items: Vec<(String, Value)>,
}

impl Fetch {
    /// From an untagged response; none when it is another one.
    pub fn parse(line: &[u8]) -> Option<Fetch> {
        let head = line
            .get(..line.len().min(24))
            .map(String::from_utf8_lossy)?;
        let seq = head.split(' ').next()?.parse().ok()?;
        let rest = line.get(head.find(" FETCH ")? + 7..)?;
        let values = sexp::parse(rest)?;
        let list = values.first()?.list();
        let pairs = list
            .chunks_exact(2)
            .map(|pair| (pair[0].text().to_ascii_uppercase(), pair[1].clone()));
        Some(Fetch {
            seq,
            items: pairs.collect(),
        })
    }

    /// The value of an item (`UID`, `BODY[]`).
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.items
            .iter()
            .find(|(item, _)| item.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The bytes of an item.
    #[track_caller]
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        self.get(name)
            .and_then(Value::bytes)
            .must(&format!("{name} in {self:?}"))
            .to_vec()
    }

    /// The UID.
    #[track_caller]
    pub fn uid(&self) -> u32 {
        let uid = self
            .get("UID")
            .and_then(Value::number)
            .must("UID in a FETCH");
        u32::try_from(uid).must("a UID of 32 bits")
    }

    /// The flags, sorted, without \Recent.
    pub fn flags(&self) -> Vec<String> {
        let list = self.get("FLAGS").map(Value::list).unwrap_or_default();
        let mut flags: Vec<String> = list
            .iter()
            .map(Value::text)
            .filter(|flag| flag != "\\Recent")
            .collect();
        flags.sort();
        flags
    }
}
