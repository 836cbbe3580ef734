//! Writing places, and reading them one by one.

use evenkeel_resp::Reply;

use super::hash::Place;
use super::shape::distance;
use crate::command::keyspace::Keyspace;
use crate::command::view::View;
use crate::command::zset::{Options, add_scores, parse_float};
use crate::command::{Args, Outcome, syntax_error};
use crate::types::{Kind, Score};

/// Digits behind the point of a distance.
const DISTANCE_SCALE: f64 = 10_000.0;

/// Reads a longitude and a latitude.
pub(super) fn parse_place(longitude: &[u8], latitude: &[u8]) -> Result<Place, Reply> {
    let degrees = |text: &[u8]| {
        parse_float(text).ok_or_else(|| Reply::error("ERR value is not a valid float"))
    };
    let (longitude, latitude) = (degrees(longitude)?, degrees(latitude)?);
    Place::new(longitude, latitude).ok_or_else(|| {
        Reply::error(format!(
            "ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"
        ))
    })
}

/// Metres in a unit.
pub(super) fn parse_unit(unit: &[u8]) -> Result<f64, Reply> {
    match unit.to_ascii_lowercase().as_slice() {
        b"m" => Ok(1.0),
        b"km" => Ok(1000.0),
        b"ft" => Ok(0.3048),
        b"mi" => Ok(1609.34),
        _ => Err(Reply::error(
            "ERR unsupported unit provided. please use M, KM, FT, MI",
        )),
    }
}

/// A distance with four digits behind the point.
#[expect(
    clippy::cast_possible_truncation,
    reason = "no distance on earth comes near 2^63 parts, and none is needed exactly"
)]
pub(super) fn distance_text(distance: f64) -> Reply {
    let parts = (distance * DISTANCE_SCALE).round_ties_even() as i64;
    let scale = DISTANCE_SCALE as i64;
    Reply::bulk(format!("{}.{:04}", parts / scale, parts % scale))
}

/// Longitude and latitude.
pub(super) fn coordinates(place: Place) -> Reply {
    Reply::Array(vec![
        Reply::Decimal(place.longitude),
        Reply::Decimal(place.latitude),
    ])
}

pub(super) fn geoadd(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let (options, rest) = Options::parse(&args[2..], &["nx", "xx", "ch"]);
    if rest.is_empty() || !rest.len().is_multiple_of(3) || options.contradicts() {
        return Err(syntax_error());
    }
    let pairs: Vec<(Score, &[u8])> = rest
        .chunks_exact(3)
        .map(|place| Ok((parse_place(place[0], place[1])?.score(), place[2])))
        .collect::<Result<_, Reply>>()?;
    add_scores(keys, args[1], &pairs, options)
}

fn place_of(view: View<'_>, member: &[u8]) -> Option<Place> {
    view.score(member).map(Place::of)
}

pub(super) fn geopos(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let view = keys.view(args[1]).expect(Kind::SortedSet)?;
    let places = args[2..].iter().map(|member| place_of(view, member));
    Ok(Reply::Array(
        places
            .map(|place| place.map_or(Reply::NullArray, coordinates))
            .collect(),
    ))
}

pub(super) fn geohash(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let view = keys.view(args[1]).expect(Kind::SortedSet)?;
    let places = args[2..].iter().map(|member| place_of(view, member));
    Ok(Reply::Array(
        places
            .map(|place| place.map_or(Reply::Null, |place| Reply::bulk(place.text())))
            .collect(),
    ))
}

pub(super) fn geodist(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let unit = match args {
        [_, _, _, _] => 1.0,
        [_, _, _, _, unit] => parse_unit(unit)?,
        _ => return Err(syntax_error()),
    };
    let view = keys.view(args[1]).expect(Kind::SortedSet)?;
    let places = place_of(view, args[2]).zip(place_of(view, args[3]));
    Ok(places.map_or(Reply::Null, |(one, other)| {
        distance_text(distance(one, other) / unit)
    }))
}
