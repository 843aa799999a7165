//! `genair watch`: sweeps, runs, curves and failures of a database while they come in.
//!
//! Reads the database and nothing else, so it may watch a sweep of any process. What is drawn is in
//! `watch/frame.rs`.

mod frame;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use genair_store::{RunProgress, StageProgress, Store, SweepProgress};
use itertools::Itertools;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::{execute, terminal};
use ratatui::layout::{Rect, Size};
use ratatui::{Terminal, TerminalOptions, Viewport};
use serde::Serialize;

use crate::args::{Format, WatchArgs};
use crate::exit::Exit;
use crate::output::Output;

/// How often the database is read.
const REFRESH: Duration = Duration::from_secs(1);
/// How long a key press may wait.
const TICK: Duration = Duration::from_millis(100);
/// Runs that are read of a sweep; those that run or failed come first.
const RUNS: u32 = 200;
/// Columns of a frame that goes into a log.
const WIDTH: u16 = 140;
/// The most columns and rows of a terminal that are drawn on. A terminal may say that it has 65,535 of each, whose
/// cells would fill the memory.
const LARGEST: Size = Size {
    width: 1_000,
    height: 500,
};

/// What there is to see at one moment.
#[derive(Debug, Default, Serialize)]
struct Snapshot {
    sweeps: Vec<SweepProgress>,
    /// The sweep whose runs these are.
    sweep: Option<String>,
    /// What these share and is being made.
    stages: Vec<StageProgress>,
    runs: Vec<RunProgress>,
}

/// What is looked at.
struct View {
    database: PathBuf,
    snapshot: Snapshot,
    /// The moment that is shown, if it is one of a sweep's copy of the database.
    as_of: Option<SystemTime>,
    /// The first run that is shown.
    scroll: usize,
    /// Why the database could not be read just now.
    trouble: Option<String>,
    /// Whether somebody sits before it, rather than one frame is printed.
    takes_keys: bool,
}

pub(crate) fn watch(output: &Output, arguments: &WatchArgs) -> anyhow::Result<Exit> {
    let mut store = arguments.database.open()?;
    let snapshot = Snapshot::read(&mut store, arguments.sweep.as_deref())?;
    if let Some(name) = &arguments.sweep
        && !snapshot.sweeps.iter().any(|known| known.sweep == *name)
    {
        let database = store.path().display();
        let known = snapshot.sweeps.iter().map(|own| &own.sweep).join(", ");
        anyhow::bail!("{database} has no sweep `{name}`; there are {known}");
    }
    let mut view = View {
        database: store.path().to_owned(),
        as_of: store.as_of(),
        snapshot,
        scroll: 0,
        trouble: None,
        takes_keys: !arguments.once,
    };
    if arguments.once || output.format != Format::Text {
        let text = view.to_text()?;
        return output.show(&view.snapshot, || text);
    }
    anyhow::ensure!(
        std::io::stdout().is_terminal(),
        "standard output is no terminal; `--once` writes one frame as plain text"
    );
    let watched = draw_on_terminal(|terminal| view.follow(&mut store, terminal));
    // What the terminal is left as is the lesser trouble.
    let _ = ratatui::try_restore();
    watched?;
    Ok(Exit::Done)
}

/// Prepares the terminal, whatever size it says it has: a frame never takes more than [`LARGEST`].
fn draw_on_terminal(
    draw: impl FnOnce(ratatui::DefaultTerminal) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let cannot = "cannot draw on the terminal";
    let (columns, rows) = terminal::size().context(cannot)?;
    let viewport = Viewport::Fixed(shown(Size::new(columns, rows)));
    let terminal = ratatui::try_init_with_options(TerminalOptions { viewport }).context(cannot)?;
    execute!(std::io::stdout(), terminal::EnterAlternateScreen).context(cannot)?;
    draw(terminal)
}

