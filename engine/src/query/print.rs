//! Writes a query in its one printed form, which is read as the same query.

use std::fmt::{self, Display, Formatter, Write};

use super::ast::{DateField, SizeBound};
use super::expression::{Expression, Flag, Moment, Node, Side};
use super::key::{FIELD_KEYS, OPERATORS};
use super::token::in_word;
use super::value::{print_day, print_size, print_span, print_uids};

impl Display for Expression {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Display for Node {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Node::And(list) => {
                for (at, node) in list.iter().enumerate() {
                    f.write_str(if at > 0 { " " } else { "" })?;
                    match node {
                        Node::Or(_) => write!(f, "({node})")?,
                        node => node.fmt(f)?,
                    }
                }
                Ok(())
            }
            Node::Or(list) => {
                for (at, node) in list.iter().enumerate() {
                    f.write_str(if at > 0 { " or " } else { "" })?;
                    node.fmt(f)?;
                }
                Ok(())
            }
            Node::Not(inner) => match &**inner {
                list @ (Node::And(_) | Node::Or(_)) => write!(f, "not ({list})"),
                inner => write!(f, "not {inner}"),
            },
            key => print_key(key, f),
        }
    }
}

fn print_key(key: &Node, f: &mut Formatter<'_>) -> fmt::Result {
    match key {
        Node::All | Node::And(_) | Node::Or(_) | Node::Not(_) => f.write_str("all"),
        Node::Mailbox(pattern) => write!(f, "mailbox {}", Bare(pattern)),
        Node::Uids(set) => {
            f.write_str("uid ")?;
            print_uids(f, set)
        }
        Node::Flag(flag) => f.write_str(flag.key()),
        Node::Keyword(name) => write!(f, "keyword {}", Bare(name)),
        Node::Recent => f.write_str("recent"),
        Node::New => f.write_str("new"),
        Node::Date(field, side) => print_date(*field, *side, f),
        Node::Older(seconds) => {
            f.write_str("older ")?;
            print_span(f, *seconds)
        }
        Node::Younger(seconds) => {
            f.write_str("younger ")?;
            print_span(f, *seconds)
        }
        Node::Size(bound, octets) => {
            f.write_str(match bound {
                SizeBound::Larger => "larger ",
                SizeBound::Smaller => "smaller ",
            })?;
            print_size(f, *octets)
        }
        Node::Header(name, text) if FIELD_KEYS.contains(&name.as_str()) => {
            write!(f, "{name} {}", Quoted(text))
        }
        Node::Header(name, text) => write!(f, "header {} {}", Bare(name), Quoted(text)),
        Node::Body(text) => write!(f, "body {}", Quoted(text)),
        Node::Text(text) => write!(f, "text {}", Quoted(text)),
        Node::Fuzzy(place, text) => write!(f, "fuzzy {} {}", place.key(), Quoted(text)),
        Node::ModSeq(least) => write!(f, "modseq {least}"),
        Node::EmailId(id) => write!(f, "emailid {}", Bare(id)),
        Node::ThreadId(id) => write!(f, "threadid {}", Bare(id)),
    }
}

fn print_date(field: DateField, side: Side, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_str(match field {
        DateField::Internal => "",
        DateField::Sent => "sent",
        DateField::Saved => "saved",
    })?;
    let (key, moment) = match side {
        Side::Before(moment) => ("before ", moment),
        Side::On(day) => ("on ", Moment::Day(day)),
        Side::Since(moment) => ("since ", moment),
    };
    f.write_str(key)?;
    match moment {
        Moment::Day(day) => print_day(f, day),
        Moment::Ago(seconds) => print_span(f, seconds),
    }
}

impl Flag {
    pub(super) fn key(self) -> &'static str {
        match self {
            Flag::Answered => "answered",
            Flag::Deleted => "deleted",
            Flag::Draft => "draft",
            Flag::Flagged => "flagged",
            Flag::Seen => "seen",
        }
    }
}

/// Without quotes where it can be.
struct Bare<'a>(&'a str);

impl Display for Bare<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Bare(text) = *self;
        let is_operator = OPERATORS.iter().any(|name| name.eq_ignore_ascii_case(text));
        if !text.is_empty() && text.chars().all(in_word) && !is_operator {
            return f.write_str(text);
        }
        Quoted(text).fmt(f)
    }
}

/// On one line, whatever is in it.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}
