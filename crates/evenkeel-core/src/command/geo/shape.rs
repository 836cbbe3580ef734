//! The areas that are searched: which tiles of the map cover one, and which places are in it.

use super::hash::{LATITUDES, LONGITUDES, Place, STEPS_MAX, Span, Tile};

/// The mean radius that distances are reckoned with.
const EARTH_RADIUS_M: f64 = 6_372_797.560_856;
/// Half the width of the flat map at the equator.
const MAP_HALF_M: f64 = 20_037_726.37;

/// What is searched around a place, in metres.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Outline {
    Circle { radius: f64 },
    Box { width: f64, height: f64 },
}

/// An area.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) centre: Place,
    pub(super) outline: Outline,
}

/// How far two places are apart, in metres: the great circle.
pub(super) fn distance(one: Place, other: Place) -> f64 {
    let east = (other.longitude.to_radians() - one.longitude.to_radians()) / 2.0;
    let east = east.sin();
    if east == 0.0 {
        return north_distance(one, other);
    }
    let (from, to) = (one.latitude.to_radians(), other.latitude.to_radians());
    let north = ((to - from) / 2.0).sin();
    let square = north * north + from.cos() * to.cos() * east * east;
    2.0 * EARTH_RADIUS_M * square.sqrt().asin()
}

/// How far apart along a meridian.
fn north_distance(one: Place, other: Place) -> f64 {
    EARTH_RADIUS_M * (other.latitude.to_radians() - one.latitude.to_radians()).abs()
}

impl Shape {
    /// The distance of a place from the centre, if it is within.
    pub(super) fn distance_within(&self, place: Place) -> Option<f64> {
        let is_within = match self.outline {
            Outline::Circle { radius } => distance(self.centre, place) <= radius,
            Outline::Box { width, height } => {
                let meridian = Place {
                    longitude: self.centre.longitude,
                    latitude: place.latitude,
                };
                north_distance(place, self.centre) <= height / 2.0
                    && distance(place, meridian) <= width / 2.0
            }
        };
        is_within.then(|| distance(self.centre, place))
    }

    /// Longitudes and latitudes that hold all of it, beyond the ends of the map where it reaches so far.
    fn bounds(&self) -> (Span, Span) {
        let (width, height) = match self.outline {
            Outline::Circle { radius } => (radius, radius),
            Outline::Box { width, height } => (width / 2.0, height / 2.0),
        };
        let Place {
            longitude,
            latitude,
        } = self.centre;
        let north = (height / EARTH_RADIUS_M).to_degrees();
        // Meridians are closest where the shape is farthest from the equator.
        let widest = if latitude < 0.0 {
            latitude - north
        } else {
            latitude + north
        };
        let east = (width / EARTH_RADIUS_M / widest.to_radians().cos()).to_degrees();
        let around = |middle: f64, by: f64| Span {
            min: middle - by,
            max: middle + by,
        };
        (around(longitude, east), around(latitude, north))
    }

    fn reach(&self) -> f64 {
        match self.outline {
            Outline::Circle { radius } => radius,
            Outline::Box { width, height } => (width / 2.0).hypot(height / 2.0),
        }
    }

    /// The tiles that cover it, the middle one first. Neighbours in the list are different, other tiles may not be.
    pub(super) fn tiles(&self) -> Vec<Tile> {
        /// East and north of the middle, in the order in which Redis gives what it finds.
        const AROUND: [(i32, i32); 9] = [
            (0, 0),
            (0, 1),
            (0, -1),
            (1, 0),
            (-1, 0),
            (1, 1),
            (-1, 1),
            (1, -1),
            (-1, -1),
        ];
        let (longitudes, latitudes) = self.bounds();
        let mut middle = Tile::around(self.centre, self.steps());
        let falls_short = |middle: Tile| {
            let reach = |by| middle.neighbour(by).spans();
            reach((0, 1)).1.max < latitudes.max
                || reach((0, -1)).1.min > latitudes.min
                || reach((1, 0)).0.max < longitudes.max
                || reach((-1, 0)).0.min > longitudes.min
        };
        if middle.steps > 1 && falls_short(middle) {
            middle = Tile::around(self.centre, middle.steps - 1);
        }
        let (across, along) = middle.spans();
        let is_needed = |(east, north): &(i32, i32)| {
            middle.steps < 2
                || !((*north < 0 && along.min < latitudes.min)
                    || (*north > 0 && along.max > latitudes.max)
                    || (*east < 0 && across.min < longitudes.min)
                    || (*east > 0 && across.max > longitudes.max))
        };
        let mut tiles = vec![middle];
        for by in AROUND[1..].iter().filter(|by| is_needed(by)) {
            let tile = middle.neighbour(*by);
            // A world of few tiles has the same one on both sides.
            if tiles.len() == 1 || tiles.last() != Some(&tile) {
                tiles.push(tile);
            }
        }
        tiles
    }

    /// How often to halve the world so that nine tiles cover the shape.
    fn steps(&self) -> u32 {
        let mut reach = self.reach();
        if reach == 0.0 {
            return STEPS_MAX;
        }
        let mut steps = 1;
        while reach < MAP_HALF_M {
            reach *= 2.0;
            steps += 1;
        }
        // So that the shape is within in most cases, and wider towards the poles.
        let spare = match self.centre.latitude.abs() {
            latitude if latitude > 80.0 => 4,
            latitude if latitude > 66.0 => 3,
            _ => 2,
        };
        (steps - spare)
            .clamp(1, i32::try_from(STEPS_MAX).unwrap_or(i32::MAX))
            .unsigned_abs()
    }
}

const _: () = assert!(
    LONGITUDES.max == 180.0 && LATITUDES.max < 90.0,
    "shapes are reckoned in degrees"
);