/// The part of a terminal that is drawn on.
fn shown(size: Size) -> Rect {
    let Size { width, height } = size;
    Rect::new(0, 0, width.min(LARGEST.width), height.min(LARGEST.height))
}

impl Snapshot {
    /// `sweep`, or else the one that was swept last.
    fn read(store: &mut Store, sweep: Option<&str>) -> anyhow::Result<Self> {
        let sweeps = store.sweep_progress()?;
        let sweep = sweep.or_else(|| Some(sweeps.first()?.sweep.as_str()));
        let sweep = sweep.map(str::to_owned);
        let (stages, runs) = match &sweep {
            Some(sweep) => (
                store.stage_progress(sweep)?,
                store.run_progress(sweep, RUNS)?,
            ),
            None => (Vec::new(), Vec::new()),
        };
        Ok(Self {
            sweeps,
            sweep,
            stages,
            runs,
        })
    }
}

impl View {
    /// Draws until somebody has seen enough.
    fn follow(
        &mut self,
        store: &mut Store,
        mut terminal: ratatui::DefaultTerminal,
    ) -> anyhow::Result<()> {
        let mut read = Instant::now();
        let mut area = terminal.get_frame().area();
        loop {
            let now = shown(terminal.size()?);
            if now != area {
                terminal.resize(now)?;
                area = now;
            }
            terminal.draw(|frame| frame::draw(frame, self))?;
            if event::poll(TICK)?
                && let Event::Key(key) = event::read()?
                && key.kind == KeyEventKind::Press
                && !self.takes(key, store)
            {
                return Ok(());
            }
            if read.elapsed() >= REFRESH {
                self.refresh(store);
                read = Instant::now();
            }
        }
    }

    fn refresh(&mut self, store: &mut Store) {
        let read_on = store.read_on().map_err(anyhow::Error::from);
        let snapshot = read_on.and_then(|()| Snapshot::read(store, self.snapshot.sweep.as_deref()));
        self.as_of = store.as_of();
        match snapshot {
            Ok(snapshot) => {
                self.scroll = self.scroll.min(snapshot.runs.len().saturating_sub(1));
                (self.snapshot, self.trouble) = (snapshot, None);
            }
            Err(error) => self.trouble = Some(format!("{error:#}")),
        }
    }

    /// Whether to go on after a key.
    fn takes(&mut self, key: KeyEvent, store: &mut Store) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Char('c') if control => return false,
            KeyCode::Down | KeyCode::Char('j') => {
                let last = self.snapshot.runs.len().saturating_sub(1);
                self.scroll = (self.scroll + 1).min(last);
            }
            KeyCode::Up | KeyCode::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::Tab | KeyCode::Right => self.choose(1, store),
            KeyCode::BackTab | KeyCode::Left => self.choose(-1, store),
            _ => {}
        }
        true
    }

    /// Moves on to another sweep.
    fn choose(&mut self, by: isize, store: &mut Store) {
        let Snapshot { sweeps, sweep, .. } = &self.snapshot;
        let is_current = |own: &SweepProgress| Some(&own.sweep) == sweep.as_ref();
        let current = sweeps.iter().position(is_current).unwrap_or_default();
        let count = sweeps.len().cast_signed();
        if count == 0 {
            return;
        }
        let next = (current.cast_signed() + by).rem_euclid(count);
        let next = sweeps.get(next.cast_unsigned());
        self.snapshot.sweep = next.map(|own| own.sweep.clone());
        self.scroll = 0;
        self.refresh(store);
    }

    /// One frame as lines of text, as high as it has to be.
    fn to_text(&self) -> anyhow::Result<String> {
        let mut terminal = Terminal::new(TestBackend::new(WIDTH, frame::height(self)))?;
        terminal.draw(|frame| frame::draw(frame, self))?;
        let buffer = terminal.backend().buffer();
        let mut lines = buffer.content.chunks(usize::from(WIDTH)).map(|cells| {
            let line: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
            line.trim_end().to_owned()
        });
        Ok(lines.join("\n"))
    }
}
