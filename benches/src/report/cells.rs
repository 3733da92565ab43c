//! Numbers and names for the tables and the JSON.

use crate::measure::Row;

/// A number with three decimals.
pub(super) fn round(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

/// The packages and versions of all subjects.
pub(super) fn versions(rows: &[Row]) -> String {
    let versions = rows.iter().flat_map(|row| row.subject.split(" + ").zip(row.version.split(" + ")));
    let versions = distinct(versions.filter(|(_, version)| !version.is_empty()).map(|(subject, version)| {
        let package = subject.split(' ').next().unwrap_or(subject);
        format!("{package} {version}")
    }));
    versions.join(", ")
}

/// A shorter name for the tables.
pub(super) fn short(subject: &str) -> String {
    subject.replace("aws-smithy-eventstream + ", "smithy + ").replace("serde_json", "serde")
}

/// The items without repetitions, in their order.
pub(super) fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for item in items {
        if !distinct.contains(&item) {
            distinct.push(item);
        }
    }
    distinct
}
