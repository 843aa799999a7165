//! Names that a misspelt one may stand for.

/// Longest name, and most candidates, that a misspelling is looked for in: it takes the product of their lengths.
const LONGEST_NAME: usize = 100;
const MOST_CANDIDATES: usize = 1_000;

/// The candidate that `name` is most likely a misspelling of, if any comes close.
pub fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if name.len() > LONGEST_NAME {
        return None;
    }
    let lower = name.to_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST_NAME)
        .take(MOST_CANDIDATES)
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(name.len()) / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

/// All candidates, or where they are many, those nearest to `name` and how many more there are.
pub fn nearest_few(name: &str, candidates: &[&str]) -> String {
    const FEW: usize = 8;
    if candidates.len() <= FEW {
        return candidates.join(", ");
    }
    let lower = name.to_lowercase();
    let mut nearest = candidates.to_vec();
    nearest.sort_by_key(|candidate| strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()));
    nearest.truncate(FEW);
    let more = candidates.len() - FEW;
    format!("{} and {more} more", nearest.join(", "))
}

/// Candidates that a hint names at most.
const MOST_NAMED: usize = 40;

/// A hint that names the nearest candidate, or else all of them, of many the first.
pub fn suggestion<S: AsRef<str>>(
    name: &str,
    candidates: impl IntoIterator<Item = S>,
) -> Option<String> {
    let candidates: Vec<S> = candidates.into_iter().collect();
    let candidates: Vec<&str> = candidates.iter().map(AsRef::as_ref).collect();
    match nearest(name, candidates.iter().copied()) {
        Some(candidate) => Some(format!("did you mean `{candidate}`?")),
        None if candidates.is_empty() => None,
        None => match candidates.len().checked_sub(MOST_NAMED) {
            None | Some(0) => Some(format!("known here: {}", candidates.join(", "))),
            Some(more) => {
                let first = candidates[..MOST_NAMED].join(", ");
                Some(format!("known here: {first} and {more} more"))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_or_nothing_is_said() {
        let names = ["batch_size", "loss", "optimizer"];
        for (typo, expected) in [
            ("batchsize", Some("batch_size")),
            ("optimiser", Some("optimizer")),
            ("los", Some("loss")),
            ("LOSS", Some("loss")),
            ("warmup", None),
        ] {
            assert_eq!(nearest(typo, names), expected, "{typo}");
        }
    }

    #[test]
    fn of_many_names_the_nearest_are_shown() {
        let names: Vec<String> = (0..20).map(|n| format!("backbone{n}")).collect();
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.push("sasrec");
        let few = nearest_few("sasrek", &names);
        assert!(few.starts_with("sasrec, "), "{few}");
        assert!(few.ends_with(" and 13 more"), "{few}");
        assert_eq!(nearest_few("x", &["a", "b"]), "a, b");
    }
}
