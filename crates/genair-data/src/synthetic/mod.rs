//! A made-up dataset with something to learn, for tests and demonstrations without a network.
//!
//! Each item has one main audience, a popularity in it that falls as 1 / rank, and three preferred
//! successors among the items of that audience. A user belongs to one or two audiences; most steps
//! follow a successor, the others draw by popularity. So popularity predicts little, the last item
//! much, and the audience can be read from an item's words. A user meets an item at most once, one a
//! week, from a day of the first year on.
//!
//! Only integers and IEEE-exact operations (+, *, /, comparison) are used: every machine makes the
//! same data.

mod words;

use std::collections::HashSet;

use serde_json::json;

use crate::draws::Draws;
use crate::interactions::{Interaction, Interactions, Metadata};
use genair_protocol::DatasetSpec;
use genair_protocol::GeneratorSettings;
use words::THEMES;

/// Bumped whenever the same settings yield other data.
pub(crate) const VERSION: u32 = 1;

/// Fewest interactions of a user.
const SHORTEST: usize = 5;
/// The first day of all, in seconds from 1970: 2015-01-01.
const EPOCH: usize = 1_420_070_400;
const DAY: usize = 86_400;
/// Days in which users come for the first time, and days between two interactions of one.
const ARRIVALS: usize = 365;
const INTERVAL: usize = 7;
/// Probability that a step follows a successor of the last item.
const FOLLOW: f64 = 0.75;
/// Cumulative probabilities of the three successors.
const SUCCESSORS: [f64; 3] = [0.6, 0.85, 1.0];
/// Probability that an item appeals to a second audience, with this share of its weight.
const CROSSOVER: f64 = 0.15;
const CROSSOVER_WEIGHT: f64 = 0.3;
/// Probability that a user has a second audience, and its share of the user's free steps.
const TWO_AUDIENCES: f64 = 0.5;
const SECOND_SHARE: f64 = 0.3;

/// Generates the interactions of a valid spec of kind `synthetic`, user by user.
pub(crate) fn generate(spec: &DatasetSpec) -> Interactions {
    let settings = spec.generator();
    let catalogue = Catalogue::generate(&settings);
    let mut result = Interactions::default();
    for (index, item) in catalogue.items.iter().enumerate() {
        let id = format!("item-{}", index + 1);
        result.metadata.insert(id.clone(), item.metadata.clone());
        result.items.insert(id);
    }
    for user in 0..settings.users {
        result.users.insert(format!("user-{}", user + 1));
        let mut draws = draws_of(settings.seed, &format!("user {user}"));
        let walk = catalogue.walk(&settings, &mut draws);
        let first = draws_of(settings.seed, &format!("arrival of user {user}")).below(ARRIVALS);
        let rows = walk.into_iter().enumerate();
        result.rows.extend(rows.map(|(step, item)| Interaction {
            user: user as u32,
            item: item as u32,
            time: (EPOCH + (first + step * INTERVAL) * DAY) as f64,
        }));
    }
    result
}

struct Item {
    successors: [usize; 3],
    metadata: Metadata,
}

struct Catalogue {
    items: Vec<Item>,
    audiences: Vec<Audience>,
}

/// The items of an audience with running sums of their weights.
#[derive(Default)]
struct Audience {
    items: Vec<usize>,
    running: Vec<f64>,
}

impl Audience {
    fn add(&mut self, item: usize, weight: f64) {
        self.running
            .push(self.running.last().unwrap_or(&0.0) + weight);
        self.items.push(item);
    }

    fn draw(&self, draws: &mut Draws) -> usize {
        let total = self.running.last().unwrap_or(&0.0);
        let at = draws.uniform() * total;
        let place = self.running.partition_point(|&sum| sum <= at);
        self.items[place.min(self.items.len() - 1)]
    }
}

impl Catalogue {
    fn generate(settings: &GeneratorSettings) -> Self {
        let mut draws = draws_of(settings.seed, "catalogue");
        let num_audiences = settings.audiences;
        let mut audiences: Vec<Audience> = Vec::new();
        audiences.resize_with(num_audiences, Audience::default);
        let mut items = Vec::with_capacity(settings.catalogue);
        for index in 0..settings.catalogue {
            let (main, rank) = (index % num_audiences, index / num_audiences);
            let weight = 1.0 / (rank + 1) as f64;
            audiences[main].add(index, weight);
            let second = (num_audiences > 1 && draws.uniform() < CROSSOVER)
                .then(|| (main + 1 + draws.below(num_audiences - 1)) % num_audiences);
            if let Some(second) = second {
                audiences[second].add(index, weight * CROSSOVER_WEIGHT);
            }
            let peers = (settings.catalogue - main).div_ceil(num_audiences);
            let successors =
                successors(rank, peers, &mut draws).map(|rank| rank * num_audiences + main);
            items.push(Item {
                successors,
                metadata: describe(main, second, rank, &mut draws),
            });
        }
        Self { items, audiences }
    }

