//! A dataset's `path`: variables filled in, made absolute, and there.

use std::path::{Path, PathBuf};

/// What a path of a spec leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leads {
    ToData,
    ToVectors,
}

/// A path of a spec as an absolute one: `${VAR}` filled in, relative ones from the spec's folder.
pub(crate) fn absolute(
    path: &Path,
    folder: &Path,
    leads: Leads,
) -> Result<PathBuf, (String, Option<String>)> {
    let text = path.to_string_lossy();
    let text = fill_in_variables(&text).map_err(|message| (message, None))?;
    let path = folder.join(text);
    path.canonicalize().map_err(|error| {
        let shown = path.display();
        match error.kind() {
            std::io::ErrorKind::NotFound if path.is_symlink() => {
                let hint = "correct the link, or name another path";
                let message = format!("`{shown}` is a link to what is not there");
                (message, Some(hint.to_owned()))
            }
            std::io::ErrorKind::NotFound => {
                let (what, command) = match leads {
                    Leads::ToData => ("folder", "`genair data fetch` gets public data sets"),
                    Leads::ToVectors => {
                        ("file", "`genair archetype import` makes a file of vectors")
                    }
                };
                let hint = format!("relative paths start from the spec's folder; {command}");
                (format!("there is no {what} `{shown}`"), Some(hint))
            }
            _ => (format!("cannot open `{shown}`: {error}"), None),
        }
    })
}

pub(crate) fn fill_in_variables(text: &str) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after
            .split_once('}')
            .ok_or_else(|| format!("`{text}` lacks the `}}` of a `${{`"))?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that fills in a path's `${VAR}`"
        )]
        let value = std::env::var(name)
            .map_err(|_| format!("the environment variable `{name}` is not set"))?;
        filled.push_str(before);
        filled.push_str(&value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_start_from_the_spec_and_take_variables() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let found = absolute(Path::new("data"), folder.path(), Leads::ToData).unwrap();
        let vectors = absolute(Path::new("v.npy"), folder.path(), Leads::ToVectors).unwrap_err();
        assert!(vectors.0.starts_with("there is no file `"), "{vectors:?}");
        assert!(found.is_absolute() && found.ends_with("data"));
        let here = env!("CARGO_MANIFEST_DIR");
        assert_eq!(
            fill_in_variables("${CARGO_MANIFEST_DIR}/x").unwrap(),
            format!("{here}/x")
        );
        assert!(fill_in_variables("${OPEN").is_err());
    }
}
