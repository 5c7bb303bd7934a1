//! How often commands reached their executors, from the counters that the product has.

use std::collections::BTreeMap;

use prometheus::proto::MetricFamily;

/// The counter `family` by its label `command`, summed over those for which `counts` holds; it is given all labels.
pub(crate) fn by_command(
    families: &[MetricFamily],
    family: &str,
    counts: impl Fn(&BTreeMap<&str, &str>) -> bool,
) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for metric in families
        .iter()
        .filter(|f| f.name() == family)
        .flat_map(MetricFamily::get_metric)
    {
        let labels: BTreeMap<&str, &str> = metric
            .get_label()
            .iter()
            .map(|l| (l.name(), l.value()))
            .collect();
        let name = labels
            .get("command")
            .copied()
            .unwrap_or_default()
            .to_owned();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counters are whole numbers, which prometheus keeps as floats"
        )]
        let count = metric.get_counter().get_value() as u64;
        *found.entry(name).or_insert(0) += if counts(&labels) { count } else { 0 };
    }
    found
}

/// With every name of `table`, and those of them that were never reached; so is what was counted but is neither in `table` nor `apart`.
pub(crate) fn compare(
    mut counted: BTreeMap<String, u64>,
    table: &[&str],
    apart: &[&str],
) -> (BTreeMap<String, u64>, Vec<String>) {
    let unknown = counted
        .keys()
        .filter(|name| !table.contains(&name.as_str()) && !apart.contains(&name.as_str()));
    let mut missing: Vec<String> = unknown
        .map(|name| format!("{name}, which is not in the table of the target"))
        .collect();
    for name in table {
        let count = counted.entry((*name).to_owned()).or_insert(0);
        if *count == 0 {
            missing.push((*name).to_owned());
        }
    }
    (counted, missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_reached_and_what_no_table_knows_is_missing() {
        let counted = [("A", 2), ("B", 0), ("D", 1), ("none", 7)]
            .map(|(name, count)| (name.to_owned(), count));
        let (all, missing) = compare(counted.into(), &["A", "B", "C"], &["none"]);
        assert_eq!((all["A"], all["C"]), (2, 0));
        assert_eq!(
            missing,
            ["D, which is not in the table of the target", "B", "C"]
        );
    }
}
