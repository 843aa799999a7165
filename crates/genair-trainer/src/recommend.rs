//! Lists of items by a finished run: its model with the weights of its checkpoint, and the candidates of the highest
//! scores. Trains and measures nothing.

use std::collections::HashMap;

use genair_data::{Dataset, ItemId};
use genair_eval::top_k;
use genair_protocol::{
    Protocol, Readers, RecommendEvent, RecommendRequest, RecommendedItem, RecommendedList,
    RecommendedTarget, RunPhase,
};

use crate::error::During;
use crate::evaluation::{Evaluator, Input, Scorer, ascending, no_candidates};
use crate::plugin::Plugin;
use crate::run::{dataset, model, set_threads};
use crate::training::ModelScorer;
use crate::{RunErrorKind, TrainError, baselines, checkpoint, combination, device, input};

/// Makes the lists of a request and tells them one by one, users in the order of the request or of the data.
///
/// # Errors
/// Why there are no lists, or no more of them.
pub fn recommend(
    request: &RecommendRequest,
    tell: &mut dyn FnMut(RecommendEvent),
) -> Result<(), TrainError> {
    let work = &request.work;
    let spec = &work.run;
    let device = device::choose(&spec.train.device).during(RunPhase::Starting)?;
    set_threads(spec.train.threads).during(RunPhase::Starting)?;
    let dataset = dataset(work).during(RunPhase::LoadingData)?;
    let evaluator = Evaluator::new(&dataset, &spec.eval);
    let readers = ListReaders::of(request, &dataset).during(RunPhase::LoadingData)?;
    let mut lists = |scorer: &dyn Scorer| -> Result<(), TrainError> {
        let lists = Lists {
            request,
            dataset: &dataset,
            evaluator: &evaluator,
        };
        lists.tell(scorer, &readers, tell).during(RunPhase::Testing)
    };
    if let Some(combination) = &spec.combination {
        let opened = |combined: &combination::Combined<'_>, _, _| lists(combined);
        return combination::with_scorer(work, combination, device, &dataset, &evaluator, opened);
    }
    let Some(plugin) = &work.plugin else {
        let scorer = baselines::of_run(work, &dataset)?;
        return lists(&*scorer);
    };
    let plugin =
        Plugin::open(plugin, work.plugin_sha256.as_deref()).during(RunPhase::LoadingPlugin)?;
    let (model, mut parameters) = model(&plugin, spec, work.vectors.as_ref(), &dataset, device)?;
    let what = "the weights of the run";
    let file = request.checkpoint.as_ref();
    let file = file.ok_or(RunErrorKind::MissingInput { what });
    let file = file.and_then(|file| input::check(file, what));
    checkpoint::load(file.during(RunPhase::LoadingData)?, &mut parameters)
        .during(RunPhase::Building)?;
    lists(&ModelScorer::new(&model, &dataset).during(RunPhase::Building)?)
}

/// Who gets a list, found in the data.
enum ListReaders {
    /// Users by their numbers, from 0.
    Users(Vec<usize>),
    History(Vec<ItemId>),
}

impl ListReaders {
    /// # Errors
    /// [`RunErrorKind::UnknownUser`] and [`RunErrorKind::UnknownItem`] for the first such id.
    fn of(request: &RecommendRequest, dataset: &Dataset) -> Result<Self, RunErrorKind> {
        let name = || request.work.run.dataset_name.clone();
        match &request.readers {
            Readers::All => {
                let users = 0..dataset.num_users();
                let users = users.filter(|&user| !dataset.history(user, request.split).is_empty());
                Ok(Self::Users(users.collect()))
            }
            Readers::Users(ids) => {
                let numbers = (0..dataset.num_users()).map(|user| (dataset.raw_user(user), user));
                let numbers: HashMap<&str, usize> = numbers.collect();
                let number = |id: &String| {
                    let number = numbers.get(id.as_str()).copied();
                    let number = number.ok_or_else(|| RunErrorKind::UnknownUser {
                        user: id.clone(),
                        dataset: name(),
                        users: dataset.num_users(),
                    })?;
                    match dataset.history(number, request.split) {
                        [] => Err(RunErrorKind::NoHistory {
                            user: id.clone(),
                            split: request.split,
                        }),
                        _ => Ok(number),
                    }
                };
                Ok(Self::Users(
                    ids.iter().map(number).collect::<Result<_, _>>()?,
                ))
            }
            Readers::History(ids) => {
                let numbers = dataset.items().map(|item| (dataset.raw_item(item), item));
                let numbers: HashMap<&str, ItemId> = numbers.collect();
                let number = |id: &String| {
                    let number = numbers.get(id.as_str()).copied();
                    number.ok_or_else(|| RunErrorKind::UnknownItem {
                        item: id.clone(),
                        dataset: name(),
                        items: dataset.num_items(),
                    })
                };
                Ok(Self::History(
                    ids.iter().map(number).collect::<Result<_, _>>()?,
                ))
            }
        }
    }
}

