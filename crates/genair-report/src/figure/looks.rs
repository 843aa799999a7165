//! Which series looks how, the same in every figure of a report.

use genair_store::Store;

use super::style::{Colour, Look};
use crate::ReportError;
use crate::spec::{Dimension, ReportSpec};
use crate::table::Label;

/// Gives looks to the series of a figure.
pub(super) struct Looks<'r> {
    report: &'r ReportSpec,
    /// Backbones and representations in the order in which the database met them, so that a new one
    /// changes the colour of none.
    backbones: Vec<String>,
    representations: Vec<String>,
    /// The labels that tell the series apart, but the one that has the colour.
    variants: Vec<Vec<Label>>,
    others: Vec<String>,
    /// What takes the colour where no label varies.
    only: Option<String>,
}

impl<'r> Looks<'r> {
    /// `only`: the one backbone of a figure that has no more.
    pub(super) fn new(
        store: &mut Store,
        report: &'r ReportSpec,
        only: Option<String>,
    ) -> Result<Self, ReportError> {
        Ok(Self {
            report,
            backbones: store.backbones()?,
            representations: store.representations()?,
            variants: Vec::new(),
            others: Vec::new(),
            only,
        })
    }

    /// The look of the series with these labels, of dimensions that vary: colour by the first, shape by
    /// the others.
    pub(super) fn of(&mut self, dimensions: &[Dimension], labels: &[Label]) -> Look {
        let Some((dimension, first)) = dimensions.first().zip(labels.first()) else {
            let only = self.only.clone();
            return Look::plain(match only {
                Some(backbone) => self.colour(&Dimension::Backbone, &backbone),
                None => Colour::number(0),
            });
        };
        let rest = labels[1..].to_vec();
        let variant = place(&mut self.variants, rest);
        Look {
            colour: self.colour(dimension, &first.name),
            variant,
        }
    }

    /// The colour of a value.
    pub(super) fn colour(&mut self, dimension: &Dimension, name: &str) -> Colour {
        let own = self.report.colours.get(name);
        if let Some(colour) = own.and_then(|colour| Colour::parse(colour)) {
            return colour;
        }
        // Other colours than those of the first backbones, so that none is taken for one.
        let (known, first) = match dimension {
            Dimension::Backbone => (&mut self.backbones, 0),
            Dimension::Representation => (&mut self.representations, 3),
            _ => (&mut self.others, 3),
        };
        Colour::number(first + place(known, name.to_owned()))
    }
}

/// Where `value` stands in the list; at its end, if it was not there.
fn place<T: PartialEq>(list: &mut Vec<T>, value: T) -> usize {
    match list.iter().position(|known| *known == value) {
        Some(at) => at,
        None => {
            list.push(value);
            list.len() - 1
        }
    }
}
