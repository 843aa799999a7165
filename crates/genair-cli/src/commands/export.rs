//! `genair export`: the database for other programs. One file per kind of target.

mod html;
mod mlflow;
mod ranks;
mod tables;
mod tensorboard;

use genair_report::export::ExportFormat;
use indicatif::MultiProgress;

use crate::args::{Export, Format};
use crate::exit::Exit;

pub(super) use html::html;
pub(super) use ranks::ranks;

pub(super) fn export(
    format: Format,
    bars: &MultiProgress,
    command: &Export,
) -> anyhow::Result<Exit> {
    match command {
        Export::Csv(arguments) => tables::tables(format, ExportFormat::Csv, arguments),
        Export::Parquet(arguments) => tables::tables(format, ExportFormat::Parquet, arguments),
        Export::Mlflow {
            sweep,
            out,
            database,
        } => mlflow::mlflow(format, bars, sweep.as_deref(), out, database),
        Export::Tensorboard {
            out,
            sweep,
            database,
        } => tensorboard::tensorboard(format, out, sweep.as_deref(), database),
    }
}
