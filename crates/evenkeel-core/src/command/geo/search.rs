//! Searching for places: GEOSEARCH, GEORADIUS and GEORADIUSBYMEMBER in all their forms.

use bytes::Bytes;
use evenkeel_resp::Reply;

use super::hash::Place;
use super::places::{coordinates, distance_text, parse_place, parse_unit};
use super::shape::{Outline, Shape};
use crate::command::algebra::{Answers, call, done, only};
use crate::command::keyspace::Keyspace;
use crate::command::number::integer;
use crate::command::spec::Round;
use crate::command::zset::{parse_float, scored, store};
use crate::command::{Args, Outcome, syntax_error};
use crate::partition::Ranking;
use crate::types::{Kind, Score};

/// What a command's name says of the arguments behind the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// `longitude latitude radius unit options…`
    Radius,
    /// `member radius unit options…`
    RadiusByMember,
    /// Options alone.
    Search,
}

/// Whether the result may be stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Storing {
    Never,
    /// With the options STORE and STOREDIST, which name the key.
    Asked,
    /// Always, with the distances when the option STOREDIST says so.
    Always,
}

/// Where the search begins.
#[derive(Clone, Copy, Debug)]
enum Centre<'a> {
    Place(Place),
    Member(&'a [u8]),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    Nearest,
    Farthest,
}

/// Which score is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stored {
    Place,
    Distance,
}

/// A search as asked for.
#[derive(Clone, Debug, Default)]
struct Request<'a> {
    centre: Option<Centre<'a>>,
    /// The outline in metres, and the metres in the unit of distances.
    area: Option<(Outline, f64)>,
    with_distance: bool,
    with_hash: bool,
    with_coordinates: bool,
    order: Option<Order>,
    /// 0: all.
    count: usize,
    any: bool,
    stored: Option<Stored>,
    stored_at: Option<&'a [u8]>,
}

/// A member that was found.
#[derive(Clone, Debug)]
struct Found {
    member: Bytes,
    score: Score,
    place: Place,
    distance: f64,
}

/// A command's words, of the key on which it runs taken out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a> {
    /// The command's name as sent.
    pub(super) name: &'a [u8],
    pub(super) rest: Args<'a>,
}

fn outline_number(text: &[u8], what: &str) -> Result<f64, Reply> {
    parse_float(text).ok_or_else(|| Reply::error(format!("ERR need numeric {what}")))
}

/// Reads a radius and its unit.
fn circle(radius: &[u8], unit: &[u8]) -> Result<(Outline, f64), Reply> {
    let radius = outline_number(radius, "radius")?;
    if radius < 0.0 {
        return Err(Reply::error("ERR radius cannot be negative"));
    }
    let unit = parse_unit(unit)?;
    let radius = radius * unit;
    Ok((Outline::Circle { radius }, unit))
}

/// Reads a width, a height and their unit.
fn rectangle(width: &[u8], height: &[u8], unit: &[u8]) -> Result<(Outline, f64), Reply> {
    let width = outline_number(width, "width")?;
    let height = outline_number(height, "height")?;
    if width < 0.0 || height < 0.0 {
        return Err(Reply::error("ERR height or width cannot be negative"));
    }
    let unit = parse_unit(unit)?;
    let (width, height) = (width * unit, height * unit);
    Ok((Outline::Box { width, height }, unit))
}

/// A member to begin at.
fn known(member: &[u8], is_known: impl Fn(&[u8]) -> bool) -> Result<Centre<'_>, Reply> {
    if is_known(member) {
        Ok(Centre::Member(member))
    } else {
        Err(undecodable())
    }
}

fn undecodable() -> Reply {
    Reply::error("ERR could not decode requested zset member")
}

impl<'a> Request<'a> {
    /// The order of the checks is Redis', so a member is looked for where it is named.
    fn parse(
        words: Words<'a>,
        (form, storing): (Form, Storing),
        is_known: impl Fn(&[u8]) -> bool,
    ) -> Result<Self, Reply> {
        let mut request = Self::default();
        let mut options = words.rest;
        match (form, words.rest) {
            (Form::Radius, [longitude, latitude, radius, unit, rest @ ..]) => {
                let place = parse_place(longitude, latitude)?;
                request.centre = Some(Centre::Place(place));
                request.area = Some(circle(radius, unit)?);
                options = rest;
            }
            (Form::RadiusByMember, [member, radius, unit, rest @ ..]) => {
                request.centre = Some(known(member, &is_known)?);
                request.area = Some(circle(radius, unit)?);
                options = rest;
            }
            (Form::Search, _) => {}
            _ => return Err(syntax_error()),
        }
        while let [name, rest @ ..] = options {
            let name = name.to_ascii_lowercase();
            options = match request.plain_option(&name, rest)? {
                Some(rest) => rest,
                None if form == Form::Search => {
                    request.search_option((&name, rest), storing, &is_known)?
                }
                None => request.store_option(&name, rest, storing)?,
            };
        }
        if storing == Storing::Always && request.stored.is_none() {
            request.stored = Some(Stored::Place);
        }
        request.check(words.name, storing)?;
        Ok(request)
    }

