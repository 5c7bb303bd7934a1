//! `docs/configuration.md` names every setting of `cli/src/config/mod.rs`, and no other.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::Tree;

const CODE: &str = "cli/src/config/mod.rs";
const PAGE: &str = "docs/configuration.md";

/// Fields of the structs that are read from the file, by struct.
type Structs = BTreeMap<String, Vec<(String, String)>>;

/// Settings on one side only.
pub(crate) fn compare(tree: &Tree) -> Vec<String> {
    let Some(code) = tree.file(CODE) else {
        return vec![format!("{CODE} is not there")];
    };
    let structs = structs(&code.text);
    let named: BTreeSet<&str> = structs
        .values()
        .flatten()
        .map(|(_, kind)| kind.as_str())
        .collect();
    let roots = structs
        .iter()
        .filter(|(name, _)| !named.contains(name.as_str()));
    let mut coded = BTreeSet::new();
    for (_, fields) in roots {
        for (field, kind) in fields {
            match structs.get(kind) {
                Some(inner) => coded.extend(inner.iter().map(|(key, _)| format!("{field}.{key}"))),
                None => {
                    coded.insert(field.clone());
                }
            }
        }
    }
    let page = tree
        .file(PAGE)
        .map(|file| file.text.as_str())
        .unwrap_or_default();
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: BTreeSet<String> = rows.map(str::to_owned).collect();
    let missing = coded
        .difference(&documented)
        .map(|key| format!("{PAGE}: add a row | `{key}` | default | meaning |"));
    let stale = documented
        .difference(&coded)
        .map(|key| format!("{PAGE}: `{key}` is no setting of {CODE}; remove the row"));
    missing.chain(stale).collect()
}

/// Structs with `Deserialize` among their derives.
fn structs(text: &str) -> Structs {
    let mut found = Structs::new();
    let (mut read, mut current): (bool, Option<String>) = (false, None);
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[derive(") {
            read = line.contains("Deserialize");
        }
        let head = line
            .split_once("struct ")
            .filter(|_| line.ends_with('{') && current.is_none());
        if let Some((_, name)) = head {
            let name: String = name.chars().take_while(|c| c.is_alphanumeric()).collect();
            if std::mem::take(&mut read) {
                found.insert(name.clone(), vec![]);
                current = Some(name);
            }
        } else if line == "}" {
            current = None;
        } else if let (Some(name), Some((field, kind))) = (&current, line.split_once(": ")) {
            let field = field.rsplit(' ').next().unwrap_or_default();
            let kind = kind
                .trim_end_matches(',')
                .trim_start_matches("Option<")
                .trim_end_matches('>');
            if !line.starts_with(['/', '#']) {
                found
                    .entry(name.clone())
                    .or_default()
                    .push((field.to_owned(), kind.to_owned()));
            }
        }
    }
    found
}
