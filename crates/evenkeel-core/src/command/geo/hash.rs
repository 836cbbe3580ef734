//! Places as numbers: the world is halved again and again, and each half is a bit.
//!
//! Bits of longitude and latitude alternate, so that places near each other mostly have numbers near each other. 26
//! halvings of each make the 52 bits that a score holds exactly. The borders are those of web maps, which leave out
//! the poles.

use crate::types::Score;

/// Halvings of each coordinate in a score.
pub(super) const STEPS_MAX: u32 = 26;

/// A coordinate's span.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) min: f64,
    pub(super) max: f64,
}

/// All longitudes.
pub(super) const LONGITUDES: Span = Span {
    min: -180.0,
    max: 180.0,
};
/// The latitudes that have a number.
pub(super) const LATITUDES: Span = Span {
    min: -85.051_128_78,
    max: 85.051_128_78,
};
/// The latitudes of the text form, which goes to the poles.
const ALL_LATITUDES: Span = Span {
    min: -90.0,
    max: 90.0,
};

/// A place on earth, in degrees.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Place {
    pub(super) longitude: f64,
    pub(super) latitude: f64,
}

/// A rectangle of the world halved so many times: how many such rectangles lie west and south of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tile {
    pub(super) steps: u32,
    east: u32,
    north: u32,
}

impl Span {
    fn contains(self, degrees: f64) -> bool {
        self.min <= degrees && degrees <= self.max
    }

    /// Where in the span a coordinate is, in parts of it.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "what a coordinate within the span gives is at most 2^26"
    )]
    fn part(self, degrees: f64, steps: u32) -> u32 {
        let offset = (degrees - self.min) / (self.max - self.min);
        (offset * parts(steps)) as u32
    }

    /// The span of a part.
    fn of_part(self, part: u32, steps: u32) -> Self {
        let border = |part: u32| self.min + f64::from(part) / parts(steps) * (self.max - self.min);
        Self {
            min: border(part),
            max: border(part.wrapping_add(1)),
        }
    }

    fn middle(self, bounds: Self) -> f64 {
        let middle = f64::midpoint(self.min, self.max);
        middle.clamp(bounds.min, bounds.max)
    }
}

fn parts(steps: u32) -> f64 {
    (1_u64 << steps) as f64
}

impl Place {
    /// A place that has a number.
    pub(super) fn new(longitude: f64, latitude: f64) -> Option<Self> {
        let known = LONGITUDES.contains(longitude) && LATITUDES.contains(latitude);
        known.then_some(Self {
            longitude,
            latitude,
        })
    }

    /// The number that a sorted set keeps.
    pub(super) fn score(self) -> Score {
        let number = Tile::around(self, STEPS_MAX).bits() as f64;
        Score::new(number).unwrap_or(Score::ZERO)
    }

    /// The middle of the rectangle that a number stands for. Any score stands for one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "scores that are no place's are read as the nearest whole number"
    )]
    pub(super) fn of(score: Score) -> Self {
        let bits = score.number() as u64;
        let tile = Tile {
            steps: STEPS_MAX,
            east: every_other(bits >> 1),
            north: every_other(bits),
        };
        let (longitudes, latitudes) = tile.spans();
        Self {
            longitude: longitudes.middle(LONGITUDES),
            latitude: latitudes.middle(LATITUDES),
        }
    }

    /// The usual text form of 11 characters, the last of which 52 bits do not reach.
    pub(super) fn text(self) -> Vec<u8> {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let tile = Tile {
            steps: STEPS_MAX,
            east: LONGITUDES.part(self.longitude, STEPS_MAX),
            north: ALL_LATITUDES.part(self.latitude, STEPS_MAX),
        };
        let bits = tile.bits();
        let letter = |at: u32| ALPHABET[(bits >> (52 - (at + 1) * 5) & 0x1f) as usize];
        (0..10).map(letter).chain([ALPHABET[0]]).collect()
    }
}

impl Tile {
    /// The tile that a place is in.
    pub(super) fn around(place: Place, steps: u32) -> Self {
        Self {
            steps,
            east: LONGITUDES.part(place.longitude, steps),
            north: LATITUDES.part(place.latitude, steps),
        }
    }

    const fn bits(self) -> u64 {
        spread(self.north) | spread(self.east) << 1
    }

