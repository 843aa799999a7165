//! `genair completions` and `genair man`: what a shell and `man` know of the commands.

use anyhow::Context;
use clap::CommandFactory;

use crate::args::Arguments;
use crate::exit::Exit;
use crate::output::to_stdout;

/// The commands' names, options and values for a shell.
pub(super) fn completions(shell: clap_complete::Shell) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    let mut command = Arguments::command();
    clap_complete::generate(shell, &mut command, "genair", &mut script);
    to_stdout(|out| Ok(out.write_all(&script)?))?;
    Ok(Exit::Done)
}

/// The manual page of `genair`, or of one of its commands.
pub(super) fn man(names: &[String]) -> anyhow::Result<Exit> {
    let mut command = Arguments::command();
    command.build();
    let mut page = &command;
    for name in names {
        page = page
            .find_subcommand(name)
            .with_context(|| format!("no command `{name}`; `genair --help` lists them"))?;
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(page.clone()).render(&mut text)?;
    to_stdout(|out| Ok(out.write_all(&text)?))?;
    Ok(Exit::Done)
}
