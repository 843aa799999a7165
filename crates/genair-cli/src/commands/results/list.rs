//! `genair results list`: runs, one line each.

use genair_store::{RunFilter, Store};

use crate::args::{DatabaseArgs, Format};
use crate::exit::Exit;
use crate::output::{metric, table};

pub(super) fn list(
    format: Format,
    sweep: Option<&str>,
    superseded: bool,
    database: &DatabaseArgs,
) -> anyhow::Result<Exit> {
    let filter = RunFilter {
        sweep: sweep.map(str::to_owned),
        state: None,
        superseded,
    };
    let runs = Store::open_read_only(database.path())?.list_runs(&filter)?;
    let headers = [
        "run",
        "sweep",
        "state",
        "dataset",
        "backbone",
        "representation",
        "variant",
        "seed",
        "valid",
        "test",
        "seconds",
    ];
    let rows = runs.iter().map(|run| {
        [
            run.run_id.to_string(),
            run.sweep.clone(),
            run.state.as_str().to_owned(),
            run.dataset.clone(),
            run.backbone.clone(),
            run.representation.clone(),
            run.variant.clone(),
            run.seed.to_string(),
            metric(run.valid_ndcg_10),
            metric(run.test_ndcg_10),
            run.seconds
                .map(|seconds| format!("{seconds:.1}"))
                .unwrap_or_default(),
        ]
    });
    let right = ["run", "seed", "valid", "test", "seconds"];
    format.show(&runs, || {
        format!(
            "{}\n\nvalid, test: NDCG@10 among all items",
            table(&headers, &right, rows)
        )
    })?;
    Ok(Exit::Done)
}
