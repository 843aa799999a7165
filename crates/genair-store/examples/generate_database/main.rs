//! Writes a results database of any size, without training: `generate_database OUT.db [--runs N]
//! [--epochs N] [--metrics N] [--users N]`. `docs/results-schema.md` has sizes and times.

mod database;

use std::io::Write;
use std::path::PathBuf;

use database::{Size, generate};

const USAGE: &str =
    "usage: generate_database OUT.db [--runs 10000] [--epochs 200] [--metrics 0] [--users 100]
  --metrics N  rows of `metrics` for each epoch, 0 to 120, beside the 240 results of each run";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (path, size) = arguments()?;
    if path.exists() {
        return Err(format!("{} is there already", path.display()).into());
    }
    let mut error = std::io::stderr();
    generate(&path, size, &mut |runs| {
        if runs % 500 == 0 || runs == size.runs {
            // Without a stderr there is nobody to tell.
            let _ = writeln!(error, "{runs} of {} runs", size.runs);
        }
    })
}

fn arguments() -> Result<(PathBuf, Size), String> {
    let mut size = Size {
        runs: 10_000,
        epochs: 200,
        metrics: 0,
        users: 100,
    };
    let mut path = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let number = match argument.as_str() {
            "--runs" => &mut size.runs,
            "--epochs" => &mut size.epochs,
            "--metrics" => &mut size.metrics,
            "--users" => &mut size.users,
            file if path.is_none() && !file.starts_with('-') => {
                path = Some(PathBuf::from(file));
                continue;
            }
            _ => return Err(format!("`{argument}` is not known\n{USAGE}")),
        };
        let value = arguments.next().and_then(|text| text.parse().ok());
        *number = value.ok_or_else(|| format!("`{argument}` needs a number\n{USAGE}"))?;
    }
    if size.metrics > 120 {
        return Err(format!(
            "--metrics is {}; the most is 120\n{USAGE}",
            size.metrics
        ));
    }
    Ok((path.ok_or(USAGE)?, size))
}
