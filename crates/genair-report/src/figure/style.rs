//! How a figure looks: colours that people with any colour vision tell apart, shapes that also tell
//! apart in print without colour, and one typeface that is part of the program.

/// A colour, red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colour(pub(crate) u8, pub(crate) u8, pub(crate) u8);

/// Okabe & Ito's palette, without its yellow, which is faint on paper.
const PALETTE: [Colour; 7] = [
    Colour(0x00, 0x72, 0xb2), // blue
    Colour(0xd5, 0x5e, 0x00), // vermilion
    Colour(0x00, 0x9e, 0x73), // bluish green
    Colour(0xcc, 0x79, 0xa7), // reddish purple
    Colour(0xe6, 0x9f, 0x00), // orange
    Colour(0x56, 0xb4, 0xe9), // sky blue
    Colour(0x00, 0x00, 0x00), // black
];

/// Axes and their labels.
pub(crate) const INK: Colour = Colour(0x33, 0x33, 0x33);
/// Lines behind the data.
pub(crate) const GRID: Colour = Colour(0xe3, 0xe3, 0xe3);
/// What stands back behind the rest.
pub(crate) const PALE: Colour = Colour(0xb0, 0xb0, 0xb0);

pub(crate) const FAMILY: &str = "Roboto";
pub(crate) const REGULAR: &[u8] = include_bytes!("../../assets/Roboto-Regular.ttf");
pub(crate) const MEDIUM: &[u8] = include_bytes!("../../assets/Roboto-Medium.ttf");

impl Colour {
    /// Colour number `at`; after the last one the first comes again.
    pub(crate) fn number(at: usize) -> Self {
        PALETTE[at % PALETTE.len()]
    }

    /// Reads `#rrggbb`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        let number = u32::from_str_radix(digits, 16).ok()?;
        let [_, red, green, blue] = number.to_be_bytes();
        Some(Self(red, green, blue))
    }

    /// Mixed with white: 0 is the colour itself, 1 white.
    pub(crate) fn tint(self, white: f64) -> Self {
        let mix = |part: u8| (f64::from(part) + (255.0 - f64::from(part)) * white).round() as u8;
        Self(mix(self.0), mix(self.1), mix(self.2))
    }
}

/// How one series looks: a colour, and a number that stands for marker, dash and tint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) colour: Colour,
    pub(crate) variant: usize,
}

impl Look {
    pub(crate) fn plain(colour: Colour) -> Self {
        Self { colour, variant: 0 }
    }

    /// Lengths of strokes and gaps in points, by turns; none for a solid line. Solid, dashed, dotted,
    /// dash-dotted: the page has them in the same order (`html/page/charts.js`).
    pub(crate) fn dash(self) -> &'static [f64] {
        const DASHES: [&[f64]; 4] = [&[], &[4.0, 2.0], &[1.2, 1.6], &[5.0, 1.6, 1.2, 1.6]];
        DASHES[self.variant % DASHES.len()]
    }

    /// The fill of a bar.
    pub(crate) fn fill(self) -> Colour {
        self.colour
            .tint([0.0, 0.5, 0.75, 0.25, 0.88][self.variant % 5])
    }

    pub(crate) fn marker(self) -> Marker {
        [
            Marker::Circle,
            Marker::Triangle,
            Marker::Square,
            Marker::Diamond,
            Marker::Cross,
        ][self.variant % 5]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marker {
    Circle,
    Triangle,
    Square,
    Diamond,
    Cross,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_and_tinted() {
        assert_eq!(Colour::parse("#0072b2"), Some(Colour::number(0)));
        for wrong in ["0072b2", "#0072b", "#0072bg", "#0072b22"] {
            assert_eq!(Colour::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Colour(0, 100, 255).tint(1.0), Colour(255, 255, 255));
        assert_eq!(Colour(0, 100, 255).tint(0.0), Colour(0, 100, 255));
    }
}
