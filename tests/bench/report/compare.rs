//! Two results beside each other: the old figure, the new one, and how many times the old the new one is.
//!
//! Of a ratio that is a ratio of ratios, and so independent of how fast the machine happened to be.

use super::figure::number;
use super::{members, text};
use serde_json::Value;

/// A line for each figure that either result has.
pub fn compare(old: &Value, new: &Value) -> String {
    let mut lines = vec![format!("{:<64} {:>9} {:>9} {:>9}", "", "old", "new", "new/old")];
    for row in members(new, "rows") {
        let name = text(row, "row");
        let before = members(old, "rows").iter().find(|row| text(row, "row") == name);
        lines.push(format!("\n{name}: {}", text(row, "title")));
        if let Some(why) = row.get("not_measured").and_then(Value::as_str) {
            lines.push(format!("  not measured: {why}"));
        }
        let before = before.map(|row| members(row, "figures")).unwrap_or_default();
        for figure in members(row, "figures") {
            let earlier = before.iter().find(|earlier| same(earlier, figure));
            lines.push(line(figure, earlier.and_then(value), value(figure)));
        }
        for gone in before.iter().filter(|old| !members(row, "figures").iter().any(|new| same(old, new))) {
            lines.push(line(gone, value(gone), None));
        }
    }
    let measured = |name: &str| members(new, "rows").iter().any(|row| text(row, "row") == name);
    let absent: Vec<&str> =
        members(old, "rows").iter().map(|row| text(row, "row")).filter(|name| !measured(name)).collect();
    if !absent.is_empty() {
        lines.push(format!("\nonly in the old result: {}", absent.join(", ")));
    }
    lines.join("\n")
}

fn same(one: &Value, other: &Value) -> bool {
    text(one, "name") == text(other, "name") && text(one, "unit") == text(other, "unit")
}

fn value(figure: &Value) -> Option<f64> {
    figure.get("value").and_then(Value::as_f64)
}

fn line(figure: &Value, old: Option<f64>, new: Option<f64>) -> String {
    let show = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), number);
    let change = old.zip(new).map(|(old, new)| new / old).filter(|change| change.is_finite());
    let name = format!("{} [{}]", text(figure, "name"), text(figure, "unit"));
    format!("  {name:<62} {:>9} {:>9} {:>9}", show(old), show(new), show(change))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn result(rows: &[(&str, &str, f64)]) -> Value {
        let rows: Vec<Value> = rows
            .iter()
            .map(|(row, name, value)| {
                json!({"row": row, "title": "t", "figures": [{"name": name, "unit": "x", "value": value}]})
            })
            .collect();
        json!({ "rows": rows })
    }

    #[test]
    fn old_new_and_their_ratio_stand_in_a_line() {
        let text = compare(&result(&[("cpu", "a", 2.0)]), &result(&[("cpu", "a", 1.0)]));
        let line = text.lines().find(|line| line.contains("a [x]")).unwrap();
        assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["a", "[x]", "2", "1", "0.50"]);
    }

    #[test]
    fn what_only_one_of_them_has_is_shown_with_a_dash() {
        let text = compare(&result(&[("cpu", "a", 2.0), ("many", "m", 1.0)]), &result(&[("cpu", "b", 1.0)]));
        assert!(text.lines().any(|line| line.split_whitespace().eq(["b", "[x]", "-", "1", "-"])), "{text}");
        assert!(text.lines().any(|line| line.split_whitespace().eq(["a", "[x]", "2", "-", "-"])), "{text}");
        assert!(text.ends_with("only in the old result: many"), "{text}");
    }
}
