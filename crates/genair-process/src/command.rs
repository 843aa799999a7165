//! The one place where commands of children are made.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Names of the environment variables that no child may see.
static SECRETS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The end of the names that variables with a key have by custom. They are kept from children also where no
/// spec has named them.
const CUSTOM: &str = "API_KEY";

/// From now on no child gets the environment variable.
pub fn keep_from_children(variable: impl Into<String>) {
    let mut secrets = SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
    secrets.insert(variable.into());
}

/// A command in this process's environment, but for the variables that were
/// [kept from children](keep_from_children) and those whose names end with `API_KEY`.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let secrets = SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
    for secret in secrets.iter() {
        command.env_remove(secret);
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "only names are looked at, and only to take variables away"
    )]
    let all = std::env::vars_os();
    for (name, _) in all {
        if name.as_encoded_bytes().ends_with(CUSTOM.as_bytes()) {
            command.env_remove(name);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_named_is_taken_away() {
        keep_from_children("GENAIR_TEST_SECRET");
        let command = command("true");
        let taken = command
            .get_envs()
            .any(|(name, value)| name == "GENAIR_TEST_SECRET" && value.is_none());
        assert!(taken);
    }
}
