//! `genair-llama` is built on first need, where the installation says how.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Mutex, TryLockError};
use std::time::Duration;

use genair_process::Child;

use crate::engine::{EngineError, end_of_log};
use crate::error::ArchetypeError;
use crate::installation::Installation;
use crate::settings::{ArchetypeSpec, EngineKind, StateSource};

/// How often a build is looked at.
const TICK: Duration = Duration::from_millis(100);

/// How long a build that has closed its output may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Held by the stage that builds: another one finds the binary.
static BUILDING: Mutex<()> = Mutex::new(());

/// Whether these settings need `genair-llama` and it is not there.
pub fn lacks_llama(spec: &ArchetypeSpec, installation: &Installation) -> bool {
    let needed = spec.engine == EngineKind::LlamaCpp || spec.states == Some(StateSource::Local);
    needed && !installation.llama.is_file()
}

/// Builds `genair-llama` if these settings need it, it is not there, and the installation has a command for that.
/// `starts` is told where the build's output goes.
///
/// # Errors
/// The build fails or is interrupted.
pub fn build_llama(
    spec: &ArchetypeSpec,
    installation: &Installation,
    starts: &mut dyn FnMut(&Path),
    interrupted: &dyn Fn() -> bool,
) -> Result<(), ArchetypeError> {
    let Some(command) = &installation.build_llama else {
        return Ok(());
    };
    if !lacks_llama(spec, installation) {
        return Ok(());
    }
    let _building = loop {
        match BUILDING.try_lock() {
            Ok(building) => break building,
            Err(TryLockError::Poisoned(building)) => break building.into_inner(),
            Err(TryLockError::WouldBlock) if interrupted() => {
                return Err(EngineError::Interrupted.into());
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(TICK),
        }
    };
    if installation.llama.is_file() {
        return Ok(()); // Another stage has built it meanwhile.
    }
    let log = installation.cache.build_log();
    let failed = |ending: String| ArchetypeError::Build {
        command: command.clone(),
        ending,
        log: log.clone(),
        said: end_of_log(&log).unwrap_or_default(),
    };
    let start = || {
        std::fs::create_dir_all(installation.cache.root())?;
        let file = File::create(&log)?;
        let mut process = genair_process::command(command);
        let process = process.stdin(Stdio::null()).stdout(file.try_clone()?);
        Child::spawn(process.stderr(file))
    };
    starts(&log);
    let mut child = start().map_err(|error| failed(format!("cannot start: {error}")))?;
    child.yield_processor();
    while child.is_running() {
        if interrupted() {
            return Err(EngineError::Interrupted.into());
        }
        std::thread::sleep(TICK);
    }
    let status = child.wait(PATIENCE);
    if status.is_some_and(|status| status.success()) && installation.llama.is_file() {
        return Ok(());
    }
    let ending = status.map_or_else(
        || "was lost".to_owned(),
        |status| format!("ended with {status}"),
    );
    Err(failed(ending))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::PoisonError;

    use genair_files::Cache;

    use super::*;

    fn installation(folder: &Path, script: &str) -> Installation {
        let command = folder.join("build.sh");
        std::fs::write(&command, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o755)).unwrap();
        Installation {
            cache: Cache::new(folder.join("cache")),
            trainer: folder.join("genair-trainer"),
            llama: folder.join("genair-llama"),
            encoder: folder.join("genair-encoder"),
            report: folder.join("genair-report"),
            build_llama: Some(command),
            fake_engine: None,
        }
    }

    #[test]
    fn it_is_built_once_and_only_where_it_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().display();
        let script = format!("echo hello; echo x >> {here}/builds; touch {here}/genair-llama");
        let installation = installation(folder.path(), &script);
        let told = Cell::new(0);
        let build = |spec: &ArchetypeSpec| {
            build_llama(
                spec,
                &installation,
                &mut |_| told.set(told.get() + 1),
                &|| false,
            )
            .unwrap();
        };
        let encoder = ArchetypeSpec {
            engine: EngineKind::Encoder,
            ..ArchetypeSpec::default()
        };
        build(&encoder);
        assert_eq!(told.get(), 0);
        let llama = ArchetypeSpec {
            engine: EngineKind::LlamaCpp,
            ..ArchetypeSpec::default()
        };
        assert!(lacks_llama(&llama, &installation));
        build(&llama);
        build(&llama);
        assert_eq!(told.get(), 1);
        assert_eq!(
            std::fs::read_to_string(folder.path().join("builds")).unwrap(),
            "x\n"
        );
    }

    #[test]
    fn who_waits_for_another_build_can_be_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let llama = ArchetypeSpec {
            engine: EngineKind::LlamaCpp,
            ..ArchetypeSpec::default()
        };
        let installation = installation(folder.path(), "exit 3");
        let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut starts = |_: &Path| panic!("another one builds");
        let error = build_llama(&llama, &installation, &mut starts, &|| true).unwrap_err();
        assert!(error.is_interruption(), "{error}");
    }

    #[test]
    fn a_build_that_fails_says_what_it_said_and_one_that_is_stopped_ends() {
        let folder = tempfile::tempdir().unwrap();
        let llama = ArchetypeSpec {
            engine: EngineKind::LlamaCpp,
            ..ArchetypeSpec::default()
        };
        let failing = installation(folder.path(), "echo no compiler >&2; exit 3");
        let error = build_llama(&llama, &failing, &mut |_| {}, &|| false).unwrap_err();
        assert!(error.to_string().contains("no compiler"), "{error}");
        let slow = installation(folder.path(), "sleep 600");
        let started = Cell::new(false);
        let mut starts = |_: &Path| started.set(true);
        let error = build_llama(&llama, &slow, &mut starts, &|| started.get()).unwrap_err();
        assert!(error.is_interruption() && started.get(), "{error}");
    }
}
