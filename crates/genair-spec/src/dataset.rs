//! `[dataset.NAME]`: where interactions come from.

use std::path::{Path, PathBuf};

use genair_protocol::{DatasetSpec, FileNames, ItemsFiles, nearest};
use genair_toml::{KeyPath, read_section};
use toml::{Table, Value};

use super::axes::Axis;
use super::check::{Checker, listed};
use super::data_path::{Leads, fill_in_variables};
use super::load::SpecFile;
use super::recipes::{NoRecipe, recipe};

/// A public data set that a spec reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicDataset {
    /// The folder of its files, there or not.
    pub folder: PathBuf,
    /// Its name, such as `amazon-2014:Beauty`.
    pub name: String,
}

impl SpecFile {
    /// The public data sets that the sweep's datasets name by their `kind`.
    pub fn public_datasets(&self) -> Vec<PublicDataset> {
        let used = KeyPath::new(["sweep", "dataset"]);
        let used = used.get(&self.tree).map(listed);
        let mut found = Vec::new();
        for (dataset, name) in &self.public {
            let is_used = used.is_none_or(|used| used.contains(&Value::from(dataset.as_str())));
            let path = KeyPath::new(["dataset", dataset, "path"]);
            let paths = path.get(&self.tree).filter(|_| is_used);
            for path in paths.into_iter().flat_map(listed) {
                let filled = path.as_str().and_then(|path| fill_in_variables(path).ok());
                found.extend(filled.map(|path| PublicDataset {
                    folder: self.folder().join(path),
                    name: name.clone(),
                }));
            }
        }
        found
    }

    /// Folders that the sweep's datasets name, there or not. What is wrong with one of them, [`SpecFile::expand`]
    /// says.
    pub fn data_folders(&self) -> Vec<PathBuf> {
        let at = KeyPath::new(["dataset"]);
        let used = KeyPath::new(["sweep", "dataset"]);
        let used = used.get(&self.tree).map(listed);
        let mut folders = Vec::new();
        for name in self.sources.names(&at) {
            let is_used = used.is_none_or(|used| used.contains(&Value::from(&*name)));
            let path = at.child(&name).child("path");
            let paths = path.get(&self.tree).filter(|_| is_used);
            for path in paths.into_iter().flat_map(listed) {
                let filled = path.as_str().and_then(|path| fill_in_variables(path).ok());
                folders.extend(filled.map(|path| self.folder().join(path)));
            }
        }
        folders
    }
}

impl Checker<'_> {
    /// Reads a dataset with these values of its axes; `None` if there was anything to report.
    pub(crate) fn dataset(
        &mut self,
        name: &str,
        chosen: &[(&Axis, &Value)],
    ) -> Option<DatasetSpec> {
        let at = KeyPath::new(["dataset", name]);
        let mut table = self.table(&at, chosen);
        table.remove("prompt"); // How its items are put into words is no part of the data.
        let is_public = self.judge_public(&at, &mut table);
        let mut spec: DatasetSpec = read_section(&at, &table, &mut self.problems)?;
        let mut valid = self.judge(&at, spec.validate()) && is_public;
        if let Some(path) = &spec.path {
            let path = self.absolute(&at.child("path"), path, Leads::ToData);
            valid &= path
                .as_deref()
                .is_some_and(|path| self.judge_files(&at, path, &spec));
            spec.path = path;
        }
        valid.then_some(spec)
    }

    /// Reports a path that is no folder, and files that the spec names and the folder lacks. Those of a public data set
    /// come with it.
    fn judge_files(&mut self, at: &KeyPath, folder: &Path, spec: &DatasetSpec) -> bool {
        if !folder.is_dir() {
            let file = folder.file_name().unwrap_or_default().to_string_lossy();
            let message = format!("is the file `{}`, and must be a folder", folder.display());
            let hint =
                format!("name the folder that it is in, and set `interactions` to \"{file}\"");
            self.problems.about(&at.child("path"), message, Some(hint));
            return false;
        }
        if self
            .file
            .public
            .iter()
            .any(|(dataset, _)| at.keys().last() == Some(dataset))
        {
            return true;
        }
        let items = match &spec.items {
            Some(ItemsFiles::Named(names)) => Some(names),
            _ => None,
        };
        let named = [
            ("interactions", spec.interactions.as_ref()),
            ("items", items),
        ];
        let mut are_there = true;
        for (key, names) in named {
            let names = names.into_iter().flat_map(FileNames::names);
            for name in names.filter(|name| !is_there(folder, name)) {
                let message = format!(
                    "names `{}`, which is not there",
                    folder.join(name).display()
                );
                let there = std::fs::read_dir(folder).into_iter().flatten().flatten();
                let there = there.map(|entry| entry.file_name().to_string_lossy().into_owned());
                let mut there: Vec<String> = there.collect();
                there.sort();
                let near = nearest(name, there.iter().map(String::as_str));
                let hint = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the folder has {}", there.join(", ")),
                };
                self.problems.about(&at.child(key), message, Some(hint));
                are_there = false;
            }
        }
        are_there
    }

    /// Reports a `kind` that looks like a public data set and is none, and takes it out; those that are some have been
    /// put in its place by now.
    fn judge_public(&mut self, at: &KeyPath, table: &mut Table) -> bool {
        const KINDS: [&str; 3] = ["table", "recbole", "synthetic"];
        let Some(kind) = table.get("kind").and_then(Value::as_str) else {
            return true;
        };
        let hint = match recipe(kind) {
            _ if KINDS.contains(&kind) || nearest(kind, KINDS).is_some() => return true,
            Ok(_) | Err(NoRecipe::Unknown { nearest: None, .. }) => return true,
            Err(NoRecipe::Unknown {
                nearest: Some(name),
                ..
            }) => format!("did you mean `{name}`?"),
            Err(other) => other.to_string(),
        };
        let message = format!("is \"{kind}\", which is no public data set");
        self.problems.about(&at.child("kind"), message, Some(hint));
        table.remove("kind");
        false
    }
}

/// Whether a folder has a file, or the archive that it is a member of. Of patterns the reader knows.
fn is_there(folder: &Path, name: &str) -> bool {
    let own = folder.join(name);
    let archives = own.ancestors().take_while(|path| *path != folder);
    name.contains(['*', '?']) || archives.into_iter().any(Path::is_file)
}