    fn walk(&self, settings: &GeneratorSettings, draws: &mut Draws) -> Vec<usize> {
        let main = draws.below(self.audiences.len());
        let second = if draws.uniform() < TWO_AUDIENCES {
            draws.below(self.audiences.len())
        } else {
            main
        };
        let length = length(draws, settings.mean_length).min(settings.catalogue / 2);
        let mut walk = Vec::with_capacity(length);
        let mut met = HashSet::with_capacity(length);
        while walk.len() < length {
            let mut next = None;
            for _ in 0..16 {
                let candidate = match walk.last() {
                    Some(&last) if draws.uniform() < FOLLOW => self.follow(last, draws),
                    _ if draws.uniform() < SECOND_SHARE => self.audiences[second].draw(draws),
                    _ => self.audiences[main].draw(draws),
                };
                if !met.contains(&candidate) {
                    next = Some(candidate);
                    break;
                }
            }
            // Who has seen nearly all of an audience goes elsewhere; half of the catalogue is new.
            let start = next.unwrap_or_else(|| draws.below(self.items.len()));
            let mut item = start;
            while !met.insert(item) {
                item = (item + 1) % self.items.len();
            }
            walk.push(item);
        }
        walk
    }

    fn follow(&self, item: usize, draws: &mut Draws) -> usize {
        let at = draws.uniform();
        let which = SUCCESSORS.iter().position(|&sum| at < sum).unwrap_or(0);
        self.items[item].successors[which]
    }
}

/// Three different ranks below `peers`, none of them `rank`; there are at least 4 peers.
fn successors(rank: usize, peers: usize, draws: &mut Draws) -> [usize; 3] {
    let mut chosen = [rank; 3];
    for i in 0..3 {
        while chosen[i] == rank || chosen[..i].contains(&chosen[i]) {
            chosen[i] = draws.below(peers);
        }
    }
    chosen
}

/// Words that give the audience away, as a catalogue would.
fn describe(main: usize, second: Option<usize>, rank: usize, draws: &mut Draws) -> Metadata {
    let theme = &THEMES[main];
    let (adjectives, nouns) = (theme.adjectives, theme.nouns);
    // Neighbouring ranks differ in both words; every combination comes up once per round.
    let combinations = adjectives.len() * nouns.len();
    let (round, place) = (rank / combinations, rank % combinations);
    let noun = nouns[place % nouns.len()];
    let adjective = adjectives[(place / nouns.len() + place) % adjectives.len()];
    let volume = if round == 0 {
        String::new()
    } else {
        format!(", Volume {}", round + 1)
    };
    let mut genres = vec![theme.genres[0], theme.genres[1 + draws.below(2)]];
    genres.extend(second.map(|second| THEMES[second].genres[0]));
    let (first, other) = (
        draws.below(theme.details.len()),
        draws.below(theme.details.len() - 1),
    );
    let other = (first + 1 + other) % theme.details.len();
    let description = format!(
        "A story of {} and {} for {}.",
        theme.details[first], theme.details[other], theme.people
    );
    let mut metadata = Metadata::new();
    metadata.insert(
        "title".to_owned(),
        json!(format!("The {adjective} {noun}{volume}")),
    );
    metadata.insert("genres".to_owned(), json!(genres));
    metadata.insert("description".to_owned(), json!(description));
    metadata
}

/// The draws of one purpose of a generator.
fn draws_of(seed: u64, purpose: &str) -> Draws {
    Draws::new(&format!("genair synthetic {VERSION} {seed} {purpose}"))
}

