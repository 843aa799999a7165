//! `genair export`: the database for other programs. One file per kind of target.

mod tensorboard;

use crate::args::{Export, Format};
use crate::exit::Exit;

pub(super) fn export(format: Format, command: &Export) -> anyhow::Result<Exit> {
    match command {
        Export::Tensorboard {
            out,
            sweep,
            database,
        } => tensorboard::tensorboard(format, out, sweep.as_deref(), database),
    }
}
