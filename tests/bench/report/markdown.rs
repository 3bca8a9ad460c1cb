//! A result as the table of `docs/performance.md`.

use super::figure::number;
use super::{members, text};
use serde_json::Value;

/// The machine, a table with each figure, and the notes below it.
pub fn markdown(result: &Value) -> String {
    let machine = result.get("machine").cloned().unwrap_or_default();
    let mut lines = vec![
        format!(
            "Measured on {} cores, {}, Linux {}; load when it began {}.",
            machine.get("cores").and_then(Value::as_u64).unwrap_or_default(),
            text(&machine, "model"),
            text(&machine, "kernel"),
            number(machine.get("load").and_then(Value::as_f64).unwrap_or_default()),
        ),
        String::new(),
        "| row | figure | target | median | lowest to highest |".to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    for row in members(result, "rows") {
        let name = text(row, "row");
        if let Some(why) = row.get("not_measured").and_then(Value::as_str) {
            lines.push(format!("| {name} | not measured: {} | | | |", why.replace('|', "/")));
        }
        lines.extend(members(row, "figures").iter().map(|figure| cells(name, figure)));
    }
    lines.push(String::new());
    for row in members(result, "rows") {
        let notes = members(row, "notes").iter().filter_map(Value::as_str);
        lines.extend(notes.map(|note| format!("* {}: {note}", text(row, "row"))));
    }
    lines.join("\n")
}

fn cells(row: &str, figure: &Value) -> String {
    let get = |name: &str| figure.get(name).and_then(Value::as_f64);
    let target = get("at_most").map_or_else(String::new, |limit| format!("≤ {}", number(limit)));
    let value = get("value").map_or_else(|| "-".to_owned(), number);
    let value = if text(figure, "verdict") == "OVER" { format!("**{value}**") } else { value };
    let interval = match (get("low"), get("high"), get("runs")) {
        (Some(low), Some(high), Some(runs)) if runs > 1.0 => format!("{} to {}", number(low), number(high)),
        _ => String::new(),
    };
    format!(
        "| {row} | {}, {} | {target} | {value} | {interval} |",
        text(figure, "name"),
        text(figure, "unit")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_missed_target_is_bold() {
        let figure = json!({"name": "p50", "unit": "x", "value": 3.0, "low": 2.0, "high": 4.0, "runs": 3,
                            "at_most": 2.0, "verdict": "OVER"});
        assert_eq!(cells("latency", &figure), "| latency | p50, x | ≤ 2 | **3** | 2 to 4 |");
    }
}
