//! What the audiences of the generator are, in words.

use std::sync::LazyLock;

use genair_protocol::MAX_AUDIENCES;
use serde::Deserialize;

/// The vocabulary of one audience; no word is shared between two.
#[derive(Deserialize)]
pub(super) struct Theme {
    pub(super) people: &'static str,
    /// The first says it all; the others go with it.
    pub(super) genres: [&'static str; 3],
    pub(super) adjectives: [&'static str; 7],
    pub(super) nouns: [&'static str; 8],
    pub(super) details: [&'static str; 4],
}

pub(super) static THEMES: LazyLock<[Theme; MAX_AUDIENCES]> = LazyLock::new(|| {
    let words = include_str!("words.json");
    serde_json::from_str(words).expect("the words are part of the program, and tested")
});
