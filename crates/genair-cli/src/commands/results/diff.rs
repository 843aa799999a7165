//! `genair results diff`: two runs beside each other.

use genair_runner::{Difference, Differing};
use genair_store::{RunId, Store};

use crate::args::{DatabaseArgs, Format};
use crate::exit::Exit;
use crate::output::{cell, metric, table};

pub(super) fn diff(
    format: Format,
    [a, b]: [i64; 2],
    database: &DatabaseArgs,
) -> anyhow::Result<Exit> {
    let mut store = Store::open_read_only(database.path())?;
    let mut read = |run: i64| -> anyhow::Result<_> {
        let run = RunId(run);
        Ok((store.show_run(run)?, store.ranks(run)?))
    };
    let (a, b) = (read(a)?, read(b)?);
    let difference = Difference::new((&a.0, &a.1), (&b.0, &b.1));
    format.show(&difference, || text(&difference))?;
    Ok(Exit::Done)
}

fn text(difference: &Difference) -> String {
    let [a, b] = difference
        .runs
        .each_ref()
        .map(|run| format!("run {}", run.run_id));
    let part = |title: &str, pairs: &[Differing]| {
        if pairs.is_empty() {
            return format!("{title}: the same");
        }
        let rows = pairs
            .iter()
            .map(|pair| [pair.key.clone(), cell(&pair.a), cell(&pair.b)]);
        table(&[title, &a, &b], &[], rows)
    };
    let mut parts = vec![
        part("spec", &difference.spec),
        part("provenance", &difference.provenance),
        part("course", &difference.course),
    ];
    let shown = difference
        .results
        .iter()
        .filter(|pair| pair.split == "test" && pair.cohort == "all");
    let rows: Vec<[String; 5]> = shown
        .map(|pair| {
            [
                pair.protocol.clone(),
                format!("{}@{}", pair.metric, pair.k),
                metric(pair.a),
                metric(pair.b),
                pair.difference
                    .map(|difference| format!("{difference:+.4}"))
                    .unwrap_or_default(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let headers = ["test, all users", "metric", &a, &b, "difference"];
        parts.push(table(&headers, &headers[2..], rows));
    }
    if !difference.ranks.is_empty() {
        let rows = difference.ranks.iter().map(|pair| {
            let counts = [pair.a_better, pair.b_better, pair.equal];
            [pair.split.clone(), pair.protocol.clone()]
                .into_iter()
                .chain(counts.map(|count| count.to_string()))
        });
        let (a, b) = (format!("{a} higher"), format!("{b} higher"));
        let headers = ["ranks", "protocol", &a, &b, "equal"];
        parts.push(table(&headers, &headers[2..], rows));
    }
    if difference.same_results() && !difference.results.is_empty() {
        parts.push("The results are the same, bit for bit.".to_owned());
    }
    parts.join("\n\n")
}