    /// Takes an option that every form has; `None` when it is another one.
    fn plain_option(&mut self, name: &[u8], rest: Args<'a>) -> Result<Option<Args<'a>>, Reply> {
        match (name, rest) {
            (b"withdist", _) => self.with_distance = true,
            (b"withhash", _) => self.with_hash = true,
            (b"withcoord", _) => self.with_coordinates = true,
            (b"any", _) => self.any = true,
            (b"asc", _) => self.order = Some(Order::Nearest),
            (b"desc", _) => self.order = Some(Order::Farthest),
            (b"count", [count, rest @ ..]) => {
                let count = usize::try_from(integer(count)?).unwrap_or(0);
                if count == 0 {
                    return Err(Reply::error("ERR COUNT must be > 0"));
                }
                self.count = count;
                return Ok(Some(rest));
            }
            _ => return Ok(None),
        }
        Ok(Some(rest))
    }

    fn search_option(
        &mut self,
        (name, rest): (&[u8], Args<'a>),
        storing: Storing,
        is_known: impl Fn(&[u8]) -> bool,
    ) -> Result<Args<'a>, Reply> {
        let from_member = matches!(self.centre, Some(Centre::Member(_)));
        let from_place = matches!(self.centre, Some(Centre::Place(_)));
        let in_circle = matches!(self.area, Some((Outline::Circle { .. }, _)));
        let in_box = matches!(self.area, Some((Outline::Box { .. }, _)));
        match (name, rest) {
            (b"storedist", _) if storing == Storing::Always => {
                self.stored = Some(Stored::Distance);
                Ok(rest)
            }
            (b"frommember", [member, rest @ ..]) if !from_place => {
                self.centre = Some(known(member, is_known)?);
                Ok(rest)
            }
            (b"fromlonlat", [longitude, latitude, rest @ ..]) if !from_member => {
                self.centre = Some(Centre::Place(parse_place(longitude, latitude)?));
                Ok(rest)
            }
            (b"byradius", [radius, unit, rest @ ..]) if !in_box => {
                self.area = Some(circle(radius, unit)?);
                Ok(rest)
            }
            (b"bybox", [width, height, unit, rest @ ..]) if !in_circle => {
                self.area = Some(rectangle(width, height, unit)?);
                Ok(rest)
            }
            _ => Err(syntax_error()),
        }
    }

    fn store_option(
        &mut self,
        name: &[u8],
        rest: Args<'a>,
        storing: Storing,
    ) -> Result<Args<'a>, Reply> {
        let (stored, key, rest) = match (name, rest) {
            (b"store", [key, rest @ ..]) => (Stored::Place, key, rest),
            (b"storedist", [key, rest @ ..]) => (Stored::Distance, key, rest),
            _ => return Err(syntax_error()),
        };
        if storing == Storing::Never {
            return Err(syntax_error());
        }
        self.stored = Some(stored);
        self.stored_at = Some(key);
        Ok(rest)
    }

    fn check(&self, name: &[u8], storing: Storing) -> Result<(), Reply> {
        let error = |text: String| Err(Reply::error(text));
        let name = String::from_utf8_lossy(name);
        if self.stored.is_some() && (self.with_distance || self.with_hash || self.with_coordinates)
        {
            let what = match storing {
                Storing::Always => "GEOSEARCHSTORE",
                _ => "STORE option in GEORADIUS",
            };
            return error(format!(
                "ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            ));
        }
        if self.centre.is_none() {
            return error(format!(
                "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {name}"
            ));
        }
        if self.area.is_none() {
            return error(format!(
                "ERR exactly one of BYRADIUS and BYBOX can be specified for {name}"
            ));
        }
        if self.any && self.count == 0 {
            return error("ERR the ANY argument requires COUNT argument".into());
        }
        Ok(())
    }

    /// The members within, in the order asked for.
    fn find(&self, ranking: &Ranking, shape: &Shape) -> Vec<Found> {
        let enough = if self.any { self.count } else { usize::MAX };
        let mut found = Vec::new();
        for tile in shape.tiles() {
            let (first, next) = tile.scores();
            let from = ranking.partition_point(|score, _| score.number() < first);
            let to = ranking.partition_point(|score, _| score.number() < next);
            for (member, score) in ranking.range(from..to) {
                if found.len() >= enough {
                    break;
                }
                let place = Place::of(score);
                if let Some(distance) = shape.distance_within(place) {
                    found.push(Found {
                        member: Bytes::copy_from_slice(member),
                        score,
                        place,
                        distance,
                    });
                }
            }
        }
        let nearest_first = self.count > 0 && !self.any;
        let order = self
            .order
            .or_else(|| nearest_first.then_some(Order::Nearest));
        match order {
            Some(Order::Nearest) => found.sort_by(|a, b| a.distance.total_cmp(&b.distance)),
            Some(Order::Farthest) => found.sort_by(|a, b| b.distance.total_cmp(&a.distance)),
            None => {}
        }
        if self.count > 0 {
            found.truncate(self.count);
        }
        found
    }

    fn shown(&self, found: Found, unit: f64) -> Reply {
        let member = Reply::Bulk(found.member);
        let mut row = vec![member];
        if self.with_distance {
            row.push(distance_text(found.distance / unit));
        }
        if self.with_hash {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a place's number has 52 bits"
            )]
            row.push(Reply::Integer(found.score.number() as i64));
        }
        if self.with_coordinates {
            row.push(coordinates(found.place));
        }
        match row.len() {
            1 => row.remove(0),
            _ => Reply::Array(row),
        }
    }
}