/// At least [`SHORTEST`], geometric beyond it.
fn length(draws: &mut Draws, mean: usize) -> usize {
    let stop = 1.0 / (1 + mean - SHORTEST) as f64;
    let mut length = SHORTEST;
    while draws.uniform() >= stop {
        length += 1;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dataset, ItemId};
    use genair_protocol::{DatasetKind, Split};

    fn spec() -> DatasetSpec {
        DatasetSpec {
            kind: DatasetKind::Synthetic,
            ..DatasetSpec::default()
        }
    }

    fn dataset(spec: &DatasetSpec) -> Dataset {
        crate::load(spec).unwrap()
    }

    /// HR@10 of test targets among items outside the history; higher counts rank first.
    fn hit_rate(dataset: &Dataset, score: impl Fn(ItemId, ItemId) -> f64) -> f64 {
        let hits = (0..dataset.num_users()).filter(|&user| {
            let case = dataset.case(Split::Test, user);
            let (history, target) = (case.input, case.targets[0]);
            let last = history[history.len() - 1];
            let rivals = dataset
                .items()
                .filter(|item| *item != target && !history.contains(item));
            rivals
                .filter(|&item| score(last, item) >= score(last, target))
                .count()
                < 10
        });
        hits.count() as f64 / dataset.num_users() as f64
    }

    #[test]
    fn the_last_item_says_far_more_than_popularity() {
        let dataset = dataset(&spec());
        let popularity = dataset.train_popularity();
        let rows = dataset.num_items() + 1;
        let mut followed_by = vec![0_u32; rows * rows];
        for user in 0..dataset.num_users() {
            for pair in dataset.train(user).windows(2) {
                followed_by[pair[0].row() * rows + pair[1].row()] += 1;
            }
        }
        let popular = |item: ItemId| f64::from(popularity[item.row()]);
        let by_popularity = hit_rate(&dataset, |_, item| popular(item));
        let by_bigram = hit_rate(&dataset, |last, item| {
            f64::from(followed_by[last.row() * rows + item.row()]) + popular(item) * 1e-6
        });
        assert!(
            by_popularity < 0.25,
            "popularity is too good: {by_popularity}"
        );
        assert!(
            by_bigram > 0.5,
            "there is no signal: {by_bigram} against {by_popularity}"
        );
    }

    #[test]
    fn data_depend_on_the_seed_alone() {
        let first = dataset(&spec()).sequences_sha256();
        // Recorded from the first version of the generator: a change needs a new VERSION.
        assert_eq!(
            first,
            "cd1d9644040053070298588bbe2355e3b92c5c7670b90a64c0b969f2e2905764"
        );
        assert_eq!(dataset(&spec()).sequences_sha256(), first);
        let other = DatasetSpec {
            seed: Some(2),
            ..spec()
        };
        assert_ne!(dataset(&other).sequences_sha256(), first);
    }

    #[test]
    fn a_user_does_not_depend_on_how_many_others_there_are() {
        let raw = |users| {
            let dataset = dataset(&DatasetSpec {
                users: Some(users),
                ..spec()
            });
            dataset
                .sequence(3)
                .iter()
                .map(|&item| dataset.raw_item(item).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(raw(4), raw(40));
    }

    #[test]
    fn sizes_are_as_asked_for_at_the_edges() {
        for (users, catalogue, audiences, mean_length) in
            [(1, 20, 1, 5), (30, 48, 12, 24), (20, 700, 3, 350)]
        {
            let spec = DatasetSpec {
                users: Some(users),
                catalogue: Some(catalogue),
                audiences: Some(audiences),
                mean_length: Some(mean_length),
                ..spec()
            };
            assert_eq!(spec.validate(), []);
            let dataset = dataset(&spec);
            let statistics = dataset.statistics();
            assert_eq!(statistics.users, users as u64);
            assert!(statistics.min_length >= 5 && statistics.max_length <= catalogue as u64 / 2);
            assert_eq!(
                (statistics.repeated_pairs, statistics.items_without_metadata),
                (0, 0)
            );
        }
        let statistics = dataset(&spec()).statistics().clone();
        assert!(
            (11.0..13.0).contains(&statistics.mean_length),
            "{}",
            statistics.mean_length
        );
    }

    #[test]
    fn words_give_the_audience_away_and_titles_differ() {
        let settings = DatasetSpec {
            catalogue: Some(720),
            audiences: Some(12),
            ..spec()
        }
        .generator();
        let catalogue = Catalogue::generate(&settings);
        let mut titles = HashSet::new();
        for (index, item) in catalogue.items.iter().enumerate() {
            let theme = &THEMES[index % 12];
            assert_eq!(item.metadata["genres"][0], theme.genres[0]);
            assert!(
                item.metadata["description"]
                    .as_str()
                    .unwrap()
                    .contains(theme.people)
            );
            assert!(
                titles.insert(item.metadata["title"].to_string()),
                "{:?}",
                item.metadata["title"]
            );
        }
    }
}
