//! Dotted key paths, such as `train.optimizer.lr`, and reading or changing what lies at one in a
//! TOML tree.

use std::fmt;

use genair_protocol::text::quoted;
use toml::{Table, Value};

/// Keys from the root of a spec to a value. May be empty: the root itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyPath(Vec<String>);

impl KeyPath {
    /// A path from its keys.
    pub fn new<S: Into<String>>(keys: impl IntoIterator<Item = S>) -> Self {
        Self(keys.into_iter().map(Into::into).collect())
    }

    /// This path, one key further.
    pub fn child(&self, key: &str) -> Self {
        self.join(std::slice::from_ref(&key))
    }

    /// This path, several keys further.
    pub fn join<S: AsRef<str>>(&self, keys: &[S]) -> Self {
        let further = keys.iter().map(|key| key.as_ref().to_owned());
        Self(self.0.iter().cloned().chain(further).collect())
    }

    /// The keys, outermost first.
    pub fn keys(&self) -> &[String] {
        &self.0
    }

    /// Whether this path begins with `keys`.
    pub fn starts_with(&self, keys: &[&str]) -> bool {
        self.0.len() >= keys.len() && self.0.iter().zip(keys).all(|(own, key)| own == key)
    }

    /// The last `n` keys, joined by dots.
    pub fn tail(&self, n: usize) -> String {
        self.0[self.0.len().saturating_sub(n)..].join(".")
    }

    /// The value at this path below `root`.
    pub fn get<'t>(&self, root: &'t Table) -> Option<&'t Value> {
        let (last, parents) = self.0.split_last()?;
        let mut table = root;
        for key in parents {
            table = table.get(key)?.as_table()?;
        }
        table.get(last)
    }

    /// The table at this path below `root`, or `root` itself where this has no keys; empty where there is none.
    pub fn table(&self, root: &Table) -> Table {
        if self.0.is_empty() {
            return root.clone();
        }
        self.get(root)
            .and_then(Value::as_table)
            .cloned()
            .unwrap_or_default()
    }

    /// Puts `value` at this path below `root`, creating tables on the way.
    pub fn set(&self, root: &mut Table, value: Value) {
        let Some((last, parents)) = self.0.split_last() else {
            return;
        };
        let mut table = root;
        for key in parents {
            let next = table
                .entry(key.clone())
                .or_insert_with(|| Value::Table(Table::new()));
            if !next.is_table() {
                *next = Value::Table(Table::new());
            }
            let Value::Table(inner) = next else { return };
            table = inner;
        }
        table.insert(last.clone(), value);
    }

    /// Takes the value at this path out of `root`.
    pub fn remove(&self, root: &mut Table) -> Option<Value> {
        let (last, parents) = self.0.split_last()?;
        let mut table = root;
        for key in parents {
            table = table.get_mut(key)?.as_table_mut()?;
        }
        table.remove(last)
    }
}

impl fmt::Display for KeyPath {
    /// As one would write it in TOML: keys that are not bare are quoted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, key) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(".")?;
            }
            let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if !key.is_empty() && key.chars().all(bare) {
                f.write_str(key)?;
            } else {
                f.write_str(&quoted(key))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_set_and_removed() {
        let mut root: Table = toml::from_str("[a]\nb = { c = 1 }").unwrap();
        let path = KeyPath::new(["a", "b", "c"]);
        assert_eq!(path.get(&root), Some(&Value::Integer(1)));
        path.set(&mut root, Value::Integer(2));
        KeyPath::new(["a", "x", "y"]).set(&mut root, Value::Boolean(true));
        assert_eq!(
            root,
            toml::from_str("[a]\nb = { c = 2 }\nx = { y = true }").unwrap()
        );
        assert_eq!(path.remove(&mut root), Some(Value::Integer(2)));
        assert_eq!(path.get(&root), None);
        assert_eq!(KeyPath::new(["a", "b", "c", "d"]).remove(&mut root), None);
    }

    #[test]
    fn paths_print_as_toml_keys() {
        assert_eq!(
            KeyPath::new(["dataset", "ml-100k", "v1.0"]).to_string(),
            "dataset.ml-100k.\"v1.0\""
        );
        assert_eq!(KeyPath::new(["a", "b", "c"]).tail(2), "b.c");
    }
}
