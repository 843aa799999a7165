//! One module per command; here what they share.

mod archetype;
mod check;
mod data;
mod doctor;
mod plan;
mod plugin;
mod results;
mod sweep;

use std::path::Path;

use genair_protocol::PluginReport;
use genair_runner::spec::{Backbones, Problem, SpecError, SpecFile, Sweep};
use genair_runner::{Trainer, plugins};
use indicatif::MultiProgress;

use crate::args::{Arguments, Command, PluginArgs, SetArgs};
use crate::environment;
use crate::exit::Exit;
use crate::output::note;

pub(crate) fn dispatch(arguments: &Arguments, bars: &MultiProgress) -> anyhow::Result<Exit> {
    let format = arguments.global.format;
    match &arguments.command {
        Command::Check {
            specs,
            set,
            plugins,
        } => check::check(format, bars, specs, set, plugins),
        Command::Plan {
            spec,
            plugins,
            database: _,
            cache,
            needs: true,
        } => plan::needs(format, spec, plugins, cache),
        Command::Plan {
            spec,
            plugins,
            database,
            cache,
            needs: false,
        } => plan::plan(format, bars, spec, plugins, database, cache),
        Command::Sweep {
            spec,
            jobs,
            retry_failed,
            plugins,
            database,
            cache,
        } => {
            let how = sweep::How {
                jobs: jobs.map(usize::from),
                retry_failed: *retry_failed,
            };
            sweep::sweep(format, bars, spec, how, plugins, database, cache)
        }
        Command::Results(command) => results::results(format, command),
        Command::Plugin(command) => plugin::plugin(format, command),
        Command::Data(command) => data::data(format, bars, command),
        Command::Archetype(command) => archetype::archetype(format, bars, command),
        Command::Doctor { plugins, database } => doctor::doctor(format, plugins, database),
    }
}

/// The worker binary with the plugins it finds.
struct Workshop {
    trainer: Trainer,
    plugins: Vec<PluginReport>,
}

impl Workshop {
    fn open(arguments: &PluginArgs) -> anyhow::Result<Self> {
        let trainer = Trainer::find(environment::trainer())?;
        let binary = std::env::current_exe()?;
        let variable = environment::plugin_path();
        let folders =
            plugins::search_path(&arguments.folders, variable.as_deref(), binary.parent());
        let plugins = plugins::discover(&trainer, &folders)?;
        Ok(Self { trainer, plugins })
    }

    /// Checks a spec and lists its runs.
    fn expand(&self, path: &Path, set: &SetArgs) -> Result<Sweep, SpecError> {
        let file = SpecFile::read(path, &set.overrides)?;
        file.expand(&Backbones {
            plugins: &self.plugins,
            accepts: &|report, params| match self.trainer.capabilities(&report.path, params) {
                Ok(verdict) => verdict.map(drop),
                Err(error) => Err(error.to_string()),
            },
        })
    }
}

fn warn(bars: &MultiProgress, warnings: &[Problem]) {
    for warning in warnings {
        note(bars, format!("warning: {warning}"));
    }
}