    /// Its longitudes and latitudes.
    pub(super) fn spans(self) -> (Span, Span) {
        (
            LONGITUDES.of_part(self.east, self.steps),
            LATITUDES.of_part(self.north, self.steps),
        )
    }

    /// The tile so many to the east and north of it; the world goes on at the other side.
    pub(super) fn neighbour(self, (east, north): (i32, i32)) -> Self {
        let mask = (1_u32 << self.steps) - 1;
        let moved = |part: u32, by: i32| match by {
            0 => part,
            by => part.wrapping_add_signed(by) & mask,
        };
        Self {
            steps: self.steps,
            east: moved(self.east, east),
            north: moved(self.north, north),
        }
    }

    /// The numbers of the places in it, the last one excluded.
    pub(super) fn scores(self) -> (f64, f64) {
        let rest = 2 * (STEPS_MAX - self.steps);
        let (first, next) = (self.bits() << rest, (self.bits() + 1) << rest);
        (first as f64, next as f64)
    }
}

/// Masks of a number's bits in groups of 1, 2, 4, 8 and 16, each with as much room behind it.
const GROUPS: [u64; 5] = [
    0x5555_5555_5555_5555,
    0x3333_3333_3333_3333,
    0x0f0f_0f0f_0f0f_0f0f,
    0x00ff_00ff_00ff_00ff,
    0x0000_ffff_0000_ffff,
];

/// A number's bits with a zero above each.
const fn spread(number: u32) -> u64 {
    let mut bits = number as u64;
    let mut group = GROUPS.len();
    while group > 0 {
        group -= 1;
        bits = (bits | bits << (1 << group)) & GROUPS[group];
    }
    bits
}

/// The bits at even places, put together.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the upper half is empty by then"
)]
const fn every_other(bits: u64) -> u32 {
    let mut number = bits & GROUPS[0];
    let mut group = 0;
    while group < GROUPS.len() {
        let mask = if group + 1 < GROUPS.len() {
            GROUPS[group + 1]
        } else {
            u32::MAX as u64
        };
        number = (number | number >> (1 << group)) & mask;
        group += 1;
    }
    number as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_known_place_has_its_known_number_and_text() {
        let palermo = Place::new(13.361389, 38.115556).unwrap();
        let score = palermo.score();
        assert_eq!(score.number(), 3_479_099_956_230_698.0);
        let back = Place::of(score);
        assert_eq!(back.longitude, 13.361_389_338_970_184);
        assert_eq!(back.latitude, 38.115_556_395_496_3);
        assert_eq!(back.text(), b"sqc8b49rny0");
    }

    #[test]
    fn places_beyond_the_map_have_no_number() {
        for (longitude, latitude) in [(180.1, 0.0), (-181.0, 0.0), (0.0, 85.1), (0.0, -90.0)] {
            assert_eq!(Place::new(longitude, latitude), None);
        }
        assert!(Place::new(180.0, 85.051_128_78).is_some());
        assert!(Place::new(f64::NAN, 0.0).is_none());
    }

    #[test]
    fn the_world_goes_on_at_the_other_side() {
        let tile = Tile::around(Place::new(179.9, 85.0).unwrap(), 2);
        let beyond = tile.neighbour((1, 1));
        assert_eq!((beyond.east, beyond.north), (0, 0));
        assert_eq!(beyond.neighbour((-1, -1)), tile);
    }

    proptest! {
        #[test]
        fn a_place_is_in_the_middle_of_its_tile_and_every_number_is_a_place(
            longitude in -180.0..180.0_f64,
            latitude in -85.05..85.05_f64,
            number in any::<f64>().prop_filter("a score", |number| !number.is_nan()),
            steps in 1..=STEPS_MAX,
        ) {
            let place = Place::new(longitude, latitude).unwrap();
            let back = Place::of(place.score());
            prop_assert!((back.longitude - longitude).abs() < 6e-6);
            prop_assert!((back.latitude - latitude).abs() < 3e-6);
            prop_assert_eq!(Place::of(back.score()), back);
            let tile = Tile::around(place, steps);
            let (longitudes, latitudes) = tile.spans();
            prop_assert!(longitudes.contains(longitude) && latitudes.contains(latitude));
            let (first, next) = tile.scores();
            prop_assert!((first..next).contains(&place.score().number()));
            let any = Place::of(Score::new(number).unwrap());
            prop_assert!(Place::new(any.longitude, any.latitude).is_some());
        }
    }
}