/// Runs a search on the key that holds the places. What is to be stored comes as pairs with the scores to store.
pub(super) fn search(
    keys: &mut Keyspace<'_>,
    key: &[u8],
    words: Words<'_>,
    (form, storing): (Form, Storing),
) -> Outcome {
    let view = keys.view(key).expect(Kind::SortedSet)?;
    // Without the key no member is looked for.
    let is_known = |member: &[u8]| !view.exists() || view.score(member).is_some();
    let unread: Vec<&[u8]>;
    let mut words = words;
    if form == Form::RadiusByMember {
        if !view.exists() {
            unread = without_radius(words.rest);
            words.rest = &unread;
        } else if view
            .score(words.rest.first().copied().unwrap_or_default())
            .is_none()
        {
            return Err(undecodable());
        }
    }
    let request = Request::parse(words, (form, storing), is_known)?;
    let found = if view.exists() {
        let centre = match request.centre {
            Some(Centre::Place(place)) => Some(place),
            Some(Centre::Member(member)) => view.score(member).map(Place::of),
            None => None,
        };
        let (Some(centre), Some((outline, unit))) = (centre, request.area) else {
            return Err(undecodable());
        };
        let shape = Shape { centre, outline };
        (request.find(&view.ranking(), &shape), unit)
    } else {
        (Vec::new(), 1.0)
    };
    let (found, unit) = found;
    let Some(stored) = request.stored else {
        let rows = found.into_iter().map(|found| request.shown(found, unit));
        return Ok(Reply::Array(rows.collect()));
    };
    let pairs = found.into_iter().map(|found| {
        let score = match stored {
            Stored::Place => found.score.number(),
            Stored::Distance => found.distance / unit,
        };
        (Reply::Bulk(found.member), Reply::Double(score))
    });
    Ok(Reply::Pairs(pairs.collect()))
}

/// The words of GEORADIUSBYMEMBER with a radius that can be read: Redis looks at it only where the key is there.
fn without_radius<'a>(words: Args<'a>) -> Vec<&'a [u8]> {
    let options = words.get(3..).unwrap_or_default();
    [b"", &b"0"[..], b"m"]
        .iter()
        .chain(options)
        .copied()
        .collect()
}

/// `EK.GEO key name arguments…`: a search whose result may be stored, where the places are.
pub(super) fn ek_geo(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let words = Words {
        name: args[2],
        rest: &args[3..],
    };
    search(keys, args[1], words, form_of(words.name)?)
}

fn form_of(name: &[u8]) -> Result<(Form, Storing), Reply> {
    match name.to_ascii_lowercase().as_slice() {
        b"georadius" => Ok((Form::Radius, Storing::Asked)),
        b"georadiusbymember" => Ok((Form::RadiusByMember, Storing::Asked)),
        b"geosearchstore" => Ok((Form::Search, Storing::Always)),
        _ => Err(syntax_error()),
    }
}

fn ask(key: &[u8], name: &[u8], rest: Args<'_>) -> Round {
    let mut asked = call(&[b"EK.GEO", key, name]);
    asked.extend(rest.iter().map(|arg| Bytes::copy_from_slice(arg)));
    Round::Calls(vec![asked])
}

/// GEORADIUS and GEORADIUSBYMEMBER: searches, and stores what it found when asked to.
pub(super) fn georadius(args: Args<'_>, answers: Answers<'_>) -> Round {
    let step = || match answers {
        [] => Ok(ask(args[1], args[0], &args[2..])),
        [found] => match &found[..] {
            [pairs @ Reply::Pairs(_)] => {
                let (form, storing) = form_of(args[0])?;
                let unread = without_radius(&args[2..]);
                let words = Words {
                    name: args[0],
                    rest: match form {
                        Form::RadiusByMember => &unread,
                        _ => &args[2..],
                    },
                };
                let request = Request::parse(words, (form, storing), |_| true)?;
                let key = request.stored_at.ok_or_else(syntax_error)?;
                Ok(Round::Calls(vec![store(key, scored(pairs)?)]))
            }
            _ => Ok(Round::Done(only(found))),
        },
        [_, stored, ..] => Ok(Round::Done(only(stored))),
    };
    done(step())
}

pub(super) fn geosearchstore(args: Args<'_>, answers: Answers<'_>) -> Round {
    let step = || match answers {
        [] => Ok(ask(args[2], args[0], &args[3..])),
        [found] => Ok(Round::Calls(vec![store(args[1], scored(&only(found))?)])),
        [_, stored, ..] => Ok(Round::Done(only(stored))),
    };
    done(step())
}