/// What lists are made of.
struct Lists<'a> {
    request: &'a RecommendRequest,
    dataset: &'a Dataset,
    evaluator: &'a Evaluator<'a>,
}

impl Lists<'_> {
    fn tell(
        &self,
        scorer: &dyn Scorer,
        readers: &ListReaders,
        tell: &mut dyn FnMut(RecommendEvent),
    ) -> Result<(), RunErrorKind> {
        let (mut lists, mut shorter) = (0, 0);
        let mut count = |list: &RecommendedList| {
            lists += 1;
            shorter += u64::from(list.items.len() < self.request.k);
        };
        let mut scores = Vec::new();
        match readers {
            ListReaders::History(items) => {
                let split = self.request.split;
                let input = Input {
                    user: None,
                    items,
                    split,
                };
                scorer.score(&[input], &mut scores)?;
                let list = self.list(input, &scores)?;
                count(&list);
                tell(RecommendEvent::List(list));
            }
            ListReaders::Users(users) => {
                let columns = self.dataset.num_items() + 1;
                for users in users.chunks(self.evaluator.block()) {
                    let input = |&user: &usize| Input {
                        user: Some(user),
                        items: self.dataset.history(user, self.request.split),
                        split: self.request.split,
                    };
                    let inputs: Vec<Input<'_>> = users.iter().map(input).collect();
                    scorer.score(&inputs, &mut scores)?;
                    for (&input, scores) in inputs.iter().zip(scores.chunks_exact(columns)) {
                        let list = self.list(input, scores)?;
                        count(&list);
                        tell(RecommendEvent::List(list));
                    }
                }
            }
        }
        tell(RecommendEvent::Done { lists, shorter });
        Ok(())
    }

    /// The list of one input by the scores of all items.
    fn list(&self, input: Input<'_>, scores: &[f32]) -> Result<RecommendedList, RunErrorKind> {
        let RecommendRequest {
            split,
            k,
            with_history,
            ..
        } = *self.request;
        let excluded = match with_history {
            true => ascending(self.dataset.outside(split)),
            false => no_candidates(self.dataset, &input),
        };
        let listed = top_k(scores, &excluded, k).map_err(|source| match input.user {
            Some(user) => RunErrorKind::Scores {
                user: user + 1,
                source,
            },
            None => RunErrorKind::Metrics(source),
        })?;
        let item = |listed: genair_eval::Listed| {
            let item = ItemId::new(listed.item);
            RecommendedItem {
                item_id: self.dataset.raw_item(item).to_owned(),
                title: self.title(item),
                score: listed.score,
            }
        };
        let case = input
            .user
            .and_then(|user| self.dataset.case_of(user, split));
        // Of several targets the first.
        let target = case.map(|case| {
            let target = case.targets[0];
            let protocol = match with_history {
                true => Protocol::FullWithHistory,
                false => Protocol::Full,
            };
            let ranks = self.evaluator.rank(&case, protocol, scores)?;
            Ok::<_, RunErrorKind>(RecommendedTarget {
                item_id: self.dataset.raw_item(target).to_owned(),
                title: self.title(target),
                rank: ranks[0],
            })
        });
        Ok(RecommendedList {
            user_id: input
                .user
                .map(|user| self.dataset.raw_user(user).to_owned()),
            history: input.items.len() as u64,
            target: target.transpose()?,
            items: listed.into_iter().map(item).collect(),
        })
    }

    /// An item's `title`, or else its `name`, as text.
    fn title(&self, item: ItemId) -> Option<String> {
        let metadata = self.dataset.metadata(item);
        let value = metadata.get("title").or_else(|| metadata.get("name"))?;
        value.as_str().map(str::to_owned)
    }
}
